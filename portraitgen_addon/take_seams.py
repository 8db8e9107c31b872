# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a take's strip must be cut, and hold frames, as its plate was cut and holds them.

Of pieces that lie over one another the topmost is seen; beyond its own frames a piece holds the
first or the last of them, as Blender's Hold Split leaves it. A take does as what is seen does.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import Any

from . import compat, take_layout
from .plate_strip import PIECES, PlateStrip

HOLDS = "portraitgen_holds"
"""What a take's strip carries that holds frames as its plate does: how many frames before and
behind its content it left out before."""
EDGES = ("portraitgen_from", "portraitgen_to")
"""What a take's strip carries that ends where what is seen of its plate does: the places of its
first picture and of the one after its last."""
_FAR = 1 << 24


@dataclass(frozen=True)
class Run:
    """Scene frames on which one strip of a plate is seen.

    Attributes:
        begin, end: the first of them and the one after the last.
        piece: the strip; None where there is none, or pieces that lie elsewhere hide it.
        held: the scene frame on which the frame plays that it holds there; None if it plays.
    """

    begin: int
    end: int
    piece: Any | None
    held: int | None = None


@dataclass(frozen=True)
class Seam:
    """A scene frame on which a take's strip must be cut, since plate and take differ.

    Attributes:
        frame: the scene frame.
        held: whether they do since one of them holds a frame there.
    """

    frame: int
    held: bool = False


def seen(plate: PlateStrip, take: Any, others: Iterable[Any] = (), near: bool = False) -> list[Run]:
    """What is seen of the part of a plate around a take, in order, without gaps.

    Args:
        others: the pieces of the plate that lie otherwise in time.
        near: whether what does not touch the take may be left out, and be taken for a gap.
    """
    pieces = [(each, *compat.strip_range(each)) for each in plate.pieces]
    ends = [(begin, end) for _, begin, end in pieces]
    first, last = compat.strip_range(take)
    if near:
        pieces = [each for each in pieces if each[1] <= last and first <= each[2]]
    hiding = [
        (other, begin, end)
        for other, (begin, end) in ((each, compat.strip_range(each)) for each in others)
        if begin < last
        and first < end
        and any(other == each for each in plate.among)
        and not take_layout.lets_through(other, take)
    ]
    over = [*pieces, *hiding]
    ranks = [(not each.mute, int(each.channel)) for each, _, _ in over]
    contents = [_content(each) for each, _, _ in pieces]
    # What lies outside of all pieces is a run of its own.
    lowest, highest = min(begin for begin, _ in ends), max(end for _, end in ends)
    inner = {*chain(*contents), *(frame for each in over for frame in each[1:])}
    borders = {lowest, highest, *(frame for frame in inner if lowest < frame < highest)}
    runs: list[Run] = []
    for begin, end in pairwise(sorted({-_FAR, _FAR, *borders})):
        on = [at for at, each in enumerate(over) if each[1] <= begin < each[2]]
        top = max(on, key=lambda at: ranks[at], default=len(over))
        piece = pieces[top][0] if top < len(pieces) else None
        run = Run(begin, end, piece, None if piece is None else compat.held_frame(piece, begin))
        outer = begin in (lowest, highest)
        if runs and not outer and replace(runs[-1], begin=begin, end=end) == run:
            runs[-1] = replace(runs[-1], end=end)
        else:
            runs.append(run)
    return runs


def seams(plate: PlateStrip, take: Any, others: Sequence[Any] = ()) -> list[Seam]:
    """Where an artist has cut a plate and not the take, or where one of them holds frames.

    Args:
        plate: the part of it around the take.
        others: the pieces of the plate that lie otherwise in time.

    Returns:
        The scene frames within the take's strip at which the plate below it ends, begins again,
        looks otherwise from there on or holds other frames; the strip's first where all of it
        differs.
    """
    begin, end = compat.strip_range(take)
    whole = seen(plate, take, others, near=True)
    if not others:
        # One that is longer than its whole plate is the artist's.
        whole = whole[1:-1]
    runs = _within(whole, begin, end, _content(take))
    if not runs:
        return []
    agree = [agrees(each, take) for each in runs]
    if not any(agree):
        return [Seam(runs[0].begin, runs[0].piece is not None)]
    found = []
    for (one, fits), (other, fits_too) in pairwise(zip(runs, agree, strict=True)):
        if fits != fits_too:
            found.append(Seam(other.begin, None not in (one.piece, other.piece)))
        # A cover lies over one piece.
        elif fits and one.piece != other.piece and not _alike(one.piece, other.piece, take):
            found.append(Seam(other.begin))
    return found


def _within(runs: list[Run], begin: int, end: int, cuts: Iterable[int]) -> list[Run]:
    """Runs between two frames, cut on others besides."""
    found = []
    for each in runs:
        first, after = max(each.begin, begin), min(each.end, end)
        inner = sorted({first, after, *(cut for cut in cuts if first < cut < after)})
        if first < after:
            found += [replace(each, begin=one, end=other) for one, other in pairwise(inner)]
    return found


def _alike(one: Any, other: Any, take: Any) -> bool:
    looks = [take_layout.look_of(each, named=False) for each in (one, other)]
    return looks[0] == looks[1] and not take_layout.lets_through(one, take)


def agrees(run: Run, take: Any) -> bool:
    """Whether a take's strip shows the frames that are seen of its plate in one of the runs that
    `seams` compares."""
    return run.piece is not None and run.held == compat.held_frame(take, run.begin)


def fits(plate: PlateStrip, part: Any, others: Sequence[Any]) -> bool:
    """Whether what was cut off a take on its seams shows frames of its plate."""
    begin, end = compat.strip_range(part)
    runs = _within(seen(plate, part, others, near=True), begin, end, _content(part))
    return any(agrees(each, part) for each in runs)


# Ends


def follow_ends(plate: PlateStrip, take: Any, others: Sequence[Any], alike: Iterable[Any]) -> None:
    """Lengthens a take's strip with its plate where both ended together.

    Args:
        alike: the strips of the same take.
    """
    begin, end = compat.strip_range(take)
    first, after = _content(take)
    runs = seen(plate, take, others)
    taken = [compat.strip_range(each) for each in alike if each != take and not each.mute]
    wanted = [begin, end]
    playing = [each for each in runs if each.piece is not None and each.held is None]
    for run in playing:
        if run.begin < begin < run.end and take.get(EDGES[0]) == begin - compat.file_start(take):
            before = [other for _, other in taken if other <= begin]
            wanted[0] = max([run.begin, first, *before])
        if run.begin < end < run.end and take.get(EDGES[1]) == end - compat.file_start(take):
            behind = [other for other, _ in taken if other >= end]
            wanted[1] = min([run.end, after, *behind])
    if wanted != [begin, end] and (begin, end) == compat.played_range(take):
        _make_way(plate, take, min(begin, wanted[0]), max(end, wanted[1]))
        compat.trim(take, min(begin, wanted[0]), max(end, wanted[1]))


def _content(strip: Any) -> tuple[int, int]:
    """The scene frame of the first frame that a strip has, and the one after that of its last."""
    start = compat.content_start(strip)
    return start, start + compat.content_length(strip)


def note_ends(plate: PlateStrip, take: Any, others: Sequence[Any]) -> None:
    """Notes where a take's strip ends with what is seen of its plate, and on which strip of it."""
    begin, end = compat.strip_range(take)
    take[PIECES] = [each.name for each in plate.pieces if _meets(each, begin, end)]
    runs = seen(plate, take, others)
    edges = {each.begin for each in runs} | {each.end for each in runs}
    for name, frame in zip(EDGES, (begin, end), strict=True):
        if frame in edges:
            take[name] = frame - compat.file_start(take)


# Holding


def hold(plate: PlateStrip, take: Any, others: Sequence[Any], alike: Iterable[Any]) -> bool:
    """Has a take's strip hold the frames that its plate holds, where it ends with those.

    Args:
        alike: the strips of the same take.

    Returns:
        Whether it holds any now that it did not.
    """
    begin, end = compat.strip_range(take)
    if (begin, end) != compat.played_range(take) or len(take.elements) < 2:
        return False
    start = compat.file_start(take)
    trims = [compat.content_trim(take), compat.content_trim_end(take)]
    wanted, left = [begin, end], list(trims)
    taken = [compat.strip_range(each) for each in alike if each != take and not each.mute]
    runs = seen(plate, take, others)
    for run in runs:
        if run.held == end - 1 and run.begin == wanted[1]:
            wanted[1] = min([run.end, *(first for first, _ in taken if first >= end)])
    for run in reversed(runs):
        if run.held == begin and run.end == wanted[0]:
            wanted[0] = max([run.begin, *(after for _, after in taken if after <= begin)])
    if wanted[1] > end:
        left[1] = len(take.elements) - (end - start)
    if wanted[0] < begin:
        left[0] = begin - start
    if wanted == [begin, end]:
        return False
    _make_way(plate, take, *wanted)
    take[HOLDS] = trims
    compat.set_content_trim(take, *left)
    compat.trim(take, *wanted)
    return True


def let_go(take: Any) -> None:
    """Has a take's strip hold no frames for its plate any more."""
    begin, end = compat.played_range(take)
    # What was cut off it and does nothing but hold stays as it is.
    if HOLDS in take and begin < end:
        compat.set_content_trim(take, *take[HOLDS])
        del take[HOLDS]
        compat.trim(take, begin, end)


def _make_way(plate: PlateStrip, take: Any, begin: int, end: int) -> None:
    """Puts a take's strip onto a channel where it can be as long as it is to be."""
    free = all(
        other == take or other.channel != take.channel or not _meets(other, begin, end)
        for other in plate.among
    )
    if not free:
        cover = take_layout.cover_of(plate.among, take)
        if cover is not None:
            plate.among.remove(cover)
        channel = take_layout.free_channel(plate.among, take.channel + 1, begin, end)
        take.channel = channel or take.channel


def _meets(strip: Any, begin: int, end: int) -> bool:
    first, after = compat.strip_range(strip)
    return first < end and after > begin
