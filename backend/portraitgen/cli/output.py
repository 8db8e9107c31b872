# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How facts read in a terminal."""

import codecs
import io
import json
import os
import sys
from collections.abc import Mapping

from ..bounded_json import dump_json
from ..plain_text import printable


def words(value: object) -> str:
    """A value as people write it."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(words(each) for each in value) or "none"
    return "none" if value is None else printable(str(value))


def say(text: str) -> None:
    """Prints a line for people; what a name in it holds steers nothing."""
    print(printable(text))


def print_json(data: object) -> None:
    """Prints for machines."""
    print(_writable(dump_json(data, indent=1).decode()))


def print_json_line(data: object) -> None:
    """Prints one line for machines, at once."""
    print(_writable(dump_json(data).decode()), flush=True)


def _writable(text: str) -> str:
    """JSON with escapes for what standard output has no letters for; other marks are no JSON."""
    if sys.stdout is None or codecs.lookup(sys.stdout.encoding or "ascii").name == "utf-8":
        return text
    return "".join(each if each.isascii() else json.dumps(each)[1:-1] for each in text)


def open_standard_streams() -> None:
    """Makes standard input, output and error usable, as they come from whatever started us.

    One that is closed leads nowhere from now on: the next file that is opened would be it, and take
    what libraries print. What a terminal has no letters for is printed as escapes, and names of
    files that are no text as they are.
    """
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # The lowest number that is free: this one.
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        utf_8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if utf_8 else "backslashreplace")


def print_facts(facts: Mapping[str, object], indent: str = "") -> None:
    """Prints for people: a line a fact, what belongs together indented."""
    for name, value in facts.items():
        label = f"{indent}{printable(name).replace('_', ' ')}"
        if isinstance(value, Mapping):
            print(label)
            print_facts(value, indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            print(label)
            for each in value:
                print(f"{indent}  - " + ", ".join(f"{k} {words(v)}" for k, v in each.items()))
        else:
            print(f"{label}: {words(value)}")
