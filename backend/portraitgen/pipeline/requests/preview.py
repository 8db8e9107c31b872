# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One frame through an editor, in seconds, before a take is made."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...avatar.avatar import Avatar
from ...editing.editor import EditRequest
from ...editing.paint_layers import PaintedFrames
from ...editing.registry import create_editor
from ...images import as_picture, save_png
from ...shot import Shot, check_take_name
from ...storage import read_json
from ..data.avatars import frame_parameters, load_avatar
from ..data.crops import Crops, load_crops
from ..data.edit_mask import EditMask
from ..data.key_frames import tried_path
from ..data.shots import Track, body_of
from ..jobs.edit import base_of, expression_guide, face_aware, sources_of
from ..run.progress import Reporter


def preview_frame(params: dict[str, Any]) -> dict[str, Any]:
    """Edits one frame and writes it beside the shot's jobs.

    Args:
        params: shot, frame, editor, and optionally take, options, strength, seed, parts and
            base (the take it builds on), face, expression and commercial.

    Returns:
        path: a PNG of the window, edited over its plate.
    """
    shot, frame = Shot.open(Path(params["shot"])), int(params["frame"])
    editor = create_editor(
        params["editor"], params.get("options") or {}, bool(params.get("commercial", False))
    )
    if params.get("take"):
        check_take_name(params["take"])
        editor.use_take(shot.path / "takes" / params["take"])
    base = shot.version_folder("avatar")
    facts = read_json(base / "avatar.json")
    track = Track(shot, facts["track"])
    body, size = body_of(shot), int(facts["size"])
    wanted = [each for each in editor.wanted_frames() if each in track.frames]
    windows = load_crops(shot, track, sorted({frame, *wanted}), size, Reporter())
    painted = PaintedFrames(shot.path / "takes" / (params.get("take") or "") / "mask")
    parts = EditMask(body, track, params.get("parts") or "", painted)
    parts.learn(windows)
    under = base_of(shot, params.get("take", ""), params.get("base") or "", int(base.name))
    avatar = load_avatar(under or base, body)
    sources = sources_of(windows, track, avatar if under else None)
    requests = {
        each: _request(avatar, track, parts, windows, sources, row, params)
        for row, each in enumerate(windows.frames)
    }
    request, image = requests[frame], windows.images[windows.row(frame)]
    editor.prepare(list(requests.values()))
    edited = face_aware(editor, body, params.get("face") or "auto").edit(request)
    with closing(expression_guide(editor, float(params.get("expression", 1.0)))) as guide:
        edited = guide.guided(edited, request)
    if params.get("take"):
        save_png(tried_path(shot, params["take"], frame), edited)
    if editor.follows:
        edited = editor.follow(replace(request, rendered=edited))
    alpha = request.matte[..., None]
    over = edited * alpha + image.astype(np.float32) / 255 * (1 - alpha)
    path = save_png(shot.path / "jobs" / f"preview.{frame:04d}.png", over)
    return {"path": str(path)}


def _request(
    avatar: Avatar,
    track: Track,
    parts: EditMask,
    windows: Crops,
    sources: np.ndarray,
    row: int,
    params: dict[str, Any],
) -> EditRequest:
    frame, camera = windows.frames[row], windows.cameras[row]
    image, matte = windows.images[row], windows.mattes[row]
    with torch.no_grad():
        output = avatar.render(
            frame_parameters(track.motion, [frame]),
            torch.from_numpy(camera.matrix())[None],
            image.shape[0],
            normals=True,
        )
    assert output.normals is not None
    surface, coverage = parts.surface(frame, camera), matte.astype(np.float32) / 255
    return EditRequest(
        frame=frame,
        rendered=as_picture(output.rgb),
        source=sources[row].astype(np.float32) / 255,
        matte=coverage,
        normals=as_picture(output.normals),
        strength=float(params.get("strength", 1.0)),
        seed=int(params.get("seed", 0)),
        mask=parts.mask(surface, image.astype(np.float32) / 255, coverage),
        surface=surface,
    )
