# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender asks the worker, what the worker answers, and what it tells by itself.

Standard library only; both sides import this same module. Each request is a `Call` with its
parameters as fields, and names the type of its answer; each `Told` is a notification. Both sides
parse what they receive into these before they use it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Literal, TypeVar

from .errors import PortraitError
from .schema import Data, Values
from .settings import OptionDescription

Answer = TypeVar("Answer", bound=Data, covariant=True)


class Call(Data, Generic[Answer]):
    """A request's parameters. Subclasses are frozen dataclasses."""

    METHOD: ClassVar[str]
    ANSWER: ClassVar[type[Data]]


class Told(Data):
    """A notification's parameters. Subclasses are frozen dataclasses."""

    METHOD: ClassVar[str]


@dataclass(frozen=True)
class Nothing(Data):
    """An answer that holds nothing."""


@dataclass(frozen=True)
class ErrorData(Data):
    """A failure, whole: what panels decide by, and what people read.

    Attributes:
        code: which kind of error it is, as in `errors`.
        message, place, remedy: as `PortraitError` has them.
    """

    code: str
    message: str
    place: str = ""
    remedy: str = ""

    @classmethod
    def of(cls, error: PortraitError) -> "ErrorData":
        """An error's data."""
        return cls(error.code, error.message, error.place, error.remedy)

    def error(self) -> PortraitError:
        """The error again."""
        error = PortraitError(self.message, self.place, self.remedy)
        error.code = self.code
        return error


# The set-up


@dataclass(frozen=True)
class HelloAnswer(Data):
    """What runs on the other side."""

    protocol: int
    version: str
    python: str
    device: str
    pid: int


@dataclass(frozen=True)
class Hello(Call[HelloAnswer]):
    """The first request; a worker of another protocol refuses it."""

    METHOD: ClassVar[str] = "hello"
    ANSWER: ClassVar[type[Data]] = HelloAnswer
    protocol: int
    version: str = ""


@dataclass(frozen=True)
class EditorDescription(Data):
    """An editor as panels know it; the fields are those of `editing.editor.EditorInfo`."""

    id: str
    label: str
    description: str
    needs: tuple[str, ...] = ()
    licence: str = ""
    commercial: bool = True
    memory_gb: float = 0.0
    starts_from_render: bool = False
    lies_on_plate: bool = False
    keeps_grain: bool = False
    edits_frames: bool = False
    options: tuple[OptionDescription, ...] = ()


@dataclass(frozen=True)
class Description(Data):
    """What panels draw.

    Attributes:
        editors: all there are.
        settings: each job's options.
        memory_gb: each job's peak with its default options.
    """

    editors: tuple[EditorDescription, ...] = ()
    settings: Mapping[str, tuple[OptionDescription, ...]] = field(default_factory=dict)
    memory_gb: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Describe(Call[Description]):
    """Asks for what panels draw."""

    METHOD: ClassVar[str] = "describe"
    ANSWER: ClassVar[type[Data]] = Description


@dataclass(frozen=True)
class CheckRow(Data):
    """A part of the set-up.

    Attributes:
        state: "ok", "missing" or "limited".
        code: "environment" where creating the environment again mends it.
    """

    name: str
    state: str
    message: str
    remedy: str = ""
    code: str = ""


@dataclass(frozen=True)
class Checked(Data):
    """The set-up, part by part."""

    rows: tuple[CheckRow, ...]


@dataclass(frozen=True)
class Check(Call[Checked]):
    """Asks what of the set-up works."""

    METHOD: ClassVar[str] = "check"
    ANSWER: ClassVar[type[Data]] = Checked


@dataclass(frozen=True)
class SelfTestRow(Data):
    """A part of the self-test.

    Attributes:
        state: "ok", "limited", "failed" or "left out".
        seconds: that it took; memory_gb: that it held of the card.
        figures: measured, by name.
    """

    name: str
    state: str
    message: str
    seconds: float = 0.0
    memory_gb: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SelfTested(Data):
    """The self-test, part by part, and where its report lies."""

    rows: tuple[SelfTestRow, ...]
    report: str


@dataclass(frozen=True)
class RunSelfTest(Call[SelfTested]):
    """Asks for everything to be tried on this machine; takes up to three minutes."""

    METHOD: ClassVar[str] = "selftest"
    ANSWER: ClassVar[type[Data]] = SelfTested


@dataclass(frozen=True)
class ModelRow(Data):
    """A model of the manifest, and where it stands on this machine.

    Attributes:
        path: None if it is not here.
        state: "missing", "incomplete", "damaged", "present" (whole by its layout; digests not
            read), "ok" (sizes and digests agree) or "unverified" (no digest is known).
    """

    name: str
    label: str
    editors: tuple[str, ...]
    licence: str
    licence_url: str
    commercial: bool
    approximate_gb: float | None
    path: str | None = None
    bytes: int = 0
    state: str = "missing"
    message: str = ""

    @property
    def whole(self) -> bool:
        """Whether it can be used."""
        return self.state in ("present", "ok", "unverified")


@dataclass(frozen=True)
class ModelList(Data):
    """The models, and the folder where they lie."""

    folder: str
    rows: tuple[ModelRow, ...]


@dataclass(frozen=True)
class ListModels(Call[ModelList]):
    """Asks for the models."""

    METHOD: ClassVar[str] = "models.list"
    ANSWER: ClassVar[type[Data]] = ModelList


# Shots and tracks


@dataclass(frozen=True)
class ShotInfo(Data):
    """What `portraitgen info --json` prints."""

    path: str
    id: str
    schema: int
    created: str
    footage: Mapping[str, object]
    body_model: Mapping[str, object]
    track: Mapping[str, object] | None
    avatar: Mapping[str, object] | None
    takes: tuple[Mapping[str, object], ...]
    unfinished_jobs: tuple[Mapping[str, object], ...]
    holders: tuple[Mapping[str, object], ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class CreateShot(Call[ShotInfo]):
    """Makes a shot of a plate, or opens the one already made for it.

    Attributes:
        shot: the folder; footage: the plate; body_model: a file.
        colour_space, fps, first, matrix, range, part, layer, deinterlace: what the user says of
            the plate.
    """

    METHOD: ClassVar[str] = "shot.create"
    ANSWER: ClassVar[type[Data]] = ShotInfo
    shot: str
    footage: str
    body_model: str | None = None
    colour_space: str | None = None
    fps: str | None = None
    first: int | None = None
    matrix: str | None = None
    range: str | None = None
    part: str | None = None
    layer: str | None = None
    deinterlace: bool = False


@dataclass(frozen=True)
class PlateFacts(Data):
    """How a plate would be read: what `portraitgen probe --json` prints of it.

    Attributes:
        fps, pixel_aspect: as fractions, such as 24000/1001.
        width, height: as stored, upright.
        notes: what is assumed, repeated, left out or damaged.
    """

    kind: str
    first: int
    last: int
    frames: int
    fps: str
    width: int
    height: int
    bit_depth: int
    colour_space: str
    pixel_aspect: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProbePlate(Call[PlateFacts]):
    """Asks how a plate would be read, before a shot is made of it.

    Attributes:
        footage: the plate; the others say of it what the user does, as for `CreateShot`.
    """

    METHOD: ClassVar[str] = "plate.probe"
    ANSWER: ClassVar[type[Data]] = PlateFacts
    footage: str
    colour_space: str | None = None
    fps: str | None = None


@dataclass(frozen=True)
class PlatePart(Data):
    """The frames between two cuts of a plate, and the shot that was made of them.

    Attributes:
        shot: the folder, None where no shot was made since no face is seen; shot_id: its id.
    """

    first: int
    last: int
    shot: str | None = None
    shot_id: str | None = None


@dataclass(frozen=True)
class PlateSplit(Data):
    """The parts of a plate, in their order."""

    parts: tuple[PlatePart, ...]


@dataclass(frozen=True)
class SplitPlate(Call[PlateSplit]):
    """Makes a shot of each part of a plate that shows a face.

    Attributes:
        footage: the plate; folder: where the shots go.
        span: first and last frame of what is looked at, all by default.
        body_model, colour_space, fps: as for `CreateShot`.
    """

    METHOD: ClassVar[str] = "plate.split"
    ANSWER: ClassVar[type[Data]] = PlateSplit
    footage: str
    folder: str
    span: tuple[int, int] | None = None
    body_model: str | None = None
    colour_space: str | None = None
    fps: str | None = None


@dataclass(frozen=True)
class FacesFound(Data):
    """The faces in a frame: left, top, width and height each, in plate pixels."""

    frame: int
    faces: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class FindFaces(Call[FacesFound]):
    """Looks for the faces in a frame of a shot, to choose the performer among them.

    Attributes:
        frame: which; by default the one of some that shows the most.
    """

    METHOD: ClassVar[str] = "plate.faces"
    ANSWER: ClassVar[type[Data]] = FacesFound
    shot: str
    frame: int | None = None


@dataclass(frozen=True)
class InfoOfShot(Call[ShotInfo]):
    """Asks all about a shot."""

    METHOD: ClassVar[str] = "shot.info"
    ANSWER: ClassVar[type[Data]] = ShotInfo
    shot: str


@dataclass(frozen=True)
class PlateRelinked(Data):
    """Where a shot's plate lies now, absolute."""

    path: str


@dataclass(frozen=True)
class RelinkPlate(Call[PlateRelinked]):
    """Looks for a plate that was moved.

    Attributes:
        where: its file or a folder to look in; near its old place by default.
    """

    METHOD: ClassVar[str] = "plate.relink"
    ANSWER: ClassVar[type[Data]] = PlateRelinked
    shot: str
    where: str | None = None


@dataclass(frozen=True)
class RigExported(Data):
    """Where a rig's data lie."""

    path: str
    version: int
    frames: int


@dataclass(frozen=True)
class ExportRig(Call[RigExported]):
    """Asks for a track version, the latest by default, as a rig's data."""

    METHOD: ClassVar[str] = "rig.export"
    ANSWER: ClassVar[type[Data]] = RigExported
    shot: str
    version: int | None = None


@dataclass(frozen=True)
class CloudExported(Data):
    """Where an avatar's Gaussians lie; `neural` if a network finishes its pictures."""

    path: str
    gaussians: int
    version: int
    neural: bool


@dataclass(frozen=True)
class ExportCloud(Call[CloudExported]):
    """Asks for the Gaussians with the triangles that carry them, for Blender to pose."""

    METHOD: ClassVar[str] = "splats.cloud"
    ANSWER: ClassVar[type[Data]] = CloudExported
    shot: str
    take: str = ""
    version: int | None = None


@dataclass(frozen=True)
class SplatsExported(Data):
    """The files that were written, and what an artist should know of them."""

    files: tuple[str, ...]
    gaussians: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportSplats(Call[SplatsExported]):
    """Asks for PLY files; `world` is a JSON of the camera's places."""

    METHOD: ClassVar[str] = "splats.export"
    ANSWER: ClassVar[type[Data]] = SplatsExported
    shot: str
    path: str
    take: str = ""
    frames: str = ""
    version: int | None = None
    world: str | None = None


@dataclass(frozen=True)
class SplatsImported(Data):
    """The new version, None if nothing changed, and what became of the splats."""

    version: int | None
    changed: int
    erased: int
    unmatched: int
    by: str


@dataclass(frozen=True)
class ImportSplats(Call[SplatsImported]):
    """Takes retouched splats of a frame back."""

    METHOD: ClassVar[str] = "splats.import"
    ANSWER: ClassVar[type[Data]] = SplatsImported
    shot: str
    path: str
    frame: int
    take: str = ""
    version: int | None = None
    world: str | None = None


@dataclass(frozen=True)
class TrackPublished(Data):
    """A new track version, None if nothing changed, and how many frames did.

    Attributes:
        notes: what was assumed or left out.
    """

    version: int | None
    changed: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportTrack(Call[TrackPublished]):
    """Takes a track of another program in; the fields are those of `track_import.ImportOptions`."""

    METHOD: ClassVar[str] = "track.import"
    ANSWER: ClassVar[type[Data]] = TrackPublished
    shot: str
    path: str
    smplx_model: str = ""
    fps: float | None = None
    first: int | None = None
    focal: float | None = None
    hands: Literal["file", "flat", "mean"] = "file"
    head: Literal["keep", "file"] = "keep"


@dataclass(frozen=True)
class TrackExported(Data):
    """Where a track was written, and what others must know of it."""

    path: str
    version: int
    frames: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportTrack(Call[TrackExported]):
    """Writes a track for other programs; the file's ending says how."""

    METHOD: ClassVar[str] = "track.export"
    ANSWER: ClassVar[type[Data]] = TrackExported
    shot: str
    path: str
    version: int | None = None
    smplx_model: str = ""
    hands: Literal["flat", "mean"] = "flat"


@dataclass(frozen=True)
class PublishTrack(Call[TrackPublished]):
    """Makes a new version of what an artist changed.

    Attributes:
        base: the version it was changed from.
        path: a safetensors file of the changed motion.
        span: the first and last frame of a range in which the others follow.
    """

    METHOD: ClassVar[str] = "track.publish"
    ANSWER: ClassVar[type[Data]] = TrackPublished
    shot: str
    base: int
    path: str
    span: tuple[int, int] | None = None


@dataclass(frozen=True)
class PinnedPoint(Data):
    """A point of the body and the plate pixel where it belongs.

    Attributes:
        face: of the body's mesh; weights: the point's barycentric place on it.
        target: x and y in plate pixels.
    """

    face: int
    weights: tuple[float, float, float]
    target: tuple[float, float]


Rows = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class FramePose(Data):
    """A frame's place (3), joint turns (55, 3) and expression (E)."""

    transl: tuple[float, ...]
    pose: Rows
    expression: tuple[float, ...]


@dataclass(frozen=True)
class PinsSolved(Data):
    """The pose that honours pins, and how far each is missed, plate pixels."""

    transl: tuple[float, ...]
    pose: Rows
    expression: tuple[float, ...]
    error_px: tuple[float, ...]


@dataclass(frozen=True)
class SolvePins(Call[PinsSolved]):
    """Asks for the pose of a frame that honours pins.

    Attributes:
        start: where to begin, the track's own pose by default.
        fixed: joints and units, or "transl", that keep their values.
        resistance: how firmly a face that is well tracked stays where it is while pins elsewhere
            are dragged, 0..1.
    """

    METHOD: ClassVar[str] = "track.solve_pins"
    ANSWER: ClassVar[type[Data]] = PinsSolved
    shot: str
    version: int
    frame: int
    pins: tuple[PinnedPoint, ...]
    start: FramePose | None = None
    fixed: tuple[str, ...] = ()
    resistance: float = 1.0


# Takes


@dataclass(frozen=True)
class FrameTried(Data):
    """A frame that was edited alone.

    Attributes:
        path: the whole plate with the edit laid over it.
        plate: the plate as it is, of the same size.
        window: the part that is edited.
    """

    path: str
    plate: str
    window: str


@dataclass(frozen=True)
class TryFrame(Call[FrameTried]):
    """Edits one frame as a take with these settings would be: the edit job's options."""

    METHOD: ClassVar[str] = "preview.frame"
    ANSWER: ClassVar[type[Data]] = FrameTried
    shot: str
    frame: int
    settings: Values


@dataclass(frozen=True)
class LookRow(Data):
    """A look of the library.

    Attributes:
        path: its file; thumbnail: a PNG of its picture.
        error: why it cannot be used, empty if it can.
    """

    name: str
    path: str
    thumbnail: str = ""
    licence: str = ""
    commercial: bool = True
    made_of: str = ""
    pairs: int = 0
    held_out_db: float | None = None
    error: str = ""


@dataclass(frozen=True)
class LookList(Data):
    """The looks, and the folder where they are kept."""

    folder: str
    rows: tuple[LookRow, ...]


@dataclass(frozen=True)
class ListLooks(Call[LookList]):
    """Asks for the library's looks."""

    METHOD: ClassVar[str] = "looks.list"
    ANSWER: ClassVar[type[Data]] = LookList


@dataclass(frozen=True)
class LookShown(Data):
    """A picture of a frame with a look, and how long it took."""

    path: str
    frame: int
    milliseconds: float


@dataclass(frozen=True)
class ShowLook(Call[LookShown]):
    """Asks for one frame with a look at once: neither a take nor an avatar is needed.

    Attributes:
        options: the editor look's.
    """

    METHOD: ClassVar[str] = "looks.show"
    ANSWER: ClassVar[type[Data]] = LookShown
    shot: str
    frame: int
    options: Values
    strength: float = 1.0


@dataclass(frozen=True)
class PaintStarted(Data):
    """Where the picture to paint over lies, and whether it was just written."""

    path: str
    new: bool


@dataclass(frozen=True)
class StartPainting(Call[PaintStarted]):
    """Gives a frame out to be painted over; `mask` if the paint says where the take edits."""

    METHOD: ClassVar[str] = "paint.start"
    ANSWER: ClassVar[type[Data]] = PaintStarted
    shot: str
    take: str
    frame: int
    mask: bool = False


@dataclass(frozen=True)
class KeyKept(Data):
    """Where a kept key frame's picture lies, its frame, and whether it was just written."""

    path: str
    frame: int
    new: bool


@dataclass(frozen=True)
class KeepKey(Call[KeyKept]):
    """Keeps the key frame nearest to a frame."""

    METHOD: ClassVar[str] = "keys.keep"
    ANSWER: ClassVar[type[Data]] = KeyKept
    shot: str
    take: str
    frame: int


# Farms


@dataclass(frozen=True)
class FarmShot(Data):
    """A shot of a farm's job.

    Attributes:
        folder: the shot's.
        options: of stages, by their names; an edit's are the take's settings.
    """

    folder: str
    options: Mapping[str, Values]


@dataclass(frozen=True)
class BundleWritten(Data):
    """The files of a farm's job.

    Attributes:
        stages: those that are to run, of each shot.
    """

    files: tuple[str, ...]
    stages: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class WriteBundle(Call[BundleWritten]):
    """Writes a job for a render farm.

    Attributes:
        out: the folder for its files.
        flamenco: for Flamenco 3, else for Open Job Description.
        chunk: frames of one task.
        command: `portraitgen` as workers call it.
        quality: whether each take is measured at the end.
    """

    METHOD: ClassVar[str] = "farm.bundle"
    ANSWER: ClassVar[type[Data]] = BundleWritten
    shots: tuple[FarmShot, ...]
    take: str
    out: str
    flamenco: bool = False
    chunk: int = 16
    gpus: int = 0
    command: str = "portraitgen"
    quality: bool = False


# Jobs


@dataclass(frozen=True)
class JobStarted(Data):
    """The worker's name for a job that runs now."""

    job: str


@dataclass(frozen=True)
class StartJob(Call[JobStarted]):
    """Starts a job; options that are left out have their defaults."""

    METHOD: ClassVar[str] = "job.start"
    ANSWER: ClassVar[type[Data]] = JobStarted
    kind: str
    shot: str
    options: Values = field(default_factory=dict)


@dataclass(frozen=True)
class ResumeJob(Call[JobStarted]):
    """Goes on with a job of a shot's folder `jobs`, by its name there, with its own options."""

    METHOD: ClassVar[str] = "job.resume"
    ANSWER: ClassVar[type[Data]] = JobStarted
    shot: str
    record: str


@dataclass(frozen=True)
class CancelJob(Call[Nothing]):
    """Asks a job to stop."""

    METHOD: ClassVar[str] = "job.cancel"
    ANSWER: ClassVar[type[Data]] = Nothing
    job: str


@dataclass(frozen=True)
class Shutdown(Call[Nothing]):
    """Ends the worker."""

    METHOD: ClassVar[str] = "shutdown"
    ANSWER: ClassVar[type[Data]] = Nothing


CALLS: Mapping[str, type[Call[Data]]] = {
    call.METHOD: call
    for call in (
        *(
            Hello,
            Describe,
            Check,
            RunSelfTest,
            ListModels,
            CreateShot,
            RelinkPlate,
            InfoOfShot,
            ExportRig,
            PublishTrack,
            ImportTrack,
            ExportTrack,
        ),
        *(ProbePlate, SplitPlate, FindFaces, ExportCloud, ExportSplats, ImportSplats),
        *(ListLooks, ShowLook),
        *(SolvePins, TryFrame, StartPainting, KeepKey, WriteBundle),
        *(StartJob, ResumeJob, CancelJob, Shutdown),
    )
}
"""Every request by its method."""


# What the worker tells by itself


@dataclass(frozen=True)
class Heartbeat(Told):
    """The worker lives; told every `protocol.HEARTBEAT` seconds."""

    METHOD: ClassVar[str] = "heartbeat"


@dataclass(frozen=True)
class JobProgress(Told):
    """How far a job is.

    Attributes:
        stage, step, steps, eta_s: its stage, and the time that is left of that.
        share, left_s: of the whole job: what is done of it, 0..1, and the time that is left;
            None while nobody can tell.
    """

    METHOD: ClassVar[str] = "job.progress"
    job: str
    stage: str
    step: int
    steps: int
    eta_s: float | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    share: float = 0.0
    left_s: float | None = None


@dataclass(frozen=True)
class JobFrame(Told):
    """A frame of a take is on disk; `plate` is its full plate, if one was asked for."""

    METHOD: ClassVar[str] = "job.frame"
    job: str
    take: str
    frame: int
    path: str
    plate: str | None = None


@dataclass(frozen=True)
class JobPreview(Told):
    """A picture of the work so far."""

    METHOD: ClassVar[str] = "job.preview"
    job: str
    path: str


@dataclass(frozen=True)
class JobNote(Told):
    """Something the user should know."""

    METHOD: ClassVar[str] = "job.note"
    job: str
    text: str


@dataclass(frozen=True)
class JobDone(Told):
    """A job has ended; `result` is what it made."""

    METHOD: ClassVar[str] = "job.done"
    job: str
    result: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class JobFailed(Told):
    """A job has failed."""

    METHOD: ClassVar[str] = "job.failed"
    job: str
    error: ErrorData


@dataclass(frozen=True)
class JobCancelled(Told):
    """A job has stopped as it was asked to; it can be resumed."""

    METHOD: ClassVar[str] = "job.cancelled"
    job: str


NOTIFICATIONS: Mapping[str, type[Told]] = {
    told.METHOD: told
    for told in (
        *(Heartbeat, JobProgress, JobFrame, JobPreview, JobNote, JobDone, JobFailed, JobCancelled),
    )
}
"""Every notification by its method."""
