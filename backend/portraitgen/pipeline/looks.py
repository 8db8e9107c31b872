# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a take looks like in a frame: the avatar that learned it, and what its editor adds."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..avatar.avatar import Avatar, AvatarOutput
from ..body.surface import Surface
from ..editing.editor import Editor, EditRequest
from ..editing.registry import create_editor
from ..footage.matte import foreground_colours
from .avatars import frame_parameters
from .local import Parts
from .pictures import as_picture
from .shots import Track
from .windows import Windows


@dataclass(frozen=True)
class Seen:
    """A frame's window as the plate shows it.

    Attributes:
        image: uint8 (S, S, 3); matte: uint8 (S, S).
        surface: the tracked body in it.
    """

    image: np.ndarray
    matte: np.ndarray
    surface: Surface


class Look:
    """The colours of a take.

    Args:
        avatar: that learned the edit.
        edit: the edit's folder, None for the reconstruction.
        facts: of the edit's edit.json.
        track, parts: where the body is.
    """

    def __init__(
        self,
        avatar: Avatar,
        edit: Path | None,
        facts: Mapping[str, Any],
        track: Track,
        parts: Parts,
    ) -> None:
        self.avatar = avatar
        self._track, self._parts = track, parts
        self._strength = float(facts.get("strength", 1.0))
        self._editor: Editor | None = None
        if edit is not None and facts.get("follows"):
            self._editor = create_editor(facts["editor"], facts["options"])
            self._editor.use_edit(edit)

    @property
    def follows(self) -> bool:
        """Whether `colours` looks at what the plate shows."""
        return self._editor is not None

    @property
    def wanted_frames(self) -> list[int]:
        """Frames whose windows `prepare` needs."""
        frames = self._editor.wanted_frames() if self._editor else []
        return [frame for frame in frames if frame in self._track.frames]

    @torch.no_grad()
    def prepare(self, windows: Windows) -> None:
        """Shows the editor the windows of the wanted frames, if there are any."""
        if self._editor is None or not windows.frames:
            return
        requests = []
        for frame, image, matte, camera in zip(
            windows.frames, windows.images, windows.mattes, windows.cameras, strict=True
        ):
            drawn = self.avatar.render(
                frame_parameters(self._track.motion, [frame]),
                torch.from_numpy(camera.matrix())[None],
                image.shape[0],
                normals=True,
            )
            surface = self._parts.surface(frame, camera)
            requests.append(self._request(frame, drawn, Seen(image, matte, surface)))
        self._editor.prepare(requests)

    def colours(self, frame: int, drawn: AvatarOutput, seen: Seen | None) -> np.ndarray:
        """What a frame shows, float32 (H, W, 3) of 0..1, not multiplied by alpha.

        Args:
            frame: its number.
            drawn: the avatar in it, with normals.
            seen: the plate, None where the avatar is drawn by itself (then only light is added) or
                nothing follows.
        """
        if self._editor is None:
            return as_picture(drawn.rgb)
        return self._editor.follow(self._request(frame, drawn, seen))

    def _request(self, frame: int, drawn: AvatarOutput, seen: Seen | None) -> EditRequest:
        assert drawn.normals is not None
        rendered, normals = as_picture(drawn.rgb), as_picture(drawn.normals)
        source, matte, surface = rendered, as_picture(drawn.alpha)[..., 0], None
        if seen is not None:
            source = foreground_colours(seen.image, seen.matte).astype(np.float32) / 255
            matte = seen.matte.astype(np.float32) / 255
            surface = seen.surface
        return EditRequest(
            frame, rendered, source, matte, normals, strength=self._strength, surface=surface
        )
