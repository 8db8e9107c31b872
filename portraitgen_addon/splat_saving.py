# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What performers in 3D show is put aside while a file is written, so that it stays small.

The data-blocks themselves are left as they are. Undo takes from memory what did not change between
two steps: shape keys that were removed and made anew since are gone by then, and it ends Blender.
"""

from dataclasses import dataclass
from typing import Any

import bpy


@dataclass(frozen=True)
class _Aside:
    """Data that its objects do without for now, the empty one in its place, and its name."""

    data: Any
    empty: Any
    objects: list[Any]
    name: str


_aside: list[_Aside] = []


def put_aside(each: Any) -> None:
    """Gives an object, a mesh or a point cloud, empty data under the name of its own."""
    known = next((one for one in _aside if each.data in (one.data, one.empty)), None)
    if known is None:
        data, name = each.data, each.data.name
        if isinstance(data, bpy.types.Mesh):
            empty = bpy.data.meshes.new(name)
        else:
            # With its materials, and whatever else was set on it.
            empty = data.copy()
            empty.resize(0)
        data.name = f"{name} aside"
        empty.name = name
        known = _Aside(data, empty, [], name)
        _aside.append(known)
    if each.data == known.data:
        each.data = known.empty
        known.objects.append(each)


def put_back() -> None:
    """Gives all objects their own data again."""
    for each in _aside:
        for one in each.objects:
            one.data = each.data
        holder = bpy.data.meshes if isinstance(each.data, bpy.types.Mesh) else bpy.data.pointclouds
        holder.remove(each.empty)
        each.data.name = each.name
    _aside.clear()
