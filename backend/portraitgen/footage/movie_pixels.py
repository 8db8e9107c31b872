# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A decoded picture's codes as RGB, in every layout that FFmpeg decodes to.

YCbCr goes through swscale in the one way that is right for all subsamplings and depths: planar
output and rounding arithmetic (packed 16-bit output is wrong for chroma halved in height, and what
rounds less is a code or two too dark). What is RGB or grey already never goes through a matrix.
"""

from typing import Any

import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
"""Conversion that rounds: within half a code."""


def depth_of(pixel_format: Any) -> int:
    """Significant bits of a channel in one of FFmpeg's pixel formats."""
    name = pixel_format.name
    if name in ("pal8", "monow", "monob", "rgb8", "bgr8", "rgb4", "bgr4") or "_byte" in name:
        return 8
    if name.startswith("bayer"):
        return 16 if "16" in name else 8
    if "f32" in name:
        return 32
    if "f16" in name:
        return 16
    return max((component.bits for component in pixel_format.components), default=8)


def has_alpha(frame: Any) -> bool:
    """Whether a picture has alpha; a palette has if one of its colours is not solid."""
    name = frame.format.name
    if name == "pal8":
        palette = (
            np.frombuffer(bytes(frame.planes[1]), np.uint32) if len(frame.planes) > 1 else None
        )
        return palette is not None and bool(((palette >> 24) < 255).any() and palette.any())
    return any(component.is_alpha for component in frame.format.components)


def is_grey(name: str) -> bool:
    """Whether a pixel format has no colour."""
    return name.startswith(("gray", "ya", "mono", "y400"))


class Converter:
    """Turns decoded pictures into RGB codes.

    Args:
        matrix: swscale's name of the YCbCr matrix, None for what is RGB already.
        full: whether the codes use their whole range.
        exact: if not, YCbCr becomes 8 bits that may be off by a few codes, in a third of the time.
        alpha: whether alpha is given too.
    """

    def __init__(self, matrix: Any, full: bool, exact: bool, alpha: bool) -> None:
        self._matrix = matrix
        self._full = full
        self._exact = exact
        self._alpha = alpha
        self._reformatter = VideoReformatter()

    def convert(self, frame: Any, size: tuple[int, int]) -> np.ndarray:
        """Codes (H, W, 3 or 4), RGB or RGBA: uint8, uint16 spread over the full range, or float32.

        Args:
            frame: as decoded.
            size: width and height to give; a picture of another size is scaled.
        """
        if (frame.width, frame.height) != size:
            frame = self._reformatter.reformat(
                frame, width=size[0], height=size[1], interpolation=Interpolation.BICUBIC
            )
        name, depth = frame.format.name, depth_of(frame.format)
        if "f32" in name or "f16" in name:
            codes = self._float(frame, name)
        elif is_grey(name):
            codes = self._grey(frame, name, depth)
        elif frame.format.is_rgb or name.startswith(("pal8", "bayer", "xyz")):
            codes = self._rgb(frame, name, depth)
            if not self._full:
                codes[..., :3] = _expanded(codes[..., :3])
        else:
            codes = self._ycbcr(frame, name, depth)
        if self._alpha and codes.shape[2] == 3:
            solid = 1.0 if codes.dtype.kind == "f" else np.iinfo(codes.dtype).max
            codes = np.concatenate([codes, np.full_like(codes[..., :1], solid)], axis=2)
        if not self._exact and codes.dtype == np.uint16:
            codes = (codes >> 8).astype(np.uint8)
        return codes if self._alpha else codes[..., :3]

    def _to(self, frame: Any, pixel_format: str) -> Any:
        """Another layout of the same values."""
        if frame.format.name == pixel_format:
            return frame
        return self._reformatter.reformat(frame, format=pixel_format)

    def _float(self, frame: Any, name: str) -> np.ndarray:
        grey, alpha = is_grey(name), "a" in name.replace("gray", "")
        planes = frame if "f32" in name and name.endswith("le") and "p" in name else None
        if planes is None:
            planes = self._to(
                frame, "grayf32le" if grey else "gbrapf32le" if alpha else "gbrpf32le"
            )
        values = [plane_of(planes, index, np.dtype("<f4")) for index in range(len(planes.planes))]
        if grey:
            return np.stack([values[0]] * 3, axis=2)
        return np.stack([values[2], values[0], values[1], *values[3:]], axis=2)

    def _grey(self, frame: Any, name: str, depth: int) -> np.ndarray:
        if name.startswith("mono"):
            frame, depth = self._to(frame, "gray"), 8
        elif name.startswith(("ya", "y400")):
            frame = self._to(frame, "ya8" if depth == 8 else "ya16le")
            pair = _packed(frame, 2, np.dtype("u1" if depth == 8 else "<u2"))
            return pair[..., [0, 0, 0, 1]]
        grey = spread_codes(plane_of(frame, 0, _type(frame.format.name, depth)), depth)
        if not self._full:
            grey = _expanded(grey)
        return np.stack([grey] * 3, axis=2)

    def _rgb(self, frame: Any, name: str, depth: int) -> np.ndarray:
        alpha = self._alpha and has_alpha(frame)
        if name.startswith("gbr") and depth > 8:
            kind = _type(name, depth)
            order = (2, 0, 1, 3) if alpha else (2, 0, 1)
            planes = [spread_codes(plane_of(frame, index, kind), depth) for index in order]
            return np.stack(planes, axis=2)
        if depth in (5, 6) and name.startswith(("rgb5", "bgr5")):
            return _unpacked(frame, name)
        if depth <= 8:
            return self._to(frame, "rgba" if alpha else "rgb24").to_ndarray()
        return self._to(frame, "rgba64le" if alpha else "rgb48le").to_ndarray()

    def _ycbcr(self, frame: Any, name: str, depth: int) -> np.ndarray:
        deep = depth > 8 and self._exact
        layout = "gbrp16le" if deep else "gbrp" if self._exact else "rgb24"
        converted = self._reformatter.reformat(
            frame,
            format=layout,
            src_colorspace=self._matrix,
            dst_colorspace=self._matrix,
            src_color_range=ColorRange.JPEG if self._full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=EXACT if self._exact else Interpolation.BILINEAR,
        )
        codes: np.ndarray = converted.to_ndarray()
        if deep:
            # swscale puts white at 255/256 of full (limited range) or leaves the low bits empty.
            short = depth if self._full else 8
            if short < 16:
                wide = codes.astype(np.uint32)
                codes = np.minimum(wide + (wide >> short), 65535).astype(np.uint16)
        if self._alpha and has_alpha(frame):
            alpha = plane_of(frame, 3, _type(name, depth)) if len(frame.planes) > 3 else None
            if alpha is None:  # Packed, such as ayuv64.
                packed = self._to(frame, "gbrap16le" if deep else "gbrap")
                alpha = plane_of(packed, 3, np.dtype("<u2" if deep else "u1"))
                spread = alpha
            else:
                spread = spread_codes(alpha, depth)
            if codes.dtype == np.uint8 and spread.dtype == np.uint16:
                spread = (spread >> 8).astype(np.uint8)
            codes = np.concatenate([codes, spread[..., None]], axis=2)
        return codes


def _type(name: str, depth: int) -> np.dtype:
    if depth <= 8:
        return np.dtype("u1")
    return np.dtype(">u2" if name.endswith("be") else "<u2")


def plane_of(frame: Any, index: int, kind: np.dtype) -> np.ndarray:
    """One plane of a picture, (h, w), without the padding of its lines."""
    plane = frame.planes[index]
    line = plane.line_size // kind.itemsize
    values = np.frombuffer(plane, kind, count=line * plane.height).reshape(plane.height, line)
    return values[:, : plane.width]


def luma_of(frame: Any) -> tuple[np.ndarray, float]:
    """What is light and dark in a picture (H, W), as it is stored, and what its largest code is."""
    name, depth = frame.format.name, depth_of(frame.format)
    if depth > 16 or len(frame.planes) < 3 and not name.startswith("gray"):
        frame = VideoReformatter().reformat(frame, format="gray")
        name, depth = "gray", 8
    return plane_of(frame, 0, _type(name, depth)), float((1 << depth) - 1)


def _packed(frame: Any, channels: int, kind: np.dtype) -> np.ndarray:
    plane = frame.planes[0]
    line = plane.line_size // kind.itemsize
    values = np.frombuffer(plane, kind, count=line * plane.height).reshape(plane.height, line)
    return values[:, : frame.width * channels].reshape(plane.height, frame.width, channels)


def _unpacked(frame: Any, name: str) -> np.ndarray:
    """16-bit pixels of 555 or 565; swscale mistakes their byte order where it is the other one."""
    words = _packed(frame, 1, _type(name, 16))[..., 0]
    green = 6 if "565" in name else 5
    fields = ((words >> (5 + green)) & 31, (words >> 5) & ((1 << green) - 1), words & 31)
    planes = [
        np.rint(each * (255 / ((1 << bits) - 1))).astype(np.uint8)
        for each, bits in zip(fields, (5, green, 5), strict=True)
    ]
    return np.stack(planes if name.startswith("rgb") else planes[::-1], axis=2)


def spread_codes(codes: np.ndarray, depth: int) -> np.ndarray:
    """Codes of 9 to 15 bits over the full range of uint16; others as they are."""
    if depth <= 8:
        return codes.astype(np.uint8, copy=False)
    if depth >= 16:
        return codes.astype(np.uint16)
    wide = codes.astype(np.uint32)
    most = (1 << depth) - 1
    # Some encoders put such codes into the upper bits of 16.
    return ((np.minimum(wide, most) * 65535 + most // 2) // most).astype(np.uint16)


def _expanded(codes: np.ndarray) -> np.ndarray:
    """Grey or RGB of video range (16 to 235 of 255) in full range."""
    most = np.iinfo(codes.dtype).max
    low, high = 16.0, 235.0
    if codes.dtype == np.uint16:
        # 10-bit 64 lies at 64 * 65535 / 1023, not at 16 * 257.
        low, high = 64 * 65535 / 1023, 940 * 65535 / 1023
    return np.clip(np.rint((codes - low) * (most / (high - low))), 0, most).astype(codes.dtype)
