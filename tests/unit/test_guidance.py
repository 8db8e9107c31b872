# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an edit asks for besides its pictures, and how long it trains."""

from pathlib import Path

import pytest
import torch
from test_avatar import body, pictures, trainer
from torch import Tensor

from portraitgen.avatar.training import Trainer
from portraitgen.body.model import BodyModel
from portraitgen.editing.schedule import iterative
from portraitgen.pipeline.data.guidance import perceptual_loss
from portraitgen.pipeline.jobs.edit import EditOptions, steps_of
from portraitgen.pipeline.run.progress import Reporter

__all__ = ["body", "pictures"]


def test_without_vgg_a_note_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTRAITGEN_MODELS", str(tmp_path))
    told: list[str] = []
    reporter = Reporter()
    monkeypatch.setattr(reporter, "note", told.append)
    assert perceptual_loss("", reporter) is None
    assert len(told) == 1 and "models fetch vgg16" in told[0]


def test_lpips_counts_from_its_share_of_the_steps_on(body: BodyModel, pictures: object) -> None:
    counted: list[int] = []

    class Counting(torch.nn.Module):
        def forward(self, first: Tensor, second: Tensor) -> Tensor:
            counted.append(learner.done)
            return (first - second).abs().mean((1, 2, 3))

    made = trainer(body, pictures, steps=20, refine=False, perceptual_from=0.5)  # type: ignore
    learner = Trainer(made.avatar, made.data, made.settings, Counting())  # type: ignore
    while learner.done < 20:
        learner.step()
    assert counted == [10, 15]


def test_steps_follow_from_the_schedule() -> None:
    one_pass, rounds = EditOptions(), EditOptions(schedule="iterative")
    assert steps_of(one_pass, True, 500) == 400
    # As the method's release trains: 78 000 calls of ten denoising steps and its guidance a clip.
    assert steps_of(rounds, True, 500) == 15600
    assert steps_of(EditOptions(schedule="iterative", steps=7), True, 500) == 7
    once = steps_of(rounds, False, 500, wanted=2)
    plan = iterative(500, rounds.key_every, rounds.interval, once, 1, [1, 2])
    assert len(plan.edits) == len(plan.key_rows) == 44, "every key frame has its turn"
    assert once - max(plan.edits) >= 400, "and is learned after the last"
