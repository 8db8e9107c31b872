# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The render job: every frame of a take as multilayer EXR and PNG, over its plate, as a movie."""

import hashlib
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, replace

import numpy as np

from ...errors import EditError
from ...frames import parse_frame_list
from ...job_results import RenderResult
from ...path_mapping import given_path
from ...shot import Shot
from ...storage import MAX_JSON, make_folder, read_bytes
from ..data.acting import FILE as ACTING_FILE
from ..data.acting import StoredActing, load_acting
from ..data.provenance import touched_in
from ..data.shots import Track, body_of, plate_of
from ..run.job_context import running
from ..run.progress import Reporter, Stage
from ..run.threads import keep_threads
from .render_run import MadeFrame, RenderOptions, RenderRun, on_disk

RECONSTRUCTION = "reconstruction"
"""The name under which the unedited avatar is rendered."""


def render(shot: Shot, options: RenderOptions, reporter: Reporter) -> RenderResult:
    """Renders a take into a version of its own, or goes on with the one that was made of the same.

    Frames that are on disk already, made of the same edit, avatar, track and options as their own
    files say, are not rendered again.

    Raises:
        ShotError: if the take was never edited, or nothing was reconstructed.
        FootageError: if a picture of the lit performer is missing or not as it must be.
    """
    take = options.take or RECONSTRUCTION
    if options.take and options.lit:
        shot.make_take(take)
    acts = bool(options.take) and (shot.take_folder(take) / ACTING_FILE).exists()
    edit = None
    bare = acts or bool(options.lit)
    if options.take and (options.edit or not bare or shot.take(take).edit):
        edit = shot.edit_folder(take, options.edit)
    record = shot.edit_record(take, options.edit) if edit else None
    base = shot.version_folder("avatar", record.avatar if record else None)
    reconstruction = shot.avatar_record(int(base.name))
    track = Track(shot, options.track or reconstruction.track)
    frames = parse_frame_list(options.frames, track.frames)
    alone = bool(options.camera or options.drive)
    if alone and options.lit:
        raise EditError(
            "a lit performer lies over the plate", remedy="give no camera and no other shot with it"
        )
    home = shot.path / "takes" / take if options.take else base
    home = make_folder(home / _alone_folder(options) if alone else home)
    whole = frames == track.frames
    with (
        running(shot, "render", asdict(options), f"frames:{take}", reporter, frames=frames) as job,
        closing(plate_of(shot, reporter)) as plate,
    ):
        acting = _acting(shot, take, track, reporter) if acts else None
        run = RenderRun(
            shot,
            options,
            take,
            edit,
            record,
            base,
            reconstruction.size,
            track,
            frames,
            home,
            plate,
            acting,
        )
        run.tell_versions(reporter)
        run.tell_unused(reporter)
        run.tell_sides(reporter)
        folder = run.folder
        stage = Stage(reporter, "render", len(frames))
        with (
            closing(run),
            closing(_written(_made(run, reporter))) as written,
            _movie(run, options.movie and whole) as add,
        ):
            for count, (frame, shown) in enumerate(written, 1):
                reporter.frame(take, frame, *run.paths(frame))
                add(shown)
                stage.step(count)
        has_movie = options.movie and not alone
        if has_movie and not whole:
            reporter.note(
                "Frames rendered in parts have no movie yet; `portraitgen movie` makes it."
            )
        result = RenderResult(
            take=take,
            frames=len(frames),
            folder=str(folder),
            version=run.version.version,
            edit=int(edit.name) if edit else None,
            movie=str(folder.parent / f"{take}.mp4") if has_movie and whole else None,
        )
        job.finish(result.told())
    return result


def _made(run: RenderRun, reporter: Reporter) -> Generator[MadeFrame, None, None]:
    """Each frame, with what writes it, which is nothing if it is on disk."""
    done = run.done()
    if len(done) < len(run.frames):
        # Loading what draws takes longer than all that a render of frames that are there does.
        from .render_frames import FrameMaker

        keep_threads()
        return FrameMaker(run).made(done, reporter)
    if not run.options.movie or run.alone:
        return (MadeFrame(frame) for frame in run.frames)
    plate = run.plate.frames_uint8(run.frames)
    return (on_disk(run, frame, codes) for frame, codes in plate)


def _acting(shot: Shot, take: str, track: Track, reporter: Reporter) -> StoredActing:
    """What a take acts; says so if it was made on another track."""
    stored = load_acting(shot.path / "takes" / take / ACTING_FILE, body_of(shot))
    if note := stored.note(track):
        reporter.note(note)
    return stored


def _written(
    made: Generator[MadeFrame, None, None],
) -> Generator[tuple[int, Callable[[], np.ndarray] | None], None, None]:
    """Writes each frame, and gives out its number and what a movie shows of it at once, while the
    next one is rendered."""
    with closing(made), ThreadPoolExecutor(1) as beside:
        coming = beside.submit(next, made, None)
        while (one := coming.result()) is not None:
            shown = one.shown
            coming = beside.submit(next, made, None)
            one.write()
            yield one.frame, shown


@contextmanager
def _movie(
    run: RenderRun, wanted: bool
) -> Iterator[Callable[[Callable[[], np.ndarray] | None], None]]:
    """Takes the frames of a movie in their order; it is there when all were added."""
    if not wanted or run.alone:
        yield lambda shown: None
        return
    # Chunks of a farm make no movie, and load nothing of what it takes.
    from ...footage.movie_writing import MovieWriter

    path, plate, frames = run.folder.parent / f"{run.take}.mp4", run.plate, run.frames
    # How much is touched is known when all frames are.
    said = replace(run.statement, touched=0.0).movie_metadata()
    sound = plate.read_sound(range(frames[0], frames[-1] + 1))
    code, colours = plate.timecode_at(frames[0]), plate.picture_colours
    with MovieWriter(path, plate.fps, code, sound, said, colours) as writer:

        def add(shown: Callable[[], np.ndarray] | None) -> None:
            assert shown, "every frame over its plate can be in a movie"
            writer.add(shown())

        yield add
        touched = touched_in(run.paths(frame)[0] for frame in frames)
        if touched is not None:
            writer.say(replace(run.statement, touched=touched).movie_metadata())


def _alone_folder(options: RenderOptions) -> str:
    """A folder for each camera move and each performance, so that none overwrites another."""
    moves = read_bytes(given_path(options.camera), MAX_JSON) if options.camera else b""
    digest = hashlib.sha256(moves + options.drive.encode()).hexdigest()
    return f"alone-{digest[:8]}"
