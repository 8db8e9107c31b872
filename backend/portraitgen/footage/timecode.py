# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SMPTE time code: counting on from a plate's first frame, and what EXR and DPX hold of it."""

import itertools
import re
from collections.abc import Sequence
from fractions import Fraction

_CODE = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})([:;.])(\d{1,3})")
_MOST_COUNTED = 30
_COUNTED = 0xFFEFFF  # A group's bits but for drop-frame's and the one that is always set.
_USUAL_RATES = [Fraction(rate) for rate in (24, 25, 30, 48, 50, 60)]


def advanced(code: str, frames: int, fps: Fraction) -> str:
    """The time code so many frames later; "" for what is none.

    Args:
        code: "10:20:30:05", or "10:20:30;05" for drop-frame.
        frames: how many; may be negative.
        fps: frames a second; the code counts their next whole number.

    Example:
        >>> advanced("10:20:30:05", 20, Fraction(24))
        '10:20:31:01'
        >>> advanced("00:00:59;29", 1, Fraction(30000, 1001))
        '00:01:00;02'
    """
    match = _CODE.fullmatch(code.strip())
    rate = round(fps)
    if match is None or rate < 1:
        return ""
    hours, minutes, seconds, frame = (int(match[group]) for group in (1, 2, 3, 5))
    drop = match[4] != ":" and rate % 30 == 0
    count = ((hours * 60 + minutes) * 60 + seconds) * rate + frame
    skipped = rate // 15 if drop else 0
    if drop:
        total = hours * 60 + minutes
        count -= skipped * (total - total // 10)
    count = (count + frames) % (24 * 3600 * rate - skipped * (24 * 60 - 24 * 6))
    if drop:
        per_ten = 600 * rate - 9 * skipped
        per_minute = 60 * rate - skipped
        tens, rest = divmod(count, per_ten)
        minutes_in = max(0, (rest - skipped) // per_minute)
        count += skipped * (9 * tens + minutes_in)
    seconds, frame = divmod(count, rate)
    mark = ";" if drop else ":"
    clock = f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{clock}{mark}{frame:02d}"


def rebased(code: str, counted: Fraction, fps: Fraction) -> str:
    """A time code that counts so many frames a second, as one of another rate counts that moment;
    "" for what is none."""
    match = _CODE.fullmatch(code.strip())
    old, new = round(counted), round(fps)
    if match is None or old < 1 or new < 1:
        return ""
    if old == new:
        return code
    frame = min(int(match[5]) * new // old, new - 1)
    return f"{code.strip()[: match.start(5)]}{frame:02d}"


def counted(code: str, fps: Fraction) -> tuple[int, int, int, int, bool, bool] | None:
    """Hours, minutes, seconds, frame, drop-frame and field mark as EXR and DPX hold them; None for
    no code.

    Of rates above 30 frames are counted in pairs, whose second has the field mark, and so on
    (SMPTE 12M): there is no room for more than 39.
    """
    match = _CODE.fullmatch(code.strip())
    if match is None:
        return None
    hours, minutes, seconds, frame = (int(match[group]) for group in (1, 2, 3, 5))
    each = _frames_a_count(fps)
    counts, rest = divmod(frame, each)
    return hours, minutes, seconds, min(counts, 39), match[4] != ":", rest > 0


def breaks(codes: Sequence[str], fps: Fraction | None) -> list[int]:
    """Where the time codes of frames that follow each other do not: rows of those that are not the
    one before them counted on.

    Args:
        codes: of all frames.
        fps: the rate they are counted at; where it is not known, the usual one that fits best.

    Example:
        >>> breaks(["01:00:00:00", "01:00:00:01", "01:00:05:00"], Fraction(25))
        [2]
    """
    rates = [fps] if fps is not None else _USUAL_RATES
    found = [_unfollowed(codes, rate) for rate in rates]
    if (fps is None or fps > _MOST_COUNTED) and len(set(codes)) <= len(codes) // 2 + 1:
        # Each code stands for two frames, with a mark on the second that readers may not give.
        once = [row for row in range(1, len(codes)) if codes[row] != codes[row - 1]]
        counted = [codes[0], *(codes[row] for row in once)]
        even = all(b - a == 2 for a, b in itertools.pairwise(once))
        found += [[once[row - 1] for row in _unfollowed(counted, rate)] for rate in rates if even]
    return min(found, key=len)


def _unfollowed(codes: Sequence[str], fps: Fraction) -> list[int]:
    return [row for row in range(1, len(codes)) if codes[row] != advanced(codes[row - 1], 1, fps)]


def _frames_a_count(fps: Fraction) -> int:
    return max(1, -(-round(fps) // 30))


def unpacked(words: tuple[int, ...], fps: Fraction | None = None) -> str:
    """The time code that the two words of SMPTE 12M hold, in binary-coded decimals.

    Args:
        fps: the rate; above 30 frames are counted in pairs.
    """
    word = int(words[0])
    frame = (word >> 4 & 3) * 10 + (word & 15)
    each = _frames_a_count(fps) if fps is not None else 1
    if each > 1:
        frame = frame * each + (word >> 15 & 1)
    clock = [
        (word >> place + 4 & tens) * 10 + (word >> place & 15)
        for place, tens in ((24, 3), (16, 7), (8, 7))
    ]
    mark = ";" if word >> 6 & 1 else ":"
    return ":".join(f"{value:02d}" for value in clock) + f"{mark}{frame:02d}"


def of_group(word: int) -> str:
    """The time code of a group of pictures of MPEG-1 and -2, as its header holds it; "" for that of
    those that count nothing."""
    if word & _COUNTED == 0:
        return ""
    fields = [word >> place & 63 for place in (19, 13, 6, 0)]
    return _written(fields[0] & 31, *fields[1:], drop=bool(word >> 24 & 1))


def of_picture(word: int, fps: Fraction) -> str:
    """A time code beside a picture (H.264, HEVC), in SMPTE 12M's decimals, hours in the lowest
    byte, as FFmpeg gives it; above 30 frames a second, frames are counted in pairs."""
    fields = [word & 63, word >> 8 & 127, word >> 16 & 127, word >> 24 & 63]
    hours, minutes, seconds, frame = (10 * (each >> 4) + (each & 15) for each in fields)
    each = _frames_a_count(fps)
    if each > 1:
        second = word >> (7 if round(fps) == 50 else 23) & 1
        frame = frame * each + second
    return _written(hours, minutes, seconds, frame, drop=bool(word >> 30 & 1))


def _written(hours: int, minutes: int, seconds: int, frame: int, *, drop: bool) -> str:
    mark = ";" if drop else ":"
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{mark}{frame:02d}"
