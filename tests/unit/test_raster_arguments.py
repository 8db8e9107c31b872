# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``rasterize`` refuses, and that it says what it received."""

from collections.abc import Callable

import pytest
import torch
from raster_scenes import Scene, cloud

from portraitgen.errors import RasterError

REFUSED: dict[str, tuple[Callable[[Scene], Scene], str]] = {
    "quats without w": (lambda s: s.but(quats=s.quats[:, :3]), r"quats: .*\(60, 4\).*\(60, 3\)"),
    "fewer opacities": (lambda s: s.but(opacities=s.opacities[1:]), r"opacities: .*\(59,\)"),
    "opacities with an axis too many": (
        lambda s: s.but(opacities=s.opacities[None, :, None]),
        r"opacities: .*\(1, 60, 1\)",
    ),
    "another batch size": (
        lambda s: s.but(means=s.means.expand(3, -1, -1)),
        r"means: .*\(2, 60, 3\), got \(3, 60, 3\)",
    ),
    "means with one axis": (lambda s: s.but(means=s.means[:, 0]), r"means: .*\(60,\)"),
    "one camera matrix": (lambda s: s.but(viewmats=s.viewmats[0]), r"viewmats: .*\(4, 4\)"),
    "fewer intrinsics": (lambda s: s.but(Ks=s.Ks[:1]), r"Ks: .*\(2, 3, 3\), got \(1, 3, 3\)"),
    "no channel": (lambda s: s.but(features=s.features[:, :0]), r"features: .*\(60, 0\)"),
    "half precision": (lambda s: s.but(means=s.means.half()), "means: .*float32 or float64"),
    "mixed precision": (lambda s: s.but(features=s.features.float()), "features: .*float32"),
    "another device": (lambda s: s.but(scales=s.scales.to("meta")), "scales: .*on cpu .*meta"),
    "an array": (lambda s: s.but(features=s.features.numpy()), "features: .*ndarray"),
    "no width": (lambda s: s.but(width=0), "width: .*got 0"),
    "a fractional height": (lambda s: s.but(height=12.5), "height: .*got 12.5"),
    "camera gradients": (
        lambda s: s.but(viewmats=s.viewmats.clone().requires_grad_()),
        "viewmats: cameras get no gradient; move the Gaussians",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_unfit_scene_is_refused_with_what_was_received(what: str) -> None:
    change, sentence = REFUSED[what]
    with pytest.raises(RasterError, match=sentence):
        change(cloud(views=2)).render()


def test_an_unfit_option_is_refused_with_what_was_received() -> None:
    scene = cloud()
    with pytest.raises(RasterError, match="near: .*got -1"):
        scene.render(near=-1)
    with pytest.raises(RasterError, match="backend: .*'wrap'; choose auto, numba"):
        scene.render(backend="wrap")
    with pytest.raises(RasterError, match=r"background: .*\(3,\).*\(4,\)"):
        scene.render(background=torch.zeros(4, dtype=torch.float64))
    with pytest.raises(RasterError, match=r"extras: .*\(60, E\).*\(5, 2\)"):
        scene.render(extras=torch.zeros(5, 2, dtype=torch.float64))
