# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our avatar against its peers: the same frames, the same Gaussians, the same training time.

How many steps fit in that time is measured for all of them at the start, one after the other, so
that what else the machine does during the training itself favours none.
"""

import ctypes
import gc
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from portraitgen.avatar.avatar import Avatar
from portraitgen.avatar.lpips import Lpips
from portraitgen.avatar.training import Trainer
from portraitgen.errors import ModelError
from portraitgen.images import as_picture, save_png
from portraitgen.models.store import find_weights
from portraitgen.pipeline.data.avatars import best_device, training_set
from portraitgen.pipeline.data.pictures import sheet
from portraitgen.pipeline.data.shots import Track, body_of, create_shot
from portraitgen.pipeline.jobs.reconstruct import ReconstructOptions, new_trainer, training_data
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter

from .avatar import CLIP
from .baselines import NeuralAvatar, PaperAvatar, SphericalAvatar

_FRAMES = "1-96"
_SECONDS = 300.0
_PACE_STEPS = 6
_RENDERS = 12
_PEERS: dict[str, tuple[type[Avatar], bool]] = {
    "ours": (Avatar, True),
    "with its 2D renderer": (NeuralAvatar, True),
    "no refinement": (Avatar, False),
    "spherical harmonics": (SphericalAvatar, True),
    "the paper's renderer": (PaperAvatar, True),
}


def measure(footage: Path | None, out: Path) -> dict[str, str] | None:
    """Trains each for the same time on the CPU; None without the clip.

    Writes ablation.png: a held-out frame by each.

    Returns:
        For each: PSNR (dB) and SSIM inside the matte on held-out frames, LPIPS if the model vgg16
        is on this machine, PSNR once pose and expression were fitted to them, steps, memory that
        training takes, milliseconds to render a frame, parameters of the network, Gaussians.
    """
    if footage is None or not (footage / CLIP).exists():
        return None
    figures, pictures, labels = {}, [], ["plate"]
    perceptual = lpips_here()
    with tempfile.TemporaryDirectory() as folder:
        shot = create_shot(Path(folder) / "shot", footage / CLIP, {})
        run("track", shot.path, {"frames": _FRAMES}, Reporter())
        track, body = Track(shot), body_of(shot)
        options = ReconstructOptions(frames=_FRAMES)
        windows, data = training_data(shot, track, track.frames, options, Reporter())
        unaligned = training_set(track.motion, windows, data.colours.numpy(), data.held_out)
        learned = {True: data, False: unaligned}
        held = np.flatnonzero(data.held_out).tolist()
        shown = held[len(held) // 2]
        made, memory = {}, {}
        for name, (kind, refine) in _PEERS.items():
            chosen = replace(options, refine=refine)
            forget_peak()
            before = memory_mb("VmRSS")
            pace = _pace(new_trainer(body, track, windows, learned[refine], chosen, kind))
            memory[name] = memory_mb("VmHWM") - before
            made[name] = kind, replace(chosen, steps=max(20, round(_SECONDS / pace)))
        for name, (kind, chosen) in made.items():
            trainer = new_trainer(body, track, windows, learned[chosen.refine], chosen, kind)
            while not trainer.finished:
                trainer.step()
            found = trainer.evaluate(held, perceptual)
            alike = f", LPIPS {found['lpips']:.4f}" if perceptual else ""
            for row in held:
                trainer.place(row)
            placed = trainer.evaluate(held)["psnr"]
            network = sum(each.numel() for each in trainer.avatar.renderer.parameters())
            network = network if trainer.avatar.neural else 0
            figures[name] = (
                f"{found['psnr']:.2f} dB, SSIM {found['ssim']:.4f}{alike},"
                f" {placed:.2f} dB once placed,"
                f" {trainer.done} steps, {memory[name]:.0f} MB to train,"
                f" {_render_ms(trainer, shown):.0f} ms a frame, network of {network},"
                f" {trainer.avatar.gaussian_count} Gaussians"
            )
            with torch.no_grad():
                drawn = trainer.render_row(shown).premultiplied
            pictures.append(as_picture(drawn.clamp(0, 1)))
            labels.append(f"{name}: {found['psnr']:.2f} dB")
        plate = as_picture(data.target([shown], data.size)[0])
    out.mkdir(parents=True, exist_ok=True)
    save_png(out / "ablation.png", sheet([[plate, *pictures]], labels, data.size))
    return figures


def lpips_here() -> Lpips | None:
    """LPIPS, if the model vgg16 is on this machine."""
    try:
        weights = find_weights("vgg16")
    except ModelError:
        return None
    return Lpips.load(weights.path).to(best_device())


def _pace(trainer: Trainer) -> float:
    """Seconds of a step, the mean over the schedule's phases: coarse, then at full size."""
    settings = trainer.settings
    ends = (settings.coarse, 1.0)
    seconds = []
    for end in ends:
        trainer.done = round(end * settings.steps) - _PACE_STEPS
        trainer.step()
        begun = time.monotonic()
        for _ in range(_PACE_STEPS - 1):
            trainer.step()
        seconds.append((time.monotonic() - begun) / (_PACE_STEPS - 1))
    shares = np.diff((0.0, *ends))
    return float((shares * seconds).sum())


def forget_peak() -> None:
    """Begins the peak of memory anew, where Linux keeps one."""
    gc.collect()
    # glibc keeps what was freed, and what is then taken from it would not be seen.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")


def memory_mb(field: str) -> float:
    """This process's memory as Linux tells it, VmRSS now or VmHWM at its peak; NaN elsewhere."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(each for each in status.read_text().splitlines() if each.startswith(field))
    return int(line.split()[1]) / 1024


@torch.no_grad()
def _render_ms(trainer: Trainer, row: int) -> float:
    trainer.render_row(row)
    begun = time.monotonic()
    for _ in range(_RENDERS):
        trainer.render_row(row)
    return 1e3 * (time.monotonic() - begun) / _RENDERS
