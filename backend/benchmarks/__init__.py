# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured, by one command: `portraitgen bench [WHAT ...] --footage CLIPS --out FOLDER`."""

import importlib
import json
from collections.abc import Sequence
from pathlib import Path

from portraitgen.errors import OptionError
from portraitgen.storage import write_json

_MEASURES = {
    "raster": "the CPU rasteriser: milliseconds, and error to the dense reference",
    "ground_truth": "tracking and reconstruction of the synthetic performer against its truth",
    "pins": "a drag of pins: milliseconds, and how near they come",
    "clips": "tracking of every clip of a folder: residual, frames tracked, frames a second",
    "avatar": "reconstruction of a clip's head window: step time, held-out PSNR and SSIM",
    "ablation": "our avatar against its peers, in the same training time",
    "unseen_views": "what an avatar shows that its plate never did: other acting, other sides",
    "delivery": "how sharp and how steady edits of frames are delivered over their plate",
    "render": "what a render costs in CPU seconds: its start and end, and each frame",
    "edit": "edits frame by frame, by optical flow and through the avatar, side by side",
    "look": "looks learned from a few pairs: held-out dB by time, pairs and guides; speed, flicker",
    "truth_edits": "light and paint on the synthetic performer against their truth",
    "act": "acting and reshaping over the plate, against the performer who acts so in truth",
    "expression_drift": "expressions after a strong edit, with and without guidance",
    "gpu": "speed and memory on the GPU, and gsplat against numba; a small run without a GPU",
    "media": "plates of every kind against what is known of them: right, told, silently wrong",
    "farm": "three shots as one farm's job, chunks of four processes, the cost of signing",
    "resume": "kill -9 at random moments of every job, then resume: are the frames the same",
}


def run_bench(what: Sequence[str], footage: Path | None, out: Path) -> None:
    """Measures, prints a table for each part, and writes it to `out` as JSON and PNG.

    Args:
        what: names of measures, all by default.
        footage: a folder of clips; without it the measures that need one are left out, aloud.

    Raises:
        OptionError: if there is no such measure.
    """
    for name in what or _MEASURES:
        if name not in _MEASURES:
            known = ", ".join(_MEASURES)
            raise OptionError("there is no such measure", name, f"use one of: {known}")
        print(f"## {name}: {_MEASURES[name]}\n", flush=True)
        module = importlib.import_module(f".{name}", __package__)
        figures = module.measure(footage, out)
        if figures is None:
            print("Left out: it needs a folder of clips, --footage.\n")
            continue
        write_json(out / f"{name}.json", figures)
        print(_table(figures), flush=True)


def _table(figures: dict[str, object]) -> str:
    lines = ["| what | figure |", "|---|---|"]
    for name, value in figures.items():
        if isinstance(value, float):
            text = f"{value:.4g}"
        else:
            text = value if isinstance(value, str) else json.dumps(value)
        lines.append(f"| {name.replace('_', ' ')} | {text} |")
    return "\n".join(lines) + "\n"
