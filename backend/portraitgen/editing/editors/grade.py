# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grade: colours of a reference image, a look-up table or a few controls; alike in every frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...errors import EditError
from ...images import read_codes, to_float
from ...path_mapping import given_path
from ...settings import option
from ...storage import file_digest
from ..colour import LUMA, shoulder, to_display, to_linear, warmth
from ..editor import EditorInfo, EditRequest
from ..look_up_table import LookUpTable
from ..overlays import FrameEditor

_REGULARISER = 1e-4
_TABLE = "table"


@dataclass(frozen=True)
class GradeOptions:
    """Where the colours come from."""

    reference: str = option("", "An image whose colours the performer takes on", path=True)
    cube: str = option(
        "", "A look-up table (.cube, .3dl, .csp, .clf...) for display-referred colours", path=True
    )
    exposure: float = option(0.0, "Brighter or darker", unit="stops", minimum=-4, maximum=4)
    contrast: float = option(1.0, "Contrast about middle grey", minimum=0, maximum=3)
    saturation: float = option(1.0, "Colourfulness", minimum=0, maximum=3)
    temperature: float = option(0.0, "From cool to warm", minimum=-1, maximum=1)


class Grade(FrameEditor):
    """One map of colours for the whole shot."""

    info: ClassVar[EditorInfo] = EditorInfo(
        id="grade",
        label="Grade",
        description="Colours of a reference image, a look-up table or a few controls",
    )
    Options = GradeOptions
    keeps_grain = True

    def __init__(self, options: GradeOptions) -> None:
        super().__init__(options)
        self._matrix = np.eye(3, dtype=np.float32)
        self._from = np.zeros(3, np.float32)
        self._to = np.zeros(3, np.float32)
        self._cube = given_path(options.cube) if options.cube else None
        # A finished edit keeps a copy of its own.
        self._table: LookUpTable | None = None
        if self._cube and self._cube.exists():
            self._table = LookUpTable(self._cube)

    def state(self) -> str:
        """The table's file."""
        if self._cube is None:
            return ""
        self._look_up_table()
        return file_digest(self._cube)

    def kept_files(self) -> dict[str, Path]:
        """The table."""
        return {_TABLE + self._cube.suffix: self._cube} if self._cube else {}

    def learned(self) -> dict[str, object]:
        """The map of colours."""
        return {name: getattr(self, f"_{name}").tolist() for name in ("matrix", "from", "to")}

    def restore(self, folder: Path, learned: Mapping[str, Any]) -> None:
        """Takes the map up, and reads the copy of the table that the edit keeps."""
        if self._cube:
            self._cube = folder / (_TABLE + self._cube.suffix)
            self._table = LookUpTable(self._cube)
        for name in ("matrix", "from", "to") if learned else ():
            setattr(self, f"_{name}", np.array(learned[name], np.float32))

    def _look_up_table(self) -> LookUpTable:
        if self._table is None:
            self._table = LookUpTable(self._cube or Path())
        return self._table

    def prepare(self, samples: Sequence[EditRequest]) -> None:
        """Fits the map from the shot's colours to the reference's (linear Monge-Kantorovich).

        After Pitie and Kokaram, "The Linear Monge-Kantorovitch Linear Colour Mapping" (2007).
        """
        if not self.options.reference:
            return
        path = given_path(self.options.reference)
        encoded = read_codes(path)
        if encoded is None:
            raise EditError("the reference image cannot be read", path, "give a PNG or JPEG")
        reference = to_float(encoded.reshape(-1, 3))
        own = np.concatenate([each.source[each.matte > 0.9] for each in samples])
        if len(own) < 10:
            raise EditError("the performer fills too few pixels", self.info.id, "check the matte")
        self._from, self._to = own.mean(0), reference.mean(0)
        eye = _REGULARISER * np.eye(3)
        before, after = np.cov(own.T) + eye, np.cov(reference.T) + eye
        root = _power(before, 0.5)
        inverse = _power(before, -0.5)
        self._matrix = (inverse @ _power(root @ after @ root, 0.5) @ inverse).astype(np.float32)

    def _edit(self, request: EditRequest) -> np.ndarray:
        options = self.options
        image = (request.source - self._from) @ self._matrix.T + self._to
        image = np.clip(image, 0, 1)
        if self._cube is not None:
            image = np.clip(self._look_up_table().map(image), 0, 1)
        light = to_linear(image) * (2.0**options.exposure) * warmth(options.temperature)
        image = to_display(shoulder(light) if options.exposure > 0 else light)
        image = 0.5 + (image - 0.5) * options.contrast
        grey = image @ LUMA
        image = grey[..., None] + (image - grey[..., None]) * options.saturation
        graded: np.ndarray = request.source + request.strength * (image - request.source)
        return graded


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 1e-12) ** exponent) @ vectors.T
