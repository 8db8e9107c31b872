# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a farm still has to do to some shots, from what lies in their folders."""

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from ..errors import OptionError, ShotError
from ..frames import frame_list, parse_frame_list
from ..pipeline.data.shots import pictures_of_plate, plate_of
from ..shot import Shot
from .bundle import STAGES, ShotPlan
from .path_words import parted, paths_in, rooted


def plan_shot(
    folder: Path, take: str, frames: str, stages: Sequence[str], given: Mapping[str, Sequence[str]]
) -> ShotPlan:
    """What is to be done to one shot.

    Args:
        folder: the shot folder.
        take: the take that is to be rendered.
        frames: as 1001-1250 or 1-9x2, empty for all.
        stages: to run; empty for those that are missing, and render and movie; never qc.
        given: what each stage is given, as words of the command line.

    Raises:
        ShotError: if a stage before one that runs is missing; OptionError: if the take is to
        be edited and no editor was named.
    """
    shot = Shot.open(folder)
    take = shot.take_name(take)
    with closing(plate_of(shot)) as plate:
        numbers = plate.numbers
        reads = pictures_of_plate(shot, plate)
    done = {
        "track": bool(shot.versions("track")),
        "reconstruct": bool(shot.versions("avatar")),
        "edit": take in shot.takes() and _is_edited(shot, take),
    }
    run = [name for name in STAGES if name in stages] if stages else _missing(done)
    if "track" not in run and done["track"]:
        tracked = [each.frame for each in shot.track_record().quality]
        numbers = range(tracked[0], tracked[-1] + 1) if tracked else numbers
    wanted = parse_frame_list(frames, numbers)
    for name in STAGES[: STAGES.index(run[-1])]:
        if name not in run and not done.get(name, True):
            raise ShotError(f"the shot has no {name} yet", folder, f"let the farm run {name} too")
    if "edit" in run and "--editor" not in given.get("edit", ()):
        raise OptionError(f"take '{take}' is not edited yet", folder, "name its editor: --editor")
    options = {name: rooted(name, words) for name, words in given.items()}
    if frames:
        # One word each, since numbers may begin with a minus; a track has no gaps.
        span = f"--frames={wanted[0]}-{wanted[-1]}"
        options["track"] = (*options.get("track", ()), span)
        options["movie"] = (*options.get("movie", ()), f"--frames={frame_list(wanted)}")
        options["qc"] = (*options.get("qc", ()), f"--frames={frame_list(wanted)}")
    footage = Path(os.path.normpath(shot.footage_path))
    for name in run:
        reads += paths_in(name, options.get(name, ()))
    words = {name: parted(name, each) for name, each in options.items()}
    return ShotPlan(shot.path, footage, wanted, tuple(run), words, tuple(reads))


def _missing(done: Mapping[str, bool]) -> list[str]:
    """From the first stage that is missing on, everything; else rendering alone."""
    first = next((name for name in ("track", "reconstruct", "edit") if not done[name]), "render")
    return [name for name in STAGES[STAGES.index(first) :] if name != "qc"]


def _is_edited(shot: Shot, take: str) -> bool:
    try:
        shot.edit_folder(take)
    except ShotError:
        return False
    return True
