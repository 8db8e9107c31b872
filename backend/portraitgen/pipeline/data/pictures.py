# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures for people: the mesh over the plate, mattes on grey, labelled sheets."""

from collections.abc import Sequence

import cv2
import numpy as np

from ...avatar.avatar import AvatarOutput
from ...body.camera import Camera
from ...body.geometry import rasterize_mesh
from ...editing.hole_filling import filled_outward
from ...images import as_picture

_CARRIED, _SOLID = (0.004, 0.012, 0.036), 8.0
_TEAL = np.array([0.10, 0.75, 0.95], np.float32)
_GROUND = 0.13
_GAP = 6
_LABEL = 26


def carried_on(drawn: AvatarOutput) -> tuple[np.ndarray, np.ndarray]:
    """An avatar's colours, carried on beyond its own edge.

    Its edge is not the plate's: where the matte goes farther (the ends of long hair) there would
    be nothing, and thin coverage has hardly a colour of its own.

    Returns:
        float32 (H, W, 3), not multiplied by alpha, and how far they can be believed, (H, W), 1
        falling to 0 where the avatar is far away.
    """
    return outward(as_picture(drawn.premultiplied).clip(0, 1), as_picture(drawn.alpha)[..., 0])


def outward(colour: np.ndarray, thin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `carried_on`, of colours (H, W, 3) multiplied by their coverage (H, W)."""
    sigmas = [share * thin.shape[0] for share in _CARRIED]
    filled, known = filled_outward(colour, thin, sigmas, _SOLID, False)
    return (filled / np.maximum(known, 1e-3)[..., None]).clip(0, 1), known


def mesh_overlay(
    image: np.ndarray, vertices: np.ndarray, faces: np.ndarray, camera: Camera
) -> np.ndarray:
    """The body's shape, lit from the camera, over the picture it was tracked in.

    Args:
        image: float32 (H, W, 3).
        vertices: (V, 3) in camera space, metres.
        faces: (F, 3).
        camera: of the picture.
    """
    face_id, _, _ = rasterize_mesh(vertices, faces, camera)
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    covered = face_id >= 0
    light = np.abs(normals[face_id[covered]] @ np.array([0.35, -0.35, -0.87]))[:, None]
    drawn = image.copy()
    shaded = (_TEAL * (0.15 + 0.85 * light)).astype(np.float32)
    drawn[covered] = 0.45 * drawn[covered] + 0.55 * shaded
    # Edges of facets give the eye the wire without hiding the plate.
    edge = (face_id != np.roll(face_id, 1, 0)) | (face_id != np.roll(face_id, 1, 1))
    drawn[edge & covered] *= 0.82
    return drawn


def on_grey(colour: np.ndarray, alpha: np.ndarray, grey: float = 0.5) -> np.ndarray:
    """Colours (H, W, 3) over plain grey through alpha (H, W)."""
    return colour * alpha[..., None] + grey * (1 - alpha[..., None])


def sheet(rows: Sequence[Sequence[np.ndarray]], labels: Sequence[str], height: int) -> np.ndarray:
    """A labelled table of pictures.

    Args:
        rows: pictures float32 (H, W, 3); the same number in each row.
        labels: one a column.
        height: of every picture in the sheet, pixels.

    Returns:
        float32 (H, W, 3).
    """
    scaled = [[_to_height(picture, height) for picture in row] for row in rows]
    widths = [max(row[column].shape[1] for row in scaled) for column in range(len(labels))]
    total = sum(widths) + _GAP * (len(widths) + 1)
    canvas = np.full((_LABEL + len(rows) * (height + _GAP), total, 3), _GROUND, np.float32)
    left = _GAP
    for column, (label, width) in enumerate(zip(labels, widths, strict=True)):
        place = (left + 2, _LABEL - 9)
        cv2.putText(
            canvas, label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.46, (0.85,) * 3, 1, cv2.LINE_AA
        )
        for index, row in enumerate(scaled):
            top = _LABEL + index * (height + _GAP)
            picture = row[column]
            canvas[top : top + height, left : left + picture.shape[1]] = picture
        left += width + _GAP
    return canvas


def _to_height(picture: np.ndarray, height: int) -> np.ndarray:
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    how = cv2.INTER_AREA if height < picture.shape[0] else cv2.INTER_CUBIC
    resized = cv2.resize(np.asarray(picture, np.float32), (width, height), interpolation=how)
    return np.clip(resized, 0, 1)
