# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers of a rendered frame: worked out where they matter alone, with the bits of the whole."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from portraitgen.footage.colour import encoded_to_linear, resolve, to_linear
from portraitgen.footage.crop import CompositeLayer, composite
from portraitgen.footage.exr import read_exr, write_exr
from portraitgen.footage.source_frame import SourceFrame
from portraitgen.pipeline.compositing import frame_files
from portraitgen.pipeline.compositing.plate_compositor import RenderedFrame

_ROWS, _COLUMNS = slice(7, 47), slice(20, 75)


def frame_of(cover: np.ndarray) -> tuple[RenderedFrame, np.ndarray]:
    """A frame that is laid over its plate so far, and the plate."""
    rng = np.random.default_rng(3)
    image = rng.random((60, 80, 3), np.float32)
    colours = rng.random((40, 55, 3), np.float32)
    laid = CompositeLayer(colours, cover, _ROWS, _COLUMNS)
    over, touched = composite(image, laid)
    nothing = np.zeros((40, 55, 3), np.float32)
    one = nothing[..., 0]
    shown = nothing.astype(np.uint8)
    drawn = np.where(rng.random((40, 55, 1)) > 0.5, colours[::-1], np.float32(0))
    made = RenderedFrame(laid, one, nothing, drawn, nothing, over, touched, shown, shown[..., 0])
    return made, image


def a_cover() -> np.ndarray:
    rng = np.random.default_rng(4)
    cover = np.clip(rng.random((40, 55), np.float32) * 2 - 0.5, 0, 1)
    # Less than half a step is laid over nothing, and is a soft edge still.
    cover[:5] = 0.3 / 255
    return cast(np.ndarray, cover)


@pytest.mark.parametrize("space", ["sRGB", "Rec.709", "ACEScg", "ARRI LogC3", "Linear Rec.709"])
@pytest.mark.parametrize("covered", [True, False])
def test_soft_edges_have_the_bits_of_the_whole_picture_s(space: str, covered: bool) -> None:
    cover = a_cover() if covered else np.zeros((40, 55), np.float32)
    frame, image = frame_of(cover)
    found = resolve(space)
    encoded = image * 3
    plate: Any = SimpleNamespace(space=found, encoded=lambda number: encoded)
    layers = frame_files.frame_layers(frame, image, plate, 1)
    combined, edges = layers["Combined"], layers["Edges"]
    whole = to_linear(frame.laid.colours, found)
    assert np.array_equal(combined[..., :3], whole * cover[..., None])
    assert np.array_equal(combined[..., 3], cover)
    drawn = to_linear(frame.reconstruction, found)
    assert layers["Reconstruction"].tobytes() == drawn.tobytes()
    place = (_ROWS, _COLUMNS)
    if found.kind == "display":
        below = to_linear(image, found)[place]
    else:
        below = encoded_to_linear(encoded, found)[place]
    touched = frame.touched[place][..., None]
    shown = np.where(touched, to_linear(frame.over, found)[place] - below, 0)
    alpha = frame_files._as_half(cover[..., None])
    wanted = shown - (frame_files._as_half(whole * cover[..., None]) - alpha * below)
    wanted = np.where(np.abs(wanted) > frame_files._ROUNDING, wanted, 0)
    assert edges.dtype == np.float32 and np.array_equal(edges, wanted)
    assert np.any(edges) == covered


def test_only_pixels_that_show_anything_are_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    converted = list[int]()

    def counted(values: np.ndarray, space: Any) -> np.ndarray:
        converted.append(values.size // 3)
        return to_linear(values, space)

    monkeypatch.setattr(frame_files, "to_linear", counted)
    cover = a_cover()
    frame, image = frame_of(cover)
    plate: Any = SimpleNamespace(space=resolve("sRGB"))
    frame_files.frame_layers(frame, image, plate, 1)
    laid, drawn = int((cover > 0).sum()), int(frame.reconstruction.any(2).sum())
    assert 0 < laid < cover.size and 0 < drawn < cover.size
    # The edit, the plate below it and both together; what nothing is, once.
    assert sorted(converted) == sorted([laid, laid, laid, 1, drawn])


def test_a_plate_s_own_bits_stay_where_nothing_is_laid() -> None:
    frame, image = frame_of(a_cover())
    laid = frame.laid
    region = image[_ROWS, _COLUMNS]
    wanted = image.copy()
    over = laid.cover > 0.5 / 255
    mixed = region + laid.cover[..., None] * (laid.colours - region)
    wanted[_ROWS, _COLUMNS][over] = mixed[over]
    assert np.array_equal(frame.over, wanted) and frame.touched.sum() == over.sum() > 0
    assert np.array_equal(frame.over[~frame.touched], image[~frame.touched])


@pytest.mark.parametrize("rgb", [(0, 1, 2), (2, 1, 0)])
@pytest.mark.parametrize("channels", [3, 4])
def test_codes_are_replaced_channel_by_channel(rgb: tuple[int, int, int], channels: int) -> None:
    rng = np.random.default_rng(5)
    codes = rng.integers(0, 256, (9, 11, channels), np.uint8)
    names = ("R", "G", "B", "A")[:channels]
    source = SourceFrame(codes, names, rgb, 8, ("uint8",) * channels, {})
    new, where = rng.random((9, 11, 3), np.float32), rng.random((9, 11)) > 0.5
    wanted = codes.copy()
    for position, channel in enumerate(rgb):
        wanted[where, channel] = np.rint(new[where][:, position] * 255)
    assert np.array_equal(source.replaced(new, where).pixels, wanted)


def test_only_what_half_cannot_hold_is_held_back(tmp_path: Path) -> None:
    from fractions import Fraction

    values = np.linspace(-2, 2, 60, dtype=np.float32).reshape(4, 5, 3)
    values[0, 0] = 1e6, -1e6, np.nan
    layers = {"Reconstruction": values, "Normal": values / 4, "Edges": values}
    path = tmp_path / "a.exr"
    write_exr(path, layers, fps=Fraction(24), frame=1, colour_space="sRGB")
    back = read_exr(path)
    assert back["Reconstruction"][0, 0, :2].tolist() == [65504, -65504]
    assert np.isnan(back["Reconstruction"][0, 0, 2])
    rest = values.reshape(-1, 3)[1:]
    assert np.array_equal(back["Reconstruction"].reshape(-1, 3)[1:], np.float16(rest))
    assert back["Edges"][0, 0, :2].tolist() == [1e6, -1e6]
