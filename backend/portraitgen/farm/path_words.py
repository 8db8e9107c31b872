# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files and folders that a stage's words of the command line name."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from ..editing.looks.library import look_path
from ..editing.registry import editor_class
from ..errors import EditError
from ..path_mapping import given_path
from ..pipeline.jobs.edit import editor_values
from ..pipeline.registry import options_of
from ..settings import describe
from .bundle import PathWord, Word

_EDITOR_OPTIONS = "--editor-options="


def paths_in(stage: str, words: Sequence[str]) -> list[Path]:
    """What the words name that is there."""
    found: list[Path] = []

    def note(value: str) -> str:
        path = given_path(value).absolute()
        if path.exists():
            found.append(path)
        return value

    _changed(stage, words, note)
    return found


def rooted(stage: str, words: Sequence[str]) -> tuple[str, ...]:
    """The words, their paths from a root on: workers run in folders of their own.

    What has the form of a name stays one, as a model's. A look of the library is named by its file:
    workers have a library of their own.
    """
    named = words[words.index("--editor") + 1] if "--editor" in words[:-1] else ""
    wears = stage == "edit" and named == "look"
    return _changed(stage, words, _root, _look_file if wears else _root)


def parted(stage: str, words: Sequence[str]) -> tuple[Word, ...]:
    """The words, those that end in a path from a root on taken apart; paths within a JSON object
    become words of their own."""
    own, editors = _options_of(stage, words)
    found: list[Word] = []
    for before, word in zip(["", *words], words, strict=False):
        name, equals, value = word.partition("=")
        option = name.removeprefix("--").replace("-", "_")
        if before == "--set" and name in editors and _begins_at_root(value):
            found.append(PathWord(f"{name}=", name, value, editors[name]))
        elif word.startswith(_EDITOR_OPTIONS) and editors:
            values = editor_values(value)
            paths = {
                each: values[each]
                for each in editors
                if isinstance(values.get(each), str) and _begins_at_root(values[each])
            }
            rest = {each: kept for each, kept in values.items() if each not in paths}
            found.append(_EDITOR_OPTIONS + json.dumps(rest, sort_keys=True))
            for each, path in paths.items():
                found += ["--set", PathWord(f"{each}=", each, path, editors[each])]
        elif name.startswith("--") and option in own and _begins_at_root(value):
            found.append(PathWord(f"{name}=", option, value, own[option]))
        else:
            found.append(word)
    return tuple(found)


def _begins_at_root(value: str) -> bool:
    """Whether a value is a path from a root on, of whichever system."""
    return PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute()


def rooted_options(editor: str, values: Mapping[str, str]) -> dict[str, str]:
    """An editor's options as typed in this folder, their paths from a root on: takes are copied to
    other shots, gone on with and queued from other folders."""
    if not values:
        return {}
    paths = _path_options(editor_class(editor).Options)
    return {name: _root(value) if name in paths else value for name, value in values.items()}


def _look_file(value: str) -> str:
    """The file of a look of the library; what is none, from a root on."""
    try:
        return str(look_path(value).absolute())
    except EditError:
        return _root(value)


def _root(value: str) -> str:
    path = given_path(value)
    is_path = len(path.parts) > 1 or (path.suffix and path.exists())
    # A worker's home is another one.
    is_own = value.startswith("~") and path.is_absolute()
    return str(path.absolute()) if is_own or (is_path and not path.is_absolute()) else value


def _changed(
    stage: str,
    words: Sequence[str],
    change: Callable[[str], str],
    change_of_editor: Callable[[str], str] | None = None,
) -> tuple[str, ...]:
    """The words, with other paths in them; those of an editor's options by a rule of their own, if
    there is one."""
    of_editor = change_of_editor or change
    own, editors = _options_of(stage, words)
    changed = []
    for before, word in zip(["", *words], words, strict=False):
        name, equals, value = word.partition("=")
        if before == "--set" and equals and value and name in editors:
            word = f"{name}={of_editor(value)}"
        elif word.startswith(_EDITOR_OPTIONS) and editors:
            values = editor_values(value)
            for each in editors.keys() & values.keys():
                if isinstance(values[each], str) and values[each]:
                    values = {**values, each: of_editor(values[each])}
            word = _EDITOR_OPTIONS + json.dumps(values, sort_keys=True)
        elif value and name.startswith("--") and name[2:].replace("-", "_") in own:
            word = f"{name}={change(value)}"
        changed.append(word)
    return tuple(changed)


def _options_of(stage: str, words: Sequence[str]) -> tuple[dict[str, bool], dict[str, bool]]:
    """The options that are paths, of a stage and of the editor that its words name."""
    editors: dict[str, bool] = {}
    if stage == "edit" and "--editor" in words[:-1]:
        editors = _path_options(editor_class(words[words.index("--editor") + 1]).Options)
    return _path_options(options_of(stage)), editors


def _path_options(settings: type) -> dict[str, bool]:
    """The options that are paths, and whether each is of a program."""
    return {each.name: bool(each.runs) for each in describe(settings) if each.path}
