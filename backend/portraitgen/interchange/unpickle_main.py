# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inside of `convert-track`: a pickle on standard input, an .npz on standard output.

It runs in a process of its own that opens no file for writing, no socket and no program, and its
unpickler knows nothing but arrays, tensors and the containers they lie in: names in a pickle are
looked up in a table, never imported.
"""

import io
import math
import pickle
import sys
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

MAX_BYTES = 2 << 30
_FORBIDDEN: tuple[str, ...] = tuple(
    (
        "socket. subprocess. os.system os.exec os.posix_spawn os.spawn os.fork os.remove os.rename"
        " os.rmdir os.mkdir os.link os.symlink os.chmod os.chown os.truncate shutil. ctypes."
        " urllib. winreg."
    ).split()
)
_STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "ByteStorage": "u1",
    "CharStorage": "i1",
    "BoolStorage": "?",
}


class Refused(Exception):  # noqa: N818
    """The file holds what is no track."""


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


class _Storage:
    """The kind of a tensor's storage, by its name in the pickle."""

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)


class _JoblibArray:
    """joblib's stand-in for an array whose bytes follow it in the file."""

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)

    def read(self, file: Any) -> np.ndarray:
        dtype = np.dtype(self.__dict__["dtype"])
        if dtype.hasobject:
            raise Refused("it holds arrays of Python objects")
        if self.__dict__.get("numpy_array_alignment_bytes") is not None:
            padding = file.read(1)
            file.read(padding[0] if padding else 0)
        shape = tuple(int(each) for each in self.__dict__["shape"])
        size = math.prod(shape) * dtype.itemsize
        data = file.read(size) if 0 <= size <= MAX_BYTES else b""
        if len(data) < size:
            raise Refused("an array ends too early")
        order = "F" if self.__dict__.get("order") == "F" else "C"
        return np.frombuffer(data, dtype).reshape(shape, order=order)  # type: ignore[call-overload]


def _tensor(storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> np.ndarray:
    """torch._utils._rebuild_tensor_v2 on numpy's arrays."""
    if not isinstance(storage, np.ndarray):
        raise Refused("a tensor lacks its storage")
    shape, steps = tuple(map(int, size)), tuple(map(int, stride))
    last = int(offset) + sum((n - 1) * s for n, s in zip(shape, steps, strict=True) if n)
    if min((*shape, *steps, int(offset)), default=0) < 0 or last >= max(len(storage), 1):
        raise Refused("a tensor leaves its storage")
    # Steps of 0 would make any size of a few bytes.
    if math.prod(shape) * storage.dtype.itemsize > MAX_BYTES:
        raise Refused("it is too large for a track")
    if not math.prod(shape):
        return np.zeros(shape, storage.dtype)
    width = storage.dtype.itemsize
    view = np.lib.stride_tricks.as_strided(
        storage[int(offset) :], shape, tuple(step * width for step in steps)
    )
    return np.ascontiguousarray(view)


def _dtype(*arguments: Any) -> np.dtype[Any]:
    made = np.dtype(arguments[0])
    if made.hasobject:
        raise Refused("it holds arrays of Python objects")
    return made


def _buffer(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """numpy's arrays of the fifth protocol."""
    flat = np.frombuffer(data, _dtype(dtype))
    return flat.reshape(tuple(shape), order="F" if order == "F" else "C")


def _parameter(data: Any, *_: Any) -> Any:
    return data


_NUMPY = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): defaultdict,
    ("builtins", "dict"): dict,
    ("builtins", "list"): list,
    ("builtins", "set"): set,
    ("builtins", "bytearray"): bytearray,
    ("__builtin__", "dict"): dict,
    ("_codecs", "encode"): lambda text, how="latin1": str(text).encode("latin1"),
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): tuple,
    ("torch", "device"): lambda *_: None,
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): _JoblibArray,
    **{("torch", name): _Storage(dtype) for name, dtype in _STORAGES.items()},
}
for _module in ("numpy.core.numeric", "numpy._core.numeric"):
    _KNOWN[_module, "_frombuffer"] = _buffer
for _module in _NUMPY:
    _KNOWN[_module, "ndarray"] = np.ndarray
    _KNOWN[_module, "dtype"] = _dtype
    _KNOWN[_module, "_reconstruct"] = lambda kind, shape, code: np.ndarray.__new__(
        np.ndarray, (0,), "b"
    )
    _KNOWN[_module, "scalar"] = lambda dtype, data: np.frombuffer(data, dtype)[0]


# The unpickler written in Python, whose steps can be replaced; type stubs know the other one.
_Base: Any = vars(pickle)["_Unpickler"]


class _Unpickler(_Base):
    """Knows arrays and the containers they lie in, and nothing else."""

    dispatch: dict[int, Any] = dict(_Base.dispatch)

    def __init__(self, file: io.BytesIO, storages: Callable[[Any], Any] | None = None) -> None:
        super().__init__(file)
        self._whole, self._storages = file, storages

    def find_class(self, module: str, name: str) -> Any:
        """What a name stands for; nothing is imported."""
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise Refused(f"it holds a '{module}.{name}', which is no array") from None

    def persistent_load(self, pid: Any) -> Any:
        """A tensor's storage."""
        if self._storages is None:
            raise Refused("it refers to what is not in it")
        return self._storages(pid)

    def load_build(self) -> None:
        """As Python's, for arrays; joblib's are read from what follows."""
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, _JoblibArray):
            target.__setstate__(state)
            self.stack[-1] = target.read(self._whole)
        elif isinstance(target, np.ndarray):
            if len(state) != 5 or np.dtype(state[2]).hasobject or isinstance(state[4], list):
                raise Refused("it holds arrays of Python objects")
            target.__setstate__(state)
        elif isinstance(target, np.dtype):
            if len(state) > 1 and state[1] == ">":
                self.stack[-1] = target.newbyteorder(">")
        elif isinstance(target, dict) and isinstance(state, dict):
            pass  # What subclasses of dict carry besides.
        else:
            raise Refused(f"it holds a {type(target).__name__} with a state of its own")

    dispatch[pickle.BUILD[0]] = load_build


def unpickled(data: bytes) -> Any:
    """What a pickle, a joblib dump or a file of torch.save holds.

    Raises:
        Refused: if that is anything but numbers and their containers.
    """
    if data[:4] != b"PK\x03\x04":
        # joblib's own frame of arrays stands in the stream, where Python's frames end too late.
        return _Unpickler(io.BytesIO(data)).load()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        main = next((name for name in names if name.rsplit("/", 1)[-1] == "data.pkl"), None)
        if main is None:
            raise Refused("it is a zip without data.pkl: no file of torch.save")
        if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
            raise Refused("it is too large for a track")
        root = main.removesuffix("data.pkl")
        kept: dict[str, np.ndarray] = {}

        def storage(pid: Any) -> np.ndarray:
            if not isinstance(pid, tuple) or len(pid) < 5 or not isinstance(pid[1], _Storage):
                raise Refused("it holds a tensor of a kind that is not known")
            key = f"{root}data/{pid[2]}"
            if key not in kept:
                kept[key] = np.frombuffer(archive.read(key), pid[1].dtype)
            return kept[key]

        return _Unpickler(io.BytesIO(archive.read(main)), storage).load()


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
        arrays = flattened(unpickled(data))
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
