# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The refine job: face and torso aligned with the plate's pixels, as a new track version.

Landmarks know where a performer is, pixels how they moved: brows, jaws and shoulders follow what
the plate shows. For who only wants a rig; reconstruction begins with it where it was not done.
"""

from dataclasses import asdict, dataclass, replace

import numpy as np

from ...body.motion import Motion
from ...errors import TrackingError
from ...frames import parse_frame_list
from ...job_results import RefineResult
from ...settings import option
from ...shot import Job, Shot, now
from ...storage import make_folder, remove_tree
from ...tracking.photometric import fit_photometric
from ..data.crops import Crops, load_crops
from ..data.shots import Track, body_of
from ..run.job_context import running
from ..run.progress import Reporter, Stage

ALIGN_SIZE = 512
"""Performers are aligned at this size at least, where they show more than an avatar learns."""


@dataclass(frozen=True)
class RefineOptions:
    """Which part of the track is aligned with the plate's pixels."""

    frames: str = option("", "Frames to align as 1001-1250 or 1-9x2, all tracked ones by default")


def refine_track(shot: Shot, options: RefineOptions, reporter: Reporter) -> RefineResult:
    """Aligns the latest track. Frames that an artist fixed stay as they are.

    Returns:
        track (the version), frames (how many were aligned), and how far faces moved on the plate
        on average, moved_px.

    Raises:
        ShotError: if the shot is not tracked.
        TrackingError: if no frame of the range is.
    """
    track = base_track(shot, "align")
    asked = parse_frame_list(options.frames, track.frames)
    inputs = {"track": track.version, "digest": track.digest()}
    with running(
        shot, "refine", asdict(options), "track", reporter, inputs=inputs, frames=asked
    ) as job:
        usable = track.tracked(asked)
        if not usable:
            raise TrackingError("no frame of the range is tracked", options.frames, "choose others")
        published = shot.published_by("track", job)
        if published is None:
            crops = load_crops(shot, track, usable, ALIGN_SIZE, reporter)
            motion = aligned(shot, track, crops, reporter, job)
            published = _publish(shot, track, motion, job, reporter)
        moved = _moved(track, Track(shot, published), usable)
        result = RefineResult(published, len(usable), moved)
        job.finish(result.told())
    return result


def aligned(
    shot: Shot, track: Track, crops: Crops, reporter: Reporter, job: Job | None = None
) -> Motion:
    """The motion of the windows' frames, face and torso aligned with what they show.

    Args:
        crops: of tracked frames.
        job: whose folder keeps how far a run that is stopped has come.
    """
    rows = np.array([track.motion.index(frame) for frame in crops.frames])
    stage = Stage(reporter, "align", 100)
    return fit_photometric(
        body_of(shot),
        track.motion.rows(rows),
        crops.images,
        crops.mattes,
        crops.cameras,
        stage.step,
        job.work if job else None,
    )


def is_aligned(track: Track, frames: list[int]) -> bool:
    """Whether some frames of a track were aligned with the plate's pixels before."""
    done = track.record.aligned
    return bool(done) and done[0] <= min(frames) and max(frames) <= done[-1]


def base_track(shot: Shot, source: str) -> Track:
    """The latest track, or what it was made from if a job published it that was then stopped.

    Args:
        source: what such a job's tracks are marked with.
    """
    track = Track(shot)
    unfinished = [job.id for job in shot.jobs() if job.record.unfinished]
    if track.record.source == source and track.record.job in unfinished:
        return Track(shot, track.record.parent)
    return track


def hides_a_track(shot: Shot, track: Track) -> str:
    """One sentence about a newer track that what is published now holds nothing of, if any."""
    latest = shot.versions("track")[-1]
    if latest == track.version:
        return ""
    return (
        f"Track {latest} was made while this job worked on track {track.version}; the track that"
        " follows holds nothing of it. Choose the one to work on."
    )


def _publish(shot: Shot, track: Track, motion: Motion, job: Job, reporter: Reporter) -> int:
    rows = [track.motion.index(int(frame)) for frame in motion.frames]
    values = {name: getattr(track.motion, name).copy() for name in ("pose", "expression", "transl")}
    for name, value in values.items():
        value[rows] = getattr(motion, name)
    folder = job.work / "track"
    remove_tree(folder)
    make_folder(folder)
    replace(track.motion, **values).save(folder / "params.safetensors")
    record = replace(
        track.record,
        created=now(),
        source="align",
        parent=track.version,
        job=job.id,
        aligned=(int(motion.frames[0]), int(motion.frames[-1])),
    )
    if hidden := hides_a_track(shot, track):
        reporter.note(hidden)
    job.check_held()
    return shot.publish("track", folder, record)


def _moved(before: Track, after: Track, frames: list[int]) -> float:
    """How far heads moved across the plate, the mean in pixels."""
    rows = [before.motion.index(frame) for frame in frames]
    shift = (after.motion.transl - before.motion.transl)[rows, :2]
    depth = np.maximum(before.motion.transl[rows, 2], 1e-3)
    return float((np.linalg.norm(shift, axis=1) / depth * before.camera.fx).mean())
