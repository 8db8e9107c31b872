# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any track of another program, told by what is in it."""

from pathlib import Path

from ..errors import ShotError
from .arrays_file import ForeignArrays, read_json
from .foreign_track import ForeignTrack
from .layouts_body import read_body
from .layouts_face import read_csv
from .layouts_face_json import read_blendshape_json
from .layouts_head import read_avatar_json, read_head


def read_track(path: Path) -> ForeignTrack:
    """A track of another program.

    Args:
        path: .npz, .npy, .json or .csv, or a folder with a file or a folder a frame.

    Raises:
        ShotError: if it cannot be read, is damaged, or has no layout that is known.
    """
    path = Path(path)
    if path.suffix.lower() in (".csv", ".txt"):
        return read_csv(path)
    if path.suffix.lower() == ".json" and not path.is_dir():
        content = read_json(path)
        track = read_avatar_json(path, content) or read_blendshape_json(path, content)
        if track is not None:
            return track
    arrays = ForeignArrays(path)
    found = read_head(arrays) or read_body(arrays)
    if found is None:
        names = ", ".join(repr(name) for name in list(arrays)[:6]) or "none"
        raise ShotError(
            f"its arrays ({names}) are of no layout that is known",
            path,
            "see docs/tracks.md for the layouts; global_orient and body_pose are the usual names",
        )
    if arrays.people:
        found.notes.append("of several people the first of every frame is taken")
    return found
