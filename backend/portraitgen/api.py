# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""PortraitGen for scripts: a shot, its four jobs, and what they make.

    from portraitgen.api import Shot

    shot = Shot.create("shots/010", "plates/010.mov")
    shot.track(frames="1001-1100")
    shot.reconstruct()
    shot.edit("warm", editor="grade", editor_options={"temperature": 0.4})
    frames = shot.render("warm", plate=True)

Each method runs its job to the end, goes on with one that was interrupted, and raises a
`PortraitError` with place, cause and remedy if it cannot be done. Options are those of the command
line, by the same names; docs/scripting.md has examples.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from .errors import Cancelled, OptionError, PortraitError
from .job_results import EditResult, ReconstructResult, RenderResult, TrackResult
from .pipeline.registry import run
from .pipeline.run.progress import Reporter
from .records import AvatarMetrics, AvatarRecord, EditRecord, TrackRecord
from .schema import Value
from .settings import parse
from .shot import Shot as Folder

__all__ = [
    "Avatar",
    "Cancelled",
    "Edit",
    "Frames",
    "PortraitError",
    "Reporter",
    "Shot",
    "Track",
    "Tried",
]


@dataclass(frozen=True)
class Track:
    """A version of a shot's track.

    Attributes:
        version: its number.
        record: camera, windows, and how well each frame is tracked.
    """

    version: int
    record: TrackRecord


@dataclass(frozen=True)
class Avatar:
    """A version of a shot's avatar.

    Attributes:
        version: its number.
        record: what it was made of.
        metrics: how like it is to frames that it has not seen.
    """

    version: int
    record: AvatarRecord
    metrics: AvatarMetrics


@dataclass(frozen=True)
class Edit:
    """A finished edit of a take.

    Attributes:
        take: the take's name.
        number: of the edit; earlier ones are kept.
        record: its settings, key frames and licence.
    """

    take: str
    number: int
    record: EditRecord


@dataclass(frozen=True)
class Tried:
    """A frame that was edited alone.

    Attributes:
        edited: the whole plate with the edit laid over it, PNG.
        plate: the plate as it is.
        window: the part that is edited.
    """

    edited: Path
    plate: Path
    window: Path


@dataclass(frozen=True)
class Frames:
    """Rendered frames.

    Attributes:
        take: whose; "reconstruction" for the unedited avatar.
        version: of the render; what is made of something else gets another.
        exr: the multilayer EXR of each frame, by its number; its PNG lies beside it.
        plates: the full plates with the edit laid over them, if they were asked for.
        movie: before and after side by side, None if none was made.
    """

    take: str
    version: int
    exr: Mapping[int, Path]
    plates: Mapping[int, Path]
    movie: Path | None


class _Listener(Reporter):
    """Passes all on, and remembers the frames."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter
        self.exr: dict[int, Path] = {}
        self.plates: dict[int, Path] = {}

    def progress(
        self, stage: str, step: int, steps: int, eta_s: float | None, metrics: dict[str, float]
    ) -> None:
        self._reporter.progress(stage, step, steps, eta_s, metrics)

    def frame(self, take: str, frame: int, path: Path, plate: Path | None = None) -> None:
        self.exr[frame] = path
        if plate is not None:
            self.plates[frame] = plate
        self._reporter.frame(take, frame, path, plate)

    def preview(self, path: Path) -> None:
        self._reporter.preview(path)

    def note(self, text: str) -> None:
        self._reporter.note(text)

    def check(self) -> None:
        self._reporter.check()


class Shot:
    """A shot folder.

    Args:
        folder: as `Shot.open` and `Shot.create` give it.
        reporter: hears what the jobs tell; its `cancel`, from any thread, stops them.
    """

    def __init__(self, folder: Folder, reporter: Reporter | None = None) -> None:
        self.folder = folder
        self.reporter = reporter or Reporter()

    @classmethod
    def open(cls, path: str | os.PathLike[str], reporter: Reporter | None = None) -> "Shot":
        """Opens a shot folder.

        Raises:
            ShotError: if it is none, is damaged, or was written by a newer version.
        """
        return cls(Folder.open(Path(path)), reporter)

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        footage: str | os.PathLike[str],
        reporter: Reporter | None = None,
        **facts: Value,
    ) -> "Shot":
        """Makes the shot folder of a plate, or opens the one already made for it.

        Args:
            path: the folder.
            footage: a movie, an image sequence or a photo.
            facts: what is known of the plate: first, colour_space, fps, matrix, range, part,
                layer, deinterlace; and body_model, a file of yours.

        Raises:
            FootageError: if the plate cannot be read; ShotError: if the folder is another's.
        """
        from .pipeline.data.shots import create_shot

        return cls(create_shot(Path(path), Path(footage), facts), reporter)

    @property
    def path(self) -> Path:
        """The folder, absolute."""
        return self.folder.path

    def takes(self) -> list[str]:
        """The names of its takes, oldest first.

        Example:
            >>> shot.takes()
            ['toon']
        """
        return self.folder.takes()

    def track(self, **options: Value) -> Track:
        """Fits the body to the performer; see `portraitgen track --help` for the options.

        Example:
            >>> track = shot.track(frames="1-4", focal=1280)
            >>> track.version, len(track.record.quality)
            (3, 4)
        """
        made = cast(TrackResult, run("track", self.path, options, self.reporter))
        return Track(made.track, self.folder.track_record(made.track))

    def reconstruct(self, **options: Value) -> Avatar:
        """Rebuilds the performer as an avatar, and refines the track with it.

        Example:
            >>> avatar = shot.reconstruct(size=64, gaussians=1000, steps=10)
            >>> avatar.version
            2
        """
        made = cast(ReconstructResult, run("reconstruct", self.path, options, self.reporter))
        return Avatar(made.avatar, self.folder.avatar_record(made.avatar), made.metrics)

    def edit(
        self,
        take: str,
        editor: str,
        editor_options: Mapping[str, Value] | None = None,
        **options: Value,
    ) -> Edit:
        """Edits the performer into a take; an earlier edit of the take is kept.

        Args:
            take: its name.
            editor: as `portraitgen editors` lists them.
            editor_options: the editor's own, by name.
            options: the edit's.

        Example:
            >>> edit = shot.edit("warm", "grade", {"temperature": 0.4}, steps=4, keys=2)
            >>> edit.number, edit.record.editor
            (1, 'grade')
        """
        given = _edit_settings(editor, editor_options, options)
        made = cast(EditResult, run("edit", self.path, given | {"take": take}, self.reporter))
        return Edit(take, made.edit, self.folder.edit_record(take, made.edit))

    def try_frame(
        self,
        frame: int,
        editor: str,
        editor_options: Mapping[str, Value] | None = None,
        **options: Value,
    ) -> Tried:
        """Edits one frame, to look at in seconds; editors that lie on the plate need its track
        alone.

        Args:
            frame: its number.
            editor, editor_options, options: as for `edit`; a `take` keeps the picture, too.

        Example:
            >>> tried = shot.try_frame(6, "grade", {"exposure": 1.0})
            >>> tried.edited.exists()
            True
        """
        from .pipeline.jobs.edit import EditOptions
        from .pipeline.requests.preview import preview_frame

        given = _edit_settings(editor, editor_options, options)
        tried = preview_frame(self.folder, frame, parse(EditOptions, given))
        return Tried(Path(tried.path), Path(tried.plate), Path(tried.window))

    def render(self, take: str = "", **options: Value) -> Frames:
        """Renders a take, or the unedited reconstruction, to frames.

        Example:
            >>> frames = shot.render("toon", frames="1-2", movie=False)
            >>> sorted(frames.exr)
            [1, 2]
        """
        listener = _Listener(self.reporter)
        made = cast(RenderResult, run("render", self.path, {"take": take, **options}, listener))
        return Frames(
            made.take,
            made.version,
            listener.exr,
            listener.plates,
            Path(made.movie) if made.movie else None,
        )


def _edit_settings(
    editor: str, editor_options: Mapping[str, Value] | None, options: Mapping[str, Value]
) -> dict[str, Value]:
    try:
        own = json.dumps(dict(editor_options or {}), sort_keys=True, default=os.fspath)
    except (TypeError, ValueError) as error:
        reason = f"they are no names with values ({error})"
        raise OptionError(reason, "editor_options", "give a dict of plain values") from None
    return {"editor": editor, **options, "editor_options": own}
