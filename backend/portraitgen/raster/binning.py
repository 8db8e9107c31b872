# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which splats touch which tiles, front to back, as a nogil numba kernel."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..jit_cache import prepare_jit_cache
from .conventions import TILE_SIZE

prepare_jit_cache()

from numba import njit  # noqa: E402


class Bins(NamedTuple):
    """The intersections of N splats with T tiles, in tile order and by splat.

    An intersection has a *slot*: its place in the list that goes tile by tile, front to back.
    """

    tile_offsets: NDArray[np.int64]
    """(T + 1,): the slots of tile t are tile_offsets[t] to tile_offsets[t + 1]."""
    slot_splats: NDArray[np.int32]
    """(slots,): the splat of each slot."""
    splat_offsets: NDArray[np.int64]
    """(N + 1,): the part of splat_slots that belongs to splat g."""
    splat_slots: NDArray[np.int32]
    """(slots,): the slots of each splat in turn; gathers gradients without atomics."""


def bin_splats(
    means2d: NDArray[np.floating],
    radii: NDArray[np.int32],
    depths: NDArray[np.floating],
    width: int,
    height: int,
) -> Bins:
    """Lists, for every tile of an image, the splats whose boxes touch it, nearest first.

    Args:
        means2d: (N, 2) pixels.
        radii: (N, 2) half sizes of the splats' boxes in pixels; 0 leaves a splat out.
        depths: (N,); equal depths keep the order of the Gaussians.
        width: of the image in pixels.
        height: of the image in pixels.
    """
    order = np.argsort(depths, kind="stable")
    tiles_x, tiles_y = -(-width // TILE_SIZE), -(-height // TILE_SIZE)
    return Bins(*_bin_splats(means2d, radii, order, tiles_x, tiles_y))


@njit(nogil=True, cache=True)
def _bin_splats(means2d, radii, order, tiles_x, tiles_y):  # type: ignore[no-untyped-def]
    count = means2d.shape[0]
    tile_boxes = np.zeros((count, 4), np.int32)  # first and past-the-last tile in x, then in y
    splat_offsets = np.zeros(count + 1, np.int64)
    tile_offsets = np.zeros(tiles_x * tiles_y + 1, np.int64)
    for g in range(count):
        touched = 0
        if radii[g, 0] > 0 and radii[g, 1] > 0:
            for axis in range(2):
                tiles = tiles_x if axis == 0 else tiles_y
                first = math.floor((means2d[g, axis] - radii[g, axis]) / TILE_SIZE)
                last = math.ceil((means2d[g, axis] + radii[g, axis]) / TILE_SIZE)
                tile_boxes[g, 2 * axis] = int(min(max(first, 0.0), float(tiles)))
                tile_boxes[g, 2 * axis + 1] = int(min(max(last, 0.0), float(tiles)))
            x0, x1, y0, y1 = tile_boxes[g]
            touched = (x1 - x0) * (y1 - y0)
            for tile_y in range(y0, y1):
                for tile_x in range(x0, x1):
                    tile_offsets[tile_y * tiles_x + tile_x + 1] += 1
        splat_offsets[g + 1] = splat_offsets[g] + touched
    for tile in range(tiles_x * tiles_y):
        tile_offsets[tile + 1] += tile_offsets[tile]

    slots = splat_offsets[count]
    slot_splats = np.empty(slots, np.int32)
    splat_slots = np.empty(slots, np.int32)
    next_slot = tile_offsets.copy()
    for rank in range(count):
        g = order[rank]
        entry = splat_offsets[g]
        x0, x1, y0, y1 = tile_boxes[g]
        for tile_y in range(y0, y1):
            for tile_x in range(x0, x1):
                tile = tile_y * tiles_x + tile_x
                slot = next_slot[tile]
                next_slot[tile] = slot + 1
                slot_splats[slot] = g
                splat_slots[entry] = slot
                entry += 1
    return tile_offsets, slot_splats, splat_offsets, splat_slots
