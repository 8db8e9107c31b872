# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edit job: key frames through an editor, the avatar trained to agree with them all."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...avatar.avatar import Avatar
from ...avatar.dataset import TrainingSet
from ...avatar.training import LossWeights, Rates, Trainer, TrainingSettings
from ...body.model import BodyModel
from ...bounded_json import parse_json
from ...editing.editor import Editor
from ...editing.face import FaceAware
from ...editing.overlays import FrameEditor, PlateOverlay, RenderedEditor
from ...editing.paint_layers import PaintedFrames
from ...editing.part_segmentation import PARTS_TOLD
from ...editing.registry import create_editor, editor_class
from ...editing.schedule import Schedule, iterative, one_pass
from ...errors import EditError, OptionError, ShotError
from ...footage.matte import foreground_colours
from ...frames import parse_frame_list
from ...images import as_picture, save_png, to_codes
from ...job_results import EditResult
from ...models.measured import measure, told
from ...records import EditAuthors, EditRecord, WeightsRecord
from ...settings import describe, option
from ...shot import Job, Shot, now
from ...storage import copy_folder, file_digest, is_link, make_folder, remove_tree
from ...trust import Program
from ..data.authors import painters
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
from .dataset_update import DatasetUpdate
from .key_windows import KeyWindows, key_side, shows_keys

_CHECKPOINT_STEPS = 50
_PREVIEW_STEPS = 25
# When the one-pass schedule's second round begins, for editors that repaint the avatar's rendering,
# as a share of the steps.
_AGREED = 0.6
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
        choices=PARTS_TOLD,
        several=True,
    )
    face: str = option(
        "auto",
        "Edit head and large hands again at full size; auto: with editors that repaint",
        choices={
            "auto": "With editors that repaint",
            "on": "Always, which takes longer",
            "off": "Never: the window is edited once",
        },
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
        choices={
            "one-pass": "All key frames are edited at once, then the avatar learns them",
            "iterative": "Key frames are edited in turn while the avatar learns, as in the paper",
        },
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
    take = shot.path / "takes" / name
    editor.use_take(take)
    base = shot.version_folder("avatar")
    plain = shot.avatar_record(int(base.name))
    track = Track(shot, plain.track)
    frames = parse_frame_list(options.frames, track.frames)
    under = base_of(shot, name, options.base, int(base.name))
    kept = KeptKeys(take)
    painted = PaintedFrames(take / "mask")
    inputs = {
        "avatar": int(base.name),
        "under": under and under.name,
        "state": editor.state() + kept.digest() + painted.digest(),
    }
    with running(shot, "edit", asdict(options), f"take:{name}", reporter, inputs=inputs) as job:
        drawn_with = _measured(editor, reporter)
        tell_other_files(shot, name, editor, reporter)
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
        for note in parts.notes:
            reporter.note(note)
        wanted = windows.rows([*kept.frames, *editor.wanted_frames()])
        steps = steps_of(options, editor.info.starts_from_render, len(usable), len(wanted))
        plan = _plan(editor, options, steps, track, windows, wanted, windows.rows(kept.frames))
        edits_frames = _edits_frames(editor, options, kept)
        large = None
        if shows_keys(editor, edits_frames, options.base):
            keys = [usable[row] for row in plan.key_rows]
            side = key_side(track, keys, plain.size)
            if side > plain.size:
                large = KeyWindows(shot, track, keys, plain.size, side, parts, reporter)
        held = np.ones(len(usable), bool)
        held[plan.key_rows] = False
        data = training_set(track.motion, windows, colours.copy(), held)
        perceptual = perceptual_loss(options.vgg, reporter)
        reporter.note(_of_plan(plan, steps))
        trainer = Trainer(avatar, data, _training(options, steps), perceptual)
        aware = face_aware(editor, body, options.face)
        guide = expression_guide(editor, options.expression)
        update = DatasetUpdate(
            editor,
            aware,
            guide,
            kept,
            trainer,
            windows,
            large,
            colours,
            plan,
            parts,
            options.strength,
            options.seed,
            job.work,
        )
        if isinstance(editor, PlateOverlay):
            editor.watch(watched(shot, track, parts, usable, reporter))
        _run(update, job, reporter)
        rendered = editor if isinstance(editor, RenderedEditor) else None
        folder = job.work / "edit"
        remove_tree(folder)
        make_folder(folder)
        trainer.avatar.save(folder / "avatar.safetensors")
        copy_folder(update.folder, folder / "dataset")
        for name_of, file in (rendered.kept_files() if rendered else {}).items():
            (folder / name_of).parent.mkdir(exist_ok=True)
            shutil.copyfile(file, folder / name_of)
        if painted.frames:
            copy_folder(painted.folder, folder / "mask")
        key_frames = [usable[row] for row in plan.key_rows]
        kept_frames = tuple(frame for frame in kept.frames if frame in key_frames)
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
            edits_frames=edits_frames,
            generative=editor.info.draws_with_weights
            or bool(options.base and shot.edit_record(options.base).generative),
            learned=rendered.learned() if rendered else {},
            parts=parts.record(),
            schedule="one-pass" if min(plan.edits) < 0 else "iterative",
            face_aware=isinstance(aware, FaceAware),
            base=options.base,
            key_frames=tuple(key_frames),
            anchor=None if plan.anchor is None else usable[plan.anchor],
            kept_frames=kept_frames,
            edits=len(plan.edits),
            training=asdict(trainer.settings),
            authors=_authors(take, options.editor, painted.frames, kept_frames),
            weights=drawn_with,
        )
        job.check_held()
        published = shot.publish_edit(name, folder, record)
        result = EditResult(name, published, len(key_frames))
        job.finish(result.told())
    return result


def tell_other_files(shot: Shot, take: str, editor: Editor, reporter: Reporter) -> None:
    """Says where an editor's own files are others than its last edit with the same options had: a
    name of a library may mean another file on another machine, or once it was learned again."""
    if not isinstance(editor, RenderedEditor) or not shot.versions(f"takes/{take}/edits"):
        return
    try:
        last, folder = shot.edit_record(take), shot.edit_folder(take)
    except ShotError:
        return
    if last.editor != editor.info.id or last.options != asdict(editor.options):
        return
    for name, file in editor.kept_files().items():
        kept = folder / name
        if name.endswith(".safetensors") and kept.is_file() and not is_link(kept):
            if file_digest(kept) != file_digest(file):
                reporter.note(
                    f"'{file.name}' is not the file that edit {int(folder.name)} wore: it was"
                    " changed, or another of its name took its place."
                )


def _measured(editor: Editor, reporter: Reporter) -> tuple[WeightsRecord, ...]:
    """The weights that an editor draws with, as they lie on the disk."""
    stages: list[Stage] = []

    def read(done: int, total: int) -> None:
        if not stages:
            stages.append(Stage(reporter, "read weights", max(total >> 20, 1)))
        stages[0].step(done >> 20)

    records = measure(editor.opened(), read)
    for record in records:
        if note := told(record):
            reporter.note(note)
    return records


def _authors(take: Path, editor: str, masks: Sequence[int], kept: Sequence[int]) -> EditAuthors:
    """Who painted and who kept what the edit was made of, of those who gave their name."""
    paint = PaintedFrames(take / "paint").frames if editor == "paint" else []
    painted = [*painters(take, "paint", paint), *painters(take, "masks", masks)]
    return EditAuthors(tuple(dict.fromkeys(painted)), painters(take, "key frames", kept))


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
        sources.append(to_codes(as_picture(drawn.rgb)))
    return np.stack(sources)


def program_of(editor: str, options: str) -> Program | None:
    """What an editor would run with its options, a JSON object; None if it runs nothing.

    Raises:
        EditError: if there is no such editor; OptionError: if the options are no JSON object.
    """
    return Program.of_options(describe(editor_class(editor).Options), editor_values(options))


def editor_values(text: str) -> Mapping[str, Any]:
    """The editor's options from their JSON text.

    Raises:
        OptionError: if it is no JSON object.
    """
    try:
        values = parse_json(text)
    except ValueError as error:
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


def _of_plan(plan: Schedule, steps: int) -> str:
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
        ground=0,
        neural=True,
        seed=options.seed,
        perceptual_from=_PERCEPTUAL_FROM,
        weights=LossWeights(stable=0.8, lpips=_LPIPS),
        rates=rates,
    )


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
