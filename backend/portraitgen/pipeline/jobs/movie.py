# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The movie job: a take's frames before and after, side by side, from what lies on disk."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ...errors import ShotError
from ...footage.crop import crop
from ...footage.movie_writing import MovieWriter
from ...footage.plate import Plate
from ...frames import parse_frame_list, runs_of
from ...job_results import MovieResult
from ...provenance.statement import Statement
from ...renders import render_of
from ...settings import option
from ...shot import Shot
from ..data.acting import FILE as ACTING_FILE
from ..data.crops import load_matte
from ..data.frame_identity import edit_shown, was_changed
from ..data.provenance import statement_of, touched_in
from ..data.shots import Track, plate_of
from ..run.job_context import running
from ..run.progress import Reporter, Stage
from .before_and_after import before_and_after, drawn_path, read_drawn


@dataclass(frozen=True)
class MovieOptions:
    """Which take's frames become a movie."""

    take: str = option("", "The take whose rendered frames become a movie")
    frames: str = option("", "Frames of the movie as 1001-1250 or 1-9x2, all by default")
    version: int | None = option(
        None, "The version of the render, the one rendered last by default", minimum=0
    )


def movie(shot: Shot, options: MovieOptions, reporter: Reporter) -> MovieResult:
    """Makes one movie of frames that were rendered before, in one part or many.

    Raises:
        ShotError: if frames are missing, or show different edits of the take.
    """
    take = options.take
    version = render_of(shot.take_folder(take), options.version)
    # A take may act without an edit.
    shown = version.record.edit if version.record else shot.take(take).edit
    edit = shot.edit_folder(take, shown) if shown is not None else None
    record = shot.edit_record(take, shown) if shown is not None else None
    made_on = record or version.record
    base = shot.version_folder("avatar", (made_on and made_on.avatar) or None)
    reconstruction = shot.avatar_record(int(base.name))
    track = Track(shot, (version.record and version.record.track) or reconstruction.track)
    statement = statement_of(shot, take, edit, record, int(base.name), track, version.record)
    frames = list(parse_frame_list(options.frames, track.frames))
    folder = version.frames
    _check(folder, take, frames)
    shown_in = [folder / f"{take}.{frame:04d}.exr" for frame in frames]
    statement = replace(statement, touched=touched_in(shown_in))
    with (
        running(shot, "movie", asdict(options), f"movie:{take}", reporter) as job,
        closing(plate_of(shot, reporter)) as plate,
    ):
        size = reconstruction.size
        # Those of a take that acts show the background, too.
        whole = (shot.path / "takes" / take / ACTING_FILE).exists()
        path = write_movie(folder, take, track, frames, size, plate, statement, whole, reporter)
        result = MovieResult(take, version.version, len(frames), str(path))
        job.finish(result.told())
    return result


def _check(folder: Path, take: str, frames: Sequence[int]) -> None:
    """Refuses a movie with holes, one of changed pictures, or one that would show two edits."""
    missing = [frame for frame in frames if not drawn_path(folder, take, frame).exists()]
    if missing:
        raise ShotError(
            f"frames {runs_of(missing)} of take '{take}' are not rendered", folder, "render them"
        )
    changed = [
        frame
        for frame in frames
        if was_changed(drawn_path(folder, take, frame), folder / f"{take}.{frame:04d}.exr")
    ]
    if changed:
        raise ShotError(
            f"the pictures of frames {runs_of(changed)} were changed since they were rendered",
            folder,
            "render them again",
        )
    shown: dict[int | None, list[int]] = {}
    for frame in frames:
        shown.setdefault(edit_shown(folder / f"{take}.{frame:04d}.exr"), []).append(frame)
    if len(shown) > 1:
        told = "; ".join(f"{runs_of(each)} show edit {edit}" for edit, each in shown.items())
        raise ShotError(f"the frames show different edits: {told}", folder, "render them all anew")


def write_movie(
    folder: Path,
    take: str,
    track: Track,
    frames: Sequence[int],
    size: int,
    plate: Plate,
    statement: Statement,
    whole: bool,
    reporter: Reporter,
) -> Path:
    """Plate and edit side by side.

    Args:
        folder: where the take's frames lie.
        size: the side of the portrait window in pixels.
        statement: how the take was made; the movie says it of itself.
        whole: whether the pictures show the background, too.

    Returns:
        The movie, beside the folder.
    """
    path = folder.parent / f"{take}.mp4"
    stage = Stage(reporter, "movie", len(frames))
    sound = plate.read_sound(range(frames[0], frames[-1] + 1))
    said = statement.movie_metadata()
    code, colours = plate.timecode_at(frames[0]), plate.picture_colours
    with MovieWriter(path, plate.fps, code, sound, said, colours) as writer:
        wanted = set(frames)
        span = range(frames[0], frames[-1] + 1)
        done = 0
        for frame, image in plate.frames_uint8(span):
            if frame not in wanted:
                continue
            window, _ = crop(image, track.box(frame), size)
            drawn = read_drawn(folder, take, frame)
            matte = load_matte(track, frame, size)
            writer.add(before_and_after(track, plate, frame, window, drawn, matte, whole))
            done += 1
            stage.step(done)
    return path
