# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes lie on their plate whatever was done to its strip: random layouts, rendered and compared.

PORTRAITGEN_LAYOUTS says how many; 200 take about two minutes.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import living_shot
import numpy as np
import pytest
from conftest import module, trim

LAYOUTS = int(os.environ.get("PORTRAITGEN_LAYOUTS", "12"))
START = 2001


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory, installed: None) -> Iterator[SimpleNamespace]:
    folder = tmp_path_factory.mktemp("layout")
    made = {}
    for alpha in (False, True):
        for name in ("plate", "take", "edited"):
            place = folder / f"{name}{alpha:d}"
            made[name, alpha] = living_shot.pictures(place, name, name == "edited", alpha)
    media = SimpleNamespace(folder=folder, paths=made, differences=[])
    yield media
    pairs, worst = len(media.differences), max(media.differences, default=0)
    print(f"\n{LAYOUTS} layouts, {pairs} pairs of pictures: largest difference {worst:g} of 255")


def render(scene: Any, folder: Path, frame: int) -> np.ndarray:
    scene.render.filepath = str(folder / "rendered")
    scene.frame_set(frame)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(f"{folder}/rendered.png")
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    return np.rint(pixels * 255)


def background(scene: Any) -> None:
    length = {"length": 400} if bpy.app.version >= (5, 0, 0) else {"frame_end": 2200}
    strip = scene.sequence_editor.strips.new_effect(
        name="background", type="COLOR", channel=1, frame_start=1800, **length
    )
    strip.color = (0.2, 0.6, 0.3)


def arrange(scene: Any, plate: Any, rng: np.random.Generator) -> list[str]:
    """Does some of what an artist does to a strip, by chance; says what."""
    done = []

    def by_chance(name: str, share: float = 0.35) -> bool:
        if rng.random() < share:
            done.append(name)
            return True
        return False

    move, crop = plate.transform, plate.crop
    if by_chance("scale", 0.5):
        move.scale_x, move.scale_y = rng.uniform(0.4, 2.2, 2)
    if by_chance("offset", 0.5):
        move.offset_x, move.offset_y = rng.uniform(-30, 30, 2)
    if by_chance("rotation"):
        move.rotation = rng.uniform(-3, 3)
    if by_chance("origin", 0.2):
        move.origin = rng.uniform(0, 1, 2)
    if by_chance("filter", 0.3):
        names = [each.identifier for each in move.bl_rna.properties["filter"].enum_items]
        move.filter = names[rng.integers(len(names))]
    if by_chance("crop"):
        crop.min_x, crop.max_x, crop.min_y, crop.max_y = (
            int(each) for each in rng.integers(0, 20, 4)
        )
    plate.use_flip_x, plate.use_flip_y = by_chance("flip x", 0.2), by_chance("flip y", 0.2)
    if by_chance("opacity"):
        plate.blend_alpha = rng.uniform(0.1, 0.95)
    if by_chance("blend", 0.3):
        kinds = ("REPLACE", "CROSS", "ADD", "MULTIPLY", "SCREEN", "OVERLAY", "DIFFERENCE")
        plate.blend_type = kinds[rng.integers(len(kinds))]
    if by_chance("saturation", 0.2):
        plate.color_saturation = rng.uniform(0, 2)
    if by_chance("multiply", 0.2):
        plate.color_multiply, plate.multiply_alpha = rng.uniform(0.3, 1.2), by_chance("alpha", 0.5)
    makes = module("portraitgen_addon.compat").MAKES_MODIFIERS
    if by_chance("contrast", 0.2) and makes:
        plate.modifiers.new(name="c", type="BRIGHT_CONTRAST").contrast = rng.uniform(-20, 20)
    if by_chance("balance", 0.2) and makes:
        plate.modifiers.new(name="b", type="COLOR_BALANCE").color_balance.gain = rng.uniform(
            0.5, 1.5, 3
        )
    if by_chance("curves", 0.2) and makes:
        mapping = plate.modifiers.new(name="k", type="CURVES").curve_mapping
        mapping.curves[3].points.new(0.4, rng.uniform(0.2, 0.7))
        mapping.update()
    if by_chance("keys", 0.25):
        for frame, value in ((START, rng.uniform(0, 1)), (START + 20, rng.uniform(0, 1))):
            plate.blend_alpha = value
            plate.keyframe_insert("blend_alpha", frame=frame)
            plate.transform.offset_x = 40 * value
            plate.transform.keyframe_insert("offset_x", frame=frame)
    if by_chance("trim", 0.4):
        trim(plate, START + int(rng.integers(0, 5)), START + int(rng.integers(12, 24)))
    if by_chance("frame", 0.5):
        render_ = scene.render
        render_.resolution_x, render_.resolution_y = (
            int(each) for each in rng.integers(40, 120, 2)
        )
        render_.resolution_percentage = int(rng.choice([50, 100]))
    return done


@pytest.mark.parametrize("seed", range(LAYOUTS))
def test_a_take_is_seen_as_its_plate_would_be(
    seed: int, media: SimpleNamespace, tmp_path: Path
) -> None:
    rng = np.random.default_rng(seed)
    scene = bpy.context.scene
    alpha = bool(rng.random() < 0.2)
    scene.render.resolution_x, scene.render.resolution_y = living_shot.WIDTH, living_shot.HEIGHT
    scene.render.resolution_percentage = 100
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.dither_intensity = 0
    # The one copy of what lies beside the plate is the take that nobody edited.
    shot = living_shot.make(scene, tmp_path / "shot", media.paths["plate", alpha], START)
    background(scene)
    plate = scene.sequence_editor.strips["plate"]
    before = rng.random() < 0.5
    if before:
        living_shot.show_take(scene, shot, media.paths["take", alpha])
    done = [*arrange(scene, plate, rng), "alpha" * alpha]
    in_meta = rng.random() < 0.4
    if in_meta:
        meta = scene.sequence_editor.strips.new_meta(name="meta", channel=7, frame_start=START)
        meta.channel = 7
        plate.move_to_meta(meta)
        trim(meta, START - 10, START + 40)
        if rng.random() < 0.5:
            meta.transform.scale_x = meta.transform.scale_y = rng.uniform(0.6, 1.4)
            meta.blend_alpha = rng.uniform(0.5, 1)
        done.append("meta")
        if rng.random() < 0.4:
            outer = scene.sequence_editor.strips.new_meta(
                name="outer", channel=8, frame_start=START
            )
            meta.move_to_meta(outer)
            trim(outer, START - 10, START + 40)
            outer.blend_alpha = rng.uniform(0.5, 1)
            done.append("meta in a meta")
    if rng.random() < 0.3:
        scene.render.fps, scene.render.fps_base = 30, float(rng.choice([1.0, 1.001]))
        done.append("rate")
    living_shot.look(shot)
    if not before:
        living_shot.show_take(scene, shot, media.paths["take", alpha])
    for text in living_shot.look(shot):
        assert "shows frames" in text or "The scene runs at" in text, text
    sync = module("portraitgen_addon.strip_sync")
    sync.update(shot)
    take = module("portraitgen_addon.sequencer").take_strips(scene, shot.shot_id, "take")[0]
    frame = START + 8
    with_take = render(scene, tmp_path, frame)
    take.mute = True
    living_shot.look(shot)
    alone = render(scene, tmp_path, frame)
    living_shot.point_at(plate, media.paths["edited", alpha])
    wanted = render(scene, tmp_path, frame)
    living_shot.point_at(plate, media.paths["plate", alpha])
    living_shot.point_at(take, media.paths["edited", alpha])
    take.mute = False
    living_shot.look(shot)
    edited = render(scene, tmp_path, frame)
    for got, want in ((with_take, alone), (edited, wanted)):
        differ = np.abs(got - want).max()
        media.differences.append(differ)
        assert differ <= (_ROUNDED if alpha or plate.multiply_alpha else 0), (
            done,
            differ,
            [
                (each.name, each.effect_fader, each.input_1.name, each.input_2.name)
                for each in sync.plate_of(shot).among
                if each.type == "CROSS"
            ],
        )


_ROUNDED = 2 if bpy.app.version < (5, 0, 0) else 0
"""Code values that Blender 4.5 rounds away where an effect strip's picture is transparent."""


@pytest.mark.skipif(
    (5, 0, 0) <= bpy.app.version < (5, 2, 0), reason="Blender 5.0 makes no modifiers by Python"
)
def test_an_artists_own_changes_to_a_take_stay_until_the_plate_changes(
    media: SimpleNamespace, tmp_path: Path
) -> None:
    scene = bpy.context.scene
    shot = living_shot.make(scene, tmp_path / "shot", media.paths["plate", False], START)
    take = living_shot.show_take(scene, shot, media.paths["take", False])
    take.modifiers.new(name="mine", type="BRIGHT_CONTRAST")
    take.blend_alpha = 0.5
    living_shot.look(shot)
    assert take.blend_alpha == 0.5
    plate = scene.sequence_editor.strips["plate"]
    plate.modifiers.new(name="grade", type="COLOR_BALANCE")
    living_shot.look(shot)
    assert {each.name for each in take.modifiers} == {"mine", "grade"}
    for each in list(plate.modifiers):
        plate.modifiers.remove(each)
    living_shot.look(shot)
    assert [each.name for each in take.modifiers] == ["mine"]


def test_a_smaller_take_covers_the_plate_all_the_same(
    media: SimpleNamespace, tmp_path: Path
) -> None:
    scene = bpy.context.scene
    shot = living_shot.make(scene, tmp_path / "shot", media.paths["plate", False], START)
    half = tmp_path / "half"
    half.mkdir()
    for number in range(living_shot.FIRST, living_shot.FIRST + living_shot.COUNT):
        image = bpy.data.images.new("half", living_shot.WIDTH // 2, living_shot.HEIGHT // 2)
        image.filepath_raw = str(half / f"take.{number:04d}.png")
        image.file_format = "PNG"
        image.save()
    take = living_shot.show_take(scene, shot, half / "take.1001.png")
    plate = scene.sequence_editor.strips["plate"]
    plate.crop.min_x, plate.transform.scale_x = 10, 0.5
    living_shot.look(shot)
    assert take.transform.scale_x == 1.0 and take.transform.scale_y == 2.0
    assert take.crop.min_x == 5


def test_strips_that_a_take_hides_are_said(media: SimpleNamespace, tmp_path: Path) -> None:
    scene = bpy.context.scene
    shot = living_shot.make(scene, tmp_path / "shot", media.paths["plate", False], START)
    length = {"length": 9} if bpy.app.version >= (5, 0, 0) else {"frame_end": START + 9}
    scene.sequence_editor.strips.new_effect(
        name="Title", type="TEXT", channel=3, frame_start=START, **length
    )
    living_shot.show_take(scene, shot, media.paths["take", False])
    told = living_shot.look(shot)
    assert any("'Title' lies under the take" in text for text in told), told
