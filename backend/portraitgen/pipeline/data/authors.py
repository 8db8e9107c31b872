# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who made by hand what a take holds: its paint, masks, kept key frames and acting.

Nobody is named who did not ask for it: a name comes from a setting that is empty until somebody
fills it in, never from the system.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ...plain_text import printable
from ...records import AuthorsRecord

FILE = "authors.json"
_LONGEST = 100

Pictures = Literal["paint", "masks", "key frames"]


def added(names: Iterable[str], author: str) -> tuple[str, ...]:
    """Some names and one more, if there is one, each once, in their order."""
    name = printable(author).strip()[:_LONGEST]
    return tuple(dict.fromkeys([*names, name] if name else names))


def authors_of(take: Path) -> AuthorsRecord:
    """Who made what of a take, by its folder.

    Raises:
        ShotError: if the file is damaged.
    """
    path = take / FILE
    return AuthorsRecord.read(path) if path.exists() else AuthorsRecord()


def name_picture(take: Path, kind: Pictures, frame: int, author: str) -> None:
    """Writes down who was given a frame out to be painted, or kept it; nobody without a name."""
    known = authors_of(take)
    frames = known.pictures.get(kind, {})
    before = frames.get(frame, ())
    names = added(before, author)
    if names != before:
        pictures = {**known.pictures, kind: {**frames, frame: names}}
        replace(known, pictures=pictures).write(take / FILE)


def name_acting(take: Path, author: str, anew: bool) -> None:
    """Writes down who acted.

    Args:
        anew: whether it takes the place of what was acted before.
    """
    known = authors_of(take)
    names = added(() if anew else known.acting, author)
    if names != known.acting:
        replace(known, acting=names).write(take / FILE)


def painters(take: Path, kind: Pictures, frames: Iterable[int]) -> tuple[str, ...]:
    """Who painted or kept some frames, each once."""
    known = authors_of(take).pictures.get(kind, {})
    return tuple(dict.fromkeys(name for frame in frames for name in known.get(frame, ())))
