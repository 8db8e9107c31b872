# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer in 3D from a file that an earlier version of the extension has made."""

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
from conftest import module
from splat_performer import OFFSET, apart, modify_first, native, shown

# What the nodes of a version do; whoever changes them gives them another.
_VERSION, _DONE = 3, "5292c146df6866b2"


def _aged(cloud: Any, shadow: Any) -> Any:
    """Makes nodes and material of a lit performer as the first version had them: normals carried in
    the world, and put into the shader as they are; the material."""
    nodes = module("portraitgen_addon.splat_nodes")
    groups = [each.node_group for each in (*cloud.modifiers, *shadow.modifiers)]
    material = cloud.data.materials[0]
    for made in (*groups, material):
        del made[nodes._MADE_AS]
    tree = groups[0]
    itself, info = (tree.nodes.new(f"GeometryNode{each}") for each in ("SelfObject", "ObjectInfo"))
    turn = tree.nodes.new("FunctionNodeRotateVector")
    (store,) = (
        each
        for each in tree.nodes
        if each.type == "STORE_NAMED_ATTRIBUTE"
        and each.inputs["Name"].default_value == nodes.NORMAL
    )
    tree.links.new(itself.outputs[0], info.inputs["Object"])
    tree.links.new(info.outputs["Rotation"], turn.inputs[1])
    (value,) = (each for each in store.inputs if each.is_linked and each.name == "Value")
    tree.links.new(value.links[0].from_socket, turn.inputs[0])
    tree.links.new(turn.outputs[0], value)
    inner = material.node_tree
    (turned,) = (each for each in inner.nodes if each.type == "VECT_TRANSFORM")
    (link,) = turned.inputs["Vector"].links
    inner.links.new(link.from_socket, turned.outputs[0].links[0].to_socket)
    inner.nodes.remove(turned)
    return material


def _normals(cloud: Any) -> np.ndarray:
    points = cloud.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    attribute = points.attributes[module("portraitgen_addon.splat_nodes").NORMAL]
    found: np.ndarray = module("portraitgen_addon.splat_cloud").values_of(attribute)
    return found.reshape(-1, 3)


def _takes_normals_by(material: Any) -> list[str]:
    """By which nodes the shader's normals come, from the shader on."""
    (skin,) = (each for each in material.node_tree.nodes if each.type == "BSDF_PRINCIPLED")
    found, socket = [], skin.inputs["Normal"]
    while socket is not None and socket.is_linked:
        node = socket.links[0].from_node
        found.append(node.type)
        socket = node.inputs.get("Vector")
    return found


@native
def test_what_an_earlier_version_carries_is_told_and_renewed(
    performer_shot: Any, until: Any, session: Any, tmp_path: Path
) -> None:
    """It kept its old light, without a word; lit anew, its normals were turned twice."""
    splats, watch = module("portraitgen_addon.splats"), module("portraitgen_addon.edit_watch")

    def told() -> list[Any]:
        watch._look_at(performer_shot)
        known = watch.notices(performer_shot)
        return [each for each in known if "The performer" in each.text]

    bpy.ops.portraitgen.to_3d()
    until(lambda: splats.performers() and not session.waiting_work and not session.doing)
    bpy.ops.portraitgen.lit_by_scene()
    (cloud,) = splats.performers()
    assert not told()
    bpy.context.scene.frame_set(3 + OFFSET)
    wanted = _normals(cloud)
    material = _aged(cloud, splats.shadow_of(cloud))
    cloud.rotation_euler.z = 2
    assert np.abs(_normals(cloud) - wanted).max() > 0.5 and _takes_normals_by(material) == [
        "ATTRIBUTE"
    ]
    cloud.modifiers["Softness"].name = "mine"
    share = cloud.modifiers["mine"].node_group
    (notice,) = told()
    assert "an earlier version of the extension" in notice.text
    # What an artist made of the material stays.
    (skin,) = (each for each in material.node_tree.nodes if each.type == "BSDF_PRINCIPLED")
    skin.inputs["Coat Weight"].default_value = 0.25
    getattr(bpy.ops.portraitgen, notice.operator.split(".")[1])(**notice.options)
    until(lambda: not session.waiting_work and not session.doing)
    assert session.error is None and not told()
    assert splats.performers() == [cloud] and splats.is_lit(cloud)
    assert np.abs(_normals(cloud) - wanted).max() < 1e-5
    assert _takes_normals_by(material) == ["VECT_TRANSFORM", "ATTRIBUTE"]
    assert list(cloud.data.materials) == [material]
    assert skin.inputs["Coat Weight"].default_value == 0.25
    assert cloud.modifiers["mine"].node_group == share


@native
def test_lit_by_scene_renews_what_it_lights(built: SimpleNamespace) -> None:
    splats, cloud = built.splats, built.performer.cloud
    splats.light_by_scene(cloud, True)
    built.scene.frame_set(3 + OFFSET)
    wanted = _normals(cloud)
    material = _aged(cloud, splats.shadow_of(cloud))
    splats.light_by_scene(cloud, False)
    cloud.rotation_euler.z = 2
    splats.light_by_scene(cloud, True)
    assert np.abs(_normals(cloud) - wanted).max() < 1e-5
    assert _takes_normals_by(material) == ["VECT_TRANSFORM", "ATTRIBUTE"]
    for frame in (2, 5):
        built.scene.frame_set(frame + OFFSET)
        found = shown(cloud)
        assert np.percentile(apart(found, built.truth, frame), 99) < 0.1
        colours = found["radiance:base"][:, :3] * 0.28209479 + 0.5
        assert np.abs(colours - built.truth[f"features{frame}"]).max() < 2e-3


@native
def test_a_retouch_leaves_a_renamed_modifier_of_ours(built: SimpleNamespace) -> None:
    """Once it was called otherwise, renders were as sharp as no backend's."""
    cloud = built.performer.cloud
    for modifier in cloud.modifiers:
        modifier.name = f"my {modifier.name}"
    modify_first(cloud, "GeometryNodeSetPosition", 5)
    built.splats.drop_retouch(cloud)
    assert cloud.modifiers.keys() == ["my Carried by Rig", "my Softness"]


@native
def test_performers_that_share_their_points_are_lit_together(built: SimpleNamespace) -> None:
    """One lost its material and kept its shadow."""
    splats, first = built.splats, built.performer.cloud
    second = first.copy()
    built.scene.collection.objects.link(second)
    splats.light_by_scene(first, True)
    assert splats.is_lit(first) and splats.is_lit(second)
    splats.light_by_scene(second, False)
    assert not splats.is_lit(first) and not splats.is_lit(second)
    assert first.visible_shadow and second.visible_shadow


@native
def test_nodes_that_do_something_else_are_of_another_version(built: SimpleNamespace) -> None:
    nodes = module("portraitgen_addon.splat_nodes")
    carried = built.splats.carrier(built.performer.cloud).node_group
    trees = [carried, nodes.softening_tree(), nodes.shadow_tree(), nodes.lit_material().node_tree]
    done = hashlib.sha256()
    for tree in trees:
        order = {node.name: at for at, node in enumerate(tree.nodes)}
        for node in tree.nodes:
            kept = [getattr(node, name, "") for name in ("operation", "data_type", "domain")]
            set_ = [
                round(each.default_value, 5) if each.type == "VALUE" else each.default_value
                for each in node.inputs
                if each.type in ("VALUE", "STRING") and not each.is_linked and each.enabled
            ]
            done.update(f"{node.bl_idname} {kept} {set_};".encode())
        for link in tree.links:
            nodes_ = [order[each.name] for each in (link.from_node, link.to_node)]
            sockets = [each.identifier for each in (link.from_socket, link.to_socket)]
            done.update(f"{nodes_} {sockets};".encode())
    assert nodes.VERSION == _VERSION and done.hexdigest()[:16] == _DONE
