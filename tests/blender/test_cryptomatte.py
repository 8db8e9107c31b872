# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's own Cryptomatte node picks our parts by name."""

import subprocess
from pathlib import Path

import bpy
import numpy as np
from conftest import PYTHON, module

WIDTH, HEIGHT = 32, 24

_MAKE = """
import sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from portraitgen.footage.cryptomatte import attributes, layer_names, ranked
from portraitgen.footage.exr import LAYER, write_exr
width, height = int(sys.argv[2]), int(sys.argv[3])
ramp = np.tile(np.linspace(0, 1, width, dtype="f4"), (height, 1))
covers = {"hair": ramp * 0.75, "skin": (1 - ramp) * 0.75}
covers["clothes"] = np.full_like(ramp, 0.25)
layers = {"Combined": np.full((height, width, 4), 0.5, "f4")}
layers |= dict(zip(layer_names("CryptoPart"), ranked(covers)))
write_exr(Path(sys.argv[1]), layers, fps=Fraction(25), frame=1, colour_space="sRGB",
    attributes=attributes(f"{LAYER}.CryptoPart", list(covers)))
"""


def test_blenders_node_picks_parts_by_name(tmp_path: Path) -> None:
    path = tmp_path / "parts.0001.exr"
    subprocess.run([PYTHON, "-c", _MAKE, path, str(WIDTH), str(HEIGHT)], check=True)
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples = "CYCLES", 1
    scene.camera = bpy.data.objects.new("any", bpy.data.cameras.new("any"))
    scene.collection.objects.link(scene.camera)
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    scene.view_settings.view_transform = "Standard"
    image = bpy.data.images.load(str(path))
    tree = module("portraitgen_addon.compat").compositor_tree(scene, "test")
    node = tree.nodes.new("CompositorNodeCryptomatteV2")
    node.source, node.image = "IMAGE", image
    assert "CryptoPart" in node.layer_name
    end = next(each for each in tree.nodes if each.type in ("COMPOSITE", "GROUP_OUTPUT"))
    tree.links.new(node.outputs["Matte"], end.inputs[0])
    ramp = np.tile(np.linspace(0, 1, WIDTH, dtype="f4"), (HEIGHT, 1))
    wanted = {"hair": ramp * 0.75, "skin": (1 - ramp) * 0.75, "clothes": np.full_like(ramp, 0.25)}
    wanted["hair,clothes"] = wanted["hair"] + wanted["clothes"]
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "32"
    for names, cover in wanted.items():
        node.matte_id = names
        scene.render.filepath = str(tmp_path / names.replace(",", "-"))
        bpy.ops.render.render(write_still=True)
        seen = bpy.data.images.load(f"{scene.render.filepath}.exr")
        pixels = np.empty(len(seen.pixels), np.float32)
        seen.pixels.foreach_get(pixels)
        found = pixels.reshape(HEIGHT, WIDTH, 4)[::-1, :, 0]
        np.testing.assert_allclose(found, cover, atol=1e-3, err_msg=names)
