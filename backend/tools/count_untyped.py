# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts what the types do not hold: untyped dicts, and records reached by string keys.

    python backend/tools/count_untyped.py [FOLDER]

Counted are annotations `dict[str, Any]`, and accesses by a key of plain words, `x["word"]` and
`x.get("word")`, in what artists install. Arrays of a file by name, `arrays["vertices"]` and
`tensors["frames"]`, are counted apart: such a file is no record, and its shapes are checked when it
is read. `dict[str, object]` is not counted: nothing can be done with its values unless their kind
was asked for first. `tests/unit/test_house.py` holds what was reached.
"""

import ast
import re
import sys
from collections import Counter
from pathlib import Path

_FOLDERS = ("backend/portraitgen", "portraitgen_addon", "operators", "ui")
_WORD = re.compile(r"[a-z][a-z0-9_]*")


_ARRAYS = ("arrays", "tensors")


def counted(source: str) -> tuple[int, int, int]:
    """Untyped dicts, accesses to records by string keys, and to arrays, in a file's source."""
    dicts = accesses = arrays = 0
    for node in ast.walk(ast.parse(source)):
        base: ast.expr | None = None
        if isinstance(node, ast.Subscript):
            if ast.unparse(node) == "dict[str, Any]":
                dicts += 1
            elif _is_word(node.slice):
                base = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "get" and node.args and _is_word(node.args[0]):
                base = node.func.value
        if base is None or ast.unparse(base) == "Literal":
            continue
        if ast.unparse(base).rpartition(".")[2] in _ARRAYS:
            arrays += 1
        else:
            accesses += 1
    return dicts, accesses, arrays


def count(root: Path) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """What `counted` counts, by file, in all that artists install."""
    dicts: Counter[str] = Counter()
    accesses: Counter[str] = Counter()
    arrays: Counter[str] = Counter()
    for folder in _FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            dicts[name], accesses[name], arrays[name] = counted(path.read_text("utf-8"))
    return dicts, accesses, arrays


def _is_word(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and _WORD.fullmatch(node.value) is not None
    )


def main() -> None:
    """Prints the counts, and the files that have the most."""
    dicts, accesses, arrays = count(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    print(
        f"dict[str, Any]: {dicts.total()}; accesses to records by string keys:"
        f" {accesses.total()}; to arrays by name: {arrays.total()}"
    )
    for title, counts in (("dict[str, Any]", dicts), ("string keys", accesses)):
        most = [f"{name} {number}" for name, number in counts.most_common(8) if number]
        print(f"  {title}: {', '.join(most)}")


if __name__ == "__main__":
    main()
