# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer that another renderer lit is laid over the plate as every take is."""

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import OpenImageIO as oiio  # noqa: N813
import pytest
import torch
from conftest import Command
from footage_media import write_movie
from performer_shot import performer_shot

from portraitgen.body.camera import Box
from portraitgen.body.model import BodyModel
from portraitgen.errors import FootageError
from portraitgen.footage.colour import resolve, to_linear, to_rec709
from portraitgen.footage.exr import read_exr
from portraitgen.footage.plate import open_plate
from portraitgen.pipeline.compositing.lit_frames import LitFrames
from portraitgen.pipeline.data.avatars import frame_parameters, load_avatar
from portraitgen.pipeline.data.shots import Track
from portraitgen.shot import Shot
from portraitgen.storage import read_json
from synthetic.acting import camera

FRAMES, SIZE = 2, 128


def write_rgba(path: Path, pixels: np.ndarray, said: tuple[float, ...] | None = None) -> None:
    """Writes linear colours multiplied by alpha, (H, W, 4), as Blender does."""
    path.parent.mkdir(exist_ok=True)
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], "half")
    spec.channelnames = tuple("RGBA"[: pixels.shape[2]])
    if said is not None:
        spec.attribute("chromaticities", oiio.TypeDesc("float[8]"), said)
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec)
    assert output.write_image(np.ascontiguousarray(pixels, np.float32)) and output.close()


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> Shot:
    folder = tmp_path_factory.mktemp("lit")
    plate = write_movie(folder / "plate.mp4", FRAMES, size=(SIZE, SIZE))
    return performer_shot(folder, plate, BodyModel.load(), frames=FRAMES, size=SIZE, splats=4000)


def dimmed(shot: Shot, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """The avatar of a frame in half the light, linear with alpha (H, W, 4), and as it is seen."""
    avatar = load_avatar(shot.version_folder("avatar"), BodyModel.load()).on("cpu")
    intrinsics = torch.from_numpy(camera(SIZE).matrix())[None]
    with torch.no_grad():
        drawn = avatar.render(frame_parameters(Track(shot).motion, [frame]), intrinsics, SIZE)
    colours, alpha = (each[0].permute(1, 2, 0).numpy() for each in (drawn.rgb, drawn.alpha))
    space = resolve(shot.record.footage.colour_space)
    linear = 0.5 * to_rec709(np.ascontiguousarray(colours.clip(0, 1)), space)
    return np.concatenate([linear * alpha, alpha], axis=2), to_linear(colours, space)


def plate_codes(path: Path, frame: int) -> np.ndarray:
    with closing(open_plate(path)) as plate:
        return next(codes for number, codes in plate.frames_uint8() if number == frame)


def test_a_take_without_an_edit_shows_the_lit_performer_over_its_plate(
    shot: Shot, portraitgen: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "lit"
    for frame in range(1, FRAMES + 1):
        write_rgba(folder / f"sun.{frame:04d}.exr", dimmed(shot, frame)[0])
    words = ["render", shot.path, "--take", "sun", "--plate", "--lit", folder, "--detail", "0"]
    done = portraitgen(*words)
    assert done.returncode == 0, done.stderr
    home = shot.path / "takes" / "sun" / "renders"
    passes = read_exr(home / "v001" / "frames" / "sun.0002.exr")
    inside = passes["Alpha"][..., 0] > 0.99
    assert inside.mean() > 0.1
    shown, before = passes["Combined"][..., :3][inside], dimmed(shot, 2)[1][inside]
    assert np.abs(shown - 0.5 * before).max() < 0.02 and before.mean() > 0.2
    original, written = (
        plate_codes(path, 2)
        for path in (shot.footage_path, next((home / "v001" / "plates").glob("sun.0002.*")))
    )
    cover = cv2.dilate(Track(shot).matte(2), np.ones((3, 3), np.uint8))
    changed = (written != original).any(-1)
    assert changed[cover > 128].mean() > 0.9 and not changed[cover == 0].any()
    said = read_json(home / "v001" / "render.json")
    assert said["settings"]["lit"] == str(folder) and said["edit"] is None
    # The same light goes on in its version, another one gets its own.
    assert portraitgen(*words).returncode == 0
    write_rgba(folder / "sun.0002.exr", dimmed(shot, 2)[0] * [2, 1, 1, 1])
    assert portraitgen(*words).returncode == 0
    assert sorted(each.name for each in home.iterdir()) == ["v001", "v002"]


def test_a_performer_that_stands_elsewhere_is_told(
    shot: Shot, portraitgen: Command, tmp_path: Path
) -> None:
    for frame in range(1, FRAMES + 1):
        write_rgba(tmp_path / "lit" / f"away.{frame:04d}.exr", np.roll(dimmed(shot, frame)[0], 40))
    words = ["render", shot.path, "--take", "away", "--lit", tmp_path / "lit"]
    done = portraitgen(*words)
    assert done.returncode == 0, done.stderr
    assert "was posed otherwise" in done.stdout + done.stderr
    refused = portraitgen(*words, "--drive", shot.path)
    assert refused.returncode == 1 and "lies over the plate" in refused.stderr


@pytest.mark.parametrize(
    ("pixels", "said", "reason"),
    [
        (None, None, "there is no picture of frame 1"),
        (np.zeros((8, 9, 4)), None, "the picture is 9 x 8, the plate 16 x 8"),
        (np.zeros((8, 16, 3)), None, "no red, green, blue and alpha"),
        (np.zeros((8, 16, 4)), (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767), "Rec"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(
    tmp_path: Path, pixels: np.ndarray | None, said: tuple[float, ...] | None, reason: str
) -> None:
    plate: Any = SimpleNamespace(width=16, height=8, space=resolve("sRGB"))
    if pixels is not None:
        write_rgba(tmp_path / "lit.0001.exr", pixels, said)
    with pytest.raises(FootageError, match=reason):
        LitFrames(str(tmp_path), plate, [1]).window(1, Box(0, 0, 8), 8)


def test_a_cut_or_foreign_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    plate: Any = SimpleNamespace(width=16, height=8, space=resolve("sRGB"))
    (tmp_path / "lit.0001.exr").write_bytes(b"no picture")
    lit = LitFrames(str(tmp_path), plate, [1])
    with pytest.raises(FootageError, match="missing or damaged"):
        lit.window(1, Box(0, 0, 8), 8)
    write_rgba(tmp_path / "lit.0001.exr", np.random.default_rng(1).random((8, 16, 4)))
    whole = (tmp_path / "lit.0001.exr").read_bytes()
    (tmp_path / "lit.0001.exr").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(FootageError, match="damaged"):
        lit.window(1, Box(0, 0, 8), 8)


def test_what_is_no_number_is_black(tmp_path: Path) -> None:
    plate: Any = SimpleNamespace(width=16, height=8, space=resolve("sRGB"))
    pixels = np.full((8, 16, 4), 0.25, np.float32)
    pixels[2, 3, 0] = np.nan
    write_rgba(tmp_path / "lit.0001.exr", pixels)
    colours, alpha = LitFrames(str(tmp_path), plate, [1]).window(1, Box(0, 0, 8), 8)
    assert np.isfinite(colours).all() and np.abs(alpha - 0.25).max() < 1e-3
