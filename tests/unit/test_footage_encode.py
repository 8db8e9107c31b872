# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results: multilayer EXR, movies and full plates, complete or not there at all."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import OpenImageIO as oiio  # noqa: N813
import pytest
from footage_media import number_of, numbered, write_image, write_movie

from portraitgen.body.camera import Box
from portraitgen.errors import FootageError
from portraitgen.footage.crop import composite, composite_layer
from portraitgen.footage.exr import read_exr, write_exr
from portraitgen.footage.movie_writing import MovieWriter
from portraitgen.footage.plate import open_plate
from portraitgen.footage.plate_files import write_plate
from portraitgen.images import to_half


def _passes(size: int = 24) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    channels = {"Combined": 4, "Depth": 1, "Normal": 3, "Alpha": 1, "Reconstruction": 3}
    passes = {
        name: rng.random((size, size, count)).astype(np.float32) for name, count in channels.items()
    }
    passes["Normal"] = passes["Normal"] * 2 - 1
    passes["Depth"] = passes["Depth"] * 1000
    return passes


def _write(path: Path) -> None:
    write_exr(
        path, _passes(), fps=Fraction(24000, 1001), frame=1001, colour_space="Rec.709",
        attributes={"portraitgen:take": "moonlight"},
    )  # fmt: skip


def test_exr_passes_come_back_depth_exact_the_rest_to_half(tmp_path: Path) -> None:
    path = tmp_path / "beauty.1001.exr"
    _write(path)
    again = read_exr(path)
    assert list(sorted(again)) == sorted(_passes())
    for name, values in _passes().items():
        expected = values if name == "Depth" else values.astype(np.float16).astype(np.float32)
        assert np.array_equal(again[name], expected), name


def test_exr_names_types_and_facts_are_what_compositors_expect(tmp_path: Path) -> None:
    path = tmp_path / "beauty.1001.exr"
    _write(path)
    spec = oiio.ImageInput.open(str(path)).spec()
    kinds = {name: str(spec.channelformats[index]) for index, name in enumerate(spec.channelnames)}
    assert {f"ViewLayer.Combined.{letter}" for letter in "RGBA"} <= set(kinds)
    assert {f"ViewLayer.Normal.{letter}" for letter in "XYZ"} <= set(kinds)
    assert kinds["ViewLayer.Depth.Z"] == "float"
    assert kinds["ViewLayer.Combined.R"] == "half"
    assert spec.getattribute("FramesPerSecond") == (24000, 1001)
    assert spec.getattribute("portraitgen:take") == "moonlight"
    assert spec.getattribute("portraitgen:frame") == 1001
    assert spec.getattribute("chromaticities")[:2] == pytest.approx((0.64, 0.33))


def test_frames_of_any_size_and_content_are_read_by_others(tmp_path: Path) -> None:
    """Of sizes that are no whole blocks, with noise that does not pack, and with long names."""
    rng = np.random.default_rng(1)
    for height, width in ((1, 1), (16, 3), (35, 21)):
        path = tmp_path / f"{height}.exr"
        noise = rng.integers(0, 1 << 32, (height, width, 4), np.uint64).astype(np.uint32)
        hashes = np.nan_to_num(noise.view(np.float32), posinf=1.0, neginf=1.0)
        passes = {"Combined": rng.normal(0, 1, (height, width, 4)), "CryptoPart00": hashes}
        text = {"portraitgen:a_name_of_more_than_31_bytes": "ä"}
        facts = {"timecode": "01:02:03:04", "reel": "A7"}
        write_exr(
            path, passes, fps=Fraction(30000, 1001), frame=-7, colour_space="ACEScg",
            attributes=text, **facts,
        )  # fmt: skip
        again = read_exr(path)
        halves = passes["Combined"].astype(np.float32).astype(np.float16)
        assert np.array_equal(again["Combined"], halves.astype(np.float32))
        assert again["CryptoPart00"].tobytes() == hashes.tobytes()
        spec = oiio.ImageInput.open(str(path)).spec()
        assert (spec.width, spec.height, spec.full_width) == (width, height, width)
        assert spec.getattribute("compression") == "zip"
        assert spec.getattribute("FramesPerSecond") == (30000, 1001)
        assert spec.getattribute("portraitgen:frame") == -7
        assert spec.getattribute("reelName") == "A7"
        assert {name: spec.getattribute(name) for name in text} == text
        assert spec.getattribute("DateTime")


def test_values_beyond_half_do_not_become_infinite(tmp_path: Path) -> None:
    passes = {"Combined": np.full((4, 4, 4), 1e9, np.float32)}
    write_exr(tmp_path / "x.exr", passes, fps=Fraction(25), frame=1, colour_space="ACEScg")
    assert np.isfinite(read_exr(tmp_path / "x.exr")["Combined"]).all()


def test_a_damaged_or_foreign_exr_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "beauty.exr"
    with pytest.raises(FootageError, match="missing or damaged"):
        read_exr(path)
    _write(path)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(FootageError, match="missing or damaged"):
        read_exr(path)
    write_image(path, np.zeros((4, 4, 3), np.float16))
    with pytest.raises(FootageError, match="no rendered passes"):
        read_exr(path)


def test_a_frame_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "beauty.exr"
    _write(path)
    before = path.read_bytes()
    broken = _passes() | {"Depth": np.zeros((5, 5, 1), np.float32)}
    with pytest.raises(ValueError):
        write_exr(path, broken, fps=Fraction(25), frame=1, colour_space="sRGB")
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["beauty.exr"]


def test_a_movie_plays_the_frames_given_tagged_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with MovieWriter(path, Fraction(30000, 1001)) as movie:
        for number in range(20):
            movie.add(numbered(number, 129, 65)[:, :128])
    plate = open_plate(path)
    assert (plate.width, plate.height, plate.fps) == (128, 64, Fraction(30000, 1001))
    assert (plate.matrix, plate.range) == ("bt709", "limited")
    assert not plate.notes
    assert [number_of(image) for _, image in plate.frames()] == list(range(20))


def test_a_movie_keeps_its_colours(tmp_path: Path) -> None:
    colours = np.zeros((64, 64, 3), np.uint8)
    colours[:32, :32], colours[:32, 32:], colours[32:, :32] = (200, 120, 90), (30, 90, 200), 255
    with MovieWriter(tmp_path / "out.mp4", Fraction(25)) as movie:
        movie.add(colours)
    shown = open_plate(tmp_path / "out.mp4").read_uint8(1)
    for y, x in ((16, 16), (16, 48), (48, 16), (48, 48)):
        assert np.abs(shown[y, x].astype(int) - colours[y, x]).max() <= 3


def test_a_movie_that_fails_half_way_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with pytest.raises(FootageError, match="one size"), MovieWriter(path, Fraction(25)) as movie:
        movie.add(numbered(1))
        movie.add(numbered(1, 64, 64))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(av.error.FFmpegError), MovieWriter(path, Fraction(25)) as movie:
        raise av.error.EOFError(1, "stop")
    assert list(tmp_path.iterdir()) == []


def test_an_edit_over_a_movie_changes_nothing_outside_the_matte(tmp_path: Path) -> None:
    plate = open_plate(write_movie(tmp_path / "plate.mp4", 3))
    image = plate.read(2)
    alpha = np.zeros((16, 16), np.float32)
    alpha[4:12, 4:12] = 1
    over, touched = composite(
        image, composite_layer(image, Box(40, 10, 32), np.full((16, 16, 3), 0.2, np.float32), alpha)
    )
    native = plate.read_native(2)
    written = write_plate(tmp_path / "over.0002", native.replaced(over, touched), plate)
    assert written.suffix == ".png"
    again = open_plate(written).read_uint8(2)
    assert np.array_equal(again[~touched], plate.read_uint8(2)[~touched])
    assert (again[20:30, 50:60] == 51).all()
    assert 0 < touched.sum() < 32 * 32


def test_a_deep_movie_s_frames_are_written_deep(tmp_path: Path) -> None:
    plate = open_plate(
        write_movie(tmp_path / "ten.mkv", 2, pixel_format="yuv420p10le", codec="libx264")
    )
    native = plate.read_native(1)
    again = open_plate(write_plate(tmp_path / "deep", native, plate)).read_native(1)
    assert again.pixels.dtype == np.uint16
    assert np.array_equal(again.pixels, native.pixels)


def test_halves_are_numpys_to_the_bit() -> None:
    edges = [0.0, -0.0, 65504, 65519.996, 65520, -1e9, np.inf, -np.inf, 5.96e-8, 2.98e-8, 1e-30]
    ties = np.arange(0, 4, 2.0**-12)
    values = np.concatenate([edges, ties, np.random.default_rng(0).normal(0, 100, 10_000)])
    values = values.astype(np.float32)
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16)
    assert to_half(values).tobytes() == expected.tobytes()
    assert np.isnan(to_half(np.full((2, 1), np.nan, np.float32))).all()
    assert to_half(np.empty((0, 3), np.float32)).shape == (0, 3)
