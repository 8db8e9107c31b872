# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an avatar does without: hidden Gaussians, useless steps, all frames but the pivots."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_avatar import FRAMES, SIZE, body, pictures, trainer

from portraitgen.avatar.avatar import FrameParameters
from portraitgen.avatar.keyframe_selection import COUNT, pivot_frames
from portraitgen.avatar.pruning import showing
from portraitgen.body.model import BodyModel
from portraitgen.pipeline.run.progress import Reporter, Stage
from synthetic.acting import act, camera

__all__ = ["body", "pictures"]

Pictures = tuple[np.ndarray, np.ndarray]


def test_what_never_shows_is_left_out_and_not_missed(body: BodyModel, pictures: Pictures) -> None:
    made = trainer(body, pictures, steps=3)
    while not made.finished:
        made.step()
    before, after = made.avatar, made.avatar.kept(body, showing(made))
    assert 0.3 * before.gaussian_count < after.gaussian_count < 0.95 * before.gaussian_count
    parameters = made.parameters_of(1)
    K = torch.from_numpy(camera(SIZE).matrix()).float()[None]
    with torch.no_grad():
        first = before.render(parameters, K, SIZE)
        second = after.render(parameters, K, SIZE)
    assert (first.premultiplied - second.premultiplied).abs().max() < 0.02
    assert (first.premultiplied - second.premultiplied).abs().mean() < 1e-4


def test_a_pruned_avatar_keeps_every_texel_s_own_values(
    body: BodyModel, pictures: Pictures, tmp_path: Path
) -> None:
    avatar = trainer(body, pictures).avatar
    with torch.no_grad():
        avatar.displacement.normal_(0, 1e-3)
        avatar.bases.fields.normal_(0, 1e-3)
        avatar.bases.tints.normal_(0, 0.1)
    chosen = torch.rand(avatar.gaussian_count, generator=torch.Generator().manual_seed(0)) < 0.2
    fewer = avatar.kept(body, chosen)
    motion = act(body, range(1, FRAMES + 1), 0)
    parameters = FrameParameters(
        *(torch.from_numpy(each[2:3]) for each in (motion.pose, motion.expression, motion.transl))
    )
    with torch.no_grad():
        displaced, tints = avatar.personal(parameters)
        whole = avatar.texture(avatar.pose_vertices(parameters, displaced), tints=tints)
        displaced, tints = fewer.personal(parameters)
        some = fewer.texture(fewer.pose_vertices(parameters, displaced), tints=tints)
    for name, value in vars(some).items():
        assert torch.allclose(value, getattr(whole, name)[:, chosen], atol=1e-6), name
    fewer.save(tmp_path / "avatar.safetensors")
    assert type(avatar).load(tmp_path / "avatar.safetensors", body).gaussian_count == chosen.sum()


def test_expression_changes_colours_where_the_bases_say(
    body: BodyModel, pictures: Pictures
) -> None:
    avatar = trainer(body, pictures).avatar
    still = FrameParameters(
        torch.zeros(1, 55, 3), torch.zeros(1, body.n_expression), torch.zeros(1, 3)
    )
    acted = replace(still, expression=torch.full((1, body.n_expression), 0.5))
    with torch.no_grad():
        assert avatar.personal(acted)[1].abs().max() == 0
        avatar.bases.tints[:, 7] = 1.0
        changed = avatar.personal(acted)[1] - avatar.personal(still)[1]
    assert changed[0, 7].abs().min() > 1e-3
    assert changed[0, :7].abs().max() == 0 and changed[0, 8:].abs().max() == 0


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([], False),
        ([20.0, 20.0, 20.0, 20.0], False),
        ([20.0, 21.0, 22.0, 23.0, 24.0, 25.0], False),
        ([25.0, 25.01, 24.9, 25.0, 25.01], True),
        ([25.0, 25.01, 24.9, 25.0, 25.1], False),
    ],
)
def test_a_training_ends_when_held_out_frames_stop_gaining(
    body: BodyModel, pictures: Pictures, values: list[float], ends: bool
) -> None:
    made = trainer(body, pictures, steps=1000)
    made.done = 500
    made.curve = [(20 * index, value) for index, value in enumerate(values)]
    assert made.finished == ends


def test_the_curve_is_measured_and_survives_a_kill(
    body: BodyModel, pictures: Pictures, tmp_path: Path
) -> None:
    made = trainer(body, pictures, steps=20)
    assert made.look() == {}, "not while training at half size"
    made.done = 10
    assert made.look() == {"psnr": made.curve[0][1]} and made.curve[0][0] == 10
    made.checkpoint(tmp_path / "checkpoint.safetensors")
    again = trainer(body, pictures, steps=20)
    again.resume(tmp_path / "checkpoint.safetensors")
    assert again.curve == made.curve


def test_figures_between_two_messages_go_with_the_later() -> None:
    class Kept(Reporter):
        def __init__(self) -> None:
            super().__init__()
            self.sent: list[dict[str, float]] = []

        def progress(
            self, stage: str, step: int, steps: int, eta_s: float | None, metrics: dict[str, float]
        ) -> None:
            self.sent.append(metrics)

    kept = Kept()
    stage = Stage(kept, "train", 3)
    stage.step(1, loss=1.0, psnr=30.0)
    stage.step(2, loss=0.5)
    stage.step(3, loss=0.4)
    assert kept.sent == [{}, {"loss": 0.4, "psnr": 30.0}]


def test_pivots_are_few_and_as_different_as_the_frames_are(body: BodyModel) -> None:
    motion = act(body, range(11, 59), 0)
    chosen = pivot_frames(motion)
    assert len(chosen) == len(set(chosen)) <= COUNT and len(chosen) >= COUNT // 2
    assert chosen == sorted(chosen) == pivot_frames(motion) and set(chosen) <= set(range(11, 59))
    rows = [motion.index(frame) for frame in chosen]
    yaw = motion.pose[:, 15, 1]
    assert np.ptp(yaw[rows]) > 0.5 * np.ptp(yaw)
    still = replace(motion.rows(np.array([3, 3, 9])), frames=np.array([3, 4, 9]))
    assert pivot_frames(still) == [3, 9]
