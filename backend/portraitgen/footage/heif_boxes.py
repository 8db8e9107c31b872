# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a HEIC or AVIF photo says of itself (ISO/IEC 23008-12): tiles, crop, turns, colours.

FFmpeg gives the coded pictures of such a file by their item's number; which of them make the photo,
and how, is in its boxes alone.
"""

import struct
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from ..errors import FootageError
from .display_matrix import swaps_sides
from .iso_boxes import boxes_in

PHOTO_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"avif"))
_MOST = 16 << 20
_TILES = 4096
_CODED = frozenset((b"hvc1", b"av01", b"avc1"))


@dataclass(frozen=True)
class HeifPhoto:
    """The photo that a file shows.

    Attributes:
        tiles: items whose pictures make it, row by row.
        columns, rows: of them.
        width, height: of the picture that the tiles make, before `crop`.
        crop: left, top, width and height of what is shown of it.
        orientation: from there to shown, as Exif numbers it.
        nclx: primaries, transfer, matrix of ITU-T H.273 and whether the range is full, or None.
        icc: the ICC profile, or b"".
        alpha: the item that holds its alpha, or None.
        others: how many more photos there are.
        pixel_aspect: how wide a pixel is for its height, as it is shown.
    """

    tiles: tuple[int, ...]
    columns: int
    rows: int
    width: int
    height: int
    crop: tuple[int, int, int, int]
    orientation: int
    nclx: tuple[int, int, int, bool] | None
    icc: bytes
    alpha: int | None
    others: int
    pixel_aspect: Fraction


@dataclass
class _Boxes:
    kinds: dict[int, bytes] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)
    primary: int = 0
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    owned: dict[int, list[int]] = field(default_factory=dict)
    links: list[tuple[bytes, int, tuple[int, ...]]] = field(default_factory=list)
    places: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    data: bytes = b""

    def of(self, item: int, kind: bytes) -> bytes | None:
        """A property of an item."""
        numbers = self.owned.get(item, ())
        found = [self.properties[n - 1] for n in numbers if 0 < n <= len(self.properties)]
        return next((body for each, body in found if each == kind), None)


def is_heif_photo(head: bytes) -> bool:
    """Whether a file that begins so is a photo, not a moving picture, by its brand."""
    return head[4:8] == b"ftyp" and head[8:12] in PHOTO_BRANDS


def read_heif(path: Path) -> HeifPhoto:
    """Reads a photo's boxes.

    Raises:
        FootageError: if they make no sense, or ask for what is not read here.
    """
    try:
        boxes = _boxes_of(path)
        return _photo(boxes, path)
    except (struct.error, LookupError, ValueError, StopIteration, ArithmeticError) as error:
        raise FootageError(
            "the photo is damaged or cut off (its boxes make no sense)", path, "copy it again"
        ) from error


def _boxes_of(path: Path) -> _Boxes:
    boxes = _Boxes()
    length = path.stat().st_size
    with open(path, "rb") as file:
        place = 0
        while place + 8 <= length:
            file.seek(place)
            size, kind = struct.unpack(">I4s", file.read(8))
            head = 8
            if size == 1:
                (size,) = struct.unpack(">Q", file.read(8))
                head = 16
            size = size or length - place
            if kind == b"meta":
                if size > _MOST:
                    raise ValueError("too large")
                _read_meta(boxes, file.read(size - head)[4:])
                break
            if size < head:
                raise ValueError("a box is smaller than its head")
            place += size
        grid = boxes.places.get(boxes.primary)
        if boxes.kinds.get(boxes.primary) == b"grid" and grid is not None and grid[0] == 0:
            file.seek(grid[1])
            boxes.data = file.read(min(grid[2], 64))
        elif grid is not None and grid[0] == 1:
            boxes.data = boxes.data[grid[1] : grid[1] + grid[2]]
    return boxes


def _read_meta(boxes: _Boxes, body: bytes) -> None:
    for kind, data in boxes_in(body):
        if kind == b"pitm":
            boxes.primary = int.from_bytes(data[4:6] if data[0] == 0 else data[4:8], "big")
        elif kind == b"iinf":
            for _, entry in boxes_in(data[6:] if data[0] == 0 else data[8:]):
                wide = entry[0] >= 3
                item = int.from_bytes(entry[4:8] if wide else entry[4:6], "big")
                at = 10 if wide else 8
                boxes.kinds[item] = entry[at : at + 4]
                if entry[3] & 1:
                    boxes.hidden.add(item)
        elif kind == b"iref":
            size = 2 if data[0] == 0 else 4
            for name, link in boxes_in(data[4:]):
                source = int.from_bytes(link[:size], "big")
                count = int.from_bytes(link[size : size + 2], "big")
                start = size + 2
                targets = tuple(
                    int.from_bytes(link[start + n * size : start + (n + 1) * size], "big")
                    for n in range(count)
                )
                boxes.links.append((name, source, targets))
        elif kind == b"iprp":
            for name, part in boxes_in(data):
                if name == b"ipco":
                    boxes.properties = list(boxes_in(part))
                elif name == b"ipma":
                    _read_owners(boxes, part)
        elif kind == b"iloc":
            _read_places(boxes, data)
        elif kind == b"idat":
            boxes.data = data


def _read_owners(boxes: _Boxes, data: bytes) -> None:
    wide_item, wide_number = data[0] >= 1, bool(data[3] & 1)
    (count,) = struct.unpack_from(">I", data, 4)
    place = 8
    for _ in range(count):
        item = int.from_bytes(data[place : place + (4 if wide_item else 2)], "big")
        place += 4 if wide_item else 2
        many = data[place]
        place += 1
        numbers = []
        for _ in range(many):
            if wide_number:
                numbers.append(int.from_bytes(data[place : place + 2], "big") & 0x7FFF)
            else:
                numbers.append(data[place] & 0x7F)
            place += 2 if wide_number else 1
        boxes.owned.setdefault(item, []).extend(numbers)


def _read_places(boxes: _Boxes, data: bytes) -> None:
    """Where items of one piece lie: 0 for the file and 1 for the box idat, offset, length."""
    version = data[0]
    sizes = data[4] >> 4, data[4] & 15, data[5] >> 4, data[5] & 15
    place = 6

    def number(size: int) -> int:
        nonlocal place
        place += size
        return int.from_bytes(data[place - size : place], "big")

    for _ in range(number(2 if version < 2 else 4)):
        item = number(2 if version < 2 else 4)
        how = number(2) & 15 if version in (1, 2) else 0
        number(2)
        base = number(sizes[2])
        pieces = []
        for _ in range(number(2)):
            if version in (1, 2):
                number(sizes[3])
            offset = number(sizes[0])
            pieces.append((base + offset, number(sizes[1])))
        if len(pieces) == 1:
            boxes.places[item] = (how, *pieces[0])


def _photo(boxes: _Boxes, path: Path) -> HeifPhoto:
    item = boxes.primary
    kind = boxes.kinds.get(item, b"")
    size = boxes.of(item, b"ispe")
    if size is None:
        raise ValueError("no size")
    width, height = struct.unpack_from(">2I", size, 4)
    if kind in _CODED:
        tiles: tuple[int, ...] = (item,)
        columns = rows = 1
    elif kind == b"grid":
        tiles = next(to for name, start, to in boxes.links if (name, start) == (b"dimg", item))
        rows, columns = boxes.data[2] + 1, boxes.data[3] + 1
        width, height = struct.unpack_from(">2I" if boxes.data[1] & 1 else ">2H", boxes.data, 4)
        if len(tiles) != rows * columns or len(tiles) > _TILES:
            raise ValueError("tiles that are no grid")
    else:
        named = kind.decode("latin-1") or "of no known kind"
        raise FootageError(
            f"the photo is put together in a way that is not read here ({named})",
            path,
            "export it as JPEG, PNG or TIFF",
        )
    first = tiles[0]
    alphas = {b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1"}
    alpha = next(
        (
            source
            for name, source, to in boxes.links
            if name == b"auxl" and item in to and _aux(boxes, source) in alphas
        ),
        None,
    )
    nclx, icc = _colours(boxes, item, first)
    inside = {tile for name, _, to in boxes.links if name in (b"dimg",) for tile in to}
    beside = {source for name, source, _ in boxes.links if name in (b"auxl", b"thmb", b"cdsc")}
    shown = [n for n, k in boxes.kinds.items() if k in _CODED or k == b"grid"]
    others = [n for n in shown if n not in inside | beside | boxes.hidden | {item}]
    orientation = _orientation(boxes, item)
    return HeifPhoto(
        tuple(tiles), columns, rows, width, height,
        _crop(boxes.of(item, b"clap"), width, height), orientation,
        nclx, icc, alpha, len(others), _aspect(boxes.of(item, b"pasp"), orientation),
    )  # fmt: skip


def _aspect(pasp: bytes | None, orientation: int) -> Fraction:
    """Of the pixels as they are shown; 1 where the box says nothing that can be."""
    across, down = struct.unpack_from(">2I", pasp) if pasp else (1, 1)
    if not across or not down or not 0.05 < across / down < 20:
        return Fraction(1)
    aspect = Fraction(across, down).limit_denominator(1000)
    return 1 / aspect if swaps_sides(orientation) else aspect


def _aux(boxes: _Boxes, item: int) -> bytes:
    body = boxes.of(item, b"auxC") or b""
    return body[4:].split(b"\0")[0]


def _colours(
    boxes: _Boxes, item: int, tile: int
) -> tuple[tuple[int, int, int, bool] | None, bytes]:
    nclx, icc = None, b""
    for owner in (tile, item):
        for number in boxes.owned.get(owner, ()):
            kind, body = boxes.properties[number - 1]
            if kind == b"colr" and body[:4] == b"nclx":
                primaries, transfer, matrix, full = struct.unpack_from(">3HB", body, 4)
                nclx = (primaries, transfer, matrix, bool(full & 128))
            elif kind == b"colr" and body[:4] in (b"prof", b"rICC"):
                icc = body[4:]
    return nclx, icc


def _crop(clap: bytes | None, width: int, height: int) -> tuple[int, int, int, int]:
    """The clean aperture, whose middle is given from the picture's middle."""
    if clap is None:
        return 0, 0, width, height
    wn, wd, hn, hd = struct.unpack_from(">4I", clap)
    xn, xd, yn, yd = struct.unpack_from(">iIiI", clap, 16)
    wide, high = round(wn / wd), round(hn / hd)
    left = round(xn / xd + (width - 1) / 2 - (wide - 1) / 2)
    top = round(yn / yd + (height - 1) / 2 - (high - 1) / 2)
    if wide < 1 or high < 1 or left < 0 or top < 0 or left + wide > width or top + high > height:
        raise ValueError("a crop outside of the picture")
    return left, top, wide, high


def _orientation(boxes: _Boxes, item: int) -> int:
    """Turns and mirrors in their order, as one of Exif's eight."""
    corners = ((0, 0), (1, 0), (0, 1), (1, 1))
    shown = dict(zip(corners, corners, strict=True))
    for number in boxes.owned.get(item, ()):
        kind, body = boxes.properties[number - 1]
        if kind == b"irot":
            for _ in range(body[0] & 3):  # Counterclockwise: the right column becomes the top row.
                shown = {(x, y): shown[1 - y, x] for x, y in corners}
        elif kind == b"imir":
            # 1: left and right change places; 0: top and bottom.
            across = bool(body[0] & 1)
            shown = {(x, y): shown[(1 - x, y) if across else (x, 1 - y)] for x, y in corners}
    table = {
        ((0, 0), (1, 0)): 1, ((1, 0), (0, 0)): 2, ((1, 1), (0, 1)): 3, ((0, 1), (1, 1)): 4,
        ((0, 0), (0, 1)): 5, ((0, 1), (0, 0)): 6, ((1, 1), (1, 0)): 7, ((1, 0), (1, 1)): 8,
    }  # fmt: skip
    return table[shown[0, 0], shown[1, 0]]
