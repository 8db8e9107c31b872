# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A take's settings as one object: the options of the edit job, as its folder keeps them.

Whatever saves, shows or sends a take's settings goes through here: edits, previews, presets,
strips, duplicates, and takes that a folder holds.
"""

import json
from collections.abc import Mapping
from typing import Any

import bpy

from portraitgen.bounded_json import parse_json
from portraitgen.schema import Value, Values

from . import backend_properties, shot_summary

# Properties of the take itself; the others are the backend's, on groups of their own.
_OWN = ("editor", "strength", "seed")


def settings_of(take: Any) -> dict[str, Value]:
    """A take's settings as the edit job takes them, `take` itself apart."""
    settings: dict[str, Value] = dict(_load(take.unshown_settings))
    settings |= {
        "editor": take.editor,
        "strength": backend_properties.rounded(take.strength),
        "seed": take.seed,
    }
    group = getattr(take, backend_properties.slot_of_job("edit"), None)
    if group is not None:
        options = backend_properties.job_options("edit")
        for option in options:
            settings.pop(option.name, None)
        settings |= backend_properties.values(group, options)
    if backend_properties.editor(take.editor) is not None:
        settings["editor_options"] = json.dumps(editor_options(take), sort_keys=True)
    return settings


def editor_options(take: Any) -> dict[str, Value]:
    """What the take's editor is told."""
    known = backend_properties.editor(take.editor)
    group = getattr(take, backend_properties.slot_of_editor(take.editor), None)
    if known is None or group is None:
        return {}
    values = backend_properties.values(group, known.options)
    if "mix_keys" in values:
        values["mix_keys"] = _keys(take, f"{group.path_from_id()}.mix") or values["mix_keys"]
    return values


def _keys(take: Any, path: str) -> str:
    """The keys of one of a take's properties, of 0 to 1; empty if it has none."""
    for shot in take.id_data.portraitgen.shots:
        if any(each == take for each in shot.takes):
            keys: str = shot.keys_of(path)
            return keys
    return ""


def restore_settings(take: Any, given: Mapping[str, object]) -> None:
    """Sets a take to settings that `settings_of` told, or that its folder holds.

    What they leave out is left to the backend. What this file cannot show, since the backend has
    not told of it yet, is kept and goes where the rest goes.
    """
    settings = _understood(given)
    if not settings.get("editor"):
        return
    settings.pop("take", None)
    take.editor = str(settings.pop("editor"))
    strength, seed = settings.pop("strength", None), settings.pop("seed", None)
    take.strength = 1.0 if strength is None else float(strength)
    take.seed = 0 if seed is None else int(seed)
    group = getattr(take, backend_properties.slot_of_job("edit"), None)
    if group is not None:
        options = backend_properties.job_options("edit")
        backend_properties.restore(group, options, settings)
        for option in options:
            settings.pop(option.name, None)
    known = backend_properties.editor(take.editor)
    group = getattr(take, backend_properties.slot_of_editor(take.editor), None)
    if known is not None and group is not None:
        text = settings.pop("editor_options", None)
        backend_properties.restore(group, known.options, _load(str(text or "")))
    take.unshown_settings = json.dumps(settings, sort_keys=True) if settings else ""


def adopt_takes(shot: Any) -> None:
    """Lists the takes that a shot's folder holds, and notes of all whether it does."""
    found = shot_summary.summary_of(shot.path).takes
    known = {take.folder_name: take for take in shot.takes}
    for name in known.keys() & found.keys():
        if not known[name].in_folder:
            known[name].in_folder = True
    for name, record in found.items():
        if name not in known:
            take = shot.takes.add()
            take.name = take.folder_name = name
            take.in_folder = True
            restore_settings(take, record.settings)


def show_waiting_settings() -> None:
    """Once the backend has told of its options: shows what was kept for them."""
    for scene in bpy.data.scenes:
        for shot in scene.portraitgen.shots:
            for take in shot.takes:
                if take.unshown_settings:
                    restore_settings(take, settings_of(take))


def _understood(given: Mapping[str, object]) -> dict[str, Any]:
    """Settings with the editor's options as JSON, as presets and strips once did not have them."""
    settings: dict[str, Any] = dict(given)
    options = settings.pop("options", None)
    if isinstance(options, Mapping) and "editor_options" not in settings:
        settings["editor_options"] = json.dumps(dict(options), sort_keys=True)
    return settings


def _load(text: str) -> Values:
    try:
        loaded = parse_json(text or "{}")
    except ValueError:
        return {}
    return loaded if isinstance(loaded, dict) else {}
