# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of a whole shot side by side: frame by frame, by optical flow, and through the avatar."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from portraitgen.body.model import BodyModel
from portraitgen.body.surface import Surface, carry
from portraitgen.editing.editor import EditRequest
from portraitgen.editing.registry import create_editor
from portraitgen.editing.schedule import iterative, one_pass
from portraitgen.footage.matte import foreground_colours
from portraitgen.footage.optical_flow import carried, dense_flow
from portraitgen.images import as_picture, save_png, to_float, to_grey
from portraitgen.pipeline.compositing.deflicker import Deflicker, deflickered
from portraitgen.pipeline.data.avatars import frame_parameters, load_avatar
from portraitgen.pipeline.data.crops import Crops, load_crops
from portraitgen.pipeline.data.edit_mask import EditMask
from portraitgen.pipeline.data.pictures import on_grey, sheet
from portraitgen.pipeline.data.shots import Track, body_of, create_shot
from portraitgen.pipeline.jobs.edit import EditOptions, steps_of
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.shot import Shot
from synthetic.acting import act
from synthetic.clip import write_clip

from .avatar import CLIP
from .expression_drift import drift, landmarks

_EDITORS = ("toon", "pixel")
_FRAMES = "1-120"
_SIZE = 256
_STEPS = 700
_INNER = 0.9
_CONSISTENT_PX = 1.0
_SHOWN = 4
# The released schedule edits a clip of 1000 frames for 31 200 steps.
_LONG, PAPER_STEPS = 500, 15600


def measure(footage: Path | None, out: Path) -> dict[str, str]:
    """Edits the head window of a clip, or of the synthetic performer without one.

    Writes edit_EDITOR.png: some frames by each method.

    Returns:
        For each editor and method: the warp error over the plate's own (how much more it flickers
        along the plate's optical flow), the deviation of each point of the body over time (grey
        levels of 255), the strength of the edit (mean change, grey levels), how far the face's
        landmarks drift from the plate's (per cent of the eye distance, and in how many frames a
        face is found at all) and minutes. And how often either schedule calls an editor that
        starts from the avatar's rendering, over a take of 500 frames. For comparison the warp
        error of the reconstruction, and of the plate when it is merely sharpened.
    """
    ours, paper = calls()
    long = f"one-pass {ours}, the paper's schedule {paper}, {_LONG} frames"
    figures = {"editor calls, a long take": long}
    with tempfile.TemporaryDirectory() as folder:
        clip = footage / CLIP if footage else Path(folder) / "performer.mp4"
        if not footage:
            write_clip(clip.with_suffix(""), frames=48, size=512, identity=0, light="studio")
        shot = create_shot(Path(folder) / "shot", clip, {})
        run("track", shot.path, {"frames": _FRAMES if footage else ""}, Reporter())
        run("reconstruct", shot.path, {"steps": _STEPS, "size": _SIZE}, Reporter())
        scene = _Scene(shot)
        error = scene.warp_error(scene.sharpened()) / scene.own_error
        figures["the plate itself, sharpened"] = f"warp error x {error:.2f}"
        for name, pictures in (
            ("the avatar, unedited", scene.steadied(scene.unedited())),
            ("the avatar, unedited, not steadied", scene.unedited()),
        ):
            figures[name] = f"warp error x {scene.warp_error(pictures) / scene.own_error:.2f}"
        for name in _EDITORS:
            methods: dict[str, Callable[[str], list[np.ndarray]]] = {
                "frame by frame": scene.each_frame,
                "by optical flow": scene.by_flow,
                "the paper's schedule": scene.by_paper,
                "one-pass": scene.by_one_pass,
                "one-pass, not steadied": scene.not_steadied,
                "one-pass, its 2D renderer left out": scene.without_renderer,
                "one-pass, the head at full size": scene.by_face_aware,
            }
            rows = []
            for method, make in methods.items():
                begun = time.monotonic()
                pictures = make(name)
                minutes = (time.monotonic() - begun) / 60
                figures[f"{name}, {method}"] = (
                    f"warp error x {scene.warp_error(pictures) / scene.own_error:.2f},"
                    f" deviation on the body {scene.deviation(pictures):.1f},"
                    f" strength {scene.strength(pictures):.1f}, {scene.drift(pictures)},"
                    f" {minutes:.1f} min"
                )
                rows.append(scene.some(pictures))
            rows.insert(0, scene.some(scene.sources))
            out.mkdir(parents=True, exist_ok=True)
            labels = [f"frame {scene.windows.frames[row]}" for row in scene.shown]
            save_png(out / f"edit_{name}.png", sheet(rows, labels, _SIZE))
    return figures


def calls() -> tuple[int, int]:
    """How often one-pass and the paper's schedule call an editor over a take of 500 frames."""
    options, body = EditOptions(), BodyModel.load()
    motion = act(body, range(1, _LONG + 1), 0)
    ours = len(one_pass(motion, options.keys, again=steps_of(options, True, _LONG) // 2).edits)
    paper = iterative(_LONG, options.key_every, options.interval, PAPER_STEPS, PAPER_STEPS)
    return ours, len(paper.edits)


class _Scene:
    """A reconstructed shot's windows, and what pictures of them are measured with."""

    def __init__(self, shot: Shot) -> None:
        self._shot = shot
        base = shot.version_folder("avatar")
        self._track = Track(shot, shot.avatar_record().track)
        self._body = body_of(shot)
        frames = self._track.tracked(self._track.frames)
        self.windows: Crops = load_crops(shot, self._track, frames, _SIZE, Reporter())
        self.mattes = [to_float(matte) for matte in self.windows.mattes]
        self.sources = [
            to_float(foreground_colours(image, matte))
            for image, matte in zip(self.windows.images, self.windows.mattes, strict=True)
        ]
        self._parts = EditMask(self._body, self._track, "")
        self._surfaces = [
            self._parts.surface(frame, camera)
            for frame, camera in zip(self.windows.frames, self.windows.cameras, strict=True)
        ]
        self._plain = load_avatar(base, self._body)
        self._normals = [self._drawn(self._plain, row)[1] for row in range(len(frames))]
        self._flows = [self._flow(row) for row in range(len(frames) - 1)]
        self.own_error = self.warp_error(self.sources)
        self._faces = self._landmarks(self.sources)
        self.shown = np.linspace(0, len(frames) - 1, _SHOWN + 2)[1:-1].astype(int).tolist()

    @torch.no_grad()
    def _drawn(self, avatar: Any, row: int, neural: bool = True) -> tuple[np.ndarray, np.ndarray]:
        output = avatar.render(
            frame_parameters(self._track.motion, [self.windows.frames[row]]),
            torch.from_numpy(self.windows.cameras[row].matrix())[None],
            _SIZE,
            normals=True,
            neural=neural,
        )
        return as_picture(output.rgb), as_picture(output.normals)

    def _request(self, row: int) -> EditRequest:
        return EditRequest(
            frame=self.windows.frames[row],
            rendered=self.sources[row],
            source=self.sources[row],
            matte=self.mattes[row],
            normals=self._normals[row],
            surface=self._surfaces[row],
        )

    def each_frame(self, name: str) -> list[np.ndarray]:
        """The editor on every frame: what one would do without an avatar."""
        editor = create_editor(name, {})
        rows = range(len(self.sources))
        editor.prepare([self._request(row) for row in rows[:: max(1, len(rows) // 8)]])
        return [editor.edit(self._request(row)) for row in rows]

    def by_flow(self, name: str) -> list[np.ndarray]:
        """The first frame edited and carried on by the plate's optical flow (DIS)."""
        editor = create_editor(name, {})
        editor.prepare([self._request(0)])
        pictures = [editor.edit(self._request(0))]
        for flow, _ in self._flows:
            pictures.append(carried(pictures[-1], flow))
        return pictures

    def by_paper(self, name: str) -> list[np.ndarray]:
        """The edit job with the paper's iterative schedule."""
        return self._by_avatar(name, "iterative")

    def by_one_pass(self, name: str) -> list[np.ndarray]:
        """The edit job with all key frames edited first."""
        return self._by_avatar(name, "one-pass")

    def by_face_aware(self, name: str) -> list[np.ndarray]:
        """One-pass, the head edited again by itself."""
        return self._by_avatar(name, "one-pass", face="on")

    def not_steadied(self, name: str) -> list[np.ndarray]:
        """One-pass as the avatar draws it, every frame by itself."""
        return self._of_take(f"{name}-one-pass-auto")

    def without_renderer(self, name: str) -> list[np.ndarray]:
        """What one-pass taught the texture alone."""
        return self.steadied(self._of_take(f"{name}-one-pass-auto", neural=False))

    def _of_take(self, take: str, neural: bool = True) -> list[np.ndarray]:
        edited = load_avatar(self._shot.edit_folder(take), self._body)
        return [self._drawn(edited, row, neural)[0] for row in range(len(self.sources))]

    def steadied(self, pictures: list[np.ndarray]) -> list[np.ndarray]:
        """The pictures steadied along the plate's motion, as rendering does it."""
        rows, windows = range(len(pictures)), dict(enumerate(self.windows.images))
        steadier, shown = Deflicker(1.0), dict(enumerate(pictures))
        return [deflickered(row, shown, steadier.along(row, windows)) for row in rows]

    def unedited(self) -> list[np.ndarray]:
        """The reconstruction."""
        return [self._drawn(self._plain, row)[0] for row in range(len(self.sources))]

    def sharpened(self) -> list[np.ndarray]:
        """No edit but an unsharp mask: what sharpness alone costs along a flow."""
        return [
            np.clip(2 * source - cv2.GaussianBlur(source, (0, 0), 1.0), 0, 1)
            for source in self.sources
        ]

    def _by_avatar(self, name: str, schedule: str, face: str = "auto") -> list[np.ndarray]:
        take = f"{name}-{schedule}-{face}"
        options = {"take": take, "editor": name, "schedule": schedule, "face": face}
        run("edit", self._shot.path, options, Reporter())
        return self.steadied(self._of_take(take))

    def _flow(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Where each pixel of the next frame comes from in this one, and where that is sure."""
        before, after = (to_grey(self.windows.images[index]) for index in (row, row + 1))
        flow = dense_flow("medium")
        back, forth = flow(after, before), flow(before, after)
        apart = np.linalg.norm(back + carried(forth, back), axis=2)
        inner = np.minimum(self.mattes[row + 1], carried(self.mattes[row], back))
        return back, (apart < _CONSISTENT_PX) & (inner > _INNER)

    def warp_error(self, pictures: list[np.ndarray]) -> float:
        """Mean change along the plate's flow, where it is sure and the performer is."""
        errors = []
        for row, (flow, sure) in enumerate(self._flows):
            change = np.abs(pictures[row + 1] - carried(pictures[row], flow)).mean(2)
            errors.append(float(change[sure].mean()) if sure.any() else 0.0)
        return float(np.mean(errors))

    def deviation(self, pictures: list[np.ndarray]) -> float:
        """Root mean variance over time of each point of the body, beyond that of the plate."""
        reference: Surface = self._surfaces[len(self._surfaces) // 2]
        spread = [self._variance(each, reference) for each in (pictures, self.sources)]
        return 255 * float(np.sqrt(max(spread[0] - spread[1], 0)))

    def _variance(self, pictures: list[np.ndarray], reference: Surface) -> float:
        total = np.zeros((*reference.face.shape, 3))
        square, weight = total.copy(), np.zeros(reference.face.shape)
        for picture, surface in zip(pictures, self._surfaces, strict=True):
            carried, surety = carry(picture, surface, reference)
            seen = surety > 0.2
            total[seen] += carried[seen]
            square[seen] += carried[seen].astype(np.float64) ** 2
            weight[seen] += 1
        often = weight > len(pictures) / 2
        mean = total[often] / weight[often][:, None]
        return float((square[often] / weight[often][:, None] - mean**2).mean())

    def strength(self, pictures: list[np.ndarray]) -> float:
        """Mean change from the plate inside the performer."""
        changes = [
            float(np.abs(picture - source)[matte > _INNER].mean())
            for picture, source, matte in zip(pictures, self.sources, self.mattes, strict=True)
        ]
        return 255 * float(np.mean(changes))

    def _landmarks(self, pictures: list[np.ndarray]) -> np.ndarray:
        """The face's landmarks in pictures laid over the plate, (N, 478, 2), NaN without a face."""
        images = [to_float(image) for image in self.windows.images]
        return landmarks(
            [
                picture * matte[..., None] + image * (1 - matte[..., None])
                for picture, matte, image in zip(pictures, self.mattes, images, strict=True)
            ]
        )

    def drift(self, pictures: list[np.ndarray]) -> str:
        """How far landmarks lie from the plate's."""
        percent, both = drift(self._landmarks(pictures), self._faces)
        return f"landmark drift {percent:.2f} %, face found in {both} of {len(pictures)}"

    def some(self, pictures: list[np.ndarray]) -> list[np.ndarray]:
        """A few of the pictures, on grey."""
        return [on_grey(pictures[row], self.mattes[row]) for row in self.shown]
