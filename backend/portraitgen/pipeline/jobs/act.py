# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The act job: what a take's performer does otherwise, written down for renders to play."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ...bounded_json import parse_json
from ...errors import OptionError
from ...frames import parse_frame_list
from ...job_results import ActResult
from ...settings import option
from ...shot import Shot, check_take_name
from ..data.acting import FILE, Acting, load_acting, performances_in, posed_acting
from ..data.authors import name_acting
from ..data.ready_made_acting import (
    PARTS,
    ActingRequest,
    fade,
    limited,
    performances_of,
    ready_made,
)
from ..data.shots import Track, body_of
from ..run.job_context import running
from ..run.progress import Reporter


@dataclass(frozen=True)
class ActOptions:
    """What a take's performer does otherwise."""

    take: str = option("", "The take that acts; made if there is none of the name")
    frames: str = option("", "Frames to act as 1001-1250 or 1-9x2, all by default")
    settings: str = option("{}", "What to act, as a JSON object of names and values")
    from_file: str = option("", "Acting to take over, as another take's file", path=True)
    rig: str = option(
        "",
        "What Blender's rig acts: in place of the take's own motion; what is set goes above it",
        path=True,
    )
    part: str = option("all", "Act this part alone", choices=PARTS)
    fade: int = option(0, "Frames over which it comes in and goes out", unit="frames", minimum=0)
    add: bool = option(False, "Act above what the take acts already, instead of in its place")
    track: int = option(0, "The track version to act on, the latest by default", minimum=0)


def act(shot: Shot, options: ActOptions, reporter: Reporter) -> ActResult:
    """Writes a take's acting. Frames outside of those asked for keep what they had.

    Raises:
        OptionError: for what cannot be acted; ShotError: if a file does not fit the shot.
    """
    if not options.take:
        raise OptionError("the take has no name", "take", "give one, as --take smiling")
    check_take_name(options.take)
    body, track = body_of(shot), Track(shot, options.track or None)
    settings = _settings(options.settings)
    frames = parse_frame_list(options.frames, track.frames)
    tracked = track.tracked(frames)
    if not tracked:
        raise OptionError("no frame of the range is tracked", options.frames, "choose others")
    if len(tracked) < len(frames):
        left = len(frames) - len(tracked)
        reporter.note(f"{left} frames in which the performer was not seen are not acted.")
    path = shot.path / "takes" / options.take / FILE
    with running(shot, "act", asdict(options), f"take:{options.take}", reporter) as job:
        acting = Acting.none(body, tracked)
        performances = list(performances_of(settings))
        if options.from_file:
            given = load_acting(_absolute(options.from_file), body)
            if note := given.note(track):
                reporter.note(note)
            taken = _within(given.acting, track, options.from_file)
            chosen = np.isin(taken.frames, tracked)
            acting = acting.then(taken.rows(np.flatnonzero(chosen)))
            performances += given.performances
        acting = acting.then(ready_made(ActingRequest(shot, body, track, tracked), settings))
        acting = limited(acting, body, options.part).times(fade(tracked, options.fade))
        old = Acting.none(body, [])
        if path.exists():
            before = load_acting(path, body)
            if note := before.note(track):
                reporter.note(note)
            old = before.acting
        if options.rig:
            posed = posed_acting(_absolute(options.rig), body)
            _within(posed.acting, track, options.rig)
            old = posed.above(old)
        elif not options.add:
            old = old.rows(np.flatnonzero(~np.isin(old.frames, tracked)))
        if len(old.frames):
            performances += performances_in(path)
        acting = old.then(acting)
        shot.make_take(options.take)
        acting.save(path, track, body, tuple(dict.fromkeys(performances)))
        # What was acted before stays in part, unless all of it was taken over or acted anew.
        name_acting(path.parent, reporter.author, not len(old.frames))
        acted = sum(not acting.is_still(int(frame)) for frame in acting.frames)
        if not acted:
            reporter.note("The take acts as the plate does.")
        result = ActResult(options.take, len(tracked), acted, str(path))
        job.finish(result.told())
    return result


def _within(acting: Acting, track: Track, source: str) -> Acting:
    """Acting whose frames are all tracked.

    Raises:
        OptionError: if one is not.
    """
    strangers = set(acting.frames.tolist()) - set(track.motion.frames.tolist())
    if strangers:
        raise OptionError(
            f"its frame {min(strangers)} is not tracked", source, "act within the tracked frames"
        )
    return acting


def _absolute(path: str) -> Path:
    return Path(path) if Path(path).is_absolute() else Path.cwd() / path


def _settings(text: str) -> dict[str, str]:
    try:
        found = parse_json(text)
    except ValueError as error:
        raise OptionError(f"they cannot be read ({error})", "settings", "give JSON") from None
    if not isinstance(found, dict):
        raise OptionError("they are no JSON object", "settings", 'write {"gaze": "10,0"}')
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in found.items()
    }
