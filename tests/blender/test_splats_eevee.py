# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The performer drawn by EEVEE, where a driver of this machine lets it draw without a window."""

import subprocess
import sys
from pathlib import Path

import bpy
import pytest
from splat_performer import (
    FRAMES,
    OFFSET,
    check_drawn_as_the_backend_does,
    native,
    passes_of,
    put_together,
)

# In a process of its own, which a driver may take down. A cube alone tells whether it does.
_RENDER = """
import sys
import bpy
target, blend, *frames = sys.argv[1:]
def draw(name, samples):
    scene = bpy.context.scene
    scene.render.engine, scene.eevee.taa_render_samples = "BLENDER_EEVEE", samples
    scene.render.film_transparent, scene.view_layers[0].use_pass_z = True, True
    image = scene.render.image_settings
    image.media_type, image.file_format = "MULTI_LAYER_IMAGE", "OPEN_EXR_MULTILAYER"
    image.color_mode, image.color_depth = "RGBA", "32"
    scene.render.filepath = f"{target}/{name}"
    bpy.ops.render.render(write_still=True)
bpy.ops.wm.read_factory_settings()
bpy.context.scene.render.resolution_percentage = 5
draw("cube", 1)
print("EEVEE draws", flush=True)
bpy.ops.wm.open_mainfile(filepath=blend)
for frame in frames:
    bpy.context.scene.frame_set(int(frame))
    draw(f"eevee{frame}", 64)
"""


@native
def test_eevee_draws_what_the_backend_draws(splat_shot: Path, tmp_path: Path) -> None:
    built = put_together(splat_shot, "one")
    built.performer.cloud[built.splats.PACKED] = True
    packed = tmp_path / "packed.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(packed))
    frames = (1, FRAMES // 2, FRAMES)
    words = [sys.executable, "-c", _RENDER, tmp_path, packed]
    ended = subprocess.run(
        [*words, *(str(frame + OFFSET) for frame in frames)],
        check=False,
        text=True,
        capture_output=True,
    )
    if "EEVEE draws" not in ended.stdout or ended.returncode < 0:
        pytest.skip(f"EEVEE is ended by this machine's driver ({ended.returncode})")
    assert ended.returncode == 0, ended.stderr
    if not passes_of([tmp_path / "cube.exr"])[..., 3].any():
        pytest.skip("EEVEE draws nothing with this machine's driver, not even a cube")
    pictures = passes_of([tmp_path / f"eevee{frame + OFFSET}.exr" for frame in frames])
    check_drawn_as_the_backend_does(pictures, built.truth, frames)
