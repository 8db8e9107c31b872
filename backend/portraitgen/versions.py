# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions as they are used: whole, or told with the version that is. Standard library only."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from .errors import AvatarError, NewerSchema, ShotError
from .storage import check_digests, entries, read_json

_Thing = TypeVar("_Thing")
_RECORDS = ("track.json", "avatar.json", "edit.json")
# So many others are looked at, and of none more than this: a panel may wait for it.
_MOST, _LARGEST = 3, 1 << 30


def read_record(folder: Path, load: Callable[[Path], _Thing]) -> _Thing:
    """A record of a version.

    Args:
        folder: of a track, an avatar or an edit.
        load: reads the record.

    Raises:
        ShotError: if it is damaged; names the latest other version that is whole, record and
            tensors.
    """
    try:
        return load(folder)
    except NewerSchema:
        raise
    except (ShotError, AvatarError) as error:
        for number, other in _others(folder):
            try:
                if sum(each.stat().st_size for each in other.glob("*.safetensors")) > _LARGEST:
                    continue
                _check(other)
                load(other)
            except (ShotError, AvatarError, OSError):
                continue
            raise type(error)(error.message, error.place, _remedy(folder, number)) from error
        raise


def read_version(folder: Path, load: Callable[[Path], _Thing]) -> _Thing:
    """What a version's folder holds; its tensors must be those that its record tells of.

    Args:
        folder: of a track, an avatar or an edit.
        load: reads it.

    Raises:
        ShotError, AvatarError: if it is damaged; names the latest other version that is whole.
    """

    def checked(each: Path) -> _Thing:
        _check(each)
        return load(each)

    return read_record(folder, checked)


def _others(folder: Path) -> list[tuple[int, Path]]:
    """The latest few other versions with their numbers."""
    found = [each for each in entries(folder.parent) if re.fullmatch(r"\d{4,9}", each.name)]
    numbered = sorted(((int(each.name), each) for each in found if each != folder), reverse=True)
    return numbered[:_MOST]


def _remedy(folder: Path, whole: int) -> str:
    if folder.parent.name == "edits":
        return f"edit {whole} is whole: render that one (--edit {whole}), or edit the take again"
    return f"version {whole} is whole: delete the folder of this one to use it"


def _check(folder: Path) -> None:
    """Raises ShotError unless a version's tensors are those that its record tells of."""
    for name in _RECORDS:
        if (folder / name).is_file():
            digests = read_json(folder / name).get("digests")
            if isinstance(digests, dict):
                check_digests(folder, digests)
