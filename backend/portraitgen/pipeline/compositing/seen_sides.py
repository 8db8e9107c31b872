# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From which sides an avatar saw the performer's head, and how far a camera goes beyond them."""

from collections.abc import Mapping, Sequence

import numpy as np

from ...body.model import BodyModel
from ...body.motion import Motion, posed
from ...frames import parse_frame_list, runs_of
from ...shot import Shot
from ..data.shots import Track
from .novel_view import NovelView

HOLDS = 20.0
"""Degrees beyond what was seen, up to which a view holds."""
_HEAD = 15


def learned_frames(shot: Shot, avatar: int | None = None) -> list[int]:
    """The frames that an avatar learned from."""
    record = shot.avatar_record(avatar)
    track = Track(shot, record.track)
    asked = record.options.get("frames")
    return track.tracked(parse_frame_list(asked if isinstance(asked, str) else "", track.frames))


def sides(
    body: BodyModel,
    motion: Motion,
    frames: Sequence[int],
    views: Mapping[int, NovelView] | None = None,
) -> np.ndarray:
    """Where the camera stands as the head sees it: unit vectors (N, 3) in the head's own axes.

    Args:
        views: cameras by frame; the plate's own if None.
    """
    rows = np.array([motion.index(frame) for frame in frames])
    posed_body = posed(body, motion.rows(rows), np.zeros(1, np.int64))
    places = np.zeros((len(frames), 3))
    for row, frame in enumerate(frames):
        if views is not None:
            turn, shift = views[frame].matrix[:3, :3], views[frame].matrix[:3, 3]
            # A camera may come flattened from elsewhere.
            places[row] = -np.linalg.pinv(turn) @ shift
    towards = places - posed_body.joints[:, _HEAD].double().numpy()
    towards /= np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-9)
    turned = posed_body.rotations[:, _HEAD].double().numpy()
    result: np.ndarray = (turned.transpose(0, 2, 1) @ towards[..., None])[..., 0]
    return result


def beyond(seen: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """How far each side lies from the nearest that was seen, degrees (N,).

    Args:
        seen: (M, 3); shown: (N, 3), as `sides` gives them.
    """
    nearest: np.ndarray = (shown @ seen.T).max(1).clip(-1, 1)
    return np.degrees(np.arccos(nearest))


def told(away: Mapping[int, float], learned: int) -> list[str]:
    """One sentence about frames whose views go beyond what was seen.

    Args:
        away: degrees by frame; learned: from how many frames the avatar learned.
    """
    far = {frame: value for frame, value in away.items() if value > HOLDS}
    if not far:
        return []
    of = "the one picture" if learned == 1 else "any frame"
    return [
        f"In frames {runs_of(far)} the head is seen from up to {max(far.values()):.0f} degrees"
        f" beside {of} that the avatar learned from; views hold to some {HOLDS:.0f}, and what shows"
        " beyond is guessed."
    ]
