# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The choice of backend, the call of gsplat, and where compiled kernels are kept."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from child_process import child_environment
from raster_scenes import NAMES, cloud
from torch import Tensor
from torch.testing import assert_close

from portraitgen.errors import RasterError
from portraitgen.raster import gsplat_backend, rasterize
from portraitgen.raster.arguments import check_scene


def stand_in_for_gsplat(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    **options: Any,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Asserts the shapes that gsplat 1.5 documents and renders with the reference."""
    batch, count = means.shape[:-2], means.shape[-2]
    cameras = viewmats.shape[-3]
    channels = colors.shape[-1]
    assert quats.shape == (*batch, count, 4) and scales.shape == (*batch, count, 3)
    assert opacities.shape == (*batch, count) and colors.shape == (*batch, count, channels)
    assert viewmats.shape == (*batch, cameras, 4, 4) and Ks.shape == (*batch, cameras, 3, 3)
    assert options["backgrounds"].shape == (*batch, cameras, channels)
    assert options["render_mode"] == "RGB+D" and options["packed"] is False
    assert options["channel_chunk"] == gsplat_backend.channels_a_pass(channels + 1)
    raster = rasterize(
        means, quats, scales, opacities, colors,
        viewmats.reshape(-1, 4, 4), Ks.reshape(-1, 3, 3), width, height,
        background=options["backgrounds"].reshape(-1, channels), near=options["near_plane"],
        antialiased=options["rasterize_mode"] == "antialiased", backend="reference",
    )  # fmt: skip
    size = (*batch, cameras, height, width)
    blended = torch.cat([raster.features, raster.depth], dim=-1)
    return blended.reshape(*size, channels + 1), raster.alpha.reshape(*size, 1), {}


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("batched", [(), ("means",), NAMES])
def test_gsplat_is_called_in_its_own_shapes(batched: tuple[str, ...], antialiased: bool) -> None:
    scene = cloud(views=2, channels=4)
    scene = scene.but(**{n: torch.stack([getattr(scene, n)] * 2) for n in batched})
    background = torch.rand(4, dtype=torch.float64)
    checked = check_scene(
        *vars(scene).values(), background=background, antialiased=antialiased, near=0.5
    )
    got = gsplat_backend.call_gsplat(stand_in_for_gsplat, checked)
    expected = scene.render(
        background=background, antialiased=antialiased, near=0.5, backend="reference"
    )
    for tensor, name in zip(got, ("features", "alpha", "depth"), strict=True):
        assert_close(tensor, getattr(expected, name))


def test_asking_for_gsplat_on_the_cpu_says_what_it_needs() -> None:
    with pytest.raises(RasterError, match=r"float32 tensors on CUDA, got torch.float64 on cpu; "):
        cloud().render(backend="gsplat")


def test_a_missing_gsplat_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gsplat", None)
    gsplat_backend._find_gsplat.cache_clear()
    try:
        found = gsplat_backend._find_gsplat()
    finally:
        gsplat_backend._find_gsplat.cache_clear()
    assert isinstance(found, RasterError)
    assert "pip install 'portraitgen[cuda]'" in str(found)


@pytest.mark.parametrize(
    "failure",
    [
        subprocess.CalledProcessError(1, ["where", "cl"]),
        ValueError("Unknown CUDA arch"),
        IndexError("list index out of range"),
        RuntimeError("Error building extension"),
        FileNotFoundError("nvcc"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_however_gsplat_fails_to_compile_it_is_told_and_tried_once(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    class Failing(ModuleType):
        def __getattr__(self, name: str) -> Any:
            tried.append(name)
            raise failure

    monkeypatch.setitem(sys.modules, "gsplat", Failing("gsplat"))
    gsplat_backend._find_gsplat.cache_clear()
    try:
        found = [gsplat_backend._find_gsplat() for _ in range(2)]
    finally:
        gsplat_backend._find_gsplat.cache_clear()
    assert isinstance(found[0], RasterError) and found[1] is found[0] and len(tried) == 1
    assert "could not compile its CUDA kernels" in str(found[0])


def test_gsplat_is_given_as_many_channels_as_fit_without_padding() -> None:
    for channels, a_pass in ((4, 4), (7, 7), (33, 33), (36, 33), (65, 65), (100, 100)):
        assert gsplat_backend.channels_a_pass(channels) == a_pass


def test_auto_takes_numba_on_the_cpu() -> None:
    scene = cloud()
    assert torch.equal(scene.render().features, scene.render(backend="numba").features)


def test_importing_the_room_loads_neither_torch_nor_numba() -> None:
    code = (
        "import sys, portraitgen.raster; "
        "sys.exit(' '.join({'torch', 'numba', 'numpy'} & sys.modules.keys()) or None)"
    )
    run_python(code)


RENDER_ONCE = """
import torch
from portraitgen.raster import rasterize
eye = torch.eye(4)
rasterize(torch.tensor([[0, 0, 2.0]]), torch.ones(1, 4), torch.ones(1, 3), torch.ones(1),
          torch.ones(1, 1), eye[None], eye[None, :3, :3], 8, 8)
"""


def run_python(code: str, **variables: str) -> None:
    kept = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    environment = {**kept, "PYTHONPATH": child_environment()["PYTHONPATH"], **variables}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_kernels_are_kept_in_the_cache_folder_of_the_user(tmp_path: Path) -> None:
    run_python(RENDER_ONCE, PORTRAITGEN_CACHE=str(tmp_path))
    assert list((tmp_path / "numba").rglob("*.nbi"))


def test_an_unwritable_cache_folder_does_not_stop_a_render(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("not a folder")
    run_python(RENDER_ONCE, PORTRAITGEN_CACHE=str(occupied), TMPDIR=str(tmp_path))


needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="NOT TESTED: gsplat on CUDA, this machine has no CUDA"
)


@needs_cuda
@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("batched", [False, True])
def test_gsplat_on_cuda_equals_the_reference(batched: bool, antialiased: bool) -> None:
    scene = cloud(count=300, channels=32, views=2, dtype=torch.float32)
    if batched:
        scene = scene.but(means=torch.stack([scene.means, scene.means + 0.02]))
    on_gpu = scene.but(**{k: v.cuda() for k, v in vars(scene).items() if isinstance(v, Tensor)})
    got = on_gpu.render(backend="gsplat", antialiased=antialiased)
    expected = scene.render(backend="reference", antialiased=antialiased)
    for name in ("features", "alpha", "depth"):
        # gsplat is compiled with fast math: a splat at the cut may differ by its 1/255.
        error = (getattr(got, name).cpu() - getattr(expected, name)).abs()
        assert error.mean() < 1e-5 and error.max() < 2e-2, name
