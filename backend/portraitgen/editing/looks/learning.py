# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Learning a look from a few pairs of pictures, for as long as one cares to wait.

A residual network learns from patches of the pairs. What it is shown beside colours is tried out
first: networks with and without the texture of places learn side by side, and what is better on
pairs that neither has seen goes on. A texture draws paint where it belongs, and lets everything
else be learned by heart.
"""

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...bounded_json import dump_json, parse_json
from ...errors import EditError
from ...plain_text import printable
from ...schema import Data
from ...tensors import DamagedTensors, load_arrays, save_arrays
from .look_file import Look, LookFacts, thumbnail_of
from .network import MULTIPLE, Guides, LookNetwork
from .wearing import as_planes

PATCH, BATCH = 64, 8
_RATE, _LAST_RATE, _WARM_STEPS = 3e-3, 3e-5, 50
_TEXTURE_RATE = 3.0
_GRADIENTS = 0.5
_BRIGHTER = 0.03
_AVERAGED = 0.998
_COVERED, _TRIES = 0.2, 20
# The share of the time in which guides are tried out, and from how many pairs on they can be.
_TRIAL, _ENOUGH, _MANY = 0.35, 3, 8
# A texture has to be this much better, dB: it learns faster at first, and one shot by heart, which
# flickers: of toon it is 1 to 2 dB better after the trial and 3 worse in the end, of paint 4.5.
_WORTH = 2.5
# Pixels by which what was learned is judged whenever it is shown: a second's work.
_JUDGED = 1 << 20
# What float16 holds, in which files keep them.
_LARGEST_WEIGHT = 6e4
_STATE = "portraitgen-learning"


@dataclass(frozen=True)
class Pair:
    """A picture before and after, float32 (H, W, 3) in 0..1.

    Attributes:
        name: as people find it again.
        cover: (H, W), where it counts.
        normals: (H, W, 3) of the tracked body, None if it is not known.
        places: (H, W, 2) on the body, likewise.
        scale: pixels a metre on the performer, 0 if it is not known.
    """

    name: str
    before: np.ndarray
    after: np.ndarray
    cover: np.ndarray
    normals: np.ndarray | None = None
    places: np.ndarray | None = None
    scale: float = 0.0


@dataclass
class _Planes:
    """A pair as tensors: (1, C, H, W), places (1, H / 2, W / 2, 2)."""

    before: Tensor
    after: Tensor
    cover: Tensor
    guides: Tensor
    places: Tensor


class _Candidate:
    """A network that learns, and the mean of its late weights."""

    def __init__(self, guides: Guides, pairs: Sequence[_Planes], seed: int) -> None:
        torch.manual_seed(seed)
        self.guides = guides
        self.network = LookNetwork(guides)
        inside = [each.cover[0, 0] > 0.5 for each in pairs]
        if any(bool(where.any()) for where in inside):
            self.network.fit_colours(
                *(
                    torch.cat(
                        [
                            getattr(each, side)[0].permute(1, 2, 0)[where]
                            for each, where in zip(pairs, inside, strict=True)
                        ]
                    )
                    for side in ("before", "after")
                )
            )
        self.mean = LookNetwork(guides)
        self.mean.load_state_dict(self.network.state_dict())
        self.mean.requires_grad_(False)
        texture = [self.network.place] if self.network.place is not None else []
        others = [each for name, each in self.network.named_parameters() if name != "place"]
        groups = [{"params": others, "share": 1.0}]
        if texture:
            groups.append({"params": texture, "share": _TEXTURE_RATE})
        self.optimiser = torch.optim.AdamW(groups, _RATE, betas=(0.9, 0.99), weight_decay=1e-4)
        self.steps = 0
        self._judged = [_most_covered(each, _JUDGED // len(pairs)) for each in pairs]
        self._shown: tuple[int, LookNetwork] | None = None

    def learn(self, batch: _Planes, rate: float) -> float:
        """One step; its loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["share"]
        guides = batch.guides[:, : self.guides.channels]
        apart = (self.network(batch.before, guides, batch.places) - batch.after) * batch.cover
        across, down = apart[..., 1:] - apart[..., :-1], apart[..., 1:, :] - apart[..., :-1, :]
        loss = apart.abs().mean() + _GRADIENTS * (across.abs().mean() + down.abs().mean())
        self.optimiser.zero_grad()
        loss.backward()
        if math.isfinite(float(loss.detach())):
            self.optimiser.step()
        self.steps += 1
        kept = min(_AVERAGED, self.steps / (self.steps + 9))
        with torch.no_grad():
            for mean, each in zip(self.mean.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(each, 1 - kept)
        return float(loss.detach())

    @torch.no_grad()
    def shown(self) -> LookNetwork:
        """The network as it is kept and shown: never further from the pairs than where it began.

        Until it has learned for a while what it adds to the map of colours may do harm, so that as
        much of it is taken as brings the pairs nearest, which may be nothing.
        """
        if self._shown is None or self._shown[0] != self.steps:
            along, length = 0.0, 0.0
            for pair in self._judged:
                start = self.mean.mapped(pair.before)
                added = (self._drawn(self.mean, pair) - start) * pair.cover
                along += float((added * (pair.after - start)).sum())
                length += float((added * added).sum())
            network = LookNetwork(self.guides)
            largest = max(float(each.abs().max()) for each in self.mean.parameters())
            if math.isfinite(along) and math.isfinite(length) and largest < _LARGEST_WEIGHT:
                network.load_state_dict(self.mean.state_dict())
                share = min(max(along / max(length, 1e-9), 0.0), 1.0)
                for each in network.out.parameters():
                    each.mul_(share)
            else:
                network.colours.copy_(self.mean.colours)
            self._shown = self.steps, network.eval().requires_grad_(False)
        return self._shown[1]

    def _drawn(self, network: LookNetwork, pair: _Planes) -> Tensor:
        drawn: Tensor = network(pair.before, pair.guides[:, : self.guides.channels], pair.places)
        return drawn

    @torch.no_grad()
    def worn(self, pair: _Planes) -> Tensor:
        """A pair's picture with the look so far, (1, 3, H, W)."""
        return self._drawn(self.shown(), pair).clamp(0, 1)

    def psnr(self, pairs: Sequence[_Planes]) -> float:
        """How like its pictures are to some pairs, dB, within their cover."""
        return psnr([(self.worn(each), each.after, each.cover) for each in pairs])


@dataclass(frozen=True)
class _Progress(Data):
    """How far learning has come, beside its networks.

    Attributes:
        pairs: a digest of what is learned from.
        used: seconds; steps: of every candidate.
        guides: those of each candidate.
    """

    pairs: str
    used: float
    steps: int
    guides: tuple[tuple[str, ...], ...]
    held_out_db: float | None
    notes: tuple[str, ...]


class Learner:
    """Learns a look; may be stopped at any moment and gone on with.

    Args:
        pairs: 1 to 30.
        seconds: for how long it will learn in all.
        seed: of what is drawn at random.
        clock: tells the time, seconds.
        candidates: guides to try; by default what the pairs tell.

    Raises:
        EditError: if the pairs teach nothing.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        seconds: float,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
        candidates: Sequence[Guides] | None = None,
    ) -> None:
        if not pairs:
            raise EditError("there are no pairs to learn from", "look", "give one pair or more")
        self._pairs, self.seconds, self._seed, self._clock = list(pairs), seconds, seed, clock
        self._planes = [_planes_of(each) for each in pairs]
        known = all(each.normals is not None and each.places is not None for each in pairs)
        if candidates is None:
            candidates = [Guides(normals=known)]
            if known and len(pairs) >= _ENOUGH:
                candidates = [Guides(normals=True), Guides(normals=True, place=True)]
        count = len(pairs)
        shown = [count // 2] if count < _MANY else [count // 3, (2 * count) // 3]
        self._held = shown if len(candidates) > 1 else []
        self._candidates = [_Candidate(each, self._planes, seed) for each in candidates]
        self.used = 0.0
        self.held_out_db: float | None = None
        self.notes: list[str] = []

    @property
    def finished(self) -> bool:
        """Whether its time is over."""
        return self.used >= self.seconds and len(self._candidates) == 1

    @property
    def steps(self) -> int:
        """How many steps the best network has made."""
        return max(each.steps for each in self._candidates)

    def step(self) -> float:
        """One step of each network that still learns; its loss."""
        began = self._clock()
        if len(self._candidates) > 1 and self.used >= _TRIAL * self.seconds:
            self._choose()
        held = set(self._held) if len(self._candidates) > 1 else set()
        rows = [row for row in range(len(self._planes)) if row not in held]
        random = np.random.default_rng([self._seed, self.steps])
        batch = self._batch(rows, random)
        losses = [each.learn(batch, self._rate(each.steps)) for each in self._candidates]
        self.used += self._clock() - began
        return losses[0]

    def _rate(self, steps: int) -> float:
        left = max(0.0, 1 - self.used / self.seconds)
        return max(_RATE * min(1.0, (steps + 1) / _WARM_STEPS) * left, _LAST_RATE)

    def _choose(self) -> None:
        held = [self._planes[row] for row in self._held]
        scores = [each.psnr(held) for each in self._candidates]
        best = 0
        for row, score in enumerate(scores):
            if row and score > scores[0] + _WORTH and score > scores[best]:
                best = row
        told = ", ".join(
            f"with {' and '.join(each.guides.names) or 'colours alone'} {score:.1f} dB"
            for each, score in zip(self._candidates, scores, strict=True)
        )
        chosen = self._candidates[best]
        self.notes.append(
            f"On pairs kept out: {told}; it goes on with"
            f" {' and '.join(chosen.guides.names) or 'colours alone'}."
        )
        self.held_out_db = scores[best]
        self._candidates = [chosen]

    def _batch(self, rows: Sequence[int], random: np.random.Generator) -> _Planes:
        """Patches of some pairs, each a little brighter or darker than it is."""
        taken = []
        for _ in range(BATCH):
            pair = self._planes[rows[int(random.integers(len(rows)))]]
            height, width = pair.cover.shape[2:]
            for _ in range(_TRIES):
                top = 2 * int(random.integers((height - PATCH) // 2 + 1))
                left = 2 * int(random.integers((width - PATCH) // 2 + 1))
                cover = pair.cover[..., top : top + PATCH, left : left + PATCH]
                if float(cover.mean()) > _COVERED:
                    break
            whole = np.s_[..., top : top + PATCH, left : left + PATCH]
            up, low = top // 2, left // 2
            end, right = up + PATCH // 2, low + PATCH // 2
            brighter = 1 + _BRIGHTER * float(random.standard_normal())
            taken.append(
                _Planes(
                    (pair.before[whole] * brighter).clamp(0, 1),
                    pair.after[whole],
                    cover,
                    pair.guides[..., up:end, low:right],
                    pair.places[:, up:end, low:right],
                )
            )
        return _Planes(
            *(
                torch.cat([getattr(each, name) for each in taken])
                for name in ("before", "after", "cover", "guides", "places")
            )
        )

    def preview(self) -> np.ndarray:
        """Before, learned so far, and after, side by side, float32 (H, W, 3)."""
        row = self._held[0] if self._held else len(self._planes) // 2
        pair = self._planes[row]
        drawn = torch.cat([pair.before, self._candidates[-1].worn(pair), pair.after], dim=3)
        return drawn[0].permute(1, 2, 0).numpy()

    def look(self, facts: LookFacts) -> Look:
        """What was learned so far, with the facts that the learner knows filled in."""
        best = self._candidates[0]
        row = len(self._planes) // 2
        scales = [each.scale for each in self._pairs if each.scale]
        known = {
            **facts.to_json(),
            "pairs": len(self._pairs),
            "guides": best.guides.names,
            "side": max(max(each.before.shape[:2]) for each in self._pairs),
            "scale": float(np.median(scales)) if scales else 0.0,
            "seconds": round(self.used, 1),
            "held_out_db": self.held_out_db,
            "notes": tuple(self.notes),
        }
        pair = self._planes[row]
        before, after = (
            each[0].permute(1, 2, 0).numpy() for each in (pair.before, best.worn(pair))
        )
        return Look(LookFacts.parse(known), best.shown(), thumbnail_of(before, after))

    # Stopping and going on

    @cached_property
    def digest(self) -> str:
        """Of the pairs: learning goes on with the same ones only."""
        whole = hashlib.sha256()
        for each in self._pairs:
            for array in (each.before, each.after, each.cover):
                whole.update(np.ascontiguousarray(array).tobytes())
        return whole.hexdigest()

    def save(self, path: Path) -> None:
        """Writes what is needed to go on, in one step."""
        arrays = {}
        for each in self._candidates:
            prefix = "+".join(each.guides.names) or "none"
            for name, parameter in each.network.named_parameters():
                state = each.optimiser.state.get(parameter, {})
                arrays[f"{prefix}.now.{name}"] = parameter.detach()
                for moment in ("exp_avg", "exp_avg_sq"):
                    if moment in state:
                        arrays[f"{prefix}.{moment}.{name}"] = state[moment]
            for name, parameter in each.mean.named_parameters():
                arrays[f"{prefix}.mean.{name}"] = parameter
        facts = _Progress(
            pairs=self.digest,
            used=self.used,
            steps=self.steps,
            guides=tuple(each.guides.names for each in self._candidates),
            held_out_db=self.held_out_db,
            notes=tuple(self.notes),
        )
        written = {name: each.numpy() for name, each in arrays.items()}
        save_arrays(path, written, {_STATE: dump_json(facts.to_json()).decode()})

    def resume(self, path: Path) -> None:
        """Goes on where a file says; what has hardly begun, from other pairs, begins anew.

        Raises:
            EditError: if it is of other pairs, damaged or something else.
        """
        try:
            arrays = load_arrays(path)
            facts = _Progress.parse(parse_json(_metadata(path)))
            if facts.pairs != self.digest:
                if facts.steps:
                    raise EditError(
                        "what was learned so far was not learned from these pairs",
                        path,
                        "give the look another name, or delete the file to begin anew",
                    )
                return
            if not facts.guides or facts.steps < 0 or facts.used < 0:
                raise ValueError("it tells of no network")
            kept = [Guides.of(names) for names in facts.guides]
            candidates = [_Candidate(each, self._planes, self._seed) for each in kept]
            for each in candidates:
                _restore(each, arrays, facts.steps)
        except (DamagedTensors, ValueError, KeyError, TypeError, RuntimeError) as error:
            reason = printable(str(error)).partition("\n")[0][:120]
            raise EditError(
                f"learning cannot go on with what is in the file ({reason})",
                path,
                "give the look another name, or delete the file to begin anew",
            ) from None
        self._candidates, self.used = candidates, facts.used
        self.held_out_db = facts.held_out_db
        self.notes = list(facts.notes)


def psnr(pictures: Sequence[tuple[Tensor, Tensor, Tensor]]) -> float:
    """Of pictures, their truths and covers, (1, 3, H, W) and (1, 1, H, W), dB over all."""
    error = sum(float(((one - other) ** 2 * cover).sum()) for one, other, cover in pictures)
    weight = sum(3 * float(cover.sum()) for _, _, cover in pictures)
    return float(-10 * np.log10(max(error / max(weight, 1e-9), 1e-10)))


def _metadata(path: Path) -> str:
    from ...tensors import header_of

    found = header_of(path, 1 << 28).get("__metadata__", {}).get(_STATE)
    if not isinstance(found, str):
        raise DamagedTensors("it holds no learning")
    return found


def _restore(candidate: _Candidate, arrays: dict[str, np.ndarray], steps: int) -> None:
    prefix = "+".join(candidate.guides.names) or "none"

    def kept(part: str, name: str, parameter: Tensor) -> Tensor:
        found = torch.from_numpy(arrays[f"{prefix}.{part}.{name}"])
        if found.shape != parameter.shape or found.dtype != parameter.dtype:
            raise ValueError(f"'{name}' is of another network")
        return found

    with torch.no_grad():
        for name, parameter in candidate.network.named_parameters():
            parameter.copy_(kept("now", name, parameter))
            moments = {
                moment: kept(moment, name, parameter)
                for moment in ("exp_avg", "exp_avg_sq")
                if f"{prefix}.{moment}.{name}" in arrays
            }
            if moments:
                candidate.optimiser.state[parameter] = {
                    "step": torch.tensor(float(steps)),
                    **moments,
                }
        for name, parameter in candidate.mean.named_parameters():
            parameter.copy_(kept("mean", name, parameter))
    candidate.steps = steps


def _most_covered(pair: _Planes, pixels: int) -> _Planes:
    """A pair's window of so many pixels at most that shows most of what counts."""
    height, width = pair.cover.shape[2:]
    side = max(PATCH, math.isqrt(pixels) // MULTIPLE * MULTIPLE)
    down, across = min(side, height), min(side, width)
    shares = torch.nn.functional.avg_pool2d(pair.cover, (down, across), MULTIPLE)
    row, column = divmod(int(shares.argmax()), shares.shape[3])
    top, left = MULTIPLE * row, MULTIPLE * column
    whole = np.s_[..., top : top + down, left : left + across]
    half = np.s_[top // 2 : (top + down) // 2], np.s_[left // 2 : (left + across) // 2]
    return _Planes(
        pair.before[whole],
        pair.after[whole],
        pair.cover[whole],
        pair.guides[..., half[0], half[1]],
        pair.places[:, half[0], half[1]],
    )


def _planes_of(pair: Pair) -> _Planes:
    height, width = (side // MULTIPLE * MULTIPLE for side in pair.cover.shape)
    at = np.s_[:height, :width]
    before, guides, places = as_planes(
        pair.before[at],
        pair.cover[at],
        None if pair.normals is None else pair.normals[at],
        None if pair.places is None else pair.places[at],
    )
    after, cover = (
        torch.from_numpy(np.ascontiguousarray(each[at], np.float32))
        for each in (pair.after, pair.cover)
    )
    return _Planes(before, after.permute(2, 0, 1)[None], cover[None, None], guides, places)
