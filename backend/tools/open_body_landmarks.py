# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds MediaPipe's 468 face points on the open body by looking at renderings of it.

The mesh is rendered with painted brows, lips and irises for several people, expressions and
views; MediaPipe detects, each point is carried back to the mesh through the z-buffer, and the
geometric median over all views, made symmetric, is its place. What the views disagree by is kept
as the point's spread.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import mediapipe
import numpy as np
import torch
import trimesh
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from portraitgen.body.camera import Camera
from portraitgen.body.geometry import rasterize_mesh, vertex_normals

POINTS = 468
_SIZE, _SUPERSAMPLING = 512, 2
_VIEWS = [(0, 0), (18, 0), (-18, 0), (35, 0), (-35, 0), (0, 12), (0, -12)]
_ACTS: list[dict[str, float]] = [
    {},
    {"jawOpen": 0.35},
    {"jawOpen": 0.6},
    {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7, "jawOpen": 0.15},
]
_ADULT = 0.66
_PEOPLE: list[dict[str, float]] = [
    {"gender": 0.0, "age": _ADULT},
    {"gender": 1.0, "age": _ADULT},
    {"gender": 1.0, "age": _ADULT, "caucasian": 1.0, "african": 0.0, "asian": 0.0},
    {"gender": 0.5, "age": _ADULT, "african": 1.0, "caucasian": 0.0, "asian": 0.0},
    {"gender": 0.5, "age": _ADULT, "asian": 1.0, "caucasian": 0.0, "african": 0.0},
    {"gender": 0.5, "age": 0.9},
]


@dataclass
class Embedding:
    """Face, barycentric coordinates and spread (metres) of every point."""

    faces: np.ndarray
    barycentric: np.ndarray
    spread: np.ndarray


def find_landmarks(
    model: Any, faces: np.ndarray, segment: Callable[[Any, list[str]], np.ndarray]
) -> Embedding:
    """Renders, detects and gathers; takes one to two minutes."""

    def posed(person: dict[str, float], act: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
        with torch.no_grad():
            output = model(phenotype_kwargs=person, facial_actions=act)
        vertices = output["vertices"][0].numpy()
        poses = output["bone_poses"][0]
        eyes = [poses[model.bone_labels.index(f"eye.{side}"), :3, 3].numpy() for side in "LR"]
        axes = lambda p: np.stack([p[..., 0], p[..., 2], -p[..., 1]], axis=-1)  # noqa: E731
        return axes(vertices), axes(np.mean(eyes, axis=0))

    balls = [f"eye_{side}.{hand}" for side in ("front", "back") for hand in "LR"]
    hidden = segment(model, [*balls, "mouth_cavity", "tongue"])
    neutral, _ = posed({}, {})
    open_mouth, _ = posed({}, {"jawOpen": 0.5})
    colours = _painted(model, faces, neutral, segment, balls)
    detector = mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=True,
        refine_landmarks=True,
        max_num_faces=1,
        min_detection_confidence=0.3,
    )
    found: list[list[np.ndarray]] = [[] for _ in range(POINTS)]
    for person in _PEOPLE:
        for act in _ACTS:
            vertices, eyes = posed(person, act)
            for yaw, pitch in _VIEWS:
                picture, face_id, weights = _render(vertices, eyes, faces, colours, yaw, pitch)
                result = detector.process(picture)
                if not result.multi_face_landmarks:
                    continue
                seen = face_id >= 0
                seen[seen] = ~hidden[face_id[seen]]
                rows, columns = np.nonzero(seen)
                tree = cKDTree(np.stack([columns + 0.5, rows + 0.5], axis=1))
                marks = result.multi_face_landmarks[0].landmark[:POINTS]
                scale = _SIZE * _SUPERSAMPLING
                distance, nearest = tree.query([[m.x * scale, m.y * scale] for m in marks])
                row, column = rows[nearest], columns[nearest]
                corners = open_mouth[faces[face_id[row, column]]]
                points = (corners * weights[row, column][..., None]).sum(1)
                for index in np.flatnonzero(distance < 8):
                    found[index].append(points[index])
    medians = [_geometric_median(np.array(points)) for points in found]
    centres = np.array([centre for centre, _ in medians])
    mirror = np.array([-1, 1, 1])
    apart = np.linalg.norm((centres * mirror)[:, None] - centres[None], axis=2)
    partner = linear_sum_assignment(apart)[1]
    centres = 0.5 * (centres + centres[partner] * mirror)
    skin = np.flatnonzero(~hidden)
    surface = trimesh.Trimesh(open_mouth, faces[skin], process=False)
    closest, _, triangle = trimesh.proximity.closest_point(surface, centres)
    weights = trimesh.triangles.points_to_barycentric(surface.triangles[triangle], closest)
    weights = np.clip(weights, 0, 1)
    weights /= weights.sum(1, keepdims=True)
    return Embedding(skin[triangle], weights, np.array([spread for _, spread in medians]))


def _painted(
    model: Any,
    faces: np.ndarray,
    vertices: np.ndarray,
    segment: Callable[[Any, list[str]], np.ndarray],
    balls: list[str],
) -> np.ndarray:
    """Vertex colours (V, 3) with the features a face detector looks for."""
    colours = np.tile([0.86, 0.66, 0.55], (len(vertices), 1))
    eyes = np.unique(faces[segment(model, balls)])
    colours[eyes] = 0.95
    head = np.zeros(len(vertices), bool)
    head[np.unique(faces[segment(model, ["head"])])] = True
    centres = []
    for side in (1, -1):
        ball = eyes[vertices[eyes, 0] * side > 0]
        centre = vertices[ball].mean(0)
        centres.append(centre)
        away = np.hypot(*(vertices[ball, :2] - centre[:2]).T)
        colours[ball[(vertices[ball, 2] > centre[2]) & (away < 0.0075)]] = (0.25, 0.15, 0.1)
    colours[np.unique(faces[segment(model, ["tongue"])])] = (0.7, 0.35, 0.35)
    colours[np.unique(faces[segment(model, ["mouth_cavity"])])] = (0.3, 0.1, 0.1)
    names, shapes = list(model.blendshape_labels), model.blendshapes.numpy()
    # The units that roll the lips move the lips most.
    rolls = ("facial_action:mouthRollLower", "facial_action:mouthRollUpper")
    rolled = sum(np.linalg.norm(shapes[names.index(name)], axis=1) for name in rolls)
    lips = np.clip((rolled / np.percentile(rolled[rolled > 0], 95) - 0.35) / 0.4, 0, 1)
    lips = (0.6 * lips * head)[:, None]
    colours = colours * (1 - lips) + np.array([0.7, 0.3, 0.3]) * lips
    for side, centre in zip((1, -1), centres, strict=True):
        across = (vertices[:, 0] - centre[0]) * side
        above = vertices[:, 1] - centre[1] - 0.0215 - 0.003 * np.cos(across / 0.018)
        brow = head & (across > -0.02) & (across < 0.024) & (np.abs(above) < 0.004)
        colours[brow & (vertices[:, 2] > centre[2])] = (0.25, 0.17, 0.12)
    return colours


def _render(
    vertices: np.ndarray,
    eyes: np.ndarray,
    faces: np.ndarray,
    colours: np.ndarray,
    yaw: float,
    pitch: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An 8-bit picture, and the face ids and barycentric coordinates it was made from."""
    a, b = math.radians(yaw), math.radians(pitch)
    turn = np.array([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])
    nod = np.array([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    centre = np.array([0, eyes[1] - 0.035, eyes[2] - 0.06])
    turned = (vertices - centre) @ (nod @ turn).T
    before = turned * np.array([1, -1, -1]) + np.array([0, 0, 1.0])
    size = _SIZE * _SUPERSAMPLING
    camera = Camera(3.2 * size, 3.2 * size, size / 2, size / 2, size, size)
    face_id, weights, _ = rasterize_mesh(before, faces, camera)
    normals = vertex_normals(torch.from_numpy(turned), torch.from_numpy(faces)).numpy()
    seen = face_id >= 0
    corners = faces[face_id[seen]]
    share = weights[seen][..., None]
    normal = (normals[corners] * share).sum(1)
    light = np.array([0.2, 0.45, 0.85]) / np.linalg.norm([0.2, 0.45, 0.85])
    shade = 0.35 + 0.65 * np.clip(normal @ light, 0, 1)
    picture = np.full((size, size, 3), (0.75, 0.78, 0.8))
    picture[seen] = (colours[corners] * share).sum(1) * shade[:, None]
    small = cv2.resize(picture, (_SIZE, _SIZE), interpolation=cv2.INTER_AREA)
    return (small.clip(0, 1) * 255).astype(np.uint8), face_id, weights


def _geometric_median(points: np.ndarray) -> tuple[np.ndarray, float]:
    """The point with the least sum of distances (Weiszfeld), and the median distance to it."""
    centre = np.median(points, axis=0)
    for _ in range(50):
        weight = 1 / np.maximum(np.linalg.norm(points - centre, axis=1), 1e-4)
        centre = (points * weight[:, None]).sum(0) / weight.sum()
    return centre, float(np.median(np.linalg.norm(points - centre, axis=1)))
