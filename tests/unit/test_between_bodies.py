# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Motions between SMPL-X and the open body: rests, identities, expressions, hands, and files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from t_posed_body import write_t_posed
from test_genuine_body import VERTICES
from test_rig_export import FRAMES, shot  # noqa: F401 - a fixture.

from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion, posed
from portraitgen.body.registration import Registration, regions, registration_of
from portraitgen.body.retargeting import retarget
from portraitgen.errors import ShotError
from portraitgen.pipeline.data.shots import Track
from portraitgen.pipeline.requests.track_export import ExportOptions, export_track
from portraitgen.pipeline.requests.track_import import ImportOptions, import_track
from portraitgen.shot import Shot

HEAD, JAW = 15, 22


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_t_posed(tmp_path_factory.mktemp("smplx") / "SMPLX_NEUTRAL.npz")


@pytest.fixture(scope="module")
def bodies(model: Path) -> tuple[BodyModel, BodyModel, Registration]:
    opened, other = BodyModel.load(), BodyModel.load(model)
    return opened, other, registration_of(opened, other)


def talking(body: BodyModel, frames: int = 12) -> Motion:
    """An upper body that talks: a mouth that opens, brows, a nodding head, hands that gesture."""
    rng = np.random.default_rng(3)
    time = np.arange(frames) / 25
    pose = np.zeros((frames, 55, 3), np.float32)
    pose[:, 0] = [np.pi, 0, 0]
    pose[:, HEAD, 1], pose[:, 12, 0] = 0.3 * np.sin(6 * time), 0.1 * np.sin(9 * time)
    pose[:, 16, 2], pose[:, 17, 2] = -1.0 + 0.2 * np.sin(9 * time), 1.0
    pose[:, 18, 1], pose[:, 19, 1] = -0.9 + 0.3 * np.sin(12 * time), 0.8
    pose[:, JAW, 0] = 0.12 + 0.12 * np.sin(25 * time)
    pose[:, 25:40, 2], pose[:, 40:, 2] = -0.2, 0.2
    expression = np.zeros((frames, body.n_expression), np.float32)
    for unit in range(min(20, body.n_expression)):
        expression[:, unit] = 0.8 * rng.normal() * np.sin(time * rng.uniform(4, 16) + unit)
    betas = np.zeros(body.n_shape, np.float32)
    betas[:10] = rng.normal(size=10)
    place = np.tile(np.float32([0, 0.45, 1.6]), (frames, 1))
    seen = np.ones(frames, bool)
    return Motion(np.arange(frames), betas, place, pose, expression, seen, ~seen)


def test_a_talking_upper_body_goes_to_the_open_body_and_back(
    bodies: tuple[BodyModel, BodyModel, Registration],
) -> None:
    opened, other, registration = bodies
    motion = talking(other)
    there = retarget(motion, other, opened, registration, to_open=True)
    back = retarget(there.motion, opened, other, registration, to_open=False)
    apart = 1000 * np.linalg.norm(
        posed(other, motion).vertices.numpy() - posed(other, back.motion).vertices.numpy(), axis=2
    )
    told = {name: float(apart[:, where].mean()) for name, where in regions(other).items()}
    print("mm by region:", {name: round(value, 2) for name, value in told.items()})
    assert apart.mean() < 4 and told["head"] < 2 and max(told.values()) < 6
    assert set(there.error) == set(told) and there.error["head"] < 0.003
    assert there.motion.expression.min() >= 0 and there.motion.expression.max() <= 1
    assert np.abs(back.motion.pose[:, JAW, 0] - motion.pose[:, JAW, 0]).max() < 0.06
    # The joint rests on the open body: its unit opens the jaw.
    assert not there.motion.pose[:, JAW].any()


def test_the_registration_is_kept_and_a_damaged_one_made_again(
    bodies: tuple[BodyModel, BodyModel, Registration], tmp_path: Path
) -> None:
    opened, other, registration = bodies
    registration.save(tmp_path / "one.safetensors")
    again = Registration.load(tmp_path / "one.safetensors", VERTICES, len(other.faces))
    assert np.array_equal(again.rotations, registration.rotations)
    with pytest.raises(ValueError, match="another body"):
        Registration.load(tmp_path / "one.safetensors", VERTICES - 1, len(other.faces))


def test_an_export_as_smplx_comes_back_and_smplx_reads_it_so(
    shot: Shot,  # noqa: F811
    model: Path,
    tmp_path: Path,
) -> None:
    smplx = pytest.importorskip("smplx", reason="smplx is not installed (research licence)")
    told = export_track(shot, tmp_path / "smplx.npz", ExportOptions(smplx_model=model))
    assert any("head" in note and "mm" in note for note in told.notes)
    with np.load(tmp_path / "smplx.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    assert arrays["betas"].shape == (300,) and arrays["expression"].shape == (FRAMES, 100)
    other = BodyModel.load(model)
    with np.load(model, allow_pickle=True) as stored:
        whole = {name: stored[name] for name in stored.files}
    whole |= {
        "dynamic_lmk_faces_idx": np.zeros((79, 17), np.int64),
        "dynamic_lmk_bary_coords": np.full((79, 17, 3), 1 / 3),
    }
    folder = tmp_path / "smplx"
    folder.mkdir()
    np.savez(folder / "SMPLX_NEUTRAL.npz", **whole)
    for flat in (True, False):
        if not flat:
            options = ExportOptions(smplx_model=model, hands="mean")
            export_track(shot, tmp_path / "mean.npz", options)
            with np.load(tmp_path / "mean.npz") as stored:
                arrays = {name: stored[name] for name in stored.files}
        reference = smplx.create(
            str(tmp_path), model_type="smplx", ext="npz", num_betas=300,
            num_expression_coeffs=100, use_pca=False, flat_hand_mean=flat, batch_size=FRAMES,
        )  # fmt: skip
        names = ("global_orient", "body_pose", "jaw_pose", "leye_pose", "reye_pose", "transl")
        names += ("left_hand_pose", "right_hand_pose", "expression")
        given = {name: torch.from_numpy(arrays[name]).float() for name in names}
        betas = torch.from_numpy(arrays["betas"])[None].float().expand(FRAMES, -1)
        with torch.no_grad():
            theirs = reference(betas=betas, **given).vertices.numpy()
        if flat:
            ours = theirs
    assert np.abs(ours - theirs).max() < 1e-4, "the two ways to count hands are one pose"
    import_track(shot, tmp_path / "smplx.npz", ImportOptions(smplx_model=model))
    body = BodyModel.load()
    off = np.linalg.norm(
        posed(body, Track(shot, 2).motion).vertices.numpy()
        - posed(body, Track(shot, 1).motion).vertices.numpy(),
        axis=2,
    )
    assert 1000 * off[:, regions(body)["head"]].mean() < 4
    assert other.n_shape == 300


def test_hands_as_components_need_the_file_that_tells_them(
    shot: Shot,  # noqa: F811
    model: Path,
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "pca.npz",
        global_orient=np.tile([np.pi, 0, 0], (FRAMES, 1)),
        body_pose=np.zeros((FRAMES, 63)),
        left_hand_pose=rng.normal(size=(FRAMES, 12)),
        right_hand_pose=rng.normal(size=(FRAMES, 6)),
    )
    before = Track(shot).motion.pose[:, 25:]
    notes = import_track(shot, tmp_path / "pca.npz").notes
    assert any("principal components" in note for note in notes)
    assert np.array_equal(Track(shot).motion.pose[:, 25:], before)
    import_track(shot, tmp_path / "pca.npz", ImportOptions(smplx_model=model))
    assert not np.allclose(Track(shot).motion.pose[:, 25:], before)


def test_files_of_version_1_0_have_ten_components_of_each(tmp_path: Path) -> None:
    body = BodyModel.load(write_t_posed(tmp_path / "SMPLX_NEUTRAL.npz", (10, 10)))
    assert (body.n_shape, body.n_expression) == (10, 10)
    motion = talking(body, 3)
    assert np.isfinite(posed(body, motion).vertices.numpy()).all()


def test_an_open_body_is_no_smplx(shot: Shot, tmp_path: Path) -> None:  # noqa: F811
    from portraitgen.body.model import OPEN_BODY

    np.savez(tmp_path / "a.npz", global_orient=np.zeros((FRAMES, 3)))
    with pytest.raises(ShotError, match="no SMPL-X|not SMPL-X"):
        import_track(shot, tmp_path / "a.npz", ImportOptions(smplx_model=OPEN_BODY))
