# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plates of several shots, several people, or faces that are not found: said in so many words."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from portraitgen.errors import OptionError, TrackingError
from portraitgen.footage.plate import open_plate
from portraitgen.pipeline.data.shots import create_shot
from portraitgen.pipeline.jobs.track import performer_points
from portraitgen.pipeline.requests.faces import faces_of
from portraitgen.tracking.face_follower import FaceFollower
from portraitgen.tracking.landmarks import ChunkLandmarks, LandmarkDetector, Pictures
from portraitgen.tracking.no_face import why_no_face
from portraitgen.tracking.shot_parts import find_dissolves, other_faces, performer_part

CLIP = Path(__file__).resolve().parents[1] / "data" / "performer.mp4"


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    plate = open_plate(CLIP)
    return [image for _, image in plate.frames_uint8(range(1, 9))]


@pytest.fixture(scope="module")
def detector() -> LandmarkDetector:
    return LandmarkDetector()


def _bars(size: tuple[int, ...], count: int) -> list[np.ndarray]:
    colours = np.array([(191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191)])
    columns = np.arange(size[1]) * 5 // size[1]
    return [np.tile(colours[columns].astype(np.uint8), (size[0], 1, 1))] * count


def _seen(detector: LandmarkDetector, images: list[np.ndarray]) -> ChunkLandmarks:
    return detector.find(range(1, len(images) + 1), Pictures.of(images), None)


def test_bars_at_the_head_are_left_and_the_part_with_the_face_is_tracked(
    images: list[np.ndarray], detector: LandmarkDetector
) -> None:
    seen, notes = performer_part(_seen(detector, _bars(images[0].shape, 5) + images[:7]))
    assert seen.frames.tolist() == list(range(6, 13))
    assert "parts are 1-5, 6-12; 6-12 shows the face and is tracked" in notes[0]


def test_other_faces_beside_the_one_that_is_tracked_are_told(
    images: list[np.ndarray], detector: LandmarkDetector
) -> None:
    assert other_faces(_seen(detector, images)) == []
    both = [np.hstack([image, image[:, ::-1]]) for image in images]
    seen = _seen(detector, both)
    (note,) = other_faces(seen)
    assert f"{len(both)} of {len(both)} frames show other faces" in note
    left, top, width, height = seen.box[0]
    assert f"at {left + width / 2:.0f}, {top + height / 2:.0f} in frame 1" in note
    seen.others[1:] = 0
    assert other_faces(seen) == []


def test_several_parts_with_faces_are_all_named(
    images: list[np.ndarray], detector: LandmarkDetector
) -> None:
    other = [255 - np.ascontiguousarray(image[:, ::-1]) // 3 for image in images]
    seen = _seen(detector, _bars(images[0].shape, 4) + images[:5] + other[:7])
    if np.isnan(seen.box[9:, 0]).all():
        seen.box[9:] = seen.box[5]
    with pytest.raises(TrackingError) as caught:
        performer_part(seen)
    assert "its parts are 1-4, 5-9, 10-16, and 5-9, 10-16 show a face" in str(caught.value)
    assert "--frames 10-16" in str(caught.value)


def test_a_dissolve_is_told_from_cuts_and_motion() -> None:
    generator = np.random.default_rng(0)
    first, second = (
        cv2.resize(generator.integers(0, 255, (9, 16, 3)).astype(np.uint8), (64, 36)) for _ in "ab"
    )
    frames = np.arange(1001, 1041)
    share = np.clip((np.arange(40) - 12) / 12, 0, 1)[:, None, None, None]
    dissolve = (first * (1 - share) + second * share).astype(np.uint8)
    ((low, high),) = find_dissolves(frames, dissolve)
    assert 1011 <= low <= 1015 and 1023 <= high <= 1027
    cut = np.concatenate([np.repeat(first[None], 20, 0), np.repeat(second[None], 20, 0)])
    assert find_dissolves(frames, cut) == []
    wide = cv2.resize(generator.integers(0, 255, (9, 60, 3)).astype(np.uint8), (240, 36))
    pan = np.stack([wide[:, 4 * step : 4 * step + 64] for step in range(40)])
    assert find_dissolves(frames, pan) == []


def test_a_clip_that_moves_has_no_dissolve(
    images: list[np.ndarray], detector: LandmarkDetector
) -> None:
    assert performer_part(_seen(detector, images))[1] == []


@pytest.mark.parametrize(("turns", "words"), [(2, "upside down"), (1, "on its side")])
def test_a_turned_face_is_said_to_be_turned(
    images: list[np.ndarray], detector: LandmarkDetector, turns: int, words: str
) -> None:
    turned = np.ascontiguousarray(np.rot90(images[0], turns))
    what, remedy = why_no_face([turned], detector.faces, detector.surest)
    assert what == words and "turn the plate" in remedy


def test_a_face_too_small_to_be_found_is_said_to_be_small(
    images: list[np.ndarray], detector: LandmarkDetector
) -> None:
    small = cv2.resize(images[0], (56, 56), interpolation=cv2.INTER_AREA)
    scene = np.full((900, 1600, 3), 110, np.uint8)
    scene[400:456, 700:756] = small
    assert not len(detector.faces(cv2.resize(scene, (640, 360), interpolation=cv2.INTER_AREA)))
    what, remedy = why_no_face([scene], detector.faces, detector.surest)
    assert what.startswith("too small (about ") and "enlarge" in remedy


def test_an_empty_plate_is_not_said_to_hold_a_face(detector: LandmarkDetector) -> None:
    scene = np.tile(np.linspace(40, 200, 320, dtype=np.uint8)[None, :, None], (180, 1, 3))
    assert why_no_face([scene], detector.faces, detector.surest) == ("", "")


def test_a_large_face_is_never_called_too_small() -> None:
    """Half a face that only enlarged pieces show."""
    image = np.zeros((512, 220, 3), np.uint8)

    def find(seen: np.ndarray, at: float) -> np.ndarray:
        whole = seen.shape[0] == seen.shape[1]
        return np.array([[at, 200.0, 160.0, 160.0]]) if not whole else np.zeros((0, 4))

    cut, remedy = why_no_face([image], lambda seen: find(seen, 0.0), lambda seen: 0.0)
    assert "edge" in cut and "whole face" in remedy


def test_the_performer_is_the_one_pointed_at(
    images: list[np.ndarray], detector: LandmarkDetector
) -> None:
    pairs = [np.hstack([image, image[:, ::-1]]) for image in images[:3]]
    width = images[0].shape[1]
    pictures = Pictures.of(pairs)
    for side in (0, 1):
        point = (width * (0.5 + side), 0.45 * pairs[0].shape[0])
        found = detector.find([1, 2, 3], pictures, None, {1: point})
        centre = found.box[:, 0] + found.box[:, 2] / 2
        assert ((centre > width) == bool(side)).all()
    with pytest.raises(TrackingError, match="there is no face at 3,3"):
        detector.find([1, 2, 3], pictures, None, {2: (3, 3)})


def test_people_are_counted_in_a_shots_own_frames(tmp_path: Path, images: list[np.ndarray]) -> None:
    """A part with one person was said to show all that the rest of the plate does."""
    size = (240, 480)
    alone = [np.full((*size, 3), 96, np.uint8) for _ in range(4)]
    two = [each.copy() for each in alone]
    for row in range(4):
        face = cv2.resize(images[row], (240, 240), interpolation=cv2.INTER_AREA)
        alone[row][:, :240] = two[row][:, :240] = face
        two[row][:, 240:] = face[:, ::-1]
    for number, picture in enumerate(alone + two, 1):
        cv2.imwrite(str(tmp_path / f"plate.{number:04d}.png"), picture[..., ::-1])
    shot = create_shot(tmp_path / "shot", tmp_path / "plate.0001.png", {})
    assert [len(faces_of(shot, span=span)[1]) for span in ((1, 4), (5, 8))] == [1, 2]
    assert len(faces_of(shot)[1]) == 2 and faces_of(shot, 2) == faces_of(shot, 2, (5, 8))


def _crossing(images: list[np.ndarray], count: int, behind: bool) -> tuple[list, np.ndarray]:
    """Two people who cross, and where the first one's face is in each frame; he goes to the right
    before or behind the other, who is of other colours."""
    heads = [
        cv2.resize(each, (200, 200), interpolation=cv2.INTER_AREA)[:, 30:170] for each in images
    ]
    others = [np.ascontiguousarray(each[:, ::-1, ::-1]) for each in heads]
    pictures, centres = [], []
    for row in range(count):
        scene = np.full((240, 640, 3), 96, np.uint8)
        left = round(20 + 460 * row / (count - 1))
        right = 500 - left
        one, other = heads[row % len(heads)], others[row % len(heads)]
        pairs = [(left, one), (right, other)]
        for x, head in pairs if behind else pairs[::-1]:
            scene[20:220, x : x + 140] = head
        pictures.append(scene)
        centres.append(left + 70)
    return pictures, np.array(centres)


@pytest.mark.parametrize("behind", [True, False])
def test_who_crosses_another_stays_who_they_are(
    images: list[np.ndarray], detector: LandmarkDetector, behind: bool
) -> None:
    pictures, centres = _crossing(images, 31, behind)
    follower = FaceFollower()
    point = {1: (float(centres[0]), 100.0)}
    seen = detector.find(range(1, 32), Pictures.of(pictures), follower, point)
    found = ~np.isnan(seen.box[:, 0])
    away = np.abs(seen.box[:, 0] + seen.box[:, 2] / 2 - centres)
    assert away[found].max() < 40, "another's face is never taken for the performer's"
    assert found[:11].all() and found[-9:].all()
    if not behind:
        assert found.sum() >= 27


def test_who_leaves_and_comes_back_is_known_again(
    images: list[np.ndarray], detector: LandmarkDetector
) -> None:
    pictures, centres = _crossing(images, 31, False)
    alone = [picture.copy() for picture in pictures]
    for row in range(12, 20):
        alone[row][:] = 96
    seen = detector.find(
        range(1, 32), Pictures.of(alone), FaceFollower(), {1: (float(centres[0]), 100.0)}
    )
    found = ~np.isnan(seen.box[:, 0])
    away = np.abs(seen.box[:, 0] + seen.box[:, 2] / 2 - centres)
    assert not found[12:20].any() and found[-6:].all() and away[found].max() < 40


def test_who_takes_the_performer_s_place_is_not_the_performer(
    images: list[np.ndarray], detector: LandmarkDetector
) -> None:
    pictures = [images[row % 8] for row in range(6)] + [np.full_like(images[0], 96)] * 12
    pictures += [np.ascontiguousarray(images[row % 8][:, :, ::-1]) for row in range(6)]
    pictures += [np.full_like(images[0], 96)] * 2 + [images[0]] * 2
    seen = detector.find(range(len(pictures)), Pictures.of(pictures), FaceFollower())
    found = ~np.isnan(seen.box[:, 0])
    assert found[:6].all() and not found[6:26].any() and found[26:].all()
    assert (seen.others[18:24] == 1).all()


def test_a_face_cut_by_the_picture_s_edge_is_found_or_said_to_be_cut(
    images: list[np.ndarray], detector: LandmarkDetector
) -> None:
    box = detector.faces(images[0])[0]
    left, top, wide, high = (round(float(each)) for each in box)
    said = 0
    for share in (0.15, 0.3, 0.45, 0.6):
        for cut in (
            images[0][:, left + round(share * wide) :],
            images[0][:, : left + round((1 - share) * wide)],
            images[0][top + round(share * high) :],
            images[0][: top + round((1 - share) * high)],
        ):
            cut = np.ascontiguousarray(cut)
            if len(detector.faces(Pictures.of([cut]).smaller[0])):
                continue
            what, remedy = why_no_face([cut], detector.faces, detector.surest)
            said += what == "cut by the picture's edge" and "whole face" in remedy
            assert what in ("cut by the picture's edge", ""), (share, what)
    assert said


def test_a_performer_s_points_are_read() -> None:
    frames = range(-3, 100)
    assert performer_points("12:640,300.5; -3:1,2", frames) == {12: (640.0, 300.5), -3: (1.0, 2.0)}
    assert performer_points("", frames) == {}
    for wrong in ("12", "200:1,2", "a:1,2", "12:1"):
        with pytest.raises(OptionError, match="FRAME:X,Y"):
            performer_points(wrong, frames)
