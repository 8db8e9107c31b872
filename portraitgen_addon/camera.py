# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plate's camera in Blender, with the plate behind the performer."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from portraitgen.records import CameraRecord, FootageRecord

SENSOR_WIDTH = 36.0
_FOLLOW = "PortraitGen "
# OpenCV's camera axes (y down, z forward) in Blender's (y up, z backward), and back.
FLIP = Matrix.Diagonal((1, -1, -1, 1))
# Standing at eye height, looking along +Y; where it stands is the artist's business.
_STAND = Matrix(((1, 0, 0, 0), (0, 0, -1, 0), (0, 1, 0, 1.6), (0, 0, 0, 1)))


def make(name: str) -> Any:
    """A camera object, linked nowhere yet."""
    camera = bpy.data.objects.new(name, bpy.data.cameras.new(name))
    camera.matrix_world = _STAND
    return camera


def set_intrinsics(camera: Any, lens: CameraRecord) -> None:
    """Gives a camera the backend's intrinsics.

    Args:
        camera: the object.
        lens: pixel centres lie at +0.5.
    """
    data, width, height = camera.data, lens.width, lens.height
    data.type = "PERSP"
    data.sensor_fit = "HORIZONTAL"
    data.sensor_width = SENSOR_WIDTH
    data.lens = lens.fx * SENSOR_WIDTH / width
    data.shift_x = (width / 2 - lens.cx) / width
    data.shift_y = (lens.cy - height / 2) * (lens.fx / lens.fy) / width
    data.clip_start, data.clip_end = 0.01, 1000


def follow(camera: Any, solved: Any) -> None:
    """Makes the plate's camera move as a solved one does, and the body under it with it.

    Only place and direction are taken: the body stays as large as it was tracked.
    """
    stand_still(camera)
    for kind in ("COPY_LOCATION", "COPY_ROTATION"):
        constraint = camera.constraints.new(kind)
        constraint.name = f"{_FOLLOW}{kind.split('_')[1].lower()}"
        constraint.target = solved


def stand_still(camera: Any) -> None:
    """Ends `follow`: the camera stands where its own channels say."""
    for constraint in [each for each in camera.constraints if each.name.startswith(_FOLLOW)]:
        camera.constraints.remove(constraint)


def followed(camera: Any) -> Any | None:
    """The camera that the plate's camera follows."""
    for constraint in camera.constraints:
        if constraint.name.startswith(_FOLLOW):
            return constraint.target
    return None


def focal_px(camera: Any, width: int) -> float:
    """The horizontal focal length of a camera in pixels of an image of that width."""
    return float(camera.data.lens * width / camera.data.sensor_width)


def fit_scene(scene: Any, lens: CameraRecord, fps: tuple[int, int]) -> None:
    """Sets a scene's frame to the plate's: size, pixel aspect and rate."""
    render = scene.render
    render.resolution_x, render.resolution_y = lens.width, lens.height
    render.resolution_percentage = 100
    aspect = lens.fx / lens.fy
    wide = (1.0, aspect) if aspect >= 1 else (1.0 / aspect, 1.0)
    render.pixel_aspect_x, render.pixel_aspect_y = wide
    # Blender keeps a whole rate and a divisor: 24000/1001 is 24 and 1.001.
    whole = round(fps[0] / fps[1])
    render.fps, render.fps_base = whole, whole * fps[1] / fps[0]


def shows_plate_exactly(scene: Any, width: float, height: float, aspect: float = 1.0) -> bool:
    """Whether a scene's frame has the shape of the plate, so that overlay and plate agree.

    Args:
        width, height: of the plate, pixels; aspect: width over height of one.
    """
    render = scene.render
    have = (render.resolution_x * render.pixel_aspect_x) / (
        render.resolution_y * render.pixel_aspect_y
    )
    want = width / height * aspect
    return bool(abs(have / want - 1) < 1e-3)


def show_plate(
    camera: Any, plate: Path, footage: FootageRecord, blender_space: str, offset: int
) -> None:
    """Puts the plate behind the performer, on the right frames.

    Args:
        camera: the object.
        plate: the movie, or one image of the sequence.
        blender_space: its colour space as Blender calls it; empty leaves it to Blender.
        offset: scene frame minus footage frame.
    """
    data = camera.data
    data.show_background_images = True
    data.background_images.clear()
    background = data.background_images.new()
    image = bpy.data.images.load(str(plate), check_existing=False)
    image.name = plate.name
    if footage.kind == "sequence":
        image.source = "SEQUENCE"
    if blender_space:
        image.colorspace_settings.name = blender_space
    background.image = image
    user = background.image_user
    user.frame_start = footage.first + offset
    # Shown is file number (scene frame - frame_start + 1 + frame_offset).
    user.frame_offset = footage.first - 1
    user.frame_duration = footage.last - footage.first + 1
    user.use_cyclic = False
    user.use_auto_refresh = True
    background.alpha = 1.0
    background.display_depth = "BACK"
    background.frame_method = "FIT"


def is_stretched(scene: Any) -> bool:
    """Whether a scene shows another frame of its animation than it counts (Time Stretching)."""
    return bool(scene.render.frame_map_old != scene.render.frame_map_new)


@contextmanager
def unstretched(scene: Any) -> Iterator[None]:
    """Lets a scene show the frames that it counts, while they are looked at."""
    render = scene.render
    kept = render.frame_map_old, render.frame_map_new
    if is_stretched(scene):
        render.frame_map_old = render.frame_map_new = 100
    try:
        yield
    finally:
        if kept != (render.frame_map_old, render.frame_map_new):
            render.frame_map_old, render.frame_map_new = kept


def every_frame(shot: Any) -> Iterator[tuple[int, Any]]:
    """A shot's footage frames, each with its rig's scene evaluated on it; the playhead comes back.

    Every frame is visited, since whatever is looked at may move.

    Args:
        shot: with its rig.
    """
    scene = shot.armature.users_scene[0]
    current = scene.frame_current
    try:
        with unstretched(scene):
            for frame in range(shot.first, shot.last + 1):
                scene.frame_set(frame + shot.offset)
                yield frame, scene.view_layers[0].depsgraph
    finally:
        scene.frame_set(current)


def as_seen(camera: Any, plate_camera: Any, size: tuple[int, int], graph: Any) -> dict[str, object]:
    """A camera as the backend renders through it.

    Args:
        camera, plate_camera: objects, evaluated on the frame in question.
        size: width and height of the picture.
        graph: the evaluated dependency graph.

    Returns:
        fx, fy, cx, cy in pixels, and matrix, rows of the plate camera's space to this one's.
    """
    width, height = size
    shown = camera.calc_matrix_camera(graph, x=width, y=height)
    flip = np.diag([1.0, -1.0, -1.0, 1.0])
    into = np.linalg.inv(np.array(camera.matrix_world, np.float64))
    matrix = flip @ into @ np.array(plate_camera.matrix_world, np.float64) @ flip
    return {
        "fx": shown[0][0] * width / 2,
        "fy": shown[1][1] * height / 2,
        "cx": width / 2 * (1 - shown[0][2]),
        "cy": height / 2 * (1 + shown[1][2]),
        "matrix": matrix.tolist(),
    }
