# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory that a decoder process writes frames into and this one reads them from, uncopied.

Linux only: an anonymous file that both processes map, which is gone with the last of them however
they end. It is sealed against shrinking, so that a decoder which was taken over cannot take the
ground from under a frame. Elsewhere, and for what does not fit, frames go through the pipe.
"""

import contextlib
import ctypes
import mmap
import os
import weakref
from collections import deque
from collections.abc import Sequence

import numpy as np

MOST_BYTES = 640 << 20
"""Of all slots of one decoder."""

_MOST_SLOTS = 96  # Each map holds the file open once more.
_SEALS = 1033, 0x0001 | 0x0002  # F_ADD_SEALS of Linux: F_SEAL_SEAL, F_SEAL_SHRINK


class SharedFrames:
    """Slots in which frames come; each is free again once nothing of its frame is looked at."""

    def __init__(self) -> None:
        import fcntl

        self.file = os.memfd_create("portraitgen-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        fcntl.fcntl(self.file, *_SEALS)
        self._maps: dict[tuple[int, int], mmap.mmap] = {}
        self._free: deque[tuple[int, int]] = deque()
        self._end = 0
        self._close = weakref.finalize(self, os.close, self.file)

    def take(self, count: int) -> tuple[int, int] | None:
        """A free slot of so many bytes, as its place and length; None where there is no room."""
        length = -(-count // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        for _ in range(len(self._free)):
            slot = self._free.popleft()
            if slot[1] == length:
                return slot
            self._free.append(slot)
        full = self._end + length > MOST_BYTES or len(self._maps) >= _MOST_SLOTS
        if full or not self._close.alive:
            return None
        os.ftruncate(self.file, self._end + length)
        slot = self._end, length
        self._end += length
        self._maps[slot] = mmap.mmap(self.file, length, offset=slot[0])
        return slot

    def give(self, slot: tuple[int, int]) -> None:
        """Lets a slot be used again."""
        self._free.append(slot)

    def array(self, slot: tuple[int, int], kind: str, shape: Sequence[int]) -> np.ndarray:
        """What a decoder wrote into a slot, uncopied; the slot is free when it is forgotten.

        Raises:
            ValueError: if it does not fit.
        """
        count = int(np.prod(shape, dtype=np.int64))
        size = count * np.dtype(kind).itemsize
        if not 0 < size <= slot[1]:
            raise ValueError("a frame that is larger than its slot")
        # An object of its own for this frame, kept by every view of it.
        held = (ctypes.c_ubyte * size).from_buffer(self._maps[slot])
        weakref.finalize(held, self._free.append, slot).atexit = False
        return np.frombuffer(memoryview(held), np.dtype(kind), count).reshape(shape)

    def rest(self) -> None:
        """Gives the memory of free slots back to the system; they stay slots."""
        for slot in list(self._free):
            with contextlib.suppress(OSError, ValueError):
                self._maps[slot].madvise(mmap.MADV_REMOVE)

    def close(self) -> None:
        """Closes the file; frames that are still looked at stay."""
        self._close()
        self._maps.clear()
        self._free.clear()


class SlotWriter:
    """The decoder's side.

    Args:
        file: the number of the file, which the process has inherited.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._maps: dict[int, mmap.mmap] = {}

    def write(self, slot: tuple[int, int], array: np.ndarray) -> bool:
        """Writes an array to a slot; False if it does not fit."""
        place, length = slot
        if array.nbytes > length or not array.size:
            return False
        if place not in self._maps:
            self._maps[place] = mmap.mmap(self._file, length, offset=place)
        target = np.frombuffer(self._maps[place], array.dtype, array.size)
        np.copyto(target.reshape(array.shape), array)
        return True


def shared_frames() -> SharedFrames | None:
    """Slots for a new decoder; None where the system has no such memory."""
    try:
        return SharedFrames()
    except (AttributeError, ImportError, OSError):
        return None
