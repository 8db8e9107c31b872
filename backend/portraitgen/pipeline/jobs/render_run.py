# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the render job: what its frames are made from, and which of them are on disk.

Frames that are on disk are found without loading what draws others.
"""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...bounded_json import dump_json
from ...footage.crop import crop
from ...footage.plate import Plate
from ...path_mapping import given_path
from ...provenance.statement import Statement
from ...records import EditRecord, PerformanceRecord, RenderRecord
from ...renders import Render, begin_render, renders_of
from ...settings import option
from ...shot import Shot, now
from ...storage import atomic_path, file_digest, make_folder
from ..compositing.clean_plate import CleanPlate, GivenCleanPlate, SeenCleanPlate
from ..compositing.hold_out import HoldOut
from ..compositing.lit_frames import LitFrames
from ..compositing.opacity import mix_of
from ..data.acting import StoredActing
from ..data.crops import load_matte
from ..data.frame_identity import FrameInputs, is_made, made_from
from ..data.passes import PASSES
from ..data.provenance import statement_of
from ..data.shots import Track, body_of
from ..run.progress import Reporter
from .before_and_after import before_and_after, read_drawn

if TYPE_CHECKING:
    from ...body.model import BodyModel
    from ..compositing.novel_view import NovelView

# In so many of the latest other versions a frame is looked for before it is rendered.
_LOOKED_AT = 3


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


class RenderRun:
    """What the frames of a run are made from.

    Attributes:
        shot, options, take, edit, record, base, size, frames, plate, acting: what was asked for.
        tracked: the track; track: the same, acted as the take acts.
        clean, mattes: of a take that acts, its plate without the performer, and its mattes' folder.
        mix, hold, lit: how much of the edit shows, what stays before it, and how it was lit.
        views, motion, performance: of a performer alone, the cameras, what it does, and of which
            other shot that is.
        version, folder: of the render.
    """

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
        self.shot, self.options, self.take = shot, options, take
        self.edit, self.record, self.base, self.tracked = edit, record, base, track
        self.size = size
        self.acting = acting
        self.track, more = track, ""
        self.clean: CleanPlate
        if acting is not None:
            from ..compositing.acted_stream import ActedTrack

            given = GivenCleanPlate(given_path(options.clean), plate) if options.clean else None
            if given is not None:
                given.check(frames)
            more = acting.digest + (given.digest if given is not None else "")
            self.clean = given or SeenCleanPlate(track, plate, track.frames)
            made = hashlib.sha256(f"{more} {track.digest()} {base.name}".encode()).hexdigest()
            self.mattes = shot.path / "takes" / take / "mattes" / made[:12]
            motion = acting.acting.applied(track.motion, self.body)
            self.track = ActedTrack(track, motion, self.mattes)
        self.frames, self.plate = frames, plate
        self.mix = mix_of(options.mix, frames)
        self.hold = HoldOut(options.holdout, plate, frames)
        more += self.hold.digest
        self.lit = LitFrames(options.lit, plate, frames) if options.lit else None
        more += self.lit.digest if self.lit is not None else ""
        self.alone = bool(options.camera or options.drive)
        self.views: dict[int, NovelView] | None = None
        self.motion = self.track.motion
        self.performance: PerformanceRecord | None = None
        if self.alone:
            from ..compositing.novel_view import motion_of, read_views

            self.views = read_views(given_path(options.camera), frames) if options.camera else None
            self.motion, self.performance = motion_of(
                shot, self.track, options.drive, options.normalise
            )
        self.inputs = FrameInputs.of(
            shot,
            edit,
            base,
            track.folder,
            {
                "detail": options.detail,
                "steady": options.steady,
                "alone": self.alone,
                "passes": options.passes,
                "grain": options.grain,
                "motion_blur": options.motion_blur,
            },
            more + (self.motion.digest() if options.drive else ""),
        )
        self.version = begin_render(home, self._made_of(home))
        self.folder = make_folder(self.version.frames)
        self.others = [each for each in renders_of(home) if each.version != self.version.version]

    @cached_property
    def statement(self) -> Statement:
        """How its pictures were made; asking the editor may load what it draws with."""
        return statement_of(
            self.shot,
            self.take,
            self.edit,
            self.record,
            int(self.base.name),
            self.tracked,
            self.version.record,
        )

    def statement_of(self, frame: int, touched: float | None) -> Statement:
        """How the pictures of a frame were made.

        Args:
            touched: the share of the plate's pixels that the edit changed; None without a plate.
        """
        shown = 1.0 if self.alone else self.mix[frame]
        return replace(self.statement, touched=touched, shown=shown)

    @cached_property
    def body(self) -> "BodyModel":
        """The shot's body model."""
        return body_of(self.shot)

    def _made_of(self, home: Path) -> RenderRecord:
        """All that decides the frames of a version, whichever of them are rendered."""
        options = self.options
        mix = mix_of(options.mix, self.tracked.frames)
        decides = {"frames": self.inputs.digest, "edit": self.inputs.edit, "home": home.name}
        inputs = dump_json(decides | {"mix": [mix[frame] for frame in sorted(mix)]})
        names = ["detail", "steady", "mix", "clean", "camera", "drive", "normalise"]
        names += ["holdout", "lit", "passes", "grain", "motion_blur"]
        return RenderRecord(
            created=now(),
            inputs=hashlib.sha256(inputs).hexdigest(),
            edit=self.inputs.edit,
            avatar=int(self.base.name),
            track=self.tracked.version,
            settings={name: getattr(options, name) for name in names},
            performance=self.performance,
            plate_source=self.plate.source_type,
            camera_sha256=file_digest(given_path(options.camera)) if options.camera else "",
        )

    def tell_versions(self, reporter: Reporter) -> None:
        """Says which version of the render this is, where there are others."""
        if not self.others:
            return
        text = f"This render is {self.version.name}"
        if any(not each.version for each in self.others):
            text += "; frames from before renders had versions stay in the take's folder frames"
        reporter.note(text + ".")

    def tell_unused(self, reporter: Reporter) -> None:
        """Says which options have no effect on what is rendered."""
        options = self.options
        if self.alone:
            over = ("plate", "clean", "holdout", "passes", "grain", "motion_blur")
            unused = [name for name in over if getattr(options, name)]
            if unused:
                names = " and ".join(name.replace("_", " ") for name in unused)
                reporter.note(f"No effect here, where the performer is drawn alone: {names}.")
        elif options.clean and self.acting is None:
            reporter.note("The clean plate is not used: the take does not act.")

    def tell_sides(self, reporter: Reporter) -> None:
        """Says where another camera, or another's acting, shows the head as it was never seen."""
        if not self.alone:
            return
        from ..compositing.seen_sides import beyond, learned_frames, sides, told

        learned = learned_frames(self.shot, int(self.base.name))
        if not learned:
            return
        body, frames = self.body, list(self.frames)
        seen = sides(body, self.tracked.motion, learned)
        away = beyond(seen, sides(body, self.motion, frames, self.views))
        for note in told(dict(zip(frames, away.tolist(), strict=True)), len(learned)):
            reporter.note(note)

    def close(self) -> None:
        """Closes the files that it reads besides the plate."""
        self.hold.close()

    def paths(self, frame: int) -> tuple[Path, Path | None]:
        """Where a frame lies, and its full plate, if one was asked for; alone, its picture."""
        return self._paths(frame, self.version)

    def _paths(self, frame: int, version: Render) -> tuple[Path, Path | None]:
        path = version.frames / f"{self.take}.{frame:04d}.exr"
        if self.alone:
            return path, path.with_suffix(".png")
        full = version.plates / f"{path.stem}{self.plate.suffix}"
        return path, full if self.options.plate else None

    def _beside(self, frame: int, version: Render | None = None) -> dict[str, Path]:
        """What is written with a frame."""
        path, full = self._paths(frame, version or self.version)
        beside = {"picture": path.with_suffix(".png")}
        return beside | {"plate": full} if full and not self.alone else beside

    def _identity(self, frame: int) -> str:
        if self.views is None:
            return self.inputs.frame(mix=self.mix[frame])
        view = self.views[frame]
        return self.inputs.frame(camera=view.camera.record().to_json(), matrix=view.matrix.tolist())

    def attributes(self, frame: int, said: Statement) -> dict[str, str]:
        """What a frame's EXR says of itself, once what belongs to it is written."""
        made = made_from(self._identity(frame), self.inputs.edit, self._beside(frame))
        return made | said.exr_attributes()

    def done(self) -> set[int]:
        """The frames that are on disk, or were in another version and are now."""
        made = {frame for frame in self.frames if self._is_made(frame, self.version)}
        return made | {frame for frame in self.frames if frame not in made and self._copied(frame)}

    def _is_made(self, frame: int, version: Render) -> bool:
        """Whether a version holds this very frame, whole."""
        path, _ = self._paths(frame, version)
        return is_made(path, self._identity(frame), self._beside(frame, version))

    def _copied(self, frame: int) -> bool:
        """Takes a frame over from another version that holds the very same one."""
        for other in self.others[: -_LOOKED_AT - 1 : -1]:
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


@dataclass(frozen=True)
class MadeFrame:
    """A frame that is rendered.

    Attributes:
        write: puts it on disk, if it is not there yet.
        shown: the movie's frame, if it may be in one.
    """

    frame: int
    write: Callable[[], None] = lambda: None
    shown: Callable[[], np.ndarray] | None = None


def on_disk(run: RenderRun, frame: int, codes: np.ndarray) -> MadeFrame:
    """A frame that was rendered before; only the movie needs it again.

    Args:
        codes: uint8 (H, W, 3), the plate.
    """

    def shown() -> np.ndarray:
        window, _ = crop(codes, run.track.box(frame), run.size)
        drawn = read_drawn(run.folder, run.take, frame)
        matte = load_matte(run.track, frame, run.size)
        whole = run.acting is not None
        return before_and_after(run.track, run.plate, frame, window, drawn, matte, whole)

    return MadeFrame(frame, shown=shown)
