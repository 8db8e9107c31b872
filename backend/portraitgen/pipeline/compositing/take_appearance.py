# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a take looks like in a frame: the avatar that learned it, and what its editor adds."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ...avatar.avatar import Avatar, AvatarOutput
from ...editing.editor import Editor, EditRequest
from ...editing.overlays import AvatarOverlay, FrameEditor, PlateOverlay, RenderedEditor
from ...editing.registry import create_editor
from ...footage.crop import CompositeLayer, place
from ...images import as_picture, to_float
from ...records import EditRecord
from ..data.crops import Crops
from ..data.edit_mask import EditMask
from ..data.shots import Track


class TakeAppearance:
    """The colours of a take.

    Args:
        avatar: that learned the edit.
        edit: the edit's folder, None for the reconstruction.
        record: the edit's, None for the reconstruction.
        track, parts: where the body is.
    """

    def __init__(
        self,
        avatar: Avatar,
        edit: Path | None,
        record: EditRecord | None,
        track: Track,
        parts: EditMask,
    ) -> None:
        self.avatar = avatar
        self._track, self._parts = track, parts
        self._strength = record.strength if record else 1.0
        self._base = record.base if record else ""
        # Older edits kept nothing; they show what their avatar learned.
        learned = record.learned if record else {}
        # Edits from before it was said lie on the plate if they learned what that takes.
        said = record.edits_frames if record else False
        self._of_frames = (bool(learned) if said is None else said) and not self._base
        self._editor: Editor | None = None
        if edit is not None and record is not None and record.follows:
            self._editor = create_editor(record.editor, record.options)
            if isinstance(self._editor, RenderedEditor):
                self._editor.restore(edit, learned)

    @property
    def keeps_performer(self) -> bool:
        """Whether the plate's performer stays, with something laid over, instead of the avatar."""
        return self.edits_frames or (isinstance(self._editor, PlateOverlay) and not self._base)

    @property
    def edits_frames(self) -> bool:
        """Whether the take's editor edits every frame of the plate by itself."""
        return isinstance(self._editor, FrameEditor) and self._of_frames

    @property
    def keeps_grain(self) -> bool:
        """Whether its editor is to be given the plate's own pixels."""
        return isinstance(self._editor, FrameEditor) and self._editor.keeps_grain

    @property
    def strength(self) -> float:
        """How strong the edit is, 0..1."""
        return self._strength

    @property
    def wanted_frames(self) -> list[int]:
        """Frames whose windows `prepare` needs."""
        frames = self._editor.wanted_frames() if self._editor else []
        return [frame for frame in frames if frame in self._track.frames]

    def prepare(self, windows: Crops) -> None:
        """Shows the editor the windows of the wanted frames, if there are any."""
        if self._editor is None or not windows.frames:
            return
        shown = zip(windows.frames, windows.images, windows.mattes, windows.cameras, strict=True)
        self._editor.prepare(
            [
                self._parts.of_plate(
                    frame, to_float(image), to_float(matte, np.float64), camera, self._strength
                )
                for frame, image, matte, camera in shown
            ]
        )

    def colours(self, frame: int, rendered: np.ndarray, drawn: AvatarOutput) -> np.ndarray:
        """What a frame shows, float32 (H, W, 3) of 0..1, not multiplied by alpha.

        Args:
            frame: its number.
            rendered: the avatar's colours in it, as `carried_on` gives them.
            drawn: the avatar in it, with normals.
        """
        if not isinstance(self._editor, AvatarOverlay):
            return rendered
        assert drawn.normals is not None
        cover, normals = as_picture(drawn.alpha)[..., 0], as_picture(drawn.normals)
        return self._editor.over_avatar(
            EditRequest(frame, rendered, rendered, cover, normals, strength=self._strength)
        )

    def over_plate(
        self, frame: int, image: np.ndarray, matte: np.ndarray, laid: CompositeLayer
    ) -> CompositeLayer:
        """What a frame shows at its plate's resolution.

        Args:
            frame: its number.
            image: float32 (H, W, 3), the plate.
            matte: float32 (S, S), the performer's coverage of the frame's window.
            laid: the avatar laid over it.
        """
        if not isinstance(self._editor, PlateOverlay):
            return laid
        height, width = image.shape[:2]
        cover, rows, columns = place(matte, self._track.box(frame), width, height)
        part = self._track.camera.part(rows, columns)
        request = self._parts.of_plate(frame, image[rows, columns], cover, part, self._strength)
        colours, cover = self._editor.overlay(request)
        if self.keeps_performer:
            return replace(laid, colours=colours, cover=laid.cover * cover)
        # On another take the avatar stands for what is underneath.
        return replace(laid, colours=laid.colours + cover[..., None] * (colours - laid.colours))

    def of_frame(
        self, request: EditRequest, own: np.ndarray, image: np.ndarray, laid: CompositeLayer
    ) -> CompositeLayer:
        """What a frame shows at its plate's resolution, edited by itself.

        Args:
            request: the frame's window (N, N).
            own: float32 (N, N, 3), the performer's colours in it that nothing steadied.
            image: float32 (H, W, 3), the plate.
            laid: where the edit lies.
        """
        assert isinstance(self._editor, FrameEditor)
        colours = self._editor.edit_frame(request)
        cover = np.ones(request.matte.shape, np.float32)
        # As much of the plate as stays keeps its grain.
        colours = colours + (1 - request.strength) * (own - request.source)
        height, width = image.shape[:2]
        box = self._track.box(request.frame)
        placed, shown = (
            place(np.asarray(each, np.float32), box, width, height)[0] for each in (colours, cover)
        )
        return replace(laid, colours=placed, cover=laid.cover * shown)
