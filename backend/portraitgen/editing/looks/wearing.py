# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laying a look on a picture of any size, in tiles, at the scale at which it was learned."""

import cv2
import numpy as np
import torch
from torch import Tensor

from ..editor import EditRequest
from .guides import UNKNOWN, normals, places
from .look_file import Look
from .network import MULTIPLE

TILE = 512
# More than a pixel of the network sees round about.
_MARGIN = 64
# Within this factor a look is worn as it is; it learned from pictures scaled a little, too.
_ALIKE = 1.25
_LARGEST_FACTOR = 2.0
# How finest detail is told apart and how far round a pixel it is compared, pixels; how much of it
# there has to be to tell by, its mean square; and what a look enlarges it by at most.
_FINE, _ROUND, _DOUBT, _MOST_KEPT = 1.0, 4.0, (0.5 / 255) ** 2, 2.0


@torch.no_grad()
def wear(look: Look, request: EditRequest) -> np.ndarray:
    """A picture with a look, float32 (H, W, 3), not clipped.

    Where the performer is of another size than in the look's pairs, the picture is scaled to that
    size and what the look makes of it is scaled back. The finer detail, which the look never saw,
    comes from the picture as far as the look keeps the finest detail that it did see: a graded eye
    keeps its lashes, and one cast in bronze does not.
    """
    source = np.asarray(request.source, np.float32)
    height, width = source.shape[:2]
    factor = _factor(look, request)
    cover = np.asarray(request.matte, np.float32)
    wanted = look.network.guides
    facing = normals(request.surface, cover.shape) if wanted.normals else None
    lies = places(request.surface, cover.shape) if wanted.place else None
    if factor == 1:
        return _in_tiles(look, source, cover, facing, lies)
    size = max(MULTIPLE, round(width * factor)), max(MULTIPLE, round(height * factor))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    small = cv2.resize(source, size, interpolation=how).clip(0, 1)
    covered = cv2.resize(cover, size, interpolation=cv2.INTER_AREA)
    worn = _in_tiles(
        look,
        small,
        covered,
        None if facing is None else cv2.resize(facing, size, interpolation=cv2.INTER_LINEAR),
        # Places are not mixed across their seam.
        None if lies is None else cv2.resize(lies, size, interpolation=cv2.INTER_NEAREST),
    )
    change, shown = (
        cv2.resize(each, (width, height), interpolation=cv2.INTER_CUBIC)
        for each in (worn - small, small)
    )
    result: np.ndarray = source + change
    if factor < 1:
        kept = _kept(small, worn, covered)
        kept = cv2.resize(kept, (width, height), interpolation=cv2.INTER_LINEAR)
        result += (kept - 1) * (source - shown)
    return result


def _kept(before: np.ndarray, after: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """How much of the finest detail of a picture, (H, W, 3), a look keeps round each pixel, by
    channels; negative where it turns bright and dark about.

    Where there is hardly any to tell by, it is as much as on the performer as a whole.

    Args:
        cover: (H, W), where the performer is.
    """
    fine, worn = (each - cv2.GaussianBlur(each, (0, 0), _FINE) for each in (before, after))
    alike, own = (cover[..., None] * fine * each for each in (worn, fine))
    doubt = np.float32(_DOUBT)
    overall = (alike.mean((0, 1)) + doubt) / (own.mean((0, 1)) + doubt)
    near, near_own = (cv2.GaussianBlur(each, (0, 0), _ROUND) for each in (alike, own))
    kept: np.ndarray = (near + doubt * overall) / (near_own + doubt)
    return kept.clip(-_MOST_KEPT, _MOST_KEPT)


def _factor(look: Look, request: EditRequest) -> float:
    """How much larger the look's pictures show the performer; 1 if that is much the same."""
    facts = look.facts
    if facts.scale and request.surface is not None:
        factor = facts.scale / max(request.surface.pixels_per_metre, 1e-6)
    elif facts.side:
        factor = facts.side / max(request.source.shape[:2])
    else:
        return 1.0
    if 1 / _ALIKE <= factor <= _ALIKE:
        return 1.0
    return min(factor, _LARGEST_FACTOR)


def _in_tiles(
    look: Look,
    picture: np.ndarray,
    cover: np.ndarray,
    facing: np.ndarray | None,
    lies: np.ndarray | None,
) -> np.ndarray:
    """The look on a picture (H, W, 3); tiles that show no performer stay as they are."""
    height, width = cover.shape
    below, beside = -height % MULTIPLE, -width % MULTIPLE

    def padded(array: np.ndarray) -> np.ndarray:
        more = ((0, below), (0, beside), (0, 0))[: array.ndim]
        return np.pad(array, more, mode="edge")

    whole, covers = padded(picture), padded(cover)
    facing = None if facing is None else padded(facing)
    lies = None if lies is None else padded(lies)
    result = whole.copy()
    for top, bottom in spans(whole.shape[0]):
        for left, right in spans(whole.shape[1]):
            above, before = max(0, top - _MARGIN), max(0, left - _MARGIN)
            at = np.s_[above : bottom + _MARGIN, before : right + _MARGIN]
            if not covers[top:bottom, left:right].any():
                continue
            planes = as_planes(
                whole[at],
                covers[at],
                None if facing is None else facing[at],
                None if lies is None else lies[at],
            )
            worn = look.network(*planes)[0].permute(1, 2, 0).numpy()
            result[top:bottom, left:right] = worn[
                top - above : bottom - above, left - before : right - before
            ]
    return result[:height, :width]


def spans(length: int) -> list[tuple[int, int]]:
    """A side in tiles: their begins and ends."""
    return [(at, min(at + TILE, length)) for at in range(0, length, TILE)]


def as_planes(
    picture: np.ndarray, cover: np.ndarray, facing: np.ndarray | None, lies: np.ndarray | None
) -> tuple[Tensor, Tensor, Tensor]:
    """What a network takes, of one picture whose sides are multiples of `MULTIPLE`.

    Args:
        picture: float32 (H, W, 3); cover: (H, W); facing: (H, W, 3) normals or None; lies:
            (H, W, 2) places or None.
    """
    guides = [cover[..., None]] if facing is None else [cover[..., None], facing]
    stacked = np.concatenate(guides, axis=-1)
    half = torch.nn.functional.avg_pool2d(_planes(stacked), 2)
    if lies is None:
        lies = np.full((*cover.shape, 2), UNKNOWN, np.float32)
    return _planes(picture), half, torch.from_numpy(np.ascontiguousarray(lies[None, ::2, ::2]))


def _planes(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture, np.float32)).permute(2, 0, 1)[None]
