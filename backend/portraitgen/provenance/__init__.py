# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a picture was made, said in the picture itself, and signed by whoever stands for it."""
