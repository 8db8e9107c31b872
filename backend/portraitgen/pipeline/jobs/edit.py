# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edit job: key frames through an editor, the avatar trained to agree with them all."""

import json
import shutil
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from ...avatar.avatar import Avatar
from ...avatar.dataset import TrainingSet
from ...avatar.training import LossWeights, Rates, Trainer, TrainingSettings
from ...body.model import BodyModel
from ...editing.editor import Editor, EditRequest, show_anchor
from ...editing.face import FaceAware
from ...editing.overlays import FrameEditor, PlateOverlay, RenderedEditor
from ...editing.paint_layers import PaintedFrames
from ...editing.part_segmentation import PARTS
from ...editing.registry import create_editor
from ...editing.schedule import Schedule, iterative, one_pass
from ...errors import EditError, OptionError
from ...footage.matte import foreground_colours
from ...frames import parse_frame_list, spread
from ...images import as_picture, read_codes, save_png
from ...job_results import EditResult
from ...records import EditRecord
from ...settings import option
from ...shot import Job, Shot, now
from ...storage import atomic_path, make_folder, remove_tree
from ..data.avatars import frame_parameters, load_avatar, tell_device, training_set
from ..data.checkpoints import is_usable
from ..data.crops import Crops, load_crops
from ..data.edit_mask import EditMask
from ..data.expression_guide import ExpressionGuide
from ..data.guidance import perceptual_loss
from ..data.key_frames import KeptKeys
from ..data.plate_stream import watched
from ..data.shots import Track, body_of
from ..run.job_context import running
from ..run.progress import Reporter, Stage

_CHECKPOINT_STEPS = 50
_PREVIEW_STEPS = 25
_SAMPLES = 8
# The one-pass schedule's second round, for editors that repaint the avatar's rendering: when, as
# a share of the steps, and how strong.
_AGREED, _GENTLE = 0.6, 0.35
_STEPS, _STEPS_A_FRAME = 400, 31.2
# As the method's release weighs them against the pictures, where those count 3: LPIPS 10, after a
# fifth of the steps.
_LPIPS, _PERCEPTUAL_FROM = 10 / 3, 0.2


@dataclass(frozen=True)
class EditOptions:
    """What a take becomes."""

    take: str = option("", "The take's name; the editor's by default")
    editor: str = option("relight", "The editor, of those that are installed")
    editor_options: str = option("{}", "The editor's options as a JSON object")
    base: str = option("", "Another take to build on; the plate by default")
    frames: str = option("", "Frames to edit as 1001-1250 or 1-9x2, all tracked ones by default")
    strength: float = option(1.0, "How strong the edit is", minimum=0, maximum=1)
    parts: str = option(
        "",
        "Edit these parts only; all by default",
        choices=PARTS,
        several=True,
    )
    face: str = option(
        "auto",
        "Edit head and large hands again at full size; auto: with editors that repaint",
        choices=("auto", "on", "off"),
    )
    expression: float = option(
        1.0,
        "How far a face that an editor repainted is brought back to the plate's expression",
        minimum=0,
        maximum=1,
    )
    vgg: str = option(
        "",
        "VGG16 weights of yours, for a perceptual loss; those in the models folder by default",
        path=True,
        label="VGG Weights",
    )
    schedule: str = option(
        "one-pass",
        "All key frames at once, or the paper's rounds of edits during training",
        choices=("one-pass", "iterative"),
    )
    keys: int = option(16, "Key frames of the one-pass schedule", minimum=1, maximum=200)
    key_every: int = option(
        12, "Every which frame is a key frame of the iterative schedule", minimum=1
    )
    interval: int = option(
        4, "Steps between two edits of the iterative schedule", unit="steps", minimum=1
    )
    steps: int = option(
        0,
        "How many training steps; 0 for 400 in one pass, and as many as its rounds need in the"
        " iterative schedule",
        minimum=0,
    )
    seed: int = option(0, "Seed of the edit", minimum=0)
    commercial: bool = option(
        False, "Refuse editors and weights whose licence allows no commercial use"
    )


def edit(shot: Shot, options: EditOptions, reporter: Reporter) -> EditResult:
    """Edits a take; an earlier edit of the same take is kept beside it.

    Raises:
        EditError: if the editor cannot be used; ShotError: if nothing was reconstructed.
    """
    editor = create_editor(
        options.editor, editor_values(options.editor_options), options.commercial
    )
    editor.check, editor.tell = reporter.check, reporter.note
    name = shot.take_name(options.take or options.editor)
    editor.use_take(shot.path / "takes" / name)
    base = shot.version_folder("avatar")
    plain = shot.avatar_record(int(base.name))
    track = Track(shot, plain.track)
    frames = parse_frame_list(options.frames, track.frames)
    under = base_of(shot, name, options.base, int(base.name))
    kept = KeptKeys(shot.path / "takes" / name)
    painted = PaintedFrames(shot.path / "takes" / name / "mask")
    inputs = {
        "avatar": int(base.name),
        "under": under and under.name,
        "state": editor.state() + kept.digest() + painted.digest(),
    }
    with (
        running(shot, "edit", asdict(options), f"take:{name}", reporter, inputs=inputs) as job,
        ExitStack() as opened,
    ):
        body = body_of(shot)
        usable = track.tracked(frames)
        if not usable:
            raise EditError("no frame of the range is tracked", options.frames, "choose others")
        windows = load_crops(shot, track, usable, plain.size, reporter)
        tell_device(reporter)
        avatar = load_avatar(under or base, body)
        colours = sources_of(windows, track, avatar if under else None)
        parts = EditMask(body, track, options.parts, painted)
        parts.learn(windows)
        wanted = _rows(windows, [*kept.frames, *editor.wanted_frames()])
        steps = steps_of(options, editor.info.starts_from_render, len(usable), len(wanted))
        plan = _plan(editor, options, steps, track, windows, wanted, _rows(windows, kept.frames))
        held = np.ones(len(usable), bool)
        held[plan.key_rows] = False
        data = training_set(track.motion, windows, colours.copy(), held)
        perceptual = perceptual_loss(options.vgg, reporter)
        reporter.note(_told(plan, steps))
        trainer = Trainer(avatar, data, _training(options, steps), perceptual)
        aware = face_aware(editor, body, options.face)
        guide = opened.enter_context(closing(expression_guide(editor, options.expression)))
        update = DatasetUpdate(
            editor, aware, guide, kept, trainer, windows, colours, plan, parts, options, job.work
        )
        if isinstance(editor, PlateOverlay):
            editor.watch(watched(shot, track, parts, usable, reporter))
        _run(update, job, reporter)
        rendered = editor if isinstance(editor, RenderedEditor) else None
        folder = job.work / "edit"
        remove_tree(folder)
        make_folder(folder)
        trainer.avatar.save(folder / "avatar.safetensors")
        shutil.copytree(update.folder, folder / "dataset", symlinks=True)
        for name_of, file in (rendered.kept_files() if rendered else {}).items():
            (folder / name_of).parent.mkdir(exist_ok=True)
            shutil.copyfile(file, folder / name_of)
        if painted.frames:
            shutil.copytree(painted.folder, folder / "mask", symlinks=True)
        key_frames = [usable[row] for row in plan.key_rows]
        record = EditRecord(
            created=now(),
            job=job.id,
            avatar=int(base.name),
            settings=asdict(options),
            editor=options.editor,
            options=asdict(editor.options),
            commercial=editor.commercial(),
            strength=options.strength,
            follows=rendered is not None,
            edits_frames=_edits_frames(editor, options, kept),
            learned=rendered.learned() if rendered else {},
            parts=parts.record(),
            schedule="one-pass" if min(plan.edits) < 0 else "iterative",
            face_aware=isinstance(aware, FaceAware),
            base=options.base,
            key_frames=tuple(key_frames),
            anchor=None if plan.anchor is None else usable[plan.anchor],
            kept_frames=tuple(frame for frame in kept.frames if frame in key_frames),
            edits=len(plan.edits),
            training=asdict(trainer.settings),
        )
        job.check_held()
        published = shot.publish_edit(name, folder, record)
        result = EditResult(name, published, len(key_frames))
        job.finish(result.told())
    return result


def _edits_frames(editor: Editor, options: EditOptions, kept: KeptKeys) -> bool:
    """Whether every frame of the plate is edited by itself; repainted key frames, and other takes,
    only the avatar knows."""
    return isinstance(editor, FrameEditor) and not options.base and not kept.repainted


def face_aware(editor: Editor, body: BodyModel, choice: str) -> Editor | FaceAware:
    """The editor, wrapped if the head is to be edited at full size."""
    wanted = choice == "on" or (choice == "auto" and editor.info.starts_from_render)
    return FaceAware(editor, body) if wanted else editor


def expression_guide(editor: Editor, share: float) -> ExpressionGuide:
    """What brings expressions back; editors that recolour the plate move nothing."""
    return ExpressionGuide(share if editor.info.starts_from_render else 0.0)


def base_of(shot: Shot, take: str, base: str, avatar: int) -> Path | None:
    """The edit that a take builds on, None if that is the plate.

    Raises:
        EditError: if the takes would build on each other, or on different avatars.
    """
    if not base:
        return None
    above, seen = base, [take]
    while above:
        if above in seen:
            raise EditError(
                "the takes build on each other", " on ".join([*seen, above]), "break it"
            )
        seen.append(above)
        above = shot.edit_record(above).base
    edited = shot.edit_record(base).avatar
    if edited != avatar:
        raise EditError(
            f"take '{base}' was edited on avatar {edited}, the shot has {avatar}",
            take,
            f"edit '{base}' again first",
        )
    return shot.edit_folder(base)


@torch.no_grad()
def sources_of(windows: Crops, track: Track, avatar: Avatar | None) -> np.ndarray:
    """What a take starts from, uint8 (N, S, S, 3): the plate's colours, or another take's."""
    sources = []
    for row, (image, matte) in enumerate(zip(windows.images, windows.mattes, strict=True)):
        if avatar is None:
            sources.append(foreground_colours(image, matte))
            continue
        drawn = avatar.render(
            frame_parameters(track.motion, [windows.frames[row]]),
            torch.from_numpy(windows.cameras[row].matrix())[None],
            image.shape[0],
        )
        sources.append((as_picture(drawn.rgb) * 255 + 0.5).astype(np.uint8))
    return np.stack(sources)


def editor_values(text: str) -> Mapping[str, Any]:
    """The editor's options from their JSON text.

    Raises:
        OptionError: if it is no JSON object.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise OptionError(f"not JSON ({error})", "editor_options", "give an object") from None
    if not isinstance(values, dict):
        raise OptionError("not a JSON object", "editor_options", "give names and values")
    return values


def steps_of(options: EditOptions, repaints: bool, frames: int, wanted: int = 0) -> int:
    """How many steps an edit trains: as asked, or as its schedule needs.

    The method's release trains 31.2 steps a frame while it edits, whatever the clip; where every
    key frame is edited once, that and a one-pass edit's steps after it are enough.

    Args:
        repaints: whether the editor is to see its key frames again and again.
        frames: of the take; wanted: key frames besides every `key_every`th.
    """
    if options.steps or options.schedule == "one-pass":
        return options.steps or _STEPS
    if repaints:
        return max(_STEPS, round(_STEPS_A_FRAME * frames))
    keys = len(range(0, frames, options.key_every)) + wanted
    return _STEPS + keys * options.interval


def _told(plan: Schedule, steps: int) -> str:
    """What is about to be done, before it begins."""
    keys, edits = len(plan.key_rows), len(plan.edits)
    rounds = f" ({edits / keys:.1f} times each)" if edits != keys else ""
    return f"{keys} key frames are edited, {edits} edits in all{rounds}, in {steps} training steps."


def _plan(
    editor: Editor,
    options: EditOptions,
    steps: int,
    track: Track,
    windows: Crops,
    wanted: list[int],
    approved: list[int],
) -> Schedule:
    repaints = editor.info.starts_from_render
    motion = track.motion.rows(np.array([track.motion.index(f) for f in windows.frames]))
    if options.schedule == "one-pass":
        again = round(_AGREED * steps) if repaints else None
        return one_pass(motion, options.keys, wanted, again, approved)
    rounds = steps if repaints else 1
    return iterative(
        len(windows.frames), options.key_every, options.interval, steps, rounds, wanted
    )


def _rows(windows: Crops, frames: list[int]) -> list[int]:
    """The rows of some frames, of those there are."""
    return [windows.row(frame) for frame in frames if frame in windows.frames]


def _training(options: EditOptions, steps: int) -> TrainingSettings:
    """Colours are learned anew; geometry and motion stay what the plate taught."""
    rates = Rates(
        opacity=2e-3,
        scale=1e-3,
        rotation=5e-4,
        offset=2e-5,
        displacement=0.0,
        bases=0.0,
        renderer=2e-3,
        blending=0.0,
    )
    return TrainingSettings(
        steps=steps,
        coarse=0.3,
        refine=False,
        neural=True,
        seed=options.seed,
        perceptual_from=_PERCEPTUAL_FROM,
        weights=LossWeights(stable=0.8, lpips=_LPIPS),
        rates=rates,
    )


class DatasetUpdate:
    """The edited key frames of a take, on disk and in the training set.

    Every edit is kept as `dataset/FRAME.STEP.png`, so that a resumed training sees at every step
    the images it would have seen.
    """

    def __init__(
        self,
        editor: Editor,
        aware: Editor | FaceAware,
        guide: ExpressionGuide,
        kept: KeptKeys,
        trainer: Trainer,
        windows: Crops,
        colours: np.ndarray,
        plan: Schedule,
        parts: EditMask,
        options: EditOptions,
        work: Path,
    ) -> None:
        self.trainer = trainer
        self.plan = plan
        self.folder = work / "dataset"
        make_folder(self.folder)
        self._aware = aware
        self._guide = guide
        self._kept = kept
        self._windows = windows
        self._colours = colours
        self._options = options
        self._parts = parts
        rows = set(spread(range(len(windows.frames)), _SAMPLES))
        rows |= set(_rows(windows, editor.wanted_frames()))
        editor.prepare([self.request(row) for row in sorted(rows)])

    @torch.no_grad()
    def request(self, row: int, strength: float | None = None) -> EditRequest:
        """What the editor is shown of a row; the take's own strength by default."""
        output = self.trainer.render_row(row, normals=True)
        assert output.normals is not None
        frame = self._windows.frames[row]
        matte = self._windows.mattes[row].astype(np.float32) / 255
        image = self._windows.images[row].astype(np.float32) / 255
        surface = self._parts.surface(frame, self._windows.cameras[row])
        return EditRequest(
            frame=frame,
            rendered=as_picture(output.rgb),
            source=self._colours[row].astype(np.float32) / 255,
            matte=matte,
            mask=self._parts.mask(surface, image, matte),
            surface=surface,
            normals=as_picture(output.normals),
            strength=self._options.strength if strength is None else strength,
            seed=self._options.seed,
        )

    def take_up(self, step: int) -> None:
        """Puts back the edits made before a step."""
        for edited, row in sorted(self.plan.edits.items()):
            if edited < step and self._path(row, edited).exists():
                self._replace(row, self._path(row, edited))

    def before(self, step: int) -> None:
        """Makes the edit that belongs before a step, or reads it back."""
        row = self.plan.edits.get(step)
        if row is None:
            return
        path = self._path(row, step)
        if not path.exists() or read_codes(path, cv2.IMREAD_COLOR) is None:
            edited = self._kept.picture(self._windows.frames[row], self._colours.shape[1])
            if edited is None:
                share = _GENTLE if step in self.plan.gentle else 1.0
                request = replace(
                    self.request(row, share * self._options.strength), again=self._again(row, step)
                )
                edited = self._guide.guided(self._aware.edit(request), request)
            codes = (edited * 255 + 0.5).astype(np.uint8)
            with atomic_path(path) as temporary:
                temporary.write_bytes(cv2.imencode(".png", codes[..., ::-1])[1].tobytes())
        self._replace(row, path)

    def _again(self, row: int, step: int) -> int:
        """How often the iterative schedule has edited a row before: each edit draws its noise, and
        how much of it, anew. Frames that are edited together share theirs."""
        if min(self.plan.edits) < 0:
            return 0
        return sum(row == other for at, other in self.plan.edits.items() if at < step)

    def _replace(self, row: int, path: Path) -> None:
        encoded = read_codes(path, cv2.IMREAD_COLOR)
        if encoded is None:
            raise EditError("an edited key frame cannot be read", path, "delete it and run again")
        picture = encoded[..., ::-1].astype(np.float32) / 255
        self.trainer.data.replace(row, picture)
        if row == self.plan.anchor:
            show_anchor(self._aware, replace(self.request(row), rendered=picture))

    def _path(self, row: int, step: int) -> Path:
        return self.folder / f"{self._windows.frames[row]:04d}.{max(step, 0):05d}.png"


def _run(update: DatasetUpdate, job: Job, reporter: Reporter) -> None:
    """Edits and steps to the end, from the last checkpoint if there is one."""
    trainer = update.trainer
    checkpoint = job.work / "checkpoint.safetensors"
    first = sorted(step for step in update.plan.edits if step < 0)
    if first:
        stage = Stage(reporter, "edit", len(first))
        for count, step in enumerate(first, 1):
            update.before(step)
            stage.step(count)
    if is_usable(checkpoint, reporter):
        trainer.resume(checkpoint)
        update.take_up(trainer.done)
    stage = Stage(reporter, "train", trainer.settings.steps, done=trainer.done)
    shown = update.plan.key_rows[len(update.plan.key_rows) // 2]
    while not trainer.finished:
        update.before(trainer.done)
        metrics = trainer.step()
        if trainer.done % _CHECKPOINT_STEPS == 0:
            trainer.checkpoint(checkpoint)
        if trainer.done % _PREVIEW_STEPS == 0:
            reporter.preview(_preview(trainer.data, trainer, shown, job.folder / "preview.png"))
        stage.step(trainer.done, **metrics)


@torch.no_grad()
def _preview(data: TrainingSet, trainer: Trainer, row: int, path: Path) -> Path:
    """Edited key frame and avatar side by side."""
    colour, _ = data.target([row], data.size)
    drawn = trainer.render_row(row).premultiplied
    return save_png(path, as_picture(torch.cat([colour, drawn], dim=3).clamp(0, 1)))
