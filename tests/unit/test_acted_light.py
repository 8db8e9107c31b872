# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What acts turns in the light of its shot."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_acted_plate import FRAME, Grey, performed, seen_mouth, track_of
from test_avatar import body, pictures

from portraitgen.body.model import BodyModel
from portraitgen.editing.hole_filling import filled_outward
from portraitgen.editing.light import Light, lobes
from portraitgen.footage.plate import open_plate
from portraitgen.pipeline.compositing import acted_plate
from portraitgen.pipeline.compositing.acted_light import light_of_shot, shaded, shading_change
from portraitgen.pipeline.compositing.acted_plate import ActedPlate
from portraitgen.pipeline.data.acting import Acting
from synthetic.acting import act, camera
from synthetic.clip import write_clip
from synthetic.render import LIGHTS, Performer

__all__ = ["body", "performed", "pictures"]

FROM_THE_LEFT = Light(np.array([0.3]), np.array([[-1.0, 0.0, 0.0]]), np.array([[1.2]]))


def facing(*direction: float, side: int = 64) -> np.ndarray:
    """A picture of one normal."""
    normal = np.array(direction, np.float32)
    return np.tile(normal / np.linalg.norm(normal), (side, side, 1))


def test_what_turns_to_the_light_gets_brighter_by_what_the_light_gives() -> None:
    everywhere = np.ones((64, 64), bool)
    before, after = facing(0, 0, -1), facing(-0.5, 0, -1)
    change = shading_change(FROM_THE_LEFT, before, after, everywhere)
    gave, gives = (
        0.3 + 1.2 * lobes(each[:1, 0], FROM_THE_LEFT.directions)[0, 0] for each in (before, after)
    )
    assert np.allclose(change, gives / gave, rtol=1e-3)
    back = shading_change(FROM_THE_LEFT, after, before, everywhere)
    assert np.allclose(change * back, 1, rtol=1e-3)
    assert np.array_equal(shading_change(FROM_THE_LEFT, before, before, everywhere), back * 0 + 1)


def test_hair_beside_the_body_changes_with_it_and_what_is_far_does_not() -> None:
    known = np.zeros((256, 256), bool)
    known[100:150, 100:150] = True
    before, after = (
        np.resize(each[:1, :1], (256, 256, 3)) for each in (facing(0, 0, -1), facing(-1, 0, -1))
    )
    change = shading_change(FROM_THE_LEFT, before, after, known)
    inside = change[125, 125]
    assert abs(change[125, 155] / inside - 1) < 0.05
    assert change[125, 230] == 1


def test_highlights_roll_off_and_what_keeps_its_light_keeps_its_colours() -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[:, None, None].repeat(3, 2)
    assert np.abs(shaded(ramp, np.ones((256, 1), np.float32)) - ramp).max() < 1e-5
    brighter = shaded(ramp, np.full((256, 1), 1.5, np.float32))
    assert brighter.max() <= 1 and (np.diff(brighter[:, 0, 0]) > 0).all()
    assert (brighter >= ramp - 1e-6).all()


def test_one_channel_is_filled_as_three_are() -> None:
    cover = np.zeros((64, 64), np.float32)
    cover[20:30, 20:30] = 1
    three, share = filled_outward(
        np.full((64, 64, 3), 0.5, np.float32) * cover[..., None], cover, (2, 20), 4, False
    )
    one, same = filled_outward(
        np.full((64, 64, 1), 0.5, np.float32) * cover[..., None], cover, (2, 20), 4, False
    )
    assert np.allclose(one, three[..., :1]) and np.array_equal(share, same)


def test_the_light_of_a_shot_is_that_of_its_lamps(tmp_path: Path, body: BodyModel) -> None:
    sides = {}
    for name in ("left", "right"):
        stem = tmp_path / name
        write_clip(stem, frames=4, size=128, light=name)
        motion = act(body, range(1, 5), 0)
        performer = Performer(body, motion, 0, name)
        mattes = {
            frame: (255 * performer.render(frame, camera(128)).alpha[..., 0]).astype(np.uint8)
            for frame in range(1, 5)
        }
        folder = tmp_path / f"mattes_{name}"
        folder.mkdir()
        track = track_of(folder, motion, mattes, 128)
        light = light_of_shot(track, open_plate(stem.with_suffix(".mp4")), body)
        assert light is not None
        towards = (light.directions * light.colours).sum(0)
        lamp = np.array(LIGHTS[name][0].direction)
        sides[name] = towards @ lamp / np.linalg.norm(towards) / np.linalg.norm(lamp)
    assert min(sides.values()) > 0.7, sides


def test_a_sculpted_bump_is_lit_from_where_the_light_is(
    performed: tuple[object, object, np.ndarray],
    body: BodyModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The fixture's avatar has hardly learned: what it shows is not to be believed.
    monkeypatch.setattr(acted_plate, "_alike", lambda warped, *_: np.ones(warped.shape[:2]))
    track, avatar, image = performed
    acting = Acting.none(body, [FRAME])
    nose = body.landmarks.on(body.template.numpy(), body.faces.numpy())[1]
    away = np.linalg.norm(body.template.numpy() - nose, axis=1)
    acting.sculpt[:, 2] = 0.02 * np.exp(-np.square(away / 0.03))
    acting.sculpted[:] = 1
    motion = acting.applied(track.motion, body)  # type: ignore[attr-defined]
    flat = np.full_like(image, 0.4)

    def lit(light: Light | None) -> np.ndarray:
        actor = ActedPlate(track, motion, acting, avatar, body, light, seen_mouth(body))  # type: ignore[arg-type]
        made = actor.frame(FRAME, flat, Grey())
        assert made is not None
        return made.image.mean(-1)

    plain = lit(None)
    left = lit(FROM_THE_LEFT) - plain
    right = lit(replace(FROM_THE_LEFT, directions=-FROM_THE_LEFT.directions)) - plain
    assert min(left.max(), right.max()) > 0.03
    columns = np.arange(image.shape[1])
    middle = [np.average(columns, weights=each.clip(0).sum(0)) for each in (left, right)]
    assert middle[0] < middle[1] - 1, middle
