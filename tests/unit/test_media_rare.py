# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rare forms, and what they hold beside the picture: read right, or said not to be."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import OpenImageIO as oiio  # noqa: N813
import pytest
from footage_media import number_of, write_image, write_movie
from PIL import Image

from portraitgen.errors import FootageError
from portraitgen.footage.colour import resolve, tags_of
from portraitgen.footage.file_kind import kind_of
from portraitgen.footage.movie_writing import MovieWriter
from portraitgen.footage.plate import open_plate
from portraitgen.images import save_png


def picture(width: int = 32, height: int = 24) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([0.2 + 0.6 * x / width, 0.3 + 0.4 * y / height, 0.7 - 0.5 * x / width], 2)


def tiff(path: Path, words: np.ndarray, photometric: int, *more: tuple[int, ...]) -> Path:
    """A TIFF of one strip, by the book (TIFF 6.0); little-endian.

    Args:
        more: tags of numbers that fit into two bytes: the tag, then its numbers.
    """
    height, width = words.shape[:2]
    count = 1 if words.ndim == 2 else words.shape[2]
    data = words.astype(words.dtype.newbyteorder("<")).tobytes()
    bits = 8 * words.itemsize
    extra = struct.pack(f"<{count}H", *[bits] * count)
    tags = [
        (256, 4, 1, width), (257, 4, 1, height),
        (258, 3, count, {1: bits, 2: bits << 16 | bits}.get(count, 8 + len(data))), (259, 3, 1, 1),
        (262, 3, 1, photometric), (273, 4, 1, 8), (277, 3, 1, count), (278, 4, 1, height),
        (279, 4, 1, len(data)),
    ]  # fmt: skip
    for tag, *numbers in more:
        inside = len(numbers) == 1
        tags.append((tag, 3, len(numbers), numbers[0] if inside else 8 + len(data) + len(extra)))
        extra += b"" if inside else struct.pack(f"<{len(numbers)}H", *numbers)
    entries = b"".join(struct.pack("<2H2I", *tag) for tag in sorted(tags))
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    start = 8 + len(data) + len(extra)
    path.write_bytes(b"II*\0" + struct.pack("<I", start) + data + extra + directory)
    return path


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_tiff_whose_zero_is_white_is_not_a_negative(tmp_path: Path, kind: type) -> None:
    grey = np.linspace(0.1, 0.9, 32)[None].repeat(24, 0)
    codes = np.rint((1 - grey) * np.iinfo(kind).max).astype(kind)
    read = open_plate(tiff(tmp_path / "white.tif", codes, 0)).read(1)
    assert np.abs(read - grey[..., None]).max() < 0.003


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_alpha_beside_a_white_zero_is_no_negative_either(tmp_path: Path, kind: type) -> None:
    most = np.iinfo(kind).max
    grey = np.linspace(0.1, 0.9, 32)[None].repeat(24, 0)
    codes = np.stack([(1 - grey) * most, np.full_like(grey, 0.8 * most)], axis=2)
    path = tiff(tmp_path / "white.tif", np.rint(codes).astype(kind), 0, (338, 2))
    native = open_plate(path).read_native(1)
    assert native.channels[-1] == "A"
    assert np.abs(native.pixels[..., 0] / most - grey).max() < 0.003
    assert np.abs(native.pixels[..., -1] / most - 0.8).max() < 0.003


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.int8, np.int16, np.int32, np.uint32])
@pytest.mark.parametrize("photometric", [0, 1])
def test_codes_that_are_seldom_a_picture_are_named_and_read(
    tmp_path: Path, kind: type, photometric: int
) -> None:
    grey = np.linspace(0.1, 0.9, 32)[None].repeat(24, 0)
    most = 1.0 if np.dtype(kind).kind == "f" else float(np.iinfo(kind).max)
    codes = ((grey if photometric else 1 - grey) * most).astype(kind)
    sort = {"u": 1, "i": 2, "f": 3}[codes.dtype.kind]
    plate = open_plate(tiff(tmp_path / "odd.tif", codes, photometric, (339, sort)))
    assert np.abs(plate.read_native(1).encoded()[..., 0] - grey).max() < 0.009
    told = " ".join(plate.notes)
    if codes.dtype.kind == "f":
        assert ("0 is white" in told) == (photometric == 0)
    else:
        assert f"whole numbers of {8 * codes.itemsize} bits" in told


def test_other_inks_and_a_palette_of_8_bits_are_refused(tmp_path: Path) -> None:
    codes = np.rint(picture() * 255).astype(np.uint8)
    inks = np.concatenate([codes, codes[..., :1]], 2)
    with pytest.raises(FootageError, match="inks"):
        open_plate(tiff(tmp_path / "inks.tif", inks, 5, (332, 2)))
    ramp = np.arange(256)
    for name, scale in (("deep", 257), ("flat", 1)):
        palette = (320, *(ramp * scale), *(ramp[::-1] * scale), *(ramp * scale))
        path = tiff(tmp_path / f"{name}.tif", codes[..., 0], 3, palette)
        if scale == 257:
            red, green, _ = np.moveaxis(open_plate(path).read_uint8(1), 2, 0)
            assert np.array_equal(red, codes[..., 0]) and np.array_equal(green, 255 - red)
        else:
            with pytest.raises(FootageError, match="palette has 8 bits"):
                open_plate(path)


@pytest.mark.parametrize("unit", [0, 1, 2])
def test_the_denser_a_jpegs_lines_the_wider_its_pixels(tmp_path: Path, unit: int) -> None:
    path = tmp_path / "plate.jpg"
    Image.fromarray(np.full((24, 32, 3), 90, np.uint8)).save(path, dpi=(72, 72))
    data = bytearray(path.read_bytes())
    struct.pack_into(">BHH", data, data.index(b"JFIF\0") + 7, unit, 50, 100)
    path.write_bytes(data)
    plate = open_plate(path)
    assert plate.pixel_aspect == 2 and (plate.width, plate.height) == (64, 24)


@pytest.mark.parametrize("suffix", ["tif", "png"])
@pytest.mark.parametrize(("orientation", "shown"), [(1, (64, 24)), (3, (64, 24)), (6, (24, 64))])
def test_pixels_of_a_turned_image_are_turned_too(
    tmp_path: Path, suffix: str, orientation: int, shown: tuple[int, int]
) -> None:
    path = tmp_path / f"plate.{suffix}"
    codes = np.full((24, 32, 3), 90, np.uint8)
    write_image(path, codes, PixelAspectRatio=2.0, Orientation=orientation)
    plate = open_plate(path)
    assert (plate.width, plate.height) == shown
    assert plate.read(1).shape == (*shown[::-1], 3)


def test_cmyk_is_told_and_cielab_refused(tmp_path: Path) -> None:
    codes = np.rint(picture() * 255).astype(np.uint8)
    cmyk = np.concatenate([255 - codes, np.zeros_like(codes[..., :1])], 2)
    plate = open_plate(tiff(tmp_path / "print.tif", cmyk, 5))
    assert any("CMYK" in note for note in plate.notes)
    with pytest.raises(FootageError, match="CIELAB"):
        open_plate(tiff(tmp_path / "lab.tif", codes, 8))


def test_pfm_is_upright_and_linear(tmp_path: Path) -> None:
    path = tmp_path / "light.pfm"
    rows = picture()[::-1].astype("<f4")  # From the lowest row upwards.
    path.write_bytes(b"PF\n32 24\n-1.0\n" + rows.tobytes())
    assert np.abs(open_plate(path).linear(1) - picture()).max() < 1e-6


def test_pam_is_read_by_its_content(tmp_path: Path) -> None:
    head = b"P7\nWIDTH 32\nHEIGHT 24\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n"
    path = tmp_path / "picture.pam"
    path.write_bytes(head + np.rint(picture() * 255).astype(np.uint8).tobytes())
    plate = open_plate(path)
    assert plate.kind == "still" and np.abs(plate.read(1) - picture()).max() < 0.003


def test_jpeg_2000_is_an_image(tmp_path: Path) -> None:
    context = av.CodecContext.create("jpeg2000", "w")
    context.width, context.height, context.pix_fmt = 32, 24, "rgb24"
    context.time_base, context.options = Fraction(1, 25), {"pred": "dwt53"}
    codes = np.rint(picture() * 255).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(codes, format="rgb24")
    data = b"".join(bytes(each) for each in [*context.encode(frame), *context.encode()])
    (tmp_path / "picture.jp2").write_bytes(data)
    assert kind_of(tmp_path / "picture.jp2") == "image"
    assert np.abs(open_plate(tmp_path / "picture.jp2").read(1) - picture()).mean() < 0.02


def test_jpeg_xl_is_an_image(tmp_path: Path) -> None:
    path = tmp_path / "picture.jxl"
    spec = oiio.ImageSpec(32, 24, 3, "uint8")
    spec.attribute("CompressionQuality", 100)
    output = oiio.ImageOutput.create(str(path))
    assert output and output.open(str(path), spec)
    assert output.write_image(np.rint(picture() * 255).astype(np.uint8))
    output.close()
    assert kind_of(path) == "image"
    assert np.abs(open_plate(path).read(1) - picture()).mean() < 0.02


def test_an_animated_webp_says_that_one_picture_is_read(tmp_path: Path) -> None:
    from PIL import Image

    images = [Image.new("RGB", (16, 16), (40 * n, 90, 120)) for n in range(3)]
    path = tmp_path / "moving.webp"
    images[0].save(path, save_all=True, append_images=images[1:], duration=40)
    assert any("animated" in note for note in open_plate(path).notes)


def test_a_file_of_jpegs_one_after_the_other_is_a_movie(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mjpeg"), "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
        for number in range(4):
            grey = np.full((64, 64, 3), 50 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    assert len(open_plate(tmp_path / "a.mjpeg").numbers) == 4


@pytest.mark.parametrize("order", ["le", "be"])
@pytest.mark.parametrize("green", [5, 6])
def test_pixels_of_16_bits_are_unpacked_in_either_byte_order(order: str, green: int) -> None:
    from portraitgen.footage.movie_pixels import Converter

    red = np.arange(32)[None].repeat(8, 0)
    words = (red << (5 + green)) | (((1 << green) - 1 - red) << 5) | 31
    name = f"rgb5{green}5{order}"
    frame = av.VideoFrame(32, 8, name)
    plane = frame.planes[0]
    rows = np.zeros((8, plane.line_size), np.uint8)
    rows[:, :64] = words.astype(">u2" if order == "be" else "<u2").view(np.uint8)
    plane.update(rows.tobytes())
    codes = Converter(None, True, True, False).convert(frame, (32, 8))
    assert np.array_equal(codes[..., 0], np.rint(red * 255 / 31))
    assert np.array_equal(codes[..., 1], np.rint(((1 << green) - 1 - red) * 255 / (2**green - 1)))
    assert (codes[..., 2] == 255).all()


def test_stamps_in_coding_order_do_not_reorder_pictures(tmp_path: Path) -> None:
    source = write_movie(tmp_path / "b.mp4", 12, options={"crf": "12", "g": "12", "bf": "3"})
    with av.open(str(source)) as old, av.open(str(tmp_path / "coding.mxf"), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                packet.pts = packet.dts
                new.mux(packet)
    plate = open_plate(tmp_path / "coding.mxf")
    assert [number_of(image) for _, image in plate.frames_uint8()] == list(range(12))
    assert number_of(plate.read(4)) == 3 and number_of(plate.read(2)) == 1


def test_subtitles_and_attached_files_are_told(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "subs.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.add_attachment("notes.txt", "text/plain", b"hello")
        black = np.zeros((64, 64, 3), np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(black, format="rgb24")))
        container.mux(stream.encode())
    notes = open_plate(tmp_path / "subs.mkv").notes
    assert any("attached file" in note for note in notes)


def test_log_film_without_a_curve_is_assumed_and_said(tmp_path: Path) -> None:
    header = bytearray(1024)
    struct.pack_into(">5I", header, 0, 0x802A5FD7, 1024, 0, 0, 0)
    struct.pack_into(">I", header, 20, 1024 + 32 * 24 * 4)
    header[24:28] = b"V4.5"
    header[192], header[193] = 0, 3
    for channel in range(3):
        place = 196 + 28 * channel
        header[place : place + 3] = bytes((0, channel + 1, 10))
        struct.pack_into(">2I4f", header, place + 4, 32, 24, 0.0, 0.0, 1023.0, 2.0)
    header[680:685] = bytes((0, 5, 0, 0, 0))
    codes = np.rint(picture() * 1023).astype(np.uint32)
    words = (codes[..., 0] << 22) | (codes[..., 1] << 12) | (codes[..., 2] << 2)
    path = tmp_path / "scan.cin"
    path.write_bytes(bytes(header) + words.astype(">u4").tobytes())
    plate = open_plate(path)
    assert plate.colour_space == "ADX10"
    assert any("printing density is assumed" in note for note in plate.notes)
    assert np.abs(plate.read_native(1).encoded() - picture()).max() < 0.002


@pytest.mark.parametrize("name", ["sRGB P3-D65", "Rec.2020"])
def test_pictures_and_movies_made_in_wide_colours_say_so(tmp_path: Path, name: str) -> None:
    tags = tags_of(resolve(name))
    image = picture().astype(np.float32)
    save_png(tmp_path / "picture.png", image, {"a": "b"}, tags)
    assert open_plate(tmp_path / "picture.png").colour_space == name
    assert np.abs(open_plate(tmp_path / "picture.png").read(1) - image).max() < 0.003
    with MovieWriter(tmp_path / "movie.mp4", Fraction(25), colours=tags) as movie:
        movie.add(np.rint(image * 255).astype(np.uint8))
    assert open_plate(tmp_path / "movie.mp4").colour_space == name


def test_the_left_eye_is_the_picture_wherever_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "eyes.exr"
    specs = []
    for view in ("right", "left"):
        spec = oiio.ImageSpec(32, 24, 3, "half")
        spec.attribute("oiio:subimagename", f"rgba.{view}")
        spec.attribute("view", view)
        specs.append(spec)
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), tuple(specs))
    assert output.write_image(np.zeros((24, 32, 3), np.float16))
    assert output.open(str(path), specs[1], "AppendSubimage")
    assert output.write_image(picture().astype(np.float16))
    output.close()
    assert np.abs(open_plate(path).linear(1) - picture()).max() < 0.001


def test_luminance_and_chroma_are_named(tmp_path: Path) -> None:
    path = tmp_path / "chroma.exr"
    spec = oiio.ImageSpec(32, 24, 3, "half")
    spec.channelnames = ("BY", "RY", "Y")
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec) and output.write_image(picture().astype(np.float16))
    output.close()
    with pytest.raises(FootageError, match="luminance and chroma"):
        open_plate(path)


def test_pictures_of_a_shot_are_png_or_jpeg_whatever_they_are_called(tmp_path: Path) -> None:
    from portraitgen.images import read_codes

    image = save_png(tmp_path / "picture.png", picture().astype(np.float32))
    codes = read_codes(image)
    assert codes is not None and codes.shape == (24, 32, 3)
    spec = oiio.ImageSpec(32, 24, 3, "uint8")
    output = oiio.ImageOutput.create("tiff")
    assert output.open(str(tmp_path / "other.png"), spec)
    assert output.write_image(np.zeros((24, 32, 3), np.uint8))
    output.close()
    assert read_codes(tmp_path / "other.png") is None
    (tmp_path / "cut.png").write_bytes(image.read_bytes()[:40])
    assert read_codes(tmp_path / "cut.png") is None
    assert read_codes(tmp_path / "none.png") is None


def test_what_reading_tells_reaches_who_asked(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "a.mp4", 30, options={"crf": "12", "g": "10", "bf": "0"})
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        place = [packet.pos for packet in container.demux(video=0) if packet.size][14]
    data[place + 12 : place + 60] = bytes(48)
    path.write_bytes(bytes(data))
    plate = open_plate(path)
    told: list[str] = []
    plate.on_note = told.append
    try:
        for _ in plate.frames_uint8(exact=False):
            pass
    except FootageError as error:
        told.append(str(error))
    assert any("damage" in each for each in told)


def dpx(
    path: Path, codes: np.ndarray, bits: int, order: str = ">", *, start: int = 2048,
    descriptor: int = 50, creator: bytes = b"", turn: int = 0, size: tuple[int, int] | None = None,
) -> Path:  # fmt: skip
    """A DPX by the book (SMPTE 268M), its lines filled up to words of 32 bits.

    Args:
        codes: (H, W, C), or words of several codes, where `size` is the width and height.
    """
    height, width = codes.shape[:2] if size is None else size[::-1]
    head = bytearray(b"\xff" * 2048)
    struct.pack_into(f"{order}I", head, 0, 0x53445058)
    struct.pack_into(f"{order}I8sI", head, 4, start, b"V1.0", 0)
    head[136:260] = bytes(24) + creator.ljust(100, b"\0")
    struct.pack_into(f"{order}HHII", head, 768, turn, 1, width, height)
    curve = 2 if creator else 6
    struct.pack_into(
        f"{order}IIfIf4B2H3I", head, 780, 0, 0, 0, (1 << bits) - 1, 2, descriptor, curve, curve,
        bits, int(bits in (10, 12)), 0, start, 0, 0,
    )  # fmt: skip
    struct.pack_into(f"{order}II", head, 1628, 0 if creator else 1, 0 if creator else 1)
    lines = [line.astype(line.dtype.newbyteorder(order)).tobytes() for line in codes]
    path.write_bytes(bytes(head[:start]) + b"".join(line + bytes(-len(line) % 4) for line in lines))
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("width", [29, 30, 31, 32])
def test_lines_of_a_dpx_may_be_filled_up(tmp_path: Path, width: int, bits: int, order: str) -> None:
    truth = picture(width)
    codes = np.rint(truth * ((1 << bits) - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    stored = codes << 4 if bits == 12 else codes
    plate = open_plate(dpx(tmp_path / "plate.dpx", stored, bits, order))
    assert np.abs(plate.read(1) - truth).max() < 1 / 250
    if bits == 12 and order == ">":
        grey = dpx(tmp_path / "grey.dpx", codes[..., 0], bits, order, descriptor=6)
        assert np.abs(open_plate(grey).read(1) - truth[..., :1]).max() < 1 / 250
        with pytest.raises(FootageError, match="do not lie"):
            odd = np.concatenate([stored + 1, stored[..., :1]], axis=2)
            open_plate(dpx(tmp_path / "odd.dpx", odd, bits, order, descriptor=51)).read(1)


@pytest.mark.parametrize("bits", [8, 16])
def test_pixels_of_ffmpegs_dpx_are_no_header_and_its_linear_no_curve(
    tmp_path: Path, bits: int
) -> None:
    truth = picture()
    codes = np.rint(truth * ((1 << bits) - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    path = dpx(tmp_path / "plate.dpx", codes, bits, start=1664, creator=b"Lavc59.37.100")
    plate = open_plate(path)
    assert plate.colour_space == "Rec.709" and plate.fps == 24 and plate.timecode == ""
    assert np.abs(plate.read(1) - truth).max() < 1 / 250
    assert [note for note in plate.notes if "FFmpeg write" not in note] == []
    assert len(plate.notes) == 1
    data = bytearray(path.read_bytes())
    data[802] = 4  # What newer releases write says what is.
    (tmp_path / "newer.dpx").write_bytes(data)
    assert open_plate(tmp_path / "newer.dpx").colour_space == "Linear Rec.709"
    names = plate.read_native(1).attributes
    assert not [name for name in names if name.startswith(("dpx:", "smpte:", "FramesPer"))]


def threes(codes: np.ndarray) -> np.ndarray:
    """Codes of 10 bits, (H, N), three to a word of 32 bits, the first in its lowest bits."""
    padded = np.pad(codes.astype(np.uint32), ((0, 0), (0, -codes.shape[1] % 3)))
    first, second, third = (padded[:, place::3] for place in range(3))
    return first << 2 | second << 12 | third << 22


@pytest.mark.parametrize("width", [30, 31, 32])
def test_grey_of_10_bits_is_whole_in_any_width(tmp_path: Path, width: int) -> None:
    grey = picture(width)[..., 0]
    words = threes(np.rint(grey * 1023))[..., None]
    path = dpx(tmp_path / "plate.dpx", words, 10, descriptor=6, size=grey.shape[::-1])
    plate = open_plate(path)
    assert np.abs(plate.read(1) - grey[..., None]).max() < 1 / 1000
    assert "last pixel" not in " ".join(plate.notes)
    words[:, -1] = 0
    path = dpx(tmp_path / "ends.dpx", words, 10, descriptor=6, size=grey.shape[::-1])
    assert any("lacks the last pixel" in note for note in open_plate(path).notes) == (width != 30)


@pytest.mark.parametrize(
    ("curve", "creator", "told"),
    [(2, b"Lavc59.37.100", "older releases of FFmpeg"), (3, b"Film", "logarithmic DPX")],
)
def test_what_a_dpx_in_a_movie_says_of_its_curve_is_as_doubtful_as_beside_it(
    tmp_path: Path, curve: int, creator: bytes, told: str
) -> None:
    codes = np.rint(picture() * 255).astype(np.uint8)
    data = bytearray(dpx(tmp_path / "a.dpx", codes, 8, creator=creator).read_bytes())
    data[801:803] = bytes((curve, curve))
    path = tmp_path / "in.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("dpx", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "rgb24"
        for number in range(3):
            packet = av.Packet(bytes(data))
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base, packet.is_keyframe = Fraction(1, 25), True
            container.mux(packet)
    plate = open_plate(path)
    assert plate.colour_space == "Rec.709" and told in " ".join(plate.notes)
    assert np.abs(plate.read(2) - picture()).max() < 1 / 250


@pytest.mark.parametrize("turn", [4, 5])
def test_a_dpx_whose_lines_run_downwards_is_refused(tmp_path: Path, turn: int) -> None:
    codes = np.rint(picture() * 255).astype(np.uint8)
    with pytest.raises(FootageError, match="run downwards"):
        open_plate(dpx(tmp_path / "plate.dpx", codes, 8, turn=turn))
