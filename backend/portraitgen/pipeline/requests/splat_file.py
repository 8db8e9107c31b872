# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussian splats as PLY files in the layout of the field (Kerbl et al. 2023), with an id a splat.

Properties: x y z, nx ny nz, f_dc_0..2, f_rest_* (channel by channel), opacity (before the sigmoid),
scale_0..2 (logarithms), rot_0..3 (wxyz) and id; all of them floats, as many programs take for
granted. As a float an id is exact below 2^24.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import AvatarError
from ...storage import read_bytes, write_bytes

MAX_BYTES = 2 << 30
_MAX_HEADER = 1 << 16
_MAX_PROPERTIES = 512
_TYPES = {
    "char": "i1",
    "uchar": "u1",
    "short": "i2",
    "ushort": "u2",
    "int": "i4",
    "uint": "u4",
    "float": "f4",
    "double": "f8",
    "int8": "i1",
    "uint8": "u1",
    "int16": "i2",
    "uint16": "u2",
    "int32": "i4",
    "uint32": "u4",
    "float32": "f4",
    "float64": "f8",
}
_HARMONICS = 8
# Logarithms: a splat thinner than a nanometre is drawn as if it were that thick.
_LEAST_SCALE = -20.0


@dataclass(frozen=True)
class Splats:
    """Splats as the field's files hold them, float32.

    Attributes:
        positions, normals: (N, 3).
        base: (N, 3), harmonics of degree 0.
        rest: (N, 8, 3), of degrees 1 and 2, in the file's space and order; None where a program
            keeps none.
        opacity: (N,), before the sigmoid.
        scales: (N, 3), logarithms.
        rotations: (N, 4), wxyz, of any length.
        ids: int64 (N,), None if the file does not hold them.
    """

    positions: np.ndarray
    normals: np.ndarray
    base: np.ndarray
    rest: np.ndarray | None
    opacity: np.ndarray
    scales: np.ndarray
    rotations: np.ndarray
    ids: np.ndarray | None


def write_ply(path: Path, splats: Splats) -> None:
    """Writes a binary PLY file in one step."""
    count = len(splats.positions)
    columns: list[tuple[str, np.ndarray]] = []
    rest = np.zeros((count, _HARMONICS, 3)) if splats.rest is None else splats.rest
    for names, values in (
        (("x", "y", "z"), splats.positions),
        (("nx", "ny", "nz"), splats.normals),
        (_numbered("f_dc_", 3), splats.base),
        # All of red's, then all of green's, then all of blue's.
        (_numbered("f_rest_", 3 * _HARMONICS), rest.swapaxes(1, 2).reshape(count, -1)),
        (("opacity",), splats.opacity[:, None]),
        (_numbered("scale_", 3), splats.scales),
        (_numbered("rot_", 4), splats.rotations),
    ):
        columns += zip(names, values.T, strict=True)
    if splats.ids is not None:
        columns.append(("id", splats.ids))
    lines = [f"property float {name}" for name, _ in columns]
    rows = np.empty(count, [(name, "<f4") for name, _ in columns])
    for name, values in columns:
        rows[name] = values
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {count}", *lines]
    write_bytes(path, "\n".join([*header, "end_header", ""]).encode() + rows.tobytes())


def read_ply(path: Path) -> Splats:
    """Reads a PLY file of splats, of any program that keeps the field's names. Values that no
    splat can have are left as they are.

    Raises:
        AvatarError: if it is missing, damaged, or holds no splats.
    """
    try:
        data = read_bytes(path, MAX_BYTES)
        # What no float32 or id can be is told in our words, or is no id of ours.
        with np.errstate(over="ignore", invalid="ignore"):
            return _splats(_rows(data))
    except (OSError, ValueError) as error:
        raise AvatarError(
            f"the splats cannot be read ({error})",
            path,
            "write them as binary PLY with positions, f_dc, opacity, scale and rot",
        ) from error


def _rows(data: bytes) -> np.ndarray:
    """The vertices, a structured array."""
    end = data[:_MAX_HEADER].find(b"end_header")
    if not data.startswith(b"ply") or end < 0:
        raise ValueError("it is no PLY file")
    start = data.index(b"\n", end) + 1
    types: list[tuple[str, str]] = []
    count, order, inside, before = 0, "", False, 0
    for line in data[:end].decode("ascii", "replace").splitlines():
        match line.split():
            case ["format", "binary_little_endian", _]:
                order = "<"
            case ["format", "binary_big_endian", _]:
                order = ">"
            case ["format", "ascii", _]:
                order = "a"
            case ["element", "vertex", number]:
                count, inside = int(number), True
            case ["element", _, number]:
                # Faces and the like may follow; what comes first would have to be skipped.
                before += int(number) if not count else 0
                inside = False
            case ["property", "list", *_] if inside:
                raise ValueError("its vertices hold lists")
            case ["property", kind, name] if inside:
                if kind not in _TYPES or len(types) >= _MAX_PROPERTIES:
                    raise ValueError(f"its property '{name}' is of no known kind")
                types.append((name, _TYPES[kind]))
    if "packed_position" in (name for name, _ in types):
        raise ValueError("it is a compressed PLY")
    if before or not order or count <= 0 or not types or count > len(data):
        raise ValueError("its header is not that of splats")
    if order == "a":
        values = np.array(data[start:].split()[: count * len(types)], np.float64)
        rows = np.empty(count, types)
        for (name, _), column in zip(types, values.reshape(count, -1).T, strict=True):
            rows[name] = column
        return rows
    row = np.dtype([(name, order + code) for name, code in types])
    if start + row.itemsize * count > len(data):
        raise ValueError("it is cut off")
    return np.frombuffer(data, row, count, start)


def _splats(rows: np.ndarray) -> Splats:
    names = set(rows.dtype.names or ())

    def columns(wanted: tuple[str, ...]) -> np.ndarray:
        missing = [name for name in wanted if name not in names]
        if missing:
            raise ValueError(f"it lacks {missing[0]}")
        values = np.stack([rows[name].astype(np.float32) for name in wanted], axis=1)
        return values

    rest = None
    given = sum(f"f_rest_{index}" in names for index in range(45)) // 3
    if given:
        # Of a higher degree the first eight, of a lower one what there is.
        kept = columns(_numbered("f_rest_", 3 * given)).reshape(-1, 3, given)[..., :_HARMONICS]
        rest = np.zeros((len(rows), _HARMONICS, 3), np.float32)
        rest[:, : kept.shape[2]] = kept.swapaxes(1, 2)
    normals = ("nx", "ny", "nz")
    return Splats(
        columns(("x", "y", "z")),
        columns(normals) if names.issuperset(normals) else np.zeros((len(rows), 3), np.float32),
        columns(_numbered("f_dc_", 3)),
        rest,
        # Some programs hide a splat by an infinite logit, and make it flat by no thickness.
        np.clip(columns(("opacity",))[:, 0], -20, 20),
        np.maximum(columns(_numbered("scale_", 3)), _LEAST_SCALE),
        columns(_numbered("rot_", 4)),
        rows["id"].astype(np.int64) if "id" in names else None,
    )


def _numbered(prefix: str, count: int) -> tuple[str, ...]:
    return tuple(f"{prefix}{index}" for index in range(count))
