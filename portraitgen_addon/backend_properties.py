# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options as the backend describes them, made into Blender properties.

The description comes from the worker and is kept between sessions, so that a file opens with its
settings before the worker has been started.
"""

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from portraitgen.errors import PortraitError
from portraitgen.messages.setup import Description, EditorDescription
from portraitgen.schema import Value, Values
from portraitgen.settings import OptionDescription
from portraitgen.storage import read_json, write_json

# What the panels ask for in their own way.
_ASKED_ELSEWHERE = {
    "edit": {"take", "editor", "editor_options", "frames", "strength", "seed"},
    "render": {"take", "plate", "movie", "mix", "camera", "drive"},
    "qc": {"take", "frames", "version"},
}
# Written from another property's keys.
_KEYED = {"mix_keys"}
_LIMIT = 2**31 - 1

_classes: list[type] = []
_slots: list[tuple[type, str]] = []
_description = Description()


def editors() -> Sequence[EditorDescription]:
    """The editors the backend has told of."""
    return _description.editors


def editor(name: str) -> EditorDescription | None:
    """What is known of an editor, None if the backend has not told of it."""
    return next((each for each in editors() if each.id == name), None)


def job_options(kind: str) -> Sequence[OptionDescription]:
    """The options of a job that its panel draws."""
    hidden = _ASKED_ELSEWHERE.get(kind, set())
    return [each for each in _description.settings.get(kind, ()) if each.name not in hidden]


def memory_gb(kind: str) -> float:
    """About how much memory a job takes with its default settings, GB; 0 if unknown."""
    return _description.memory_gb.get(kind, 0.0)


def slot_of_job(kind: str) -> str:
    """The name of the property that holds a job's options."""
    return f"settings_{kind}"


def slot_of_editor(name: str) -> str:
    """The name of the property that holds an editor's options."""
    return "options_" + re.sub(r"\W", "_", name)


def values(group: Any, options: Sequence[OptionDescription]) -> dict[str, Value]:
    """What a group of properties holds, as the backend takes it."""
    result: dict[str, Value] = {}
    for option in options:
        if option.default is None and not getattr(group, _switch(option)):
            continue  # Left to the backend.
        value = getattr(group, option.name)
        if option.several:
            value = ",".join(each for each in option.choices if each in value)
        elif option.unit == "degrees":
            value = math.degrees(value)
        if option.type == "float":
            value = rounded(value)
        elif option.path and value:
            value = bpy.path.abspath(value)
        result[option.name] = value
    return result


def rounded(value: float) -> float:
    """A number as it was typed in: Blender keeps 0.3 as 0.30000001192."""
    return float(f"{value:.7g}")


def restore(group: Any, options: Sequence[OptionDescription], given: Values) -> None:
    """Sets a group of properties to values that the backend was given; to its defaults where
    none was given. Values that a property cannot take are left at the default too."""
    for option in options:
        name = option.name
        value = given.get(name)
        if option.default is None:
            setattr(group, _switch(option), value is not None)
        group.property_unset(name)
        if value is None:
            continue
        try:
            # Of an editor's options the terminal keeps the text: "1", "true".
            value = _KINDS[option.type](value)
            if option.several:
                setattr(group, name, {each for each in value.split(",") if each})
                continue
            setattr(group, name, math.radians(value) if option.unit == "degrees" else value)
        except (TypeError, ValueError):
            continue


_ICONS = {
    "hair": "OUTLINER_OB_CURVES",
    "skin": "MATFLUID",
    "lips": "SMOOTHCURVE",
    "eyes": "HIDE_OFF",
    "mouth": "META_ELLIPSOID",
    "hands": "VIEW_PAN",
    "clothes": "MATCLOTH",
}


def _title(choice: str) -> str:
    return choice.replace("-", " ").title()


def _switched_on(value: object) -> bool:
    return str(value).lower() in ("true", "yes", "on", "1")


_KINDS: dict[str, Callable[[Any], Any]] = {
    "bool": _switched_on,
    "int": int,
    "float": float,
    "str": str,
}


def draw(layout: Any, group: Any, options: Sequence[OptionDescription]) -> None:
    """Draws a group of properties, one below the other."""
    for option in options:
        if option.name in _KEYED:
            continue
        if option.default is None:
            row = layout.row(align=True, heading=option.label)
            row.prop(group, _switch(option), text="")
            value = row.row(align=True)
            value.active = getattr(group, _switch(option))
            value.prop(group, option.name, text="")
        elif option.several:
            layout.label(text=option.label)
            grid = layout.grid_flow(columns=2, align=True, row_major=True)
            grid.use_property_split = False
            for choice in option.choices:
                grid.prop_enum(group, option.name, choice)
        else:
            layout.prop(group, option.name)


def _switch(option: OptionDescription) -> str:
    """The property that says whether an option without a default is given."""
    return f"use_{option.name}"


def register(description: Description, shot: type, take: type) -> None:
    """Makes the properties: a job's on the shot, an edit's and the editors' on the take."""
    global _description
    unregister()
    _description = description
    for kind in description.settings:
        owner = take if kind == "edit" else shot
        _add(owner, slot_of_job(kind), f"job_{kind}", job_options(kind))
    for each in description.editors:
        slot = slot_of_editor(each.id)
        _add(take, slot, slot, each.options)


def unregister() -> None:
    """Takes the properties away; what a file stores of them stays stored."""
    global _description
    for owner, slot in reversed(_slots):
        delattr(owner, slot)
    for made in reversed(_classes):
        bpy.utils.unregister_class(made)
    _slots.clear()
    _classes.clear()
    _description = Description()


def _add(owner: type, slot: str, name: str, options: Sequence[OptionDescription]) -> None:
    annotations = {option.name: _property(option) for option in options}
    annotations |= {
        _switch(option): BoolProperty(name="Use", description=option.help)
        for option in options
        if option.default is None
    }
    made = type(f"PORTRAITGEN_PG_{name}"[:60], (bpy.types.PropertyGroup,), {})
    made.__annotations__ = annotations
    bpy.utils.register_class(made)
    _classes.append(made)
    setattr(owner, slot, PointerProperty(type=made))
    _slots.append((owner, slot))


def _choices(option: OptionDescription) -> list[tuple[str, str]]:
    """Each choice and its tooltip; editors of others may tell none."""
    told = option.choice_help or (option.help,) * len(option.choices)
    return list(zip(option.choices, told, strict=True))


def _property(option: OptionDescription) -> Any:
    facts: dict[str, Any] = {"name": option.label, "description": option.help}
    default, unit = option.default, option.unit
    if option.type == "bool":
        return BoolProperty(default=bool(default), **facts)
    if option.type == "str":
        if option.several:
            flags = [
                (each, _title(each), told, _ICONS.get(each, "NONE"), 1 << bit)
                for bit, (each, told) in enumerate(_choices(option))
            ]
            return EnumProperty(items=flags, options={"ENUM_FLAG"}, default=set(), **facts)
        if option.choices:
            items = [(each, _title(each), told) for each, told in _choices(option)]
            return EnumProperty(items=items, default=default, **facts)
        if option.path:
            facts |= {"subtype": "FILE_PATH", "options": {"PATH_SUPPORTS_BLEND_RELATIVE"}}
        return StringProperty(default=default or "", **facts)
    low = option.minimum if option.minimum is not None else -_LIMIT
    high = option.maximum if option.maximum is not None else _LIMIT
    if default is None:
        default = min(max(0, low), high)
    if option.type == "int":
        subtype = "PIXEL" if unit == "px" else "NONE"
        return IntProperty(
            default=int(default), min=int(low), max=int(high), subtype=subtype, **facts
        )
    if unit == "degrees":
        low, high, default = (math.radians(float(each)) for each in (low, high, default))
        return FloatProperty(default=default, min=low, max=high, subtype="ANGLE", **facts)
    subtype = "PIXEL" if unit == "px" else "FACTOR" if (low, high) == (0, 1) else "NONE"
    return FloatProperty(default=default, min=low, max=high, subtype=subtype, **facts)


def _file() -> Path:
    package = __package__.rpartition(".")[0]
    return Path(bpy.utils.extension_path_user(package, create=True)) / "description.json"


def remember(description: Description) -> None:
    """Keeps a description for the next session."""
    write_json(_file(), description.to_json())


def remembered() -> Description:
    """The description of the last session, empty if there is none, or one of another version."""
    try:
        return Description.parse(read_json(_file()))
    except (PortraitError, ValueError):
        return Description()
