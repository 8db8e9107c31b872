# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Face, body and hand landmarks from MediaPipe, in chunks that do not depend on the run.

The full-range face detector finds everyone; the performer's face then goes to the mesh model in a
crop of constant place and scale, which finds faces far too small for the mesh model alone. Both
models follow the face from frame to frame, which is steadier than detecting it anew; their memory
ends with the chunk, so that a run resumed at a chunk gives the same landmarks as an unbroken one.
"""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from safetensors.numpy import load_file, save_file

from ..shot import atomic_path

CHUNK = 32
"""Frames a chunk."""
FACE_POINTS = 478
POSE_POINTS = 33
HAND_POINTS = 21

_DETECTOR_SIDE = 640
_FACE_PIXELS = 230
_BODY_SIDE = 384
_HANDS_SIDE = 640
_WRISTS = (15, 16)
_WRIST_SEEN = 0.5
_WRIST_REACH = 0.6
_MISSING = np.float32(np.nan)


@dataclass(frozen=True)
class ChunkLandmarks:
    """What was seen in consecutive frames.

    Attributes:
        frames: int64 (N,), frame numbers.
        face: float32 (N, 478, 2), plate pixels; NaN where no face was found.
        pose: float32 (N, 33, 3), plate pixels and visibility; NaN where no body was found.
        hands: float32 (N, 2, 21, 2), plate pixels of the left and the right hand; NaN where unseen.
        box: float32 (N, 4), the performer's face as left, top, width, height in plate pixels,
            NaN where the detector saw none.
        others: int64 (N,), how many other faces were seen.
        thumbnail: uint8 (N, 36, 64, 3), to notice cuts.
    """

    frames: np.ndarray
    face: np.ndarray
    pose: np.ndarray
    hands: np.ndarray
    box: np.ndarray
    others: np.ndarray
    thumbnail: np.ndarray

    def last_box(self, before: np.ndarray | None) -> np.ndarray | None:
        """The performer's face (4,) where it was seen last; `before` if it never was."""
        found = self.box[~np.isnan(self.box[:, 0])]
        return found[-1] if len(found) else before

    def save(self, path: Path) -> None:
        """Writes the chunk in one step."""
        with atomic_path(path) as temporary:
            save_file(dict(vars(self)), str(temporary))

    @classmethod
    def load(cls, path: Path) -> "ChunkLandmarks":
        """Reads a chunk back."""
        return cls(**load_file(str(path)))

    @classmethod
    def join(cls, chunks: Sequence["ChunkLandmarks"]) -> "ChunkLandmarks":
        """Chunks in order as one."""
        names = cls.__dataclass_fields__
        return cls(**{name: np.concatenate([getattr(c, name) for c in chunks]) for name in names})


class LandmarkDetector:
    """MediaPipe's models, loaded once."""

    def __init__(self) -> None:
        os.environ.setdefault("GLOG_minloglevel", "3")
        warnings.filterwarnings("ignore", category=UserWarning, module="google.protobuf")
        from mediapipe.python import solutions

        self._faces: Any = solutions.face_detection.FaceDetection(
            model_selection=1, min_detection_confidence=0.4
        )
        self._mesh: Any = solutions.face_mesh.FaceMesh(
            static_image_mode=False,
            refine_landmarks=True,
            max_num_faces=1,
            min_detection_confidence=0.3,
            min_tracking_confidence=0.4,
        )
        self._pose: Any = solutions.pose.Pose(
            static_image_mode=False, model_complexity=1, smooth_landmarks=False
        )
        self._hands: Any = solutions.hands.Hands(
            static_image_mode=False, max_num_hands=2, model_complexity=1
        )

    def close(self) -> None:
        """Frees the models."""
        for model in (self._faces, self._mesh, self._pose, self._hands):
            model.close()

    def whole(self, frames: Sequence[int], images: Sequence[np.ndarray]) -> ChunkLandmarks:
        """Detects the performer in a shot that is held in memory, chunk after chunk."""
        chunks: list[ChunkLandmarks] = []
        last: np.ndarray | None = None
        for start in range(0, len(frames), CHUNK):
            part = slice(start, start + CHUNK)
            chunks.append(self.chunk(frames[part], images[part], last))
            last = chunks[-1].last_box(last)
        return ChunkLandmarks.join(chunks)

    def chunk(
        self, frames: Sequence[int], images: Sequence[np.ndarray], last: np.ndarray | None
    ) -> ChunkLandmarks:
        """Detects the performer in consecutive frames.

        Args:
            frames: frame numbers.
            images: uint8 (H, W, 3) each.
            last: (4,), the performer's face in the last frame before, None if unknown; the
                performer is the face nearest to it, or the largest and most central one.
        """
        count = len(frames)
        height, width = images[0].shape[:2]
        boxes = np.full((count, 4), _MISSING, np.float32)
        others = np.zeros(count, np.int64)
        for row, image in enumerate(images):
            found = self._find_faces(image)
            if not len(found):
                continue
            chosen = _choose(found, last, width, height)
            if chosen is None:
                others[row] = len(found)
                continue
            boxes[row], others[row] = found[chosen], len(found) - 1
            last = found[chosen]
        face = np.full((count, FACE_POINTS, 2), _MISSING, np.float32)
        pose = np.full((count, POSE_POINTS, 3), _MISSING, np.float32)
        hands = np.full((count, 2, HAND_POINTS, 2), _MISSING, np.float32)
        seen = ~np.isnan(boxes[:, 0])
        if seen.any():
            self._mesh_in(images, boxes, seen, face)
            self._pose_in(images, boxes, seen, pose)
            self._hands_in(images, boxes, seen, pose, hands)
        thumbnail = np.stack(
            [cv2.resize(image, (64, 36), interpolation=cv2.INTER_AREA) for image in images]
        )
        numbers = np.asarray(frames, np.int64)
        return ChunkLandmarks(numbers, face, pose, hands, boxes, others, thumbnail)

    def _find_faces(self, image: np.ndarray) -> np.ndarray:
        """Faces as (N, 4) left, top, width, height in pixels."""
        height, width = image.shape[:2]
        scale = min(1.0, _DETECTOR_SIDE / max(height, width))
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        result = self._faces.process(np.ascontiguousarray(small))
        found = []
        for detection in result.detections or ():
            box = detection.location_data.relative_bounding_box
            found.append((box.xmin, box.ymin, box.width, box.height))
        relative = np.array(found, np.float32).reshape(-1, 4)
        return relative * np.array([width, height, width, height], np.float32)

    def _mesh_in(
        self, images: Sequence[np.ndarray], boxes: np.ndarray, seen: np.ndarray, face: np.ndarray
    ) -> None:
        crop = _crop_round(boxes[seen], 0.9, 0.9, 0.9)
        scale = min(_FACE_PIXELS / float(np.median(boxes[seen, 2])), 2.0, 1024 / crop[2])
        self._mesh.reset()
        first = int(np.flatnonzero(seen)[0])
        # The first call of a chunk places the face, the second follows it like all later ones.
        for row in [first, *range(len(images))]:
            if not seen[max(0, row - 3) : row + 4].any():
                continue
            cut = _cut(images[row], crop, scale)
            result = self._mesh.process(cut)
            face[row] = _MISSING
            if not result.multi_face_landmarks:
                continue
            marks = result.multi_face_landmarks[0].landmark
            points = np.array([(mark.x, mark.y) for mark in marks], np.float32)
            points = points * cut.shape[1::-1] / scale + crop[:2]
            if _agrees(points, boxes[row]):
                face[row] = points

    def _pose_in(
        self, images: Sequence[np.ndarray], boxes: np.ndarray, seen: np.ndarray, pose: np.ndarray
    ) -> None:
        crop = _crop_round(boxes[seen], 2.2, 1.3, 5.0)
        scale = min(1.0, _BODY_SIDE / max(crop[2:]))
        self._pose.reset()
        first = int(np.flatnonzero(seen)[0])
        for row in [first, *range(len(images))]:
            if not seen[row]:
                continue
            cut = _cut(images[row], crop, scale)
            result = self._pose.process(cut)
            if result.pose_landmarks:
                marks = result.pose_landmarks.landmark
                points = np.array([(m.x, m.y, m.visibility) for m in marks], np.float32)
                points[:, :2] = points[:, :2] * cut.shape[1::-1] / scale + crop[:2]
                pose[row] = points

    def _hands_in(
        self,
        images: Sequence[np.ndarray],
        boxes: np.ndarray,
        seen: np.ndarray,
        pose: np.ndarray,
        hands: np.ndarray,
    ) -> None:
        """Hands where a wrist is seen in the picture; the nearer wrist tells left from right."""
        height, width = images[0].shape[:2]
        wrists = pose[:, _WRISTS]
        inside = (wrists[..., :2] > 0).all(-1) & (wrists[..., :2] < (width, height)).all(-1)
        visible = inside & (np.nan_to_num(wrists[..., 2]) > _WRIST_SEEN)
        if not visible.any():
            return
        crop = _crop_round(boxes[seen], 2.2, 1.3, 5.0)
        scale = min(1.0, _HANDS_SIDE / max(crop[2:]))
        self._hands.reset()
        # Every other frame: the body's smooth solve bridges one, and hands cost as much as a face.
        for row in np.flatnonzero(visible.any(1))[::2]:
            cut = _cut(images[row], crop, scale)
            result = self._hands.process(cut)
            for found in result.multi_hand_landmarks or ():
                points = np.array([(mark.x, mark.y) for mark in found.landmark], np.float32)
                points = points * cut.shape[1::-1] / scale + crop[:2]
                away = np.linalg.norm(wrists[row, :, :2] - points[0], axis=1)
                side = int(np.nanargmin(away))
                if visible[row, side] and away[side] < _WRIST_REACH * boxes[seen, 2].max():
                    hands[row, side] = points


def _choose(found: np.ndarray, last: np.ndarray | None, width: int, height: int) -> int | None:
    centres = found[:, :2] + found[:, 2:] / 2
    if last is not None and not np.isnan(last[0]):
        distance = np.linalg.norm(centres - (last[:2] + last[2:] / 2), axis=1) / last[2]
        growth = np.abs(np.log(found[:, 2] / last[2]))
        cost = distance + growth
        nearest = int(cost.argmin())
        return nearest if cost[nearest] < 2.0 else None
    off = np.linalg.norm((centres - (width / 2, height / 2)) / (width, height), axis=1)
    return int((found[:, 2] * (1 - 0.6 * off)).argmax())


def _crop_round(boxes: np.ndarray, sides: float, above: float, below: float) -> np.ndarray:
    """Left, top, width, height that hold all boxes with margins in box sizes."""
    size = boxes[:, 2].max()
    low = boxes[:, :2].min(0) - (sides * size, above * size)
    high = (boxes[:, :2] + boxes[:, 2:]).max(0) + (sides * size, below * size)
    return np.concatenate([np.floor(low), np.ceil(high - low)])


def _cut(image: np.ndarray, crop: np.ndarray, scale: float) -> np.ndarray:
    """The crop of an image at a scale; black beyond its edges."""
    height, width = image.shape[:2]
    left, top = int(crop[0]), int(crop[1])
    right, bottom = left + int(crop[2]), top + int(crop[3])
    inside = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    margins = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
    if any(margins):
        inside = cv2.copyMakeBorder(inside, *margins, cv2.BORDER_CONSTANT)
    size = (max(2, round(inside.shape[1] * scale)), max(2, round(inside.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(inside, size, interpolation=how)


def _agrees(points: np.ndarray, box: np.ndarray) -> bool:
    """Whether the mesh lies on the face that the detector chose (or the detector saw none)."""
    if np.isnan(box[0]):
        return True
    centre = points[:468].mean(0) - (box[:2] + box[2:] / 2)
    return bool(np.linalg.norm(centre) < 0.6 * box[2])
