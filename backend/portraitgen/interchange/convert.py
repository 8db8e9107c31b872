# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pickled tracks (.pkl, .pt, .pth) to .npz, in a process that can do no harm."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from ..errors import ShotError
from ..storage import atomic_path

_SECONDS = 600
_MAIN = "portraitgen.interchange.unpickle_main"


def convert_track(source: Path, target: Path) -> dict[str, object]:
    """Makes an .npz of a pickle's arrays.

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
    if source.exists() and not source.is_file():
        raise ShotError("this is no plain file", source, "give the right path")
    root = str(Path(__file__).parents[2])
    kept = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "TEMP", "TMP")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    environment["OPENBLAS_NUM_THREADS"] = "1"
    try:
        with open(source, "rb") as file:
            done = subprocess.run(
                [sys.executable, "-P", "-m", _MAIN],
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
