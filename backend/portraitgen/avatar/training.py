# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains an avatar on windows of a shot, refining pose and expression with it.

Everything a step does follows from the settings, the data and the step's number, so that a
training killed at any step and resumed from its checkpoint ends with the same bits on the CPU.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..body.motion import Motion
from ..errors import AvatarError
from ..frames import spread
from ..tensors import load_tensors, save_tensors
from .avatar import Avatar, AvatarOutput, FrameParameters
from .dataset import TrainingSet
from .losses import Product, gradient_pyramid, laplacian, psnr, scale_excess, ssim
from .lpips import Lpips
from .pose_refinement import Refinement, steady_shapes

_FINAL_RATE = 0.08
# Coverage of a matte from which on nothing shines through.
_OPAQUE = 0.99
# LPIPS costs more than all the rest: every fifth step, on a crop.
_LPIPS_EVERY, _LPIPS_CROP = 5, 96
# Steps that place a held-out frame once the avatar is done, and how much quicker they go.
_PLACING, _PLACING_PACE = 12, 2.0
# Held-out frames are looked at this often over a training, at most so many; it ends when so many
# looks in a row have gained less than this many dB.
_LOOKS, _LOOK_ROWS, _PATIENCE, _LEAST_GAIN = 20, 12, 4, 0.02


@dataclass(frozen=True)
class LossWeights:
    """How much each term counts."""

    image: float = 1.0
    structure: float = 0.25
    gradients: float = 1.0
    stable: float = 0.4
    matte: float = 0.5
    lpips: float = 0.1
    laplacian: float = 400.0
    displacement: float = 4.0
    offset: float = 20.0
    scale: float = 1000.0
    harmonics: float = 0.05
    tints: float = 0.05
    refinement: float = 1.0


@dataclass(frozen=True)
class Rates:
    """Adam's learning rates, a group each."""

    features: float = 8e-3
    harmonics: float = 4e-3
    opacity: float = 2e-2
    scale: float = 5e-3
    rotation: float = 2e-3
    offset: float = 1.5e-4
    displacement: float = 5e-5
    bases: float = 5e-5
    tints: float = 2e-3
    blending: float = 1e-3
    renderer: float = 1e-3
    identity: float = 2e-3
    pose: float = 4e-4
    expression: float = 2e-3
    transl: float = 1e-4


@dataclass(frozen=True)
class TrainingSettings:
    """The schedule of a training.

    Attributes:
        steps: of Adam, over all.
        coarse: the share of steps at half size.
        refine: whether pose, expression and identity are trained too.
        ground: in every which step pictures are compared over a plain ground of any colour, so
            that black does not pass for nothing; 0 for none. Colours pay for more: what is drawn
            thinner or thicker than the matte fits the rim better.
        neural: whether the avatar's network is to have its say, and is trained.
        batch: frames a step, drawn in one rasterisation: a GPU has room for several.
        seed: of the order of the frames.
        perceptual_from: the share of the steps after which LPIPS counts, where it is given.
    """

    steps: int = 1200
    coarse: float = 0.4
    refine: bool = True
    ground: int = 16
    neural: bool = False
    batch: int = 1
    seed: int = 0
    perceptual_from: float = 0.0
    weights: LossWeights = LossWeights()
    rates: Rates = Rates()


def _adam(groups: Sequence[tuple[list[nn.Parameter], float]]) -> torch.optim.Adam:
    """Adam over parameters and their rates; each group keeps its rate beside what is left of it."""
    on_cpu = all(each.device.type == "cpu" for parameters, _ in groups for each in parameters)
    return torch.optim.Adam(
        [{"params": parameters, "lr": rate, "rate": rate} for parameters, rate in groups],
        betas=(0.9, 0.99),
        eps=1e-15,
        # A parameter at a time, torch's choice on the CPU, takes three times as long.
        fused=True if on_cpu else None,
    )


def _decay(share: float) -> float:
    """How much is left of a learning rate after a share of its schedule: half a cosine."""
    return _FINAL_RATE + (1 - _FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


@contextmanager
def _deterministic(device: torch.device) -> Iterator[None]:
    """On the CPU, sums in a fixed order: torch adds up gathered gradients as threads come by."""
    if device.type != "cpu":
        yield
        return
    deterministic = torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    filling = memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    # All memory is written before it is read; filling it first took an eighth of a step.
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        memory.fill_uninitialized_memory = filling


class Trainer:
    """Adam on an avatar and a training set, which is moved to where the avatar is."""

    def __init__(
        self,
        avatar: Avatar,
        data: TrainingSet,
        settings: TrainingSettings,
        perceptual: Lpips | None = None,
    ) -> None:
        self.avatar = avatar
        self._device = device = avatar.betas.device
        self._perceptual = perceptual.to(device) if perceptual else None
        avatar.neural |= settings.neural
        self.data = data.on(device)
        self.settings = settings
        self.done = 0
        self.curve: list[tuple[int, float]] = []
        self._placed: set[int] = set()
        steady = torch.eye(len(avatar.betas))
        if settings.refine:
            steady = steady_shapes(*avatar.head_shapes(data.parameters(data.trained[0])))
        self.refinement = Refinement(data.motion, avatar.expression_bounds, steady).to(device)
        self._start_betas = avatar.betas.clone()
        self._start_offset = avatar.texture.offset.detach().clone()
        smoothness = laplacian(avatar.faces, len(avatar.vertices))
        self._laplacian = smoothness.to(device)
        self._laplacian_transpose = smoothness.t().coalesce().to(device)
        texture, rates = avatar.texture, settings.rates
        groups: list[tuple[list[nn.Parameter], float]] = [
            ([texture.features], rates.features),
            ([texture.harmonics], rates.harmonics),
            ([texture.opacity], rates.opacity),
            ([texture.scale], rates.scale),
            ([texture.rotation], rates.rotation),
            ([texture.offset], rates.offset),
            ([avatar.displacement], rates.displacement),
            ([avatar.bases.fields], rates.bases),
            ([avatar.bases.tints], rates.tints),
            (list(avatar.bases.network.parameters()), rates.blending),
            (list(avatar.renderer.parameters()), rates.renderer),
        ]
        if settings.refine:
            groups += [
                ([self.refinement.identity], rates.identity),
                ([self.refinement.pose], rates.pose),
                ([self.refinement.expression], rates.expression),
                ([self.refinement.transl], rates.transl),
            ]
        self.optimiser = _adam(groups)

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or held-out frames have stopped gaining."""
        values = [psnr for _, psnr in self.curve]
        earlier, latest = values[:-_PATIENCE], values[-_PATIENCE:]
        stalled = bool(earlier) and max(latest) < max(earlier) + _LEAST_GAIN
        return self.done >= self.settings.steps or stalled

    def look(self) -> dict[str, float]:
        """Measures held-out frames if it is time to: their PSNR then joins the curve.

        Returns:
            psnr, or nothing.
        """
        every = max(self.settings.steps // _LOOKS, 1)
        coarse = self.done < self.settings.coarse * self.settings.steps
        held = np.flatnonzero(self.data.held_out)
        if coarse or self.done % every or not len(held):
            return {}
        found = self.evaluate(spread(held.tolist(), _LOOK_ROWS))["psnr"]
        self.curve.append((self.done, found))
        return {"psnr": found}

    def rows_of(self, step: int) -> list[int]:
        """The rows that a step trains on: every epoch sees all in an order of its own."""
        rows, batch = self.data.trained, self.settings.batch
        chosen = []
        for index in range(step * batch, (step + 1) * batch):
            epoch, place = divmod(index, len(rows))
            order = np.random.default_rng([self.settings.seed, epoch]).permutation(len(rows))
            chosen.append(rows[int(order[place])])
        return chosen

    def step(self) -> dict[str, float]:
        """One step, on the rows that its number gives.

        Returns:
            The loss.
        """
        settings, data = self.settings, self.data
        rows = self.rows_of(self.done)
        share = self.done / max(settings.steps, 1)
        size = data.size // 2 if share < settings.coarse else data.size
        for group in self.optimiser.param_groups:
            group["lr"] = group["rate"] * _decay(share)
        self.optimiser.zero_grad(set_to_none=True)
        with _deterministic(self._device):
            output = self.render_rows(rows, size)
            loss = self._loss(output, *data.target(rows, size), rows)
            loss.backward()
        self.optimiser.step()
        self.done += 1
        return {"loss": float(loss.detach())}

    def parameters_of(self, row: int) -> FrameParameters:
        """A row's parameters with their refinement.

        A held-out row takes the mean refinement of its trained neighbours until it is placed, or
        none if the artist fixed it.
        """
        data = self.data
        plain = data.parameters(row)
        if not self.settings.refine or data.motion.fixed[row]:
            return plain
        if not data.held_out[row] or row in self._placed:
            return self.refinement.apply_to(plain, [row])
        refined = [self.refinement.apply_to(plain, [other]) for other in self._around(row)]
        return FrameParameters(
            torch.stack([each.pose for each in refined]).mean(0),
            torch.stack([each.expression for each in refined]).mean(0),
            torch.stack([each.transl for each in refined]).mean(0),
        )

    def _around(self, row: int) -> list[int]:
        """The trained rows that come before and after a row, the nearest of each."""
        before = [other for other in self.data.trained if other < row]
        return before[-1:] + [other for other in self.data.trained if other > row][:1]

    def place(self, row: int) -> None:
        """Fits a held-out row's pose and expression to its own picture; the avatar stays.

        For the end, when all has been measured: otherwise every held-out frame would stand a
        little beside the performer in the refined track. What is likest on the way is kept.
        """
        data, rates, refinement = self.data, self.settings.rates, self.refinement
        if not self.settings.refine or data.motion.fixed[row] or not data.held_out[row]:
            return
        moving = [refinement.pose, refinement.expression, refinement.transl]
        around = self._around(row)
        with torch.no_grad():
            for each in moving:
                each[row] = each[around].mean(0)
        self._placed.add(row)
        learning = [each for each in self.avatar.parameters() if each.requires_grad]
        for each in learning:
            each.requires_grad_(False)
        paces = (rates.pose, rates.expression, rates.transl)
        optimiser = _adam([([each], rate) for each, rate in zip(moving, paces, strict=True)])
        target = data.target([row], data.size)
        least, best = math.inf, [each.detach()[row].clone() for each in moving]
        for step in range(_PLACING + 1):
            for group in optimiser.param_groups:
                group["lr"] = group["rate"] * _PLACING_PACE * _decay(step / _PLACING)
            with _deterministic(self._device):
                output = self.render_row(row)
                loss = self._likeness(output, *target)
                loss = loss + self.settings.weights.refinement * refinement.penalty([row])
                apart = float(loss.detach())
                if apart < least:
                    least, best = apart, [each.detach()[row].clone() for each in moving]
                if step == _PLACING:
                    break
                for each, slope in zip(moving, torch.autograd.grad(loss, moving), strict=True):
                    each.grad = slope
            optimiser.step()
        with torch.no_grad():
            for each, value in zip(moving, best, strict=True):
                each[row] = value
        for each in moving:
            each.grad = None
        for each in learning:
            each.requires_grad_(True)

    def render_row(self, row: int, normals: bool = False) -> AvatarOutput:
        """The avatar as a row shows it."""
        return self.render_rows([row], normals=normals)

    def render_rows(
        self, rows: Sequence[int], size: int | None = None, normals: bool = False
    ) -> AvatarOutput:
        """The avatar as some rows show it, drawn together."""
        size = size or self.data.size
        if self.settings.refine:
            self.avatar.betas = self._start_betas + self.refinement.shape
        each = [self.parameters_of(row) for row in rows]
        parameters = FrameParameters(
            torch.cat([one.pose for one in each]),
            torch.cat([one.expression for one in each]),
            torch.cat([one.transl for one in each]),
        )
        intrinsics = self.data.intrinsics(rows, size)
        return self.avatar.render(parameters, intrinsics, size, normals=normals)

    def _likeness(
        self, output: AvatarOutput, colour: Tensor, alpha: Tensor, ground: Tensor | None = None
    ) -> Tensor:
        """How far a picture is from what it should be, over a ground (B, 3, H, W), or black."""
        weights = self.settings.weights
        drawn, preview = output.premultiplied, output.preview
        if ground is not None:
            through = (1 - output.alpha) * ground
            drawn, preview, colour = (
                drawn + through,
                preview + through,
                colour + (1 - alpha) * ground,
            )
        loss = weights.image * (drawn - colour).abs().mean()
        loss = loss + weights.structure * (1 - ssim(drawn, colour)).mean()
        loss = loss + weights.gradients * gradient_pyramid(drawn, colour)
        loss = loss + weights.stable * (preview - colour).abs().mean()
        return loss + weights.matte * (output.alpha - alpha).abs().mean()

    def _ground(self, alpha: Tensor) -> Tensor | None:
        """What lies behind the performer, (B, 3, H, W), which depends on the step alone; nothing
        behind what is opaque, (B, 1, H, W), which would only make its colours tremble."""
        every = self.settings.ground
        if not every or self.done % every:
            return None
        generator = np.random.default_rng([self.settings.seed, self.done, 2])
        behind = (alpha < _OPAQUE).to(alpha.dtype)
        # Numbers go along with the kernel; a tensor of them would be sent to a card and waited for.
        return torch.cat([behind * float(each) for each in generator.random(3, np.float32)], 1)

    def _loss(
        self, output: AvatarOutput, colour: Tensor, alpha: Tensor, rows: Sequence[int]
    ) -> Tensor:
        weights, texture = self.settings.weights, self.avatar.texture
        loss = self._likeness(output, colour, alpha, self._ground(alpha))
        drawn = output.premultiplied
        begun = self.done >= self.settings.perceptual_from * self.settings.steps
        if self._perceptual is not None and begun and self.done % _LPIPS_EVERY == 0:
            crop = self._crop(drawn.shape[-1])
            apart = self._perceptual(drawn[..., *crop], colour[..., *crop]).mean()
            loss = loss + weights.lpips * _LPIPS_EVERY * apart
        for displaced in output.displaced:
            smooth = Product.apply(self._laplacian, self._laplacian_transpose, displaced)
            share = 1 / len(rows)
            loss = loss + share * weights.laplacian * smooth.square().sum(-1).mean()
            loss = loss + share * weights.displacement * displaced.square().sum(-1).mean()
        moved = texture.offset - self._start_offset
        loss = loss + weights.offset * moved.square().sum(-1).mean()
        loss = loss + weights.harmonics * texture.harmonics.square().mean()
        loss = loss + weights.tints * self.avatar.bases.tints.square().mean()
        loss = loss + weights.scale * scale_excess(torch.exp(texture.scale))
        if self.settings.refine:
            loss = loss + weights.refinement * self.refinement.penalty(rows)
        return loss

    def _crop(self, size: int) -> tuple[slice, slice]:
        """A square that depends on the step alone."""
        side = min(_LPIPS_CROP, size)
        generator = np.random.default_rng([self.settings.seed, self.done, 1])
        top, left = (int(value) for value in generator.integers(0, size - side + 1, 2))
        return slice(top, top + side), slice(left, left + side)

    @torch.no_grad()
    def evaluate(self, rows: Sequence[int], perceptual: Lpips | None = None) -> dict[str, float]:
        """PSNR (dB) and SSIM inside the matte, and the mean alpha error, over some rows; LPIPS,
        over black, where its weights are given."""
        values: dict[str, list[float]] = {"psnr": [], "ssim": [], "alpha_error": []}
        if perceptual is not None:
            values["lpips"] = []
        for row in rows:
            output = self.render_row(row)
            colour, alpha = self.data.target([row], self.data.size)
            drawn = output.premultiplied.clamp(0, 1)
            values["psnr"].append(psnr(drawn, colour, alpha))
            similar = (ssim(drawn, colour) * alpha).sum() / (3 * alpha.sum()).clamp_min(1e-6)
            values["ssim"].append(float(similar))
            values["alpha_error"].append(float((output.alpha - alpha).abs().mean()))
            if perceptual is not None:
                values["lpips"].append(float(perceptual(drawn, colour).mean()))
        return {name: float(np.mean(each)) for name, each in values.items()}

    @torch.no_grad()
    def refined_motion(self) -> Motion:
        """The motion with its refinement, for a new version of the track."""
        motion = self.data.motion
        rows = range(len(motion))
        refined = [self.parameters_of(row) for row in rows]

        def joined(name: str) -> np.ndarray:
            return torch.cat([getattr(each, name) for each in refined]).cpu().numpy()

        betas = (self._start_betas + self.refinement.shape).cpu().numpy()
        return replace(
            motion,
            betas=betas,
            pose=joined("pose"),
            expression=joined("expression"),
            transl=joined("transl"),
        )

    def checkpoint(self, path: Path) -> None:
        """Writes all that the next step depends on, in one step."""
        tensors = {f"avatar.{k}": v for k, v in self.avatar.state_dict().items()}
        tensors |= {f"refinement.{k}": v for k, v in self.refinement.state_dict().items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{name}": value for name, value in state.items()}
        tensors["done"] = torch.tensor(self.done)
        tensors["curve"] = torch.tensor(self.curve, dtype=torch.float64)
        save_tensors(path, tensors)

    def resume(self, path: Path) -> None:
        """Takes up a checkpoint.

        Raises:
            AvatarError: if it is damaged or of another training.
        """
        try:
            tensors = load_tensors(path)
            done = int(tensors.pop("done"))
            if not 0 <= done <= self.settings.steps:
                raise ValueError(f"it has done {done} of {self.settings.steps} steps")
            self.curve = [(int(at), psnr) for at, psnr in tensors.pop("curve").tolist()]
            parts: dict[str, dict[str, Tensor]] = {"avatar": {}, "refinement": {}, "adam": {}}
            for name, value in tensors.items():
                part, _, rest = name.partition(".")
                parts[part][rest] = value
            self.avatar.load_state_dict(parts["avatar"])
            self.refinement.load_state_dict(parts["refinement"])
            learned = [each for group in self.optimiser.param_groups for each in group["params"]]
            state: dict[int, dict[str, Tensor]] = {}
            for name, value in parts["adam"].items():
                index, _, entry = name.partition(".")
                if entry != "step":
                    # Fused Adam takes for granted that moments lie in memory as parameters do.
                    value = torch.empty_like(learned[int(index)]).copy_(value)
                state.setdefault(int(index), {})[entry] = value
            whole = self.optimiser.state_dict() | {"state": state}
            self.optimiser.load_state_dict(whole)
            self.done = done
        except (LookupError, TypeError, ValueError, RuntimeError) as error:
            raise AvatarError(
                f"the checkpoint cannot be resumed ({error})", path, "start the job again"
            ) from error
