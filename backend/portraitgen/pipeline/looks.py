# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an edit looks like in a frame: the avatar that learned it, and what moves beyond that."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..avatar.avatar import Avatar, AvatarOutput
from ..editing.editor import Editor
from ..editing.registry import create_editor
from .pictures import as_picture


class Look:
    """The colours of a take.

    Args:
        avatar: that learned the edit.
        edit: the edit's folder, None for the reconstruction.
        facts: of the edit's edit.json.
    """

    def __init__(self, avatar: Avatar, edit: Path | None, facts: Mapping[str, Any]) -> None:
        self.avatar = avatar
        self._editor: Editor | None = None
        self._strength = float(facts.get("strength", 1.0))
        if edit is not None and facts.get("moves"):
            self._editor = create_editor(facts["editor"], facts["options"])
            self._editor.use_take(edit)

    def colours(self, frame: int, drawn: AvatarOutput) -> np.ndarray:
        """What a frame shows, float32 (H, W, 3) of 0..1, not multiplied by alpha.

        Args:
            frame: its number.
            drawn: the avatar in it, with normals.
        """
        picture = as_picture(drawn.rgb)
        if self._editor is None or drawn.normals is None:
            return picture
        normals, alpha = as_picture(drawn.normals), as_picture(drawn.alpha)[..., 0]
        return self._editor.follow(frame, picture, normals, alpha, self._strength)
