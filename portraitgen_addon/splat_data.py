# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the backend writes of a performer in 3D, as Blender reads it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from portraitgen.bounded_json import parse_json
from portraitgen.errors import ShotError
from portraitgen.records import CloudFacts

from . import splat_nodes, tensors

REMEDY = "press To 3D again"


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
            # Files of earlier versions hold none.
            arrays.setdefault("shift", np.zeros_like(arrays["colour"]))
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
            raise ShotError(f"the splats are damaged ({error})", path, REMEDY) from error
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
            "shift": (splats, 3),
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
