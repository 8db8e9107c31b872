# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of shots for tests that need any, and not what a clip gives."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

from portraitgen.records import (
    CameraRecord,
    EditRecord,
    FootageRecord,
    FrameQuality,
    TrackRecord,
    TrackSummary,
    WindowRecord,
)


def footage(path: str = "plate.mov", **changes: Any) -> FootageRecord:
    """A plate that is not there."""
    made = FootageRecord(
        path=path,
        kind="movie",
        first=1001,
        last=1005,
        fps=Fraction(24000, 1001),
        width=640,
        height=480,
        bit_depth=8,
        colour_space="Rec.709",
        pixel_aspect=Fraction(1),
        matrix="bt709",
        range="limited",
        digest="0" * 64,
    )
    return replace(made, **changes)


def track(**changes: Any) -> TrackRecord:
    """A track of frames 1001 to 1005, of which one was seen."""
    made = TrackRecord(
        created="2026-01-01T00:00:00+00:00",
        source="solve",
        camera=CameraRecord(1000, 1000, 320, 240, 640, 480),
        window=WindowRecord("fixed", {1001: (0, 0, 480)}),
        mattes=1,
        summary=TrackSummary(5, 1, 0, 4, 1.5),
        quality=(FrameQuality(1002, "tracked", 1.0, 1.5),),
    )
    return replace(made, **changes)


def edit(job: str = "a job", **changes: Any) -> EditRecord:
    """An edit of avatar 1."""
    made = EditRecord(
        created="2026-01-01T00:00:00+00:00",
        job=job,
        avatar=1,
        settings={"editor": "grade"},
        editor="grade",
        options={"exposure": 1.0},
    )
    return replace(made, **changes)
