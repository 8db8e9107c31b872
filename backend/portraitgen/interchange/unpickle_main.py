# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inside of `convert-track`: a pickle on standard input, an .npz on standard output.

It runs in a process of its own that opens no file for writing, no socket and no program. With the
argument "folder", the input is a tar of files, a file a frame, named by their numbers.
"""

import bz2
import io
import lzma
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .safe_unpickler import (
    MAX_BYTES,
    OLD_TORCH,
    Refused,
    SafeUnpickler,
    known_storage,
    read_old_torch,
)

_FORBIDDEN: tuple[str, ...] = tuple(
    (
        "socket. subprocess. os.system os.exec os.posix_spawn os.spawn os.fork os.remove os.rename"
        " os.rmdir os.mkdir os.link os.symlink os.chmod os.chown os.truncate shutil. ctypes."
        " urllib. winreg."
    ).split()
)
_PRESSED: tuple[tuple[bytes, Callable[[], Any]], ...] = (
    (b"\x1f\x8b", lambda: zlib.decompressobj(31)),
    (b"x", zlib.decompressobj),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ", lzma.LZMADecompressor),
)
"""How joblib presses a whole file, by its first bytes."""


def confine() -> None:
    """Takes from this process what a converter does not need."""

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            mode, flags = arguments[1], arguments[2]
            if isinstance(mode, str) and set(mode) & set("wax+"):
                raise PermissionError("a converter writes nothing")
            if isinstance(flags, int) and flags & 3 and not isinstance(mode, str):
                raise PermissionError("a converter writes nothing")
        elif event.startswith(_FORBIDDEN):
            raise PermissionError(f"a converter does no {event}")

    sys.addaudithook(watch)
    try:
        import resource
    except ImportError:
        return  # Windows: the audit hook alone.
    limits = {"RLIMIT_FSIZE": 0, "RLIMIT_NPROC": 0, "RLIMIT_CORE": 0, "RLIMIT_AS": 4 * MAX_BYTES}
    for name, limit in limits.items():
        try:
            resource.setrlimit(getattr(resource, name), (limit, limit))
        except (AttributeError, ValueError, OSError):
            continue


def unpickled(data: bytes) -> Any:
    """What a pickle, a joblib dump, a file of torch.save or arrays of objects hold.

    Raises:
        Refused: if that is anything but numbers and their containers.
    """
    if data[:6] == b"\x93NUMPY":
        return _array(data)
    if data[:4] == b"PK\x03\x04":
        return _zipped(data)
    for start, opened in _PRESSED:
        if data.startswith(start):
            data = opened().decompress(data, MAX_BYTES)
            break
    if len(data) >= MAX_BYTES:
        raise Refused("it is too large for a track")
    if _begins_old(data):
        return read_old_torch(data)
    # joblib's own frame of arrays stands in the stream, where Python's frames end too late.
    return SafeUnpickler(io.BytesIO(data)).load()


def _begins_old(data: bytes) -> bool:
    number = OLD_TORCH.to_bytes(10, "little")
    return data[:1] == b"\x80" and number in data[:16]


def _array(data: bytes) -> Any:
    """An .npy, of numbers or of objects."""
    file = io.BytesIO(data)
    read = (
        np.lib.format.read_array_header_1_0
        if np.lib.format.read_magic(file) == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    if read(file)[2].hasobject:
        return SafeUnpickler(io.BytesIO(file.read())).load()
    file.seek(0)
    return np.load(file, allow_pickle=False)


def _zipped(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
            raise Refused("it is too large for a track")
        main = next((name for name in names if name.rsplit("/", 1)[-1] == "data.pkl"), None)
        arrays = [name for name in names if name.endswith(".npy")]
        if main is None and arrays:
            return {name.removesuffix(".npy"): _array(archive.read(name)) for name in arrays}
        if main is None:
            raise Refused("it is a zip without data.pkl: no file of torch.save")
        root = main.removesuffix("data.pkl")
        kept: dict[str, np.ndarray] = {}

        def storage(pid: Any) -> np.ndarray:
            _, kind, key = known_storage(pid)
            name = f"{root}data/{key}"
            if name not in kept:
                kept[name] = kind.read(archive.read(name))
            return kept[name]

        return SafeUnpickler(io.BytesIO(archive.read(main)), storage).load()


def of_folder(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of a tar of files named by their frames, one below the other, and the frames."""
    frames, rows = [], []
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                frames.append(int(member.name))
                rows.append(unpickled(file.read()))
    if not all(isinstance(row, dict) for row in rows):
        raise Refused("its files hold no named arrays")
    return flattened(rows) | {"frames": np.array(frames, np.int64)}


def flattened(content: Any, name: str = "", depth: int = 0) -> dict[str, np.ndarray]:
    """Arrays by nested names with slashes; lists of alike frames are stacked."""
    if depth > 8:
        return {}
    if isinstance(content, dict):
        found: dict[str, np.ndarray] = {}
        for key, value in content.items():
            found |= flattened(value, f"{name}/{key}" if name else str(key), depth + 1)
        return found
    if isinstance(content, list | tuple) and content and isinstance(content[0], dict):
        rows = [flattened(each, "", depth + 1) for each in content]
        shared = set(rows[0]).intersection(*rows)
        return {
            f"{name}/{key}" if name else key: np.stack([row[key] for row in rows])
            for key in rows[0]
            if key in shared and len({row[key].shape for row in rows}) == 1
        }
    try:
        array = np.asarray(content)
    except ValueError:
        return {}
    plain = array.dtype.kind in "fiubUS" and array.size
    return {name or "array": array} if plain else {}


def main() -> None:
    """Standard input to standard output; a refusal is a line on standard error."""
    confine()
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    try:
        if len(data) > MAX_BYTES:
            raise Refused("it is too large for a track")
        if not data:
            raise Refused("it is empty")
        arrays = of_folder(data) if "folder" in sys.argv[1:] else flattened(unpickled(data))
        if not arrays:
            raise Refused("it holds no arrays")
        made = io.BytesIO()
        # NumPy's stubs would take a name among them for the flag that admits pickles.
        save: Callable[..., None] = np.savez_compressed
        save(made, **arrays)
    except Refused as error:
        print(error, file=sys.stderr)
        raise SystemExit(3) from None
    except Exception as error:  # noqa: BLE001 - a stranger's bytes may fail in any way.
        print(f"it is damaged ({type(error).__name__}: {error})", file=sys.stderr)
        raise SystemExit(3) from None
    sys.stdout.buffer.write(made.getvalue())


if __name__ == "__main__":
    main()
