# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussian splats as SPZ files (Niantic, github.com/nianticlabs/spz), a tenth of the size of PLY.

Versions 2 and 3: one gzip stream of a header of 16 bytes and then, for all splats in turn,
positions (3 x 24 bits, fixed point), opacities (a byte), colours (3 bytes), scales (3 bytes),
rotations (version 2: x, y, z as bytes; 3: the smallest three in 32 bits) and harmonics (a byte
each). Axes are right, up, back, where PLY's are taken for right, down, forward.
"""

import gzip
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...errors import AvatarError
from ...storage import read_bytes, write_bytes
from .splat_file import MAX_BYTES, Splats

_MAGIC = 0x5053474E
_HEADER = struct.Struct("<IIIBBBB")
_VERSION = 3
_COEFFICIENTS = (0, 3, 8, 15, 24)
_KEPT = 8
_COLOUR = 0.15
_FIXED_LIMIT = 1 << 23
_MOST_BITS = 20
# Half a turn about x takes the axes of the one to those of the other.
_PLACES = np.array([1, -1, -1], np.float32)
_TURNS = np.array([1, 1, -1, -1], np.float32)
_HARMONICS = np.array([-1, -1, 1, -1, 1, 1, -1, 1], np.float32)[:, None]
_MOST_OPAQUE = 12.0
"""Logit of an opacity that is stored as 1."""


@dataclass(frozen=True)
class Packing:
    """How finely a file holds its values.

    Attributes:
        version: 2 or 3.
        fractional_bits: of positions.
        degree: of the harmonics.
    """

    version: int
    fractional_bits: int
    degree: int

    def rounded(self, splats: Splats) -> Splats:
        """Splats as a file of this packing would give them back."""
        return _unpacked(_packed(splats, self), self, len(splats.positions))


def write_spz(path: Path, splats: Splats) -> None:
    """Writes a file of version 3 in one step, positions as finely as their extent allows.

    Raises:
        AvatarError: if the splats lie kilometres apart.
    """
    reach = float(np.abs(splats.positions).max(initial=1e-6))
    bits = min(int(np.floor(np.log2((_FIXED_LIMIT - 1) / reach))), _MOST_BITS)
    if bits < 0:
        raise AvatarError("the splats lie too far from the origin", path, "write them as PLY")
    packing = Packing(_VERSION, bits, 0 if splats.rest is None else 2)
    header = _HEADER.pack(
        _MAGIC, _VERSION, len(splats.positions), packing.degree, packing.fractional_bits, 0, 0
    )
    # Without a time, the same splats are the same bytes.
    write_bytes(path, gzip.compress(header + b"".join(_packed(splats, packing)), 6, mtime=0))


def read_spz(path: Path) -> tuple[Splats, Packing]:
    """Reads a file of version 2 or 3; it holds neither normals nor ids.

    Raises:
        AvatarError: if it is missing, damaged, or of another version.
    """
    try:
        data = read_bytes(path, MAX_BYTES)
        if data[:4] == b"NGSP":
            raise ValueError("it is of version 4 or later")
        stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
        header = stream.decompress(data, _HEADER.size)
        if len(header) < _HEADER.size:
            raise ValueError("it is cut off")
        magic, version, count, degree, bits, _, _ = _HEADER.unpack(header)
        if magic != _MAGIC or version not in (2, 3):
            raise ValueError("it is no SPZ file of version 2 or 3")
        if degree >= len(_COEFFICIENTS) or bits > 23 or not count:
            raise ValueError("its header is not that of splats")
        packing = Packing(version, bits, degree)
        sizes = _sizes(packing, count)
        if sum(sizes) > MAX_BYTES:
            raise ValueError("it is larger than any avatar")
        body = stream.decompress(stream.unconsumed_tail, sum(sizes))
        if len(body) < sum(sizes):
            raise ValueError("it is cut off")
        ends = np.cumsum([0, *sizes])
        parts = [body[start:end] for start, end in zip(ends[:-1], ends[1:], strict=True)]
        return _unpacked(parts, packing, count), packing
    except (OSError, ValueError, zlib.error) as error:
        raise AvatarError(
            f"the splats cannot be read ({error})", path, "write them as SPZ of version 3, or PLY"
        ) from error


def _sizes(packing: Packing, count: int) -> list[int]:
    rotation = 4 if packing.version == 3 else 3
    harmonics = 3 * _COEFFICIENTS[packing.degree]
    return [each * count for each in (9, 1, 3, 3, rotation, harmonics)]


def _packed(splats: Splats, packing: Packing) -> list[bytes]:
    """The file's arrays in their order."""
    fixed = np.round(splats.positions * _PLACES * np.float64(1 << packing.fractional_bits))
    fixed = np.clip(fixed, -_FIXED_LIMIT, _FIXED_LIMIT - 1).astype("<i4")
    places = np.ascontiguousarray(fixed).view(np.uint8).reshape(-1, 3, 4)[..., :3]
    harmonics = np.zeros((len(fixed), _COEFFICIENTS[packing.degree], 3))
    if splats.rest is not None:
        kept = min(harmonics.shape[1], _KEPT)
        harmonics[:, :kept] = (splats.rest * _HARMONICS)[:, :kept]
    turns = splats.rotations * _TURNS
    turns = turns / np.maximum(np.linalg.norm(turns, axis=1, keepdims=True), 1e-12)
    arrays = (
        places,
        _bytes(255 / (1 + np.exp(-splats.opacity.astype(np.float64)))),
        _bytes((splats.base * _COLOUR + 0.5) * 255),
        _bytes((splats.scales + 10) * 16),
        _smallest_three(turns) if packing.version == 3 else _first_three(turns),
        _bytes(harmonics * 128 + 128),
    )
    return [np.ascontiguousarray(each).tobytes() for each in arrays]


def _unpacked(parts: list[bytes], packing: Packing, count: int) -> Splats:
    places, opacity, base, scales, turns, rest = (np.frombuffer(each, np.uint8) for each in parts)
    fixed = np.zeros((count * 3, 4), np.uint8)
    # The sign stands in the highest of three bytes.
    fixed[:, 1:] = places.reshape(-1, 3)
    positions = (fixed.view("<i4").reshape(-1, 3) >> 8) / np.float64(1 << packing.fractional_bits)
    share = opacity / np.float64(255)
    with np.errstate(divide="ignore"):
        logits = np.clip(np.log(share / (1 - share)), -_MOST_OPAQUE, _MOST_OPAQUE)
    rotations = (
        _from_smallest_three(turns.view("<u4"))
        if packing.version == 3
        else _from_first_three(turns.reshape(-1, 3))
    )
    harmonics = None
    if packing.degree:
        given = (rest.reshape(count, -1, 3)[:, :_KEPT].astype(np.float32) - 128) / 128
        harmonics = np.zeros((count, _KEPT, 3), np.float32)
        harmonics[:, : given.shape[1]] = given
        harmonics *= _HARMONICS
    read = Splats(
        positions=positions.astype(np.float32) * _PLACES,
        normals=np.zeros((count, 3), np.float32),
        base=((base.reshape(-1, 3) / np.float32(255) - 0.5) / _COLOUR).astype(np.float32),
        rest=harmonics,
        opacity=logits.astype(np.float32),
        scales=scales.reshape(-1, 3).astype(np.float32) / 16 - 10,
        rotations=rotations,
        ids=None,
    )
    return replace(read, rotations=(read.rotations * _TURNS).astype(np.float32))


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def _first_three(turns: np.ndarray) -> np.ndarray:
    """Rotations (N, 4), wxyz, of length 1, as x, y, z with a w that is not negative."""
    upright = np.where(turns[:, :1] < 0, -turns, turns)
    return _bytes(upright[:, 1:] * 127.5 + 127.5)


def _from_first_three(stored: np.ndarray) -> np.ndarray:
    vector = stored / 127.5 - 1
    real = np.sqrt(np.maximum(0, 1 - (vector**2).sum(1, keepdims=True)))
    turns = np.concatenate([real, vector], axis=1)
    return np.asarray(turns / np.linalg.norm(turns, axis=1, keepdims=True))


def _smallest_three(turns: np.ndarray) -> np.ndarray:
    """Rotations (N, 4), wxyz, of length 1, as the place of the largest and the others, (N,) uint32.

    Two bits for the place among x, y, z, w; then a sign and nine bits for each of the others.
    """
    ordered = turns[:, [1, 2, 3, 0]].astype(np.float64)
    largest = np.abs(ordered).argmax(1)
    ordered *= np.sign(np.take_along_axis(ordered, largest[:, None], 1))
    magnitude = np.floor(np.abs(ordered) * np.sqrt(2) * 511 + 0.5).astype(np.uint32)
    coded = ((ordered < 0).astype(np.uint32) << 9) | np.minimum(magnitude, 511)
    packed = largest.astype(np.uint32)
    for place in range(4):
        packed = np.where(place == largest, packed, (packed << 10) | coded[:, place])
    return packed.astype("<u4")


def _from_smallest_three(packed: np.ndarray) -> np.ndarray:
    largest = (packed >> 30).astype(np.int64)
    ordered = np.zeros((len(packed), 4))
    rest = packed.astype(np.uint32)
    for place in (3, 2, 1, 0):
        here = place != largest
        value = (rest & 511) / 511 * np.sqrt(0.5) * np.where(rest & 512, -1, 1)
        ordered[here, place] = value[here]
        rest = np.where(here, rest >> 10, rest)
    left = np.sqrt(np.maximum(0, 1 - (ordered**2).sum(1)))
    ordered[np.arange(len(packed)), largest] = left
    return ordered[:, [3, 0, 1, 2]]
