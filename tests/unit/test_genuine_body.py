# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A body file of exactly SMPL-X's shapes and keys goes through tracking, rebuilding and the rig."""

from pathlib import Path

import numpy as np
import pytest

from portraitgen.body.model import _DLIB_INNER, OPEN_BODY, BodyModel
from portraitgen.body.registration import completed
from portraitgen.pipeline.data.shots import Track, body_of, create_shot
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.requests.rig import export_rig
from portraitgen.pipeline.run.progress import Reporter

VERTICES, FACES, SHAPES, EXPRESSIONS = 10475, 20908, 300, 100
CLIP = Path(__file__).parents[1] / "data" / "performer.mp4"


def write_genuine(path: Path) -> Path:
    """The open body thinned to SMPL-X's counts, in its layout: 51 landmarks, 400 directions."""
    with np.load(OPEN_BODY) as stored:
        ours = {name: stored[name] for name in stored.files}
    owner = ours["weights"].argmax(1)
    on_head = np.isin(owner, (12, 15, 22, 23, 24))
    rng = np.random.default_rng(0)
    others = rng.permutation(np.flatnonzero(~on_head))[: VERTICES - on_head.sum()]
    kept = np.sort(np.concatenate([np.flatnonzero(on_head), others]))
    place = np.full(len(owner), -1)
    place[kept] = np.arange(VERTICES)
    whole = (place[ours["f"]] >= 0).all(1)
    faces = place[ours["f"][whole]]
    renumbered = np.cumsum(whole) - 1
    padded = np.concatenate([faces, np.repeat(faces[-1:], FACES - len(faces), axis=0)])
    template = ours["v_template"][kept]
    joints = ours["J_regressor"] @ ours["v_template"]
    regressor = np.zeros((55, VERTICES), np.float32)
    for joint, at in enumerate(joints):
        near = np.argsort(np.linalg.norm(template - at, axis=1))[:60]
        system = np.vstack([template[near].T, np.ones(len(near))])
        regressor[joint, near] = np.linalg.lstsq(system, np.append(at, 1), rcond=None)[0]
    shapes = int(ours["n_shape"])
    directions = np.zeros((VERTICES, 3, SHAPES + EXPRESSIONS), np.float32)
    directions[:, :, :shapes] = ours["shapedirs"][kept][:, :, :shapes]
    units = ours["shapedirs"].shape[2] - shapes
    directions[:, :, SHAPES : SHAPES + units] = ours["shapedirs"][kept][:, :, shapes:]
    index = list(range(len(ours["mp_lmk_faces_idx"])))
    rows = [index[mark] for mark in _DLIB_INNER]
    uv_faces = ours["ft"][whole]
    np.savez(
        path,
        v_template=template,
        f=padded.astype(np.uint32),
        shapedirs=directions,
        posedirs=np.zeros((VERTICES, 3, 486), np.float16),
        J_regressor=regressor,
        weights=ours["weights"][kept],
        kintree_table=ours["kintree_table"],
        vt=ours["vt"],
        ft=np.concatenate([uv_faces, np.repeat(uv_faces[-1:], FACES - len(faces), axis=0)]),
        lmk_faces_idx=renumbered[ours["mp_lmk_faces_idx"][rows]],
        lmk_bary_coords=ours["mp_lmk_bary_coords"][rows],
        joint2num=np.array({"Pelvis": 0}, dtype=object),
    )
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_genuine(tmp_path_factory.mktemp("body") / "SMPLX_NEUTRAL.npz")


def test_it_has_exactly_the_genuine_shapes(file: Path) -> None:
    body = BodyModel.load(file)
    assert body.vertex_count == VERTICES and body.faces.shape == (FACES, 3)
    assert (body.n_shape, body.n_expression) == (SHAPES, EXPRESSIONS)
    assert len(body.landmarks.indices) == 51 and body.expression_bounds == (-3.0, 3.0)


def test_parts_and_dense_landmarks_are_carried_over_to_it(file: Path) -> None:
    opened, body = BodyModel.load(), completed(BodyModel.load(file))
    ours = opened.landmarks.on(opened.template.numpy(), opened.faces.numpy())
    theirs = body.landmarks.on(body.template.numpy(), body.faces.numpy())
    assert len(body.landmarks.indices) == len(opened.landmarks.indices) > 460
    assert 1000 * np.linalg.norm(ours - theirs, axis=1).mean() < 0.5
    assert set(body.parts) == set(opened.parts)
    # The file is padded with one face again and again.
    _, once = np.unique(body.faces.numpy(), axis=0, return_index=True)
    for part in ("lips", "face", "eyes", "teeth", "hands", "torso"):
        share = int(body.parts[part][once].sum()) / int(opened.parts[part].sum())
        assert 0.2 < share < 1.6, part
    assert sum(int(faces.sum()) for faces in body.parts.values()) == FACES
    assert completed(opened) is opened


def test_the_whole_way_with_it(file: Path, tmp_path: Path) -> None:
    shot = create_shot(tmp_path / "shot", CLIP, {"body_model": file})
    summary = run("track", shot.path, {"frames": "1-8"}, Reporter())
    assert summary.told()["tracked_frames"] == 8
    assert summary.told()["landmark_residual_percent"] < 3
    expression = Track(shot).motion.expression
    assert expression.shape == (8, EXPRESSIONS) and np.abs(expression).max() <= 3
    assert expression.min() < -0.01, "principal directions go both ways"
    assert body_of(shot).name == "SMPLX_NEUTRAL"
    rebuilt = run(
        "reconstruct",
        shot.path,
        {"steps": 6, "gaussians": 1500, "size": 64, "hold_out": 0},
        Reporter(),
    )
    assert np.isfinite(rebuilt.told()["psnr"])
    exported = export_rig(shot)
    assert exported.frames == 8 and Path(exported.path).exists()
