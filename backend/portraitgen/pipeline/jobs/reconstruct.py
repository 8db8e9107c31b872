# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reconstruct job: the performer as an avatar, and the track refined with it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from ...avatar.avatar import Avatar
from ...avatar.colour_init import project_colours
from ...avatar.dataset import TrainingSet
from ...avatar.keyframe_selection import pivot_frames
from ...avatar.lpips import Lpips
from ...avatar.pruning import showing
from ...avatar.training import Trainer, TrainingSettings
from ...avatar.unseen import looks_of, settle
from ...body.camera import orbit
from ...body.geometry import rasterize_mesh
from ...body.model import BodyModel
from ...body.uv import gaussian_texels
from ...errors import AvatarError
from ...footage.matte import foreground_colours
from ...frames import parse_frame_list, spread
from ...images import as_picture, save_png
from ...job_results import ReconstructResult
from ...locks import Waiting
from ...records import AvatarMetrics, AvatarRecord, BodyModelRecord
from ...settings import option
from ...shot import Job, Shot, now
from ...storage import make_folder, remove_tree
from ..data.avatars import best_device, frame_parameters, tell_device, training_set
from ..data.checkpoints import is_usable
from ..data.crops import Crops, load_crops
from ..data.guidance import perceptual_loss
from ..data.shots import Track, body_of
from ..run.job_context import running
from ..run.progress import Reporter, Stage
from .refine_track import ALIGN_SIZE, aligned, base_track, hides_a_track, is_aligned

_CHECKPOINT_STEPS = 100
_PREVIEW_STEPS = 25
_LOOKS = 24
# How far beside the matte a face may lie and be the performer's, of a window's side.
_MARGIN, _ON = 0.03, 24
# From how many of them, and from how many degrees to either side, faces are looked for that no
# window shows, and how densely those are covered.
_SIDEWAYS, _TURNS, _BESIDE, _HEAD = 4, (-45.0, -25.0, 25.0, 45.0), 0.15, 15
# So many frames colour the first picture, and so many steps close its gaps.
_GLANCES, _GLANCE_STEPS = 5, 30
_GPU_BATCH = 4
# How long a finished training waits for the track, in seconds.
_PATIENCE = 24 * 3600.0


@dataclass(frozen=True)
class ReconstructOptions:
    """What to rebuild and how long to train."""

    frames: str = option("", "Frames to learn from as 1001-1250 or 1-9x2, all tracked by default")
    size: int | None = option(
        None,
        "Side at which the window is learned and edited; 256, or 512 for the whole performer",
        unit="px",
        minimum=64,
        maximum=1024,
    )
    gaussians: int | None = option(
        None,
        "How many Gaussians; 16384, or 24576 for the whole performer",
        minimum=1000,
        maximum=200000,
    )
    steps: int = option(1200, "How many training steps", minimum=1)
    hold_out: int = option(
        8,
        "Every which frame is kept out of training to measure on; 0 keeps none",
        minimum=0,
        label="Hold Out Every Nth Frame",
    )
    refine: bool = option(
        True, "Refine the track by the plate's pixels, then together with the avatar"
    )
    vgg: str = option(
        "",
        "VGG16 weights of yours, for a perceptual loss; those in the models folder by default",
        path=True,
        label="VGG Weights",
    )
    renderer: str = option(
        "ours",
        "The network that draws; paper: PortraitGen's own, to repeat its figures, far slower",
        choices={
            "ours": "A small network, trained in minutes",
            "paper": "PortraitGen's own network, to repeat its figures; far slower",
        },
    )
    seed: int = option(0, "Seed of the order of the frames", minimum=0)

    def scale(self, track: Track) -> tuple[int, int]:
        """Side of the window and number of Gaussians, as given or as a track's window needs."""
        size, gaussians = (512, 24576) if track.window == "whole" else (256, 16384)
        return (self.size or size) // 8 * 8, self.gaussians or gaussians


def reconstruct(shot: Shot, options: ReconstructOptions, reporter: Reporter) -> ReconstructResult:
    """Rebuilds the performer.

    Returns:
        avatar and track (the versions); psnr, ssim and alpha_error on held-out frames, of which
        nothing was seen; psnr_placed, once pose and expression were fitted to them.

    Raises:
        ShotError: if the shot is not tracked.
    """
    track = base_track(shot, "refine")
    frames = parse_frame_list(options.frames, track.frames)
    inputs = {"track": track.version}
    with running(shot, "reconstruct", asdict(options), "avatar", reporter, inputs=inputs) as job:
        body = body_of(shot)
        if not is_usable(_checkpoint(job), reporter):
            _glance(shot, body, track, frames, options, job, reporter)
        windows, data = training_data(shot, track, frames, options, reporter)
        tell_device(reporter)
        perceptual = perceptual_loss(options.vgg, reporter)
        trainer = new_trainer(body, track, windows, data, options, perceptual=perceptual)
        _train(trainer, job, reporter)
        rows = np.flatnonzero(data.held_out).tolist() or data.trained[::8]
        for note in _unproven(data):
            reporter.note(note)
        measured = trainer.evaluate(rows)
        version, placed = track.version, None
        if options.refine:
            _place(trainer, reporter)
        ending = Stage(reporter, "finish", 3)
        if options.refine:
            placed = trainer.evaluate(rows)["psnr"]
            version = _publish_refined(shot, track, trainer, job, reporter)
        ending.step(1)
        published = shot.published_by("avatar", job)
        folder = job.work / "avatar"
        remove_tree(folder)
        make_folder(folder)
        avatar = finished(trainer, body)
        ending.step(2)
        avatar.save(folder / "avatar.safetensors")
        record = AvatarRecord(
            created=now(),
            job=job.id,
            track=version,
            body_model=BodyModelRecord(name=body.name, sha256=body.sha256),
            size=data.size,
            gaussians=avatar.gaussian_count,
            pivots=tuple(pivot_frames(data.motion)),
            options=asdict(options),
            training=asdict(trainer.settings),
        )
        metrics = AvatarMetrics(
            psnr=measured["psnr"],
            ssim=measured["ssim"],
            alpha_error=measured["alpha_error"],
            psnr_placed=placed,
            held_out_frames=len(np.flatnonzero(data.held_out)),
            steps=trainer.done,
            curve=tuple(trainer.curve),
        )
        metrics.write(folder / "metrics.json")
        if published is None:
            job.check_held()
            published = shot.publish("avatar", folder, record)
        result = ReconstructResult(published, version, metrics)
        ending.step(3)
        job.finish(result.told())
    return result


def training_data(
    shot: Shot, track: Track, frames: Sequence[int], options: ReconstructOptions, reporter: Reporter
) -> tuple[Crops, TrainingSet]:
    """The windows of the tracked frames of a range, and what is learned from them.

    If the track is to be refined, faces and torsos are aligned by the windows' pixels.

    Raises:
        AvatarError: if none of them is tracked.
    """
    size, _ = options.scale(track)
    usable = _usable(track, frames, options)
    windows = load_crops(shot, track, usable, size, reporter)
    held = _held_out(options, len(usable))
    colours = _colours(windows, reporter)
    motion = track.motion.rows(np.array([track.motion.index(frame) for frame in usable]))
    if options.refine and not is_aligned(track, usable):
        near = windows
        if size < ALIGN_SIZE:
            near = load_crops(shot, track, usable, ALIGN_SIZE, reporter)
        motion = aligned(shot, track, near, reporter)
    return windows, training_set(motion, windows, colours, held)


def _usable(track: Track, frames: Sequence[int], options: ReconstructOptions) -> list[int]:
    usable = track.tracked(frames)
    if not usable:
        raise AvatarError("no frame of the range is tracked", options.frames, "choose others")
    return usable


def _unproven(data: TrainingSet) -> list[str]:
    """What the figures of an avatar do not tell, if they are of frames that it learned from."""
    if data.held_out.any():
        return []
    if len(data.trained) == 1:
        return [
            "The avatar learns from one picture: sides, back, closed lids, teeth and how deep the"
            " head is are guessed, and its figures are of the picture it learned from."
        ]
    return ["No frame is kept out: the avatar's figures are of frames that it learned from."]


def _glance(
    shot: Shot,
    body: BodyModel,
    track: Track,
    frames: Sequence[int],
    options: ReconstructOptions,
    job: Job,
    reporter: Reporter,
) -> None:
    """Shows the body in the colours of a few frames, before the rest of them is even read."""
    quick = replace(options, steps=_GLANCE_STEPS, refine=False, vgg="")
    size, _ = options.scale(track)
    few = spread(_usable(track, frames, options), _GLANCES)
    windows = load_crops(shot, track, few, size, reporter)
    data = training_set(
        track.motion, windows, _colours(windows, reporter), np.zeros(len(few), bool)
    )
    trainer = new_trainer(body, track, windows, data, quick)
    while not trainer.finished:
        trainer.step()
        reporter.check()
    reporter.preview(_preview(trainer, len(few) // 2, job.folder / "preview.png"))


def _colours(windows: Crops, reporter: Reporter) -> np.ndarray:
    """The performer's own colours in every window."""
    stage = Stage(reporter, "foreground", len(windows.frames))
    colours = np.empty_like(windows.images)
    for row, (image, matte) in enumerate(zip(windows.images, windows.mattes, strict=True)):
        colours[row] = foreground_colours(image, matte)
        stage.step(row + 1)
    return colours


def _held_out(options: ReconstructOptions, count: int) -> np.ndarray:
    rows = np.arange(count)
    if not options.hold_out or count < 2 * options.hold_out:
        return np.zeros(count, bool)
    return rows % options.hold_out == options.hold_out // 2


def new_trainer(
    body: BodyModel,
    track: Track,
    windows: Crops,
    data: TrainingSet,
    options: ReconstructOptions,
    kind: type[Avatar] = Avatar,
    perceptual: Lpips | None = None,
) -> Trainer:
    """A trainer at its first step, its avatar coloured from the plate.

    Args:
        kind: what is trained; the benchmarks compare others with ours.
        perceptual: LPIPS, where its weights are here.
    """
    torch.manual_seed(options.seed)
    seen = _seen_faces(body, track, windows)
    _, gaussians = options.scale(track)
    texels = gaussian_texels(body, gaussians, seen)
    # A copy: a checkpoint is read into the avatar in place.
    avatar = kind(body, torch.tensor(track.motion.betas), texels)
    project_colours(avatar, data, spread(data.trained, _LOOKS))
    if options.renderer == "paper":
        avatar.use_paper_renderer()
    device = best_device()
    settings = TrainingSettings(
        steps=options.steps,
        refine=options.refine,
        batch=_GPU_BATCH if device.type == "cuda" else 1,
        seed=options.seed,
    )
    return Trainer(avatar.on(device), data, settings, perceptual)


def finished(trainer: Trainer, body: BodyModel) -> Avatar:
    """The trained avatar without what never shows, and with what is likely where it saw nothing."""
    chosen = showing(trainer)
    avatar = trainer.avatar.kept(body, chosen)
    settle(avatar, body, looks_of(trainer).of(chosen))
    return avatar


def _seen_faces(body: BodyModel, track: Track, windows: Crops) -> np.ndarray:
    """1 for faces that the windows show of the performer, with their neighbours, and what is
    inside; less for what they would show from either side; 0 for the rest."""
    rows = range(len(windows.frames))
    chosen, sideways = spread(rows, _LOOKS), set(spread(rows, _SIDEWAYS))
    faces = body.faces.numpy()
    shown, beside, within = np.zeros((3, len(faces)), bool)
    side = windows.mattes.shape[1]
    margin = 2 * max(1, round(_MARGIN * side)) + 1
    for row in chosen:
        parameters = frame_parameters(track.motion, [windows.frames[row]])
        output = body.forward(
            torch.from_numpy(track.motion.betas)[None],
            parameters.pose,
            parameters.expression,
            parameters.transl,
        )
        vertices, camera = output.vertices[0].numpy(), windows.cameras[row]
        near = (
            cv2.dilate((windows.mattes[row] > _ON).astype(np.uint8), np.ones((margin, margin))) > 0
        )
        face_id, _, _ = rasterize_mesh(vertices, faces, camera)
        shown[face_id[(face_id >= 0) & near]] = True
        # What lies beyond the plate's edge is nobody's: there the avatar ends.
        at = np.floor(camera.project(vertices[faces].mean(1))).astype(int)
        inside = ((at >= 0) & (at < side)).all(1)
        within[inside] |= near[at[inside, 1], at[inside, 0]]
        for turn in _TURNS if row in sideways else ():
            view = orbit(output.joints[0, _HEAD].numpy(), turn).astype(np.float32)
            turned = vertices @ view[:3, :3].T + view[:3, 3]
            face_id, _, _ = rasterize_mesh(turned, faces, camera)
            beside[face_id[face_id >= 0]] = True
    for _ in range(2):
        touched = np.zeros(body.vertex_count, bool)
        touched[faces[shown]] = True
        shown |= touched[faces].any(1)
    inside = np.zeros(len(faces), bool)
    for part in ("mouth", "teeth", "tongue", "eyes", "lips"):
        if part in body.parts:
            inside |= body.parts[part].numpy()
    return np.where(shown | inside, 1.0, _BESIDE * (beside & within))


def _checkpoint(job: Job) -> Path:
    return job.work / "checkpoint.safetensors"


def _train(trainer: Trainer, job: Job, reporter: Reporter) -> None:
    """Steps to the end, from the last checkpoint if there is one."""
    checkpoint = _checkpoint(job)
    if is_usable(checkpoint, reporter):
        trainer.resume(checkpoint)
    stage = Stage(reporter, "train", trainer.settings.steps, done=trainer.done)
    shown = trainer.data.trained[len(trainer.data.trained) // 2]
    while not trainer.finished:
        metrics = trainer.step() | trainer.look()
        if trainer.done % _CHECKPOINT_STEPS == 0:
            trainer.checkpoint(checkpoint)
        if trainer.done % _PREVIEW_STEPS == 0:
            reporter.preview(_preview(trainer, shown, job.folder / "preview.png"))
        stage.step(trainer.done, **metrics)


def _place(trainer: Trainer, reporter: Reporter) -> None:
    """Fits the held-out frames' poses to the finished avatar, for the refined track."""
    rows = np.flatnonzero(trainer.data.held_out).tolist()
    if not rows:
        return
    stage = Stage(reporter, "place", len(rows))
    for index, row in enumerate(rows, start=1):
        trainer.place(row)
        stage.step(index)


@torch.no_grad()
def _preview(trainer: Trainer, row: int, path: Path) -> Path:
    """Plate and avatar side by side."""
    colour, _ = trainer.data.target([row], trainer.data.size)
    drawn = trainer.render_row(row).premultiplied
    return save_png(path, as_picture(torch.cat([colour, drawn], dim=3).clamp(0, 1)))


def _publish_refined(
    shot: Shot, track: Track, trainer: Trainer, job: Job, reporter: Reporter
) -> int:
    """The refined motion as a new track version; frames that were not trained keep theirs."""
    if (published := shot.published_by("track", job)) is not None:
        return published
    refined = trainer.refined_motion()
    motion = track.motion
    rows = [motion.index(int(frame)) for frame in refined.frames]
    pose, expression, transl = (
        getattr(motion, name).copy() for name in ("pose", "expression", "transl")
    )
    pose[rows], expression[rows], transl[rows] = refined.pose, refined.expression, refined.transl
    merged = replace(motion, betas=refined.betas, pose=pose, expression=expression, transl=transl)
    folder = job.work / "track"
    remove_tree(folder)
    make_folder(folder)
    merged.save(folder / "params.safetensors")
    span = (int(refined.frames[0]), int(refined.frames[-1]))
    done = track.record.aligned if is_aligned(track, list(span)) else span
    record = replace(
        track.record,
        created=now(),
        source="refine",
        parent=track.version,
        job=job.id,
        aligned=done,
    )
    # Whoever works on the track now ends first: their version must not be hidden unseen.
    waiting = Waiting(_PATIENCE, reporter.note, reporter.check)
    with shot.hold("track", "reconstruct", None, waiting) as held:
        if hidden := hides_a_track(shot, track):
            reporter.note(hidden)
        held.check()
        job.check_held()
        return shot.publish("track", folder, record)
