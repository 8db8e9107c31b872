# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each job gives back when it is done: kept in job.json, told on the wire and by `--events`.

Standard library only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .records import AvatarMetrics, TrackSummary
from .schema import Data


class JobResult(Data):
    """Base of what jobs give back. Subclasses are frozen dataclasses."""

    def told(self) -> Mapping[str, object]:
        """As JSON-ready data, without what there is none of."""
        return {name: value for name, value in self.to_json().items() if value is not None}


@dataclass(frozen=True)
class TrackResult(JobResult):
    """A version of the track, and how good it is."""

    track: int
    summary: TrackSummary

    def told(self) -> Mapping[str, object]:
        """The version and the summary's own figures, side by side."""
        return {"track": self.track} | self.summary.to_json()


@dataclass(frozen=True)
class RefineResult(JobResult):
    """A version of the track.

    Attributes:
        frames: how many were aligned.
        moved_px: how far faces moved on the plate, in the mean.
    """

    track: int
    frames: int
    moved_px: float


@dataclass(frozen=True)
class ReconstructResult(JobResult):
    """Versions of the avatar and of its track, and how like it is to held-out frames."""

    avatar: int
    track: int
    metrics: AvatarMetrics

    def told(self) -> Mapping[str, object]:
        """The versions and the figures there are, side by side."""
        return {"avatar": self.avatar, "track": self.track} | self.metrics.figures()


@dataclass(frozen=True)
class ActResult(JobResult):
    """What a take acts.

    Attributes:
        frames: how many were asked for.
        acted: how many frames of the take differ from the track.
        path: the acting's file.
    """

    take: str
    frames: int
    acted: int
    path: str


@dataclass(frozen=True)
class EditResult(JobResult):
    """An edit of a take, by its number, and how many key frames it has."""

    take: str
    edit: int
    key_frames: int


@dataclass(frozen=True)
class ApplyResult(JobResult):
    """A take in other shots: the folders of those that were edited, kept as they were, failed."""

    take: str
    edited: tuple[str, ...]
    kept: tuple[str, ...]
    failed: tuple[str, ...]


@dataclass(frozen=True)
class LearnLookResult(JobResult):
    """A look that was learned.

    Attributes:
        look: its file.
        pairs: of how many.
        guides: what of a frame it is shown besides its colours.
        held_out_db: how near it comes on pairs that it has not seen; None if there were too few.
        seconds, steps: that it learned.
    """

    look: str
    pairs: int
    guides: tuple[str, ...]
    held_out_db: float | None
    seconds: float
    steps: int


@dataclass(frozen=True)
class RenderResult(JobResult):
    """Frames of a take.

    Attributes:
        take: whose; "reconstruction" for the unedited avatar.
        frames: how many.
        folder: where they lie.
        version: of the render.
        edit: the take's edit that they show.
        movie: of the frames before and after, if one was written.
    """

    take: str
    frames: int
    folder: str
    version: int
    edit: int | None = None
    movie: str | None = None


@dataclass(frozen=True)
class MovieResult(JobResult):
    """A movie of a render's frames."""

    take: str
    version: int
    frames: int
    movie: str


@dataclass(frozen=True)
class DeliverResult(JobResult):
    """What was delivered of a render: how many files, where, and whether they are signed."""

    take: str
    version: int
    files: int
    folder: str
    signed: bool


@dataclass(frozen=True)
class QualityResult(JobResult):
    """What a render's sheet shows.

    Attributes:
        sheet: its path.
        exceeded: the measures beyond their limits, with their frames.
        first: the frames to look at first.
    """

    take: str
    version: int
    frames: int
    sheet: str
    exceeded: Mapping[str, str]
    first: tuple[int, ...]
