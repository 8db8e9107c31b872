# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The synthetic performer: the open body dressed, lit and acting, with the truth of each frame."""
