# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The points of a performer in 3D: what they hold, and whether somebody has changed it."""

import hashlib
from typing import Any

import numpy as np

from . import splat_nodes
from .splat_data import SplatData

ID = "pg_id"
# How many splats a cloud's data has, and what its points held when they were filled.
COUNT, FILLED = "portraitgen_count", "portraitgen_filled"
KIND = "GAUSSIAN_SPLAT"
DEGREE_0 = 0.28209479177387814
# How many numbers an attribute's value has, what Blender calls them, and of which kind they are.
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


def digest(points: Any) -> str:
    """What tells points from any that somebody has changed."""
    made = hashlib.sha256()
    for attribute in sorted(points.attributes, key=lambda each: each.name):
        if attribute.name.startswith("."):
            continue  # Blender's own, such as what is selected.
        made.update(f"{attribute.name} {attribute.data_type} {attribute.domain};".encode())
        made.update(values_of(attribute).tobytes())
    return made.hexdigest()


def values_of(attribute: Any) -> np.ndarray:
    """All values of an attribute; of a kind that has no numbers, none."""
    kind = attribute.data_type
    if kind == "STRING":
        return np.empty(0)
    number = np.bool_ if kind == "BOOLEAN" else _NUMBERS.get(kind, np.float32)
    values = np.empty(len(attribute.data) * _WIDTHS.get(kind, 1), number)
    attribute.data.foreach_get(_FIELDS.get(kind, "value"), values)
    return values


def fill(cloud: Any, data: SplatData) -> None:
    """Makes the points of an empty cloud, and what its modifier reads."""
    arrays, points = data.arrays, cloud.data
    count = len(arrays["opacity"])
    cloud[COUNT] = count
    points.resize(count)
    points.type = KIND
    base = np.zeros((count, 4), np.float32)
    base[:, :3] = (arrays["colour"] - 0.5) / DEGREE_0
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
        splat_nodes.SHIFT: ("FLOAT_VECTOR", "vector", arrays["shift"] / DEGREE_0),
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
    cloud[FILLED] = digest(points)
    points.update_tag()
