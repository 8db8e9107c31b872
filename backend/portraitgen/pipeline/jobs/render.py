# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The render job: every frame of a take as multilayer EXR and PNG, over its plate, as a movie."""

import hashlib
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from ...body.surface import Surface
from ...editing.paint_layers import PaintedFrames
from ...errors import EditError
from ...footage.crop import CompositeLayer, crop, place
from ...footage.encode import MovieWriter
from ...footage.plate import Plate
from ...frames import parse_frame_list, spread
from ...images import read_codes, to_codes, to_float
from ...job_results import RenderResult
from ...provenance.statement import Statement
from ...records import EditRecord, PartsRecord, RenderRecord
from ...renders import Render, begin_render, renders_of
from ...settings import option
from ...shot import Shot, now
from ...storage import MAX_JSON, atomic_path, dump_json, make_folder, read_bytes
from ..compositing.acted_plate import ActedPlate
from ..compositing.acted_stream import ActedStream, ActedTrack
from ..compositing.clean_plate import CleanPlate, GivenCleanPlate, SeenCleanPlate
from ..compositing.frame_files import frame_layers, laid_over, write_frame
from ..compositing.grain import Grain, GrainMatch
from ..compositing.hold_out import HoldOut
from ..compositing.key_detail import KeyDetail
from ..compositing.lit_frames import LitFrames
from ..compositing.motion_blur import MotionBlur, frames_of, pairs_of, shutter_of
from ..compositing.novel_view import NovelViewRenderer, motion_of, read_views, write_novel_view
from ..compositing.opacity import mix_of
from ..compositing.part_passes import PASSES, PartPasses, PassMaker
from ..compositing.plate_compositor import FrameRenderer, RenderedFrame
from ..compositing.seen_sides import beyond, learned_frames, sides, told
from ..compositing.take_appearance import TakeAppearance
from ..data.acting import FILE as ACTING_FILE
from ..data.acting import StoredActing, load_acting
from ..data.avatars import load_avatar, tell_device
from ..data.crops import load_crops, load_matte, painting_side
from ..data.edit_mask import EditMask
from ..data.frame_identity import FrameInputs, is_made, made_from
from ..data.key_frames import edited_key
from ..data.plate_stream import FrameSource
from ..data.provenance import statement_of
from ..data.shots import Track, body_of, plate_of
from ..run.job_context import running
from ..run.progress import Reporter, Stage
from .movie import before_and_after, read_drawn

RECONSTRUCTION = "reconstruction"
"""The name under which the unedited avatar is rendered."""

# In so many of the latest other versions a frame is looked for before it is rendered.
_LOOKED_AT = 3
_GRAIN_FRAMES = 4
# The side of the windows in which the shutter is measured.
_SHUTTER_SIDE = 768


@dataclass(frozen=True)
class RenderOptions:
    """What to render and where it goes."""

    take: str = option("", "The take to render, empty for the unedited reconstruction")
    frames: str = option("", "Frames to render as 1001-1250 or 1-9x2, all by default")
    edit: int | None = option(
        None, "The edit of the take to show, by its number; the latest by default", minimum=1
    )
    plate: bool = option(False, "Also write full plates with the edited window laid over them")
    movie: bool = option(
        True, "Also write a movie of the frames before and after, if all of the shot are rendered"
    )
    detail: float = option(
        0.8, "How much of the plate's fine detail the edit keeps", minimum=0, maximum=1
    )
    camera: str = option(
        "", "Cameras (JSON) to render the avatar through, alone, instead of the plate's", path=True
    )
    drive: str = option(
        "", "Another shot's folder, whose performance the avatar acts, alone", path=True
    )
    normalise: bool = option(
        True,
        "Act a driving performance round this performer's own mean and deviation; else as it is",
    )
    track: int | None = option(
        None,
        "The track version by which the performer moves; the avatar's own by default",
        minimum=1,
    )
    clean: str = option(
        "",
        "The plate without the performer, a picture or a sequence, for what acting uncovers;"
        " the shot's other frames by default",
        path=True,
    )
    holdout: str = option(
        "",
        "A hold-out: a movie or an image sequence, white where the plate stays before the edit",
        path=True,
        label="Hold-Out",
    )
    lit: str = option(
        "",
        "A folder of pictures of the performer as another renderer lit them, NAME.####.exr, linear"
        " Rec.709 with alpha, as large as the plate; they take the place of what the avatar shows",
        path=True,
    )
    grain: float = option(
        0.0,
        "How much of the plate's grain, as it is measured, is laid on what was drawn",
        minimum=0,
        maximum=1,
    )
    motion_blur: float = option(
        0.0,
        "How much of the plate's motion blur, as it is measured, is laid on what the avatar draws",
        minimum=0,
        maximum=1,
    )
    passes: str = option(
        "",
        "More passes in the EXR files: the performer's parts as Cryptomatte, and motion vectors",
        choices=PASSES,
        several=True,
    )
    mix: str = option("1", "How much of the edit shows, 0 to 1, or by frame as 1001:0,1020:1")
    steady: float = option(
        1.0,
        "How far the edit is steadied along the plate's motion; 0 shows every frame as it is drawn",
        minimum=0,
        maximum=1,
    )


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
        run = _Run(
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
        run.tell_sides(reporter)
        folder = run.folder
        stage = Stage(reporter, "render", len(frames))
        with (
            closing(run),
            closing(_written(run.made(reporter))) as written,
            _movie(
                folder, take, plate, frames, run.statement, options.movie and whole and not alone
            ) as add,
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


class _Run:
    """One run of the job: what its frames are made from, and which of them are on disk."""

    def __init__(
        self,
        shot: Shot,
        options: RenderOptions,
        take: str,
        edit: Path | None,
        record: EditRecord | None,
        base: Path,
        size: int,
        track: Track,
        frames: Sequence[int],
        home: Path,
        plate: Plate,
        acting: StoredActing | None,
    ) -> None:
        self._shot, self._options, self._take = shot, options, take
        self._edit, self._record, self._base, self._tracked = edit, record, base, track
        self._size = size
        self._body, self._acting = body_of(shot), acting
        self._track, more = track, ""
        self._stream: ActedStream | None = None
        self._clean: CleanPlate
        if acting is not None:
            given = GivenCleanPlate(Path(options.clean), plate) if options.clean else None
            if given is not None:
                given.check(frames)
            more = acting.digest + (given.digest if given is not None else "")
            self._clean = given or SeenCleanPlate(track, plate, track.frames)
            made = hashlib.sha256(f"{more} {track.digest()} {base.name}".encode()).hexdigest()
            self._mattes = shot.path / "takes" / take / "mattes" / made[:12]
            motion = acting.acting.applied(track.motion, self._body)
            self._track = ActedTrack(track, motion, self._mattes)
        self._frames, self._plate = frames, plate
        self._mix = mix_of(options.mix, frames)
        self._hold = HoldOut(options.holdout, plate, frames)
        more += self._hold.digest
        self._lit = LitFrames(options.lit, plate, frames) if options.lit else None
        more += self._lit.digest if self._lit is not None else ""
        self._views = read_views(Path(options.camera), frames) if options.camera else None
        self._motion = motion_of(shot, self._track, options.drive, options.normalise)
        self._alone = bool(options.camera or options.drive)
        self._inputs = FrameInputs.of(
            shot,
            edit,
            base,
            track.folder,
            {
                "detail": options.detail,
                "steady": options.steady,
                "alone": self._alone,
                "passes": options.passes,
                "grain": options.grain,
                "motion_blur": options.motion_blur,
            },
            more + (self._motion.digest() if options.drive else ""),
        )
        self.statement = statement_of(
            shot, take, edit, record, int(base.name), track, lit=self._lit is not None
        )
        self.version = begin_render(home, self._made_of(home))
        self.folder = make_folder(self.version.frames)
        self._others = [each for each in renders_of(home) if each.version != self.version.version]

    def _made_of(self, home: Path) -> RenderRecord:
        """All that decides the frames of a version, whichever of them are rendered."""
        options = self._options
        mix = mix_of(options.mix, self._tracked.frames)
        decides = {"frames": self._inputs.digest, "edit": self._inputs.edit, "home": home.name}
        inputs = dump_json(decides | {"mix": [mix[frame] for frame in sorted(mix)]})
        names = ["detail", "steady", "mix", "clean", "camera", "drive", "normalise"]
        names += ["holdout", "lit", "passes", "grain", "motion_blur"]
        return RenderRecord(
            created=now(),
            inputs=hashlib.sha256(inputs).hexdigest(),
            edit=self._inputs.edit,
            avatar=int(self._base.name),
            track=self._tracked.version,
            settings={name: getattr(options, name) for name in names},
        )

    def tell_versions(self, reporter: Reporter) -> None:
        """Says which version of the render this is, where there are others."""
        if not self._others:
            return
        text = f"This render is {self.version.name}"
        if any(not each.version for each in self._others):
            text += "; frames from before renders had versions stay in the take's folder frames"
        reporter.note(text + ".")

    def tell_sides(self, reporter: Reporter) -> None:
        """Says where another camera, or another's acting, shows the head as it was never seen."""
        if not self._alone:
            return
        learned = learned_frames(self._shot, int(self._base.name))
        if not learned:
            return
        body, frames = self._body, list(self._frames)
        seen = sides(body, self._tracked.motion, learned)
        away = beyond(seen, sides(body, self._motion, frames, self._views))
        for note in told(dict(zip(frames, away.tolist(), strict=True)), len(learned)):
            reporter.note(note)

    def _grain(self) -> GrainMatch:
        """The plate's grain, measured in a few frames of the track, whichever are rendered."""
        seen = self._plate.frames(spread(self._tracked.frames, _GRAIN_FRAMES))
        return GrainMatch(Grain.measured([image for _, image in seen]), self._options.grain)

    def _blur(self, parts: EditMask, reporter: Reporter) -> MotionBlur | None:
        """The blur of the plate's shutter, as it is measured; None where nothing tells it."""
        track = self._track
        pairs = [] if self._acting is not None else pairs_of(self._body, track)
        images = dict(self._plate.frames(list(frames_of(pairs))))

        def window(frame: int) -> tuple[np.ndarray, Surface]:
            box = track.box(frame)
            side = min(_SHUTTER_SIDE, max(1, round(box.side)))
            camera = track.camera.window(box, side)
            return crop(images[frame], box, side)[0], parts.surface(frame, camera)

        box = track.box(track.frames[0])
        share = shutter_of(pairs, window, min(1.0, _SHUTTER_SIDE / box.side))
        if share is None:
            reporter.note(
                "Nothing in the shot moves fast enough, near a frame in which it rests, to measure"
                " the shutter; no motion blur is laid on."
            )
            return None
        reporter.note(f"The plate's shutter is measured to be open for {360 * share:.0f} degrees.")
        maker = PassMaker(track, parts, ({}, 0), frozenset({"motion"}))
        return MotionBlur(maker.vectors, share * self._options.motion_blur)

    def _key_detail(self, record: EditRecord) -> KeyDetail | None:
        """The detail of the edit's key frames; None where they are no larger than the avatar."""
        track, edit = self._tracked, self._edit
        assert edit is not None
        detail = KeyDetail(self._body, track, EditMask(self._body, track, ""), self._size)
        found = {frame: edited_key(edit, frame) for frame in record.key_frames}
        paths = {frame: path for frame, path in found.items() if path and frame in track.frames}
        for frame, image in self._plate.frames(sorted(paths)):
            encoded = read_codes(paths[frame])
            if encoded is None or encoded.shape[0] != encoded.shape[1]:
                raise EditError(
                    "an edited key frame cannot be read", paths[frame], "edit the take again"
                )
            detail.add(frame, image, to_float(encoded))
        return None if detail.empty else detail

    def close(self) -> None:
        """Closes the files that it reads besides the plate."""
        self._hold.close()

    def paths(self, frame: int) -> tuple[Path, Path | None]:
        """Where a frame lies, and its full plate, if one was asked for; alone, its picture."""
        return self._paths(frame, self.version)

    def _paths(self, frame: int, version: Render) -> tuple[Path, Path | None]:
        path = version.frames / f"{self._take}.{frame:04d}.exr"
        if self._alone:
            return path, path.with_suffix(".png")
        full = version.plates / f"{path.stem}{self._plate.suffix}"
        return path, full if self._options.plate else None

    def _beside(self, frame: int, version: Render | None = None) -> dict[str, Path]:
        """What is written with a frame."""
        path, full = self._paths(frame, version or self.version)
        beside = {"picture": path.with_suffix(".png")}
        return beside | {"plate": full} if full and not self._alone else beside

    def _identity(self, frame: int) -> str:
        if self._views is None:
            return self._inputs.frame(mix=self._mix[frame])
        view = self._views[frame]
        return self._inputs.frame(
            camera=view.camera.record().to_json(), matrix=view.matrix.tolist()
        )

    def _attributes(self, frame: int) -> dict[str, str]:
        made = made_from(self._identity(frame), self._inputs.edit, self._beside(frame))
        return made | self.statement.exr_attributes()

    def made(self, reporter: Reporter) -> Generator["_Made", None, None]:
        """Each frame, with what writes it, which is nothing if it is on disk."""
        done = {frame for frame in self._frames if self._is_made(frame, self.version)}
        done |= {frame for frame in self._frames if frame not in done and self._copied(frame)}
        if len(done) == len(self._frames):
            if not self._options.movie or self._alone:
                for frame in self._frames:
                    yield _Made(frame)
                return
            for frame, codes in self._plate.frames_uint8(self._frames):
                yield self._on_disk(frame, codes)
            return
        shot, options, track, base, edit = (
            self._shot,
            self._options,
            self._track,
            self._base,
            self._edit,
        )
        body = self._body
        tell_device(reporter)
        plain = load_avatar(base, body)
        edited = load_avatar(edit, body) if edit else plain
        size, record = self._size, self._record
        # Lit, all of the performer is; what an editor would add is not.
        shown_edit, shown_record = (edit, record) if self._lit is None else (None, None)
        painted = PaintedFrames(shown_edit / "mask") if shown_edit else None
        chosen = shown_record.parts if shown_record else PartsRecord()
        parts = EditMask.of(body, track, chosen, painted)
        look = TakeAppearance(edited, shown_edit, shown_record, track, parts)
        # Alone, nothing lies on the plate.
        wanted = [] if self._alone else look.wanted_frames
        side = max((painting_side(track.box(frame)) for frame in wanted), default=size)
        look.prepare(load_crops(shot, track, wanted, side, reporter, self._plate))
        # What only acts is the plate itself, which nothing is laid over.
        only_acts = self._acting is not None and edit is None
        steady = 0.0 if only_acts else options.steady
        grain = self._grain() if options.grain > 0 and not self._alone else None
        blur = None
        if options.motion_blur > 0 and not self._alone and not look.keeps_performer:
            blur = self._blur(parts, reporter)
        keys = None
        if shown_record and not shown_record.base and not (self._alone or look.keeps_performer):
            keys = self._key_detail(shown_record)
        renderer = FrameRenderer(
            track, plain, look, size, options.detail, steady, parts, grain, blur, keys, self._lit
        )
        wants = frozenset(options.passes.split(",")) - {""}
        names = {name: each.numpy() for name, each in body.parts.items()}
        passes = PassMaker(self._track, parts, (names, len(body.faces)), wants)
        shown: FrameSource = self._plate
        if self._acting is not None and not self._alone:
            actor = ActedPlate(self._tracked, track.motion, self._acting.acting, plain, body)
            shown = self._stream = ActedStream(self._plate, actor, self._clean, self._mattes)
        if self._alone:
            lone = NovelViewRenderer(track, look, self._motion, self._views, size)
            images = self._plate.frames(self._frames)
        else:
            left = set(self._frames) - done
            images = renderer.ahead(shown, self._frames, left)
        for frame, image in images:
            path, full = self.paths(frame)
            attributes = partial(self._attributes, frame)
            if frame in done:
                yield (
                    _Made(frame) if self._alone else self._on_disk(frame, self._codes(frame, image))
                )
            elif self._alone:
                drawn = lone.render(frame)
                yield _Made(
                    frame, partial(write_novel_view, path, drawn, self._plate, frame, attributes)
                )
            else:
                rendered = self._rendered(renderer, frame, image)
                over = (full, laid_over(rendered, self._plate, frame)) if full else None
                layers = frame_layers(rendered, image, self._plate, frame)
                texts = self.statement.png_texts(float(rendered.touched.mean()))
                made = passes.of(frame, image, rendered.laid)
                layers |= self._acted_layers(frame, rendered) | made.layers
                attributes = partial(self._with_header, attributes, made)
                yield _Made(
                    frame,
                    partial(
                        write_frame,
                        path,
                        rendered,
                        layers,
                        self._plate,
                        frame,
                        over,
                        texts,
                        attributes,
                    ),
                    partial(self._side_by_side, frame, rendered),
                )
        for source in (self._stream, self._lit):
            if source is not None and (note := source.note()):
                reporter.note(note)

    def _is_made(self, frame: int, version: Render) -> bool:
        """Whether a version holds this very frame, whole."""
        path, _ = self._paths(frame, version)
        return is_made(path, self._identity(frame), self._beside(frame, version))

    def _copied(self, frame: int) -> bool:
        """Takes a frame over from another version that holds the very same one."""
        for other in self._others[: -_LOOKED_AT - 1 : -1]:
            if not self._is_made(frame, other):
                continue
            there, here = self._beside(frame, other), self._beside(frame)
            pairs = [(there[name], here[name]) for name in here]
            # The frame vouches for what was written before it.
            for source, target in [*pairs, (self._paths(frame, other)[0], self.paths(frame)[0])]:
                make_folder(target.parent)
                with atomic_path(target) as temporary:
                    shutil.copyfile(source, temporary)
            return True
        return False

    @staticmethod
    def _with_header(attributes: Callable[[], dict[str, str]], made: PartPasses) -> dict[str, str]:
        return attributes() | made.attributes

    def _rendered(self, renderer: FrameRenderer, frame: int, image: np.ndarray) -> RenderedFrame:
        """A frame; of a take that acts, the window of the whole picture is shown."""
        if self._stream is None:
            return renderer.render(frame, image, self._mix[frame], self._hold.cover(frame))
        shows = self._edit is not None or self._lit is not None
        share = self._mix[frame] if shows else 0.0
        drawn = renderer.render(frame, image, share, self._hold.cover(frame))
        box, laid = self._track.box(frame), drawn.laid
        if not shows:
            matte = to_float(load_matte(self._track, frame))
            cover, rows, columns = place(matte, box, image.shape[1], image.shape[0])
            laid = CompositeLayer(image[rows, columns], cover, rows, columns)
        touched = drawn.touched
        if (part := self._stream.part(frame)) is not None:
            # Laid over its plate, the frame shows the background that came to light, too.
            acted = part.touched[laid.rows, laid.columns]
            colours = np.where(acted[..., None], drawn.over[laid.rows, laid.columns], laid.colours)
            laid = replace(laid, colours=colours, cover=np.where(acted, 1, laid.cover))
            touched = touched | part.touched
            drawn = replace(drawn, window=crop(part.plate, box, self._size)[0])
        beauty, _ = crop(drawn.over, box, drawn.beauty.shape[0])
        return replace(drawn, laid=laid, beauty=beauty, touched=touched)

    def _acted_layers(self, frame: int, rendered: RenderedFrame) -> dict[str, np.ndarray]:
        """Where a frame of a take that acts shows what the plate never did."""
        part = self._stream.part(frame) if self._stream is not None else None
        if part is None:
            return {}
        rows, columns = rendered.laid.rows, rendered.laid.columns
        layers = {"Filled": part.filled, "Invented": part.invented}
        return {name: to_float(values[rows, columns, None]) for name, values in layers.items()}

    def _side_by_side(self, frame: int, rendered: RenderedFrame) -> np.ndarray:
        drawn = to_codes(rendered.beauty)
        return before_and_after(
            self._track,
            self._plate,
            frame,
            rendered.window,
            drawn,
            rendered.matte,
            self._acting is not None,
        )

    def _codes(self, frame: int, image: np.ndarray) -> np.ndarray:
        """The plate of a frame, of which `image` may show how it is acted, uint8 (H, W, 3)."""
        part = self._stream.part(frame) if self._stream is not None else None
        return to_codes(image) if part is None else part.plate

    def _on_disk(self, frame: int, codes: np.ndarray) -> "_Made":
        """A frame that was rendered before; only the movie needs it again.

        Args:
            codes: uint8 (H, W, 3), the plate.
        """

        def shown() -> np.ndarray:
            window, _ = crop(codes, self._track.box(frame), self._size)
            drawn = read_drawn(self.folder, self._take, frame)
            matte = load_matte(self._track, frame, self._size)
            whole = self._acting is not None
            return before_and_after(self._track, self._plate, frame, window, drawn, matte, whole)

        return _Made(frame, shown=shown)


def _acting(shot: Shot, take: str, track: Track, reporter: Reporter) -> StoredActing:
    """What a take acts; says so if it was made on another track."""
    stored = load_acting(shot.path / "takes" / take / ACTING_FILE, body_of(shot))
    if note := stored.note(track):
        reporter.note(note)
    return stored


@dataclass(frozen=True)
class _Made:
    """A frame that is rendered.

    Attributes:
        write: puts it on disk, if it is not there yet.
        shown: the movie's frame, if it may be in one.
    """

    frame: int
    write: Callable[[], None] = lambda: None
    shown: Callable[[], np.ndarray] | None = None


def _written(
    made: Generator[_Made, None, None],
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
    folder: Path,
    take: str,
    plate: Plate,
    frames: Sequence[int],
    statement: Statement,
    wanted: bool,
) -> Iterator[Callable[[Callable[[], np.ndarray] | None], None]]:
    """Takes the frames of a movie in their order; it is there when all were added."""
    if not wanted:
        yield lambda shown: None
        return
    path, said = folder.parent / f"{take}.mp4", statement.movie_metadata()
    sound = plate.read_sound(range(frames[0], frames[-1] + 1))
    code, colours = plate.timecode_at(frames[0]), plate.picture_colours
    with MovieWriter(path, plate.fps, code, sound, said, colours) as writer:

        def add(shown: Callable[[], np.ndarray] | None) -> None:
            assert shown, "every frame over its plate can be in a movie"
            writer.add(shown())

        yield add


def _alone_folder(options: RenderOptions) -> str:
    """A folder for each camera move and each performance, so that none overwrites another."""
    moves = read_bytes(Path(options.camera), MAX_JSON) if options.camera else b""
    digest = hashlib.sha256(moves + options.drive.encode()).hexdigest()
    return f"alone-{digest[:8]}"
