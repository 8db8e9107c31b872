# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer as Blender's own splats, for the tests that look at one."""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from conftest import PYTHON, ROOT, module

NATIVE = bpy.app.version >= (5, 3, 0)
native = pytest.mark.skipif(not NATIVE, reason="splats came with Blender 5.3")
FRAMES, SIZE, OFFSET = 6, 256, 1000

# A tracked shot whose avatar holds something of everything, and its Gaussians in every frame.
_MAKE = """
import sys
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[2])
from footage_media import write_movie
from performer_shot import performer_shot
from portraitgen.body.model import BodyModel
from portraitgen.pipeline.data.avatars import frame_parameters, load_avatar
from portraitgen.pipeline.data.shots import Track
from portraitgen.pipeline.requests.rig import export_rig
from portraitgen.pipeline.requests.splat_cloud import export_cloud
from portraitgen.pipeline.requests.splats import export_splats
from portraitgen.tensors import save_arrays
from synthetic.acting import camera
from portraitgen.footage.plate import open_plate
folder, count, size = Path(sys.argv[1]), int(sys.argv[3]), int(sys.argv[4])
body, seen = BodyModel.load(), camera(size)
plate = write_movie(folder / "plate.mp4", count, size=(size, size))
shot = performer_shot(folder, plate, body, frames=count, size=size, splats=4000)
motion, avatar = Track(shot).motion, load_avatar(shot.version_folder("avatar"), body).on("cpu")
export_rig(shot)
export_cloud(shot)
export_splats(shot, folder / "frame3.ply", frames="3")
truth = {}
with torch.no_grad():
    for frame in range(1, count + 1):
        parameters = frame_parameters(motion, [frame])
        made, _ = avatar.gaussians(parameters, None, 3)
        fields = vars(made) | {"features": made.features[..., :3]}
        truth |= {f"{name}{frame}": value[0].numpy() for name, value in fields.items()}
        drawn = avatar.render(parameters, torch.from_numpy(seen.matrix())[None], size)
        truth[f"rgb{frame}"] = drawn.premultiplied[0].permute(1, 2, 0).contiguous().numpy()
        truth[f"alpha{frame}"] = drawn.alpha[0, 0].numpy()
opened = open_plate(plate)
truth["plate"] = next(codes for frame, codes in opened.frames_uint8() if frame == 3)
opened.close()
save_arrays(folder / "truth.safetensors", truth)
"""


def make_shot(folder: Path) -> None:
    """Makes the shot in a folder, with the truth of its splats."""
    words: list[Any] = [PYTHON, "-c", _MAKE, folder, ROOT / "tests" / "unit"]
    path = str(ROOT / "backend")
    subprocess.run(
        [*words, str(FRAMES), str(SIZE)], check=True, env=os.environ | {"PYTHONPATH": path}
    )


def put_together(made: Path, name: str) -> SimpleNamespace:
    rig, camera = module("portraitgen_addon.rig"), module("portraitgen_addon.camera")
    splats = module("portraitgen_addon.splats")
    splat_data = module("portraitgen_addon.splat_data")
    bundle = rig.RigData.load(made / "shot" / "rigs" / "0001.safetensors")
    scene = bpy.context.scene
    holder = camera.make(f"{name} camera")
    scene.collection.objects.link(holder)
    scene.camera = holder
    camera.set_intrinsics(holder, bundle.camera)
    camera.fit_scene(scene, bundle.camera, (25, 1))
    parts = rig.build(name, bundle, holder, scene.collection, OFFSET)
    path = made / "shot" / "splats" / "reconstruction.safetensors"
    data = splat_data.SplatData.load(path)
    performer = splats.build(name, name, data, path, parts.armature, holder, OFFSET)
    truth, _ = module("portraitgen_addon.tensors").load(made / "truth.safetensors")
    return SimpleNamespace(
        scene=scene, parts=parts, performer=performer, truth=truth, splats=splats, data=data
    )


def shown(cloud: Any) -> dict[str, np.ndarray]:
    """What a cloud evaluates to: positions, rotations, scales and radiance."""
    points = cloud.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    assert points.type == "GAUSSIAN_SPLAT"
    found = {}
    fields = {"position": "vector", "rotation": "value", "scale": "vector"}
    for name, field in (fields | {"radiance:base": "color"}).items():
        attribute = points.attributes[name]
        width = 3 if name in ("position", "scale") else 4
        values = np.empty(len(attribute.data) * width, np.float32)
        attribute.data.foreach_get(field, values)
        found[name] = values.reshape(-1, width)
    return found


def apart(found: dict[str, np.ndarray], truth: dict[str, np.ndarray], frame: int) -> np.ndarray:
    """Millimetres between carried splats and the backend's."""
    return np.linalg.norm(found["position"] - truth[f"means{frame}"], axis=1) * 1000


def ply_rows(path: Path) -> np.ndarray:
    """The splats of a PLY file of ours, a structured row each."""
    header, body = path.read_bytes().split(b"end_header\n", 1)
    words = [line.decode().split() for line in header.splitlines() if b"property" in line]
    return np.frombuffer(
        body, [(name, "<i4" if kind == "int" else "<f4") for _, kind, name in words]
    )


def _set_up(scene: Any, path: Path, samples: int) -> None:
    scene.render.engine, scene.cycles.samples = "CYCLES", samples
    scene.cycles.use_denoising, scene.cycles.seed = False, 1
    scene.render.film_transparent, scene.render.filepath = True, str(path)


_READ = """
import sys
import numpy as np, OpenImageIO as oiio
found = []
for path in sys.argv[2:]:
    image, parts, index = oiio.ImageInput.open(path), {}, 0
    while image.seek_subimage(index, 0):
        names, index = image.spec().channelnames, index + 1
        pixels = image.read_image(index - 1, 0, 0, len(names), oiio.FLOAT)
        parts |= {".".join(name.split(".")[-2:]): pixels[..., at] for at, name in enumerate(names)}
    found.append(np.stack([parts[f"Combined.{each}"] for each in "RGBA"] + [
        next(parts[name] for name in parts if name.startswith("Depth"))], -1))
np.save(sys.argv[1], np.array(found))
"""


def rendered_with_depth(
    scene: Any, folder: Path, samples: int, frames: Iterable[int]
) -> np.ndarray:
    """Frames as `rendered` has them, with depth: (T, H, W, 5)."""
    scene.view_layers[0].use_pass_z = True
    paths = []
    for frame in frames:
        scene.frame_set(frame)
        _set_up(scene, folder / f"deep{frame}", samples)
        image = scene.render.image_settings
        image.media_type, image.file_format = "MULTI_LAYER_IMAGE", "OPEN_EXR_MULTILAYER"
        image.color_mode, image.color_depth = "RGBA", "32"
        bpy.ops.render.render(write_still=True)
        paths.append(folder / f"deep{frame}.exr")
    image.media_type = "IMAGE"
    return passes_of(paths)


def passes_of(paths: list[Path]) -> np.ndarray:
    """Pictures of several layers, scene-linear, with alpha and depth: (T, H, W, 5)."""
    target = paths[0].with_suffix(".npy")
    subprocess.run([PYTHON, "-c", _READ, target, *paths], check=True)
    found: np.ndarray = np.load(target)
    return found


def against_backend(picture: np.ndarray, truth: dict[str, np.ndarray], frame: int) -> list[float]:
    """How a picture with depth differs from the backend's, dB inside and of its alpha, and how much
    has no depth where the performer covers more than 0.9, per cent."""
    alpha, wanted = (truth[f"{name}{frame}"] for name in ("alpha", "rgb"))
    drawn = picture[..., 3]
    solid = (alpha > 0.99) & (drawn > 0.9)
    seen = display(picture[..., :3] / np.maximum(drawn[..., None], 1e-6))[solid]
    inside = psnr(seen, (wanted / np.maximum(alpha[..., None], 1e-6))[solid])
    return [inside, psnr(drawn, alpha), 100 * (picture[..., 4][drawn > 0.9] > 1e6).mean()]


def check_drawn_as_the_backend_does(
    pictures: np.ndarray, truth: dict[str, np.ndarray], frames: Iterable[int]
) -> None:
    """The same of pictures of the footage's frames, which have to agree."""
    inside, covered, bare = zip(
        *(
            against_backend(picture, truth, frame)
            for frame, picture in zip(frames, pictures, strict=True)
        ),
        strict=True,
    )
    print(f"worst frame: inside {min(inside):.1f} dB, alpha {min(covered):.1f} dB")
    print(f"without depth where covered by more than 0.9: {max(bare):.2f} %")
    assert min(inside) > 33 and min(covered) > 33
    assert max(bare) <= 1


def modify_first(cloud: Any, kind: str, count: int) -> tuple[Any, Any]:
    """A modifier *Retouch* on a cloud whose node of one kind gets its first points selected; its
    group and that node."""
    group = bpy.data.node_groups.new("retouch", "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        group.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    node, link = group.nodes.new, group.links.new
    entry, exit_ = node("NodeGroupInput"), node("NodeGroupOutput")
    index, first, change = node("GeometryNodeInputIndex"), node("FunctionNodeCompare"), node(kind)
    first.data_type, first.operation = "INT", "LESS_THAN"
    integers = [each for each in first.inputs if each.type == "INT"]
    integers[1].default_value = count
    link(index.outputs[0], integers[0])
    link(entry.outputs[0], change.inputs["Geometry"])
    link(first.outputs[0], change.inputs["Selection"])
    link(change.outputs[0], exit_.inputs[0])
    cloud.modifiers.new("Retouch", "NODES").node_group = group
    return group, change


def display(linear: np.ndarray) -> np.ndarray:
    """Scene-linear values as sRGB."""
    curved: np.ndarray = np.where(
        linear < 0.0031308, 12.92 * linear, 1.055 * linear.clip(0) ** (1 / 2.4) - 0.055
    )
    return curved


def rendered(scene: Any, path: Path, samples: int) -> np.ndarray:
    """A Cycles render with transparent film, scene-linear, (H, W, 4) premultiplied."""
    _set_up(scene, path, samples)
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "32"
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(f"{path}.exr")
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(SIZE, SIZE, 4)[::-1]


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((first - second) ** 2)))
