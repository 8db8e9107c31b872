# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The avatar rides with the body, learns, resumes exactly, and refuses what is not its own."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.spatial.transform import Rotation

from portraitgen.avatar import training
from portraitgen.avatar.avatar import Avatar, FrameParameters
from portraitgen.avatar.colour_init import project_colours
from portraitgen.avatar.dataset import TrainingSet
from portraitgen.avatar.losses import gradient_pyramid, laplacian, psnr, scale_excess, ssim
from portraitgen.avatar.renderer import NeuralRenderer
from portraitgen.avatar.texture import FEATURES, matrix_to_quaternion, multiply_quaternions
from portraitgen.avatar.training import Trainer, TrainingSettings
from portraitgen.body.model import BodyModel
from portraitgen.body.uv import gaussian_texels
from portraitgen.errors import AvatarError
from portraitgen.raster import Raster
from synthetic.acting import act, camera
from synthetic.render import Performer

SIZE, FRAMES, HELD_OUT = 64, 8, 4


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def pictures(body: BodyModel) -> tuple[np.ndarray, np.ndarray]:
    motion = act(body, range(1, FRAMES + 1), 0)
    performer = Performer(body, motion)
    rendered = [performer.render(int(frame), camera(SIZE)) for frame in motion.frames]
    colours = np.stack([(each.rgb * 255).astype(np.uint8) for each in rendered])
    mattes = np.stack([(each.alpha[..., 0] * 255).astype(np.uint8) for each in rendered])
    return colours, mattes


def trainer(
    body: BodyModel,
    pictures: tuple[np.ndarray, np.ndarray],
    steps: int = 12,
    texels: int = 1500,
    **changes: int,
) -> Trainer:
    torch.manual_seed(0)
    motion = act(body, range(1, FRAMES + 1), 0)
    if changes.pop("fixed", False):
        motion.fixed[[2, HELD_OUT]] = True
    Ks = np.stack([camera(SIZE).matrix()] * FRAMES)
    held = np.arange(FRAMES) == HELD_OUT
    data = TrainingSet(motion, pictures[0].copy(), pictures[1], Ks, held)
    avatar = Avatar(body, torch.from_numpy(motion.betas), gaussian_texels(body, texels))
    project_colours(avatar, data, data.trained)
    return Trainer(avatar, data, TrainingSettings(steps=steps, **{"neural": True, **changes}))


def state(made: Trainer) -> dict[str, torch.Tensor]:
    whole = dict(made.avatar.state_dict()) | {
        f"refinement.{name}": value for name, value in made.refinement.state_dict().items()
    }
    return {name: value.clone() for name, value in whole.items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_quaternions_agree_with_scipy() -> None:
    turns = Rotation.random(200, random_state=0)
    matrices = torch.from_numpy(turns.as_matrix())
    quaternions = matrix_to_quaternion(matrices)
    expected = torch.from_numpy(turns.as_quat()[:, [3, 0, 1, 2]])
    assert torch.allclose((quaternions * expected).sum(1).abs(), torch.ones(200).double())
    product = multiply_quaternions(quaternions[:100], quaternions[100:])
    whole = (turns[:100] * turns[100:]).as_quat()[:, [3, 0, 1, 2]]
    assert torch.allclose(
        (product * torch.from_numpy(whole)).sum(1).abs(), torch.ones(100).double()
    )


def test_gaussians_ride_rigidly_with_the_body(body: BodyModel) -> None:
    avatar = Avatar(body, torch.zeros(body.n_shape), gaussian_texels(body, 800))
    spin = torch.from_numpy(Rotation.from_rotvec([0.3, -0.8, 0.2]).as_matrix()).float()
    vertices = body.template[avatar.vertices][None]
    plain, turned = avatar.texture(vertices), avatar.texture(vertices @ spin.T)
    assert torch.allclose(plain.means @ spin.T, turned.means, atol=1e-5)
    assert torch.allclose(plain.scales, turned.scales, atol=1e-6)

    def axes(quaternions: torch.Tensor) -> torch.Tensor:
        order = quaternions[0, :, [1, 2, 3, 0]].detach().numpy()
        return torch.from_numpy(Rotation.from_quat(order).as_matrix()).float()

    assert torch.allclose(spin @ axes(plain.quats), axes(turned.quats), atol=1e-4)
    bigger = avatar.texture(vertices * 1.5)
    assert torch.allclose(bigger.scales, plain.scales * 1.5, rtol=1e-4)


def test_a_fresh_renderer_gives_the_first_features_back() -> None:
    renderer = NeuralRenderer()
    features, alpha = torch.rand(2, FEATURES, 40, 32), torch.rand(2, 1, 40, 32)
    assert torch.equal(renderer(features, alpha), features[:, :3])


def test_losses_at_points_where_they_are_known() -> None:
    image = torch.rand(1, 3, 24, 24)
    assert torch.allclose(ssim(image, image), torch.ones_like(image), atol=1e-4)
    assert gradient_pyramid(image, image + 0.2) < 1e-6
    assert abs(psnr(image, image + 0.1, torch.ones(1, 1, 24, 24)) - 20) < 1e-3
    small, large = torch.full((5, 3), 0.001), torch.full((5, 3), 0.04)
    assert scale_excess(small) == 0 and scale_excess(large) > 0
    faces = torch.tensor([[0, 1, 2], [1, 3, 2]])
    assert torch.allclose(laplacian(faces, 4).to_dense().sum(1), torch.zeros(4), atol=1e-6)


def test_ssim_is_that_of_whole_windows() -> None:
    first, second = torch.rand(2, 2, 3, 24, 40, generator=torch.Generator().manual_seed(0))

    def mean(image: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(image, 11, 1, 5, count_include_pad=False)

    a, b = mean(first), mean(second)
    spread = mean(first * first) - a * a + mean(second * second) - b * b
    together = mean(first * second) - a * b
    expected = (2 * a * b + 1e-4) * (2 * together + 9e-4)
    expected = expected / ((a * a + b * b + 1e-4) * (spread + 9e-4))
    assert torch.allclose(ssim(first, second), expected, atol=1e-4)


def test_training_gains_on_frames_it_never_saw(
    body: BodyModel, pictures: tuple[np.ndarray, np.ndarray]
) -> None:
    made = trainer(body, pictures, steps=40)
    before = made.evaluate([4])
    while not made.finished:
        made.step()
    after = made.evaluate([4])
    assert after["psnr"] > before["psnr"] + 1.5
    assert after["alpha_error"] < before["alpha_error"]


def test_a_training_resumed_anywhere_ends_with_the_same_bits(
    body: BodyModel, pictures: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    whole = trainer(body, pictures)
    while not whole.finished:
        whole.step()
    for stop in (1, 5, 9):
        broken = trainer(body, pictures)
        while broken.done < stop:
            broken.step()
        broken.checkpoint(tmp_path / "checkpoint.safetensors")
        broken.step()  # Lost with the process.
        resumed = trainer(body, pictures)
        resumed.resume(tmp_path / "checkpoint.safetensors")
        assert resumed.done == stop
        while not resumed.finished:
            resumed.step()
        assert same(state(whole), state(resumed)), f"resumed at {stop}"


def test_frames_drawn_together_are_those_drawn_alone(
    body: BodyModel, pictures: tuple[np.ndarray, np.ndarray]
) -> None:
    made = trainer(body, pictures, batch=3)
    assert made.rows_of(0) + made.rows_of(1) == [
        trainer(body, pictures).rows_of(n)[0] for n in range(6)
    ]
    rows = made.rows_of(1)
    together = made.render_rows(rows).premultiplied
    alone = torch.cat([made.render_row(row).premultiplied for row in rows])
    assert (together - alone).abs().max() < 1e-5
    colours, alphas = made.data.target(rows, SIZE // 2)
    for index, row in enumerate(rows):
        colour, alpha = made.data.target([row], SIZE // 2)
        assert torch.equal(colours[index], colour[0]) and torch.equal(alphas[index], alpha[0])
    before = made.evaluate(rows)["psnr"]
    while not made.finished:
        assert made.step()["loss"] > 0
    assert made.evaluate(rows)["psnr"] > before + 1


def test_many_gaussians_on_many_threads_train_to_the_same_bits(
    body: BodyModel, pictures: tuple[np.ndarray, np.ndarray]
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        runs = [trainer(body, pictures, steps=4, texels=16000) for _ in range(3)]
        for run in runs:
            while not run.finished:
                run.step()
    finally:
        torch.set_num_threads(threads)
    assert all(same(state(runs[0]), state(run)) for run in runs[1:])


def test_held_out_rows_are_never_trained_on(
    body: BodyModel, pictures: tuple[np.ndarray, np.ndarray]
) -> None:
    made = trainer(body, pictures, steps=60)
    seen = [row for step in range(60) for row in made.rows_of(step)]
    assert 4 not in seen
    assert all(seen.count(row) >= 8 for row in range(FRAMES) if row != 4)


def test_lpips_joins_the_measures_where_it_is_given(
    body: BodyModel, pictures: tuple[np.ndarray, np.ndarray]
) -> None:
    class Apart(torch.nn.Module):
        def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
            return (first - second).abs().mean((1, 2, 3))

    made = trainer(body, pictures)
    assert "lpips" not in made.evaluate([HELD_OUT])
    found = made.evaluate([HELD_OUT], Apart())  # type: ignore[arg-type]
    colour, _ = made.data.target([HELD_OUT], SIZE)
    with torch.no_grad():
        drawn = made.render_row(HELD_OUT).premultiplied.clamp(0, 1)
    assert found["lpips"] == pytest.approx(float((drawn - colour).abs().mean()))


def test_a_stretch_held_out_takes_the_corrections_that_border_it(
    body: BodyModel, pictures: tuple[np.ndarray, np.ndarray]
) -> None:
    made = trainer(body, pictures)
    made.data.trained = [0, 1, FRAMES - 1]
    made.data.held_out[:] = True
    made.data.held_out[made.data.trained] = False
    with torch.no_grad():
        made.refinement.transl[:, 0] = torch.arange(FRAMES) / 100
    inside = made.parameters_of(FRAMES - 3).transl - made.data.parameters(FRAMES - 3).transl
    assert float(inside.detach()[0, 0]) == pytest.approx((1 + FRAMES - 1) / 200, abs=1e-6)
    made.data.trained = [0, 1]
    made.data.held_out[-1] = True
    beyond = made.parameters_of(FRAMES - 1).transl - made.data.parameters(FRAMES - 1).transl
    assert float(beyond.detach()[0, 0]) == pytest.approx(0.01, abs=1e-6), "not the mean of all"


def test_a_placed_frame_comes_closer_and_nothing_else_moves(
    body: BodyModel, pictures: tuple[np.ndarray, np.ndarray]
) -> None:
    made = trainer(body, pictures, steps=60)
    while not made.finished:
        made.step()
    apart = made.evaluate([HELD_OUT])["psnr"]
    before, parameters = state(made), made.parameters_of(1).pose
    made.place(HELD_OUT)
    assert made.evaluate([HELD_OUT])["psnr"] > apart
    assert torch.equal(parameters, made.parameters_of(1).pose)
    after = state(made)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"refinement.pose", "refinement.expression", "refinement.transl"}
    for name in changed:
        rows = (before[name] != after[name]).flatten(1).any(1)
        assert rows.nonzero().flatten().tolist() == [HELD_OUT]
    assert made.avatar.texture.features.requires_grad


def test_placing_that_overshoots_leaves_a_frame_where_it_was(
    body: BodyModel, pictures: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trainer(body, pictures, steps=60)
    while not made.finished:
        made.step()
    apart = made.evaluate([HELD_OUT])
    monkeypatch.setattr(training, "_PLACING_PACE", 1000.0)
    made.place(HELD_OUT)
    assert made.evaluate([HELD_OUT]) == pytest.approx(apart, abs=1e-3)


def test_frames_an_artist_fixed_are_not_refined(
    body: BodyModel, pictures: tuple[np.ndarray, np.ndarray]
) -> None:
    made = trainer(body, pictures, steps=15, fixed=True)
    while not made.finished:
        made.step()
    refined, given = made.refined_motion(), made.data.motion
    for name in ("pose", "expression", "transl"):
        a, b = getattr(refined, name), getattr(given, name)
        assert np.array_equal(a[2], b[2])
        assert np.array_equal(a[HELD_OUT], b[HELD_OUT])
        assert not np.array_equal(a[1], b[1])


def test_a_refined_identity_leaves_the_head_where_it_was(
    body: BodyModel, pictures: tuple[np.ndarray, np.ndarray]
) -> None:
    made = trainer(body, pictures, steps=15)
    while not made.finished:
        made.step()
    head, shifts = made.avatar.head_shapes(made.data.parameters(0))
    about = head - head.mean(0)

    def as_a_whole(change: torch.Tensor) -> torch.Tensor:
        moved = torch.einsum("s,snc->nc", change, shifts)
        turned = torch.linalg.cross(about, moved).mean(0) / about.square().sum(1).mean()
        scaled = (about * moved).sum(1).mean() / about.square().sum(1).mean()
        return torch.cat([moved.mean(0) * 1e3, turned, scaled[None]]).abs()

    refined = torch.from_numpy(made.refined_motion().betas - made.data.motion.betas)
    assert refined.abs().max() > 1e-3, "nothing was refined"
    assert as_a_whole(refined).max() < 1e-4
    learned = made.refinement.identity.detach()
    assert as_a_whole(learned).max() > 1e-3, "the change that was learned would have moved it"


def test_an_avatar_read_back_draws_the_same_bits(
    body: BodyModel, pictures: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    made = trainer(body, pictures, steps=3, refine=False)
    while not made.finished:
        made.step()
    made.avatar.save(tmp_path / "avatar.safetensors")
    again = Avatar.load(tmp_path / "avatar.safetensors", body)
    with torch.no_grad():
        first = made.render_row(0, normals=True)
        parameters = made.parameters_of(0)
        second = again.render(parameters, made.data.intrinsics([0], SIZE), SIZE, normals=True)
    for name in ("premultiplied", "alpha", "depth", "normals"):
        assert torch.equal(getattr(first, name), getattr(second, name))


def test_a_network_that_nothing_was_taught_is_left_out_when_its_avatar_is_drawn(
    body: BodyModel, pictures: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    asked: dict[bool, int] = {}
    for neural in (False, True):
        made = trainer(body, pictures, steps=3, neural=neural)
        while not made.finished:
            made.step()
        made.avatar.save(tmp_path / "avatar.safetensors")
        again = Avatar.load(tmp_path / "avatar.safetensors", body)
        calls: list[object] = []
        again.renderer.register_forward_hook(lambda *given, calls=calls: calls.append(given))
        Ks = made.data.intrinsics([0], SIZE)
        with torch.no_grad():
            drawn = again.render(made.parameters_of(0), Ks, SIZE)
            plain = again.render(made.parameters_of(0), Ks, SIZE, neural=False)
        asked[neural] = len(calls)
        assert torch.equal(drawn.premultiplied, plain.premultiplied) is not neural
    assert asked == {False: 0, True: 1}


@pytest.mark.parametrize("content", [b"", b"\x10\0\0\0\0\0\0\0{}nonsense......"])
def test_damaged_files_are_one_sentence(
    body: BodyModel,
    pictures: tuple[np.ndarray, np.ndarray],
    tmp_path: Path,
    content: bytes,
) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(AvatarError, match="reconstruct the shot again"):
        Avatar.load(path, body)
    with pytest.raises(AvatarError, match="start the job again"):
        trainer(body, pictures).resume(path)


@pytest.mark.parametrize(
    ("tensor", "value"),
    [
        ("texels.face", torch.full((200,), -1_000_000)),
        ("texels.face", torch.full((200,), 0.5)),
        ("texels.face", torch.full((200,), 9_999_999)),
        ("state.betas", torch.zeros(10)),
        ("state.betas", torch.full((100,), torch.nan)),
        ("state.texture.scale", torch.zeros(7, 3)),
    ],
)
def test_an_avatar_with_altered_tensors_is_one_sentence(
    body: BodyModel, tmp_path: Path, tensor: str, value: torch.Tensor
) -> None:
    path = tmp_path / "avatar.safetensors"
    Avatar(body, torch.zeros(body.n_shape), gaussian_texels(body, 200)).save(path)
    save_file(load_file(str(path)) | {tensor: value}, str(path))
    with pytest.raises(AvatarError, match="reconstruct the shot again"):
        Avatar.load(path, body)


def test_a_checkpoint_of_another_training_is_refused(
    body: BodyModel, pictures: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    made = trainer(body, pictures, steps=3)
    made.step()
    made.checkpoint(tmp_path / "checkpoint.safetensors")
    other = trainer(body, pictures)
    smaller = Avatar(body, other.avatar.betas, gaussian_texels(body, 700))
    with pytest.raises(AvatarError, match="cannot be resumed"):
        Trainer(smaller, other.data, other.settings).resume(tmp_path / "checkpoint.safetensors")


def test_a_training_set_without_a_frame_to_learn_from_is_refused(body: BodyModel) -> None:
    motion = act(body, range(1, 3), 0)
    blank = np.zeros((2, SIZE, SIZE), np.uint8)
    Ks = np.stack([camera(SIZE).matrix()] * 2)
    with pytest.raises(AvatarError, match="no frame is left to learn from"):
        TrainingSet(motion, np.stack([blank] * 3, axis=-1), blank, Ks, np.ones(2, bool))


def test_a_size_that_cannot_be_halved_thrice_is_refused(body: BodyModel) -> None:
    avatar = Avatar(body, torch.zeros(body.n_shape), gaussian_texels(body, 200))
    nothing = FrameParameters(torch.zeros(1, 55, 3), torch.zeros(1, 52), torch.zeros(1, 3))
    with pytest.raises(AvatarError, match="cannot be rendered"):
        avatar.render(nothing, torch.eye(3)[None], 60)
    assert dataclasses.is_dataclass(nothing)


@pytest.fixture
def on_meta(
    body: BodyModel, pictures: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> Trainer:
    """The meta device refuses to be mixed with the CPU as a GPU does, and needs none."""

    def splat(
        means: torch.Tensor, *tensors: torch.Tensor | int, extras: torch.Tensor | None = None
    ) -> Raster:
        given = [each for each in tensors if isinstance(each, torch.Tensor)]
        mixed = sum((each.sum() for each in given), means.sum())
        size, channels = int(tensors[-1]), tensors[3].shape[-1]  # type: ignore[union-attr]

        def planes(count: int) -> torch.Tensor:
            return mixed.expand(len(means), size, size, count)

        return Raster(
            planes(channels), planes(1), planes(1), planes(3) if extras is not None else None
        )

    def product(matrix: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        assert matrix.device == values.device
        return values

    monkeypatch.setattr("portraitgen.avatar.avatar.rasterize", splat)
    monkeypatch.setattr(torch.sparse, "mm", product)
    made = trainer(body, pictures)
    return Trainer(made.avatar.on("meta"), made.data, made.settings)


def test_a_training_step_leaves_no_tensor_behind_on_the_cpu(on_meta: Trainer) -> None:
    output = on_meta.render_row(1, normals=True)
    loss = on_meta._loss(output, *on_meta.data.target([1], SIZE), [1])
    loss.backward()
    on_meta.optimiser.step()
    assert loss.device.type == "meta" and output.rgb.device.type == "meta"
    assert on_meta.parameters_of(HELD_OUT).pose.device.type == "meta"
    groups = on_meta.optimiser.param_groups
    loose = [p for group in groups for p in group["params"] if p.grad is None]
    assert not loose, "a parameter was not reached"


def test_the_papers_renderer_is_trained_saved_and_loaded(
    body: BodyModel, pictures: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    made = trainer(body, pictures)
    made.avatar.use_paper_renderer()
    parameters = sum(each.numel() for each in made.avatar.renderer.parameters())
    assert 147_000 < parameters < 149_000, "as the paper counts them"
    learner = Trainer(made.avatar, made.data, made.settings)
    before = learner.evaluate([0])["psnr"]
    while not learner.finished:
        learner.step()
    assert learner.evaluate([0])["psnr"] > before
    learner.avatar.save(tmp_path / "avatar.safetensors")
    loaded = Avatar.load(tmp_path / "avatar.safetensors", body)
    assert loaded.neural and same(
        dict(loaded.state_dict()), {k: v.cpu() for k, v in learner.avatar.state_dict().items()}
    )
    half = torch.arange(made.avatar.gaussian_count) % 2 == 0
    fewer = loaded.kept(body, half)
    assert type(fewer.renderer) is type(loaded.renderer) and fewer.neural
