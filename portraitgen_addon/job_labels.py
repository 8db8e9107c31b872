# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs as their buttons call them."""

_LABELS = {
    "track": "Track",
    "refine": "Refine Track",
    "reconstruct": "Reconstruct",
    "act": "Act",
    "edit": "Edit Shot",
    "look": "Learn Look",
    "apply": "Copy Take to Shots",
    "render": "Render to Strip",
    "movie": "Movie",
    "qc": "QC Sheet",
    "deliver": "Deliver",
}


def job_label(kind: str) -> str:
    """What a kind of job is called wherever a person reads of it."""
    return _LABELS.get(kind, kind.title())
