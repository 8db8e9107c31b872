# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rig's two layers of an artist's keys: corrections of the track, and a take's acting above.

Keys go to the action that the armature plays, above the NLA. While an artist corrects, that is the
corrections, and acting is not heard. While a take acts, its acting is played above the corrections,
which wait in an NLA track of their own; so acting lies exactly above them, whichever was keyed
first. The acting of other takes is kept and muted.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from . import compat, rotations, sculpt, tensors
from .camera import FLIP
from .rig import FACE, OFFSET, TRACKED, Rig, RigData, read
from .rig import start_corrections as start_layer

CORRECTIONS = "Corrections"
FILE = "acting.safetensors"
TAKE, _RIG = "portraitgen_take", "portraitgen_rig"
# Of a take's acting: its keys as they were sent, and when the file was written that holds them; and
# its keys while they are on their way.
_SENT, _SENDING = "portraitgen_sent", "portraitgen_sending"
_LEAST = 1e-6


def acting_take(armature: Any) -> str:
    """The take whose acting an armature's keys go to, empty while they correct the track."""
    data = armature.animation_data
    return str(data.action.get(TAKE, "")) if data and data.action else ""


def actions_of(armature: Any) -> list[Any]:
    """The actions of an armature's corrections and of all takes' acting, played or kept."""
    found = [action for action in bpy.data.actions if action.get(_RIG) == armature.name]
    if (corrections := bpy.data.actions.get(armature.get(CORRECTIONS, ""))) is not None:
        found.append(corrections)
    return found


def act(rig: Rig, name: str, take: str) -> None:
    """Lets keys go to a take's acting.

    Args:
        name: of the shot, for the data-blocks.
    """
    sculpt.show(rig.mesh, take)
    if acting_take(rig.armature) == take:
        return
    correct(rig)
    sculpt.show(rig.mesh, take)
    data = rig.armature.animation_data
    corrections, slot = data.action, data.action_slot
    if corrections is not None:
        corrections.use_fake_user = True
        if len(compat.curves(corrections, slot)):
            track = _track(data, CORRECTIONS)
            strip = track.strips.new(CORRECTIONS, int(corrections.frame_range[0]), corrections)
            compat.point_nla_strip(strip, corrections, slot)
            strip.blend_type = "COMBINE"
    rig.armature[CORRECTIONS] = corrections.name if corrections is not None else ""
    for track in [each for each in data.nla_tracks if each.name == _name(take)]:
        data.nla_tracks.remove(track)
    _play(data, _acting(rig, name, take))


def correct(rig: Rig) -> None:
    """Lets keys go to the corrections; the acting is kept in an NLA track of its own, muted."""
    sculpt.show(rig.mesh, "")
    data = rig.armature.animation_data
    take = acting_take(rig.armature)
    if not take:
        return
    acting, slot = data.action, data.action_slot
    acting.use_fake_user = True
    if len(compat.curves(acting, slot)):
        track = _track(data, _name(take))
        strip = track.strips.new(_name(take), int(acting.frame_range[0]), acting)
        compat.point_nla_strip(strip, acting, slot)
        strip.blend_type = "COMBINE"
        track.mute = True
    for track in [each for each in data.nla_tracks if each.name == CORRECTIONS]:
        data.nla_tracks.remove(track)
    corrections = bpy.data.actions.get(rig.armature.get(CORRECTIONS, ""))
    if corrections is None:
        corrections, _ = compat.empty_action(CORRECTIONS, rig.armature)
    _play(data, corrections)


def _corrections(armature: Any) -> Any:
    """The F-curves of an armature's corrections, whichever layer its keys go to."""
    if not acting_take(armature):
        return compat.own_curves(armature)
    action = bpy.data.actions.get(armature.get(CORRECTIONS, ""))
    return compat.curves(action, action.slots[0]) if action is not None and action.slots else ()


def corrections_digest(armature: Any) -> str:
    """What changes with any key of an armature's corrections."""
    return _digest_of(_corrections(armature), armature.get(OFFSET, 0))


def has_corrections(armature: Any) -> bool:
    """Whether the artist has keyed something above the tracked motion, acting apart."""
    return len(_corrections(armature)) > 0


def corrected_frames(armature: Any) -> list[int]:
    """The scene frames on which the artist has corrected the tracked motion."""
    keys = [key for curve in _corrections(armature) for key in curve.keyframe_points]
    return sorted({round(key.co.x) for key in keys})


def may_differ(armature: Any) -> bool:
    """Whether an armature, its acting apart, may show anything else than the tracked motion: by
    keys, or by what an artist has hung on it."""
    data = armature.animation_data
    if data is None or has_corrections(armature) or data.drivers or data.use_tweak_mode:
        return True
    actions = [strip.action for track in data.nla_tracks for strip in track.strips]
    own = {TRACKED, CORRECTIONS, *(_name(str(each.get(TAKE))) for each in actions if each)}
    return (
        any(track.name not in own for track in data.nla_tracks)
        or not np.allclose(armature.matrix_basis, FLIP, atol=_LEAST)
        or bool(armature.constraints)
        or any(bone.constraints for bone in armature.pose.bones)
    )


def start_corrections(rig: Rig, name: str) -> Any | None:
    """Gives a rig a new, empty layer of corrections, acting or not; see `rig.start_corrections`."""
    with without_acting(rig, name):
        return start_layer(rig, name)


@contextmanager
def without_acting(rig: Rig, name: str) -> Iterator[None]:
    """The rig as it was tracked and corrected, while a `with` block runs."""
    take = acting_take(rig.armature)
    correct(rig)
    try:
        yield
    finally:
        if take:
            act(rig, name, take)


def save_acting(rig: Rig, bundle: RigData, name: str, offset: int, path: Path) -> bool:
    """Writes how the rig acts above its corrections, and its sculpt, for the backend's act job.

    Returns:
        Whether it acts at all, or has a sculpt, be it an empty one.
    """
    take = acting_take(rig.armature)
    if (action := _kept(rig.armature, take)) is not None:
        action[_SENDING] = _digest(rig.armature, action)
    acted = read(rig, bundle, offset)
    with without_acting(rig, name):
        tracked = read(rig, bundle, offset)
    names = ("transl", "pose", "expression")
    arrays = {"frames": acted.frames} | {each: getattr(acted, each) for each in names}
    arrays |= {f"tracked_{each}": getattr(tracked, each) for each in names}
    sculpted = sculpt.offsets(rig.mesh, take)
    if sculpted is not None:
        shown = sculpt.amounts(rig, take, acted.frames, offset)
        arrays |= {"sculpt": sculpted, "sculpted": shown}
    tensors.save(path, arrays)
    acts = any(np.abs(getattr(acted, each) - getattr(tracked, each)).max() > 1e-5 for each in names)
    return acts or sculpted is not None


def note_sent(armature: Any, take: str, path: Path) -> None:
    """Notes that a take's file holds what its keys on the rig act, as they were when it was asked
    for.

    Args:
        path: the take's acting.safetensors.
    """
    action = _kept(armature, take)
    if action is not None:
        keys = action.pop(_SENDING, None) or _digest(armature, action)
        action[_SENT] = f"{keys} {_written(path)}"


def not_sent(armature: Any, take: str, path: Path) -> bool:
    """Whether a rig may act otherwise in a take than its file says: keyed or undone since."""
    action = _kept(armature, take)
    if action is None or not (path.exists() or _keyed(action)):
        return False
    return bool(action.get(_SENT) != f"{_digest(armature, action)} {_written(path)}")


def _keyed(action: Any) -> Any:
    return compat.curves(action, action.slots[0]) if action.slots else ()


def _digest(armature: Any, action: Any) -> str:
    # The plate may have been moved since, and the keys with it.
    return _digest_of(_keyed(action), armature.get(OFFSET, 0))


def _digest_of(curves: Any, offset: int) -> str:
    found = 0
    for curve in curves:
        points = np.empty(2 * len(curve.keyframe_points), np.float32)
        curve.keyframe_points.foreach_get("co", points)
        points[::2] -= offset
        found = zlib.crc32(f"{curve.data_path} {curve.array_index}".encode(), found)
        found = zlib.crc32(points.tobytes(), found)
    return f"{found:08x}"


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def show_acting(rig: Rig, bundle: RigData, name: str, take: str, offset: int, path: Path) -> None:
    """Shows a take's acting as keys, in the place of those it had.

    Args:
        path: the take's acting.safetensors.
    """
    arrays, _ = tensors.load(path)
    act(rig, name, take)
    data = rig.armature.animation_data
    frames = arrays["frames"] + offset
    bones = rig.armature.data.bones
    rest = np.array([np.array(bones[joint].matrix_local)[:3, :3] for joint in bundle.joints])
    turns = rotations.quaternions(arrays["pose"])
    turns[..., 1:] = np.einsum("jba,tjb->tja", rest, turns[..., 1:])
    turns = rotations.continuous(turns)
    root = arrays["transl"].astype(np.float64) @ rest[0]
    first = f'pose.bones["{bundle.joints[0]}"].location'
    channels = [(first, axis, root[:, axis]) for axis in range(3) if _differs(root[:, axis])]
    for index, joint in enumerate(bundle.joints):
        if _differs(arrays["pose"][:, index]):
            place = f'pose.bones["{joint}"].rotation_quaternion'
            channels += [(place, part, turns[:, index, part]) for part in range(4)]
    for index, unit in enumerate(bundle.units):
        if _differs(arrays["expression"][:, index]):
            place = f'pose.bones["{FACE}"]["{unit}"]'
            channels.append((place, 0, arrays["expression"][:, index]))
    old = data.action
    action, slot = compat.keyed_action(_name(take), rig.armature, channels, frames)
    _mark(action, rig, take)
    _play(data, action, slot)
    old.use_fake_user = False
    if not old.users:
        bpy.data.actions.remove(old)
    action.name = _name(take)
    rig.armature.update_tag()
    if "sculpt" in arrays:
        given = arrays["sculpt"], arrays["sculpted"]
        sculpt.take_over(rig, take, *given, arrays["frames"].astype(np.int64), offset)
    note_sent(rig.armature, take, path)


def copy_acting(rig: Rig, name: str, source: str, target: str) -> bool:
    """Copies one take's acting to another; False if it has none."""
    found = _kept(rig.armature, source)
    if found is None:
        return False
    made = found.copy()
    _mark(made, rig, target)
    made.name = _name(target)
    made.use_fake_user = True
    old = _kept(rig.armature, target, but=made)
    if old is not None:
        old[TAKE] = ""
    if acting_take(rig.armature) == target:
        _play(rig.armature.animation_data, made)
    return True


def _differs(values: np.ndarray) -> bool:
    return bool(np.abs(values).max(initial=0) > _LEAST)


def _name(take: str) -> str:
    return f"Acting {take}"


def _track(data: Any, name: str) -> Any:
    """A new NLA track at the top, in the place of one of its name."""
    for track in [each for each in data.nla_tracks if each.name == name]:
        data.nla_tracks.remove(track)
    track = data.nla_tracks.new()
    track.name = name
    return track


def _kept(armature: Any, take: str, but: Any = None) -> Any | None:
    for action in bpy.data.actions:
        if action.get(TAKE) == take and action.get(_RIG) == armature.name and action != but:
            return action
    return None


def _acting(rig: Rig, name: str, take: str) -> Any:
    found = _kept(rig.armature, take)
    if found is not None:
        return found
    action, _ = compat.empty_action(_name(take), rig.armature)
    _mark(action, rig, take)
    return action


def _mark(action: Any, rig: Rig, take: str) -> None:
    action[TAKE], action[_RIG] = take, rig.armature.name


def _play(data: Any, action: Any, slot: Any = None) -> None:
    data.action = action
    data.action_slot = slot or action.slots[0]
    data.action_blend_type = "COMBINE"
    data.action_extrapolation = "HOLD"
