# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing a picture by OpenImageIO, in one step, and what is said where that fails."""

from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio  # noqa: N813

from ..errors import FootageError
from ..storage import atomic_path
from ..user_folders import utf_8_path


def spec_of(
    pixels: np.ndarray,
    channels: "list[str] | tuple[str, ...]",
    formats: "list[str] | tuple[str, ...]",
) -> "oiio.ImageSpec":
    """What a picture (H, W, C) is, to OpenImageIO: its channels' names and types."""
    height, width, count = pixels.shape
    widest = "float" if len(set(formats)) > 1 and "float" in formats else formats[0]
    spec = oiio.ImageSpec(width, height, count, oiio.TypeDesc(widest))
    spec.channelnames = tuple(channels)
    if len(set(formats)) > 1:
        spec.channelformats = tuple(oiio.TypeDesc(each) for each in formats)
    for index, name in enumerate(channels):
        if name == "A":
            spec.alpha_channel = index
    return spec


def write_image(path: Path, spec: "oiio.ImageSpec", pixels: np.ndarray) -> None:
    """Writes a picture.

    Raises:
        FootageError: if it cannot be written.
    """
    with atomic_path(path) as temporary:
        output = oiio.ImageOutput.create(utf_8_path(temporary))
        done = output and output.open(utf_8_path(temporary), spec) and output.write_image(pixels)
        finish(output, bool(done), path)


def finish(output: Any, done: bool, path: Path) -> None:
    """Closes an `ImageOutput` that has been written to, if it could be opened.

    Raises:
        FootageError: if not all was `done`.
    """
    if not done or not output.close():
        raise unwritten((output.geterror() if output else oiio.geterror()).strip(), path)


def unwritten(reason: str, path: Path) -> FootageError:
    """What is said of a frame that cannot be written."""
    return FootageError(
        f"the frame cannot be written ({reason})", path, "check the disk and the folder"
    )
