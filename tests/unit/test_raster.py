# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CPU rasteriser against the dense reference, its gradients, and its edge cases."""

import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from raster_scenes import NAMES, Scene, cloud, gradients, loss
from torch.testing import assert_close

from portraitgen.raster import Raster

OUTPUTS = ("features", "alpha", "depth")


def assert_same_picture(got: Raster, expected: Raster, tolerance: float) -> None:
    for name in OUTPUTS:
        assert_close(
            getattr(got, name), getattr(expected, name), atol=tolerance, rtol=tolerance,
            check_dtype=False, msg=lambda text, name=name: f"{name}: {text}",
        )  # fmt: skip


def assert_agrees_with_reference(scene: Scene, **options: object) -> None:
    """Values to 1e-5 and float64 gradients to 1e-8 of their size."""
    expected = scene.render(backend="reference", **options)
    assert_same_picture(scene.render(backend="numba", **options), expected, 1e-5)
    expected_gradients = gradients(scene, backend="reference", **options)
    for name, grad in gradients(scene, backend="numba", **options).items():
        error = (grad - expected_gradients[name]).norm()
        assert error <= 1e-8 * (1 + expected_gradients[name].norm()), name


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("channels", [1, 3, 33])
def test_values_and_gradients_equal_the_reference(channels: int, antialiased: bool) -> None:
    background = torch.linspace(-1, 1, channels, dtype=torch.float64).requires_grad_()
    scene = cloud(count=150, channels=channels)
    assert_agrees_with_reference(scene, antialiased=antialiased, background=background)


@pytest.mark.parametrize("antialiased", [False, True])
def test_single_precision_stays_within_1e5_of_the_double_reference(antialiased: bool) -> None:
    exact = cloud(count=400, channels=32, width=64, height=48)
    single = cloud(count=400, channels=32, width=64, height=48, dtype=torch.float32)
    got = single.render(backend="numba", antialiased=antialiased)
    assert got.features.dtype == torch.float32
    # The scene itself is rounded to float32 first: only the arithmetic is compared.
    rounded = exact.but(**{n: getattr(single, n).double() for n in NAMES})
    rounded = rounded.but(viewmats=single.viewmats.double(), Ks=single.Ks.double())
    assert_same_picture(got, rounded.render(backend="reference", antialiased=antialiased), 1e-5)
    expected = gradients(rounded, backend="reference", antialiased=antialiased)
    for name, grad in gradients(single, backend="numba", antialiased=antialiased).items():
        assert (grad - expected[name]).norm() <= 1e-5 * expected[name].norm(), name


def test_opaque_layers_saturate_and_stop_as_in_the_reference() -> None:
    scene = cloud(count=300, size=0.25, most_opaque=1.0).but(
        opacities=torch.ones(300, dtype=torch.float64)
    )
    assert scene.render(backend="numba").alpha.max() > 0.999
    assert_agrees_with_reference(scene)


@pytest.mark.parametrize("antialiased", [False, True])
def test_gradcheck_in_double_precision(antialiased: bool) -> None:
    scene = cloud(count=10, channels=2, width=19, height=17, size=0.12).leaves()
    background = torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True)

    def render(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        changed = scene.but(**dict(zip(NAMES, tensors[:5], strict=True)))
        raster = changed.render(background=tensors[5], antialiased=antialiased, backend="numba")
        return raster.features, raster.alpha, raster.depth

    inputs = (*(getattr(scene, name) for name in NAMES), background)
    assert torch.autograd.gradcheck(render, inputs, eps=1e-7, atol=1e-5, rtol=1e-4, nondet_tol=0.0)


@pytest.mark.parametrize("output", OUTPUTS)
def test_each_output_alone_drives_the_gradients(output: str) -> None:
    found = {}
    for backend in ("numba", "reference"):
        leaves = cloud().leaves()
        getattr(leaves.render(backend=backend), output).square().sum().backward()
        found[backend] = [getattr(leaves, name).grad for name in NAMES]
    for name, got, expected in zip(NAMES, found["numba"], found["reference"], strict=True):
        if expected is None or not expected.any():
            assert not got.any(), name
        else:
            assert_close(got, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("shared", [(), ("features",), ("means", "quats"), NAMES])
def test_a_batch_equals_its_images_one_by_one(shared: tuple[str, ...]) -> None:
    views = 3
    clouds = [cloud(seed=i) for i in range(views)]
    cameras = cloud(views=views)
    stacked = {
        name: getattr(clouds[0], name)
        if name in shared
        else torch.stack([getattr(c, name) for c in clouds])
        for name in NAMES
    }
    backgrounds = torch.rand(views, 3, dtype=torch.float64, requires_grad=True)
    batch = cameras.but(**stacked)
    got = batch.render(background=backgrounds, backend="numba")
    got_gradients = gradients(batch, background=backgrounds, backend="numba")

    leaves = batch.leaves()
    singles = []
    for b in range(views):
        parts = {n: getattr(leaves, n) for n in NAMES}
        parts = {n: t if n in shared else t[b] for n, t in parts.items()}
        single = cameras.but(
            viewmats=cameras.viewmats[b : b + 1], Ks=cameras.Ks[b : b + 1], **parts
        )
        singles.append(single.render(background=backgrounds[b], backend="numba"))
    together = Raster(*(torch.cat([getattr(s, n) for s in singles]) for n in OUTPUTS))
    for name in OUTPUTS:
        assert torch.equal(getattr(got, name), getattr(together, name))
    expected = torch.autograd.grad(loss(together), [getattr(leaves, n) for n in NAMES])
    for name, grad in zip(NAMES, expected, strict=True):
        assert_close(got_gradients[name], grad, rtol=1e-12, atol=1e-12)


def test_threads_do_not_change_a_bit() -> None:
    scene = cloud(count=2000, channels=8, width=131, height=97, views=2, dtype=torch.float32)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            raster = scene.render(backend="numba")
            found.append(
                [getattr(raster, n) for n in OUTPUTS]
                + list(gradients(scene, backend="numba").values())
            )
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_several_python_threads_may_render_at_once() -> None:
    scenes = [cloud(count=500, width=80, height=64, seed=i) for i in range(4)]
    expected = [gradients(scene, backend="numba") for scene in scenes]
    found: list[dict[str, torch.Tensor]] = [{} for _ in scenes]

    def train(i: int) -> None:
        for _ in range(5):
            found[i] = gradients(scenes[i], backend="numba")

    workers = [threading.Thread(target=train, args=(i,)) for i in range(len(scenes))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for got, want in zip(found, expected, strict=True):
        assert got.keys() == want.keys()
        assert all(torch.equal(got[name], want[name]) for name in want)


def test_a_second_backward_pass_waits_for_its_own_forward() -> None:
    first, second = cloud(seed=1), cloud(seed=2, count=200)
    expected = gradients(first, backend="numba")["means"]
    leaves = first.leaves()
    pending = loss(leaves.render(backend="numba"))
    gradients(second, backend="numba")  # uses the same scratch memory
    pending.backward()
    assert torch.equal(leaves.means.grad, expected)


def test_without_gaussians_there_is_only_background() -> None:
    scene = cloud(count=0)
    background = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    for backend in ("numba", "reference"):
        raster = scene.render(background=background, backend=backend)
        assert torch.equal(raster.features, background.expand(1, 29, 37, 3))
        assert not raster.alpha.any() and not raster.depth.any()
    assert gradients(scene, backend="numba")["means"].shape == (0, 3)


def test_what_lies_behind_the_camera_is_not_seen_and_gets_no_gradient() -> None:
    scene = cloud()
    behind = scene.but(means=scene.means * torch.tensor([1, 1, -1.0], dtype=torch.float64))
    assert not behind.render(backend="numba").alpha.any()
    assert not any(grad.any() for grad in gradients(behind, backend="numba").values())


def test_nearer_than_the_near_plane_is_not_drawn() -> None:
    scene = cloud()
    raster = scene.render(near=2.0, backend="numba")
    assert_same_picture(raster, scene.render(near=2.0, backend="reference"), 1e-12)
    assert raster.alpha.sum() < scene.render(backend="numba").alpha.sum()


@pytest.mark.parametrize("size", [1e-9, 1e-5, 3.0, 1e4])
def test_specks_and_giants_equal_the_reference(size: float) -> None:
    one = cloud(count=1, seed=3).but(
        means=torch.tensor([[0.1, -0.05, 2.0]], dtype=torch.float64),
        scales=torch.full((1, 3), size, dtype=torch.float64),
        opacities=torch.tensor([0.8], dtype=torch.float64),
    )
    assert one.render(backend="numba").alpha.max() > 0.3
    assert_agrees_with_reference(one)


def test_opacity_zero_draws_nothing() -> None:
    scene = cloud()
    clear = scene.but(opacities=torch.zeros_like(scene.opacities))
    raster = clear.render(backend="numba")
    assert not raster.alpha.any() and not raster.features.any()


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 15), (5, 70), (48, 3)])
def test_any_image_size_equals_the_reference(size: tuple[int, int]) -> None:
    assert_agrees_with_reference(cloud(width=size[0], height=size[1]))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e38])
@pytest.mark.parametrize("name", NAMES[:4])
def test_a_broken_gaussian_leaves_the_others_as_they_are(name: str, value: float) -> None:
    scene = cloud(dtype=torch.float32)
    broken = getattr(scene, name).clone()
    broken[7] = value
    damaged = scene.but(**{name: broken})
    raster = damaged.render(backend="numba")
    grads = gradients(damaged, backend="numba")
    assert all(torch.isfinite(getattr(raster, n)).all() for n in OUTPUTS)
    assert all(torch.isfinite(grad).all() for grad in grads.values())


def test_depth_over_alpha_is_the_distance_of_a_wall() -> None:
    scene = cloud(count=400, size=0.2)
    flat = scene.means.clone()
    flat[:, 2] = 2.5
    raster = scene.but(means=flat).render(backend="numba")
    seen = raster.alpha > 0.5
    assert_close((raster.depth / raster.alpha)[seen], torch.full_like(raster.depth, 2.5)[seen])


def test_a_splat_lands_on_the_pixel_its_camera_says() -> None:
    scene = cloud(count=1, width=40, height=30).but(
        means=torch.tensor([[0.25, -0.1, 2.0]], dtype=torch.float64),
        scales=torch.full((1, 3), 0.01, dtype=torch.float64),
        opacities=torch.tensor([0.9], dtype=torch.float64),
    )
    raster = scene.render(backend="numba")
    x, y, _ = scene.Ks[0] @ scene.means[0] / 2.0
    rows, columns = torch.meshgrid(torch.arange(30) + 0.5, torch.arange(40) + 0.5, indexing="ij")
    alpha = raster.alpha[0, ..., 0]
    centre = [float((alpha * axis).sum() / alpha.sum()) for axis in (columns, rows)]
    assert centre == pytest.approx([float(x), float(y)], abs=0.05)


def test_extras_are_blended_beside_the_features_over_zero() -> None:
    scene = cloud(views=2)
    normals = torch.nn.functional.normalize(scene.means, dim=-1)[:, :2].requires_grad_()
    background = torch.ones(3, dtype=torch.float64)
    options = {"extras": normals, "background": background}
    raster = scene.render(backend="numba", **options)
    plain = scene.render(backend="numba", background=background)
    alone = scene.but(features=normals.detach()).render(backend="numba")
    assert_same_picture(raster, plain, 1e-12)
    assert_close(raster.extras, alone.features)
    got = gradients(scene, backend="numba", **options)["extras"]
    expected = gradients(scene, backend="reference", **options)["extras"]
    assert_close(got, expected)


def test_inputs_in_any_memory_layout_give_the_same_picture() -> None:
    scene = cloud()
    strided = scene.but(means=scene.means.T.contiguous().T, features=scene.features.flip(0).flip(0))
    assert_same_picture(strided.render(backend="numba"), scene.render(backend="numba"), 0.0)
    leaves = strided.leaves()
    leaves.render(backend="numba").alpha.sum().backward()  # an expanded gradient
    assert leaves.means.grad.any()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(0, 80),
    channels=st.integers(1, 5),
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    size=st.floats(1e-3, 0.8),
    antialiased=st.booleans(),
)
def test_random_scenes_equal_the_reference(
    seed: int, count: int, channels: int, width: int, height: int, size: float, antialiased: bool
) -> None:
    scene = cloud(count, channels, width, height, seed=seed, size=size, most_opaque=1.0)
    assert_agrees_with_reference(scene, antialiased=antialiased)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.floats(1e-3, 0.5))
def test_alpha_is_a_coverage_and_constant_features_reproduce_it(seed: int, size: float) -> None:
    scene = cloud(seed=seed, channels=2, size=size, most_opaque=1.0)
    scene = scene.but(features=torch.full_like(scene.features, 3.0))
    raster = scene.render(backend="numba")
    assert raster.alpha.min() >= 0 and raster.alpha.max() <= 1
    assert_close(raster.features, 3.0 * raster.alpha.expand(-1, -1, -1, 2))
    permuted = torch.randperm(60, generator=torch.Generator().manual_seed(seed))
    shuffled = scene.but(**{n: getattr(scene, n)[permuted] for n in NAMES})
    assert_same_picture(shuffled.render(backend="numba"), raster, 1e-12)
