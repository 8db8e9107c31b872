# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images: parts and layers, windows, numbers that are none, orientation, and formats by content."""

import warnings
from pathlib import Path

import numpy as np
import OpenImageIO as oiio  # noqa: N813
import pytest

from portraitgen.errors import FootageError
from portraitgen.footage.image import read_image
from portraitgen.footage.plate import open_plate
from portraitgen.footage.plate_files import write_plate

Part = tuple[str, tuple[str, ...], np.ndarray]


def _noise(channels: int, seed: int = 0, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    return np.random.default_rng(seed).random((*size, channels)).astype(np.float16)


def write_exr(path: Path, *parts: Part, **facts: object) -> Path:
    """An EXR of named parts of half-float channels."""
    specs = []
    for name, channels, pixels in parts:
        spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], len(channels), "half")
        spec.channelnames = channels
        spec.attribute("compression", str(facts.get("compression", "zip")))
        if len(parts) > 1:
            spec.attribute("oiio:subimagename", name)
        if "display" in facts:
            spec.x, spec.y = facts["origin"]
            spec.full_x, spec.full_y, spec.full_width, spec.full_height = facts["display"]
        if "chromaticities" in facts:
            spec.attribute(
                "chromaticities", oiio.TypeDesc("float[8]"), tuple(facts["chromaticities"])
            )
        if "interop" in facts:
            spec.attribute("colorInteropID", facts["interop"])
        specs.append(spec)
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), tuple(specs) if len(specs) > 1 else specs[0])
    for number, (_, _, pixels) in enumerate(parts):
        if number:
            assert output.open(str(path), specs[number], "AppendSubimage")
        assert output.write_image(np.ascontiguousarray(pixels)), output.geterror()
    output.close()
    return path


RGB, RGBA = ("R", "G", "B"), ("R", "G", "B", "A")


def _layers(*names: str, last: str = "RGB") -> tuple[str, ...]:
    return tuple(f"{name}.{letter}" for name in names for letter in last)


@pytest.mark.parametrize(
    ("parts", "part", "first"),
    [
        ([("depth", ("Z",)), ("rgba", RGBA)], 1, 0),
        ([("diffuse", RGB), ("rgba", RGBA), ("depth", ("Z",))], 1, 0),
        ([("AO", RGB), ("Beauty", RGBA)], 1, 0),
        ([("right", RGB), ("left", RGB)], 1, 0),
        ([("rgba_main", RGBA), ("specular", RGB)], 0, 0),
        ([("normals", ("X", "Y", "Z")), ("C", RGB)], 1, 0),
        ([("", _layers("ViewLayer.AO", "ViewLayer.Combined"))], 0, 3),
        ([("", _layers("AlbedoRaw", "beauty", "zSpec"))], 0, 3),
        ([("", _layers("BG.Combined", "ViewLayer.Combined"))], 0, 3),
        ([("", (*_layers("ViewLayer.DiffCol"), *RGB))], 0, 3),
        ([("", _layers("ViewLayer.Combined", "ViewLayer.Shadow Catcher"))], 0, 0),
        ([("", ("red", "green", "blue"))], 0, 0),
    ],
)
def test_the_beauty_is_found_by_its_name(
    tmp_path: Path, parts: list[tuple[str, tuple[str, ...]]], part: int, first: int
) -> None:
    made = [
        (name, channels, _noise(len(channels), number))
        for number, (name, channels) in enumerate(parts)
    ]
    path = write_exr(tmp_path / "p.exr", *made)
    plate = open_plate(path)
    native = plate.read_native(1)
    # OpenEXR sorts channels by name; the values say which they are.
    wanted = made[part][2][..., first : first + 3].astype(np.float32)
    assert np.array_equal(native.encoded(), wanted)
    ((_, seen),) = plate.frames()
    assert np.array_equal(seen, plate.read(1)), "the lean way reads another layer"
    if len(parts) > 1 or len(parts[0][1]) > 4:
        assert any("the picture is taken from" in note for note in plate.notes)


def test_part_and_layer_can_be_named(tmp_path: Path) -> None:
    diffuse, beauty = _noise(3, 1), _noise(3, 2)
    parts = write_exr(tmp_path / "parts.exr", ("rgba", RGB, beauty), ("diffuse", RGB, diffuse))
    assert np.array_equal(open_plate(parts, part="diffuse").read_native(1).encoded(), diffuse)
    assert np.array_equal(open_plate(parts, part="1").read_native(1).encoded(), diffuse)
    pair = np.concatenate([diffuse, beauty], axis=2)
    channels = _layers("ViewLayer.AO", "ViewLayer.Combined")
    layers = write_exr(tmp_path / "layers.exr", ("", channels, pair))
    for name in ("AO", "ViewLayer.AO", "viewlayer.ao"):
        plate = open_plate(layers, layer=name)
        assert np.array_equal(plate.read_native(1).encoded(), diffuse)
        assert plate.record().asked.layer == name
    for facts in ({"part": "nose"}, {"layer": "nose"}):
        with pytest.raises(FootageError, match=r"there is no (part|layer) 'nose'.*use "):
            open_plate(parts, **facts)


def test_full_plates_keep_all_parts(tmp_path: Path) -> None:
    made = [("rgba", RGBA, _noise(4, 1)), ("depth", ("Z",), _noise(1, 2)), ("d", RGB, _noise(3, 3))]
    plate = open_plate(write_exr(tmp_path / "in.exr", *made))
    where = np.zeros((24, 32), bool)
    where[4:8, 4:8] = True
    frame = plate.laid_over(1, np.full((24, 32, 3), 0.25, np.float32), where)
    written = write_plate(tmp_path / "out", frame, plate)
    image = oiio.ImageInput.open(str(written))
    for number, (name, channels, pixels) in enumerate(made):
        assert image.seek_subimage(number, 0)
        assert image.spec().getattribute("oiio:subimagename") == name
        assert image.spec().channelnames == channels
        again = image.read_image(number, 0, 0, len(channels), oiio.HALF)
        untouched = again[~where] if number == 0 else again
        assert np.array_equal(untouched, pixels[~where] if number == 0 else pixels)
        if number == 0:
            assert not np.array_equal(again[where][:, :3], pixels[where][:, :3])
            assert np.array_equal(again[where][:, 3], pixels[where][:, 3])
    assert not image.seek_subimage(3, 0)


@pytest.mark.parametrize(
    ("origin", "display"),
    [((-8, -8), (0, 0, 16, 8)), ((5, 3), (0, 0, 60, 40)), ((110, 95), (100, 90, 32, 24))],
)
def test_windows_are_kept_and_what_lies_outside_stays(
    tmp_path: Path, origin: tuple[int, int], display: tuple[int, int, int, int]
) -> None:
    pixels = _noise(3)
    path = write_exr(tmp_path / "w.exr", ("", RGB, pixels), origin=origin, display=display)
    plate = open_plate(path)
    assert (plate.width, plate.height) == display[2:]
    where = np.zeros((plate.height, plate.width), bool)
    where[4:6, 4:7] = True
    frame = plate.laid_over(1, np.full((*where.shape, 3), 0.5, np.float32), where)
    image = oiio.ImageInput.open(str(write_plate(tmp_path / "out", frame, plate)))
    spec = image.spec()
    assert (spec.full_x, spec.full_y, spec.full_width, spec.full_height) == display
    again = image.read_image(0, 0, 0, 3, oiio.HALF)
    left, top = origin[0] - spec.x, origin[1] - spec.y
    there = again[top : top + 24, left : left + 32]
    inside = np.zeros((24, 32), bool)
    rows, columns = np.nonzero(where)
    rows, columns = rows + display[1] - origin[1], columns + display[0] - origin[0]
    kept = (rows >= 0) & (rows < 24) & (columns >= 0) & (columns < 32)
    inside[rows[kept], columns[kept]] = True
    assert np.array_equal(there[~inside], pixels[~inside])
    shown = read_image(tmp_path / "out.exr").pixels
    assert (np.abs(shown[where].astype(float) - 0.214) < 1e-3).all()


@pytest.mark.parametrize("compression", ["dwaa", "dwab", "b44", "pxr24", "zip", "piz"])
def test_untouched_pixels_keep_their_bits_whatever_compressed_them(
    tmp_path: Path, compression: str
) -> None:
    path = write_exr(tmp_path / "c.exr", ("", RGB, _noise(3)), compression=compression)
    plate = open_plate(path)
    native = plate.read_native(1)
    again = read_image(write_plate(tmp_path / "out", native, plate))
    assert np.array_equal(again.pixels, native.pixels)
    lossy = compression in ("dwaa", "dwab", "b44", "pxr24")
    assert any("compressed with loss" in note for note in plate.notes) == lossy


def test_deep_images_are_refused_by_their_name(tmp_path: Path) -> None:
    spec = oiio.ImageSpec(4, 4, 5, "float")
    spec.channelnames = ("R", "G", "B", "A", "Z")
    spec.deep = True
    data = oiio.DeepData()
    data.init(16, 5, (oiio.TypeDesc("float"),) * 5, spec.channelnames)
    output = oiio.ImageOutput.create(str(tmp_path / "deep.exr"))
    assert output.open(str(tmp_path / "deep.exr"), spec)
    assert output.write_deep_image(data)
    output.close()
    with pytest.raises(FootageError, match="the images are deep; flatten them"):
        open_plate(tmp_path / "deep.exr")


def test_values_that_are_no_numbers_are_noted_and_never_warned_of(tmp_path: Path) -> None:
    pixels = _noise(3)
    pixels[2, 3], pixels[5, 6, 0], pixels[7, 7, 1] = np.nan, np.inf, -np.inf
    plate = open_plate(write_exr(tmp_path / "nan.exr", ("", RGB, pixels)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = plate.read(1)
        plate.read_uint8(1)
        linear = plate.linear(1)
    assert np.isfinite(shown).all() and np.isfinite(linear).all()
    assert not shown[2, 3].any() and shown[5, 6, 0] == pytest.approx(1)
    assert any("holds 5 values that are infinite or no numbers" in note for note in plate.notes)
    native = plate.read_native(1)
    again = read_image(write_plate(tmp_path / "out", native, plate))
    assert np.array_equal(again.pixels, native.pixels, equal_nan=True)


def _write(path: Path, pixels: np.ndarray, form: str = "", **facts: object) -> Path:
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], pixels.dtype.name)
    for name, value in facts.items():
        spec.attribute(name, value)
    spec.attribute("oiio:UnassociatedAlpha", 1)
    output = oiio.ImageOutput.create(form or str(path))
    assert output.open(str(path), spec), output.geterror()
    assert output.write_image(np.ascontiguousarray(pixels))
    output.close()
    return path


@pytest.mark.parametrize("form", ["png", "tiff", "bmp", "targa", "webp", "jpeg", "dpx"])
def test_formats_are_known_by_their_content_not_their_ending(tmp_path: Path, form: str) -> None:
    y, x = np.mgrid[0:24, 0:32]
    pixels = np.stack([8 * x, 10 * y, 120 + 0 * x], axis=2).astype(np.uint8)
    path = _write(tmp_path / f"plate.{form}", pixels, form, CompressionQuality=100)
    for name in (f"plate.{form}", "plate.0007.png", "plate"):
        place = path.rename(tmp_path / name)
        plate = open_plate(place)
        error = np.abs(plate.read_uint8(plate.first).astype(int) - pixels)
        assert error.max() <= (12 if form in ("jpeg", "webp") else 0), (form, name)
        path = place


def test_all_orientations_of_exif_are_upright(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (24, 32, 3)).astype(np.uint8)
    turned = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: pixels.transpose(1, 0, 2)[:, ::-1],
        7: pixels.transpose(1, 0, 2)[::-1, ::-1],
        8: pixels.transpose(1, 0, 2)[::-1],
    }
    for orientation, wanted in turned.items():
        name = f"turned{'abcdefgh'[orientation - 1]}.tif"
        path = _write(tmp_path / name, pixels, Orientation=orientation)
        assert np.array_equal(open_plate(path).read_uint8(1), wanted), orientation


def test_grey_palette_and_transparent_images_are_read_as_colour(tmp_path: Path) -> None:
    grey = np.random.default_rng(2).integers(0, 255, (8, 8, 2)).astype(np.uint8)
    plate = open_plate(_write(tmp_path / "ya.png", grey))
    native = plate.read_native(1)
    assert native.channels[:3] == ("R", "G", "B") and native.pixels.shape[2] == 4
    assert np.array_equal(native.pixels[..., 3], grey[..., 1])
    assert np.array_equal(plate.read_uint8(1), np.repeat(grey[..., :1], 3, axis=2))


def test_sixteen_bit_alpha_of_tiff_is_kept(tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 65535, (8, 8, 4)).astype(np.uint16)
    plate = open_plate(_write(tmp_path / "a.tif", pixels))
    where = np.zeros((8, 8), bool)
    where[0, 0] = True
    frame = plate.laid_over(1, np.zeros((8, 8, 3), np.float32), where)
    again = read_image(write_plate(tmp_path / "out", frame, plate)).pixels
    assert np.array_equal(again[~where], pixels[~where])
    assert again[0, 0, 3] == pixels[0, 0, 3] and not again[0, 0, :3].any()
