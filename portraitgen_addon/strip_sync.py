# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds a shot and its strip in the edit together: what differs, and bringing it in line.

How the plate looks (its transform, crop, opacity, modifiers) takes follow by themselves; when it is
shown (moved, slipped, trimmed, another rate) is told, and followed by *Update from Strip*, since
rig, keys and takes go along.
"""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from portraitgen.errors import FootageError, PortraitError, ShotError
from portraitgen.shot import Shot

from . import compat, plate_strip, properties, sequencer, shot_summary, shot_time, take_layout
from .plate_strip import PlateStrip, StripFootage

HIDDEN = "portraitgen_outside"
"""What a take's strip carries that was muted because its plate's strip shows none of its frames."""
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
    scene = plate.strip.id_data
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
    takes = [(take, plate.around(take)) for take in takes_on(shot, scene, shot.offset)]
    lying = [(take, part) for take, part in takes if part is not None]
    if any(take.channel < part.lowest_over(take) and not take.mute for take, part in lying):
        found.append("The plate's strip lies above its takes")
    cuts = sorted({frame for take, part in lying for frame in take_layout.seams(part, take)})
    if cuts:
        listed = ", ".join(str(frame) for frame in cuts[:4])
        found.append(f"The plate was cut at frame {listed}, its takes were not")
    return found


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
    now = (footage.first + footage.offset, footage.last + footage.offset + 1)
    led = takes_on(shot, scene, before)
    hidden = [take for take in led if take.get(HIDDEN)]
    for take in led:
        _lead(take, footage.offset, was, now)
    for take in hidden:
        if not take.get(HIDDEN):
            _make_room(take, [each for each in led if each != take and not each.mute])
    for take in takes_on(shot, scene, footage.offset):
        part = plate.around(take)
        if part is not None:
            _raise(take, part)
            _cut(take, part)
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


def _lead(take: Any, offset: int, was: tuple[int, int], now: tuple[int, int]) -> None:
    """Moves and trims a take's strip as its plate's was; ends that the artist trimmed stay."""
    number = _first_number(take)
    start = compat.content_start(take)
    by = number + offset - compat.file_start(take) if number is not None else now[0] - was[0]
    begin, end = compat.strip_range(take)
    length = compat.content_length(take)
    # Where the ends lay if nobody but the plate had trimmed them.
    led = max(start, was[0]), min(start + length, was[1])
    if by:
        compat.move_content(take, start + by)
        # Blender moves the keys of a strip with it, and the plate's have moved already.
        take[take_layout.LOOK] = ""
    start += by
    hidden = bool(take.get(HIDDEN))
    begin = max(start if hidden or begin == led[0] else begin + by, now[0])
    end = min(start + length if hidden or end == led[1] else end + by, now[1])
    if begin < end:
        compat.trim(take, begin, end)
        if hidden:
            take[HIDDEN], take.mute = False, False
    elif not hidden:
        take[HIDDEN], take.mute = True, True


def _make_room(take: Any, others: list[Any]) -> None:
    """Leaves a take's strip that is shown again the frames that no other of its take shows."""
    own = set(_frames(take))
    for each in others:
        if each[sequencer.TAKE] == take[sequencer.TAKE]:
            own -= set(_frames(each))
    if own:
        compat.trim(take, min(own), max(own) + 1)
    else:
        take[HIDDEN], take.mute = True, True


def _raise(take: Any, plate: PlateStrip) -> None:
    """Lifts a take's strip above its plate, which was put onto a channel above it."""
    lowest = plate.lowest_over(take)
    if take.channel >= lowest:
        return
    if (cover := take_layout.cover_of(plate.among, take)) is not None:
        plate.among.remove(cover)
    channel = take_layout.free_channel(plate.among, lowest, *compat.strip_range(take))
    if not channel:
        raise sequencer.no_channel(plate.strip.name)
    take.channel = channel


def _cut(take: Any, plate: PlateStrip) -> None:
    """Cuts a take's strip where its plate was cut and looks otherwise; where pieces of the plate
    leave a gap, so does the take."""
    cuts = take_layout.seams(plate, take)
    if not cuts:
        return
    if (cover := take_layout.cover_of(plate.among, take)) is not None:
        plate.among.remove(cover)
    parts = [take]
    for frame in cuts:
        if frame > compat.strip_range(parts[-1])[0]:
            parts.append(parts[-1].split(frame=frame, split_method="SOFT"))
    ranges = [compat.played_range(piece) for piece in plate.pieces]
    for part in parts:
        begin, end = compat.strip_range(part)
        if not any(first < end and after > begin for first, after in ranges):
            plate.among.remove(part)


def takes_on(shot: Any, scene: Any, offset: int) -> list[Any]:
    """The strips of a shot's takes that lie on its plate.

    A copy that the artist uses elsewhere in the edit is none of them, and stays as it is.

    Args:
        offset: scene frame minus footage frame at which they lie unless they were moved.
    """
    alike: dict[tuple[str, int | None], list[Any]] = {}
    for take in sequencer.all_take_strips(scene, shot.shot_id):
        alike.setdefault((take[sequencer.TAKE], _first_number(take)), []).append(take)
    found = []
    for (_, number), strips in alike.items():
        place = None if number is None else number + offset
        lying = [each for each in strips if place == compat.file_start(each)]
        # None lies there: the artist has moved them, as one.
        found += lying or [
            each for each in strips if compat.file_start(each) == compat.file_start(strips[0])
        ]
    return found


def off_plate(shot: Any, plate: PlateStrip) -> list[str]:
    """Which strips of takes lie over their plate with other frames than it shows, a sentence each.

    One that was moved away from the plate, or lies over a strip of the same take that is in place,
    is a copy that the artist uses otherwise.
    """
    if shot.first == shot.last:
        return []  # Each frame of a photo is the same.
    found = []
    shows: dict[str, set[int]] = {}
    moved = []
    for take in sequencer.all_take_strips(plate.strip.id_data, shot.shot_id):
        number = _first_number(take)
        if take.mute or number is None:
            continue
        if by := compat.file_start(take) - number - shot.offset:
            moved.append((take, by))
        else:
            shown = shows.setdefault(take[sequencer.TAKE], set())
            shown |= set(_frames(take))
    for take, by in moved:
        part = plate.around(take)
        below = {frame for each in part.pieces for frame in _frames(each)} if part else set()
        if (below & set(_frames(take))) - shows.get(take[sequencer.TAKE], set()):
            found.append(
                f"'{take.name}' lies {by:+d} frames off its plate: move it back, or mute it"
            )
    return found


def _frames(strip: Any) -> range:
    return range(*compat.strip_range(strip))


def _first_number(take: Any) -> int | None:
    """The footage frame of a take's first picture, as its name tells it."""
    return sequencer.number_of(take.elements[0].filename) if take.elements else None


def follow(shot: Any, plate: PlateStrip) -> bool:
    """Gives all takes of a shot the look of its plate's strip.

    Returns:
        Whether anything had to be changed.
    """
    changed = False
    for take in takes_on(shot, plate.strip.id_data, shot.offset):
        part = plate.around(take)
        if part is None:
            take, part = sequencer.move_among(take, plate), plate.parts()[0]
            changed = True
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
