# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of a folder are pictures before and after an edit, by their names."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...errors import EditError
from ...footage.file_kind import opens_as_image
from ..run.progress import Reporter

REMEDY = "repair the pair, or take it out of the folder"
Part = Literal["before", "after", "mask"]
_PARTS: tuple[Part, ...] = ("before", "after", "mask")
_WORDS: Mapping[Part, tuple[str, ...]] = {
    "before": ("before", "source", "input", "original", "plate", "in", "a"),
    "after": ("after", "target", "output", "edited", "result", "comp", "out", "b"),
    "mask": ("mask", "masks", "matte"),
}
# Shorter ones are words of other names, too: they stand at the end, and after no space.
_LONG = 4
_ALONE = "pair"
# A name that can mean nothing else; its pair must be there.
_PLAIN = re.compile(r"[._-](before|after|mask)$", re.IGNORECASE)
_SYSTEMS_OWN = ("thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class PairFiles:
    """The files of one pair; `mask` is None where the performer is to be found."""

    name: str
    before: Path
    after: Path
    mask: Path | None


def pair_files(folder: Path, reporter: Reporter) -> list[PairFiles]:
    """The pairs of a folder, by name.

    They lie in the subfolders before and after (and mask) under the same names, or side by side,
    which is which said by a word at a name's begin or end, before the frame's number if there is
    one: NAME.before.png, before_NAME.png, NAME_before.1001.png. In subfolders names may differ by
    that word. No name is told from another by capitals. What is no part of a pair is told.

    Raises:
        EditError: if there are none, or a picture has not got its other.
    """
    if not folder.is_dir():
        raise EditError("there is no such folder", folder, "give the folder of the pairs")
    files = _files(folder)
    _tell_left_out(folder, {path for each in files.values() for path in each.values()}, reporter)
    before, after, masks = (files[part] for part in _PARTS)
    keys = sorted({*before, *after})
    if not keys:
        raise EditError(
            "there are no pairs in the folder",
            folder,
            "put pictures of the same names into its subfolders 'before' and 'after'",
        )
    for key in keys:
        sides: tuple[tuple[Part, Mapping[str, Path]], ...] = (("before", after), ("after", before))
        for part, others in sides:
            if key not in files[part]:
                raise EditError(
                    f"the pair '{_shown_name(others[key], key)}' has no picture {part}",
                    folder,
                    "give the pictures of a pair the same name, or take it out of the folder",
                )
    for key, mask in masks.items():
        if key not in before:
            raise EditError(
                f"the mask '{_shown_name(mask, key)}' belongs to no pair",
                mask,
                "name it as its pair",
            )
    return [
        PairFiles(_shown_name(before[key], key), before[key], after[key], masks.get(key))
        for key in keys
    ]


def _files(folder: Path) -> dict[Part, dict[str, Path]]:
    """The pictures of each part by the keys of their pairs."""
    found: dict[Part, dict[str, Path]] = {part: {} for part in _PARTS}
    beneath: dict[Part, list[Path]] = {part: [] for part in _PARTS}
    guessed: list[tuple[Part, str]] = []

    def add(part: Part, key: str, path: Path) -> None:
        known = found[part].setdefault(key, path)
        if known != path:
            raise EditError(
                f"the pair '{_shown_name(known, key)}' has two pictures {part} ({known.name},"
                f" {path.name})",
                folder,
                "leave one of them",
            )

    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            for part in _PARTS:
                if entry.name.lower() in _WORDS[part]:
                    beneath[part] += filter(opens_as_image, sorted(entry.iterdir()))
        elif opens_as_image(entry):
            if said := _key(entry.stem, _PARTS):
                add(*said, entry)
                if not _PLAIN.search(entry.stem):
                    guessed.append(said)
    whole = {part: {_folded(path.stem) for path in beneath[part]} for part in _PARTS}
    for part in _PARTS:
        others = whole["after" if part == "before" else "before"]
        for path in beneath[part]:
            key = _folded(path.stem)
            if key not in others and (said := _key(path.stem, [part])):
                key = said[1]
            add(part, key, path)
    # What may be called so for another reason, as a contact sheet of the comp; masks come last.
    for part, key in sorted(guessed):
        if key not in found["after" if part == "before" else "before"]:
            del found[part][key]
    return found


def _folded(name: str) -> str:
    # One name is written in two ways on Macs and elsewhere, and in any capitals on Windows.
    return unicodedata.normalize("NFC", name).casefold()


def _patterns(part: Part) -> tuple[str, ...]:
    """How names say that they are of a part, the likeliest first."""
    words = _WORDS[part]
    long = "|".join(word for word in words if len(word) >= _LONG)
    short = "|".join(word for word in words if len(word) < _LONG) or long
    number = r"((?:[ ._-]+\d+)?)"
    return (
        rf"(.+?)(?:[ ._-]+\(?(?:{long})\)?|[._-](?:{short})){number}",
        rf"(?:{long})[ ._-]+(.+?)()",
        rf"(?:{'|'.join(words)})()()",
    )


_PATTERNS = {part: _patterns(part) for part in _PARTS}


def _key(stem: str, parts: Sequence[Part]) -> tuple[Part, str] | None:
    """Which part a file's name says that it is of, and what of the name is its pair's, with the
    number of its frame; None if it says nothing."""
    for patterns in zip(*(_PATTERNS[part] for part in parts), strict=True):
        for part, pattern in zip(parts, patterns, strict=True):
            if match := re.fullmatch(pattern, stem, re.IGNORECASE | re.DOTALL):
                name, number = match.groups()
                return part, _folded(name + number) or _ALONE
    return None


def _shown_name(path: Path, key: str) -> str:
    """A pair's name as its file writes it, where that is its whole name."""
    stem = unicodedata.normalize("NFC", path.stem)
    at = stem.casefold().find(key) if len(stem) == len(stem.casefold()) else -1
    return stem[at : at + len(key)] if at >= 0 else key


def _tell_left_out(folder: Path, used: set[Path], reporter: Reporter) -> None:
    """Tells of what lies beside the pairs and is no part of any."""
    words = {word for each in _WORDS.values() for word in each}
    left = []
    for entry in _shown(folder):
        if not entry.is_dir():
            left += [entry.name] if opens_as_image(entry) and entry not in used else []
        elif entry.name.lower() in words:
            left += [f"{entry.name}/{path.name}" for path in _shown(entry) if path not in used]
        elif _shown(entry):
            left.append(f"{entry.name}/")
    if used and left:
        reporter.note(
            f"Left out: {', '.join(left[:5])}{' and more' if len(left) > 5 else ''}. Pictures of"
            " pairs lie in the subfolders before, after and mask, no deeper, or say in their names"
            " which they are."
        )


def _shown(folder: Path) -> list[Path]:
    """What file browsers show of a folder."""
    return [
        each
        for each in sorted(folder.iterdir())
        if not each.name.startswith(".") and each.name.lower() not in _SYSTEMS_OWN
    ]
