# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An avatar's or a take's Gaussians for Blender and other programs, and retouched ones back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from torch import Tensor

from ...avatar.avatar import Avatar, FrameParameters
from ...avatar.texture import (
    matrix_to_quaternion,
    multiply_quaternions,
    spherical_harmonics,
)
from ...body.model import BodyModel
from ...editing.light_estimation import fitted_light
from ...editing.part_segmentation import PARTS, face_labels
from ...errors import AvatarError, DiskFull, StorageError
from ...footage.colour import ColourSpace, to_linear
from ...frames import parse_frame_list, spread
from ...images import as_picture
from ...messages.splats import CloudExported, SplatsExported, SplatsImported
from ...raster.conventions import BLUR_VARIANCE
from ...records import CloudFacts
from ...schema import Data, Misfit
from ...shot import Shot, now
from ...storage import (
    copy_folder,
    file_digest,
    is_disk_full,
    make_folder,
    read_json,
    remove_tree,
)
from ...tensors import save_arrays
from ...user_folders import user_cache_folder
from ..data.authors import added
from ..data.avatars import frame_parameters, load_avatar
from ..data.shots import Track, body_of, plate_of
from ..run.job_context import running
from .linear_blending import colour_shift
from .rig import inside_faces
from .splat_file import Splats, read_ply, write_ply
from .spz_file import read_spz, write_spz

# Radiance is kept as the field keeps it: 0.5 + the degree-0 harmonic times this.
_DEGREE_0 = 0.28209479177387814
# Signs of our harmonics, of the direction to the eye, as the field's, of that from the eye.
_SIGNS = torch.tensor([1.0, -1, 1, 1, -1, 1, -1, 1])
# What a round trip through another program's floats changes without anyone's having touched it.
_UNTOUCHED = 2e-4
# Metres: how far a splat without an id may lie from the one it is taken for; how far most lie from
# where they were before anyone asks which frame and space they are of, and what settles that; how
# far they lie where they are another performer's.
_REACH = 0.005
_ASTRAY, _AGREES, _FOREIGN = 5e-5, 2e-5, 0.1
# Metres that a retouched splat may have gone, or be large; how strong a harmonic may be: colours 28
# times as bright as white.
_FARTHEST, _LARGEST, _STRONGEST = 10.0, 10.0, 100.0
# Stands for a place that is none.
_NOWHERE = 1e9
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
_LIT_FRAMES, _LIT_SIZE = 5, 256
_DARKEST = 0.15
# Of the microfacets, as renderers take it: wet eyes and lips shine, cloth does not.
_ROUGHNESS = {"hair": 0.55, "lips": 0.35, "eyes": 0.12, "mouth": 0.3, "clothes": 0.85}
_SKIN_ROUGHNESS = 0.5


@dataclass(frozen=True)
class _Source:
    """What is exported: the reconstruction, or a take's current edit."""

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


def _source(shot: Shot, take: str, version: int | None) -> _Source:
    """The avatar of a version, or of a take's edit."""
    edit = shot.edit_folder(take) if take else None
    base = shot.version_folder("avatar", shot.edit_record(take).avatar if take else version)
    record = shot.avatar_record(int(base.name))
    track = Track(shot, record.track)
    body = body_of(shot)
    avatar = load_avatar(edit or base, body).on("cpu")
    plate = plate_of(shot)
    plate.close()
    return _Source(
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
class _Carried:
    """What carries the Gaussians in one frame; shapes without a batch."""

    centre: Tensor
    frames: Tensor
    stretch: Tensor
    tints: Tensor


@torch.no_grad()
def _carried(source: _Source, frame: int) -> _Carried:
    parameters = frame_parameters(source.track.motion, [frame])
    displaced, tints = source.avatar.personal(parameters)
    vertices = source.avatar.pose_vertices(parameters, displaced)
    centre, frames, stretch = source.avatar.texture.carriers(vertices)
    return _Carried(centre[0], frames[0], stretch[0], tints[0])


# For Blender


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
    source = _source(shot, take, version)
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


def _softness(source: _Source) -> float:
    """How far the pixels that the avatar learned from blur its splats, as a share of the depth: a
    standard deviation on the picture, which the rasteriser adds to every splat."""
    track = source.track
    window = track.camera.window(track.box(track.frames[0]), source.size)
    return float(np.sqrt(BLUR_VARIANCE) / window.fx)


@torch.no_grad()
def _albedo(source: _Source) -> np.ndarray:
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
        normals.append(_carried(source, frame).frames[..., 2].numpy())
    light = fitted_light(seen)
    if light is None:
        return linear
    # Turned to the camera as in the chosen frames, on the mean.
    lit = np.mean([light.on(each)[..., 0] for each in normals], axis=0)
    albedo: np.ndarray = np.clip(linear / np.maximum(lit, _DARKEST)[:, None], 0, 1)
    return albedo.astype(np.float32)


def _roughness(source: _Source) -> np.ndarray:
    """How rough the body's part under each Gaussian is, (N,); as skin where none is told."""
    body, faces = source.body, source.avatar.texel_faces.numpy()
    if not body.parts:
        return np.full(len(faces), _SKIN_ROUGHNESS, np.float32)
    by_part = np.array([_ROUGHNESS.get(part, _SKIN_ROUGHNESS) for part in PARTS], np.float32)
    return by_part[face_labels(body.parts, len(body.faces))[faces]]


# Out


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
        take, version: as `export_cloud` takes them.
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
    source = _source(shot, take, version)
    first = source.track.frames[0]
    numbers = parse_frame_list(frames or str(first), source.track.frames)
    places = _places(world, list(numbers)) if world else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    files = []
    replaced = 0
    for frame in numbers:
        file = path if len(numbers) == 1 else path.with_suffix(f".{frame:04d}{kind}")
        replaced += file.exists()
        write(file, _splats(source, frame, places.get(frame)))
        files.append(str(file))
    notes = [f"files that were there are replaced: {replaced}"] if replaced else []
    if source.avatar.neural:
        notes.append("a network changes this take beyond what its splats hold")
    return SplatsExported(tuple(files), source.avatar.gaussian_count, tuple(notes))


@dataclass(frozen=True)
class _World(Data):
    """The plate camera's places in a world, 4 x 4, by frame."""

    frames: Mapping[str, object]


def _places(path: Path, frames: list[int]) -> dict[int, np.ndarray]:
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
def _splats(source: _Source, frame: int, place: np.ndarray | None = None) -> Splats:
    """The Gaussians of a frame as the field's files hold them."""
    texture, carried = source.avatar.texture, _carried(source, frame)
    turn = torch.eye(3) if place is None else torch.from_numpy(place[:3, :3])
    shift = torch.zeros(3) if place is None else torch.from_numpy(place[:3, 3])
    frames = turn @ carried.frames
    lifted = (carried.frames @ (texture.offset * carried.stretch[:, None])[..., None])[..., 0]
    positions = (carried.centre + lifted) @ turn.T + shift
    local = torch.nn.functional.normalize(texture.rotation, dim=-1)
    rotations = multiply_quaternions(matrix_to_quaternion(frames), local)
    colour = texture.features[:, :3] + carried.tints
    rest = _turned(texture.harmonics, frames) * _SIGNS[:, None]
    return Splats(
        positions.numpy(),
        frames[..., 2].numpy(),
        ((colour - 0.5) / _DEGREE_0).numpy(),
        rest.numpy(),
        texture.opacity.numpy(),
        (texture.scale + torch.log(carried.stretch)[:, None]).numpy(),
        rotations.numpy(),
        np.arange(len(positions)),
    )


def _turned(harmonics: Tensor, frames: Tensor) -> Tensor:
    """Harmonics (N, 8, 3) given in frames (N, 3, 3), as harmonics of the space around them."""
    # A degree's harmonics stay its own when they turn: a dozen directions determine them.
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(16, 3, generator=generator, dtype=torch.float64)
    directions = torch.nn.functional.normalize(directions, dim=-1)
    back = torch.linalg.pinv(spherical_harmonics(directions))
    seen = torch.einsum("nji,kj->nki", frames.double(), directions)
    colours = spherical_harmonics(seen) @ harmonics.double()
    return (back @ colours).float()


# Back


def import_splats(
    shot: Shot,
    path: Path,
    frame: int | None = None,
    take: str = "",
    version: int | None = None,
    world: Path | None = None,
    *,
    author: str = "",
    untouched: Path | None = None,
) -> SplatsImported:
    """Takes retouched splats back: a new avatar version, or a new edit of a take.

    Splats are matched by their id, or by their place where a program has dropped it. What was
    moved, turned, scaled, recoloured or faded is so in every frame; what is missing is erased;
    splats that match none are left out. One that holds what no splat can (no numbers, no rotation,
    metres of size, a place metres away) is passed over, and stays as it was.

    Args:
        path: a PLY or SPZ file of one frame.
        frame: which, the track's first by default.
        take, version, world: what was exported.
        author: who retouched them, empty for nobody named.
        untouched: a PLY of them all as they were before, in whatever pose; as the backend poses
            them by default.

    Raises:
        AvatarError: if the file cannot be read, holds none of the performer's splats, or holds
            them as another frame or another space has them.
    """
    source = _source(shot, take, version)
    frame = source.track.frames[0] if frame is None else frame
    place = _places(world, [frame])[frame] if world else None
    before, carried = _splats(source, frame, place), _carried(source, frame)
    if untouched is not None:
        before, carried = _posed_otherwise(source, untouched)
    if path.suffix.lower() == ".spz":
        given, packing = read_spz(path)
        # What the file's own rounding changed, nobody did.
        before = packing.rounded(before)
    else:
        given = read_ply(path)
    rows, found, by = _matched(given, before)
    chosen = np.zeros(len(before.positions), bool)
    chosen[found] = True
    sound = _sound(given, rows, before.positions[found])
    passed_over = int((~sound).sum())
    unmatched = len(given.positions) - len(rows)
    rows, found = rows[sound], found[sound]
    if not len(rows):
        raise AvatarError(
            "none of its splats is the performer's",
            path,
            f"give the frame and the space it was exported from, not frame {frame} of this one",
        )
    if untouched is None:
        _check_place(source, path, frame, given.positions, rows, before.positions, found)
    changed = _changed(given, rows, before, found)
    result = SplatsImported(
        version=None,
        changed=int(changed.sum()),
        erased=int((~chosen).sum()),
        unmatched=unmatched,
        by=by,
        passed_over=passed_over,
    )
    if not changed.any() and chosen.all():
        return result
    _take_over(source, carried, given, rows[changed], found[changed], place)
    avatar = source.avatar
    if not chosen.all():
        avatar = avatar.kept(source.body, torch.from_numpy(chosen))
    options: dict[str, bool | int | float | str | None] = {
        "file": path.name,
        "frame": frame,
        "take": take,
    }
    inputs = {"time": now()}
    part = f"take:{take}" if take else "avatar"
    with running(shot, "retouch", options, part, inputs=inputs) as job:
        folder = job.work / "retouched"
        remove_tree(folder)
        copy_folder(source.folder, folder, "frames")
        avatar.save(folder / "avatar.safetensors")
        if take:
            edit = shot.edit_record(take)
            authors = replace(edit.authors, splats=added(edit.authors.splats, author))
            edit = replace(edit, created=now(), job=job.id, retouched=True, authors=authors)
            job.check_held()
            made = shot.publish_edit(take, folder, edit)
        else:
            record = shot.avatar_record(source.version)
            record = replace(
                record,
                created=now(),
                job=job.id,
                gaussians=avatar.gaussian_count,
                retouched=True,
                authors=added(record.authors, author),
            )
            record.write(folder / "avatar.json")
            job.check_held()
            made = shot.publish("avatar", folder)
        result = replace(result, version=made)
        job.finish(result.to_json())
    return result


@torch.no_grad()
def _posed_otherwise(source: _Source, path: Path) -> tuple[Splats, _Carried]:
    """All Gaussians as somebody else's rig poses them, and what carries them there."""
    before, texture = read_ply(path), source.avatar.texture
    count = source.avatar.gaussian_count
    if before.ids is None or not np.array_equal(before.ids, np.arange(count)):
        raise AvatarError(
            f"these splats are of another version, the avatar has {count} now",
            path,
            "press To 3D again, and retouch those",
        )
    local = torch.nn.functional.normalize(texture.rotation, dim=-1)
    shown = torch.nn.functional.normalize(torch.from_numpy(before.rotations), dim=-1)
    turns = multiply_quaternions(shown, local * torch.tensor([1.0, -1, -1, -1]))
    frames = torch.from_numpy(
        Rotation.from_quat(turns.numpy(), scalar_first=True).as_matrix().astype(np.float32)
    )
    stretch = torch.exp(torch.from_numpy(before.scales) - texture.scale).mean(1)
    lifted = (frames @ (texture.offset * stretch[:, None])[..., None])[..., 0]
    centre = torch.from_numpy(before.positions) - lifted
    tints = torch.from_numpy(before.base) * _DEGREE_0 + 0.5 - texture.features[:, :3]
    return before, _Carried(centre, frames, stretch, tints)


def _check_place(
    source: _Source,
    path: Path,
    frame: int,
    given: np.ndarray,
    rows: np.ndarray,
    before: np.ndarray,
    found: np.ndarray,
) -> None:
    """Raises AvatarError where splats (N, 3) were not retouched, but are of another frame, of
    another space, or of somebody else."""

    def most(first: np.ndarray, second: np.ndarray) -> float:
        return float(np.median(np.linalg.norm(first - second, axis=1)))

    astray = most(given[rows], before[found])
    if astray < _ASTRAY:
        return
    for other in sorted(source.track.frames, key=lambda each: abs(each - frame)):
        there = _splats(source, other).positions
        if most(given[rows], there[found]) < _AGREES:
            raise AvatarError(
                f"these are the splats of frame {other}, not {frame}",
                path,
                f"go to frame {other}, or name it",
            )
    turn, shift = _rigid(before[found], given[rows])
    remedy = "take them back in the frame and space that they were exported in"
    if most(given[rows], before[found] @ turn.T + shift) < _AGREES:
        raise AvatarError("the splats as a whole stand in another place", path, remedy)
    if astray > _FOREIGN:
        raise AvatarError(
            f"most splats lie {100 * astray:.0f} cm from where the performer has them", path, remedy
        )


def _rigid(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The turn (3, 3) and shift (3,) that bring points (N, 3) closest to others."""
    middle, goal = first.mean(0, np.float64), second.mean(0, np.float64)
    left, _, right = np.linalg.svd((second - goal).T @ (first - middle))
    turn = left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right
    return turn, goal - turn @ middle


def _sound(given: Splats, rows: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Which rows of a file hold what a splat can have that was at a place (N, 3) before, bool."""
    gone = np.linalg.norm(given.positions[rows].astype(np.float64) - before, axis=1)
    # What is no number is not below a bound either.
    sound = (gone < _FARTHEST) & (given.scales[rows] < np.log(_LARGEST)).all(1)
    sound &= np.isfinite(given.opacity[rows])
    length = np.linalg.norm(given.rotations[rows].astype(np.float64), axis=1)
    sound &= (length > 0) & (length < np.inf)
    for values in (given.base, given.rest):
        if values is not None:
            weak = np.abs(values[rows]) < _STRONGEST
            sound &= weak.all(tuple(range(1, weak.ndim)))
    return sound


def _matched(given: Splats, before: Splats) -> tuple[np.ndarray, np.ndarray, str]:
    """Rows of the file, the Gaussian that each is, and what told."""
    count, ids = len(before.positions), given.ids
    places = np.nan_to_num(given.positions.astype(np.float64), True, _NOWHERE, _NOWHERE, -_NOWHERE)
    distance, nearest = cKDTree(before.positions).query(places)
    # Some programs count anew, or give all the same: then most stand exactly where others do.
    anew = ids is not None and np.mean((distance < _AGREES) & (nearest != ids)) > 0.5
    if ids is not None and not anew:
        known = (ids >= 0) & (ids < count)
        rows = np.flatnonzero(known)
        _, single = np.unique(ids[rows], return_index=True)
        rows = np.sort(rows[single])
        return rows, ids[rows], "id"
    order = np.argsort(distance, kind="stable")
    order = order[distance[order] < _REACH]
    # Of several that lie nearest to one, the nearest is it.
    _, single = np.unique(nearest[order], return_index=True)
    rows = np.sort(order[single])
    return rows, nearest[rows], "place"


def _changed(given: Splats, rows: np.ndarray, before: Splats, found: np.ndarray) -> np.ndarray:
    """Which rows differ from what was exported, bool."""
    changed = np.zeros(len(rows), bool)
    for name in ("positions", "base", "rest", "opacity", "scales"):
        if getattr(given, name) is None:
            continue
        new, old = getattr(given, name)[rows], getattr(before, name)[found]
        apart = np.abs(new - old).reshape(len(rows), -1).max(1)
        # Positions are metres: a tenth of the tolerance is 0.02 mm.
        changed |= apart > (_UNTOUCHED / 10 if name == "positions" else _UNTOUCHED * 5)
    new, old = given.rotations[rows], before.rotations[found]
    lengths = np.linalg.norm(new, axis=1) * np.linalg.norm(old, axis=1)
    agree = np.abs((new * old).sum(1)) / np.maximum(lengths, 1e-12)
    return changed | (agree < 1 - _UNTOUCHED**2 * 50)


@torch.no_grad()
def _take_over(
    source: _Source,
    carried: _Carried,
    given: Splats,
    rows: np.ndarray,
    found: np.ndarray,
    place: np.ndarray | None,
) -> None:
    """Sets some Gaussians of the avatar to what a file shows of them in one frame."""
    texture = source.avatar.texture
    which = torch.from_numpy(found)
    turn = torch.eye(3) if place is None else torch.from_numpy(place[:3, :3])
    shift = torch.zeros(3) if place is None else torch.from_numpy(place[:3, 3])
    frames, stretch = turn @ carried.frames[which], carried.stretch[which]
    positions = torch.from_numpy(given.positions[rows])
    from_centre = positions - (carried.centre[which] @ turn.T + shift)
    texture.offset[which] = (frames.mT @ from_centre[..., None])[..., 0] / stretch[:, None]
    back = matrix_to_quaternion(frames) * torch.tensor([1.0, -1, -1, -1])
    turned = torch.nn.functional.normalize(torch.from_numpy(given.rotations[rows]), dim=-1)
    texture.rotation[which] = multiply_quaternions(back, turned)
    texture.scale[which] = torch.from_numpy(given.scales[rows]) - torch.log(stretch)[:, None]
    texture.opacity[which] = torch.from_numpy(given.opacity[rows])
    colour = torch.from_numpy(given.base[rows]) * _DEGREE_0 + 0.5
    texture.features[which, :3] = colour - carried.tints[which]
    if given.rest is not None:
        rest = torch.from_numpy(given.rest[rows]) * _SIGNS[:, None]
        texture.harmonics[which] = _turned(rest, frames.mT)
