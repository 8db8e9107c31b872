# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The track job: landmarks, the solve, portrait windows and mattes, as a new track version."""

import re
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...body.camera import Box
from ...body.model import BodyModel
from ...body.motion import Motion, posed
from ...errors import NewerSchema, OptionError, ShotError, TrackingError
from ...footage.crop import box_of, crop, fixed_window, following_windows, whole_window
from ...footage.given_mattes import GivenMattes
from ...footage.matte import MatteMaker, Quality
from ...footage.plate import Plate
from ...frames import parse_frames, runs_of, spread
from ...images import as_png, read_grey, to_float
from ...job_results import TrackResult
from ...path_mapping import given_path
from ...records import BodyModelRecord, TrackRecord, WindowRecord
from ...settings import option
from ...shot import Job, Shot, now
from ...storage import atomic_path, make_folder
from ...tensors import is_whole
from ...tracking.face_follower import FaceFollower
from ...tracking.landmarks import CHUNK, ChunkLandmarks, LandmarkDetector, Pictures
from ...tracking.no_face import why_no_face
from ...tracking.part_quality import part_residuals, with_parts
from ...tracking.shot_parts import other_faces, performer_part
from ...tracking.silhouette import fit_silhouettes, with_identity
from ...tracking.solve import TrackSettings, TrackSolution, solve_track, with_fixed
from ..data.shots import Track, body_of, plate_of
from ..run.job_context import running
from ..run.progress import Reporter, Stage

_MATTE_SIZE = 512
_EXTENTS = 48
# How many frames tell how broad the body is, and the side of the windows they are looked at in.
_OUTLINES, _OUTLINE_SIZE = 10, 256
_LOOKED_AT = 6
# Joints whose vertices stand where they usually do, for each part that was not seen.
_FOLLOWING = {
    "left_arm": (16, 18, 20, *range(25, 40)),
    "right_arm": (17, 19, 21, *range(40, 55)),
    "left_forearm": (18, 20, *range(25, 40)),
    "right_forearm": (19, 21, *range(40, 55)),
}
_LEGS = (1, 2, 4, 5, 7, 8, 10, 11)
_LEG_MARKS, _LEGS_SEEN = slice(23, 33), 0.5


@dataclass(frozen=True)
class TrackOptions(TrackSettings):
    """What to track and how."""

    frames: str = option("", "Frames to track as 1001-1250, all by default")
    window: str = option(
        "fixed",
        "What is edited: head and shoulders, in a window that stays or one that follows the head, "
        "or the whole performer as far as the plate shows them",
        choices={
            "fixed": "Head and shoulders in a window that stays where it is",
            "follow": "Head and shoulders in a window that follows the head",
            "whole": "The whole performer, as far as the plate shows them",
        },
    )
    matte: str = option(
        "fast",
        "How carefully the matte is made",
        choices={
            "fast": "A soft edge, in little time",
            "fine": "Every strand of hair is worked out, which takes several times as long",
        },
    )
    matte_from: str = option(
        "",
        "Mattes of yours: a movie, an image sequence, or the plate itself if it has alpha",
        path=True,
    )
    garbage: str = option(
        "",
        "A garbage matte: a movie or an image sequence, white where nothing is the performer's",
        path=True,
        label="Garbage Matte",
    )
    performer: str = option(
        "",
        "Which of several people, as FRAME:X,Y, a point on the face in plate pixels; more of them"
        " after a semicolon",
    )


def track(shot: Shot, options: TrackOptions, reporter: Reporter) -> TrackResult:
    """Tracks the performer. Frames that an artist fixed in the latest version stay fixed.

    Returns:
        track (the version), and the summary of its quality.

    Raises:
        TrackingError: if no face is found or the footage cuts.
    """
    with closing(plate_of(shot)) as plate:
        return _track(shot, plate, options, reporter)


def _track(shot: Shot, plate: Plate, options: TrackOptions, reporter: Reporter) -> TrackResult:
    frames = parse_frames(options.frames, plate.numbers)
    with ExitStack() as opened:
        given = None
        if options.matte_from:
            given = GivenMattes(given_path(options.matte_from), plate, frames)
            opened.enter_context(closing(given))
        garbage = None
        if options.garbage:
            garbage = GivenMattes(given_path(options.garbage), plate, frames)
            opened.enter_context(closing(garbage))
        return _track_with(shot, plate, frames, given, garbage, options, reporter)


def _track_with(
    shot: Shot,
    plate: Plate,
    frames: range,
    given: GivenMattes | None,
    garbage: GivenMattes | None,
    options: TrackOptions,
    reporter: Reporter,
) -> TrackResult:
    files = {"mattes": given, "garbage": garbage}
    inputs = {name: each.digest() for name, each in files.items() if each} or None
    with running(
        shot, "track", asdict(options), "track", reporter, inputs=inputs, frames=frames
    ) as job:
        if (published := shot.published_by("track", job)) is not None:
            result = TrackResult(published, shot.track_record(published).summary)
            job.finish(result.told())
            return result
        for note in plate.notes:
            reporter.note(note)
        told = list(plate.notes)
        points = performer_points(options.performer, frames)
        seen, notes = performer_part(_landmarks(plate, frames, points, job, reporter))
        notes += [] if points else other_faces(seen)
        for note in [*notes, *(note for note in plate.notes if note not in told)]:
            reporter.note(note)
        frames = range(int(seen.frames[0]), int(seen.frames[-1]) + 1)
        if np.isnan(seen.box[:, 0]).all():
            _refuse_without_face(plate, frames)
        body = body_of(shot)
        steps = Stage(reporter, "solve", 3)
        counted = iter(range(3))
        solution = solve_track(
            body,
            seen,
            (plate.width, plate.height),
            options,
            lambda name: steps.step(next(counted)),
        )
        steps.step(3)
        boxes = _boxes(body, solution, seen, plate, options)
        staged = make_folder(job.work / "track")
        for made in (given, garbage):
            for note in made.notes if made else []:
                reporter.note(note)
        if given:
            reporter.note(given.note)
            _take_mattes(given, garbage, frames, boxes, staged / "mattes", reporter)
        else:
            _mattes(plate, frames, boxes, staged / "mattes", garbage, options, job, reporter)
        if garbage:
            reporter.note(f"What is white in {Path(options.garbage).name} is nobody's.")
        motion = _filling(body, solution, boxes, staged / "mattes")
        parts = part_residuals(body, motion, solution.camera, seen.pose, seen.hands)
        solution = replace(solution, quality=with_parts(solution.quality, parts))
        if before := _latest_whole(shot, reporter):
            motion = with_fixed(motion, with_identity(body, before.motion, motion.betas))
        motion.save(staged / "params.safetensors")
        record = TrackRecord(
            created=now(),
            source="solve",
            job=job.id,
            parent=max(shot.versions("track"), default=None),
            body_model=BodyModelRecord(name=body.name, sha256=body.sha256),
            camera=solution.camera.record(),
            window=WindowRecord(options.window, boxes),
            mattes=0,
            summary=solution.summary(),
            quality=solution.quality,
        )
        job.check_held()
        published = shot.publish("track", staged, record)
        if left := _left_out(shot, published, frames):
            reporter.note(left)
        result = TrackResult(published, record.summary)
        for note in (*_lost(solution), *_weak(solution), *_guessed(solution)):
            reporter.note(note)
        job.finish(result.told())
    return result


def _latest_whole(shot: Shot, reporter: Reporter) -> Track | None:
    """The latest track that can be read, from which frames that were fixed by hand are taken over.

    A damaged one costs what was fixed in it, and not the whole of a new track.

    Raises:
        NewerSchema: if the latest that is whole is a later PortraitGen's.
    """
    for version in reversed(shot.versions("track")):
        try:
            return Track(shot, version)
        except NewerSchema:
            raise
        except ShotError as error:
            reporter.note(f"Nothing fixed by hand is taken over from track {version}: {error}")
    return None


def _left_out(shot: Shot, published: int, frames: range) -> str:
    """One sentence about frames of the track before a version that this one does not hold.

    Looked for once it is published: a track of other frames may have come in between.
    """
    before = max((each for each in shot.versions("track") if each < published), default=0)
    try:
        record = shot.track_record(before) if before else None
    except ShotError:
        return ""  # A damaged track holds nothing that could be missed.
    known = [each.frame for each in record.quality] if record else []
    missing = [frame for frame in known if frame not in frames]
    if not missing:
        return ""
    return (
        f"This track holds no frames {runs_of(missing)}, which track {before} does; avatars and"
        " takes are made from the latest track, so track them all together to use them."
    )


def performer_points(text: str, frames: range) -> dict[int, tuple[float, float]]:
    """Frame -> a point on the performer's face, as "12:640,300;90:200,310" says.

    Raises:
        OptionError: if it cannot be meant.
    """
    points = {}
    for piece in filter(None, (each.strip() for each in text.split(";"))):
        match = re.fullmatch(r"(-?\d+)\s*:\s*(-?[\d.]+)\s*,\s*(-?[\d.]+)", piece)
        if match is None or int(match[1]) not in frames:
            raise OptionError(
                f"'{piece}' names no point of a frame in {frames[0]}-{frames[-1]}",
                "performer",
                "write it as FRAME:X,Y",
            )
        points[int(match[1])] = (float(match[2]), float(match[3]))
    return points


def _follower(
    plate: Plate, frames: range, points: dict[int, tuple[float, float]], detector: LandmarkDetector
) -> FaceFollower:
    """The performer before the first frame, followed back from where they were pointed at."""
    follower = FaceFollower()
    if not points or min(points) == frames[0]:
        return follower
    first = min(points)
    for frame, image in plate.frames_uint8(range(first, frames[0] - 1, -1), exact=False):
        point = {frame: points[frame]} if frame == first else None
        detector.find([frame], Pictures.of([image]), follower, point)
    return follower.still()


def _refuse_without_face(plate: Plate, frames: range) -> None:
    """Says why no frame shows a face.

    Raises:
        TrackingError: always.
    """
    images = [image for _, image in plate.frames_uint8(spread(frames, _LOOKED_AT), exact=False)]
    detector = LandmarkDetector()
    what, remedy = why_no_face(images, detector.faces, detector.surest)
    raise TrackingError(
        f"the face is {what}" if what else "no face was found in any frame",
        f"frames {frames[0]}-{frames[-1]}",
        remedy or "choose frames in which the performer's face can be seen",
    )


def _landmarks(
    plate: Plate,
    frames: range,
    points: dict[int, tuple[float, float]],
    job: Job,
    reporter: Reporter,
) -> ChunkLandmarks:
    """All landmarks; chunks that an interrupted run has finished are read back.

    While one chunk's landmarks are made, the next one's frames are decoded and its faces found.
    """
    detector: LandmarkDetector | None = None
    chunks: list[ChunkLandmarks] = []
    stage = Stage(reporter, "landmarks", len(frames))
    follower = FaceFollower()
    parts = [frames[start : start + CHUNK] for start in range(0, len(frames), CHUNK)]
    paths = [job.work / f"landmarks.{part[0]}.safetensors" for part in parts]
    people = [job.work / f"people.{part[0]}.safetensors" for part in parts]
    # What cannot be read is made again.
    missing = [
        part
        for part, path, known in zip(parts, paths, people, strict=True)
        if not (is_whole(path) and is_whole(known))
    ]
    with ExitStack() as opened, ThreadPoolExecutor(1) as beside:
        decoded = plate.frames_uint8(chain(*missing), exact=False)
        opened.callback(_close, decoded)
        marked: Future[None] | None = None
        for part, path, known in zip(parts, paths, people, strict=True):
            if part not in missing:
                chunk = ChunkLandmarks.load(path)
                follower = FaceFollower.load(known)
            else:
                detector = detector or LandmarkDetector()
                images = []
                for frame, image in islice(decoded, len(part)):
                    images.append(image)
                    stage.step(frame - frames[0])
                pictures = Pictures.of(images)
                if part is parts[0]:
                    follower = _follower(plate, frames, points, detector)
                chunk = detector.find(list(part), pictures, follower, points)
                follower.save(known)
                if marked:
                    marked.result()
                marked = beside.submit(_mark, detector, pictures, chunk, path)
            chunks.append(chunk)
        if marked:
            marked.result()
    stage.step(len(frames))
    return ChunkLandmarks.join(chunks)


def _mark(
    detector: LandmarkDetector, pictures: Pictures, chunk: ChunkLandmarks, path: Path
) -> None:
    detector.mark(pictures, chunk).save(path)


def _boxes(
    body: BodyModel,
    solution: TrackSolution,
    seen: ChunkLandmarks,
    plate: Plate,
    options: TrackOptions,
) -> dict[int, Box]:
    heads = {frame: Box(*head) if head else None for frame, head in solution.heads.items()}
    if options.window == "follow":
        return following_windows(heads, plate.width, plate.height, float(plate.fps))
    if options.window == "fixed":
        return {min(heads): fixed_window(heads, plate.width, plate.height)}
    extents = _extents(body, solution, seen)
    return {min(heads): whole_window(heads, extents, plate.width, plate.height)}


def _extents(body: BodyModel, solution: TrackSolution, seen: ChunkLandmarks) -> np.ndarray:
    """Left, top, right and bottom of the body in frames of the shot, (N, 4), plate pixels.

    What was not seen does not count. Legs are where their landmarks are: the body under a track
    stands, whoever sits.
    """
    motion, camera = solution.motion, solution.camera
    rows = spread(np.flatnonzero(motion.valid).tolist(), _EXTENTS)
    pixels = camera.project(posed(body, motion.rows(np.array(rows))).vertices.numpy())
    follows = body.weights.numpy().argmax(1)
    limit = np.array([camera.width, camera.height])
    found = []
    for row, places in zip(rows, pixels, strict=True):
        left_out = set(_LEGS)
        for part in solution.quality[row].guessed:
            left_out |= set(_FOLLOWING.get(part, ()))
        shown = places[~np.isin(follows, list(left_out))]
        legs = seen.pose[row, _LEG_MARKS]
        inside = ((legs[:, :2] >= 0) & (legs[:, :2] < limit)).all(1) & (legs[:, 2] > _LEGS_SEEN)
        shown = np.concatenate([shown, legs[inside, :2]])
        found.append(np.concatenate([shown.min(0), shown.max(0)]))
    return np.array(found)


def _filling(
    body: BodyModel, solution: TrackSolution, boxes: dict[int, Box], folder: Path
) -> Motion:
    """The motion of a body that is as broad as the mattes show it."""
    motion = solution.motion
    rows = spread(np.flatnonzero(motion.valid).tolist(), _OUTLINES)
    cameras, mattes = [], []
    for row in rows:
        frame = int(motion.frames[row])
        cameras.append(solution.camera.window(box_of(boxes, frame), _OUTLINE_SIZE))
        matte = _read(_matte(folder, frame))
        size = (_OUTLINE_SIZE, _OUTLINE_SIZE)
        mattes.append(cv2.resize(matte, size, interpolation=cv2.INTER_AREA))
    return fit_silhouettes(body, motion, rows, cameras, mattes)


def _without(garbage: GivenMattes | None, frame: int, box: Box, matte: np.ndarray) -> np.ndarray:
    """A window's matte, uint8 (S, S), without what the garbage matte takes out."""
    if garbage is None:
        return matte
    out = garbage.window(frame, box)
    if out.shape != matte.shape:
        shrinks = out.shape[0] > matte.shape[0]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        out = cv2.resize(out, matte.shape[::-1], interpolation=how)
    kept: np.ndarray = (matte.astype(np.float32) * (1 - to_float(out)) + 0.5).astype(np.uint8)
    return kept


def _take_mattes(
    given: GivenMattes,
    garbage: GivenMattes | None,
    frames: range,
    boxes: dict[int, Box],
    folder: Path,
    reporter: Reporter,
) -> None:
    """One PNG a frame, the artist's, at the plate's resolution."""
    make_folder(folder)
    stage = Stage(reporter, "mattes", len(frames))
    for count, frame in enumerate(frames, 1):
        path = _matte(folder, frame)
        if not path.exists():
            box = box_of(boxes, frame)
            matte = _without(garbage, frame, box, given.window(frame, box))
            with atomic_path(path) as temporary:
                temporary.write_bytes(as_png(matte))
        stage.step(count)


def _mattes(
    plate: Plate,
    frames: range,
    boxes: dict[int, Box],
    folder: Path,
    garbage: GivenMattes | None,
    options: TrackOptions,
    job: Job,
    reporter: Reporter,
) -> None:
    """One PNG a frame; each leans on the one before as it lies on disk.

    While one is steadied by its past, the next one's window is segmented.
    """
    make_folder(folder)
    for frame in frames:
        if (path := _matte(folder, frame)).exists() and not _is_readable(path):
            path.unlink()
    missing = [frame for frame in frames if not _matte(folder, frame).exists()]
    stage = Stage(reporter, "mattes", len(frames), done=len(frames) - len(missing))
    if not missing:
        return
    first = max(missing[0] - 1, frames[0])
    before: tuple[np.ndarray, np.ndarray] | None = None

    def windows() -> Iterator[_Window]:
        for frame, image in plate.frames_uint8(range(first, frames[-1] + 1), exact=False):
            box = box_of(boxes, frame)
            window, inside = crop(image, box, min(_MATTE_SIZE, max(64, round(box.side))))
            made = _matte(folder, frame).exists()
            todo = None if made else beside.submit(maker.alone, window, inside)
            yield _Window(frame, window, inside, todo)

    quality: Quality = "fine" if options.matte == "fine" else "fast"
    maker = MatteMaker(quality)
    with ThreadPoolExecutor(1) as beside:
        for each in _one_ahead(windows()):
            path = _matte(folder, each.frame)
            if each.alone is None:
                matte = _read(path)
            else:
                alike = before is not None and before[0].shape == each.image.shape
                matte = maker.steadied(each.image, each.alone.result(), before if alike else None)
                if each.inside is not None:
                    matte[~each.inside] = 0
                matte = _without(garbage, each.frame, box_of(boxes, each.frame), matte)
                with atomic_path(path) as temporary:
                    temporary.write_bytes(as_png(matte))
            before = (each.image, matte)
            stage.step(each.frame - frames[0] + 1)


def _close(frames: Iterator[Any]) -> None:
    """Ends the thread that decodes ahead, wherever it stands."""
    if isinstance(frames, Generator):
        frames.close()


@dataclass(frozen=True)
class _Window:
    """A portrait window, and its matte without its past where there is none on disk yet."""

    frame: int
    image: np.ndarray
    inside: np.ndarray | None
    alone: Future[np.ndarray] | None


def _one_ahead(windows: Iterator[_Window]) -> Iterator[_Window]:
    """The same, each given out once the next one is there."""
    held = next(windows, None)
    while held is not None:
        following = next(windows, None)
        yield held
        held = following


def _is_readable(path: Path) -> bool:
    return read_grey(path) is not None


def _matte(folder: Path, frame: int) -> Path:
    return folder / f"matte.{frame:04d}.png"


def _read(path: Path) -> np.ndarray:
    matte = read_grey(path)
    if matte is None:
        raise TrackingError("a matte cannot be read", path, "delete it and run again")
    return matte


def _weak(solution: TrackSolution) -> list[str]:
    """One sentence about frames whose faces the body does not follow."""
    weak = [each.frame for each in solution.quality if each.state == "weak"]
    if not weak:
        return []
    return [f"The body lies beside the face in frames {runs_of(weak)}; look there, and pin it."]


def _guessed(solution: TrackSolution) -> list[str]:
    """One sentence about parts of the body that were hardly ever seen."""
    parts = [part.replace("_", " ") for part in solution.summary().guessed_parts]
    if not parts:
        return []
    named = ", ".join(parts)
    return [f"Not seen in most frames, so that it is guessed how they stand: {named}."]


def _lost(solution: TrackSolution) -> list[str]:
    """One sentence about frames where the performer is lost."""
    lost = [each.frame for each in solution.quality if each.state == "lost"]
    if not lost:
        return []
    return [f"No face in frames {runs_of(lost)}; the performer is held still there."]
