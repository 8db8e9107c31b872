# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look-up tables of every kind that OpenColorIO reads: .cube (1D and 3D), .3dl, .csp, .clf..."""

import re
from pathlib import Path

import numpy as np
import PyOpenColorIO as ocio  # noqa: N813

from ..errors import EditError
from ..storage import read_bytes

_LARGEST = 1 << 27
_NO_NUMBERS = re.compile(rb"(?im)^[ \t]*(?:[-+0-9.e]+[ \t]+)*[-+]?(?:nan|inf)\b")
_REMEDY = "give a .cube, .3dl, .csp, .spi3d or .clf file"


class LookUpTable:
    """A table that maps colours to colours.

    Args:
        path: the file.

    Raises:
        EditError: if it cannot be read, or holds what is no number.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise EditError("there is no such look-up table", path, "check the path")
        if path.stat().st_size > _LARGEST:
            raise EditError(
                f"the look-up table is larger than {_LARGEST >> 20} MB", path, "give a smaller one"
            )
        transform = ocio.FileTransform(
            src=str(path.absolute()),
            interpolation=ocio.INTERP_BEST,
            direction=ocio.TRANSFORM_DIR_FORWARD,
        )
        try:
            processor = ocio.Config.CreateRaw().getProcessor(transform)
            self._processor = processor.getOptimizedCPUProcessor(ocio.OPTIMIZATION_LOSSLESS)
        except (ocio.Exception, UnicodeError) as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            reason = lines[-1].rstrip(".") if lines else "it is of no known kind"
            raise EditError(
                f"the file is no 3D .cube or other look-up table ({reason[:200]})", path, _REMEDY
            ) from error
        # OpenColorIO reads such values as black.
        if _NO_NUMBERS.search(read_bytes(path, _LARGEST)):
            raise EditError("the look-up table holds what is no number", path, "export it again")

    def map(self, colours: np.ndarray) -> np.ndarray:
        """Colours (H, W, 3) float32 looked up, of the same shape."""
        result = np.array(colours, dtype=np.float32, order="C")
        self._processor.applyRGB(result)
        return result
