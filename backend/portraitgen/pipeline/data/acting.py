# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a take's performer does and is otherwise than in the plate: takes/NAME/acting.safetensors.

Everything is a difference to the track, so that acting outlives corrections of the track. A frame
that the file does not hold is played as it was tracked.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from ...body.identity import identity_offsets
from ...body.motion import Motion
from ...bounded_json import parse_json
from ...errors import ShotError
from ...records import IDENTITY, PerformanceRecord
from ...schema import Record
from ...storage import file_digest, is_plain
from ...tensors import DamagedTensors, load_arrays, save_arrays
from .shots import Track

if TYPE_CHECKING:
    # Whether a take acts is asked by all, torch loaded by what poses bodies.
    from ...body.model import BodyModel

FILE = "acting.safetensors"
_LARGEST = 2 << 30
_REMEDY = "act the take again"


@dataclass(frozen=True, kw_only=True)
class ActingFacts(Record):
    """What an acting file says beside its arrays.

    Attributes:
        track, track_sha256: the track it was made on; body_sha256: the body.
        expression, identity: names, in the arrays' order.
        performances: of other shots, that some of it was taken from.
    """

    track: int = 0
    track_sha256: str = ""
    body_sha256: str = ""
    expression: tuple[str, ...] = ()
    identity: tuple[str, ...] = ()
    performances: tuple[PerformanceRecord, ...] = ()


# Farther than this no difference is meant: radians, units, metres.
_LIMITS = {
    "pose": 2 * np.pi,
    "expression": 10.0,
    "transl": 10.0,
    "shape": 20.0,
    "identity": 10.0,
    "sculpted": 10.0,
    "sculpt": 1.0,
}
_ROUNDING = {"pose": 2e-4, "transl": 1e-5, "expression": 1e-4}
_PER_FRAME = ("pose", "expression", "transl", "shape", "identity", "sculpted")


@dataclass(frozen=True)
class Acting:
    """Differences to a track over some of its frames; all float32 but `frames`.

    Attributes:
        frames: int64 (F,), footage frames, ascending.
        pose: (F, 55, 3), axis-angle, turned after the tracked rotation of each joint.
        expression: (F, E), added to the facial units.
        transl: (F, 3), metres, added.
        shape: (F, S), added to the identity's coefficients; the joints stay.
        identity: (F, I), of the named directions in `body.identity.IDENTITY`; the joints stay.
        sculpted: (F,), how much of `sculpt` shows.
        sculpt: (V, 3), metres, added to the body at rest.
    """

    frames: np.ndarray
    pose: np.ndarray
    expression: np.ndarray
    transl: np.ndarray
    shape: np.ndarray
    identity: np.ndarray
    sculpted: np.ndarray
    sculpt: np.ndarray

    @classmethod
    def none(cls, body: "BodyModel", frames: Sequence[int]) -> "Acting":
        """No difference at all in some frames."""
        count = len(frames)

        def zeros(*shape: int) -> np.ndarray:
            return np.zeros(shape, np.float32)

        return cls(
            np.asarray(frames, np.int64),
            zeros(count, 55, 3),
            zeros(count, body.n_expression),
            zeros(count, 3),
            zeros(count, body.n_shape),
            zeros(count, len(IDENTITY)),
            zeros(count),
            zeros(body.vertex_count, 3),
        )

    def row(self, frame: int) -> int | None:
        """The row of a frame, None if it is played as tracked."""
        row = int(np.searchsorted(self.frames, frame))
        return row if row < len(self.frames) and self.frames[row] == frame else None

    def is_still(self, frame: int) -> bool:
        """Whether a frame is played as tracked."""
        row = self.row(frame)
        return row is None or not any(getattr(self, name)[row].any() for name in _PER_FRAME)

    def rows(self, rows: np.ndarray) -> "Acting":
        """The same at some rows only."""
        return replace(self, frames=self.frames[rows], **self._each(lambda values: values[rows]))

    def times(self, weights: np.ndarray) -> "Acting":
        """Each frame's differences times a weight, (F,)."""
        return replace(
            self,
            **self._each(
                lambda values: (values * weights.reshape(-1, *[1] * (values.ndim - 1))).astype(
                    np.float32
                )
            ),
        )

    def _each(self, change: Any) -> dict[str, np.ndarray]:
        return {name: change(getattr(self, name)) for name in _PER_FRAME}

    def then(self, other: "Acting") -> "Acting":
        """This and, above it, another; frames of either.

        Raises:
            ShotError: if both are sculpted and not keyed alike, which one sculpt cannot show.
        """
        frames = np.union1d(self.frames, other.frames)
        lower, upper = _spread(self, frames), _spread(other, frames)
        sums = {
            name: getattr(lower, name) + getattr(upper, name)
            for name in ("expression", "transl", "shape", "identity")
        }
        sculpt, sculpted = lower.sculpt, lower.sculpted
        if upper.sculpt.any():
            both = sculpt.any() and lower.sculpted.any()
            if both and not np.array_equal(sculpted, upper.sculpted):
                raise ShotError(
                    "two sculpts that are keyed differently cannot be one", "acting", _REMEDY
                )
            sculpt, sculpted = (sculpt if both else 0) + upper.sculpt, upper.sculpted
        return replace(
            upper, pose=_turned(lower.pose, upper.pose), sculpt=sculpt, sculpted=sculpted, **sums
        )

    def applied(self, motion: Motion, body: "BodyModel") -> "ActedMotion":
        """A motion acted otherwise; what is not acted keeps its bits.

        Raises:
            ShotError: if a frame is not in the motion.
        """
        held = np.isin(self.frames, motion.frames)
        if not held.all():
            raise ShotError(
                f"the acting's frame {self.frames[~held][0]} is not tracked",
                "acting",
                "act within the tracked frames",
            )
        rows = np.searchsorted(motion.frames, self.frames)
        pose, transl = motion.pose.copy(), motion.transl.copy()
        expression = motion.expression.copy()
        pose[rows] = _turned(motion.pose[rows], self.pose)
        transl[rows] += self.transl
        acted = expression[rows] + self.expression
        low, high = expression_limits(body)
        # What the track itself exceeds may stay.
        acted = np.clip(
            acted, np.minimum(low, expression[rows]), np.maximum(high, expression[rows])
        )
        expression[rows] = np.where(self.expression != 0, acted, expression[rows])
        acted_motion = replace(motion, pose=pose, transl=transl, expression=expression)
        return ActedMotion(**vars(acted_motion), acting=self, body=body)

    def offsets(self, body: "BodyModel", frame: int) -> np.ndarray | None:
        """How the rest body is reshaped in a frame, float32 (V, 3), metres; None if it is not."""
        row = self.row(frame)
        if row is None:
            return None
        shape, identity, sculpted = self.shape[row], self.identity[row], float(self.sculpted[row])
        if not (shape.any() or identity.any() or sculpted):
            return None
        total = sculpted * self.sculpt
        if shape.any():
            moved = shape @ body.directions[: body.n_shape].numpy()
            total = total + moved.reshape(-1, 3)
        if identity.any():
            total = total + identity_offsets(body, identity)
        return total.astype(np.float32)

    def save(
        self,
        path: Path,
        track: Track,
        body: "BodyModel",
        performances: Sequence[PerformanceRecord] = (),
    ) -> None:
        """Writes the file in one step, with the track and the body that it was made on.

        Args:
            performances: of other shots, that some of it was taken from.
        """
        facts = ActingFacts(
            track=track.version,
            track_sha256=track.digest(),
            body_sha256=body.sha256,
            expression=tuple(body.expression_names),
            identity=tuple(IDENTITY),
            performances=tuple(performances),
        )
        names = ("frames", *_PER_FRAME, "sculpt")
        tensors = {name: np.ascontiguousarray(getattr(self, name)) for name in names}
        save_arrays(path, tensors, {"acting": json.dumps(facts.to_json())})


@dataclass(frozen=True)
class ActedMotion(Motion):
    """A motion acted otherwise, by a body that may be reshaped.

    Attributes:
        acting, body: what it was made with.
    """

    acting: Acting
    body: "BodyModel"

    def offsets(self, frame: int) -> np.ndarray | None:
        """How the rest body is reshaped in a frame, float32 (V, 3), metres; None if it is not."""
        return self.acting.offsets(self.body, frame)


@dataclass(frozen=True)
class StoredActing:
    """Acting as a file holds it.

    Attributes:
        acting: the differences.
        track: the version of the track that it was made on.
        track_sha256: that track's digest.
        digest: of the file.
        performances: of other shots, that some of it was taken from.
    """

    acting: Acting
    track: int
    track_sha256: str
    digest: str
    performances: tuple[PerformanceRecord, ...] = ()

    def note(self, track: Track) -> str:
        """What to tell where it is played on another track; empty on its own."""
        if self.track_sha256 == track.digest():
            return ""
        return (
            f"The acting was made on track {self.track:04d} and is carried over to track"
            f" {track.version:04d}."
        )


def load_acting(path: Path, body: "BodyModel") -> StoredActing:
    """Reads an acting file, whoever wrote it.

    Raises:
        ShotError: if it is damaged, of a newer schema, or made on another body.
    """
    if not is_plain(path):
        raise ShotError("this is no plain file", path, _REMEDY)
    try:
        if path.stat().st_size > _LARGEST:
            raise ShotError("the acting is larger than any can be", path, _REMEDY)
        with safe_open(str(path), framework="numpy") as file:
            data = _said_by(file)
            if not isinstance(data, dict):
                raise ShotError("the file holds no acting", path, _REMEDY)
            facts = ActingFacts.from_json(data, path)
            names = _checked(file, facts, body, path)
        arrays = load_arrays(path)
        tensors = _by_name(arrays, names)
    except (OSError, SafetensorError, DamagedTensors, ValueError) as error:
        raise ShotError(f"the acting cannot be read ({error})", path, _REMEDY) from error
    frames = tensors["frames"]
    if frames.dtype != np.int64 or (np.diff(frames) <= 0).any():
        raise ShotError("its frames are not in order", path, _REMEDY)
    for name, limit in _LIMITS.items():
        values = tensors[name]
        if not np.isfinite(values).all() or (np.abs(values) > limit).any():
            raise ShotError(f"'{name}' holds values that no acting has", path, _REMEDY)
    return StoredActing(
        Acting(**tensors),
        facts.track,
        facts.track_sha256,
        file_digest(path),
        facts.performances,
    )


def _said_by(file: Any) -> Any:
    """What an opened acting file says beside its arrays, JSON."""
    return parse_json((file.metadata() or {}).get("acting", "null"))


def performances_in(path: Path) -> tuple[PerformanceRecord, ...]:
    """The performances of other shots that an acting file was taken from in part; none where it is
    no such file."""
    if not is_plain(path):
        return ()
    try:
        with safe_open(str(path), framework="numpy") as file:
            return ActingFacts.from_json(_said_by(file), path).performances
    except (OSError, SafetensorError, ShotError, ValueError):
        return ()


@dataclass(frozen=True)
class PosedActing:
    """What a rig acts: its motion, and its sculpt if it has one.

    Attributes:
        acting: pose, expression and translation; the sculpt and how much of it shows.
        sculpts: whether the rig has a sculpt of the take, be it an empty one.
    """

    acting: Acting
    sculpts: bool

    def above(self, old: Acting) -> Acting:
        """A take's acting with this motion in place of its own.

        What a rig does not show, the identity, stays; a sculpt stays where the rig has none.
        """
        frames = np.union1d(old.frames, self.acting.frames)
        kept, new = _spread(old, frames), _spread(self.acting, frames)
        posed = np.isin(frames, self.acting.frames)
        changes = {}
        for name in ("pose", "expression", "transl"):
            changes[name] = getattr(kept, name).copy()
            changes[name][posed] = getattr(new, name)[posed]
        if self.sculpts:
            changes |= {"sculpt": self.acting.sculpt, "sculpted": new.sculpted}
        return replace(kept, **changes)


def posed_acting(path: Path, body: "BodyModel") -> PosedActing:
    """Acting as the difference of two motions, as a rig gives it.

    The file holds frames (T,), transl (T, 3), pose (T, 55, 3) and expression (T, E), and the same
    as tracked under the names tracked_transl, tracked_pose and tracked_expression. With a sculpt
    also sculpt (V, 3), metres on the body at rest, and sculpted (T,), how much of it shows.

    Raises:
        ShotError: if it is damaged, or of another body.
    """
    # SciPy's geometry takes a quarter of a second to load, and few who import this need it.
    from scipy.spatial.transform import Rotation

    try:
        arrays = load_arrays(path)
    except DamagedTensors as error:
        raise ShotError(f"the acting cannot be read ({error})", path, _REMEDY) from error
    count = len(arrays.get("frames", ()))
    wanted: dict[str, tuple[int, ...]] = {"frames": (count,)}
    for start in ("", "tracked_"):
        wanted |= {
            f"{start}transl": (count, 3),
            f"{start}pose": (count, 55, 3),
            f"{start}expression": (count, body.n_expression),
        }
    sculpts = "sculpt" in arrays
    if sculpts:
        wanted |= {"sculpt": (body.vertex_count, 3), "sculpted": (count,)}
    for name, shape in wanted.items():
        if name not in arrays or arrays[name].shape != shape:
            remedy = "sculpt the body that the rig brings" if name == "sculpt" else _REMEDY
            raise ShotError(f"'{name}' does not have the shape {shape}", path, remedy)
        # Motions stand where they stand; a sculpt is a difference.
        if name in ("sculpt", "sculpted") and (np.abs(arrays[name]) > _LIMITS[name]).any():
            raise ShotError(f"'{name}' holds values that no acting has", path, _REMEDY)
    if (np.diff(arrays["frames"]) <= 0).any():
        raise ShotError("its frames are not in order", path, _REMEDY)
    acting = Acting.none(body, arrays["frames"].astype(np.int64).tolist())
    turned = Rotation.from_rotvec(arrays["tracked_pose"].reshape(-1, 3)).inv()
    turned = turned * Rotation.from_rotvec(arrays["pose"].reshape(-1, 3))
    apart = {
        "pose": turned.as_rotvec().reshape(count, 55, 3),
        "transl": arrays["transl"] - arrays["tracked_transl"],
        "expression": arrays["expression"] - arrays["tracked_expression"],
    }
    # What a round trip through another program changes is no acting.
    for name, values in apart.items():
        getattr(acting, name)[:] = np.where(np.abs(values) > _ROUNDING[name], values, 0)
    if sculpts:
        acting.sculpt[:], acting.sculpted[:] = arrays["sculpt"], arrays["sculpted"]
        acting.sculpt[np.abs(acting.sculpt) < _ROUNDING["transl"]] = 0
    return PosedActing(acting, sculpts)


def _checked(file: Any, facts: ActingFacts, body: "BodyModel", path: Path) -> tuple[str, ...]:
    """The names of the identity directions of a file whose tensors fit the body."""
    if facts.body_sha256 != body.sha256:
        raise ShotError(
            "the acting was made on another body", path, "use acting of shots with this body model"
        )
    known = set(file.keys())
    shapes = {name: file.get_slice(name).get_shape() for name in known}
    count = shapes.get("frames", [0])[0]
    named = facts.identity
    if not set(named) <= set(IDENTITY):
        raise ShotError("its identity directions are unknown", path, "update PortraitGen")
    wanted = {
        "frames": [count],
        "pose": [count, 55, 3],
        "expression": [count, body.n_expression],
        "transl": [count, 3],
        "shape": [count, body.n_shape],
        "identity": [count, len(named)],
        "sculpted": [count],
        "sculpt": [body.vertex_count, 3],
    }
    for name, shape in wanted.items():
        if shapes.get(name) != shape:
            found = shapes.get(name, "missing")
            remedy = "sculpt the body that the rig brings" if name == "sculpt" else _REMEDY
            raise ShotError(f"'{name}' is {found}, not {shape}", path, remedy)
    return named


def _by_name(arrays: dict[str, np.ndarray], named: Sequence[str]) -> dict[str, np.ndarray]:
    """The tensors, with the identity in this version's order of directions."""
    tensors = {"frames": arrays["frames"]}
    tensors |= {name: arrays[name].astype(np.float32) for name in _LIMITS}
    identity = np.zeros((len(tensors["frames"]), len(IDENTITY)), np.float32)
    identity[:, [IDENTITY.index(name) for name in named]] = tensors["identity"]
    return tensors | {"identity": identity}


def expression_limits(body: "BodyModel") -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest value of each unit, (E,): lids meet where the body says."""
    low, high = body.expression_bounds
    limits = np.full(body.n_expression, high, np.float32)
    for index, name in enumerate(body.expression_names):
        if name.startswith("eyeBlink"):
            limits[index] = min(high, body.blink_closed)
    return np.full(body.n_expression, low, np.float32), limits


def _spread(acting: Acting, frames: np.ndarray) -> Acting:
    """The same over more frames, with no difference in the new ones."""
    rows = np.searchsorted(frames, acting.frames)

    def at(values: np.ndarray) -> np.ndarray:
        made = np.zeros((len(frames), *values.shape[1:]), np.float32)
        made[rows] = values
        return made

    return replace(acting, frames=frames, **acting._each(at))


def _turned(pose: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Axis-angle rotations (..., 3), each followed by another in its own frame."""
    from scipy.spatial.transform import Rotation

    moved = after.any(-1)
    turned = pose.copy()
    if moved.any():
        both = Rotation.from_rotvec(pose[moved]) * Rotation.from_rotvec(after[moved])
        turned[moved] = both.as_rotvec().astype(np.float32)
    return turned
