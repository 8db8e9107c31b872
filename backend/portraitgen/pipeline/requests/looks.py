# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The library's looks with their pictures, and one frame with a look, at once."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from ...editing.editor import Editor
from ...editing.looks.library import library_folder, looks_in
from ...editing.looks.look_file import read_thumbnail
from ...editing.registry import create_editor
from ...errors import EditError, ShotError
from ...footage.crop import crop
from ...footage.matte import foreground_colours
from ...images import as_png, save_png, to_codes, to_float
from ...messages.takes import LookList, LookRow, LookShown, ShowLook
from ...provenance.png_text import texts_in
from ...schema import Values
from ...shot import Shot
from ...storage import write_bytes
from ..data.crops import load_matte
from ..data.edit_mask import EditMask
from ..data.shots import Track, body_of, plate_of

_SIDE = 512
_THUMBNAILS = ".thumbnails"
# By which a thumbnail tells of which look it is, and the longest file that may be one.
_MARK, _LARGEST = "portraitgen-look", 1 << 20


def list_looks() -> LookList:
    """The looks of the library; pictures are written beside them once."""
    folder = library_folder()
    found, refused = looks_in(folder)
    rows = []
    for path, facts in found.items():
        try:
            thumbnail = _thumbnail(path)
        except EditError as error:
            # Its header is right and its weights are not.
            refused[path] = f"{error.message}; {error.remedy}"
            continue
        rows.append(
            LookRow(
                name=path.stem,
                path=str(path),
                thumbnail=thumbnail,
                licence=facts.licence,
                commercial=facts.commercial,
                made_of=facts.made_of,
                pairs=facts.pairs,
                held_out_db=facts.held_out_db,
            )
        )
    rows += [LookRow(path.stem, str(path), error=reason) for path, reason in refused.items()]
    return LookList(str(folder), tuple(rows))


def _thumbnail(look: Path) -> str:
    """The PNG of a look's picture; empty if the library cannot be written to.

    Raises:
        EditError: if the look cannot be used.
    """
    picture = look.parent / _THUMBNAILS / f"{look.stem}.png"
    try:
        facts = look.stat()
        # A file that comes from elsewhere may be older than the one whose place it takes.
        mark = f"{facts.st_size} {facts.st_mtime_ns}"
        if texts_in(picture, _LARGEST).get(_MARK) != mark:
            picture.parent.mkdir(exist_ok=True)
            save_png(picture, to_float(read_thumbnail(look)), {_MARK: mark})
    except OSError:
        return ""
    return str(picture)


class _Live:
    """A shot that is scrubbed: its plate stays open, its track and body stay read."""

    def __init__(self, shot: Shot, version: int) -> None:
        self.key = (shot.path, version)
        self.track = Track(shot, version)
        self.parts = EditMask(body_of(shot), self.track, "")
        self.plate = plate_of(shot)
        self._editor: tuple[object, Editor] | None = None

    def editor(self, options: Values) -> Editor:
        """The editor with its options; its looks are read once, and again when they change."""
        key = sorted(options.items()), _changed(options)
        if self._editor is None or self._editor[0] != key:
            self._editor = key, create_editor("look", options)
        return self._editor[1]

    def close(self) -> None:
        """Closes the plate."""
        self.plate.close()


_live: _Live | None = None
_turn = threading.Lock()


def show_look(call: ShowLook) -> LookShown:
    """One frame with a look, over its plate; the shot needs a track only.

    Raises:
        ShotError: if the frame is not tracked; EditError: if the look cannot be used.
    """
    began = time.perf_counter()
    with _turn:
        live = _open(Shot.open(Path(call.shot)))
        track = live.track
        if call.frame not in track.frames:
            raise ShotError(f"frame {call.frame} is not tracked", call.shot, "choose a tracked one")
        if not track.tracked([call.frame]):
            raise ShotError(
                f"nobody was seen in frame {call.frame}", call.shot, "choose another frame"
            )
        box = track.box(call.frame)
        side = min(_SIDE, max(64, round(box.side)))
        window, _ = crop(live.plate.read_uint8(call.frame), box, side)
        matte = load_matte(track, call.frame, side)
        own, cover = to_float(foreground_colours(window, matte)), to_float(matte)
        camera = track.camera.window(box, side)
        request = live.parts.of_plate(call.frame, own, cover, camera, call.strength)
        worn = live.editor(call.options).edit(request)
        alpha = cover[..., None]
        over = worn * alpha + to_float(window) * (1 - alpha)
        path = Path(call.shot) / "jobs" / "live-look.png"
        path.parent.mkdir(exist_ok=True)
        # Lightly packed: it is looked at once.
        write_bytes(path, as_png(to_codes(over), level=1))
    return LookShown(str(path), call.frame, round(1e3 * (time.perf_counter() - began), 1))


def _open(shot: Shot) -> _Live:
    global _live
    version = shot.versions("track")
    if not version:
        raise ShotError("the shot has no track yet", shot.path, "run track first")
    if _live is None or _live.key != (shot.path, version[-1]):
        if _live is not None:
            _live.close()
        _live = None
        _live = _Live(shot, version[-1])
    return _live


def _changed(options: Values) -> Sequence[float]:
    """When the files of looks last changed."""
    from ...editing.looks.library import look_path

    named = [str(options.get(name) or "") for name in ("look", "other")]
    return [look_path(name).stat().st_mtime for name in named if name]
