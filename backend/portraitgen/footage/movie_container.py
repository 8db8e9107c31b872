# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening a movie safely: by what it holds, only what is one file, the track that is meant."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av

from ..errors import FootageError
from ..user_folders import utf_8_path
from .limits import MOST_PIXELS, check_size

REPAIR = "copy or export the file again"

# Containers that hold their pictures themselves. Lists (concat, HLS, DASH, SDP...), which name
# other files or addresses, and numbered images are none.
_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mxf,mxf_opatom,mpegts,mpegtsraw,mpeg,mpegvideo,flv,"
    "live_flv,asf,asf_o,ogg,gif,apng,dv,rm,nut,ivf,wtv,wtvtv,gxf,lxf,nsv,nuv,roq,swf,r3d,"
    "yuv4mpegpipe,h261,h263,h264,hevc,vvc,av1,obu,evc,m4v,vc1,vc1test,cavsvideo,dirac,dnxhd,mjpeg,"
    "mjpeg_2000,film_cpk,flic,smk,bink,cine,ifv,avs2,avs3,webp_pipe,jpegxl_anim,amv,avr,"
    "pam_pipe,qoi_pipe,pcx_pipe"
)
# Photos that FFmpeg takes for numbered ones by their endings, by how they begin.
_PHOTOS = ((b"P7\n", "pam_pipe"), (b"qoif", "qoi_pipe"), (b"\x0a\x05\x01\x08", "pcx_pipe"))
_CONTAINER_OPTIONS = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "file"}
# Players need not wait for a stream's first second to be probed; plates may start with black.
_QUIET = av.logging.set_level


@contextlib.contextmanager
def readable(path: Path, what: str) -> Iterator[None]:
    """Turns the decoder's errors into one sentence."""
    try:
        yield
    except (av.error.FFmpegError, EOFError) as error:
        reason = getattr(error, "strerror", None) or "it ends too early"
        raise FootageError(f"{what} ({reason})", path, REPAIR) from error


def open_container(path: Path, **options: str) -> Any:
    """The container of a movie file.

    Args:
        options: of FFmpeg's demuxer, beside those that keep it to this one file.

    Raises:
        FootageError: if it is none that is read, or damaged.
    """
    _QUIET(None)
    source = f"file:{utf_8_path(path.absolute())}"
    with open(path, "rb") as file:
        head = file.read(16)
    form = next((form for start, form in _PHOTOS if head.startswith(start)), None)
    try:
        return _opened(source, form, _CONTAINER_OPTIONS | options)
    except (av.error.InvalidDataError, av.error.ArgumentError) as error:
        # The latter for what is of none of these containers, such as sound.
        raise FootageError(
            "the movie cannot be read (it holds no pictures that are known or lacks its index)",
            path,
            REPAIR,
        ) from error
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FootageError(f"the movie cannot be read ({reason})", path, REPAIR) from error


def _opened(source: str, form: str | None, options: dict[str, str]) -> Any:
    try:
        # Text in the header need not be UTF-8, and must not matter.
        return av.open(source, format=form, metadata_errors="replace", container_options=options)
    except TypeError:
        # PyAV 19 has no such argument; it replaces what it cannot read by itself.
        return av.open(source, format=form, container_options=options)


def open_movie(path: Path, **options: str) -> tuple[Any, Any]:
    """A movie's container and the stream of pictures that is read.

    Raises:
        FootageError: if it cannot be read, or holds no pictures.
    """
    container = open_container(path, **options)
    try:
        streams = picture_streams(container)
        if not streams:
            raise FootageError(
                "the file holds no picture", path, "give a movie that is not sound only"
            )
        stream = streams[0]
        if stream.codec_context is None or stream.codec_context.codec is None:
            raise FootageError(
                "the movie's codec is not known", path, "export it as ProRes, H.264 or images"
            )
        if stream.width and stream.height:
            check_size(stream.width, stream.height, 6, path)
        stream.thread_type = "AUTO"
        # Later pictures may be larger than the header says; sound on damage is no picture's matter.
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
    except BaseException:
        container.close()
        raise
    return container, stream


def picture_streams(container: Any) -> list[Any]:
    """The streams that show a moving picture, the one that is meant first.

    Cover art and thumbnails are none, nor is the still picture before an animated AVIF's. Meant is
    the one flagged as default; where none or several are, the largest.
    """
    flags = av.stream.Disposition
    out = flags.attached_pic | getattr(flags, "timed_thumbnails", 0)
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & out and stream.codec_context is not None
    ]

    def rank(stream: Any) -> tuple[bool, int, int]:
        default = bool(stream.disposition & flags.default)
        return default, (stream.width or 0) * (stream.height or 0), -stream.index

    moving = [stream for stream in streams if stream.frames != 1]
    return sorted(moving or streams, key=rank, reverse=True)


def packets(container: Any, stream: Any, on_damage: Callable[[str], None]) -> Iterator[Any]:
    """A stream's packets, or all (None), to where the file ends or cannot be read on."""
    try:
        yield from container.demux(stream) if stream else container.demux()
    except (av.error.FFmpegError, OSError) as error:
        on_damage(str(getattr(error, "strerror", None) or error))


def decoded(container: Any, stream: Any, on_damage: Callable[[str], None]) -> Iterator[Any]:
    """A stream's pictures, past those that are damaged.

    Args:
        on_damage: told the reason of each fault, about where it is met.
    """
    ended = False
    for packet in packets(container, stream, on_damage):
        ended = ended or (packet.size == 0 and packet.pts is None)
        yield from _frames(packet.decode, on_damage)
    if not ended:
        # The file broke off: what the decoder still holds comes out.
        yield from _frames(lambda: stream.codec_context.decode(None), on_damage)


def _frames(decode: Callable[[], list[Any]], on_damage: Callable[[str], None]) -> list[Any]:
    try:
        return decode()
    except (av.error.FFmpegError, EOFError) as error:
        on_damage(str(getattr(error, "strerror", None) or error))
        return []
