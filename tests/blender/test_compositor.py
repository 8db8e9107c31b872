# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The compositor's group: the colours of the strip for every plate, in a place of our own."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from conftest import MadeOnce, by_backend, module

WIDTH, HEIGHT = 64, 48
FIRST = 1001
# Display-encoded ones as 16-bit PNG, scene-linear ones as float EXR; logs where Blender has them.
SPACES = {
    "sRGB": ".png",
    "Display P3": ".png",
    "Linear Rec.2020": ".exr",
    "ACEScg": ".exr",
    "ACES2065-1": ".exr",
    "Linear DCI-P3 D65": ".exr",
    "ACEScct": ".exr",
    "ARRI LogC4": ".exr",
}
# Movies by the number of the primaries that they are tagged with: Blender has none for standard
# definition's and shows them as Rec.709, so New Shot reads them as that.
MOVIES = {"NTSC": 6, "PAL": 5}

# An edit with every cover and colour over a plate with every brightness, written by the render job.
_MAKE = """
import sys
from dataclasses import replace
from pathlib import Path
import av
import numpy as np
import OpenImageIO as oiio
from portraitgen.footage.colour import from_display, resolve
from portraitgen.footage.crop import CompositeLayer, composite
from portraitgen.footage.plate import open_plate
from portraitgen.pipeline.compositing.frame_files import frame_layers, laid_over, write_frame
from portraitgen.pipeline.compositing.plate_compositor import RenderedFrame
width, height, first = (int(word) for word in sys.argv[2:5])
rng = np.random.default_rng(5)
smooth = rng.uniform(0.02, 0.98, (3, height, width, 3)).astype("f4")
def movie(path, primaries):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "rgb24"
        stream.options = {"qp": "0"}
        stream.codec_context.color_primaries, stream.codec_context.color_trc = primaries, 1
        for picture in smooth:
            codes = np.round(picture * 255).astype("u1")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(codes, format="rgb24")))
        container.mux(stream.encode())
def pictures(folder, name, suffix):
    for index in range(3):
        pixels = from_display(smooth[index], resolve(name))
        if resolve(name).kind == "linear":
            pixels[:8] *= 3  # Highlights beyond what an edit sees.
        spec = oiio.ImageSpec(width, height, 3, "uint16" if suffix == ".png" else "float")
        path = folder / f"plate.{first + index}{suffix}"
        output = oiio.ImageOutput.create(str(path))
        assert output.open(str(path), spec) and output.write_image(pixels), output.geterror()
        output.close()
for name, suffix in (word.split("=") for word in sys.argv[5:]):
    folder = Path(sys.argv[1]) / name
    folder.mkdir()
    if suffix.isdecimal():
        path = folder / "plate.mov"
        movie(path, int(suffix))
        assert open_plate(path).record().colour_space == f"{name} srgb"
        plate, suffix = open_plate(path, colour_space="Rec.709"), ".png"
    else:
        pictures(folder, name, suffix)
        plate = open_plate(folder / f"plate.####{suffix}", colour_space=name)
    rows, columns = slice(2, height), slice(10, width)
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    cover = np.tile(np.linspace(0, 1, shape[1], dtype="f4"), (shape[0], 1))
    for frame, image in plate.frames():
        colours = rng.uniform(0, 1, (*shape, 3)).astype("f4")
        laid = CompositeLayer(colours, cover, rows, columns)
        over, touched = composite(image, laid)
        one = np.ones((*shape, 3), "f4")
        square = np.ones((8, 8, 3), "u1")
        rendered = RenderedFrame(
            laid, one[..., 0], one, colours, one, over, touched, square, square[..., 0]
        )
        full = (folder / f"take.{frame}{suffix}", laid_over(rendered, plate, frame))
        layers = frame_layers(rendered, image, plate, frame)
        write_frame(
            folder / f"frames.{frame}.exr", rendered, layers, plate, frame, full, {}, dict
        )
"""


def known_spaces() -> list[str]:
    names = module("portraitgen_addon.compat").colour_space_names
    return list(names(bpy.data.images.new("any", 1, 1)))


@pytest.fixture(scope="module")
def written(made_once: MadeOnce) -> Path:
    """A folder a colour space with a plate, a take over it and the take's frames."""
    spaces = [f"{name}={suffix}" for name, suffix in (SPACES | MOVIES).items()]
    return made_once("plates", by_backend(_MAKE, WIDTH, HEIGHT, FIRST, *spaces))


@pytest.fixture
def take(request: pytest.FixtureRequest, written: Path) -> SimpleNamespace:
    """Strips of a plate and of a take, and the take's frames for the compositor."""
    space = getattr(request, "param", "ACES2065-1")
    if space not in known_spaces() and space not in MOVIES:
        pytest.skip(f"this Blender has no colour space {space}")
    folder = written / space
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples = "CYCLES", 1
    scene.camera = bpy.data.objects.new("any", bpy.data.cameras.new("any"))
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    scene.sequence_editor_create()
    compat = module("portraitgen_addon.compat")
    strips = scene.sequence_editor.strips
    if space in MOVIES:
        first, shown = 1, folder / "plate.mov"
        movie = strips.new_movie(name="plate", filepath=str(shown), channel=1, frame_start=1)
        space = movie.colorspace_settings.name
    else:
        first, shown = FIRST, folder / f"plate.{FIRST}{SPACES[space]}"
    for channel, name in enumerate(("plate", "take"), 1):
        files = sorted(each for each in folder.glob(f"{name}.*") if each.suffix != ".mov")
        if not files:
            continue
        strip = strips.new_image(name=name, filepath=str(files[0]), channel=channel, frame_start=1)
        for file in files[1:]:
            strip.elements.append(file.name)
        compat.set_length(strip, len(files))
        strip.colorspace_settings.name = space
    plate = bpy.data.images.load(str(shown))
    plate.source = "MOVIE" if shown.suffix == ".mov" else "SEQUENCE"
    plate.colorspace_settings.name = space
    compositor = module("portraitgen_addon.compositor")
    path = folder / f"frames.{first}.exr"
    frames = compositor.Frames(
        path=path,
        first=first,
        last=first + 2,
        offset=1 - first,
        boxes={first: (10, 2, WIDTH - 10)},
        width=WIDTH,
        height=HEIGHT,
        colour_space=compositor.colour_space_of(path),
    )
    return SimpleNamespace(scene=scene, frames=frames, plate=plate, compositor=compositor)


def rendered(scene: Any, path: Path, sequencer: bool) -> np.ndarray:
    scene.render.use_sequencer = sequencer
    scene.render.filepath = str(path)
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "32"
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(f"{path}.exr")
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    return pixels.reshape(HEIGHT, WIDTH, 4)[::-1, :, :3]


@pytest.mark.parametrize("take", SPACES, indirect=True)
def test_the_group_shows_what_the_strip_shows(take: SimpleNamespace, tmp_path: Path) -> None:
    take.compositor.to_compositor(take.scene, "shot take", take.frames, take.plate)
    for frame in (1, 3):
        take.scene.frame_set(frame)
        composed = rendered(take.scene, tmp_path / "composed", False)
        shown = rendered(take.scene, tmp_path / "shown", True)
        assert shown.max() > 0.8 and np.ptp(shown) > 0.5
        assert (np.abs(composed - shown) / np.maximum(shown, 1)).max() < 1e-3


@pytest.mark.parametrize("take", MOVIES, indirect=True)
def test_the_group_shows_what_the_strip_shows_of_a_movie(
    take: SimpleNamespace, tmp_path: Path
) -> None:
    """But for the rounding to eight bits of the strip's pictures. By its tags it was 0.12 off."""
    take.compositor.to_compositor(take.scene, "shot take", take.frames, take.plate)
    for frame in (1, 3):
        take.scene.frame_set(frame)
        composed = rendered(take.scene, tmp_path / "composed", False)
        shown = codes(rendered(take.scene, tmp_path / "shown", True))
        assert np.abs(shown - shown.round()).max() < 0.01 and np.ptp(shown) > 200
        low, high = linear(shown.round() - 0.5), linear(shown.round() + 0.5)
        assert np.maximum(low - composed, composed - high).max() < 1e-3


def codes(values: np.ndarray) -> np.ndarray:
    """Linear Rec.709 as eight bits of sRGB hold it, not rounded."""
    low, high = 12.92 * values, 1.055 * np.maximum(values, 1e-9) ** (1 / 2.4) - 0.055
    found: np.ndarray = 255 * np.where(values < 0.0031308, low, high)
    return found


def linear(values: np.ndarray) -> np.ndarray:
    """What `codes` was made of."""
    shares = values / 255
    low, high = shares / 12.92, ((np.maximum(shares, 0) + 0.055) / 1.055) ** 2.4
    found: np.ndarray = np.where(shares < 0.04045, low, high)
    return found


@pytest.mark.skipif(
    bpy.app.version < (5, 2, 0), reason="4.5 has one working space, 5.0 as a module crashes on it"
)
def test_the_group_follows_the_working_space(take: SimpleNamespace, tmp_path: Path) -> None:
    take.compositor.to_compositor(take.scene, "shot take", take.frames, take.plate)
    bpy.ops.wm.set_working_color_space(working_space="ACEScg")
    assert bpy.data.colorspace.working_space == "ACEScg"
    take.scene.frame_set(2)
    composed = rendered(take.scene, tmp_path / "composed", False)
    shown = rendered(take.scene, tmp_path / "shown", True)
    assert (np.abs(composed - shown) / np.maximum(shown, 1)).max() < 1e-3


def test_strength_can_be_set_and_keyed(take: SimpleNamespace, tmp_path: Path) -> None:
    node = take.compositor.to_compositor(take.scene, "shot take", take.frames, take.plate)
    holder, name = module("portraitgen_addon.compat").factor_input(
        take.scene, node, take.compositor.STRENGTH
    )
    for frame, value in ((1, 0.0), (3, 1.0)):
        setattr(holder, name, value)
        assert holder.keyframe_insert(name, frame=frame)
    take.scene.frame_set(1)
    none = rendered(take.scene, tmp_path / "none", False)
    over = take.scene.sequence_editor.strips["take"]
    over.mute = True
    assert np.abs(none - rendered(take.scene, tmp_path / "plate", True)).max() < 1e-3
    over.mute = False
    take.scene.frame_set(3)
    whole = rendered(take.scene, tmp_path / "whole", False)
    shown = rendered(take.scene, tmp_path / "shown", True)
    assert (np.abs(whole - shown) / np.maximum(shown, 1)).max() < 1e-3
    assert np.abs(none - whole).max() > 0.1


def test_what_the_artist_has_in_the_compositor_stays(take: SimpleNamespace) -> None:
    scene, compat = take.scene, module("portraitgen_addon.compat")
    own = compat.compositor_tree(scene, "mine")
    scale = own.nodes.new("CompositorNodeScale")
    exit_ = next(each for each in own.nodes if each.type in ("COMPOSITE", "GROUP_OUTPUT"))
    own.links.new(scale.outputs[0], exit_.inputs[0])
    node = take.compositor.to_compositor(scene, "shot take", take.frames, take.plate)
    assert exit_.inputs[0].links[0].from_node == scale
    # Again, it is the same node, wherever it lies.
    again = take.compositor.to_compositor(scene, "shot take", take.frames, take.plate)
    assert again == node
    if hasattr(scene, "compositor_effects"):
        assert [each.name for each in scene.compositor_effects] == ["mine", "shot take"]
        assert len(own.nodes) == 2


def test_a_group_that_is_renewed_keeps_its_links_and_its_keys(
    take: SimpleNamespace, tmp_path: Path
) -> None:
    """After a new render the button cut all links of the group and set Strength back."""
    scene, compat = take.scene, module("portraitgen_addon.compat")
    node = take.compositor.to_compositor(scene, "shot take", take.frames, take.plate)
    tree = node.id_data
    holder, name = compat.factor_input(scene, node, take.compositor.STRENGTH)
    for frame, value in ((1, 0.2), (3, 0.7)):
        setattr(holder, name, value)
        holder.keyframe_insert(name, frame=frame)
    blur = tree.nodes.new("CompositorNodeBlur")
    tree.links.new(node.outputs["Beauty"], blur.inputs[0])

    def links() -> list[tuple[str, ...]]:
        ends = ((link.from_socket, link.to_socket) for link in tree.links)
        return sorted((a.node.name, a.name, b.node.name, b.name) for a, b in ends)

    before = links()
    scene.frame_set(2)
    first = rendered(scene, tmp_path / "first", False)
    assert take.compositor.to_compositor(scene, "shot take", take.frames, take.plate) == node
    assert links() == before and len(before) >= 3
    scene.frame_set(2)
    assert np.abs(rendered(scene, tmp_path / "again", False) - first).max() < 1e-6
    assert getattr(*compat.factor_input(scene, node, take.compositor.STRENGTH)) == pytest.approx(
        0.45
    )


def test_a_plate_goes_on_where_more_frames_were_rendered_since(
    take: SimpleNamespace, tmp_path: Path
) -> None:
    """It stood still after the last frame that the take had at first."""
    fewer = replace(take.frames, last=take.frames.first)
    take.compositor.to_compositor(take.scene, "shot take", fewer, take.plate)
    take.compositor.to_compositor(take.scene, "shot take", take.frames, take.plate)
    take.scene.frame_set(3)
    composed = rendered(take.scene, tmp_path / "composed", False)
    shown = rendered(take.scene, tmp_path / "shown", True)
    assert (np.abs(composed - shown) / np.maximum(shown, 1)).max() < 1e-3


def test_frames_that_do_not_tell_their_colours_are_said(tmp_path: Path) -> None:
    told = module("portraitgen_addon.compositor").colour_space_of
    start = b"\x76\x2f\x31\x01\2\0\0\0"
    for data in (b"", b"PNG", start, start + b"name\0string\0\xff\xff\0\0abc", start + b"a" * 900):
        (tmp_path / "frame.exr").write_bytes(data)
        with pytest.raises(Exception, match="the frame cannot be read .* render the take again"):
            told(tmp_path / "frame.exr")
    (tmp_path / "frame.exr").write_bytes(start + b"owner\0string\0\3\0\0\0abc\0")
    with pytest.raises(Exception, match="does not tell its colour space"):
        told(tmp_path / "frame.exr")
