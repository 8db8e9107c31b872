# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins on a shot's body, solved quickly enough to follow the hand that drags one."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from ...errors import ShotError
from ...messages.tracks import PinsSolved, SolvePins
from ...shot import Shot
from ...tracking.pins import Pin, PinSolver
from ..data.shots import Track, body_of

# The residual, in per cent of the eye distance, up to which a face is well tracked, and from which
# on it resists nothing; and how near a well tracked point of it holds, pixels.
_GOOD, _POOR, _HOLDS = 1.5, 3.0, 1.0
_HOLDS_BY_SKULL, _TORSO_HOLDS = 4.0, 10.0
"""The same while pins pull at ears or skull, which hang on the face: they are honoured first, and
the torso goes along rather than that the neck bends against the head."""


@lru_cache(maxsize=2)
def _loaded(shot: Path, version: int) -> tuple[Track, PinSolver]:
    """A track never changes once it is complete, so that a drag loads it once."""
    opened = Shot.open(shot)
    track = Track(opened, version)
    return track, PinSolver(body_of(opened), track.motion.betas, track.camera)


def solve_pins(call: SolvePins) -> PinsSolved:
    """The pose and expression of one frame that honour pins.

    Raises:
        ShotError: if the track has no such frame or the start does not fit it.
        TrackingError: if the pins cannot be solved.
    """
    track, solver = _loaded(Path(call.shot), call.version)
    motion = track.motion
    if call.frame not in motion.frames:
        raise ShotError(f"frame {call.frame} is not tracked", call.shot, "choose a tracked frame")
    row = motion.index(call.frame)
    transl, pose, expression = (
        _start(call, name, getattr(motion, name)[row]) for name in ("transl", "pose", "expression")
    )
    pins = [Pin(each.face, each.weights, each.target) for each in call.pins]
    state = (transl, pose, expression)
    held = _held(track, solver, pins, state, call)
    found = solver.solve(pins, *state, call.fixed, held)
    return PinsSolved.parse(
        {
            "transl": found.transl.tolist(),
            "pose": found.pose.tolist(),
            "expression": found.expression.tolist(),
            "error_px": found.error_px.tolist(),
        }
    )


def _held(
    track: Track,
    solver: PinSolver,
    pins: list[Pin],
    state: tuple[np.ndarray, np.ndarray, np.ndarray],
    call: SolvePins,
) -> list[Pin]:
    """Points of a face that is well tracked, where they are: pins elsewhere do not drag it along.

    Pins on the face say that the face is wrong; nothing of it resists then. Ears and skull turn
    about it: no landmark tells of them; shoulders and chest, which would be lifted, resist less.
    """
    if solver.on_face(pins):
        return []
    if track.motion.fixed[track.motion.index(call.frame)]:
        trust = call.resistance  # The artist has set it by hand.
    else:
        trust = call.resistance * _trusted(track, call.frame)
    if trust <= 0:
        return []
    if not solver.on_skull(pins):
        return solver.face_held(*state, spread=_HOLDS / trust)
    torso = solver.torso_held(*state, spread=_TORSO_HOLDS / trust)
    return [*solver.face_held(*state, spread=_HOLDS_BY_SKULL / trust), *torso]


def _trusted(track: Track, frame: int) -> float:
    """How well the face of a frame is tracked, 0 to 1."""
    quality = next((each for each in track.record.quality if each.frame == frame), None)
    residual = quality.landmark_residual_percent if quality else None
    if quality is None or quality.state != "tracked" or residual is None:
        return 0.0
    return float(np.clip((_POOR - residual) / (_POOR - _GOOD), 0, 1))


def _start(call: SolvePins, name: str, tracked: np.ndarray) -> np.ndarray:
    """Where the solve begins: as it was given, or the track's own."""
    if call.start is None:
        return tracked
    given = np.array(getattr(call.start, name), np.float64)
    if given.shape != tracked.shape or not np.isfinite(given).all():
        remedy = "send the rig's values again"
        raise ShotError(f"'{name}' does not fit the track", call.shot, remedy)
    return given
