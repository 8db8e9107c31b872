# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paint carried over the body against known paint, and masks of the performer's parts."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from portraitgen.body.camera import Camera
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion
from portraitgen.body.surface import Surface, carry
from portraitgen.editing.editor import EditRequest
from portraitgen.editing.part_segmentation import (
    PARTS,
    ColourModel,
    face_labels,
    parse_parts,
    part_labels,
    part_mask,
    tones_of,
)
from portraitgen.editing.registry import create_editor
from portraitgen.errors import EditError, OptionError
from synthetic.acting import camera as stage
from synthetic.patch import cheek_patch
from synthetic.render import Performer, Rendering

SIZE = 192
PAINTED = 1
FRAMES = (8, 20, 30, 37)


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def motion() -> Motion:
    return Motion.load(Path(__file__).parents[1] / "data" / "performer.safetensors")


@pytest.fixture(scope="module")
def lens() -> Camera:
    return stage(SIZE)


@pytest.fixture(scope="module")
def shown(body: BodyModel, motion: Motion, lens: Camera) -> dict[int, tuple[Rendering, Rendering]]:
    plain, painted = (
        Performer(body, motion),
        Performer(body, motion, paint=cheek_patch(body, motion)),
    )
    return {
        frame: (plain.render(frame, lens), painted.render(frame, lens))
        for frame in (PAINTED, *FRAMES)
    }


def surface(body: BodyModel, motion: Motion, lens: Camera, rendering: Rendering) -> Surface:
    return Surface.of(body, rendering.vertices, lens)


def request(
    body: BodyModel, motion: Motion, lens: Camera, frame: int, seen: Rendering
) -> EditRequest:
    return EditRequest(
        frame=frame,
        rendered=seen.rgb,
        source=seen.rgb,
        matte=seen.alpha[..., 0],
        normals=seen.normals,
        surface=surface(body, motion, lens, seen),
    )


def give_out(folder: Path, frame: int, before: np.ndarray, after: np.ndarray) -> None:
    for name, picture in ((f"{frame:04d}.base.png", before), (f"{frame:04d}.png", after)):
        codes = (picture[..., ::-1] * 255 + 0.5).astype(np.uint8)
        assert cv2.imwrite(str(folder / name), codes)


def test_paint_on_one_frame_is_right_on_all(
    body: BodyModel,
    motion: Motion,
    lens: Camera,
    shown: dict[int, tuple[Rendering, Rendering]],
    tmp_path: Path,
) -> None:
    plain, painted = shown[PAINTED]
    give_out(tmp_path, PAINTED, plain.rgb, painted.rgb)
    editor = create_editor("paint", {"folder": str(tmp_path)})
    assert editor.wanted_frames() == [PAINTED]
    editor.prepare([request(body, motion, lens, PAINTED, plain)])
    for frame in FRAMES:
        before, truth = shown[frame]
        edited = editor.edit(request(body, motion, lens, frame, before))
        where = np.abs(truth.rgb - before.rgb).max(2) > 0.02
        if where.sum() < 30:
            continue  # Turned away.
        error = float(((edited - truth.rgb)[where] ** 2).mean())
        unedited = float(((before.rgb - truth.rgb)[where] ** 2).mean())
        psnr = -10 * np.log10(error)
        assert psnr > 26, f"frame {frame}: {psnr:.1f} dB"
        assert error < 0.2 * unedited
        away = cv2.dilate(where.astype(np.uint8), np.ones((9, 9))) == 0
        assert np.abs(edited - before.rgb)[away].max() < 0.03


def test_without_paint_there_is_one_sentence(
    body: BodyModel,
    motion: Motion,
    lens: Camera,
    shown: dict[int, tuple[Rendering, Rendering]],
    tmp_path: Path,
) -> None:
    plain = shown[PAINTED][0]
    give_out(tmp_path, PAINTED, plain.rgb, plain.rgb)
    asked = [request(body, motion, lens, PAINTED, plain)]
    with pytest.raises(EditError, match="no frame is painted"):
        create_editor("paint", {"folder": str(tmp_path)}).prepare(asked)
    with pytest.raises(EditError, match="no frame is painted"):
        create_editor("paint", {}).prepare(asked)
    give_out(tmp_path, PAINTED, plain.rgb, plain.rgb[::2])
    with pytest.raises(EditError, match="another size"):
        create_editor("paint", {"folder": str(tmp_path)}).prepare(asked)


def test_a_transparent_layer_counts_where_it_is_opaque(
    body: BodyModel,
    motion: Motion,
    lens: Camera,
    shown: dict[int, tuple[Rendering, Rendering]],
    tmp_path: Path,
) -> None:
    plain = shown[PAINTED][0]
    give_out(tmp_path, PAINTED, plain.rgb, plain.rgb)
    layer = np.zeros((SIZE, SIZE, 4), np.uint8)
    layer[90:100, 90:100] = (255, 0, 0, 255)
    cv2.imwrite(str(tmp_path / f"{PAINTED:04d}.png"), layer)
    editor = create_editor("paint", {"folder": str(tmp_path)})
    asked = request(body, motion, lens, PAINTED, plain)
    editor.prepare([asked])
    changed = np.abs(editor.edit(asked) - plain.rgb).max(2) > 0.02
    assert changed[92:98, 92:98].all() and changed.mean() < 0.01


def test_carrying_to_the_same_frame_gives_the_picture_back(
    body: BodyModel,
    motion: Motion,
    lens: Camera,
    shown: dict[int, tuple[Rendering, Rendering]],
) -> None:
    seen = shown[PAINTED][0]
    there = surface(body, motion, lens, seen)
    carried, surety = carry(seen.rgb, there, there)
    sure = surety > 0.1
    assert sure.mean() > 0.2
    assert np.abs(carried - seen.rgb)[sure].max() < 2e-3
    assert not surety[there.face < 0].any()


def test_parts_are_where_they_are(
    body: BodyModel,
    motion: Motion,
    lens: Camera,
    shown: dict[int, tuple[Rendering, Rendering]],
) -> None:
    labels = face_labels(body.parts, len(body.faces))
    seen = [pair[0] for pair in shown.values()]
    surfaces = [surface(body, motion, lens, each) for each in seen]
    mattes = [each.alpha[..., 0] for each in seen]
    tones = tones_of(surfaces, [each.rgb for each in seen], mattes, labels)
    assert tones is not None
    assert np.array_equal(ColourModel.from_json(tones.to_json()).hair[0], tones.hair[0])
    for each, there, matte in zip(seen, surfaces, mattes, strict=True):
        drawn = part_labels(there, each.rgb, matte, labels, tones)
        assert ((drawn == 255) == (matte < 0.5)).all()
        means = {
            name: each.rgb[drawn == PARTS.index(name)].mean(0)
            for name in ("hair", "skin", "clothes")
        }
        assert means["hair"].max() < 0.4 < means["skin"][0]
        assert means["clothes"][2] > means["clothes"][0]
        mask = part_mask(drawn, ["hair"])
        assert 0 <= mask.min() and mask.max() <= 1 and 0.02 < mask.mean() < 0.4


def test_unknown_parts_and_bodies_without_parts_are_refused() -> None:
    assert parse_parts(" hair, skin ,") == ("hair", "skin")
    with pytest.raises(OptionError, match="no part 'nose'"):
        parse_parts("hair,nose")
    with pytest.raises(OptionError, match="tells no parts"):
        face_labels({}, 10)
