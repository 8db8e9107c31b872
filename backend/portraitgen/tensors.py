# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where tensors become safetensors files and come back.

A file holds a digest of its own names, shapes and values among its metadata, and a file that does
not agree with it is refused: a flipped bit would otherwise be a number like any other. Files of
older versions hold none and are checked for numbers that are not finite only.
"""

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from .bounded_json import parse_json
from .errors import PortraitError
from .plain_text import as_size
from .records import TensorEntry
from .schema import Misfit
from .storage import atomic_path, is_plain, read_bytes

if TYPE_CHECKING:
    # Arrays are read without waiting for torch.
    from torch import Tensor

MAX_TENSORS = 4 << 30
"""The largest file of tensors that is read, in bytes; the largest avatar takes 60 MB."""
_MAX_HEADER = 8 << 20
_DIGEST = "sha256"


class DamagedTensors(ValueError):  # noqa: N818
    """A file of tensors is not what was written."""


def save_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes arrays in one step, with their digest."""
    packed = {name: np.ascontiguousarray(each) for name, each in arrays.items()}
    _write(path, safetensors.numpy.save(packed), metadata or {})


def save_tensors(path: Path, tensors: Mapping[str, "Tensor"]) -> None:
    """Writes tensors of any device in one step, with their digest."""
    import safetensors.torch

    packed = {name: each.detach().cpu().contiguous() for name, each in tensors.items()}
    _write(path, safetensors.torch.save(packed), {})


def load_arrays(path: Path, may_be_nan: Iterable[str] = ()) -> dict[str, np.ndarray]:
    """Reads arrays back.

    Args:
        may_be_nan: names of those that use NaN for what is missing.

    Raises:
        DamagedTensors: if the file is missing, or damaged, or a number in it is not finite.
    """
    data = _read(path)
    try:
        arrays: dict[str, np.ndarray] = safetensors.numpy.load(data)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DamagedTensors(f"it is no safetensors file ({error})") from error
    for name, each in arrays.items():
        if name not in may_be_nan and each.dtype.kind == "f" and not np.isfinite(each).all():
            raise DamagedTensors(f"'{name}' holds numbers that are not finite")
    return arrays


def load_tensors(path: Path) -> "dict[str, Tensor]":
    """Reads tensors back, on the CPU; raises as `load_arrays`."""
    import safetensors.torch
    import torch

    data = _read(path)
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load(data)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DamagedTensors(f"it is no safetensors file ({error})") from error
    for name, each in tensors.items():
        if each.is_floating_point() and not torch.isfinite(each).all():
            raise DamagedTensors(f"'{name}' holds numbers that are not finite")
    return tensors


def header_of(path: Path, largest: int) -> dict[str, Any]:
    """The header of a safetensors file: what it holds by name, and `__metadata__`.

    Nothing else of the file is read, so that a stranger's file can be judged first.

    Args:
        largest: the size in bytes beyond which a file is refused.

    Raises:
        DamagedTensors: if it is no such file, too large, or promises more than it holds.
    """
    if not is_plain(path):
        raise DamagedTensors("it is no plain file")
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            if size > largest:
                raise DamagedTensors(f"it is too large ({as_size(size)})")
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
            if length > min(_MAX_HEADER, size - 8):
                raise DamagedTensors(f"it is no safetensors file ({as_size(size)})")
            text = file.read(length)
    except FileNotFoundError:
        raise DamagedTensors("it is missing") from None
    except OSError as error:
        raise DamagedTensors(f"it cannot be read ({error.strerror})") from error
    try:
        header = parse_json(text)
    except ValueError as error:
        raise DamagedTensors(f"its header is damaged ({error})") from None
    if not isinstance(header, dict):
        raise DamagedTensors("its header is damaged")
    promised = 8 + length + _promised(header)
    if promised > size:
        raise DamagedTensors(f"it is cut short ({as_size(size)} of {as_size(promised)})")
    return header


def _promised(header: Mapping[str, Any]) -> int:
    """How many bytes of values a header speaks of."""
    last = 0
    for each in header.values():
        with suppress(Misfit):
            last = max(last, TensorEntry.parse(each).data_offsets[1])
    return last


def is_whole(path: Path) -> bool:
    """Whether a file is there and agrees with its own digest."""
    try:
        return bool(_split(_read(path))[0].get("__metadata__", {}).get(_DIGEST))
    except DamagedTensors:
        return False


def _write(path: Path, packed: bytes, metadata: Mapping[str, str]) -> None:
    header, values = _split(packed)
    header.pop("__metadata__", None)
    marked = {"__metadata__": {**metadata, _DIGEST: _digest(header, values)}} | header
    text = json.dumps(marked, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with atomic_path(path) as temporary:
        with open(temporary, "wb") as file:
            file.write(struct.pack("<Q", len(text)))
            file.write(text)
            file.write(values)


def _read(path: Path) -> bytes:
    try:
        data = read_bytes(path, MAX_TENSORS)
    except FileNotFoundError:
        raise DamagedTensors("it is missing") from None
    except OSError as error:
        raise DamagedTensors(f"it cannot be read ({error.strerror})") from error
    except PortraitError as error:
        raise DamagedTensors(error.message) from error
    header, values = _split(data)
    metadata = header.pop("__metadata__", {})
    known = metadata.get(_DIGEST) if isinstance(metadata, dict) else None
    if known is not None and known != _digest(header, values):
        raise DamagedTensors("its content has changed since it was written")
    return data


def _split(data: bytes) -> tuple[dict[str, dict[str, str]], memoryview]:
    """The header and the values of a file."""
    size = struct.unpack_from("<Q", data)[0] if len(data) >= 8 else _MAX_HEADER + 1
    if size > min(_MAX_HEADER, len(data) - 8):
        raise DamagedTensors(f"it is no safetensors file ({as_size(len(data))})")
    try:
        header = parse_json(data[8 : 8 + size])
    except ValueError as error:
        raise DamagedTensors(f"its header is damaged ({error})") from None
    if not isinstance(header, dict):
        raise DamagedTensors("its header is damaged")
    return header, memoryview(data)[8 + size :]


def _digest(header: Mapping[str, object], values: memoryview) -> str:
    whole = hashlib.sha256(json.dumps(header, sort_keys=True, separators=(",", ":")).encode())
    whole.update(values)
    return whole.hexdigest()
