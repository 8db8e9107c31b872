# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding a shot's plate again after it was moved: by its digest, whatever it is called by now."""

import os
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from ...errors import FootageError, PortraitError
from ...footage.plate import Plate
from ...records import FootageRecord
from ...shot import Shot

_DEPTH = 4
_FOLDERS = 2000
_TRIED = 200
_PATTERN = frozenset("#%*@$")


def relink(shot: Shot, where: Path | None = None) -> Path:
    """Finds the plate and has the shot name its place, relative to itself where that is possible.

    Args:
        where: the plate's file or one of its sequence, or a folder to look in; by default the old
            place, its neighbourhood, and the shot's.

    Returns:
        The plate's new place, absolute.

    Raises:
        FootageError: if no file there has the plate's digest.
    """
    record, old = shot.record.footage, Path(os.path.normpath(shot.footage_path))
    tried = 0
    for candidate in _candidates(old, shot.path, where):
        tried += 1
        if _is_plate(record, candidate):
            shot.update(footage=replace(record, path=shot.relative(candidate)))
            return candidate
        if tried >= _TRIED:
            break
    place = where or old.parent
    if where is not None and where.is_file():
        raise FootageError(
            f"this is another file than the plate, {old.name}", where, "choose the plate's own file"
        )
    looked = f"of {tried} files like it none is the plate" if tried else "no file like it is there"
    raise FootageError(
        f"the plate {old.name} was not found: {looked}",
        place,
        "give the folder where it lies now, or bring it back to its old place",
    )


def _is_plate(record: FootageRecord, candidate: Path) -> bool:
    with suppress(PortraitError, OSError), closing(Plate.reopen(record, candidate)):
        return True
    return False


def _candidates(old: Path, shot: Path, where: Path | None) -> Iterator[Path]:
    """Files that may be the plate, the likeliest first, none twice."""
    seen: set[str] = set()
    if where is not None and where.is_file():
        yield where.absolute()
        return
    roots = [where.absolute()] if where is not None else _neighbourhood(old, shot)
    for near in (roots[:1], roots[1:]):
        for by_name in (True, False):
            for root in near:
                for found in _inside(root, old, by_name):
                    if str(found) not in seen:
                        seen.add(str(found))
                        yield found


def _neighbourhood(old: Path, shot: Path) -> list[Path]:
    """The old place, the nearest folder above it that there is, and the shot's surroundings."""
    above = next((each for each in old.parents if each.is_dir()), shot)
    roots = [old.parent, above, shot, shot.parent, shot.parent.parent]
    found: list[Path] = []
    for root in roots:
        # Never a whole disk.
        if root.is_dir() and len(root.parts) > 1 and root not in found:
            found.append(root)
    return found


def _inside(root: Path, old: Path, by_name: bool) -> Iterator[Path]:
    """What a folder holds, to some depth, that is called like the plate, or is of its type."""
    pattern = bool(_PATTERN & set(old.name))
    for folder, names in _walk(root):
        if pattern or not old.suffix:
            if not old.suffix and by_name == (folder.name == old.name) and names:
                yield folder
            elif pattern and by_name and any(name.endswith(old.suffix) for name in names):
                yield folder / old.name
            continue
        if by_name:
            yield from (folder / name for name in names if name.lower() == old.name.lower())
            continue
        # One file stands for the sequence it belongs to.
        stems: set[str] = set()
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            stem = stem.rstrip("0123456789")
            if suffix.lower() == old.suffix.lower() and stem not in stems:
                stems.add(stem)
                yield folder / name


def _walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Folders with the names of their files, breadth first, within bounds; links aside."""
    waiting, looked = [(root, 0)], 0
    while waiting and looked < _FOLDERS:
        folder, depth = waiting.pop(0)
        looked += 1
        names = []
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if depth < _DEPTH and not entry.name.startswith("."):
                        waiting.append((folder / entry.name, depth + 1))
                elif entry.is_file():
                    names.append(entry.name)
        yield folder, names
