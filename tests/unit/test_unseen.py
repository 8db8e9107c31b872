# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an avatar is told of what its frames never showed, and how it is drawn from nearer by."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from test_avatar import HELD_OUT, SIZE, body, pictures, trainer

from portraitgen.avatar.avatar import Avatar
from portraitgen.avatar.pruning import showing
from portraitgen.avatar.training import Trainer
from portraitgen.avatar.unseen import Looks, looks_of, settle
from portraitgen.body.model import BodyModel

__all__ = ["body", "pictures"]

Pictures = tuple[np.ndarray, np.ndarray]
BLUE = torch.tensor([0.1, 0.2, 0.8])


def trained(body: BodyModel, pictures: Pictures) -> Trainer:
    made = trainer(body, pictures, steps=40, neural=False)
    while not made.finished:
        made.step()
    return made


def across(avatar: Avatar, body: BodyModel) -> torch.Tensor:
    """How far each texel lies to the left of the body's middle, metres."""
    corners = body.template[body.faces[avatar.texel_faces]]
    return (corners * avatar.texture.barycentric[..., None]).sum(1)[:, 0]


def test_frames_that_were_learned_stay_as_they_were(body: BodyModel, pictures: Pictures) -> None:
    made = trained(body, pictures)
    rows = [*made.data.trained, HELD_OUT]
    before = made.evaluate(rows)
    settle(made.avatar, body, looks_of(made))
    after = made.evaluate(rows)
    assert after["psnr"] > before["psnr"] - 0.15
    assert after["alpha_error"] < 1.05 * before["alpha_error"] + 1e-4


def test_what_nobody_saw_is_like_its_mirror_image(body: BodyModel, pictures: Pictures) -> None:
    avatar = trainer(body, pictures).avatar
    places = across(avatar, body)
    texture, count = avatar.texture, avatar.gaussian_count
    with torch.no_grad():
        texture.features[:, :3] = torch.where(places[:, None] > 0, BLUE, 0.5)
    looks = Looks(
        torch.where(places < 0, 0.0, 1.0).expand(4, -1),
        torch.zeros(4, count, 8),
        torch.zeros(4, avatar.bases.tints.shape[0]),
        torch.full((count,), 1e-3),
    )
    settle(avatar, body, looks)
    colours, far = texture.features[:, :3].detach(), places < -0.04
    assert (colours[far] - BLUE).abs().mean(1).median() < 0.02
    assert (colours[places > 0.01] - BLUE).abs().max() < 0.1


def test_colours_change_no_more_than_the_frames_need(body: BodyModel, pictures: Pictures) -> None:
    avatar = trainer(body, pictures).avatar
    texture, count = avatar.texture, avatar.gaussian_count
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        texture.harmonics.copy_(0.3 * torch.randn(count, 8, 3, generator=generator))
    basis = torch.randn(count, 8, generator=generator).expand(4, -1, -1)
    bases = torch.zeros(4, avatar.bases.tints.shape[0])
    looks = Looks(torch.ones(4, count), basis, bases, torch.full((count,), 1e-3))

    def shown() -> torch.Tensor:
        return texture.features[:, :3] + (basis[0, ..., None] * texture.harmonics).sum(1)

    before, were = shown().detach(), texture.harmonics.detach().clone()
    settle(avatar, body, looks)
    # Smoothing leaves a little to neighbours.
    assert (shown() - before).abs().median() < 0.03 * before.std()
    assert texture.harmonics.abs().mean() < 0.1 * were.abs().mean(), "one view tells no change"


def test_no_gaps_open_between_splats_drawn_larger_than_they_were_learned(
    body: BodyModel, pictures: Pictures
) -> None:
    made = trained(body, pictures)
    avatar, K = made.avatar, made.data.intrinsics([0], SIZE)
    larger = K.clone()
    larger[:, :2] *= 4
    with torch.no_grad():
        avatar.texture.scale -= 1.0
        small = avatar.render(made.parameters_of(0), K, SIZE).alpha
        torn = avatar.render(made.parameters_of(0), larger, 4 * SIZE).alpha
        avatar.texture.sampling.copy_(looks_of(made).sampling)
        assert (avatar.render(made.parameters_of(0), K, SIZE).alpha - small).abs().max() < 0.02
        whole = avatar.render(made.parameters_of(0), larger, 4 * SIZE).alpha
    shrink = torch.nn.functional.avg_pool2d
    assert (shrink(torn, 4) - small).abs().mean() > 5 * (shrink(whole, 4) - small).abs().mean()


def test_an_avatar_from_before_knows_no_sampling_and_loads(
    body: BodyModel, pictures: Pictures, tmp_path: Path
) -> None:
    avatar = trainer(body, pictures).avatar
    path = tmp_path / "avatar.safetensors"
    avatar.texture.sampling.fill_(1e-3)
    avatar.save(path)
    assert (Avatar.load(path, body).texture.sampling == 1e-3).all()
    assert (avatar.kept(body, torch.arange(avatar.gaussian_count) < 300).texture.sampling > 0).all()
    older = {name: value for name, value in load_file(path).items() if "sampling" not in name}
    save_file(older, path)
    assert not Avatar.load(path, body).texture.sampling.any()


def test_what_stands_beside_the_performer_is_left_out(body: BodyModel, pictures: Pictures) -> None:
    made = trained(body, pictures)
    texture, data = made.avatar.texture, made.data
    kept = showing(made)
    astray = torch.nonzero(kept)[::50, 0]
    with torch.no_grad():
        # Opaque, in the upper corner of every window.
        parameters = made.parameters_of(0)
        vertices = made.avatar.pose_vertices(parameters, made.avatar.personal(parameters)[0])
        centre, frames, stretch = (each[0, astray] for each in texture.carriers(vertices))
        ray = torch.linalg.inv(data.intrinsics([0], SIZE)[0]) @ torch.tensor([6.0, 6.0, 1.0])
        corner = ray * centre[:, 2].mean()
        away = (frames.mT @ (corner - centre)[..., None])[..., 0]
        texture.offset[astray] = away / stretch[:, None]
        texture.opacity[astray] = 6.0
    now = showing(made)
    assert not now[astray].any()
    assert (now | ~kept).float().mean() > 0.95, "all others stay"


def test_black_in_empty_space_does_not_pass_for_nothing(
    body: BodyModel, pictures: Pictures
) -> None:
    made = trainer(body, pictures, neural=False)
    colour, alpha = made.data.target([0], SIZE)
    output = made.render_row(0)
    exact = replace(output, premultiplied=colour, preview=colour, alpha=alpha)
    specks = replace(exact, alpha=torch.ones_like(alpha))
    unlike = made.settings.weights.matte * (1 - alpha).mean()
    ground = made._ground(alpha)
    assert torch.allclose(made._likeness(specks, colour, alpha), unlike)
    assert made._likeness(specks, colour, alpha, ground) > unlike + 0.05
    assert made._likeness(exact, colour, alpha, ground) < 1e-3
    assert ground is not None and not ground[(alpha > 0.995).expand_as(ground)].any()
    made.done += 1
    assert made._ground(alpha) is None, "most steps compare colours alone"
    made.done += made.settings.ground - 1
    assert (made._ground(alpha) != ground).any()
