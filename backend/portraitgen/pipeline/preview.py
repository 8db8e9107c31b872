# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One frame through an editor, in seconds, before a take is made."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..editing.editor import EditRequest
from ..editing.registry import create_editor
from ..footage.matte import foreground_colours
from ..shot import Shot, read_json
from .avatars import frame_parameters, load_avatar
from .pictures import save_png
from .reporter import Reporter
from .shots import Track, body_of
from .windows import load_windows


def preview_frame(params: dict[str, Any]) -> dict[str, Any]:
    """Edits one frame and writes it beside the shot's jobs.

    Args:
        params: shot, frame, editor, and optionally options, strength, seed and commercial.

    Returns:
        path: a PNG of the window, edited over its plate.
    """
    shot, frame = Shot.open(Path(params["shot"])), int(params["frame"])
    editor = create_editor(
        params["editor"], params.get("options") or {}, bool(params.get("commercial", False))
    )
    base = shot.version_folder("avatar")
    facts = read_json(base / "avatar.json")
    track = Track(shot, facts["track"])
    windows = load_windows(shot, track, [frame], int(facts["size"]), Reporter())
    image, matte = windows.images[0], windows.mattes[0]
    avatar = load_avatar(base, body_of(shot))
    with torch.no_grad():
        output = avatar.render(
            frame_parameters(track.motion, [frame]),
            torch.from_numpy(windows.cameras[0].matrix())[None],
            int(facts["size"]),
            normals=True,
        )
    assert output.normals is not None
    request = EditRequest(
        frame=frame,
        rendered=output.rgb[0].permute(1, 2, 0).numpy(),
        source=foreground_colours(image, matte).astype(np.float32) / 255,
        matte=matte.astype(np.float32) / 255,
        normals=output.normals[0].permute(1, 2, 0).numpy(),
        strength=float(params.get("strength", 1.0)),
        seed=int(params.get("seed", 0)),
    )
    editor.prepare([request])
    edited = editor.edit(request)
    alpha = request.matte[..., None]
    over = edited * alpha + image.astype(np.float32) / 255 * (1 - alpha)
    path = save_png(shot.path / "jobs" / f"preview.{frame:04d}.png", over)
    return {"path": str(path)}
