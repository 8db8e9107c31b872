# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders of pairs as artists send them: whatever of them is not learned from is told."""

from pathlib import Path

import cv2
import numpy as np
import OpenImageIO
import pytest
from made_looks import face, write
from PIL import Image
from reporters import Noting

from portraitgen.editing.looks.alignment import misplacement
from portraitgen.editing.looks.learning import Learner, Pair
from portraitgen.editing.looks.look_file import LookFacts
from portraitgen.errors import EditError, FootageError
from portraitgen.footage import colour
from portraitgen.footage.colour_arithmetic import srgb_decode
from portraitgen.pipeline.data.look_pairs import pairs_in_folder


def edited(before: np.ndarray) -> np.ndarray:
    return (before * [1.0, 0.7, 0.4]).astype(np.uint8)


def write_pair(folder: Path, name: str, after: np.ndarray) -> None:
    write(folder / "before", name, face())
    write(folder / "after", name, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("BEFORE/One.PNG", "After/one.png"),
        ("one before.png", "one after.png"),
        ("one (before).png", "one (after).png"),
        ("before_one.png", "after_one.png"),
        ("one.before.1001.png", "one.after.1001.png"),
        ("before.png", "after.png"),
        ("in.png", "out.png"),
        ("plate_a.png", "plate_b.png"),
        ("original/one.png", "edited/one.png"),
        ("before/one_before.png", "after/one_after.png"),
        ("before/plate.1001.png", "after/comp.1001.png"),
        ("before/one_a.png", "after/one_a.png"),
        ("before/comp.png", "after/comp.png"),
    ],
)
def test_names_say_which_of_a_pair_a_picture_is(tmp_path: Path, before: str, after: str) -> None:
    for name, shown in ((before, face()), (after, edited(face()))):
        path = tmp_path / name
        write(path.parent, path.name, shown)
    notes = Noting()
    assert len(pairs_in_folder(tmp_path, notes)) == 1 and not notes.notes


def test_pictures_that_are_called_as_parts_of_pairs_are_and_have_no_other_are_left_out(
    tmp_path: Path,
) -> None:
    write_pair(tmp_path, "one.png", edited(face()))
    names = ("comp_v003.png", "plate_sheet.png", "mask_old.png", "ann_b.png")
    for name in names:
        write(tmp_path, name, face())
    notes = Noting()
    assert len(pairs_in_folder(tmp_path, notes)) == 1
    assert all(name in notes.notes[0] for name in names)
    write(tmp_path, "eve.after.png", face())
    with pytest.raises(EditError, match="'eve' has no picture before"):
        pairs_in_folder(tmp_path, notes)


def test_pictures_whose_names_differ_are_told_what_to_do(tmp_path: Path) -> None:
    write(tmp_path / "before", "ann.png", face())
    write(tmp_path / "after", "bob.png", edited(face()))
    with pytest.raises(EditError, match="'ann' has no picture after; give .* the same name"):
        pairs_in_folder(tmp_path, Noting())


def write_exr(path: Path, light: np.ndarray, **attributes: object) -> None:
    specification = OpenImageIO.ImageSpec(256, 256, light.shape[2], OpenImageIO.HALF)
    for name, value in attributes.items():
        specification.attribute(name, value)
    path.parent.mkdir(exist_ok=True)
    opened = OpenImageIO.ImageOutput.create(str(path))
    assert opened.open(str(path), specification)
    opened.write_image(np.ascontiguousarray(light, np.float32))
    opened.close()


def linear(codes: np.ndarray) -> np.ndarray:
    return srgb_decode(codes / np.float32(255))


_OVAL = cv2.ellipse(np.zeros((256, 256), np.float32), (128, 140), (70, 110), 0, 0, 360, 1.0, -1)


@pytest.mark.parametrize("alpha", ["none", "of a matte", "of a cut-out"])
def test_colours_are_divided_by_an_alpha_that_they_were_multiplied_by_alone(
    tmp_path: Path, alpha: str
) -> None:
    """Plates that were written with an alpha of 0 were learned from as white, and a cut-out's
    nothing as black."""
    light = linear(edited(face()))
    matte = 0 * _OVAL if alpha == "none" else cv2.GaussianBlur(_OVAL, (0, 0), 5)
    if alpha == "of a cut-out":
        light = light * matte[..., None]
    write_exr(tmp_path / "before" / "one.exr", linear(face()))
    write_exr(tmp_path / "after" / "one.exr", np.dstack([light, matte]))
    notes = Noting()
    (found,) = pairs_in_folder(tmp_path, notes)
    inside = found.cover > 0.1
    assert np.abs(found.after - edited(face()) / 255)[inside].mean() < 0.005
    told = "its alpha is not used" if alpha == "none" else "nothing is learned where it is transp"
    assert told in " ".join(notes.notes)
    assert bool(found.cover[matte < 0.01].max() > 0.5) == (alpha == "none")


def test_what_is_assumed_of_pictures_is_told_once_for_all_of_them(tmp_path: Path) -> None:
    """Of CMYK, of pages and layers that are left out, and of infinite pixels nothing was told."""
    for name in ("one", "two"):
        write_exr(tmp_path / "before" / f"{name}.exr", linear(face()), compression="dwaa")
        (tmp_path / "after").mkdir(exist_ok=True)
        picture = Image.fromarray(edited(face())).convert("CMYK")
        picture.save(tmp_path / "after" / f"{name}.jpg", quality=95)
    notes = Noting()
    pairs_in_folder(tmp_path, notes)
    first, second = notes.notes
    assert first.startswith("before/one.exr, before/two.exr: the images name no primaries")
    assert second.startswith("after/one.jpg, after/two.jpg: the image is in CMYK")


@pytest.mark.parametrize("mask", ["inverted", "in a corner", "of the face", "whole"])
def test_a_mask_that_lies_beside_the_performer_is_told(tmp_path: Path, mask: str) -> None:
    write_pair(tmp_path, "one.png", edited(face()))
    drawn = {
        "inverted": 1 - _OVAL,
        "in a corner": np.pad(np.ones((40, 40)), ((0, 216), (0, 216))),
        "of the face": _OVAL,
        "whole": np.ones((256, 256)),
    }[mask]
    write(tmp_path / "mask", "one.png", np.dstack([np.uint8(255 * drawn)] * 3))
    notes = Noting()
    pairs_in_folder(tmp_path, notes)
    told = any("the mask lies beside the performer" in each for each in notes.notes)
    assert told == (mask in ("inverted", "in a corner"))


def test_pairs_are_read_in_the_colour_space_that_their_user_names(tmp_path: Path) -> None:
    """Log pictures that name no camera are told to have one named, which no option did."""
    codes = {}
    for part, picture in (("before", face()), ("after", edited(face()))):
        codes[part] = 0.24719 * np.log10(5.555556 * linear(picture) + 0.052272) + 0.385537
        write_exr(tmp_path / part / "one.exr", codes[part])
    space = colour.resolve("LogC3")
    (found,) = pairs_in_folder(tmp_path, Noting(), "LogC3")
    for part, read in (("before", found.before), ("after", found.after)):
        wanted = colour.to_display(codes[part].astype(np.float32), space)
        assert np.abs(read - wanted.clip(0, 1)).max() < 0.01
    with pytest.raises(FootageError, match="is unknown"):
        pairs_in_folder(tmp_path, Noting(), "Log C 99")


def test_pixels_that_are_wider_than_high_are_squared_as_plates_are(tmp_path: Path) -> None:
    """A look of squeezed pictures was worn on pictures that are not."""
    for part, picture in (("before", face()), ("after", edited(face()))):
        squeezed = np.repeat(linear(cv2.resize(picture, (128, 256))), 2, axis=1)[:, ::2]
        squeezed = np.pad(squeezed, ((0, 0), (64, 64), (0, 0)))
        write_exr(tmp_path / part / "one.exr", squeezed, PixelAspectRatio=2.0)
    (found,) = pairs_in_folder(tmp_path, Noting())
    assert found.before.shape == found.after.shape == found.cover.shape + (3,) == (128, 256, 3)


def test_how_large_the_performer_is_in_a_pair_is_known_by_the_face(tmp_path: Path) -> None:
    """A look of whole plates was worn on windows as if the performer was as large in them."""
    for name, side in (("close", 256), ("wide", 1024)):
        for part, picture in (("before", face()), ("after", edited(face()))):
            whole = np.full((side, side, 3), 90, np.uint8)
            whole[-256:, :256] = picture
            write(tmp_path / part, f"{name}.png", whole)
    close, wide = pairs_in_folder(tmp_path, Noting())
    assert 0.8 < wide.scale / close.scale < 1.25
    taught = Learner([wide], 1.0)
    assert taught.look(LookFacts(name="one")).facts.scale == wide.scale


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
