# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths of ours that are relative to the .blend, where that is saved elsewhere, or undone to.

Blender sees to its own paths only. Shot folders are named relative to the file whenever that is
saved, so that both can move; other paths stay relative if the artist made them so.
"""

import os
from collections.abc import Iterator
from typing import Any

import bpy

_KINDS = ("FILE_PATH", "DIR_PATH")
# What the paths were before a file was saved: each as group, property and text, and where to.
_before: list[tuple[Any, str, str]] = []


def _states() -> list[Any]:
    """Ours in each scene of this file; those of linked scenes are another file's."""
    return [scene.portraitgen for scene in bpy.data.scenes if scene.library is None]


def _paths(group: Any) -> Iterator[tuple[Any, str]]:
    """All paths in a group of properties and the groups in it, as group and property."""
    for prop in group.bl_rna.properties:
        if prop.type == "STRING" and prop.subtype in _KINDS:
            yield group, prop.identifier
        elif prop.type == "COLLECTION":
            for each in getattr(group, prop.identifier):
                yield from _paths(each)
        elif prop.type == "POINTER" and prop.identifier != "rna_type":
            held = getattr(group, prop.identifier)
            if isinstance(held, bpy.types.PropertyGroup):
                yield from _paths(held)


def _rename(state: Any, old: str, new: str, *, folders: bool = False) -> None:
    """Names the paths of a scene relative to another folder.

    Args:
        state: ours in the scene.
        old, new: the folders that the file lay in and lies in; `old` is empty if it was not saved.
        folders: whether whole paths of shot folders become relative ones, too.
    """
    for group, name in _paths(state):
        text = getattr(group, name)
        if not (text.startswith("//") and old) and not (text and folders and name == "folder"):
            continue
        path = os.path.normpath(bpy.path.abspath(text, start=old or None))
        setattr(group, name, _relative(path, new))
    state.beside = new


def _relative(path: str, folder: str) -> str:
    """A path as it is named in a file of a folder; whole in one that is not saved."""
    if not folder:
        return path
    try:
        return str(bpy.path.relpath(path, start=folder))
    except ValueError:
        return path  # On another drive of a Windows machine.


def _here() -> str:
    """The folder of the file, empty as long as it is not saved."""
    return os.path.dirname(bpy.data.filepath)


@bpy.app.handlers.persistent
def _on_save(target: str = "", *unused: Any) -> None:
    if not target:
        return
    _before[:] = [
        (group, name, getattr(group, name)) for state in _states() for group, name in _paths(state)
    ]
    _before.extend((state, "beside", state.beside) for state in _states())
    for state in _states():
        _rename(state, _here(), os.path.dirname(target), folders=True)


@bpy.app.handlers.persistent
def _on_saved(target: str = "", *unused: Any) -> None:
    """After Save Copy, the paths are those of the file that goes on being worked on."""
    if target and os.path.normpath(target) != os.path.normpath(bpy.data.filepath):
        _put_back()
    _before.clear()


@bpy.app.handlers.persistent
def _on_failure(*unused: Any) -> None:
    _put_back()
    _before.clear()


def _put_back() -> None:
    for group, name, text in _before:
        setattr(group, name, text)


@bpy.app.handlers.persistent
def _on_load(*unused: Any) -> None:
    """A file that was moved with what lies beside it has moved its paths, too."""
    for state in _states():
        state.beside = _here()


@bpy.app.handlers.persistent
def _on_undo(*unused: Any) -> None:
    """A step from before the file was saved elsewhere has the paths of then."""
    for state in _states():
        if state.beside and _here() not in ("", state.beside):
            _rename(state, state.beside, _here())


@bpy.app.handlers.persistent
def _on_import(imported: Any, *unused: Any) -> None:
    """A scene that was appended has the paths of the file that it comes from."""
    for item in imported.import_items:
        scene = item.id
        if isinstance(scene, bpy.types.Scene) and scene.library is None and item.source_library:
            old = os.path.dirname(bpy.path.abspath(item.source_library.filepath))
            _rename(scene.portraitgen, old, _here())


def note(scene: Any) -> None:
    """Notes what the paths of a scene are relative to, which has a shot now."""
    scene.portraitgen.beside = _here()


_HANDLERS = (
    ("save_pre", _on_save),
    ("save_post", _on_saved),
    ("save_post_fail", _on_failure),
    ("load_post", _on_load),
    ("undo_post", _on_undo),
    ("redo_post", _on_undo),
    ("blend_import_post", _on_import),
)


def register() -> None:
    """Keeps paths right from now on."""
    for name, work in _HANDLERS:
        getattr(bpy.app.handlers, name).insert(0, work)


def unregister() -> None:
    """Leaves them as they are."""
    for name, work in _HANDLERS:
        getattr(bpy.app.handlers, name).remove(work)
    _before.clear()
