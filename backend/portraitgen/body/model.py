# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body model: SMPL-X's file schema, read and posed by our own linear blend skinning.

Reads the open body that ships with us and a user's genuine SMPLX_NEUTRAL.npz alike. Skinning
follows Loper et al., "SMPL: A Skinned Multi-Person Linear Model" (2015), and Pavlakos et al.,
"Expressive Body Capture" (2019): shape and expression displace the template, joints are regressed
from the displaced vertices, pose correctives are added, and every vertex follows its joints.
"""

import copy
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import BodyError
from ..npz import DAMAGE, PickledArray, plain_array
from ..storage import file_digest, is_plain

OPEN_BODY = Path(__file__).parent / "data" / "open_body.npz"

JOINTS = (
    "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3"
    " left_foot right_foot neck left_collar right_collar head left_shoulder right_shoulder"
    " left_elbow right_elbow left_wrist right_wrist jaw left_eye_smplhf right_eye_smplhf"
    + "".join(
        f" {side}_{finger}{bone}"
        for side in ("left", "right")
        for finger in ("index", "middle", "pinky", "ring", "thumb")
        for bone in (1, 2, 3)
    )
).split()
"""SMPL-X's 55 joints, in its order."""

# A genuine file keeps 300 shape directions, then 100 of expression; those of version 1.0, 10 each.
_GENUINE_SHAPES, _GENUINE_EXPRESSIONS, _FIRST_VERSION = 300, 100, 10
_REMEDY = "give an SMPL-X model file (SMPLX_NEUTRAL.npz), or leave it out for the open body"


@dataclass(frozen=True)
class BodyOutput:
    """A posed body.

    Attributes:
        vertices: (B, V, 3) metres; V is the number asked for.
        joints: (B, 55, 3) metres.
        rotations: (B, 55, 3, 3), every joint's rotation in the space of the result.
    """

    vertices: Tensor
    joints: Tensor
    rotations: Tensor


@dataclass(frozen=True)
class LandmarkEmbedding:
    """Where face landmarks lie on the mesh.

    Attributes:
        indices: int64 (L,), MediaPipe's index of each landmark.
        faces: int64 (L,), the face of the mesh.
        barycentric: float32 (L, 3), within that face.
        spread: float32 (L,), how uncertain the place is, metres.
    """

    indices: np.ndarray
    faces: np.ndarray
    barycentric: np.ndarray
    spread: np.ndarray

    def on(self, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """Where they lie on a posed mesh, (..., L, 3).

        Args:
            vertices: (..., V, 3).
            faces: (F, 3), of the mesh.
        """
        corners = vertices[..., faces[self.faces], :]
        places: np.ndarray = (corners * self.barycentric[..., None]).sum(-2)
        return places


def rodrigues(axis_angle: Tensor) -> Tensor:
    """Axis-angle (..., 3) in radians to rotation matrices (..., 3, 3).

    Example:
        >>> turned = rodrigues(torch.tensor([0.0, torch.pi / 2, 0.0]))
        >>> turned.round().int().tolist()
        [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]
    """
    angle = torch.sqrt((axis_angle * axis_angle).sum(-1, keepdim=True) + 1e-16)
    x, y, z = (axis_angle / angle).unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(*x.shape, 3, 3)
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    angle = angle[..., None]
    return identity + torch.sin(angle) * cross + (1 - torch.cos(angle)) * (cross @ cross)


class BodyModel:
    """A body that takes shape, expression and pose.

    Attributes:
        name: for people.
        sha256: of the file.
        template: float32 (V, 3), the rest body, metres, y up, facing +z.
        faces: int64 (F, 3).
        weights: float32 (V, 55), skinning weights, each row summing to 1.
        parents: each joint's parent, -1 for the pelvis.
        joint_directions: float32 (S + E, 165), how identity and expression move the joints.
        uv, uv_faces: float32 (T, 2) texture coordinates and int64 (F, 3) indices into them.
        expression_names: one a facial unit; ARKit's names for the open body.
        blink_closed: the value of eyeBlink at which the open body's lids meet.
        parts: part name -> bool (F,), the faces of that part; empty for a genuine file.
        landmarks: MediaPipe landmarks on the mesh.
    """

    def __init__(self, arrays: dict[str, np.ndarray], name: str, sha256: str) -> None:
        self.name = name
        self.sha256 = sha256
        shapes = arrays["shapedirs"].astype(np.float32)
        if "n_shape" in arrays:
            self.n_shape = int(arrays["n_shape"])
        else:
            whole = shapes.shape[2] >= _GENUINE_SHAPES + _GENUINE_EXPRESSIONS
            self.n_shape = _GENUINE_SHAPES if whole else min(_FIRST_VERSION, shapes.shape[2])
        if "expression_names" in arrays:
            self.expression_names = [str(each) for each in arrays["expression_names"]]
        else:
            count = min(_GENUINE_EXPRESSIONS, shapes.shape[2] - self.n_shape)
            self.expression_names = [f"expr_{index:02d}" for index in range(count)]
        self.n_expression = len(self.expression_names)
        self.template = torch.from_numpy(arrays["v_template"].astype(np.float32))
        count = self.n_shape + self.n_expression
        self.directions = (
            torch.from_numpy(shapes[:, :, :count]).permute(2, 0, 1).reshape(count, -1).contiguous()
        )
        self.faces = torch.from_numpy(arrays["f"].astype(np.int64))
        weights = torch.from_numpy(arrays["weights"].astype(np.float32))
        self.weights = weights / weights.sum(1, keepdim=True)
        parents = arrays["kintree_table"][0].astype(np.int64)
        self.parents = [-1, *(int(parent) for parent in parents[1:])]
        self.joint_names = list(JOINTS)
        self.uv = torch.from_numpy(arrays["vt"].astype(np.float32))
        self.uv_faces = torch.from_numpy(arrays["ft"].astype(np.int64))
        self.blink_closed = float(arrays.get("blink_closed", 1.0))
        labels = arrays.get("face_parts")
        names = [str(each) for each in arrays.get("part_names", ())]
        self.parts = (
            {part: torch.from_numpy(labels == index) for index, part in enumerate(names)}
            if labels is not None
            else {}
        )
        self.landmarks = _landmarks(arrays)
        regressor = torch.from_numpy(arrays["J_regressor"].astype(np.float32))
        self._rest_joints = regressor @ self.template
        self.joint_directions = torch.einsum(
            "jv,kvd->kjd", regressor, self.directions.view(count, -1, 3)
        ).reshape(count, -1)
        correctives = arrays.get("posedirs")
        self.pose_directions = None
        if correctives is not None and np.any(correctives):
            self.pose_directions = (
                torch.from_numpy(correctives.astype(np.float32)).flatten(0, 1).T.contiguous()
            )

    @classmethod
    def load(cls, path: Path | None = None) -> "BodyModel":
        """Reads a body model.

        Args:
            path: an npz in SMPL-X's schema; None for the open body.

        Raises:
            BodyError: if the file is missing, damaged or of another schema.
        """
        file = Path(path) if path else OPEN_BODY
        arrays = read_npz(file)
        name = "the open body" if path is None else file.stem
        return cls(arrays, name, file_digest(file))

    @property
    def expression_bounds(self) -> tuple[float, float]:
        """The least and the greatest sensible value of a facial unit.

        Named units run from 0 to 1; a genuine file's are principal directions of either sign.
        """
        return (0.0, 1.0) if "jawOpen" in self.expression_names else (-3.0, 3.0)

    @property
    def vertex_count(self) -> int:
        """The number of vertices."""
        return len(self.template)

    def check_counts(self, betas: int, units: int) -> None:
        """Whether an identity of so many numbers and facial units are of this body.

        Raises:
            BodyError: if they are not.
        """
        if betas not in (self.n_shape, self.n_shape + self.n_expression) or (
            units != self.n_expression
        ):
            raise BodyError(
                f"identity and expression ({betas} and {units} numbers) are of another body",
                self.name,
                "track the shot again",
            )

    def restricted(self, vertices: Tensor) -> "BodyModel":
        """The same body with some vertices only (int64 (N,)); it has no faces or landmarks."""
        part = copy.copy(self)
        part.template = self.template[vertices]
        part.weights = self.weights[vertices]
        part.directions = (
            self.directions.view(len(self.directions), -1, 3)[:, vertices].flatten(1).contiguous()
        )
        if self.pose_directions is not None:
            rows = self.pose_directions.view(len(self.pose_directions), -1, 3)
            part.pose_directions = rows[:, vertices].flatten(1).contiguous()
        part.faces = self.faces[:0]
        part.parts = {}
        return part

    def to(self, device: torch.device | str) -> "BodyModel":
        """The same body with its tensors on a device."""
        moved = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(moved, name, value.to(device))
        return moved

    def rest_joints(self, betas: Tensor) -> Tensor:
        """The joints (55, 3) of an identity, (S,) or (S + E,), at rest, metres."""
        moved = betas @ self.joint_directions[: len(betas)]
        return self._rest_joints + moved.view(-1, 3)

    def forward(
        self,
        betas: Tensor,
        pose: Tensor,
        expression: Tensor,
        transl: Tensor,
        *,
        vertex_offsets: Tensor | None = None,
        vertices: Tensor | None = None,
    ) -> BodyOutput:
        """Poses the body.

        Args:
            betas: (B or 1, S), identity; or (B or 1, S + E), the last ones its neutral face: what
                its facial units add to the expression of every frame.
            pose: (B, 55, 3), axis-angle.
            expression: (B, E).
            transl: (B, 3), metres, added last.
            vertex_offsets: (V, 3) or (B, V, 3), added to the rest body.
            vertices: int64 (N,), the only vertices wanted.

        Raises:
            BodyError: if identity or expression are another body's.

        Example:
            >>> body = BodyModel.load()
            >>> body.forward(
            ...     betas=torch.zeros(1, body.n_shape),
            ...     pose=torch.zeros(2, 55, 3),
            ...     expression=torch.zeros(2, body.n_expression),
            ...     transl=torch.zeros(2, 3),
            ... ).joints.shape
            torch.Size([2, 55, 3])
        """
        self.check_counts(betas.shape[1], expression.shape[1])
        batch = pose.shape[0]
        shape, neutral = betas[:, : self.n_shape], betas[:, self.n_shape :]
        if neutral.shape[1]:
            expression = expression + neutral
        coefficients = torch.cat([shape.expand(batch, -1), expression.expand(batch, -1)], dim=1)
        chosen = slice(None) if vertices is None else vertices
        template, weights = self.template[chosen], self.weights[chosen]
        count = len(template)
        directions = self.directions
        if vertices is not None:
            directions = directions.view(len(directions), -1, 3)[:, vertices].flatten(1)
        rest = template + (coefficients @ directions).view(batch, count, 3)
        if vertex_offsets is not None:
            rest = rest + vertex_offsets[..., chosen, :]
        joints = self._rest_joints + (coefficients @ self.joint_directions).view(batch, 55, 3)
        rotations = rodrigues(pose)
        if self.pose_directions is not None:
            feature = (rotations[:, 1:] - torch.eye(3, device=pose.device)).flatten(1)
            correctives = self.pose_directions
            if vertices is not None:
                correctives = correctives.view(len(correctives), -1, 3)[:, vertices].flatten(1)
            rest = rest + (feature @ correctives).view(batch, count, 3)
        turned, places = self._chain(rotations, joints)
        shifts = places - (turned @ joints[..., None])[..., 0]
        rows = torch.cat([turned.flatten(2), shifts], dim=2)
        blended = weights @ rows
        linear = blended[..., :9].reshape(batch, count, 3, 3)
        posed = (linear @ rest[..., None])[..., 0] + blended[..., 9:]
        return BodyOutput(posed + transl[:, None], places + transl[:, None], turned)

    def _chain(self, rotations: Tensor, joints: Tensor) -> tuple[Tensor, Tensor]:
        turned, places = [rotations[:, 0]], [joints[:, 0]]
        for joint in range(1, len(self.parents)):
            parent = self.parents[joint]
            bone = joints[:, joint] - joints[:, parent]
            turned.append(turned[parent] @ rotations[:, joint])
            places.append(places[parent] + (turned[parent] @ bone[..., None])[..., 0])
        return torch.stack(turned, dim=1), torch.stack(places, dim=1)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an npz file that are plain numbers or text; pickled objects are left unread.

    Raises:
        BodyError: if the file is missing or damaged.
    """
    arrays: dict[str, Any] = {}
    if not is_plain(path):
        raise BodyError("the body model is no plain file", path, _REMEDY)
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.filename.endswith(".npy"):
                    continue
                with suppress(PickledArray), archive.open(info) as file:
                    arrays[info.filename[:-4]] = plain_array(file, info.file_size).copy()
    except FileNotFoundError:
        raise BodyError("the body model is missing", path, _REMEDY) from None
    except DAMAGE as error:
        raise BodyError(f"the body model cannot be read ({error})", path, _REMEDY) from error
    return arrays


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a body-model file, of which a genuine one also holds pickled objects.

    Raises:
        BodyError: if the file is missing, damaged or of another schema.
    """
    arrays = read_arrays(path)
    needed = {
        "v_template": (None, 3),
        "f": (None, 3),
        "shapedirs": (None, 3, None),
        "J_regressor": (len(JOINTS), None),
        "weights": (None, len(JOINTS)),
        "kintree_table": (2, len(JOINTS)),
        "vt": (None, 2),
        "ft": (None, 3),
    }
    for key, shape in needed.items():
        if key not in arrays:
            raise BodyError(f"the body model lacks '{key}'", path, _REMEDY)
        found = arrays[key].shape
        if len(found) != len(shape) or any(
            want not in (None, have) for want, have in zip(shape, found, strict=True)
        ):
            raise BodyError(f"'{key}' has the shape {found}", path, _REMEDY)
    count = len(arrays["v_template"])
    if any(
        found != count
        for found in (
            len(arrays["shapedirs"]),
            len(arrays["weights"]),
            arrays["J_regressor"].shape[1],
        )
    ):
        raise BodyError("its arrays disagree on the number of vertices", path, _REMEDY)
    return arrays


# The MediaPipe indices of the 51 inner landmarks of the 68-point scheme, in its order.
_DLIB_INNER = (
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305, 33, 160,
    158, 133, 153, 144, 362, 385, 387, 263, 373, 380, 61, 39, 37, 0, 267, 269, 291, 405, 314, 17,
    84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip


def _landmarks(arrays: dict[str, np.ndarray]) -> LandmarkEmbedding:
    if "mp_lmk_faces_idx" in arrays:
        faces = arrays["mp_lmk_faces_idx"].astype(np.int64)
        return LandmarkEmbedding(
            np.arange(len(faces), dtype=np.int64),
            faces,
            arrays["mp_lmk_bary_coords"].astype(np.float32),
            arrays["mp_lmk_spread"].astype(np.float32),
        )
    if "lmk_faces_idx" not in arrays:
        empty = np.zeros(0, np.int64)
        return LandmarkEmbedding(
            empty, empty, np.zeros((0, 3), np.float32), np.zeros(0, np.float32)
        )
    faces = arrays["lmk_faces_idx"].astype(np.int64)
    return LandmarkEmbedding(
        np.array(_DLIB_INNER[: len(faces)], np.int64),
        faces,
        arrays["lmk_bary_coords"].astype(np.float32),
        np.full(len(faces), 0.003, np.float32),
    )
