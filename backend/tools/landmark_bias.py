# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures how MediaPipe's landmarks answer to the open body's identity, expression and view.

Renders synthetic performers of many identities in random poses and expressions, detects, and
explains by ridge regression where every landmark lies beside the point that it stands for. About
eight minutes on two cores. Run it again whenever the open body changes:

    python backend/tools/landmark_bias.py
"""

import multiprocessing
import sys

import numpy as np
import torch
from safetensors.numpy import save_file

from portraitgen.body.camera import Camera
from portraitgen.body.model import BodyModel
from portraitgen.tracking.landmark_bias import LANDMARK_BIAS, view_features
from portraitgen.tracking.landmarks import LandmarkDetector
from synthetic.acting import act
from synthetic.render import LIGHTS, Performer

# Identities that no figure is measured on.
_PEOPLE = range(1000, 1080)
_FRAMES, _SIZE, _SHAPES = 12, 384, 24
_NECK, _HEAD, _EYES = 12, 15, (23, 24)
_RIDGE = {"static": 0.01, "view": 0.1, "units": 3.0}


def _acted(body: BodyModel, person: int) -> np.ndarray:
    """Random expressions (T, E) after a neutral one; most units act on both sides."""
    generator = np.random.default_rng(person)
    names = body.expression_names
    still = [n.startswith("eyeLook") or n in ("tongueOut", "jawForward") for n in names]
    values = np.zeros((_FRAMES, len(names)), np.float32)
    for row in range(1, _FRAMES):
        for unit in generator.choice(len(names), generator.integers(1, 7), replace=False):
            values[row, unit] = generator.uniform(0.2, 1)
            name = names[unit]
            for side, other in (("Left", "Right"), ("Right", "Left")):
                if name.endswith(side) and generator.random() < 0.6:
                    twin = names.index(name.removesuffix(side) + other)
                    values[row, twin] = values[row, unit]
    values[:, still] = 0
    for side in ("Left", "Right"):
        values[:, names.index(f"eyeBlink{side}")] *= body.blink_closed
    return values


def _samples(person: int) -> list[dict[str, np.ndarray]]:
    """What was rendered and what was detected, a dict a frame."""
    torch.set_num_threads(1)
    body = BodyModel.load()
    generator = np.random.default_rng(person)
    motion = act(body, range(1, _FRAMES + 1), person)
    motion.betas[:_SHAPES] = generator.normal(0, 0.6, _SHAPES)
    limits = np.radians([16, 32, 10])
    turn = generator.uniform(-limits, limits, (_FRAMES, 3))
    motion.pose[:, _NECK], motion.pose[:, _HEAD] = 0.4 * turn, 0.6 * turn
    for eye in _EYES:
        motion.pose[:, eye] = 0
        motion.pose[:, eye, 1] = generator.uniform(-0.25, 0.25, _FRAMES)
    motion.expression[:] = _acted(body, person)
    motion.transl[:] += generator.uniform((-0.03, -0.02, -0.15), (0.03, 0.02, 0.25), (_FRAMES, 3))
    performer = Performer(body, motion, person, list(LIGHTS)[person % len(LIGHTS)])
    lens = Camera(2.3 * _SIZE, 2.3 * _SIZE, _SIZE / 2, _SIZE / 2, _SIZE, _SIZE)
    posed = body.forward(
        torch.from_numpy(motion.betas)[None],
        torch.from_numpy(motion.pose),
        torch.from_numpy(motion.expression),
        torch.from_numpy(motion.transl),
    )
    marks = body.landmarks
    points = marks.on(posed.vertices.numpy(), body.faces.numpy()).astype(np.float64)
    detector = LandmarkDetector()
    samples = []
    for row, frame in enumerate(motion.frames.tolist()):
        image = (performer.render(frame, lens).rgb * 255 + 0.5).astype(np.uint8)
        found = detector.chunk([frame], [image], None).face[0, marks.indices]
        if np.isnan(found).any():
            continue
        depth = points[row, :, 2:]
        beside = (found - lens.project(points[row])) * depth / lens.fx
        samples.append(
            {
                "beside": beside,
                "rotation": posed.rotations[row, _HEAD].double().numpy(),
                "expression": motion.expression[row].astype(np.float64),
            }
        )
    return samples


def main() -> None:
    """Measures, and writes the file."""
    body = BodyModel.load()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        parts = []
        for part in pool.imap(_samples, _PEOPLE):
            parts += part
            print(f"\r{len(parts)} pictures", end="", file=sys.stderr)
    beside, rotation, expression = (
        np.stack([part[name] for part in parts]) for name in ("beside", "rotation", "expression")
    )
    count, marks = beside.shape[:2]
    view = view_features(rotation)
    features = np.concatenate([np.ones((count, 1)), view, expression], axis=1)
    widths = {"static": 1, "view": view.shape[1], "units": expression.shape[1]}
    ridge = np.concatenate([np.full(3 * width, _RIDGE[name]) for name, width in widths.items()])
    # A displacement in the head's axes shows by its share across the line of sight.
    seen = (rotation[:, :2, None, :] * features[:, None, :, None]).reshape(2 * count, -1)
    wanted = beside.transpose(0, 2, 1).reshape(2 * count, marks)
    solved = np.linalg.solve(seen.T @ seen + np.diag(ridge), seen.T @ wanted)
    left = wanted - seen @ solved
    spread = [1e3 * np.sqrt((each**2).mean()) for each in (wanted, left)]
    print(f"\n{spread[0]:.2f} mm beside their places, {spread[1]:.2f} mm unexplained")
    response = solved.reshape(-1, 3, marks).transpose(0, 2, 1)
    first, last = widths["static"], widths["static"] + widths["view"]
    parts_of = {"static": response[0], "view": response[first:last], "units": response[last:]}
    LANDMARK_BIAS.parent.mkdir(exist_ok=True)
    save_file(
        {name: np.ascontiguousarray(each, np.float16) for name, each in parts_of.items()},
        str(LANDMARK_BIAS),
        {"body": body.sha256, "pictures": str(count)},
    )


if __name__ == "__main__":
    main()
