# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plates for `bench media` that say nothing, too little or two things of what they are."""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import OpenImageIO as oiio  # noqa: N813
import PyOpenColorIO as ocio  # noqa: N813

from .media_case import Case, linear_light
from .media_movies import SIZE, frame_of, picture, write

_REC709 = (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329)
_AP1 = (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767)
_RATE = Fraction(30000, 1001)


def _moment(time: float) -> np.ndarray:
    """A soft disc that moves across, float (H, W, 3)."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    disc = 1 / (1 + np.exp((np.hypot(x - 8 - 3 * time, y - SIZE / 2) - SIZE / 5) / 1.2))
    grey = 0.2 + 0.5 * disc + 0.05 * np.sin(x / 3 - time) + 0.03 * np.sin(y / 3)
    return np.stack([grey, 0.9 * grey, 0.8 * grey], axis=2)


def _woven(upper: float, lower: float) -> np.ndarray:
    frame = _moment(upper)
    frame[1::2] = _moment(lower)[1::2]
    return frame


def _pulled_down(number: int) -> np.ndarray:
    """Four pictures of film as five of video."""
    upper, lower = ((0, 0), (0, 1), (1, 2), (2, 2), (3, 3))[number % 5]
    first = number // 5 * 4
    return _woven(1.25 * (first + upper), 1.25 * (first + lower))


def _codes(values: np.ndarray, most: int = 255) -> np.ndarray:
    return np.rint(np.clip(values, 0, 1) * most).astype(np.uint8 if most < 256 else np.uint16)


def _write(path: Path, pixels: np.ndarray, **facts: Any) -> Path:
    height, width, count = pixels.shape
    kind = {"float16": "half", "float32": "float"}.get(pixels.dtype.name, pixels.dtype.name)
    spec = oiio.ImageSpec(width, height, count, kind)
    if "channels" in facts:
        spec.channelnames = facts.pop("channels")
    for name, value in facts.items():
        if name == "chromaticities":
            spec.attribute(name, oiio.TypeDesc("float[8]"), tuple(value))
        elif name == "timecode":
            spec.attribute("smpte:TimeCode", oiio.TypeDesc("timecode"), value)
        else:
            spec.attribute(name, value)
    spec.attribute("oiio:UnassociatedAlpha", 1)
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec) and output.write_image(np.ascontiguousarray(pixels)), path
    output.close()
    return path


def fields(folder: Path) -> Iterator[Case]:
    """Fields and film's pulldown that no flag names, in movies and in images."""
    rows = {
        "none": ([_moment(n) for n in range(15)], ""),
        "upper": ([_woven(n, n + 0.5) for n in range(15)], "fields"),
        "lower": ([_woven(n + 0.5, n) for n in range(15)], "fields"),
        "pulldown": ([_pulled_down(n) for n in range(15)], "3:2 pulldown"),
    }
    for name, (pictures, told) in rows.items():
        truth = {} if told else {number + 1: each for number, each in enumerate(pictures)}
        for codec, layout, depth in (("libx264", "yuv420p", 8), ("prores_ks", "yuv422p10le", 10)):
            cell = (2, 2) if depth == 8 else (2, 1)
            frames = [frame_of(each, layout, depth, cell, False, 1) for each in pictures]
            options = {"crf": "10"} if codec == "libx264" else {}
            path = folder / f"{name}_{codec}.mov"
            write(path, codec, layout, frames, options=options, rate=_RATE)
            yield Case(f"unsaid fields {name} {codec}", path, truth, range(1, 16), 2.0, needs=told)
        place = folder / name
        place.mkdir()
        for number, each in enumerate(pictures, 1):
            _write(place / f"p.{number:04d}.png", _codes(each))
        yield Case(f"unsaid fields {name} png", place, truth, range(1, 16), needs=told)


def one_field(folder: Path) -> Iterator[Case]:
    """The upper field of flat ones of two colours, in every layout that halves colours."""
    colours = [np.array([0.8, 0.25, 0.15]), np.array([0.1, 0.35, 0.85])]
    truth = np.broadcast_to(colours[0], (SIZE, SIZE, 3))
    for layout, depth, cell in (
        ("yuv420p", 8, (2, 2)),
        ("yuv420p10le", 10, (2, 2)),
        ("yuv422p", 8, (2, 1)),
        ("yuv440p", 8, (1, 2)),
    ):
        one, other = (
            frame_of(np.broadcast_to(each, truth.shape), layout, depth, cell, False, 1)
            for each in colours
        )
        for upper, lower in zip(one.planes, other.planes, strict=True):
            lines = np.frombuffer(upper, np.uint8).reshape(upper.height, -1).copy()
            lines[1::2] = np.frombuffer(lower, np.uint8).reshape(upper.height, -1)[1::2]
            upper.update(lines.tobytes())
        path = write(folder / f"{layout}.mkv", "ffv1", layout, [one])
        asked = {"deinterlace": True}
        yield Case(f"unsaid field of {layout}", path, {1: truth}, range(1, 2), asked=asked)


def _sequence(
    folder: Path, images: Sequence[tuple[np.ndarray, dict[str, Any]]], suffix: str
) -> Path:
    folder.mkdir()
    for number, (pixels, facts) in enumerate(images, 1):
        _write(folder / f"p.{number:04d}.{suffix}", pixels, **facts)
    return folder


def sequences(folder: Path) -> Iterator[Case]:
    """Images that change on the way, and time codes that do not count them."""
    light = linear_light(picture()).astype(np.float16)
    codes = _codes(picture())
    both = np.concatenate([light[::-1], light], axis=2)
    named = [
        tuple(f"{n}.{c}" for n in ("diffuse", last) for c in "RGB") for last in ("key", "rgba")
    ]
    plain: dict[str, Any] = {}
    rows: dict[str, tuple[str, list[tuple[np.ndarray, dict[str, Any]]], str]] = {
        "grey": ("png", [(codes, plain), (codes[..., :1], plain)], "p.0002.png holds grey"),
        "alpha": ("png", [(codes, plain), (np.dstack([codes, codes[..., :1]]), plain)], "alpha"),
        "depth": ("png", [(codes, plain), (_codes(picture(), 65535), plain)], "16 bits"),
        "layer": ("exr", [(both, {"channels": each}) for each in named], "layer"),
        "primaries": (
            "exr", [(light, {"chromaticities": each}) for each in (_REC709, _AP1)], "colours"),
        "shape": ("exr", [(light, {"PixelAspectRatio": each}) for each in (1.0, 2.0)], "shape"),
    }  # fmt: skip
    for name, (suffix, images, told) in rows.items():
        yield Case(f"unsaid change {name}", _sequence(folder / name, images, suffix), needs=told)
    counted = {
        "jump": ((1, 2, 9, 16), "follow each other"),
        "back": ((4, 3, 2, 1), "follow each other"),
        "still": ((7, 7, 7, 7), "same time code"),
        "right": ((1, 2, 3, 4), ""),
    }
    for name, (frames, told) in counted.items():
        images = [(light, {"timecode": (each // 10 << 4 | each % 10, 0)}) for each in frames]
        path = _sequence(folder / f"tc{name}", images, "exr")
        truth = {number: light for number in range(1, 5)}
        yield Case(
            f"unsaid codes {name}", path, truth, range(1, 5), linear=True, needs=told,
            timecode=f"00:00:00:{frames[0]:02d}",
        )  # fmt: skip


def tags(folder: Path) -> Iterator[Case]:
    """Tags that say nothing, two things, or what nobody meant; a studio's rules."""
    codes = picture()
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in _codes(codes, 65535))
    size = codes.shape[1::-1]
    for number, cicp in enumerate(((2, 2), (0, 3), (2, 0))):
        body = b""
        for kind, data in (
            (b"IHDR", struct.pack(">IIBBBBB", *size, 16, 2, 0, 0, 0)),
            (b"gAMA", struct.pack(">I", 100000)),
            (b"cICP", bytes((*cicp, 0, 1))),
            (b"IDAT", zlib.compress(lines)),
            (b"IEND", b""),
        ):
            check = struct.pack(">I", zlib.crc32(kind + data))
            body += struct.pack(">I", len(data)) + kind + data + check
        path = folder / f"cicp{'abc'[number]}.png"
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
        yield Case(f"unsaid cicp {cicp}", path, {1: codes}, None, 1.0, True)
    light = linear_light(codes).astype(np.float32)
    path = _write(folder / "two.exr", light, chromaticities=_REC709, colorInteropID="lin_ap1_scene")
    yield Case("unsaid two names", path, needs="primaries of another")
    for curve, told in ((2, "FFmpeg"), (3, "logarithmic"), (6, "")):
        path = folder / f"{'abcdefg'[curve]}.mov"
        _dpx_movie(path, _codes(codes), curve)
        yield Case(f"unsaid dpx movie {curve}", path, {1: codes}, range(1, 4), needs=told)
    config = ocio.Config.CreateFromBuiltinConfig("cg-config-v2.1.0_aces-v1.3_ocio-v2.3")
    rules = config.getFileRules()
    rules.insertRule(0, "plates", "sRGB - Texture", "*_video*", "exr")
    config.setFileRules(rules)
    place = folder / "studio.ocio"
    place.write_text(config.serialize())
    before = os.environ.get("OCIO")
    os.environ["OCIO"] = str(place)
    try:
        path = _write(folder / "a_video.exr", codes.astype(np.float32))
        yield Case("unsaid rule", path, {1: light}, None, 1.0, True)
        yield Case("unsaid rule told", path, needs="the rule 'plates'")
    finally:
        del os.environ["OCIO"]
        if before is not None:
            os.environ["OCIO"] = before


def _dpx_header(size: tuple[int, int], bits: int, descriptor: int, curve: int) -> bytes:
    """Of one element, as FFmpeg writes it where the curve is linear (SMPTE 268M)."""
    head = bytearray(2048)
    struct.pack_into(">4sI8s", head, 0, b"SDPX", 2048, b"V1.0")
    head[160:173] = b"Lavc59.37.100" if curve == 2 else bytes(13)
    struct.pack_into(">HHII", head, 768, 0, 1, *size)
    struct.pack_into(
        ">IIfIf4B2H3I", head, 780, 0, 0, 0, (1 << bits) - 1, 2, descriptor, curve, curve, bits,
        int(bits == 10), 0, 2048, 0, 0,
    )  # fmt: skip
    return bytes(head)


def _dpx_movie(path: Path, codes: np.ndarray, curve: int) -> None:
    size = (codes.shape[1], codes.shape[0])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("dpx", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "rgb24"
        for number in range(3):
            packet = av.Packet(_dpx_header(size, 8, 50, curve) + codes.tobytes())
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base, packet.is_keyframe = Fraction(1, 25), True
            container.mux(packet)


def numbers(folder: Path) -> Iterator[Case]:
    """Grey DPX of 10 bits in every width, TIFF of types that are seldom a picture."""
    for width in (60, 61, 62):
        grey = picture()[:, :width].mean(2)
        padded = np.pad(_codes(grey, 1023).astype(np.uint32), ((0, 0), (0, -width % 3)))
        words = padded[:, 0::3] << 2 | padded[:, 1::3] << 12 | padded[:, 2::3] << 22
        path = folder / f"grey{'abc'[width - 60]}.dpx"
        path.write_bytes(_dpx_header((width, SIZE), 10, 6, 6) + words.astype(">u4").tobytes())
        yield Case(f"unsaid dpx grey {width}", path, {1: np.repeat(grey[..., None], 3, 2)})
    grey = picture().mean(2)
    for name, most in {
        "f2": 1.0, "f4": 1.0, "f8": 1.0, "i1": 127, "i2": 32767, "i4": 2**31 - 1, "u4": 2**32 - 1,
    }.items():  # fmt: skip
        for photometric in (0, 1):
            stored = (grey if photometric else 1 - grey) * most
            path = folder / f"{name[0]}{'abcdefghi'[int(name[1])]}{'xy'[photometric]}.tif"
            path.write_bytes(_tiff(stored.astype(f"<{name}"), photometric))
            truth = np.repeat(grey[..., None], 3, 2)
            yield Case(
                f"unsaid tiff {name} {photometric}", path, {1: truth}, None, 1.2, name[0] == "f"
            )


def _tiff(values: np.ndarray, photometric: int) -> bytes:
    height, width = values.shape
    data = values.tobytes()
    sort = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8 * values.itemsize), (259, 3, 1, 1),
        (262, 3, 1, photometric), (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, height),
        (279, 4, 1, len(data)), (339, 3, 1, sort),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<2H2I", *tag) for tag in tags)
    start = struct.pack("<I", 8 + len(data))
    return b"II*\0" + start + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def movies(folder: Path) -> Iterator[Case]:
    """Movies behind movies, time codes outside of QuickTime, packets without a length."""
    truth = {number + 1: picture(number) for number in range(12)}

    def fresh() -> list[av.VideoFrame]:
        return [frame_of(picture(n), "yuv420p", 8, (2, 2), False, 1) for n in range(12)]

    one = write(folder / "one.mp4", "libx264", "yuv420p", fresh(), options={"crf": "4"})
    path = folder / "joined.mp4"
    path.write_bytes(one.read_bytes() * 2)
    yield Case("unsaid joined mp4", path, truth, range(1, 13), 2.0)
    yield Case("unsaid joined mp4 told", path, needs="one after the other")
    code = "10:20:30:05"
    for suffix in (".m2v", ".mpg", ".ts"):
        path = folder / f"group{suffix}"
        options = {"b": "8M", "gop_timecode": code}
        write(path, "mpeg2video", "yuv420p", fresh(), options=options)
        yield Case(f"unsaid code {suffix}", path, truth, range(1, 13), 3.0, timecode=code)
    path = folder / "capitals.mkv"
    with av.open(str(one)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        new.metadata["TIMECODE"] = code
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    yield Case("unsaid code .mkv", path, truth, range(1, 13), 2.0, timecode=code)


MAKERS = (fields, one_field, sequences, tags, numbers, movies)
