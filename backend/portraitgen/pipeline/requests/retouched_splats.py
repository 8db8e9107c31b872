# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats that another program has retouched, taken back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ...avatar.texture import (
    matrix_to_quaternion,
    multiply_quaternions,
)
from ...errors import AvatarError
from ...messages.splats import SplatsImported
from ...shot import Shot, now
from ...storage import (
    copy_folder,
    remove_tree,
)
from ..data.authors import added
from ..run.job_context import running
from .splat_file import Splats, read_ply
from .splats import (
    DEGREE_0,
    SIGNS,
    Carried,
    SplatSource,
    carried_in,
    places_in_world,
    splat_source,
    splats_of,
    turned_harmonics,
)
from .spz_file import read_spz

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
    source = splat_source(shot, take, version)
    frame = source.track.frames[0] if frame is None else frame
    place = places_in_world(world, [frame])[frame] if world else None
    before, carried = splats_of(source, frame, place), carried_in(source, frame)
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
def _posed_otherwise(source: SplatSource, path: Path) -> tuple[Splats, Carried]:
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
    tints = torch.from_numpy(before.base) * DEGREE_0 + 0.5 - texture.features[:, :3]
    return before, Carried(centre, frames, stretch, tints)


def _check_place(
    source: SplatSource,
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
        there = splats_of(source, other).positions
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
    source: SplatSource,
    carried: Carried,
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
    colour = torch.from_numpy(given.base[rows]) * DEGREE_0 + 0.5
    texture.features[which, :3] = colour - carried.tints[which]
    if given.rest is not None:
        rest = torch.from_numpy(given.rest[rows]) * SIGNS[:, None]
        texture.harmonics[which] = turned_harmonics(rest, frames.mT)
