# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Key frames that an artist keeps: as the editor made them, or repainted."""

import hashlib
import shutil
from pathlib import Path

import cv2
import numpy as np

from ...errors import EditError
from ...frames import is_frame_number
from ...images import read_codes, to_float
from ...messages.takes import KeyKept
from ...records import EditRecord
from ...shot import Shot, check_take_name
from ...storage import atomic_path, is_plain, make_folder
from .authors import name_picture


class KeptKeys:
    """The pictures in a take's folder `keys`, each `FRAME.png`, that no editor changes.

    Args:
        take: the take's folder.
    """

    def __init__(self, take: Path) -> None:
        self._take = take
        self._paths = {
            int(path.stem): path
            for path in sorted((take / "keys").glob("*.png"))
            if is_frame_number(path.stem) and is_plain(path)
        }
        self.frames = sorted(self._paths)

    def digest(self) -> str:
        """Changes when a picture does."""
        whole = hashlib.sha256()
        for frame in self.frames:
            whole.update(f"{frame}:".encode() + self._paths[frame].read_bytes())
        return whole.hexdigest() if self.frames else ""

    @property
    def repainted(self) -> bool:
        """Whether an artist changed one: it is no longer what the take's editor made."""
        return any(
            path.read_bytes() not in [made.read_bytes() for made in self._made(frame)]
            for frame, path in self._paths.items()
        )

    def _made(self, frame: int) -> list[Path]:
        """The pictures of a frame that the take's editor made."""
        tried = self._take / "tried" / f"{frame:04d}.png"
        edited = [
            path
            for path in sorted(self._take.glob(f"edits/*/dataset/{frame:04d}.*.png"))
            if is_plain(path) and not _was_repainted(path.parents[1], frame)
        ]
        return [tried, *edited] if tried.is_file() else edited

    def picture(self, frame: int, size: int, largest: int | None = None) -> np.ndarray | None:
        """A frame's picture as float32 (size, size, 3), None if it is not kept.

        Args:
            largest: a picture larger than `size` is given at its own size, up to this.

        Raises:
            EditError: if it is no square picture.
        """
        path = self._paths.get(frame)
        if path is None:
            return None
        read = read_codes(path)
        if read is None or read.shape[0] != read.shape[1]:
            raise EditError(
                "a kept key frame is no square picture", path, "repair it, or delete it"
            )
        size = max(size, min(read.shape[0], largest or size))
        if read.shape[0] != size:
            method = cv2.INTER_AREA if read.shape[0] > size else cv2.INTER_CUBIC
            read = cv2.resize(read, (size, size), interpolation=method)
        return to_float(read)


def _was_repainted(edit: Path, frame: int) -> bool:
    """Whether a key frame of an edit may be an artist's, which the edit only took over."""
    record = EditRecord.read(edit / "edit.json")
    return frame in record.kept_frames and not record.edits_frames


def edited_key(edit: Path, frame: int) -> Path | None:
    """Where a key frame of an edit lies as it was edited last, None if it is none of its."""
    return max((edit / "dataset").glob(f"{frame:04d}.*.png"), default=None)


def tried_path(shot: Shot, take: str, frame: int) -> Path:
    """Where a frame that was edited alone, to look at, lies."""
    return shot.path / "takes" / take / "tried" / f"{frame:04d}.png"


def keep_key(
    shot: Shot, take: str, frame: int, nearest: bool = False, *, author: str = ""
) -> KeyKept:
    """Keeps a picture of a take for the edits to come; it may be repainted.

    That is the frame as it was tried alone, if it was since the take's latest edit, or else a key
    frame of that edit. A frame that is kept already is left as the artist has it.

    Args:
        frame: the key frame, or any frame, if the key frame `nearest` to it is meant.
        author: who keeps and may repaint it, empty for nobody named.

    Returns:
        Where the picture lies, its frame, and whether it was just written.

    Raises:
        EditError: if the frame is no key frame of that edit.
    """
    check_take_name(take)
    made = _tried(shot, take, frame)
    if made is None:
        edit = shot.edit_folder(take)
        keys = shot.edit_record(take).key_frames
        if nearest:
            frame = min(keys, key=lambda key: abs(key - frame))
        made = edited_key(edit, frame)
        if made is None:
            raise EditError(
                f"frame {frame} is no key frame of take '{take}'",
                edit,
                "choose one of " + ", ".join(str(key) for key in keys),
            )
    path = shot.path / "takes" / take / "keys" / f"{frame:04d}.png"
    name_picture(path.parents[1], "key frames", frame, author)
    if path.exists():
        return KeyKept(str(path), frame, new=False)
    make_folder(path.parent)
    with atomic_path(path) as temporary:
        shutil.copyfile(made, temporary)
    return KeyKept(str(path), frame, new=True)


def _tried(shot: Shot, take: str, frame: int) -> Path | None:
    """The frame as it was tried alone since the take's latest edit."""
    tried = tried_path(shot, take, frame)
    edits = (shot.path / "takes" / take / "edits").glob("*/edit.json")
    edited = max((path.stat().st_mtime for path in edits), default=0.0)
    return tried if tried.exists() and tried.stat().st_mtime > edited else None
