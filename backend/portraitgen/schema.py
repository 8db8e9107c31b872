# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dataclasses from JSON and back, every value checked on its way in. Standard library only.

What crosses a border (a file, the wire) is parsed here, once: behind it there are attributes, and
whatever does not fit has been refused in one sentence that names the place and the key.
"""

import dataclasses
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from .errors import NewerSchema, ShotError
from .storage import read_json, write_json

Value = bool | int | float | str | None
"""What an option may be worth."""
Values = Mapping[str, Value]
"""Options by name, as they were given."""
_Converter = Callable[[Any, str], Any]
_RESTORE = "restore it from a backup"
_RATIO = re.compile(r"[0-9]{1,19}(/[0-9]{1,19}|\.[0-9]{1,19})?")


class Misfit(ValueError):  # noqa: N818
    """A value that does not fit.

    Attributes:
        key: where it stands, such as "window.mode".
        missing: whether there is none at all.
    """

    def __init__(self, key: str, reason: str, missing: bool = False) -> None:
        super().__init__(f"'{key}' {reason}" if key else f"the content {reason}")
        self.key = key
        self.missing = missing


class Data:
    """Base of frozen dataclasses that JSON objects are made into.

    Fields may be bool, int, float, str, Fraction ("24000/1001"), a Literal of texts, another
    `Data`, tuples and mappings of these, each of them or None, or `object` for anything. A field
    with a default may be left out of the JSON. Keys that no field stands for are passed over.
    """

    @classmethod
    def parse(cls, data: object, key: str = "") -> Self:
        """The object that plain data describes.

        Args:
            key: where the data stands in what holds it, for messages.

        Raises:
            Misfit: if a value is missing or of the wrong kind.
        """
        if not isinstance(data, Mapping):
            raise Misfit(key, f"is {_named(data)}, not an object")
        given = {}
        for name, convert, needed in _fields(typing.cast(type, cls)):
            inner = f"{key}.{name}" if key else name
            if name in data:
                given[name] = convert(data[name], inner)
            elif needed:
                raise Misfit(inner, "is missing", missing=True)
        return cls(**given)

    def to_json(self) -> dict[str, object]:
        """As JSON-ready data; `parse` is its inverse."""
        fields = dataclasses.fields(typing.cast(Any, self))
        return {each.name: plain(getattr(self, each.name)) for each in fields}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record(Data):
    """A file of a shot. Subclasses are frozen, keyword-only dataclasses.

    Attributes:
        unknown: what the file holds beyond the fields; it is written back.
    """

    SCHEMA: ClassVar[int] = 1
    # What makes the content of a schema that of the next one.
    MIGRATIONS: ClassVar[Mapping[int, Callable[[dict[str, object]], dict[str, object]]]] = {}
    # Files of this kind were once written without a schema; such a one has the first.
    WAS_UNMARKED: ClassVar[bool] = False

    unknown: Mapping[str, object] = dataclasses.field(default_factory=dict, compare=False)

    @classmethod
    def from_json(cls, data: Mapping[str, object], place: Path) -> Self:
        """The record that a file's JSON object describes, migrated if it is an older one's.

        Args:
            place: the file, for messages.

        Raises:
            ShotError: if its schema is unknown, or a value is missing or of the wrong kind.
        """
        content = dict(data)
        schema = content.pop("schema", 1 if cls.WAS_UNMARKED else None)
        if not isinstance(schema, int) or isinstance(schema, bool):
            raise ShotError("the schema version is missing", place, _RESTORE)
        if schema > cls.SCHEMA:
            raise NewerSchema(
                f"the file has schema {schema}, this version reads up to {cls.SCHEMA}",
                place,
                "update PortraitGen",
            )
        try:
            for step in range(schema, cls.SCHEMA):
                if step not in cls.MIGRATIONS:
                    raise ShotError(f"there is no schema {schema}", place, _RESTORE)
                content = cls.MIGRATIONS[step](content)
            names = {each.name for each in dataclasses.fields(cls)}
            known = {key: value for key, value in content.items() if key in names - {"unknown"}}
            rest = {key: value for key, value in content.items() if key not in names}
            return cls.parse(known | {"unknown": rest})
        except Misfit as misfit:
            raise ShotError(str(misfit), place, _RESTORE) from None

    @classmethod
    def read(cls, path: Path) -> Self:
        """The record in a file.

        Raises:
            ShotError: if it is missing, damaged or of a newer version.
        """
        return cls.from_json(read_json(path), path)

    def to_json(self) -> dict[str, object]:
        """As JSON-ready data, its schema first."""
        own = super().to_json()
        del own["unknown"]
        rest: dict[str, object] = plain(self.unknown)
        return {"schema": self.SCHEMA} | own | rest

    def write(self, path: Path) -> None:
        """Writes the file in one step."""
        write_json(path, self.to_json())


def plain(value: object) -> Any:
    """A value as JSON knows it."""
    if isinstance(value, Data):
        return value.to_json()
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


@cache
def _fields(kind: type) -> Sequence[tuple[str, _Converter, bool]]:
    """Name, converter, and whether it is needed, of each field."""
    hints = typing.get_type_hints(kind)
    found = []
    for each in dataclasses.fields(kind):
        optional = (
            each.default is not dataclasses.MISSING
            or each.default_factory is not dataclasses.MISSING
        )
        found.append((each.name, _converter(hints[each.name]), not optional))
    return found


_PLAIN: dict[type, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    str: ((str,), "text"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
}


@cache
def _converter(hint: Any) -> _Converter:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in (object, Any):
        return lambda value, key: value
    if hint in _PLAIN:
        return _of_kind(hint)
    if hint is Fraction:
        return _fraction
    if origin is Literal:
        return _one_of(arguments)
    if origin in (typing.Union, types.UnionType):
        return _any_of(arguments)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return _row_of(_converter(arguments[0]), arguments[0])
        return _tuple_of([_converter(each) for each in arguments])
    if origin is not None and issubclass(origin, Mapping):
        return _mapping_of(arguments[0], _converter(arguments[1]))
    if isinstance(hint, type) and issubclass(hint, Data):
        return hint.parse
    raise TypeError(f"no JSON is made into {hint}")


def _of_kind(kind: type) -> _Converter:
    accepted, noun = _PLAIN[kind]

    def convert(value: Any, key: str) -> Any:
        # JSON's true is a number to Python.
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
            if kind is int and isinstance(value, float) and value.is_integer():
                return int(value)
            raise Misfit(key, f"is {_named(value)}, not {noun}")
        return kind(value)

    return convert


def _fraction(value: Any, key: str) -> Fraction:
    # No exponent: Fraction would write 1e999999999 out in full.
    plain_ratio = isinstance(value, str) and _RATIO.fullmatch(value)
    try:
        found = Fraction(value) if plain_ratio else None
    except ZeroDivisionError:
        found = None
    if found is None or found <= 0:
        raise Misfit(key, f"is {_named(value)}, not a ratio such as 24000/1001")
    return found


def _one_of(choices: tuple[str, ...]) -> _Converter:
    def convert(value: Any, key: str) -> str:
        for choice in choices:
            if value == choice:
                return choice
        raise Misfit(key, f"is {_named(value)}, not one of {', '.join(choices)}")

    return convert


def _any_of(kinds: tuple[Any, ...]) -> _Converter:
    converters = [_converter(each) for each in kinds if each is not types.NoneType]
    may_be_none = types.NoneType in kinds
    # A bool is also an int, and an int also a float: the first that takes it as it is.
    exact = {each for each in kinds if each in (bool, int, float, str)}

    def convert(value: Any, key: str) -> Any:
        if value is None and may_be_none:
            return None
        if type(value) in exact:
            return value
        for converter in converters[:-1]:
            try:
                return converter(value, key)
            except Misfit:
                continue
        return converters[-1](value, key)

    return convert


def _row_of(each: _Converter, kind: Any) -> _Converter:
    def convert(value: Any, key: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise Misfit(key, f"is {_named(value)}, not a list")
        # A movie's stamps are a hundred thousand numbers.
        if kind in _PLAIN and all(type(item) is kind for item in value):
            return tuple(value)
        return tuple(each(item, f"{key}[{index}]") for index, item in enumerate(value))

    return convert


def _tuple_of(converters: Sequence[_Converter]) -> _Converter:
    def convert(value: Any, key: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or len(value) != len(converters):
            raise Misfit(key, f"is {_named(value)}, not a list of {len(converters)}")
        pairs = zip(converters, value, strict=True)
        return tuple(each(item, f"{key}[{index}]") for index, (each, item) in enumerate(pairs))

    return convert


def _mapping_of(keys: Any, each: _Converter) -> _Converter:
    def convert(value: Any, key: str) -> dict[Any, Any]:
        if not isinstance(value, Mapping):
            raise Misfit(key, f"is {_named(value)}, not an object")
        converted = {}
        for name, item in value.items():
            if keys is int:
                try:
                    number = int(name)
                except ValueError:
                    raise Misfit(key, f"has the key '{name}', which is no number") from None
                converted[number] = each(item, f"{key}[{name}]")
            else:
                converted[name] = each(item, f"{key}.{name}")
        return converted

    return convert


def _named(value: object) -> str:
    """A value as a sentence names it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value[:40]}'"
    if isinstance(value, int | float):
        return str(value)
    return "a list" if isinstance(value, list | tuple) else "an object"
