# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares what portraitgen.perception sees with MediaPipe 0.10.21, picture by picture.

    pip install mediapipe==0.10.21
    python backend/tools/perception_against_mediapipe.py --frames 60 CLIP...
    python backend/tools/perception_against_mediapipe.py --reference tests/data/performer.mp4

Prints how far points are from MediaPipe's and what CPU time each takes; --reference writes
MediaPipe's points of the first frames beside the tests instead.
"""

import argparse
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "backend"))
os.environ.setdefault("GLOG_minloglevel", "3")

from mediapipe.python import solutions  # noqa: E402

from portraitgen.footage.plate import open_plate  # noqa: E402
from portraitgen.perception.body_pose import BodyPose  # noqa: E402
from portraitgen.perception.detector import Detector  # noqa: E402
from portraitgen.perception.face_mesh import FaceMesh  # noqa: E402
from portraitgen.perception.hands import Hands  # noqa: E402
from portraitgen.perception.person_mask import PersonMask  # noqa: E402
from portraitgen.tensors import save_arrays  # noqa: E402

REFERENCE = ROOT / "tests" / "data" / "mediapipe_reference.safetensors"
_REFERENCE_FRAMES = 4
_SIDE = 640


def pictures(clip: Path, count: int) -> list[np.ndarray]:
    """The first frames of a clip, at most 640 pixels wide and high."""
    with closing(open_plate(clip)) as plate:
        ratio = min(1.0, _SIDE / max(plate.width, plate.height))
        size = (round(plate.width * ratio), round(plate.height * ratio))
        frames = plate.numbers[:count]
        return [
            cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            for _, image in plate.frames_uint8(frames)
        ]


def _points(marks: Any, image: np.ndarray) -> np.ndarray:
    return np.array([(each.x, each.y) for each in marks.landmark]) * image.shape[1::-1]


class Reference:
    """MediaPipe's solutions, set as the tracking had them."""

    def __init__(self) -> None:
        self._faces = solutions.face_detection.FaceDetection(model_selection=1)
        self._mesh = solutions.face_mesh.FaceMesh(
            refine_landmarks=True, min_detection_confidence=0.3, min_tracking_confidence=0.4
        )
        self._body = solutions.pose.Pose(smooth_landmarks=False)
        self._hands = solutions.hands.Hands()
        self._mask = solutions.selfie_segmentation.SelfieSegmentation(model_selection=0)

    def faces(self, image: np.ndarray) -> np.ndarray:
        """Boxes (N, 4) of faces."""
        boxes = [
            each.location_data.relative_bounding_box
            for each in self._faces.process(image).detections or ()
        ]
        shares = [(each.xmin, each.ymin, each.width, each.height) for each in boxes]
        return np.array(shares).reshape(-1, 4) * (*image.shape[1::-1], *image.shape[1::-1])

    def mesh(self, image: np.ndarray) -> np.ndarray | None:
        """478 points."""
        found = self._mesh.process(image).multi_face_landmarks
        return _points(found[0], image) if found else None

    def body(self, image: np.ndarray) -> np.ndarray | None:
        """33 points and how visible they are."""
        found = self._body.process(image).pose_landmarks
        if not found:
            return None
        visible = [each.visibility for each in found.landmark]
        return np.column_stack([_points(found, image), visible])

    def hands(self, image: np.ndarray) -> list[np.ndarray]:
        """21 points of each hand."""
        found = self._hands.process(image).multi_hand_landmarks or ()
        return [_points(each, image) for each in found]

    def mask(self, image: np.ndarray) -> np.ndarray:
        """What belongs to a person."""
        mask: np.ndarray = self._mask.process(image).segmentation_mask
        return mask


def away(ours: Any, theirs: Any, sizes: tuple[int, int]) -> float | None:
    """Mean distance of points, per cent of that of two of them; None where either has none."""
    if ours is None or theirs is None:
        return None
    scale = np.linalg.norm(theirs[sizes[0], :2] - theirs[sizes[1], :2])
    return float(100 * np.linalg.norm(ours[:, :2] - theirs[:, :2], axis=1).mean() / scale)


def compare(clip: Path, count: int) -> None:
    """Prints what differs in a clip, and what it takes."""
    theirs, seconds = Reference(), defaultdict(list)
    faces, mesh = Detector("face_detector_full", 0.6), FaceMesh(0.3, 0.4)
    body, hands, mask = BodyPose(), Hands(), PersonMask()
    pairs: dict[str, tuple[Callable[[np.ndarray], Any], Callable[[np.ndarray], Any]]] = {
        "faces": (lambda image: faces(image).boxes, theirs.faces),
        "mesh": (mesh.read, theirs.mesh),
        "body": (body.read, theirs.body),
        "hands": (hands.read, theirs.hands),
        "mask": (mask.read, theirs.mask),
    }
    errors, unlike = defaultdict(list), defaultdict(int)
    for image in pictures(clip, count):
        for name, (own, other) in pairs.items():
            start = time.process_time()
            ours = own(image)
            middle = time.process_time()
            known = other(image)
            seconds[name].append((middle - start, time.process_time() - middle))
            if name == "mask":
                errors[name].append(100 * float(np.abs(ours - known).mean()))
            elif name == "faces" and len(ours) == len(known):
                # Corner to corner of the box.
                errors[name] += [
                    100 * float(np.abs(a - b).max() / b[2])
                    for a, b in zip(ours, known, strict=True)
                ]
            elif name == "hands" and len(ours) == len(known):
                errors[name] += [away(a, b, (0, 9)) for a, b in zip(ours, known, strict=True)]
            elif name in ("mesh", "body") and (ours is None) == (known is None):
                # Legs lie outside of portraits, and are guesses.
                part = slice(None, 478 if name == "mesh" else 17)
                sizes = (33, 263) if name == "mesh" else (11, 12)
                if ours is not None:
                    errors[name].append(away(ours[part], known[part], sizes))
            else:
                unlike[name] += 1
    for name, times in seconds.items():
        ours, known = np.median(np.array(times), axis=0) * 1000
        values = np.array(errors[name]) if errors[name] else np.full(1, np.nan)
        print(
            f"{clip.stem:24} {name:6} {values.mean():8.4f} % worst {values.max():8.4f}"
            f"  found otherwise {unlike[name]:3}  {ours:6.1f} ms, MediaPipe {known:6.1f}"
            f" ({known / ours:.2f} times)",
            flush=True,
        )


def write_reference(clip: Path) -> None:
    """Keeps MediaPipe's points of the first frames for the tests."""
    theirs = Reference()
    images = pictures(clip, _REFERENCE_FRAMES)
    meshes, bodies = ([see(each) for each in images] for see in (theirs.mesh, theirs.body))
    arrays = {
        "boxes": np.stack([theirs.faces(each)[0] for each in images]),
        "mesh": np.stack(meshes),
        "body": np.stack(bodies),
        "mask": np.stack([cv2.resize(theirs.mask(each), (64, 64)) for each in images]),
    }
    save_arrays(REFERENCE, {name: array.astype(np.float32) for name, array in arrays.items()})


def main() -> None:
    """Compares clips, or writes the reference."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--frames", type=int, default=60, help="of each clip")
    parser.add_argument("--reference", action="store_true", help="write the tests' reference")
    given = parser.parse_args()
    for clip in given.clips:
        if given.reference:
            write_reference(clip)
        else:
            compare(clip, given.frames)


if __name__ == "__main__":
    main()
