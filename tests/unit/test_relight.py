# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The light of a shot, found whatever it fell on, and the plate in another."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import shot_records

from portraitgen.avatar.avatar import Avatar
from portraitgen.body.camera import Camera
from portraitgen.body.surface import Surface
from portraitgen.editing.colour import to_display
from portraitgen.editing.editor import EditRequest
from portraitgen.editing.editors.relight import Relight, RelightOptions
from portraitgen.editing.light import LIGHT_FILE, Light, key_and_fill
from portraitgen.editing.light_estimation import fitted_light
from portraitgen.footage.crop import CompositeLayer
from portraitgen.pipeline.compositing.take_appearance import TakeAppearance
from portraitgen.pipeline.data.edit_mask import EditMask
from portraitgen.pipeline.data.shots import Track

SIZE = 128
STUDIO = key_and_fill(np.array([-0.6, -0.5, -0.6]), np.ones(3), np.ones(3), 5.0)


def ball(light: Light = STUDIO) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Linear colours of a ball with dark hair above and dark cloth below, normals, coverage."""
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE * 2.2 - 1.1
    inside = x * x + y * y < 1
    normals = np.stack([x, y, -np.sqrt(np.clip(1 - x * x - y * y, 0, 1))], axis=2)
    normals = np.where(inside[..., None], normals, 0).astype(np.float32)
    skin = np.array([0.56, 0.33, 0.23]) * np.ones((SIZE, SIZE, 1))
    albedo = np.where((y < -0.35)[..., None], np.array([0.045, 0.025, 0.016]), skin)
    albedo = np.where((y > 0.5)[..., None], np.array([0.05, 0.12, 0.17]), albedo)
    return albedo * light.on(normals) * inside[..., None], normals, inside


def request(light: Light = STUDIO, frame: int = 1) -> EditRequest:
    linear, normals, inside = ball(light)
    picture = to_display(linear)
    return EditRequest(frame, picture, picture, inside.astype(np.float32), normals)


def relight(**options: Any) -> Relight:
    editor = Relight(RelightOptions(**options))
    editor.prepare([request()])
    return editor


def test_dark_hair_and_dark_clothes_are_not_taken_for_shadow() -> None:
    linear, normals, inside = ball()
    found = fitted_light([(linear.mean(2), normals, inside)])
    assert found is not None
    truth = STUDIO.on(normals[inside]).mean(1)
    apart = np.log(found.on(normals[inside])[:, 0] / truth)
    assert apart.std() < 0.1, "the light is what it was, whatever it fell on"
    assert np.log(linear.mean(2)[inside] / truth).std() > 0.5, "brightness itself would mislead"
    assert found.on(normals[inside]).mean() == pytest.approx(1, abs=0.02)


def test_nothing_to_see_is_no_light() -> None:
    linear, normals, inside = ball()
    assert fitted_light([(linear.mean(2), normals, np.zeros_like(inside))]) is None


def test_another_light_gives_what_it_would_have_given() -> None:
    light = {"azimuth": 70.0, "elevation": 10.0, "ratio": 4.0}
    plain = {"temperature": 0.0, "fill_temperature": 0.0}
    around, up = np.radians((light["azimuth"], light["elevation"]))
    towards = np.array([np.cos(up) * np.sin(around), -np.sin(up), -np.cos(up) * np.cos(around)])
    truth = request(key_and_fill(towards, np.ones(3), np.ones(3), 4.0)).source
    before = request()
    made = relight(**light, **plain).edit(before)
    inside = before.matte > 0
    made = made * (truth[inside].mean() / made[inside].mean())

    def error(picture: np.ndarray) -> float:
        return float(((picture - truth)[inside] ** 2).mean())

    assert error(made) < 0.1 * error(before.source)


def test_a_rendering_shows_what_the_edit_found() -> None:
    editor, shown = relight(key="right"), request()
    again = Relight(RelightOptions(key="right"))
    again.restore(Path(), json.loads(json.dumps(editor.learned())))
    lit = again.edit_frame(shown)
    assert (lit == editor.edit(shown)).all()


def test_each_frame_of_the_plate_has_its_own_light(tmp_path: Path) -> None:
    directions = [[-1.0, 0.0, -0.3], [1.0, 0.0, -0.3]]
    light = {"frames": [1, 11], "directions": directions, "colours": [[1, 1, 1]] * 2}
    (tmp_path / LIGHT_FILE).write_text(json.dumps(light), "utf-8")
    editor = Relight(RelightOptions(key="scene"))
    editor.use_take(tmp_path)
    editor.prepare([request()])
    left, right = (editor.edit_frame(request(frame=frame)).sum(axis=(0, 2)) for frame in (1, 11))
    middle = SIZE // 2
    assert left[:middle].sum() > 1.2 * right[:middle].sum()
    assert right[middle:].sum() > 1.2 * left[middle:].sum()


def test_the_tracked_body_tells_the_form_at_any_size() -> None:
    def plane(size: int) -> EditRequest:
        camera = Camera(100, 100, 50, 50, 100, 100).resized(size, size)
        corners = np.array([[-1, -1, 2], [1, -1, 1.2], [1, 1, 1.2], [-1, 1, 2]], np.float32)
        faces = np.array([[0, 2, 1], [0, 3, 2]])
        surface = Surface.of(BodyOf(corners, faces), corners, camera)  # type: ignore[arg-type]
        grey = np.full((size, size, 3), 0.4, np.float32)
        return EditRequest(
            1, grey, grey, np.ones((size, size), np.float32), np.zeros_like(grey), surface=surface
        )

    normals = plane(64).surface.normals()  # type: ignore[union-attr]
    assert np.allclose(normals[20:40, 20:40], normals[30, 30], atol=1e-5)
    assert normals[30, 30, 2] < -0.9 and normals[30, 30, 0] < -0.3, "it faces camera and left"
    small, large = (relight(key="left").edit(plane(size)) for size in (64, 1100))
    assert np.allclose(small[32, 32], large[550, 550], atol=0.01)


class BodyOf:
    """As much of a body model as a surface needs."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        import torch

        self.template, self.faces = torch.from_numpy(vertices), torch.from_numpy(faces)


@pytest.mark.parametrize("base", ["", "other"])
def test_only_its_own_plate_is_lit_itself(tmp_path: Path, base: str) -> None:
    record = shot_records.edit(
        editor="relight",
        options={"key": "left"},
        follows=True,
        learned=relight(key="left").learned(),
        base=base,
    )
    look = TakeAppearance(
        cast(Avatar, None), tmp_path, record, cast(Track, None), cast(EditMask, None)
    )
    assert look.keeps_performer == (not base)
    laid = CompositeLayer(np.zeros((4, 4, 3)), np.ones((4, 4)), slice(0, 4), slice(0, 4))
    if base:
        whole = np.zeros((4, 4, 3), np.float32)
        assert look.over_plate(1, whole, np.ones((4, 4)), laid) is laid


@pytest.mark.parametrize("follows", [False, True])
def test_an_older_edit_shows_what_its_avatar_learned(tmp_path: Path, follows: bool) -> None:
    record = shot_records.edit(editor="relight", options={"key": "left"}, follows=follows)
    look = TakeAppearance(
        cast(Avatar, None), tmp_path, record, cast(Track, None), cast(EditMask, None)
    )
    assert not look.keeps_performer


def test_pores_and_stubble_stay_in_the_new_light() -> None:
    given = request()
    generator = np.random.default_rng(0)
    grain = generator.normal(1, 0.05, (SIZE, SIZE, 1)).astype(np.float32)
    rough = replace(given, source=np.clip(given.source * grain, 0, 1))
    editor = relight(key="right", exposure=-0.5)
    smooth, made = editor.edit(given), editor.edit(rough)
    cheek = (slice(56, 76), slice(56, 76))
    kept = (made[cheek] / np.maximum(smooth[cheek], 1e-3)).std()
    assert kept == pytest.approx(0.05, rel=0.35)
