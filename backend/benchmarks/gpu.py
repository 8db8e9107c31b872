# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speed and memory on a CUDA device: reconstruction, rendering, rasterisers, diffusion edits.

Without one everything runs on the CPU at a small size, which shows that it runs and no more.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from portraitgen.avatar.texture import FEATURES
from portraitgen.avatar.training import Trainer
from portraitgen.editing.editor import EditRequest
from portraitgen.errors import RasterError
from portraitgen.frames import spread
from portraitgen.images import as_picture, to_float
from portraitgen.pipeline.data.avatars import best_device
from portraitgen.pipeline.data.crops import Crops
from portraitgen.pipeline.data.edit_mask import EditMask
from portraitgen.pipeline.data.shots import Track, body_of
from portraitgen.pipeline.jobs.edit import EditOptions, steps_of
from portraitgen.pipeline.jobs.reconstruct import ReconstructOptions, new_trainer, training_data
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.raster import Backend, rasterize
from portraitgen.raster.choice import choose

from .ablation import forget_peak, memory_mb
from .edit import PAPER_STEPS, calls
from .raster import largest_differences, median_ms
from .synthetic import performed
from .untrained_models import TINY, Shapes, Unlearned

_GOAL_DB, _LONG = 30.0, 500
_LOOKS, _LOOK_ROWS = 40, 12
_EDITS, _STEPS = 5, 10


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes:
        frames: of the performance.
        plate, size: sides of the plate and of the window, pixels.
        gaussians: of the avatar, and of the bust that both rasterisers draw.
        steps: of training.
        splats: side of the rasterisers' picture, pixels.
        backends: of rasterisers that are compared with the last of them.
        shapes: of the diffusion networks.
    """

    frames: int
    plate: int
    size: int
    gaussians: int
    steps: int
    splats: int
    backends: tuple[Backend, ...]
    shapes: Shapes


_WHOLE = Scale(500, 512, 512, 24576, 1200, 512, ("gsplat", "warp", "numba"), Shapes())
SMALL = Scale(24, 256, 64, 2000, 60, 96, ("numba", "reference"), TINY)


def measure(footage: Path | None, out: Path) -> dict[str, float | str]:
    """Rebuilds the synthetic performer on the GPU, draws and edits it.

    Returns:
        device: the card, or that it was the CPU at a small size.
        rasteriser: which draws here, and why the other does not.
        gsplat_difference, warp_difference and ..._of_a_value: of their outputs and gradients to
        numba's, as `largest_differences` gives them (on the CPU of numba's to the reference's).
        preparation_s: until the first step (windows, foreground, texels); seconds_to_30_db and
        frames, size, gaussians, psnr at the end: of held-out frames; peak_memory_gb: what the
        process holds of the card's memory at most (on the CPU, of the machine's).
        frame_ms and frames_per_second: of a whole frame, from parameters on the CPU to a picture
        on the card; frame_without_network_ms; and its parts: body_ms, texture_ms, both as they
        are drawn together, rasteriser_ms of all features, network_ms.
        edit_s and anchored_edit_s: of one call of InstructPix2Pix with random weights, by itself
        as in the paper's schedule and beside an anchor as in one-pass; edit_step_s: of a step of
        training meanwhile; one_pass_minutes and paper_minutes: a take of 500 frames by that, each
        picture edited in one call, as when the head fills it.
    """
    scale = _WHOLE if torch.cuda.is_available() else SMALL
    return measured(scale)


def measured(scale: Scale) -> dict[str, float | str]:
    """`measure` at a scale."""
    figures: dict[str, float | str] = {"device": _device_name()}
    figures |= _rasterisers(scale)
    with tempfile.TemporaryDirectory() as folder:
        shot, _, _ = performed(Path(folder), frames=scale.frames, size=scale.plate)
        track, body = Track(shot), body_of(shot)
        _forget_peak()
        begun = time.monotonic()
        options = ReconstructOptions(size=scale.size, gaussians=scale.gaussians, steps=scale.steps)
        windows, data = training_data(shot, track, track.frames, options, Reporter())
        trainer = new_trainer(body, track, windows, data, options)
        figures["preparation_s"] = time.monotonic() - begun
    figures |= {"frames": len(windows.frames), "size": data.size}
    figures["gaussians"] = trainer.avatar.gaussian_count
    figures |= _reconstruction(trainer)
    figures |= _frames(trainer)
    return figures | _edits(trainer, windows, EditMask(body, track, ""), scale)


def _device_name() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"the CPU, {torch.get_num_threads()} threads, at a small size: no figures of a GPU"


def _rasterisers(scale: Scale) -> dict[str, float | str]:
    figures: dict[str, float | str] = {"rasteriser": choose(best_device()).sentence()}
    *compared, against = scale.backends
    for backend in compared:
        pair = backend, against
        try:
            whole, worst = largest_differences(pair, scale.gaussians, scale.splats, best_device())
        except RasterError as error:
            figures[f"{backend}_difference"] = str(error)
            continue
        figures[f"{backend}_difference"] = whole
        figures[f"{backend}_difference_of_a_value"] = worst
    return figures


def _reconstruction(trainer: Trainer) -> dict[str, float | str]:
    """Trains to the end; looks at held-out frames are not counted as training."""
    held = spread(np.flatnonzero(trainer.data.held_out).tolist(), _LOOK_ROWS)
    every = max(trainer.settings.steps // _LOOKS, 1)
    spent, reached, found = 0.0, None, 0.0
    while trainer.done < trainer.settings.steps:
        spent += _step_seconds(trainer)
        if trainer.done % every == 0:
            found = trainer.evaluate(held)["psnr"]
            if reached is None and found >= _GOAL_DB:
                reached = spent
    return {
        "seconds_to_30_db": "not reached" if reached is None else reached,
        "psnr": found,
        "training_s": spent,
        "peak_memory_gb": _peak_gb(),
    }


def _step_seconds(trainer: Trainer) -> float:
    """Seconds of a training step, which reads its loss back and so is done when it returns."""
    begun = time.perf_counter()
    trainer.step()
    return time.perf_counter() - begun


def _forget_peak() -> None:
    forget_peak()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak_gb() -> float:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved() / 2**30
    return memory_mb("VmHWM") / 2**10


@torch.no_grad()
def _frames(trainer: Trainer) -> dict[str, float | str]:
    """What a frame takes, and each of its parts."""
    avatar, size, row = trainer.avatar, trainer.data.size, trainer.data.trained[0]
    # As an edited avatar is drawn.
    avatar.neural = True
    there = trainer.parameters_of(row)
    parameters, Ks = there.on(torch.device("cpu")), trainer.data.intrinsics([row], size)
    lens = Ks.cpu()
    views = torch.eye(4, device=Ks.device)[None]
    displaced, tints = avatar.personal(there)
    vertices = avatar.pose_vertices(there, displaced)
    splats = avatar.texture(vertices, None, FEATURES, tints)

    def rasterised() -> tuple[torch.Tensor, torch.Tensor]:
        fields = (splats.means, splats.quats, splats.scales, splats.opacities, splats.features)
        drawn = rasterize(*fields, views, Ks, size, size)
        return drawn.features.permute(0, 3, 1, 2), drawn.alpha.permute(0, 3, 1, 2)

    features, alpha = rasterised()
    parts: dict[str, Callable[[], object]] = {
        "frame_ms": lambda: avatar.render(parameters, lens, size).rgb,
        "frame_without_network_ms": lambda: avatar.render(parameters, lens, size, neural=False).rgb,
        "body_ms": lambda: avatar.pose_vertices(there, avatar.personal(there)[0]),
        "texture_ms": lambda: avatar.texture(vertices, None, FEATURES, tints),
        "body_and_texture_as_drawn_ms": lambda: avatar.gaussians(there, None, FEATURES),
        "rasteriser_ms": rasterised,
        "network_ms": lambda: avatar.renderer(features, alpha),
    }
    figures: dict[str, float | str] = {name: median_ms(part) for name, part in parts.items()}
    return figures | {"frames_per_second": 1000 / float(figures["frame_ms"])}


def _edits(
    trainer: Trainer, windows: Crops, parts: EditMask, scale: Scale
) -> dict[str, float | str]:
    """Seconds of an edit, and the minutes of a take by the number of its edits and steps."""
    if find_spec("diffusers") is None:
        return {"edits": "left out: diffusers is not installed"}
    editor = Unlearned(scale.shapes, best_device())
    rows = (0, len(windows.frames) - 1)
    anchor, request = (_request(trainer, windows, parts, row) for row in rows)
    alone = median_ms(lambda: editor.edit(request), _EDITS) / 1000
    editor.agree_with(anchor)
    anchored = median_ms(lambda: editor.edit(request), _EDITS) / 1000
    # As an edit trains: frame by frame, with the network, the motion as it is.
    settings = replace(trainer.settings, refine=False, neural=True, coarse=0.0, batch=1)
    learner = Trainer(trainer.avatar, trainer.data, settings)
    step = statistics.median(_step_seconds(learner) for _ in range(_STEPS))
    ours, paper = calls()
    return {
        "edit_s": alone,
        "anchored_edit_s": anchored,
        "edit_step_s": step,
        "one_pass_minutes": (ours * anchored + steps_of(EditOptions(), True, _LONG) * step) / 60,
        "paper_minutes": (paper * alone + PAPER_STEPS * step) / 60,
    }


@torch.no_grad()
def _request(trainer: Trainer, windows: Crops, parts: EditMask, row: int) -> EditRequest:
    output = trainer.render_row(row, normals=True)
    assert output.normals is not None
    frame, camera = windows.frames[row], windows.cameras[row]
    return EditRequest(
        frame=frame,
        rendered=as_picture(output.rgb),
        source=to_float(windows.images[row]),
        matte=to_float(windows.mattes[row]),
        normals=as_picture(output.normals),
        surface=parts.surface(frame, camera),
    )
