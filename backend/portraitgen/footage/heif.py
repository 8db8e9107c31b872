# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HEIC and AVIF photos: their tiles decoded by FFmpeg, put together, cropped and turned upright."""

from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange

from ..errors import FootageError
from .display_matrix import upright
from .heif_boxes import HeifPhoto, read_heif
from .limits import check_size
from .movie_container import open_container
from .movie_facts import MATRICES
from .movie_pixels import Converter, depth_of, is_grey, plane_of, spread_codes

_MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}


def read_heif_photo(path: Path) -> tuple[np.ndarray, int, HeifPhoto, list[str]]:
    """A photo, upright.

    Returns:
        Codes (H, W, 3 or 4), uint8 or uint16 spread over the full range; significant bits of one;
        its boxes; what was assumed or left out.

    Raises:
        FootageError: unreadable, cut off, or put together in a way that is not known.
    """
    photo = read_heif(path)
    check_size(photo.width, photo.height, 8, path)
    notes = []
    coded = _decoded(path, photo)
    tiles = [coded[item] for item in photo.tiles]
    depth = depth_of(tiles[0].format)
    picture = _put_together([_rgb(tile, photo) for tile in tiles], photo, path)
    if photo.alpha is not None:
        alpha = _alpha(coded[photo.alpha], picture)
        if alpha is None:
            notes.append("the photo's alpha has another size and is left out")
        else:
            picture = np.concatenate([picture, alpha], axis=2)
            notes.append("the photo's alpha is kept in full plates")
    if photo.others:
        notes.append(f"the file holds {photo.others + 1} photos; the one marked as first is read")
    left, top, width, height = photo.crop
    picture = picture[top : top + height, left : left + width]
    return np.ascontiguousarray(upright(picture, photo.orientation)), depth, photo, notes


def _decoded(path: Path, photo: HeifPhoto) -> dict[int, Any]:
    """The coded pictures that are needed, by their items."""
    wanted = {*photo.tiles, *([photo.alpha] if photo.alpha is not None else [])}
    found: dict[int, Any] = {}
    container = open_container(path)
    with container:
        streams = {each.index: each for each in container.streams.video if each.id in wanted}
        for packet in container.demux(list(streams.values())):
            item = packet.stream.id
            if item not in found:
                try:
                    found[item] = packet.decode()[0]
                except (av.error.FFmpegError, IndexError):
                    continue
    missing = len(wanted - set(found))
    if missing:
        raise FootageError(
            f"the photo is damaged or cut off ({missing} of its {len(wanted)} pictures cannot be"
            " decoded)",
            path,
            "copy it again",
        )
    return found


def _rgb(frame: Any, photo: HeifPhoto) -> np.ndarray:
    tag = photo.nclx[2] if photo.nclx else int(frame.colorspace or 2)
    # Where nothing is said, MIAF (ISO/IEC 23000-22) takes BT.601 with full range.
    matrix: Any = MATRICES[_MATRICES.get(tag, "bt601")]
    full = photo.nclx[3] if photo.nclx else frame.color_range != ColorRange.MPEG
    if frame.format.is_rgb or is_grey(frame.format.name) or tag == 0:
        matrix = None
    converter = Converter(matrix, full, True, False)
    return converter.convert(frame, (frame.width, frame.height))


def _put_together(tiles: list[np.ndarray], photo: HeifPhoto, path: Path) -> np.ndarray:
    high, wide = tiles[0].shape[:2]
    if any(tile.shape != tiles[0].shape for tile in tiles) or (
        wide * photo.columns < photo.width or high * photo.rows < photo.height
    ):
        raise FootageError("the photo's tiles do not fill it", path, "copy or export it again")
    rows = [
        np.concatenate(tiles[row * photo.columns : (row + 1) * photo.columns], axis=1)
        for row in range(photo.rows)
    ]
    return np.concatenate(rows)[: photo.height, : photo.width]


def _alpha(frame: Any, picture: np.ndarray) -> np.ndarray | None:
    """The luma of a picture, which is what tells alpha, in full range."""
    depth = depth_of(frame.format)
    kind = np.dtype("u1" if depth <= 8 else "<u2")
    codes = spread_codes(plane_of(frame, 0, kind), depth)[..., None]
    codes = codes[: picture.shape[0], : picture.shape[1]]
    if codes.shape[:2] != picture.shape[:2]:
        return None
    if codes.dtype == picture.dtype:
        return codes
    if picture.dtype == np.uint8:
        return (codes >> 8).astype(np.uint8)
    return codes.astype(np.uint16) * np.uint16(257)
