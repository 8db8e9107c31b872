# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Style transfer on a VGG19 of random weights, of the real one's shape."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from portraitgen.editing.editor import Editor, EditRequest
from portraitgen.editing.editors.style_transfer import gram
from portraitgen.editing.registry import create_editor
from portraitgen.editing.vgg import Vgg19Trunk
from portraitgen.errors import EditError, ModelError

HEIGHT, WIDTH = 45, 34
CHANNELS = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256)}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with vgg19.safetensors and two style pictures."""
    folder = tmp_path_factory.mktemp("style")
    generator = torch.Generator().manual_seed(0)
    state = {}
    for place, (before, after) in CHANNELS.items():
        spread = (2 / (9 * before)) ** 0.5
        weight = spread * torch.randn(after, before, 3, 3, generator=generator)
        state |= {f"features.{place}.weight": weight, f"features.{place}.bias": torch.zeros(after)}
    save_file(state, str(folder / "vgg19.safetensors"))
    noise = np.random.default_rng(0)
    for name, mean in (("red", (30, 40, 220)), ("green", (40, 200, 60))):
        picture = noise.normal(mean, 25, (40, 52, 3)).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{name}.png"), picture)
    return folder


def request(**changes: Any) -> EditRequest:
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32) / HEIGHT
    source = 0.5 + 0.3 * np.stack([np.sin(9 * x), np.sin(7 * y), np.cos(8 * x * y)], -1)
    made = EditRequest(
        frame=1,
        rendered=(source * 0.8 + 0.1).astype(np.float32),
        source=source.astype(np.float32),
        matte=((x - 0.4) ** 2 + (y - 0.5) ** 2 < 0.15).astype(np.float32),
        normals=np.zeros((HEIGHT, WIDTH, 3), np.float32),
    )
    return dataclasses.replace(made, **changes)


def editor(files: Path, look: str = "red", **options: Any) -> Editor:
    chosen = {
        "style": str(files / f"{look}.png"),
        "model": str(files / "vgg19.safetensors"),
        "evaluations": 30,
        "ratio": 1e5,
        "size": 0,
    }
    return create_editor("style-transfer", chosen | options)


@pytest.fixture(scope="module")
def styled(files: Path) -> np.ndarray:
    return editor(files).edit(request())


def test_the_trunk_is_vgg19s(files: Path) -> None:
    """Layer by layer as torchvision lays it out: pooling before the third and fifth."""
    state = load_file(files / "vgg19.safetensors")
    layers: list[nn.Module] = []
    channels = 3
    for step in (64, 64, "M", 128, 128, "M", 256):
        if step == "M":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, int(step), 3, padding=1), nn.ReLU()]
            channels = int(step)
    whole = nn.Sequential(*layers)
    whole.load_state_dict({key.removeprefix("features."): value for key, value in state.items()})
    image = torch.rand(1, 3, 20, 24)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    found = Vgg19Trunk.load(files / "vgg19.safetensors")(image)
    for place, features in zip(CHANNELS, found, strict=True):
        expected = whole[: place + 1]((image - mean) / deviation)
        assert torch.allclose(features, expected, atol=1e-5)


def test_a_gram_matrix_sees_only_what_is_covered() -> None:
    features = torch.randn(1, 4, 6, 6)
    cover = torch.zeros(1, 1, 6, 6)
    cover[..., :3] = 1
    assert torch.allclose(gram(features, cover), gram(features[..., :3]), atol=1e-6)
    assert torch.allclose(gram(features, torch.ones(1, 1, 6, 6)), gram(features), atol=1e-6)


def test_it_takes_on_the_pictures_colours(styled: np.ndarray, files: Path) -> None:
    inside = request().matte > 0.5
    before, after = request().rendered[inside].mean(0), styled[inside].mean(0)
    assert after[0] > before[0] + 0.1 and after[1] < before[1] - 0.1
    assert styled.shape == (HEIGHT, WIDTH, 3) and styled.dtype == np.float32


def test_the_same_request_gives_the_same_bits(styled: np.ndarray, files: Path) -> None:
    assert np.array_equal(editor(files).edit(request()), styled)


@pytest.mark.parametrize("what", ["source", "rendered", "style", "strength"])
def test_it_depends_on(styled: np.ndarray, files: Path, what: str) -> None:
    if what == "style":
        other = editor(files, "green").edit(request())
    elif what == "strength":
        other = editor(files).edit(request(strength=0.01))
    else:
        changed = getattr(request(), what)[::-1].copy()
        other = editor(files).edit(request(**{what: changed}))
    assert np.abs(other - styled).mean() > 1e-3


def test_strength_zero_is_the_identity_and_nobody_is_left_alone(files: Path) -> None:
    asked = request(strength=0.0)
    assert editor(files).edit(asked) is asked.rendered
    empty = request(matte=np.zeros((HEIGHT, WIDTH), np.float32))
    assert np.array_equal(editor(files).edit(empty), empty.rendered)


def test_outside_the_mask_every_bit_stays(files: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[10:20, 10:20] = 1
    asked = request(mask=mask)
    masked = editor(files).edit(asked)
    assert np.array_equal(masked[mask == 0], asked.rendered[mask == 0])


def test_without_a_picture_it_is_refused(files: Path, tmp_path: Path) -> None:
    with pytest.raises(EditError, match="needs a style picture"):
        editor(files, style="")
    with pytest.raises(EditError, match="cannot be read"):
        editor(files, style=str(tmp_path / "none.png"))


def test_wrong_damaged_pickled_or_missing_weights_are_refused(files: Path, tmp_path: Path) -> None:
    def refused(path: Path, message: str) -> None:
        with pytest.raises(ModelError, match=message) as failure:
            editor(files, model=str(path)).prepare([])
        assert "\n" not in str(failure.value)

    state = load_file(files / "vgg19.safetensors")
    short = {key: value for key, value in state.items() if not key.startswith("features.10")}
    save_file(short, str(tmp_path / "short.safetensors"))
    refused(tmp_path / "short.safetensors", "features.10.weight.* is missing")
    wide = state | {"features.0.weight": torch.zeros(64, 4, 3, 3)}
    save_file(wide, str(tmp_path / "wide.safetensors"))
    refused(tmp_path / "wide.safetensors", "cannot be read")
    (tmp_path / "damaged.safetensors").write_bytes(b"no tensors")
    refused(tmp_path / "damaged.safetensors", "cannot be read")
    (tmp_path / "vgg19-dcbb9e9d.pth").write_bytes(b"")
    refused(tmp_path / "vgg19-dcbb9e9d.pth", "pickled")
    refused(tmp_path / "none.safetensors", "neither")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_it_runs_on_cuda(files: Path) -> None:
    drawn = editor(files).edit(request())
    assert np.isfinite(drawn).all() and drawn.std() > 0
