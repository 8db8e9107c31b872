# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An avatar's or a take's Gaussians in one frame, and as files for other programs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...avatar.avatar import Avatar
from ...avatar.texture import (
    matrix_to_quaternion,
    multiply_quaternions,
    spherical_harmonics,
)
from ...body.model import BodyModel
from ...errors import AvatarError
from ...footage.colour import ColourSpace
from ...frames import parse_frame_list
from ...messages.splats import SplatsExported
from ...schema import Data, Misfit
from ...shot import Shot
from ...storage import (
    read_json,
)
from ..data.avatars import frame_parameters, load_avatar
from ..data.shots import Track, body_of, plate_of
from .splat_file import Splats, write_ply
from .spz_file import write_spz

# Radiance is kept as the field keeps it: 0.5 + the degree-0 harmonic times this.
DEGREE_0 = 0.28209479177387814
# Signs of our harmonics, of the direction to the eye, as the field's, of that from the eye.
SIGNS = torch.tensor([1.0, -1, 1, 1, -1, 1, -1, 1])


@dataclass(frozen=True)
class SplatSource:
    """The reconstruction, or a take's current edit, `edit` of 0 or its number; `space` is the
    plate's, `size` the side in pixels of the pictures that it was learned in."""

    folder: Path
    take: str
    version: int
    track: Track
    body: BodyModel
    avatar: Avatar
    size: int
    space: ColourSpace
    edit: int
    job: str


def splat_source(shot: Shot, take: str, version: int | None) -> SplatSource:
    """The avatar of a version, or of a take's edit."""
    edit = shot.edit_folder(take) if take else None
    base = shot.version_folder("avatar", shot.edit_record(take).avatar if take else version)
    record = shot.avatar_record(int(base.name))
    track = Track(shot, record.track)
    body = body_of(shot)
    avatar = load_avatar(edit or base, body).on("cpu")
    plate = plate_of(shot)
    plate.close()
    return SplatSource(
        edit or base,
        take,
        int(base.name),
        track,
        body,
        avatar,
        record.size,
        plate.space,
        int(edit.name) if edit else 0,
        shot.edit_record(take, int(edit.name)).job if edit else record.job,
    )


@dataclass(frozen=True)
class Carried:
    """What carries the Gaussians in one frame; shapes without a batch."""

    centre: Tensor
    frames: Tensor
    stretch: Tensor
    tints: Tensor


@torch.no_grad()
def carried_in(source: SplatSource, frame: int) -> Carried:
    """What carries the Gaussians in a frame."""
    parameters = frame_parameters(source.track.motion, [frame])
    displaced, tints = source.avatar.personal(parameters)
    vertices = source.avatar.pose_vertices(parameters, displaced)
    centre, frames, stretch = source.avatar.texture.carriers(vertices)
    return Carried(centre[0], frames[0], stretch[0], tints[0])


def export_splats(
    shot: Shot,
    path: Path,
    take: str = "",
    frames: str = "",
    version: int | None = None,
    world: Path | None = None,
) -> SplatsExported:
    """Writes a PLY or SPZ file a frame, in the plate camera's space or in a world.

    Args:
        path: a file that ends in .ply or .spz, for one frame; for several their numbers are put
            before its suffix.
        take: whose current edit, empty for the reconstruction.
        version: of the avatar, the latest by default; a take has its own.
        frames: as 1001-1010, the first by default.
        world: JSON, {"frames": {"1001": 4 x 4}}, the camera's place in a world.

    Raises:
        AvatarError: if the file is neither, or the world lacks a frame.
    """
    kind = path.suffix.lower()
    if kind not in (".ply", ".spz"):
        raise AvatarError(
            "splats are written as PLY or SPZ", path, "name a file that ends in .ply or .spz"
        )
    write = write_ply if kind == ".ply" else write_spz
    source = splat_source(shot, take, version)
    first = source.track.frames[0]
    numbers = parse_frame_list(frames or str(first), source.track.frames)
    places = places_in_world(world, list(numbers)) if world else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    files = []
    replaced = 0
    for frame in numbers:
        file = path if len(numbers) == 1 else path.with_suffix(f".{frame:04d}{kind}")
        replaced += file.exists()
        write(file, splats_of(source, frame, places.get(frame)))
        files.append(str(file))
    notes = [f"files that were there are replaced: {replaced}"] if replaced else []
    if source.avatar.neural:
        notes.append("a network changes this take beyond what its splats hold")
    return SplatsExported(tuple(files), source.avatar.gaussian_count, tuple(notes))


@dataclass(frozen=True)
class _World(Data):
    """The plate camera's places in a world, 4 x 4, by frame."""

    frames: Mapping[str, object]


def places_in_world(path: Path, frames: list[int]) -> dict[int, np.ndarray]:
    """The camera's place in a world, float32 (4, 4), of some frames.

    Raises:
        AvatarError: if the file lacks a frame, or says what no camera's place is.
    """
    try:
        world = _World.parse(read_json(path))
    except Misfit as misfit:
        raise AvatarError(
            f"the world does not say where the camera stands ({misfit})", path, "write it again"
        ) from None
    places = {}
    for frame in frames:
        try:
            given: Any = world.frames[str(frame)]
            matrix = np.array(given, np.float64).reshape(4, 4)
        except (KeyError, TypeError, ValueError) as error:
            raise AvatarError(
                "the world does not say where the camera stands", f"frame {frame}", f"see {path}"
            ) from error
        turn = matrix[:3, :3]
        if not np.isfinite(matrix).all() or np.abs(turn.T @ turn - np.eye(3)).max() > 1e-3:
            raise AvatarError(
                "the camera's place is scaled or sheared", f"frame {frame}", f"see {path}"
            )
        places[frame] = matrix.astype(np.float32)
    return places


@torch.no_grad()
def splats_of(source: SplatSource, frame: int, place: np.ndarray | None = None) -> Splats:
    """The Gaussians of a frame as the field's files hold them."""
    texture, carried = source.avatar.texture, carried_in(source, frame)
    turn = torch.eye(3) if place is None else torch.from_numpy(place[:3, :3])
    shift = torch.zeros(3) if place is None else torch.from_numpy(place[:3, 3])
    frames = turn @ carried.frames
    lifted = (carried.frames @ (texture.offset * carried.stretch[:, None])[..., None])[..., 0]
    positions = (carried.centre + lifted) @ turn.T + shift
    local = torch.nn.functional.normalize(texture.rotation, dim=-1)
    rotations = multiply_quaternions(matrix_to_quaternion(frames), local)
    colour = texture.features[:, :3] + carried.tints
    rest = turned_harmonics(texture.harmonics, frames) * SIGNS[:, None]
    return Splats(
        positions.numpy(),
        frames[..., 2].numpy(),
        ((colour - 0.5) / DEGREE_0).numpy(),
        rest.numpy(),
        texture.opacity.numpy(),
        (texture.scale + torch.log(carried.stretch)[:, None]).numpy(),
        rotations.numpy(),
        np.arange(len(positions)),
    )


def turned_harmonics(harmonics: Tensor, frames: Tensor) -> Tensor:
    """Harmonics (N, 8, 3) given in frames (N, 3, 3), as harmonics of the space around them."""
    # A degree's harmonics stay its own when they turn: a dozen directions determine them.
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(16, 3, generator=generator, dtype=torch.float64)
    directions = torch.nn.functional.normalize(directions, dim=-1)
    back = torch.linalg.pinv(spherical_harmonics(directions))
    seen = torch.einsum("nji,kj->nki", frames.double(), directions)
    colours = spherical_harmonics(seen) @ harmonics.double()
    return (back @ colours).float()
