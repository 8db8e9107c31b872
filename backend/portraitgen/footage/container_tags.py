# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What containers hold or ask of players and FFmpeg does not do: second layers, crops, edits that
hold or slow down.

Read from ISO's boxes (ISO/IEC 14496-12, QuickTime) and Matroska's elements (RFC 9559).
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from .ebml import SEGMENT, element, elements_in, is_matroska
from .iso_boxes import boxes_in, is_iso, outer_boxes

_LARGEST = 64 << 20
_TO_STSD = (b"mdia", b"minf", b"stbl", b"stsd")
_ENTRY_HEAD = 86  # Of a picture's sample description, up to its boxes.
_TRACKS = 0x1654AE6B
_TRACK, _TYPE, _VIDEO = 0xAE, 0x83, 0xE0
_CROPS = {0x54CC: "left", 0x54AA: "top", 0x54DD: "right", 0x54BB: "bottom"}


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
    for kind, start, end in outer_boxes(file, size):
        if kind != b"moov":
            continue
        file.seek(start)
        moov = file.read(min(end - start, _LARGEST))
        # A layered HEVC decoder's configuration: spatial video, or Apple's HEVC with alpha.
        if b"lhvC" in moov:
            yield (
                "the movie has a second layer (the other eye's view, or alpha), which is not read,"
                " nor kept in results"
            )
        for trak in _all(moov[8:], b"trak"):
            header = next(_all(trak, b"tkhd"), b"")
            if len(header) < 24:
                continue
            place = 20 if header[0] else 12
            if struct.unpack_from(">I", header, place)[0] != track:
                continue
            yield from _of_edits(trak)
            yield from _of_aperture(trak, width, height)


def _of_edits(trak: bytes) -> list[str]:
    edits = next(_all(next(_all(trak, b"edts"), b""), b"elst"), b"")
    if len(edits) < 8:
        return []
    (count,) = struct.unpack_from(">I", edits, 4)
    form = ">Qqhh" if edits[0] else ">Iihh"
    entries = list(struct.iter_unpack(form, edits[8 : 8 + struct.calcsize(form) * count]))
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


def _of_aperture(trak: bytes, width: int, height: int) -> list[str]:
    box = trak
    for kind in _TO_STSD:
        box = next(_all(box, kind), b"")
    aperture = next(_all(box[8 + _ENTRY_HEAD :], b"clap"), b"")
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
    video = dict(elements_in(pictures[row].get(_VIDEO, b"")))
    crops = [
        f"{int.from_bytes(video[name], 'big')} {side}"
        for name, side in _CROPS.items()
        if int.from_bytes(video.get(name, b""), "big")
    ]
    if not crops:
        return []
    cut = ", ".join(crops)
    return [f"players cut pixels off ({cut}), as the movie asks; the whole picture is read"]
