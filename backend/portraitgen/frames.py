# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frame ranges as people write them, and choosing among frames. Standard library only."""

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from .errors import OptionError

_Thing = TypeVar("_Thing")


def is_frame_number(text: str) -> bool:
    """Whether text, as a file's name has it, is a frame's number; it may lie below zero."""
    return re.fullmatch(r"-?[0-9]{1,9}", text) is not None


def parse_frames(text: str, available: range) -> range:
    """The frames that "1001-1250", "1001" or "" (all) names.

    Args:
        text: the user's words.
        available: what there is, in the plate's own numbers.

    Raises:
        OptionError: if the text is no range, or leaves what is available.

    Example:
        >>> parse_frames("1003-1005", range(1001, 1251))
        range(1003, 1006)
    """
    if not text.strip():
        return available
    match = re.fullmatch(r"\s*(-?\d{1,18})(?:\s*-\s*(-?\d{1,18}))?\s*", text)
    if not match:
        raise OptionError(
            f"'{text}' is no frame range", "frames", "write it as 1001-1250, or one frame as 1001"
        )
    first = int(match[1])
    last = int(match[2]) if match[2] is not None else first
    if last < first:
        raise OptionError(f"{text} ends before it begins", "frames", f"write {last}-{first}")
    if first < available.start or last >= available.stop:
        span = f"{available.start}-{available.stop - 1}"
        raise OptionError(f"{text} leaves the frames there are", "frames", f"stay within {span}")
    return range(first, last + 1)


def parse_frame_list(text: str, available: range) -> Sequence[int]:
    """The frames that "1,5,9", "1-3,5", "1001-1250x10", "-3-0" or "" (all) names, ascending.

    Args:
        text: the user's words: frames and ranges between commas; "x10", or ":10" as Open Job
            Description writes it, takes every tenth.
        available: what there is, in the plate's own numbers.

    Returns:
        A range where none is left out.

    Raises:
        OptionError: if the text is no list, or leaves what is available.

    Example:
        >>> parse_frame_list("1-3,5,10-30x10", range(1, 101))
        [1, 2, 3, 5, 10, 20, 30]
    """
    if not text.strip():
        return available
    frames: set[int] = set()
    for piece in (each for each in text.split(",") if each.strip()):
        span, times, step = piece.replace(":", "x").partition("x")
        if (times and not _is_step(step.strip())) or not span.strip():
            raise OptionError(
                f"'{piece.strip()}' is no frame range",
                "frames",
                "write frames as 1001-1250, 1,5,9 or 1001-1250x10",
            )
        frames.update(parse_frames(span, available)[:: int(step) if times else 1])
    if not frames:
        raise OptionError(f"'{text}' names no frame", "frames", "write them as 1001-1250")
    ordered = sorted(frames)
    whole = range(ordered[0], ordered[-1] + 1)
    return whole if len(whole) == len(ordered) else ordered


def _is_step(text: str) -> bool:
    return re.fullmatch(r"\d{1,18}", text) is not None and int(text) > 0


def frame_list(frames: Sequence[int], step: str = "x") -> str:
    """Ascending frames as `parse_frame_list` reads them, as short as can be: "1-3,5,10-90x10".

    Args:
        step: what stands before a step: "x", or ":" for Open Job Description.

    Example:
        >>> frame_list([1, 2, 3, 5, 10, 20, 30, 40])
        '1-3,5,10-40x10'
    """
    parts = []
    at = 0
    while at < len(frames):
        end = at + 1
        gap = frames[end] - frames[at] if end < len(frames) else 1
        while end < len(frames) and frames[end] - frames[end - 1] == gap:
            end += 1
        if gap > 1 and end - at < 3:
            end = at + 1
        first, last = frames[at], frames[end - 1]
        every = f"{step}{gap}" if gap > 1 else ""
        parts.append(str(first) if first == last else f"{first}-{last}{every}")
        at = end
    return ",".join(parts)


def spread(things: Sequence[_Thing], most: int) -> list[_Thing]:
    """At most so many of some things, evenly from the first to the last.

    Example:
        >>> spread(range(1, 101), 4)
        [1, 34, 67, 100]
    """
    gaps = max(most - 1, 1)
    places = {index * (len(things) - 1) // gaps for index in range(most)} if things else set()
    return [things[place] for place in sorted(places)]


def runs_of(frames: Iterable[int]) -> str:
    """Frame numbers as people write them: "1-4, 7".

    Example:
        >>> runs_of([7, 1, 2, 3, 4])
        '1-4, 7'
    """
    runs: list[list[int]] = []
    for frame in sorted(frames):
        if runs and frame == runs[-1][1] + 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
