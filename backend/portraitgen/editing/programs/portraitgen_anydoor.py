# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaks the contract of docs/editors.md for a public checkout of AnyDoor (ali-vilab/AnyDoor).

Runs in that checkout, by the Python of its own environment, which has none of our packages. Its
module `run_inference` loads the weights that configs/inference.yaml names and dresses one picture.
"""

import json
import os
import random
import sys
from dataclasses import dataclass, fields
from typing import Any


def say(**message: object) -> None:
    """One line of the contract."""
    print(json.dumps(message), file=CHANNEL, flush=True)


def read(path: str, channels: int) -> Any:
    """A picture (H, W, 3) in RGB, or a mask (H, W) of 0 and 1."""
    import cv2
    import numpy as np

    # By its bytes: OpenCV cannot open every path of Windows.
    encoded = np.fromfile(path, np.uint8)
    kind = cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_GRAYSCALE
    found = cv2.imdecode(encoded, kind)
    if found is None:
        raise ValueError(f"{path} cannot be read")
    return found[..., ::-1].copy() if channels == 3 else (found > 127).astype(np.uint8)


@dataclass(frozen=True)
class Asked:
    """A line of what is to be dressed; pictures are paths."""

    image: str
    mask: str
    garment: str
    garment_mask: str
    output: str
    guidance: float
    steps: int
    seed: int

    @classmethod
    def parse(cls, line: str) -> "Asked":
        """A line of JSON; what it says besides is passed over."""
        told = json.loads(line)
        return cls(**{each.name: told[each.name] for each in fields(cls)})


def dress(anydoor: Any, asked: Asked) -> None:
    """Dresses the picture that is asked for, and writes it."""
    import cv2
    import numpy as np
    import torch

    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(int(asked.seed) % 2**32)
    sampler = anydoor.ddim_sampler
    sample = sampler.sample

    def with_steps(steps: int, *given: Any, **named: Any) -> Any:
        return sample(int(asked.steps), *given, **named)

    # The number of steps is written into AnyDoor's function.
    sampler.sample = with_steps
    try:
        made = anydoor.inference_single_image(
            read(asked.garment, 3),
            read(asked.garment_mask, 1),
            read(asked.image, 3),
            read(asked.mask, 1),
            guidance_scale=float(asked.guidance),
        )
    finally:
        del sampler.sample
    codes = np.clip(np.asarray(made), 0, 255).astype(np.uint8)
    cv2.imencode(".png", np.ascontiguousarray(codes[..., ::-1]))[1].tofile(asked.output)


def main() -> None:
    """Loads AnyDoor, then dresses one picture a line until its input ends."""
    sys.path.insert(0, os.getcwd())
    import run_inference as anydoor

    say(type="ready", contract=1)
    for line in sys.stdin:
        asked = Asked.parse(line)
        try:
            say(type="progress")
            dress(anydoor, asked)
        except Exception as error:  # noqa: BLE001 - the other side is told, whatever it is.
            say(type="failed", message=f"{type(error).__name__}: {error}")
        else:
            say(type="done")


# What AnyDoor and its libraries print goes to the log, not between the lines of the contract.
CHANNEL = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

if __name__ == "__main__":
    main()
