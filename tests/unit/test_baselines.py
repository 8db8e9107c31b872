# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What our avatar is compared with renders, learns and differs where it should."""

import pytest
import torch
from torch import nn

from benchmarks.baselines import NeuralAvatar, PaperAvatar, SphericalAvatar
from portraitgen.avatar.avatar import Avatar, FrameParameters
from portraitgen.avatar.texture import spherical_harmonics
from portraitgen.body.model import BodyModel
from portraitgen.body.uv import gaussian_texels

SIZE = 48


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


def drawn(avatar: Avatar, body: BodyModel, turn: float = 0.0) -> torch.Tensor:
    pose = torch.zeros(1, 55, 3)
    pose[0, 0, 0] = torch.pi
    pose[0, 15, 1] = turn
    head = body.rest_joints(torch.zeros(body.n_shape))[15]
    place = torch.tensor([0.0, 0.0, 0.9]) - head * torch.tensor([1.0, -1.0, -1.0])
    parameters = FrameParameters(pose, torch.zeros(1, body.n_expression), place[None])
    K = torch.tensor([[[70.0, 0, SIZE / 2], [0, 70.0, SIZE / 2], [0, 0, 1]]])
    return avatar.render(parameters, K, SIZE).premultiplied


@pytest.mark.parametrize("kind", [NeuralAvatar, SphericalAvatar, PaperAvatar])
def test_each_draws_and_learns(body: BodyModel, kind: type[Avatar]) -> None:
    torch.manual_seed(0)
    avatar = kind(body, torch.zeros(body.n_shape), gaussian_texels(body, 2000))
    nn.init.normal_(avatar.texture.features, 0.4, 0.1)
    picture = drawn(avatar, body)
    assert picture.shape == (1, 3, SIZE, SIZE) and torch.isfinite(picture).all()
    assert picture.max() > 0.05
    picture.square().mean().backward()
    assert avatar.texture.features.grad is not None
    assert avatar.texture.features.grad.abs().sum() > 0


def test_the_paper_s_renderer_has_its_size(body: BodyModel) -> None:
    avatar = PaperAvatar(body, torch.zeros(body.n_shape), gaussian_texels(body, 1000))
    count = sum(each.numel() for each in avatar.renderer.parameters())
    assert 145_000 < count < 150_000


def test_harmonics_are_orthonormal() -> None:
    generator = torch.Generator().manual_seed(1)
    direction = nn.functional.normalize(torch.randn(200_000, 3, generator=generator), dim=-1)
    basis = spherical_harmonics(direction)
    gram = 4 * torch.pi * (basis.T @ basis) / len(direction)
    assert (gram - torch.eye(8)).abs().max() < 0.03


def test_only_harmonics_change_with_the_side_they_are_seen_from(body: BodyModel) -> None:
    avatar = SphericalAvatar(body, torch.zeros(body.n_shape), gaussian_texels(body, 1000))
    vertices = body.template[None][:, avatar.vertices]
    sides = torch.tensor([[0.0, 0.0, 3.0]]), torch.tensor([[3.0, 0.0, 0.0]])
    plain = [avatar.texture(vertices, eye, 3).features for eye in sides]
    assert torch.equal(*plain)
    nn.init.normal_(avatar.texture.harmonics)
    shiny = [avatar.texture(vertices, eye, 3).features for eye in sides]
    assert (shiny[0] - shiny[1]).abs().mean() > 0.1
