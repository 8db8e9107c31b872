# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The render job: every frame of a take as multilayer EXR and PNG, over its plate, as a movie."""

import hashlib
from collections import deque
from collections.abc import Callable, Container, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from ..avatar.avatar import Avatar, AvatarOutput
from ..body.camera import Box
from ..editing.painted import PaintedFrames
from ..footage.colour import from_display, to_linear
from ..footage.encode import MovieWriter, write_exr, write_plate
from ..footage.matte import enlarged
from ..footage.native import NativeFrame
from ..footage.plate import Plate
from ..footage.window import Laid, cut, lay, paste, place
from ..frames import parse_frames
from ..settings import option
from ..shot import Shot, read_json
from .avatars import frame_parameters, load_avatar
from .freeview import LoneRenderer, motion_of, read_views, write_alone
from .jobs import running
from .local import Parts
from .looks import Look
from .mix import mix_of
from .painting import painting_side
from .pictures import as_picture, carried_on, save_png
from .reporter import Reporter, Stage
from .shots import Track, body_of, plate_of
from .steady import REACH, Steadier, near, steadied
from .windows import load_matte, load_windows

RECONSTRUCTION = "reconstruction"
"""The name under which the unedited avatar is rendered."""

# The chest goes on below the window; hair that comes near the other borders is kept.
_FEATHER, _FEATHER_BELOW = 0.04, 0.16


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
        parts = Parts.from_json(body, track, facts.get("parts") or {}, painted)
        look = Look(edited, edit, facts, track, parts)
        # Alone, nothing lies on the plate.
        wanted = [] if alone else look.wanted_frames
        side = max((painting_side(track.box(frame)) for frame in wanted), default=size)
        look.prepare(load_windows(shot, track, wanted, side, reporter))
        renderer = FrameRenderer(track, plain, look, size, options.detail, options.steady, parts)
        lone = LoneRenderer(track, look, motion, views, size) if alone else None
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
                    yield frame, partial(write_alone, path, lone.render(frame), plate, frame)
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


@dataclass(frozen=True)
class RenderedFrame:
    """What is written for a frame.

    Attributes:
        laid: the edit at the plate's resolution, where the window lies on the plate, (h, w).
        depth: float32 (h, w), metres, 0 outside.
        normals: float32 (h, w, 3), camera space.
        reconstruction: float32 (h, w, 3), the unedited avatar.
        beauty: float32 (S, S, 3), the edit as the avatar shows it in its window, over grey.
        over: float32 (H, W, 3), the full plate with the edit laid over it.
        touched: bool (H, W), the plate's pixels that changed.
    """

    laid: Laid
    depth: np.ndarray
    normals: np.ndarray
    reconstruction: np.ndarray
    beauty: np.ndarray
    over: np.ndarray
    touched: np.ndarray


@dataclass(frozen=True)
class _Drawn:
    """A frame's window of the plate, uint8 (S, S, 3), and what the avatars show in it: the
    reconstruction's and the take's colours, and how far they can be believed."""

    window: np.ndarray
    plain: AvatarOutput
    edited: AvatarOutput
    reconstruction: np.ndarray
    rendered: np.ndarray
    reach: np.ndarray


class FrameRenderer:
    """Renders frames of one take of one track."""

    def __init__(
        self,
        track: Track,
        plain: Avatar,
        look: Look,
        size: int,
        detail: float,
        steady: float,
        parts: Parts,
    ) -> None:
        self._track = track
        self._plain = plain
        self._look = look
        self._size = size
        self._detail = detail
        self._parts = parts
        self._steadier = Steadier(steady)
        # What lies on the plate moves with it.
        self._reach = 0 if steady == 0 or look.keeps_performer else REACH
        self._drawn: dict[int, _Drawn] = {}

    def ahead(
        self, plate: Plate, frames: range, wanted: Container[int]
    ) -> Iterator[tuple[int, np.ndarray]]:
        """A plate's frames and their pictures; the avatars are drawn in each wanted one and in
        those beside it before it is given out."""
        reach = self._reach
        first = max(frames[0] - reach, self._track.frames[0])
        last = min(frames[-1] + reach, self._track.frames[-1])
        waiting: deque[tuple[int, np.ndarray]] = deque()
        for frame, image in plate.frames(range(first, last + 1)):
            if any(frame + step in wanted for step in range(-reach, reach + 1)):
                self._draw(frame, image)
            if frame in frames:
                waiting.append((frame, image))
            while waiting and min(waiting[0][0] + reach, last) <= frame:
                oldest = waiting[0][0] - reach
                self._drawn = {at: each for at, each in self._drawn.items() if at >= oldest}
                yield waiting.popleft()

    @torch.no_grad()
    def _draw(self, frame: int, image: np.ndarray) -> None:
        track, size = self._track, self._size
        box = track.box(frame)
        parameters = frame_parameters(track.motion, [frame])
        intrinsics = torch.from_numpy(track.camera.window(box, size).matrix())[None]
        plain = self._plain.render(parameters, intrinsics, size, normals=True)
        edited = plain
        if self._look.avatar is not self._plain:
            edited = self._look.avatar.render(parameters, intrinsics, size, normals=True)
        window, _ = cut((image * 255 + 0.5).astype(np.uint8), box, size)
        reconstruction, reach = carried_on(plain)
        rendered = reconstruction if edited is plain else carried_on(edited)[0]
        self._drawn[frame] = _Drawn(window, plain, edited, reconstruction, rendered, reach)

    def _steadied(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """The reconstruction's and the take's colours in a frame that was drawn."""
        shown = self._track.tracked(near(frame, self._drawn)) if self._reach else []
        drawn = {each: self._drawn[each] for each in (frame, *shown)}
        along = self._steadier.along(frame, {at: each.window for at, each in drawn.items()})
        reconstruction = steadied(
            frame, {at: each.reconstruction for at, each in drawn.items()}, along
        )
        if self._look.avatar is self._plain:
            return reconstruction, reconstruction
        rendered = steadied(frame, {at: each.rendered for at, each in drawn.items()}, along)
        return reconstruction, rendered

    def render(self, frame: int, image: np.ndarray, mix: float) -> RenderedFrame:
        """One frame that `ahead` gave out, of which `mix` shows over its plate `image`, float32
        (H, W, 3)."""
        track, size = self._track, self._size
        box = track.box(frame)
        camera = track.camera.window(box, size)
        drawn = self._drawn[frame]
        plain, edited, reach = drawn.plain, drawn.edited, drawn.reach
        whole = _at_plate_size(load_matte(track, frame), image, box)
        matte = whole * _feather(box, whole.shape[0], image.shape[1], image.shape[0])
        small = load_matte(track, frame, size)
        alpha = small.astype(np.float32) / 255
        mask = None
        if not self._parts.everywhere:
            surface = self._parts.surface(frame, camera)
            mask = self._parts.mask(surface, drawn.window.astype(np.float32) / 255, alpha)
        if mask is not None:
            # Beyond the edited parts the plate keeps its bits.
            alpha *= mask
            matte *= cv2.resize(mask, matte.shape[::-1], interpolation=cv2.INTER_LINEAR)
        alpha *= _feather(box, size, image.shape[1], image.shape[0])
        reconstruction, rendered = self._steadied(frame)
        beauty = self._look.colours(frame, rendered, edited)
        if not self._look.keeps_performer:
            # Where the avatar has nothing to show, its plate does.
            alpha *= reach
            matte *= cv2.resize(reach, matte.shape[::-1], interpolation=cv2.INTER_LINEAR)
        cover, rows, columns = place(matte, box, image.shape[1], image.shape[0])
        full = np.zeros(image.shape[:2], np.float32)
        full[rows, columns] = cover * mix
        avatar = lay(image, box, beauty, full, reference=reconstruction, detail=self._detail)
        laid = self._look.over_plate(frame, image, whole, avatar)
        over, touched = paste(image, laid)
        if laid is not avatar:
            beauty, _ = cut(over, box, size)
        assert edited.normals is not None
        depth, normals = as_picture(edited.depth)[..., 0], as_picture(edited.normals)
        on_plate = (box, image.shape[1], image.shape[0])
        return RenderedFrame(
            laid,
            _depth_on_plate(depth, *on_plate),
            place(normals * 0.5 + 0.5, *on_plate)[0] * 2 - 1,
            place(as_picture(plain.rgb), *on_plate)[0],
            beauty * alpha[..., None] + 0.5 * (1 - alpha[..., None]),
            over,
            touched,
        )


def _depth_on_plate(depth: np.ndarray, box: Box, width: int, height: int) -> np.ndarray:
    """Depth at the plate's resolution: the empty outside is not mixed into the surface's edge."""
    there = (depth > 0).astype(np.float32)
    farthest = max(float(depth.max()), 1e-6)
    share = place(there, box, width, height)[0]
    mixed = place(depth / farthest, box, width, height)[0]
    values: np.ndarray = np.where(share > 0.5, mixed / np.maximum(share, 0.5) * farthest, 0)
    return values.astype(np.float32)


def _at_plate_size(matte: np.ndarray, image: np.ndarray, box: Box) -> np.ndarray:
    """A window's matte, float32 0..1, at the resolution of the plate if that is finer."""
    side = round(box.side)
    if side > matte.shape[0]:
        window, _ = cut((image * 255 + 0.5).astype(np.uint8), box, side)
        matte = enlarged(matte, window)
    return matte.astype(np.float32) / 255


def _feather(box: Box, size: int, width: int, height: int) -> np.ndarray:
    """1 in the middle of a window, falling to 0 at its borders that lie on the plate, (S, S).

    The performer goes on beyond the window; without this the edit would end in a line.
    """

    def ramp(share: float, needed: bool) -> np.ndarray:
        rise = np.clip((np.arange(size) + 0.5) / (share * size), 0, 1)
        return rise * rise * (3 - 2 * rise) if needed else np.ones(size)

    left, top = ramp(_FEATHER, box.x > 0), ramp(_FEATHER, box.y > 0)
    right = ramp(_FEATHER, box.x + box.side < width)[::-1]
    bottom = ramp(_FEATHER_BELOW, box.y + box.side < height)[::-1]
    feather: np.ndarray = np.outer(top * bottom, left * right).astype(np.float32)
    return feather


def _laid_over(frame: RenderedFrame, plate: Plate, number: int) -> NativeFrame:
    """The plate's frame in its own codes, the edit laid over it."""
    encoded = from_display(frame.over, plate.space)
    return plate.read_native(number).replaced(encoded, frame.touched)


def _write(
    path: Path,
    frame: RenderedFrame,
    plate: Plate,
    number: int,
    over: tuple[Path, NativeFrame] | None,
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
            before, _ = cut(image, track.box(frame), size)
            png = cv2.imread(str(folder / f"{take}.{frame:04d}.png"))
            box = track.box(frame)
            alpha = load_matte(track, frame, size) / 255.0
            alpha = (alpha * _feather(box, size, plate.width, plate.height))[..., None]
            after = png[..., ::-1] + (before - 127.5) * (1 - alpha)
            movie.add(np.hstack([before, np.clip(after, 0, 255).astype(np.uint8)]))
            stage.step(count)
    return path
