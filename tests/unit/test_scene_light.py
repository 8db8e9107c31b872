# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A light of the scene as the key light, standing or moving."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portraitgen.editing.editor import EditRequest
from portraitgen.editing.editors.relight import Relight, RelightOptions
from portraitgen.editing.light import LIGHT_FILE, SceneLight
from portraitgen.errors import EditError

LEFT, RIGHT, FRONT = (-1.0, 0.0, -0.3), (1.0, 0.0, -0.3), (0.0, 0.0, -1.0)


def write(folder: Path, frames: list[int], directions: list, colours: list) -> Path:  # type: ignore[type-arg]
    facts = {"frames": frames, "directions": directions, "colours": colours}
    (folder / LIGHT_FILE).write_text(json.dumps(facts), "utf-8")
    return folder


def ball(frame: int = 1, size: int = 64) -> EditRequest:
    """A grey ball lit from the camera."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size * 2 - 1
    inside = x * x + y * y < 0.8
    normals = np.stack([x, y, -np.sqrt(np.clip(1 - x * x - y * y, 0, 1))], axis=2)
    normals = np.where(inside[..., None], normals, 0).astype(np.float32)
    grey = np.where(inside, 0.25 + 0.4 * np.clip(-normals[..., 2], 0, 1), 0.0)
    picture = np.repeat(grey[..., None], 3, axis=2).astype(np.float32)
    return EditRequest(frame, picture, picture, inside.astype(np.float32), normals)


def relight(folder: Path, **options: Any) -> Relight:
    editor = Relight(RelightOptions(key="scene", **options))
    editor.use_take(folder)
    editor.prepare([ball()])
    return editor


def sides(picture: np.ndarray) -> float:
    """How much brighter the left half is than the right one."""
    middle = picture.shape[1] // 2
    return float(picture[:, :middle].mean() - picture[:, middle:].mean())


def test_a_light_that_stands_is_one_light(tmp_path: Path) -> None:
    editor = relight(write(tmp_path, [1], [LEFT], [[1, 1, 1]]))
    assert editor.kept_files() == {LIGHT_FILE: tmp_path / LIGHT_FILE}
    learned = editor.edit(ball())
    assert sides(learned) > 0.05
    assert (editor.over_avatar(replace(ball(), rendered=learned)) == learned).all()
    assert Relight(RelightOptions()).kept_files() == {}


def test_its_colour_is_the_keys(tmp_path: Path) -> None:
    red = relight(write(tmp_path, [1], [FRONT], [[1, 0.2, 0.2]])).edit(ball())
    inside = ball().matte > 0
    assert red[inside][:, 0].mean() > 1.3 * red[inside][:, 2].mean()


def test_a_light_that_moves_is_its_mean_and_what_a_frame_has_beyond(tmp_path: Path) -> None:
    editor = relight(write(tmp_path, [1, 11], [LEFT, RIGHT], [[1, 1, 1], [1, 1, 1]]))
    request = ball()
    learned = editor.edit(request)
    assert abs(sides(learned)) < 0.02, "the mean of left and right is neither"
    shown = {
        frame: editor.over_avatar(replace(request, frame=frame, rendered=learned))
        for frame in (1, 6, 11, 40)
    }
    assert sides(shown[1]) > 0.1 and sides(shown[11]) < -0.1
    assert abs(sides(shown[6])) < 0.02 and (shown[40] == shown[11]).all()
    for frame, direction in ((1, LEFT), (11, RIGHT)):
        still = relight(write(tmp_path, [1], [direction], [[1, 1, 1]])).edit(request)
        apart = np.abs(shown[frame] - still)[request.matte > 0]
        assert apart.mean() < 0.06, "it should be about the light of that frame"
    half = editor.over_avatar(replace(request, rendered=learned, strength=0.5))
    assert 0 < sides(half) < sides(shown[1])


def test_a_light_that_dims_darkens(tmp_path: Path) -> None:
    editor = relight(write(tmp_path, [1, 9], [FRONT, FRONT], [[1, 1, 1], [0.1, 0.1, 0.1]]))
    request = ball()
    learned = editor.edit(request)
    bright, dark = (
        editor.over_avatar(replace(request, frame=frame, rendered=learned)) for frame in (1, 9)
    )
    assert dark.mean() < 0.6 * bright.mean()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (None, "has no light"),
        ("{", "cannot be read"),
        ("[1]", "cannot be read"),
        ('{"frames": [1], "directions": [[0, 0, 0]], "colours": [[1, 1, 1]]}', "cannot be used"),
        ('{"frames": [2, 1], "directions": [[0,0,1],[0,0,1]], "colours": [1]}', "cannot be"),
        ('{"frames": [], "directions": [], "colours": []}', "cannot be used"),
        ('{"frames": 1, "directions": [], "colours": []}', "cannot be read"),
        ('{"frames": [1e300], "directions": [[0,0,1]], "colours": [[1,1,1]]}', "cannot be"),
        ('{"frames": [' + "9" * 5000 + "]}", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_a_light_that_is_none_is_told(tmp_path: Path, text: str | None, what: str) -> None:
    if text is not None:
        (tmp_path / LIGHT_FILE).write_text(text, "utf-8")
    with pytest.raises(EditError, match=what):
        SceneLight.read(tmp_path)
