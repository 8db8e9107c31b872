# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arrays of NumPy's from strangers: nothing is unpickled, and no size is believed before it is
compared with the file's."""

import lzma
import math
import tokenize
import zipfile
import zlib
from typing import IO

import numpy as np

MAX_BYTES = 1 << 30
"""The largest array that is read."""
DAMAGE = (
    *(OSError, EOFError, ValueError, RuntimeError, SyntaxError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError),
)
"""What reading an archive raises where its bytes are damaged."""
_MOST = 1 << 48


class DamagedArray(ValueError):  # noqa: N818
    """An array cannot be read; why, in a clause."""


class PickledArray(DamagedArray):
    """It holds objects of Python's, which could run a program."""


def plain_array(file: IO[bytes], size: int) -> np.ndarray:
    """An .npy, if its header tells the truth.

    Args:
        size: of the file in bytes, its header included.

    Raises:
        DamagedArray: if it is none, is cut off or holds anything but plain values.
    """
    try:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read(file)
    except DAMAGE as error:
        raise DamagedArray("cannot be read ({})".format(str(error).split("\n")[0])) from error
    if dtype.hasobject:
        raise PickledArray("holds Python objects, which could run a program")
    # A size below 0 would have all of an archive unpacked.
    if any(isinstance(each, bool) or not 0 <= each < _MOST for each in shape):
        raise DamagedArray(f"cannot be of the shape {str(shape)[:60]}")
    if dtype.itemsize == 0 or dtype.subdtype is not None:
        raise DamagedArray("holds no plain values")
    told = math.prod(shape) * dtype.itemsize
    if told > min(size, MAX_BYTES):
        raise DamagedArray(f"says it holds {told} bytes of {size}")
    try:
        data = file.read(told)
    except DAMAGE as error:
        raise DamagedArray(f"cannot be read ({error})") from error
    if len(data) < told:
        raise DamagedArray("ends too early")
    flat = np.frombuffer(data, dtype)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
