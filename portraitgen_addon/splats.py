# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer as Gaussian splats of Blender's own, carried by the rig's armature.

Two objects hang under the armature: the performer's own surface, which the body's units and the
personal fields deform as the backend does, and a point cloud that a modifier sets on it. What they
hold lies in the shot's folder; a saved file keeps it only where that is asked for.
"""

import os
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import bpy
import numpy as np

from portraitgen.errors import PortraitError, ShotError
from portraitgen.shot import Shot

from . import compat, properties, splat_cloud, splat_nodes, splat_saving, splat_surface
from .session import session
from .shot_summary import Made
from .splat_data import REMEDY, SplatData

# What the cloud carries: where its data lies, as this file and as the machine name it; the shot and
# the take it shows; its surface and its shadow; whether a saved file keeps its data.
PATH, PLACE, SHOT, TAKE, OFFSET = (
    f"portraitgen_{name}" for name in ("splats", "splats_place", "shot", "take", "offset")
)
SURFACE, SHADOW, PACKED = (f"portraitgen_{name}" for name in ("surface", "shadow", "packed"))
# What its data was made of: the avatar's version, the take's edit, and the job that published it.
VERSION, EDIT, JOB = (f"portraitgen_{name}" for name in ("avatar", "edit", "job"))
# The id of the shot in whose folder its data lies.
_OWNER = "portraitgen_owner"
# For whoever opens a file without the extension, among the object's custom properties.
_ABOUT = "PortraitGen"
_SAID = (
    "The PortraitGen extension reads these splats from the shot's folder; Pack Splats keeps them in"
    " the file, for Blender alone"
)
_SOFTNESS = "Softness"
_SAME_BODY = 1e-3


@dataclass(frozen=True)
class Performer:
    """The objects of a performer in 3D."""

    surface: Any
    cloud: Any


def build(
    name: str, shot_id: str, data: SplatData, path: Path, armature: Any, camera: Any, offset: int
) -> Performer:
    """Builds a performer under a rig's armature.

    Args:
        name: of shot and take, for the data-blocks.
        shot_id: of the shot.
        data, path: what the backend wrote, and where.
        armature: the rig's.
        camera: the plate's, from which colours are seen.
        offset: scene frame minus footage frame.
    """
    collection = armature.users_collection[0]
    surface = bpy.data.objects.new(f"{name} surface", bpy.data.meshes.new(f"{name} surface"))
    cloud = bpy.data.objects.new(f"{name} splats", bpy.data.pointclouds.new(f"{name} splats"))
    for each in (surface, cloud):
        collection.objects.link(each)
        each.parent = armature
    deform = surface.modifiers.new("Armature", "ARMATURE")
    deform.object = armature
    # Dual quaternions would bulge where the backend's linear blending does not.
    deform.use_deform_preserve_volume = False
    # Hidden, it would not be evaluated.
    surface.display_type, surface.hide_select, surface.hide_render = "BOUNDS", True, True
    surface[splat_surface.PART] = True
    splat_surface.key_weights(surface, data, offset)
    cloud[SHOT], cloud[TAKE], cloud[OFFSET], cloud[SURFACE] = shot_id, data.take, offset, surface
    _name_place(cloud, path, bpy.data.filepath)
    cloud[_OWNER] = _owner(path)
    carry = cloud.modifiers.new("Carried by Rig", "NODES")
    carry.node_group = splat_nodes.carrying_tree(f"{name} splats")
    inputs = compat.modifier_inputs(carry)
    inputs[splat_nodes.SURFACE].value = surface
    inputs[splat_nodes.CAMERA].value = camera
    for index in range(splat_nodes.FIELDS):
        driver = inputs[splat_nodes.weight_input(index)].driver_add("value").driver
        splat_surface.follow(driver, surface, f'["{splat_surface.PERSONAL.format(index)}"]')
    # For renders alone: what is seen and retouched is what the avatar holds.
    soften = cloud.modifiers.new(_SOFTNESS, "NODES")
    soften.node_group, soften.show_viewport = splat_nodes.softening_tree(), False
    compat.modifier_inputs(soften)[splat_nodes.SOFTNESS].value = data.softness
    cloud[_ABOUT] = _SAID
    _fill(cloud, data)
    return Performer(surface, cloud)


def show_anew(cloud: Any, data: SplatData, path: Path, offset: int) -> None:
    """Lets a performer show newer splats; where it stands and what the artist has put on it stay.

    Args:
        data, path, offset: as `build` takes them.
    """
    surface = cloud[SURFACE]
    for copy in performers():
        if copy.get(SURFACE) == surface:
            unload(copy)
    renew_nodes()
    splat_surface.key_weights(surface, data, offset)
    cloud[OFFSET] = offset
    _name_place(cloud, path, bpy.data.filepath)
    cloud[_OWNER] = _owner(path)
    _soften(cloud, data)
    _fill_all()


def _soften(cloud: Any, data: SplatData) -> None:
    for modifier in _with_input(cloud, splat_nodes.SOFTNESS):
        compat.modifier_inputs(modifier)[splat_nodes.SOFTNESS].value = data.softness


def has_older_nodes(cloud: Any) -> bool:
    """Whether a performer is carried or lit by nodes of an earlier version of the extension."""
    shadow = shadow_of(cloud)
    modifiers = _with_input(cloud, splat_nodes.weight_input(0))
    modifiers += _with_input(cloud, splat_nodes.SOFTNESS)
    modifiers += _with_input(shadow, splat_nodes.SURFACE) if shadow is not None else []
    lit = [each for each in cloud.data.materials if each and splat_nodes.is_lit_material(each)]
    made = [*(each.node_group for each in modifiers), *lit]
    return not all(splat_nodes.is_current(each) for each in made)


def renew_nodes() -> None:
    """Gives all performers the nodes of this version, at once since these fit each other and a
    material is shared; what is set on them, and an artist's own, stay."""
    for cloud in _own():
        carried_by = carrier(cloud)
        if carried_by is not None and has_older_nodes(cloud):
            _renew(cloud, carried_by.node_group, shadow_of(cloud))


def _renew(cloud: Any, group: Any, shadow: Any | None) -> None:
    # Of what normals an earlier one carries an artist's own materials know, too.
    lit = [each for each in cloud.data.materials if each]
    if splat_nodes.is_current(group):
        lit = [each for each in lit if splat_nodes.is_lit_material(each)]
    else:
        splat_nodes.carrying_tree(group.name, group)
    for modifier in _with_input(cloud, splat_nodes.SOFTNESS):
        share = compat.modifier_inputs(modifier)[splat_nodes.SOFTNESS].value
        modifier.node_group = splat_nodes.softening_tree()
        compat.modifier_inputs(modifier)[splat_nodes.SOFTNESS].value = share
    for modifier in _with_input(shadow, splat_nodes.SURFACE) if shadow is not None else []:
        modifier.node_group = splat_nodes.shadow_tree()
        compat.modifier_inputs(modifier)[splat_nodes.SURFACE].value = cloud[SURFACE]
    for material in lit:
        splat_nodes.renew_material(material)


def _with_input(each: Any, name: str) -> list[Any]:
    """The modifiers of ours on an object that take an input, whatever they are called by now."""
    nodes = [one for one in each.modifiers if one.type == "NODES" and one.node_group]
    return [one for one in nodes if splat_nodes.is_own(one.node_group, name)]


def drop_retouch(cloud: Any) -> None:
    """Takes the artist's own modifiers off, once what they made is the avatar's."""
    own = [carrier(cloud), *_with_input(cloud, splat_nodes.SOFTNESS)]
    for modifier in list(cloud.modifiers):
        if modifier not in own:
            cloud.modifiers.remove(modifier)


def fits(data: SplatData, armature: Any) -> bool:
    """Whether a rig is of the body that the splats were learned on: its joints lie where theirs do,
    to a millimetre. A track before the avatar's, or another solve, may be of another."""
    bones = armature.data.bones
    apart = [
        np.linalg.norm(np.array(bones[name].head_local) - place)
        for name, place in zip(data.joints, data.arrays["joints"], strict=True)
        if name in bones
    ]
    return bool(max(apart, default=0.0) < _SAME_BODY)


def performers(shot_id: str | None = None, take: str | None = None) -> list[Any]:
    """The clouds of performers in the file: all, a shot's, or those of a take."""
    return [
        each
        for each in bpy.data.objects
        if each.type == "POINTCLOUD"
        and PATH in each
        and carrier(each) is not None
        and (shot_id is None or each[SHOT] == shot_id)
        and (take is None or each[TAKE] == take)
    ]


def carrier(cloud: Any) -> Any | None:
    """The modifier by which the rig carries a cloud, wherever it stands among the artist's own; a
    cloud whose modifier was applied has none and is the artist's own."""
    return next(iter(_with_input(cloud, splat_nodes.weight_input(0))), None)


def armature_of(cloud: Any) -> Any | None:
    """The armature that carries a performer, None where it was deleted."""
    surface, carried_by = cloud.get(SURFACE), carrier(cloud)
    if cloud.override_library and carried_by is not None:
        # Once it is opened again, an override's properties name the other file's.
        surface = compat.modifier_inputs(carried_by)[splat_nodes.SURFACE].value
    return surface.parent if surface is not None else None


def adopt(cloud: Any, armature: Any, camera: Any) -> None:
    """Hangs a performer whose rig was deleted on another one of its shot; what the artist has put
    on it stays."""
    surface = cloud[SURFACE]
    for each in (surface, cloud):
        if each.parent is None:
            each.parent = armature
    for modifier in surface.modifiers:
        if modifier.type == "ARMATURE" and modifier.object is None:
            modifier.object = armature
    seen_from = compat.modifier_inputs(carrier(cloud))[splat_nodes.CAMERA]
    if seen_from.value is None:
        seen_from.value = camera


def is_own(cloud: Any) -> bool:
    """Whether this file may change a performer: what hangs on another file is changed there."""
    surface = cloud.get(SURFACE)
    parts = (cloud, cloud.data, surface, surface.data) if surface is not None else ()
    return bool(parts) and not any(part.library for part in parts)


def made_of(cloud: Any) -> Made:
    """What a performer shows."""
    version, edit, job = (cloud.get(name) for name in (VERSION, EDIT, JOB))
    return Made(cloud[TAKE], int(version or 0), int(edit or 0), job)


def erased(cloud: Any) -> int:
    """How many of a performer's splats were erased in Edit Mode; below 0 where another cloud was
    joined to it, how many came."""
    points = len(cloud.data.points)
    return int(cloud.get(splat_cloud.COUNT, points)) - points if points else 0


def remove(cloud: Any) -> None:
    """Takes a performer out of the file with everything that no other one uses."""
    shared = [each.get(SURFACE) for each in performers() if each != cloud]
    own = [shadow_of(cloud), cloud.get(SURFACE), cloud]
    for each in own:
        if each is not None and each not in shared:
            _remove_object(each)


def remove_remains() -> None:
    """Takes out what lies under performers that were deleted by hand, which nobody can select."""
    kept = [part for each in performers() for part in (each.get(SURFACE), shadow_of(each))]
    for each in list(bpy.data.objects):
        if splat_surface.PART in each and each.library is None and each not in kept:
            _remove_object(each)


def _remove_object(each: Any) -> None:
    data, groups = each.data, [one.node_group for one in each.modifiers if one.type == "NODES"]
    action = each.animation_data.action if each.animation_data else None
    bpy.data.objects.remove(each)
    owner = bpy.data.meshes if isinstance(data, bpy.types.Mesh) else bpy.data.pointclouds
    for holder, one in ((owner, data), (bpy.data.actions, action)):
        if one is not None and not one.users:
            holder.remove(one)
    for group in groups:
        if group and not group.users:
            bpy.data.node_groups.remove(group)


def shadow_of(cloud: Any) -> Any | None:
    """What throws a performer's shadow; a copy made by hand names that of the first."""
    shadow = cloud.get(SHADOW)
    if shadow is not None and cloud.override_library:
        shadow = next((each for each in cloud.children if splat_surface.PART in each), None)
    return shadow if shadow is not None and shadow.parent in (cloud, cloud.parent) else None


def light_by_scene(cloud: Any, lit: bool) -> None:
    """Lets Blender's lights light a performer, or shows it in the light of the plate; with it those
    that share its data, and its material."""
    renew_nodes()
    for each in _own():
        if each.data == cloud.data:
            _light(each, lit)


def _light(cloud: Any, lit: bool) -> None:
    materials = cloud.data.materials
    materials.clear()
    # Splats would throw the shadow of each on the next, and light that comes from all around would
    # end at them, in blotches; a surface inside of them throws their shadow.
    cloud.visible_shadow = cloud.visible_diffuse = not lit
    shadow = shadow_of(cloud)
    if not lit:
        if shadow is not None:
            _remove_object(shadow)
        return
    materials.append(splat_nodes.lit_material())
    if shadow is not None:
        return
    shadow = bpy.data.objects.new(
        f"{cloud.name} shadow", bpy.data.meshes.new(f"{cloud.name} shadow")
    )
    for collection in cloud.users_collection:
        collection.objects.link(shadow)
    shadow.parent = cloud
    shadow[splat_surface.PART] = True
    shadow.display_type, shadow.hide_select = "BOUNDS", True
    modifier = shadow.modifiers.new("Shadow", "NODES")
    modifier.node_group = splat_nodes.shadow_tree()
    compat.modifier_inputs(modifier)[splat_nodes.SURFACE].value = cloud[SURFACE]
    for ray in ("camera", "diffuse", "glossy", "transmission", "volume_scatter"):
        setattr(shadow, f"visible_{ray}", False)
    cloud[SHADOW] = shadow


def is_moved(cloud: Any) -> bool:
    """Whether a performer stands elsewhere than its rig puts it.

    Raises:
        ShotError: if that rig was deleted.
    """
    armature = armature_of(cloud)
    if armature is None:
        raise ShotError("the rig that carried the performer is gone", cloud.name, REMEDY)
    graph = bpy.context.evaluated_depsgraph_get()
    both = (cloud, armature)
    places = [np.array(each.evaluated_get(graph).matrix_world) for each in both]
    return bool(np.abs(places[0] - places[1]).max() > _SAME_BODY)


def is_lit(cloud: Any) -> bool:
    """Whether Blender's lights light a performer."""
    return shadow_of(cloud) is not None


# Where the data lies


def _name_place(cloud: Any, path: Path, file: str) -> None:
    """Keeps a path as it is and as a file names it, so that both may move together."""
    cloud[PLACE] = cloud[PATH] = str(path)
    if file:
        try:
            beside = bpy.path.relpath(str(path), start=os.path.dirname(file))
        except ValueError:
            return  # On another drive of a Windows machine.
        # Every system reads slashes.
        cloud[PATH] = beside.replace(os.sep, "/")


def _owner(path: Path) -> str:
    """The id of the shot whose folder holds a file of splats, empty if it lies in none."""
    try:
        return Shot.open(path.parents[1]).record.id
    except PortraitError:
        return ""


def _holds(place: Path, owner: str | None) -> bool:
    """Whether a file of splats is that of a shot, as far as is known: beside a file that was copied
    to another shot lies that one's."""
    return not owner or _owner(place) in ("", owner)


def data_path(cloud: Any) -> Path:
    """Where a performer's data lies: beside this file, where it was made, or in the shot's folder,
    which may have been found elsewhere since.

    Raises:
        ShotError: if it lies at none of them.
    """
    beside = str(cloud[PATH])
    # A file that was saved on Windows.
    named = [beside, beside.replace("\\", "/")] if beside.startswith("//") else [beside]
    places = [Path(bpy.path.abspath(each)) for each in named] + [Path(cloud[PLACE])]
    shot = properties.find_shot(cloud[SHOT])
    if shot is not None:
        places.append(shot.path / "splats" / PureWindowsPath(cloud[PLACE]).name)
    for place in places:
        if place.exists() and _holds(place, cloud.get(_OWNER)):
            # A folder on the way up may be gone when it is looked for again.
            return Path(os.path.normpath(place))
    raise ShotError("the performer's splats are missing", places[0], REMEDY)


def unload(cloud: Any) -> None:
    """Empties a performer whose data lies in a shot; what the artist has set stays."""
    surface = cloud[SURFACE]
    cloud.data.resize(0)
    surface.shape_key_clear()
    surface.data.clear_geometry()


def reload(cloud: Any) -> None:
    """Fills a performer that was emptied.

    Raises:
        ShotError: if its data is missing or damaged.
    """
    data = SplatData.load(data_path(cloud))
    if cloud[SURFACE].get(splat_surface.KEYED) != splat_surface.weights_digest(data):
        # Others may have written it anew while this file was closed.
        splat_surface.key_weights(cloud[SURFACE], data, int(cloud[OFFSET]))
        _soften(cloud, data)
    _fill(cloud, data)


def _fill(cloud: Any, data: SplatData) -> None:
    surface = cloud[SURFACE]
    # A copy of the performer may have filled what both hang on.
    if not len(surface.data.vertices):
        splat_surface.fill(surface, data, surface.parent)
    splat_cloud.fill(cloud, data)
    splat_surface.follow_sculpt(cloud[SURFACE])
    cloud[VERSION], cloud[EDIT], cloud[JOB] = data.version, data.edit, data.job


def _own() -> list[Any]:
    """Performers that this file may fill: all of them but what hangs on another file."""
    return [each for each in performers() if is_own(each)]


@bpy.app.handlers.persistent
def _before_save(target: str = "", *unused: Any) -> None:
    """Keeps files small: what lies in a shot is not saved again, unless it was packed."""
    remove_remains()
    for cloud in _own():
        known = cloud.get(splat_cloud.FILLED)
        if erased(cloud) or (
            len(cloud.data.points) and known and known != splat_cloud.digest(cloud.data)
        ):
            # Splats were erased, painted or applied to, which only this file knows of.
            cloud[PACKED] = True
    packed = [each[SURFACE] for each in _own() if each.get(PACKED)]
    for cloud in _own():
        try:
            path = data_path(cloud)
        except ShotError:
            continue  # The file is all there is of it.
        _name_place(cloud, path, target or bpy.data.filepath)
        # One that is open in Edit Mode keeps its data, in the file, too.
        if cloud[SURFACE] not in packed and len(cloud.data.points) and cloud.mode == "OBJECT":
            for each in (cloud, cloud[SURFACE]):
                splat_saving.put_aside(each)


@bpy.app.handlers.persistent
def _after_save(*unused: Any) -> None:
    splat_saving.put_back()
    # Other modes keep steps of their own, which know nothing of performers.
    if bpy.context.mode not in ("OBJECT", "POSE"):
        return
    empty = [each for each in _own() if not len(each.data.points)]
    _fill_all()
    if any(len(each.data.points) for each in empty):
        # Undo would go back to shape keys of which it knows nothing, and end Blender.
        with compat.with_window(bpy.context):
            bpy.ops.ed.undo_push(message="Fill Performers")


@bpy.app.handlers.persistent
def _fill_all(*unused: Any) -> None:
    """Fills what the file at hand, or one that was appended or linked from, did not hold."""
    linked: list[str] = []
    failed: dict[str, PortraitError] = {}
    for cloud in performers():
        if len(cloud.data.points):
            if cloud.data.library is None and cloud.data.type != splat_cloud.KIND:
                # An older Blender has saved it, which knows points alone.
                cloud.data.type = splat_cloud.KIND
            continue
        if cloud.get(SURFACE) is None:
            failed[cloud.name] = ShotError("the performer has lost its surface", cloud.name, REMEDY)
            continue
        if not is_own(cloud):
            # Blender lets nobody fill what belongs to another file.
            linked.append(cloud.name)
            continue
        try:
            reload(cloud)
        except PortraitError as error:
            failed[cloud.name] = error
    if linked:
        session.error = ShotError(
            "a linked performer's splats are not in its file",
            ", ".join(linked),
            "press Pack Splats there, save it and link again",
        )
    if len(failed) == 1:
        (session.error,) = failed.values()
    elif failed:
        first = next(iter(failed.values()))
        session.error = ShotError(
            f"performers show no splats, the first because {first.message}",
            ", ".join(failed),
            REMEDY,
        )


@bpy.app.handlers.persistent
def _after_change(scene: Any, graph: Any) -> None:
    """Follows strokes of a sculpt as they end."""
    if bpy.app.is_job_running("RENDER"):
        return
    if any(isinstance(each.id, bpy.types.Mesh | bpy.types.Key) for each in graph.updates):
        for cloud in _own():
            splat_surface.follow_sculpt(cloud[SURFACE])


_HANDLERS = (
    ("save_pre", _before_save),
    ("save_post", _after_save),
    ("save_post_fail", _after_save),
    ("load_post", _fill_all),
    ("blend_import_post", _fill_all),
    ("depsgraph_update_post", _after_change),
)


def register() -> None:
    """Keeps files small from now on, where Blender has splats."""
    if not compat.splats_missing():
        for name, work in _HANDLERS:
            getattr(bpy.app.handlers, name).append(work)


def unregister() -> None:
    """Ends it."""
    if not compat.splats_missing():
        for name, work in _HANDLERS:
            getattr(bpy.app.handlers, name).remove(work)
