# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The records that a shot folder holds: one frozen dataclass a file. Standard library only.

Each is read with `Record.read`, which checks its schema and every value, and written with
`Record.write`. Fields are added with a default, so that older files stay readable; what cannot be
read so raises the schema and gets a migration.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import Any, ClassVar, Literal

from .schema import Data, Record, Values

IDENTITY = (
    "age",
    "weight",
    "muscle",
    "nose_width",
    "nose_length",
    "nose_bridge",
    "jaw_width",
    "chin",
    "cheeks",
    "brow_ridge",
    "eye_size",
    "ears",
    "lip_fullness",
    "neck",
)
"""Directions of identity, in the order of an acting's arrays; new ones are added at the end."""

JobState = Literal["running", "done", "failed", "cancelled", "outdated"]
"""An outdated job is one that another took the place of, since the shot has changed."""
FrameState = Literal["tracked", "weak", "bridged", "lost"]


@dataclass(frozen=True)
class FootageAsked(Data):
    """What the user said of the plate; None leaves it to the file.

    Attributes:
        first: the number of the first frame.
        matrix, range: of a movie's YUV codes.
        fps: frames a second.
        part, layer: of an EXR.
        deinterlace: whether a movie's fields are made into frames.
    """

    first: int | None = None
    matrix: str | None = None
    range: str | None = None
    fps: Fraction | None = None
    part: str | None = None
    layer: str | None = None
    deinterlace: bool = False


@dataclass(frozen=True)
class FootageRecord(Data):
    """The plate of a shot, and how it is read.

    Attributes:
        path: absolute, or relative to the shot folder, with forward slashes.
        kind: "movie", "sequence" or "still".
        first, last: the plate's own frame numbers.
        fps: frames a second.
        digest: changes when the plate's files do.
        asked: what the user said of it.
    """

    path: str
    kind: str
    first: int
    last: int
    fps: Fraction
    width: int
    height: int
    bit_depth: int
    colour_space: str
    pixel_aspect: Fraction
    matrix: str | None
    range: str | None
    digest: str
    asked: FootageAsked = FootageAsked()


@dataclass(frozen=True)
class BodyModelRecord(Data):
    """Which body model a shot uses: a file of the user's, or the open body where path is None."""

    path: str | None = None
    name: str = ""
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class ShotRecord(Record):
    """shot.json."""

    id: str
    created: str
    footage: FootageRecord
    body_model: BodyModelRecord


@dataclass(frozen=True)
class CameraRecord(Data):
    """A pinhole camera: focal lengths, principal point and picture, all in pixels."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int


@dataclass(frozen=True)
class RigFacts(Data):
    """What a rig's file says beside its arrays.

    Attributes:
        version: of the track.
        joints, units: their names, in the arrays' order.
        camera: the plate's.
        correctives: whether poses correct the body's shape.
        source: what made the track.
        parts: those whose residuals it holds; guessed: those that were not seen in most frames.
            Rigs of earlier versions tell neither.
    """

    version: int
    joints: tuple[str, ...]
    units: tuple[str, ...]
    camera: CameraRecord
    correctives: bool = False
    source: str = ""
    parts: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()


@dataclass(frozen=True)
class CloudFacts(Data):
    """What a file of Gaussians says beside its arrays.

    Attributes:
        take: whose, empty for the reconstruction; version: of the avatar.
        edit: the number of the take's edit, 0 without one; job: that published edit or avatar.
        joints, units: their names, in the arrays' order.
        softness: how far the plate's pixels blur them, as a share of the depth.
    """

    take: str
    joints: tuple[str, ...]
    units: tuple[str, ...]
    softness: float
    version: int = 0
    edit: int = 0
    job: str = ""


@dataclass(frozen=True)
class TensorEntry(Data):
    """What the header of a safetensors file says of a tensor.

    Attributes:
        dtype: as the format names it, "F32" for instance.
        data_offsets: where its bytes begin and end, after the header.
    """

    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


@dataclass(frozen=True)
class WindowRecord(Data):
    """The portrait windows of a track.

    Attributes:
        mode: "fixed", "follow" or "whole", as it was asked for.
        boxes: left, top and side of squares in plate pixels, by the frame from which they hold.
    """

    mode: str
    boxes: Mapping[int, tuple[float, float, float]]


@dataclass(frozen=True)
class FrameQuality(Data):
    """How well one frame is tracked.

    Attributes:
        state: "weak" where a face was seen but the body lies beside it, "bridged" and "lost" where
            none was.
        confidence: 0 to 1.
        landmark_residual_percent: of the eye distance; None where no face was seen.
        guessed: parts of the body that were not seen and stand as they usually do.
        parts: the residual of each part that was seen, of the eye distance; tracks of earlier
            versions tell none.
    """

    frame: int
    state: FrameState
    confidence: float
    landmark_residual_percent: float | None = None
    guessed: tuple[str, ...] = ()
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrackSummary(Data):
    """Counts and means over a track.

    Attributes:
        landmark_residual_percent: of the eye distance.
        guessed_parts: of the body, that were not seen in most frames; legs go without saying.
        part_residual_percent: of each part that was seen, in the mean, of the eye distance.
    """

    frames: int
    tracked_frames: int
    bridged_frames: int
    lost_frames: int
    landmark_residual_percent: float | None
    worst_frames: tuple[int, ...] = ()
    weak_frames: int = 0
    guessed_parts: tuple[str, ...] = ()
    part_residual_percent: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrackRecord(Record):
    """track.json of a track version.

    Attributes:
        source: what made it: "solve", "align", "refine", "artist" or "import".
        job: that published it.
        parent: the version it was made from.
        mattes: the version in whose folder the mattes lie.
        quality: one a frame.
        aligned: the first and the last frame that the plate's pixels have aligned; empty if none.
        authors: who pinned it or corrected it by hand, of those who gave their name.
        digests: SHA-256 of its files of tensors, by name; older versions have none.
    """

    created: str
    source: str
    job: str = ""
    parent: int | None = None
    body_model: BodyModelRecord = BodyModelRecord()
    camera: CameraRecord
    window: WindowRecord
    mattes: int
    summary: TrackSummary
    quality: tuple[FrameQuality, ...]
    aligned: tuple[int, ...] = ()
    authors: tuple[str, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AvatarRecord(Record):
    """avatar.json of an avatar version.

    Attributes:
        track: the version it was made on.
        size: side of the window it learned, pixels.
        gaussians: how many it has.
        pivots: frames that stand for all that the performer does.
        options: of the reconstruction, as they were asked for.
        training: weights, rates and whatever else the training was set to.
        retouched: whether splats of it were retouched by hand; authors: by whom, of those who gave
            their name.
        digests: SHA-256 of its files of tensors, by name; older versions have none.
    """

    created: str
    job: str = ""
    track: int
    body_model: BodyModelRecord = BodyModelRecord()
    size: int
    gaussians: int
    pivots: tuple[int, ...] = ()
    options: Values = field(default_factory=dict)
    training: Mapping[str, object] = field(default_factory=dict)
    retouched: bool = False
    authors: tuple[str, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AvatarMetrics(Record):
    """metrics.json of an avatar version: on held-out frames, of which nothing was seen.

    Attributes:
        psnr, psnr_placed: dB; placed is once pose and expression were fitted to the frames.
        ssim, alpha_error: 0 to 1.
        curve: for plots.
    """

    WAS_UNMARKED: ClassVar[bool] = True

    psnr: float | None = None
    ssim: float | None = None
    alpha_error: float | None = None
    psnr_placed: float | None = None
    held_out_frames: int = 0
    steps: int = 0
    curve: tuple[object, ...] = ()

    def figures(self) -> dict[str, object]:
        """Those there are, without the curve."""
        names = [each.name for each in fields(self) if each.name not in ("unknown", "curve")]
        known = {name: getattr(self, name) for name in names}
        return {name: value for name, value in known.items() if value is not None}


@dataclass(frozen=True)
class PartsRecord(Data):
    """Where a take edits: names of parts, none for everything, and the shot's colours of them."""

    names: tuple[str, ...] = ()
    tones: Mapping[str, object] | None = None


@dataclass(frozen=True)
class EditAuthors(Data):
    """Who painted, kept key frames of and retouched an edit, of those who gave their name."""

    paint: tuple[str, ...] = ()
    key_frames: tuple[str, ...] = ()
    splats: tuple[str, ...] = ()


@dataclass(frozen=True)
class _FirstParts(Data):
    names: object = None


@dataclass(frozen=True)
class _FirstEdit(Data):
    """What edits of the first schema told of their settings, of whatever kind it is."""

    options: object = None
    parts: object = None
    face_aware: object = None


def _settings_of_old_edit(content: Mapping[str, Any]) -> dict[str, object]:
    """What the first schema tells of the settings that an edit was asked with."""
    old, settings = _FirstEdit.parse(content), {}
    for name in ("editor", "strength", "base", "schedule"):
        if name in content:
            settings[name] = content[name]
    if isinstance(old.options, Mapping):
        settings |= {"editor_options": json.dumps(old.options, sort_keys=True)}
    names = _FirstParts.parse(old.parts).names if isinstance(old.parts, Mapping) else None
    if isinstance(names, list):
        settings |= {"parts": ",".join(str(each) for each in names)}
    if isinstance(old.face_aware, bool):
        settings |= {"face": "on" if old.face_aware else "off"}
    return settings


def _edit_with_settings(content: dict[str, object]) -> dict[str, object]:
    return content | {"settings": _settings_of_old_edit(content)}


@dataclass(frozen=True)
class WeightsRecord(Data):
    """Weights that an editor drew with, as they lay on the disk.

    Attributes:
        name: in our list of models; of a user's own, the file's or the folder's.
        repository, revision: that they were fetched of; empty if nobody knows.
        licence: as their publisher names it; "unknown" if nobody told.
        files: the SHA-256 of each file that was opened, by its path in their folder.
        changed: those that are others than were fetched, or than their publisher lists.
    """

    name: str
    repository: str = ""
    revision: str = ""
    licence: str = "unknown"
    files: Mapping[str, str] = field(default_factory=dict)
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EditRecord(Record):
    """edit.json of a finished edit.

    Attributes:
        avatar: the version that was edited.
        settings: the edit job's options, as they were asked for.
        editor, options: the editor and all of its options, as they were used.
        commercial: whether the result may be used commercially.
        follows: whether rendering the take needs its editor.
        edits_frames: whether it edits every frame of the plate by itself; None where an older
            edit does not say.
        generative: whether weights that were trained on other pictures drew it, or the take that
            it builds on; None where an older edit does not say.
        learned: what the editor found out of the shot.
        base: the take it builds on, empty for the plate.
        anchor: the key frame that the others were made to look like.
        kept_frames: key frames that the artist kept.
        edits: how many pictures the editor made.
        training: as an avatar's.
        retouched: whether splats of it were retouched by hand.
        authors: who made what of it by hand.
        weights: that the editor drew with; empty where it opened none, or an older edit does not
            say.
        digests: SHA-256 of its files of tensors, by name; older versions have none.
    """

    SCHEMA: ClassVar[int] = 2
    MIGRATIONS: ClassVar = {1: _edit_with_settings}

    created: str
    job: str
    avatar: int
    settings: Values
    editor: str
    options: Values
    commercial: bool = True
    strength: float = 1.0
    follows: bool = False
    edits_frames: bool | None = None
    generative: bool | None = None
    learned: Mapping[str, object] = field(default_factory=dict)
    parts: PartsRecord = PartsRecord()
    schedule: str = "one-pass"
    face_aware: bool = False
    base: str = ""
    key_frames: tuple[int, ...] = ()
    anchor: int | None = None
    kept_frames: tuple[int, ...] = ()
    edits: int = 0
    training: Mapping[str, object] = field(default_factory=dict)
    retouched: bool = False
    authors: EditAuthors = EditAuthors()
    weights: tuple[WeightsRecord, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)


def _take_with_settings(content: dict[str, object]) -> dict[str, object]:
    """The first schema repeated the whole edit in its take."""
    repeated = {each.name for each in fields(EditRecord)} - {
        each.name for each in fields(TakeRecord)
    }
    kept = {key: value for key, value in content.items() if key not in repeated}
    return kept | {"settings": _settings_of_old_edit(content)}


@dataclass(frozen=True, kw_only=True)
class TakeRecord(Record):
    """take.json.

    Attributes:
        edit: the number of the current edit, None if none was finished.
        avatar: the version that edit was made on.
        job: that published the edit.
        settings: the edit job's options, as they were asked for.
    """

    SCHEMA: ClassVar[int] = 2
    MIGRATIONS: ClassVar = {1: _take_with_settings}

    created: str
    edit: int | None = None
    avatar: int | None = None
    job: str = ""
    settings: Values = field(default_factory=dict)

    @property
    def editor(self) -> str:
        """The editor's id, empty if it is not known."""
        return str(self.settings.get("editor") or "")

    @property
    def base(self) -> str:
        """The take that it builds on, empty for the plate."""
        return str(self.settings.get("base") or "")


@dataclass(frozen=True, kw_only=True)
class AuthorsRecord(Record):
    """authors.json of a take: who took what into their hands, of those who gave their name.

    Attributes:
        pictures: of the frames that were given out to be painted or kept, by what they are
            ("paint", "masks", "key frames").
        acting: of the take's acting.
    """

    pictures: Mapping[str, Mapping[int, tuple[str, ...]]] = field(default_factory=dict)
    acting: tuple[str, ...] = ()


@dataclass(frozen=True)
class _AskedOfRender(Data):
    """What a render was asked for.

    Attributes:
        lit: the folder of another renderer's pictures; drive: that of another shot.
        mix: how much of the edit shows.
    """

    lit: object = ""
    drive: object = ""
    mix: object = "1"


@dataclass(frozen=True)
class PerformanceRecord(Data):
    """Another shot's performance, which a performer acts.

    Attributes:
        shot: the name of that shot's folder.
        plate: the digest of its plate.
        track: the version of its track.
    """

    shot: str
    plate: str
    track: int


@dataclass(frozen=True, kw_only=True)
class RenderRecord(Record):
    """render.json of a version of a render.

    Attributes:
        inputs: a digest of all that decides its frames; a run that has the same goes into it.
        rendered: when a run last went into it.
        edit: the edit that it shows, None for the reconstruction or a take that only acts.
        avatar, track: the versions that it was made of.
        settings: the render job's options that decide its pixels.
        performance: of the shot that drives the performer, None for the performer's own.
        camera_sha256: the digest of the cameras, empty for the plate's own.
        plate_source: IPTC's digital source type of the plate, as its own file names it.
    """

    created: str
    inputs: str
    rendered: str = ""
    edit: int | None = None
    avatar: int = 0
    track: int = 0
    settings: Values = field(default_factory=dict)
    performance: PerformanceRecord | None = None
    camera_sha256: str = ""
    plate_source: str = ""

    @property
    def is_lit(self) -> bool:
        """Whether another renderer lit the performer."""
        return bool(_AskedOfRender.parse(self.settings).lit)

    @property
    def is_driven(self) -> bool:
        """Whether another shot's performer acts."""
        return bool(_AskedOfRender.parse(self.settings).drive)

    @property
    def mix(self) -> str:
        """How much of the edit shows, as it was asked for."""
        return str(_AskedOfRender.parse(self.settings).mix)


@dataclass(frozen=True, kw_only=True)
class AppliedRecord(Record):
    """applied.json of a take that was copied from another shot.

    Attributes:
        created: when it was copied.
        shot: the id of the shot it comes from.
        digest: of all that was copied, so that the same is not edited twice.
        before: the take's edit at that time, 0 for none.
    """

    created: str
    shot: str
    digest: str
    before: int = 0


# What the first schema kept among the options, though nobody had asked for it.
_OLD_INPUTS: Mapping[str, tuple[str, ...]] = {
    "reconstruct": ("track",),
    "edit": ("avatar", "under", "state"),
    "correct": ("base", "time"),
    "import": ("base", "time"),
}


@dataclass(frozen=True)
class _FirstJob(Data):
    kind: object = None
    options: object = None


def _job_with_inputs(content: dict[str, object]) -> dict[str, object]:
    old = _FirstJob.parse(content)
    options = old.options
    if not isinstance(options, Mapping):
        return content
    names = _OLD_INPUTS.get(str(old.kind), ())
    asked = {key: value for key, value in options.items() if key not in names}
    return content | {
        "options": asked,
        "inputs": {key: options[key] for key in names if key in options},
    }


@dataclass(frozen=True, kw_only=True)
class JobRecord(Record):
    """job.json.

    Attributes:
        options: what was asked.
        inputs: what identifies the run besides: versions and digests of what it works on. A job
            goes on only where both are the same.
        state: how it stands; a job that was killed says "running" still.
        resumed: how often it was taken up again.
        message, code, place, remedy: why it failed.
        result: what it made.
    """

    SCHEMA: ClassVar[int] = 2
    MIGRATIONS: ClassVar = {1: _job_with_inputs}

    id: str
    kind: str
    options: Values
    inputs: Mapping[str, object] = field(default_factory=dict)
    state: JobState
    started: str
    updated: str = ""
    finished: str = ""
    resumed: int = 0
    message: str = ""
    code: str = ""
    place: str = ""
    remedy: str = ""
    result: Mapping[str, object] = field(default_factory=dict)

    @property
    def unfinished(self) -> bool:
        """Whether it can be resumed."""
        return self.state not in ("done", "outdated")
