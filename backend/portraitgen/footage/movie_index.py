# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pictures a movie shows, and when: by what can be decoded, not by what a header counts.

The packets alone tell it of a sound movie. Where they give cause for doubt (no or repeated time
stamps, a start in mid-group, a broken end, recordings joined to one file) every picture is decoded.
"""

import itertools
import statistics
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from ..errors import FootageError
from .movie_container import REPAIR, decoded, open_movie, packets
from .truncation import abrupt_end, begins_anew, missing_bytes

_GLANCED = 40
"""Pictures that are decoded where the order of a movie's stamps is in doubt."""

_FASTEST = 2000
"""Pictures a second beyond which stamps count packets, not time."""

_HOLD = 10
"""Seconds that one picture may stand before it is a gap in the recording, not a pause in it."""

_TELL_THEIR_LENGTH = ("asf", "flv", "matroska,webm", "mxf")
"""Containers that count no pictures, and whose reading ends without a word at damage."""

_READ_ONCE = ("asf", "flv", "yuv4mpegpipe")
"""Containers of which FFmpeg reads one recording, whatever follows it in the file."""

_LATE = 4
"""Pictures by which a first one may stand after the movie's start, for those coded out of order."""

_SAME_RATE = 1e-4
"""Relative difference below which two rates are one, written differently."""

_FINE = 3
"""Ticks of a clock in a frame from which its rounding is told from frames left out."""

_JITTER = 0.005
"""Share of a frame by which stamps of a constant rate may be off, where clocks are so fine."""

_STANDARD_RATES = [
    Fraction(*rate)
    for rate in (
        (10, 1), (12, 1), (15, 1), (24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1),
        (48000, 1001), (48, 1), (50, 1), (60000, 1001), (60, 1), (100, 1), (120000, 1001),
        (120, 1), (240000, 1001), (240, 1),
    )
]  # fmt: skip


@dataclass
class MovieIndex:
    """The pictures of a movie, in the order they are shown.

    Attributes:
        stamps: their time stamps as the decoder gives them.
        times: the same with gaps closed; ascending, in `time_base` seconds.
        keys: stamps at which decoding can start, ascending.
        in_order: stamps cannot be searched; pictures are counted from the file's start.
        until: when the last picture ends, if the file says so, else None.
        early: pictures before the first that cannot be decoded.
        notes: what was left out, assumed or found damaged.
    """

    time_base: Fraction
    stamps: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    in_order: bool = False
    until: int | None = None
    early: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass
class _Packets:
    """What the packets of a movie say.

    Attributes:
        stamps: of all packets with a picture to show, in the file's order.
        keys: of those that decoding can start from, also where they are not shown.
        back: a later packet is decoded long before an earlier one.
        unordered: stamps are of the order of coding, not of showing.
        timeless: they follow each other so fast that they can only count pictures.
        begin, end: seconds from the first to the end of the last packet, of any stream.
        broken: why reading ended before the file did.
        read: bytes to the end of the last packet.
    """

    stamps: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    count: int = 0
    unstamped: bool = False
    corrupt: bool = False
    starts_with_key: bool = True
    back: bool = False
    unordered: bool = False
    timeless: bool = False
    begin: Fraction | None = None
    end: Fraction = Fraction(0)
    broken: list[str] = field(default_factory=list)
    read: int = 0


@dataclass(frozen=True)
class _Header:
    """What a movie's container says of it.

    Attributes:
        pictures: how many; 0 where it does not count them.
        seconds: how long it is, where that tells damage; otherwise 0.
        slack: seconds by which packets may end earlier.
        rate: frames a second.
        ends: the stamp at which an AVI ends.
        avi: its stamps count packets, and it counts empty ones.
        reordered: pictures are coded in another order than they are shown.
        read_once: FFmpeg reads one recording of the file, whatever follows it.
    """

    pictures: int
    seconds: Fraction
    slack: Fraction
    rate: Fraction
    ends: int | None
    avi: bool
    reordered: bool
    read_once: bool

    @classmethod
    def of(cls, container: Any, stream: Any) -> "_Header":
        kind = container.format.name
        rate = Fraction(stream.guessed_rate or stream.average_rate or 25)
        told = container.duration if kind in _TELL_THEIR_LENGTH else 0
        ends = (stream.start_time or 0) + stream.duration if stream.duration else None
        return cls(
            pictures=stream.frames,
            seconds=Fraction(told or 0, av.time_base),
            # Sound's last packet may be padded; a movie without sound ends with its last picture.
            slack=(Fraction(3, 4) if len(container.streams) == 1 else 2) / rate,
            rate=rate,
            ends=ends if kind == "avi" else None,
            avi=kind == "avi",
            reordered=bool(stream.codec_context.has_b_frames),
            read_once=kind in _READ_ONCE,
        )


def index_movie(path: Path) -> MovieIndex:
    """Finds all pictures that a movie shows.

    Raises:
        FootageError: if it holds none that can be decoded.
    """
    container, stream = open_movie(path)
    with container:
        header, index = _Header.of(container, stream), MovieIndex(Fraction(stream.time_base))
        seen = _read_packets(container, stream, 1 / header.rate)
    steps = [b - a for a, b in itertools.pairwise(sorted(set(seen.stamps)))]
    seen.timeless = bool(steps) and statistics.median(steps) * index.time_base * _FASTEST < 1
    if header.reordered and not header.avi and seen.stamps == sorted(seen.stamps):
        # Where pictures are coded in another order than they are shown, so are true stamps.
        seen.unordered = _shown_out_of_order(path)
    lost = missing_bytes(path)
    absent = header.pictures - seen.count if header.pictures else 0
    if absent > 0 and not lost:
        # An edit list hides pictures that the header counts, and an AVI counts empty ones.
        absent = 0 if header.avi else header.pictures - _all_packets(path)
    doubtful = (
        seen.unstamped
        or seen.corrupt
        or seen.back
        or seen.unordered
        or seen.timeless
        or bool(seen.broken)
        or not seen.starts_with_key
        or len(set(seen.stamps)) != len(seen.stamps)
        or lost > 0
        or absent > 1
        or header.avi
    )
    if not doubtful:
        index.stamps, index.keys = sorted(seen.stamps), sorted(set(seen.keys))
    else:
        _by_decoding(path, index, seen, header.rate, header.avi)
    if not index.stamps:
        what = "the movie holds no frame that can be decoded"
        if lost > 0 and header.pictures:
            what = f"the movie is cut off: none of {header.pictures} frames can be decoded"
        raise FootageError(what, path, REPAIR)
    if not index.in_order and header.ends is not None and not lost:
        index.until = header.ends
    _close_gaps(index, header.rate)
    if told := _ending(path, index, seen, header, lost, absent):
        index.notes.append(told)
    if header.seconds and seen.begin is not None and seen.begin > _LATE / header.rate:
        index.notes.append(
            f"the movie's first picture stands at {float(seen.begin):.3g} s; if there is anything"
            " before it, it cannot be read"
        )
    return index


def _ending(
    path: Path, index: MovieIndex, seen: _Packets, header: _Header, lost: int, absent: int
) -> str:
    """What is to be said of a movie's end; "" where it ends as it should.

    Args:
        lost: bytes that are missing.
        absent: pictures that the header counts and the file has not.
    """
    there = len(index.stamps)
    if lost > 0:
        return (
            f"the movie is cut off ({lost / 1e6:.3g} MB are missing at its end); the {there} frames"
            " that are there are read"
        )
    if seen.end < header.seconds - header.slack:
        return (
            "the movie is cut off, or damaged where it cannot be read on: its header says"
            f" {float(header.seconds):.3g} s, {float(seen.end):.3g} s are there; what can be read"
            f" of them is ({there} frames)"
        )
    fewer = header.avi and header.pictures > len(seen.stamps) and index.in_order
    if absent > 1 or fewer:
        return f"the header counts {header.pictures} frames; the {there} that are there are read"
    if header.read_once and begins_anew(path, seen.read):
        return (
            "the file is recordings one after the other, of which the first alone can be read"
            f" ({there} frames); join them with a tool that writes one movie"
        )
    if abrupt := abrupt_end(path):
        return f"the movie is cut off ({abrupt}); the {there} frames that are there are read"
    if seen.broken:
        why = seen.broken[0]
        return f"the movie cannot be read to its end ({why}); the {there} frames before are read"
    return ""


def _read_packets(container: Any, stream: Any, each: Fraction) -> _Packets:
    """Reads all packets; `each` is how long a picture is shown where its packet does not say."""
    seen = _Packets()
    order: int | None = None
    back = round(1 / Fraction(stream.time_base))
    for packet in packets(container, None, seen.broken.append):
        if packet.size == 0:
            continue
        if packet.pos is not None:
            seen.read = max(seen.read, packet.pos + packet.size)
        if packet.pts is not None and packet.time_base:
            begin = packet.pts * packet.time_base
            seen.begin = begin if seen.begin is None else min(seen.begin, begin)
            length = (packet.duration or 0) * packet.time_base
            if not length and packet.stream_index == stream.index:
                length = each  # Some containers say where a picture begins, not how long it is.
            seen.end = max(seen.end, begin + length)
        if packet.stream_index != stream.index:
            continue
        seen.count += 1
        seen.corrupt |= bool(packet.is_corrupt)
        at = packet.dts if packet.dts is not None else packet.pts
        if at is not None:
            seen.back |= order is not None and at < order - back
            order = at
        if packet.is_keyframe and packet.pts is not None:
            seen.keys.append(packet.pts)
        elif seen.count == 1:
            seen.starts_with_key = False
        if packet.is_discard:
            continue
        if packet.pts is None:
            seen.unstamped = True
        else:
            seen.stamps.append(packet.pts)
    return seen


def _shown_out_of_order(path: Path) -> bool:
    """Whether the first pictures come out of the decoder with stamps that run backwards."""
    container, stream = open_movie(path)
    with container:
        frames = itertools.islice(decoded(container, stream, lambda reason: None), _GLANCED)
        stamps = [frame.pts for frame in frames if frame.pts is not None]
    return any(b <= a for a, b in itertools.pairwise(stamps))


def _all_packets(path: Path) -> int:
    """How many packets there are if no edit list hides any."""
    container, stream = open_movie(path, ignore_editlist="1")
    with container:
        return sum(packet.size > 0 for packet in packets(container, stream, lambda reason: None))


def _by_decoding(
    path: Path, index: MovieIndex, seen: _Packets, rate: Fraction, counts: bool
) -> None:
    """Fills an index with what the decoder gives.

    Args:
        counts: the container's stamps count packets, not pictures (AVI).
    """
    damage: list[str] = []
    stamps: list[int | None] = []
    container, stream = open_movie(path)
    with container:
        for frame in decoded(container, stream, damage.append):
            stamps.append(frame.pts)
    if not seen.starts_with_key and seen.keys:
        # Some decoders make up what is before the first picture that needs no other.
        stamps = [stamp for stamp in stamps if stamp is None or stamp >= min(seen.keys)]
    known = [stamp for stamp in stamps if stamp is not None]
    ordered = all(a < b for a, b in zip(known, known[1:], strict=False))
    if len(known) == len(stamps) and ordered and not (seen.back or seen.timeless):
        index.stamps = known
        index.keys = sorted(key for key in set(seen.keys) if key <= known[-1]) if known else []
        _tell_absent(index, seen)
        return
    index.in_order = True
    index.keys = []
    step = max(1, round(1 / (rate * index.time_base)))
    if seen.unordered and len(set(known)) == len(stamps):
        index.stamps = sorted(known)
    elif known and len(known) == len(stamps) and not (counts or seen.timeless):
        index.stamps = _joined(known, step, index.notes)
    elif known and ordered and not (counts or seen.timeless):
        index.stamps = _between(stamps, 1 / (rate * index.time_base), index.notes)
    else:
        # Stamps that run backwards in it are of no use.
        index.stamps = [number * step for number in range(len(stamps))]


def _joined(stamps: list[int], step: int, notes: list[str]) -> list[int]:
    """The stamps of recordings joined to one file, one after the other."""
    result: list[int] = []
    shift = 0
    places = []
    for row, stamp in enumerate(stamps):
        if row and stamp <= stamps[row - 1]:
            shift = result[-1] + step - stamp
            places.append(row + 1)
        result.append(stamp + shift)
    named = ", ".join(str(place) for place in places[:6])
    notes.append(
        f"the movie is {len(places) + 1} recordings joined, anew from frame {named}; they follow"
        " each other without a gap"
    )
    return result


def _between(stamps: list[int | None], step: Fraction, notes: list[str]) -> list[int]:
    """The stamps of pictures of which only some have one (MPEG program streams).

    Pictures that are absent between two stamps are noted; where is not known, so that it is
    taken to be before the later one.
    """
    result: list[int] = []
    places = []
    absent = 0
    place = Fraction(0)
    for row, stamp in enumerate(stamps):
        place = place + step if result else Fraction(stamp or 0)
        jump = round((stamp - place) / step) if stamp is not None else 0
        if jump > 0:
            places.append(row)
            absent += jump
            place += jump * step
        elif jump == 0 and stamp is not None:
            place = Fraction(stamp)
        result.append(round(place))
    if places:
        notes.append(f"{absent} frames of the movie are missing (about frame {_listed(places)})")
    return result


def _listed(places: list[int]) -> str:
    return ", ".join(map(str, places[:6])) + (" and more" if len(places) > 6 else "")


def _tell_absent(index: MovieIndex, seen: _Packets) -> None:
    """Notes what the packets promise and the decoder does not give."""
    if not index.stamps:
        return
    there = set(index.stamps)
    index.early = sum(stamp < index.stamps[0] for stamp in seen.stamps)
    if index.early:
        index.notes.append(
            f"the movie starts in the middle of a group of pictures; its first {index.early} cannot"
            " be decoded and are left out"
        )
    last = index.stamps[-1]
    late = [stamp for stamp in seen.stamps if stamp > last]
    if late:
        index.notes.append(
            f"the last {len(late)} frames of the movie are damaged and left out; frames 1-"
            f"{len(index.stamps)} are read"
        )
    inside = [s for s in sorted(set(seen.stamps)) if index.stamps[0] < s < last and s not in there]
    if inside:
        rows = [sum(stamp < s for stamp in index.stamps) for s in inside]
        index.notes.append(
            f"{len(inside)} damaged frames of the movie repeat the one before them (after frame"
            f" {_listed(rows)})"
        )


def _close_gaps(index: MovieIndex, rate: Fraction) -> None:
    """Times that follow the stamps but for gaps in the recording, which are noted and closed."""
    stamps = index.stamps
    steps = [later - earlier for earlier, later in zip(stamps, stamps[1:], strict=False)]
    if not steps:
        index.times = list(stamps)
        return
    typical = Fraction(statistics.median(steps))
    longest = max(_HOLD / index.time_base, 50 * typical)
    shift = 0
    times = [stamps[0]]
    for row, step in enumerate(steps):
        if step > longest:
            seconds = float(step * index.time_base)
            length = f"{seconds / 60:.3g} minutes" if seconds >= 120 else f"{seconds:.3g} s"
            index.notes.append(
                f"the recording has a gap of {length} after frame {row + 1}; it is closed"
            )
            shift += step - round(typical)
        times.append(stamps[row + 1] - shift)
    index.times = times
    if shift:
        index.until = None


def constant_rate(
    times: list[int], time_base: Fraction, guessed: Fraction
) -> tuple[Fraction, bool]:
    """The constant rate that fits time stamps, and whether they really are that constant."""
    if len(times) < 2:
        return guessed, True
    steps = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    # Containers that count milliseconds guess "19001/317" for 60000/1001.
    close = [rate for rate in _STANDARD_RATES if abs(rate / guessed - 1) < _SAME_RATE]
    known = [*close, guessed, *_STANDARD_RATES]
    if min(steps) == max(steps):
        exact = 1 / (steps[0] * time_base)
        # Two or three steps of whole milliseconds say little of a rate.
        rounded = None if exact in _STANDARD_RATES else _fitting(times, time_base, known)
        return rounded or exact, True
    # On a coarser clock a longer step is a frame left out, not rounding.
    if max(steps) - min(steps) <= 2 * _loose(times) and min(steps) >= _FINE:
        mean = Fraction(len(steps), times[-1] - times[0]) / time_base
        found = _fitting(times, time_base, known) or _fitting(
            times, time_base, [mean.limit_denominator(1001), mean]
        )
        if found is not None:
            return found, True
    typical = 1 / (Fraction(statistics.median(steps)) * time_base)
    candidates = [rate for rate in known if abs(rate / typical - 1) < 0.02]
    if candidates and candidates[0] not in (*close, guessed):
        candidates.sort(key=lambda rate: abs(rate / typical - 1))
    fps = candidates[0] if candidates else typical.limit_denominator(1001)
    return fps, False


def _fitting(times: list[int], time_base: Fraction, rates: list[Fraction]) -> Fraction | None:
    """The rate whose stamps these are, but for their rounding to whole numbers: the first one if
    it is, else the one that fits best."""
    errors = {}
    for rate in rates:
        # The first stamp is rounded, too.
        off = np.array(times) - times[0] - np.arange(len(times)) * float(1 / (rate * time_base))
        errors[rate] = float(off.max() - off.min()) / 2
    loose = _loose(times)
    best = rates[0] if errors[rates[0]] <= loose else min(rates, key=lambda rate: errors[rate])
    return best if errors[best] <= loose else None


def _loose(times: list[int]) -> float:
    """Ticks by which stamps of a constant rate may be off: by rounding, and by what some demuxers
    reckon between those that a file has."""
    return max(1.0, _JITTER * (times[-1] - times[0]) / (len(times) - 1))
