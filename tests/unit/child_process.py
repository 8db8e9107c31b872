# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of child processes that tests start."""

import os
from pathlib import Path

import portraitgen


def child_environment(**more: str) -> dict[str, str]:
    """An environment whose Python finds the portraitgen that is being tested.

    These are the sources beside the tests, or what the built wheel has installed.
    """
    package = str(Path(portraitgen.__file__).resolve().parents[1])
    return os.environ | {"PYTHONPATH": package} | more
