# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content Credentials for all that was rendered of a take."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ...errors import ShotError
from ...footage.encode import exr_attributes
from ...provenance.credentials import BESIDE, EMBEDDED, Signer
from ...provenance.statement import Statement
from ...shot import Shot
from ...storage import atomic_path, entries
from ..data.frame_identity import edit_shown
from ..data.provenance import statement_of
from ..data.shots import Track

_THREADS = 2


def sign_take(shot: Shot, take: str, out: Path, signer: Signer) -> Iterator[Path]:
    """Signs copies of a take's frames, pictures, full plates and movie, for delivery.

    What lies in the shot stays as it is: its frames vouch for their files by their digests.

    Args:
        out: the folder for the copies; what it holds of the same names is replaced.

    Yields:
        The files that hold the credentials.

    Raises:
        ShotError: if nothing was rendered, or a process renders; CredentialError: if signing fails.
    """
    folder = shot.take_folder(take)
    files = [
        path
        for place in ("frames", "plates")
        for path in (entries(folder / place) if (folder / place).is_dir() else [])
        if path.suffix.lower() in EMBEDDED or path.suffix.lower() in BESIDE
    ]
    movie = folder / f"{take}.mp4"
    files += [movie] if movie.exists() else []
    if not files:
        raise ShotError(f"take '{take}' is not rendered", shot.path, "render it first")
    plate = shot.footage_path
    ingredient = plate if plate.is_file() else None
    statements: dict[int, Statement] = {}

    def sign(path: Path) -> Path:
        place = out if path == movie else out / path.parent.name
        place.mkdir(parents=True, exist_ok=True)
        with atomic_path(place / path.name) as temporary:
            shutil.copyfile(path, temporary)
        return signer.sign(place / path.name, statements[_edit_of(shot, take, path)], ingredient)

    with shot.hold(f"frames:{take}", "sign"):
        for path in files:
            edit = _edit_of(shot, take, path)
            if edit not in statements:
                record = shot.edit_record(take, edit)
                track = Track(shot, shot.avatar_record(record.avatar).track)
                shown = shot.edit_folder(take, edit)
                statements[edit] = statement_of(shot, take, shown, record, record.avatar, track)
        # The library works outside of Python's own lock.
        with ThreadPoolExecutor(_THREADS) as pool:
            yield from pool.map(sign, files)


def _edit_of(shot: Shot, take: str, path: Path) -> int:
    """The edit that a file shows: a frame says it itself, what goes with it is its frame's."""
    frame = shot.path / "takes" / take / "frames" / f"{path.name.removesuffix(path.suffix)}.exr"
    shown = edit_shown(frame) if frame.exists() and exr_attributes(frame) else None
    return shown or int(shot.edit_folder(take).name)
