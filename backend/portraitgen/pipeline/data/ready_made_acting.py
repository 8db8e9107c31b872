# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Acting by name: eyelines, open eyes, held and slowed expressions, another shot's mouth.

Each is a function of the track that gives the differences of some of its frames.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from ...body.model import JOINTS, BodyModel
from ...body.motion import ANY_VERTEX, Motion, posed
from ...errors import OptionError
from ...path_mapping import given_path
from ...records import IDENTITY, PerformanceRecord
from ...shot import Shot
from .acting import Acting
from .shots import Track, performance_of

NECK, HEAD, JAW, EYES = 12, 15, 22, (23, 24)
_SPINE = (0, 3, 6, 9)
# A head turns with the neck.
_NECK_SHARE = 0.4
# How far the lids follow eyes that look down or up: units a degree.
_LIDS = 1 / 35
_OPEN_SHARE = 20
_SHUT = 0.25
_STEADY_SIGMA = 8.0
_MOUTH_FROM = "mouth_from"

REGIONS = {
    "mouth": ("jaw", "mouth", "tongue"),
    "brows": ("brow",),
    "eyes": ("eye",),
    "cheeks": ("cheek", "nose"),
}
"""Beginnings of the names of the facial units in each region."""

PARTS = {
    "all": "The whole performer",
    "head": "The head's turn, face and eyes",
    "face": "The face without the head's turn",
    "mouth": "Jaw, lips and tongue",
    "eyes": "Eyes and lids",
}
"""What acting can be limited to."""


@dataclass(frozen=True)
class ActingRequest:
    """What is asked for.

    Attributes:
        shot, body, track: whose performer acts.
        frames: in which.
    """

    shot: Shot
    body: BodyModel
    track: Track
    frames: Sequence[int]

    @property
    def rows(self) -> np.ndarray:
        """The track's rows of the frames."""
        return np.array([self.track.motion.index(frame) for frame in self.frames])

    @property
    def none(self) -> Acting:
        """No difference in the frames."""
        return Acting.none(self.body, self.frames)


Maker = Callable[[ActingRequest, str], Acting]


def ready_made(request: ActingRequest, settings: Mapping[str, str]) -> Acting:
    """The acting that settings name, one above the other in their order.

    Args:
        settings: names to values: those in `READY_MADE`, facial units and identity directions.

    Raises:
        OptionError: if there is no such name, or a value does not fit.
    """
    acting = request.none
    for name, value in settings.items():
        acting = acting.then(_made(request, name, str(value)))
    return acting


def _made(request: ActingRequest, name: str, value: str) -> Acting:
    if name in READY_MADE:
        return READY_MADE[name](request, value)
    acting = request.none
    if name in request.body.expression_names:
        acting.expression[:, request.body.expression_names.index(name)] = _number(name, value)
        return acting
    if name in IDENTITY:
        acting.identity[:, IDENTITY.index(name)] = _number(name, value)
        return acting
    known = [*READY_MADE, *IDENTITY, *request.body.expression_names]
    close = difflib.get_close_matches(name, known, 3)
    remedy = f"did you mean {' or '.join(close)}" if close else f"use {', '.join(READY_MADE)}"
    raise OptionError("nothing can be acted by this name", name, remedy)


def limited(acting: Acting, body: BodyModel, part: str) -> Acting:
    """Acting of one part alone: "all", "head" (its turn and the face), "face", "mouth", "eyes".

    Raises:
        OptionError: if there is no such part.
    """
    if part not in PARTS:
        raise OptionError(f"'{part}' is no part", "part", f"use one of: {', '.join(PARTS)}")
    if part == "all":
        return acting
    joints = {"mouth": {JAW}, "eyes": set(EYES), "face": {JAW, *EYES}}
    kept = joints.get(part, {NECK, HEAD, JAW, *EYES})
    pose, expression = acting.pose.copy(), acting.expression.copy()
    pose[:, [joint for joint in range(len(JOINTS)) if joint not in kept]] = 0
    if part in REGIONS:
        others = ~np.isin(np.arange(body.n_expression), region_units(body, part))
        expression[:, others] = 0
    none = np.zeros_like
    return replace(
        acting,
        pose=pose,
        expression=expression,
        transl=none(acting.transl),
        shape=none(acting.shape),
        identity=none(acting.identity),
        sculpted=none(acting.sculpted),
    )


def fade(frames: Sequence[int], length: int) -> np.ndarray:
    """Weights that rise and fall over some frames at a range's ends, (F,)."""
    if not length:
        return np.ones(len(frames))
    at = np.arange(len(frames))
    share = np.clip(np.minimum(at + 1, len(frames) - at) / (length + 1), 0, 1)
    weights: np.ndarray = share * share * (3 - 2 * share)
    return weights


def region_units(body: BodyModel, region: str) -> np.ndarray:
    """The facial units of a region."""
    starts = REGIONS[region]
    return np.flatnonzero([name.startswith(starts) for name in body.expression_names])


def _number(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise OptionError(f"'{value}' is no number", name, "give a number such as 0.5")
    return number


def _numbers(name: str, value: str, count: int, example: str) -> list[float]:
    parts = value.split(",")
    if len(parts) != count:
        raise OptionError(f"'{value}' does not fit", name, f"write it as {example}")
    return [_number(name, part) for part in parts]


def _gaze(request: ActingRequest, value: str) -> Acting:
    """Eyes turned by degrees to the picture's right and down, lids with them."""
    right, down = _numbers("gaze", value, 2, "gaze=10,-5, degrees to the right and down")
    count = len(request.frames)
    return _looking(request, np.full(count, right), np.full(count, down))


def _looking(request: ActingRequest, right: np.ndarray, down: np.ndarray) -> Acting:
    acting, names = request.none, request.body.expression_names
    turns = np.radians(np.stack([down, right, np.zeros_like(right)], axis=1, dtype=np.float64))
    for joint in EYES:
        acting.pose[:, joint] = turns
    for unit, amount in (("eyeLookDown", down), ("eyeLookUp", -down)):
        for side in ("Left", "Right"):
            if unit + side in names:
                acting.expression[:, names.index(unit + side)] = np.clip(amount, 0, None) * _LIDS
    return acting


def _look_at(request: ActingRequest, value: str) -> Acting:
    """Both eyes, and a share of the head, on a point in the camera's space, metres."""
    parts = value.split(",")
    head = parts.pop() if len(parts) == 4 else "0"
    example = "look_at=X,Y,Z in metres from the camera, 0,0,0 for the camera itself"
    target = np.array(_numbers("look_at", ",".join(parts), 3, example))
    return look_at(request, np.tile(target, (len(request.frames), 1)), _number("look_at", head))


def look_at(request: ActingRequest, targets: np.ndarray, head: float) -> Acting:
    """Eyes on a point, and as much of the head as asked.

    Args:
        targets: (F, 3), in the camera's space, metres.
        head: which share of the way the head turns, 0 to 1.
    """
    motion = request.track.motion.rows(request.rows)
    acting = request.none
    if head:
        right, down = _towards(request.body, motion, targets, HEAD)
        angles = np.radians(np.clip(head, 0, 1) * np.stack([down, right], axis=1))
        for joint, share in ((NECK, _NECK_SHARE), (HEAD, 1 - _NECK_SHARE)):
            acting.pose[:, joint, :2] = share * angles
        motion = acting.applied(motion, request.body)
    right, down = _towards(request.body, motion, targets, EYES)
    return acting.then(_looking(request, right, down))


def _towards(
    body: BodyModel, motion: Motion, targets: np.ndarray, joints: int | tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """By how many degrees joints must turn right and down to face a point, (F,) each."""
    placed = posed(body, motion, vertices=ANY_VERTEX)
    chosen = list(joints) if isinstance(joints, tuple) else [joints]
    # Turns are in each joint's own frame, in which the body looks along +z with y up.
    turned = placed.rotations[:, chosen].numpy().astype(np.float64)
    away = targets[:, None] - placed.joints[:, chosen].numpy()
    local = (turned.swapaxes(-1, -2) @ away[..., None])[..., 0]
    right = np.degrees(np.arctan2(local[..., 0], local[..., 2])).mean(1)
    flat = np.hypot(local[..., 0], local[..., 2])
    down = np.degrees(np.arctan2(-local[..., 1], flat)).mean(1)
    return right, down


def _head_turn(axis: int, sign: float) -> Maker:
    def make(request: ActingRequest, value: str) -> Acting:
        acting = request.none
        angle = sign * np.radians(_number("head", value))
        acting.pose[:, NECK, axis] = _NECK_SHARE * angle
        acting.pose[:, HEAD, axis] = (1 - _NECK_SHARE) * angle
        return acting

    return make


def _open_eyes(request: ActingRequest, value: str) -> Acting:
    """Takes blinks out: lids go back to how they stand open in the shot, eyes look on."""
    share = _number("open_eyes", value)
    acting, body, motion = request.none, request.body, request.track.motion
    names, rows = body.expression_names, request.rows
    shut = np.zeros(len(motion), bool)
    for side in ("Left", "Right"):
        if f"eyeBlink{side}" not in names:
            raise OptionError("this body model has no lids by name", "open_eyes", "leave it out")
        unit = names.index(f"eyeBlink{side}")
        lids = motion.expression[:, unit]
        rest = float(np.percentile(lids, _OPEN_SHARE))
        shut |= lids > rest + _SHUT * (body.blink_closed - rest)
        acting.expression[:, unit] = share * np.minimum(rest - lids[rows], 0)
    # Where lids hid the eyes, where they looked was guessed.
    seen = ~_dilated(shut)
    if seen.any() and not seen.all():
        at = np.arange(len(motion))
        for joint in EYES:
            pose = motion.pose[:, joint]
            bridged = np.stack([np.interp(at, at[seen], pose[seen, i]) for i in range(3)], axis=1)
            back = Rotation.from_rotvec(pose[rows]).inv() * Rotation.from_rotvec(bridged[rows])
            acting.pose[:, joint] = share * np.where(seen[rows, None], 0, back.as_rotvec())
    return acting


def _dilated(flags: np.ndarray) -> np.ndarray:
    wide = flags.copy()
    wide[1:] |= flags[:-1]
    wide[:-1] |= flags[1:]
    return wide


def _hold(request: ActingRequest, value: str) -> Acting:
    """The expression of one frame, kept."""
    frame = int(_number("hold", value))
    motion = request.track.motion
    if frame not in motion.frames:
        raise OptionError(f"frame {frame} is not tracked", "hold", "name a tracked frame")
    kept = motion.expression[motion.index(frame)]
    acting = request.none
    return replace(acting, expression=kept - motion.expression[request.rows])


def _retime(request: ActingRequest, value: str) -> Acting:
    """The expressions played at another speed from the range's first frame on."""
    speed = _number("retime", value)
    if not 0.05 <= speed <= 20:
        raise OptionError(f"{value} is out of range", "retime", "give a speed from 0.05 to 20")
    motion, rows = request.track.motion, request.rows
    at = np.clip(rows[0] + (rows - rows[0]) * speed, 0, len(motion) - 1)
    low = np.floor(at).astype(int)
    high, share = np.minimum(low + 1, len(motion) - 1), (at - low)[:, None]
    played = (1 - share) * motion.expression[low] + share * motion.expression[high]
    difference = (played - motion.expression[rows]).astype(np.float32)
    return replace(request.none, expression=difference)


def _exaggerate(request: ActingRequest, value: str) -> Acting:
    """Expressions times a factor round their mean: 1.5, or 1.5:mouth for one region."""
    factor, _, region = value.partition(":")
    body, motion = request.body, request.track.motion
    if region and region not in REGIONS:
        raise OptionError(f"'{region}' is no region", "exaggerate", f"use {', '.join(REGIONS)}")
    chosen = region_units(body, region) if region else np.arange(body.n_expression)
    # More of a blink would cross the lids.
    units = [unit for unit in chosen if not body.expression_names[unit].startswith("eyeBlink")]
    mean = motion.expression.mean(0)
    acting = request.none
    grown = (_number("exaggerate", factor) - 1) * (motion.expression[request.rows] - mean)
    acting.expression[:, units] = grown[:, units]
    return acting


def _performer(value: str) -> tuple[Path, str]:
    """The other shot's folder, and by how many frames it is shifted."""
    path, _, shift = value.rpartition("@") if "@" in value else (value, "", "0")
    return given_path(path).absolute(), shift


def performances_of(settings: Mapping[str, str]) -> tuple[PerformanceRecord, ...]:
    """The other shots whose performance settings take."""
    if _MOUTH_FROM not in settings:
        return ()
    shot = Shot.open(_performer(settings[_MOUTH_FROM])[0])
    return (performance_of(shot, Track(shot)),)


def _mouth_from(request: ActingRequest, value: str) -> Acting:
    """Jaw, lips and tongue of another tracked shot: SHOT, or SHOT@OFFSET in frames."""
    path, shift = _performer(value)
    other = Track(Shot.open(path)).motion
    body, motion = request.body, request.track.motion
    if other.expression.shape[1] != body.n_expression:
        raise OptionError(
            "the shots were tracked with different body models", path, "use one model for both"
        )
    first = int(_number("mouth_from", shift)) + int(other.frames[0]) - int(request.frames[0])
    wanted = np.asarray(request.frames) + first
    if wanted[0] < other.frames[0] or wanted[-1] > other.frames[-1]:
        raise OptionError(
            f"it lacks frames {wanted[0]}-{wanted[-1]}", path, "act fewer frames, or shift them"
        )
    theirs, rows = np.searchsorted(other.frames, wanted), request.rows
    units = region_units(body, "mouth")
    acting = request.none
    apart = other.expression[theirs] - motion.expression[rows]
    acting.expression[:, units] = apart[:, units]
    jaws = [
        Rotation.from_rotvec(each) for each in (motion.pose[rows, JAW], other.pose[theirs, JAW])
    ]
    acting.pose[:, JAW] = (jaws[0].inv() * jaws[1]).as_rotvec()
    return acting


def _steady_head(request: ActingRequest, value: str) -> Acting:
    """The head's turns and place, smoothed; 1 takes out all that is faster than a nod."""
    share = _number("steady_head", value)
    motion, rows = request.track.motion, request.rows
    acting = request.none
    for joint in (*_SPINE, NECK, HEAD):
        own = Rotation.from_rotvec(motion.pose[:, joint])
        smooth = gaussian_filter1d(_hemisphere(own.as_quat()), _STEADY_SIGMA, 0, mode="nearest")
        back = (own.inv() * Rotation.from_quat(smooth)).as_rotvec()
        acting.pose[:, joint] = share * back[rows]
    calm = gaussian_filter1d(motion.transl.astype(np.float64), _STEADY_SIGMA, 0, mode="nearest")
    acting.transl[:] = share * (calm - motion.transl)[rows]
    return acting


def _hemisphere(quaternions: np.ndarray) -> np.ndarray:
    flips = np.sign((quaternions[1:] * quaternions[:-1]).sum(1))
    flips[flips == 0] = 1
    quaternions[1:] *= np.cumprod(flips)[:, None]
    return quaternions


READY_MADE: dict[str, Maker] = {
    "gaze": _gaze,
    "look_at": _look_at,
    "head_yaw": _head_turn(1, 1.0),
    "head_pitch": _head_turn(0, 1.0),
    "head_roll": _head_turn(2, 1.0),
    "open_eyes": _open_eyes,
    "hold": _hold,
    "retime": _retime,
    "exaggerate": _exaggerate,
    _MOUTH_FROM: _mouth_from,
    "steady_head": _steady_head,
}
"""What can be acted by name, besides facial units and identity directions."""
