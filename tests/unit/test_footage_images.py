# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image sequences and photos: found, numbered, read and written back to the bit."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import OpenImageIO as oiio  # noqa: N813
import pytest
from footage_media import number_of, numbered, write_image

from portraitgen.errors import FootageError
from portraitgen.footage.image import read_image
from portraitgen.footage.plate import Plate, open_plate
from portraitgen.footage.plate_files import write_plate


def _sequence(folder: Path, numbers: range, name: str = "plate.{:04d}.png") -> Path:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        write_image(folder / name.format(number), numbered(number % 251))
    return folder


@pytest.mark.parametrize(
    "given",
    ["", "plate.####.png", "plate.#.png", "plate.%04d.png", "plate.*.png", "plate.1003.png"],
)
def test_a_sequence_is_found_however_it_is_named_and_keeps_its_numbers(
    tmp_path: Path, given: str
) -> None:
    folder = _sequence(tmp_path / "seq", range(1001, 1007))
    write_image(tmp_path / "seq" / "plate_v2.png", numbered(9)) if given else None
    plate = open_plate(folder / given)
    assert (plate.kind, plate.first, plate.last) == ("sequence", 1001, 1006)
    assert number_of(plate.read(1004)) == 1004 % 251
    assert [frame for frame, _ in plate.frames()] == list(range(1001, 1007))


def test_numbers_without_padding_are_in_numeric_order(tmp_path: Path) -> None:
    plate = open_plate(_sequence(tmp_path / "seq", range(8, 12), "f{}.png"))
    assert [number_of(image) for _, image in plate.frames()] == [8, 9, 10, 11]


def test_a_single_image_is_a_still_of_one_frame(tmp_path: Path) -> None:
    photo = write_image(tmp_path / "portrait.png", numbered(5))
    plate = open_plate(photo)
    assert (plate.kind, plate.first, plate.last, plate.fps) == ("still", 1, 1, 24)
    assert number_of(plate.read(1)) == 5
    assert open_plate(photo, first=77).read(77).shape == (64, 128, 3)


def test_a_camera_s_numbered_photo_is_no_sequence(tmp_path: Path) -> None:
    for number in (2041, 2042):
        write_image(tmp_path / f"IMG_{number}.jpg", numbered(1), Make="Camera")
    assert open_plate(tmp_path / "IMG_2041.jpg").kind == "still"
    assert open_plate(tmp_path / "IMG_####.jpg").last == 2042


def test_a_turned_photo_is_upright(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    upright = {
        1: image, 2: image[:, ::-1], 3: image[::-1, ::-1], 4: image[::-1],
        5: image.transpose(1, 0, 2), 6: np.rot90(image, -1),
        7: image[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(image),
    }  # fmt: skip
    for orientation, expected in upright.items():
        path = write_image(
            tmp_path / f"turned_{'x' * orientation}.tif", image, Orientation=orientation
        )
        plate = open_plate(path)
        assert (plate.height, plate.width) == expected.shape[:2]
        assert np.array_equal(plate.read_uint8(1), expected), orientation


def _noise(kind: str, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(3)
    if kind == "uint8":
        return rng.integers(0, 256, (24, 32, channels)).astype(np.uint8)
    if kind == "uint16":
        return rng.integers(0, 65536, (24, 32, channels)).astype(np.uint16)
    values = (rng.random((24, 32, channels)) * 12 - 2).astype(kind)
    values[0, 0] = 0
    return values


@pytest.mark.parametrize(
    ("suffix", "kind", "channels"),
    [
        (".exr", "float16", 3), (".exr", "float16", 4), (".exr", "float32", 3),
        (".tif", "uint8", 3), (".tif", "uint16", 4), (".tif", "float32", 3),
        (".png", "uint8", 3), (".png", "uint8", 4), (".png", "uint16", 4), (".png", "uint16", 3),
        (".dpx", "uint8", 3), (".dpx", "uint16", 3),
    ],
)  # fmt: skip
def test_what_is_not_edited_comes_back_bit_identical(
    tmp_path: Path, suffix: str, kind: str, channels: int
) -> None:
    path = write_image(tmp_path / f"plate{suffix}", _noise(kind, channels))
    plate = open_plate(path)
    native = plate.read_native(1)
    assert np.array_equal(native.pixels, _noise(kind, channels))
    where = np.zeros((24, 32), bool)
    where[4:9, 5:12] = True
    edited = native.replaced(np.full((24, 32, 3), 0.25, np.float32), where)
    written = write_plate(tmp_path / "out.0001", edited, plate)
    assert written.suffix == suffix
    again = read_image(written)
    assert again.pixels.dtype == native.pixels.dtype
    assert np.array_equal(again.pixels[~where], native.pixels[~where])
    assert np.array_equal(again.pixels[where][:, 3:], native.pixels[where][:, 3:])
    full = {"uint8": 255, "uint16": 65535}.get(kind, 1)
    assert np.abs(again.pixels[where][:, :3] / full - 0.25).max() < 0.003


@pytest.mark.parametrize("bits", [10, 12])
def test_every_code_of_a_deep_dpx_survives(tmp_path: Path, bits: int) -> None:
    count = 1 << bits
    codes = np.arange(count, dtype=np.float64)
    ramp = np.rint(codes / (count - 1) * 65535).astype(np.uint16)
    pixels = np.repeat(np.tile(ramp, (4, 1))[..., None], 3, axis=2)
    path = write_image(tmp_path / "ramp.dpx", pixels, oiio__BitsPerSample=bits)
    plate = open_plate(path)
    assert plate.bit_depth == bits
    encoded = plate.read_native(1).encoded()
    assert np.array_equal(np.rint(encoded[0, :, 0] * (count - 1)), codes)
    where = np.zeros(pixels.shape[:2], bool)
    where[0] = True
    # An edit that says what was there already must give the same codes, too.
    written = write_plate(
        tmp_path / "out", plate.read_native(1).replaced(encoded.copy(), where), plate
    )
    again = open_plate(written)
    assert again.bit_depth == bits
    assert np.array_equal(again.read_native(1).pixels, plate.read_native(1).pixels)


def test_an_exr_keeps_its_layers_types_and_facts(tmp_path: Path) -> None:
    names = ("R", "G", "B", "A", "depth.Z")
    spec = oiio.ImageSpec(32, 24, 5, "float")
    spec.channelnames = names
    spec.channelformats = tuple(oiio.TypeDesc(k) for k in ("half",) * 4 + ("float",))
    spec.attribute("FramesPerSecond", oiio.TypeDesc("rational"), (24000, 1001))
    spec.attribute("chromaticities", oiio.TypeDesc("float[8]"),
                   (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767))  # fmt: skip
    spec.attribute("camera/lens", "50mm")
    pixels = _noise("float32", 5)
    pixels[..., :4] = pixels[..., :4].astype(np.float16)
    output = oiio.ImageOutput.create("x.exr")
    path = tmp_path / "plate.1001.exr"
    assert output.open(str(path), spec) and output.write_image(pixels)
    output.close()
    plate = open_plate(path)
    assert plate.fps == Fraction(24000, 1001)
    assert plate.colour_space == "ACEScg"
    native = plate.read_native(plate.first)
    written = write_plate(tmp_path / "out.1001", native, plate)
    again = read_image(written)
    assert again.channels == native.channels and again.formats == native.formats
    assert sorted(again.formats) == ["float"] + ["half"] * 4
    assert np.array_equal(again.pixels, native.pixels)
    for name in ("camera/lens", "chromaticities", "FramesPerSecond"):
        assert again.attributes[name] == native.attributes[name]


def test_overscan_is_left_out_and_short_data_windows_are_filled(tmp_path: Path) -> None:
    pixels = _noise("float32")
    for shift in (-4, 4):
        spec = oiio.ImageSpec(32, 24, 3, "float")
        spec.x, spec.y = shift, shift
        spec.full_width, spec.full_height = 24, 16
        path = tmp_path / "scan.exr"
        output = oiio.ImageOutput.create("x.exr")
        assert output.open(str(path), spec) and output.write_image(pixels)
        output.close()
        shown = open_plate(path).read_native(1).pixels
        assert shown.shape == (16, 24, 3)
        if shift < 0:
            assert np.array_equal(shown, pixels[4:20, 4:28])
        else:
            assert np.array_equal(shown[4:, 4:], pixels[:12, :20])
            assert not shown[:4].any()


def test_a_grey_plate_is_read_as_colour(tmp_path: Path) -> None:
    grey = _noise("uint8", 1)
    plate = open_plate(write_image(tmp_path / "grey.png", grey))
    assert np.array_equal(plate.read_uint8(1), np.repeat(grey, 3, axis=2))


def test_a_sequence_notices_that_a_frame_was_replaced(tmp_path: Path) -> None:
    folder = _sequence(tmp_path / "seq", range(1, 5))
    facts = open_plate(folder).record()
    folder.rename(tmp_path / "moved")
    assert Plate.reopen(facts, tmp_path / "moved").last == 4
    write_image(tmp_path / "moved" / "plate.0003.png", numbered(77))
    with pytest.raises(FootageError, match="has changed"):
        Plate.reopen(facts, tmp_path / "moved")


def _sentence(path: Path) -> str:
    with pytest.raises(FootageError) as caught:
        open_plate(path)
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text
    return text


def test_bad_sequences_are_refused_in_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    folder.mkdir()
    (folder / "readme.txt").write_text("nothing")
    assert "holds no images" in _sentence(folder)
    gaps = _sequence(tmp_path / "gaps", range(1001, 1012))
    for number in (1003, 1006, 1007, 1008):
        (gaps / f"plate.{number}.png").unlink()
    assert "frame 1003, 1006 to 1008 missing" in _sentence(gaps)
    assert "1003" in _sentence(gaps / "plate.1001.png")
    mixed = _sequence(tmp_path / "mixed", range(1, 4))
    write_image(mixed / "plate.0004.png", numbered(4, 64, 64))
    assert "plate.0004.png is 64 x 64 but plate.0001.png is 128 x 64" in _sentence(mixed)
    two = _sequence(tmp_path / "two", range(1, 3))
    _sequence(two, range(1, 3), "other.{:04d}.png")
    assert "several sequences" in _sentence(two)
    twice = _sequence(tmp_path / "twice", range(1, 3))
    write_image(twice / "plate.01.png", numbered(1))
    assert "the same number" in _sentence(twice)
    assert "no image matches" in _sentence(two / "absent.####.png")
    assert "no such folder" in _sentence(tmp_path / "absent" / "x.####.png")


def test_bad_images_are_refused_in_one_sentence(tmp_path: Path) -> None:
    empty = tmp_path / "empty.exr"
    empty.touch()
    assert "is empty" in _sentence(empty)
    text = tmp_path / "text.png"
    text.write_text("no picture at all")
    assert "cannot be read" in _sentence(text)
    log = write_image(tmp_path / "log.dpx", _noise("uint16"), dpx__Transfer="Printing density")
    assert any("logarithmic" in note for note in open_plate(log).notes)
    for suffix in (".png", ".exr", ".tif", ".jpg", ".dpx"):
        kind = {".exr": "float16", ".dpx": "uint16"}.get(suffix, "uint8")
        whole = write_image(tmp_path / f"whole{suffix}", _noise(kind))
        cut_off = tmp_path / f"cut_off{suffix}"
        cut_off.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
        with pytest.raises(FootageError, match=r"damaged or cut off|cannot be read"):
            open_plate(cut_off).read(1)
