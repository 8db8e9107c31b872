# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One frame through an editor, in seconds, before a take is made."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from ...avatar.avatar import Avatar
from ...editing.editor import EditRequest
from ...editing.overlays import AvatarOverlay, FrameEditor
from ...editing.paint_layers import PaintedFrames
from ...editing.registry import create_editor
from ...images import as_picture, save_png
from ...shot import Shot, check_take_name
from ..compositing.frame_windows import normals_at
from ..data.avatars import frame_parameters, load_avatar
from ..data.crops import LARGEST, Crops, load_crops
from ..data.edit_mask import EditMask
from ..data.key_frames import tried_path
from ..data.shots import Track, body_of
from ..jobs.edit import (
    EditOptions,
    base_of,
    editor_values,
    expression_guide,
    face_aware,
    sources_of,
)
from ..run.progress import Reporter


def preview_frame(shot: Shot, frame: int, options: EditOptions) -> Path:
    """Edits one frame as a take with these options would be, and writes it beside the shot's jobs.

    The picture alone is kept in the take too, from where it can be made a key frame.

    Returns:
        A PNG of the window, edited over its plate.

    Raises:
        EditError: if the editor cannot be used; ShotError: if nothing was reconstructed.
    """
    editor = create_editor(
        options.editor, editor_values(options.editor_options), options.commercial
    )
    if options.take:
        check_take_name(options.take)
        editor.use_take(shot.path / "takes" / options.take)
    base = shot.version_folder("avatar")
    plain = shot.avatar_record(int(base.name))
    track = Track(shot, plain.track)
    body = body_of(shot)
    wanted = [each for each in editor.wanted_frames() if each in track.frames]
    size = plain.size
    if isinstance(editor, FrameEditor) and not options.base:
        # As it is delivered: at the plate's resolution.
        size = max(size, min(LARGEST, round(track.box(frame).side)))
    windows = load_crops(shot, track, sorted({frame, *wanted}), size, Reporter())
    painted = PaintedFrames(shot.path / "takes" / options.take / "mask")
    parts = EditMask(body, track, options.parts, painted)
    parts.learn(windows)
    under = base_of(shot, options.take, options.base, int(base.name))
    avatar = load_avatar(under or base, body)
    sources = sources_of(windows, track, avatar if under else None)
    requests = {
        each: _request(avatar, plain.size, track, parts, windows, sources, row, options)
        for row, each in enumerate(windows.frames)
    }
    request, image = requests[frame], windows.images[windows.row(frame)]
    editor.prepare(list(requests.values()))
    edited = face_aware(editor, body, options.face).edit(request)
    with closing(expression_guide(editor, options.expression)) as guide:
        edited = guide.guided(edited, request)
    if options.take:
        save_png(tried_path(shot, options.take, frame), edited)
    if isinstance(editor, AvatarOverlay):
        edited = editor.over_avatar(replace(request, rendered=edited))
    alpha = request.matte[..., None]
    over = edited * alpha + image.astype(np.float32) / 255 * (1 - alpha)
    return save_png(shot.path / "jobs" / f"preview.{frame:04d}.png", over)


def _request(
    avatar: Avatar,
    size: int,
    track: Track,
    parts: EditMask,
    windows: Crops,
    sources: np.ndarray,
    row: int,
    options: EditOptions,
) -> EditRequest:
    frame, camera = windows.frames[row], windows.cameras[row]
    image, matte = windows.images[row], windows.mattes[row]
    with torch.no_grad():
        output = avatar.render(
            frame_parameters(track.motion, [frame]),
            torch.from_numpy(track.camera.window(track.box(frame), size).matrix())[None],
            size,
            normals=True,
        )
    assert output.normals is not None
    side = image.shape[0]
    rendered = as_picture(output.rgb)
    if side != size:
        rendered = cv2.resize(rendered, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    surface, coverage = parts.surface(frame, camera), matte.astype(np.float32) / 255
    return EditRequest(
        frame=frame,
        rendered=rendered,
        source=sources[row].astype(np.float32) / 255,
        matte=coverage,
        normals=normals_at(as_picture(output.normals), side),
        strength=options.strength,
        seed=options.seed,
        mask=parts.mask(surface, image.astype(np.float32) / 255, coverage),
        surface=surface,
    )
