# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a movie says about itself: its pictures' times, colours and orientation, its sound."""

import bisect
import contextlib
import struct
from collections import Counter
from dataclasses import astuple, dataclass, replace
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import Any

import av
from av.video.reformatter import ColorRange, Colorspace

from ..errors import FootageError
from .container_tags import time_code_track, unfollowed
from .display_matrix import orientation_of, swaps_sides
from .dpx_header import UNTOLD, doubt_about_transfer
from .facts import MovieFacts
from .fields import LOOKED_AT, FieldWatch
from .limits import check_size
from .movie_container import REPAIR, decoded, open_movie, packets, picture_streams
from .movie_index import constant_rate, index_movie
from .movie_pixels import depth_of, has_alpha, is_grey, luma_of
from .movie_source_type import movie_source_type
from .timecode import advanced, of_group, of_picture, rebased

MATRICES = {
    "bt709": Colorspace.ITU709,
    "bt601": Colorspace.ITU601,
    "bt2020": Colorspace.BT2020,
    "smpte240m": Colorspace.SMPTE240M,
    "fcc": Colorspace.FCC,
}
RANGES = {"limited": ColorRange.MPEG, "full": ColorRange.JPEG}
# The tag values are those of ITU-T H.273.
_UNSPECIFIED = 2
_MATRIX_TAGS = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}
_OTHER_MATRICES = {
    8: "YCgCo",
    10: "BT.2020 constant luminance",
    11: "YDzDx",
    14: "ICtCp",
    15: "IPT",
}
# Codecs whose grey pictures have video range unless they say otherwise.
_VIDEO_CODECS = frozenset(("h264", "hevc", "av1", "libdav1d", "vp9", "vp8", "mpeg2video", "mpeg4"))
# Where FFmpeg knows no colours and no shape of a pixel but those of pictures that it looked at.
_WITHOUT_HEADER = frozenset(
    ("mpegts", "mpeg", "mpegvideo", "m4v", "h264", "hevc", "vvc", "av1", "obu", "cavsvideo")
)
# Bare streams, whose rate is the codec's own or FFmpeg's 25.
_WITHOUT_CLOCK = frozenset(
    (
        "h264", "hevc", "vvc", "evc", "av1", "obu", "mpegvideo", "m4v", "mjpeg", "h261", "h263",
        "vc1", "cavsvideo", "avs2", "avs3", "dirac", "dnxhd",
    )
)  # fmt: skip
_FIELD_ORDERS = range(2, 6)  # FFmpeg's AVFieldOrder: all that are not progressive.
# Those of FFmpeg's AVStereo3DType that put two views into one picture.
_PACKINGS = {
    1: "side by side", 2: "one above the other", 4: "as a checkerboard", 5: "side by side",
    6: "in alternating lines", 7: "in alternating columns",
}  # fmt: skip
_CINEMA = (
    "the movie is in digital cinema's X'Y'Z' (a DCP), which FFmpeg turns into RGB, up to 10 codes"
    " darker than a projector shows it; export it as Rec.709 for exact colours"
)
_SAID = ("colorspace", "color_primaries", "color_trc", "color_range")
_BESIDE = {"subtitle": "subtitle track", "data": "data track", "attachment": "attached file"}


@dataclass(frozen=True)
class _Colours:
    """What is said of a movie's colours, as H.273 and FFmpeg number it; None where nothing is."""

    matrix: int | None
    primaries: int | None
    transfer: int | None
    range: int | None

    @classmethod
    def of(cls, said: Any, context: Any) -> "_Colours":
        """What a picture or its decoder says; older releases of PyAV know less of a picture."""
        matrix, primaries, transfer, range_ = (
            int(getattr(said, name, getattr(context, name)) or 0) for name in _SAID
        )
        unsaid = (0, _UNSPECIFIED)
        return cls(
            matrix if matrix not in unsaid else None,
            primaries if primaries not in unsaid else None,
            transfer if transfer not in unsaid else None,
            range_ or None,
        )

    def before(self, other: "_Colours", notes: list[str]) -> "_Colours":
        """These, and what they do not say as `other` has it: a container outranks its pictures, as
        it does in Blender and in players."""
        pairs = list(zip(astuple(self), astuple(other), strict=True))
        if any(None not in pair and pair[0] != pair[1] for pair in pairs):
            notes.append(
                "the movie's container and its pictures are tagged with different colours; the"
                " container's are taken, as Blender takes them"
            )
        return _Colours(*(first if first is not None else second for first, second in pairs))


def probe(path: Path) -> MovieFacts:
    """Reads a movie's facts and the time stamps of its pictures.

    Raises:
        FootageError: unreadable, sound only, or without a picture that can be decoded.
    """
    index = index_movie(path)
    notes = list(index.notes)
    container, stream = open_movie(path)
    with container:
        _tell_streams(container, stream, notes)
        _tell_alpha(stream, notes)
        # Once a picture is decoded, FFmpeg has put what that says in the place of the container's.
        context = stream.codec_context
        plain = container.format.name in _WITHOUT_HEADER
        said = _Colours(None, None, None, None) if plain else _Colours.of(context, context)
        fields = not plain and int(getattr(context, "field_order", 0)) in _FIELD_ORDERS
        shown = frozenset(index.stamps)
        pictures = decoded(container, stream, lambda reason: None)
        meant = (frame for frame in pictures if index.in_order or frame.pts in shown)
        frame = next(meant, None)
        if frame is None:
            raise FootageError("the movie holds no frame that can be decoded", path, REPAIR)
        shape = (context if plain else stream).sample_aspect_ratio
        own, tags = _Colours.of(frame, context), tags_of(frame, context)
        watch = FieldWatch()
        interlaced = False
        for each in chain([frame], islice(meant, LOOKED_AT - 1)):
            interlaced = interlaced or bool(each.interlaced_frame)
            watch.look(*luma_of(each))
        notes += watch.told(interlaced)
        if fields and not interlaced:
            notes.append(
                "the movie's container says that its frames are interlaced, its pictures do not;"
                " look at a part that moves, and read one field (--deinterlace) if they are"
            )
        check_size(frame.width, frame.height, 8, path)
        row = sum(other.index < stream.index for other in container.streams.video)
        notes += unfollowed(path, stream.id, row, frame.width, frame.height)
        _tell_eyes(frame, notes)
        if frame.format.name.startswith("xyz"):
            notes.append(_CINEMA)
        orientation, exact = _orientation(frame)
        if not exact:
            notes.append("the movie is turned by an odd angle; the next quarter turn is shown")
        width, height = frame.width, frame.height
        aspect = Fraction(shape or 1) or Fraction(1)
        if swaps_sides(orientation):
            width, height, aspect = height, width, 1 / aspect
        if context.codec.name == "dpx":
            said, own = _without_doubtful(path, said, own, notes)
        colours = said.before(own, notes)
        matrix, tagged = _matrix(frame, colours, notes)
        full = _is_full(frame, stream, matrix, colours)
        if full and colours.range == ColorRange.MPEG:
            notes.append(
                "the movie's tags say video levels for codes that are RGB or grey, which are not"
                " stretched; where black looks grey, name the range (limited)"
            )
        guessed = Fraction(stream.guessed_rate or stream.average_rate or 25)
        fps, uniform = constant_rate(index.times, index.time_base, guessed)
        if container.format.name in _WITHOUT_CLOCK and not context.framerate:
            notes.append(f"the movie names no frame rate; {fps} is assumed; name it if it is not")
        return MovieFacts(
            stamps=tuple(index.stamps),
            times=tuple(index.times),
            keys=tuple(index.keys),
            in_order=index.in_order,
            until=index.until,
            time_base=index.time_base,
            fps=fps,
            uniform=uniform,
            width=width,
            height=height,
            stored=(frame.width, frame.height),
            orientation=orientation,
            pixel_aspect=aspect,
            bit_depth=depth_of(frame.format),
            alpha=has_alpha(frame),
            matrix=matrix,
            matrix_tagged=tagged,
            range="full" if full else "limited",
            primaries=colours.primaries or _UNSPECIFIED,
            transfer=colours.transfer or _UNSPECIFIED,
            tags=tags,
            interlaced=interlaced,
            timecode=_time_code(path, container, stream, index.early, fps, notes)
            or _beside_picture(frame, fps, notes),
            reel=_metadata(container, stream, "reel_name"),
            sound=bool(container.streams.audio),
            notes=tuple(notes),
            source_type=movie_source_type(path),
        )


def _without_doubtful(
    path: Path, said: _Colours, own: _Colours, notes: list[str]
) -> tuple[_Colours, _Colours]:
    """What a movie and its pictures, which are DPX, say of their colours, without a transfer that
    nobody meant."""
    container, stream = open_movie(path)
    with container:
        head = next((bytes(each) for each in packets(container, stream, notes.append)), b"")
    doubt = doubt_about_transfer(head)
    if doubt == "film":
        notes.append(
            "the movie's pictures are logarithmic DPX and name no camera; Rec.709 is assumed; name"
            " their colour space, such as ADX10 (film) or ARRI LogC3"
        )
    elif doubt:
        notes.append(UNTOLD)
    else:
        return said, own
    return replace(said, transfer=None), replace(own, transfer=None)


def tags_of(frame: Any, context: Any) -> tuple[int, ...]:
    """What a picture by itself says of its colours and of the shape of its pixels, in numbers that
    are the same where it says the same."""
    shape = Fraction(context.sample_aspect_ratio or 1) or Fraction(1)
    colours = (int(getattr(frame, name, 0) or 0) for name in _SAID)
    return (*colours, shape.numerator, shape.denominator)


def _orientation(frame: Any) -> tuple[int, bool]:
    """How a picture is to be turned, as Exif numbers it; whether that is exact."""
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # PyAV has no name for some data beside a picture (Exif), and then gives none of it; the
        # turn it gives by itself knows no mirror.
        turn = int(frame.rotation) % 360
        return {0: 1, 90: 8, 180: 3, 270: 6}.get(turn, 1), turn % 90 == 0
    return orientation_of(bytes(data) if data else None)


def _tell_streams(container: Any, stream: Any, notes: list[str]) -> None:
    beside = Counter(
        _BESIDE[each.type]
        for each in container.streams
        if each.type in _BESIDE and not _is_time_code(each)
    )
    beside["cover picture"] += sum(
        bool(each.disposition & av.stream.Disposition.attached_pic)
        for each in container.streams.video
    )
    if len(container.streams.audio) > 1:
        notes.append(
            f"the movie has {len(container.streams.audio)} sound tracks; the first goes into"
            " movies made from it"
        )
    named = [f"{count} {name}{'s' * (count > 1)}" for name, count in beside.items() if count]
    if named:
        verb = "is" if sum(beside.values()) == 1 else "are"
        notes.append(f"the movie's {' and '.join(named)} {verb} not used, nor kept in results")
    tracks = picture_streams(container)
    if len(tracks) > 1:
        number = sorted(track.index for track in tracks).index(stream.index) + 1
        default = stream.disposition & av.stream.Disposition.default
        why = "the one flagged as default" if default else "the largest"
        notes.append(
            f"the movie has {len(tracks)} tracks of pictures; track {number} is read"
            f" ({stream.width} x {stream.height}, {why})"
        )


def _is_time_code(each: Any) -> bool:
    """Whether a track is the time code, which is read."""
    return each.metadata.get("handler_name") == "TimeCodeHandler" or (
        each.type == "data" and "timecode" in each.metadata
    )


def _tell_alpha(stream: Any, notes: list[str]) -> None:
    """Alpha coded beside the pictures in their own track, where FFmpeg decodes the pictures."""
    if any(key.lower() == "alpha_mode" and value == "1" for key, value in stream.metadata.items()):
        notes.append("the movie's alpha (VP8, VP9) is not read, nor kept in results")


def _tell_eyes(frame: Any, notes: list[str]) -> None:
    try:
        data = frame.side_data.get("STEREO3D")
    except ValueError:  # See `_orientation`.
        return
    packing = struct.unpack_from("=i", bytes(data))[0] if data and len(bytes(data)) >= 4 else 0
    if packing in _PACKINGS:
        notes.append(
            f"each picture holds both eyes' views ({_PACKINGS[packing]}); it is read as it is; crop"
            " it to one of them first"
        )


def _matrix(frame: Any, colours: _Colours, notes: list[str]) -> tuple[str, bool]:
    name = frame.format.name
    if frame.format.is_rgb or is_grey(name) or name.startswith(("pal8", "bayer", "xyz", "gbr")):
        return "rgb", True
    tags = [colours.matrix or _UNSPECIFIED, int(frame.colorspace or _UNSPECIFIED)]
    for tag in tags:
        if tag in _MATRIX_TAGS:
            return _MATRIX_TAGS[tag], True
    # swscale takes every untagged file for standard definition.
    high_definition = frame.height > 576 or frame.width > 1024
    assumed = "bt709" if high_definition else "bt601"
    other = next((_OTHER_MATRICES[tag] for tag in tags if tag in _OTHER_MATRICES), None)
    if other:
        assumed = "bt2020" if "2020" in other else assumed
        notes.append(f"the movie's colour matrix ({other}) is not known here; {assumed} is taken")
        return assumed, True
    return assumed, False


def _is_full(frame: Any, stream: Any, matrix: str, colours: _Colours) -> bool:
    said = int(frame.color_range) if colours.range is None else colours.range
    if is_grey(frame.format.name):
        video = stream.codec_context.name in _VIDEO_CODECS
        return not video or said == ColorRange.JPEG
    return matrix == "rgb" or said == ColorRange.JPEG or frame.format.name.startswith("yuvj")


def _time_code(
    path: Path, container: Any, stream: Any, early: int, fps: Fraction, notes: list[str]
) -> str:
    """The time code of the first picture that is shown, counted at the movie's rate."""
    code = _metadata(container, stream, "timecode")
    track = time_code_track(path, stream.id) if code else None
    if track is not None:
        if track.starts > 1:
            notes.append(
                "the movie's time code starts anew on the way; it is counted on from the first one"
            )
        code = advanced(code, track.skipped, Fraction(track.rate))
        if round(fps) != track.rate:
            notes.append(
                f"the movie's time code counts {track.rate} frames a second, the movie has"
                f" {round(fps)}; it is counted at the movie's rate"
            )
            code = rebased(code, Fraction(track.rate), fps)
    return advanced(code, early, fps) if early else code


def _beside_picture(frame: Any, fps: Fraction, notes: list[str]) -> str:
    """The time code that the first picture has of its own, or its group."""
    code = ""
    with contextlib.suppress(ValueError, struct.error):  # See `_orientation`.
        beside = frame.side_data.get("S12M_TIMECODE")
        group = frame.side_data.get("GOP_TIMECODE")
        if beside:
            count, word = struct.unpack_from("=2I", bytes(beside))
            code = of_picture(word, fps) if count else ""
        elif group:
            code = of_group(struct.unpack_from("=q", bytes(group))[0])
    if code:
        notes.append(
            f"the movie's container has no time code; the one beside its first picture, {code}, is"
            " taken"
        )
    return code


def _metadata(container: Any, stream: Any, name: str) -> str:
    """A text of a movie by its name, which Matroska writes in capitals."""
    places = [stream.metadata, *(each.metadata for each in container.streams), container.metadata]
    found = (value for place in places for key, value in place.items() if key.lower() == name)
    return next((str(value) for value in found if value), "")


def frame_table(facts: MovieFacts, fps: Fraction) -> list[int]:
    """For every frame of a constant rate, the position of the movie's frame that is shown then.

    A frame is shown from the constant-rate instant nearest to its time stamp until the next one's.
    """
    if fps == facts.fps and facts.uniform and facts.until is None:
        return list(range(len(facts.times)))
    start = facts.times[0]
    per_frame = 1 / (fps * facts.time_base)
    last = len(facts.times) - 1
    typical = 1 / (facts.fps * facts.time_base)
    end = max(facts.times[last] + typical, Fraction(facts.until or 0))
    count = max(1, round((end - start) / per_frame))
    table = []
    for number in range(count):
        until = start + (number + Fraction(1, 2)) * per_frame
        table.append(max(0, bisect.bisect_left(facts.times, until) - 1))
    return table
