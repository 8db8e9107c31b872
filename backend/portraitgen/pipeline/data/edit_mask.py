# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tracked body in each picture, and the mask of the parts that a take edits."""

import numpy as np

from ...body.camera import Camera
from ...body.model import BodyModel
from ...body.surface import Surface
from ...editing.editor import EditRequest
from ...editing.paint_layers import PaintedFrames, PaintedMask
from ...editing.part_segmentation import (
    ColourModel,
    face_labels,
    parse_parts,
    part_labels,
    part_mask,
    tones_of,
)
from ...errors import EditError
from ...frames import spread
from ...images import to_float
from ...records import PartsRecord
from .avatars import surface_of
from .crops import Crops
from .shots import Track

_LEARNT_FROM = 8
_MASK_SIZE = 512


class EditMask:
    """Where a take may edit.

    Args:
        body: the shot's body model.
        track: the track that the avatar was made on.
        text: part names as "hair,skin", empty for everything.
        painted: masks that an artist painted on frames of the shot; none by default.
        tones: the shot's colours of hair and skin, if they were learned before.

    Attributes:
        unpainted: the frames whose mask was given out and never painted.

    Raises:
        OptionError: if there is no such part, or the body model tells none.
        EditError: if a painted mask cannot be read, or lies on a frame that is not tracked.
    """

    def __init__(
        self,
        body: BodyModel,
        track: Track,
        text: str,
        painted: PaintedFrames | None = None,
        tones: ColourModel | None = None,
    ) -> None:
        self.names = parse_parts(text)
        self._body, self._track = body, track
        self._labels = face_labels(body.parts, len(body.faces)) if self.names else None
        self._tones = tones
        self.unpainted: list[int] = []
        self._painted = self._read(painted) if painted and painted.frames else None

    @classmethod
    def of(
        cls,
        body: BodyModel,
        track: Track,
        record: PartsRecord,
        painted: PaintedFrames | None = None,
    ) -> "EditMask":
        """As `record` told of an edit that is rendered now."""
        tones = ColourModel.from_json(record.tones) if record.tones else None
        return cls(body, track, ",".join(record.names), painted, tones)

    @property
    def everywhere(self) -> bool:
        """Whether the take edits the whole performer."""
        return self._labels is None and self._painted is None

    @property
    def notes(self) -> list[str]:
        """What was left out, for the artist."""
        if not self.unpainted:
            return []
        frames = "frame" if len(self.unpainted) == 1 else "frames"
        numbers = ", ".join(str(frame) for frame in self.unpainted)
        note = f"The mask of {frames} {numbers} has no paint yet and is left out"
        return [note if self._painted else f"{note}: the editor works on the whole performer"]

    def _read(self, painted: PaintedFrames) -> PaintedMask | None:
        covers = []
        for frame in painted.frames:
            if frame not in self._track.frames:
                raise EditError(
                    f"the mask lies on frame {frame}, which is not tracked",
                    painted.folder,
                    "delete it, and paint one on a tracked frame",
                )
            camera = self._track.camera.window(self._track.box(frame), _MASK_SIZE)
            cover = painted.read(frame, _MASK_SIZE)[1]
            if cover.any():
                covers.append((cover, self.surface(frame, camera)))
            else:
                self.unpainted.append(frame)
        return PaintedMask(covers) if covers else None

    def record(self) -> PartsRecord:
        """For edit.json."""
        return PartsRecord(tuple(self.names), self._tones.to_json() if self._tones else None)

    def surface(self, frame: int, camera: Camera) -> Surface:
        """The posed body in a frame's window."""
        return surface_of(self._track, self._body, frame, camera)

    def of_plate(
        self,
        frame: int,
        image: np.ndarray,
        matte: np.ndarray,
        camera: Camera,
        strength: float = 1.0,
    ) -> EditRequest:
        """A picture of the plate, float32 (H, W, 3), with the body and without normals."""
        return EditRequest(
            frame,
            image,
            image,
            matte.astype(np.float32),
            np.zeros_like(image),
            strength=strength,
            surface=self.surface(frame, camera),
        )

    def learn(self, windows: Crops) -> None:
        """Learns the shot's colours of hair and skin."""
        if self._labels is None:
            return
        rows = spread(range(len(windows.frames)), _LEARNT_FROM)
        surfaces = [self.surface(windows.frames[row], windows.cameras[row]) for row in rows]
        images = [to_float(windows.images[row]) for row in rows]
        mattes = [to_float(windows.mattes[row]) for row in rows]
        self._tones = tones_of(surfaces, images, mattes, self._labels)

    def mask(self, surface: Surface, image: np.ndarray, matte: np.ndarray) -> np.ndarray | None:
        """Where the edit may act, float32 (H, W); None for everywhere.

        Args:
            image: float32 (H, W, 3), the plate's window; matte: float32 (H, W).
        """
        mask = self._painted.seen_on(surface) if self._painted else None
        if self._labels is None:
            return mask
        drawn = part_labels(surface, image, matte, self._labels, self._tones)
        of_parts = part_mask(drawn, self.names)
        return of_parts if mask is None else of_parts * mask
