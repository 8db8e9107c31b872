# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tracking and reconstruction of the synthetic performer, against the truth it was made from."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from portraitgen.body.model import BodyModel
from portraitgen.body.motion import ANY_VERTEX, Motion, posed
from portraitgen.pipeline.data.shots import Track
from portraitgen.pipeline.jobs.reconstruct import ReconstructOptions, training_data
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.shot import Shot
from portraitgen.tracking.landmarks import LandmarkDetector
from portraitgen.tracking.photometric import fit_photometric
from portraitgen.tracking.solve import TrackSettings, solve_track
from synthetic.acting import act, camera
from synthetic.render import Performer

from .steadiness import SHUT, closed_lids, noticed_units, steadiness
from .synthetic import performed

_PEOPLE = ((0, "studio"), (1, "studio"), (2, "left"))
# Tracked and not rebuilt, which takes minutes each.
_OTHERS = ((3, "right"), (4, "studio"), (5, "left"), (6, "right"), (7, "studio"), (8, "left"))
_SIZE = 512
_FRAMES = 48
_STEPS = 500
_STILL, _NOISE = 40, 3.0
_BLINK_REACH = 3
_SHOULDERS = [16, 17]
_HEAD_PARTS = ("face", "lips", "head", "scalp", "eyes")
_FOLLOWED = {
    "jaw": ("jawOpen",),
    "blink": ("eyeBlinkLeft", "eyeBlinkRight"),
    "smile": ("mouthSmileLeft", "mouthSmileRight"),
    "brow": ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
}


def measure(footage: Path | None, out: Path) -> dict[str, float]:
    """Tracks and rebuilds three performers of different identity and light; tracks six more.

    The focal length is given, as it would be from the plate's metadata.

    Returns:
        Means over the performers: head vertices (mm, after rigid alignment; `_scaled` with the
        best size too, which one camera cannot see; of the mean face for comparison), head turn
        (degrees) and place (mm; `_across` without depth), landmarks (per cent of the eye
        distance), how far shoulders stray across the line of sight, beyond what they are off over
        the whole shot (mm), correlation of expressions, frames between a blink and where it was
        found, jaw error, how many of the frames with shut eyes have them shut, facial units above a
        tenth (and the truth's), how much torso, head and shoulders tremble, held-out PSNR; each
        also `_aligned` with the plate's pixels and `_refined` with the avatar; the first two over
        all nine, too, `_nine`.
    """
    body = BodyModel.load()
    found: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for identity, light in _PEOPLE:
            shot, truth, figures = _tracked(body, Path(folder), identity, light)
            rebuilt = run("reconstruct", shot.path, {"steps": _STEPS}, Reporter()).told()
            figures |= {"held_out_psnr": rebuilt["psnr"], "held_out_ssim": rebuilt["ssim"]}
            refined = compare(body, truth, Track(shot).motion)
            figures |= {f"{name}_refined": value for name, value in refined.items()}
            found.append(figures)
        nine = found + [_tracked(body, Path(folder), *other)[2] for other in _OTHERS]
    figures = {name: float(np.mean([each[name] for each in found])) for name in found[0]}
    for name in nine[-1]:
        figures[f"{name}_nine"] = float(np.mean([each[name] for each in nine]))
    return figures | _rest_jitter(body)


def _tracked(
    body: BodyModel, folder: Path, identity: int, light: str
) -> tuple[Shot, Motion, dict[str, float]]:
    """A performer's shot, its truth, and how far the track is from it, as it is and aligned."""
    shot, truth, told = performed(
        folder, frames=_FRAMES, size=_SIZE, identity=identity, light=light
    )
    track = Track(shot)
    figures = {"landmark_residual_percent": told["landmark_residual_percent"]}
    figures |= compare(body, truth, track.motion)
    _, data = training_data(shot, track, track.frames, ReconstructOptions(), Reporter())
    aligned = compare(body, truth, data.motion)
    return shot, truth, figures | {f"{name}_aligned": value for name, value in aligned.items()}


def _rest_jitter(body: BodyModel) -> dict[str, float]:
    """How far the tracked head of a motionless performer in a noisy plate moves from frame to
    frame, root mean square, per cent of the face's width; by landmarks and aligned."""
    motion, lens = act(body, range(1, 2), 0), camera(_SIZE)
    still = Performer(body, motion).render(1, lens).rgb
    generator = np.random.default_rng(0)
    noisy = [
        np.clip(255 * still + generator.normal(0, _NOISE, still.shape), 0, 255).astype(np.uint8)
        for _ in range(_STILL)
    ]
    detector = LandmarkDetector()
    seen = detector.whole(range(1, _STILL + 1), noisy)
    settings = TrackSettings(focal=lens.fx)
    found = solve_track(body, seen, (_SIZE, _SIZE), settings).motion
    images, mattes = np.stack(noisy), np.full((_STILL, _SIZE, _SIZE), 255, np.uint8)
    aligned = fit_photometric(body, found, images, mattes, [lens] * _STILL)
    face = body.faces[body.parts["face"]].unique()
    figures = {}
    for name, each in (("", found), ("_aligned", aligned)):
        points = lens.project(_heads(body, each, face)[0])
        moved = np.sqrt((np.diff(points, axis=0) ** 2).sum(-1).mean())
        figures[f"rest_jitter{name}_percent"] = float(
            100 * moved / np.ptp(points[..., 0], axis=1).mean()
        )
    return figures


def compare(body: BodyModel, truth: Motion, motion: Motion) -> dict[str, float]:
    """How far a track of the same frames is from its truth."""
    chosen = torch.zeros(len(body.faces), dtype=torch.bool)
    for part in _HEAD_PARTS:
        chosen |= body.parts[part]
    vertices = body.faces[chosen].unique()
    real, real_turn = _heads(body, truth, vertices)
    ours, our_turn = _heads(body, motion, vertices)
    mean = _neutral(body, np.zeros_like(truth.betas), vertices)
    neutral = _neutral(body, truth.betas, vertices)
    apart = ours.mean(1) - real.mean(1)
    figures = {
        "head_vertices_mm": float(
            np.mean([_aligned_error(a, b) for a, b in zip(ours, real, strict=True)])
        ),
        "head_vertices_scaled_mm": float(
            np.mean([_aligned_error(a, b, True) for a, b in zip(ours, real, strict=True)])
        ),
        "mean_face_mm": _aligned_error(mean, neutral),
        "mean_face_scaled_mm": _aligned_error(mean, neutral, True),
        "head_turn_degrees": float(
            np.degrees(
                Rotation.from_matrix(our_turn.transpose(0, 2, 1) @ real_turn).magnitude()
            ).mean()
        ),
        "head_place_mm": float(np.linalg.norm(apart, axis=1).mean() * 1e3),
        "head_place_across_mm": float(np.linalg.norm(apart[:, :2], axis=1).mean() * 1e3),
        "shoulders_stray_mm": _stray(_shoulders(body, motion) - _shoulders(body, truth)),
    }
    names = body.expression_names
    for name, units in _FOLLOWED.items():
        columns = [names.index(unit) for unit in units]
        a = motion.expression[:, columns].mean(1)
        b = truth.expression[:, columns].mean(1)
        moved = a.std() > 0 and b.std() > 0
        figures[f"{name}_correlation"] = float(np.corrcoef(a, b)[0, 1]) if moved else 0.0
    jaw = names.index("jawOpen")
    opened = motion.expression[:, jaw] - truth.expression[:, jaw]
    figures["jaw_rmse"] = float(np.sqrt((opened**2).mean()))
    real_shut = closed_lids(body, truth) > SHUT
    if real_shut.any():
        found_shut = closed_lids(body, motion)[real_shut] > SHUT
        figures["shut_eyes_percent"] = 100 * float(found_shut.mean())
    figures["noticed_units"] = noticed_units(motion, motion.frames.tolist())
    figures["noticed_units_truth"] = noticed_units(truth, truth.frames.tolist())
    still = steadiness(body, motion, camera(_SIZE))
    figures |= {name: still[name] for name in ("torso_alternates_px", "head_mm", "shoulders_mm")}
    lids = [names.index(unit) for unit in _FOLLOWED["blink"]]
    figures["blink_off_frames"] = _blinks_off(
        truth.expression[:, lids].mean(1), motion.expression[:, lids].mean(1)
    )
    return figures


def _blinks_off(truth: np.ndarray, found: np.ndarray) -> float:
    """Mean number of frames between the height of each blink and that of what was found of it."""
    shut = np.concatenate([[False], truth > 0.5 * truth.max(), [False]])
    edges = np.flatnonzero(np.diff(shut.astype(int)))
    off = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        begin = max(0, first - _BLINK_REACH)
        near = found[begin : last + _BLINK_REACH]
        middle = (first + last - 1) / 2
        off.append(abs(begin + int(near.argmax()) - middle))
    return float(np.mean(off)) if off else 0.0


def _heads(
    body: BodyModel, motion: Motion, vertices: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    output = posed(body, motion, vertices.numpy())
    return output.vertices.numpy(), output.rotations[:, 15].double().numpy()


def _shoulders(body: BodyModel, motion: Motion) -> np.ndarray:
    """(F, 2, 2), across the line of sight, metres."""
    found: np.ndarray = posed(body, motion, ANY_VERTEX).joints[:, _SHOULDERS, :2].numpy()
    return found


def _stray(apart: np.ndarray) -> float:
    """Mean distance, mm, of differences (F, P, 2) from their means over the frames."""
    return float(np.linalg.norm(apart - apart.mean(0), axis=-1).mean() * 1e3)


def _neutral(body: BodyModel, betas: np.ndarray, vertices: torch.Tensor) -> np.ndarray:
    output = body.restricted(vertices).forward(
        torch.from_numpy(betas)[None],
        torch.zeros(1, 55, 3),
        torch.zeros(1, body.n_expression),
        torch.zeros(1, 3),
    )
    found: np.ndarray = output.vertices[0].numpy()
    return found


def _aligned_error(ours: np.ndarray, real: np.ndarray, scaled: bool = False) -> float:
    """Mean distance in mm after the best rigid alignment, or the best of any size."""
    a, b = ours - ours.mean(0), real - real.mean(0)
    turn, _ = Rotation.align_vectors(b, a)
    if scaled:
        a = a * float((turn.apply(a) * b).sum() / (a * a).sum())
    return float(np.linalg.norm(turn.apply(a) - b, axis=1).mean() * 1e3)
