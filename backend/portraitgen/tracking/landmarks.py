# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Face, body and hand landmarks, in chunks that do not depend on the run.

The full-range face detector finds everyone; the performer's face then goes to the mesh model in a
crop of constant place and scale, which finds faces far too small for the mesh model alone. Both
models follow the face from frame to frame, which is steadier than detecting it anew; their memory
ends with the chunk, so that a run resumed at a chunk gives the same landmarks as an unbroken one.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..errors import TrackingError
from ..perception.body_pose import BodyPose
from ..perception.detector import Detector
from ..perception.face_mesh import FaceMesh
from ..perception.hands import Hands
from ..tensors import DamagedTensors, load_arrays, save_arrays
from .face_follower import FaceFollower, look_of

CHUNK = 32
"""Frames a chunk."""
FACE_POINTS = 478
POSE_POINTS = 33
HAND_POINTS = 21

_DETECTOR_SIDE = 640
_FACE_SURE = 0.6
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

    def save(self, path: Path) -> None:
        """Writes the chunk in one step."""
        save_arrays(path, vars(self))

    @classmethod
    def load(cls, path: Path) -> "ChunkLandmarks":
        """Reads a chunk back.

        Raises:
            TrackingError: if it is damaged.
        """
        try:
            return cls(**load_arrays(path, may_be_nan=("face", "pose", "hands", "box")))
        except (DamagedTensors, TypeError) as error:
            raise TrackingError(
                f"the landmarks cannot be read ({error})", path, "run again"
            ) from error

    @classmethod
    def join(cls, chunks: Sequence["ChunkLandmarks"]) -> "ChunkLandmarks":
        """Chunks in order as one."""
        names = cls.__dataclass_fields__
        return cls(**{name: np.concatenate([getattr(c, name) for c in chunks]) for name in names})


@dataclass(frozen=True)
class Pictures:
    """Consecutive frames, uint8 (H, W, 3) each, and the same at a size that faces are found in.

    Attributes:
        ratio: of the smaller ones' size to the whole ones'.
    """

    whole: Sequence[np.ndarray]
    smaller: Sequence[np.ndarray]
    ratio: float

    @classmethod
    def of(cls, images: Sequence[np.ndarray]) -> "Pictures":
        """Of whole frames."""
        ratio = min(1.0, _DETECTOR_SIDE / max(images[0].shape[:2]))
        smaller = [
            cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
            for image in images
        ]
        return cls(images, smaller, smaller[0].shape[1] / images[0].shape[1])

    def crops(self, crop: np.ndarray, scale: float) -> "_Crops":
        """Crops of a place in plate pixels at a scale, from the smaller ones where they do."""
        if scale > self.ratio:
            return _Crops(self.whole, crop, scale, 1.0)
        reduced = np.concatenate([np.floor(crop[:2] * self.ratio), np.ceil(crop[2:] * self.ratio)])
        return _Crops(self.smaller, reduced, scale / self.ratio, self.ratio)


@dataclass(frozen=True)
class _Crops:
    images: Sequence[np.ndarray]
    crop: np.ndarray
    scale: float
    ratio: float

    def frame(self, row: int) -> np.ndarray:
        """One frame's crop."""
        return _cropped(self.images[row], self.crop, self.scale)

    def in_plate(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 2) from a crop's pixels to the plate's."""
        placed: np.ndarray = (points / self.scale + self.crop[:2]) / self.ratio
        return placed


class LandmarkDetector:
    """Detectors and networks, loaded once."""

    def __init__(self) -> None:
        self._faces = Detector("face_detector_full", _FACE_SURE)
        self._mesh = FaceMesh(detected=0.3, kept=0.4)
        self._pose = BodyPose()
        self._hands = Hands()

    def whole(self, frames: Sequence[int], images: Sequence[np.ndarray]) -> ChunkLandmarks:
        """Detects the performer in a shot that is held in memory, chunk after chunk."""
        chunks: list[ChunkLandmarks] = []
        follower = FaceFollower()
        for start in range(0, len(frames), CHUNK):
            part = slice(start, start + CHUNK)
            chunks.append(self.chunk(frames[part], images[part], follower))
        return ChunkLandmarks.join(chunks)

    def chunk(
        self,
        frames: Sequence[int],
        images: Sequence[np.ndarray],
        follower: FaceFollower | None = None,
    ) -> ChunkLandmarks:
        """Detects the performer in consecutive frames.

        Args:
            frames: frame numbers.
            images: uint8 (H, W, 3) each.
            follower: as `find` takes it.
        """
        pictures = Pictures.of(images)
        return self.mark(pictures, self.find(frames, pictures, follower))

    def find(
        self,
        frames: Sequence[int],
        pictures: Pictures,
        follower: FaceFollower | None = None,
        performer: Mapping[int, tuple[float, float]] | None = None,
    ) -> ChunkLandmarks:
        """Finds the performer's face in consecutive frames; no landmarks yet.

        Args:
            frames: frame numbers.
            pictures: of them.
            follower: who was seen in the frames before, and goes on from there; where the performer
                is not known, it is the largest and most central face.
            performer: frame -> a point on the performer's face, in plate pixels: from there on
                it is that face that is followed.

        Raises:
            TrackingError: if there is no face at such a point.
        """
        count = len(frames)
        follower = follower or FaceFollower()
        height, width = pictures.whole[0].shape[:2]
        boxes = np.full((count, 4), _MISSING, np.float32)
        others = np.zeros(count, np.int64)
        thumbnails = []
        for row, small in enumerate(pictures.smaller):
            thumbnails.append(cv2.resize(small, (64, 36), interpolation=cv2.INTER_AREA))
            seen = self.faces(small)
            found = seen / np.float32(pictures.ratio)
            point = (performer or {}).get(int(frames[row]))
            chosen = face_at(found, point, int(frames[row])) if point is not None else None
            if not len(found) and follower.box is None:
                continue
            looks = [look_of(small, box) for box in seen]
            if chosen is None and follower.box is not None:
                chosen = follower.step(found, looks)
            else:
                chosen = _largest(found, width, height) if chosen is None else chosen
                follower.start(chosen, found, looks)
            if chosen is None:
                others[row] = len(found)
            else:
                boxes[row], others[row] = found[chosen], len(found) - 1
        return ChunkLandmarks(
            np.asarray(frames, np.int64),
            np.full((count, FACE_POINTS, 2), _MISSING, np.float32),
            np.full((count, POSE_POINTS, 3), _MISSING, np.float32),
            np.full((count, 2, HAND_POINTS, 2), _MISSING, np.float32),
            boxes,
            others,
            np.stack(thumbnails),
        )

    def mark(self, pictures: Pictures, found: ChunkLandmarks) -> ChunkLandmarks:
        """Adds the landmarks of face, body and hands to what `find` gave for the same pictures.

        It may run in another thread, beside `find` on the next chunk.
        """
        seen = ~np.isnan(found.box[:, 0])
        if seen.any():
            # The models hold no lock while they work: the face beside body and hands.
            with ThreadPoolExecutor(1) as beside:
                meshed = beside.submit(self._mesh_in, pictures, found.box, seen, found.face)
                self._pose_in(pictures, found.box, seen, found.pose)
                self._hands_in(pictures, found.box, seen, found.pose, found.hands)
                meshed.result()
        return found

    def surest(self, image: np.ndarray) -> float:
        """How sure the detector is of the face it is surest of, 0..1; 0 if it finds none."""
        return float(self._faces(image).scores.max(initial=0.0))

    def faces(self, image: np.ndarray) -> np.ndarray:
        """Faces as (N, 4) left, top, width, height in its pixels."""
        return self._faces(image).boxes

    def _mesh_in(
        self, pictures: Pictures, boxes: np.ndarray, seen: np.ndarray, face: np.ndarray
    ) -> None:
        crop = _crop_round(boxes[seen], 0.9, 0.9, 0.9)
        scale = min(_FACE_PIXELS / float(np.median(boxes[seen, 2])), 2.0, 1024 / crop[2])
        crops = _Crops(pictures.whole, crop, scale, 1.0)
        self._mesh.reset()
        first = int(np.flatnonzero(seen)[0])
        # The first call of a chunk places the face, the second follows it like all later ones.
        for row in [first, *range(len(seen))]:
            if not seen[max(0, row - 3) : row + 4].any():
                continue
            points = self._mesh.read(crops.frame(row))
            face[row] = _MISSING
            if points is None:
                continue
            points = crops.in_plate(points)
            if _agrees(points, boxes[row]):
                face[row] = points

    def _pose_in(
        self, pictures: Pictures, boxes: np.ndarray, seen: np.ndarray, pose: np.ndarray
    ) -> None:
        crop = _crop_round(boxes[seen], 2.2, 1.3, 5.0)
        crops = pictures.crops(crop, min(1.0, _BODY_SIDE / max(crop[2:])))
        self._pose.reset()
        first = int(np.flatnonzero(seen)[0])
        # Every other frame: the body's smooth solve bridges one, and each costs as much as four
        # faces. The hands need its wrists.
        for row in [first, *range(0, len(seen), 2)]:
            if not seen[row]:
                continue
            points = self._pose.read(crops.frame(row))
            if points is not None:
                points[:, :2] = crops.in_plate(points[:, :2])
                pose[row] = points

    def _hands_in(
        self,
        pictures: Pictures,
        boxes: np.ndarray,
        seen: np.ndarray,
        pose: np.ndarray,
        hands: np.ndarray,
    ) -> None:
        """Hands where a wrist is seen in the picture; the nearer wrist tells left from right."""
        height, width = pictures.whole[0].shape[:2]
        wrists = pose[:, _WRISTS]
        inside = (wrists[..., :2] > 0).all(-1) & (wrists[..., :2] < (width, height)).all(-1)
        visible = inside & (np.nan_to_num(wrists[..., 2]) > _WRIST_SEEN)
        if not visible.any():
            return
        crop = _crop_round(boxes[seen], 2.2, 1.3, 5.0)
        crops = pictures.crops(crop, min(1.0, _HANDS_SIDE / max(crop[2:])))
        self._hands.reset()
        for row in np.flatnonzero(visible.any(1)).tolist():
            for found in self._hands.read(crops.frame(row)):
                points = crops.in_plate(found)
                away = np.linalg.norm(wrists[row, :, :2] - points[0], axis=1)
                side = int(np.nanargmin(away))
                if visible[row, side] and away[side] < _WRIST_REACH * boxes[seen, 2].max():
                    hands[row, side] = points


def face_at(found: np.ndarray, point: tuple[float, float], frame: int) -> int:
    """Which face among (N, 4) a point lies on, or next to.

    Raises:
        TrackingError: if there is none.
    """
    centres = found[:, :2] + found[:, 2:] / 2
    away = np.linalg.norm(centres - np.asarray(point), axis=1) / np.maximum(found[:, 2], 1)
    if not len(found) or away.min() > 1.0:
        where = ", ".join(f"{x:.0f},{y:.0f}" for x, y in centres) or "nowhere"
        raise TrackingError(
            f"there is no face at {point[0]:.0f},{point[1]:.0f} (faces are at {where})",
            f"frame {frame}",
            "point at the performer's face in a frame that shows it",
        )
    return int(away.argmin())


def _largest(found: np.ndarray, width: int, height: int) -> int:
    """The largest face, and the most central one."""
    centres = found[:, :2] + found[:, 2:] / 2
    off = np.linalg.norm((centres - (width / 2, height / 2)) / (width, height), axis=1)
    return int((found[:, 2] * (1 - 0.6 * off)).argmax())


def _crop_round(boxes: np.ndarray, sides: float, above: float, below: float) -> np.ndarray:
    """Left, top, width, height that hold all boxes with margins in box sizes."""
    size = boxes[:, 2].max()
    low = boxes[:, :2].min(0) - (sides * size, above * size)
    high = (boxes[:, :2] + boxes[:, 2:]).max(0) + (sides * size, below * size)
    return np.concatenate([np.floor(low), np.ceil(high - low)])


def _cropped(image: np.ndarray, crop: np.ndarray, scale: float) -> np.ndarray:
    """The crop of an image at a scale; black beyond its edges."""
    height, width = image.shape[:2]
    left, top = int(crop[0]), int(crop[1])
    right, bottom = left + int(crop[2]), top + int(crop[3])
    inside = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    margins = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
    if any(margins):
        inside = cv2.copyMakeBorder(inside, *margins, cv2.BORDER_CONSTANT)
    size = (max(2, round(inside.shape[1] * scale)), max(2, round(inside.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 0.7 else cv2.INTER_LINEAR
    return cv2.resize(inside, size, interpolation=how)


def _agrees(points: np.ndarray, box: np.ndarray) -> bool:
    """Whether the mesh lies on the face that the detector chose (or the detector saw none)."""
    if np.isnan(box[0]):
        return True
    centre = points[:468].mean(0) - (box[:2] + box[2:] / 2)
    return bool(np.linalg.norm(centre) < 0.6 * box[2])
