# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tracks of other programs, taken in as a new version over the shot's latest."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.spatial.transform import Rotation

from ...body.camera import Camera
from ...body.model import OPEN_BODY, BodyModel
from ...body.motion import ANY_VERTEX, Motion, posed
from ...body.registration import level_arms, registration_of
from ...body.retargeting import directions_of_units, retarget, turned_only, units_of_jaw
from ...errors import OptionError, ShotError
from ...interchange.foreign_track import FLIPPED, ForeignTrack
from ...interchange.hands import spread_hands
from ...interchange.read import read_track
from ...interchange.timing import on_frames
from ...messages.tracks import TrackPublished
from ...records import TrackRecord
from ...shot import Shot, now
from ...storage import make_folder, remove_tree
from ..data.shots import Track, body_of
from ..run.job_context import running

_HEAD, _JAW, _SPINE = 15, 22, 9
_FOCAL_SAME = 0.5
_ROUNDED = 0.005
"""How far a height may be from the plate's after another program has made the movie smaller."""
_HEAD_METRES, _HEAD_DEGREES = 0.2, 50.0
"""How far one head may be from another, and turned, to be the same performer's."""


@dataclass(frozen=True)
class ImportOptions:
    """What a user says of a file that it does not say itself.

    Attributes:
        smplx_model: the user's SMPL-X file, that the track was made with.
        fps: rows a second.
        first: the plate's frame of the first row.
        focal: pixels of the plate.
        hands: what hand poses count from.
        head: whether the head of a face capture stays as tracked ("keep") or turns as in the file.
    """

    smplx_model: Path | None = None
    fps: float | None = None
    first: int | None = None
    focal: float | None = None
    hands: Literal["flat", "mean"] | None = None
    head: Literal["keep", "file"] = "keep"

    def check(self) -> None:
        """Whether they can be meant.

        Raises:
            OptionError: if not.
        """
        for name, value in (("--fps", self.fps), ("--focal", self.focal)):
            if value is not None and not 0.1 <= value <= 1e6:
                raise OptionError(f"{value:g} cannot be meant", name, "give a positive number")


def import_track(shot: Shot, path: Path, options: ImportOptions | None = None) -> TrackPublished:
    """Takes a track of another program in as a new version, over the shot's latest.

    The latest track gives what the file leaves out: the window, mattes, frames the file has not
    got, parts of the body, identity and camera if it brings none.

    Returns:
        The version, how many frames changed, and what was assumed or left out.

    Raises:
        ShotError: if the file cannot be read or does not fit the shot.
        OptionError: if an option cannot be meant.
    """
    options = options or ImportOptions()
    options.check()
    track, body = Track(shot), body_of(shot)
    found = read_track(Path(path))
    plate = shot.record.footage
    found, frames = on_frames(
        found,
        track.motion.frames,
        float(plate.fps),
        plate.first,
        path,
        options.fps,
        options.first,
    )
    if options.hands is not None and found.hands != "none":
        found.hands = options.hands
    model = options.smplx_model or _own_model(shot)
    spread_hands(found, model)
    rows = np.array([track.motion.index(int(frame)) for frame in frames])
    camera = _camera(found, track, options, path, whole=len(rows) == len(track.motion))
    made = _Taking(track.motion, body, found, rows, options, model).made()
    made = _placed(made, track, body, found, rows, camera)
    if found.kind == "body":
        _compare(made, track, body, found, rows, camera, path)
    fixed = made.fixed.copy()
    fixed[rows] = True
    made = replace(made, fixed=fixed)
    record = replace(
        track.record,
        created=now(),
        source="import",
        parent=track.version,
        camera=camera.record(),
    )
    found.notes.insert(0, f"read as {found.layout}, {len(rows)} frames: {_brought(found)}")
    return _publish(shot, made, record, len(rows), tuple(found.notes))


def _brought(found: ForeignTrack) -> str:
    """What of a performer a track tells, for people."""
    parts = {
        "body": found.given[1:22].any() and found.kind == "body",
        "head": found.given[_HEAD] and found.kind != "body",
        "jaw": found.given[_JAW],
        "eyes": found.given[23:25].any(),
        "hands": found.given[25:].any(),
        "expression": found.expression is not None,
        "identity": found.betas is not None and found.identity_of != "other",
        "place": found.transl is not None and found.space != "unknown",
    }
    return ", ".join(name for name, there in parts.items() if there) or "how the body is turned"


def _own_model(shot: Shot) -> Path | None:
    path = shot.record.body_model.path
    return shot.path / path if path else None


def _publish(
    shot: Shot, made: Motion, record: TrackRecord, changed: int, notes: tuple[str, ...]
) -> TrackPublished:
    inputs = {"base": record.parent, "time": record.created}
    with running(shot, "import", {}, "track", inputs=inputs) as job:
        folder = job.work / "track"
        remove_tree(folder)
        make_folder(folder)
        made.save(folder / "params.safetensors")
        job.check_held()
        version = shot.publish("track", folder, replace(record, job=job.id))
        result = TrackPublished(version, changed, notes)
        job.finish(result.to_json())
    return result


class _Taking:
    """The latest motion with what a foreign track says of it, part by part."""

    def __init__(
        self,
        motion: Motion,
        body: BodyModel,
        found: ForeignTrack,
        rows: np.ndarray,
        options: ImportOptions,
        model: Path | None,
    ) -> None:
        self._motion, self._body, self._found, self._rows = motion, body, found, rows
        self._options, self._model = options, model
        self._open = body.expression_bounds == (0.0, 1.0)
        self._pose = motion.pose.copy()
        self._transl = motion.transl.copy()
        self._expression = motion.expression.copy()
        self._betas = motion.betas

    def made(self) -> Motion:
        """The motion; bodies are not laid before the plate's camera yet."""
        found = self._found
        own_names = bool(found.names) and found.names == self._body.expression_names
        same = found.body_model == self._body.name or (
            not self._open and found.expression_of == "smplx"
        )
        if found.kind == "body" and (same or own_names or self._bare()):
            self._directly()
        elif found.expression_of == "arkit":
            self._face_capture()
        elif not self._open:
            self._flame_on_genuine()
        elif self._model is not None:
            self._by_meshes()
        else:
            self._by_rest()
        return replace(
            self._motion,
            pose=self._pose.astype(np.float32),
            transl=self._transl.astype(np.float32),
            expression=self._expression.astype(np.float32),
            betas=self._betas.astype(np.float32),
        )

    def _bare(self) -> bool:
        """Whether a file of no known origin has the very sizes of the shot's own body."""
        found, body = self._found, self._body
        if found.layout != "SMPL-X parameters" or not self._open:
            return False
        has_units = found.expression is not None and found.expression.shape[1] == body.n_expression
        betas = found.betas
        return has_units and (betas is None or len(betas) == body.n_shape)

    # Ways

    def _directly(self) -> None:
        """The same body: only paddings, and SMPL's identities, which are others."""
        found, body, rows = self._found, self._body, self._rows
        self._take_joints(found.pose)
        if found.transl is not None:
            self._transl[rows] = found.transl
        if found.expression is not None:
            given = self._fitting(found.expression, body.n_expression, "expression")
            self._expression[rows] = given - self._motion.neutral(body)
        if found.betas is not None:
            self._take_betas(found.betas)

    def _take_betas(self, betas: np.ndarray) -> None:
        count = self._body.n_shape
        if self._found.identity_of == "other":
            self._found.notes.append(
                "its identity is of another model (SMPL or SMPL-H): the tracked one stays"
            )
            return
        given = self._fitting(betas[None], count, "betas")[0]
        self._betas = np.concatenate([given, self._motion.betas[count:]])

    def _fitting(self, values: np.ndarray, count: int, name: str) -> np.ndarray:
        have = values.shape[1]
        if have < count:
            self._found.notes.append(f"{name}: {have} of {count} are in the file, the others are 0")
        elif have > count:
            self._found.notes.append(
                f"{name}: the body has {count}, {have - count} more are left out"
            )
        return np.pad(values[:, :count], ((0, 0), (0, max(0, count - have))))

    def _take_joints(self, pose: np.ndarray) -> None:
        given = self._found.given
        for joint in np.flatnonzero(given):
            self._pose[self._rows, joint] = pose[:, joint]

    def _on_smplx(self, other: BodyModel) -> Motion:
        """The foreign track as a motion of its own body."""
        found = self._found
        count = found.count
        expression = np.zeros((count, other.n_expression), np.float32)
        if found.expression is not None:
            expression = self._fitting(found.expression, other.n_expression, "expression").astype(
                np.float32
            )
        betas = np.zeros(other.n_shape, np.float32)
        if found.betas is not None and found.identity_of == "smplx":
            betas = self._fitting(found.betas[None], other.n_shape, "betas")[0].astype(np.float32)
        transl = found.transl if found.transl is not None else np.zeros((count, 3))
        return Motion(
            np.arange(count),
            betas,
            transl.astype(np.float32),
            found.pose.astype(np.float32),
            expression,
            np.ones(count, bool),
            np.zeros(count, bool),
        )

    def _by_meshes(self) -> None:
        """SMPL-X onto the open body, through the user's own file."""
        found, rows = self._found, self._rows
        other = BodyModel.load(self._model)
        if other.expression_bounds == (0.0, 1.0):
            raise ShotError("it is an open body, not SMPL-X", self._model, "give SMPL-X's own file")
        registration = registration_of(self._body, other)
        result = retarget(self._on_smplx(other), other, self._body, registration, to_open=True)
        moved = result.motion
        if found.kind == "body":
            self._take_joints(moved.pose)
            if found.transl is not None:
                self._transl[rows] = moved.transl
            if found.betas is not None and found.identity_of == "smplx":
                self._betas = np.concatenate(
                    [moved.betas, self._motion.betas[self._body.n_shape :]]
                )
            told = [f"{name} {1000 * each:.1f}" for name, each in result.error.items()]
            found.notes.append(f"from {other.name} to {self._body.name}: {', '.join(told)} mm off")
        else:
            turned = found.pose.copy()
            head = Rotation.from_rotvec(found.pose[:, _HEAD])
            rest = Rotation.from_matrix(registration.rotations[_HEAD].astype(np.float64))
            turned[:, _HEAD] = (head * rest).as_rotvec()
            self._head_and_eyes(turned)
        if found.expression is not None or found.given[_JAW]:
            neutral = self._motion.neutral(self._body)
            # SMPL-X has no neutral face apart: what its expressions show is all that is shown.
            self._expression[rows] = moved.expression - neutral
        self._pose[rows, _JAW] = 0

    def _by_rest(self) -> None:
        """SMPL-X or FLAME onto the open body without the file that tells what its numbers mean."""
        found, rows, body = self._found, self._rows, self._body
        if found.kind == "body":
            turned = turned_only(found.pose, level_arms(body), body.parents)
            self._take_joints(turned)
            if found.transl is not None:
                self._transl[rows] = found.transl
            found.notes.append(
                "joints are turned from SMPL-X's rest to the open body's as nearly as is known"
                " without its file"
            )
        else:
            self._head_and_eyes(found.pose)
        if found.given[_JAW]:
            neutral = self._motion.neutral(body)
            jaw = units_of_jaw(body, found.pose[:, _JAW])
            names = body.expression_names
            for name in ("jawOpen", "jawLeft", "jawRight"):
                unit = names.index(name)
                self._expression[rows, unit] = jaw[:, unit] - neutral[unit]
        self._pose[rows, _JAW] = 0
        left = []
        if found.expression is not None:
            left.append("expressions")
        if found.betas is not None and found.identity_of == "smplx":
            left.append("identity")
        if left:
            found.notes.append(
                f"{' and '.join(left)} are SMPL-X's own and stay as they are tracked;"
                " --smplx-model SMPLX_NEUTRAL.npz takes them over"
            )

    def _flame_on_genuine(self) -> None:
        """FLAME's expressions are SMPL-X's."""
        found = self._found
        if found.expression is not None:
            given = self._fitting(found.expression, self._body.n_expression, "expression")
            self._expression[self._rows] = given - self._motion.neutral(self._body)
        if found.given[_JAW]:
            self._pose[self._rows, _JAW] = found.pose[:, _JAW]
        self._head_and_eyes(found.pose)

    def _face_capture(self) -> None:
        """ARKit's weights: units of the open body by name, on a genuine one by meshes."""
        found, rows = self._found, self._rows
        assert found.expression is not None
        source = self._body if self._open else BodyModel.load(OPEN_BODY)
        neutral = self._motion.neutral(self._body) if self._open else 0.0
        units = np.zeros((found.count, source.n_expression))
        column = {name: index for index, name in enumerate(source.expression_names)}
        for index, name in enumerate(found.names):
            # Eyes are turned by their joints.
            if name in column and not name.startswith("eyeLook"):
                units[:, column[name]] = found.expression[:, index]
        for name in ("eyeBlinkLeft", "eyeBlinkRight"):
            units[:, column[name]] *= source.blink_closed
        if self._open:
            self._expression[rows] = units - neutral
            self._pose[rows, _JAW] = 0
        else:
            registration = registration_of(source, self._body)
            values, jaw = directions_of_units(source, units, self._body, registration)
            self._expression[rows] = values
            self._pose[rows, _JAW] = jaw
        self._head_and_eyes(found.pose)

    def _head_and_eyes(self, pose: np.ndarray) -> None:
        found, rows = self._found, self._rows
        for joint in (23, 24):
            if found.given[joint]:
                self._pose[rows, joint] = pose[:, joint]
        if not found.given[_HEAD]:
            return
        if found.kind == "face":
            if self._options.head == "keep":
                found.notes.append(
                    "the head stays as it is tracked on the plate; --head file turns it as in the"
                    " file"
                )
                return
            found.notes.append(
                "yaw is taken as to the performer's left, pitch as down; the head begins as tracked"
            )
            start = Rotation.from_rotvec(pose[0, _HEAD]).inv()
            own = Rotation.from_rotvec(self._motion.pose[rows[0], _HEAD])
            turned = own * start * Rotation.from_rotvec(pose[:, _HEAD])
            self._pose[rows, _HEAD] = turned.as_rotvec()
            return
        # The head's turn is told in the plate's axes: the neck below it stays.
        whole = posed(self._body, self._motion.rows(rows), ANY_VERTEX).rotations.numpy()
        below = Rotation.from_matrix(whole[:, self._body.parents[_HEAD]].astype(np.float64))
        self._pose[rows, _HEAD] = (below.inv() * Rotation.from_rotvec(pose[:, _HEAD])).as_rotvec()
        found.notes.append("where the head is stays as it is tracked, how it turns is the file's")


# Before the camera


def _camera(
    found: ForeignTrack, track: Track, options: ImportOptions, path: Path, *, whole: bool
) -> Camera:
    """The plate's camera: the file's, if it has one that holds for all frames of the shot."""
    camera = track.camera
    size = (camera.width, camera.height)
    if found.image_size is not None and found.image_size != size:
        ratio = camera.width / found.image_size[0]
        if abs(found.image_size[1] * ratio - camera.height) > max(1, _ROUNDED * camera.height):
            raise ShotError(
                f"it was tracked at {found.image_size}, the plate is {size}",
                path,
                "track the plate as it is, or scale K to it and give its image_size",
            )
        if found.lens is not None:
            found.lens = found.lens * ratio
        found.notes.append(
            f"it was tracked at {found.image_size[0]} pixels across: its lens is scaled"
        )
    if options.focal is not None:
        found.lens = np.array([[options.focal, options.focal, camera.width / 2, camera.height / 2]])
        if found.space == "unknown":
            found.space = "camera"
    elif found.lens is None and found.share is not None:
        side = float(np.hypot(*size)) if found.share == "diagonal" else max(size) * found.share
        found.lens = np.array([[side, side, camera.width / 2, camera.height / 2]])
        found.notes.append(f"its lens is taken as {side:.0f} pixels, {found.layout}'s convention")
    if found.lens is None or found.space != "camera" or found.transl is None:
        return camera
    lens = found.lens
    if whole and np.ptp(lens, axis=0).max() <= _FOCAL_SAME:
        fx, fy, cx, cy = (float(value) for value in lens[0])
        found.lens = None
        return Camera(fx, fy, cx, cy, camera.width, camera.height)
    return camera


def _placed(
    made: Motion,
    track: Track,
    body: BodyModel,
    found: ForeignTrack,
    rows: np.ndarray,
    camera: Camera,
) -> Motion:
    """The motion before the plate's camera, frame by frame where the head belongs."""
    if found.kind != "body":
        return made
    if found.space == "world":
        return _before_camera(made, track, body, found, rows)
    if found.space == "unknown" or found.transl is None:
        reason = "its lens is unknown" if found.space == "unknown" else "it tells no place"
        hint = "; --focal says it" if found.transl is not None else ""
        found.notes.append(f"{reason}: where the body is stays as it is tracked{hint}")
        return _with_heads(body, made, rows, _heads(body, track.motion, rows))
    if found.lens is not None:
        return _refocused(made, body, found, rows, camera)
    return made


def _heads(body: BodyModel, motion: Motion, rows: np.ndarray) -> np.ndarray:
    return posed(body, motion.rows(rows), ANY_VERTEX).joints[:, _HEAD].numpy().astype(np.float64)


def _with_heads(body: BodyModel, motion: Motion, rows: np.ndarray, places: np.ndarray) -> Motion:
    """The motion with its head joints at places (N, 3) in some rows."""
    transl = motion.transl.copy()
    transl[rows] += (places - _heads(body, motion, rows)).astype(np.float32)
    return replace(motion, transl=transl)


def _refocused(
    made: Motion, body: BodyModel, found: ForeignTrack, rows: np.ndarray, camera: Camera
) -> Motion:
    """The same in the picture, through another lens: as large, at the same place."""
    assert found.lens is not None
    lens = np.broadcast_to(found.lens, (len(rows), 4))
    heads = _heads(body, made, rows)
    if (heads[:, 2] <= 0).any():
        raise ShotError("its body lies behind the camera", found.layout, "see docs/tracks.md")
    across = lens[:, 0] * heads[:, 0] / heads[:, 2] + lens[:, 2]
    down = lens[:, 1] * heads[:, 1] / heads[:, 2] + lens[:, 3]
    depth = heads[:, 2] * camera.fx / lens[:, 0]
    x, y = (across - camera.cx) * depth / camera.fx, (down - camera.cy) * depth / camera.fy
    ratio = float(np.median(lens[:, 0])) / camera.fx
    found.notes.append(
        f"its lens of {np.median(lens[:, 0]):.0f} pixels is exchanged for the shot's,"
        f" {camera.fx:.0f}: bodies move {'nearer' if ratio > 1 else 'farther'}, not in the picture"
    )
    return _with_heads(body, made, rows, np.stack([x, y, depth], axis=1))


def _before_camera(
    made: Motion, track: Track, body: BodyModel, found: ForeignTrack, rows: np.ndarray
) -> Motion:
    """A motion in a world with y up, laid before the plate's camera as the performer begins."""
    there = posed(body, made.rows(rows[:1]), ANY_VERTEX).rotations[0, _SPINE].numpy()
    here = posed(body, track.motion.rows(rows[:1]), ANY_VERTEX).rotations[0, _SPINE].numpy()
    level = FLIPPED @ there
    # About the plate's upright: how the chest looks there, and how it should.
    wanted, has = here[:, 2], level[:, 2]
    turn = np.arctan2(wanted[0], wanted[2]) - np.arctan2(has[0], has[2])
    axes = Rotation.from_rotvec([0, turn, 0]).as_matrix() @ FLIPPED
    heads = _heads(body, made, rows)
    tracked = _heads(body, track.motion, rows)
    pose = made.pose.copy()
    pose[rows, 0] = (
        Rotation.from_matrix(axes) * Rotation.from_rotvec(made.pose[rows, 0])
    ).as_rotvec()
    places = (heads - heads[0]) @ axes.T + tracked[0] if found.transl is not None else tracked
    found.notes.append(
        "its world has no camera: the body begins where the performer is tracked in the first"
        " frame, upright in a level picture"
    )
    if (places[:, 2] <= 0.1).any():
        found.notes.append("on its way the body comes behind the camera")
    return _with_heads(body, replace(made, pose=pose), rows, places)


def _compare(
    made: Motion,
    track: Track,
    body: BodyModel,
    found: ForeignTrack,
    rows: np.ndarray,
    camera: Camera,
    path: Path,
) -> None:
    """Notes how far a body is from the one that is tracked, where that is too far for the same.

    Raises:
        ShotError: if it lies behind the camera, or cannot be in metres.
    """
    seen = rows[track.motion.valid[rows]]
    if not len(seen):
        return
    bodies = [posed(body, each.rows(seen), ANY_VERTEX) for each in (track.motion, made)]
    heads = [each.joints[:, _HEAD].double().numpy() for each in bodies]
    lenses = (track.camera, camera)
    old, new = (lens.project(head) for lens, head in zip(lenses, heads, strict=True))
    old_size, new_size = (lens.fx / head[:, 2] for lens, head in zip(lenses, heads, strict=True))
    ratio = float(np.median(new_size / old_size))
    if ratio <= 0:
        raise ShotError("its body lies behind the camera", path, "see docs/tracks.md for its axes")
    if not 0.03 < ratio < 30:
        raise ShotError(
            f"its body would be {ratio:.2g} times as large as it is in the plate",
            path,
            "give 'transl' in metres, and the lens with --focal",
        )
    off = float(np.median(np.linalg.norm(new - old, axis=1)))
    turned = [Rotation.from_matrix(each.rotations[:, _HEAD].double().numpy()) for each in bodies]
    apart = float(np.degrees(np.median((turned[0].inv() * turned[1]).magnitude())))
    told = []
    if off > _HEAD_METRES * float(np.median(old_size)):
        told.append(f"lies {off:.0f} pixels from it")
    if not 0.6 < ratio < 1.7:
        told.append(f"is {ratio:.2g} times as large")
    if apart > _HEAD_DEGREES:
        told.append(f"is turned by {apart:.0f} degrees against it")
    if told:
        found.notes.append(
            f"against the head as it was tracked, the file's {', '.join(told)}: see whether its"
            " frames, person and lens are the plate's (--first, --focal)"
        )
