# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images for `bench media`: formats, parts and layers, primaries, chunks, names, damage."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio  # noqa: N813

from .media_case import Case, linear_light
from .media_movies import picture

_D65 = (0.3127, 0.3290)
_REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *_D65)
_KINDS = {"uint8": 255.0, "uint16": 65535.0, "half": 1.0, "float": 1.0}
_RGB = ("R", "G", "B")


def _write(path: Path, pixels: np.ndarray, kind: str, form: str = "", **facts: Any) -> Path:
    """An image of floats in 0..1, stored as `kind`."""
    height, width, count = pixels.shape
    spec = oiio.ImageSpec(width, height, count, kind)
    if "channels" in facts:
        spec.channelnames = facts.pop("channels")
    for name, value in facts.items():
        if name == "chromaticities":
            spec.attribute(name, oiio.TypeDesc("float[8]"), tuple(value))
        else:
            spec.attribute(name, value)
    spec.attribute("oiio:UnassociatedAlpha", 1)
    scale = _KINDS[kind]
    store = {"half": "float16", "float": "float32"}.get(kind, kind)
    codes = np.rint(pixels * scale) if scale > 1 else pixels
    output = oiio.ImageOutput.create(form or str(path))
    assert output.open(str(path), spec) and output.write_image(
        np.ascontiguousarray(codes.astype(store))
    )
    output.close()
    return path


def formats(folder: Path) -> Iterator[Case]:
    """Formats and types under their own and under wrong names, and all orientations."""
    rows = [
        ("png", "uint8"), ("png", "uint16"), ("tiff", "uint8"), ("tiff", "uint16"),
        ("jpeg", "uint8"), ("bmp", "uint8"), ("targa", "uint8"), ("webp", "uint8"),
        ("dpx", "uint8"), ("dpx", "uint16"),
    ]  # fmt: skip
    for form, kind in rows:
        for ending in ("own", "png", "none"):
            suffix = {"own": f".{form}", "png": ".png", "none": ""}[ending]
            path = folder / f"{form}{kind}{ending}x{suffix}"
            _write(path, picture(), kind, form, CompressionQuality=100)
            tolerance = 3.0 if form in ("jpeg", "webp") else 1.0
            yield Case(f"format {form} {kind} {ending}", path, {1: picture()}, None, tolerance)
    for form in ("tiff", "jpeg"):
        for number in range(1, 9):
            shown = picture()[:32]
            if number in (2, 4, 5, 7):
                shown = shown[:, ::-1]
            turns = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(number, 0)
            path = folder / f"turned{'abcdefgh'[number - 1]}.{form}"
            _write(path, picture()[:32], "uint8", form, Orientation=number, CompressionQuality=100)
            truth = {1: np.rot90(shown, turns)}
            yield Case(f"format {form} turned {number}", path, truth, None, 3.0)
    for kind in ("half", "float"):
        for compression in ("none", "rle", "zip", "zips", "piz", "pxr24", "b44", "dwaa", "dwab"):
            path = folder / f"{kind}{compression}x.exr"
            _write(path, linear_light(picture()), kind, compression=compression)
            truth = {1: linear_light(picture())}
            yield Case(f"format exr {kind} {compression}", path, truth, None, 1.5, True)


def parts(folder: Path) -> Iterator[Case]:
    """Layers among others, in any order."""
    beauty, other = linear_light(picture()), linear_light(picture(9))[::-1]
    names = ("AO", "DiffCol", "Normal", "Shadow", "Mist", "Emit", "albedo", "specular")
    for side in names:
        for main in ("Combined", "beauty", "rgba"):
            channels = [f"ViewLayer.{side}.{each}" for each in "RGB"]
            channels += [f"ViewLayer.{main}.{each}" for each in "RGB"]
            path = folder / f"{side}{main}x.exr"
            pixels = np.concatenate([other, beauty], axis=2)
            _write(path, pixels, "half", channels=tuple(channels))
            yield Case(f"part {side} {main}", path, {1: beauty}, None, 1.0, True)


def primaries(folder: Path) -> Iterator[Case]:
    """Primaries of cameras and others, against their matrices."""

    def xyz(c: tuple[float, ...]) -> np.ndarray:
        columns = [[c[i] / c[i + 1], 1, (1 - c[i] - c[i + 1]) / c[i + 1]] for i in (0, 2, 4)]
        white = np.array([c[6] / c[7], 1, (1 - c[6] - c[7]) / c[7]])
        matrix = np.array(columns).T
        return matrix * np.linalg.solve(matrix, white)

    rows = {
        "Rec.709": _REC709,
        "P3": (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65),
        "Rec.2020": (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),
        "AWG3": (0.684, 0.313, 0.221, 0.848, 0.0861, -0.102, *_D65),
        "AWG4": (0.7347, 0.2653, 0.1424, 0.8576, 0.0991, -0.0308, *_D65),
        "S-Gamut3": (0.730, 0.280, 0.140, 0.855, 0.100, -0.050, *_D65),
        "S-Gamut3.Cine": (0.766, 0.275, 0.225, 0.800, 0.089, -0.087, *_D65),
        "V-Gamut": (0.730, 0.280, 0.165, 0.840, 0.100, -0.030, *_D65),
        "RWG": (0.780308, 0.304253, 0.121595, 1.493994, 0.095612, -0.084589, *_D65),
        "DaVinci": (0.8, 0.313, 0.1682, 0.9877, 0.079, -0.1155, *_D65),
        "nobody's": (0.66, 0.32, 0.25, 0.65, 0.14, 0.05, *_D65),
    }
    grey = 0.3 + 0.4 * picture()
    for index, (name, values) in enumerate(rows.items()):
        path = folder / f"{'abcdefghijkl'[index]}.exr"
        _write(path, grey, "half", chromaticities=values)
        truth = grey @ np.linalg.solve(xyz(_REC709), xyz(values)).T
        yield Case(f"primaries {name}", path, {1: truth}, None, 2.0, True)


def chunks(folder: Path) -> Iterator[Case]:
    """What PNG says of its colours."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    def gama(value: int) -> bytes:
        return chunk(b"gAMA", struct.pack(">I", value))

    codes = picture()
    rows = {
        "none": (b"", linear_light(codes)),
        "linear": (gama(100000), codes),
        "srgb": (gama(45455) + chunk(b"sRGB", b"\0"), linear_light(codes)),
        "srgb over gama": (gama(100000) + chunk(b"sRGB", b"\0"), linear_light(codes)),
        "1.8": (gama(55556), codes**1.8),
        "2.4": (gama(41667), codes**2.4),
        "cicp srgb": (chunk(b"cICP", bytes((1, 13, 0, 1))), linear_light(codes)),
        "cicp linear": (chunk(b"cICP", bytes((1, 8, 0, 1))), codes),
    }
    height, width = codes.shape[:2]
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in np.rint(codes * 65535))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))
    for name, (said, truth) in rows.items():
        path = folder / f"{name.replace(' ', '_').replace('.', '_')}x.png"
        body = head + said + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
        yield Case(f"chunk {name}", path, {1: truth}, None, 1.0, True)


def names(folder: Path) -> Iterator[Case]:
    """Names of sequences; each file's picture tells which it is."""
    rows = {
        "plain": (["p.{:04d}.png"], range(1, 5)),
        "negative": (["p.{:04d}.png"], range(-3, 3)),
        "suffix": (["p_{:04d}_1080p.png"], range(1, 5)),
        "prefix": (["{:04d}_v02.png"], range(1001, 1005)),
        "upper": (["p.{:04d}.PNG", "p.{:04d}.png"], range(1, 5)),
        "unpadded": (["p{}.png"], range(8, 12)),
        "over": (["p.{:04d}.png"], range(9998, 10002)),
        "hash": (["take#2.{:04d}.png"], range(1, 5)),
        "minus": (["take-{:03d}.png"], range(1, 5)),
        "dated": (["2026-11-28_{:04d}.png"], range(1, 5)),
    }
    for name, (patterns, numbers) in rows.items():
        place = folder / name
        place.mkdir()
        truth = {}
        files = []
        for index, number in enumerate(numbers):
            path = place / patterns[index % len(patterns)].format(number)
            _write(path, picture(index), "uint8", "png")
            truth[number] = picture(index)
            files.append(path)
        for given, path in (("folder", place), ("first", files[0]), ("last", files[-1])):
            yield Case(f"name {name} {given}", path, truth, numbers)


def broken(folder: Path) -> Iterator[Case]:
    """Files cut off, with foreign content or lying about their size."""
    for form, kind in (("png", "uint8"), ("tiff", "uint16"), ("jpeg", "uint8"), ("dpx", "uint16")):
        whole = _write(folder / f"whole.{form}", picture(), kind, form)
        data = whole.read_bytes()
        for share in (2, 5, 8):
            path = folder / f"{form}cut{'abcdefghij'[share]}.{form}"
            path.write_bytes(data[: len(data) * share // 10])
            yield Case(f"broken {form} {share}", path, {1: picture()})
    for compression in ("zip", "piz", "none"):
        whole = _write(
            folder / "whole.exr", linear_light(picture()), "half", compression=compression
        )
        data = whole.read_bytes()
        for share in (2, 5, 8):
            path = folder / f"{compression}cut{'abcdefghij'[share]}.exr"
            path.write_bytes(data[: len(data) * share // 10])
            yield Case(
                f"broken exr {compression} {share}", path, {1: linear_light(picture())}, linear=True
            )
    texts = {
        "concat.mp4": "ffconcat version 1.0\nfile /etc/hostname\n",
        "list.ts": "#EXTM3U\na.ts\n",
    }
    for name, text in texts.items():
        path = folder / name
        path.write_text(text)
        yield Case(f"broken {name}", path, needs="cannot be read")
