# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that measures a GPU runs, on the CPU at least, and measures the real shapes."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from test_avatar import FRAMES, SIZE, body, pictures, trainer

from benchmarks import gpu
from benchmarks.edit import calls
from benchmarks.raster import largest_differences
from benchmarks.untrained_models import TINY, Shapes, networks
from portraitgen.body.model import BodyModel
from portraitgen.pipeline.data.crops import Crops
from portraitgen.pipeline.data.edit_mask import EditMask
from synthetic.acting import camera

__all__ = ["body", "pictures"]

Pictures = tuple[np.ndarray, np.ndarray]


def test_every_figure_of_a_trained_avatar_is_measured(
    body: BodyModel, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("diffusers")
    made = trainer(body, pictures, steps=8)
    monkeypatch.setattr(gpu, "_GOAL_DB", 10.0)
    monkeypatch.setattr(gpu, "_EDITS", 1)
    monkeypatch.setattr(gpu, "_STEPS", 1)
    windows = Crops(list(range(1, FRAMES + 1)), *pictures, [camera(SIZE)] * FRAMES)
    track: Any = SimpleNamespace(motion=made.data.motion)
    figures = gpu._reconstruction(made) | gpu._frames(made)
    figures |= gpu._edits(made, windows, EditMask(body, track, ""), gpu.SMALL)
    assert made.done >= 8 and 0 < float(figures["seconds_to_30_db"]) <= figures["training_s"]
    assert all(float(value) > 0 for value in figures.values())
    assert float(figures["frames_per_second"]) * float(figures["frame_ms"]) == pytest.approx(1000)
    assert {"network_ms", "rasteriser_ms", "one_pass_minutes", "paper_minutes"} <= set(figures)


def test_a_goal_that_is_not_reached_is_no_figure(body: BodyModel, pictures: Pictures) -> None:
    assert gpu._reconstruction(trainer(body, pictures, steps=2))["seconds_to_30_db"] == (
        "not reached"
    )


def test_without_a_gpu_the_device_says_that_it_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no figures of a GPU" in gpu._device_name()
    scale = replace(gpu.SMALL, backends=("gsplat", "numba"), gaussians=100, splats=16)
    assert "gsplat needs float32 tensors on CUDA" in str(gpu._rasterisers(scale))


def test_the_networks_are_as_large_as_the_real_ones() -> None:
    pytest.importorskip("diffusers")
    made = networks(Shapes(), torch.device("meta"))
    count = [sum(each.numel() for each in net.parameters()) for net in (made.unet, made.vae)]
    assert count == [859_532_484, 83_653_863]
    tiny = networks(TINY, torch.device("meta"))
    assert sum(each.numel() for each in tiny.unet.parameters()) < 2e6


def test_one_pass_calls_the_editor_a_hundredth_as_often() -> None:
    assert calls() == (32, 3900)


def test_two_rasterisers_are_compared_by_outputs_and_gradients() -> None:
    whole, worst = largest_differences(("numba", "reference"), 800, 48, torch.device("cpu"))
    assert 0 < whole < 1e-3 and 0 < worst < 1e-2


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="NOT TESTED: gsplat's gradients, this machine has no CUDA"
)
def test_gsplat_and_numba_agree_on_outputs_and_gradients() -> None:
    whole, _ = largest_differences(("gsplat", "numba"), 8192, 256, torch.device("cuda"))
    assert whole < 1e-3
