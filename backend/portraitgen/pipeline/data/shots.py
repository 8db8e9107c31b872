# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a shot from a plate, opening what it refers to, and telling all about it."""

import hashlib
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from ...body.camera import Box, Camera
from ...body.model import BodyModel
from ...body.motion import Motion
from ...errors import BodyError, OptionError, ShotError
from ...footage.crop import box_of
from ...footage.plate import Plate, open_plate
from ...locks import holders
from ...shot import Shot
from ...storage import read_json


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
    wanted = plate.to_json()
    if (Path(path) / "shot.json").exists():
        shot = Shot.open(path)
        known = {key: value for key, value in shot.facts["footage"].items() if key != "path"}
        wanted.pop("path", None)
        if known != wanted or shot.footage_path.resolve() != Path(plate.path).resolve():
            raise ShotError(
                f"the folder is the shot of another plate, {shot.footage_path.name}",
                shot.path,
                "choose another folder, or leave --footage out",
            )
        return shot
    body = BodyModel.load(Path(body_path) if body_path else None)
    made = Shot.create(path, wanted, {"path": None, "name": body.name, "sha256": body.sha256})
    made.update(footage=wanted | {"path": made.relative(Path(plate.path))})
    if body_path:
        made.update(body_model=made.facts["body_model"] | {"path": made.relative(Path(body_path))})
    return made


def plate_options(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a user says of a plate, as `open_plate` takes it.

    Raises:
        OptionError: if a value cannot be meant.
    """
    options = dict(facts)
    if "fps" in options:
        options["fps"] = _rate(options["fps"])
    if str(options.get("matrix", "")).isdigit():
        options["matrix"] = f"bt{options['matrix']}"
    return options


def _rate(text: object) -> Fraction:
    try:
        return Fraction(str(text)).limit_denominator(100_000)
    except (ValueError, ZeroDivisionError):
        raise OptionError(
            f"'{text}' is no frame rate", "fps", "write it as 25 or 24000/1001"
        ) from None


def plate_of(shot: Shot) -> Plate:
    """The shot's plate, opened.

    Raises:
        FootageError: if it is gone, cannot be read or is not the one the shot was made from.
    """
    return Plate.from_json(shot.facts["footage"] | {"path": str(shot.footage_path)})


def body_of(shot: Shot) -> BodyModel:
    """The shot's body model.

    Raises:
        BodyError: if the file is gone or is another one.
    """
    facts = shot.facts["body_model"]
    path = shot.path / facts["path"] if facts["path"] else None
    body = BodyModel.load(path)
    if facts.get("sha256") and body.sha256 != facts["sha256"]:
        raise BodyError(
            "the file is not the body model this shot was tracked with",
            path or body.name,
            "give the original file back or make a new shot",
        )
    return body


class Track:
    """One version of a shot's track, read from disk.

    Attributes:
        version: its number.
        folder: where it lies.
        facts: track.json.
        motion, camera: the performer's motion and the plate's camera.
    """

    def __init__(self, shot: Shot, version: int | None = None) -> None:
        self.folder = shot.version_folder("track", version)
        self.version = int(self.folder.name)
        self.facts = read_json(self.folder / "track.json")
        self.motion = Motion.load(self.folder / "params.safetensors")
        try:
            self.camera = Camera.from_json(self.facts["camera"])
            boxes = self.facts["window"]["boxes"]
            self._boxes = {int(frame): Box(*box) for frame, box in boxes.items()}
        except (KeyError, TypeError, ValueError) as error:
            raise ShotError(
                f"the track's facts are damaged ({error})",
                self.folder / "track.json",
                "track the shot again",
            ) from error

    @property
    def frames(self) -> range:
        """From the first to the last frame of the track."""
        return range(int(self.motion.frames[0]), int(self.motion.frames[-1]) + 1)

    def tracked(self, frames: Iterable[int]) -> list[int]:
        """Those of some frames in which the performer was seen."""
        states = {row["frame"]: row["state"] for row in self.facts["quality"]}
        return [frame for frame in frames if states.get(frame) == "tracked"]

    @property
    def window(self) -> str:
        """What the windows hold: "fixed", "follow" or "whole", as they were asked for."""
        return str(self.facts["window"]["mode"])

    def box(self, frame: int) -> Box:
        """The portrait window of a frame, in plate pixels."""
        return box_of(self._boxes, frame)

    def matte_path(self, frame: int) -> Path:
        """Where the matte of a frame's window lies; mattes are kept by the solve they came from."""
        folder = self.folder.parent / f"{self.facts['mattes']:04d}" / "mattes"
        return folder / f"matte.{frame:04d}.png"

    def digest(self) -> str:
        """A mark of the parameters, to notice that something was made from another track."""
        return hashlib.sha256((self.folder / "params.safetensors").read_bytes()).hexdigest()


def info(shot: Shot) -> dict[str, Any]:
    """All about a shot, as JSON-ready data."""
    return {
        "path": str(shot.path),
        "id": shot.facts["id"],
        "schema": shot.facts["schema"],
        "created": shot.facts["created"],
        "footage": shot.facts["footage"] | {"found": shot.footage_path.exists()},
        "body_model": shot.facts["body_model"],
        "track": _track_info(shot),
        "avatar": _avatar_info(shot),
        "takes": [_take_info(shot, name) for name in shot.takes()],
        "unfinished_jobs": [
            {key: job.facts.get(key) for key in ("id", "kind", "state", "started", "message")}
            for job in shot.jobs()
            if job.facts["state"] != "done"
        ],
        "holders": holders(shot.path / "locks"),
    }


def _track_info(shot: Shot) -> dict[str, Any] | None:
    versions = shot.versions("track")
    if not versions:
        return None
    track = Track(shot)
    facts = {key: track.facts.get(key) for key in ("source", "created", "summary")}
    summary = facts.pop("summary") or {}
    return {
        "version": track.version,
        "versions": versions,
        "first": track.frames[0],
        "last": track.frames[-1],
        "focal_px": track.camera.fx,
        **facts,
        **summary,
    }


def _avatar_info(shot: Shot) -> dict[str, Any] | None:
    versions = shot.versions("avatar")
    if not versions:
        return None
    folder = shot.version_folder("avatar")
    facts = read_json(folder / "avatar.json")
    metrics = read_json(folder / "metrics.json")
    latest = shot.versions("track")[-1]
    return {
        "version": versions[-1],
        "versions": versions,
        "track": facts.get("track"),
        "track_has_changed": facts.get("track") != latest,
        "pivots": facts.get("pivots", []),
        # The curve is for plots.
        **{name: value for name, value in metrics.items() if name != "curve"},
    }


def _take_info(shot: Shot, name: str) -> dict[str, Any]:
    folder = shot.path / "takes" / name
    facts = read_json(folder / "take.json")
    frames = sorted(
        int(path.name.split(".")[-2]) for path in (folder / "frames").glob(f"{name}.*.exr")
    )
    keys = ("created", "editor", "options", "strength", "edit", "avatar")
    return {
        "name": name,
        **{key: facts.get(key) for key in keys},
        "rendered_frames": len(frames),
        "first_rendered": frames[0] if frames else None,
        "last_rendered": frames[-1] if frames else None,
    }
