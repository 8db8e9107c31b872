# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths as a user writes them, and the folders of a user's own. Standard library only."""

import atexit
import hashlib
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from .errors import StorageError


def user_path(text: str | Path) -> Path:
    """A path as people write it, whose `~` is their home; that of nobody we know stays a name."""
    return Path(os.path.expanduser(text))


def home_folder() -> Path:
    """The user's home.

    Raises:
        StorageError: if there is none, as for a container's user that nobody has named.
    """
    home = os.path.expanduser("~")
    if not os.path.isabs(home):
        raise StorageError("this user has no home folder", "HOME", "set it to a folder of yours")
    return Path(home)


def user_cache_folder() -> Path:
    """The folder for files that can be made again: ``$PORTRAITGEN_CACHE``, else the platform's.

    A user without a home gets one that ends with the process.
    """
    chosen = os.environ.get("PORTRAITGEN_CACHE")
    if chosen:
        return user_path(chosen)
    if not os.path.isabs(os.path.expanduser("~")):
        return _own_temporary_folder()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return Path(base) / "portraitgen" if base else home_folder() / "AppData/Local/portraitgen"
    if sys.platform == "darwin":
        return home_folder() / "Library/Caches/portraitgen"
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base) / "portraitgen" if base else home_folder() / ".cache/portraitgen"


def utf_8_path(path: Path) -> str:
    """A path for libraries that take no names but those in UTF-8: itself, or a link to it.

    The link lasts as long as the process.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        target = os.path.abspath(path)
        name = hashlib.sha256(os.fsencode(target)).hexdigest()[:32]
        link = _own_temporary_folder() / (name + (path.suffix if path.suffix.isascii() else ""))
        with suppress(FileExistsError):
            link.symlink_to(target)
        return str(link)
    return str(path)


@cache
def _own_temporary_folder() -> Path:
    # Of no name that another user could have taken: compiled code is read from there.
    folder = tempfile.mkdtemp(prefix="portraitgen-")
    maker = os.getpid()

    def remove() -> None:
        # A copy of this process that ends before it leaves it the folder.
        if os.getpid() == maker:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return Path(folder)


def user_data_folder(variable: str, name: str) -> Path:
    """The folder for what a user keeps beyond any shot, as models and looks.

    Args:
        variable: of the environment, which names the folder where it is set.
        name: of the folder within the platform's folder for data.
    """
    if given := os.environ.get(variable):
        return user_path(given).absolute()
    home = home_folder()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "portraitgen" / name
