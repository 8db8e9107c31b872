# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an artist has done to a performer's splats by hand, as files that the backend reads."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np

from portraitgen.errors import ShotError
from portraitgen.storage import write_bytes

from . import splat_cloud, splat_nodes, splats
from .splat_cloud import DEGREE_0, ID
from .splat_data import SplatData
from .splat_surface import PERSONAL


def write(cloud: Any, path: Path, untouched: Path) -> None:
    """Writes what the artist's modifiers made of a performer's splats, as PLY, and all of them as
    the rig alone carries them: what differs is the retouch, whatever the rig's pose.

    Args:
        cloud: in any frame and pose.

    Raises:
        ShotError: if its splats have lost their ids, or its data is missing.
    """
    data = SplatData.load(splats.data_path(cloud))
    carrier = splats.carrier(cloud)
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
    surface = cloud[splats.SURFACE].evaluated_get(bpy.context.evaluated_depsgraph_get())
    weights = [surface[PERSONAL.format(index)] for index in range(splat_nodes.FIELDS)]
    own = data.arrays["colour"] + np.tensordot(weights, data.arrays["tints"], 1)
    path.parent.mkdir(exist_ok=True)
    for file, found in ((untouched, plain), (path, retouched)):
        ids = found[ID][:, 0].astype(np.int64)
        # How a colour changes with the view stays the avatar's: what was painted is the difference.
        painted = (found["radiance:base"] - plain["radiance:base"][ids])[:, :3]
        _write_ply(file, found, (own[ids] - 0.5) / DEGREE_0 + painted, ids)


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
        found[name] = splat_cloud.values_of(attribute).reshape(-1, width)
    ids = found[ID]
    if not len(ids) or ids.min() < 0 or ids.max() >= count or len(np.unique(ids)) != len(ids):
        raise ShotError(
            "the splats' ids are not those they came with",
            cloud.name,
            "take off what was joined to them or copied, and keep 'pg_id'",
        )
    return found
