# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders of pairs as artists send them: whatever of them is not learned from is told."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from made_looks import face, write
from PIL import Image
from reporters import Noting

from portraitgen.editing.looks.alignment import misplacement
from portraitgen.editing.looks.learning import Pair
from portraitgen.pipeline.data.look_pairs import pairs_in_folder


def edited(before: np.ndarray) -> np.ndarray:
    return (before * [1.0, 0.7, 0.4]).astype(np.uint8)


def write_pair(folder: Path, name: str, after: np.ndarray) -> None:
    write(folder / "before", name, face())
    write(folder / "after", name, after)


def test_what_lies_deeper_or_in_other_files_and_folders_is_told(tmp_path: Path) -> None:
    write_pair(tmp_path, "one.png", edited(face()))
    for part in ("before", "after"):
        write(tmp_path / part / "close", "two.png", face())
        (tmp_path / part / "three.cr3").write_bytes(b"raw")
        (tmp_path / part / "Thumbs.db").write_bytes(b"of a system")
    write(tmp_path / "mattes", "one.png", face())
    notes = Noting()
    assert len(pairs_in_folder(tmp_path, notes)) == 1
    (told,) = notes.notes
    for name in ("before/close", "after/close", "before/three.cr3", "mattes/"):
        assert name in told
    assert "Thumbs.db" not in told


@pytest.mark.parametrize("suffix", ["tga", "avif", "jp2", "ppm"])
def test_pairs_are_of_all_kinds_of_pictures_that_plates_are(tmp_path: Path, suffix: str) -> None:
    for part, picture in (("before", face()), ("after", edited(face()))):
        (tmp_path / part).mkdir()
        Image.fromarray(picture).save(tmp_path / part / f"one.{suffix}")
    assert len(pairs_in_folder(tmp_path, Noting())) == 1


@pytest.mark.parametrize(
    ("moved", "told"),
    [
        (lambda after: np.roll(after, 16, 1), "lies 6 % of the picture's longer side beside it"),
        (lambda after: np.roll(after, -8, 0), "lies 3 %"),
        (lambda after: after[:, ::-1], "is mirrored"),
    ],
)
def test_pairs_whose_pictures_lie_beside_each_other_are_told(
    tmp_path: Path, moved: object, told: str
) -> None:
    """They were learned from without a word, and the look was soft."""
    assert callable(moved)
    write_pair(tmp_path, "one.png", np.ascontiguousarray(moved(edited(face()))))
    notes = Noting()
    pairs_in_folder(tmp_path, notes)
    assert len(notes.notes) == 1 and told in notes.notes[0]


def test_no_edit_that_leaves_things_in_place_is_told_to_have_moved_them() -> None:
    before = face().astype(np.float32) / 255
    cover = np.zeros(before.shape[:2], np.float32)
    cv2.ellipse(cover, (128, 140), (70, 100), 0, 0, 360, 1.0, -1)
    painted = cv2.circle(before.copy(), (128, 120), 30, (1, 0, 0), -1)
    edits = {
        "tinted": before * np.array([1, 0.7, 0.4], np.float32),
        "inverted": 1 - before,
        "soft": cv2.GaussianBlur(before, (0, 0), 6),
        "painted": painted,
        "black": 0 * before,
        "noise": np.random.default_rng(0).random(before.shape, np.float32),
    }
    for name, after in edits.items():
        assert not misplacement(Pair(name, before, after, cover)), name
