# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A take for other shots: its settings, look, paint, masks and acting, then each edited, once."""

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ...bounded_json import parse_json
from ...editing.editors.look import KEYED, Worn, shifted_keys
from ...editing.paint_layers import PaintedFrames
from ...editing.registry import create_editor
from ...errors import Cancelled, OptionError, PortraitError, ShotError
from ...failures import readable
from ...job_results import ApplyResult, EditResult
from ...records import AppliedRecord
from ...schema import Values
from ...settings import option, parse
from ...shot import Shot, now
from ...storage import file_digest, make_folder
from ...user_folders import user_path
from ..data.acting import FILE
from ..data.carried_take import Place, carry_acting, carry_painting
from ..data.key_frames import KeptKeys
from ..run.job_context import running, waiting_of
from ..run.progress import Reporter
from .edit import EditOptions, edit, editor_values

_RECORD = "applied.json"
# They mean this shot's frames and takes.
_OWN = ("frames", "base", "take")


@dataclass(frozen=True)
class ApplyOptions:
    """What goes where."""

    take: str = option("", "The take to copy")
    shots: str = option("[]", "The folders of the other shots, as a JSON list")


class _Prefixed(Reporter):
    """Tells which shot is edited."""

    def __init__(self, reporter: Reporter, prefix: str) -> None:
        super().__init__()
        self._reporter, self._prefix = reporter, prefix
        self.wait_s = reporter.wait_s

    def progress(
        self, stage: str, step: int, steps: int, eta_s: float | None, metrics: dict[str, float]
    ) -> None:
        self._reporter.progress(f"{self._prefix}: {stage}", step, steps, eta_s, metrics)

    def preview(self, path: Path) -> None:
        self._reporter.preview(path)

    def note(self, text: str) -> None:
        self._reporter.note(f"{self._prefix}: {text}")

    def check(self) -> None:
        self._reporter.check()


def apply_take(shot: Shot, options: ApplyOptions, reporter: Reporter) -> ApplyResult:
    """Copies a take to other shots and edits it there.

    A shot that cannot be edited is told of, and the others go on. What was edited by an earlier
    run of the same take is not edited again; what was cut off goes on.

    Raises:
        OptionError: if no shots are given; ShotError: if there is no such take, or every shot
        fails.
    """
    targets = _targets(shot, options.shots)
    settings = _settings(shot, options.take)
    source = Place.of(shot)
    edited: list[str] = []
    kept: list[str] = []
    failed: dict[str, PortraitError] = {}
    with running(shot, "apply", asdict(options), f"apply:{options.take}", reporter) as job:
        for count, path in enumerate(targets, 1):
            reporter.check()
            prefix = f"{path.name}, {count} of {len(targets)}"
            told = _Prefixed(reporter, prefix)
            try:
                done = _apply(source, Shot.open(path), options.take, settings, told)
                (edited if done else kept).append(str(path))
            except Cancelled:
                raise
            except (PortraitError, OSError) as error:
                # A disk of its own, what may not be read: the others can still be edited.
                failed[str(path)] = readable(error)
                reporter.note(f"{prefix}: {failed[str(path)]}")
        if not edited and not kept:
            raise next(iter(failed.values()))
        result = ApplyResult(options.take, tuple(edited), tuple(kept), tuple(failed))
        job.finish(result.told())
    return result


def _targets(shot: Shot, text: str) -> list[Path]:
    try:
        given = parse_json(text)
    except ValueError:
        given = None
    if not isinstance(given, list) or not all(isinstance(each, str) and each for each in given):
        raise OptionError("the shots are no list of folders", "shots", "give their folders")
    own, paths = os.path.realpath(shot.path), []
    for each in given:
        # No `resolve`, which ends in a fault of its own where links lead round in a circle.
        path = user_path(each).absolute()
        if os.path.realpath(path) != own and path not in paths:
            paths.append(path)
    if not paths:
        raise OptionError("there is no other shot to copy to", "shots", "give their folders")
    return paths


def _settings(shot: Shot, take: str) -> Values:
    record = shot.take(shot.take_folder(take).name)
    if record.base:
        raise ShotError(
            f"the take builds on '{record.base}'",
            take,
            "copy a take that builds on the plate",
        )
    if not record.editor:
        raise ShotError("the take was never edited", take, "edit it first")
    return {name: value for name, value in record.settings.items() if name not in _OWN}


def _apply(source: Place, shot: Shot, take: str, settings: Values, reporter: Reporter) -> bool:
    """Copies and edits in one shot; False if that was done before."""
    take = shot.take_name(take)
    shot.version_folder("avatar")
    folder = shot.path / "takes" / take
    digest = _digest(source, take, settings, shot)
    target = Place.of(shot)
    options = parse(EditOptions, {**settings, "take": take})
    options = replace(options, editor_options=_for_frames_of(target, source, options))
    # Nothing is laid under an edit that runs, and none ends while it is asked what was edited.
    with shot.hold(f"take:{take}", "apply", None, waiting_of(reporter)):
        record = _applied(folder)
        current = _edit_of(shot, take)
        if record is not None and record.digest == digest:
            if made := _edit_since(shot, take, record.before, current, options):
                reporter.note("It was edited before.")
                _finish(shot, take, made)
                return False
        elif record is None and current:
            reporter.note(
                f"It has a take '{take}' of its own, whose edit {current} is kept beside the new"
                " one."
            )
        make_folder(folder)
        if record is None or record.digest != digest:
            AppliedRecord(
                created=now(), shot=source.shot.record.id, digest=digest, before=current
            ).write(folder / _RECORD)
        for kind in ("paint", "mask"):
            carry_painting(source, target, take, kind, reporter.note)
        carry_acting(source, target, take, reporter.note)
    if KeptKeys(source.shot.path / "takes" / take).frames:
        reporter.note(
            "Key frames kept by hand belong to the shot they were made in and stay there."
        )
    edit(shot, options, reporter)
    return True


def _for_frames_of(target: Place, source: Place, options: EditOptions) -> str:
    """The editor's options with keys that lie as far from the first tracked frame as they did."""
    values = editor_values(options.editor_options)
    keys = values.get(KEYED, "")
    if options.editor != Worn.info.id or not keys:
        return options.editor_options
    first, begin = (each.track.tracked(each.track.frames)[0] for each in (source, target))
    return json.dumps({**values, KEYED: shifted_keys(str(keys), begin - first)}, sort_keys=True)


def _edit_since(shot: Shot, take: str, before: int, current: int, options: EditOptions) -> int:
    """The take's latest edit after one that was asked for just so, 0 if there is none: others may
    have edited it since.

    One whose record is damaged may be it, and is not made again.
    """
    for number in range(current, before, -1):
        try:
            made = shot.edit_record(take, number)
        except ShotError:
            return number
        # Options that came later have their defaults; ones that are no more were asked by others.
        with suppress(OptionError):
            if parse(EditOptions, made.settings) == options:
                return number
    return 0


def _digest(source: Place, take: str, settings: Values, shot: Shot) -> str:
    """Of all that is copied, files that its settings name among it, and of the avatar that it is
    copied to."""
    folder = source.shot.path / "takes" / take
    options = parse(EditOptions, settings)
    editor = create_editor(
        options.editor, editor_values(options.editor_options), options.commercial
    )
    editor.use_take(folder)
    state = editor.state()
    acting = folder / FILE
    whole = {
        "settings": dict(settings),
        "painted": [PaintedFrames(folder / kind).digest() for kind in ("paint", "mask")],
        "acting": file_digest(acting) if acting.exists() else "",
        "avatar": shot.versions("avatar")[-1],
        **({"state": state} if state else {}),
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True, default=str).encode()).hexdigest()


def _applied(folder: Path) -> AppliedRecord | None:
    with suppress(ShotError):
        return AppliedRecord.read(folder / _RECORD)
    return None


def _finish(shot: Shot, take: str, current: int) -> None:
    """Ends the job of an edit that was cut off once it had published; nobody would resume it."""
    # Its record may be damaged, and the job's folder deleted.
    with suppress(ShotError):
        made = shot.edit_record(take, current)
        job = shot.job(made.job)
        if job.record.unfinished:
            job.finish(EditResult(take, current, len(made.key_frames)).told())


def _edit_of(shot: Shot, take: str) -> int:
    """The take's current edit, 0 for none."""
    if take not in shot.takes():
        return 0
    return shot.take(take).edit or 0
