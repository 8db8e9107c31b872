# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One network in a file of TensorFlow Lite, run on one core by LiteRT."""

from pathlib import Path
from typing import Any

import numpy as np

_DATA = Path(__file__).parent / "data"


class Network:
    """A network; one thread at a time may ask it.

    Args:
        name: of its file in data/, without ending.
    """

    def __init__(self, name: str) -> None:
        from ai_edge_litert.interpreter import Interpreter

        # More threads would not be faster on crops so small, and share the cores with others.
        self._interpreter: Any = Interpreter(str(_DATA / f"{name}.tflite"), num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [each["index"] for each in self._interpreter.get_output_details()]

    def __call__(self, given: np.ndarray) -> list[np.ndarray]:
        """What it makes of an input, float32 with a batch of 1; in the file's order."""
        self._interpreter.set_tensor(self._input, given)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Logits as probabilities."""
    clipped = np.clip(values, -80, 80)
    probabilities: np.ndarray = 1 / (1 + np.exp(-clipped))
    return probabilities
