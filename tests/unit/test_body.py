# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body model: equal to the smplx package, careful with files, sound geometry."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from portraitgen.body.camera import Box, Camera
from portraitgen.body.geometry import rasterize_mesh, triangle_frames, vertex_normals
from portraitgen.body.model import OPEN_BODY, BodyModel, read_npz
from portraitgen.body.motion import Motion
from portraitgen.body.uv import gaussian_texels
from portraitgen.errors import BodyError, ShotError

ARKIT_SAMPLE = ("jawOpen", "eyeBlinkLeft", "mouthSmileRight", "browInnerUp", "tongueOut")


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


def random_inputs(body: BodyModel, seed: int = 0, batch: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "betas": torch.randn(batch, body.n_shape, generator=generator),
        "pose": 0.3 * torch.randn(batch, 55, 3, generator=generator),
        "expression": torch.rand(batch, body.n_expression, generator=generator),
        "transl": torch.randn(batch, 3, generator=generator),
    }


def genuine_shapes(path: Path, **changes: Any) -> Path:
    """A file of exactly the shapes of a genuine SMPLX_NEUTRAL.npz, its pickles among them."""
    generator = np.random.default_rng(0)
    vertices, faces = 10475, 20908
    weights = generator.random((vertices, 55)).astype(np.float32) ** 8
    regressor = generator.random((55, vertices)) ** 20
    parents = read_npz(OPEN_BODY)["kintree_table"].copy().astype(np.uint32)
    parents[0, 0] = 4294967295
    arrays = {
        "v_template": generator.normal(0, 0.3, (vertices, 3)),
        "f": generator.integers(0, vertices, (faces, 3), dtype=np.uint32),
        "shapedirs": generator.normal(0, 0.01, (vertices, 3, 400)),
        "posedirs": generator.normal(0, 0.001, (vertices, 3, 486)),
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": parents,
        "vt": generator.random((11313, 2)),
        "ft": generator.integers(0, 11313, (faces, 3), dtype=np.int64),
        "lmk_faces_idx": generator.integers(0, faces, 51),
        "lmk_bary_coords": generator.dirichlet([1, 1, 1], 51),
        "dynamic_lmk_faces_idx": generator.integers(0, faces, (79, 17)),
        "dynamic_lmk_bary_coords": generator.dirichlet([1, 1, 1], (79, 17)),
        "hands_componentsl": np.eye(45),
        "hands_componentsr": np.eye(45),
        "hands_meanl": np.zeros(45),
        "hands_meanr": np.zeros(45),
        "joint2num": np.array({"Pelvis": 0}, dtype=object),
    }
    np.savez(path, **{k: v for k, v in (arrays | changes).items() if v is not None})
    return path


def test_the_open_body_is_what_it_says(body: BodyModel) -> None:
    assert body.n_expression == 52 and set(ARKIT_SAMPLE) <= set(body.expression_names)
    assert body.n_shape >= 100 and len(body.joint_names) == 55
    covered = torch.stack(list(body.parts.values())).sum(0)
    assert (covered == 1).all(), "every face belongs to exactly one part"
    assert torch.allclose(body.weights.sum(1), torch.ones(body.vertex_count), atol=1e-6)
    assert np.allclose(body.landmarks.barycentric.sum(1), 1, atol=1e-5)
    assert len(body.landmarks.indices) == 468
    height = float(body.template[:, 1].max() - body.template[:, 1].min())
    assert 1.5 < height < 2.0
    assert "CC0" in " ".join(str(each) for each in read_npz(OPEN_BODY)["licence"])


@pytest.mark.parametrize("kind", ["open", "genuine"])
def test_it_poses_as_the_smplx_package_does(kind: str, tmp_path: Path) -> None:
    smplx = pytest.importorskip("smplx", reason="smplx is not installed (research licence)")
    folder = tmp_path / "smplx"
    folder.mkdir()
    path = folder / "SMPLX_NEUTRAL.npz"
    if kind == "genuine":
        genuine_shapes(path, joint2num=None)
        shapes, expressions = 300, 100
    else:
        own = read_npz(OPEN_BODY)
        shapes, expressions = 300, 52
        directions = np.zeros((len(own["v_template"]), 3, 400), np.float32)
        directions[:, :, : own["n_shape"]] = own["shapedirs"][:, :, : own["n_shape"]]
        directions[:, :, 300:352] = own["shapedirs"][:, :, own["n_shape"] :]
        weights = own["weights"].astype(np.float32)
        genuine_shapes(
            path,
            v_template=own["v_template"],
            f=own["f"],
            shapedirs=directions,
            posedirs=np.zeros((len(directions), 3, 486), np.float32),
            J_regressor=own["J_regressor"],
            weights=weights / weights.sum(1, keepdims=True),
            kintree_table=own["kintree_table"],
            joint2num=None,
        )
    reference = smplx.create(
        str(tmp_path), model_type="smplx", ext="npz", num_betas=shapes,
        num_expression_coeffs=expressions, use_pca=False, flat_hand_mean=True,
    )  # fmt: skip
    ours = BodyModel.load(path if kind == "genuine" else None)
    given = random_inputs(ours, batch=1)
    betas = torch.zeros(1, shapes)
    betas[:, : ours.n_shape] = given["betas"]
    pose = given["pose"]
    with torch.no_grad():
        theirs = reference(
            betas=betas, expression=given["expression"], transl=given["transl"],
            global_orient=pose[:, 0], body_pose=pose[:, 1:22].flatten(1), jaw_pose=pose[:, 22],
            leye_pose=pose[:, 23], reye_pose=pose[:, 24],
            left_hand_pose=pose[:, 25:40].flatten(1), right_hand_pose=pose[:, 40:].flatten(1),
        )  # fmt: skip
    mine = ours.forward(**given)
    assert (mine.vertices - theirs.vertices).abs().max() < 1e-5
    assert (mine.joints - theirs.joints[:, :55]).abs().max() < 1e-5


def test_a_genuine_file_loads_with_its_pickles_unread(tmp_path: Path) -> None:
    model = BodyModel.load(genuine_shapes(tmp_path / "SMPLX_NEUTRAL.npz"))
    assert (model.vertex_count, len(model.faces)) == (10475, 20908)
    assert (model.n_shape, model.n_expression) == (300, 100)
    assert model.parents[0] == -1 and len(model.landmarks.indices) == 51
    output = model.forward(**random_inputs(model, batch=2))
    assert output.vertices.shape == (2, 10475, 3) and torch.isfinite(output.vertices).all()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"weights": None}, "lacks 'weights'"),
        ({"weights": np.zeros((10475, 24))}, "'weights' has the shape"),
        ({"v_template": np.zeros((6890, 3))}, "disagree on the number of vertices"),
    ],
)
def test_a_file_of_another_model_is_one_sentence(
    changes: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(BodyError, match=sentence):
        BodyModel.load(genuine_shapes(tmp_path / "other.npz", **changes))


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 not a zip", b"\x93NUMPY"])
def test_a_missing_or_damaged_file_is_one_sentence(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "body.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BodyError, match="missing|cannot be read|lacks"):
        BodyModel.load(path)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3), st.integers(0, 100))
def test_turning_the_root_turns_the_whole_body(turn: list[float], seed: int) -> None:
    body = BodyModel.load()
    given_ = random_inputs(body, seed, batch=1) | {"transl": torch.zeros(1, 3)}
    plain = body.forward(**given_)
    spin = Rotation.from_rotvec(turn)
    pose = given_["pose"].clone()
    whole = spin * Rotation.from_rotvec(pose[0, 0].numpy())
    pose[0, 0] = torch.from_numpy(whole.as_rotvec()).float()
    turned = body.forward(**(given_ | {"pose": pose}))
    root = plain.joints[:, :1]
    matrix = torch.from_numpy(spin.as_matrix()).float()
    assert torch.allclose((plain.vertices - root) @ matrix.T + root, turned.vertices, atol=2e-5)


def test_some_vertices_are_the_same_as_of_all(body: BodyModel) -> None:
    given_ = random_inputs(body)
    chosen = torch.tensor([5, 13000, 77, 4000])
    whole = body.forward(**given_).vertices[:, chosen]
    assert torch.allclose(body.forward(**given_, vertices=chosen).vertices, whole, atol=1e-6)
    assert torch.allclose(body.restricted(chosen).forward(**given_).vertices, whole, atol=1e-6)


def test_the_lids_meet_and_the_jaw_opens(body: BodyModel) -> None:
    def act(unit: str, value: float) -> np.ndarray:
        expression = torch.zeros(1, 52)
        expression[0, body.expression_names.index(unit)] = value
        zeros = torch.zeros(1, 55, 3)
        out = body.forward(torch.zeros(1, body.n_shape), zeros, expression, torch.zeros(1, 3))
        marks = body.landmarks
        corners = out.vertices[0].numpy()[body.faces.numpy()[marks.faces]]
        return np.asarray((corners * marks.barycentric[..., None]).sum(1))

    neutral, shut = act("jawOpen", 0), act("eyeBlinkLeft", body.blink_closed)
    open_, closed = (np.linalg.norm(each[386] - each[374]) for each in (neutral, shut))
    assert closed < 0.45 * open_
    wide = act("jawOpen", 1.0)
    assert np.linalg.norm(wide[13] - wide[14]) > np.linalg.norm(neutral[13] - neutral[14]) + 0.02


def test_texels_lie_in_their_faces_and_favour_the_face(body: BodyModel) -> None:
    texels = gaussian_texels(body, 8000)
    assert len(texels.face) == 8000 and torch.allclose(
        texels.barycentric.sum(1), torch.ones(8000), atol=1e-5
    )
    assert (texels.barycentric >= 0).all() and (texels.area > 0).all()
    corners = body.template[body.faces]
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(
        dim=1
    )
    density = {
        part: float(body.parts[part][texels.face].sum() / area[body.parts[part]].sum())
        for part in ("face", "torso", "lips")
    }
    assert density["lips"] > density["face"] > 2 * density["torso"]
    seen = body.parts["face"].numpy().astype(float)
    assert body.parts["face"][gaussian_texels(body, 500, seen).face].all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_the_z_buffer_sees_what_rays_hit(seed: int) -> None:
    generator = np.random.default_rng(seed)
    vertices = generator.uniform((-1, -1, 1.5), (1, 1, 3), (9, 3))
    faces = np.arange(9).reshape(3, 3)
    camera = Camera(14, 13, 8.2, 7.6, 16, 15)
    face_id, barycentric, depth = rasterize_mesh(vertices, faces, camera)
    for row in range(15):
        for column in range(16):
            ray = np.array(
                [(column + 0.5 - camera.cx) / camera.fx, (row + 0.5 - camera.cy) / camera.fy, 1.0]
            )
            hits = {}
            for face, corners in enumerate(vertices[faces]):
                weights = np.linalg.solve(corners.T, ray)
                if (weights > 1e-9).all():
                    hits[1 / weights.sum()] = face
            near_edge = any(np.abs(np.linalg.solve(c.T, ray)).min() < 1e-6 for c in vertices[faces])
            if near_edge:
                continue
            expected = hits[min(hits)] if hits else -1
            assert face_id[row, column] == expected
            if hits:
                assert np.isclose(depth[row, column], min(hits), rtol=1e-5)
                point = (vertices[faces[expected]] * barycentric[row, column][:, None]).sum(0)
                assert np.allclose(point, ray * min(hits), atol=1e-4)


def test_normals_and_frames_are_unit_and_point_outwards(body: BodyModel) -> None:
    normals = vertex_normals(body.template, body.faces)
    used = torch.zeros(body.vertex_count, dtype=torch.bool)
    used[body.faces.flatten()] = True
    assert torch.allclose(normals[used].norm(dim=1), torch.ones(int(used.sum())), atol=1e-4)
    crown = body.template[:, 1].argmax()
    assert normals[crown, 1] > 0.8
    frames = triangle_frames(body.template[body.faces[:500]])
    eye = torch.eye(3).expand(500, 3, 3)
    assert torch.allclose(frames.transpose(1, 2) @ frames, eye, atol=1e-4)
    assert torch.allclose(torch.linalg.det(frames), torch.ones(500), atol=1e-4)


def test_a_windows_camera_sees_what_the_plates_does() -> None:
    plate = Camera(1500, 1500, 960, 540, 1920, 1080)
    box = Box(300, -40, 700)
    point = np.array([0.1, -0.05, 1.3])
    at = plate.project(point)
    assert np.allclose(plate.window(box, 256).project(point), (at - box[:2]) * 256 / 700)
    assert Camera.of(plate.record()) == plate


def test_a_motion_survives_the_disk_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    motion = Motion(
        np.array([1001, 1002, 1005]), np.zeros(4, np.float32), np.ones((3, 3), np.float32),
        np.zeros((3, 55, 3), np.float32), np.zeros((3, 52), np.float32),
        np.ones(3, bool), np.zeros(3, bool),
    )  # fmt: skip
    path = tmp_path / "params.safetensors"
    motion.save(path)
    again = Motion.load(path)
    assert np.array_equal(again.frames, motion.frames) and again.index(1005) == 2
    with pytest.raises(KeyError):
        again.index(1003)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ShotError, match="cannot be read"):
        Motion.load(path)
