# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a shot keeps that nothing needs any more, how large it is, and its removal.

Standard library only. Versions, edits and frames are never among it.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .locks import holders
from .plain_text import as_size
from .shot import Shot
from .storage import entries, everything_in, remove_tree, strays


@dataclass(frozen=True)
class Leftover:
    """Files of one kind that may go.

    Attributes:
        name: a word for it.
        text: what they are, and what is lost with them.
        paths: files and folders.
        size: bytes.
    """

    name: str
    text: str
    paths: Sequence[Path]
    size: int

    def __str__(self) -> str:
        count = len(self.paths)
        return f"{self.text}: {count} {'entry' if count == 1 else 'entries'}, {as_size(self.size)}"


def leftovers(shot: Shot) -> list[Leftover]:
    """What may go; kinds of which there is nothing are left out.

    The work of jobs is left out while any process works on the shot.
    """
    stopped, previews = [], []
    if not holders(shot.path / "locks"):
        for folder in entries(shot.path / "jobs"):
            if (folder / "work").is_dir():
                stopped.append(folder / "work")
            elif folder.is_file() and folder.name.startswith("preview."):
                previews.append(folder)
    kinds = [
        ("trash", "Takes that were deleted", entries(shot.path / "trash")),
        ("work", "Work of jobs that stopped, which would begin anew", stopped),
        ("halves", "Halves of files that killed processes left", strays(shot.path)),
        ("previews", "Previews of single frames", previews),
    ]
    found = [
        Leftover(name, text, paths, sum(map(size_of, paths)))
        for name, text, paths in kinds
        if paths
    ]
    return found


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files in a folder; links are not followed."""
    total = 0
    with suppress(OSError):
        if path.is_symlink() or not path.is_dir():
            return path.lstat().st_size
        for each in everything_in(path):
            if each.is_symlink() or not each.is_dir():
                total += each.lstat().st_size
    return total


def remove(kinds: Sequence[Leftover]) -> int:
    """Removes leftovers.

    Returns:
        How many bytes are free again.

    Raises:
        ShotError: if a link leads out of the shot; nothing behind it is touched.
    """
    freed = 0
    for kind in kinds:
        for path in kind.paths:
            size = size_of(path)
            remove_tree(path)
            freed += size - size_of(path)
    return freed
