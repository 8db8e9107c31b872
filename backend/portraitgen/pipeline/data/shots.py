# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a shot from a plate, opening what it refers to, and telling all about it."""

import dataclasses
import os
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...body.camera import Box, Camera
from ...body.motion import Motion
from ...errors import BodyError, OptionError, PortraitError, ShotError
from ...footage.crop import box_of
from ...footage.plate import Plate, open_plate
from ...footage.sequence import find_sequence
from ...images import read_grey
from ...locks import holders
from ...messages.shots import ShotInfo
from ...path_mapping import add_rule
from ...records import BodyModelRecord, PerformanceRecord, TrackRecord
from ...renders import render_of, renders_of
from ...settings import option, parse
from ...shot import Shot, relative_to
from ...storage import file_digest
from ...versions import read_version
from ..run.progress import Reporter

if TYPE_CHECKING:
    # Only what needs a body waits for torch.
    from ...body.model import BodyModel

# Of the frames that a render looks at together.
_KEPT_MATTES = 8
_RATE = re.compile(r" *[0-9]{1,9}(/[0-9]{1,9}|\.[0-9]{0,9})? *")


@dataclass(frozen=True)
class _PlateFacts:
    """What a user may say of a plate; records hold it."""

    first: int | None = option(None, "", minimum=-999_999_999, maximum=999_999_999)
    colour_space: str | None = None
    fps: str | None = None
    matrix: str | None = None
    range: str | None = None
    part: str | None = None
    layer: str | None = None
    deinterlace: bool = False


def create_shot(path: Path, footage: Path, facts: Mapping[str, Any]) -> Shot:
    """Makes a shot folder for a plate, or opens the one already made for it.

    Args:
        path: the shot folder.
        footage: a movie, an image sequence or a photo.
        facts: what the user says of the plate: first, colour_space, fps, matrix, range;
            and body_model, the path of a body-model file.

    Raises:
        FootageError: if the plate cannot be read.
        ShotError: if the folder is the shot of another plate.
    """
    facts = dict(facts)
    body_path = facts.pop("body_model", None)
    plate = open_plate(footage, **plate_options(facts))
    wanted = plate.record()
    if (Path(path) / "shot.json").exists():
        shot = Shot.open(path)
        known = replace(shot.record.footage, path=wanted.path)
        if known != wanted:
            raise ShotError(
                f"the folder is the shot of another plate, {shot.footage_path.name}",
                shot.path,
                "choose another folder, or leave --footage out",
            )
        # The same plate may lie elsewhere on this machine.
        add_rule(os.path.normpath(shot.footage_path), Path(plate.path).absolute())
        return shot
    from ...body.model import BodyModel

    body = BodyModel.load(Path(body_path) if body_path else None)
    used = BodyModelRecord(name=body.name, sha256=body.sha256)
    if body_path:
        used = replace(used, path=relative_to(path, Path(body_path)))
    # Told in one step: a shot that was made is opened as it is.
    return Shot.create(path, replace(wanted, path=relative_to(path, Path(plate.path))), used)


def plate_options(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a user says of a plate, as `open_plate` takes it.

    Raises:
        OptionError: if a value cannot be meant.
    """
    asked = parse(_PlateFacts, {name: _written(value) for name, value in facts.items()})
    options = {name: each for name, each in dataclasses.asdict(asked).items() if name in facts}
    if "fps" in options:
        options["fps"] = _rate(options["fps"])
    if str(options.get("matrix", "")).isdigit():
        options["matrix"] = f"bt{options['matrix']}"
    return options


def _written(value: object) -> object:
    return str(value) if isinstance(value, Fraction) else value


def _rate(text: object) -> Fraction:
    try:
        # No exponent: Fraction would write 1e999999999 out in full.
        if _RATE.fullmatch(str(text)):
            return Fraction(str(text)).limit_denominator(100_000)
    except (ValueError, ZeroDivisionError):
        pass
    raise OptionError(f"'{text}' is no frame rate", "fps", "write it as 25 or 24000/1001")


def plate_of(shot: Shot, reporter: Reporter | None = None) -> Plate:
    """The shot's plate, opened.

    Args:
        reporter: told what reading its frames shows besides, such as damage.

    Raises:
        FootageError: if it is gone, cannot be read or is not the one the shot was made from.
    """
    plate = Plate.reopen(shot.record.footage, shot.footage_path)
    if reporter is not None:
        plate.on_note = reporter.note
    return plate


def pictures_of_plate(shot: Shot, plate: Plate) -> list[Path]:
    """The files of a plate that is a sequence and named by a pattern, or by one of its pictures;
    none of a movie, and none of a folder, which is all of it."""
    path = shot.footage_path
    if plate.kind != "sequence" or path.is_dir():
        return []
    return list(find_sequence(path).files.values())


def body_of(shot: Shot) -> "BodyModel":
    """The shot's body model.

    Raises:
        BodyError: if the file is gone or is another one.
    """
    from ...body.model import BodyModel
    from ...body.registration import completed

    record = shot.record.body_model
    path = shot.path / record.path if record.path else None
    body = BodyModel.load(path)
    if record.sha256 and body.sha256 != record.sha256:
        raise BodyError(
            "the file is not the body model this shot was tracked with",
            path or body.name,
            "give the original file back or make a new shot",
        )
    return completed(body)


class Track:
    """One version of a shot's track, read from disk.

    Attributes:
        version: its number.
        folder: where it lies.
        record: track.json.
        motion, camera: the performer's motion and the plate's camera.
    """

    def __init__(self, shot: Shot, version: int | None = None) -> None:
        self.folder = shot.version_folder("track", version)
        self.version = int(self.folder.name)
        self.record, self.motion = read_version(self.folder, _load_track)
        self.camera = Camera.of(self.record.camera)
        self._boxes = {frame: Box(*box) for frame, box in self.record.window.boxes.items()}
        self._mattes: OrderedDict[int, np.ndarray] = OrderedDict()
        self._states = {each.frame: each.state for each in self.record.quality}

    @property
    def frames(self) -> range:
        """From the first to the last frame of the track."""
        return range(int(self.motion.frames[0]), int(self.motion.frames[-1]) + 1)

    def tracked(self, frames: Iterable[int]) -> list[int]:
        """Those of some frames in which the performer was seen, however well it was followed."""
        return [frame for frame in frames if self._states.get(frame) in ("tracked", "weak")]

    @property
    def window(self) -> str:
        """What the windows hold: "fixed", "follow" or "whole", as they were asked for."""
        return self.record.window.mode

    def box(self, frame: int) -> Box:
        """The portrait window of a frame, in plate pixels."""
        return box_of(self._boxes, frame)

    def matte_path(self, frame: int) -> Path:
        """Where the matte of a frame's window lies; mattes are kept by the solve they came from."""
        folder = self.folder.parent / f"{self.record.mattes:04d}" / "mattes"
        return folder / f"matte.{frame:04d}.png"

    def matte(self, frame: int) -> np.ndarray:
        """The matte of a frame's window, uint8 (S, S); the latest few are read from disk once.

        Raises:
            ShotError: if it is missing or damaged.
        """
        matte = self._mattes.get(frame)
        if matte is None:
            path = self.matte_path(frame)
            read = read_grey(path)
            if read is None:
                raise ShotError("the matte is missing or damaged", path, "track the shot again")
            self._mattes[frame] = matte = read
            while len(self._mattes) > _KEPT_MATTES:
                self._mattes.popitem(last=False)
        return matte

    def digest(self) -> str:
        """A mark of the parameters, to notice that something was made from another track."""
        return file_digest(self.folder / "params.safetensors")


def performance_of(shot: Shot, track: Track) -> PerformanceRecord:
    """What is told where another performer acts what a track holds."""
    return PerformanceRecord(shot.path.name, shot.record.footage.digest, track.version)


def _load_track(folder: Path) -> tuple[TrackRecord, Motion]:
    return TrackRecord.read(folder / "track.json"), Motion.load(folder / "params.safetensors")


def info(shot: Shot) -> ShotInfo:
    """All about a shot."""
    record = shot.record
    problems: list[str] = []
    return ShotInfo(
        path=str(shot.path),
        id=record.id,
        schema=record.SCHEMA,
        created=record.created,
        footage=record.footage.to_json() | {"found": shot.footage_path.exists()},
        body_model=record.body_model.to_json(),
        track=_whole(problems, "track", lambda: _track_info(shot)),
        avatar=_whole(problems, "avatar", lambda: _avatar_info(shot)),
        takes=tuple(_take_info(shot, name) for name in shot.takes()),
        unfinished_jobs=tuple(
            {
                "id": job.record.id,
                "kind": job.record.kind,
                "state": job.record.state,
                "started": job.record.started,
                "message": job.record.message,
            }
            for job in shot.jobs()
            if job.record.unfinished
        ),
        holders=tuple(each.to_json() for each in holders(shot.path / "locks")),
        problems=(*problems, *shot.damaged_takes().values()),
    )


def _whole(
    problems: list[str], what: str, read: Callable[[], Mapping[str, object] | None]
) -> Mapping[str, object] | None:
    """A part of what is told; one that is damaged is a problem, and costs no other part."""
    try:
        return read()
    except PortraitError as error:
        problems.append(f"{what}: {error}")
        return None


def _track_info(shot: Shot) -> Mapping[str, object] | None:
    versions = shot.versions("track")
    if not versions:
        return None
    track = Track(shot)
    return {
        "version": track.version,
        "versions": versions,
        "first": track.frames[0],
        "last": track.frames[-1],
        "focal_px": track.camera.fx,
        "source": track.record.source,
        "created": track.record.created,
        **track.record.summary.to_json(),
    }


def _avatar_info(shot: Shot) -> Mapping[str, object] | None:
    versions = shot.versions("avatar")
    if not versions:
        return None
    record = shot.avatar_record()
    return {
        "version": versions[-1],
        "versions": versions,
        "track": record.track,
        "track_has_changed": record.track not in shot.versions("track")[-1:],
        "pivots": list(record.pivots),
        **shot.avatar_metrics().figures(),
    }


def _take_info(shot: Shot, name: str) -> Mapping[str, object]:
    record = shot.take(name)
    versions = renders_of(shot.path / "takes" / name)
    last = render_of(shot.path / "takes" / name) if versions else None
    frames = list(last.exr_frames()) if last else []
    return {
        "name": name,
        "created": record.created,
        "editor": record.editor,
        "edit": record.edit,
        "avatar": record.avatar,
        "settings": dict(record.settings),
        "renders": [each.version for each in versions],
        "last_render": last.version if last else None,
        "rendered_frames": len(frames),
        "first_rendered": frames[0] if frames else None,
        "last_rendered": frames[-1] if frames else None,
    }
