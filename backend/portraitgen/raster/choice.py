# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rasteriser draws on a card: the fastest that draws the right picture there.

Each that can start draws a small scene, which must be the CPU's picture and gradients, and then a
large one for the time it takes. The finding is kept in the user's cache folder until the card, its
driver, a compiler or a package changes, so that what fails, after minutes of compiling for
instance, fails once.
"""

import functools
import json
import logging
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ..schema import Data
from ..storage import move
from ..user_folders import user_cache_folder
from . import Backend, rasterize

_SCHEMA = 1
_CANDIDATES: tuple[Backend, ...] = ("gsplat", "warp")
_PACKAGES = ("torch", "gsplat", "warp-lang", "portraitgen")
# gsplat is compiled with fast math: a splat at the cut may differ by its 1/255 at a pixel.
_PICTURE_TOLERANCE, _GRADIENT_TOLERANCE = 2e-3, 2e-2
_SMALL, _LARGE = (300, 48), (16384, 512)
_CHANNELS, _ROUNDS = 32, 5
_log = logging.getLogger(__name__)
_choosing = threading.Lock()


@dataclass(frozen=True)
class Trial(Data):
    """What became of one rasteriser on a device.

    Attributes:
        backend: its name.
        milliseconds: of a picture of 512 x 512 with 16384 Gaussians and its gradients; None if it
            could not be used.
        reason: why it could not, empty if it could.
    """

    backend: Backend
    milliseconds: float | None
    reason: str = ""


@dataclass(frozen=True)
class Choice:
    """The rasteriser for a device.

    Attributes:
        backend: that draws there; "numba" if none can, which draws on the CPU.
        trials: what was found of each.
    """

    backend: Backend
    trials: tuple[Trial, ...] = ()

    @property
    def on_device(self) -> bool:
        """Whether it draws where the tensors are."""
        return self.backend != "numba"

    def sentence(self) -> str:
        """The choice for people, in one sentence."""
        used = next((each for each in self.trials if each.backend == self.backend), None)
        passed_over = [each for each in self.trials if each.backend != self.backend]
        others = "; ".join(
            f"{each.backend}: {each.reason or f'{each.milliseconds:.0f} ms'}"
            for each in passed_over
        )
        told = f"Gaussians are drawn on the {'card' if self.on_device else 'CPU'}"
        if used is not None:
            told += f" by {self.backend}, {used.milliseconds:.0f} ms a picture with gradients"
        return told + (f" ({others})" if others else "")


def choose(device: torch.device, anew: bool = False) -> Choice:
    """The rasteriser for a device, tried and measured at the first call.

    Args:
        device: where the tensors are.
        anew: forget what was found before.
    """
    if device.type != "cuda":
        return Choice("numba")
    with _choosing:
        if anew:
            _chosen.cache_clear()
            _path().unlink(missing_ok=True)
        return _chosen(device.index or 0)


def measure(device: torch.device) -> Choice:
    """The rasteriser that draws for a device, tried anew and timed, the CPU's too if it draws."""
    found = choose(device, anew=True)
    if found.on_device:
        return found
    cpu = Trial("numba", _milliseconds("numba", torch.device("cpu")))
    return Choice("numba", (*found.trials, cpu))


@functools.cache
def _chosen(index: int) -> Choice:
    device, identity = torch.device("cuda", index), _identity(index)
    kept = _kept(identity)
    if kept is None:
        kept = decide([_tried(each, device) for each in _CANDIDATES])
        _keep(identity, kept)
    if not kept.on_device:
        _log.warning("%s; that is many times slower.", kept.sentence())
    return kept


def decide(trials: list[Trial]) -> Choice:
    """The fastest of those that can be used."""
    able = [each for each in trials if each.milliseconds is not None]
    best = min(able, key=lambda each: each.milliseconds or 0.0, default=None)
    return Choice(best.backend if best else "numba", tuple(trials))


def _tried(backend: Backend, device: torch.device) -> Trial:
    """Draws and times one rasteriser; whatever goes wrong is its reason."""
    if torch.version.hip:
        return Trial(backend, None, "it needs an NVIDIA card, and this is an AMD one")
    try:
        # A job may ask for its first picture without gradients.
        with torch.inference_mode(False), torch.enable_grad():
            apart = _difference(backend, device)
            if apart:
                return Trial(backend, None, apart)
            return Trial(backend, _milliseconds(backend, device))
    except Exception as error:  # noqa: BLE001 - compilers and drivers fail in any way there is.
        _log.debug("%s cannot be used", backend, exc_info=True)
        text = getattr(error, "message", "") or str(error).strip().partition("\n")[0]
        return Trial(backend, None, text or type(error).__name__)


@dataclass(frozen=True)
class Differences:
    """How far a rasteriser's picture and gradients are from another's.

    Attributes:
        figures: the norm of the difference over the other's norm, by name.
        told: what is too far off, empty if nothing is.
    """

    figures: dict[str, float]
    told: str


def difference(backend: Backend, device: torch.device, against: Backend = "numba") -> Differences:
    """Draws a small scene on a device and, by another rasteriser, on the CPU."""
    count, size = _SMALL
    names = ("picture", "alpha", "depth", "means", "quats", "scales", "opacities", "features")
    drawn = _drawn(backend, device, count, size), _drawn(against, torch.device("cpu"), count, size)
    figures = {
        name: float((ours.cpu() - meant).norm() / meant.norm())
        for name, ours, meant in zip(names, *drawn, strict=True)
    }
    for name, apart in figures.items():
        picture = name in ("picture", "alpha", "depth")
        if not apart <= (_PICTURE_TOLERANCE if picture else _GRADIENT_TOLERANCE):
            return Differences(figures, f"its {name} differ from the CPU's by {apart:.1%}")
    return Differences(figures, "")


def _difference(backend: Backend, device: torch.device) -> str:
    """How it differs from the CPU's picture and gradients; empty if it does not."""
    return difference(backend, device).told


def _milliseconds(backend: Backend, device: torch.device) -> float:
    """Of a large picture and its gradients, once warm."""
    times = []
    for round_of in range(2 if device.type == "cpu" else _ROUNDS + 1):
        _wait(device)
        begun = time.perf_counter()
        _drawn(backend, device, *_LARGE)
        _wait(device)
        if round_of:
            times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _drawn(backend: Backend, device: torch.device, count: int, size: int) -> list[Tensor]:
    """A picture's features, alpha and depth, and the gradients of all that gets any."""
    leaves = [each.to(device).requires_grad_() for each in _scene(count)]
    means, quats, scales, opacities, features = leaves
    K = torch.tensor([[1.5 * size, 0, size / 2], [0, 1.5 * size, size / 2], [0, 0, 1]])
    drawn = rasterize(
        means, quats, scales, opacities, features,
        torch.eye(4)[None].to(device), K[None].to(device), size, size, backend=backend,
    )  # fmt: skip
    outputs = [drawn.features, drawn.alpha, drawn.depth]
    weights = [torch.linspace(-1, 1, each.numel()).view(each.shape).to(device) for each in outputs]
    grads = torch.autograd.grad(outputs, leaves, weights)
    return [each.detach() for each in (*outputs, *grads)]


@functools.cache
def _scene(count: int) -> list[Tensor]:
    """Means, quats, scales, opacities and features of a ball of discs two metres away."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    unit = torch.nn.functional.normalize(normal(count, 3), dim=-1)
    width = 2.0 / count**0.5
    return [
        unit * 0.5 + torch.tensor([0.0, 0.0, 2.0]),
        normal(count, 4),
        width * torch.exp(0.3 * normal(count, 3)),
        0.2 + 0.7 * torch.rand(count, generator=generator),
        normal(count, _CHANNELS),
    ]


def _identity(index: int) -> dict[str, object]:
    """What a finding holds for."""
    return {
        "schema": _SCHEMA,
        "card": torch.cuda.get_device_name(index),
        "capability": list(torch.cuda.get_device_capability(index)),
        "cuda": torch.version.cuda or torch.version.hip,
        "compilers": [shutil.which(each) or "" for each in ("nvcc", "cl", "c++", "ninja")],
        "cuda_home": os.environ.get("CUDA_HOME", ""),
        "driver": _driver(),
    } | {name: _version(name) for name in _PACKAGES}


def _driver() -> str:
    """The NVIDIA driver's version where Linux tells it, else nothing."""
    try:
        return Path("/sys/module/nvidia/version").read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@dataclass(frozen=True)
class _Finding(Data):
    """What is remembered: what became of each rasteriser on a card with its packages."""

    identity: Mapping[str, object]
    trials: tuple[Trial, ...]


def _path() -> Path:
    return user_cache_folder() / "rasteriser.json"


def _kept(identity: dict[str, object]) -> Choice | None:
    """What was found before for the same card and packages."""
    try:
        kept = _Finding.parse(json.loads(_path().read_text("utf-8")))
    except (OSError, ValueError):
        return None
    if kept.identity != identity:
        return None
    trials = list(kept.trials)
    known = all(each.backend in _CANDIDATES for each in trials)
    return decide(trials) if known and trials else None


def _keep(identity: dict[str, object], choice: Choice) -> None:
    """Remembers a finding; without a folder that can be written it is found anew next time."""
    text = json.dumps(_Finding(identity, tuple(choice.trials)).to_json(), indent=1)
    try:
        _path().parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=_path().parent, suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        move(Path(name), _path())
    except OSError as error:
        _log.info("The choice of rasteriser is not kept: %s", error)


Work = Literal["drawing", "networks"]


def best_device(work: Work) -> torch.device:
    """Where work is done on this machine.

    Args:
        work: "drawing", and training, which stays on one device with it: the card if a rasteriser
            can draw there. "networks" alone, as diffusion and style: NVIDIA's and AMD's cards,
            which torch both calls "cuda", and Apple's.
    """
    if torch.cuda.is_available():
        card = torch.device("cuda")
        return card if work == "networks" or choose(card).on_device else torch.device("cpu")
    if work == "networks" and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
