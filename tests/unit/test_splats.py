# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats out and back: the field's layout, and what a retouch changes in every frame."""

import dataclasses
import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from footage_media import write_movie
from performer_shot import performer_shot

from portraitgen.avatar.texture import spherical_harmonics
from portraitgen.body.model import BodyModel
from portraitgen.errors import AvatarError, DiskFull
from portraitgen.messages.splats import SplatsImported
from portraitgen.pipeline.data.avatars import frame_parameters, load_avatar
from portraitgen.pipeline.data.shots import Track
from portraitgen.pipeline.requests.linear_blending import _displayed, _light, colour_shift
from portraitgen.pipeline.requests.retouched_splats import import_splats
from portraitgen.pipeline.requests.splat_cloud import export_cloud
from portraitgen.pipeline.requests.splat_file import Splats, read_ply, write_ply
from portraitgen.pipeline.requests.splats import export_splats
from portraitgen.pipeline.requests.spz_file import read_spz, write_spz
from portraitgen.raster import rasterize
from portraitgen.shot import Shot
from portraitgen.tensors import load_arrays

FRAMES, SIZE = 4, 128


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture
def shot(tmp_path: Path, body: BodyModel) -> Shot:
    """A shot whose avatar holds something of everything."""
    plate = write_movie(tmp_path / "plate.mp4", FRAMES, size=(SIZE, SIZE))
    return performer_shot(tmp_path, plate, body, frames=FRAMES, size=SIZE, splats=600)


def drawn(shot: Shot, body: BodyModel, frame: int, version: int | None = None) -> tuple:
    """What the backend splats in a frame: its Gaussians with three features."""
    avatar = load_avatar(shot.version_folder("avatar", version), body).on("cpu")
    with torch.no_grad():
        made, _ = avatar.gaussians(frame_parameters(Track(shot).motion, [frame]), None, 3)
    return avatar, made


def seen(splats: Splats, eye: np.ndarray) -> np.ndarray:
    """Colours as the field's viewers show them, by their own formula."""
    away = splats.positions - eye
    x, y, z = (away / np.linalg.norm(away, axis=1, keepdims=True)).T
    basis = [-0.4886025 * y, 0.4886025 * z, -0.4886025 * x, 1.0925484 * x * y]
    basis += [-1.0925484 * y * z, 0.3153916 * (2 * z * z - x * x - y * y)]
    basis += [-1.0925484 * x * z, 0.5462742 * (x * x - y * y)]
    return 0.5 + 0.28209479 * splats.base + (np.stack(basis, 1)[..., None] * splats.rest).sum(1)


def without_harmonics(path: Path) -> None:
    """As a program leaves a file that keeps none."""
    path.write_bytes(path.read_bytes().replace(b" f_rest_", b" f_gone_"))


@pytest.mark.parametrize("turned", [False, True])
def test_a_file_shows_what_the_backend_draws(
    shot: Shot, body: BodyModel, tmp_path: Path, turned: bool
) -> None:
    world, matrix = None, np.eye(4)
    if turned:
        angle = 0.7
        matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        matrix[:3, 3] = 1, 2, 3
        world = tmp_path / "world.json"
        world.write_text(json.dumps({"frames": {"3": matrix.tolist()}}))
    export_splats(shot, tmp_path / "out.ply", frames="3", world=world)
    found = read_ply(tmp_path / "out.ply")
    _, made = drawn(shot, body, 3)
    wanted = made.means[0].numpy() @ matrix[:3, :3].T + matrix[:3, 3]
    assert np.abs(found.positions - wanted).max() < 1e-5
    assert np.abs(np.exp(found.scales) / made.scales[0].numpy() - 1).max() < 1e-4
    assert np.abs(1 / (1 + np.exp(-found.opacity)) - made.opacities[0].numpy()).max() < 1e-5
    assert np.abs(seen(found, matrix[:3, 3]) - made.features[0].numpy()).max() < 1e-4
    if not turned:
        agree = np.abs((found.rotations * made.quats[0].numpy()).sum(1))
        assert agree.min() > 1 - 1e-5


def test_a_sequence_is_a_file_a_frame(shot: Shot, tmp_path: Path) -> None:
    files = export_splats(shot, tmp_path / "out.ply", frames="2-4").files
    assert [Path(file).name for file in files] == [f"out.{n:04d}.ply" for n in (2, 3, 4)]
    with pytest.raises(AvatarError, match=r"PLY or SPZ; name a file that ends in \.ply or"):
        export_splats(shot, tmp_path / "out.splat")


def test_a_program_that_knows_floats_alone_reads_a_file(shot: Shot, tmp_path: Path) -> None:
    """An id of another kind shifted all that such programs read: splats lay metres away."""
    export_splats(shot, tmp_path / "out.ply", frames="2")
    header, body = (tmp_path / "out.ply").read_bytes().split(b"end_header\n", 1)
    names = [line.split()[2] for line in header.splitlines() if line.startswith(b"property float")]
    table = np.frombuffer(body, np.float32).reshape(-1, len(names))
    found = read_ply(tmp_path / "out.ply")
    assert len(table) == len(found.positions) and np.array_equal(table[:, :3], found.positions)
    assert np.array_equal(table[:, names.index(b"id")], np.arange(len(table)))


def test_files_that_are_replaced_are_told(shot: Shot, tmp_path: Path) -> None:
    (tmp_path / "out.0003.spz").write_text("mine")
    assert not export_splats(shot, tmp_path / "out.spz", frames="1-2").notes
    made = export_splats(shot, tmp_path / "out.spz", frames="2-4")
    assert made.notes == ("files that were there are replaced: 2",)


def test_splats_that_nobody_touched_change_nothing(shot: Shot, tmp_path: Path) -> None:
    export_splats(shot, tmp_path / "out.ply", frames="2")
    found = read_ply(tmp_path / "out.ply")
    for ids in (found.ids, None):
        write_ply(tmp_path / "again.ply", dataclasses.replace(found, ids=ids))
        if ids is None:
            without_harmonics(tmp_path / "again.ply")
        result = import_splats(shot, tmp_path / "again.ply", 2)
        assert (result.version, result.changed, result.erased) == (None, 0, 0)
        assert result.by == ("place" if ids is None else "id")
    assert shot.versions("avatar") == [1]


def test_splats_come_back_from_spz_and_only_what_was_touched_changes(
    shot: Shot, tmp_path: Path
) -> None:
    path = tmp_path / "out.spz"
    export_splats(shot, path, frames="2")
    result = import_splats(shot, path, 2)
    assert (result.version, result.changed, result.erased) == (None, 0, 0)
    found, _ = read_spz(path)
    found.base[:50, 0] += 0.4
    write_spz(path, found)
    result = import_splats(shot, path, 2)
    assert (result.version, result.changed, result.by) == (2, 50, "place")


def test_a_retouch_holds_in_every_frame(shot: Shot, body: BodyModel, tmp_path: Path) -> None:
    _, before = drawn(shot, body, 4)
    export_splats(shot, tmp_path / "out.ply", frames="2")
    found = read_ply(tmp_path / "out.ply")
    found.base[:50, 0] += 0.4
    found.positions[50] += [0.01, 0, 0]
    found.scales[51] += np.log(2)
    kept = np.delete(np.arange(len(found.positions)), slice(100, 130))
    fields = {
        field.name: getattr(found, field.name)[kept][::-1] for field in dataclasses.fields(found)
    }
    write_ply(tmp_path / "retouched.ply", Splats(**fields))
    result = import_splats(shot, tmp_path / "retouched.ply", 2)
    assert result == SplatsImported(2, 52, 30, 0, "id")
    avatar, after = drawn(shot, body, 4)
    assert avatar.gaussian_count == len(kept)
    change = (after.features - before.features[:, kept])[0].numpy()
    assert np.abs(change[:50, 0] - 0.4 * 0.28209479).max() < 1e-4
    # The moved one is seen from elsewhere.
    assert np.abs(change[51:]).max() < 1e-4
    moved = np.linalg.norm((after.means - before.means[:, kept])[0].numpy(), axis=1)
    assert moved[50] == pytest.approx(0.01, rel=0.3) and np.delete(moved, 50).max() < 1e-5
    scales = (after.scales / before.scales[:, kept])[0].numpy()
    assert np.abs(scales[51] - 2).max() < 1e-3 and np.abs(np.delete(scales, 51, 0) - 1).max() < 1e-3


def test_splats_without_ids_are_found_by_their_place(shot: Shot, tmp_path: Path) -> None:
    export_splats(shot, tmp_path / "out.ply", frames="1")
    found = read_ply(tmp_path / "out.ply")
    found.base[:, 1] -= 0.2
    found.positions[7] += 3
    write_ply(tmp_path / "retouched.ply", dataclasses.replace(found, ids=None))
    result = import_splats(shot, tmp_path / "retouched.ply", 1)
    assert result.by == "place" and (result.erased, result.unmatched) == (1, 1)
    assert result.changed == len(found.positions) - 1
    found.positions[:] += 3
    write_ply(tmp_path / "away.ply", dataclasses.replace(found, ids=None))
    with pytest.raises(AvatarError, match="none of its splats is the performer's"):
        import_splats(shot, tmp_path / "away.ply", 1, version=1)


def test_ids_that_a_program_gave_anew_are_not_believed(shot: Shot, tmp_path: Path) -> None:
    """All but one splat were erased, or each took the place of the next."""
    export_splats(shot, tmp_path / "out.ply", frames="2")
    found = read_ply(tmp_path / "out.ply")
    count = len(found.positions)
    for kept, ids in (
        (slice(None), np.zeros(count, np.int64)),
        (slice(1, None), np.arange(count - 1)),
        (slice(None, None, -1), np.arange(count)),
    ):
        fields = {each.name: getattr(found, each.name) for each in dataclasses.fields(found)}
        given = {name: value[kept] for name, value in (fields | {"ids": found.ids}).items()}
        write_ply(tmp_path / "anew.ply", Splats(**given | {"ids": ids}))
        result = import_splats(shot, tmp_path / "anew.ply", 2, version=1)
        assert result.by == "place" and result.unmatched == 0
        assert (result.changed, result.erased) == (0, count - len(ids))


def test_splats_of_another_frame_or_place_are_not_taken_for_moved(
    shot: Shot, tmp_path: Path
) -> None:
    path, world = tmp_path / "out.ply", tmp_path / "world.json"
    export_splats(shot, path, frames="3")
    found = read_ply(path)
    found.base[:20] += 0.3
    for ids in (found.ids, None):
        write_ply(path, dataclasses.replace(found, ids=ids))
        with pytest.raises(AvatarError, match="splats of frame 3, not 2; go to frame 3, or name"):
            import_splats(shot, path, 2)
    matrix = np.eye(4)
    matrix[:3, 3] = 0.02, 0, 0.01
    world.write_text(json.dumps({"frames": {"2": matrix.tolist()}}))
    export_splats(shot, path, frames="2", world=world)
    with pytest.raises(AvatarError, match="as a whole stand in another place; take them back in"):
        import_splats(shot, path, 2)
    found = read_ply(path)
    found.positions[:] = np.random.default_rng(0).normal(size=found.positions.shape)
    write_ply(path, found)
    with pytest.raises(AvatarError, match="most splats lie .* cm from where the performer has"):
        import_splats(shot, path, 2)
    assert shot.versions("avatar") == [1]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("positions", 1e20),
        ("positions", 11),
        ("positions", np.nan),
        ("positions", np.inf),
        ("rotations", 0),
        ("rotations", np.nan),
        ("scales", 23),
        ("scales", np.inf),
        ("scales", np.nan),
        ("base", np.nan),
        ("base", 1e6),
        ("rest", np.nan),
        ("rest", -np.inf),
        ("opacity", np.nan),
    ],
)
def test_what_no_splat_can_be_is_passed_over(
    shot: Shot, tmp_path: Path, field: str, value: float
) -> None:
    """It was taken for a retouch, and covered the picture; or the whole file was refused for it."""
    export_splats(shot, tmp_path / "out.ply", frames="2")
    found = read_ply(tmp_path / "out.ply")
    getattr(found, field)[5] = value
    for ids in (found.ids, None):
        write_ply(tmp_path / "out.ply", dataclasses.replace(found, ids=ids))
        result = import_splats(shot, tmp_path / "out.ply", 2, version=1)
        by_place = field == "positions" and ids is None
        assert (result.version, result.changed) == (2 if by_place else None, 0)
        # Without an id nothing tells which one it was.
        left = (0, 1, 1) if by_place else (1, 0, 0)
        assert (result.passed_over, result.unmatched, result.erased) == left
    found.base[6] += 0.2
    write_ply(tmp_path / "out.ply", found)
    result = import_splats(shot, tmp_path / "out.ply", 2, version=1)
    assert (result.changed, result.erased, result.passed_over) == (1, 0, 1)


def test_a_file_of_nothing_but_such_splats_is_refused(shot: Shot, tmp_path: Path) -> None:
    export_splats(shot, tmp_path / "out.ply", frames="2")
    found = read_ply(tmp_path / "out.ply")
    found.base[:] = np.nan
    write_ply(tmp_path / "out.ply", found)
    with pytest.raises(AvatarError, match="none of its splats is the performer's"):
        import_splats(shot, tmp_path / "out.ply", 2)


def test_splats_that_a_program_made_flat_or_hid_are_taken(shot: Shot, tmp_path: Path) -> None:
    export_splats(shot, tmp_path / "out.ply", frames="2")
    found = read_ply(tmp_path / "out.ply")
    found.scales[:4, 2] = -np.inf
    found.opacity[4:6] = -np.inf
    write_ply(tmp_path / "out.ply", found)
    result = import_splats(shot, tmp_path / "out.ply", 2)
    assert (result.changed, result.erased, result.passed_over) == (6, 0, 0)
    arrays = load_arrays(Path(export_cloud(shot).path))
    assert all(np.isfinite(values).all() for values in arrays.values())


def _as_other_programs_write(path: Path, order: str, kind: str, degree: int) -> None:
    """Writes a file of ours anew: in an order of bytes or as text, of floats or doubles, with its
    properties turned round and harmonics of another degree, an own property and faces behind."""
    header, body = path.read_bytes().split(b"end_header\n", 1)
    names = [line.split()[2].decode() for line in header.splitlines() if b"property" in line]
    rows = np.frombuffer(body, [(name, "<f4") for name in names])
    values = {name: rows[name].astype(np.float64) for name in names if "f_rest" not in name}
    count = {0: 0, 1: 3, 2: 8, 3: 15}[degree]
    for channel in range(3):
        for index in range(count):
            own = rows[f"f_rest_{channel * 8 + index}"] if index < 8 else np.full(len(rows), 0.01)
            values[f"f_rest_{channel * count + index}"] = own.astype(np.float64)
    values["mine"] = np.ones(len(rows))
    values = dict(reversed(values.items()))
    name = {"<": "binary_little_endian", ">": "binary_big_endian", "a": "ascii"}[order]
    lines = ["ply", f"format {name} 1.0", "comment of another program"]
    lines += [f"element vertex {len(rows)}", *(f"property {kind} {each}" for each in values)]
    lines += ["element face 0", "property list uchar int vertex_indices", "end_header", ""]
    if order == "a":
        table = np.stack(list(values.values()), 1)
        data = "\n".join(" ".join(f"{each:.9g}" for each in row) for row in table).encode()
    else:
        code = order + ("f4" if kind == "float" else "f8")
        data = np.stack(list(values.values()), 1).astype(code).tobytes()
    path.write_bytes("\n".join(lines).encode() + data)


@pytest.mark.parametrize(
    ("order", "kind", "degree"),
    [
        ("<", "double", 2),
        (">", "float", 2),
        (">", "double", 3),
        ("a", "float", 2),
        ("a", "double", 3),
        ("<", "float", 3),
    ],
)
def test_files_of_every_form_are_read(
    shot: Shot, tmp_path: Path, order: str, kind: str, degree: int
) -> None:
    export_splats(shot, tmp_path / "out.ply", frames="2")
    _as_other_programs_write(tmp_path / "out.ply", order, kind, degree)
    result = import_splats(shot, tmp_path / "out.ply", 2)
    assert (result.version, result.changed, result.by) == (None, 0, "id")


def test_a_compressed_file_is_refused_as_such(tmp_path: Path) -> None:
    lines = ["ply", "format binary_little_endian 1.0", "element chunk 1", "property float min_x"]
    lines += ["element vertex 1", "property uint packed_position", "end_header", ""]
    (tmp_path / "packed.ply").write_bytes("\n".join(lines).encode() + bytes(8))
    with pytest.raises(AvatarError, match=r"it is a compressed PLY\); write them as binary PLY"):
        read_ply(tmp_path / "packed.ply")


def test_what_blender_carries_gives_the_backends_gaussians(shot: Shot, body: BodyModel) -> None:
    """The file's own formula: fields and tints by their weights, triangles, harmonics."""
    answer = export_cloud(shot)
    arrays = load_arrays(Path(answer.path))
    avatar, made = drawn(shot, body, 3)
    row = arrays["frames"].tolist().index(3)
    weights = arrays["weights"][row]
    parameters = frame_parameters(Track(shot).motion, [3])
    with torch.no_grad():
        posed = avatar.pose_vertices(parameters, avatar.personal(parameters)[0])
        centre, frames, stretch = avatar.texture.carriers(posed)
    towards = torch.nn.functional.normalize(-made.means[0], dim=-1)
    local = (frames[0].mT @ towards[..., None])[..., 0]
    colour = arrays["colour"] + np.einsum("k,knc->nc", weights, arrays["tints"])
    colour = colour + np.einsum(
        "nk,nkc->nc", spherical_harmonics(local).numpy(), arrays["harmonics"]
    )
    assert np.abs(colour - made.features[0].numpy()).max() < 1e-5
    lifted = (
        centre[0]
        + (frames[0] @ (torch.from_numpy(arrays["offset"]) * stretch[0, :, None])[..., None])[
            ..., 0
        ]
    )
    assert np.abs(lifted.numpy() - made.means[0].numpy()).max() < 1e-6
    assert arrays["albedo"].min() >= 0 and arrays["albedo"].max() <= 1
    rough = {
        name: arrays["roughness"][body.parts[name].numpy()[avatar.texel_faces.numpy()]]
        for name in ("eyes", "face", "torso")
    }
    assert rough["eyes"].max() < rough["face"].min() <= 0.5 < rough["torso"].min() < 1
    assert answer.gaussians == len(arrays["opacity"])


def test_a_renderer_that_blends_light_shows_what_the_avatar_shows(
    shot: Shot, body: BodyModel
) -> None:
    """Blender's pictures were brighter, and soft where dark splats lie over bright ones."""
    avatar, track = load_avatar(shot.version_folder("avatar"), body).on("cpu"), Track(shot)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        colours = avatar.texture.features[:, :3]
        colours.copy_(torch.rand(colours.shape, generator=generator) * 0.8 + 0.1)
    shift = torch.from_numpy(colour_shift(avatar, track, SIZE))
    camera = torch.from_numpy(track.camera.window(track.box(2), SIZE).matrix())[None]
    with torch.no_grad():
        made, _ = avatar.gaussians(frame_parameters(track.motion, [2]), None, 3)

    def drawn(colours: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        place = torch.eye(4)[None], camera, SIZE, SIZE
        with torch.no_grad():
            scales = avatar.widened(made, torch.eye(4)[None], camera)
            shown = rasterize(made.means, made.quats, scales, made.opacities, colours, *place)
        covered = shown.alpha[..., 0] > 0.99
        return shown.features[covered], covered

    wanted, covered = drawn(made.features)
    assert covered.float().mean() > 0.2
    errors = [
        _displayed(drawn(_light(made.features + each))[0]) - wanted for each in (0 * shift, shift)
    ]
    assert errors[0].mean() > 0.01 and errors[1].mean().abs() < 5e-3
    assert errors[1].square().mean() < errors[0].square().mean() / 4


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"ply\nformat binary_little_endian 1.0\nelement vertex 99\nproperty float x\nend_header\n",
        b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n1\n",
        b"ply\nformat ascii 1.0\nelement vertex -1\nproperty float x\nend_header\n1\n",
        b"ply\nformat ascii 1.0\nelement vertex 1\nproperty list uchar int x\nend_header\n1\n",
        b"ply\nformat ascii 1.0\nelement vertex 9999999999\nproperty float x\nend_header\n1\n",
    ],
)
def test_damaged_files_are_one_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bad.ply").write_bytes(data)
    with pytest.raises(AvatarError, match=r"bad\.ply: the splats cannot be read .*; write them"):
        read_ply(tmp_path / "bad.ply")


def test_a_shot_that_nobody_may_write_to_comes_to_3d(
    shot: Shot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was refused, even where its splats lay there as they are."""
    monkeypatch.setenv("PORTRAITGEN_CACHE", str(tmp_path / "own"))
    current = Path(export_cloud(shot).path)
    whole = current.read_bytes()

    def refuse(path: Path) -> Path:
        raise error

    error: Exception = PermissionError(errno.EROFS, "read-only", str(current.parent))
    monkeypatch.setattr("portraitgen.pipeline.requests.splat_cloud.make_folder", refuse)
    answer = export_cloud(shot)
    assert Path(answer.path) == current and not answer.elsewhere
    assert not list((tmp_path / "own").rglob("*.safetensors"))
    current.unlink()
    answer = export_cloud(shot)
    own = tmp_path / "own" / "splats" / shot.record.id / current.name
    assert Path(answer.path) == own and answer.elsewhere and own.read_bytes() == whole
    error = DiskFull("the disk is full")
    with pytest.raises(DiskFull):
        export_cloud(shot)
