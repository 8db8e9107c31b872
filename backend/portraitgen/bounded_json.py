# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON from strangers, within bounds, and JSON that others read. Standard library only."""

import json
import math
import re
from typing import Any

# Each takes a microsecond or two and a hundred bytes.
_MAX_VALUES = 10_000_000
_MAX_DIGITS = 19
_MAX_DEPTH = 64


def parse_json(text: bytes | str, most: int = _MAX_VALUES) -> Any:
    """JSON from a stranger: whole numbers of up to 19 digits, finite numbers, no deep nesting, at
    most so many values.

    Text may hold what stands for a file name's bytes that are no UTF-8 (U+DC80 to U+DCFF), and no
    other lone surrogates.

    Raises:
        ValueError: if it is no such JSON.

    Example:
        >>> parse_json('{"frames": [1, 2]}')
        {'frames': [1, 2]}
        >>> parse_json('{"gain": NaN}')
        Traceback (most recent call last):
        ValueError: NaN is no number
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        if text.count(",") + text.count("[") + text.count("{") > most:
            raise ValueError(f"it holds more than {most} values")
        data = json.loads(text, parse_int=_whole, parse_float=_number, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check_values(data)
    return data


def _whole(digits: str) -> int:
    if len(digits.lstrip("-")) > _MAX_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


def _number(text: str) -> float:
    if len(text) > 64 or not math.isfinite(number := float(text)):
        raise ValueError(f"{text[:20]} is out of bounds")
    return number


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _check_values(data: Any) -> None:
    todo = [(data, 0)]
    while todo:
        each, depth = todo.pop()
        if depth > _MAX_DEPTH:
            raise ValueError("it is nested too deeply")
        if isinstance(each, str):
            if any(0xD800 <= ord(c) < 0xDC80 or 0xDCFF < ord(c) <= 0xDFFF for c in each):
                raise ValueError("a text is no Unicode")
        elif isinstance(each, dict):
            todo += [(key, depth + 1) for key in each]
            todo += [(value, depth + 1) for value in each.values()]
        elif isinstance(each, list):
            todo += [(value, depth + 1) for value in each]


def dump_json(data: object, indent: int | None = None) -> bytes:
    """JSON that `parse_json` reads back: numbers that are not finite as null.

    Names of files that are no UTF-8 are written with escapes.
    """
    try:
        text = json.dumps(data, indent=indent, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(data), indent=indent, ensure_ascii=False, allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", lambda m: f"\\u{ord(m[0]):04x}", text).encode()


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return data
