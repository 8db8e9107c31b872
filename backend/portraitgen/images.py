# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where codes become floats, channels change their order and arrays become files.

Pictures are RGB. As floats they are float32 in 0..1; as codes, uint8 in 0..255. OpenCV, which keeps
BGR in files, is asked for it here alone. What footage of any depth holds becomes codes in the
decoders (`footage/movie_pixels.py`), and floats in `footage/source_frame.py`.
"""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from .errors import ShotError
from .provenance.png_text import with_colours, with_gamma, with_texts
from .storage import atomic_path, read_bytes, write_bytes

if TYPE_CHECKING:
    # Footage is read, and most commands answer, without waiting for torch.
    from torch import Tensor

# As plates' (`footage/limits.py`); a file of more than so many bytes is no picture of ours.
_MOST_PIXELS, _LARGEST = 1 << 27, 1 << 30


def to_float(
    codes: np.ndarray, kind: type[np.float32] | type[np.float64] = np.float32
) -> np.ndarray:
    """Codes, uint8 or uint16, as floats in 0..1, of the same shape."""
    whole: np.ndarray = codes.astype(kind)
    whole /= 65535 if codes.dtype == np.uint16 else 255
    return whole


def to_codes(picture: np.ndarray) -> np.ndarray:
    """Floats as the nearest codes, uint8, of the same shape; what lies beyond 0..1 is clipped.

    Example:
        >>> to_codes(np.array([-1, 0.5, 2], np.float32))
        array([  0, 128, 255], dtype=uint8)
    """
    codes = picture.clip(0, 1)
    codes *= 255
    codes += 0.5
    return codes.astype(np.uint8)


def to_half(values: np.ndarray) -> np.ndarray:
    """Floats (float32, contiguous) as the nearest halves, float16 of the same shape.

    What half cannot hold becomes infinite. NumPy gives the same bits and takes four times as long.
    """
    if not values.size:
        return values.astype(np.float16)
    return cv2.convertFp16(values.reshape(1, -1)).view(np.float16).reshape(values.shape)


def to_grey(picture: np.ndarray) -> np.ndarray:
    """The luma of a picture (H, W, 3), uint8 or float32, as (H, W) of the same type."""
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def to_lab(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) in CIE L*a*b*: of float32, L in 0..100; of uint8, in 0..255."""
    return cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)


def from_lab(lab: np.ndarray) -> np.ndarray:
    """The inverse of `to_lab`; what no display shows lies beyond 0..1."""
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def as_pillow(picture: np.ndarray) -> Any:
    """A picture (H, W, 3) in 0..1 as Pillow's, which diffusion pipelines ask for."""
    from PIL import Image

    return Image.fromarray(to_codes(picture))


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
    encoded = as_png(to_codes(picture))
    if texts:
        encoded = with_texts(encoded, texts)
    if colours:
        encoded = with_colours(encoded, *colours)
    with atomic_path(path) as temporary:
        temporary.write_bytes(encoded)
    return path


def as_png(codes: np.ndarray, level: int | None = None) -> bytes:
    """A PNG of grey (H, W), RGB or RGBA codes, uint8 or uint16.

    Args:
        level: 0 to 9, how hard it is packed; OpenCV's own choice if None.
    """
    flags = [] if level is None else [cv2.IMWRITE_PNG_COMPRESSION, level]
    return _encoded(".png", codes, flags)


def as_jpeg(codes: np.ndarray, quality: int) -> bytes:
    """A JPEG of uint8 RGB (H, W, 3); quality 0 to 100."""
    return _encoded(".jpg", codes, [cv2.IMWRITE_JPEG_QUALITY, quality])


def _encoded(suffix: str, codes: np.ndarray, flags: Sequence[int]) -> bytes:
    coded, data = cv2.imencode(suffix, _swapped(codes), flags)
    assert coded
    return data.tobytes()


def _swapped(codes: np.ndarray) -> np.ndarray:
    """RGB as BGR and back, alpha kept; what has no colours as it is."""
    if codes.ndim == 2 or codes.shape[2] < 3:
        return codes
    # Of codes whose channels lie backwards, as a view, OpenCV wants a copy.
    how = cv2.COLOR_RGB2BGR if codes.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    return cv2.cvtColor(np.ascontiguousarray(codes), how)


def tag_colours(path: Path, primaries: int, transfer: int) -> None:
    """Lets a PNG name its colour space by ITU-T H.273's numbers."""
    write_bytes(path, with_colours(path.read_bytes(), primaries, transfer))


def tag_gamma(path: Path, gamma: float, primaries: tuple[float, ...]) -> None:
    """Lets a PNG name its colour space as `with_gamma` does."""
    write_bytes(path, with_gamma(path.read_bytes(), gamma, primaries))


def tag_texts(path: Path, texts: Mapping[str, str]) -> None:
    """Lets a PNG say texts, as `with_texts` writes them."""
    write_bytes(path, with_texts(path.read_bytes(), texts))


def read_codes(path: Path) -> np.ndarray | None:
    """A PNG or JPEG as uint8 RGB (H, W, 3), by what it holds; None for anything else.

    Whatever it is called: OpenCV would hand it to any of its other readers, and what lies in a shot
    may be a stranger's.
    """
    found = _read(path, cv2.IMREAD_COLOR)
    return None if found is None else _swapped(found)


def read_grey(path: Path) -> np.ndarray | None:
    """A PNG or JPEG as uint8 (H, W), such as a matte; None as `read_codes`."""
    return _read(path, cv2.IMREAD_GRAYSCALE)


def read_channels(path: Path) -> np.ndarray | None:
    """A PNG or JPEG with all it holds: (H, W), (H, W, 3) RGB or (H, W, 4) RGBA, uint8 or uint16;
    None as `read_codes`."""
    found = _read(path, cv2.IMREAD_UNCHANGED)
    return None if found is None else _swapped(found)


def _read(path: Path, flags: int) -> np.ndarray | None:
    try:
        data = read_bytes(path, _LARGEST)
    except (OSError, ShotError):
        return None
    # A megabyte may say that it is gigabytes of pixels.
    if not 0 < _pixels_of(data) <= _MOST_PIXELS:
        return None
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None


def _pixels_of(data: bytes) -> int:
    """How many pixels a PNG or JPEG says it has; 0 if it is neither."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
        return int(width * height)
    if not data.startswith(b"\xff\xd8\xff"):
        return 0
    at, most = 2, 0
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], struct.unpack_from(">H", data, at + 2)[0]
        if marker == 0xDA:  # The picture itself; its size stands before it.
            break
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            most = max(most, width * height)
        at += 1 if marker == 0xFF else 2 + length
    return most
