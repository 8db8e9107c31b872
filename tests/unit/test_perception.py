# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is seen is what MediaPipe 0.10.21 saw, and does not depend on who else looks.

tests/data/mediapipe_reference.safetensors is MediaPipe's own output on the synthetic performer
(backend/tools/perception_against_mediapipe.py --reference).
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from portraitgen.footage.plate import open_plate
from portraitgen.perception.body_pose import BodyPose
from portraitgen.perception.detector import Detector
from portraitgen.perception.face_mesh import FaceMesh
from portraitgen.perception.hands import Hands
from portraitgen.perception.person_mask import PersonMask
from portraitgen.perception.region import Region, turn_between
from portraitgen.tensors import load_arrays

DATA = Path(__file__).resolve().parents[1] / "data"


@pytest.fixture(scope="module")
def known() -> dict[str, np.ndarray]:
    return load_arrays(DATA / "mediapipe_reference.safetensors")


@pytest.fixture(scope="module")
def images(known: dict[str, np.ndarray]) -> list[np.ndarray]:
    plate = open_plate(DATA / "performer.mp4")
    frames = plate.numbers[: len(known["mesh"])]
    found = [image for _, image in plate.frames_uint8(frames)]
    plate.close()
    assert max(found[0].shape[:2]) <= 640
    return found


def test_faces_are_found_where_mediapipe_finds_them(
    images: list[np.ndarray], known: dict[str, np.ndarray]
) -> None:
    detector = Detector("face_detector_full", 0.6)
    for image, box in zip(images, known["boxes"], strict=True):
        found = detector(image)
        assert np.abs(found.boxes[0] - box).max() < 0.01 * box[2]
        assert (np.diff(found.scores) <= 0).all()


def test_the_face_mesh_is_mediapipes_within_a_thousandth_of_the_eye_distance(
    images: list[np.ndarray], known: dict[str, np.ndarray]
) -> None:
    mesh = FaceMesh(0.3, 0.4)
    for image, points in zip(images, known["mesh"], strict=True):
        eyes = float(np.linalg.norm(points[33] - points[263]))
        seen = mesh.read(image)
        assert seen is not None and seen.shape == (478, 2)
        error = np.linalg.norm(seen - points, axis=1)
        assert error.mean() < 0.001 * eyes
        # Lips, lids and irises come from networks of their own.
        assert error[[13, 14, 159, 145, 386, 374, 468, 473]].max() < 0.003 * eyes


def test_the_body_is_mediapipes_within_its_noise(
    images: list[np.ndarray], known: dict[str, np.ndarray]
) -> None:
    body = BodyPose()
    for image, points in zip(images, known["body"], strict=True):
        seen = body.read(image)
        assert seen is not None
        upper = slice(0, 13)
        wide = np.linalg.norm(points[11, :2] - points[12, :2])
        error = np.linalg.norm(seen[upper, :2] - points[upper, :2], axis=1).mean()
        assert error < 0.02 * wide
        assert np.abs(seen[upper, 2] - points[upper, 2]).max() < 0.05


def test_the_mask_of_a_person_is_mediapipes(
    images: list[np.ndarray], known: dict[str, np.ndarray]
) -> None:
    mask = PersonMask()
    for image, theirs in zip(images, known["mask"], strict=True):
        assert np.abs(cv2.resize(mask.read(image), (64, 64)) - theirs).mean() < 0.002


def test_nobody_is_seen_in_an_empty_picture() -> None:
    empty = np.full((240, 320, 3), 90, np.uint8)
    assert len(Detector("face_detector_full", 0.6)(empty).boxes) == 0
    assert FaceMesh(0.3, 0.4).read(empty) is None
    assert BodyPose().read(empty) is None
    assert Hands().read(empty) == []
    assert PersonMask().read(empty).shape == (240, 320)


def test_a_face_that_is_lost_is_searched_for_again(images: list[np.ndarray]) -> None:
    mesh = FaceMesh(0.3, 0.4)
    first = mesh.read(images[0])
    assert first is not None
    assert mesh.read(np.zeros_like(images[0])) is None
    again = mesh.read(images[0])
    assert again is not None and np.array_equal(first, again)


def test_what_is_seen_has_the_same_bits_beside_others_and_alone(images: list[np.ndarray]) -> None:
    def seen(_: int) -> list[np.ndarray | None]:
        mesh, body = FaceMesh(0.3, 0.4), BodyPose()
        return [each for image in images for each in (mesh.read(image), body.read(image))]

    alone = seen(0)
    with ThreadPoolExecutor(3) as pool:
        for beside in pool.map(seen, range(3)):
            assert all(
                one is not None and other is not None and np.array_equal(one, other)
                for one, other in zip(alone, beside, strict=True)
            )


def test_a_region_and_its_picture_lead_into_each_other() -> None:
    image = np.zeros((120, 160, 3), np.uint8)
    image[70, 110] = 255
    region = Region(100, 60, 80, 80, 0.6)
    cropped = region.crop(image, 160)[0, ..., 0]
    y, x = np.unravel_index(int(cropped.argmax()), cropped.shape)
    place = region.in_picture(np.array([[x, y]]) / 160)
    assert np.linalg.norm(place - (110, 70)) < 1.0


def test_a_square_is_moved_along_its_own_axis_and_turned_upright() -> None:
    lying = Region(50, 40, 20, 10, np.pi / 2).square(2.0, down=1.0)
    assert lying.width == lying.height == 40
    assert np.allclose((lying.x, lying.y), (40, 40))
    up = turn_between(np.array([0.0, 10.0]), np.array([0.0, 0.0]), np.pi / 2)
    assert abs(up) < 1e-6


def test_regions_apart_do_not_overlap_and_equal_ones_do() -> None:
    region = Region(10, 10, 4, 4)
    assert region.overlap(region) == pytest.approx(1.0)
    assert region.overlap(Region(20, 10, 4, 4)) == 0.0
