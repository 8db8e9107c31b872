# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures a performer in Blender against the backend's, and makes the picture of it in docs.

    python performer_in_3d.py FOLDER ZIP PYTHON OUT [TRUTH]

FOLDER holds a shot that is tracked and reconstructed, `shot` (of `build.py demo`, say), of which a
copy is used. Run it with the Python of an environment that has bpy 5.3 or later; ZIP is the built
extension, PYTHON the backend's. OUT gets performer_3d.jpg; the figures are printed, the time of a
frame step first, for a machine at rest. TRUTH is the clip of the synthetic performer that the shot
was made of, beside its motion (`tests/data/performer.mp4`): then the performer is also lit as the
truth can be, and compared.
"""

import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from math import radians
from pathlib import Path
from typing import Any

import numpy as np

# Blender reads it when it is imported; the user's own configuration stays untouched.
_USER = tempfile.TemporaryDirectory(prefix="portraitgen-blender-")
os.environ["BLENDER_USER_RESOURCES"] = _USER.name

import bpy  # noqa: E402
from mathutils import Matrix, Vector  # noqa: E402

_PACKAGE = "bl_ext.user_default.portraitgen"
_SAMPLES, _SAMPLES_OF_PICTURE = 64, 64
_EVERY, _SHOWN = 12, 21
_PANEL = 400
# How many splats a frame step is measured with, and how often it goes through the shot.
_SPLATS, _ROUNDS = 16_384, 5
# Degrees from the plate's camera.
_BESIDE = 20
# What the pictures of the performer alone stand before, scene-linear.
_GROUND = 0.13


def part(name: str) -> Any:
    """A module of the installed extension."""
    return importlib.import_module(f"{_PACKAGE}.portraitgen_addon.{name}")


def open_shot(folder: Path, zipped: Path, python: Path) -> Any:
    """A shot with its rig and its performer in 3D, in an empty file."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.extensions.package_install_files(
        filepath=str(zipped), repo="user_default", enable_on_install=True
    )
    # Blender finds the backend's wheel once the extension has brought it.
    from portraitgen.shot import Shot

    settings = part("preferences").get()
    settings.source, settings.interpreter = "EXISTING", str(python)
    opened, scene = Shot.open(folder), bpy.context.scene
    plate = opened.record.footage
    scene.view_settings.view_transform = "Standard"
    scene.render.fps, scene.render.fps_base = plate.fps.numerator, plate.fps.denominator
    scene.render.resolution_x, scene.render.resolution_y = plate.width, plate.height
    scene.sequence_editor_create()
    scene.sequence_editor.active_strip = scene.sequence_editor.strips.new_movie(
        name="plate", filepath=str(opened.footage_path), channel=2, frame_start=plate.first
    )
    bpy.ops.portraitgen.open_shot(directory=str(folder))
    bpy.ops.portraitgen.show_version(version=0)
    bpy.ops.portraitgen.to_3d()
    shot = scene.portraitgen.shots[0]
    scene.camera, scene.render.engine = shot.camera, "CYCLES"
    scene.cycles.use_denoising, scene.render.use_sequencer = False, False
    scene.render.film_transparent = True
    scene.view_layers[0].use_pass_z = True
    return shot


def measure_steps(shot: Any) -> str:
    """What a frame step costs with 16k splats, and the rig without them: medians in ms. An avatar
    that has fewer splats shows some of them again, in the same places."""
    splats = part("splats")
    (cloud,) = splats.performers()
    path = splats.data_path(cloud)
    splats.remove(cloud)
    alone = _frame_step(shot)
    data = part("splat_data").SplatData.load(path)
    count = len(data.arrays["opacity"])
    chosen = np.arange(_SPLATS) % count
    arrays = {
        name: values[:, chosen]
        if name == "tints"
        else values[chosen]
        if values.shape[:1] == (count,)
        else values
        for name, values in data.arrays.items()
    }
    many = replace(data, arrays=arrays)
    made = splats.build(
        "many", shot.shot_id, many, path, shot.armature, shot.camera, shot.offset
    ).cloud
    with_splats = _frame_step(shot)
    splats.remove(made)
    splats.build("few", shot.shot_id, data, path, shot.armature, shot.camera, shot.offset)
    return (
        f"{with_splats[0]:.1f} ms of processor time, {with_splats[1]:.1f} of the clock; "
        f"the rig alone {alone[0]:.1f}, {alone[1]:.1f}"
    )


def _frame_step(shot: Any) -> tuple[float, float]:
    """What stepping to the next frame takes on median: processor time of all threads, clock; ms."""
    scene, taken = bpy.context.scene, []
    for _ in range(_ROUNDS):
        for frame in range(shot.first, shot.last + 1):
            before = time.process_time(), time.perf_counter()
            scene.frame_set(frame + shot.offset)
            taken.append((time.process_time() - before[0], time.perf_counter() - before[1]))
    cpu, clock = 1000 * np.median(taken[shot.last - shot.first + 1 :], axis=0)
    return float(cpu), float(clock)


def rendered(frame: int, samples: int, size: int, path: Path) -> dict[str, np.ndarray]:
    """A frame as Cycles renders it: Combined (H, W, 4), scene-linear, and Depth (H, W)."""
    scene = bpy.context.scene
    scene.frame_set(frame)
    scene.cycles.samples = samples
    scene.render.resolution_percentage = round(100 * size / scene.render.resolution_x)
    image = scene.render.image_settings
    image.media_type, image.file_format = "MULTI_LAYER_IMAGE", "OPEN_EXR_MULTILAYER"
    image.color_mode, image.color_depth = "RGBA", "32"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    return _passes(path.with_suffix(".exr"))


def _passes(path: Path) -> dict[str, np.ndarray]:
    """The passes of an EXR by name, the first row above, read by the backend's interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "passes.npz"
        subprocess.run([sys.argv[3], "-c", _READ, path, target], check=True)
        with np.load(target) as found:
            return {name: found[name] for name in found.files}


_READ = """
import sys
import numpy as np, OpenImageIO as oiio
image, passes, index = oiio.ImageInput.open(sys.argv[1]), {}, 0
while image.seek_subimage(index, 0):
    spec = image.spec()
    pixels = image.read_image(index, 0, 0, spec.nchannels, oiio.FLOAT)
    for name in dict.fromkeys(each.rsplit(".", 1)[0] for each in spec.channelnames):
        chosen = sorted(
            (each for each in spec.channelnames if each.rsplit(".", 1)[0] == name),
            key=lambda each: "RGBAXYZ".index(each[-1]))
        passes[name.split(".")[-1]] = pixels[..., [spec.channelnames.index(e) for e in chosen]]
    index += 1
np.savez(sys.argv[2], **passes)
"""


def display(linear: np.ndarray) -> np.ndarray:
    """Scene-linear values as sRGB, 0..1."""
    kept = linear.clip(0, 1)
    curved: np.ndarray = np.where(kept < 0.0031308, 12.92 * kept, 1.055 * kept ** (1 / 2.4) - 0.055)
    return curved


def measure(shot: Any, work: Path) -> dict[str, str]:
    """Renders frames over the shot, and compares them with the backend's unedited render."""
    from portraitgen.shot import Shot

    opened = Shot.open(shot.path)
    size = opened.avatar_record(opened.versions("avatar")[-1]).size
    lens = opened.track_record(shot.track_version).camera
    share = size / lens.width
    frames = list(range(shot.first, shot.last + 1, _EVERY))
    view = {name: getattr(lens, name) * share for name in ("fx", "fy", "cx", "cy")}
    view["matrix"] = np.eye(4).tolist()
    cameras = work / "cameras.json"
    cameras.write_text(
        json.dumps({"width": size, "height": size, "frames": {str(each): view for each in frames}})
    )
    words = ["-m", "portraitgen", "render", shot.path, "--camera", cameras]
    chosen = ["--frames", ",".join(str(each) for each in frames)]
    subprocess.run([sys.argv[3], *words, *chosen], check=True, stdout=subprocess.DEVNULL)
    colours, alphas, without, thin = [], [], [], []
    for frame in frames:
        drawn = rendered(frame + shot.offset, _SAMPLES, size, work / f"cycles{frame}")
        (path,) = shot.path.glob(f"avatar/*/alone-*/renders/*/frames/*.{frame:04d}.exr")
        wanted = _passes(path)
        first, second = drawn["Combined"], wanted["Combined"]
        inside = (first[..., 3] > 0.9) & (second[..., 3] > 0.99)
        shown = [
            display(each[..., :3] / np.maximum(each[..., 3:], 1e-6)) for each in (first, second)
        ]
        colours.append(_psnr(shown[0][inside], shown[1][inside]))
        alphas.append(_psnr(first[..., 3], second[..., 3]))
        nowhere = drawn["Depth"][..., 0] > 1e6
        without.append(100 * nowhere[first[..., 3] > 0.9].mean())
        thin.append(100 * nowhere[first[..., 3] > 0.5].mean())
    return {
        "frames": str(len(frames)),
        "inside, median and worst frame": f"{np.median(colours):.1f}, {min(colours):.1f} dB",
        "alpha, median and worst frame": f"{np.median(alphas):.1f}, {min(alphas):.1f} dB",
        "without depth where alpha > 0.9, worst frame": f"{max(without):.2f} %",
        "without depth where alpha > 0.5, worst frame": f"{max(thin):.2f} %",
    }


def _psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((first - second) ** 2)))


_LIT_TRUTH = """
import sys
from pathlib import Path
import numpy as np
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion
from synthetic.acting import camera
from synthetic.render import LIGHTS, _AMBIENT, Performer
motion = Motion.load(Path(sys.argv[1]).with_suffix(".safetensors"))
size, frame, light = int(sys.argv[2]), int(sys.argv[3]), "left"
shown = Performer(BodyModel.load(), motion, light=light).render(frame, camera(size))
(key,) = LIGHTS[light]
np.savez(sys.argv[4], rgb=shown.rgb, alpha=shown.alpha[..., 0], around=_AMBIENT,
    direction=key.direction, colour=key.colour)
"""


def measure_light(shot: Any, clip: Path, work: Path) -> str:
    """Lights the performer as the synthetic stage does with its light on the left, and compares it
    with the truth in that light: PSNR inside, in dB, with one gain for all since the plate does not
    tell how strong its own light was."""
    frame, target = _SHOWN, work / "truth.npz"
    lens_size = bpy.context.scene.render.resolution_x
    backend = Path(__file__).resolve().parents[1]
    words = [sys.argv[3], "-c", _LIT_TRUTH, clip, str(lens_size), str(frame), target]
    subprocess.run(words, check=True, env=os.environ | {"PYTHONPATH": str(backend)})
    truth = np.load(target)
    fill_world(truth["around"])
    x, y, z = truth["direction"]
    towards = shot.camera.matrix_world.to_3x3() @ Vector((x, -y, -z))
    strongest = float(truth["colour"].max())
    # Half of a light counts there, and a diffuse surface sends out a pi-th of a sun's.
    sun = add_light("SUN", np.pi * strongest / 2, truth["colour"] / strongest, (0, 0, 0))
    sun.rotation_euler = towards.to_track_quat("Z", "Y").to_euler()
    bpy.ops.portraitgen.lit_by_scene()
    drawn = rendered(frame + shot.offset, _SAMPLES, lens_size // 2, work / "sun")["Combined"]
    bpy.ops.portraitgen.lit_by_scene()
    bpy.data.objects.remove(sun)
    half = drawn.shape[0]
    wanted, alpha = (
        truth[name].reshape(half, 2, half, 2, -1).mean((1, 3)) for name in ("rgb", "alpha")
    )
    inside = (alpha[..., 0] > 0.99) & (drawn[..., 3] > 0.9)
    linear = (drawn[..., :3] / np.maximum(drawn[..., 3:], 1e-6))[inside]
    goal = wanted[inside]
    bright = np.where(goal < 0.04045, goal / 12.92, ((goal + 0.055) / 1.055) ** 2.4)
    gain = (linear * bright).sum() / (linear * linear).sum()
    return f"{_psnr(display(gain * linear), goal):.1f} dB (gain {gain:.2f})"


def fill_world(colour: Any) -> None:
    """Lets even light of a colour, linear RGB, come from all around."""
    world = bpy.context.scene.world = bpy.data.worlds.new("around")
    (around,) = (each for each in world.node_tree.nodes if each.type == "BACKGROUND")
    around.inputs["Color"].default_value = (*colour, 1)
    around.inputs["Strength"].default_value = 1


def add_light(kind: str, energy: float, colour: tuple[float, float, float], turn: Any) -> Any:
    """A light of the scene, turned by Euler angles in degrees."""
    light = bpy.data.objects.new(kind.lower(), bpy.data.lights.new(kind.lower(), kind))
    light.data.energy, light.data.color = energy, colour
    light.rotation_euler = [radians(each) for each in turn]
    bpy.context.scene.collection.objects.link(light)
    return light


def make_picture(shot: Any, work: Path, path: Path) -> None:
    """Four panels: the plate; the performer in its light, seen from beside; lit by the scene, with
    a CG ball that throws its shadow on the face; and in that light over the plate."""
    from portraitgen.shot import Shot

    frame, scene = _SHOWN + shot.offset, bpy.context.scene
    plate = work / "probe"
    words = ["-m", "portraitgen", "probe", Shot.open(shot.path).footage_path, "--out", plate]
    chosen = ["--frames", str(_SHOWN)]
    subprocess.run([sys.argv[3], *words, *chosen], check=True, stdout=subprocess.DEVNULL)
    (seen,) = plate.glob("*.png")
    panels = [_picture(seen)]
    scene.frame_set(frame)
    scene.cycles.use_denoising = True
    head = shot.armature.matrix_world @ shot.armature.pose.bones["head"].head
    beside = bpy.data.objects.new("beside", shot.camera.data)
    scene.collection.objects.link(beside)
    turned = Matrix.Rotation(radians(_BESIDE), 4, "Z")
    about = Matrix.Translation(head) @ turned @ Matrix.Translation(-head)
    beside.matrix_world = about @ shot.camera.matrix_world
    scene.camera = beside
    panels.append(over_ground(rendered(frame, _SAMPLES_OF_PICTURE, _PANEL, work / "plain")))
    scene.camera = shot.camera
    bpy.ops.portraitgen.lit_by_scene()
    # From where the face looks, and from behind the other side.
    add_light("SUN", 3.5, (1.0, 0.8, 0.6), (55, 0, 40))
    add_light("SUN", 2.5, (0.35, 0.55, 1.0), (100, 0, -120))
    fill_world((0.2, 0.22, 0.26))
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.03, segments=48, ring_count=32)
    bpy.ops.object.shade_smooth()
    bpy.context.object.location = head + Vector((0.12, -0.2, -0.015))
    panels.append(over_ground(rendered(frame, _SAMPLES_OF_PICTURE, _PANEL, work / "lit")))
    bpy.ops.portraitgen.take_add(editor="grade")
    bpy.context.view_layer.objects.active = part("splats").performers()[0]
    bpy.ops.portraitgen.render_lit_take(frames="CURRENT")
    take = shot.path / "takes" / shot.take.folder_name
    (laid,) = take.glob(f"renders/*/plates/*.{_SHOWN:04d}.*")
    panels.append(_picture(laid))
    whole = np.concatenate([_shrunk(each) for each in panels], axis=1)
    image = bpy.data.images.new("panels", whole.shape[1], whole.shape[0])
    solid = np.dstack([whole, np.ones(whole.shape[:2])])
    image.pixels.foreach_set(solid[::-1].astype(np.float32).ravel())
    image.filepath_raw, image.file_format = str(path), "JPEG"
    image.save(quality=88)


def over_ground(passes: dict[str, np.ndarray]) -> np.ndarray:
    """A picture with alpha over plain grey, sRGB (H, W, 3)."""
    drawn = passes["Combined"]
    return display(drawn[..., :3] + (1 - drawn[..., 3:]) * _GROUND)


def _picture(path: Path) -> np.ndarray:
    """An image's own values, (H, W, 3), the first row above."""
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    values = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(values)
    return values.reshape(image.size[1], image.size[0], -1)[::-1, :, :3]


def _shrunk(picture: np.ndarray) -> np.ndarray:
    """A square picture at a panel's size, by means over whole pixels or the nearest ones."""
    side = picture.shape[0]
    if side % _PANEL == 0:
        share = side // _PANEL
        means: np.ndarray = picture.reshape(_PANEL, share, _PANEL, share, 3).mean((1, 3))
        return means
    chosen = (np.arange(_PANEL) + 0.5) * side / _PANEL
    low = np.clip(np.floor(chosen - 0.5).astype(int), 0, side - 2)
    part_of = np.clip(chosen - 0.5 - low, 0, 1)[:, None, None]
    rows = picture[low] * (1 - part_of) + picture[low + 1] * part_of
    across = part_of.transpose(1, 0, 2)
    mixed: np.ndarray = rows[:, low] * (1 - across) + rows[:, low + 1] * across
    return mixed


def main() -> None:
    """Runs the command line."""
    folder, zipped, python, out = (Path(word).absolute() for word in sys.argv[1:5])
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        copied = Path(shutil.copytree(folder / "shot", work / "shot"))
        # The plate, named relative to the shot, stays where it is.
        facts = json.loads((copied / "shot.json").read_text())
        facts["footage"]["path"] = os.path.abspath(folder / "shot" / facts["footage"]["path"])
        (copied / "shot.json").write_text(json.dumps(facts))
        shot = open_shot(copied, zipped, python)
        print(f"a frame step with {_SPLATS} splats: {measure_steps(shot)}")
        for what, figure in measure(shot, work).items():
            print(f"{what}: {figure}")
        if len(sys.argv) > 5:
            print(f"lit as the truth: {measure_light(shot, Path(sys.argv[5]), work)}")
        make_picture(shot, work, out / "performer_3d.jpg")
        part("session").session.end()


if __name__ == "__main__":
    main()
