# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where compiled kernels are kept between runs. Standard library only until numba is asked for."""

import os
import tempfile
from pathlib import Path

from .user_folders import user_cache_folder


def prepare_jit_cache() -> Path:
    """Points numba's kernel cache at a writable folder and returns that folder.

    Call it before the first ``@njit(cache=True)`` is evaluated: numba otherwise writes beside the
    sources, which fails in a read-only installation. A ``NUMBA_CACHE_DIR`` set by the user is kept.
    Where the user's cache folder cannot be written the kernels go to a private temporary folder.
    """
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(chosen) if chosen else user_cache_folder() / "numba"
    if not _writable(folder):
        folder = Path(tempfile.mkdtemp(prefix="portraitgen-numba-"))
    os.environ["NUMBA_CACHE_DIR"] = str(folder)

    import numba

    # numba may have been imported, and have read the variable, before.
    setattr(numba.config, "CACHE_DIR", str(folder))  # noqa: B010
    return folder


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
