# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artist's looks: a folder of files, found by their names."""

import os
from pathlib import Path

from ...errors import EditError
from ...path_mapping import given_path
from ...user_folders import user_data_folder
from .look_file import LookFacts, read_facts

SUFFIX = ".safetensors"


def library_folder() -> Path:
    """Where looks are kept: PORTRAITGEN_LOOKS, or this user's data folder."""
    return user_data_folder("PORTRAITGEN_LOOKS", "looks")


def look_path(name: str) -> Path:
    """The file of a look: of the library if it is a bare name, else where it says.

    A bare name is found where `look learn --out` of that name has put it, whatever else is called
    so in the working folder: a folder of pairs has the name of its look by default.

    Raises:
        EditError: if none is named, or there is none.
    """
    if not name:
        raise EditError(
            "no look is chosen",
            "look",
            "give a file, or a name of the library (portraitgen look list)",
        )
    path = given_path(name)
    if path.name == name:
        own = library_folder() / (name if name.endswith(SUFFIX) else name + SUFFIX)
        tried = [path, own] if name.endswith(SUFFIX) else [own, path]
        path = next(filter(os.path.isfile, tried), own)
    if not os.path.isfile(path):
        raise EditError(
            "there is no such look", path, "choose another, or learn it (portraitgen look learn)"
        )
    return path


def looks_in(folder: Path) -> tuple[dict[Path, LookFacts], dict[Path, str]]:
    """The looks of a folder by file, and why others there cannot be used."""
    found, refused = {}, {}
    for path in sorted(folder.glob(f"[!.]*{SUFFIX}")) if folder.is_dir() else ():
        try:
            found[path] = read_facts(path)
        except EditError as error:
            refused[path] = f"{error.message}; {error.remedy}"
    return found, refused
