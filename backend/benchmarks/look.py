# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks learned from a few pairs, against the editor's true result in frames they never saw.

Times are processor time over two: what two cores would take at best.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from portraitgen.editing.editor import EditRequest
from portraitgen.editing.looks.guides import normals, places
from portraitgen.editing.looks.learning import Learner, Pair, psnr
from portraitgen.editing.looks.look_file import Look, LookFacts, read_look
from portraitgen.editing.looks.network import Guides, LookNetwork
from portraitgen.editing.looks.wearing import wear
from portraitgen.editing.registry import create_editor
from portraitgen.footage.crop import crop
from portraitgen.footage.matte import foreground_colours
from portraitgen.footage.optical_flow import carried, dense_flow
from portraitgen.images import save_png, to_codes, to_float, to_grey
from portraitgen.pipeline.data.crops import load_crops
from portraitgen.pipeline.data.edit_mask import EditMask
from portraitgen.pipeline.data.pictures import sheet
from portraitgen.pipeline.data.shots import Track, body_of, create_shot, plate_of
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.renders import render_of
from portraitgen.shot import Shot

from .delivery import delivered, read_picture

SIDE = 256
LOOKS = ("statue", "toon", "pixel", "painted", "chain")
SHOTS = {
    "one": ("upper_body_1080p.mp4", "1-160", 3),
    "two": ("upper_body_1080p.mp4", "300-400", 4),
    "glasses": ("bust_glasses.mp4", "1-60", 4),
}
_LONG, _SHORT = 120.0, 30.0
_MARKS = (10, 30, 60)
_SOLID = 0.9
_STEPS, _CONSECUTIVE = 300, 24


def clock() -> float:
    """Processor time over two."""
    return time.process_time() / 2


@dataclass(frozen=True)
class Frame:
    """A frame of a shot: what editors are given of it, and the true result of each look."""

    request: EditRequest
    truth: dict[str, np.ndarray]

    def pair(self, look: str) -> Pair:
        """As a look learns from it."""
        shape = self.request.matte.shape
        surface = self.request.surface
        assert surface is not None
        return Pair(
            f"{self.request.frame}",
            self.request.source,
            self.truth[look],
            self.request.matte,
            normals(surface, shape),
            places(surface, shape),
            surface.pixels_per_metre,
        )


def measure(footage: Path | None, out: Path) -> dict[str, str] | None:
    """All of it, on real clips; shots are made once and kept in `out`.

    Returns:
        Held-out PSNR within the matte, dB, for each look by time, by number of pairs, by guides, in
        another shot and on another performer; the baselines; milliseconds; flicker; bytes.
    """
    if footage is None:
        return None
    torch.set_num_threads(1)
    frames = {name: frames_of(footage, out, name) for name in SHOTS}
    figures: dict[str, str] = {}

    def told(more: dict[str, str]) -> None:
        # An hour's figures are not lost with the last of them.
        for name, value in more.items():
            print(f"{name}: {value}", flush=True)
        figures.update(more)

    told(speed())
    for name in LOOKS:
        told(over_time(name, frames["one"], frames["two"], frames["glasses"], out))
    following = consecutive(out)
    for name in ("statue", "toon"):
        told(flicker(name, following, out))
        told(delivered_look(name, following, out))
    for name in ("statue", "toon", "painted"):
        told(baselines(name, frames["one"]))
        told(by_guides(name, frames["one"]))
        told(by_pairs(name, frames["one"]))
    return figures


def frames_of(footage: Path, out: Path, name: str) -> list[Frame]:
    """The frames of a shot, which is tracked if it is not there yet."""
    clip, span, step = SHOTS[name]
    folder = out / f"look_{name}"
    if not (folder / "track" / "0001").exists():
        create_shot(folder, footage / clip, {})
        run("track", folder, {"frames": span}, Reporter())
    return read_frames(folder, step)


def consecutive(out: Path) -> list[Frame]:
    """Frames of the first shot one after the other."""
    return read_frames(out / "look_one", 1, _CONSECUTIVE)


def read_frames(folder: Path, step: int, most: int | None = None) -> list[Frame]:
    """Every so manyth frame of a shot at 256, with the true result of every look."""
    shot = Shot.open(folder)
    track, body = Track(shot), body_of(shot)
    wanted = track.tracked(track.frames)[::step][:most]
    windows = load_crops(shot, track, wanted, SIDE, Reporter())
    parts = EditMask(body, track, "")
    requests = []
    for row, frame in enumerate(wanted):
        matte = windows.mattes[row]
        source = to_float(foreground_colours(windows.images[row], matte))
        seen = parts.of_plate(frame, source, to_float(matte), windows.cameras[row])
        assert seen.surface is not None
        requests.append(replace(seen, normals=seen.surface.normals()))
    editors = {name: create_editor(name, {}) for name in ("statue", "toon", "pixel")}
    for editor in editors.values():
        editor.prepare(requests[::8])
    return [
        Frame(
            each,
            {name: editor.edit(each) for name, editor in editors.items()}
            | {"painted": painted(each), "chain": chain(each.source)},
        )
        for each in requests
    ]


def painted(request: EditRequest) -> np.ndarray:
    """A painted face: stripes, cheeks and a band that lie on the body."""
    surface = request.surface
    assert surface is not None
    seen = surface.face >= 0
    point = np.zeros((*seen.shape, 3), np.float32)
    corners = surface.rest[surface.faces[surface.face[seen]]]
    point[seen] = (corners * surface.barycentric[seen][..., None]).sum(1)

    def disc(x: float, y: float, z: float, radius: float) -> np.ndarray:
        away = np.linalg.norm(point - np.array([x, y, z], np.float32), axis=-1)
        return np.clip((radius - away) / 0.002, 0, 1) * seen

    high = point[..., 1]
    face = np.clip((point[..., 2] - 0.15) / 0.01, 0, 1) * seen
    face = face * np.clip((high - 0.60) / 0.01, 0, 1) * np.clip((0.80 - high) / 0.01, 0, 1)
    stripes = (np.sin(high * 2 * np.pi / 0.02) > 0) & (np.abs(point[..., 0]) > 0.02)
    source = request.source
    grey = source.mean(-1, keepdims=True)
    drawn = source * np.array([0.75, 0.85, 1.1], np.float32) ** face[..., None]
    striped = (stripes & (high < 0.70) & (face > 0.5))[..., None]
    drawn = np.where(striped, drawn * np.array([0.35, 0.5, 0.9]), drawn)
    cheeks = np.maximum(disc(0.035, 0.69, 0.22, 0.014), disc(-0.035, 0.69, 0.22, 0.014))
    band = np.clip((0.006 - np.abs(high - 0.775)) / 0.002, 0, 1) * face
    for cover, colour in ((cheeks, (1.5, 0.3, 0.25)), (band, (1.6, 1.3, 0.3))):
        drawn = drawn + cover[..., None] * (grey * np.array(colour) - drawn)
    return np.clip(drawn, 0, 1).astype(np.float32)


def chain(source: np.ndarray) -> np.ndarray:
    """A curve, a tint, less colour, a blur and a glow: a chain as compositors build it."""
    curved = source * source * (3 - 2 * source)
    tinted = np.clip(curved * np.array([1.05, 0.98, 0.9]) + np.array([0, 0.02, 0.06]), 0, 1)
    grey = tinted.mean(-1, keepdims=True)
    muted = (grey + 0.7 * (tinted - grey)).astype(np.float32)
    glow = cv2.GaussianBlur(np.clip(muted - 0.5, 0, 1), (0, 0), 6)
    return np.clip(cv2.GaussianBlur(muted, (0, 0), 0.9) + 0.8 * glow, 0, 1)


def split(frames: Sequence[Frame], pairs: int) -> tuple[list[Frame], list[Frame]]:
    """Frames to learn from, spread over the shot, and frames to be measured on."""
    rows = np.linspace(0, len(frames) - 1, pairs).round().astype(int)
    if pairs == 1:
        rows = np.array([len(frames) // 2])
    held = [each for row, each in enumerate(frames) if row not in set(rows.tolist())]
    return [frames[row] for row in rows], held[::2]


def quality(
    wearing: Callable[[EditRequest], np.ndarray], frames: Sequence[Frame], look: str
) -> float:
    """PSNR within the matte, over all frames, dB."""

    def planes(picture: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(picture, np.float32).clip(0, 1)).permute(
            2, 0, 1
        )[None]

    return psnr(
        [
            (
                planes(wearing(each.request)),
                planes(each.truth[look]),
                torch.from_numpy(each.request.matte)[None, None],
            )
            for each in frames
        ]
    )


def learned(
    frames: Sequence[Frame],
    look: str,
    seconds: float,
    candidates: Sequence[Guides] | None = None,
    at: Callable[[Learner, float], None] = lambda learner, used: None,
) -> tuple[Look, Learner]:
    """A look learned from some frames."""
    learner = Learner(
        [each.pair(look) for each in frames], seconds, clock=clock, candidates=candidates
    )
    marks = [mark for mark in _MARKS if mark < seconds]
    while not learner.finished:
        learner.step()
        if marks and learner.used >= marks[0]:
            at(learner, marks.pop(0))
    return learner.look(LookFacts(name=look)), learner


def over_time(
    look: str, one: Sequence[Frame], two: Sequence[Frame], other: Sequence[Frame], out: Path
) -> dict[str, str]:
    """10 pairs, learned for two minutes; the same in another shot and on another performer."""
    pairs, held = split(one, 10)
    told: list[str] = []

    def at(learner: Learner, used: float) -> None:
        so_far = learner.look(LookFacts(name=look))
        told.append(f"{used:g} s {quality(lambda each: wear(so_far, each), held, look):.1f}")

    made, learner = learned(pairs, look, _LONG, at=at)
    path = out / f"{look}.safetensors"
    made.save(path)
    kept = read_look(path)

    def worn(request: EditRequest) -> np.ndarray:
        return wear(kept, request)

    told.append(f"{_LONG:g} s {quality(worn, held, look):.1f}")
    show = [held[len(held) // 2], two[len(two) // 2], other[len(other) // 2]]
    rows = [[each.request.source, each.truth[look], worn(each.request).clip(0, 1)] for each in show]
    save_png(out / f"look_{look}.png", sheet(rows, ["plate", "true", "look"], SIDE * 2))
    plain = quality(lambda each: each.source, held, look)
    return {
        f"{look}, 10 pairs": ", ".join(told) + f" dB; unedited {plain:.1f},"
        f" colour transfer {quality(_transfer(pairs, look), held, look):.1f};"
        f" {learner.steps} steps, guides {' and '.join(made.facts.guides)}",
        f"{look}, another shot; another performer": f"{quality(worn, two, look):.1f};"
        f" {quality(worn, other, look):.1f} dB",
        f"{look}, file": f"{path.stat().st_size / 1e6:.2f} MB",
    }


def by_pairs(look: str, frames: Sequence[Frame]) -> dict[str, str]:
    """1, 3 and 30 pairs, half a minute each; 10 are what guides are compared with."""
    told = []
    for count in (1, 3, 30):
        pairs, held = split(frames, count)
        made, _ = learned(pairs, look, _SHORT)
        told.append(f"{count}: {quality(lambda each, made=made: wear(made, each), held, look):.1f}")
    return {f"{look}, by pairs, {_SHORT:g} s": ", ".join(told) + " dB"}


def by_guides(look: str, frames: Sequence[Frame]) -> dict[str, str]:
    """10 pairs with and without each guide, half a minute each."""
    pairs, held = split(frames, 10)
    told = []
    for guides in (Guides(), Guides(normals=True), Guides(place=True), Guides(True, True)):
        made, _ = learned(pairs, look, _SHORT, [guides])
        value = quality(lambda each, made=made: wear(made, each), held, look)
        told.append(f"{' and '.join(guides.names) or 'none'} {value:.1f}")
    return {f"{look}, by guides, {_SHORT:g} s": ", ".join(told) + " dB"}


def baselines(look: str, frames: Sequence[Frame]) -> dict[str, str]:
    """A patch-based network after Texler et al. (2020), 10 pairs, the same half a minute."""
    pairs, held = split(frames, 10)
    network = _patch_based(pairs, look, _SHORT)

    def worn(request: EditRequest) -> np.ndarray:
        planes = torch.from_numpy(request.source).permute(2, 0, 1)[None]
        with torch.no_grad():
            return network(planes)[0].permute(1, 2, 0).numpy()

    return {f"{look}, patch-based network, {_SHORT:g} s": f"{quality(worn, held, look):.1f} dB"}


class _PatchNetwork(nn.Module):
    """The U-Net with residual blocks of Texler et al. (2020), 3.3 M weights, at full resolution."""

    def __init__(self) -> None:
        super().__init__()

        def level(inside: int, outside: int, stride: int = 1, size: int = 3) -> nn.Sequential:
            convolution = nn.Conv2d(inside, outside, size, stride, size // 2)
            return nn.Sequential(convolution, nn.InstanceNorm2d(outside), nn.LeakyReLU(0.2))

        self.first, self.second = level(3, 32, size=7), level(32, 64, 2)
        self.third = level(64, 128, 2)
        self.blocks = nn.ModuleList(
            nn.Sequential(level(128, 128), nn.Conv2d(128, 128, 3, 1, 1), nn.InstanceNorm2d(128))
            for _ in range(10)
        )
        self.up, self.last = level(128 + 64, 64), level(64 + 32, 32)
        self.out = nn.Conv2d(32, 3, 7, 1, 3)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 3, H, W) of 0..1 to the same."""
        first = self.first(picture * 2 - 1)
        second = self.second(first)
        deep = self.third(second)
        for block in self.blocks:
            deep = deep + block(deep)
        deep = self.up(torch.cat([nn.functional.interpolate(deep, scale_factor=2), second], 1))
        deep = self.last(torch.cat([nn.functional.interpolate(deep, scale_factor=2), first], 1))
        result: Tensor = self.out(deep).tanh() / 2 + 0.5
        return result


def _patch_based(pairs: Sequence[Frame], look: str, seconds: float) -> _PatchNetwork:
    """L1 on patches of 32 pixels; no perceptual and no adversarial term, which need a GPU."""
    torch.manual_seed(0)
    network, random = _PatchNetwork(), np.random.default_rng(0)
    optimiser = torch.optim.Adam(network.parameters(), 4e-4, betas=(0.9, 0.99))
    stacks = [
        np.dstack([each.request.source, each.truth[look], each.request.matte]) for each in pairs
    ]
    began = clock()
    while clock() - began < seconds:
        patches = []
        while len(patches) < 40:
            stack = stacks[int(random.integers(len(stacks)))]
            top, left = random.integers(0, SIDE - 32, 2)
            patch = stack[top : top + 32, left : left + 32]
            if patch[..., 6].mean() > 0.5:
                patches.append(patch)
        batch = torch.from_numpy(np.stack(patches).astype(np.float32)).permute(0, 3, 1, 2)
        apart = (network(batch[:, :3]) - batch[:, 3:6]).abs() * batch[:, 6:]
        optimiser.zero_grad()
        apart.mean().backward()
        optimiser.step()
    return network.eval()


def _transfer(pairs: Sequence[Frame], look: str) -> Callable[[EditRequest], np.ndarray]:
    """Linear Monge-Kantorovich transfer of the pairs' colours."""
    inside = [each.request.matte > _SOLID for each in pairs]
    before = np.concatenate(
        [each.request.source[at] for each, at in zip(pairs, inside, strict=True)]
    )
    after = np.concatenate([each.truth[look][at] for each, at in zip(pairs, inside, strict=True)])
    eye = 1e-6 * np.eye(3)
    root = _root(np.cov(before.T) + eye)
    inverse = np.linalg.inv(root)
    matrix = inverse @ _root(root @ (np.cov(after.T) + eye) @ root) @ inverse
    means = before.mean(0), after.mean(0)
    return lambda request: (request.source - means[0]) @ matrix.T + means[1]


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 1e-12))) @ vectors.T


def speed() -> dict[str, str]:
    """The network alone, on two cores; the fastest of many, as the machine may be shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    told = []
    for side in (256, 512):
        network = LookNetwork(Guides(normals=True)).eval()
        planes = torch.rand(1, 3, side, side), torch.rand(1, 4, side // 2, side // 2)
        where = torch.zeros(1, side // 2, side // 2, 2)
        times = []
        with torch.no_grad():
            for _ in range(30):
                began = time.perf_counter()
                network(*planes, where)
                times.append(1e3 * (time.perf_counter() - began))
        told.append(f"{min(times):.0f} ms at {side}")
    torch.set_num_threads(threads)
    weights = sum(each.numel() for each in network.parameters())
    return {"network alone, two cores": ", ".join(told), "weights": f"{weights}"}


def flicker(look: str, frames: Sequence[Frame], out: Path) -> dict[str, str]:
    """The change along the plate's flow, over the plate's own: the look, and its editor."""
    made = read_look(out / f"{look}.safetensors")
    changed = _change_along_flow(frames)
    worn = changed([wear(made, each.request).clip(0, 1) for each in frames])
    truth = changed([each.truth[look] for each in frames])
    return {f"{look}, flicker over the plate's": f"look {worn:.2f}, editor {truth:.2f}"}


def delivered_look(look: str, frames: Sequence[Frame], out: Path) -> dict[str, str]:
    """The look as a render delivers it at the plate's resolution, as `bench delivery` measures, and
    as `flicker` does, in the windows of those frames and in windows twice as fine."""
    shot = Shot.open(out / "look_one")
    if not (shot.path / "avatar" / "0001").exists():
        run("reconstruct", shot.path, {"steps": _STEPS}, Reporter())
    options = {"look": str(out / f"{look}.safetensors")}
    numbers = [each.request.frame for each in frames]
    told = delivered(shot, look, "look", options, out, f"{numbers[0]}-{numbers[-1]}")
    track, plate = Track(shot), plate_of(shot)
    plates = render_of(shot.path / "takes" / look).full_plates()
    shown = [read_picture(plates[frame]) for frame in numbers]
    sources = [plate.read(frame) for frame in numbers]
    plate.close()
    along = []
    for side in (SIDE, 2 * SIDE):
        windows, own = (
            [
                crop(picture, track.box(frame), side)[0]
                for frame, picture in zip(numbers, pictures, strict=True)
            ]
            for pictures in (shown, sources)
        )
        finer = [
            replace(each, request=replace(each.request, source=source, matte=_enlarged(each, side)))
            for each, source in zip(frames, own, strict=True)
        ]
        along.append(f"{_change_along_flow(finer)(windows):.2f} at {side}")
    return {f"{look}, delivered": f"{told}; flicker along the plate's flow x {', '.join(along)}"}


def _enlarged(frame: Frame, side: int) -> np.ndarray:
    made: np.ndarray = cv2.resize(frame.request.matte, (side, side), interpolation=cv2.INTER_LINEAR)
    return made


def _change_along_flow(frames: Sequence[Frame]) -> Callable[[Sequence[np.ndarray]], float]:
    """Measures how much pictures of those frames change along the plate's flow, inside the matte,
    over how much the plate does."""
    flow, sources = dense_flow("medium"), [each.request.source for each in frames]
    codes = [to_grey(to_codes(each)) for each in sources]
    back = [flow(after, before) for before, after in zip(codes, codes[1:], strict=False)]

    def changed(pictures: Sequence[np.ndarray]) -> float:
        errors = []
        for row, along in enumerate(back):
            inside = frames[row + 1].request.matte > _SOLID
            change = np.abs(pictures[row + 1] - carried(pictures[row], along)).mean(2)
            errors.append(float(change[inside].mean()))
        return float(np.mean(errors))

    own = changed(sources)
    return lambda pictures: changed(pictures) / own
