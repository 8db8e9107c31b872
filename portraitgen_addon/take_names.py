# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What takes are called: by their editor, until an artist names them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from portraitgen.errors import PortraitError

from . import acting_layer, backend_properties, queue_runner, shot_summary
from .session import session


def label_of(editor: str) -> str:
    """An editor as people read it."""
    known = backend_properties.editor(editor)
    return known.label if known else _words(editor)


def _words(editor: str) -> str:
    return editor.replace("_", " ").title()


def free_names(shot: Any, title: str, but: Any = None) -> tuple[str, str]:
    """A name and a folder name of a take that no other take of the shot has.

    Args:
        title: what the name begins with.
        but: a take of the shot's whose own names do not count.
    """
    stem = re.sub(r"[^\w-]+", "-", title).strip("-_").lower()[:40] or "take"
    others = [take for take in shot.takes if but is None or take != but]
    names = {take.name for take in others}
    folders = {take.folder_name for take in others}
    folders |= set(shot_summary.summary_of(shot.path).takes)
    number, name, folder = 1, title, stem
    while name in names or folder in folders:
        number += 1
        name, folder = f"{title} {number}", f"{stem}-{number}"
    return name, folder


@contextmanager
def following(shot: Any, take: Any) -> Iterator[None]:
    """Lets a take's name follow its editor, which may change while a `with` block runs.

    A name that an artist gave stays. The folder's name, which frames and strips have too, follows
    as long as nothing bears it. The frame that was tried last is no longer what the take shows.
    """
    before = take.editor
    # Before the backend has told of its editors a take is called by what the editor's id says.
    called = "|".join(re.escape(each) for each in (label_of(before), before, _words(before)))
    by_editor = re.fullmatch(rf"({called})( \d+)?", take.name) is not None
    yield
    if take.editor == before:
        return
    take.preview = ""
    if not by_editor:
        return
    name, folder = free_names(shot, label_of(take.editor), take)
    take.name = name
    if not _borne(shot, take) and _moved(shot.path / "takes" / take.folder_name, folder):
        take.folder_name = folder


def _moved(old: Path, name: str) -> bool:
    """Whether a take's folder, if there is one, could be given another name."""
    if not old.exists():
        return True
    new = old.with_name(name)
    try:
        if not new.exists():
            old.rename(new)
            return True
    except OSError:
        return False  # Another program holds it open, say.
    return False


def _only_tried(folder: Path) -> bool:
    """Whether a take's folder holds no more than frames that were tried."""
    if folder.is_symlink():
        return False
    return not folder.exists() or [each.name for each in folder.iterdir()] == ["tried"]


def _borne(shot: Any, take: Any) -> bool:
    """Whether something outside of the list knows a take by its folder's name."""
    folder = take.folder_name
    if take.in_folder or not _only_tried(shot.path / "takes" / folder):
        return True
    if session.job is not None and session.job.take == folder and session.busy:
        return True
    if shot.armature is not None and any(
        action.get(acting_layer.TAKE) == folder for action in acting_layer.actions_of(shot.armature)
    ):
        return True
    settings = (getattr(each, backend_properties.slot_of_job("edit"), None) for each in shot.takes)
    if any(getattr(each, "base", "") == folder for each in settings):
        return True
    try:
        jobs = queue_runner.record().jobs
    except PortraitError:
        return True  # What waits there cannot be read; it may well be this one.
    return any(each.take == folder and each.shot == str(shot.path) for each in jobs)
