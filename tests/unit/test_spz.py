# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats as SPZ: bytes as its authors' program writes and reads them, damage told in a sentence."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from portraitgen.errors import AvatarError
from portraitgen.pipeline.requests.splat_file import Splats
from portraitgen.pipeline.requests.spz_file import Packing, read_spz, write_spz

COUNT = 500


def cloud(count: int = COUNT, seed: int = 4) -> Splats:
    made = np.random.default_rng(seed)

    def some(*shape: int, scale: float = 1.0) -> np.ndarray:
        return (made.standard_normal((count, *shape)) * scale).astype(np.float32)

    turns = some(4)
    return Splats(
        some(3, scale=0.3),
        np.zeros((count, 3), np.float32),
        some(3, scale=0.6),
        some(8, 3, scale=0.2),
        some(scale=2),
        some(3) - 5,
        turns / np.linalg.norm(turns, axis=1, keepdims=True),
        np.arange(count),
    )


def test_a_file_gives_back_what_it_can_hold(tmp_path: Path) -> None:
    made = cloud()
    write_spz(tmp_path / "a.spz", made)
    found, packing = read_spz(tmp_path / "a.spz")
    assert packing.version == 3 and packing.degree == 2
    assert np.abs(found.positions - made.positions).max() < 2e-6
    assert np.abs(found.base - made.base).max() <= 0.5 / 255 / 0.15 + 1e-5
    assert np.abs(found.scales - made.scales).max() <= 0.5 / 16 + 1e-5
    assert np.abs(1 / (1 + np.exp(-found.opacity)) - 1 / (1 + np.exp(-made.opacity))).max() < 0.003
    assert found.rest is not None and made.rest is not None
    assert np.abs(found.rest - made.rest).max() <= 0.5 / 128 + 1e-5
    agree = np.abs((found.rotations * made.rotations).sum(1))
    assert np.degrees(2 * np.arccos(np.minimum(agree, 1))).max() < 0.3
    assert found.ids is None
    # Written again, nothing changes any more; the same splats are the same bytes.
    again = packing.rounded(made)
    for name in ("positions", "base", "rest", "opacity", "scales", "rotations"):
        assert np.array_equal(getattr(again, name), getattr(found, name))
    whole = (tmp_path / "a.spz").read_bytes()
    write_spz(tmp_path / "a.spz", made)
    assert (tmp_path / "a.spz").read_bytes() == whole


def test_bytes_are_those_of_the_formats_description(tmp_path: Path) -> None:
    """One splat, worked out by hand: axes turn half about x, w is the largest of the rotation."""
    one = Splats(
        np.array([[0.5, 0.25, -0.125]], np.float32),
        np.zeros((1, 3), np.float32),
        np.array([[0, 1, -1]], np.float32),
        np.zeros((1, 8, 3), np.float32),
        np.array([0], np.float32),
        np.array([[-10, 0, -5]], np.float32),
        np.array([[np.cos(0.3), np.sin(0.3), 0, 0]], np.float32),
        None,
    )
    one.rest[0, 0] = 0.5  # type: ignore[index]
    write_spz(tmp_path / "a.spz", one)
    data = gzip.decompress((tmp_path / "a.spz").read_bytes())
    magic, version, count, degree, bits, flags, padding = struct.unpack("<IIIBBBB", data[:16])
    assert (magic, version, count, degree, flags, padding) == (0x5053474E, 3, 1, 2, 0, 0)
    fixed = [int.from_bytes(data[16 + 3 * i : 19 + 3 * i], "little", signed=True) for i in range(3)]
    assert fixed == [(1 << bits) // 2, -((1 << bits) // 4), (1 << bits) // 8]
    assert list(data[25:32]) == [128, 128, 166, 89, 0, 160, 80]
    (turn,) = struct.unpack("<I", data[32:36])
    assert turn >> 30 == 3  # w, of x, y, z, w
    x = (turn >> 20) & 1023
    assert x == round(np.sin(0.3) * np.sqrt(2) * 511) and turn & 0xFFFFF == 0
    # The first harmonic, of y, changes its sign with the axis.
    assert list(data[36:39]) == [64, 64, 64] and set(data[39:60]) == {128}
    assert len(data) == 60


def test_the_older_version_is_read_too(tmp_path: Path) -> None:
    made = cloud(50)
    packing = Packing(2, 12, 2)
    from portraitgen.pipeline.requests import spz_file

    body = b"".join(spz_file._packed(made, packing))
    header = struct.pack("<IIIBBBB", 0x5053474E, 2, 50, 2, 12, 0, 0)
    (tmp_path / "old.spz").write_bytes(gzip.compress(header + body))
    found, read = read_spz(tmp_path / "old.spz")
    assert read == packing
    assert np.abs(found.positions - made.positions).max() <= 0.5 / 4096 + 1e-6
    agree = np.abs((found.rotations * made.rotations).sum(1))
    # Rotations by nearly half a turn are coarse in it.
    assert np.median(np.degrees(2 * np.arccos(np.minimum(agree, 1)))) < 1


def header(**other: int) -> bytes:
    facts = {"magic": 0x5053474E, "version": 3, "count": 2, "degree": 0, "bits": 12} | other
    return struct.pack("<IIIBBBB", *facts.values(), 0, 0)


def packed(data: bytes) -> bytes:
    """The time would be part of the file, and of the name of its test in each process."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no gzip at all",
        b"NGSP" + bytes(60),
        packed(b"short"),
        packed(header()),
        packed(header(magic=1) + bytes(40)),
        packed(header(version=9) + bytes(40)),
        packed(header(degree=200) + bytes(40)),
        packed(header(bits=99) + bytes(40)),
        packed(header(count=0) + bytes(40)),
        packed(header(count=4_000_000_000) + bytes(400)),
        packed(header() + bytes(40))[:-12],
    ],
)
def test_what_is_no_such_file_is_told_in_a_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bad.spz").write_bytes(data)
    with pytest.raises(AvatarError, match=r"bad\.spz: the splats cannot be read .*; write them"):
        read_spz(tmp_path / "bad.spz")


def test_splats_far_away_are_told(tmp_path: Path) -> None:
    made = cloud(2)
    made.positions[0] = 1e9
    with pytest.raises(AvatarError, match="too far from the origin"):
        write_spz(tmp_path / "far.spz", made)
