# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the demo's .blend through the built extension: plate strip, rig, camera, edited strip.

    python demo_blend.py FOLDER FOOTAGE TAKE ZIP PYTHON

FOLDER holds the demo's shot; run it with the Python of an environment that has bpy.
"""

import importlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_PACKAGE = "bl_ext.user_default.portraitgen"
_LIMIT_S = 120


def make(folder: Path, footage: Path, take: str, zipped: Path, python: Path) -> Path:
    """Writes `folder`/demo.blend.

    Returns:
        The file.

    Raises:
        SystemExit: if the backend does not answer in time.
    """
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.extensions.package_install_files(
        filepath=str(zipped), repo="user_default", enable_on_install=True
    )

    # Blender finds the backend's wheel once the extension has brought it.
    from portraitgen.shot import Shot

    def part(name: str) -> Any:
        return importlib.import_module(f"{_PACKAGE}.portraitgen_addon.{name}")

    settings = part("preferences").get()
    settings.source, settings.interpreter = "EXISTING", str(python)
    scene = bpy.context.scene
    scene.view_settings.view_transform = "Standard"
    plate = Shot.open(folder / "shot").record.footage
    scene.render.fps, scene.render.fps_base = plate.fps.numerator, plate.fps.denominator
    scene.render.resolution_x, scene.render.resolution_y = plate.width, plate.height
    path = folder / "demo.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    scene.sequence_editor_create()
    strip = scene.sequence_editor.strips.new_movie(
        name=footage.stem, filepath=str(footage), channel=2, frame_start=1
    )
    bpy.ops.portraitgen.open_shot(directory=str(folder / "shot"))
    found = scene.portraitgen.shots[0]
    begin, end = part("compat").strip_range(strip)
    scene.frame_start, scene.frame_end = begin, end - 1
    session = part("session").session
    bpy.ops.portraitgen.show_version(version=0)
    end = time.monotonic() + _LIMIT_S
    while not found.has_rig:
        if time.monotonic() > end:
            sys.exit(f"demo: the rig did not come within {_LIMIT_S} s: {session.message}")
        session.tick()
        time.sleep(0.02)
    session.end()
    names = [each.folder_name for each in found.takes]
    found.active_take = names.index(take)
    bpy.ops.portraitgen.show_frames()
    bpy.ops.portraitgen.to_compositor()
    bpy.ops.wm.save_as_mainfile(filepath=str(path), relative_remap=True)
    return path


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as user:
        # Blender reads it when it is imported; the user's own configuration stays untouched.
        os.environ["BLENDER_USER_RESOURCES"] = user
        given = [Path(word).absolute() for word in sys.argv[1:]]
        print(f"blend: {make(given[0], given[1], sys.argv[3], given[3], given[4])}")
