# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and writes safetensors files with NumPy alone, since Blender has no package for them.

The format: eight bytes with the header's length, little endian, the header as JSON, then the data.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from portraitgen.bounded_json import parse_json
from portraitgen.errors import ShotError
from portraitgen.records import TensorEntry
from portraitgen.storage import atomic_path, read_bytes

_TYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
_NAMES = {np.dtype(kind): name for name, kind in _TYPES.items()}
_HEADER_LIMIT = 100_000_000
_LARGEST = 4 << 30


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors of a file by name, and its metadata.

    Raises:
        ShotError: if it is missing or damaged.
    """
    try:
        data = read_bytes(Path(path), _LARGEST)
        length = int.from_bytes(data[:8], "little")
        if not 2 <= length <= min(_HEADER_LIMIT, len(data) - 8):
            raise ValueError("its header is cut off")
        header = parse_json(data[8 : 8 + length])
        metadata = header.pop("__metadata__", {})
        body = memoryview(data)[8 + length :]
        if metadata.get("sha256", digest := _digest(header, body)) != digest:
            raise ValueError("its content has changed since it was written")
        entries = {name: TensorEntry.parse(entry) for name, entry in header.items()}
        return {name: _tensor(entry, body) for name, entry in entries.items()}, metadata
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ShotError(
            f"the file cannot be read ({error})", path, "build the rig or track the shot again"
        ) from error


def _digest(header: dict[str, Any], body: memoryview) -> str:
    """As the backend's `tensors` marks its files."""
    whole = hashlib.sha256(json.dumps(header, sort_keys=True, separators=(",", ":")).encode())
    whole.update(body)
    return whole.hexdigest()


def _tensor(entry: TensorEntry, body: memoryview) -> np.ndarray:
    start, end = entry.data_offsets
    if not 0 <= start <= end <= len(body):
        raise ValueError("its tensors are cut off")
    return np.frombuffer(body[start:end], _TYPES[entry.dtype]).reshape(entry.shape)


def save(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """Writes tensors in one step; a reader never meets half of the file."""
    header: dict[str, Any] = {}
    parts, offset = [], 0
    for name, values in tensors.items():
        part = np.ascontiguousarray(values)
        header[name] = {
            "dtype": _NAMES[part.dtype],
            "shape": list(part.shape),
            "data_offsets": [offset, offset + part.nbytes],
        }
        offset += part.nbytes
        parts.append(part.tobytes())
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    os.makedirs(Path(path).parent, exist_ok=True)
    with atomic_path(Path(path)) as temporary, open(temporary, "wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for data in parts:
            file.write(data)
