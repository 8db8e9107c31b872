# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds a shot and its strip in the edit together: what differs, and bringing it in line.

How the plate looks (its transform, crop, opacity, modifiers) takes follow by themselves; when it is
shown (moved, slipped, trimmed, another rate) is told, and followed by *Update from Strip*, since
rig, keys and takes go along.
"""

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from portraitgen.errors import FootageError, PortraitError, ShotError
from portraitgen.shot import Shot

from . import (
    compat,
    plate_strip,
    properties,
    sequencer,
    shot_summary,
    shot_time,
    take_layout,
    take_places,
    take_seams,
)
from .plate_strip import PlateStrip, StripFootage

_MOVED = "press Update from Strip"


def plate_of(shot: Any) -> PlateStrip | None:
    """Where a shot's plate lies in its scene, None if the edit has lost it."""
    scene = properties.home_scene(shot)
    return plate_strip.find(shot, scene) if scene is not None else None


def same_file(shot: Any, footage: Path) -> bool:
    """Whether a strip's file is the shot's plate: the file itself, or one of its sequence."""
    plate = Path(shot_summary.plate_path(shot.path))
    one, other = _resolved(footage), _resolved(plate)
    if one == other or one.parent == other:
        return True
    known = shot_summary.summary_of(shot.path).footage
    if known is not None and known.first == known.last:
        return False  # The neighbour of a photo is another photo.
    numbered = None not in map(plate_strip.number_of, (one.name, other.name))
    return one.parent == other.parent and numbered and _stem(one) == _stem(other)


def _stem(path: Path) -> str:
    return path.stem.rstrip("0123456789") + path.suffix


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except OSError:
        return path


def differences(shot: Any, plate: PlateStrip, footage: StripFootage) -> list[str]:
    """What of a plate's strip is not as the shot has it, a sentence each."""
    found = []
    moved = footage.offset - shot.offset
    known = (shot.strip_first, shot.strip_last) if shot.strip_last else (shot.first, shot.last)
    shows = (footage.first, footage.last)
    if moved and shows == known:
        found.append(f"The plate's strip was moved by {moved:+d} frames")
    elif moved and tuple(each + moved for each in shows) == known:
        found.append(f"The plate's strip was slipped by {moved:+d} frames")
    elif moved:
        found.append(f"The plate's strip was moved by {moved:+d} frames and trimmed")
    if not moved and shows != known:
        text = f"The plate's strip shows frames {shows[0]} to {shows[1]}"
        found.append(f"{text}, the shot has {known[0]} to {known[1]}")
    if shot.strip_rate and Fraction(*footage.fps) != Fraction(shot.strip_rate):
        text = f"The scene runs at {_rate(Fraction(*footage.fps))} frames a second"
        found.append(f"{text}, the shot was made at {_rate(Fraction(shot.strip_rate))}")
    if not moved:
        found += take_places.strayed(shot, plate, shot.offset)
    seams: list[take_seams.Seam] = []
    below = False
    for take, group in take_places.takes_on(shot, plate, shot.offset):
        if (part := group.around(take)) is not None:
            below |= take.channel < part.lowest_over(take) and not take.mute
            if not moved:
                seams += take_seams.seams(part, take, plate.others(group))
    if below:
        found.append("The plate's strip lies above its takes")
    if cuts := _listed(seam.frame for seam in seams if not seam.held):
        found.append(f"The plate was cut at frame {cuts}, its takes were not")
    if held := _listed(seam.frame for seam in seams if seam.held):
        found.append(f"From frame {held} on, the plate or its take holds a frame, the other not")
    return found


def _listed(frames: Iterable[int]) -> str:
    """The first of some frames, as a sentence has them."""
    return ", ".join(str(frame) for frame in sorted(set(frames))[:4])


def _rate(fps: Fraction) -> str:
    return f"{float(fps):.3f}".rstrip("0").rstrip(".")


def unmarked(shot: Any) -> Any | None:
    """A strip of the plate's file that is no shot's plate, as one added again; None for none."""
    scene = properties.home_scene(shot)
    for strip, _ in compat.every_strip(scene) if scene is not None else ():
        free = not strip.get(plate_strip.MARK) and not strip.get(sequencer.SHOT)
        if free and strip.type in ("MOVIE", "IMAGE"):
            if same_file(shot, plate_strip.file_of(strip)):
                return strip
    return None


def update(shot: Any, again: str = "") -> None:
    """Brings all of a shot in line with its plate's strip: offset, range, look and rate.

    Args:
        again: the name of the strip that is the plate from now on, where the edit has lost it.

    Raises:
        PortraitError: if the strip can't be the shot's plate as it is; nothing has changed then.
    """
    plate, scene = plate_of(shot), properties.home_scene(shot)
    if plate is None and again and scene is not None:
        found = [each for each, _ in compat.every_strip(scene) if each.name == again]
        plate = plate_strip.whereabouts(found[0], scene) if found else None
    if plate is None:
        raise FootageError(
            "the edit has no strip of the plate any more",
            shot.name,
            "add the plate's file again and press New Shot with the shot's folder",
        )
    apply(shot, plate, plate_strip.footage_of(plate.strip, plate.strip.id_data, plate))


def apply(shot: Any, plate: PlateStrip, footage: StripFootage) -> None:
    """Brings a shot in line with what was read of a strip; raises as `update`."""
    strip, scene = plate.strip, plate.strip.id_data
    if not same_file(shot, footage.path):
        raise FootageError(
            f"the strip shows {footage.path.name}, the shot's plate is "
            f"{Path(shot_summary.plate_path(shot.path)).name}",
            strip.name,
            "make a shot of its own of it, or press Relink Plate if the plate was moved",
        )
    _check_layers(shot)
    _take_over_rate(shot, footage)
    was, before = _shown_before(shot), shot.offset
    shot_time.move(shot, footage.offset)
    whole = (shot.first, shot.last)
    take_over(shot, plate, footage)
    if shot.has_rig and whole != (shot.first, shot.last):
        for own in shot.armature.users_scene:
            if own != scene:
                own.frame_start = shot.first + shot.offset
                own.frame_end = shot.last + shot.offset
    take_places.lead(shot, plate, before, footage.offset, was)
    follow(shot, plate)


def take_over(shot: Any, plate: PlateStrip, footage: StripFootage) -> None:
    """Notes in a shot, and in the strip, that the strip is its plate, and what it shows."""
    shot.first, shot.last = footage.first, footage.last
    shot.strip_first, shot.strip_last = footage.first, footage.last
    shot.strip_rate = f"{footage.fps[0]}/{footage.fps[1]}"
    shot.strip, shot.channel = plate.strip.name, footage.channel
    shot.colour_space = footage.colour_space
    plate_strip.claim(plate, shot)


def _shown_before(shot: Any) -> tuple[int, int]:
    """The scene frames that showed the plate when the shot was last brought in line."""
    first, last = (
        (shot.strip_first, shot.strip_last) if shot.strip_last else (shot.first, shot.last)
    )
    return first + shot.offset, last + shot.offset + 1


def _check_layers(shot: Any) -> None:
    data = shot.armature.animation_data if shot.has_rig else None
    if shot.has_rig and (data is None or not data.nla_tracks):
        raise ShotError(
            "the rig has lost its tracked motion", shot.armature.name, "show a track version first"
        )


def _take_over_rate(shot: Any, footage: StripFootage) -> None:
    """A sequence has the rate of its edit; a movie has its own, which the scene must have."""
    opened = Shot.open(shot.path)
    record, fps = opened.record.footage, Fraction(*footage.fps)
    if footage.kind == "sequence" and record.fps != fps:
        asked = replace(record.asked, fps=fps)
        opened.update(footage=replace(record, fps=fps, asked=asked))
        shot_summary.forget_summaries()


def follow(shot: Any, plate: PlateStrip) -> bool:
    """Gives all takes of a shot the look of its plate's strip.

    Returns:
        Whether anything had to be changed.
    """
    changed = False
    for take, group in take_places.takes_on(shot, plate, shot.offset):
        part = group.around(take)
        if part is None:
            take, part = sequencer.move_among(take, group), group.parts()[0]
            changed = True
        if take.get(sequencer.BY, 0) != group.by:
            take[sequencer.BY] = group.by
        changed |= take_layout.lay(part, take)
    return changed


def check_in_line(shot: Any) -> None:
    """Whether rig and shot lie where the plate's strip does.

    Raises:
        ShotError: if they do not: what was read from the rig would belong to other frames.
    """
    for text in shot_time.disagreements(shot):
        raise ShotError(text, shot.name, "show the track version again, then try again")
    plate = plate_of(shot)
    if plate is None:
        return
    try:
        footage = plate_strip.footage_of(plate.strip, plate.strip.id_data, plate)
    except PortraitError:
        return  # Told in the panel; the rig agrees with the shot.
    if footage.offset != shot.offset:
        raise ShotError(
            f"the plate's strip was moved by {footage.offset - shot.offset:+d} frames since",
            plate.strip.name,
            f"{_MOVED} first",
        )
