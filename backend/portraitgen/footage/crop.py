# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The portrait window: where it lies, cutting it from the plate and pasting it back."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from ..body.camera import Box
from ..errors import FootageError

# The chest goes on below the window; hair that comes near the other borders is kept.
_FEATHER, _FEATHER_BELOW = 0.04, 0.16
HEAD_SHARE = 2.6
"""Side of the window over the side of the head's box: head and shoulders with margin."""

_LEAST = 1.35
"""Side of the window over the head's where the plate is too small for more."""

_CLOTHED = 0.3
"""How far hair and clothes may stand off the body, in sides of the head's box."""

_EDGE_FADE = 0.06
"""Width over which the edit fades at window edges that cut through the picture, in sides."""

_HEAD_HEIGHT = 0.42
"""Where the head's centre lies in the window, from the top."""


def fixed_window(heads: Mapping[int, Box | None], width: int, height: int) -> Box:
    """One window for the whole shot that holds the head wherever it goes.

    Args:
        heads: frame -> square around the head from chin to crown, None where there is no head.
        width, height: of the plate.

    Raises:
        FootageError: if no frame has a head.
    """
    known = _known(heads)
    centre = np.median(known[:, :2], axis=0)
    side = np.median(known[:, 2])
    # Wide enough that the head keeps half its size of margin where it strays farthest.
    reach = np.abs(known[:, :2] - centre).max(axis=0) + known[:, 2].max()
    side = max(HEAD_SHARE * side, 2 * reach[0], reach[1] / _HEAD_HEIGHT)
    return _settled(centre[0], centre[1], side, known[:, 2].max(), width, height)


def whole_window(
    heads: Mapping[int, Box | None], extents: np.ndarray, width: int, height: int
) -> Box:
    """One window for the whole shot that holds all of the performer that the plate shows.

    Args:
        heads: as for `fixed_window`.
        extents: (N, 4), left, top, right and bottom of the body in frames of the shot, in plate
            pixels; may leave the plate.
        width, height: of the plate.

    Raises:
        FootageError: if no frame has a head.
    """
    known = _known(heads)
    # Hair and clothes stand off the body, and a body is tracked less closely than a head.
    margin = _CLOTHED * np.median(known[:, 2])
    limit = np.array([width, height], float)
    low = np.clip(extents[:, :2].min(axis=0) - margin, 0, limit)
    high = np.clip(extents[:, 2:].max(axis=0) + margin, 0, limit)
    # A body that was lost may lie anywhere: its head is there at least.
    low = np.minimum(low, np.clip((known[:, :2] - known[:, 2:]).min(axis=0), 0, limit))
    high = np.maximum(high, np.clip((known[:, :2] + known[:, 2:]).max(axis=0), 0, limit))
    side = max(16, int(np.ceil((high - low).max())))
    left, top = (
        _placed((low[axis] + high[axis] - side) / 2, side, extent)
        for axis, extent in enumerate((width, height))
    )
    return Box(left, top, side)


def following_windows(
    heads: Mapping[int, Box | None],
    width: int,
    height: int,
    fps: float,
    smoothing: float = 0.5,
) -> dict[int, Box]:
    """A window for every frame that follows the head smoothly and without lag.

    Position is smoothed by a Gaussian over past and future alike, the size over four times as
    long, so that the scale breathes as little as possible; gaps are bridged.

    Args:
        heads: as for `fixed_window`, consecutive frames.
        fps: frames a second.
        smoothing: standard deviation of the smoothing, seconds.

    Returns:
        frame -> window, in whole plate pixels.
    """
    # SciPy's filters takes a quarter of a second to load, and few who import this need it.
    from scipy.ndimage import gaussian_filter1d

    known = _known(heads)
    frames = sorted(heads)
    has = np.array([heads[frame] is not None for frame in frames])
    positions = np.arange(len(frames))
    track = np.stack([np.interp(positions, positions[has], known[:, i]) for i in range(3)], axis=1)
    smooth = [
        gaussian_filter1d(track[:, i], smoothing * fps * factor, mode="nearest")
        for i, factor in ((0, 1), (1, 1), (2, 4))
    ]
    largest = float(np.max(smooth[2]))
    return {
        frame: _settled(x, y, HEAD_SHARE * side, largest, width, height)
        for frame, x, y, side in zip(frames, *smooth, strict=True)
    }


def box_of(boxes: Mapping[int, Box], frame: int) -> Box:
    """The window of a frame; one that stays is kept under the first frame alone."""
    return boxes[frame] if frame in boxes else boxes[min(boxes)]


def _known(heads: Mapping[int, Box | None]) -> np.ndarray:
    """Centre x, centre y and side of the heads that are there, (N, 3), by frame."""
    known = [
        (box.x + box.side / 2, box.y + box.side / 2, box.side)
        for _, box in sorted(heads.items())
        if box is not None
    ]
    if not known:
        raise FootageError(
            "no head was found to put a window round", remedy="give frames that show the performer"
        )
    return np.array(known, dtype=np.float64)


def _settled(x: float, y: float, side: float, head: float, width: int, height: int) -> Box:
    """A window in whole pixels, inside the plate as long as that leaves the head its margin."""
    side = min(side, max(min(width, height), _LEAST * head))
    side = max(16, round(side))

    return Box(
        _placed(x - side / 2, side, width), _placed(y - _HEAD_HEIGHT * side, side, height), side
    )


def _placed(start: float, side: int, extent: int) -> int:
    """Where a side begins so that it stays on the plate, or covers it evenly if it is longer."""
    if side <= extent:
        return round(min(max(start, 0), extent - side))
    return round((extent - side) / 2)


def crop(
    image: np.ndarray, box: Box, size: int, *, border: str = "replicate"
) -> tuple[np.ndarray, np.ndarray | None]:
    """Cuts a window from the plate and resamples it, averaging over areas when it shrinks.

    Args:
        image: (H, W) or (H, W, C), uint8 or float32.
        box: the window; may leave the plate.
        size: side of the result in pixels.
        border: `replicate` or `reflect` the plate beyond its edges.

    Returns:
        The window (size, size[, C]) in the image's type, and the mask (size, size) bool of what
        lies on the plate, None if all does.

    Example:
        >>> picture = np.arange(16, dtype=np.float32).reshape(4, 4)
        >>> window, inside = crop(picture, Box(1, 1, 2), size=2)
        >>> window
        array([[ 5.,  6.],
               [ 9., 10.]], dtype=float32)
        >>> inside is None
        True
    """
    height, width = image.shape[:2]
    padding = {"replicate": cv2.BORDER_REPLICATE, "reflect": cv2.BORDER_REFLECT}[border]
    window = _resample(image, box, size, padding)
    centres = (np.arange(size) + 0.5) * box.side / size
    inside_x = (box.x + centres >= 0) & (box.x + centres < width)
    inside_y = (box.y + centres >= 0) & (box.y + centres < height)
    if inside_x.all() and inside_y.all():
        return window, None
    return window, inside_y[:, None] & inside_x[None, :]


def _resample(image: np.ndarray, box: Box, size: int, padding: int) -> np.ndarray:
    height, width = image.shape[:2]
    x, y, side = box
    if all(float(value).is_integer() for value in box) and side >= size:
        left, top, right, bottom = int(x), int(y), int(x + side), int(y + side)
        inside = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        around = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
        if any(around) and inside.size:
            inside = cv2.copyMakeBorder(inside, *around, padding)
        if inside.shape[:2] == (side, side):
            if side == size:
                return inside.copy()
            return cv2.resize(inside, (size, size), interpolation=cv2.INTER_AREA)
    # Fractional or enlarging: sample so densely that averaging whole cells is exact enough.
    dense = max(1, int(np.ceil(side / size)))
    step = side / (size * dense)
    # cv2 puts pixel centres at whole numbers, we at +0.5.
    matrix = np.array(
        [[step, 0, x + step / 2 - 0.5], [0, step, y + step / 2 - 0.5]], dtype=np.float64
    )
    how = cv2.INTER_CUBIC if step < 1 else cv2.INTER_LINEAR
    sampled = cv2.warpAffine(
        image,
        matrix,
        (size * dense, size * dense),
        flags=how | cv2.WARP_INVERSE_MAP,
        borderMode=padding,
    )
    if dense > 1:
        sampled = cv2.resize(sampled, (size, size), interpolation=cv2.INTER_AREA)
    if sampled.dtype == np.float32 and how == cv2.INTER_CUBIC:
        # Cubic interpolation overshoots at edges.
        np.clip(sampled, float(image.min()), float(image.max()), out=sampled)
    return sampled


def place(window: np.ndarray, box: Box, width: int, height: int) -> tuple[np.ndarray, slice, slice]:
    """Resamples a window back to plate resolution.

    Args:
        window: (S, S) or (S, S, C) float32.
        box: where it was cut.
        width, height: of the plate.

    Returns:
        The part that lies on the plate, and its rows and columns there; empty where none does.

    Example:
        >>> window = np.ones((8, 8, 3), np.float32)
        >>> laid, rows, columns = place(window, Box(-2, 1, 4), width=6, height=6)
        >>> laid.shape, rows, columns
        ((4, 2, 3), slice(1, 5, None), slice(0, 2, None))
    """
    left, top = max(int(np.floor(box.x)), 0), max(int(np.floor(box.y)), 0)
    right = min(int(np.ceil(box.x + box.side)), width)
    bottom = min(int(np.ceil(box.y + box.side)), height)
    rows, columns = slice(top, max(bottom, top)), slice(left, max(right, left))
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    if 0 in shape:
        return np.zeros((*shape, *window.shape[2:]), window.dtype), rows, columns
    scale = window.shape[0] / box.side
    if scale > 1:
        size = max(1, round(box.side))
        window = cv2.resize(window, (size, size), interpolation=cv2.INTER_AREA)
        scale = size / box.side
    offset = scale / 2 - 0.5
    matrix = np.array(
        [
            [scale, 0, (left - box.x) * scale + offset],
            [0, scale, (top - box.y) * scale + offset],
        ],
        dtype=np.float64,
    )
    placed = cv2.warpAffine(
        window,
        matrix,
        (shape[1], shape[0]),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.clip(placed, 0, 1, out=placed), rows, columns


@dataclass(frozen=True)
class CompositeLayer:
    """An edited window at its plate's resolution, where it covers the plate.

    Attributes:
        colours: float32 (h, w, 3), display-referred, not multiplied by the cover.
        cover: float32 (h, w) in 0..1.
        rows, columns: the part of the plate that it covers.
    """

    colours: np.ndarray
    cover: np.ndarray
    rows: slice
    columns: slice


def composite_layer(
    plate_image: np.ndarray,
    box: Box,
    edited: np.ndarray,
    alpha: np.ndarray,
    *,
    reference: np.ndarray | None = None,
    detail: float = 0.0,
) -> CompositeLayer:
    """Brings an edited window to its plate's resolution.

    Where the window ends inside the plate (across the chest, say) the edit fades out before the
    window's edge, so that no straight line shows.

    With a `reference`, the plate's own high frequencies (what the window's resolution lost) are
    carried over to the edit, so that a low-resolution edit of a sharp plate stays sharp; where
    the edit flattened the window's own fine structure, they are weakened with it.

    Args:
        plate_image: (H, W, 3) float32 display-referred.
        box: where the window was cut.
        edited: (S, S, 3) float32.
        alpha: (S, S) float32 in 0..1, or (H, W) at the plate's resolution.
        reference: (S, S, 3) float32, the unedited window.
        detail: how much of the plate's detail to keep, 0..1.
    """
    height, width = plate_image.shape[:2]
    edited = edited.astype(np.float32, copy=False)
    colours, rows, columns = place(edited, box, width, height)
    if alpha.shape == (height, width) and alpha.shape != edited.shape[:2]:
        cover = alpha[rows, columns].astype(np.float32, copy=False)
    else:
        cover, _, _ = place(alpha.astype(np.float32, copy=False), box, width, height)
    cover = cover * _edge_fade(box, width, height, rows, columns)
    if reference is not None and detail > 0:
        shown = place(reference.astype(np.float32, copy=False), box, width, height)[0]
        lost = np.subtract(plate_image[rows, columns], shown, out=shown)
        kept = place(_structure_kept(reference, edited), box, width, height)[0]
        lost *= (detail * kept)[..., None]
        colours += lost
        np.clip(colours, 0, 1, out=colours)
    return CompositeLayer(colours, cover, rows, columns)


def composite(plate_image: np.ndarray, laid: CompositeLayer) -> tuple[np.ndarray, np.ndarray]:
    """Lays an edit over its plate with the matte's soft edge.

    Args:
        plate_image: (H, W, 3) float32 display-referred.
        laid: what `lay` made for it.

    Returns:
        The new plate (H, W, 3), bit-identical to the old where nothing was laid over, and the
        mask (H, W) bool of where something was.
    """
    result = plate_image.copy()
    touched = np.zeros(plate_image.shape[:2], bool)
    region = plate_image[laid.rows, laid.columns]
    # Less than half an 8-bit step would change nothing but the plate's bits.
    over = laid.cover > 0.5 / 255
    blended = laid.colours - region
    blended *= laid.cover[..., None]
    blended += region
    np.copyto(result[laid.rows, laid.columns], blended, where=over[..., None])
    touched[laid.rows, laid.columns] = over
    return result, touched


def _edge_fade(box: Box, width: int, height: int, rows: slice, columns: slice) -> np.ndarray:
    """1 inside, falling to 0 at those of the window's edges that lie on the plate."""

    def along(start: float, span: slice, extent: int) -> np.ndarray:
        position = (np.arange(span.start, span.stop) + 0.5 - start) / (box.side * _EDGE_FADE)
        fade = np.ones(len(position))
        if start > 0:
            fade = np.minimum(fade, position)
        if start + box.side < extent:
            fade = np.minimum(fade, 1 / _EDGE_FADE - position)
        fade = np.clip(fade, 0, 1)
        return fade * fade * (3 - 2 * fade)

    down, across = along(box.y, rows, height), along(box.x, columns, width)
    return np.outer(down, across).astype(np.float32)


def _structure_kept(reference: np.ndarray, edited: np.ndarray) -> np.ndarray:
    """How much of the reference's fine structure the edit still has, (S, S) in 0..1."""
    weights = np.array([0.2126, 0.7152, 0.0722], np.float32)

    def fine(image: np.ndarray) -> np.ndarray:
        grey = image @ weights
        return grey - cv2.GaussianBlur(grey, (0, 0), 1.5)

    before, after = fine(reference), fine(edited)
    shared = cv2.GaussianBlur(before * after, (0, 0), 6)
    energy = cv2.GaussianBlur(before * before, (0, 0), 6)
    return np.clip((shared + 1e-6) / (energy + 1e-6), 0, 1).astype(np.float32)


@functools.lru_cache(maxsize=2)
def feather(box: Box, size: int, width: int, height: int) -> np.ndarray:
    """1 in the middle of a window, falling to 0 at its borders that lie on the plate, (S, S).

    The performer goes on beyond the window; without this the edit would end in a line.
    """

    def ramp(share: float, needed: bool) -> np.ndarray:
        rise = np.clip((np.arange(size) + 0.5) / (share * size), 0, 1)
        return rise * rise * (3 - 2 * rise) if needed else np.ones(size)

    left, top = ramp(_FEATHER, box.x > 0), ramp(_FEATHER, box.y > 0)
    right = ramp(_FEATHER, box.x + box.side < width)[::-1]
    bottom = ramp(_FEATHER_BELOW, box.y + box.side < height)[::-1]
    feather: np.ndarray = np.outer(top * bottom, left * right).astype(np.float32)
    # It is every frame's whose window stays.
    feather.flags.writeable = False
    return feather
