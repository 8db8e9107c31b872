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
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import FootageError
from .shared_frames import SlotWriter
from .source_frame import DamagedFrame, SourceFrame

Reply = tuple[dict[str, Any], list[np.ndarray]]


class _Decoder:
    """What has been opened, and the answers to questions about it."""

    def __init__(self) -> None:
        self._reader: Any = None

    def answer(self, message: dict[str, Any]) -> Reply:
        """The answer to one question."""
        match message["do"]:
            case "movie.facts":
                from .movie_facts import probe

                return {"facts": probe(Path(message["path"])).to_json()}, []
            case "movie.scan":
                from .movie_facts import MovieFacts
                from .movie_scan import examine

                facts = MovieFacts.from_json(message["facts"])
                return examine(Path(message["path"]), facts, message["limit"]), []
            case "movie.open":
                from .movie import MovieReader
                from .movie_facts import MovieFacts

                self._close()
                self._reader = MovieReader(
                    Path(message["path"]),
                    MovieFacts.from_json(message["facts"]),
                    message["matrix"],
                    message["range"],
                    message["exact"],
                    message["deinterlace"],
                )
                return {}, []
            case "movie.sound":
                from .sound import read_sound

                return read_sound(Path(message["path"]), message["start"], message["end"])
            case "images.facts":
                from .image import read_facts

                names = message["part"], message["layer"]
                paths = [Path(path) for path in message["paths"]]
                return {"facts": [read_facts(path, *names).to_json() for path in paths]}, []
            case "images.open":
                from .image import ImageReader

                self._close()
                self._reader = ImageReader(
                    [Path(path) for path in message["paths"]],
                    message["part"],
                    message["layer"],
                    tuple(message["size"]),
                    message["lean"],
                )
                return {}, []
            case "image.parts":
                from .image import read_parts

                return read_parts(Path(message["path"]))
            case "read":
                frame: SourceFrame = self._reader.read(message["position"])
                data, arrays = frame.to_json()
                return {"frame": data}, arrays
            case "close":
                self._close()
                return {}, []
        raise FootageError(f"the decoder knows no '{message['do']}'")

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _say(
    stream: BinaryIO,
    head: dict[str, Any],
    arrays: list[np.ndarray],
    slots: "SlotWriter | None",
    slot: list[int] | None,
) -> None:
    if arrays:
        head["arrays"] = [(array.dtype.str, array.shape) for array in arrays]
        head["slotted"] = bool(slots and slot and slots.write((slot[0], slot[1]), arrays[0]))
        if head["slotted"]:
            head["slot"] = slot
            arrays = arrays[1:]
    stream.write(json.dumps(head).encode() + b"\n")
    for array in map(np.ascontiguousarray, arrays):
        if array.size:
            stream.write(array.reshape(-1).view(np.uint8).data)
    stream.flush()


def _told(error: Exception) -> dict[str, Any]:
    if isinstance(error, FootageError):
        told = {"message": error.message, "place": error.place, "remedy": error.remedy}
        if isinstance(error, DamagedFrame):
            return told | {"damaged": error.position, "runs": error.runs}
        return told
    if isinstance(error, MemoryError):
        remedy = "close other programs or give a smaller plate"
        return {"message": "there is not enough memory to read it", "place": "", "remedy": remedy}
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        place = str(error.filename or "")
        return {"message": f"it cannot be read ({reason})", "place": place, "remedy": "check it"}
    return {
        "message": f"the decoder met a fault of its own ({type(error).__name__}: {error})",
        "place": "",
        "remedy": "report it with the file, or export the file again",
    }


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
            message = json.loads(line)
            slot = message.get("slot")
            head, arrays = decoder.answer(message)
        except Exception as error:  # noqa: BLE001 - told in the answer; the process goes on.
            head, arrays = {"error": _told(error)}, []
        try:
            _say(answers, head, arrays, slots, slot)
        except BrokenPipeError:
            return


if __name__ == "__main__":
    main()
