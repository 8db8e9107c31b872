# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rasteriser in Warp on its CPU device, which runs the kernels that a card runs."""

import pytest
import torch
from raster_scenes import NAMES, Scene, cloud, gradients
from torch import Tensor

pytest.importorskip("warp", reason="NOT TESTED: the rasteriser in Warp, which is missing")

import warp

from portraitgen.errors import RasterError
from portraitgen.raster import warp_backend

OUTPUTS = ("features", "alpha", "depth")


def small(**options: object) -> Scene:
    return cloud(dtype=torch.float32, **options)  # type: ignore[arg-type]


def doubled(scene: Scene) -> Scene:
    """The scene, rounded to float32 as it is, in double precision for the reference."""
    tensors = {k: v.double() for k, v in vars(scene).items() if isinstance(v, Tensor)}
    return scene.but(**tensors)


def assert_agrees(scene: Scene, background: Tensor | None = None, **options: object) -> None:
    """Values to 1e-5; gradients to 1e-4 of their size."""
    exact = doubled(scene)
    behind = None if background is None else background.detach().double().requires_grad_()
    got = scene.render(backend="warp", background=background, **options)
    meant = exact.render(backend="reference", background=behind, **options)
    for name in OUTPUTS:
        assert (getattr(got, name) - getattr(meant, name)).abs().max() < 1e-5, name
    ours = gradients(scene, backend="warp", background=background, **options)
    theirs = gradients(exact, backend="reference", background=behind, **options)
    for name, grad in ours.items():
        assert (grad - theirs[name]).norm() <= 1e-4 * theirs[name].norm() + 1e-6, name


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("channels", [1, 3, 32])
def test_values_and_gradients_equal_the_reference(channels: int, antialiased: bool) -> None:
    background = torch.linspace(-1, 1, channels).requires_grad_()
    assert_agrees(small(count=150, channels=channels), background, antialiased=antialiased)


@pytest.mark.parametrize("channels", [35, 36, 40, 75])
def test_many_channels_take_several_passes(channels: int) -> None:
    assert len(warp_backend.passes(channels + 1)) == -(-(channels + 1) // 36)
    background = torch.linspace(-1, 1, channels).requires_grad_()
    assert_agrees(small(count=40, channels=channels), background)


def test_passes_pad_little() -> None:
    assert warp_backend.passes(4) == [(4, 4)]
    assert warp_backend.passes(7) == [(7, 8)]
    assert warp_backend.passes(36) == [(36, 36)]
    assert warp_backend.passes(40) == [(36, 36), (4, 4)]


@pytest.mark.parametrize("shared", [(), ("features",), ("means", "quats"), NAMES])
def test_a_batch_shares_what_it_is_given_once(shared: tuple[str, ...]) -> None:
    clouds = [small(seed=i) for i in range(3)]
    stacked = {
        name: getattr(clouds[0], name)
        if name in shared
        else torch.stack([getattr(each, name) for each in clouds])
        for name in NAMES
    }
    assert_agrees(small(views=3).but(**stacked), torch.rand(3, 3).requires_grad_())


@pytest.mark.parametrize("size", [(1, 1), (15, 16), (16, 17), (33, 47), (64, 48)])
def test_borders_of_tiles_are_seen_by_nobody(size: tuple[int, int]) -> None:
    assert_agrees(small(count=200, width=size[0], height=size[1]))


def test_a_splat_on_the_corner_of_four_tiles() -> None:
    scene = small(count=1, width=32, height=32).but(
        means=torch.tensor([[0.0, 0.0, 2.0]]),
        Ks=torch.tensor([[[40.0, 0, 16], [0, 40.0, 16], [0, 0, 1]]]),
        opacities=torch.tensor([0.9]),
    )
    assert_agrees(scene)


def test_huge_and_tiny_gaussians() -> None:
    scene = small(count=60)
    scales = torch.logspace(-5, 1, 60)[:, None] * torch.tensor([1.0, 0.5, 0.2])
    for antialiased in (False, True):
        assert_agrees(scene.but(scales=scales, opacities=torch.full((60,), 0.4)),
                      antialiased=antialiased)  # fmt: skip


def test_opaque_layers_saturate_and_stop_as_in_the_reference() -> None:
    scene = small(count=300, size=0.25).but(opacities=torch.ones(300))
    assert scene.render(backend="warp").alpha.max() > 0.999
    assert_agrees(scene)


@pytest.mark.parametrize("count", [0, 5])
def test_an_empty_picture_shows_the_background(count: int) -> None:
    """No Gaussians, or all of them behind the camera."""
    scene = small(count=count)
    scene = scene.but(means=scene.means - torch.tensor([0, 0, 9.0])).leaves()
    background = torch.tensor([0.2, 0.4, 0.6], requires_grad=True)
    drawn = scene.render(backend="warp", background=background)
    assert torch.equal(drawn.features, background.expand(1, 29, 37, 3))
    assert not drawn.alpha.any() and not drawn.depth.any()
    (drawn.features.sum() + drawn.alpha.sum()).backward()
    assert background.grad is not None and torch.allclose(background.grad, torch.tensor(29.0 * 37))
    assert scene.means.grad is not None and not scene.means.grad.any()


def test_what_is_not_finite_is_not_drawn() -> None:
    scene = small(count=30)
    spoilt = {name: getattr(scene, name).clone() for name in NAMES}
    for row, (name, value) in enumerate(
        [
            ("means", torch.nan),
            ("scales", torch.inf),
            ("opacities", torch.nan),
            ("quats", torch.nan),
        ]
    ):
        spoilt[name][row] = value
    kept = scene.but(**{name: getattr(scene, name)[4:] for name in NAMES})
    meant = kept.render(backend="warp")
    drawn = scene.but(**spoilt).render(backend="warp")
    for name in OUTPUTS:
        assert torch.equal(getattr(drawn, name), getattr(meant, name))


def test_each_output_alone_drives_the_gradients() -> None:
    for output in OUTPUTS:
        found = []
        for backend, scene in (("warp", small()), ("reference", doubled(small()))):
            leaves = scene.leaves()
            getattr(leaves.render(backend=backend), output).square().sum().backward()
            found.append([getattr(leaves, name).grad for name in NAMES])
        for name, got, meant in zip(NAMES, *found, strict=True):
            if meant is None or not meant.any():
                assert not got.any(), name
            else:
                assert (got - meant).norm() <= 1e-4 * meant.norm(), (output, name)


def test_extras_come_apart_from_the_features() -> None:
    scene = small(count=50, channels=32)
    extras = torch.randn(50, 3)
    got = scene.render(backend="warp", extras=extras)
    meant = scene.render(backend="numba", extras=extras)
    assert got.extras is not None and meant.extras is not None
    assert (got.extras - meant.extras).abs().max() < 1e-5
    assert (got.features - meant.features).abs().max() < 1e-5


def test_double_precision_is_refused() -> None:
    with pytest.raises(RasterError, match="float32 tensors, got torch.float64"):
        cloud().render(backend="warp")


def test_the_kernels_compile_for_cards(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """NVRTC lies in the package: what a card would compile is compiled here, and read."""
    from portraitgen.raster import warp_kernels

    assert not isinstance(warp_backend.find_warp(), RasterError)
    for kernel in (warp_kernels.project, *warp_kernels.blending(36)):
        for arch in (75, 90):
            made = warp.compile_aot_module(
                kernel.module, arch=arch, module_dir=tmp_path, use_ptx=True
            )
            assert made and all(path.stat().st_size > 0 for path in made)
    assembly = b"".join(path.read_bytes() for path in tmp_path.glob("*backward*.ptx"))
    assert assembly.count(b"shfl.sync") == 2 * 5 * (36 + 6 + 2)
    assert b".local " not in assembly, "sums lie in registers"
