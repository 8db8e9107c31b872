# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edited key frames of a take: what their editor is shown, and what the avatar learns."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ...avatar.training import Trainer
from ...editing.editor import Editor, EditRequest, show_anchor
from ...editing.face import FaceAware
from ...editing.schedule import Schedule
from ...errors import EditError
from ...frames import spread
from ...images import as_picture, as_png, read_codes, to_codes, to_float
from ...storage import atomic_path, make_folder
from ..data.crops import Crops
from ..data.edit_mask import EditMask
from ..data.expression_guide import ExpressionGuide
from ..data.key_frames import KeptKeys
from .key_windows import KeyWindows, at_size

_SAMPLES = 8
# How strong the one-pass schedule's second round is.
_GENTLE = 0.35


class DatasetUpdate:
    """The edited key frames of a take, on disk and in the training set.

    Every edit is kept as `dataset/FRAME.STEP.png`, so that a resumed training sees at every step
    the images it would have seen. Where rendered frames take their detail from the key frames, they
    are edited, and kept, at the plate's size; of many rounds only the last.
    """

    def __init__(
        self,
        editor: Editor,
        aware: Editor | FaceAware,
        guide: ExpressionGuide,
        kept: KeptKeys,
        trainer: Trainer,
        windows: Crops,
        large: KeyWindows | None,
        colours: np.ndarray,
        plan: Schedule,
        parts: EditMask,
        strength: float,
        seed: int,
        work: Path,
    ) -> None:
        self.trainer = trainer
        self.plan = plan
        self.folder = work / "dataset"
        make_folder(self.folder)
        self._aware = aware
        self._guide = guide
        self._kept = kept
        self._windows = windows
        self._large = large
        self._latest: dict[int, np.ndarray] = {}
        self._colours = colours
        self._strength, self._seed = strength, seed
        self._parts = parts
        rows = set(spread(range(len(windows.frames)), _SAMPLES))
        rows |= set(windows.rows(editor.wanted_frames()))
        editor.prepare([self.request(row) for row in sorted(rows)])

    @torch.no_grad()
    def request(self, row: int, strength: float | None = None) -> EditRequest:
        """What the editor is shown of a row; the take's own strength by default."""
        output = self.trainer.render_row(row, normals=True)
        assert output.normals is not None
        frame = self._windows.frames[row]
        matte = to_float(self._windows.mattes[row])
        image = to_float(self._windows.images[row])
        surface = self._parts.surface(frame, self._windows.cameras[row])
        return EditRequest(
            frame=frame,
            rendered=as_picture(output.rgb),
            source=to_float(self._colours[row]),
            matte=matte,
            mask=self._parts.mask(surface, image, matte),
            surface=surface,
            normals=as_picture(output.normals),
            strength=self._strength if strength is None else strength,
            seed=self._seed,
        )

    def _shown(self, row: int, strength: float | None = None, large: bool = True) -> EditRequest:
        """A key frame as the editor is shown it, at the plate's size if it is to be large."""
        small = self.request(row, strength)
        if self._large is None or not large:
            return small
        before = self._latest.get(row)
        return self._large.request(small, None if before is None else to_float(before))

    def take_up(self, step: int) -> None:
        """Puts back the edits made before a step."""
        for edited, row in sorted(self.plan.edits.items()):
            if edited < step and self._path(row, edited).exists():
                self._replace(row, self._path(row, edited))

    def before(self, step: int) -> None:
        """Makes the edit that belongs before a step, or reads it back."""
        row = self.plan.edits.get(step)
        if row is None:
            return
        path = self._path(row, step)
        if not path.exists() or read_codes(path) is None:
            largest = self._large.side if self._large is not None else None
            size = self._colours.shape[1]
            edited = self._kept.picture(self._windows.frames[row], size, largest)
            if edited is None:
                share = _GENTLE if step in self.plan.gentle else 1.0
                last = max(at for at, other in self.plan.edits.items() if other == row)
                shown = self._shown(row, share * self._strength, step < 0 or step == last)
                request = replace(shown, again=self._again(row, step))
                edited = self._guide.guided(self._aware.edit(request), request)
            with atomic_path(path) as temporary:
                temporary.write_bytes(as_png(to_codes(edited)))
        self._replace(row, path)

    def _again(self, row: int, step: int) -> int:
        """How often the iterative schedule has edited a row before: each edit draws its noise, and
        how much of it, anew. Frames that are edited together share theirs."""
        if min(self.plan.edits) < 0:
            return 0
        return sum(row == other for at, other in self.plan.edits.items() if at < step)

    def _replace(self, row: int, path: Path) -> None:
        encoded = read_codes(path)
        if encoded is None:
            raise EditError("an edited key frame cannot be read", path, "delete it and run again")
        picture = to_float(encoded)
        self._latest[row] = encoded
        self.trainer.data.replace(row, at_size(picture, self._colours.shape[1]))
        if row == self.plan.anchor:
            shown = self._shown(row)
            picture = at_size(picture, shown.rendered.shape[0])
            show_anchor(self._aware, replace(shown, rendered=picture))

    def _path(self, row: int, step: int) -> Path:
        return self.folder / f"{self._windows.frames[row]:04d}.{max(step, 0):05d}.png"
