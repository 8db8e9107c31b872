# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The quality job: what a supervisor looks for in a rendered take, measured against its plate."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from ...errors import QualityError, ShotError
from ...footage.crop import crop
from ...footage.exr import exr_attributes, read_exr
from ...footage.image import read_image
from ...footage.optical_flow import carried, dense_flow, trusted
from ...footage.plate import Plate
from ...footage.plate_files import write_plate
from ...frames import parse_frame_list, runs_of
from ...images import to_codes, to_grey
from ...job_results import QualityResult
from ...renders import Render, render_of
from ...settings import option
from ...shot import Shot
from ...tracking.face_reading import FaceReader, face_difference
from ..data.acting import FILE as ACTING_FILE
from ..data.crops import load_matte
from ..data.shots import Track, plate_of
from ..run.job_context import running
from ..run.progress import Reporter, Stage
from .before_and_after import before_and_after, read_drawn
from .quality_sheet import Measure, Sheet, Thumbnail, write_sheet

_SHOWN = 6
_LARGEST = 384
_PERFORMER = 128
_ROUNDING = 2
# What expression is measured by, which acting is meant to change.
_ACTED = ("mouth", "lids", "gaze")


@dataclass(frozen=True)
class QualityOptions:
    """What is measured, and how much of each is too much."""

    take: str = option("", "The rendered take")
    frames: str = option("", "Frames as 1001-1250 or 1-9x2, all that are rendered by default")
    version: int | None = option(
        None, "The version of the render, the one rendered last by default", minimum=0
    )
    strict: bool = option(False, "Fail, once the sheet is written, if any limit is exceeded")
    flicker: float = option(
        2.0,
        "Most flicker along the plate's motion, beyond the plate's own",
        unit="grey levels",
        minimum=0,
    )
    identity: float = option(
        6.0, "Most change of the face's shape", unit="% of the eye distance", minimum=0
    )
    mouth: float = option(
        5.0, "Most change of the mouth's opening", unit="% of the eye distance", minimum=0
    )
    lids: float = option(
        3.0, "Most change of the lids' opening", unit="% of the eye distance", minimum=0
    )
    gaze: float = option(10.0, "Most change of the gaze", unit="% of the eye's width", minimum=0)
    seam: float = option(16.0, "Greatest step where the edit begins", unit="grey levels", minimum=0)
    outside: float = option(
        0.0, "Most pixels that differ beyond what was edited", unit="pixels", minimum=0
    )
    invented: float = option(
        2.0,
        "Most of the picture that no frame of the plate shows",
        unit="% of the picture",
        minimum=0,
    )


_MEASURES = {
    "flicker": ("Flicker", "grey levels along the plate's motion, beyond the plate's own"),
    "identity": ("Identity", "change of the face's shape, % of the eye distance"),
    "mouth": ("Mouth", "change of its opening, % of the eye distance"),
    "lids": ("Lids", "change of their opening, % of the eye distance"),
    "gaze": ("Gaze", "change, % of the eye's width"),
    "seam": ("Seam", "step where the edit begins, grey levels"),
    "outside": ("Untouched pixels", "pixels that differ beyond what was edited"),
    "invented": ("Never seen", "% of the picture that no frame of the plate shows"),
}


@dataclass(frozen=True)
class FrameMeasures:
    """What was measured in a frame, as `_MEASURES` has it; None where that cannot be."""

    flicker: float | None = None
    identity: float | None = None
    mouth: float | None = None
    lids: float | None = None
    gaze: float | None = None
    seam: float | None = None
    outside: float | None = None
    invented: float | None = None

    def of(self, name: str) -> float | None:
        """One of the measures."""
        value: float | None = getattr(self, name)
        return value


def quality(shot: Shot, options: QualityOptions, reporter: Reporter) -> QualityResult:
    """Measures a rendered take, and writes a sheet of it beside its frames: one HTML file.

    Raises:
        ShotError: if nothing is rendered.
        QualityError: if a limit is exceeded, or frames that were named are not rendered, and that
            was to fail; the sheet is written.
    """
    take = options.take
    render = render_of(shot.take_folder(take), options.version)
    rendered = render.exr_frames()
    edit = render.record.edit if render.record else shot.take(take).edit
    record = shot.edit_record(take, edit) if edit is not None else None
    made_on = render.record.track if render.record else 0
    avatar = shot.avatar_record(record.avatar if record else None)
    track = Track(shot, made_on or avatar.track)
    asked = parse_frame_list(options.frames, track.frames)
    frames = [frame for frame in asked if frame in rendered]
    missing = [frame for frame in asked if frame not in rendered]
    if not frames:
        raise ShotError("none of the frames is rendered", render.folder, "render them first")
    with (
        running(shot, "qc", asdict(options), f"qc:{take}", reporter) as job,
        closing(plate_of(shot)) as plate,
    ):
        acts = (shot.path / "takes" / take / ACTING_FILE).exists()
        measured = _Measured(shot, take, render, track, avatar.size, plate, acts)
        stage = Stage(reporter, "quality", len(frames))
        rows: dict[int, FrameMeasures] = {}
        for count, (frame, row) in enumerate(measured.rows(frames), 1):
            rows[frame] = row
            stage.step(count)
        limits = {name: float(getattr(options, name)) for name in _MEASURES}
        if acts:
            reporter.note("The take acts: mouth, lids and gaze are meant to differ.")
            limits = {name: limit for name, limit in limits.items() if name not in _ACTED}
        exceeded = _exceeded(rows, limits)
        first = _first(rows, limits)
        unmeasured = tuple(_unmeasured(rows, missing))
        for note in unmeasured:
            reporter.note(note)
        sheet = Sheet(
            title=f"{shot.path.name}, take {take}, render {render.name}",
            measures=tuple(
                Measure(*_MEASURES[name], limits.get(name), {f: rows[f].of(name) for f in rows})
                for name in _MEASURES
            ),
            thumbnails=tuple(measured.thumbnails(first)),
            notes=(*unmeasured, *_notes(render, acts)),
            record=measured.record(record.to_json() if record else {}, rendered[frames[0]]),
        )
        path = render.folder / "qc.html"
        write_sheet(path, sheet)
        result = QualityResult(
            take=take,
            version=render.version,
            frames=len(frames),
            sheet=str(path),
            exceeded={name: runs_of(numbers) for name, numbers in exceeded.items()},
            first=tuple(first),
        )
        for name, numbers in exceeded.items():
            reporter.note(f"{_MEASURES[name][0]} is beyond its limit in frames {runs_of(numbers)}.")
        if options.strict and options.frames and missing:
            raise QualityError(
                f"frames {runs_of(missing)} are not rendered, and not measured", path, "render them"
            )
        if options.strict and exceeded:
            told = ", ".join(_MEASURES[name][0].lower() for name in exceeded)
            raise QualityError(f"beyond their limits: {told}", path, "look at the sheet")
        job.finish(result.told())
    return result


class _Measured:
    """The measures of frames, one after the other."""

    def __init__(
        self,
        shot: Shot,
        take: str,
        render: Render,
        track: Track,
        size: int,
        plate: Plate,
        acts: bool,
    ) -> None:
        self._shot, self._take, self._render, self._track = shot, take, render, track
        self._size, self._plate, self._acts = size, plate, acts
        self._full = render.full_plates()
        self._exr = render.exr_frames()
        self._faces = FaceReader()
        self._flow = dense_flow("medium")

    def rows(self, frames: Sequence[int]) -> Iterator[tuple[int, FrameMeasures]]:
        """Each frame, and what was measured in it; None where that cannot be."""
        last: tuple[int, np.ndarray, np.ndarray] | None = None
        for frame, image in self._plate.frames(frames, whole=True):
            window, over = self._pictures(frame, to_codes(image))
            flicker = None
            if last is not None and last[0] == frame - 1:
                flicker = self._flicker(frame, last[1:], (window, over))
            last = frame, window, over
            yield (
                frame,
                FrameMeasures(
                    **self._face(window, over),
                    flicker=flicker,
                    seam=_seam(window, over),
                    outside=self._outside(frame),
                    invented=self._invented(frame),
                ),
            )

    def _pictures(self, frame: int, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The window of the plate and of the take over it, uint8 (S, S, 3)."""
        track, size = self._track, self._size
        window, _ = crop(image, track.box(frame), size)
        drawn = read_drawn(self._render.frames, self._take, frame)
        if drawn.shape != window.shape:
            raise ShotError("the picture is of another size", self._exr[frame], "render it again")
        matte = load_matte(track, frame, size)
        pair = before_and_after(track, self._plate, frame, window, drawn, matte, self._acts)
        return window, np.ascontiguousarray(pair[:, size:])

    def _flicker(
        self, frame: int, last: tuple[np.ndarray, ...], now: tuple[np.ndarray, np.ndarray]
    ) -> float | None:
        """How much more the take changes along the plate's motion than the plate does."""
        grey = [to_grey(each) for each in (now[0], last[0])]
        there, back = self._flow(grey[0], grey[1]), self._flow(grey[1], grey[0])
        weight = trusted(there, back)
        weight *= load_matte(self._track, frame, self._size) > _PERFORMER
        if weight.sum() < 1:
            return None
        changes = []
        for before, after in zip(last, now, strict=True):
            moved = carried(before, there)
            apart = np.abs(moved.astype(np.float32) - after).mean(2)
            changes.append(float((apart * weight).sum() / weight.sum()))
        return max(changes[1] - changes[0], 0.0)

    def _face(self, window: np.ndarray, over: np.ndarray) -> dict[str, float | None]:
        plate, take = self._faces.read(window), self._faces.read(over)
        if plate is None or take is None:
            return {}
        return dict(asdict(face_difference(plate, take)))

    def _outside(self, frame: int) -> float | None:
        """Pixels of the full plate that differ from the plate beyond what the edit touched.

        Both are read as files of the same kind: what is compared are codes, not colours.
        """
        path = self._full.get(frame)
        if path is None or self._plate.pixel_aspect != 1:
            return None  # What is edited is square; what is stored may not be.
        with tempfile.TemporaryDirectory() as folder:
            plain = write_plate(Path(folder) / "plate", self._plate.read_native(frame), self._plate)
            codes = [read_image(each).pixels for each in (path, plain)]
        if codes[0].shape != codes[1].shape:
            raise ShotError("the full plate is of another size", path, "render it again")
        apart = (codes[0] != codes[1]).any(2)
        passes = read_exr(self._exr[frame])
        alpha = passes["Alpha"][..., 0]
        left, top = _place_of(self._exr[frame])
        if apart[top : top + alpha.shape[0], left : left + alpha.shape[1]].shape != alpha.shape:
            raise ShotError("the frame lies beyond its plate", self._exr[frame], "render it again")
        apart[top : top + alpha.shape[0], left : left + alpha.shape[1]] &= alpha <= 0
        return float(apart.sum())

    def _invented(self, frame: int) -> float | None:
        """The share of the picture that was made up; what lies on its plate shows what it shows."""
        if not self._acts:
            return 0.0
        layer = read_exr(self._exr[frame]).get("Invented")
        if layer is None:
            return 0.0
        return 100 * float(layer.sum()) / (self._plate.width * self._plate.height)

    def thumbnails(self, frames: Sequence[int]) -> Iterator[Thumbnail]:
        """Frames as plate, take and difference, side by side."""
        for frame in frames:
            window, over = self._pictures(frame, self._plate.read_uint8(frame))
            apart = cv2.absdiff(window, over).astype(np.float32) * 4
            row = np.hstack([window, over, np.clip(apart, 0, 255).astype(np.uint8)])
            side = min(self._size, _LARGEST)
            yield Thumbnail(frame, cv2.resize(row, (3 * side, side), interpolation=cv2.INTER_AREA))

    def record(self, edit: Mapping[str, object], path: Path) -> Mapping[str, object]:
        """All that is known of how the frames were made."""
        facts = exr_attributes(path)
        made = {
            name.removeprefix("portraitgen:"): facts[name]
            for name in ("portraitgen:provenance", "portraitgen:touched")
            if name in facts
        }
        rendered = self._render.record.to_json() if self._render.record else {}
        return {"frame": made, "render": rendered, "edit": dict(edit)}


def _place_of(frame: Path) -> tuple[int, int]:
    """Where a frame lies on its plate, its left column and top row, as its header says.

    Raises:
        ShotError: if that is no place.
    """
    facts = exr_attributes(frame)
    try:
        left, top = (int(facts.get(f"portraitgen:{name}", 0)) for name in ("left", "top"))
    except ValueError:
        left = top = -1
    if left < 0 or top < 0:
        raise ShotError("the frame does not say where it lies", frame, "render it again")
    return left, top


def _seam(window: np.ndarray, over: np.ndarray) -> float | None:
    """The mean step to the untouched plate in the pixels where the edit begins."""
    apart = cv2.absdiff(window, over).max(2)
    # Less is rounding.
    touched = (apart > _ROUNDING).astype(np.uint8)
    if not touched.any() or touched.all():
        return None
    # What an edit leaves as it is within what it edits is no border.
    whole = cv2.morphologyEx(touched, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    inner = cv2.erode(whole, np.ones((3, 3), np.uint8), borderValue=1)
    ring = (whole > 0) & (inner == 0)
    return float(apart[ring].mean()) if ring.any() else None


def _exceeded(
    rows: Mapping[int, FrameMeasures], limits: Mapping[str, float]
) -> dict[str, list[int]]:
    """The frames in which each measure is beyond its limit, of those that are."""
    found = {
        name: [frame for frame, row in rows.items() if (row.of(name) or 0.0) > limit]
        for name, limit in limits.items()
    }
    return {name: numbers for name, numbers in found.items() if numbers}


def _first(rows: Mapping[int, FrameMeasures], limits: Mapping[str, float]) -> list[int]:
    """The frames to look at first: those nearest to a limit, or farthest beyond it."""

    def worst(row: FrameMeasures) -> float:
        values = ((row.of(name), limit) for name, limit in limits.items())
        return max((v / (limit or 1.0) for v, limit in values if v is not None), default=0.0)

    return sorted(rows, key=lambda frame: -worst(rows[frame]))[:_SHOWN]


def _unmeasured(rows: Mapping[int, FrameMeasures], missing: Sequence[int]) -> Iterator[str]:
    """What no limit can hold, since it was not measured."""
    if missing:
        yield f"Frames {runs_of(missing)} are not rendered, and not measured."
    faceless = [frame for frame, row in rows.items() if row.identity is None]
    if faceless:
        yield f"No face is found in plate or take in frames {runs_of(faceless)}."
    lone = [frame for frame in [*rows][1:] if rows[frame].flicker is None]
    if lone:
        yield (
            f"Flicker is not measured in frames {runs_of(lone)}: it is told between neighbouring"
            " frames that show the performer."
        )
    bare = [frame for frame, row in rows.items() if row.outside is None]
    if 0 < len(bare) < len(rows):
        yield f"Untouched pixels are not compared in frames {runs_of(bare)}: no full plates."
    elif bare:
        yield (
            "Untouched pixels are not compared: the render has no full plates, or the plate's"
            " pixels are not square."
        )


def _notes(render: Render, acts: bool) -> Iterator[str]:
    if acts:
        yield "The take acts: mouth, lids and gaze are meant to differ, and have no limit."
    else:
        yield (
            "The take lies on its plate in the plate's own pose, so that it shows no surface that"
            " its plate does not."
        )
    if not render.version:
        yield "The frames were rendered before renders had versions."
