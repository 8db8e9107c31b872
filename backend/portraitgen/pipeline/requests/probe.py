# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a plate would be read, before a shot is made of it."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FootageError
from ...footage.colour_arithmetic import srgb_encode
from ...footage.exr import write_linear
from ...footage.plate import Plate, open_plate
from ...frames import parse_frame_list, runs_of
from ...images import save_png
from ...messages.shots import PlateFacts
from ..data.shots import plate_options

_GLANCED = 100
_UNASKED = 25
"""Frames that are written where none are named."""


def probe(
    footage: Path, facts: Mapping[str, Any], frames: str = "", out: Path | None = None
) -> dict[str, Any]:
    """Opens a plate, decodes it to find damage, and says how it is read.

    Args:
        footage: a movie, an image sequence or a photo.
        facts: what the user says of it, as `create_shot` takes it.
        frames: which to write, "1-3" or "1,5,9".
        out: the folder for `probe.####.png` (8-bit, as sRGB) and `probe.####.exr` (linear Rec.709,
            32-bit) of each, as the backend sees them; None writes nothing.

    Returns:
        kind, first, last, frames, fps, width, height, bit_depth, colour_space, pixel_aspect and
        notes; the size that work is done in (square pixels), matrix, range, timecode, reel, sound;
        written, the paths of the pictures.

    Raises:
        FootageError: if it cannot be read.
    """
    with closing(open_plate(footage, **plate_options(facts))) as plate:
        plate.examine()
        wanted = parse_frame_list(frames, plate.numbers)
        written = _write(plate, list(wanted), bool(frames), out) if out is not None else []
        return facts_of(plate) | {"written": [str(path) for path in written]}


def glance(footage: Path, facts: Mapping[str, Any]) -> PlateFacts:
    """What panels show of a plate, of what a few seconds tell.

    Args:
        footage, facts: as for `probe`.

    Raises:
        FootageError: if it cannot be read.
    """
    with closing(open_plate(footage, **plate_options(facts))) as plate:
        plate.examine(_GLANCED)
        told = facts_of(plate)
    return PlateFacts.parse(told)


def facts_of(plate: Plate) -> dict[str, Any]:
    """What there is to say of an opened plate, JSON-ready."""
    return {
        "kind": plate.kind,
        "first": plate.first,
        "last": plate.last,
        "frames": len(plate.numbers),
        "fps": f"{plate.fps.numerator}/{plate.fps.denominator}",
        "width": plate.stored_width,
        "height": plate.stored_height,
        "bit_depth": plate.bit_depth,
        "colour_space": plate.colour_space,
        "pixel_aspect": f"{plate.pixel_aspect.numerator}/{plate.pixel_aspect.denominator}",
        "square_width": plate.width,
        "square_height": plate.height,
        "matrix": plate.matrix,
        "range": plate.range,
        "timecode": plate.timecode,
        "reel": plate.reel,
        "sound": plate.sound,
        "notes": list(plate.notes),
    }


def _write(plate: Plate, frames: list[int], named: bool, out: Path) -> list[Path]:
    out.mkdir(parents=True, exist_ok=True)
    if not named and len(frames) > _UNASKED:
        frames = frames[:_UNASKED]
        plate.notes.append(f"the first {_UNASKED} frames are written; name others by --frames")
    written = []
    failed: dict[int, FootageError] = {}
    for frame in frames:
        try:
            linear = plate.linear(frame)
        except FootageError as error:
            failed[frame] = error
            continue
        stem = out / f"probe.{frame:04d}"
        shown = srgb_encode(np.clip(linear, 0, 1))
        written += [save_png(stem.with_suffix(stem.suffix + ".png"), shown)]
        written += [write_linear(stem.with_suffix(stem.suffix + ".exr"), linear)]
    if failed:
        first = next(iter(failed.values()))
        if not written:
            raise first
        # Told as a note: the frames beside them are there.
        plate.notes.append(f"not written: {runs_of(failed)}; {str(first).rstrip('.')}")
    return written
