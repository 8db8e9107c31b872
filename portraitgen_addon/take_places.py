# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the strips of takes lie in time: on their plate, each on the piece that shows its frames.

A plate that was cut, and of which pieces were moved, as by a ripple delete, has the strips of its
takes cut and moved with it.
"""

from typing import Any

from . import compat, sequencer, take_layout, take_seams
from .plate_strip import PIECES, PlateStrip, played

HIDDEN = "portraitgen_outside"
"""What a take's strip carries that was muted because its plate's strip shows none of its frames."""


def lead(shot: Any, plate: PlateStrip, before: int, offset: int, was: tuple[int, int]) -> None:
    """Moves, trims and cuts the strips of all takes of a shot as its plate was.

    Args:
        before, offset: scene frame minus footage frame, as it was and as it is.
        was: the scene frames that showed the plate before, the end excluded.

    Raises:
        PortraitError: if there is no channel for a strip.
    """
    stayed = [
        take
        for take in sequencer.all_take_strips(plate.strip.id_data, shot.shot_id)
        if _as_left(take, before)
    ]
    # The artist has moved these: along with their piece, or all of them elsewhere.
    came = [(take, group) for take, group in takes_on(shot, plate, offset) if take not in stayed]
    if stayed:
        came = [(take, on) for take, on in came if _lies(take, on, offset)]
    led = list(came)
    for take in stayed:
        led += [(take, plate)] if take.get(HIDDEN) else _parted(take, plate, offset)
    for take, _ in led:
        take_seams.let_go(take)
    hidden = [take for take, _ in led if take.get(HIDDEN)]
    channels = [(take, int(take.channel)) for take, _ in led]
    gone: list[Any] = []
    for group in plate.groups:
        now = played(group)
        own = [take for take, on in led if on is group]
        for take in own:
            parted = bool(plate.moved or take.get(sequencer.BY, 0))
            followed = group is plate and not any(take == each for each, _ in came)
            _lead(take, offset + group.by, was if followed else None, now, parted)
        for take in own:
            others = [each for each in own if each != take and not each.mute]
            if take in hidden and not take.get(HIDDEN):
                _make_room(take, others)
    arrived = [
        each for each in led if each not in came and each[0].get(sequencer.BY, 0) != each[1].by
    ]
    settled = [each for each in led if each not in arrived]
    for take, group in arrived:
        if take not in hidden:
            # Where its take shows the frames of another piece, it has come for nothing.
            _make_room(take, [each for each, on in settled if on is group and not each.mute])
            if take.get(HIDDEN):
                gone.append(take)
            else:
                settled.append((take, group))
    for take, channel in channels:
        if take in gone:
            _uncover(take)
            _home(take).remove(take)
        else:
            _put_back(take, channel)
    _fit(shot, plate, offset)


def _put_back(take: Any, channel: int) -> None:
    """Puts a take's strip back onto a channel that it had to leave while others were moved."""
    if take.channel == channel:
        return
    begin, end = compat.strip_range(take)
    for other in _home(take):
        first, after = compat.strip_range(other)
        if other != take and other.channel == channel and first < end and after > begin:
            return
    take.channel = channel


def _fit(shot: Any, plate: PlateStrip, offset: int) -> None:
    """Cuts, lifts and lengthens takes as the pieces are that they lie on."""
    for take, group in takes_on(shot, plate, offset):
        part = group.around(take)
        if part is not None and take_seams.HOLDS in take:
            _cut(take, part, plate.others(group))
    placed = takes_on(shot, plate, offset)
    for take, group in placed:
        if (part := group.around(take)) is not None:
            alike = _alike(take, group, placed)
            take_seams.follow_ends(part, take, plate.others(group), alike)
    for take, group in placed:
        if (part := group.around(take)) is not None:
            _raise(take, part)
            _cut(take, part, plate.others(group))
    placed = takes_on(shot, plate, offset)
    for take, group in placed:
        if (part := group.around(take)) is not None:
            take_seams.note_ends(part, take, plate.others(group))
            alike = _alike(take, group, placed)
            if take_seams.hold(part, take, plate.others(group), alike):
                # What it holds now may look otherwise.
                _raise(take, part)
                _cut(take, part, plate.others(group))


def _alike(take: Any, group: PlateStrip, placed: list[tuple[Any, PlateStrip]]) -> list[Any]:
    """The strips of the same take on the same pieces."""
    name = take[sequencer.TAKE]
    return [other for other, on in placed if on is group and other[sequencer.TAKE] == name]


def _as_left(take: Any, offset: int) -> bool:
    """Whether a take's strip lies where we have put it, on whichever piece of its plate."""
    number = _first_number(take)
    by = int(take.get(sequencer.BY, 0))
    return number is not None and compat.file_start(take) == number + offset + by


def _lies(take: Any, group: PlateStrip, offset: int) -> bool:
    """Whether a take's strip shows the frames of the pieces on which it lies."""
    number = _first_number(take)
    return number is not None and compat.file_start(take) == number + offset + group.by


def _owners(take: Any, plate: PlateStrip, offset: int) -> list[tuple[int, PlateStrip]]:
    """The pieces that show the frames of a take's strip.

    Args:
        offset: scene frame minus footage frame of the plate, as it is.

    Returns:
        The scene frame from which on, as the strip lies now, and the pieces that lie alike.
    """
    number = _first_number(take) or 0
    # From a scene frame of the take to a frame of the plate's file.
    by = number + offset - compat.file_start(take) - compat.file_start(plate.strip)
    begin, end = compat.played_range(take)
    # One in a meta strip stays with the pieces in there, one that shows nothing where it is.
    around = [group for group in plate.groups if group.around(take) is not None]
    if len(around) == 1 and around[0].metas:
        return [(begin, around[0])]
    ranges = [
        (max(first - by, begin), min(after - by, end), piece.name, group)
        for group in plate.groups
        for piece, (first, after) in zip(group.pieces, group.frames(), strict=True)
    ]
    # What pieces show twice is shown by the one that it lies on already.
    known, lies = list(take.get(PIECES, ())), int(take.get(sequencer.BY, 0))
    ranges.sort(key=lambda each: (each[2] not in known, each[3].by != lies))
    found: list[tuple[int, PlateStrip]] = []
    for at in sorted({at for each in ranges for at in each[:2] if begin <= at < end}):
        owner = next((each[3] for each in ranges if each[0] <= at < each[1]), None)
        # What no piece shows stays with what is before it.
        if owner is not None and (not found or found[-1][1] is not owner):
            found.append((at if found else begin, owner))
    return found or [(begin, next((each for each in plate.groups if each.by == lies), plate))]


def _parted(take: Any, plate: PlateStrip, offset: int) -> list[tuple[Any, PlateStrip]]:
    """Cuts a take's strip to the pieces that show its frames; each part with those."""
    if not plate.moved:
        return [(take, plate)]
    owners = _owners(take, plate, offset)
    if len(owners) > 1:
        _uncover(take)
    parts = [take]
    for frame, _ in owners[1:]:
        parts.append(parts[-1].split(frame=frame, split_method="SOFT"))
        # Both are cut where their pieces are, and follow those.
        for part, name in zip(parts[-2:], reversed(take_seams.EDGES), strict=True):
            part[name] = frame - compat.file_start(part)
    return [(part, group) for part, (_, group) in zip(parts, owners, strict=True)]


def strayed(shot: Any, plate: PlateStrip, offset: int) -> list[str]:
    """Which takes lie where their piece of the plate does not, a sentence each.

    Args:
        offset: scene frame minus footage frame of the plate and of the shot.
    """
    found: list[str] = []
    for take in sequencer.all_take_strips(plate.strip.id_data, shot.shot_id):
        by = int(take.get(sequencer.BY, 0))
        if take.mute or not (by or plate.moved) or not _as_left(take, offset):
            continue
        for _, group in _owners(take, plate, offset):
            if group.by == by:
                continue
            if group is plate:
                found.append(f"'{take.name}' lies where its piece of the plate no longer is")
            else:
                text = (
                    f"A piece of the plate, '{group.strip.name}', was moved by {group.by - by:+d}"
                )
                found.append(f"{text} frames, its takes were not")
    return list(dict.fromkeys(found))


def _lead(
    take: Any, offset: int, was: tuple[int, int] | None, now: tuple[int, int], parted: bool
) -> None:
    """Moves and trims a take's strip as its plate's was; ends that the artist trimmed stay.

    Args:
        was, now: the scene frames that showed the plate and that show it; `was` is None if it was
            only moved.
        parted: whether it may meet strips where it comes to lie, as others stay where they are.
    """
    number = _first_number(take)
    start = compat.content_start(take)
    if number is not None:
        by = number + offset - compat.file_start(take)
    else:
        by = now[0] - was[0] if was is not None else 0
    was = was or (now[0] - by, now[1] - by)
    begin, end = compat.strip_range(take)
    length = compat.content_length(take)
    # Where the ends lay if nobody but the plate had trimmed them.
    led = max(start, was[0]), min(start + length, was[1])
    if by:
        if parted:
            _clear_way(take, by)
        compat.move_content(take, start + by)
        # Blender moves the keys of a strip with it, and the plate's have moved already.
        take[take_layout.LOOK] = ""
    if take_seams.HOLDS in take:
        return
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
        if each != take and each[sequencer.TAKE] == take[sequencer.TAKE]:
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
    _uncover(take)
    channel = take_layout.free_channel(plate.among, lowest, *compat.strip_range(take))
    if not channel:
        raise sequencer.no_channel(plate.strip.name)
    take.channel = channel


def _cut(take: Any, plate: PlateStrip, others: list[Any]) -> None:
    """Cuts a take's strip where its plate was cut and looks otherwise, or holds frames; what shows
    frames then that the plate does not is taken out."""
    cuts = take_seams.seams(plate, take, others)
    if not cuts:
        return
    _uncover(take)
    parts = [take]
    for seam in cuts:
        if seam.frame > compat.strip_range(parts[-1])[0]:
            parts.append(parts[-1].split(frame=seam.frame, split_method="SOFT"))
    for part in parts:
        if not take_seams.fits(plate, part, others):
            plate.among.remove(part)


def _home(take: Any) -> Any:
    """The strips that a take's is one of."""
    for strip, metas in compat.every_strip(take.id_data):
        if strip == take:
            return metas[-1].strips if metas else compat.strips(take.id_data)
    raise LookupError(take.name)


def _uncover(take: Any) -> None:
    """Takes a take's cover away, which is laid anew."""
    among = _home(take)
    if (cover := take_layout.cover_of(among, take)) is not None:
        among.remove(cover)


def _clear_way(take: Any, by: int) -> None:
    """Puts a take's strip onto a channel on which nothing lies where it is to be moved."""
    _uncover(take)
    among, (begin, end) = _home(take), compat.strip_range(take)
    taken = {
        strip.channel
        for strip in among
        for first in (begin, begin + by)
        if strip != take
        and compat.strip_range(strip)[0] < first + end - begin
        and compat.strip_range(strip)[1] > first
    }
    if take.channel not in taken:
        return
    channel = next((each for each in range(take.channel + 1, 129) if each not in taken), 0)
    if not channel:
        raise sequencer.no_channel(take.name)
    take.channel = channel


def takes_on(shot: Any, plate: PlateStrip, offset: int) -> list[tuple[Any, PlateStrip]]:
    """The strips of a shot's takes that lie on its plate, each with the pieces that lie as it does.

    A copy that the artist uses elsewhere in the edit is none of them, and stays as it is.

    Args:
        offset: scene frame minus footage frame at which they lie unless they were moved.
    """
    alike: dict[tuple[str, int | None], list[Any]] = {}
    for take in sequencer.all_take_strips(plate.strip.id_data, shot.shot_id):
        alike.setdefault((take[sequencer.TAKE], _first_number(take)), []).append(take)
    found: list[tuple[Any, PlateStrip]] = []
    for (_, number), strips in alike.items():
        lying = []
        for each in strips:
            by = None if number is None else compat.file_start(each) - number - offset
            lying += [(each, group) for group in plate.groups if group.by == by]
        # None lies there: the artist has moved them, as one.
        found += lying or [
            (each, plate)
            for each in strips
            if compat.file_start(each) == compat.file_start(strips[0])
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
        by = compat.file_start(take) - number - shot.offset
        if all(by != group.by for group in plate.groups):
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
