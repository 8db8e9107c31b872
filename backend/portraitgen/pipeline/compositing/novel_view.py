# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The avatar alone: through another camera, or driven by another shot's performance."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ...body.camera import Camera
from ...body.motion import Motion
from ...bounded_json import parse_json
from ...errors import OptionError
from ...footage.colour import to_linear
from ...footage.exr import write_exr
from ...footage.plate import Plate
from ...images import as_picture, save_png
from ...path_mapping import given_path
from ...records import PerformanceRecord
from ...schema import Data
from ...shot import Shot
from ...storage import MAX_JSON, read_bytes
from ..data.avatars import frame_parameters
from ..data.pictures import carried_on
from ..data.shots import Track, performance_of
from .take_appearance import TakeAppearance

_MULTIPLE = 8
_LARGEST = 4096
# Spine, neck, head, jaw and eyes: what a performance moves; the rest hangs on the body.
_ACTED = (9, 12, 15, 22, 23, 24)
_LEAST_SPREAD = 0.02


@dataclass(frozen=True)
class NovelView:
    """A camera in one frame.

    Attributes:
        camera: its lens and picture.
        matrix: float64 (4, 4), the plate camera's space to this camera's, OpenCV axes.
    """

    camera: Camera
    matrix: np.ndarray


@dataclass(frozen=True)
class ViewRecord(Data):
    """The camera of a frame in a file of cameras.

    Attributes:
        fx, fy, cx, cy: pixels.
        matrix: 4 x 4, the plate camera's space to this camera's.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    matrix: tuple[tuple[float, ...], ...]

    @property
    def flat(self) -> bool:
        """Whether it sees nothing."""
        return min(self.fx, self.fy) <= 0


@dataclass(frozen=True)
class ViewsRecord(Data):
    """A file of cameras, by frame, as Blender writes it; docs/developer.md shows one."""

    width: int
    height: int
    frames: Mapping[int, ViewRecord]


def read_views(path: Path, frames: Sequence[int]) -> dict[int, NovelView]:
    """Reads cameras from JSON: width, height, and for each frame fx, fy, cx, cy and matrix.

    Raises:
        OptionError: if the file cannot be read, or lacks a frame.
    """
    remedy = "write it from Blender, or as docs/developer.md shows"
    try:
        views_record = ViewsRecord.parse(parse_json(read_bytes(Path(path), MAX_JSON)))
        width, height = views_record.width, views_record.height
        views = {}
        for frame in frames:
            given = views_record.frames[frame]
            matrix = np.array(given.matrix, np.float64)
            if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or given.flat:
                raise OptionError(f"the camera of frame {frame} is unusable", str(path), remedy)
            lens = Camera(given.fx, given.fy, given.cx, given.cy, width, height)
            views[frame] = NovelView(lens, matrix)
    except KeyError as error:
        raise OptionError(f"the cameras lack frame {error}", str(path), remedy) from None
    except (OSError, ValueError, TypeError) as error:
        raise OptionError(f"the cameras cannot be read ({error})", str(path), remedy) from None
    if not 0 < max(width, height) <= _LARGEST:
        raise OptionError(
            f"a picture of {width} x {height} is too large", str(path), f"stay below {_LARGEST}"
        )
    return views


def driven_by(motion: Motion, other: Motion, normalise: bool = True) -> Motion:
    """This performer's motion acted by another performance, frame after frame.

    Expressions and joint turns are normalised: what the other does relative to its own mean and
    deviation, this performer does relative to theirs. Where the other ends, it begins again.

    Args:
        motion: of the avatar's own shot.
        other: of the driving shot.
        normalise: False takes expressions and turns as they are.
    """
    rows = np.arange(len(motion)) % len(other)
    if not normalise:
        pose = motion.pose.copy()
        pose[:, _ACTED] = other.pose[rows][:, _ACTED]
        return replace(motion, pose=pose, expression=other.expression[rows])
    expression = _transferred(motion.expression, other.expression, rows)
    pose = motion.pose.copy()
    for joint in _ACTED:
        pose[:, joint] = _transferred(motion.pose[:, joint], other.pose[:, joint], rows)
    low, high = min(0.0, float(motion.expression.min())), max(1.0, float(motion.expression.max()))
    return replace(motion, pose=pose, expression=np.clip(expression, low, high))


def _transferred(own: np.ndarray, driving: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Values (T, C) with the driving ones' course and the own ones' mean and deviation."""
    spread = driving.std(0)
    # What hardly moves in either says nothing about how far it should move.
    gain = np.where(
        (spread > _LEAST_SPREAD) & (own.std(0) > _LEAST_SPREAD),
        own.std(0) / np.maximum(spread, _LEAST_SPREAD),
        1.0,
    )
    gain = np.clip(gain, 0.5, 2.0)
    moved: np.ndarray = own.mean(0) + gain * (driving[rows] - driving.mean(0))
    return moved.astype(own.dtype)


@dataclass(frozen=True)
class NovelFrame:
    """The avatar by itself through a camera; float32 (H, W, C).

    Attributes:
        colours: not multiplied by alpha.
        alpha: coverage.
        depth: metres along the camera's axis, 0 outside.
        normals: in this camera's space.
    """

    colours: np.ndarray
    alpha: np.ndarray
    depth: np.ndarray
    normals: np.ndarray


class NovelViewRenderer:
    """Renders the avatar without its plate.

    Args:
        track: the track the avatar was made on.
        look: of the edited or plain avatar.
        motion: what it does.
        views: cameras by frame; the plate's own if None.
        size: side of the plate window, pixels, when there are no other cameras.
    """

    def __init__(
        self,
        track: Track,
        look: TakeAppearance,
        motion: Motion,
        views: dict[int, NovelView] | None,
        size: int,
    ) -> None:
        self._track, self._look, self._motion = track, look, motion
        self._views, self._size = views, size

    @torch.no_grad()
    def render(self, frame: int) -> NovelFrame:
        """One frame."""
        if self._views is None:
            camera = self._track.camera.window(self._track.box(frame), self._size)
            view = NovelView(camera, np.eye(4))
        else:
            view = self._views[frame]
        width, height = view.camera.width, view.camera.height
        side = -(-max(width, height) // _MULTIPLE) * _MULTIPLE
        output = self._look.avatar.render(
            frame_parameters(self._motion, [frame]),
            torch.from_numpy(view.camera.matrix())[None],
            side,
            normals=True,
            views=torch.from_numpy(view.matrix).float()[None],
        )
        assert output.normals is not None
        shown = (slice(height), slice(width))
        return NovelFrame(
            self._look.colours(frame, carried_on(output)[0], output)[shown],
            as_picture(output.alpha)[shown],
            as_picture(output.depth)[shown],
            as_picture(output.normals)[shown] @ view.matrix[:3, :3].T.astype(np.float32),
        )


def write_novel_view(
    path: Path,
    drawn: NovelFrame,
    plate: Plate,
    frame: int,
    texts: Mapping[str, str],
    attributes: Callable[[], Mapping[str, str]],
) -> None:
    """Writes one frame as PNG with alpha and then as EXR.

    Args:
        texts: what the picture says of itself.
        attributes: what the EXR says of itself, asked for once the PNG is written.
    """
    shown = np.dstack([drawn.colours, drawn.alpha])
    save_png(path.with_suffix(".png"), shown, texts, plate.picture_colours)
    linear = to_linear(drawn.colours, plate.space) * drawn.alpha
    passes = {
        "Combined": np.concatenate([linear, drawn.alpha], axis=2),
        "Depth": drawn.depth,
        "Normal": drawn.normals,
        "Alpha": drawn.alpha,
    }
    write_exr(
        path,
        passes,
        fps=plate.fps,
        frame=frame,
        colour_space=plate.colour_space,
        attributes=attributes(),
        timecode=plate.timecode_at(frame),
        reel=plate.reel,
    )


def motion_of(
    shot: Shot, track: Track, drive: str, normalise: bool = True
) -> tuple[Motion, PerformanceRecord | None]:
    """What the avatar does: its own shot's motion, or driven by another shot's; and which that is.

    Args:
        normalise: whether the other's performance is taken round this performer's own mean and
            deviation, or as it is.
    """
    if not drive:
        return track.motion, None
    driver = Shot.open(given_path(drive).absolute())
    other = Track(driver)
    if other.motion.expression.shape[1] != track.motion.expression.shape[1]:
        raise OptionError(
            "the shots were tracked with different body models", drive, "use one model for both"
        )
    motion = driven_by(track.motion, other.motion, normalise)
    return motion, performance_of(driver, other)
