# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""LPIPS: equal to the lpips package where that can be imported, and careful with weights."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmarks.ablation import lpips_here
from portraitgen.avatar.lpips import Lpips
from portraitgen.errors import AvatarError, ShotError

CHANNELS = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
INDICES = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]


@pytest.fixture(scope="module")
def trunk() -> dict[str, Tensor]:
    """Random weights in the places of VGG16's."""
    torch.manual_seed(0)
    state, before = {}, 3
    for index, count in zip(INDICES, CHANNELS, strict=True):
        scale = (2 / (9 * before)) ** 0.5
        state[f"features.{index}.weight"] = torch.randn(count, before, 3, 3) * scale
        state[f"features.{index}.bias"] = torch.randn(count) * 0.01
        before = count
    return state


def images() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)


def test_it_equals_the_lpips_package(trunk: dict[str, Tensor]) -> None:
    lpips = pytest.importorskip("lpips", reason="lpips (and torchvision) is not installed")
    reference = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False)
    for number, part in enumerate(range(1, 6)):
        for name, layer in getattr(reference.net, f"slice{part}").named_children():
            if isinstance(layer, nn.Conv2d):
                layer.weight.data = trunk[f"features.{name}.weight"]
                assert layer.bias is not None
                layer.bias.data = trunk[f"features.{name}.bias"]
        assert number < 5
    first, second = images()
    expected = reference(first * 2 - 1, second * 2 - 1).flatten()
    assert torch.allclose(Lpips(trunk)(first, second), expected, rtol=1e-5)


def test_distance_is_zero_on_equal_images_and_grows(trunk: dict[str, Tensor]) -> None:
    first, second = images()
    distance = Lpips(trunk)
    assert distance(first, first).abs().max() == 0
    near = distance(first, first + 0.1 * (second - first))
    far = distance(first, second)
    assert (0 < near).all() and (near < far).all()


def test_images_learn_and_weights_do_not(trunk: dict[str, Tensor]) -> None:
    distance = Lpips(trunk)
    first, second = images()
    first.requires_grad_()
    distance(first, second).sum().backward()
    assert first.grad is not None and first.grad.abs().max() > 0
    assert all(not parameter.requires_grad for parameter in distance.parameters())


def test_weights_are_read_from_safetensors(tmp_path: Path, trunk: dict[str, Tensor]) -> None:
    save_file(trunk, str(tmp_path / "vgg.safetensors"))
    first, second = images()
    loaded = Lpips.load(tmp_path / "vgg.safetensors")
    assert torch.equal(loaded(first, second), Lpips(trunk)(first, second))


def test_the_bench_measures_by_the_weights_of_the_models_folder(
    tmp_path: Path, trunk: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTRAITGEN_MODELS", str(tmp_path))
    assert lpips_here() is None
    (tmp_path / "vgg16").mkdir()
    save_file(trunk, str(tmp_path / "vgg16" / "vgg16.safetensors"))
    found, (first, second) = lpips_here(), images()
    assert found is not None
    assert torch.allclose(found(first, second), Lpips(trunk)(first, second))


def test_a_strangers_pickle_is_never_opened(tmp_path: Path, trunk: dict[str, Tensor]) -> None:
    torch.save(trunk, tmp_path / "vgg16-397923af.pth")
    with pytest.raises(AvatarError, match="not torchvision's VGG16"):
        Lpips.load(tmp_path / "vgg16-397923af.pth")


@pytest.mark.parametrize("content", [None, b"", b"\x08\0\0\0\0\0\0\0garbage!"])
def test_missing_or_damaged_weights_are_one_sentence(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "vgg.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AvatarError, match="cannot be read"):
        Lpips.load(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes among its files")
def test_pipes_are_not_waited_for_and_weights_have_a_largest_size(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(ShotError, match="no plain file"):
        Lpips.load(tmp_path / "pipe.pth")
    with open(tmp_path / "holes.pth", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ShotError, match="too large"):
        Lpips.load(tmp_path / "holes.pth")
