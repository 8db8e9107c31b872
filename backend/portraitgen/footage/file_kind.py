# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a file is an image or a movie, by what it holds, whatever it is called."""

from pathlib import Path

from .heif_boxes import is_heif_photo

IMAGE_SUFFIXES = frozenset(
    (
        ".exr .dpx .cin .tif .tiff .png .jpg .jpeg .jpe .bmp .tga .webp .hdr .sgi .rgb .pic"
        " .heic .heif .avif .bw .rgba .jp2 .j2k .j2c .jpf .jxl .psd .ppm .pgm .pbm .pnm .pfm"
        " .dds"
    ).split()
)
MOVIE_SUFFIXES = frozenset(
    (
        ".mp4 .mov .m4v .mkv .webm .avi .mxf .mpg .mpeg .m2v .vob .m2ts .mts .ts .wmv .asf .flv"
        " .ogv .ogg .3gp .3g2 .gif .dv .y4m .ivf .h264 .264 .h265 .265 .hevc .av1 .obu"
        " .qt .nut .rm .rmvb .gxf .apng .mjpeg .mjpg"
    ).split()
)
_STARTS = (
    (b"\x76\x2f\x31\x01", "openexr"),
    (b"SDPX", "dpx"),
    (b"XPDS", "dpx"),
    (b"\x80\x2a\x5f\xd7", "cineon"),
    (b"\xd7\x5f\x2a\x80", "cineon"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"BM", "bmp"),
    (b"#?RADIANCE", "hdr"),
    (b"#?RGBE", "hdr"),
    (b"\x01\xda", "sgi"),
    (b"8BPS", "psd"),
    (b"\x00\x00\x00\x0cjP  \r\n", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
    (b"\x00\x00\x00\x0cJXL \r\n", "jpegxl"),
    (b"\xff\x0a", "jpegxl"),
    (b"DDS ", "dds"),
)
_TEXTS = (b"ffconcat", b"#EXTM3U", b"v=0", b"<?xml", b"<MPD", b"{", b"[", b"[playlist]")


def kind_of(path: Path) -> str:
    """ "image", "movie", or "" for what is neither at first sight."""
    with open(path, "rb") as file:
        head = file.read(4096)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        # FFmpeg decodes no animated WebP; OpenImageIO reads its first picture, and a note says so.
        return "image"
    if is_heif_photo(head):
        return "image"
    if head.startswith(b"\x89PNG\r\n\x1a\n") and b"acTL" in head[:200]:
        return "movie"
    if head.startswith(b"\xff\xd8\xff") and path.suffix.lower() in (".mjpeg", ".mjpg"):
        return "movie"  # JPEGs one after the other.
    if any(head.startswith(start) for start, _ in _STARTS):
        return "image"
    if len(head) > 7 and head[:1] == b"P" and head[1:2] in b"123456Ff" and head[2:3].isspace():
        return "image"
    if any(head.lstrip().startswith(text) for text in _TEXTS):
        return ""
    if _is_targa(path, head):
        return "image"
    return "movie"


def _is_targa(path: Path, head: bytes) -> bool:
    """TGA has no magic at its start: a plausible header, with the usual ending or name."""
    if len(head) < 18 or head[1] > 1 or head[2] not in (1, 2, 3, 9, 10, 11):
        return False
    if head[16] not in (8, 15, 16, 24, 32):
        return False
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 26))
        return b"TRUEVISION-XFILE" in file.read(26) or path.suffix.lower() == ".tga"


def opens_as_image(path: Path) -> bool:
    """Whether a file of a folder is looked at as one of a sequence: by its name's ending."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
