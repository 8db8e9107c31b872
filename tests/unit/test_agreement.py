# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Key frames that agree: noise that lies on the body, attention that looks at an anchor."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import torch

from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion
from portraitgen.body.surface import Surface
from portraitgen.editing.cross_frame_attention import SharedAttention, places_in, shared_attention
from portraitgen.editing.editor import EditRequest
from portraitgen.editing.noise import surface_noise
from portraitgen.editing.registry import create_editor
from synthetic.acting import act, camera
from synthetic.render import Performer

_SIZE, _LATENT, _CHANNELS = 256, 32, 16


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def motion(body: BodyModel) -> Motion:
    return act(body, range(1, 25), 0)


@pytest.fixture(scope="module")
def surfaces(body: BodyModel, motion: Motion) -> list[Surface]:
    """The performer in two frames, the head turned and moved between them."""
    performer, lens = Performer(body, motion), camera(_SIZE)
    return [Surface.of(body, performer.render(f, lens).vertices, lens) for f in (1, 12)]


def drawn(seed: int, surface: Surface | None) -> np.ndarray:
    shape = (1, _CHANNELS, _LATENT, _LATENT)
    return surface_noise(shape, seed, surface, torch.zeros(1)).numpy()[0]


def test_noise_on_the_body_is_as_independent_as_any(surfaces: list[Surface]) -> None:
    noise = drawn(3, surfaces[0])
    count = noise.size**0.5
    assert abs(noise.mean()) < 4 / count and abs(noise.std() - 1) < 3 / count
    assert abs((noise**4).mean() - 3) < 40 / count
    for axis in range(3):
        ahead, behind = (np.delete(noise, at, axis) for at in (0, -1))
        assert abs((ahead * behind).mean()) < 4 / count


def test_noise_is_the_seeds(surfaces: list[Surface]) -> None:
    assert (drawn(3, surfaces[0]) == drawn(3, surfaces[0])).all()
    assert abs((drawn(3, surfaces[0]) * drawn(4, surfaces[0])).mean()) < 0.05
    plain = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    assert surface_noise((1, 4, 8, 8), 5, None, plain).equal(plain)


def test_noise_goes_with_the_performer(surfaces: list[Surface]) -> None:
    before, after = surfaces
    middle = _SIZE // _LATENT // 2
    places = places_in(before, after)[middle :: 2 * middle, middle :: 2 * middle]
    seen = ~np.isnan(places[..., 0])
    x, y = (places[seen] * _LATENT).astype(int).clip(0, _LATENT - 1).T
    carried = [drawn(3, surface)[:, y, x] for surface in (before, None)]
    there = [drawn(3, surface)[:, seen] for surface in (after, None)]
    kept = [float((a * b).mean()) for a, b in zip(carried, there, strict=True)]
    assert kept[0] > 0.15, "noise does not stay on the body"
    assert abs(kept[1]) < 0.06


def test_places_are_where_the_body_was(surfaces: list[Surface]) -> None:
    same = places_in(surfaces[0], surfaces[0])
    y, x = np.mgrid[:_SIZE, :_SIZE].astype(np.float32)
    seen = ~np.isnan(same[..., 0])
    assert seen.any() and not seen.all()
    apart = np.abs(same - np.stack([x + 0.5, y + 0.5], axis=2) / _SIZE)[seen]
    assert apart.max() < 0.5 / _SIZE


def test_an_anchor_that_is_the_frame_itself_changes_nothing() -> None:
    torch.manual_seed(0)
    unet = tiny_models.unet(4)
    tiny_models.spread(unet)
    latent, words = torch.randn(1, 4, 16, 16), torch.randn(1, 77, 32)
    with torch.no_grad():
        alone = unet(latent, 500, words).sample
        everywhere = np.full((64, 64, 2), np.nan, np.float32)
        with shared_attention(unet, everywhere):
            both = unet(latent.repeat(2, 1, 1, 1), 500, words.repeat(2, 1, 1)).sample
        again = unet(latent, 500, words).sample
        other = torch.cat([latent, torch.randn_like(latent)])
        with shared_attention(unet, everywhere):
            frame, anchor = unet(other, 500, words.repeat(2, 1, 1)).sample
        plain = unet(other[1:], 500, words).sample[0]
    torch.testing.assert_close(both, alone.repeat(2, 1, 1, 1), rtol=0, atol=1e-4)
    assert again.equal(alone), "the U-Net stayed changed"
    torch.testing.assert_close(anchor, plain, rtol=0, atol=1e-4)
    assert not torch.allclose(frame, alone[0], atol=1e-2), "the frame does not see the anchor"


def test_a_place_looks_at_its_own_place_in_the_anchor() -> None:
    places = np.full((32, 32, 2), np.nan, np.float32)
    places[4:8, 4:8] = 0.9
    mask = SharedAttention(places)._mask(64).reshape(8, 8, 2, 8, 8)
    assert mask[:, :, 0].all(), "a frame always sees itself"
    assert mask[0, 0, 1].all(), "what the anchor does not show may look at all of it"
    assert mask[1, 1, 1, 7, 7] and not mask[1, 1, 1, :4].any()


@pytest.mark.parametrize(("height", "width"), [(5, 7), (3, 4), (9, 16), (1, 3)])
def test_tokens_lie_as_the_picture_does(height: int, width: int) -> None:
    mask = SharedAttention(np.full((8 * height, 8 * width, 2), np.nan, np.float32))._mask(
        height * width
    )
    assert mask.shape == (height * width, 2 * height * width)
    places = np.zeros((8 * height, 8 * width, 2), np.float32)
    near = SharedAttention(places)._mask(height * width)[:, height * width :]
    assert near.reshape(-1, height, width)[0, 0, 0], "the first place is the corner's"
    assert not near.reshape(-1, height, width)[0, :, 3:].any()


def test_an_editor_agrees_with_its_anchor(
    tmp_path: Path, body: BodyModel, motion: Motion, surfaces: list[Surface]
) -> None:
    folder = tiny_models.stable_diffusion(
        tmp_path / "ip2p", "StableDiffusionInstructPix2PixPipeline", 8
    )
    options = {"prompt": "bronze", "steps": 2, "size": 72, "model": str(folder), "guidance": 3}
    editor = create_editor("instruct-pix2pix", options)
    requests = []
    for frame, surface in zip((1, 12), surfaces, strict=True):
        seen = Performer(body, motion).render(frame, camera(_SIZE))
        requests.append(
            EditRequest(frame, seen.rgb, seen.rgb, seen.alpha[..., 0], seen.normals, seed=1)
        )
        requests[-1] = replace(requests[-1], surface=surface)
    alone = [editor.edit(request) for request in requests]
    editor.agree_with(replace(requests[0], rendered=alone[0]))
    assert (editor.edit(requests[0]) == alone[0]).all(), "the anchor itself stays"
    agreed = editor.edit(requests[1])
    assert np.abs(agreed - alone[1]).max() > 0.01
    editor.agree_with(replace(requests[0], rendered=1 - alone[0]))
    assert np.abs(editor.edit(requests[1]) - agreed).max() > 0.001
    editor.agree_with(None)
    assert (editor.edit(requests[1]) == alone[1]).all()
