# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pickled tracks (.pkl, .pt, .pth) to .npz, in a process that can do no harm."""

import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import IO

from ..errors import ShotError
from ..storage import atomic_path
from .arrays_file import PICKLES

_SECONDS = 600
_MAIN = "portraitgen.interchange.unpickle_main"


def convert_track(source: Path, target: Path) -> dict[str, object]:
    """Makes an .npz of a pickle's arrays, or of a folder with a pickle a frame.

    Returns:
        path, and the names and shapes of the arrays.

    Raises:
        ShotError: if the file holds anything but numbers, or is damaged.
    """
    source, target = Path(source), Path(target)
    if target.suffix != ".npz":
        raise ShotError("the file must end in .npz", target, "give such a name")
    if target.exists():
        raise ShotError("the file is there already", target, "give another name")
    if source.exists() and not (source.is_file() or source.is_dir()):
        raise ShotError("this is no plain file", source, "give the right path")
    root = str(Path(__file__).parents[2])
    kept = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "TEMP", "TMP")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    environment["OPENBLAS_NUM_THREADS"] = "1"
    kind = ["folder"] if source.is_dir() else []
    try:
        with _packed(source) if kind else open(source, "rb") as file:
            done = subprocess.run(
                [sys.executable, "-P", "-m", _MAIN, *kind],
                stdin=file,
                capture_output=True,
                timeout=_SECONDS,
                env=environment,
                check=False,
            )
    except FileNotFoundError:
        raise ShotError("there is no such file", source, "give the right path") from None
    except subprocess.TimeoutExpired:
        raise ShotError("reading it took too long", source, "save it as .npz yourself") from None
    except OSError as error:
        raise ShotError(f"it cannot be read ({error})", source, "give the right path") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it is damaged"]
        raise ShotError(said[-1], source, "save its arrays with numpy.savez where it was made")
    with zipfile.ZipFile(io.BytesIO(done.stdout)) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    with atomic_path(target) as temporary:
        temporary.write_bytes(done.stdout)
    return {"path": str(target), "arrays": names}


def _packed(folder: Path) -> IO[bytes]:
    """A tar of a folder's pickles, a file a frame, named by their numbers.

    Raises:
        ShotError: if there are none, or some are of no or of one frame.
    """
    files = [each for each in folder.iterdir() if each.suffix.lower() in PICKLES + (".npy",)]
    numbers = [re.findall(r"\d{1,9}", each.stem) for each in files]
    by_frame = {int(each[-1]): file for each, file in zip(numbers, files, strict=True) if each}
    if not files or len(by_frame) < len(files):
        raise ShotError(
            "it is no folder of pickles with a frame's number in each name",
            folder,
            "give one file, or a folder such as metrical-tracker's checkpoint",
        )
    packed = tempfile.TemporaryFile()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for frame, file in sorted(by_frame.items()):
            archive.add(file.resolve(), str(frame), recursive=False)
    packed.seek(0)
    return packed
