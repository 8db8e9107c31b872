# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From landmarks to a performer's motion: identity, head, expression, gaze, body, and quality."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import maximum_filter1d
from scipy.spatial.transform import Rotation

from ..body.camera import Camera
from ..body.model import BodyModel
from ..body.motion import Motion
from ..errors import TrackingError
from ..records import FrameQuality, FrameState, TrackSummary
from ..settings import option
from .body_landmarks import HANDS, SEEN_BY, guessed_parts
from .bodyfit import hang_body
from .correction_blending import blend_corrections
from .cuts import find_cuts
from .headfit import HeadModel, HeadPoses, fit_heads, fit_identity, neutral_face, project
from .landmarks import ChunkLandmarks
from .lids import shut_lids
from .part_quality import mean_parts
from .silhouette import HEAD
from .smoothing import bridge, gaps, smooth, smooth_rotations

_IDENTITY_FRAMES = 20
_LEFT_EYE, _RIGHT_EYE = 23, 24
_LEFT_IRIS, _RIGHT_IRIS = 473, 468
_IRIS_RADIUS = 0.0118
_MAX_GAZE = np.radians(35)
# Eyes that are so shut tell nothing of gaze, nor do the frames beside them.
_BLINKING = 0.3
_FAIR, _POOR = 2.5, 6.0
# Beyond this residual a face was seen, but is not tracked, per cent of the eye distance.
_WEAK = 4.5
# The share of frames without a part of the body from which it counts as guessed.
_HARDLY_SEEN = 0.5
# Frames over which a track leads to one that an artist fixed.
_EASE = 8


@dataclass(frozen=True)
class TrackSettings:
    """How the performer is tracked."""

    focal: float | None = option(
        None, "Focal length if it is known; estimated otherwise", unit="px", minimum=1
    )
    smoothing: float = option(
        1.0, "How strongly jitter is smoothed; 0 keeps every frame as solved", minimum=0, maximum=20
    )
    bridge: int = option(12, "Longest gap without a face that is bridged", unit="frames", minimum=0)


@dataclass(frozen=True)
class TrackSolution:
    """A solved track.

    Attributes:
        motion: of all frames; lost ones hold their neighbours' values and are not valid.
        camera: of the plate.
        quality: one a frame.
        heads: frame -> left, top, side of the square round the head, plate pixels.
    """

    motion: Motion
    camera: Camera
    quality: tuple[FrameQuality, ...]
    heads: dict[int, tuple[float, float, float] | None]

    def summary(self) -> TrackSummary:
        """Counts and means over the track."""
        return summarise(self.quality)


def summarise(quality: Sequence[FrameQuality]) -> TrackSummary:
    """Counts and means over the quality of frames."""
    states = [each.state for each in quality]
    residuals = [
        each.landmark_residual_percent
        for each in quality
        if each.landmark_residual_percent is not None
    ]
    worst = sorted(
        quality,
        key=lambda each: (each.confidence, -(each.landmark_residual_percent or 0.0)),
    )
    return TrackSummary(
        frames=len(states),
        tracked_frames=states.count("tracked"),
        bridged_frames=states.count("bridged"),
        lost_frames=states.count("lost"),
        landmark_residual_percent=float(np.mean(residuals)) if residuals else None,
        worst_frames=tuple(each.frame for each in worst[:5]),
        weak_frames=states.count("weak"),
        guessed_parts=tuple(
            part
            for part in (*SEEN_BY, *HANDS)
            if not part.endswith("leg")
            and sum(part in each.guessed for each in quality) > _HARDLY_SEEN * len(states)
        ),
        part_residual_percent=mean_parts(quality),
    )


def solve_track(
    body: BodyModel,
    seen: ChunkLandmarks,
    size: tuple[int, int],
    settings: TrackSettings,
    step: Callable[[str], None] = lambda stage: None,
) -> TrackSolution:
    """Solves a shot.

    Args:
        body: the body model.
        seen: the landmarks of all frames.
        size: width and height of the plate.
        settings: the user's.
        step: told the name of each step as it begins.

    Raises:
        TrackingError: if there is no face, or the shot cuts.
    """
    cuts = find_cuts(seen.frames, seen.thumbnail)
    if cuts:
        named = ", ".join(str(frame) for frame in cuts)
        raise TrackingError(
            f"the footage cuts to another shot at frame {named}",
            f"frames {seen.frames[0]}-{seen.frames[-1]}",
            f"track each part by itself, such as --frames {seen.frames[0]}-{cuts[0] - 1}",
        )
    known = ~np.isnan(seen.face[:, 0, 0])
    if not known.any():
        raise TrackingError(
            "no face was found in any frame",
            f"frames {seen.frames[0]}-{seen.frames[-1]}",
            "choose frames in which the performer's face can be seen",
        )
    model = HeadModel(body)
    points = seen.face[known][:, model.indices].astype(np.float64)
    width, height = size
    focal = settings.focal or 1.3 * max(size)
    camera = Camera(focal, focal, width / 2, height / 2, width, height)
    step("identity")
    chosen = _varied(points)
    betas, camera, _ = fit_identity(
        model, points[chosen], camera, fixed_focal=settings.focal is not None
    )
    betas = neutral_face(model, points, betas, camera)
    model = model.from_neutral(betas)
    step("heads")
    heads = fit_heads(model, points, betas, camera, iterations=14)
    residual = _residual_percent(points, project(model, betas, camera, heads), model)
    step("body")
    confidence = np.clip(1 - (residual - _FAIR) / (_POOR - _FAIR), 0.05, 1)
    heads, full = _over_all_frames(heads, known, confidence, settings, model)
    shut = _shut(seen, full, camera, known)
    if model.names:
        full = _with_shut_lids(full, shut, model)
    motion = _to_motion(body, seen, betas, camera, full, model, known, shut, settings.smoothing)
    guessed = guessed_parts(seen.pose, seen.hands, size)
    quality = _quality(seen.frames, known, residual, confidence, settings, guessed)
    boxes = _head_boxes(seen, known, model, betas, camera, full)
    return TrackSolution(motion, camera, quality, boxes)


def _varied(points: np.ndarray) -> np.ndarray:
    """Rows of frames that differ most in the face's shape (farthest-point sampling)."""
    centred = points - points.mean(1, keepdims=True)
    shapes = centred / np.linalg.norm(centred, axis=(1, 2), keepdims=True)
    flat = shapes.reshape(len(points), -1)
    chosen = [int(np.linalg.norm(flat - np.median(flat, axis=0), axis=1).argmin())]
    distance = np.linalg.norm(flat - flat[chosen[0]], axis=1)
    while len(chosen) < min(_IDENTITY_FRAMES, len(points)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(flat - flat[chosen[-1]], axis=1))
    return np.array(sorted(set(chosen)))


def _residual_percent(points: np.ndarray, fitted: np.ndarray, model: HeadModel) -> np.ndarray:
    """Mean distance to the landmarks of every frame, per cent of the eye distance."""
    eyes = [int(np.flatnonzero(model.indices == index)[0]) for index in (33, 263)]
    apart = np.linalg.norm(points[:, eyes[0]] - points[:, eyes[1]], axis=1)
    apart = np.maximum(apart, 0.45 * np.ptp(points[..., 1], axis=1))
    result: np.ndarray = 100 * np.linalg.norm(points - fitted, axis=2).mean(1) / apart
    return result


def _over_all_frames(
    heads: HeadPoses,
    known: np.ndarray,
    confidence: np.ndarray,
    settings: TrackSettings,
    model: HeadModel,
) -> tuple[HeadPoses, HeadPoses]:
    """The heads of all frames, gaps bridged, jitter smoothed."""
    rows = np.flatnonzero(known)
    order = np.clip(np.searchsorted(rows, np.arange(len(known))), 0, len(rows) - 1)
    spread = HeadPoses(heads.rotation[order], heads.translation[order], heads.expression[order])
    weights = np.zeros(len(known))
    weights[known] = confidence
    strength = settings.smoothing
    translation = bridge(spread.translation, known)
    expression = bridge(spread.expression, known)
    # Depth is seen least well: landmark noise of a pixel is centimetres of depth.
    depth = smooth(translation[:, 2:], 30 * strength, weights)
    ray = smooth(translation[:, :2] / translation[:, 2:], 0.3 * strength, weights)
    translation = np.concatenate([ray * depth, depth], axis=1)
    rotation = smooth_rotations(spread.rotation, 0.5 * strength, weights)
    # Lids are quicker than everything else, so that a blink of three frames stays one; brows are
    # slow, and landmarks tell little of them.
    brows = [index for index, name in enumerate(model.names) if name.startswith("brow")]
    slow = smooth(expression[:, brows], 3 * strength, weights)
    expression = smooth(expression, 0.06 * strength, weights)
    expression[:, brows] = slow
    expression = np.clip(expression, model.lower, model.upper)
    return heads, HeadPoses(rotation, translation, expression)


def _shut(seen: ChunkLandmarks, heads: HeadPoses, camera: Camera, known: np.ndarray) -> np.ndarray:
    """How shut the left and the right lid are in every frame, (F, 2), bridged."""
    upright = np.linalg.norm(heads.rotation[:, :2, 1], axis=1)
    return bridge(shut_lids(seen.face, upright, camera.fx / heads.translation[:, 2]), known)


def _with_shut_lids(heads: HeadPoses, shut: np.ndarray, model: HeadModel) -> HeadPoses:
    """Lids that meet where eyes are shut: after smoothing, since blinks take two frames."""
    expression = heads.expression.copy()
    for side, name in enumerate(("eyeBlinkLeft", "eyeBlinkRight")):
        lid = model.names.index(name)
        left_open = (1 - shut[:, side]) * expression[:, lid]
        expression[:, lid] = left_open + shut[:, side] * model.upper[lid]
        # Eyes are not shut and wide.
        wide = model.names.index(name.replace("Blink", "Wide"))
        expression[:, wide] *= 1 - shut[:, side]
    return replace(heads, expression=expression)


def _to_motion(
    body: BodyModel,
    seen: ChunkLandmarks,
    betas: np.ndarray,
    camera: Camera,
    heads: HeadPoses,
    model: HeadModel,
    known: np.ndarray,
    shut: np.ndarray,
    smoothing: float,
) -> Motion:
    import torch

    joints = body.rest_joints(torch.from_numpy(betas).float()).numpy().astype(np.float64)
    offset = joints[HEAD] - model.origin
    place = heads.translation + heads.rotation @ offset
    betas, pose, transl = hang_body(
        body, betas, heads.rotation, place, seen.pose, seen.hands, camera, smoothing
    )
    gaze = _gaze(seen, joints, camera, heads, model, known, shut)
    pose[:, _LEFT_EYE], pose[:, _RIGHT_EYE] = gaze, gaze
    expression = heads.expression
    return Motion(
        frames=seen.frames,
        betas=betas.astype(np.float32),
        transl=transl.astype(np.float32),
        pose=pose.astype(np.float32),
        expression=expression.astype(np.float32),
        valid=known,
        fixed=np.zeros(len(known), bool),
    )


def _gaze(
    seen: ChunkLandmarks,
    joints: np.ndarray,
    camera: Camera,
    heads: HeadPoses,
    model: HeadModel,
    known: np.ndarray,
    shut: np.ndarray,
) -> np.ndarray:
    """Both eyes' turn in head space, axis-angle (F, 3), from where the irises lie on the balls.

    Behind shut lids they turn from where they looked before to where they look then.
    """
    angles = []
    for joint, iris in ((_LEFT_EYE, _LEFT_IRIS), (_RIGHT_EYE, _RIGHT_IRIS)):
        centre = heads.translation + heads.rotation @ (joints[joint] - model.origin)
        off = (seen.face[:, iris] - camera.project(centre)) * centre[:, 2:] / camera.fx
        forward = np.sqrt(np.maximum(_IRIS_RADIUS**2 - (np.nan_to_num(off) ** 2).sum(1), 1e-6))
        direction = np.concatenate([off, -forward[:, None]], axis=1)
        local = np.einsum("fji,fj->fi", heads.rotation, direction)
        yaw = np.arctan2(local[:, 0], local[:, 2])
        pitch = np.arctan2(-local[:, 1], np.hypot(local[:, 0], local[:, 2]))
        angles.append(np.stack([pitch, yaw], axis=1))
    both = np.mean(angles, axis=0)
    usable = known & ~np.isnan(both[:, 0])
    blinking = maximum_filter1d(shut.max(1), 3) > _BLINKING
    usable = usable & ~blinking if (usable & ~blinking).any() else usable
    if not usable.any():
        return np.zeros((len(known), 3))
    # The model's balls and the performer's differ by a constant; people mostly look ahead.
    both = both - np.array([np.median(both[usable, 0]), 0])
    both = np.clip(bridge(np.nan_to_num(both), usable), -_MAX_GAZE, _MAX_GAZE)
    # Between two looks there is nothing to smooth but the way.
    both = smooth(both, 0.1, np.where(usable, 1.0, 0.05))
    turned: np.ndarray = Rotation.from_euler("yx", both[:, ::-1]).as_rotvec()
    return turned


def _quality(
    frames: np.ndarray,
    known: np.ndarray,
    residual: np.ndarray,
    confidence: np.ndarray,
    settings: TrackSettings,
    guessed: Mapping[str, np.ndarray],
) -> tuple[FrameQuality, ...]:
    states: list[FrameState] = ["tracked" if each else "bridged" for each in known]
    for row, percent in zip(np.flatnonzero(known), residual, strict=True):
        if percent > _WEAK:
            states[row] = "weak"
    for first, last in gaps(known):
        at_an_end = first == 0 or last == len(known) - 1
        if last - first + 1 > settings.bridge or at_an_end:
            states[first : last + 1] = ["lost"] * (last - first + 1)
    seen = np.cumsum(known) - 1
    return tuple(
        FrameQuality(
            frame=int(frame),
            state=states[row],
            confidence=round(float(confidence[seen[row]]), 4) if known[row] else 0.0,
            landmark_residual_percent=round(float(residual[seen[row]]), 4) if known[row] else None,
            guessed=tuple(part for part, rows in guessed.items() if rows[row]),
        )
        for row, frame in enumerate(frames)
    )


def _head_boxes(
    seen: ChunkLandmarks,
    known: np.ndarray,
    model: HeadModel,
    betas: np.ndarray,
    camera: Camera,
    heads: HeadPoses,
) -> dict[int, tuple[float, float, float] | None]:
    """A square from chin to crown round every head; the crown lies above the last landmark."""
    pixels = project(model, betas, camera, heads)
    low, high = pixels.min(1), pixels.max(1)
    low = low - np.array([0, 0.32]) * (high - low)
    side = (high - low).max(1)
    corner = (low + high) / 2 - side[:, None] / 2
    return {
        int(frame): (float(corner[row, 0]), float(corner[row, 1]), float(side[row]))
        if known[row]
        else None
        for row, frame in enumerate(seen.frames)
    }


def with_fixed(motion: Motion, kept: Motion) -> Motion:
    """`motion` with the frames that an artist fixed in `kept` put back, and led to from others."""
    values = {name: getattr(motion, name).copy() for name in ("transl", "pose", "expression")}
    fixed = motion.fixed.copy()
    for row in np.flatnonzero(kept.fixed):
        frame = int(kept.frames[row])
        if frame in motion.frames:
            at = motion.index(frame)
            for name, value in values.items():
                value[at] = getattr(kept, name)[row]
            fixed[at] = True
    result = replace(motion, **values, fixed=fixed)
    last = len(motion) - 1
    return blend_corrections(motion, result, np.flatnonzero(fixed), 0, last, ease=_EASE)
