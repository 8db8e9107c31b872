# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cryptomatte: which things cover a pixel and how far, as compositors read it.

After Friedman and Jones, "Fully Automatic ID Mattes with Support for Motion Blur and Transparency"
(2015), and the specification 1.2.0 (github.com/Psyop/Cryptomatte): names are hashed by
MurmurHash3_x86_32, hashes are bits of floats, pairs of hash and coverage are ranked by coverage,
two in each layer of four channels, and the header tells names in a manifest.
"""

import json
import struct
from collections.abc import Mapping, Sequence

import numpy as np

LAYERS = 3
"""Layers of two ranks each, as renderers write by default."""


def layer_names(name: str) -> list[str]:
    """The names of the layers: "CryptoPart00", "CryptoPart01", ..."""
    return [f"{name}{index:02d}" for index in range(LAYERS)]


def murmur3(data: bytes, seed: int = 0) -> int:
    """MurmurHash3_x86_32 of some bytes (Appleby, public domain)."""
    mask, hashed = 0xFFFFFFFF, seed
    whole = len(data) - len(data) % 4
    for at in range(0, whole, 4):
        hashed ^= _scrambled(int.from_bytes(data[at : at + 4], "little"))
        hashed = (hashed << 13 | hashed >> 19) & mask
        hashed = (hashed * 5 + 0xE6546B64) & mask
    hashed ^= _scrambled(int.from_bytes(data[whole:], "little"))
    hashed ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        hashed = ((hashed ^ hashed >> shift) * factor) & mask
    return hashed ^ hashed >> 16


def _scrambled(word: int) -> int:
    word = word * 0xCC9E2D51 & 0xFFFFFFFF
    word = (word << 15 | word >> 17) & 0xFFFFFFFF
    return word * 0x1B873593 & 0xFFFFFFFF


def hash_of(name: str) -> int:
    """The hash of a name, whose bits are those of a float that is a plain number."""
    hashed = murmur3(name.encode("utf-8"))
    exponent = hashed >> 23 & 0xFF
    # Neither subnormal, which some would flush to 0, nor infinite, nor no number at all.
    return hashed ^ 1 << 23 if exponent in (0, 0xFF) else hashed


def float_of(hashed: int) -> float:
    """The float that has a hash's bits."""
    value: float = struct.unpack("<f", struct.pack("<I", hashed))[0]
    return value


def attributes(layer: str, names: Sequence[str]) -> dict[str, str]:
    """The header of a file with these layers.

    Args:
        layer: the layers' name in the file without the number, as "ViewLayer.CryptoPart".
        names: of all things that may be in it.
    """
    key = f"cryptomatte/{murmur3(layer.encode('utf-8')):08x}"[: len("cryptomatte/") + 7]
    manifest = {name: f"{hash_of(name):08x}" for name in names}
    return {
        f"{key}/name": layer,
        f"{key}/hash": "MurmurHash3_32",
        f"{key}/conversion": "uint32_to_float32",
        f"{key}/manifest": json.dumps(manifest, separators=(",", ":")),
    }


def ranked(covers: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The layers of some things.

    Args:
        covers: float32 (H, W) in 0..1 for each name; together at most 1 anywhere.

    Returns:
        Each float32 (H, W, 4): hash and coverage of two ranks; 0 where nothing is left.
    """
    names = list(covers)
    stacked = np.stack([covers[name] for name in names])
    identities = np.array([float_of(hash_of(name)) for name in names], np.float32)
    ranks = 2 * LAYERS
    order = np.argsort(-stacked, axis=0, kind="stable")[:ranks]
    cover = np.take_along_axis(stacked, order, axis=0)
    identity = np.where(cover > 0, identities[order], np.float32(0))
    layers = []
    for first in range(0, ranks, 2):
        layer = np.zeros((*stacked.shape[1:], 4), np.float32)
        for rank in range(first, min(first + 2, len(cover))):
            layer[..., 2 * (rank - first)] = identity[rank]
            layer[..., 2 * (rank - first) + 1] = np.maximum(cover[rank], 0)
        layers.append(layer)
    return layers
