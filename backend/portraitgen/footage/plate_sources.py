# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files behind a plate: their facts, and readers of them in decoder processes."""

import hashlib
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import FootageError
from .decoder import RemoteReader, ask
from .decoder_messages import OpenImages, OpenMovie, ProbeImages, ProbeMovie, ReadSound, ScanMovie
from .facts import ImageFacts, told_of_size, told_of_tags
from .fields import INTERLACED, ONE_FIELD, WHOLE
from .source_frame import DamagedFrame
from .timecode import breaks, rebased

_LISTED = 6
# Headers of so many files are read in one question.
_BATCH = 64


class Source(Protocol):
    """The files behind a plate."""

    count: int
    width: int
    height: int
    bit_depth: int
    pixel_aspect: Fraction
    matrix: str
    range: str
    notes: list[str]
    suffix: str
    timecode: str
    source_type: str
    reel: str

    def reader(self, exact: bool = True, lean: bool = False) -> RemoteReader:
        """A new reader.

        Args:
            exact: if not, a movie's codes may be off by a few.
            lean: red, green and blue are enough.
        """

    def located(self, position: int) -> int:
        """What the reader calls the plate's frame at a position."""

    def digest(self) -> str:
        """The fingerprint of the files."""


class MovieSource:
    """A movie at a constant rate."""

    suffix = ".png"

    def __init__(
        self,
        path: Path,
        matrix: str | None,
        range: str | None,
        fps: Fraction | None,
        deinterlace: bool,
    ) -> None:
        from .movie_facts import MATRICES, RANGES, frame_table

        _check_choice("matrix", matrix, MATRICES)
        _check_choice("range", range, RANGES)
        self._path = path
        self.facts, _ = ask(ProbeMovie(str(path)), path)
        facts = self.facts
        self._deinterlace = deinterlace
        unflagged = INTERLACED + ONE_FIELD
        self.notes: list[str] = [
            note for note in facts.notes if not (deinterlace and note in (unflagged, WHOLE))
        ]
        if matrix and facts.matrix != "rgb":
            self.matrix = matrix
        else:
            if matrix:
                self.notes.append(f"the movie's codes are RGB or grey; matrix {matrix} is not used")
            self.matrix = facts.matrix
            if not facts.matrix_tagged:
                self.notes.append(f"the movie names no colour matrix; {facts.matrix} is assumed")
        self.range = range or facts.range
        self.fps = fps or facts.fps
        self._table = frame_table(facts, self.fps)
        self.notes += _of_table(self._table, facts.uniform, len(facts.times), self.fps)
        if facts.interlaced and (deinterlace or WHOLE not in facts.notes):
            self.notes.append(
                "the movie is interlaced: two moments share each frame; "
                + (
                    "the upper field of each is read"
                    if deinterlace
                    else "deinterlace it first, or read one field of it (--deinterlace)"
                )
            )
        elif deinterlace:
            self.notes.append(
                "the upper field of each frame is read, as asked; the movie's first pictures "
                + (
                    "seem interlaced, though they do not say so"
                    if unflagged in facts.notes
                    else "do not say that they are interlaced"
                )
            )
        if facts.alpha:
            self.notes.append("the movie's alpha is kept in full plates")
        self.count = len(self._table)
        self.width, self.height = facts.width, facts.height
        self.bit_depth = facts.bit_depth
        self.pixel_aspect = facts.pixel_aspect
        same = round(self.fps) == round(facts.fps)
        self.source_type = facts.source_type
        self.timecode = facts.timecode if same else rebased(facts.timecode, facts.fps, self.fps)
        self.reel = facts.reel

    def reader(self, exact: bool = True, lean: bool = False) -> RemoteReader:
        """See `Source`."""
        opening = OpenMovie(
            str(self._path), self.facts, self.matrix, self.range, exact, self._deinterlace
        )
        return RemoteReader(opening, self._path)

    def located(self, position: int) -> int:
        """See `Source`."""
        return self._table[position]

    def in_own_numbers(self, error: DamagedFrame, first: int) -> FootageError:
        """A sentence about a damaged frame in the numbers of the plate."""
        shown: dict[int, list[int]] = {}
        for index, position in enumerate(self._table):
            shown.setdefault(position, []).append(first + index)
        number = shown.get(error.position, [first + error.position])[0]
        whole = {p for low, high in error.runs for p in range_of(low, high)}
        numbers = [first + index for index, position in enumerate(self._table) if position in whole]
        listed = _runs(numbers)
        remedy = f"use the frames that can be read, such as --frames {listed[0]}" if listed else ""
        if len(listed) > 1:
            remedy = f"use frames that can be read: {' or '.join(listed[:_LISTED])}"
        return FootageError(
            f"frame {number} is damaged", self._path, remedy or "copy or export the file again"
        )

    def examine(self, first: int, limit: int) -> list[str]:
        """Decodes the movie's first frames and says what is wrong, in the plate's numbers."""
        question = ScanMovie(str(self._path), self.facts, limit)
        found, _ = ask(question, self._path, patience=3600)
        whole = {p for low, high in found.whole for p in range_of(low, high)}
        faulty = {p for low, high in found.faulty for p in range_of(low, high)}
        numbers: dict[bool, list[int]] = {True: [], False: []}
        strained = []
        for index, position in enumerate(self._table):
            if position < found.looked:
                numbers[position in whole].append(first + index)
                if position in faulty:
                    strained.append(first + index)
        notes = []
        if numbers[False]:
            readable = ", ".join(_runs(numbers[True])[:_LISTED])
            frames = _listed(numbers[False])
            notes.append(f"{frames} cannot be decoded; {readable} can be read")
        if strained:
            notes.append(
                f"{_listed(strained)}: the decoder met damage near it; look at the picture"
            )
        for position, width, height in found.sizes:
            at = next((first + i for i, p in enumerate(self._table) if p >= position), first)
            notes.append(told_of_size((width, height), at, self.facts.stored))
        told: set[str] = set()
        for position, tags in found.changes:
            at = next((first + i for i, p in enumerate(self._table) if p >= position), first)
            for note in told_of_tags(self.facts.tags, tags, at):
                kind = note.split(",")[0]
                if kind not in told:
                    notes.append(note)
                told.add(kind)
        if found.interlaced and not self.facts.interlaced:
            notes.append("some frames of the movie are interlaced; deinterlace it first")
        notes += [note for note in found.fields if not (self._deinterlace and ONE_FIELD in note)]
        if found.looked < len(self.facts.stamps):
            notes.append(f"the first {found.looked} frames were decoded to look for damage")
        return notes

    def read_sound(self, start: int, count: int) -> tuple[np.ndarray, int] | None:
        """The sound under some frames, as `Plate.read_sound` gives it."""
        facts = self.facts
        if not facts.sound or facts.in_order or facts.stamps != facts.times:
            return None
        begin = facts.times[0] * facts.time_base + start / self.fps
        end = begin + count / self.fps
        sound, arrays = ask(ReadSound(str(self._path), float(begin), float(end)), self._path)
        return (arrays[0], sound.rate) if arrays else None

    def digest(self) -> str:
        """See `Source`."""
        return _digest([self._path], repr(self.facts.times).encode())


class ImageSource:
    """An image sequence or a single image."""

    matrix = "rgb"
    range = "full"
    reel = ""

    def __init__(
        self, place: Path, files: dict[int, Path], part: str | None, layer: str | None
    ) -> None:
        self.files = list(files.values())
        self.number = next(iter(files))
        self._part, self._layer = part, layer
        all_facts: list[ImageFacts] = []
        for start in range_of(0, (len(self.files) - 1) // _BATCH):
            some = self.files[start * _BATCH : (start + 1) * _BATCH]
            question = ProbeImages(tuple(map(str, some)), part, layer)
            answer, _ = ask(question, some[0] if len(some) == 1 else place)
            all_facts += answer.facts
        self.facts = facts = all_facts[0]
        self.notes: list[str] = [*facts.notes, *facts.of_plates]
        self._check(place, all_facts)
        # What has no format of its own here keeps its range and its film's codes in others.
        other = ".exr" if facts.floating else ".png"
        own = {"openexr": ".exr", "dpx": ".dpx", "cineon": ".dpx", "tiff": ".tif"}
        self.suffix = own.get(facts.form, other)
        written = self.files[0].suffix.lower()
        if self.suffix == ".tif" and written == ".tiff":
            self.suffix = written
        self.count = len(self.files)
        self.width, self.height = facts.width, facts.height
        self.bit_depth = facts.bit_depth
        self.pixel_aspect = facts.pixel_aspect
        self.timecode = facts.timecode
        self.source_type = facts.source_type

    def _check(self, place: Path, all_facts: list[ImageFacts]) -> None:
        facts = all_facts[0]
        for file, other in zip(self.files[1:], all_facts[1:], strict=True):
            if (other.width, other.height) != (facts.width, facts.height):
                raise FootageError(
                    f"{file.name} is {other.width} x {other.height} but {self.files[0].name} is "
                    f"{facts.width} x {facts.height}",
                    place,
                    "give a sequence of one size",
                )
        for what, said in (
            ("colours", lambda each: (each.colour, each.floating)),
            ("pixels' shape", lambda each: each.pixel_aspect),
            ("rate", lambda each: each.fps),
        ):
            pairs = zip(self.files, all_facts, strict=True)
            differs = next((file for file, each in pairs if said(each) != said(facts)), None)
            if differs is not None:
                note = f"{differs.name} says another thing of its {what} than {self.files[0].name}"
                self.notes.append(f"{note}; what the first says is taken for all")
        for shows in (lambda each: each.picture, lambda each: f"{each.bit_depth} bits"):
            pairs = zip(self.files, all_facts, strict=True)
            odd = next(
                ((file, shows(each)) for file, each in pairs if shows(each) != shows(facts)), None
            )
            if odd is not None:
                self.notes.append(
                    f"{odd[0].name} holds {odd[1]}, {self.files[0].name} {shows(facts)}; each is"
                    " read as it is"
                )
        self.notes += _of_codes([each.timecode for each in all_facts], self.files, facts.fps)
        later = dict.fromkeys(
            note for each in all_facts[1:] for note in (*each.notes, *each.of_plates)
        )
        self.notes += [note for note in later if note not in self.notes][:_LISTED]

    def reader(self, exact: bool = True, lean: bool = False) -> RemoteReader:
        """See `Source`."""
        opening = OpenImages(
            tuple(map(str, self.files)), self._part, self._layer, (self.height, self.width), lean
        )
        return RemoteReader(opening, self.files[0].parent)

    def located(self, position: int) -> int:
        """See `Source`."""
        return position

    def digest(self) -> str:
        """See `Source`."""
        return _digest(self.files, b"")


def _of_codes(codes: list[str], files: list[Path], fps: Fraction | None) -> list[str]:
    """What to say of images whose time codes do not count them."""
    if not any(codes) or len(codes) < 2:
        return []
    if len(set(codes)) == 1:
        return [f"all images say the same time code, {codes[0]}; it is counted on from the first"]
    if not all(codes):
        without = next(file for file, code in zip(files, codes, strict=True) if not code)
        return [
            f"some images have a time code and {without.name} has none; what the first one says is"
            " counted on"
        ]
    rows = breaks(codes, fps)
    if not rows:
        return []
    more = f", and at {len(rows) - 1} more places" if len(rows) > 1 else ""
    return [
        f"the images' time codes do not follow each other: {files[rows[0]].name} says"
        f" {codes[rows[0]]} after {codes[rows[0] - 1]}{more}; frames may be missing or in another"
        " order; they are read by their numbers, and the first one's time code is counted on"
    ]


def _of_table(table: list[int], uniform: bool, count: int, fps: Fraction) -> list[str]:
    """What reading at a constant rate repeats and leaves out."""
    repeated = [row + 1 for row in range_of(1, len(table) - 1) if table[row] == table[row - 1]]
    left_out = count - len(set(table))
    if uniform and not repeated and not left_out:
        return []
    notes = []
    if not uniform:
        notes.append(f"the movie's frame rate varies; it is read at a constant {fps}")
    if repeated:
        one, more = "frame repeats the one before it", "frames repeat the one before them"
        runs = _runs(repeated)
        listed = ", ".join(runs[:_LISTED]) + (", ..." if len(runs) > _LISTED else "")
        notes.append(
            f"{len(repeated)} {one if len(repeated) == 1 else more} (the plate's frame {listed},"
            " counted from 1)"
        )
    if left_out:
        verb = "are" if left_out > 1 else "is"
        notes.append(f"{left_out} of the movie's {count} frames {verb} left out at that rate")
    return notes


def range_of(first: int, last: int) -> range:
    """From first to last, inclusive."""
    return range(first, last + 1)


def _runs(numbers: list[int]) -> list[str]:
    """Ascending numbers as people write them: "1-11", "14"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return [str(a) if a == b else f"{a}-{b}" for a, b in runs]


def _listed(numbers: list[int]) -> str:
    runs = _runs(numbers)
    more = " and more" if len(runs) > _LISTED else ""
    return ("frame " if len(numbers) == 1 else "frames ") + ", ".join(runs[:_LISTED]) + more


def _check_choice(what: str, name: str | None, choices: Iterable[str]) -> None:
    if name is not None and name not in choices:
        known = ", ".join(choices)
        raise FootageError(f"there is no {what} '{name}'", remedy=f"use one of: {known}")


def _digest(files: list[Path], more: bytes) -> str:
    """Names aside, sizes of all files and samples of some: fast on a server's disk."""
    piece = 1 << 16
    total = hashlib.sha256(more)
    sampled = set(files[:: max(1, len(files) // 32)]) | {files[-1]}
    for file in files:
        size = file.stat().st_size
        total.update(size.to_bytes(8, "big"))
        if file not in sampled:
            continue
        with open(file, "rb") as stream:
            for offset in (0, max(0, size // 2 - piece // 2), max(0, size - piece)):
                stream.seek(offset)
                total.update(stream.read(piece))
    return total.hexdigest()
