# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When which key frame is edited: the paper's rounds, or all at once before one fit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..body.motion import Motion

_POSE_JOINTS = (12, 15)
POSES = 3 * len(_POSE_JOINTS)
"""How many columns of `pose_space`, its first, tell of the head's pose."""


@dataclass(frozen=True)
class Schedule:
    """The edits of a take.

    Attributes:
        key_rows: the rows of the training set that are edited and trained on.
        edits: step -> the row edited before that step.
        gentle: the steps whose edits are to change little of what has been agreed on.
        anchor: the row that is edited first and that the others are to look like, if any.
    """

    key_rows: list[int]
    edits: dict[int, int]
    gentle: frozenset[int] = frozenset()
    anchor: int | None = None


def iterative(
    rows: int, every: int, interval: int, steps: int, rounds: int, wanted: Sequence[int] = ()
) -> Schedule:
    """The iterative dataset update (PortraitGen 3.3, after Instruct-NeRF2NeRF).

    Args:
        rows: how many frames there are.
        every: each which frame is a key frame.
        interval: an edit before every which step.
        steps: of training.
        rounds: how often each key frame is edited at most; 1 for editors that start from the
            plate, whose result would not change.
        wanted: rows that are key frames in any case.
    """
    keys = sorted({*range(0, rows, every), *wanted})
    count = min(len(keys) * rounds, 1 + (steps - 1) // interval)
    return Schedule(keys, {edit * interval: keys[edit % len(keys)] for edit in range(count)})


def one_pass(
    motion: Motion,
    keys: int,
    wanted: Sequence[int] = (),
    again: int | None = None,
    approved: Sequence[int] = (),
) -> Schedule:
    """All key frames edited before the first step, chosen for their variety.

    Args:
        motion: of the training set's rows.
        keys: how many.
        wanted: rows that are key frames in any case.
        again: the step before which a gentle round over all of them begins, an edit a step: by
            then the avatar shows what they agree on. None for editors whose result would be
            the same.
        approved: rows whose pictures an artist has approved: the first of them is the anchor, the
            most typical row if there are none.
    """
    anchor = min(approved) if approved else typical(motion)
    others = sorted(({*pivots(motion, keys)} | set(wanted) | set(approved)) - {anchor})
    rows = [anchor, *others]
    edits = {-1 - index: row for index, row in enumerate(reversed(rows))}
    second = {} if again is None else {again + index: row for index, row in enumerate(rows)}
    return Schedule(sorted(rows), edits | second, frozenset(second), anchor)


def pivots(motion: Motion, count: int) -> list[int]:
    """Rows that differ most in head pose and expression (farthest-point sampling), ascending.

    A blink or a turn of the head of one radian counts like a whole unit of expression.
    """
    rows, space = len(motion), pose_space(motion)
    chosen = [typical(motion)]
    distance = np.linalg.norm(space - space[chosen[0]], axis=1)
    while len(chosen) < min(count, rows):
        farthest = int(distance.argmax())
        chosen.append(farthest)
        distance = np.minimum(distance, np.linalg.norm(space - space[farthest], axis=1))
    return sorted(set(chosen))


def typical(motion: Motion) -> int:
    """The row nearest to the median head pose and expression."""
    space = pose_space(motion)
    return int(np.linalg.norm(space - np.median(space, axis=0), axis=1).argmin())


def pose_space(motion: Motion) -> np.ndarray:
    """Head pose and expression of each row, (N, D): rows that look alike lie near each other."""
    pose = motion.pose[:, list(_POSE_JOINTS)].reshape(len(motion), -1)
    return np.concatenate([pose * 2, motion.expression], axis=1)
