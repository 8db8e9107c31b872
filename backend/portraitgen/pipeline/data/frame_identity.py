# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rendered frame was made from, told by the frame's own file.

Nothing beside a frame is believed of it: its EXR is written last, and holds a digest of all that
decides its pixels, of which edit it shows, and the digests of what was written with it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ... import __version__
from ...bounded_json import dump_json, parse_json
from ...footage.exr import exr_attributes
from ...footage.exr_digest import was_damaged
from ...schema import Data
from ...shot import Shot
from ...storage import file_digest

_ATTRIBUTE = "portraitgen:made_from"
# Changes whenever the same inputs give other pixels.
_RENDERING = 2


@dataclass(frozen=True)
class FrameInputs:
    """All that the frames of one run have in common.

    Attributes:
        edit: the number of the edit, None for the reconstruction.
        digest: of everything else and of the edit's own content.
    """

    edit: int | None
    digest: str

    @classmethod
    def of(
        cls,
        shot: Shot,
        edit: Path | None,
        avatar: Path,
        track: Path,
        options: Mapping[str, Any],
        more: str = "",
    ) -> "FrameInputs":
        """The inputs of a run.

        Args:
            edit, avatar, track: the folders of the versions that are rendered.
            options: that decide pixels in every frame alike.
            more: digests of other files that do.
        """
        files = [avatar / "avatar.json", avatar / "avatar.safetensors"]
        files += [track / "track.json", track / "params.safetensors"]
        files += [edit / "edit.json", edit / "avatar.safetensors"] if edit else []
        footage = replace(shot.record.footage, path="").to_json()
        facts = {
            "program": __version__,
            "rendering": _RENDERING,
            "files": [file_digest(path) for path in files],
            "footage": footage,
            "body_model": shot.record.body_model.sha256,
            "options": dict(options),
            "more": more,
        }
        return cls(int(edit.name) if edit else None, _digest(facts))

    def frame(self, **facts: Any) -> str:
        """The identity of one frame, with what is its own: its share of the edit, its camera."""
        return _digest({"inputs": self.digest} | facts)


def _digest(facts: object) -> str:
    return hashlib.sha256(dump_json(facts)).hexdigest()


def made_from(identity: str, edit: int | None, beside: Mapping[str, Path]) -> dict[str, str]:
    """What a frame's EXR says of itself.

    Args:
        identity: as `FrameInputs.frame` gives.
        edit: the edit that it shows.
        beside: the files written before it, by what they are.
    """
    facts = _MadeFrom(identity, edit, {name: file_digest(path) for name, path in beside.items()})
    return {_ATTRIBUTE: dump_json(facts.to_json()).decode()}


@dataclass(frozen=True)
class _MadeFrom(Data):
    """What a frame's EXR says of itself; as it is made, nothing.

    Attributes:
        id: its identity; edit: the edit that it shows.
        files: digests of the files that belong to it, by what they are; None if it tells none.
    """

    id: str = ""
    edit: int | None = None
    files: Mapping[str, str] | None = None

    @classmethod
    def told_by(cls, path: Path) -> "_MadeFrom":
        """Of a frame; nothing if it is missing, damaged or an older one."""
        try:
            return cls.parse(parse_json(exr_attributes(path).get(_ATTRIBUTE, "")))
        except ValueError:
            return cls()


def is_made(path: Path, identity: str, beside: Mapping[str, Path]) -> bool:
    """Whether a frame is on disk, whole and of this identity, with all that belongs to it."""
    told = _MadeFrom.told_by(path)
    if told.id != identity or told.files is None or was_damaged(path):
        return False
    return all(_has_digest(file, told.files.get(name)) for name, file in beside.items())


def was_changed(file: Path, frame: Path) -> bool:
    """Whether a file that was written with a frame is another now; False where the frame tells
    nothing of its files."""
    told = _MadeFrom.told_by(frame).files or {}
    return bool(told) and file_digest(file) not in told.values()


def edit_shown(path: Path) -> int | None:
    """The edit that a frame on disk says it shows."""
    return _MadeFrom.told_by(path).edit


def _has_digest(path: Path, digest: object) -> bool:
    try:
        return file_digest(path) == digest
    except OSError:
        return False
