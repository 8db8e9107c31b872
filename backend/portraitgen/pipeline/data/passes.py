# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The passes for compositors that a render can be asked for."""

PASSES = {
    "parts": "Hair, skin, lips and the rest as Cryptomatte",
    "motion": "How far each pixel moves to the frames beside, as Blender's Vector pass",
}
