# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer as Gaussian splats of Blender's own, carried by the rig's armature.

Two objects hang under the armature: the performer's own surface, which the body's units and the
personal fields deform as the backend does, and a point cloud that a modifier sets on it. What they
hold lies in the shot's folder; a saved file keeps it only where that is asked for.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import bmesh
import bpy
import numpy as np

from portraitgen.bounded_json import parse_json
from portraitgen.errors import PortraitError, ShotError
from portraitgen.records import CloudFacts
from portraitgen.shot import Shot
from portraitgen.storage import write_bytes

from . import compat, properties, sculpt, splat_nodes, tensors
from .rig import FACE, key_points
from .session import session
from .shot_summary import Made

# What the cloud carries: where its data lies, as this file and as the machine name it; the shot and
# the take it shows; its surface and its shadow; whether a saved file keeps its data.
PATH, PLACE, SHOT, TAKE, OFFSET = (
    f"portraitgen_{name}" for name in ("splats", "splats_place", "shot", "take", "offset")
)
SURFACE, SHADOW, PACKED = (f"portraitgen_{name}" for name in ("surface", "shadow", "packed"))
# What its data was made of: the avatar's version, the take's edit, and the job that published it.
VERSION, EDIT, JOB = (f"portraitgen_{name}" for name in ("avatar", "edit", "job"))
ID = "pg_id"
# How many splats its data has.
_COUNT = "portraitgen_count"
# What its points held when they were filled, and what its surface's weights were keyed from.
_FILLED, _KEYED = "portraitgen_filled", "portraitgen_keyed"
# The id of the shot in whose folder its data lies.
_OWNER = "portraitgen_owner"
# Marks what hangs on a performer.
_PART = "portraitgen_part"
# Of the surface's vertices: each one's number on the rig's mesh.
_BODY = "pg_body"
_PERSONAL = "personal {:02d}"
_SOFTNESS = "Softness"
_DEGREE_0 = 0.28209479177387814
_KIND = "GAUSSIAN_SPLAT"
_REMEDY = "press To 3D again"
_SAME_BODY = 1e-3
_UNMOVED = 1e-6


@dataclass(frozen=True)
class SplatData:
    """What the backend wrote of a take; arrays as `splats.export_cloud` documents them."""

    arrays: dict[str, np.ndarray]
    take: str
    version: int
    joints: list[str]
    units: list[str]
    softness: float
    edit: int = 0
    job: str = ""

    @classmethod
    def load(cls, path: Path) -> "SplatData":
        """Reads the file.

        Raises:
            ShotError: if it is missing or damaged, or its parts do not fit one another.
        """
        arrays, metadata = tensors.load(path)
        try:
            facts = CloudFacts.parse(parse_json(metadata["splats"]))
            joints, units = list(facts.joints), list(facts.units)
            made = cls(
                arrays,
                facts.take,
                facts.version,
                joints,
                units,
                facts.softness,
                facts.edit,
                facts.job,
            )
            made._check()
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise ShotError(f"the splats are damaged ({error})", path, _REMEDY) from error
        return made

    def _check(self) -> None:
        """Raises ValueError where an index leads nowhere or a shape is another."""
        arrays = self.arrays
        vertices, splats = len(arrays["vertices"]), len(arrays["opacity"])
        fields = splat_nodes.FIELDS
        shapes = {
            "vertices": (vertices, 3),
            "inside": (len(arrays["faces"]),),
            "body": (vertices,),
            "joints": (len(self.joints), 3),
            "units": (len(self.units), vertices, 3),
            "fields": (fields, vertices, 3),
            "corners": (splats, 3),
            "barycentric": (splats, 3),
            "offset": (splats, 3),
            "rotation": (splats, 4),
            "scale": (splats, 3),
            "rest_scale": (splats,),
            "colour": (splats, 3),
            "harmonics": (splats, splat_nodes.HARMONICS, 3),
            "tints": (fields, splats, 3),
            "albedo": (splats, 3),
            "roughness": (splats,),
            "weights": (len(arrays["frames"]), fields),
        }
        for name, shape in shapes.items():
            if arrays[name].shape != shape:
                raise ValueError(f"{name} is of another size")
        bounds = {"faces": vertices, "corners": vertices, "weight_vertices": vertices}
        for name, bound in (bounds | {"weight_joints": len(self.joints)}).items():
            if arrays[name].min() < 0 or arrays[name].max() >= bound:
                raise ValueError(f"{name} lead nowhere")


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
    surface[_PART] = True
    _key_weights(surface, data, offset)
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
        _follow(driver, surface, f'["{_PERSONAL.format(index)}"]')
    # For renders alone: what is seen and retouched is what the avatar holds.
    soften = cloud.modifiers.new(_SOFTNESS, "NODES")
    soften.node_group, soften.show_viewport = splat_nodes.softening_tree(), False
    compat.modifier_inputs(soften)[splat_nodes.SOFTNESS].value = data.softness
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
    _key_weights(surface, data, offset)
    cloud[OFFSET] = offset
    _name_place(cloud, path, bpy.data.filepath)
    cloud[_OWNER] = _owner(path)
    _soften(cloud, data)
    _fill_all()


def _soften(cloud: Any, data: SplatData) -> None:
    for modifier in cloud.modifiers:
        if modifier.name.startswith(_SOFTNESS):
            compat.modifier_inputs(modifier)[splat_nodes.SOFTNESS].value = data.softness


def drop_retouch(cloud: Any) -> None:
    """Takes the artist's own modifiers off, once what they made is the avatar's."""
    carrier = _carrier(cloud)
    for modifier in list(cloud.modifiers):
        if modifier != carrier and not modifier.name.startswith(_SOFTNESS):
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
        and _carrier(each) is not None
        and (shot_id is None or each[SHOT] == shot_id)
        and (take is None or each[TAKE] == take)
    ]


def _carrier(cloud: Any) -> Any | None:
    """The modifier by which the rig carries a cloud, wherever it stands among the artist's own; a
    cloud whose modifier was applied has none and is the artist's own."""
    wanted = splat_nodes.weight_input(0)
    for each in cloud.modifiers:
        group = each.node_group if each.type == "NODES" else None
        if group and wanted in group.interface.items_tree:
            return each
    return None


def armature_of(cloud: Any) -> Any | None:
    """The armature that carries a performer, None where it was deleted."""
    surface = cloud.get(SURFACE)
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
    seen_from = compat.modifier_inputs(_carrier(cloud))[splat_nodes.CAMERA]
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
    """How many of a performer's splats were erased in Edit Mode."""
    points = len(cloud.data.points)
    return int(cloud.get(_COUNT, points)) - points if points else 0


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
        if _PART in each and each.library is None and each not in kept:
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
    return shadow if shadow is not None and shadow.parent in (cloud, cloud.parent) else None


def light_by_scene(cloud: Any, lit: bool) -> None:
    """Lets Blender's lights light a performer, or shows it in the light of the plate."""
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
    shadow[_PART] = True
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
        raise ShotError("the rig that carried the performer is gone", cloud.name, _REMEDY)
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
    raise ShotError("the performer's splats are missing", places[0], _REMEDY)


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
    if cloud[SURFACE].get(_KEYED) != _weights_digest(data):
        # Others may have written it anew while this file was closed.
        _key_weights(cloud[SURFACE], data, int(cloud[OFFSET]))
        _soften(cloud, data)
    _fill(cloud, data)


def _fill(cloud: Any, data: SplatData) -> None:
    surface = cloud[SURFACE]
    # A copy of the performer may have filled what both hang on.
    if not len(surface.data.vertices):
        _fill_surface(surface, data, surface.parent)
    _fill_cloud(cloud, data)
    follow_sculpt(cloud)
    cloud[VERSION], cloud[EDIT], cloud[JOB] = data.version, data.edit, data.job


def _own() -> list[Any]:
    """Performers that this file may fill: all of them but what hangs on another file."""
    return [each for each in performers() if is_own(each)]


@bpy.app.handlers.persistent
def _before_save(target: str = "", *unused: Any) -> None:
    """Keeps files small: what lies in a shot is not saved again, unless it was packed."""
    remove_remains()
    for cloud in _own():
        known = cloud.get(_FILLED)
        if erased(cloud) or (len(cloud.data.points) and known and known != _digest(cloud.data)):
            # Splats were erased, painted or applied to, which only this file knows of.
            cloud[PACKED] = True
    packed = [each[SURFACE] for each in _own() if each.get(PACKED)]
    for cloud in _own():
        try:
            path = data_path(cloud)
        except ShotError:
            continue  # The file is all there is of it.
        _name_place(cloud, path, target or bpy.data.filepath)
        if cloud[SURFACE] not in packed and len(cloud.data.points):
            unload(cloud)


@bpy.app.handlers.persistent
def _fill_all(*unused: Any) -> None:
    """Fills what a file did not hold, after it was saved, opened, appended or linked from."""
    linked: list[str] = []
    failed: dict[str, PortraitError] = {}
    for cloud in performers():
        if len(cloud.data.points):
            if cloud.data.library is None and cloud.data.type != _KIND:
                # An older Blender has saved it, which knows points alone.
                cloud.data.type = _KIND
            continue
        if cloud.get(SURFACE) is None:
            failed[cloud.name] = ShotError(
                "the performer has lost its surface", cloud.name, _REMEDY
            )
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
            _REMEDY,
        )


@bpy.app.handlers.persistent
def _after_change(scene: Any, graph: Any) -> None:
    """Follows strokes of a sculpt as they end."""
    if bpy.app.is_job_running("RENDER"):
        return
    if any(isinstance(each.id, bpy.types.Mesh | bpy.types.Key) for each in graph.updates):
        for cloud in _own():
            follow_sculpt(cloud)


_HANDLERS = (
    ("save_pre", _before_save),
    ("save_post", _fill_all),
    ("save_post_fail", _fill_all),
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


# The surface


def _fill_surface(surface: Any, data: SplatData, armature: Any) -> None:
    """Makes the mesh of an empty surface, its weights, its keys and what drives them."""
    arrays, mesh = data.arrays, surface.data
    vertices, faces = arrays["vertices"], arrays["faces"]
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", vertices.ravel())
    mesh.loops.add(faces.size)
    mesh.loops.foreach_set("vertex_index", faces.ravel())
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, 3, dtype=np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(len(faces), bool))
    inside = mesh.attributes.new(splat_nodes.INSIDE, "INT", "FACE")
    inside.data.foreach_set("value", arrays["inside"])
    body = mesh.attributes.new(_BODY, "INT", "POINT")
    body.data.foreach_set("value", arrays["body"])
    mesh.update()
    for joint in data.joints:
        if joint not in surface.vertex_groups:
            surface.vertex_groups.new(name=joint)
    made = bmesh.new()
    made.from_mesh(mesh)
    layer = made.verts.layers.deform.verify()
    made.verts.ensure_lookup_table()
    columns = ("weight_vertices", "weight_joints", "weight_values")
    for vertex, joint, weight in zip(*(arrays[name].tolist() for name in columns), strict=True):
        made.verts[vertex][layer][joint] = weight
    made.to_mesh(mesh)
    made.free()
    surface.shape_key_add(name="Basis", from_mix=False)
    moves = [(unit, arrays["units"][index]) for index, unit in enumerate(data.units)]
    moves += [(_PERSONAL.format(index), each) for index, each in enumerate(arrays["fields"])]
    for name, move in moves:
        key = surface.shape_key_add(name=name, from_mix=False)
        # A new key's value is 1 in some versions, and values clamp to the sliders.
        key.slider_min, key.slider_max, key.value = -10, 10, 0
        key.points.foreach_set("co", (vertices + move).ravel())
    keys = mesh.shape_keys.key_blocks
    for unit in data.units:
        _follow(keys[unit].driver_add("value").driver, armature, f'pose.bones["{FACE}"]["{unit}"]')
    for index in range(splat_nodes.FIELDS):
        name = _PERSONAL.format(index)
        _follow(keys[name].driver_add("value").driver, surface, f'["{name}"]')


def _follow(driver: Any, owner: Any, path: str) -> None:
    """Lets a driver take a value over."""
    driver.type = "SUM"
    variable = driver.variables.new()
    if isinstance(owner, bpy.types.Key):
        variable.targets[0].id_type = "KEY"
    variable.targets[0].id, variable.targets[0].data_path = owner, path


def follow_sculpt(cloud: Any) -> None:
    """Lets a performer's surface show what is sculpted on the rig's mesh, as far as it shows."""
    surface = cloud[SURFACE]
    keys, numbers = surface.data.shape_keys, surface.data.attributes.get(_BODY)
    if keys is None or numbers is None:
        return  # It is empty.
    body = _body_of(surface)
    if body is None:
        return
    shown = body.data.shape_keys.key_blocks.get(sculpt.NAME)
    own = keys.key_blocks.get(sculpt.NAME)
    if shown is None or shown.mute:
        if own is not None:
            own.driver_remove("value")
            surface.shape_key_remove(own)
        return
    used = np.empty(len(numbers.data), np.int32)
    numbers.data.foreach_get("value", used)
    rest = key_points(body.data.shape_keys.key_blocks[0])
    if used.max() >= len(rest):
        return
    points = key_points(keys.key_blocks[0]) + (key_points(shown) - rest)[used]
    if own is None:
        own = surface.shape_key_add(name=sculpt.NAME, from_mix=False)
        own.slider_min, own.slider_max = -10, 10
        path = f'key_blocks["{sculpt.NAME}"].value'
        _follow(own.driver_add("value").driver, body.data.shape_keys, path)
    elif np.abs(key_points(own) - points).max() < _UNMOVED:
        return
    own.points.foreach_set("co", points.astype(np.float32).ravel())
    surface.data.update()


def _body_of(surface: Any) -> Any | None:
    """The rig's mesh beside a performer's surface, None where only the performer was appended."""
    own = surface.data.shape_keys.key_blocks.keys()
    units = {name for name in own if not name.startswith(_PERSONAL[:8])} - {sculpt.NAME}
    for each in surface.parent.children if surface.parent else ():
        if each.type == "MESH" and each.data.shape_keys and _PART not in each:
            # Hats and hair may hang there, too.
            if units <= set(each.data.shape_keys.key_blocks.keys()):
                return each
    return None


def _key_weights(surface: Any, data: SplatData, offset: int) -> None:
    """Keys how far the personal fields count as properties of the surface."""
    channels = []
    for index in range(splat_nodes.FIELDS):
        name = _PERSONAL.format(index)
        surface[name] = 0.0
        channels.append((f'["{name}"]', 0, data.arrays["weights"][:, index]))
    frames = data.arrays["frames"] + offset
    animation = surface.animation_data_create()
    before = animation.action
    action, slot = compat.keyed_action(f"{surface.name} personal", surface, channels, frames)
    animation.action, animation.action_slot = action, slot
    surface[_KEYED] = _weights_digest(data)
    if before is not None and not before.users:
        bpy.data.actions.remove(before)


def _weights_digest(data: SplatData) -> str:
    """What tells the keys of personal fields from those of other splats."""
    arrays = [data.arrays[name] for name in ("frames", "weights")]
    return hashlib.sha256(b"".join(each.tobytes() for each in arrays)).hexdigest()


# The cloud


def _digest(points: Any) -> str:
    """What tells points from any that somebody has changed."""
    made = hashlib.sha256()
    for attribute in sorted(points.attributes, key=lambda each: each.name):
        if attribute.name.startswith("."):
            continue  # Blender's own, such as what is selected.
        made.update(f"{attribute.name} {attribute.data_type} {attribute.domain};".encode())
        made.update(_values(attribute).tobytes())
    return made.hexdigest()


_WIDTHS = {
    "FLOAT_VECTOR": 3,
    "FLOAT4": 4,
    "FLOAT_COLOR": 4,
    "BYTE_COLOR": 4,
    "QUATERNION": 4,
    "FLOAT2": 2,
    "INT16_2D": 2,
    "INT32_2D": 2,
    "FLOAT4X4": 16,
}
_FIELDS = {name: "vector" for name in ("FLOAT_VECTOR", "FLOAT2", "FLOAT4")} | {
    "FLOAT_COLOR": "color",
    "BYTE_COLOR": "color",
}
_NUMBERS = {"INT": np.int32, "INT8": np.int32, "INT16_2D": np.int32, "INT32_2D": np.int32}


def _values(attribute: Any) -> np.ndarray:
    """All values of an attribute; of a kind that has no numbers, none."""
    kind = attribute.data_type
    if kind == "STRING":
        return np.empty(0)
    number = np.bool_ if kind == "BOOLEAN" else _NUMBERS.get(kind, np.float32)
    values = np.empty(len(attribute.data) * _WIDTHS.get(kind, 1), number)
    attribute.data.foreach_get(_FIELDS.get(kind, "value"), values)
    return values


def _fill_cloud(cloud: Any, data: SplatData) -> None:
    """Makes the points of an empty cloud, and what its modifier reads."""
    arrays, points = data.arrays, cloud.data
    count = len(arrays["opacity"])
    cloud[_COUNT] = count
    points.resize(count)
    points.type = _KIND
    base = np.zeros((count, 4), np.float32)
    base[:, :3] = (arrays["colour"] - 0.5) / _DEGREE_0
    base[:, 3] = arrays["opacity"]
    place = (arrays["vertices"][arrays["corners"]] * arrays["barycentric"][..., None]).sum(1)
    values: dict[str, tuple[str, str, np.ndarray]] = {
        "position": ("FLOAT_VECTOR", "vector", place),
        "rotation": ("QUATERNION", "value", arrays["rotation"]),
        "scale": ("FLOAT_VECTOR", "vector", arrays["scale"]),
        "radiance:base": ("FLOAT4", "vector", base),
        "pg_barycentric": ("FLOAT_VECTOR", "vector", arrays["barycentric"]),
        "pg_offset": ("FLOAT_VECTOR", "vector", arrays["offset"]),
        "pg_rotation": ("QUATERNION", "value", arrays["rotation"]),
        "pg_scale": ("FLOAT_VECTOR", "vector", arrays["scale"]),
        "pg_rest": ("FLOAT", "value", arrays["rest_scale"]),
        "pg_opacity": ("FLOAT", "value", arrays["opacity"]),
        "pg_colour": ("FLOAT_VECTOR", "vector", arrays["colour"]),
        splat_nodes.ALBEDO: ("FLOAT_VECTOR", "vector", arrays["albedo"]),
        splat_nodes.ROUGHNESS: ("FLOAT", "value", arrays["roughness"]),
        ID: ("INT", "value", np.arange(count, dtype=np.int32)),
    }
    for index in range(3):
        corner = arrays["corners"][:, index]
        values[f"pg_corner_{index}"] = ("INT", "value", corner)
    for index in range(splat_nodes.HARMONICS):
        values[f"pg_harmonic_{index}"] = ("FLOAT_VECTOR", "vector", arrays["harmonics"][:, index])
    for index in range(splat_nodes.FIELDS):
        values[f"pg_tint_{index:02d}"] = ("FLOAT_VECTOR", "vector", arrays["tints"][index])
    for name, (kind, field, content) in values.items():
        attribute = points.attributes.get(name)
        if attribute is not None and attribute.data_type != kind:
            # What a modifier stores there is of another kind; one may have been applied.
            points.attributes.remove(attribute)
            attribute = None
        attribute = attribute or points.attributes.new(name, kind, "POINT")
        attribute.data.foreach_set(field, np.ascontiguousarray(content).ravel())
    cloud[_FILLED] = _digest(points)
    points.update_tag()


# Back to the shot


def write_retouched(cloud: Any, path: Path, untouched: Path) -> None:
    """Writes what the artist's modifiers made of a performer's splats, as PLY, and all of them as
    the rig alone carries them: what differs is the retouch, whatever the rig's pose.

    Args:
        cloud: in any frame and pose.

    Raises:
        ShotError: if its splats have lost their ids, or its data is missing.
    """
    data = SplatData.load(data_path(cloud))
    carrier = _carrier(cloud)
    others = [each for each in cloud.modifiers if each != carrier and each.show_viewport]
    for each in others:
        each.show_viewport = False
    try:
        plain = _evaluated(cloud, len(data.arrays["opacity"]))
    finally:
        for each in others:
            each.show_viewport = True
    retouched = _evaluated(cloud, len(data.arrays["opacity"]))
    plain = _made_whole(plain, len(data.arrays["opacity"]))
    surface = cloud[SURFACE].evaluated_get(bpy.context.evaluated_depsgraph_get())
    weights = [surface[_PERSONAL.format(index)] for index in range(splat_nodes.FIELDS)]
    own = data.arrays["colour"] + np.tensordot(weights, data.arrays["tints"], 1)
    path.parent.mkdir(exist_ok=True)
    for file, found in ((untouched, plain), (path, retouched)):
        ids = found[ID][:, 0].astype(np.int64)
        # How a colour changes with the view stays the avatar's: what was painted is the difference.
        painted = (found["radiance:base"] - plain["radiance:base"][ids])[:, :3]
        _write_ply(file, found, (own[ids] - 0.5) / _DEGREE_0 + painted, ids)


def _write_ply(path: Path, found: dict[str, np.ndarray], base: np.ndarray, ids: np.ndarray) -> None:
    opacity = np.clip(found["radiance:base"][:, 3], 1e-6, 1 - 1e-6)
    columns = [
        *zip("xyz", found["position"].T, strict=True),
        *_columns("f_dc_", base),
        ("opacity", np.log(opacity / (1 - opacity))),
        *_columns("scale_", np.log(np.maximum(found["scale"], 1e-9))),
        *_columns("rot_", found["rotation"]),
        ("id", ids),
    ]
    rows = np.empty(len(ids), [(name, "<i4" if name == "id" else "<f4") for name, _ in columns])
    for name, values in columns:
        rows[name] = values
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(ids)}"]
    lines += [f"property {'int' if name == 'id' else 'float'} {name}" for name, _ in columns]
    write_bytes(path, "\n".join([*lines, "end_header", ""]).encode() + rows.tobytes())


def _columns(prefix: str, values: np.ndarray) -> list[tuple[str, np.ndarray]]:
    return [(f"{prefix}{index}", column) for index, column in enumerate(values.T)]


def _made_whole(shown: dict[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    """Splats in the order of their ids, with something for those that were erased."""
    ids, whole = shown[ID][:, 0], {}
    for name, values in shown.items():
        whole[name] = np.ones((count, values.shape[1]), values.dtype)
        whole[name][ids] = values
    whole[ID] = np.arange(count, dtype=np.int32)[:, None]
    return whole


def _evaluated(cloud: Any, count: int) -> dict[str, np.ndarray]:
    """What a cloud of at first `count` splats shows, by attribute, float32 (N, width); ids that are
    none raise ShotError."""
    graph = bpy.context.evaluated_depsgraph_get()
    points = cloud.evaluated_get(graph).data
    found = {}
    for name, width in (
        ("position", 3),
        ("rotation", 4),
        ("scale", 3),
        ("radiance:base", 4),
        (ID, 1),
    ):
        attribute = points.attributes.get(name)
        if attribute is None:
            raise ShotError(f"the splats have lost '{name}'", cloud.name, "keep that attribute")
        found[name] = _values(attribute).reshape(-1, width)
    ids = found[ID]
    if not len(ids) or ids.min() < 0 or ids.max() >= count or len(np.unique(ids)) != len(ids):
        raise ShotError("the splats' ids are not those they came with", cloud.name, "keep 'pg_id'")
    return found
