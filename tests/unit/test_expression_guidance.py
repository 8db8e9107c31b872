# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An edited face keeps the expression of its plate."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from portraitgen.body.model import BodyModel
from portraitgen.editing.editor import EditRequest
from portraitgen.editing.expression import warp_to_landmarks
from portraitgen.pipeline.data.expression_guide import ExpressionGuide
from portraitgen.tracking.landmarks import LandmarkDetector
from synthetic.acting import act, camera
from synthetic.render import Performer

_SIZE = 256


def grid() -> np.ndarray:
    """Points over a face in the middle of a picture, the eyes' corners where MediaPipe has them."""
    y, x = np.mgrid[80:180:22j, 80:180:22j]
    points = np.stack([x, y], axis=2).reshape(-1, 2)[:478]
    points[33], points[263] = (90, 110), (170, 110)
    return points


def test_what_moved_goes_back_and_the_rest_stays() -> None:
    meant = grid()
    picture = np.random.default_rng(0).random((_SIZE, _SIZE, 3)).astype(np.float32)
    picture = cv2.GaussianBlur(picture, (0, 0), 4)
    shown = meant + 6 * np.exp(-((meant - 130) ** 2).sum(1, keepdims=True) / 800)
    bent = warp_to_landmarks(picture, shown, meant)
    assert (bent[:40] == picture[:40]).all() and (bent[:, :40] == picture[:, :40]).all()
    y, x = np.mgrid[115:145, 115:145].astype(np.float32) + 0.5
    away = 6 * np.exp(-((x - 130) ** 2 + (y - 130) ** 2) / 800)
    there = cv2.remap(picture, x - 0.5 + away, y - 0.5 + away, cv2.INTER_LINEAR)
    unmoved = picture[115:145, 115:145]
    apart = [float(np.abs(each - there).mean()) for each in (bent[115:145, 115:145], unmoved)]
    assert apart[0] < 0.4 * apart[1], apart


def test_a_face_in_its_place_keeps_its_bits() -> None:
    picture = np.random.default_rng(0).random((_SIZE, _SIZE, 3)).astype(np.float32)
    points = grid()
    assert (warp_to_landmarks(picture, points + 0.5, points) == picture).all()


@pytest.fixture(scope="module")
def drifted() -> tuple[EditRequest, np.ndarray]:
    """A frame of the performer, and its edit by somebody who lets him smile in bronze."""
    body = BodyModel.load()
    motion = act(body, range(1, 3), 0)
    expression = motion.expression.copy()
    for name in ("mouthSmileLeft", "mouthSmileRight", "browInnerUp"):
        expression[:, body.expression_names.index(name)] += 0.8
    pictures = []
    for each in (motion, replace(motion, expression=expression)):
        pictures.append(Performer(body, each).render(1, camera(_SIZE)))
    bronze = pictures[1].rgb.mean(2, keepdims=True) * np.array([1.0, 0.8, 0.55], np.float32)
    seen = pictures[0]
    request = EditRequest(1, seen.rgb, seen.rgb, seen.alpha[..., 0], seen.normals)
    return request, bronze.astype(np.float32)


def drift(request: EditRequest, edited: np.ndarray) -> float:
    detector = LandmarkDetector()
    pictures = [(255 * each).astype(np.uint8) for each in (request.source, edited)]
    meant, shown = detector.whole([0, 1], pictures).face
    return float(np.linalg.norm(meant - shown, axis=1).mean())


def test_a_smile_that_the_editor_added_is_taken_back(
    drifted: tuple[EditRequest, np.ndarray],
) -> None:
    request, edited = drifted
    guide = ExpressionGuide(1.0)
    guided = guide.guided(edited, request)
    assert drift(request, guided) < 0.5 * drift(request, edited)
    mask = np.zeros((_SIZE, _SIZE), np.float32)
    mask[:100] = 0.5
    within = guide.guided(edited, replace(request, mask=mask))
    assert (within[100:] == edited[100:]).all() and (within[:100] == guided[:100]).all()
    blank = np.full_like(edited, 0.5)
    assert (guide.guided(blank, request) == blank).all(), "no face, nothing to compare"
    half = ExpressionGuide(0.5)
    between = drift(request, half.guided(edited, request))
    assert drift(request, guided) < between < drift(request, edited)
    off = ExpressionGuide(0.0)
    assert (off.guided(edited, request) == edited).all()
