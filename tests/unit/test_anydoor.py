# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""AnyDoor's contract, kept and broken by a small program in place of the checkout's."""

import dataclasses
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from portraitgen.editing.editor import EditRequest
from portraitgen.editing.editors.anydoor import AnyDoor
from portraitgen.editing.registry import create_editor
from portraitgen.errors import Cancelled, EditError

HEIGHT, WIDTH = 41, 30

PROGRAM = """
# SPDX-License-Identifier: GPL-3.0-or-later
import json, os, sys, time

mode = open("mode.txt").read()


def say(**message):
    print(json.dumps(message), flush=True)


open("pid.txt", "w").write(str(os.getpid()))
if mode == "crash at start":
    sys.exit("ModuleNotFoundError: No module named 'ldm'")
print("Loading model from anydoor.ckpt", flush=True)
print('{"loss": 1}', flush=True)
say(type="ready", contract=2 if mode == "newer" else 1)
for line in sys.stdin:
    asked = json.loads(line)
    say(type="progress", step=1, steps=asked["steps"])
    if mode == "crash":
        print("CUDA out of memory", file=sys.stderr)
        sys.exit(3)
    if mode == "hang":
        time.sleep(60)
    if mode == "fail":
        say(type="failed", message="the garment\\nis too small")
        continue
    if mode != "nothing":
        import cv2, numpy as np

        image, garment = cv2.imread(asked["image"]), cv2.imread(asked["garment"])
        mask = cv2.imread(asked["mask"], 0)[..., None] / 255
        inside = cv2.imread(asked["garment_mask"], 0) > 127
        noise = np.random.default_rng(asked["seed"]).normal(0, 8, image.shape)
        dressed = image * (1 - mask) + mask * (garment[inside].mean(0) + noise)
        cv2.imwrite(asked["output"], np.clip(dressed, 0, 255).astype(np.uint8))
    say(type="done")
"""


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user has allowed all programs of these tests."""
    monkeypatch.setattr("portraitgen.trust.is_allowed", lambda program: True)


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A checkout whose program keeps the contract; mode.txt tells it to break it."""
    (tmp_path / "portraitgen_anydoor.py").write_text(PROGRAM)
    (tmp_path / "mode.txt").write_text("right")
    garment = np.zeros((20, 16, 4), np.uint8)
    garment[5:15, 4:12] = (30, 60, 220, 255)
    cv2.imwrite(str(tmp_path / "garment.png"), garment)
    cv2.imwrite(str(tmp_path / "plain.png"), garment[..., :3])
    yield tmp_path
    if (tmp_path / "pid.txt").exists():
        assert gone(int((tmp_path / "pid.txt").read_text())), "the program outlived the editor"


def gone(pid: int) -> bool:
    if os.name != "posix":
        return True  # There is no harmless way to ask.
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def editor(folder: Path, mode: str = "right", **options: Any) -> AnyDoor:
    (folder / "mode.txt").write_text(mode)
    chosen = {"garment": str(folder / "garment.png"), "checkout": str(folder)}
    made = create_editor("anydoor", chosen | options)
    assert isinstance(made, AnyDoor)
    return made


def request(**changes: Any) -> EditRequest:
    generator = np.random.default_rng(0)
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[20:38, 5:25] = 1
    made = EditRequest(
        frame=4,
        rendered=np.full((HEIGHT, WIDTH, 3), 0.5, np.float32),
        source=generator.uniform(0, 1, (HEIGHT, WIDTH, 3)).astype(np.float32),
        matte=np.ones((HEIGHT, WIDTH), np.float32),
        normals=np.zeros((HEIGHT, WIDTH, 3), np.float32),
        mask=mask,
    )
    return dataclasses.replace(made, **changes)


def test_one_process_dresses_frame_after_frame(checkout: Path) -> None:
    door, asked = editor(checkout), request()
    first = door.edit(asked)
    pid = (checkout / "pid.txt").read_text()
    again, other = door.edit(asked), door.edit(request(seed=1))
    assert (checkout / "pid.txt").read_text() == pid
    assert first.shape == (HEIGHT, WIDTH, 3) and first.dtype == np.float32
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert asked.mask is not None
    assert np.array_equal(first[asked.mask == 0], asked.source[asked.mask == 0])
    colour = first[asked.mask > 0].mean(0) * 255
    assert np.allclose(colour, (220, 60, 30), atol=4)


def test_strength_zero_starts_nothing_and_half_goes_half_the_way(checkout: Path) -> None:
    door = editor(checkout)
    asked = request(strength=0.0)
    assert door.edit(asked) is asked.source
    assert not (checkout / "pid.txt").exists()
    whole, half = door.edit(request()), door.edit(request(strength=0.5))
    assert np.allclose(half, (whole + asked.source) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("crash at start", r"ended with status 1 \(ModuleNotFoundError: No module named 'ldm'\)"),
        ("newer", "version 2 of the contract, not 1"),
        ("crash", r"ended with status 3 \(CUDA out of memory\)"),
        ("fail", "failed: the garment is too small"),
        ("nothing", "left no picture"),
    ],
)
def test_a_fault_is_told_in_one_sentence(checkout: Path, mode: str, message: str) -> None:
    with pytest.raises(EditError, match=message) as failure:
        editor(checkout, mode).edit(request())
    assert "\n" not in str(failure.value)


def test_after_a_crash_the_next_frame_starts_it_anew(checkout: Path) -> None:
    door = editor(checkout, "crash")
    with pytest.raises(EditError, match="status 3"):
        door.edit(request())
    (checkout / "mode.txt").write_text("right")
    assert door.edit(request()).shape == (HEIGHT, WIDTH, 3)


def test_a_program_that_hangs_is_ended_at_its_limit(checkout: Path) -> None:
    door = editor(checkout, "hang", edit_limit=1)
    with pytest.raises(EditError, match="no answer in 1 seconds"):
        door.edit(request())
    assert gone(int((checkout / "pid.txt").read_text()))


def test_the_user_may_stop_it(checkout: Path) -> None:
    door = editor(checkout, "hang")
    door.prepare([])

    def stop() -> None:
        raise Cancelled

    door.check = stop
    with pytest.raises(Cancelled):
        door.edit(request())
    assert gone(int((checkout / "pid.txt").read_text()))


def test_what_is_missing_is_said(checkout: Path, tmp_path: Path) -> None:
    for options, message in (
        ({"garment": ""}, "needs a garment"),
        ({"garment": str(tmp_path / "none.png")}, "cannot be read"),
        ({"checkout": ""}, "needs your checkout"),
        ({"script": "none.py"}, "holds no none.py"),
    ):
        with pytest.raises(EditError, match=message):
            editor(checkout, **options)
    with pytest.raises(EditError, match="cannot be started"):
        editor(checkout, python=str(tmp_path / "python")).prepare([])
    with pytest.raises(EditError, match="no mask"):
        editor(checkout).edit(request(mask=None))
    with pytest.raises(EditError, match="not cut out"):
        editor(checkout, garment=str(checkout / "plain.png")).edit(request())
    with pytest.raises(EditError, match="commercially"):
        create_editor(
            "anydoor",
            {"garment": str(checkout / "garment.png"), "checkout": str(checkout)},
            commercial=True,
        )


PUBLIC = """
# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np

print("loading anydoor.ckpt")


class Sampler:
    def sample(self, steps, samples, shape=None, **named):
        print("sampling")
        return steps


ddim_sampler = Sampler()


def inference_single_image(ref_image, ref_mask, tar_image, tar_mask, guidance_scale=5.0):
    assert ref_image.shape[2] == 3 and set(np.unique(ref_mask)) <= {0, 1}
    steps = ddim_sampler.sample(50, 1, shape=(4, 64, 64), verbose=False)
    if steps == 13:
        raise RuntimeError("CUDA out of memory")
    made = tar_image.copy()
    colour = ref_image[ref_mask > 0].mean(0)
    made[tar_mask > 0] = colour * (steps / 25) + np.random.randint(0, 3)
    return made
"""


def test_a_public_checkout_needs_no_program_of_the_users(tmp_path: Path, checkout: Path) -> None:
    (checkout / "portraitgen_anydoor.py").unlink()
    (checkout / "run_inference.py").write_text(PUBLIC)
    options = {"garment": str(checkout / "garment.png"), "checkout": str(checkout)}
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    mask[10:30, 8:20] = 1
    grey = np.full((HEIGHT, WIDTH, 3), 0.5, np.float32)
    asked = EditRequest(3, grey, grey, np.ones_like(mask), grey, mask=mask, seed=4)
    editor = create_editor("anydoor", options)
    made = editor.edit(asked)
    assert np.allclose(made[20, 12], np.array([220, 60, 30]) / 255, atol=0.02)
    assert np.array_equal(made[0, 0], grey[0, 0])
    assert np.array_equal(made, editor.edit(asked)), "the seed is heeded"
    half = create_editor("anydoor", options | {"steps": 12}).edit(asked)
    assert half[20, 12, 0] < 0.6 * made[20, 12, 0], "the steps are heeded"
    with pytest.raises(EditError, match="RuntimeError: CUDA out of memory"):
        create_editor("anydoor", options | {"steps": 13}).edit(asked)


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path, checkout: Path) -> None:
    (checkout / "portraitgen_anydoor.py").unlink()
    options = {"garment": str(checkout / "garment.png"), "checkout": str(checkout)}
    with pytest.raises(EditError, match=r"holds no run_inference\.py.*ali-vilab/AnyDoor"):
        create_editor("anydoor", options)
