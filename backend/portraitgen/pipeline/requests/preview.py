# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One frame through an editor, in seconds, before a take is made.

An editor that edits frames of the plate by itself, or lies on the plate, needs the track alone:
the body's normals stand for the avatar's. Others repaint the avatar, and need one.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from ...avatar.avatar import Avatar
from ...body.model import BodyModel
from ...editing.editor import Editor, EditRequest
from ...editing.overlays import AvatarOverlay, FrameEditor, PlateOverlay
from ...editing.paint_layers import PaintedFrames
from ...editing.registry import create_editor
from ...errors import EditError
from ...footage.crop import composite, composite_layer, crop, place
from ...images import as_picture, save_png, to_codes, to_float
from ...messages.takes import FrameTried
from ...shot import Shot, check_take_name
from ..compositing.frame_windows import matte_at_plate, normals_at
from ..compositing.key_detail import sharpened
from ..compositing.plate_compositor import feather
from ..data.avatars import frame_parameters, load_avatar
from ..data.crops import LARGEST, Crops, load_crops, load_matte, painting_side
from ..data.edit_mask import EditMask
from ..data.key_frames import tried_path
from ..data.shots import Track, body_of, plate_of
from ..jobs.edit import (
    EditOptions,
    base_of,
    editor_values,
    expression_guide,
    face_aware,
    sources_of,
)
from ..run.progress import Reporter

# As the render job keeps the plate's fine detail in what an avatar shows.
_DETAIL = 0.8


@dataclass(frozen=True)
class _Under:
    """What a take is edited on.

    Attributes:
        track: where the body is.
        avatar: that shows it, None if the editor needs none and there is none.
        size: of the avatar's windows.
        base: the edit that the take builds on, None for the plate.
    """

    track: Track
    avatar: Avatar | None
    size: int
    base: Path | None


def preview_frame(shot: Shot, frame: int, options: EditOptions) -> FrameTried:
    """Edits one frame as a take with these options would be, and writes it beside the shot's jobs.

    The picture alone is kept in the take too, from where it can be made a key frame.

    Returns:
        PNG files: the whole plate with the edit laid over it, the plate as it is, and the edit's
        window.

    Raises:
        EditError: if the editor cannot be used, or needs an avatar and there is none;
        ShotError: if nothing was tracked.
    """
    editor = create_editor(
        options.editor, editor_values(options.editor_options), options.commercial
    )
    if options.take:
        check_take_name(options.take)
        editor.use_take(shot.path / "takes" / options.take)
    body = body_of(shot)
    under = _under(shot, editor, options, body)
    track = under.track
    if frame not in track.tracked([frame]):
        raise EditError("the performer was not tracked here", f"frame {frame}", "try another frame")
    wanted = [each for each in editor.wanted_frames() if each in track.frames]
    size = under.size
    if not (options.base or isinstance(editor, PlateOverlay)):
        # As it is delivered, or as a key frame is edited: at the plate's resolution.
        size = max(size, min(LARGEST, round(track.box(frame).side)))
    painted = PaintedFrames(shot.path / "takes" / options.take / "mask")
    parts = EditMask(body, track, options.parts, painted)
    with closing(plate_of(shot)) as plate:
        frames = sorted({frame, *wanted})
        windows = load_crops(shot, track, frames, size, Reporter(), plate)
        (_, codes), *_ = plate.frames_uint8([frame])
    parts.learn(windows)
    sources = sources_of(windows, track, under.avatar if under.base else None)
    requests = {
        each: _request(under, parts, windows, sources, row, options)
        for row, each in enumerate(windows.frames)
    }
    request = requests[frame]
    editor.prepare(list(requests.values()))
    edited = face_aware(editor, body, options.face).edit(request)
    edited = expression_guide(editor, options.expression).guided(edited, request)
    if options.take:
        save_png(tried_path(shot, options.take, frame), edited)
    cover = np.ones(request.matte.shape, np.float32)
    if isinstance(editor, FrameEditor) and not options.base:
        edited = editor.edit_frame(request)
    elif isinstance(editor, AvatarOverlay):
        edited = editor.over_avatar(replace(request, rendered=edited))
    if request.mask is not None:
        cover = cover * request.mask
    detail = 0.0 if _on_plate(editor, options) else _DETAIL
    over = _over_plate(track, frame, codes, edited, cover, request.rendered, detail)
    # Each take keeps its own: Blender shows the last one of every take.
    name = ".".join(["preview", *filter(None, [options.take]), f"{frame:04d}"])
    path = shot.path / "jobs" / name

    def written(what: str, picture: np.ndarray) -> str:
        return str(save_png(path.with_name(f"{name}{what}.png"), picture))

    window, _ = crop(to_codes(over), track.box(frame), request.matte.shape[0])
    return FrameTried(
        path=written("", over),
        plate=written(".plate", to_float(codes)),
        window=written(".window", to_float(window)),
        notes=tuple(parts.notes),
    )


def _on_plate(editor: Editor, options: EditOptions) -> bool:
    """Whether the plate's performer stays, edited or with something laid over."""
    return isinstance(editor, FrameEditor | PlateOverlay) and not options.base


def _under(shot: Shot, editor: Editor, options: EditOptions, body: BodyModel) -> _Under:
    if not shot.versions("avatar") and _on_plate(editor, options):
        track = Track(shot)
        first = track.box(track.frames[0])
        return _Under(track, None, painting_side(first), None)
    if not shot.versions("avatar") and shot.versions("track"):
        raise EditError(
            f"{editor.info.label} edits the avatar, and there is none yet",
            shot.path,
            "reconstruct first, or try an editor that lies on the plate (grade, relight, ...)",
        )
    folder = shot.version_folder("avatar")
    record = shot.avatar_record(int(folder.name))
    base = base_of(shot, options.take, options.base, int(folder.name))
    avatar = load_avatar(base or folder, body)
    return _Under(Track(shot, record.track), avatar, record.size, base)


def _request(
    under: _Under,
    parts: EditMask,
    windows: Crops,
    sources: np.ndarray,
    row: int,
    options: EditOptions,
) -> EditRequest:
    frame, camera = windows.frames[row], windows.cameras[row]
    image, matte = windows.images[row], windows.mattes[row]
    source = to_float(sources[row])
    surface, coverage = parts.surface(frame, camera), to_float(matte)
    rendered, normals = source, surface.normals
    if under.avatar is not None:
        rendered, normals = _drawn(under.avatar, under, frame, image.shape[0])
        if image.shape[0] > under.size:
            rendered = sharpened(rendered, source, coverage, under.size)
    return EditRequest(
        frame=frame,
        rendered=rendered,
        source=source,
        matte=coverage,
        normals=normals(),
        strength=options.strength,
        seed=options.seed,
        mask=parts.mask(surface, to_float(image), coverage),
        surface=surface,
    )


@torch.no_grad()
def _drawn(
    avatar: Avatar, under: _Under, frame: int, side: int
) -> tuple[np.ndarray, Callable[[], np.ndarray]]:
    """What the avatar shows of a frame's window, (side, side, 3), and what gives its normals."""
    size = under.size
    output = avatar.render(
        frame_parameters(under.track.motion, [frame]),
        torch.from_numpy(under.track.camera.window(under.track.box(frame), size).matrix())[None],
        size,
        normals=True,
    )
    rendered = as_picture(output.rgb)
    if side != size:
        rendered = cv2.resize(rendered, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    normals = output.normals
    assert normals is not None
    return rendered, lambda: normals_at(as_picture(normals), side)


def _over_plate(
    track: Track,
    frame: int,
    codes: np.ndarray,
    edited: np.ndarray,
    cover: np.ndarray,
    rendered: np.ndarray,
    detail: float,
) -> np.ndarray:
    """The plate with the edited window laid over it, float32 (H, W, 3).

    Args:
        codes: uint8 (H, W, 3), the plate.
        edited: float32 (S, S, 3); cover: (S, S), how far it may act; rendered: (S, S, 3), what
            the avatar showed before.
        detail: how much of the plate's fine detail the edit keeps.
    """
    height, width = codes.shape[:2]
    box = track.box(frame)
    side = max(1, round(box.side))
    window, _ = crop(codes, box, side)
    matte = to_float(matte_at_plate(load_matte(track, frame), window))
    matte = matte * feather(box, side, width, height)
    matte = matte * cv2.resize(cover, (side, side), interpolation=cv2.INTER_LINEAR)
    placed, rows, columns = place(matte, box, width, height)
    full = np.zeros((height, width), np.float32)
    full[rows, columns] = placed
    image = to_float(codes)
    laid = composite_layer(image, box, edited, full, reference=rendered, detail=detail)
    over, _ = composite(image, laid)
    return over
