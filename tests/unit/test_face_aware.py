# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Face-aware editing gives the editor the head at full size and changes nothing else by it."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest

from portraitgen.body.camera import Box
from portraitgen.body.model import BodyModel
from portraitgen.body.surface import Surface
from portraitgen.editing.editor import Editor, EditorInfo, EditRequest
from portraitgen.editing.face import FaceAware
from synthetic.acting import act, camera
from synthetic.render import Performer

SIZE = 192


@dataclass(frozen=True)
class NoOptions:
    pass


class Coarse(Editor):
    """Loses whatever is finer than a twelfth of the picture, and notes what it was shown."""

    info = EditorInfo("coarse", "Coarse", "A test's editor.")
    Options = NoOptions

    def __init__(self) -> None:
        super().__init__(NoOptions())
        self.shown: list[EditRequest] = []

    def _edit(self, request: EditRequest) -> np.ndarray:
        self.shown.append(request)
        small = cv2.resize(request.source, (24, 24), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def request_(body: BodyModel) -> EditRequest:
    motion = act(body, range(1, 2), 0)
    # Farther away than the usual window, with the head at a third of its side.
    lens = camera(SIZE).window(Box(-0.3 * SIZE, -0.2 * SIZE, 1.6 * SIZE), SIZE)
    seen = Performer(body, motion).render(1, lens)
    return EditRequest(
        frame=1,
        rendered=seen.rgb,
        source=seen.rgb,
        matte=seen.alpha[..., 0],
        normals=seen.normals,
        surface=Surface.of(body, seen.vertices, lens),
    )


def test_the_head_keeps_more_and_the_rest_keeps_its_bits(
    body: BodyModel, request_: EditRequest
) -> None:
    editor = Coarse()
    edited = FaceAware(editor, body).edit(request_)
    whole, near = editor.shown
    alone = Coarse().edit(whole)
    changed = np.abs(edited - alone).max(2) > 0
    assert near.surface is not None and near.source.shape == whole.source.shape
    # The square shows the head about its middle, larger than before.
    assert near.surface.camera.fx > 1.3 * whole.surface.camera.fx  # type: ignore[union-attr]
    skull = FaceAware(editor, body)._regions[0].vertices
    head = near.surface.camera.project(near.surface.vertices[skull])
    assert np.allclose((head.min(0) + head.max(0)) / 2, SIZE / 2, atol=0.1 * SIZE)
    assert 0.05 < changed.mean() < 0.5
    # Arms and the empty ground are as the editor alone leaves them.
    assert not changed[-SIZE // 8 :].any() and not changed[:, : SIZE // 8].any()
    inside = changed & (request_.matte > 0.9)
    error = [np.abs(each - request_.source)[inside].mean() for each in (edited, alone)]
    assert error[0] < 0.8 * error[1]


def test_strength_parts_and_large_heads(body: BodyModel, request_: EditRequest) -> None:
    editor = Coarse()
    nothing = FaceAware(editor, body).edit(replace(request_, strength=0))
    assert np.array_equal(nothing, request_.source)
    mask = np.zeros((SIZE, SIZE), np.float32)
    mask[: SIZE // 2] = 1
    masked = FaceAware(editor, body).edit(replace(request_, mask=mask))
    assert np.array_equal(masked[SIZE // 2 :], request_.source[SIZE // 2 :])
    assert request_.surface is not None
    lens = camera(SIZE).window(Box(0.3 * SIZE, 0.2 * SIZE, 0.4 * SIZE), SIZE)
    surface = request_.surface.seen_by(lens)
    editor.shown.clear()
    FaceAware(editor, body).edit(replace(request_, surface=surface))
    assert len(editor.shown) == 1


def test_a_hand_that_is_large_is_edited_at_full_size_too(body: BodyModel) -> None:
    motion = act(body, range(1, 2), 0)
    motion.pose[0, 16], motion.pose[0, 18] = (0, 0, -0.5), (0, -0.2, 2.2)
    lens = camera(SIZE).window(Box(0.1 * SIZE, 0, 2 * SIZE), SIZE)
    seen = Performer(body, motion).render(1, lens)
    surface = Surface.of(body, seen.vertices, lens)
    request = EditRequest(1, seen.rgb, seen.rgb, seen.alpha[..., 0], seen.normals, surface=surface)
    editor = Coarse()
    edited = FaceAware(editor, body).edit(request)
    assert len(editor.shown) == 3, "the whole, the head and the one hand that is seen"
    near = editor.shown[2].surface
    hand = body.weights.numpy()[:, [20, *range(25, 40)]].sum(1) > 0.5
    assert near is not None
    assert np.allclose(near.camera.project(near.vertices[hand]).mean(0), SIZE / 2, atol=SIZE / 6)
    shown = np.zeros((SIZE, SIZE), bool)
    shown[surface.face >= 0] = hand[surface.faces[surface.face[surface.face >= 0]]].all(1)
    alone = Coarse().edit(request)
    error = [np.abs(each - request.source)[shown].mean() for each in (edited, alone)]
    assert error[0] < 0.8 * error[1]
