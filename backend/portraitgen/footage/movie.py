# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Movies, frame-exact by their time stamps (PyAV)."""

import bisect
import statistics
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from ..errors import FootageError
from .source_frame import SourceFrame

MOVIE_SUFFIXES = frozenset(
    ".mp4 .mov .m4v .mkv .webm .avi .mxf .mpg .mpeg .m2ts .mts .ts .wmv .flv .ogv .3gp".split()
)
MATRICES = {
    "bt709": Colorspace.ITU709,
    "bt601": Colorspace.ITU601,
    "bt2020": Colorspace.BT2020,
    "smpte240m": Colorspace.SMPTE240M,
    "fcc": Colorspace.FCC,
}
RANGES = {"limited": ColorRange.MPEG, "full": ColorRange.JPEG}
# The tag values are those of ITU-T H.273.
_MATRIX_TAGS = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}
_TRANSFER_NAMES = {16: "PQ", 18: "HLG"}
_STANDARD_RATES = [
    Fraction(*rate)
    for rate in (
        (10, 1), (12, 1), (15, 1), (24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1),
        (48000, 1001), (48, 1), (50, 1), (60000, 1001), (60, 1), (100, 1), (120, 1),
    )
]  # fmt: skip
_REPAIR = "copy or export the file again"
# The default conversion truncates and loses more than a code on average; this one rounds. It takes
# eight times as long, more than decoding.
EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


@dataclass(frozen=True)
class MovieFacts:
    """What a movie's container and codec say, and the time stamps of its frames.

    Attributes:
        times: presentation time stamps of all shown frames, ascending, in `time_base` seconds.
        keys: the ascending time stamps among them from which decoding can start.
        fps: the constant rate, exact where the time stamps are uniform.
        uniform: every frame lasts equally long (within the rounding of the time stamps).
        matrix: name of the YCbCr matrix, "rgb" where none is needed.
        matrix_tagged: the file itself named the matrix.
        range: "limited" or "full".
        transfer: "PQ" or "HLG" for such footage, else "".
        width, height: as shown, after `quarter_turns`.
        quarter_turns: counter-clockwise quarter turns from stored to shown.
    """

    times: tuple[int, ...]
    keys: tuple[int, ...]
    time_base: Fraction
    fps: Fraction
    uniform: bool
    width: int
    height: int
    bit_depth: int
    matrix: str
    matrix_tagged: bool
    range: str
    transfer: str
    pixel_aspect: Fraction
    quarter_turns: int


@contextmanager
def _readable(path: Path, what: str) -> Iterator[None]:
    """Turns the decoder's errors into one sentence."""
    try:
        yield
    except (av.error.FFmpegError, EOFError) as error:
        reason = getattr(error, "strerror", None) or "it ends too early"
        raise FootageError(f"{what} ({reason})", path, _REPAIR) from error


def _open(path: Path) -> tuple[Any, Any]:
    with _readable(path, "the movie cannot be read"):
        container = av.open(str(path), metadata_errors="replace")
    pictures = [
        stream
        for stream in container.streams.video
        if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not pictures:
        container.close()
        raise FootageError("the file holds no picture", path, "give a movie that is not sound only")
    stream = pictures[0]
    stream.thread_type = "AUTO"
    return container, stream


def probe(path: Path) -> MovieFacts:
    """Reads a movie's facts and every frame's time stamp, decoding one frame only.

    Raises:
        FootageError: unreadable, sound only, empty, cut off, or without time stamps.
    """
    container, stream = _open(path)
    with container:
        times, keys = _time_stamps(path, container, stream)
        announced = stream.frames
        if announced and len(times) < announced - 1:
            raise FootageError(
                f"the movie is cut off: {len(times)} of {announced} frames are there", path, _REPAIR
            )
        fps, uniform = _rate(times, stream)
    container, stream = _open(path)
    with container, _readable(path, "the first frame cannot be decoded"):
        frame = next(container.decode(stream), None)
        if frame is None:
            raise FootageError("the movie holds no frame that can be decoded", path, _REPAIR)
        turns = round(frame.rotation / 90) % 4
        width, height = (frame.width, frame.height)[:: -1 if turns % 2 else 1]
        components = frame.format.components
        aspect = stream.sample_aspect_ratio or Fraction(1)
        matrix, tagged = _matrix(frame, stream)
        full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
        transfer = int(stream.codec_context.color_trc or 0)
        return MovieFacts(
            times=tuple(times),
            keys=tuple(keys),
            time_base=stream.time_base,
            fps=fps,
            uniform=uniform,
            width=width,
            height=height,
            bit_depth=max(component.bits for component in components),
            matrix=matrix,
            matrix_tagged=tagged,
            range="full" if full or matrix == "rgb" else "limited",
            transfer=_TRANSFER_NAMES.get(transfer, ""),
            pixel_aspect=1 / aspect if turns % 2 else Fraction(aspect),
            quarter_turns=turns,
        )


def _time_stamps(path: Path, container: Any, stream: Any) -> tuple[list[int], list[int]]:
    times: list[int] = []
    keys: list[int] = []
    missing = False
    with _readable(path, "the movie is damaged"):
        for packet in container.demux(stream):
            if packet.size == 0 or packet.is_discard:
                continue
            if packet.pts is None:
                missing = True
                break
            times.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
    if missing:
        # Old containers (AVI) give stamps to decoded frames only.
        times, keys = _decoded_time_stamps(path)
    if not times:
        raise FootageError("the movie holds no frames", path, "give a movie with pictures")
    if len(set(times)) != len(times):
        times, keys = _decoded_time_stamps(path)
    return sorted(times), sorted(set(keys)) or [min(times)]


def _decoded_time_stamps(path: Path) -> tuple[list[int], list[int]]:
    container, stream = _open(path)
    times: list[int] = []
    keys: list[int] = []
    with container, _readable(path, "the movie is damaged"):
        for frame in container.decode(stream):
            if frame.pts is None or (times and frame.pts <= times[-1]):
                raise FootageError(
                    "the movie's frames have no time stamps of their own",
                    path,
                    "export it as MP4 or as an image sequence",
                )
            times.append(frame.pts)
            if frame.key_frame:
                keys.append(frame.pts)
    return times, keys


def _rate(times: list[int], stream: Any) -> tuple[Fraction, bool]:
    """The constant rate that fits the time stamps, and whether they really are that constant."""
    guessed = Fraction(stream.guessed_rate or stream.average_rate or 25)
    if len(times) < 2:
        return guessed, True
    steps = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    if min(steps) == max(steps):
        return 1 / (steps[0] * Fraction(stream.time_base)), True
    typical = 1 / (Fraction(statistics.median(steps)) * stream.time_base)
    candidates = [rate for rate in [guessed, *_STANDARD_RATES] if abs(rate / typical - 1) < 0.02]
    fps = candidates[0] if candidates else typical.limit_denominator(1001)
    return fps, max(steps) - min(steps) <= 1


def _matrix(frame: Any, stream: Any) -> tuple[str, bool]:
    if frame.format.is_rgb or frame.format.name.startswith(("gray", "pal8", "bayer")):
        return "rgb", True
    tag = _MATRIX_TAGS.get(int(stream.codec_context.colorspace or 2))
    tag = tag or _MATRIX_TAGS.get(int(frame.colorspace or 2))
    if tag:
        return tag, True
    # swscale takes every untagged file for standard definition.
    high_definition = frame.height > 576 or frame.width > 1024
    return ("bt709" if high_definition else "bt601"), False


def frame_table(facts: MovieFacts, fps: Fraction) -> list[int]:
    """For every frame of a constant rate, the position of the movie's frame that is shown then.

    A frame is shown from the constant-rate instant nearest to its time stamp until the next one's.
    """
    if fps == facts.fps and facts.uniform:
        return list(range(len(facts.times)))
    start = facts.times[0]
    per_frame = 1 / (fps * facts.time_base)
    last = len(facts.times) - 1
    typical = 1 / (facts.fps * facts.time_base)
    count = max(1, round((facts.times[last] - start + typical) / per_frame))
    table = []
    for number in range(count):
        until = start + (number + Fraction(1, 2)) * per_frame
        table.append(max(0, bisect.bisect_left(facts.times, until) - 1))
    return table


class MovieReader:
    """Decodes a movie's frames by position; sequential reading never seeks.

    Not to be shared between threads: each takes a reader of its own.
    """

    _KEPT = 8

    def __init__(
        self, path: Path, facts: MovieFacts, matrix: str, range: str, exact: bool = True
    ) -> None:
        """Opens nothing yet; `matrix` and `range` are the names to decode with.

        Args:
            exact: codes as the movie has them; if not, 8 bits whose codes may be off by a few.
        """
        self._path = path
        self._facts = facts
        self._matrix = None if matrix == "rgb" else MATRICES[matrix]
        self._range = RANGES[range]
        self._reformatter = VideoReformatter()
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._container: Any = None
        self._stream: Any = None
        self._decoded: Iterator[Any] = iter(())
        self._at = -1
        self._format = "rgb24" if facts.bit_depth <= 8 or not exact else "rgb48le"
        self._interpolation = EXACT if exact else Interpolation.BILINEAR

    def read(self, position: int) -> SourceFrame:
        """The frame at `position` of `facts.times`, as RGB codes.

        Raises:
            FootageError: if it cannot be decoded.
        """
        frame = self._kept.get(position)
        if frame is None:
            frame = self._decode(position)
            self._kept[position] = frame
            while len(self._kept) > self._KEPT:
                self._kept.popitem(last=False)
        with _readable(self._path, f"frame {position + 1} of the movie cannot be converted"):
            converted = self._reformatter.reformat(
                frame,
                format=self._format,
                src_colorspace=self._matrix,
                dst_colorspace=self._matrix,
                src_color_range=self._range,
                dst_color_range=ColorRange.JPEG,
                interpolation=self._interpolation,
            )
            pixels: np.ndarray = converted.to_ndarray()
        if pixels.dtype == np.uint16 and self._matrix is not None:
            # swscale puts white at 255/256 of full (limited range) or leaves the low bits empty.
            short = 8 if self._range == ColorRange.MPEG else self._facts.bit_depth
            wide = pixels.astype(np.uint32)
            pixels = np.minimum(wide + (wide >> short), 65535).astype(np.uint16)
        if self._facts.quarter_turns:
            pixels = np.ascontiguousarray(np.rot90(pixels, self._facts.quarter_turns))
        code = pixels.dtype.name
        return SourceFrame(
            pixels, ("R", "G", "B"), (0, 1, 2), 8 * pixels.itemsize, (code, code, code), {}
        )

    def close(self) -> None:
        """Closes the file; reading again opens it again."""
        if self._container is not None:
            self._container.close()
        self._container = None
        self._at = -1

    def _decode(self, position: int) -> Any:
        wanted = self._facts.times[position]
        key = bisect.bisect_right(self._facts.keys, wanted) - 1
        # Going on costs less than a seek while the frame lies in the same group of pictures.
        on_the_way = self._container is not None and 0 <= self._at < position
        if on_the_way and (key < 0 or self._facts.keys[key] <= self._facts.times[self._at + 1]):
            frame = self._advance(wanted)
            if frame is not None:
                return frame
        # Frames shown before an open group's key frame need the group before it.
        for start in (*range(key, max(key - 3, -1), -1), None):
            self._seek(start)
            frame = self._advance(wanted)
            if frame is not None:
                return frame
        raise FootageError(f"frame {position + 1} of the movie is damaged", self._path, _REPAIR)

    def _seek(self, key: int | None) -> None:
        fresh = self._container is None
        if fresh or key is None:
            self.close()
            self._container, self._stream = _open(self._path)
        if key is not None and not (fresh and key == 0):
            with _readable(self._path, "the movie cannot be searched"):
                self._container.seek(self._facts.keys[key], stream=self._stream, backward=True)
        self._decoded = self._container.decode(self._stream)

    def _advance(self, wanted: int) -> Any | None:
        """Decodes up to the time stamp; None if it was passed without being met."""
        with _readable(self._path, "the movie cannot be decoded"):
            for frame in self._decoded:
                if frame.pts is None or frame.pts < wanted:
                    continue
                if frame.pts > wanted:
                    break
                self._at = bisect.bisect_left(self._facts.times, wanted)
                return frame
        self._at = -1
        return None
