# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How sharp and how steady edits are delivered over their plate, at the plate's resolution."""

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from portraitgen.body.surface import Surface
from portraitgen.footage.crop import crop
from portraitgen.images import read_channels, save_png, to_float
from portraitgen.pipeline.data.crops import load_matte
from portraitgen.pipeline.data.edit_mask import EditMask
from portraitgen.pipeline.data.key_frames import keep_key
from portraitgen.pipeline.data.pictures import sheet
from portraitgen.pipeline.data.shots import Track, body_of, create_shot, plate_of
from portraitgen.pipeline.jobs.edit import EditOptions
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.requests.preview import preview_frame
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.renders import render_of
from portraitgen.shot import Shot
from synthetic.clip import write_clip

from .avatar import CLIP

_ALL, _FRAMES = "1-120", "1-24"
_STEPS, _EDIT_STEPS, _LEARNT = 300, 1, 400
_EDITORS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("bronze", "statue", {}),
    ("toon", "toon", {}),
    ("pixel", "pixel", {}),
    ("relight", "relight", {}),
)
_CARRIED = ("bronze", "toon")
_POINTS, _FACING, _COVERED = 400, 0.6, 0.99
_INNER = 0.95

Pictures = Mapping[int, np.ndarray]


def measure(footage: Path | None, out: Path) -> dict[str, str]:
    """Edits 24 frames of a clip, or of the synthetic performer without one, by editors of frames;
    then by some of them as editors are whose edits only the avatar knows: 16 key frames of 120 are
    edited, and all frames show what is carried from them.

    Writes delivery_EDITOR.png: the plate, single frames and what is delivered, at the plate's size.

    Returns:
        For each editor: sharpness (mean Laplacian inside the matte) over that of the same editor
        on single frames at the plate's resolution; flicker on skin (second difference over time
        at points of the face, grey levels) of both, over the plate's own; seconds a frame.
    """
    figures: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        clip = footage / CLIP if footage else Path(folder) / "performer.mp4"
        if not footage:
            write_clip(clip.with_suffix(""), frames=24, size=512, identity=0, light="studio")
        shot = create_shot(Path(folder) / "shot", clip, {})
        run("track", shot.path, {"frames": _ALL if footage else _FRAMES}, Reporter())
        run("reconstruct", shot.path, {"steps": _STEPS}, Reporter())
        for name, editor, options in _EDITORS:
            figures[name] = delivered(shot, name, editor, options, out)
        for name, editor, options in _EDITORS:
            if name in _CARRIED:
                figures[f"{name}, carried from key frames"] = carried(
                    shot, name, editor, options, out
                )
    return figures


def delivered(
    shot: Shot,
    take: str,
    editor: str,
    options: Mapping[str, object],
    out: Path,
    frames: str = _FRAMES,
) -> str:
    """The figures of one editor over some frames, as `measure` gives them."""
    words = {"take": take, "editor": editor, "editor_options": json.dumps(options)}
    run("edit", shot.path, words | {"steps": _EDIT_STEPS}, Reporter())
    single, _ = _rendered(shot, take, frames, 0.0)
    made, seconds = _rendered(shot, take, frames, 1.0)
    return _told(shot, single, made, seconds, out / f"delivery_{take}.png")


def carried(
    shot: Shot,
    take: str,
    editor: str,
    options: Mapping[str, object],
    out: Path,
    frames: str = _FRAMES,
    more: Mapping[str, object] | None = None,
) -> str:
    """The figures of one editor whose key frames' edits are carried, as `measure` gives them.

    A key frame that an artist has repainted, if by a pixel, is no longer what the editor makes of a
    frame of the plate: from then on only the avatar knows the edit, as with diffusion.

    Args:
        shot: edited by `delivered` before, by the same editor.
        more: settings of the edit besides.
    """
    words = {"take": take, "editor": editor, "editor_options": json.dumps(options)}
    single, _ = _rendered(shot, take, frames, 0.0)
    frame = shot.edit_record(take).key_frames[0]
    preview_frame(shot, frame, EditOptions(**words))
    kept = Path(keep_key(shot, take, frame).path)
    picture = cv2.imread(str(kept))
    assert picture is not None
    picture[0, 0] ^= 1
    cv2.imwrite(str(kept), picture)
    run("edit", shot.path, words | {"steps": _LEARNT, **(more or {})}, Reporter())
    made, seconds = _rendered(shot, take, frames, 1.0)
    return _told(shot, single, made, seconds, out / f"delivery_{take}_carried.png")


def _rendered(shot: Shot, take: str, frames: str, steady: float) -> tuple[Pictures, float]:
    """The full plates of a render, float32 (H, W, 3) by frame, and seconds a frame."""
    begun = time.monotonic()
    words = {"take": take, "plate": True, "steady": steady, "movie": False, "frames": frames}
    run("render", shot.path, words, Reporter())
    seconds = time.monotonic() - begun
    plates = render_of(shot.path / "takes" / take).full_plates()
    pictures = {frame: read_picture(path) for frame, path in plates.items()}
    return pictures, seconds / len(pictures)


def _told(shot: Shot, single: Pictures, made: Pictures, seconds: float, path: Path) -> str:
    """The figures of what is delivered beside single frames, and a picture of both."""
    scene = _Scene(shot, sorted(single))
    own = scene.flicker(scene.plate)
    middle = sorted(made)[len(made) // 2]
    box = scene.track.box(middle)
    side = round(box.side)
    shown = [crop(each[middle], box, side)[0] for each in (scene.plate, single, made)]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(path, sheet([shown], ["plate", "single frames", "delivered"], side))
    return (
        f"sharpness {scene.sharpness(made) / scene.sharpness(single):.2f} of single frames',"
        f" flicker x {scene.flicker(made) / own:.2f} (single frames x"
        f" {scene.flicker(single) / own:.2f}), {seconds:.2f} s a frame"
    )


def read_picture(path: Path) -> np.ndarray:
    """A picture of 8 or 16 bits, float32 (H, W, 3), 0..1."""
    codes = read_channels(path)
    assert codes is not None
    return to_float(codes[..., :3])


class _Scene:
    """A shot's plate, and what pictures over it are measured with."""

    def __init__(self, shot: Shot, frames: list[int]) -> None:
        base = shot.version_folder("avatar")
        self.track = track = Track(shot, shot.avatar_record(int(base.name)).track)
        parts = EditMask(body_of(shot), track, "")
        self._frames = track.tracked(frames)
        plate = plate_of(shot)
        self.plate = dict(plate.frames(self._frames))
        plate.close()
        self._surfaces = {}
        for frame in self._frames:
            box = track.box(frame)
            camera = track.camera.window(box, round(box.side))
            self._surfaces[frame] = parts.surface(frame, camera)
        first = self._frames[len(self._frames) // 2]
        matte = self._matte(first)
        surface = self._surfaces[first]
        skin = np.zeros(len(surface.faces), bool)
        skin[np.asarray(body_of(shot).parts["face"])] = True
        there = (surface.face >= 0) & (surface.facing() > _FACING) & (matte > _COVERED)
        there[there] = skin[surface.face[there]]
        rows, columns = np.nonzero(there)
        chosen = np.random.default_rng(0).choice(len(rows), min(_POINTS, len(rows)), replace=False)
        at = rows[chosen], columns[chosen]
        self._corners = surface.faces[surface.face[at]]
        self._weights = surface.barycentric[at][..., None]

    def _matte(self, frame: int) -> np.ndarray:
        side = round(self.track.box(frame).side)
        return to_float(load_matte(self.track, frame, side))

    def _points(self, surface: Surface) -> np.ndarray:
        points = (surface.vertices[self._corners] * self._weights).sum(1)
        return surface.camera.project(points.astype(np.float64)).astype(np.float32) - 0.5

    def _window(self, picture: np.ndarray, frame: int) -> np.ndarray:
        box = self.track.box(frame)
        return crop(picture, box, round(box.side))[0]

    def flicker(self, pictures: Pictures) -> float:
        """Grey levels by which points of the face jump, by second differences over time."""
        values = []
        for frame in self._frames:
            places = self._points(self._surfaces[frame])
            smooth = cv2.GaussianBlur(self._window(pictures[frame], frame), (0, 0), 1.0)
            found = cv2.remap(smooth, places[None, :, 0], places[None, :, 1], cv2.INTER_LINEAR)
            values.append(255 * found[0].mean(-1))
        course = np.stack(values)
        jumps = course[2:] - 2 * course[1:-1] + course[:-2]
        return float(np.median(np.abs(jumps)) / np.sqrt(6))

    def sharpness(self, pictures: Pictures) -> float:
        """Mean absolute Laplacian well inside the matte, grey levels."""
        found = []
        for frame in self._frames:
            inside = self._matte(frame) > _INNER
            grey = 255 * self._window(pictures[frame], frame).mean(-1)
            found.append(float(np.abs(cv2.Laplacian(grey, cv2.CV_32F))[inside].mean()))
        return float(np.mean(found))
