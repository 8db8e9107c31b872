# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a rendered frame: its layers, its picture and its full plate.

Only pixels that show anything are converted: that costs more than all else that is done to them.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ...footage.colour import encoded_to_linear, to_linear
from ...footage.colour_spaces import ColourSpace
from ...footage.exr import write_exr
from ...footage.plate import Plate
from ...footage.plate_files import write_plate
from ...footage.source_frame import SourceFrame
from ...images import save_png, to_half
from .plate_compositor import RenderedFrame

# What is not worth its bytes in the file.
_ROUNDING = 2e-4


def laid_over(frame: RenderedFrame, plate: Plate, number: int) -> SourceFrame:
    """The plate's frame in its own codes, the edit laid over it."""
    return plate.laid_over(number, frame.over, frame.touched)


def frame_layers(
    frame: RenderedFrame, image: np.ndarray, plate: Plate, number: int
) -> dict[str, np.ndarray]:
    """The layers that every frame has, float32 (h, w, C), colours scene-linear.

    Edges is what the strip shows at soft edges beyond Combined laid over the plate in scene-linear,
    since the edit is laid over display-referred.

    Args:
        image: float32 (H, W, 3), the plate of the frame.
    """
    laid, space = frame.laid, plate.space
    height, width = laid.cover.shape
    touched = frame.touched[laid.rows, laid.columns]
    at = np.flatnonzero(touched | (laid.cover > 0))
    down, across = np.divmod(at, width)
    on_plate = (down + laid.rows.start) * image.shape[1] + across + laid.columns.start
    cover = laid.cover.reshape(-1, 1)[at]
    colours = to_linear(_taken(laid.colours, at), space)
    # Where acting changed the plate beside the performer, nothing is laid over it.
    colours[cover[:, 0] == 0] = 0
    beauty = colours * cover
    if space.kind == "display":
        below = to_linear(_taken(image, on_plate), space)
    else:
        # Highlights beyond what an edit sees stay in the plate.
        below = encoded_to_linear(_taken(plate.encoded(number), on_plate), space)
    over = to_linear(_taken(frame.over, on_plate), space)
    shown = np.where(touched.reshape(-1, 1)[at], over - below, 0)
    # Against the halves that the file holds, so that their rounding does not add up.
    there = shown - (_as_half(beauty) - _as_half(cover) * below)
    combined = np.zeros((height * width, 4), np.float32)
    combined[at, :3] = beauty
    combined[:, 3] = laid.cover.reshape(-1)
    edges = np.zeros((height * width, 3), np.float32)
    edges[at] = np.where(np.abs(there) > _ROUNDING, there, 0)
    return {
        "Combined": combined.reshape(height, width, 4),
        "Depth": frame.depth[..., None],
        "Normal": frame.normals,
        "Alpha": laid.cover[..., None],
        "Reconstruction": _linear(frame.reconstruction, space),
        "Edges": edges.reshape(height, width, 3),
    }


def _taken(picture: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Some pixels of a picture (H, W, 3), as (N, 3)."""
    return np.take(picture.reshape(-1, 3), at, axis=0)


def _linear(picture: np.ndarray, space: ColourSpace) -> np.ndarray:
    """`to_linear` of a picture (h, w, 3) much of which is nothing, whose bits are all 0."""
    bits = np.ascontiguousarray(picture).view(np.uint32)
    at = np.flatnonzero(bits[..., 0] | bits[..., 1] | bits[..., 2])
    linear = np.empty((picture.shape[0] * picture.shape[1], 3), np.float32)
    linear[:] = to_linear(np.zeros((1, 3), np.float32), space)
    linear[at] = to_linear(_taken(picture, at), space)
    return linear.reshape(picture.shape)


def _as_half(values: np.ndarray) -> np.ndarray:
    return to_half(values).astype(np.float32)


def write_frame(
    path: Path,
    frame: RenderedFrame,
    layers: Mapping[str, np.ndarray],
    plate: Plate,
    number: int,
    over: tuple[Path, SourceFrame] | None,
    texts: Mapping[str, str],
    attributes: Callable[[], Mapping[str, str]],
) -> None:
    """A frame's picture, if it is asked for its plate, and last its layers, which vouch for both.

    Args:
        over: where and what its plate is.
        texts: what the picture and its plate say of themselves.
        attributes: what the EXR says of itself, asked for once the others are written.
    """
    save_png(path.with_suffix(".png"), frame.beauty, texts, plate.picture_colours)
    if over:
        full, native = over
        write_plate(full.with_suffix(""), native, plate, texts)
    place_of = {"portraitgen:left": str(frame.laid.columns.start)}
    place_of["portraitgen:top"] = str(frame.laid.rows.start)
    write_exr(
        path,
        layers,
        fps=plate.fps,
        frame=number,
        colour_space=plate.colour_space,
        attributes=place_of | dict(attributes()),
        timecode=plate.timecode_at(number),
        reel=plate.reel,
    )
