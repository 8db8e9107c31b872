# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The render job: every frame of a take as multilayer EXR and PNG, over its plate, as a movie."""

import hashlib
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...editing.paint_layers import PaintedFrames
from ...footage.colour import from_display, to_linear
from ...footage.crop import crop
from ...footage.encode import MovieWriter, write_exr, write_plate
from ...footage.plate import Plate
from ...footage.source_frame import SourceFrame
from ...frames import parse_frames
from ...images import save_png
from ...settings import option
from ...shot import Shot
from ...storage import read_json
from ..compositing.novel_view import NovelViewRenderer, motion_of, read_views, write_novel_view
from ..compositing.opacity import mix_of
from ..compositing.plate_compositor import FrameRenderer, RenderedFrame, feather
from ..compositing.take_appearance import TakeAppearance
from ..data.avatars import load_avatar
from ..data.crops import load_crops, load_matte, painting_side
from ..data.edit_mask import EditMask
from ..data.shots import Track, body_of, plate_of
from ..run.job_context import running
from ..run.progress import Reporter, Stage

RECONSTRUCTION = "reconstruction"
"""The name under which the unedited avatar is rendered."""


@dataclass(frozen=True)
class RenderOptions:
    """What to render and where it goes."""

    take: str = option("", "The take to render, empty for the unedited reconstruction")
    frames: str = option("", "Frames to render as 1001-1250, all by default")
    plate: bool = option(False, "Also write full plates with the edited window laid over them")
    movie: bool = option(True, "Also write a movie of the frames before and after")
    detail: float = option(
        0.8, "How much of the plate's fine detail the edit keeps", minimum=0, maximum=1
    )
    camera: str = option(
        "", "Cameras (JSON) to render the avatar through, alone, instead of the plate's", path=True
    )
    drive: str = option(
        "", "Another shot's folder, whose performance the avatar acts, alone", path=True
    )
    mix: str = option("1", "How much of the edit shows, 0 to 1, or by frame as 1001:0,1020:1")
    steady: float = option(
        1.0,
        "How far the edit is steadied along the plate's motion; 0 shows every frame as it is drawn",
        minimum=0,
        maximum=1,
    )


def render(shot: Shot, options: RenderOptions, reporter: Reporter) -> dict[str, Any]:
    """Renders a take. Frames that a resumed job has finished are not rendered again.

    Returns:
        take, frames (how many), folder, and movie if one was written.

    Raises:
        ShotError: if the take was never edited, or nothing was reconstructed.
    """
    take = options.take or RECONSTRUCTION
    edit = shot.edit_folder(take) if options.take else None
    facts = read_json(edit / "edit.json") if edit else {}
    base = shot.version_folder("avatar", facts.get("avatar"))
    track = Track(shot, read_json(base / "avatar.json")["track"])
    frames = parse_frames(options.frames, track.frames)
    mix = mix_of(options.mix, frames)
    views = read_views(Path(options.camera), frames) if options.camera else None
    alone = bool(options.camera or options.drive)
    name = _alone_folder(options) if alone else "frames"
    folder = shot.path / "takes" / take / name if options.take else base / name
    motion = motion_of(shot, track, options.drive)
    folder.mkdir(parents=True, exist_ok=True)
    with running(shot, "render", asdict(options), f"frames:{take}", frames) as job:
        body = body_of(shot)
        plain = load_avatar(base, body)
        edited = load_avatar(edit, body) if edit else plain
        size = int(read_json(base / "avatar.json")["size"])
        plate = plate_of(shot)
        painted = PaintedFrames(edit / "mask") if edit else None
        parts = EditMask.from_json(body, track, facts.get("parts") or {}, painted)
        look = TakeAppearance(edited, edit, facts, track, parts)
        # Alone, nothing lies on the plate.
        wanted = [] if alone else look.wanted_frames
        side = max((painting_side(track.box(frame)) for frame in wanted), default=size)
        look.prepare(load_crops(shot, track, wanted, side, reporter))
        renderer = FrameRenderer(track, plain, look, size, options.detail, options.steady, parts)
        lone = NovelViewRenderer(track, look, motion, views, size) if alone else None
        done_file = job.work / "done.txt"
        done = set(done_file.read_text().split()) if done_file.exists() else set()
        stage = Stage(reporter, "render", len(frames))

        def paths(frame: int) -> tuple[Path, Path | None]:
            path = folder / f"{take}.{frame:04d}.exr"
            if alone:
                return path, path.with_suffix(".png")
            full = folder.parent / "plates" / f"{path.stem}{plate.suffix}"
            return path, full if options.plate else None

        left = {frame for frame in frames if str(frame) not in done}
        images = plate.frames(frames) if alone else renderer.ahead(plate, frames, left)

        def made() -> Iterator[tuple[int, Callable[[], None]]]:
            for frame, image in images:
                path, full = paths(frame)
                if str(frame) in done:
                    yield frame, lambda: None
                elif lone is not None:
                    yield frame, partial(write_novel_view, path, lone.render(frame), plate, frame)
                else:
                    rendered = renderer.render(frame, image, mix[frame])
                    over = (full, _laid_over(rendered, plate, frame)) if full else None
                    yield frame, partial(_write, path, rendered, plate, frame, over)

        with closing(_written(made())) as written:
            for count, frame in enumerate(written, 1):
                if str(frame) not in done:
                    with done_file.open("a") as record:
                        record.write(f"{frame}\n")
                reporter.frame(take, frame, *paths(frame))
                stage.step(count)
        result: dict[str, Any] = {"take": take, "frames": len(frames), "folder": str(folder)}
        if options.movie and not alone:
            result["movie"] = str(_movie(shot, folder, take, track, frames, size, plate, reporter))
        plate.close()
        job.finish(result=result)
    return result


def _written(made: Iterator[tuple[int, Callable[[], None]]]) -> Generator[int, None, None]:
    """Writes each frame, and gives its number out at once, while the next one is rendered."""
    with ThreadPoolExecutor(1) as beside:
        coming = beside.submit(next, made, None)
        while (frame := coming.result()) is not None:
            coming = beside.submit(next, made, None)
            number, write = frame
            write()
            yield number


def _alone_folder(options: RenderOptions) -> str:
    """A folder for each camera move and each performance, so that none overwrites another."""
    moves = Path(options.camera).read_bytes() if options.camera else b""
    digest = hashlib.sha256(moves + options.drive.encode()).hexdigest()
    return f"alone-{digest[:8]}"


def _laid_over(frame: RenderedFrame, plate: Plate, number: int) -> SourceFrame:
    """The plate's frame in its own codes, the edit laid over it."""
    encoded = from_display(frame.over, plate.space)
    return plate.read_native(number).replaced(encoded, frame.touched)


def _write(
    path: Path,
    frame: RenderedFrame,
    plate: Plate,
    number: int,
    over: tuple[Path, SourceFrame] | None,
) -> None:
    """The layers of a frame, its picture and, if it is asked for, where and what its plate is."""
    space = plate.space
    alpha = frame.laid.cover[..., None]
    layers = {
        "Combined": np.concatenate([to_linear(frame.laid.colours, space) * alpha, alpha], axis=2),
        "Depth": frame.depth[..., None],
        "Normal": frame.normals,
        "Alpha": alpha,
        "Reconstruction": to_linear(frame.reconstruction, space),
    }
    place_of = {"portraitgen:left": str(frame.laid.columns.start)}
    place_of["portraitgen:top"] = str(frame.laid.rows.start)
    write_exr(
        path,
        layers,
        fps=plate.fps,
        frame=number,
        colour_space=plate.colour_space,
        attributes=place_of,
    )
    save_png(path.with_suffix(".png"), frame.beauty)
    if over:
        full, native = over
        write_plate(full.with_suffix(""), native, plate)


def _movie(
    shot: Shot,
    folder: Path,
    take: str,
    track: Track,
    frames: range,
    size: int,
    plate: Plate,
    reporter: Reporter,
) -> Path:
    """Plate and edit side by side."""
    path = folder.parent / f"{take}.mp4"
    stage = Stage(reporter, "movie", len(frames))
    with MovieWriter(path, plate.fps) as movie:
        for count, (frame, image) in enumerate(plate.frames_uint8(frames), 1):
            before, _ = crop(image, track.box(frame), size)
            png = cv2.imread(str(folder / f"{take}.{frame:04d}.png"))
            box = track.box(frame)
            alpha = load_matte(track, frame, size) / 255.0
            alpha = (alpha * feather(box, size, plate.width, plate.height))[..., None]
            after = png[..., ::-1] + (before - 127.5) * (1 - alpha)
            movie.add(np.hstack([before, np.clip(after, 0, 255).astype(np.uint8)]))
            stage.step(count)
    return path
