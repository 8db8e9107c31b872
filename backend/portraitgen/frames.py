# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frame ranges as people write them, and choosing among frames. Standard library only."""

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from .errors import OptionError

_Thing = TypeVar("_Thing")


def parse_frames(text: str, available: range) -> range:
    """The frames that "1001-1250", "1001" or "" (all) names.

    Args:
        text: the user's words.
        available: what there is, in the plate's own numbers.

    Raises:
        OptionError: if the text is no range, or leaves what is available.
    """
    if not text:
        return available
    match = re.fullmatch(r"\s*(-?\d+)(?:\s*-\s*(-?\d+))?\s*", text)
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


def spread(things: Sequence[_Thing], most: int) -> list[_Thing]:
    """At most so many of some things, evenly from the first to the last."""
    gaps = max(most - 1, 1)
    places = {index * (len(things) - 1) // gaps for index in range(most)} if things else set()
    return [things[place] for place in sorted(places)]


def runs_of(frames: Iterable[int]) -> str:
    """Frame numbers as people write them: "1-4, 7"."""
    runs: list[list[int]] = []
    for frame in sorted(frames):
        if runs and frame == runs[-1][1] + 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
