# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts what the types do not hold: untyped dicts, and records reached by string keys.

    python backend/tools/count_untyped.py [FOLDER]

Counted are annotations `dict[str, Any]`, and accesses by a key of plain words, `x["word"]` and
`x.get("word")`, in what artists install. Arrays by name (tensors of a file, of a body model) are
accesses too, and stay.
"""

import ast
import re
import sys
from collections import Counter
from pathlib import Path

_FOLDERS = ("backend/portraitgen", "portraitgen_addon", "operators", "ui")
_WORD = re.compile(r"[a-z][a-z0-9_]*")


def counted(source: str) -> tuple[int, int]:
    """Untyped dicts and accesses by string keys in a file's source."""
    dicts = accesses = 0
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Subscript):
            if ast.unparse(node) == "dict[str, Any]":
                dicts += 1
            elif _is_word(node.slice):
                accesses += 1
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "get" and node.args and _is_word(node.args[0]):
                accesses += 1
    return dicts, accesses


def _is_word(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and _WORD.fullmatch(node.value) is not None
    )


def main() -> None:
    """Prints the counts, and the files that have the most."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    dicts: Counter[str] = Counter()
    accesses: Counter[str] = Counter()
    for folder in _FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            dicts[name], accesses[name] = counted(path.read_text("utf-8"))
    print(f"dict[str, Any]: {dicts.total()}; accesses by string keys: {accesses.total()}")
    for title, counts in (("dict[str, Any]", dicts), ("string keys", accesses)):
        most = [f"{name} {count}" for name, count in counts.most_common(8) if count]
        print(f"  {title}: {', '.join(most)}")


if __name__ == "__main__":
    main()
