# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What containers hold or ask of players and FFmpeg does not do: second layers, crops, edits that
hold or slow down, edits of the time code's track, Dolby Vision that needs its own decoder.

Read from ISO's boxes (ISO/IEC 14496-12, QuickTime) and Matroska's elements (RFC 9559).
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from .ebml import SEGMENT, element, elements_in, is_matroska
from .iso_boxes import boxes_in, is_iso, outer_boxes

_LARGEST = 64 << 20
_DOLBY_ONLY = (5, 10)  # Profiles that may be in Dolby's own colours (IPT).
_DOLBY_VISION = (
    "the movie is Dolby Vision in Dolby's own colours (IPT), which are not read: it looks green and"
    " purple; export it as HDR10, HLG or SDR"
)
_TO_STSD = (b"mdia", b"minf", b"stbl", b"stsd")
_ENTRY_HEAD = 86  # Of a picture's sample description, up to its boxes.
_TRACKS = 0x1654AE6B
_TRACK, _TYPE, _VIDEO = 0xAE, 0x83, 0xE0
_ADDITION, _ADDITION_KIND, _ADDITION_DATA = 0x41E4, 0x41E7, 0x41ED
_CROPS = {0x54CC: "left", 0x54AA: "top", 0x54DD: "right", 0x54BB: "bottom"}


@dataclass(frozen=True)
class TimeCodeTrack:
    """What a QuickTime movie's time code track says beside its first code.

    Attributes:
        rate: frames a second that it counts.
        skipped: how many of them its edit list leaves out at its beginning.
        starts: how often it starts anew.
    """

    rate: int
    skipped: int
    starts: int


def time_code_track(path: Path, track: int) -> TimeCodeTrack | None:
    """The time code track of a track of pictures; None where there is none, or it makes no sense.

    Args:
        track: the number of the pictures' track.
    """
    with open(path, "rb") as file, suppress(struct.error, IndexError, ArithmeticError):
        if not is_iso(file.read(12)):
            return None
        traks = {
            number: trak
            for moov in _bodies(file, path.stat().st_size, b"moov")
            for trak in _all(moov, b"trak")
            if (number := _number_of(trak)) is not None
        }
        named = next(_all(next(_all(traks[track], b"tref"), b""), b"tmcd"), b"")
        codes = [each for each in traks.values() if _media(each, b"hdlr")[8:12] == b"tmcd"]
        if len(named) >= 4:
            wanted = traks.get(struct.unpack_from(">I", named)[0])
            codes = [wanted] if wanted is not None else codes
        if codes:
            return _time_code_of(codes[0])
    return None


def _time_code_of(trak: bytes) -> TimeCodeTrack:
    header = _media(trak, b"mdhd")
    (scale,) = struct.unpack_from(">I", header, 20 if header[0] else 12)
    table = next(_all(_media(trak, b"minf"), b"stbl"), b"")
    entry = next(_all(table, b"stsd"), b"")[8 + 16 :]
    _, ticks, frame, rate = struct.unpack_from(">IIIB", entry, 4)
    entries = _edits_of(trak)
    start = next((time for _, time, _, _ in entries if time >= 0), 0)
    sizes = next(_all(table, b"stsz"), b"")
    starts = struct.unpack_from(">I", sizes, 8)[0] if len(sizes) >= 12 else 1
    return TimeCodeTrack(rate, round(Fraction(start, scale) * Fraction(ticks, frame)), starts)


def _media(trak: bytes, kind: bytes) -> bytes:
    return next(_all(next(_all(trak, b"mdia"), b""), kind), b"")


def _number_of(trak: bytes) -> int | None:
    header = next(_all(trak, b"tkhd"), b"")
    if len(header) < 24:
        return None
    number: int = struct.unpack_from(">I", header, 20 if header[0] else 12)[0]
    return number


def _bodies(file: BinaryIO, size: int, wanted: bytes) -> Iterator[bytes]:
    """The bodies of the outermost boxes of one kind."""
    for kind, start, end in outer_boxes(file, size):
        if kind == wanted:
            file.seek(start)
            yield file.read(min(end - start, _LARGEST))[8:]


def movie_comment(path: Path) -> str:
    """What an MP4 says of itself as its comment; empty if it has none."""
    with open(path, "rb") as file, suppress(UnicodeDecodeError):
        for moov in _bodies(file, path.stat().st_size, b"moov"):
            # A full box, whose boxes begin behind its version.
            meta = next(_all(next(_all(moov, b"udta"), b""), b"meta"), b"")[4:]
            comment = next(_all(next(_all(meta, b"ilst"), b""), b"\xa9cmt"), b"")
            return next(_all(comment, b"data"), b"")[8:].decode()
    return ""


def unfollowed(path: Path, track: int, row: int, width: int, height: int) -> list[str]:
    """Notes on what a track of pictures asks for and does not get.

    Args:
        track: its number in ISO's containers.
        row: how many tracks of pictures come before it.
        width, height: of its pictures as decoded.
    """
    size = path.stat().st_size
    notes: list[str] = []
    with open(path, "rb") as file:
        head = file.read(12)
        # A damaged index is told by what is decoded.
        with suppress(struct.error, IndexError):
            if is_matroska(head):
                notes += _of_matroska(file, size, row)
            elif is_iso(head):
                notes.extend(_of_boxes(file, size, track, width, height))
    return notes


def _of_boxes(file: BinaryIO, size: int, track: int, width: int, height: int) -> Iterator[str]:
    count = sum(kind == b"moov" for kind, _, _ in outer_boxes(file, size))
    if count > 1:
        yield (
            f"the file is {count} movies one after the other, of which players show the first; it"
            " alone is read; join them with a tool that writes one movie"
        )
    for moov in _bodies(file, size, b"moov"):
        # A layered HEVC decoder's configuration: spatial video, or Apple's HEVC with alpha.
        if b"lhvC" in moov:
            yield (
                "the movie has a second layer (the other eye's view, or alpha), which is not read,"
                " nor kept in results"
            )
        for trak in _all(moov, b"trak"):
            if _number_of(trak) == track:
                yield from _of_edits(trak)
                yield from _of_aperture(trak, width, height)
                yield from _of_dolby_vision(trak)


def _edits_of(trak: bytes) -> list[tuple[int, int, int, int]]:
    """Each edit's length, its time in the media, and whole and fraction of its rate."""
    edits = next(_all(next(_all(trak, b"edts"), b""), b"elst"), b"")
    if len(edits) < 8:
        return []
    (count,) = struct.unpack_from(">I", edits, 4)
    form = ">Qqhh" if edits[0] else ">Iihh"
    return list(struct.iter_unpack(form, edits[8 : 8 + struct.calcsize(form) * count]))


def _of_edits(trak: bytes) -> list[str]:
    entries = _edits_of(trak)
    notes = []
    if any(time >= 0 and (whole, part) != (1, 0) for _, time, whole, part in entries):
        notes.append(
            "the movie's edit list holds or slows down some parts, which is not followed: they are"
            " read at their own speed; export the movie again to have it as it plays"
        )
    if any(time < 0 for _, time, _, _ in entries[1:]):
        notes.append(
            "the movie's edit list has a gap between parts, which is not followed; export the movie"
            " again to have it as it plays"
        )
    return notes


def _described(trak: bytes) -> bytes:
    """The boxes in a track's first sample description."""
    box = trak
    for kind in _TO_STSD:
        box = next(_all(box, kind), b"")
    return box[8 + _ENTRY_HEAD :]


def _of_dolby_vision(trak: bytes) -> list[str]:
    """A profile whose pictures other decoders show in wrong colours."""
    boxes = _described(trak)
    settings = next(_all(boxes, b"dvcC"), b"") or next(_all(boxes, b"dvvC"), b"")
    return _told_of_dolby_vision(settings)


def _told_of_dolby_vision(settings: bytes) -> list[str]:
    if len(settings) < 5:
        return []
    profile, compatible = settings[2] >> 1, settings[4] >> 4
    return [_DOLBY_VISION] if profile in _DOLBY_ONLY and not compatible else []


def _of_aperture(trak: bytes, width: int, height: int) -> list[str]:
    aperture = next(_all(_described(trak), b"clap"), b"")
    if len(aperture) < 16:
        return []
    wide, wide_over, high, high_over = struct.unpack_from(">4I", aperture)
    if not wide_over or not high_over:
        return []
    shown = (round(wide / wide_over), round(high / high_over))
    return [] if shown == (width, height) else [_cropped(shown, (width, height))]


def _cropped(shown: tuple[int, int], whole: tuple[int, int]) -> str:
    return (
        f"some players show {shown[0]} x {shown[1]} of each picture, as the movie asks; the whole"
        f" {whole[0]} x {whole[1]} is read"
    )


def _all(data: bytes, wanted: bytes) -> Iterator[bytes]:
    """The bodies of the boxes of one kind, up to one that makes no sense."""
    with suppress(ValueError):
        yield from (body for kind, body in boxes_in(data) if kind == wanted)


def _of_matroska(file: BinaryIO, size: int, row: int) -> list[str]:
    place = 0
    while place < size:
        file.seek(place)
        name, length, head = element(file.read(16))
        if name == SEGMENT:
            place += head
            continue
        if length is None:
            break
        if name == _TRACKS:
            file.seek(place + head)
            return _of_tracks(file.read(min(length, _LARGEST)), row)
        place += head + length
    return []


def _of_tracks(tracks: bytes, row: int) -> list[str]:
    entries = [dict(elements_in(entry)) for name, entry in elements_in(tracks) if name == _TRACK]
    pictures = [entry for entry in entries if entry.get(_TYPE) == b"\1"]
    if row >= len(pictures):
        return []
    track = pictures[row]
    video = dict(elements_in(track.get(_VIDEO, b"")))
    crops = [
        f"{int.from_bytes(video[name], 'big')} {side}"
        for name, side in _CROPS.items()
        if int.from_bytes(video.get(name, b""), "big")
    ]
    beside = dict(elements_in(track.get(_ADDITION, b"")))
    notes = []
    if beside.get(_ADDITION_KIND, b"")[-4:] in (b"dvcC", b"dvvC"):
        notes += _told_of_dolby_vision(beside.get(_ADDITION_DATA, b""))
    if not crops:
        return notes
    cut = ", ".join(crops)
    return [*notes, f"players cut pixels off ({cut}), as the movie asks; the whole picture is read"]
