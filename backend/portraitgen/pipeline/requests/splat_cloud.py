# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An avatar's or a take's Gaussians for Blender, to be posed and lit there."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from ...avatar.avatar import FrameParameters
from ...editing.light_estimation import fitted_light
from ...editing.part_segmentation import PARTS, face_labels
from ...errors import DiskFull, StorageError
from ...footage.colour import to_linear
from ...frames import spread
from ...images import as_picture
from ...messages.splats import CloudExported
from ...raster.conventions import BLUR_VARIANCE
from ...records import CloudFacts
from ...shot import Shot
from ...storage import (
    file_digest,
    is_disk_full,
    make_folder,
)
from ...tensors import save_arrays
from ...user_folders import user_cache_folder
from ..data.avatars import frame_parameters
from .linear_blending import colour_shift
from .rig import inside_faces
from .splats import SplatSource, carried_in, splat_source

_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
_LIT_FRAMES, _LIT_SIZE = 5, 256
_DARKEST = 0.15
# Of the microfacets, as renderers take it: wet eyes and lips shine, cloth does not.
_ROUGHNESS = {"hair": 0.55, "lips": 0.35, "eyes": 0.12, "mouth": 0.3, "clothes": 0.85}
_SKIN_ROUGHNESS = 0.5


@torch.no_grad()
def export_cloud(shot: Shot, take: str = "", version: int | None = None) -> CloudExported:
    """Writes Gaussians with the triangles that carry them, for Blender to pose by its own rig.

    The file holds the performer's own surface in the rest pose: vertices (V, 3), faces (F, 3),
    inside (F), 1 for mouth, teeth and eyes, body (V), each vertex's number in the body model,
    joints (J, 3), units (E, V, 3), fields (K, V, 3), weight_vertices, weight_joints and
    weight_values (M); of each Gaussian corners (N, 3) among these vertices, barycentric (N, 3),
    offset (N, 3), rotation (N, 4) wxyz and scale (N, 3) in its triangle's frame, rest_scale (N),
    opacity (N), colour (N, 3), harmonics (N, 8, 3) in its triangle's frame, tints (K, N, 3), shift
    (N, 3), to be added to colours whose light is blended, albedo (N, 3), linear, and roughness (N);
    and weights (T, K) of fields and tints in the frames (T). Metres, OpenCV's axes, colours
    display-referred. Its metadata holds "splats", JSON with the names of joints and units.

    Args:
        take: whose current edit, empty for the reconstruction.
        version: of the avatar, the latest by default; a take has its own.

    Raises:
        ShotError: if there is no such take or version.
    """
    source = splat_source(shot, take, version)
    avatar, texture, body = source.avatar, source.avatar.texture, source.body
    motion = source.track.motion
    parameters = frame_parameters(motion, [int(frame) for frame in motion.frames])
    used, units = avatar.vertices, body.n_expression
    rest = FrameParameters(torch.zeros(1, 55, 3), torch.zeros(1, units), torch.zeros(1, 3))
    directions = body.directions[body.n_shape : body.n_shape + units].view(units, -1, 3)
    weights = body.weights[used].numpy()
    at_rest = body.forward(avatar.betas[None], rest.pose, rest.expression, rest.transl)
    # As the avatar chooses its faces: those whose corners all carry Gaussians.
    shown = torch.isin(body.faces, used).all(1).numpy()
    vertices, joints = np.nonzero(weights)
    tensors = {
        "vertices": avatar.pose_vertices(rest, avatar.displacement[None])[0],
        "faces": avatar.faces.int(),
        "body": used.int(),
        "joints": at_rest.joints[0],
        "units": directions[:, used],
        "fields": avatar.bases.fields,
        "corners": texture.face_corners.int(),
        "barycentric": texture.barycentric,
        "offset": texture.offset,
        "rotation": torch.nn.functional.normalize(texture.rotation, dim=-1),
        "scale": torch.exp(texture.scale),
        "rest_scale": texture.rest_scale,
        "opacity": torch.sigmoid(texture.opacity),
        "colour": texture.features[:, :3],
        "harmonics": texture.harmonics,
        "tints": avatar.bases.tints,
        "weights": avatar.bases.weights(parameters.pose, parameters.expression),
    }
    arrays = {name: value.detach().numpy() for name, value in tensors.items()} | {
        "weight_vertices": vertices.astype(np.int32),
        "weight_joints": joints.astype(np.int32),
        "weight_values": weights[vertices, joints],
        "frames": motion.frames,
        "shift": colour_shift(avatar, source.track, source.size),
        "albedo": _albedo(source),
        "roughness": _roughness(source),
        "inside": inside_faces(body)[shown].astype(np.int32),
    }
    facts = CloudFacts(
        take=take,
        version=source.version,
        joints=tuple(body.joint_names),
        units=tuple(body.expression_names),
        softness=_softness(source),
        edit=source.edit,
        job=source.job,
    )
    # A take may be called anything, "reconstruction" too.
    name = f"take-{take}" if take else "reconstruction"
    path, elsewhere = _kept(shot, f"{name}.safetensors", arrays, json.dumps(facts.to_json()))
    return CloudExported(str(path), avatar.gaussian_count, source.version, avatar.neural, elsewhere)


def _kept(shot: Shot, name: str, arrays: Mapping[str, np.ndarray], facts: str) -> tuple[Path, bool]:
    """Where Gaussians for Blender were written: in the shot, or among this user's own files where
    the shot may not be written to and does not hold the very same.

    Returns:
        The file, and whether it lies outside of the shot.
    """
    path = shot.path / "splats" / name
    try:
        make_folder(path.parent)
        save_arrays(path, arrays, {"splats": facts})
        return path, False
    except (OSError, StorageError) as error:
        if isinstance(error, DiskFull) or is_disk_full(error):
            raise
    own = user_cache_folder() / "splats" / shot.record.id / name
    own.parent.mkdir(parents=True, exist_ok=True)
    save_arrays(own, arrays, {"splats": facts})
    if path.is_file() and file_digest(path) == file_digest(own):
        own.unlink()
        return path, False
    return own, True


def _softness(source: SplatSource) -> float:
    """How far the pixels that the avatar learned from blur its splats, as a share of the depth: a
    standard deviation on the picture, which the rasteriser adds to every splat."""
    track = source.track
    window = track.camera.window(track.box(track.frames[0]), source.size)
    return float(np.sqrt(BLUR_VARIANCE) / window.fx)


@torch.no_grad()
def _albedo(source: SplatSource) -> np.ndarray:
    """The colours of the Gaussians with the shot's own light divided out, linear, (N, 3)."""
    avatar, track = source.avatar, source.track
    own = avatar.texture.features[:, :3]
    linear = to_linear(own.clamp(0, 1).numpy()[None], source.space)[0]
    chosen = spread(track.tracked(track.frames) or list(track.frames), _LIT_FRAMES)
    seen, normals = [], []
    for frame in chosen:
        parameters = frame_parameters(track.motion, [frame])
        window = track.camera.window(track.box(frame), _LIT_SIZE)
        drawn = avatar.render(
            parameters, torch.from_numpy(window.matrix())[None], _LIT_SIZE, normals=True
        )
        assert drawn.normals is not None
        shown = to_linear(as_picture(drawn.rgb), source.space)
        known = as_picture(drawn.alpha)[..., 0] > 0.9
        seen.append((shown @ _LUMA, as_picture(drawn.normals), known))
        normals.append(carried_in(source, frame).frames[..., 2].numpy())
    light = fitted_light(seen)
    if light is None:
        return linear
    # Turned to the camera as in the chosen frames, on the mean.
    lit = np.mean([light.on(each)[..., 0] for each in normals], axis=0)
    albedo: np.ndarray = np.clip(linear / np.maximum(lit, _DARKEST)[:, None], 0, 1)
    return albedo.astype(np.float32)


def _roughness(source: SplatSource) -> np.ndarray:
    """How rough the body's part under each Gaussian is, (N,); as skin where none is told."""
    body, faces = source.body, source.avatar.texel_faces.numpy()
    if not body.parts:
        return np.full(len(faces), _SKIN_ROUGHNESS, np.float32)
    by_part = np.array([_ROUGHNESS.get(part, _SKIN_ROUGHNESS) for part in PARTS], np.float32)
    return by_part[face_labels(body.parts, len(body.faces))[faces]]
