# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of a render: none overwrites another. Standard library only.

    HOME/renders/v001/      render.json, frames/NAME.####.exr and .png, plates/, NAME.mp4
    HOME/frames/ ...        frames from before renders had versions, version 0

HOME is a take's folder, an avatar's, or one of what a take shows alone. A run goes into the version
that was made of the same, so that chunks of one render meet in one folder and what was killed goes
on; anything else gets a version of its own.
"""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .errors import ShotError
from .records import RenderRecord
from .storage import (
    entries,
    is_link,
    make_folder,
    move_folder,
    remove_tree,
    temporary_path,
)

_NAME = re.compile(r"v([0-9]{3,9})")
_MOST = 10**9 - 1
_LONG_AGO, _NEVER = datetime(1970, 1, 1, tzinfo=UTC), 9999
_TICK = timedelta(microseconds=1)
_FRAME = re.compile(r".*\.(-?[0-9]{1,9})")


@dataclass(frozen=True)
class Render:
    """One version of a render.

    Attributes:
        version: its number; 0 for frames from before renders had versions.
        folder: with frames, plates and the movie.
        record: what it was made of; None where nothing readable says so.
    """

    version: int
    folder: Path
    record: RenderRecord | None = None

    @property
    def name(self) -> str:
        """As people call it."""
        return f"v{self.version:03d}" if self.version else "unversioned"

    @property
    def frames(self) -> Path:
        """Where the EXR frames and their pictures lie."""
        return self.folder / "frames"

    @property
    def plates(self) -> Path:
        """Where the full plates lie, if they were asked for."""
        return self.folder / "plates"

    @property
    def is_lit(self) -> bool:
        """Whether another renderer lit the performer."""
        return bool(self.record and self.record.is_lit)

    def exr_frames(self) -> dict[int, Path]:
        """Its EXR frames by number."""
        return _numbered(self.frames, (".exr",))

    def full_plates(self) -> dict[int, Path]:
        """Its full plates by frame number."""
        return _numbered(self.plates)


def renders_of(home: Path) -> list[Render]:
    """The versions of a render, ascending; the unversioned one first, if there is one."""
    found = []
    if any(each.suffix == ".exr" for each in entries(home / "frames")):
        found.append(Render(0, home))
    for entry in entries(home / "renders"):
        match = _NAME.fullmatch(entry.name)
        if match and int(match[1]) and entry.is_dir() and not is_link(entry):
            record = None
            with suppress(ShotError):
                record = RenderRecord.read(entry / "render.json")
            found.append(Render(int(match[1]), entry, record))
    return sorted(found, key=lambda each: each.version)


def render_of(home: Path, version: int | None = None) -> Render:
    """A version of a render; by default the one that was rendered last, of those with frames.

    Raises:
        ShotError: if nothing was rendered, or there is no such version.
    """
    found = renders_of(home)
    if not found:
        raise ShotError("nothing is rendered yet", home, "render it first")
    if version is None:
        return _last([each for each in found if each.exr_frames()] or found)
    for each in found:
        if each.version == version:
            return each
    names = ", ".join(str(each.version) for each in found)
    raise ShotError(f"there is no render {version}", home, f"use one of {names}")


def version_of(path: Path) -> int:
    """The version that a frame's or a plate's path lies in; 0 if it says of none."""
    folder = path.parent.parent
    match = _NAME.fullmatch(folder.name) if folder.parent.name == "renders" else None
    return int(match[1]) if match else 0


def begin_render(home: Path, wanted: RenderRecord) -> Render:
    """The version that a run goes into: the latest that was made of the same, or a new one.

    Any number of processes may begin the same run at once; they get the same version.

    Raises:
        ShotError: if a link leads out of the shot, or no number is left.
    """
    while True:
        # Before they are looked at: what another process begins meanwhile holds the next number.
        taken = versions_in(home)
        found = renders_of(home)
        for each in reversed(found):
            if each.record and each.record.inputs == wanted.inputs:
                if each == _last(found):
                    return each
                record = replace(each.record, rendered=_moment(found))
                record.write(each.folder / "render.json")
                return replace(each, record=record)
        version = max(taken, default=0) + 1
        if version > _MOST:
            remedy = "delete the folder of the last version"
            raise ShotError("there is no number left for a render", home / "renders", remedy)
        record = replace(wanted, rendered=_moment(found))
        made = make_folder(temporary_path(home / "renders" / "version"))
        try:
            record.write(made / "render.json")
            target = home / "renders" / f"v{version:03d}"
            # A rename on to a folder that is not empty fails, so two never take one number.
            move_folder(made, target)
            return Render(version, target, record)
        except OSError:
            if not os.path.lexists(home / "renders" / f"v{version:03d}"):
                raise
        finally:
            remove_tree(made)


def _last(found: Sequence[Render]) -> Render:
    """The one that a run last went into."""
    return max(found, key=lambda each: (_rendered(each), each.version))


def versions_in(home: Path) -> list[int]:
    """The numbers that are taken, whatever lies there, ascending."""
    matches = (_NAME.fullmatch(each.name) for each in entries(home / "renders"))
    return sorted(int(match[1]) for match in matches if match)


def _rendered(render: Render) -> datetime:
    """When a run last went into a version; long ago where nothing that can be read says so."""
    with suppress(ValueError):
        moment = datetime.fromisoformat(render.record.rendered if render.record else "")
        if _LONG_AGO.year < moment.year < _NEVER:
            return moment.replace(tzinfo=moment.tzinfo or UTC)
    return _LONG_AGO


def _moment(found: Sequence[Render]) -> str:
    """Now; later than any that is known, whose machine's clock may be ahead of this one's."""
    known = max(map(_rendered, found), default=_LONG_AGO)
    return max(datetime.now(UTC), known + _TICK).isoformat(timespec="microseconds")


def _numbered(folder: Path, suffixes: tuple[str, ...] = ()) -> dict[int, Path]:
    found = {}
    for path in entries(folder):
        match = _FRAME.fullmatch(path.stem)
        if match and (not suffixes or path.suffix in suffixes):
            found[int(match[1])] = path
    return dict(sorted(found.items()))
