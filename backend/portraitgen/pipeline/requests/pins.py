# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins on a shot's body, solved quickly enough to follow the hand that drags one."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ShotError
from ...shot import Shot
from ...tracking.pins import Pin, PinSolver
from ..data.shots import Track, body_of

_PLAIN = {"transl": (3,), "pose": (55, 3)}


@lru_cache(maxsize=2)
def _loaded(shot: Path, version: int) -> tuple[Track, PinSolver]:
    """A track never changes once it is complete, so that a drag loads it once."""
    opened = Shot.open(shot)
    track = Track(opened, version)
    return track, PinSolver(body_of(opened), track.motion.betas, track.camera)


def solve_pins(params: dict[str, Any]) -> dict[str, Any]:
    """The pose and expression of one frame that honour pins.

    Args:
        params: shot, version, frame; pins, each with face, weights and target (plate pixels);
            start (transl, pose and expression as lists), the track's own by default; fixed, names
            of joints and units, or "transl", that keep their values.

    Returns:
        transl, pose, expression as lists, and error_px, one value a pin.

    Raises:
        ShotError: if the track has no such frame or the start does not fit it.
        TrackingError: if the pins cannot be solved.
    """
    track, solver = _loaded(Path(params["shot"]), int(params["version"]))
    frame = int(params["frame"])
    motion = track.motion
    if frame not in motion.frames:
        raise ShotError(f"frame {frame} is not tracked", params["shot"], "choose a tracked frame")
    row = motion.index(frame)
    start = {name: getattr(motion, name)[row] for name in (*_PLAIN, "expression")}
    shapes = _PLAIN | {"expression": start["expression"].shape}
    for name, values in (params.get("start") or {}).items():
        given = np.array(values, np.float64)
        if name not in shapes or given.shape != shapes[name] or not np.isfinite(given).all():
            raise ShotError(
                f"'{name}' does not fit the track", params["shot"], "send the rig's values again"
            )
        start[name] = given
    pins = [_pin(each) for each in params["pins"]]
    found = solver.solve(
        pins, start["transl"], start["pose"], start["expression"], params.get("fixed") or ()
    )
    return {
        "transl": found.transl.tolist(),
        "pose": found.pose.tolist(),
        "expression": found.expression.tolist(),
        "error_px": found.error_px.tolist(),
    }


def _pin(given: dict[str, Any]) -> Pin:
    first, second, third = (float(weight) for weight in given["weights"])
    x, y = (float(value) for value in given["target"])
    return Pin(int(given["face"]), (first, second, third), (x, y))
