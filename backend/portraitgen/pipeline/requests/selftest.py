# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tries on this machine what only this machine can show, in under three minutes.

The rasteriser against the reference, a training, CUDA graphs, half precision, and every editor
whose weights are here, on a small picture: what came out, how long it took and what memory it
held, as a report that an artist can send. Nothing is fetched, and nothing of a shot is read.
"""

import importlib.util
import os
import platform
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ... import __version__
from ...avatar import cuda_graphs
from ...avatar.avatar import Avatar
from ...avatar.dataset import TrainingSet
from ...avatar.renderer import NeuralRenderer, half_precision
from ...avatar.texture import FEATURES
from ...avatar.training import Trainer, TrainingSettings
from ...body.camera import Camera
from ...body.model import BodyModel
from ...body.motion import Motion
from ...body.uv import gaussian_texels
from ...editing.diffusion import forget_pipelines
from ...editing.editor import Editor, EditRequest
from ...editing.registry import editor_classes
from ...errors import Cancelled, ModelError, PortraitError
from ...images import as_picture, save_png, to_codes
from ...messages.setup import SelfTestRow
from ...raster import Backend
from ...raster.choice import best_device, difference, measure
from ...storage import make_folder, write_bytes, write_json
from .diagnostics import check_setup, device_name

_LIMIT_S = 170.0
_FRAMES, _TRAINED = 4, 24
_DRAWN, _ALIKE = 20, 2e-3
_PROMPT = "turn the performer into a bronze statue"
# What an editor is tried with: few steps show as well as many that it runs.
_QUICK = {"prompt": _PROMPT, "steps": 4, "evaluations": 20, "size": 512}
_NEEDS_FILES = ("paint", "anydoor", "look")


@dataclass
class SelfTest:
    """One run.

    Args:
        folder: where pictures and the report go.
        tell: called with each part as it begins.
        limit_s: editors that have not begun by then are left out.
    """

    folder: Path
    tell: Callable[[str], None] = lambda name: None
    limit_s: float = _LIMIT_S
    rows: list[SelfTestRow] = field(default_factory=list)

    def run(self) -> tuple[SelfTestRow, ...]:
        """All parts, in order; none stops the others."""
        self._begun = time.monotonic()
        make_folder(self.folder)
        for setup in check_setup():
            state = "failed" if setup.state == "missing" else setup.state
            told = f"{setup.message}; {setup.remedy}" if setup.remedy else setup.message
            self.rows.append(SelfTestRow(f"setup: {setup.name}", state, told))
        self._part("rasteriser", self._rasteriser)
        self._part("training", self._training)
        self._part("CUDA graphs", self._graphs)
        self._part("half precision", self._half)
        for name, kind in editor_classes().items():
            self._part(f"editor: {name}", partial(self._editor, kind))
        return tuple(self.rows)

    def report(self) -> tuple[Path, Path]:
        """Writes the report as text and as JSON, and says where."""
        text, data = self.folder / "selftest.txt", self.folder / "selftest.json"
        facts = {
            "portraitgen": __version__,
            "python": platform.python_version(),
            "system": platform.platform(),
            "device": device_name(),
            "seconds": round(time.monotonic() - self._begun, 1),
        }
        lines = [f"{name}: {value}" for name, value in facts.items()]
        whole = "\n".join([*lines, "", *(line(row) for row in self.rows)]) + "\n"
        write_bytes(text, whole.encode())
        write_json(data, {**facts, "rows": [row.to_json() for row in self.rows]})
        return text, data

    def _part(self, name: str, tried: Callable[[], SelfTestRow]) -> None:
        self.tell(name)
        begun = time.monotonic()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        try:
            row = tried()
        except PortraitError as error:
            row = SelfTestRow(name, "failed", str(error))
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is what is to be found.
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(last.filename).name}, line {last.lineno}"
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            row = SelfTestRow(name, "failed", f"{type(error).__name__}: {reason} ({place})")
        memory = torch.cuda.max_memory_reserved() / 1e9 if torch.cuda.is_available() else 0.0
        seconds = time.monotonic() - begun
        self.rows.append(
            replace(row, name=name, seconds=round(seconds, 2), memory_gb=round(memory, 2))
        )

    def _rasteriser(self) -> SelfTestRow:
        """Every rasteriser that is here against the reference; the card's against the CPU's too."""
        figures: dict[str, float] = {}
        wrong = []
        cpu, device = torch.device("cpu"), best_device("drawing")
        compared: list[tuple[Backend, torch.device]] = [("numba", cpu)]
        chosen = measure(best_device("networks"))
        compared += [(each.backend, device) for each in chosen.trials if not each.reason]
        if device.type == "cpu" and importlib.util.find_spec("warp") is not None:
            compared.append(("warp", cpu))
        for backend, where in dict(compared).items():
            apart = difference(backend, where, against="reference")
            figures |= {f"{backend}_{name}": value for name, value in apart.figures.items()}
            if apart.told:
                wrong.append(f"{backend}: {apart.told}")
        figures |= {
            f"{each.backend}_ms": each.milliseconds
            for each in chosen.trials
            if each.milliseconds is not None
        }
        told = "; ".join([*wrong, chosen.sentence()])
        has_card = best_device("networks").type == "cuda" and not torch.version.hip
        state = "failed" if wrong else "ok" if chosen.on_device or not has_card else "limited"
        return SelfTestRow("", state, told, figures=figures)

    def _training(self) -> SelfTestRow:
        """Steps of a small reconstruction: the loss must fall."""
        made = self._trainer()
        steps = []
        losses = []
        for _ in range(_TRAINED):
            begun = time.perf_counter()
            losses.append(made.step()["loss"])
            steps.append(1000 * (time.perf_counter() - begun))
        begun_with, ended_with = float(np.mean(losses[:4])), float(np.mean(losses[-4:]))
        figures = {
            "step_ms": float(np.median(steps[_TRAINED // 2 :])),
            "size": made.data.size,
            "gaussians": made.avatar.gaussian_count,
            "loss_first": begun_with,
            "loss_last": ended_with,
        }
        if made.avatar.betas.is_cuda:
            figures["waits_a_step"] = _waits(made.step)
        learned = np.isfinite(losses).all() and ended_with < begun_with
        told = f"{figures['step_ms']:.0f} ms a step of {made.data.size} x {made.data.size}"
        state = "ok" if learned else "failed"
        told += "" if learned else f"; the loss did not fall ({begun_with:.4f}, {ended_with:.4f})"
        self._made = made
        return SelfTestRow("", state, told, figures=figures)

    def _graphs(self) -> SelfTestRow:
        """Whole frames through the recorded graphs: as fast, and the picture drawn without."""
        made = self._made
        avatar, size = made.avatar, made.data.size
        avatar.neural = True
        with torch.no_grad():
            parameters, Ks = made.parameters_of(0), made.data.intrinsics([0], size)

            def frame() -> Any:
                return avatar.render(parameters, Ks, size, normals=True)

            frame()
            times = []
            for _ in range(_DRAWN):
                begun = time.perf_counter()
                through = frame()
                _wait()
                times.append(1000 * (time.perf_counter() - begun))
            with cuda_graphs.without_graphs():
                plain = frame()
        save_png(self.folder / "frame.png", as_picture(through.rgb))
        milliseconds = float(np.median(times))
        names = ("premultiplied", "alpha", "depth", "displaced")
        apart = max(
            float((getattr(through, name) - getattr(plain, name)).abs().max()) for name in names
        )
        figures = {"frame_ms": milliseconds, "difference": apart}
        told = f"{1000 / milliseconds:.0f} frames a second of {size} x {size}, with normals"
        if apart > _ALIKE:
            return SelfTestRow(
                "", "failed", f"graphs draw another picture ({apart:.3f})", figures=figures
            )
        recorded = avatar.graphs_recorded
        if torch.cuda.is_available() and not recorded:
            return SelfTestRow(
                "", "limited", f"{told}; no graph could be recorded", figures=figures
            )
        told += f"; {recorded} graphs recorded" if recorded else "; without graphs, as on every CPU"
        return SelfTestRow("", "ok", told, figures=figures)

    def _half(self) -> SelfTestRow:
        """The network in the precision that it draws in, against float32."""
        device = best_device("drawing")
        half = half_precision(device.type, False)
        if half is None:
            return SelfTestRow("", "ok", "the network draws in float32 here")
        torch.manual_seed(0)
        network = NeuralRenderer().to(device)
        with torch.no_grad():
            torch.nn.init.normal_(network.out.weight, 0, 0.1)
            features = torch.randn(1, FEATURES, 64, 64, device=device)
            alpha = torch.rand(1, 1, 64, 64, device=device)
            pictures = [network.drawn_in(kind, features, alpha) for kind in (half, None)]
        apart = float((pictures[0] - pictures[1]).abs().max())
        limit = 5e-3 if half is torch.float16 else 4e-2
        state = "ok" if apart < limit else "failed"
        return SelfTestRow(
            "", state, f"{half} is {apart:.4f} off float32", figures={"difference": apart}
        )

    def _editor(self, kind: type[Editor]) -> SelfTestRow:
        """An editor on a small picture, with its own weights."""
        if kind.info.id in _NEEDS_FILES:
            return SelfTestRow("", "left out", "it works on files or a program of yours")
        left = self.limit_s - (time.monotonic() - self._begun)
        if left <= 0:
            return SelfTestRow("", "left out", f"the {self.limit_s:.0f} seconds are over")
        names = {each.name for each in fields(kind.Options)}
        options = {name: value for name, value in _QUICK.items() if name in names}
        if "style" in names:
            rainbow = np.indices((96, 96, 3)).sum(0)[..., None] * np.array([1, 3, 7]) % 96 / 95
            options["style"] = str(save_png(self.folder / "style.png", rainbow[..., 0, :]))
        try:
            editor = kind(replace(kind.Options(), **options))
        except ModelError as error:
            return SelfTestRow("", "left out", error.message)
        told: list[str] = []
        editor.tell = told.append
        editor.check = lambda: self._in_time(self.limit_s + 10)
        request = self._request()
        try:
            begun = time.monotonic()
            editor.prepare([request])
            loaded = time.monotonic() - begun
            edited = editor.edit(request)
            _wait()
            took = time.monotonic() - begun - loaded
        except Cancelled:
            return SelfTestRow("", "limited", f"stopped after {self.limit_s + 10:.0f} seconds")
        finally:
            forget_pipelines()
        save_png(self.folder / f"{kind.info.id}.png", edited)
        base = request.rendered if kind.info.starts_from_render else request.source
        changed = float(np.abs(edited - base).mean())
        figures = {"load_s": loaded, "edit_s": took, "change": changed}
        said = [f"loaded in {loaded:.1f} s, edited in {took:.1f} s", *told]
        if changed == 0:
            return SelfTestRow("", "failed", "it changed nothing", figures=figures)
        return SelfTestRow("", "ok", "; ".join(said), figures=figures)

    def _in_time(self, limit: float) -> None:
        if time.monotonic() - self._begun > limit:
            raise Cancelled

    def _trainer(self) -> Trainer:
        """A body of plain colours, four frames of it, at the size that the device is for."""
        device = best_device("drawing")
        size, gaussians = (512, 24576) if device.type == "cuda" else (128, 4000)
        body = BodyModel.load()
        motion = _standing(body)
        torch.manual_seed(0)
        avatar = Avatar(body, torch.from_numpy(motion.betas), gaussian_texels(body, gaussians))
        focal = 2.6 * size
        lens = Camera(focal, focal, size / 2, size / 2, size, size)
        Ks = np.stack([lens.matrix()] * _FRAMES).astype(np.float32)
        blank = np.zeros((_FRAMES, size, size, 3), np.uint8)
        data = TrainingSet(
            motion, blank, np.zeros(blank.shape[:3], np.uint8), Ks, np.zeros(_FRAMES, bool)
        )
        # What is learned is the body as it stands, in other colours than it begins with.
        with torch.no_grad():
            for row in range(_FRAMES):
                drawn = avatar.render(
                    data.parameters(row), data.intrinsics([row], size), size, neural=False
                )
                alpha = as_picture(drawn.alpha)[..., 0]
                height = np.linspace(0.2, 0.9, size, dtype=np.float32)[:, None, None]
                data.replace(row, np.broadcast_to(height * [1.0, 0.7, 0.5], blank.shape[1:]))
                data.mattes[row] = torch.from_numpy(to_codes(alpha))
        settings = TrainingSettings(steps=_TRAINED, neural=True, coarse=0.0)
        return Trainer(avatar.on(device), data, settings)

    def _request(self) -> EditRequest:
        """A frame of the trained avatar, as editors are given it."""
        made = self._made
        with torch.no_grad():
            output = made.render_row(0, normals=True)
        assert output.normals is not None
        rendered = as_picture(output.rgb)
        matte = as_picture(output.alpha)[..., 0]
        y, x = np.mgrid[: len(matte), : len(matte)].astype(np.float32) / len(matte)
        ground = np.stack([0.3 + 0.2 * x, 0.4 + 0.1 * y, 0.5 - 0.2 * x], -1)
        source = np.clip(rendered + (1 - matte[..., None]) * ground, 0, 1).astype(np.float32)
        return EditRequest(
            frame=1,
            rendered=rendered,
            source=source,
            matte=matte,
            normals=as_picture(output.normals),
        )


def _standing(body: BodyModel) -> Motion:
    """The body a little turned in each frame, its head in the picture's middle."""
    pose = np.zeros((_FRAMES, 55, 3), np.float32)
    pose[:, 0, 0] = np.pi
    pose[:, 15, 1] = np.linspace(-0.2, 0.2, _FRAMES)
    expression = np.zeros((_FRAMES, body.n_expression), np.float32)
    head = body.template.numpy()[body.weights[:, 15].numpy() > 0.5].mean(0)
    # Turned half about x, so that it stands upright before a camera that looks along z.
    transl = np.array([-head[0], head[1], 2.0 + head[2]], np.float32)
    return Motion(
        frames=np.arange(1, _FRAMES + 1),
        betas=np.zeros(body.n_shape, np.float32),
        transl=np.repeat(transl[None], _FRAMES, axis=0),
        pose=pose,
        expression=expression,
        valid=np.ones(_FRAMES, bool),
        fixed=np.zeros(_FRAMES, bool),
    )


def _waits(step: Callable[[], object]) -> int:
    """How often a training step waits for the card: for its loss, and for the tiles touched."""
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            step()
    finally:
        torch.cuda.set_sync_debug_mode(mode)
    return sum("synchroniz" in str(each.message) for each in told)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def line(row: SelfTestRow) -> str:
    """A row of the report for people."""
    spent = f"{row.seconds:6.1f} s" if row.seconds else f"{'':8}"
    memory = f"{row.memory_gb:5.1f} GB" if row.memory_gb else f"{'':8}"
    return f"{row.state:>8}  {spent}  {memory}  {row.name}: {row.message}"


def parts_of(rows: tuple[SelfTestRow, ...]) -> Iterator[str]:
    """One line a state, with how many parts are in it."""
    states = [row.state for row in rows]
    for state in dict.fromkeys(states):
        yield f"{states.count(state)} {state}"


def report_folder() -> Path:
    """Where a report goes that nobody chose a place for."""
    from ...user_folders import user_cache_folder

    return user_cache_folder() / "selftest" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
