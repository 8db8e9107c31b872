# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoding a whole movie once, to say before the work begins what is wrong with which frame."""

from pathlib import Path
from typing import Any

from .movie_container import decoded, open_movie
from .movie_facts import MovieFacts


def runs_of(positions: list[int]) -> list[tuple[int, int]]:
    """Ascending numbers as first and last of their unbroken runs."""
    runs: list[tuple[int, int]] = []
    for position in positions:
        if runs and position == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], position)
        else:
            runs.append((position, position))
    return runs


def examine(path: Path, facts: MovieFacts, limit: int) -> dict[str, Any]:
    """Decodes the first frames of a movie.

    Args:
        facts: of the movie.
        limit: how many frames at most.

    Returns:
        looked: how many positions were looked at.
        whole: runs of positions (first, last) that can be decoded.
        faulty: runs of those whose decoder reported or concealed damage.
        sizes: position and size of each picture whose size is not the one before's.
        interlaced: whether one of them is.
    """
    positions = {stamp: row for row, stamp in enumerate(facts.stamps)}
    there: list[int] = []
    faulty: list[int] = []
    sizes: list[tuple[int, int, int]] = []
    interlaced = False
    damage: list[str] = []
    size = facts.stored
    looked = min(limit, len(facts.stamps))
    container, stream = open_movie(path)
    with container:
        for order, frame in enumerate(decoded(container, stream, damage.append)):
            row = order if facts.in_order else positions.get(frame.pts)
            if row is None:
                continue
            if row >= looked:
                break
            there.append(row)
            if frame.is_corrupt or damage:
                faulty.append(row)
                damage.clear()
            interlaced |= bool(frame.interlaced_frame)
            if (frame.width, frame.height) != size:
                size = (frame.width, frame.height)
                sizes.append((row, *size))
    return {
        "looked": looked,
        "whole": runs_of(sorted(set(there))),
        "faulty": runs_of(sorted(set(faulty))),
        "sizes": sizes,
        "interlaced": interlaced,
    }
