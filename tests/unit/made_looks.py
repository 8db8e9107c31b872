# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks and pairs for tests."""

from pathlib import Path

import cv2
import numpy as np
import torch

from portraitgen.editing.looks.learning import Pair
from portraitgen.editing.looks.look_file import Look, LookFacts
from portraitgen.editing.looks.network import Guides, LookNetwork


def picture(side: int = 96, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    coarse = random.random((6, 6, 3)).astype(np.float32)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1)


def warm(image: np.ndarray) -> np.ndarray:
    return (0.1 + 0.8 * image * np.array([1.0, 0.8, 0.5], np.float32)).clip(0, 1)


def pair(seed: int = 0, side: int = 96) -> Pair:
    before = picture(side, seed)
    return Pair(f"{seed}", before, warm(before), np.ones((side, side), np.float32))


_PLAIN = Guides()


def random_look(guides: Guides = _PLAIN, **facts: object) -> Look:
    torch.manual_seed(1)
    network = LookNetwork(guides)
    with torch.no_grad():
        network.out.weight.normal_(0, 0.1)
    thumbnail = np.zeros((96, 192, 3), np.uint8)
    return Look(LookFacts(name="noise", guides=guides.names, **facts), network.eval(), thumbnail)


def face(side: int = 256) -> np.ndarray:
    """The synthetic performer's head, RGB uint8."""
    clip = cv2.VideoCapture(str(Path(__file__).parents[1] / "data" / "performer.mp4"))
    found, frame = clip.read()
    assert found
    frame = frame[..., ::-1]
    least = min(frame.shape[:2])
    left = (frame.shape[1] - least) // 2
    return cv2.resize(
        frame[:least, left : left + least], (side, side), interpolation=cv2.INTER_AREA
    )


def write(folder: Path, name: str, codes: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / name), codes[..., ::-1])
