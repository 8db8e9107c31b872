# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A track of another program as it was meant: in its own body, camera, rate and hands."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.spatial.transform import Rotation

from ..errors import ShotError

Kind = Literal["body", "head", "face"]
Space = Literal["camera", "world", "unknown"]
Hands = Literal["flat", "mean", "none"]
REMEDY = "see docs/tracks.md for the layouts"


@dataclass
class ForeignTrack:
    """What a file says of T frames.

    Attributes:
        layout: whose it is, for people.
        count: T.
        kind: "body" turns every joint, "head" head, jaw and eyes, "face" expressions and eyes.
        expression_of: whose directions `expression` has: "smplx" (which are FLAME's), "arkit" by
            `names`, or the body of a PortraitGen shot, "own", by `names` where it has some.
        identity_of: whose directions `betas` has: "smplx", "own", or "other", that are left out.
        pose: float64 (T, 55, 3), axis-angle in SMPL-X's order.
        given: bool (55,), the joints that the file turns.
        transl: float64 (T, 3), metres; None if it tells none.
        space: of `global_orient` and `transl`: the camera's by OpenCV's axes, a world with
            y up, or a camera of unknown lens.
        betas, expression, names: identity (S,), expression (T, E) and the names of its units.
        hands: what hand poses count from: flat hands, or the mean hands of the model's file.
        hand_components: float64 (T, 2, N), coefficients of left and right hand; None if the file
            turns finger joints themselves.
        lens: float64 (T or 1, 4), fx, fy, cx, cy in pixels of the plate; None if unknown.
        share: focal length as a share of the plate's larger side, or of its diagonal ("diagonal").
        frames: int64 (T,), plate frame numbers; None if it has none.
        seconds: float64 (T,), times of the rows; None if it has none.
        timecode: text of the first row's, empty if none.
        fps: rows a second; None if it does not say.
        image_size: width and height it was tracked at.
        notes: sentences about what was assumed or left out.
    """

    layout: str
    count: int
    kind: Kind = "body"
    expression_of: Literal["smplx", "arkit", "own"] = "smplx"
    identity_of: Literal["smplx", "own", "other"] = "smplx"
    pose: np.ndarray = field(default_factory=lambda: np.zeros((0, 55, 3)))
    given: np.ndarray = field(default_factory=lambda: np.zeros(55, bool))
    transl: np.ndarray | None = None
    space: Space = "camera"
    betas: np.ndarray | None = None
    expression: np.ndarray | None = None
    names: list[str] = field(default_factory=list)
    hands: Hands = "none"
    hand_components: np.ndarray | None = None
    lens: np.ndarray | None = None
    share: float | Literal["diagonal"] | None = None
    frames: np.ndarray | None = None
    seconds: np.ndarray | None = None
    timecode: str = ""
    fps: float | None = None
    image_size: tuple[int, int] | None = None
    body_model: str = ""
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, layout: str, count: int, path: Path, **facts: object) -> "ForeignTrack":
        """A track of so many frames, none of whose joints turn yet.

        Raises:
            ShotError: if it has no frames, or more than any shot.
        """
        if not 0 < count <= 1_000_000:
            raise ShotError(f"it holds {count} frames", path, "give a track with frames")
        made = cls(layout, count, pose=np.zeros((count, 55, 3)), given=np.zeros(55, bool))
        for name, value in facts.items():
            setattr(made, name, value)
        return made

    def turn(self, joints: slice | list[int], vectors: np.ndarray) -> None:
        """Sets joints from (T, N, 3)."""
        self.pose[:, joints] = vectors
        self.given[joints] = True


def per_frame(
    values: np.ndarray, count: int, width: int | tuple[int, ...], name: str, path: Path
) -> np.ndarray:
    """An array as (T, W): batch axes of 1 are dropped, one row stands for all.

    Args:
        width: the row's length, or lengths that are understood.

    Raises:
        ShotError: if it is none of these.
    """
    widths = (width,) if isinstance(width, int) else width
    long = [each for each in values.shape if each != 1]
    # Frames come first: of another order, the same number of values would be scrambled.
    ordered = count == 1 or not long or long[0] % count == 0
    for each in sorted(widths, reverse=True):
        if ordered and values.size == count * each and (each == 0 or values.size):
            return values.reshape(count, each)
    for each in widths:
        if values.size == each and each:
            return np.broadcast_to(values.reshape(1, each), (count, each))
    wanted = " or ".join(f"({count}, {each})" for each in widths)
    raise ShotError(f"'{name}' has the shape {values.shape}, not {wanted}", path, REMEDY)


def frames_of(values: np.ndarray, width: int, name: str, path: Path) -> int:
    """How many rows of a width an array has.

    Raises:
        ShotError: if its rows have another width, or lie along several axes.
    """
    shape = values.shape
    if values.size and len(shape) == 1 and values.size % width == 0:
        return values.size // width
    cuts = [cut for cut in range(len(shape)) if math.prod(shape[cut:]) == width]
    if not values.size or not cuts:
        raise ShotError(
            f"'{name}' has the shape {shape}, which is not (frames, {width})", path, REMEDY
        )
    long = [each for each in shape[: cuts[-1]] if each != 1]
    if len(long) > 1:
        raise ShotError(
            f"'{name}' has the shape {shape}: more than frames of one person",
            path,
            "save one person's arrays",
        )
    return math.prod(long)


def whole_numbers(values: np.ndarray, count: int, name: str, path: Path) -> np.ndarray:
    """Frame numbers, int64 (T,).

    Raises:
        ShotError: if there are not as many as frames, or some are no whole numbers.
    """
    flat = values.ravel()
    if len(flat) != count:
        raise ShotError(f"'{name}' numbers {len(flat)} frames of {count}", path, REMEDY)
    found = np.round(flat).astype(np.int64)
    if np.abs(flat - found).max(initial=0) > 1e-6:
        raise ShotError(
            f"'{name}' holds {flat[flat != found][0]:g}, which is no frame's number", path, REMEDY
        )
    return found


def vectors(values: np.ndarray, count: int, joints: int, name: str, path: Path) -> np.ndarray:
    """Turns as axis-angle (T, J, 3), from axis-angle or matrices.

    Raises:
        ShotError: if they are of another shape, are no rotations, or are written in a way that
            programs read differently.
    """
    if values.size in (4 * joints * count, 6 * joints * count) and values.size != 9 * joints:
        four = values.size == 4 * joints * count
        raise ShotError(
            f"'{name}' has the shape {values.shape}: "
            + (
                "quaternions, of which some begin with w and others end with it"
                if four
                else "6 numbers a joint, of which some are a matrix' rows and others its columns"
            ),
            path,
            "save turns as axis-angle or as matrices",
        )
    flat = per_frame(values, count, (3 * joints, 9 * joints), name, path)
    if flat.shape[1] == 3 * joints:
        return flat.reshape(count, joints, 3)
    return _turns(flat.reshape(-1, 3, 3), name, path).reshape(count, joints, 3)


def vectors_of_rows(
    values: np.ndarray, count: int, joints: int, name: str, path: Path
) -> np.ndarray:
    """Turns as axis-angle (T, J, 3) from the first two rows of matrices, as PyTorch3D has them.

    Zhou et al., "On the Continuity of Rotation Representations" (2019).
    """
    rows = per_frame(values, count, 6 * joints, name, path).reshape(-1, 2, 3)
    a, b = rows[:, 0], rows[:, 1]
    a = a / np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1e-9)
    b = b - (a * b).sum(1, keepdims=True) * a
    b = b / np.maximum(np.linalg.norm(b, axis=1, keepdims=True), 1e-9)
    return _turns(np.stack([a, b, np.cross(a, b)], axis=1), name, path).reshape(count, joints, 3)


def _turns(matrices: np.ndarray, name: str, path: Path) -> np.ndarray:
    if np.abs(np.linalg.det(matrices) - 1).max() > 0.2:
        raise ShotError(f"'{name}' holds matrices that are no rotations", path, REMEDY)
    found: np.ndarray = Rotation.from_matrix(matrices).as_rotvec()
    return found


def turned_axes(track: ForeignTrack, axes: np.ndarray, pelvis: np.ndarray) -> None:
    """Lays a track over to other axes: points p become `axes` p, about the pelvis' rest place."""
    turn = Rotation.from_matrix(axes)
    track.pose[:, 0] = (turn * Rotation.from_rotvec(track.pose[:, 0])).as_rotvec()
    if track.transl is not None:
        track.transl = (pelvis + track.transl) @ axes.T - pelvis


def way_up(track: ForeignTrack) -> tuple[int, int]:
    """Which of the file's axes the body stands along, and its sign; (-1, 0) where it is none."""
    turned = Rotation.from_rotvec(track.pose[:, 0]).apply([0.0, 1.0, 0.0]).mean(0)
    axis = int(np.abs(turned).argmax())
    return (axis, int(np.sign(turned[axis]))) if abs(turned[axis]) > 0.6 else (-1, 0)


FLIPPED = np.diag([1.0, -1.0, -1.0])
"""OpenGL's axes to OpenCV's."""
Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""Axes with z up to axes with y up."""
UP_Y, DOWN_Y, UP_Z = (1, 1), (1, -1), (2, 1)
"""Answers of `way_up`."""
SMPLX_PELVIS = np.array([0.003, -0.351, 0.012])
"""Where SMPL-X's mean person has the pelvis at rest, metres."""
SMPL_PELVIS = np.array([-0.002, -0.223, 0.028])
"""The same of SMPL's."""
