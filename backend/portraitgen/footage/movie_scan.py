# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoding a whole movie once, to say before the work begins what is wrong with which frame."""

from pathlib import Path

from .decoder_messages import MovieScan
from .facts import MovieFacts
from .fields import EVERY, LOOKED_AT, WHOLE, FieldWatch
from .movie_container import decoded, open_movie
from .movie_facts import tags_of
from .movie_pixels import luma_of


def runs_of(positions: list[int]) -> list[tuple[int, int]]:
    """Ascending numbers as first and last of their unbroken runs."""
    runs: list[tuple[int, int]] = []
    for position in positions:
        if runs and position == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], position)
        else:
            runs.append((position, position))
    return runs


def examine(path: Path, facts: MovieFacts, limit: int) -> MovieScan:
    """Decodes the first frames of a movie.

    Args:
        facts: of the movie.
        limit: how many frames at most.
    """
    positions = {stamp: row for row, stamp in enumerate(facts.stamps)}
    there: list[int] = []
    faulty: list[int] = []
    sizes: list[tuple[int, int, int]] = []
    changes: list[tuple[int, tuple[int, ...]]] = []
    interlaced = False
    watch = FieldWatch()
    tags = facts.tags
    damage: list[str] = []
    size = facts.stored
    looked = min(limit, len(facts.stamps))
    container, stream = open_movie(path)
    if stream.codec_context.name == "hevc":
        # This decoder goes on past damage without a word, unless it is told to stop at it; sums of
        # its pictures, which some encoders write, tell of all of it.
        stream.codec_context.options |= {"err_detect": "crccheck+explode"}
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
            if row % EVERY < LOOKED_AT:
                if row % EVERY == 0:
                    watch.cut()
                watch.look(*luma_of(frame))
            if (frame.width, frame.height) != size:
                size = (frame.width, frame.height)
                sizes.append((row, *size))
            if (now := tags_of(frame, stream.codec_context)) != tags:
                tags = now
                changes.append((row, now))
    # Where the first pictures seemed whole, others that are not must be told.
    flagged = (interlaced or facts.interlaced) and WHOLE not in facts.notes
    return MovieScan(
        looked=looked,
        whole=tuple(runs_of(sorted(set(there)))),
        faulty=tuple(runs_of(sorted(set(faulty)))),
        sizes=tuple(sizes),
        interlaced=interlaced,
        fields=tuple(note for note in watch.told(flagged) if note != WHOLE),
        changes=tuple(changes),
    )
