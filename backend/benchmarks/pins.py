# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a drag of pins takes to solve, and how near the pins come."""

import time
from pathlib import Path

import numpy as np

from portraitgen.body.model import BodyModel
from portraitgen.tracking.pins import Pin, PinSolver
from synthetic.acting import act, camera

_SIZE = 1080
_DRAGS = 40
_PULL_PX = 12.0
_COUNTS = (1, 3, 8)


def measure(footage: Path | None, out: Path) -> dict[str, str]:
    """Pulls random landmarks of a synthetic performer about, frame by frame.

    Returns:
        For each number of pins: median and longest milliseconds, and the median of the farthest
        pin's distance from its target, pixels of a 1080-pixel plate.
    """
    body = BodyModel.load()
    motion = act(body, range(1, _DRAGS + 1), identity=1)
    solver = PinSolver(body, motion.betas, camera(_SIZE))
    rng = np.random.default_rng(0)
    marks = body.landmarks
    figures = {}
    for count in _COUNTS:
        times, left = [], []
        for row in range(_DRAGS):
            chosen = rng.choice(len(marks.faces), count, replace=False)
            state = (motion.transl[row], motion.pose[row], motion.expression[row])
            start = [_pin(marks.faces[mark], marks.barycentric[mark]) for mark in chosen]
            seen = solver.seen(start, *state)
            pulled = seen + rng.normal(0, _PULL_PX, seen.shape)
            pins = [
                Pin(pin.face, pin.weights, (float(x), float(y)))
                for pin, (x, y) in zip(start, pulled, strict=True)
            ]
            begun = time.perf_counter()
            found = solver.solve(pins, *state)
            times.append(1e3 * (time.perf_counter() - begun))
            left.append(float(found.error_px.max()))
        figures[f"{count} pins"] = (
            f"median {np.median(times):.1f} ms, longest {max(times):.1f} ms,"
            f" farthest pin {np.median(left):.2f} px off"
        )
    return figures


def _pin(face: int, weights: np.ndarray) -> Pin:
    first, second, third = (float(weight) for weight in weights)
    return Pin(int(face), (first, second, third), (0.0, 0.0))
