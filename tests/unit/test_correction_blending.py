# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Corrections of some frames reach those between them, and nothing else."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from portraitgen.body.motion import Motion
from portraitgen.tracking.correction_blending import blend_corrections

COUNT = 20


def still(seed: int = 0) -> Motion:
    random = np.random.default_rng(seed)
    return Motion(
        np.arange(1001, 1001 + COUNT),
        np.zeros(4, np.float32),
        random.normal(0, 0.1, (COUNT, 3)).astype(np.float32),
        random.normal(0, 0.4, (COUNT, 55, 3)).astype(np.float32),
        random.uniform(0.2, 0.8, (COUNT, 6)).astype(np.float32),
        np.ones(COUNT, bool),
        np.zeros(COUNT, bool),
    )


def corrected(motion: Motion, rows: list[int], seed: int = 1) -> Motion:
    random = np.random.default_rng(seed)
    pose, transl = motion.pose.copy(), motion.transl.copy()
    pose[rows] += random.normal(0, 0.3, (len(rows), 55, 3)).astype(np.float32)
    transl[rows] += np.float32(0.2)
    return replace(motion, pose=pose, transl=transl)


@settings(max_examples=60, deadline=None)
@given(
    anchors=st.sets(st.integers(0, COUNT - 1), min_size=1, max_size=6),
    ends=st.tuples(st.integers(0, COUNT - 1), st.integers(0, COUNT - 1)),
    ease=st.sampled_from([0, 3]),
)
def test_anchors_and_what_lies_outside_keep_their_bits(
    anchors: set[int], ends: tuple[int, int], ease: int
) -> None:
    motion, (first, last) = still(), sorted(ends)
    rows = sorted(anchors)
    wanted = corrected(motion, rows)
    found = blend_corrections(motion, wanted, np.array(rows), first, last, ease)
    outside = [row for row in range(COUNT) if not first <= row <= last]
    for kept in (rows, outside):
        for name in ("pose", "transl", "expression"):
            assert np.array_equal(getattr(found, name)[kept], getattr(wanted, name)[kept])
    moved = (found.transl - motion.transl).mean(1)
    assert moved.min() > -1e-6 and moved.max() < 0.2 + 1e-6


def test_one_correction_lasts_to_the_shots_end_and_fades_elsewhere() -> None:
    motion = still()
    found = blend_corrections(motion, corrected(motion, [8]), np.array([8]), 4, COUNT - 1)
    share = (found.transl - motion.transl).mean(1) / 0.2
    assert np.allclose(share[8:], 1, atol=1e-5) and np.allclose(share[:4], 0)
    assert (np.diff(share[3:9]) > 0).all()
    eased = blend_corrections(motion, corrected(motion, [8]), np.array([8]), 0, COUNT - 1, 3)
    reached = np.abs(eased.transl - motion.transl).max(1) > 1e-6
    assert np.flatnonzero(reached).tolist() == [6, 7, 8, 9, 10]


def test_turns_are_shared_out_in_the_joints_own_space() -> None:
    motion = still()
    added = Rotation.from_rotvec([0.0, 0.4, 0.0])
    pose = motion.pose.copy()
    for row in (5, 11):
        pose[row, 12] = (Rotation.from_rotvec(pose[row, 12]) * added).as_rotvec()
    wanted = replace(motion, pose=pose)
    found = blend_corrections(motion, wanted, np.array([5, 11]), 5, 11)
    for row in range(5, 12):
        between = Rotation.from_rotvec(motion.pose[row, 12]).inv()
        turned = (between * Rotation.from_rotvec(found.pose[row, 12])).as_rotvec()
        assert np.allclose(turned, [0, 0.4, 0], atol=1e-5)
    others = np.delete(np.arange(55), 12)
    assert np.array_equal(found.pose[:, others], motion.pose[:, others])
