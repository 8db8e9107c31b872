# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files are a sequence, and which digits of their names are the frame."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import FootageError
from .file_kind import opens_as_image

_KINDS = "EXR, DPX, TIFF, PNG, JPEG, WebP, BMP or TGA images"
# A minus sign belongs to the number where a separator stands before it: "p.-003", not "take-003".
_NUMBER = re.compile(r"(?:(?:(?<=[._\-])|^)-)?[0-9]+")
_PLACEHOLDER = re.compile(r"\[#+\]|#+|%0?[0-9]*d|\$F[0-9]*|@+|\*")
_VERSION = re.compile(r"(?:^|[^A-Za-z])[vV]$")
_ONE_FORMAT = {".jpeg": ".jpg", ".jpe": ".jpg", ".tiff": ".tif"}
_LARGEST = 2**31 - 1
_PADDED = 3


@dataclass(frozen=True)
class Sequence:
    """The files of an image sequence, or of one image.

    Attributes:
        files: frame number -> file, ascending.
        notes: what was left out or renumbered.
    """

    files: dict[int, Path]
    notes: list[str] = field(default_factory=list)


def find_sequence(path: Path, is_photograph: Callable[[Path], bool] | None = None) -> Sequence:
    """The image files a path means.

    Args:
        path: a folder with one sequence, a pattern (`name.####.exr`, `name.%04d.exr`,
            `name.*.exr`, `name.@@@@.exr`, `name.$F4.exr`), one file of a sequence, or one image.
        is_photograph: whether a camera wrote a JPEG; such files are photos, whatever lies beside.

    Raises:
        FootageError: nothing there, several sequences, or gaps in the numbers.
    """
    if path.is_dir():
        return _in_folder(path)
    if path.is_file():
        return _around_file(path, is_photograph or (lambda file: False))
    if not _PLACEHOLDER.search(path.name):
        raise FootageError("there is no such file or folder", path, "check the path")
    if not path.parent.is_dir():
        raise FootageError("there is no such folder", path.parent, "check the path")
    return _by_pattern(path)


def _by_pattern(path: Path) -> Sequence:
    """Files whose names fit; of several placeholders one is the frame, the others are meant so."""
    # Macs take names apart: an umlaut is a letter and its dots there.
    wanted = unicodedata.normalize("NFC", path.name)
    places = list(_PLACEHOLDER.finditer(wanted))
    candidates = [file for file in path.parent.iterdir() if opens_as_image(file)]
    for place in reversed(places):
        head, tail = wanted[: place.start()], wanted[place.end() :]
        stem, dot, suffix = tail.rpartition(".")
        pattern = re.compile(
            re.escape(head) + r"(-?[0-9]+)" + re.escape(stem + dot) + f"(?i:{re.escape(suffix)})"
        )
        found = [
            (int(match[1]), file)
            for file in candidates
            if (match := pattern.fullmatch(unicodedata.normalize("NFC", file.name))) is not None
        ]
        if found:
            return _whole(path, found)
    if len(places) > 1:
        raise FootageError(
            "no image matches the pattern, which has several places for a number",
            path,
            "use one run of # for the frame",
        )
    raise FootageError("no image matches the pattern", path, "check the name and its number")


@dataclass(frozen=True)
class _Name:
    """A file's name, taken apart at its numbers."""

    file: Path
    texts: tuple[str, ...]
    numbers: tuple[str, ...]

    @classmethod
    def of(cls, file: Path) -> "_Name":
        return cls(file, tuple(_NUMBER.split(file.stem)), tuple(_NUMBER.findall(file.stem)))

    @property
    def family(self) -> tuple[tuple[str, ...], str]:
        """What all files of a sequence share."""
        return self.texts, _format(self.file)

    def pattern(self, column: int, beside: frozenset[int] = frozenset()) -> str:
        """The name with # for one of its numbers, and * for those that vary with it."""
        pieces = [self.texts[0]]
        for index, text in enumerate(self.texts[1:]):
            number = "*" if index in beside else self.numbers[index]
            pieces += ["#" if index == column else number, text]
        return "".join(pieces) + self.file.suffix


def _format(file: Path) -> str:
    """A name's ending, one for all spellings of a format."""
    suffix = file.suffix.lower()
    return _ONE_FORMAT.get(suffix, suffix)


Group = tuple[str, list[tuple[int, Path]]]


def _groups(names: Iterable[_Name]) -> list[Group]:
    """Sequences among some files: pattern, and frame numbers with their files."""
    families: dict[tuple[tuple[str, ...], str], list[_Name]] = {}
    for name in names:
        families.setdefault(name.family, []).append(name)
    _join_signed(families)
    groups: list[Group] = []
    for members in families.values():
        groups += _split(members)
    return groups


def _join_signed(families: dict[tuple[tuple[str, ...], str], list[_Name]]) -> None:
    """Files "p-2", "p-1", "p0", "p1": a minus without a separator, known by its neighbours."""
    for (texts, suffix), members in list(families.items()):
        if len(texts) < 2 or not texts[-2].endswith("-"):
            continue
        plain = families.get(((*texts[:-2], texts[-2][:-1], texts[-1]), suffix))
        if plain is None:
            continue
        del families[texts, suffix]
        for name in members:
            numbers = (*name.numbers[:-1], "-" + name.numbers[-1])
            plain.append(_Name(name.file, plain[0].texts, numbers))


def _split(members: list[_Name]) -> list[Group]:
    """One family's files by the numbers that are not the frame."""
    columns = len(members[0].numbers)
    if columns == 0:
        return [(name.file.name, [(1, name.file)]) for name in members]
    able = _possible_columns(members[0])
    column = _frame_column(members, able)
    together = _counting_column(members, able, column)
    if together is not None:
        beside = frozenset(c for c in range(columns) if len({n.numbers[c] for n in members}) > 1)
        pattern = members[0].pattern(together, beside - {together})
        return [(pattern, [(int(name.numbers[together]), name.file) for name in members])]
    groups: dict[tuple[str, ...], list[_Name]] = {}
    for name in members:
        rest = name.numbers[:column] + name.numbers[column + 1 :]
        groups.setdefault(rest, []).append(name)
    return [
        (group[0].pattern(column), [(int(name.numbers[column]), name.file) for name in group])
        for group in groups.values()
    ]


def _possible_columns(name: _Name) -> list[int]:
    """The runs of digits that can be the frame: a version before others ("name_v002.1001") is
    none, however many versions there are."""
    versions = [bool(_VERSION.search(text)) for text in name.texts[:-1]]
    return [c for c, version in enumerate(versions) if not version or all(versions[c + 1 :])]


def _frame_column(members: list[_Name], able: list[int]) -> int:
    """The run of digits that varies from file to file; the last where several do as much."""

    def sequences(column: int) -> int:
        return len({name.numbers[:column] + name.numbers[column + 1 :] for name in members})

    varying = [c for c in able if len({name.numbers[c] for name in members}) > 1]
    if not varying:
        return able[-1]
    return min(reversed(varying), key=sequences)


def _counting_column(members: list[_Name], able: list[int], column: int) -> int | None:
    """The run of digits that counts the files one by one, where others rise with it ("f07_1730",
    a time beside each frame), so that no two files differ in one number alone."""
    rests = {name.numbers[:column] + name.numbers[column + 1 :] for name in members}
    if len(members) < 2 or len(rests) < len(members):
        return None
    for each in reversed(able):
        ordered = sorted(members, key=lambda name: int(name.numbers[each]))
        columns = [
            [int(number) for number in column]
            for column in zip(*(name.numbers for name in ordered), strict=True)
        ]
        values = columns[each]
        rising = all(column == sorted(column) for column in columns)
        if rising and values == list(range(values[0], values[0] + len(values))):
            return each
    return None


def _in_folder(folder: Path) -> Sequence:
    images = sorted(file for file in folder.iterdir() if opens_as_image(file))
    if not images:
        raise FootageError("the folder holds no images", folder, f"give one with {_KINDS}")
    groups = _groups(_Name.of(file) for file in images)
    runs = [group for group in groups if len(group[1]) > 1]
    if len(groups) > 1 and len(runs) != 1:
        names = ", ".join(sorted(name for name, _ in groups)[:4])
        raise FootageError(
            f"the folder holds several sequences ({names})", folder, "give one file of it"
        )
    name, found = runs[0] if runs else groups[0]
    result = _whole(folder / name, found)
    others = [file for each, files in groups if each != name for _, file in files]
    if others:
        named = ", ".join(file.name for file in others[:4])
        more = " and more" if len(others) > 4 else ""
        result.notes.append(f"other images of the folder are left out ({named}{more})")
    return result


def _around_file(file: Path, is_photograph: Callable[[Path], bool]) -> Sequence:
    name = _Name.of(file)
    if not name.numbers or is_photograph(file):
        return Sequence({1: file})
    beside = [
        _Name.of(other)
        for other in file.parent.iterdir()
        if _format(other) == _format(file) and not other.name.startswith(".")
    ]
    pattern, found = next(
        group for group in _groups(beside) if any(other == file for _, other in group[1])
    )
    number = next(number for number, other in found if other == file)
    if len(found) == 1:
        # The number of a lone file is its frame where it ends the name: p.1043, not p_1080p.
        ends = not name.texts[-1]
        return _whole(file, [(number if ends else 1, file)])
    digits = {len(re.findall(r"[0-9]+", other.stem)[-1]) for _, other in found}
    neighbours = {number - 1, number + 1} & {other for other, _ in found}
    if not neighbours and (len(digits) > 1 or min(digits) < _PADDED):
        alone = f"{len(found) - 1} files have names like it; none is next to it, so it stands alone"
        return Sequence({1: file}, [alone])
    return _whole(file.with_name(pattern), found)


def _whole(place: Path, found: Iterable[tuple[int, Path]]) -> Sequence:
    """Files by frame number, without gaps."""
    files: dict[int, Path] = {}
    for number, file in sorted(found):
        if number in files:
            raise FootageError(
                f"{files[number].name} and {file.name} have the same number", place, "remove one"
            )
        files[number] = file
    numbers = list(files)
    gaps = [
        f"{before + 1}" if after == before + 2 else f"{before + 1} to {after - 1}"
        for before, after in zip(numbers, numbers[1:], strict=False)
        if after > before + 1
    ]
    if gaps:
        listed = ", ".join(gaps[:4]) + (" and more" if len(gaps) > 4 else "")
        raise FootageError(
            f"the sequence has gaps: frame {listed} missing", place, "render or copy them"
        )
    if max(abs(numbers[0]), abs(numbers[-1])) <= _LARGEST:
        return Sequence(files)
    note = f"frame numbers beyond {_LARGEST} are not used; the first frame is 1"
    return Sequence({index: files[number] for index, number in enumerate(numbers, 1)}, [note])
