# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How facts read in a terminal."""

from collections.abc import Mapping

from ..storage import dump_json, printable


def words(value: object) -> str:
    """A value as people write it."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(words(each) for each in value) or "none"
    return "none" if value is None else printable(str(value))


def print_json(data: object) -> None:
    """Prints for machines."""
    print(dump_json(data, indent=1).decode())


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
