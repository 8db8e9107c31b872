# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings as dataclasses: one definition feeds the command line, the worker and Blender's panels.

Standard library only. A field made by `option` carries its help, range, unit and choices in its
metadata; `describe` turns a settings class into plain data and `parse` turns text or JSON values
into an instance, refusing what does not fit with one sentence.
"""

import dataclasses
import os
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from .errors import OptionError
from .schema import Data, Value

Settings = TypeVar("Settings")


def option(
    default: Any,
    help: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] | Mapping[str, str] = (),
    several: bool = False,
    path: bool = False,
    runs: str = "",
    label: str = "",
) -> Any:
    """A dataclass field that explains itself.

    Args:
        default: the value when nothing is given; also decides how Blender draws it.
        help: one sentence without a full stop, shown as tooltip and on the command line.
        unit: what a number counts ("frames", "degrees", "px"), empty for a ratio.
        minimum, maximum: inclusive bounds of a number.
        choices: the values a string may take; a mapping says of each what it does, as a tooltip.
        several: the string may hold more than one of the choices, with commas between them.
        path: the string names a file.
        label: the option's name as people read it, where its own with capitals reads badly.
        runs: the string says what an editor runs: a "program", its "script" or their "folder".
    """
    told = tuple(choices.values()) if isinstance(choices, Mapping) else ()
    facts = _Facts(help, unit, minimum, maximum, tuple(choices), told, several, path, runs, label)
    return dataclasses.field(default=default, metadata={_FACTS: facts})


_FACTS = "portraitgen"


@dataclasses.dataclass(frozen=True)
class _Facts:
    """What a field says of itself, as `option` was given it."""

    help: str = ""
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    choice_help: tuple[str, ...] = ()
    several: bool = False
    path: bool = False
    runs: str = ""
    label: str = ""


def _facts(field: "dataclasses.Field[Any]") -> _Facts:
    facts: _Facts = field.metadata.get(_FACTS, _Facts())
    return facts


def _kind(annotation: Any) -> type:
    """The plain type behind an annotation; `X | None` counts as X."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        annotation = next(a for a in typing.get_args(annotation) if a is not type(None))
    return typing.get_origin(annotation) or annotation


@dataclasses.dataclass(frozen=True)
class OptionDescription(Data):
    """An option as programs and panels know it.

    Attributes:
        name: of the field.
        label: as people read it.
        type: "bool", "int", "float" or "str".
        default: None if the program decides where nothing is given.
        help, unit, minimum, maximum, choices, several, path, runs: as given to `option`.
        choice_help: what each choice does, in the order of the choices.
    """

    name: str
    label: str
    type: Literal["bool", "int", "float", "str"]
    default: Value = None
    help: str = ""
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    several: bool = False
    path: bool = False
    runs: str = ""
    choice_help: tuple[str, ...] = ()


def describe(settings: type) -> tuple[OptionDescription, ...]:
    """Every option of a settings class."""
    hints = typing.get_type_hints(settings)
    return tuple(
        OptionDescription.parse(
            {
                **vars(_facts(field)),
                "name": field.name,
                "label": _facts(field).label or field.name.replace("_", " ").title(),
                "type": _kind(hints[field.name]).__name__,
                "default": field.default,
            }
        )
        for field in dataclasses.fields(settings)
    )


def parse(settings: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Builds a settings object from text or JSON values.

    Raises:
        OptionError: for an unknown name, a value of the wrong kind or out of range.
    """
    hints = typing.get_type_hints(settings)
    fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, settings))}
    parsed: dict[str, object] = {}
    for name, value in values.items():
        if name not in fields:
            known = ", ".join(fields) or "none"
            raise OptionError("there is no such option", name, f"use one of: {known}")
        parsed[name] = _convert(fields[name], _kind(hints[name]), value)
    return settings(**parsed)


def _shown(value: object) -> str:
    try:
        return str(value).replace("\0", "\\0")
    except ValueError:  # Python writes no whole number of more than 4300 digits.
        return "a number of thousands of digits"


def _check_range(name: str, number: float, facts: _Facts) -> None:
    low, high = facts.minimum, facts.maximum
    # Beyond these no record would hold it: JSON has no infinity, and we read 19 digits.
    limit = sys.float_info.max if isinstance(number, float) else 1 << 62
    least, most = (-limit if low is None else low), (limit if high is None else high)
    if least <= number <= most:
        return
    if None not in (low, high):
        span = f"from {low} to {high}"
    elif low is not None and not number > limit:
        span = f"of {low} or more"
    elif high is not None and not number < -limit:
        span = f"of {high} or less"
    else:
        span = "nearer to 0"
    raise OptionError(f"{_shown(number)} is out of range", name, f"give a value {span}")


def _convert(field: "dataclasses.Field[Any]", kind: type, value: Any) -> Any:
    facts = _facts(field)
    if value is None:
        return field.default
    if kind is bool:
        words = {"true": True, "yes": True, "on": True, "1": True}
        words |= {"false": False, "no": False, "off": False, "0": False}
        if isinstance(value, bool):
            return value
        if str(value).lower() not in words:
            raise OptionError(f"'{value}' is neither on nor off", field.name, "give true or false")
        return words[str(value).lower()]
    noun = {"int": "a whole number", "float": "a number"}.get(kind.__name__, "text")
    try:
        converted = kind(value)
        # JSON's true is a number to Python, and anything has a text.
        fits = isinstance(value, str | int | float | os.PathLike) and not isinstance(value, bool)
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits or (kind is str and "\0" in converted):
        raise OptionError(f"'{_shown(value)}' is not {noun}", field.name, f"give {noun}")
    if kind is int and isinstance(value, float) and value != converted:
        raise OptionError(f"'{value}' is not a whole number", field.name, "give a whole number")
    if kind in (int, float):
        _check_range(field.name, converted, facts)
    choices = facts.choices
    given = [converted]
    if facts.several:
        given = [each.strip() for each in str(converted).split(",") if each.strip()]
        converted = ",".join(given)
    wrong = next((each for each in given if choices and each not in choices), None)
    if wrong is not None:
        raise OptionError(
            f"'{wrong}' is not a choice", field.name, f"use one of: {', '.join(choices)}"
        )
    return converted
