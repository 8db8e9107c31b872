# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender asks the worker, what the worker answers, and what it tells by itself.

Standard library only; both sides import this same module. Each request is a `Call` with its
parameters as fields, and names the type of its answer; each `Told` is a notification. Both sides
parse what they receive into these before they use it.
"""
