# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reader of pickles that knows arrays, tensors and the containers they lie in, and nothing else.

Names in a pickle are looked up in a table, never imported.
"""

import io
import math
import pickle
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

MAX_BYTES = 2 << 30
OLD_TORCH = 0x1950A86A20F9469CFC6C
"""What a file of torch.save's former kind begins with."""
_UNREAD = np.zeros(0)
"""Stands for a storage whose numbers come later in the file."""
_STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "ByteStorage": "u1",
    "CharStorage": "i1",
    "BoolStorage": "?",
}


_TORCH_TYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool")
_PATHS = ("", "Posix", "Windows", "Pure", "PurePosix", "PureWindows")


class Refused(Exception):  # noqa: N818
    """The file holds what is no track."""


class StorageKind:
    """The kind of a tensor's storage, by its name in the pickle."""

    def __init__(self, dtype: str) -> None:
        self.shortened = dtype == "bfloat16"
        self.dtype = np.dtype("<u2" if self.shortened else dtype)

    def read(self, data: bytes) -> np.ndarray:
        """The numbers of a storage's bytes."""
        values = np.frombuffer(data, self.dtype)
        # bfloat16 is the upper half of float32.
        return (values.astype("<u4") << 16).view("<f4") if self.shortened else values


class _Left:
    """What a track's pickle may hold besides, of which nothing is kept: a path, a type."""

    def __init__(self, *_: Any) -> None:
        pass


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
    if storage is _UNREAD:
        return _UNREAD
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
    return np.dtype(arguments[0])


def _buffer(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """numpy's arrays of the fifth protocol."""
    if np.dtype(dtype).hasobject:
        raise Refused("it holds arrays of Python objects")
    flat = np.frombuffer(data, np.dtype(dtype))
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
    ("torch.storage", "_load_from_bytes"): lambda data: read_old_torch(data),
    ("easydict", "EasyDict"): dict,
    ("argparse", "Namespace"): _Left,
    **{("pathlib", f"{kind}Path"): _Left for kind in _PATHS},
    **{("torch", name): StorageKind(dtype) for name, dtype in _STORAGES.items()},
    **{("torch", name): None for name in _TORCH_TYPES},
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


class SafeUnpickler(_Base):
    """Knows arrays and the containers they lie in, and nothing else."""

    dispatch: dict[int, Any] = dict(_Base.dispatch)

    def __init__(self, file: io.BytesIO, storages: Callable[[Any], Any] | None = None) -> None:
        # Of the second Python's pickles, whose text is bytes; NumPy reads arrays from such text.
        super().__init__(file, encoding="latin1")
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
            if len(state) == 5 and isinstance(state[4], list) and len(state[1]) < 2:
                # An array of objects is their list, and one without axes the object itself.
                made = state[4] if state[1] else state[4][0]
                self.stack[-1] = made
                for key, value in self.memo.items():
                    if value is target:
                        self.memo[key] = made
                return
            if len(state) != 5 or np.dtype(state[2]).hasobject or isinstance(state[4], list):
                raise Refused("it holds arrays of Python objects")
            target.__setstate__(state)
        elif isinstance(target, _Left):
            pass
        elif isinstance(target, np.dtype):
            if len(state) > 1 and state[1] == ">":
                self.stack[-1] = target.newbyteorder(">")
        elif isinstance(target, dict) and isinstance(state, dict):
            pass  # What subclasses of dict carry besides.
        else:
            raise Refused(f"it holds a {type(target).__name__} with a state of its own")

    dispatch[pickle.BUILD[0]] = load_build


def read_old_torch(data: bytes) -> Any:
    """What torch.save wrote before it wrote zips, as tensors in plain pickles still are.

    Three pickles say what wrote it, the fourth is the content, the fifth names storages, whose
    numbers follow.

    Raises:
        Refused: if it is anything else.
    """
    file = io.BytesIO(data)
    if SafeUnpickler(file).load() != OLD_TORCH:
        raise Refused("it is no file of torch.save")
    for _ in range(2):
        SafeUnpickler(file).load()
    start = file.tell()
    kinds: dict[str, StorageKind] = {}

    def noted(pid: Any) -> np.ndarray:
        _, kind, key = known_storage(pid)
        kinds[str(key)] = kind
        return _UNREAD

    SafeUnpickler(file, noted).load()
    kept: dict[str, np.ndarray] = {}
    for key in SafeUnpickler(file).load():
        if str(key) not in kinds:
            raise Refused("it holds a tensor of a kind that is not known")
        kind = kinds[str(key)]
        size = int.from_bytes(file.read(8), "little") * kind.dtype.itemsize
        numbers = file.read(size) if size <= len(data) else b""
        if len(numbers) < size:
            raise Refused("a tensor ends too early")
        kept[str(key)] = kind.read(numbers)
    file.seek(start)
    return SafeUnpickler(file, lambda pid: kept[str(known_storage(pid)[2])]).load()


def known_storage(pid: Any) -> tuple[Any, StorageKind, Any]:
    """The parts of a storage's persistent name.

    Raises:
        Refused: if it is of a kind that is not known.
    """
    if not isinstance(pid, tuple) or len(pid) < 5 or not isinstance(pid[1], StorageKind):
        raise Refused("it holds a tensor of a kind that is not known")
    return pid[0], pid[1], pid[2]
