# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames of a movie, each exactly the one that is asked for (PyAV)."""

import bisect
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .deinterlace import filled, upper_field
from .display_matrix import UPRIGHT, upright
from .facts import MovieFacts, told_of_size, told_of_tags
from .movie_container import REPAIR, decoded, open_movie, readable
from .movie_facts import MATRICES, tags_of
from .movie_pixels import Converter
from .source_frame import DamagedFrame, SourceFrame

_CHANNELS = ("R", "G", "B", "A")


class MovieReader:
    """Decodes a movie's frames by position; sequential reading never seeks.

    Not to be shared between threads: each takes a reader of its own.
    """

    _KEPT = 8

    def __init__(
        self,
        path: Path,
        facts: MovieFacts,
        matrix: str,
        range: str,
        exact: bool = True,
        deinterlace: bool = False,
    ) -> None:
        """Opens nothing yet; `matrix` and `range` are the names to decode with.

        Args:
            exact: codes as the movie has them; if not, 8 bits whose codes may be off by a few.
            deinterlace: show the first field of each frame, its missing lines filled.
        """
        self._path = path
        self._facts = facts
        swscale = None if matrix == "rgb" else MATRICES[matrix]
        self._converter = Converter(swscale, range == "full", exact, facts.alpha)
        self._deinterlace = deinterlace
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._container: Any = None
        self._stream: Any = None
        self._decoded: Iterator[Any] = iter(())
        self._at = -1
        self._gradual = False
        self._damage: list[str] = []
        self._changed: list[str] = []

    def read(self, position: int) -> SourceFrame:
        """The frame at `position` of `facts.stamps`, as RGB codes.

        Raises:
            DamagedFrame: if it cannot be decoded.
        """
        frame = self._kept.get(position)
        if frame is None:
            frame = self._decode(position)
            self._kept[position] = frame
            while len(self._kept) > self._KEPT:
                self._kept.popitem(last=False)
        notes, self._changed = self._changed, []
        if frame.is_corrupt or self._damage:
            self._damage.clear()
            notes.append(
                f"the decoder met damage, first near frame {position + 1} of the movie; look at the"
                " picture there"
            )
        size = (frame.width, frame.height)
        if size != self._facts.stored:
            notes.append(told_of_size(size, position + 1, self._facts.stored))
        with readable(self._path, f"frame {position + 1} of the movie cannot be converted"):
            pixels = self._pixels(frame)
        if self._facts.orientation != UPRIGHT:
            pixels = np.ascontiguousarray(upright(pixels, self._facts.orientation))
        code, count = pixels.dtype.name, pixels.shape[2]
        kind = {"float32": "float"}.get(code, code)
        channels = _CHANNELS[:count]
        return SourceFrame(
            pixels,
            channels,
            (0, 1, 2),
            8 * pixels.itemsize,
            (kind,) * count,
            {},
            notes=tuple(notes),
        )

    def _pixels(self, frame: Any) -> np.ndarray:
        wide, high = self._facts.stored
        if not self._deinterlace:
            return self._converter.convert(frame, (wide, high))
        field = upper_field(frame)
        if field is None:
            return filled(self._converter.convert(frame, (wide, high))[0::2], high)
        return filled(self._converter.convert(field, (wide, (high + 1) // 2)), high)

    def close(self) -> None:
        """Closes the file; reading again opens it again."""
        if self._container is not None:
            self._container.close()
        self._container = None
        self._kept.clear()
        self._at = -1

    def _decode(self, position: int) -> Any:
        frame = self._counted(position) if self._facts.in_order else self._searched(position)
        if frame is None:
            runs = self._whole()
            named = ", ".join(f"{first + 1}-{last + 1}" for first, last in runs[:6])
            raise DamagedFrame(
                f"frame {position + 1} of the movie is damaged",
                self._path,
                f"use the frames that can be read, {named}" if runs else REPAIR,
                position=position,
                runs=runs,
            )
        later = tags_of(frame, self._stream.codec_context)
        self._changed = told_of_tags(self._facts.tags, later, position + 1)
        return frame

    def _searched(self, position: int) -> Any | None:
        """The frame by its time stamp."""
        facts = self._facts
        wanted = facts.stamps[position]
        key = bisect.bisect_right(facts.keys, wanted) - 1
        # Going on costs less than a seek while the frame lies in the same group of pictures.
        on_the_way = self._container is not None and 0 <= self._at < position
        if on_the_way and (
            key < 0 or self._gradual or facts.keys[key] <= facts.stamps[self._at + 1]
        ):
            frame = self._advance(wanted)
            if frame is not None:
                return frame
        # Frames shown before an open group's key frame need the group before it.
        starts = () if self._gradual else range(key, max(key - 3, -1), -1)
        for start in (*starts, None):
            self._seek(start)
            frame = self._advance(wanted, facts.keys[start] if start else None)
            if frame is not None:
                return frame
        return None

    def _seek(self, key: int | None) -> None:
        fresh = self._container is None
        if fresh or key is None:
            self._open()
        if key is not None and not (fresh and key == 0):
            with readable(self._path, "the movie cannot be searched"):
                self._container.seek(self._facts.keys[key], stream=self._stream, backward=True)
            self._decoded = decoded(self._container, self._stream, self._damage.append)

    def _open(self) -> None:
        if self._container is not None:
            self._container.close()
        self._at = -1
        self._container, self._stream = open_movie(self._path)
        self._decoded = decoded(self._container, self._stream, self._damage.append)

    def _advance(self, wanted: int, key: int | None = None) -> Any | None:
        """Decodes up to the time stamp; None if it was passed without being met.

        Args:
            key: the stamp that was searched for, after a search; of pictures that are refreshed
                gradually, stripe by stripe, that one is not given, and those after it may be wrong.
        """
        met = key is None or not self._shows(key)
        for frame in self._decoded:
            met = met or frame.pts == key
            if frame.pts is None or frame.pts < wanted:
                continue
            if frame.pts > wanted:
                break
            if not met:
                self._gradual = not (frame.is_corrupt or self._damage)
                break
            self._at = bisect.bisect_left(self._facts.stamps, wanted)
            return frame
        self._at = -1
        return None

    def _shows(self, stamp: int) -> bool:
        """Whether a picture with that stamp is shown; edit lists hide some."""
        row = bisect.bisect_left(self._facts.stamps, stamp)
        return row < len(self._facts.stamps) and self._facts.stamps[row] == stamp

    def _counted(self, position: int) -> Any | None:
        """The frame by its place in the file, for movies whose time stamps are of no use."""
        if self._container is None or self._at >= position:
            self._open()
        for frame in self._decoded:
            self._at += 1
            if self._at == position:
                return frame
        self._at = len(self._facts.stamps)
        return None

    def _whole(self) -> list[tuple[int, int]]:
        """Runs of positions that can be decoded; looked for when one cannot."""
        from .movie_scan import examine

        self.close()
        found = examine(self._path, self._facts, len(self._facts.stamps))
        return list(found.whole)
