# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which point of one body model is which of another's, found once for two files and kept.

A user's SMPL-X file rests with level arms, the open body with hanging ones, and neither mesh knows
the other. The open body is posed and shaped into the other's rest (as in Allen et al., "The Space
of Human Body Shapes", 2003: a model first, then a smooth displacement), and points are then
matched to the nearest surface of the same part of the body. What comes out is rotations from one
rest to the other, and a point on either surface for every vertex of the other.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..tensors import DamagedTensors, load_arrays, save_arrays
from ..user_folders import user_cache_folder
from .geometry import vertex_normals
from .model import BodyModel, LandmarkEmbedding

if TYPE_CHECKING:
    # SciPy takes a third of a second to load, and most who import this find what was registered.
    from scipy.sparse import coo_matrix

_VERSION = 1
# Joints whose skin belongs together: points are matched within a group first of all.
GROUPS: dict[str, tuple[int, ...]] = {
    "head": (12, 15, 22),
    "left eye": (23,),
    "right eye": (24,),
    "torso": (0, 3, 6, 9, 13, 14),
    "left arm": (16, 18),
    "right arm": (17, 19),
    "left hand": (20, *range(25, 40)),
    "right hand": (21, *range(40, 55)),
    "left leg": (1, 4, 7, 10),
    "right leg": (2, 5, 8, 11),
}
# Bones that both models have, by joint: they give the first pose.
_CHILD = {1: 4, 2: 5, 4: 7, 5: 8, 7: 10, 8: 11, 13: 16, 14: 17, 16: 18, 17: 19, 18: 20, 19: 21}
_CHILD |= {first + bone: first + bone + 1 for first in range(25, 55, 3) for bone in (0, 1)}
_SPINE = (0, 3, 6, 9, 12, 15, 22, 23, 24)
# A point of another group, of another side of the skin, counts as so far away, metres.
_OTHER_GROUP, _OTHER_SIDE = 0.12, 0.02
_SAMPLED, _STEPS = 5000, 160
_ROUNDS = 4
# A file with no more landmarks has those of the 68-point scheme.
_SPARSE = 68


@dataclass(frozen=True)
class Correspondence:
    """For every vertex of one mesh a point on another.

    Attributes:
        faces: int64 (V,), the other's face.
        barycentric: float32 (V, 3), within it.
        distance: float32 (V,), how far it lay off when the two were laid over each other, metres.
    """

    faces: np.ndarray
    barycentric: np.ndarray
    distance: np.ndarray

    def points(self, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """Where they lie: (..., V, 3), for the other mesh's vertices (..., N, 3)."""
        corners = vertices[..., faces[self.faces], :]
        found: np.ndarray = (corners * self.barycentric[..., None]).sum(-2)
        return found


@dataclass(frozen=True)
class Registration:
    """The open body laid over another one that rests.

    Attributes:
        rotations: float32 (55, 3, 3), the open body's joints there, in the other's rest space.
        betas: float32 (S,), the open body's identity there.
        on_open: a point of the open body for every vertex of the other.
        on_other: a point of the other for every vertex of the open body.
    """

    rotations: np.ndarray
    betas: np.ndarray
    on_open: Correspondence
    on_other: Correspondence

    def save(self, path: Path) -> None:
        """Writes it in one step."""
        arrays = {"rotations": self.rotations, "betas": self.betas}
        for name in ("on_open", "on_other"):
            arrays |= {f"{name}.{key}": each for key, each in vars(getattr(self, name)).items()}
        save_arrays(path, arrays, {"version": str(_VERSION)})

    @classmethod
    def load(cls, path: Path, vertices: int, faces: int) -> "Registration":
        """Reads it back for another body of so many vertices and faces.

        Raises:
            DamagedTensors: if the file is missing, damaged or not of these bodies.
        """
        arrays = load_arrays(path)
        try:
            both = [
                Correspondence(
                    *(arrays[f"{name}.{key}"] for key in ("faces", "barycentric", "distance"))
                )
                for name in ("on_open", "on_other")
            ]
            found = cls(arrays["rotations"], arrays["betas"], *both)
        except KeyError as error:
            raise DamagedTensors(f"it lacks {error}") from error
        if len(found.on_open.faces) != vertices or found.on_other.faces.max() >= faces:
            raise DamagedTensors("it is of another body")
        return found


def registration_of(
    open_body: BodyModel, other: BodyModel, folder: Path | None = None
) -> Registration:
    """The registration of two bodies: read if it was made before, else made and kept.

    Args:
        open_body: the body that is moved.
        other: any body of SMPL-X's joints.
        folder: where registrations are kept; the user's cache folder if None.
    """
    folder = folder or user_cache_folder() / "registrations"
    name = f"{open_body.sha256[:12]}-{other.sha256[:12]}-{_VERSION}.safetensors"
    path = folder / name
    try:
        return Registration.load(path, other.vertex_count, len(other.faces))
    except DamagedTensors:
        made = register(open_body, other)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made.save(path)
    except OSError:
        return made  # It is made again the next time.
    return made


def register(open_body: BodyModel, other: BodyModel) -> Registration:
    """Poses, shapes and bends the open body onto another one that rests; takes some seconds."""
    target = other.template.numpy().astype(np.float64)
    faces = other.faces.numpy()
    normals = vertex_normals(other.template, other.faces).numpy()
    surface = _Surface(target, faces, normals, _groups(other))
    start = _first_pose(open_body, other)
    pose, betas, transl = _fitted(open_body, other, surface, start)
    with torch.no_grad():
        posed = open_body.forward(
            betas[None],
            pose[None],
            torch.zeros(1, open_body.n_expression),
            transl[None],
        )
    own_faces = open_body.faces.numpy()
    bent = _bent(open_body, posed.vertices[0].numpy().astype(np.float64), own_faces, surface)
    own_normals = vertex_normals(torch.from_numpy(bent), open_body.faces).numpy()
    on_other = surface.nearest(bent, own_normals, _groups(open_body))
    own = _Surface(bent, own_faces, own_normals, _groups(open_body))
    on_open = own.nearest(target, normals, _groups(other))
    return Registration(posed.rotations[0].numpy(), betas.numpy(), on_open, on_other)


def _groups(body: BodyModel) -> np.ndarray:
    """How much every vertex belongs to each group, (V, G)."""
    weights = body.weights.numpy()
    return np.stack([weights[:, list(joints)].sum(1) for joints in GROUPS.values()], axis=1)


class _Surface:
    """A mesh in which nearest points are looked for, by place, side and group."""

    def __init__(
        self, vertices: np.ndarray, faces: np.ndarray, normals: np.ndarray, groups: np.ndarray
    ) -> None:
        from scipy.spatial import cKDTree

        self._corners = vertices[faces]
        features = _features(vertices, normals, groups)[faces]
        self._features = features
        self._tree = cKDTree(features.mean(1))

    def nearest(
        self, points: np.ndarray, normals: np.ndarray, groups: np.ndarray
    ) -> "Correspondence":
        """The nearest point of the surface to each of (N, 3)."""
        asked = _features(points, normals, groups)
        _, candidates = self._tree.query(asked, k=16, workers=-1)
        best = np.full(len(points), np.inf)
        face = np.zeros(len(points), np.int64)
        weights = np.zeros((len(points), 3))
        for column in candidates.T:
            there = _within(points, self._corners[column])
            blend = (self._features[column] * there[..., None]).sum(1)
            off = ((blend - asked) ** 2).sum(1)
            better = off < best
            best[better], face[better], weights[better] = off[better], column[better], there[better]
        places = (self._corners[face] * weights[..., None]).sum(1)
        distance = np.linalg.norm(places - points, axis=1)
        return Correspondence(face, weights.astype(np.float32), distance.astype(np.float32))


def _features(points: np.ndarray, normals: np.ndarray, groups: np.ndarray) -> np.ndarray:
    return np.concatenate([points, _OTHER_SIDE * normals, _OTHER_GROUP * groups], axis=1)


def _within(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Barycentric coordinates (N, 3) of the nearest points within triangles (N, 3, 3).

    Ericson, "Real-Time Collision Detection" (2005), 5.1.5, by clamping: exact inside, and within
    a fraction of an edge's length beside it.
    """
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    u, v, w = b - a, c - a, points - a
    uu, uv, vv = (u * u).sum(1), (u * v).sum(1), (v * v).sum(1)
    wu, wv = (w * u).sum(1), (w * v).sum(1)
    area = np.maximum(uu * vv - uv * uv, 1e-18)
    weights = np.stack(
        [
            1 - (vv * wu - uv * wv + uu * wv - uv * wu) / area,
            (vv * wu - uv * wv) / area,
            (uu * wv - uv * wu) / area,
        ],
        axis=1,
    )
    weights = np.clip(weights, 0, None)
    return weights / weights.sum(1, keepdims=True)


def _first_pose(body: BodyModel, other: BodyModel) -> Tensor:
    """The open body's pose (55, 3) in which its bones lie as the other's do."""
    from scipy.spatial.transform import Rotation

    own = body.rest_joints(torch.zeros(body.n_shape)).numpy().astype(np.float64)
    target = other.rest_joints(torch.zeros(other.n_shape)).numpy().astype(np.float64)
    whole = np.tile(np.eye(3), (55, 1, 1))
    pose = np.zeros((55, 3))
    for joint, parent in enumerate(body.parents):
        above = np.eye(3) if parent < 0 else whole[parent]
        whole[joint] = above
        if joint in _CHILD:
            bone = above @ (own[_CHILD[joint]] - own[joint])
            wanted = target[_CHILD[joint]] - target[joint]
            whole[joint] = _shortest(bone, wanted) @ above
        elif joint in (20, 21):
            fingers = list(range(25, 40, 3) if joint == 20 else range(40, 55, 3))
            bones = (own[fingers] - own[joint]) @ above.T
            turn, _ = Rotation.align_vectors(target[fingers] - target[joint], bones)
            whole[joint] = turn.as_matrix() @ above
        pose[joint] = Rotation.from_matrix(above.T @ whole[joint]).as_rotvec()
    return torch.from_numpy(pose).float()


def level_arms(body: BodyModel) -> np.ndarray:
    """The open body's joints (55, 3, 3) where SMPL-X rests, as nearly as is known without its file:
    arms and fingers lie along the axis from one shoulder to the other."""
    own = body.rest_joints(torch.zeros(body.n_shape)).numpy().astype(np.float64)
    whole = np.tile(np.eye(3), (55, 1, 1))
    for joint, parent in enumerate(body.parents):
        above = np.eye(3) if parent < 0 else whole[parent]
        whole[joint] = above
        if joint in (16, 17, 18, 19):
            bone = above @ (own[_CHILD[joint]] - own[joint])
            whole[joint] = _shortest(bone, np.array([np.sign(bone[0]), 0, 0])) @ above
    return whole


def _shortest(bone: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    a, b = bone / np.linalg.norm(bone), wanted / np.linalg.norm(wanted)
    axis = np.cross(a, b)
    sine = np.linalg.norm(axis)
    if sine < 1e-8:
        return np.eye(3)
    turn = Rotation.from_rotvec(axis / sine * np.arctan2(sine, a @ b))
    matrix: np.ndarray = turn.as_matrix()
    return matrix


def _fitted(
    body: BodyModel, other: BodyModel, surface: _Surface, start: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Pose, identity and place of the open body in the other's rest."""
    rng = np.random.default_rng(0)
    inside = inner_vertices(body)
    outside = np.flatnonzero(~inside)
    chosen = np.sort(rng.permutation(outside)[:_SAMPLED])
    picked = torch.from_numpy(chosen)
    part = body.restricted(picked)
    groups, faces = _groups(body)[chosen], body.faces
    marks = _shared_landmarks(body, other)
    target_joints = other.rest_joints(torch.zeros(other.n_shape))
    bent = torch.zeros(55, 3, requires_grad=True)
    betas = torch.zeros(body.n_shape, requires_grad=True)
    own = body.rest_joints(torch.zeros(body.n_shape))
    transl = (target_joints[15] - own[15]).clone().requires_grad_(True)
    optimiser = torch.optim.Adam(
        [
            {"params": [bent], "lr": 0.01},
            {"params": [betas], "lr": 0.1},
            {"params": [transl], "lr": 0.005},
        ]
    )
    steps = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _STEPS, 1e-4)
    still = torch.zeros(1, body.n_expression)
    # Trunks rest alike; what arms and fingers do is to be found.
    stiff = torch.full((55, 1), 3.0)
    stiff[list(_SPINE)] = 60.0
    lattice = torch.from_numpy(_fixed(own.numpy(), target_joints.numpy()))
    places = target = None
    for step in range(_STEPS):
        optimiser.zero_grad()
        posed = part.forward(betas[None], (start + bent)[None], still, transl[None])
        vertices = posed.vertices[0]
        cost = 0.02 * stiff.mul(bent.square()).sum() + 0.004 * betas.square().sum()
        loose = max(0.02, 1 - step / 60)
        cost = cost + 200 * loose * (lattice * (posed.joints[0] - target_joints).square()).sum()
        if marks is not None:
            whole = body.forward(
                betas[None], (start + bent)[None], still, transl[None], vertices=marks[0]
            ).vertices[0]
            seen = (whole.view(-1, 3, 3) * marks[1]).sum(1)
            cost = cost + 300 * (seen - marks[2]).square().sum()
        if step >= 40:
            if step % 12 == 4 or places is None:
                with torch.no_grad():
                    full = body.forward(betas[None], (start + bent)[None], still, transl[None])
                    normals = vertex_normals(full.vertices[0], faces)[picked].numpy()
                found = surface.nearest(vertices.detach().numpy().astype(float), normals, groups)
                places = torch.from_numpy(
                    (surface._corners[found.faces] * found.barycentric[..., None]).sum(1)
                ).float()
                target = torch.from_numpy(1 / (1 + (found.distance / 0.03) ** 2).astype(np.float32))
            assert places is not None and target is not None
            away = (vertices - places).square().sum(1)
            cost = cost + 2 * (target * away).sum()
        cost.backward()
        optimiser.step()
        steps.step()
    return (start + bent).detach(), betas.detach(), transl.detach()


def _fixed(own: np.ndarray, target: np.ndarray) -> np.ndarray:
    """How much each joint counts: limbs bend where they bend, spines are anyone's guess."""
    weights = np.full((55, 1), 0.3, np.float32)
    weights[list(_SPINE)] = 0.05
    weights[[4, 5, 7, 8, 16, 17, 18, 19, 20, 21]] = 1.0
    return weights


def inner_vertices(body: BodyModel) -> np.ndarray:
    """Vertices of the mouth's inside, bool (V,), which other bodies have otherwise."""
    inner = np.zeros(body.vertex_count, bool)
    for part in ("mouth", "teeth", "tongue"):
        if part in body.parts:
            inner[body.faces[body.parts[part]].numpy().ravel()] = True
    return inner


def _shared_landmarks(body: BodyModel, other: BodyModel) -> tuple[Tensor, Tensor, Tensor] | None:
    """Landmarks of the face that both files have: vertices (3 L,), weights (L, 3, 1), places."""
    theirs = other.landmarks
    rows = {int(mark): row for row, mark in enumerate(body.landmarks.indices)}
    both = [(rows[int(mark)], row) for row, mark in enumerate(theirs.indices) if int(mark) in rows]
    if len(both) < 20:
        return None
    own, other_rows = (np.array(each) for each in zip(*both, strict=True))
    corners = body.faces[body.landmarks.faces[own]].reshape(-1)
    weights = torch.from_numpy(body.landmarks.barycentric[own])[..., None]
    places = theirs.on(other.template.numpy(), other.faces.numpy())[other_rows]
    return corners, weights, torch.from_numpy(places).float()


def _bent(
    body: BodyModel, vertices: np.ndarray, faces: np.ndarray, surface: _Surface
) -> np.ndarray:
    """The open body's vertices moved smoothly onto the surface; a mouth's inside follows."""
    from scipy.sparse import diags, eye
    from scipy.sparse.linalg import factorized

    inside = inner_vertices(body)
    smoothness = _laplacian(len(vertices), faces)
    groups, moved = _groups(body), vertices
    for stiffness in np.geomspace(30, 0.5, _ROUNDS):
        normals = vertex_normals(torch.from_numpy(moved), torch.from_numpy(faces)).numpy()
        found = surface.nearest(moved, normals, groups)
        there = (surface._corners[found.faces] * found.barycentric[..., None]).sum(1)
        weights = np.where(inside, 0.0, 1 / (1 + (found.distance / 0.02) ** 2))
        system = diags(weights) + stiffness * (smoothness.T @ smoothness) + 1e-6 * eye(len(moved))
        solve = factorized(system.tocsc())
        wanted = weights[:, None] * (there - vertices)
        moved = vertices + np.stack([solve(wanted[:, axis]) for axis in range(3)], axis=1)
    return moved


def _laplacian(count: int, faces: np.ndarray) -> "coo_matrix":
    from scipy.sparse import coo_matrix, diags

    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.sort(np.concatenate([edges, edges[:, ::-1]]), axis=1), axis=0)
    ends = np.concatenate([edges, edges[:, ::-1]])
    near = coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    degree = np.maximum(np.asarray(near.sum(1)).ravel(), 1)
    return diags(np.ones(count)) - diags(1 / degree) @ near


def regions(body: BodyModel, names: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """The vertices of each region for which an error is told, bool (V,)."""
    groups = _groups(body).argmax(1)
    order = list(GROUPS)
    inner = inner_vertices(body)
    told = {
        "head": ("head", "left eye", "right eye"),
        "torso": ("torso",),
        "arms": ("left arm", "right arm"),
        "hands": ("left hand", "right hand"),
        "legs": ("left leg", "right leg"),
    }
    return {
        name: np.isin(groups, [order.index(each) for each in parts]) & ~inner
        for name, parts in told.items()
        if not names or name in names
    }


def completed(body: BodyModel) -> BodyModel:
    """A body with what only the open body's file tells: parts, and dense landmarks of the face.

    Both are carried over by correspondence; eyeballs are told by their weights. The open body, and
    any file that has them, stays as it is.
    """
    if body.parts and len(body.landmarks.indices) > _SPARSE:
        return body
    opened = BodyModel.load()
    registration = registration_of(opened, body)
    made = copy.copy(body)
    if not body.parts:
        made.parts = _carried_parts(opened, body, registration)
    if len(body.landmarks.indices) <= _SPARSE:
        made.landmarks = _carried_landmarks(opened, body, registration)
    return made


def _carried_parts(
    opened: BodyModel, body: BodyModel, registration: Registration
) -> dict[str, Tensor]:
    names = list(opened.parts)
    labels = np.zeros(len(opened.faces), np.int64)
    for index, part in enumerate(names):
        labels[opened.parts[part].numpy()] = index
    corners = labels[registration.on_open.faces][body.faces.numpy()]
    # Of three corners the label that two of them have, or the first one's.
    found = np.where(corners[:, 1] == corners[:, 2], corners[:, 1], corners[:, 0])
    owner = body.weights.numpy().argmax(1)[body.faces.numpy()]
    found[np.isin(owner, (23, 24)).all(1)] = names.index("eyes")
    return {part: torch.from_numpy(found == index) for index, part in enumerate(names)}


def _carried_landmarks(
    opened: BodyModel, body: BodyModel, registration: Registration
) -> LandmarkEmbedding:
    marks, faces = opened.landmarks, body.faces.numpy()
    template = body.template.numpy().astype(np.float64)
    there = registration.on_other.points(template, faces)
    corners = opened.faces.numpy()[marks.faces]
    weights = marks.barycentric[..., None]
    places = (there[corners] * weights).sum(1)
    own = vertex_normals(torch.from_numpy(there), opened.faces).numpy()
    normals = (own[corners] * weights).sum(1)
    groups = (_groups(opened)[corners] * weights).sum(1)
    surface = _Surface(
        template, faces, vertex_normals(body.template, body.faces).numpy(), _groups(body)
    )
    found = surface.nearest(places, normals, groups)
    off = registration.on_other.distance[corners].mean(1)
    spread = np.hypot(marks.spread, off).astype(np.float32)
    return LandmarkEmbedding(marks.indices, found.faces, found.barycentric, spread)
