# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text that is shown to people, of which a part may be a stranger's. Standard library only."""


def printable(text: str) -> str:
    """Text to be shown on one line: what would steer a terminal or hide a word, bytes that are no
    text, and ends of lines, become escapes. Names in a shot are a stranger's, and a line of its own
    may be an order to whoever reads them, such as a farm's worker.

    Example:
        >>> print(printable(chr(27) + "[2J.mov"))
        \\x1b[2J.mov
    """
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def _escape(each: str) -> str:
    return each.encode("unicode_escape", "backslashreplace").decode("ascii")


def as_size(count: int) -> str:
    """A number of bytes as people write it.

    Example:
        >>> as_size(2_345_678)
        '2 MB'
    """
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
