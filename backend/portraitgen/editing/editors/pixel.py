# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixel: a mosaic of few colours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np

from ...settings import option
from ..editor import EditorInfo, EditRequest
from ..overlays import FrameEditor


@dataclass(frozen=True)
class PixelOptions:
    """How coarse it is."""

    cells: int = option(64, "Cells across the window", minimum=8, maximum=256)
    colours: int = option(16, "Colours of the palette", minimum=2, maximum=64)


class Pixel(FrameEditor):
    """A mosaic with one palette for the whole shot."""

    info: ClassVar[EditorInfo] = EditorInfo(
        id="pixel",
        label="Pixel",
        description="A mosaic of few colours, one palette for the shot",
    )
    Options = PixelOptions

    def __init__(self, options: PixelOptions) -> None:
        super().__init__(options)
        self._palette: np.ndarray | None = None

    def prepare(self, samples: Sequence[EditRequest]) -> None:
        """Chooses the palette by k-means over the performer's colours."""
        colours = np.concatenate([each.source[each.matte > 0.5] for each in samples])
        if len(colours) < self.options.colours:
            return
        chosen = colours[np.linspace(0, len(colours) - 1, 20000).astype(int)].astype(np.float32)
        cv2.setRNGSeed(0)
        stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 30, 1e-4)
        labels = np.zeros((len(chosen), 1), np.int32)
        _, _, palette = cv2.kmeans(
            chosen, self.options.colours, labels, stop, 3, cv2.KMEANS_PP_CENTERS
        )
        self._palette = palette

    def learned(self) -> dict[str, object]:
        """The palette."""
        return {} if self._palette is None else {"palette": self._palette.tolist()}

    def restore(self, folder: Path, learned: Mapping[str, Any]) -> None:
        """Takes the palette up."""
        if learned:
            self._palette = np.array(learned["palette"], np.float32)

    def _edit(self, request: EditRequest) -> np.ndarray:
        height, width = request.source.shape[:2]
        cells = (self.options.cells, max(1, round(self.options.cells * height / width)))
        small = cv2.resize(request.source, cells, interpolation=cv2.INTER_AREA)
        if self._palette is not None:
            apart = ((small[..., None, :] - self._palette) ** 2).sum(-1)
            small = self._palette[apart.argmin(-1)]
        mosaic = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
        drawn: np.ndarray = request.source + request.strength * (mosaic - request.source)
        return drawn
