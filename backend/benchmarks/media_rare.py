# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rarer plates for `bench media`: odd sizes, tiles, windows, netpbm, photos, packings."""

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import OpenImageIO as oiio  # noqa: N813
from PIL import Image

from .media_case import Case, linear_light
from .media_movies import SUBSAMPLINGS, frame_of, picture, write


def _sized(width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    x, y = x / max(width - 1, 1), y / max(height - 1, 1)
    return np.stack([0.2 + 0.6 * x, 0.3 + 0.4 * y, 0.65 - 0.45 * x * y], axis=2)


def _codes(values: np.ndarray, most: int = 255) -> np.ndarray:
    return np.rint(values * most).astype(np.uint8 if most < 256 else np.uint16)


def _write(path: Path, pixels: np.ndarray, form: str = "", **facts: Any) -> Path:
    """An image of ready codes; `facts` beside the header's names are fields of the header."""
    height, width, count = pixels.shape
    kind = {"float16": "half", "float32": "float"}.get(pixels.dtype.name, pixels.dtype.name)
    spec = oiio.ImageSpec(width, height, count, kind)
    for name, value in facts.items():
        if hasattr(spec, name) and not callable(getattr(spec, name)):
            setattr(spec, name, value)
        else:
            spec.attribute(name.replace("__", ":"), value)
    spec.attribute("oiio:UnassociatedAlpha", 1)
    output = oiio.ImageOutput.create(form or str(path))
    assert output and output.open(str(path), spec), path
    assert output.write_image(np.ascontiguousarray(pixels)), output.geterror()
    output.close()
    return path


def sizes(folder: Path) -> Iterator[Case]:
    """Sides of one pixel, odd ones, and beyond what macroblocks divide."""
    for width, height in ((1, 1), (3, 5), (5, 3), (97, 65), (4097, 3), (1, 64)):
        truth = _sized(width, height)
        frame = frame_of(truth, "yuv444p10le", 10, (1, 1), False, 1)
        path = folder / f"{width}_{height}.mkv"
        write(path, "libx264", "yuv444p10le", [frame], options={"qp": "1"})
        yield Case(f"size movie {width}x{height}", path, {1: truth}, range(1, 2))
        for form in ("png", "tiff", "bmp", "targa", "dpx"):
            path = folder / f"s{width}by{height}x.{form}"
            _write(path, _codes(truth), form)
            yield Case(f"size image {width}x{height} {form}", path, {1: truth})


def tiffs(folder: Path) -> Iterator[Case]:
    """Planes apart, tiles, strips, compressions, alpha of both kinds, and 0 for white."""
    stored = {"uint8": _codes(picture()), "uint16": _codes(picture(), 65535)}
    for kind, codes in stored.items():
        for planes in ("contig", "separate"):
            for compression in ("none", "lzw", "zip", "packbits"):
                for tile in (0, 16):
                    path = folder / f"{kind}{planes}{compression}{'t' if tile else 's'}x.tif"
                    facts: dict[str, Any] = {"planarconfig": planes, "compression": compression}
                    if tile:
                        facts |= {"tile_width": tile, "tile_height": tile}
                    _write(path, codes, "tiff", **facts)
                    yield Case(f"tiff {kind} {planes} {compression} {tile}", path, {1: picture()})
    grey = picture().mean(2)
    for most, name in ((255, "eight"), (65535, "sixteen")):
        codes = _codes(1 - grey, most)
        data = codes.astype(codes.dtype.newbyteorder("<")).tobytes()
        height, width = grey.shape
        tags = [
            (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8 * codes.itemsize),
            (259, 3, 1, 1), (262, 3, 1, 0), (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, height),
            (279, 4, 1, len(data)),
        ]  # fmt: skip
        entries = b"".join(struct.pack("<2H2I", *tag) for tag in tags)
        path = folder / f"white{name}.tif"
        start = struct.pack("<I", 8 + len(data))
        path.write_bytes(
            b"II*\0" + start + data + struct.pack("<H", len(tags)) + entries + bytes(4)
        )
        yield Case(f"tiff white {name}", path, {1: np.repeat(grey[..., None], 3, 2)})


def windows(folder: Path) -> Iterator[Case]:
    """EXR whose data window is not the display window; tiles; orders; both eyes."""
    light = linear_light(picture()).astype(np.float16)
    high, wide = light.shape[:2]
    for x, y in ((-10, -5), (10, 5), (-100, 3), (63, 63), (0, 7)):
        shown = np.zeros((high, wide, 3))
        rows, columns = np.mgrid[0:high, 0:wide]
        inside = (rows - y >= 0) & (rows - y < high) & (columns - x >= 0) & (columns - x < wide)
        shown[inside] = light[(rows - y)[inside], (columns - x)[inside]]
        path = folder / f"w{'abcdefghijkl'[abs(x) % 12]}{'abcdefgh'[abs(y) % 8]}.exr"
        _write(path, light, x=x, y=y, full_x=0, full_y=0, full_width=wide, full_height=high)
        yield Case(f"window {x} {y}", path, {1: shown}, None, 1.0, True)
        same = folder / f"{path.stem}same.exr"
        _write(same, light, x=x, y=y, full_x=x, full_y=y, full_width=wide, full_height=high)
        yield Case(f"window same {x} {y}", same, {1: light}, None, 1.0, True)
        tiled = folder / f"{path.stem}tiled.exr"
        _write(
            tiled, light, x=x, y=y, full_x=x, full_y=y, full_width=wide, full_height=high,
            tile_width=32, tile_height=16,
        )  # fmt: skip
        yield Case(f"window tiled {x} {y}", tiled, {1: light}, None, 1.0, True)
    for order in ("increasingY", "decreasingY", "randomY"):
        path = _write(folder / f"{order}.exr", light, openexr__lineOrder=order)
        yield Case(f"window {order}", path, {1: light}, None, 1.0, True)
    for first, second in (("left", "right"), ("right", "left")):
        path = folder / f"eyes{first}.exr"
        specs = []
        for view in (first, second):
            spec = oiio.ImageSpec(wide, high, 3, "half")
            spec.attribute("oiio:subimagename", f"rgba.{view}")
            spec.attribute("view", view)
            specs.append(spec)
        output = oiio.ImageOutput.create(str(path))
        assert output.open(str(path), tuple(specs))
        for number, view in enumerate((first, second)):
            if number:
                assert output.open(str(path), specs[number], "AppendSubimage")
            eye = light if view == "left" else light[::-1]
            assert output.write_image(np.ascontiguousarray(eye))
        output.close()
        yield Case(f"window eyes {first}", path, {1: light}, None, 1.0, True)


def netpbm(folder: Path) -> Iterator[Case]:
    """PPM, PGM, PBM, PAM and PFM, in text and in binary, by their books."""
    codes = picture()
    high, wide = codes.shape[:2]
    size = b"%d %d\n" % (wide, high)
    grey = np.repeat(codes.mean(2)[..., None], 3, 2)
    bits = grey[..., 0] > 0.5
    light = linear_light(codes)
    rows: dict[str, tuple[bytes, np.ndarray, bool]] = {
        "plain.ppm": (b"P3 " + size + b"255\n" + b" ".join(
            b"%d" % value for value in _codes(codes).ravel()), codes, False),
        "raw.ppm": (b"P6 " + size + b"255\n" + _codes(codes).tobytes(), codes, False),
        "deep.ppm": (
            b"P6 " + size + b"65535\n" + _codes(codes, 65535).astype(">u2").tobytes(),
            codes, False),
        "ten.ppm": (
            b"P6 " + size + b"1023\n" + _codes(codes, 1023).astype(">u2").tobytes(), codes, False),
        "grey.pgm": (b"P5 " + size + b"255\n" + _codes(grey[..., 0]).tobytes(), grey, False),
        "bits.pbm": (
            b"P4 " + size + np.packbits(~bits, axis=1).tobytes(),
            np.repeat(bits[..., None], 3, 2).astype(float), False),
        "any.pam": (
            b"P7\nWIDTH %d\nHEIGHT %d\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n" % (wide, high)
            + _codes(codes).tobytes(), codes, False),
        "little.pfm": (b"PF\n" + size + b"-1.0\n" + light[::-1].astype("<f4").tobytes(), light,
                       True),
        "big.pfm": (b"PF\n" + size + b"1.0\n" + light[::-1].astype(">f4").tobytes(), light, True),
    }  # fmt: skip
    for name, (data, truth, linear) in rows.items():
        path = folder / name
        path.write_bytes(data)
        yield Case(f"netpbm {name}", path, {1: truth}, None, 1.0, linear)


def _turned() -> Image.Exif:
    exif = Image.Exif()  # Some writers take the orientation out of what they are given.
    exif[0x112] = 6
    return exif


def photos(folder: Path) -> Iterator[Case]:
    """AVIF, WebP, JPEG and PNG as phones and browsers write them; palettes, few bits, moving."""
    codes = _codes(picture())
    image = Image.fromarray(codes)
    upright = np.rot90(picture(), 3)
    alpha = np.dstack([codes, np.full_like(codes[..., 0], 128)])
    rows: list[tuple[str, Image.Image, dict[str, Any], np.ndarray, float]] = [
        ("four.avif", image, {"quality": 100, "subsampling": "4:4:4", "speed": 9}, picture(), 2),
        ("two.avif", image, {"quality": 100, "subsampling": "4:2:0", "speed": 9}, picture(), 3),
        ("turned.avif", image, {"quality": 100, "exif": _turned(), "speed": 9}, upright, 3),
        ("odd.avif", Image.fromarray(_codes(_sized(97, 65))), {"quality": 100, "speed": 9},
         _sized(97, 65), 3),
        ("alpha.avif", Image.fromarray(alpha), {"quality": 100, "speed": 9}, picture(), 3),
        ("turned.jpg", image, {"quality": 100, "exif": _turned(), "subsampling": 0}, upright, 2),
        ("progressive.jpg", image, {"quality": 100, "progressive": True}, picture(), 3),
        ("turned.webp", image, {"lossless": True, "exif": _turned()}, upright, 1),
        ("alpha.webp", Image.fromarray(alpha), {"lossless": True, "exact": True}, picture(), 1),
        ("turned.png", image, {"exif": _turned()}, upright, 1),
        ("palette.png", image.quantize(256), {}, picture(), 5),
        ("run.tga", image, {"compression": "tga_rle"}, picture(), 1),
        ("low.tga", image, {"orientation": -1}, picture(), 1),
        ("big.sgi", image, {}, picture(), 1),
        ("plain.dds", image, {}, picture(), 1),
        ("plain.pcx", image, {}, picture(), 1),
    ]  # fmt: skip
    for name, given, facts, truth, tolerance in rows:
        path = folder / name
        given.save(path, **facts)
        yield Case(f"photo {name}", path, {1: truth}, None, float(tolerance))
    image.convert("CMYK").save(folder / "print.jpg", quality=100)
    yield Case("photo print.jpg", folder / "print.jpg", needs="CMYK")
    frames = [Image.fromarray(_codes(picture(number))) for number in range(4)]
    for name, tolerance in (("moving.png", 1.0), ("moving.gif", 8.0), ("moving.avif", 4.0)):
        path = folder / name
        more = {"quality": 100, "subsampling": "4:4:4"} if name.endswith("avif") else {}
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=40, **more)
        truth = {number + 1: picture(number) for number in range(4)}
        yield Case(f"photo {name}", path, truth, range(1, 5), tolerance)
    path = folder / "moving.webp"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=40, lossless=True)
    yield Case("photo moving.webp", path, needs="animated")


def packings(folder: Path) -> Iterator[Case]:
    """RGB and YCbCr as cameras and cards pack them into words."""
    for name, tolerance in (("rgb555le", 4.0), ("rgb565le", 4.0), ("bgr24", 1.0), ("argb", 1.0)):
        frame = av.VideoFrame.from_ndarray(_codes(picture()), format="rgb24").reformat(format=name)
        for suffix in (".nut",):
            path = folder / f"{name}{suffix}"
            write(path, "rawvideo", name, [frame], tags=(1, 1, 0))
            yield Case(f"packing {name}", path, {1: picture()}, range(1, 2), tolerance)
    for name, suffix in (("r210", ".mov"), ("r10k", ".mov"), ("qtrle", ".mov"), ("png", ".mov")):
        layout = {"r210": "gbrp10le", "r10k": "gbrp10le"}.get(name, "rgb24")
        frame = av.VideoFrame.from_ndarray(_codes(picture()), format="rgb24")
        path = folder / f"{name}{suffix}"
        write(path, name, layout, [frame.reformat(format=layout)], tags=(1, 1, 0))
        yield Case(f"packing {name}", path, {1: picture()}, range(1, 2))
    for name in ("422", "444"):
        layout, codec = f"yuv{name}p10le", {"422": "v210", "444": "v410"}[name]
        frame = frame_of(picture(), layout, 10, SUBSAMPLINGS[name], False, 1)
        try:
            path = write(folder / f"{codec}.mov", codec, layout, [frame])
        except (ValueError, av.error.FFmpegError):
            continue
        yield Case(f"packing {codec}", path, {1: picture()}, range(1, 2), 2.0)


def streams(folder: Path) -> Iterator[Case]:
    """Stamps in coding order, unusual rates, further tracks."""
    truth = {number + 1: picture(number) for number in range(12)}

    def fresh() -> list[av.VideoFrame]:
        # What was encoded once keeps its clock.
        return [frame_of(picture(n), "yuv420p", 8, (2, 2), False, 1) for n in range(12)]

    def made(path: Path, rate: Fraction = Fraction(25)) -> Path:
        options = {"crf": "4", "g": "12", "bf": "3"}
        return write(path, "libx264", "yuv420p", fresh(), options=options, rate=rate)

    source = made(folder / "source.mp4")
    with av.open(str(source)) as old, av.open(str(folder / "coding.mxf"), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream, packet.pts = stream, packet.dts
                new.mux(packet)
    yield Case("stream coding order", folder / "coding.mxf", truth, range(1, 13), 2.0)
    for rate in ("1", "5", "15/2", "12", "90", "240", "1000", "1/2", "100/3"):
        for suffix in (".mp4", ".mkv", ".avi"):
            path = made(folder / f"r{rate.replace('/', '_')}{suffix}", Fraction(rate))
            yield Case(f"stream rate {rate} {suffix}", path, truth, range(1, 13), 2.0)
    for name in (
        "with space",
        "emoji \U0001f600",
        "br[ack]et",
        "quote '",
        "100%",
        "a%04d",
        "-x",
    ):
        path = folder / f"{name}.mp4"
        path.write_bytes(source.read_bytes())
        yield Case(f"stream name {name}", path, truth, range(1, 13), 2.0)
    with av.open(str(folder / "beside.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.add_attachment("notes.txt", "text/plain", b"hello")
        for frame in fresh():
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    yield Case("stream attached", folder / "beside.mkv", needs="attached")


def changes(folder: Path) -> Iterator[Case]:
    """Tags that change on the way, pictures refreshed stripe by stripe, shapes of pixels turned."""

    def stream(name: str, matrix: int, tags: tuple[int, int, int], full: bool = False) -> bytes:
        frames = [frame_of(picture(n), "yuv444p", 8, (1, 1), full, matrix) for n in range(6)]
        path = folder / f"{name}.h264"
        options = {"qp": "1", "bf": "0"}
        write(path, "libx264", "yuv444p", frames, tags=tags, full=full, options=options)
        return path.read_bytes()

    first = stream("first", 1, (1, 1, 1))
    truth = {number + 1: picture(number) for number in range(6)}
    for name, second in (
        ("matrix", stream("matrix", 6, (1, 1, 6))),
        ("range", stream("range", 1, (1, 1, 1), full=True)),
        ("primaries", stream("primaries", 1, (9, 1, 1))),
        ("transfer", stream("transfer", 1, (1, 16, 1))),
    ):
        path = folder / f"joined_{name}.h264"
        path.write_bytes(first + second)
        yield Case(f"change {name}", path, truth, range(1, 13))
        yield Case(f"change {name} told", path, needs="colours on the way, at frame 7")
    frames = [frame_of(picture(n % 12), "yuv444p", 8, (1, 1), False, 1) for n in range(36)]
    options = {"x264-params": "intra-refresh=1:keyint=8:bframes=0:qp=1"}
    path = write(folder / "stripes.mp4", "libx264", "yuv444p", frames, options=options)
    truth = {number: picture((number - 1) % 12) for number in (24, 20, 36, 1)}
    yield Case("change stripes", path, truth, range(1, 37))
    flat = np.broadcast_to(np.array([0.2, 0.4, 0.6]), (24, 32, 3))
    for suffix in ("tif", "png"):
        for orientation in (1, 6):
            path = folder / f"turned{'ab'[orientation > 1]}.{suffix}"
            _write(path, _codes(flat), PixelAspectRatio=2.0, Orientation=orientation)
            shape = (24, 64, 3) if orientation == 1 else (64, 24, 3)
            shown = np.broadcast_to(flat[0, 0], shape)
            yield Case(f"change turned {suffix} {orientation}", path, {1: shown})
    path = folder / "dense.jpg"
    Image.fromarray(_codes(flat)).save(path, quality=100, dpi=(50, 100))
    yield Case("change dense jpg", path, {1: np.broadcast_to(flat[0, 0], (24, 64, 3))})


def filled_lines(folder: Path) -> Iterator[Case]:
    """FFmpeg's DPX, whose lines are filled up to words of 32 bits and whose headers are short."""
    for width in range(61, 65):
        truth = _sized(width, 40)
        for layout, most in (("rgb24", 255), ("rgb48be", 65535)):
            encoder = av.CodecContext.create("dpx", "w")
            encoder.width, encoder.height, encoder.pix_fmt = width, 40, layout
            encoder.time_base = Fraction(1, 25)
            codes = _codes(truth, most)
            name = "rgb24" if most == 255 else "rgb48le"
            frame = av.VideoFrame.from_ndarray(codes, format=name).reformat(format=layout)
            data = b"".join(bytes(packet) for packet in encoder.encode(frame))
            path = folder / f"{layout}{'abcd'[width - 61]}.dpx"
            path.write_bytes(data or b"".join(bytes(each) for each in encoder.encode(None)))
            yield Case(f"filled dpx {layout} {width}", path, {1: truth})


MAKERS = (sizes, tiffs, windows, netpbm, photos, packings, streams, changes, filled_lines)
