# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of the performer's expressions when an editor repaints them, with guidance and
without."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion
from portraitgen.editing.editor import EditRequest
from portraitgen.editing.schedule import pivots
from portraitgen.footage.crop import crop
from portraitgen.images import save_png, to_codes, to_float, to_grey
from portraitgen.pipeline.data.avatars import load_avatar
from portraitgen.pipeline.data.crops import Crops, load_crops
from portraitgen.pipeline.data.expression_guide import ExpressionGuide
from portraitgen.pipeline.data.pictures import on_grey, sheet
from portraitgen.pipeline.data.shots import Track, body_of
from portraitgen.pipeline.jobs.edit import sources_of
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.shot import Shot
from portraitgen.tracking.landmarks import FACE_POINTS, LandmarkDetector
from synthetic.acting import camera
from synthetic.render import Performer

from .synthetic import performed

_SIZE, _WINDOW, _FRAMES, _STEPS, _KEYS = 512, 256, 48, 700, 16
# An editor of faces: what is there fades, and much is added that was not, more or less by frame.
_KEPT, _LEAST, _MOST = 0.4, 0.5, 1.1
_ADDED = {
    "mouthSmileLeft": 0.6,
    "mouthSmileRight": 0.6,
    "cheekSquintLeft": 0.3,
    "cheekSquintRight": 0.3,
    "browInnerUp": 0.5,
    "jawOpen": 0.15,
}
_BRONZE, _SHEEN = (0.9, 0.65, 0.38), 0.25
_SHOWN = (6, 18, 30, 42)


def measure(footage: Path | None, out: Path) -> dict[str, float]:
    """Turns the performer into bronze by key frames in which he smiles, whatever he does.

    The pictures are rendered, so that what the edit should have been is known. Writes drift.png:
    what was meant, learned without drift, with it, and with guidance.

    Returns:
        How far the landmarks of the edited shot lie from those of what was meant, per cent of the
        eye distance, over all frames: of key frames that did not drift (the floor), of those that
        did, and of those with guidance.
    """
    body = BodyModel.load()
    with tempfile.TemporaryDirectory() as folder:
        shot, motion, _ = performed(Path(folder), frames=_FRAMES, size=_SIZE)
        run("reconstruct", shot.path, {"steps": _STEPS, "size": _WINDOW}, Reporter())
        track = Track(shot, shot.avatar_record().track)
        windows = load_crops(shot, track, track.frames, _WINDOW, Reporter())
        plain, other = Performer(body, motion), Performer(body, _drifted(body, motion))
        keys = [windows.frames[row] for row in pivots(track.motion, _KEYS)]
        guide = ExpressionGuide(1.0)
        takes: dict[str, list[np.ndarray]] = {"meant": [], "drifted": [], "guided": []}
        for frame in keys:
            row = windows.row(frame)
            meant, drifted = (_bronze(each, track, frame) for each in (plain, other))
            source = to_float(windows.images[row])
            matte = to_float(windows.mattes[row])
            request = EditRequest(frame, source, source, matte, source)
            takes["meant"].append(meant)
            takes["drifted"].append(drifted)
            takes["guided"].append(guide.guided(drifted, request))
        truth = [_bronze(plain, track, frame) for frame in windows.frames]
        own, shown, figures = landmarks(truth), [], {}
        mattes = [to_float(matte) for matte in windows.mattes]
        shown.append([on_grey(truth[row], mattes[row]) for row in _SHOWN])
        for take, pictures in takes.items():
            learned = _learned(shot, windows, track, take, dict(zip(keys, pictures, strict=True)))
            over = [
                picture * matte[..., None] + image * (1 - matte[..., None])
                for picture, matte, image in zip(learned, mattes, truth, strict=True)
            ]
            figures[f"{take}_drift_percent"] = drift(landmarks(over), own)[0]
            shown.append([on_grey(learned[row], mattes[row]) for row in _SHOWN])
    out.mkdir(parents=True, exist_ok=True)
    labels = [f"frame {windows.frames[row]}" for row in _SHOWN]
    save_png(out / "drift.png", sheet(shown, labels, _WINDOW))
    return figures


def _drifted(body: BodyModel, motion: Motion) -> Motion:
    """The motion with the expressions that the editor draws."""
    added = np.zeros(body.n_expression, np.float32)
    for name, value in _ADDED.items():
        added[body.expression_names.index(name)] = value
    amount = np.random.default_rng(3).uniform(_LEAST, _MOST, (len(motion), 1))
    expression = np.clip(motion.expression * _KEPT + added * amount, 0, 1)
    return replace(motion, expression=expression.astype(np.float32))


def _bronze(performer: Performer, track: Track, frame: int) -> np.ndarray:
    """A frame's window as the editor draws the performer in it."""
    seen = performer.render(frame, camera(_SIZE)).rgb
    picture, _ = crop(to_codes(seen), track.box(frame), _WINDOW)
    grey = to_float(to_grey(picture)[..., None])
    grey = np.clip(1.25 * (grey - 0.1), 0, 1)
    drawn = grey * np.array(_BRONZE, np.float32) + _SHEEN * grey**4
    return np.clip(drawn, 0, 1)


def _learned(
    shot: Shot, windows: Crops, track: Track, take: str, keys: dict[int, np.ndarray]
) -> list[np.ndarray]:
    """What the avatar shows in every frame once it has learned key frames, by the edit job."""
    for frame, picture in keys.items():
        save_png(shot.path / "takes" / take / "keys" / f"{frame:04d}.png", picture)
    run("edit", shot.path, {"take": take, "editor": "grade", "keys": 1}, Reporter())
    made = shot.edit_record(take)
    assert made.kept_frames == made.key_frames, "the editor drew some of the key frames"
    drawn = sources_of(windows, track, load_avatar(shot.edit_folder(take), body_of(shot)))
    return list(to_float(drawn))


def landmarks(pictures: list[np.ndarray]) -> np.ndarray:
    """The face's landmarks in pictures (H, W, 3) of 0..1, (N, L, 2) pixels, NaN without a face."""
    detector = LandmarkDetector()
    codes = [to_codes(picture) for picture in pictures]
    seen = detector.whole(range(len(codes)), codes)
    return seen.face.astype(np.float64)


def drift(found: np.ndarray, own: np.ndarray) -> tuple[float, int]:
    """How far faces drifted from their own: per cent of the eye distance, and in how many frames
    both were found.

    Of the expression, not of where the detector puts the whole face.
    """
    both = ~np.isnan(found[:, 0, 0]) & ~np.isnan(own[:, 0, 0])
    ours, meant = found[both, :FACE_POINTS], own[both, :FACE_POINTS]
    eyes = np.linalg.norm(meant[:, 33] - meant[:, 263], axis=1)
    ours = ours - ours.mean(1, keepdims=True) + meant.mean(1, keepdims=True)
    apart = 100 * np.linalg.norm(ours - meant, axis=2).mean(1) / eyes
    return float(apart.mean()) if both.any() else float("nan"), int(both.sum())
