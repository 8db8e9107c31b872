# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How good a track is, on one picture a supervisor can read."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ...footage.crop import crop
from ...frames import spread
from ...images import save_png
from ...records import FrameQuality
from ...schema import Data
from ...shot import Shot
from ...storage import make_folder
from ..data.avatars import frame_parameters
from ..data.pictures import mesh_overlay, sheet
from ..data.shots import Track, body_of, plate_of

_SHOWN = 6
_SIDE = 320
_CURVE = 240
_MARGIN = 44
_FAIR, _POOR = 2.5, 6.0
_COLOURS = {
    "tracked": (0.35, 0.8, 0.95),
    "weak": (0.95, 0.55, 0.85),
    "bridged": (0.95, 0.75, 0.2),
    "lost": (0.9, 0.25, 0.2),
}
_TEXT = (0.85, 0.85, 0.85)
_GROUND = 0.13


@dataclass(frozen=True)
class TrackReport(Data):
    """A picture of how good a track is: where it lies, of which version, the frames it shows."""

    path: str
    version: int
    worst: tuple[int, ...]


def report(shot: Shot, version: int | None = None) -> TrackReport:
    """Draws the worst frames with the body over the plate, and the residual of every frame.

    Args:
        version: of the track, the latest by default.

    Raises:
        ShotError: if there is no such track.
    """
    track, body = Track(shot, version), body_of(shot)
    quality = track.record.quality
    seen = [each for each in quality if each.state != "lost"]
    worst = sorted(seen, key=_goodness)[:_SHOWN]
    pictures, labels = [], []
    with closing(plate_of(shot)) as plate:
        plates = {row.frame: plate.read(row.frame) for row in worst}
    for row in worst:
        frame = row.frame
        box = track.box(frame)
        window, _ = crop(plates[frame], box, _SIDE)
        parameters = frame_parameters(track.motion, [frame])
        posed = body.forward(
            torch.from_numpy(track.motion.betas)[None],
            parameters.pose,
            parameters.expression,
            parameters.transl,
        )
        camera = track.camera.window(box, _SIDE)
        mesh = mesh_overlay(window, posed.vertices[0].numpy(), body.faces.numpy(), camera)
        pictures.append([window, mesh])
        residual = row.landmark_residual_percent
        known = f"{residual:.2f} %" if residual is not None else row.state
        labels.append(f"{frame}: {known}")
    columns = [np.concatenate(pair, axis=0) for pair in pictures]
    top = sheet([columns], labels, 2 * _SIDE)
    canvas = np.concatenate([top, _curve(quality, top.shape[1])], axis=0)
    _title(canvas, shot, track)
    path = shot.path / "reports" / f"track_{track.version:04d}.png"
    make_folder(path.parent)
    save_png(path, canvas)
    return TrackReport(str(path), track.version, tuple(each.frame for each in worst))


def _goodness(frame: FrameQuality) -> tuple[float, float]:
    return frame.confidence, -(frame.landmark_residual_percent or 0.0)


def _curve(quality: Sequence[FrameQuality], width: int) -> np.ndarray:
    """The residual over the frames; where there is none, what became of the frame."""
    canvas = np.full((_CURVE + 2 * _MARGIN, width, 3), _GROUND, np.float32)
    known = [
        each.landmark_residual_percent
        for each in quality
        if each.landmark_residual_percent is not None
    ]
    high = max(3.0, 1.15 * max(known, default=0.0))
    left, right = _MARGIN, width - _MARGIN // 2
    bottom = _MARGIN // 2 + _CURVE

    def height_of(value: float) -> int:
        return round(bottom - min(value / high, 1) * _CURVE)

    step = (right - left) / max(len(quality), 1)
    for index, row in enumerate(quality):
        residual = row.landmark_residual_percent
        from_x, to_x = round(left + index * step), round(left + (index + 1) * step)
        top = height_of(residual) if residual is not None else _MARGIN // 2
        shade = 1.0 if residual is not None else 0.45
        bar = np.array(_COLOURS[row.state], np.float32) * shade
        canvas[top:bottom, from_x : max(to_x, from_x + 1)] = bar
    for value in (0.0, 1.5, _FAIR, _POOR):
        if value <= high:
            y = height_of(value)
            cv2.line(canvas, (left, y), (right, y), (0.5, 0.5, 0.5), 1)
            _write(canvas, f"{value:g} %", (4, y + 4))
    frames = [each.frame for each in quality]
    for index in spread(range(len(frames)), 9):
        _write(canvas, str(frames[index]), (round(left + index * step), bottom + 18))
    at = left
    for state, colour in _COLOURS.items():
        count = sum(each.state == state for each in quality)
        canvas[bottom + 30 : bottom + 42, at : at + 12] = np.array(colour, np.float32)
        _write(canvas, f"{state}: {count}", (at + 18, bottom + 41))
        at += 140
    _write(canvas, "residual of the landmarks, per cent of the eye distance", (at, bottom + 41))
    return canvas


def _title(canvas: np.ndarray, shot: Shot, track: Track) -> None:
    mean = track.record.summary.landmark_residual_percent
    words = f"{shot.path.name}, track {track.version}"
    words += f", mean residual {mean:.2f} %" if mean is not None else ""
    size = cv2.getTextSize(_plain(words), cv2.FONT_HERSHEY_SIMPLEX, 0.46, 1)[0][0]
    _write(canvas, words, (canvas.shape[1] - size - 10, canvas.shape[0] - 8))


def _plain(text: str) -> str:
    """What OpenCV has letters for; other marks end its process."""
    return text.encode("ascii", "replace").decode()


def _write(canvas: np.ndarray, text: str, place: tuple[int, int]) -> None:
    cv2.putText(canvas, _plain(text), place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, _TEXT, 1, cv2.LINE_AA)
