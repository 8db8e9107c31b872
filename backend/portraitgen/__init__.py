# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""PortraitGen: track, rebuild, edit and re-render a portrait shot as one 3D performer."""

__version__ = "0.1.0"
