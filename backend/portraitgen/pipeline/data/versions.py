# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions as they are used: whole, or told with the version that is."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ...errors import AvatarError, NewerSchema, ShotError
from ...storage import check_digests, entries, read_json

_Thing = TypeVar("_Thing")
_RECORDS = ("track.json", "avatar.json", "edit.json")
_MOST = 3


def read_version(folder: Path, load: Callable[[Path], _Thing]) -> _Thing:
    """What a version's folder holds.

    Args:
        folder: of a track, an avatar or an edit.
        load: reads it.

    Raises:
        ShotError, AvatarError: if it is damaged; names the latest other version that is whole.
    """
    try:
        return _read(folder, load)
    except NewerSchema:
        raise
    except (ShotError, AvatarError) as error:
        others = [
            each
            for each in entries(folder.parent)
            if re.fullmatch(r"\d{4,9}", each.name) and each.name != folder.name
        ]
        for other in sorted(others, key=lambda each: -int(each.name))[:_MOST]:
            try:
                _read(other, load)
            except (ShotError, AvatarError):
                continue
            remedy = f"version {int(other.name)} is whole: delete the folder of this one to use it"
            raise type(error)(error.message, error.place, remedy) from error
        raise


def _read(folder: Path, load: Callable[[Path], _Thing]) -> _Thing:
    for name in _RECORDS:
        if (folder / name).is_file():
            digests = read_json(folder / name).get("digests")
            if isinstance(digests, dict):
                check_digests(folder, digests)
    return load(folder)
