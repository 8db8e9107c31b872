# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where codes become floats, channels change their order and arrays become files.

Pictures are RGB. As floats they are float32 in 0..1; as codes, uint8 in 0..255.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from .provenance.png_text import with_colours, with_texts
from .storage import atomic_path, is_plain

if TYPE_CHECKING:
    # Footage is read, and most commands answer, without waiting for torch.
    from torch import Tensor


def to_float(codes: np.ndarray) -> np.ndarray:
    """Codes, uint8, as float32 in 0..1, of the same shape."""
    return codes.astype(np.float32) / 255


def to_codes(picture: np.ndarray) -> np.ndarray:
    """Floats as the nearest codes, uint8, of the same shape; what lies beyond 0..1 is clipped."""
    return (picture.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def as_picture(planes: "Tensor") -> np.ndarray:
    """The first image of a tensor (B, C, H, W) of any device as float32 (H, W, C)."""
    return planes[0].permute(1, 2, 0).cpu().numpy()


def save_png(
    path: Path,
    picture: np.ndarray,
    texts: Mapping[str, str] | None = None,
    colours: tuple[int, int] | None = None,
) -> Path:
    """Writes float32 (H, W, 3) RGB or (H, W, 4) RGBA 0..1 as an 8-bit PNG, in one step.

    Args:
        texts: to keep in the file, by keyword.
        colours: primaries and transfer by ITU-T H.273, None for sRGB.
    """
    codes = to_codes(picture)
    codes = codes[..., [2, 1, 0, 3][: codes.shape[2]]]
    encoded = cv2.imencode(".png", np.ascontiguousarray(codes))[1].tobytes()
    if texts:
        encoded = with_texts(encoded, texts)
    if colours:
        encoded = with_colours(encoded, *colours)
    with atomic_path(path) as temporary:
        temporary.write_bytes(encoded)
    return path


def tag_colours(path: Path, primaries: int, transfer: int) -> None:
    """Lets a PNG name its colour space by ITU-T H.273's numbers."""
    path.write_bytes(with_colours(path.read_bytes(), primaries, transfer))


def read_codes(path: Path, flags: int = cv2.IMREAD_COLOR) -> np.ndarray | None:
    """A PNG or JPEG as OpenCV gives it (BGR), by what it holds; None for anything else.

    Whatever it is called: OpenCV would hand it to any of its other readers, and what lies in a shot
    may be a stranger's.
    """
    if not is_plain(path):
        return None
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if not data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        return None
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
