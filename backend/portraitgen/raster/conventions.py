# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The constants every backend agrees on: gsplat 1.5's. Standard library only."""

BLUR_VARIANCE = 0.3
"""Added to both axes of the projected covariance, px^2: no splat is thinner than a pixel."""

MAX_ALPHA = 0.999
"""No splat hides what lies behind it completely; keeps the transmittance invertible."""

MIN_ALPHA = 1.0 / 255.0
"""A splat's contribution to a pixel below this is cut."""

MIN_TRANSMITTANCE = 1e-4
"""A pixel is finished before the splat that would take its transmittance to this or below."""

MAX_EXTENT = 3.33
"""Half width of a splat's footprint in standard deviations: exp(-3.33^2 / 2) < 1/255."""

FAR_PLANE = 1e10
"""Depth in metres beyond which nothing is drawn."""

VIEW_MARGIN = 0.15
"""The projection's Jacobian is evaluated inside the image widened by this part of its size on
each side; farther out the linearisation would blow splats up."""

TILE_SIZE = 16
"""Side of a raster tile in pixels."""
