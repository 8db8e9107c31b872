# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decoder process: one question a line on stdin, one answer a line and its pixels on stdout.

It runs as `python -m portraitgen.footage.decoder_main`, started by `decoder` alone, and ends when
stdin closes. A fault of its own or of a library ends in a sentence; a crash ends this process only.
"""

import contextlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import FootageError
from ..schema import Data
from ..startup import run_to_the_end
from .decoder_messages import (
    QUESTIONS,
    Answered,
    Asked,
    Close,
    Fault,
    ImagesProbed,
    Nothing,
    OpenImages,
    OpenMovie,
    ProbeImages,
    ProbeMovie,
    Question,
    ReadFrame,
    ReadParts,
    ReadSound,
    ScanMovie,
    Slot,
)
from .shared_frames import SlotWriter
from .source_frame import DamagedFrame, SourceFrame

Reply = tuple[Data, list[np.ndarray]]


class _Decoder:
    """What has been opened, and the answers to questions about it."""

    def __init__(self) -> None:
        self._reader: Any = None

    def answer(self, question: Question[Data]) -> Reply:
        """The answer to one question, and the arrays that go with it."""
        match question:
            case ProbeMovie(path):
                from .movie_facts import probe

                return probe(Path(path)), []
            case ScanMovie(path, facts, limit):
                from .movie_scan import examine

                return examine(Path(path), facts, limit), []
            case OpenMovie(path, facts, matrix, range, exact, deinterlace):
                from .movie import MovieReader

                self._close()
                self._reader = MovieReader(Path(path), facts, matrix, range, exact, deinterlace)
            case ReadSound(path, start, end):
                from .sound import read_sound

                return read_sound(Path(path), start, end)
            case ProbeImages(paths, part, layer):
                from .image import read_facts

                found = tuple(read_facts(Path(path), part, layer) for path in paths)
                return ImagesProbed(found), []
            case OpenImages(paths, part, layer, size, lean):
                from .image import ImageReader

                self._close()
                files = [Path(path) for path in paths]
                self._reader = ImageReader(files, part, layer, size, lean)
            case ReadParts(path):
                from .image import read_parts

                return read_parts(Path(path))
            case ReadFrame(position):
                frame: SourceFrame = self._reader.read(position)
                return frame.sent()
            case Close():
                self._close()
        return Nothing(), []

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _question(asked: Asked) -> Question[Data]:
    if asked.do not in QUESTIONS:
        raise FootageError(f"the decoder knows no '{asked.do}'")
    return QUESTIONS[asked.do].parse(asked.what)


def _say(
    stream: BinaryIO,
    said: Answered,
    arrays: list[np.ndarray],
    slots: "SlotWriter | None",
    slot: Slot | None,
) -> None:
    heads = tuple((array.dtype.str, array.shape) for array in arrays)
    slotted = bool(arrays and slots and slot and slots.write(slot, arrays[0]))
    said = replace(said, arrays=heads, slot=slot if slotted else None)
    stream.write(json.dumps(said.to_json()).encode() + b"\n")
    for array in map(np.ascontiguousarray, arrays[slotted:]):
        if array.size:
            stream.write(array.reshape(-1).view(np.uint8).data)
    stream.flush()


def _told(error: Exception) -> Fault:
    if isinstance(error, DamagedFrame):
        words = error.message, error.place, error.remedy
        return Fault(*words, damaged=error.position, runs=tuple(error.runs))
    if isinstance(error, FootageError):
        return Fault(error.message, error.place, error.remedy)
    if isinstance(error, MemoryError):
        remedy = "close other programs or give a smaller plate"
        return Fault("there is not enough memory to read it", remedy=remedy)
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        return Fault(f"it cannot be read ({reason})", str(error.filename or ""), "check it")
    return Fault(
        f"the decoder met a fault of its own ({type(error).__name__}: {error})",
        remedy="report it with the file, or export the file again",
    )


def _quieten() -> None:
    """No crash dialogs, no core files, no priority over the artist's window."""
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.kernel32.SetErrorMode(0x0001 | 0x0002)
        return
    import resource

    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Answers until stdin closes."""
    _quieten()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What a library prints must not mix with the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    decoder = _Decoder()
    slots = SlotWriter(int(sys.argv[1])) if len(sys.argv) > 1 else None
    for line in sys.stdin.buffer:
        slot = None
        try:
            asked = Asked.parse(json.loads(line))
            slot = asked.slot
            answer, arrays = decoder.answer(_question(asked))
            said = Answered(answer.to_json())
        except Exception as error:  # noqa: BLE001 - told in the answer; the process goes on.
            said, arrays = Answered(fault=_told(error)), []
        try:
            _say(answers, said, arrays, slots, slot)
        except BrokenPipeError:
            return


if __name__ == "__main__":
    run_to_the_end(main)
