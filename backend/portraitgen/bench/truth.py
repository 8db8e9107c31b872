# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tracking and reconstruction of the synthetic performer, against the truth it was made from."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from ..body.model import BodyModel
from ..body.motion import Motion
from ..performer.acting import camera
from ..performer.clip import write_clip
from ..pipeline.reporter import Reporter
from ..pipeline.shots import Track, create_shot
from ..pipeline.stages import run

_PEOPLE = ((0, "studio"), (1, "studio"), (2, "left"))
_SIZE = 512
_FRAMES = 48
_STEPS = 500
_HEAD_PARTS = ("face", "lips", "head", "scalp", "eyes")
_FOLLOWED = {
    "jaw": ("jawOpen",),
    "blink": ("eyeBlinkLeft", "eyeBlinkRight"),
    "smile": ("mouthSmileLeft", "mouthSmileRight"),
    "brow": ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
}


def measure(footage: Path | None, out: Path) -> dict[str, float]:
    """Tracks and rebuilds three performers of different identity and light.

    The focal length is given, as it would be from the plate's metadata.

    Returns:
        Means over the performers: head vertices (mm, after rigid alignment, and of the mean face
        for comparison), head turn (degrees) and place (mm), landmarks (per cent of the eye
        distance), correlation of expressions, jaw error, held-out PSNR; each also `_refined`.
    """
    body = BodyModel.load()
    found: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for identity, light in _PEOPLE:
            stem = Path(folder) / f"performer{identity}"
            write_clip(stem, frames=_FRAMES, size=_SIZE, identity=identity, light=light)
            truth = Motion.load(stem.with_suffix(".safetensors"))
            shot = create_shot(Path(folder) / f"shot{identity}", stem.with_suffix(".mp4"), {})
            focal = {"focal": camera(_SIZE).fx}
            summary = run("track", shot.path, focal, Reporter())
            figures = {"landmark_residual_percent": summary["landmark_residual_percent"]}
            figures |= compare(body, truth, Track(shot).motion)
            rebuilt = run("reconstruct", shot.path, {"steps": _STEPS}, Reporter())
            figures |= {"held_out_psnr": rebuilt["psnr"], "held_out_ssim": rebuilt["ssim"]}
            refined = compare(body, truth, Track(shot).motion)
            figures |= {f"{name}_refined": value for name, value in refined.items()}
            found.append(figures)
    return {name: float(np.mean([each[name] for each in found])) for name in found[0]}


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
    figures = {
        "head_vertices_mm": float(
            np.mean([_aligned_error(a, b) for a, b in zip(ours, real, strict=True)])
        ),
        "mean_face_mm": _aligned_error(mean, neutral),
        "head_turn_degrees": float(
            np.degrees(
                Rotation.from_matrix(our_turn.transpose(0, 2, 1) @ real_turn).magnitude()
            ).mean()
        ),
        "head_place_mm": float(np.linalg.norm(ours.mean(1) - real.mean(1), axis=1).mean() * 1e3),
    }
    names = body.expression_names
    for name, units in _FOLLOWED.items():
        columns = [names.index(unit) for unit in units]
        a = motion.expression[:, columns].mean(1)
        b = truth.expression[:, columns].mean(1)
        moved = a.std() > 0 and b.std() > 0
        figures[f"{name}_correlation"] = float(np.corrcoef(a, b)[0, 1]) if moved else 0.0
    jaw = names.index("jawOpen")
    apart = motion.expression[:, jaw] - truth.expression[:, jaw]
    figures["jaw_rmse"] = float(np.sqrt((apart**2).mean()))
    return figures


def _heads(
    body: BodyModel, motion: Motion, vertices: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    output = body.restricted(vertices).forward(
        torch.from_numpy(motion.betas)[None],
        torch.from_numpy(motion.pose),
        torch.from_numpy(motion.expression),
        torch.from_numpy(motion.transl),
    )
    return output.vertices.numpy(), output.rotations[:, 15].double().numpy()


def _neutral(body: BodyModel, betas: np.ndarray, vertices: torch.Tensor) -> np.ndarray:
    output = body.restricted(vertices).forward(
        torch.from_numpy(betas)[None],
        torch.zeros(1, 55, 3),
        torch.zeros(1, body.n_expression),
        torch.zeros(1, 3),
    )
    found: np.ndarray = output.vertices[0].numpy()
    return found


def _aligned_error(ours: np.ndarray, real: np.ndarray) -> float:
    """Mean distance in mm after the best rigid alignment."""
    a, b = ours - ours.mean(0), real - real.mean(0)
    turn, _ = Rotation.align_vectors(b, a)
    return float(np.linalg.norm(turn.apply(a) - b, axis=1).mean() * 1e3)
