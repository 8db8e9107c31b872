# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sees people: faces, their landmarks, bodies, hands and what belongs to a person.

The networks are MediaPipe's (Apache-2.0), run by LiteRT; what is computed around them follows
MediaPipe's graphs, so that points come out as MediaPipe 0.10.21 gives them. data/ is written by
backend/tools/perception_models.py.
"""
