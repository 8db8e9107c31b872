# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes of the main job: parts, masks, key frames, tries, lights, looks, copies."""

import json
import shutil
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import Command, plate_and_take

from portraitgen.editing.paint_layers import PaintedFrames
from portraitgen.errors import Cancelled, EditError, PortraitError
from portraitgen.footage.crop import place
from portraitgen.footage.exr import read_exr
from portraitgen.footage.plate import open_plate
from portraitgen.job_results import ApplyResult
from portraitgen.messages.takes import FrameTried
from portraitgen.pipeline.data.edit_mask import EditMask
from portraitgen.pipeline.data.key_frames import KeptKeys, keep_key, tried_path
from portraitgen.pipeline.data.shots import Track, body_of
from portraitgen.pipeline.jobs.edit import EditOptions
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.requests.preview import preview_frame
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.renders import render_of
from portraitgen.shot import Shot
from portraitgen.storage import read_json, write_json


def test_an_edit_of_the_same_take_keeps_the_earlier_one(copied: Path, portraitgen: Command) -> None:
    words = ["edit", copied, "--take", "toon", "--editor", "pixel", "--steps", "10", "--keys", "2"]
    done = portraitgen(*words)
    assert done.returncode == 0, done.stderr
    take = read_json(copied / "takes" / "toon" / "take.json")
    assert take["edit"] == 2 and take["settings"]["editor"] == "pixel"
    assert (copied / "takes" / "toon" / "edits" / "0001" / "avatar.safetensors").exists()


def test_only_the_parts_asked_for_change(copied: Path, clip: Path, portraitgen: Command) -> None:
    for words in (
        ["edit", copied, "--take", "dyed", "--editor", "grade", "--set", "exposure=2"]
        + ["--parts", "hair", "--steps", "20", "--keys", "2"],
        ["render", copied, "--take", "dyed", "--plate", "--frames", "8"],
    ):
        done = portraitgen(*words)
        assert done.returncode == 0, done.stderr
    plate, dyed = plate_and_take(copied, "dyed", 8, clip)
    changed = (plate != dyed).any(-1)
    assert 0.02 < changed.mean() < 0.2
    assert not changed[320:].any(), "the chin or the clothes were touched"
    assert dyed[changed].mean() > plate[changed].mean() + 10


def test_a_mask_that_was_given_out_and_not_painted_masks_nothing(
    copied: Path, portraitgen: Command
) -> None:
    """It hid the edit everywhere, and nobody was told."""
    grade = EditOptions("scar", "grade", '{"exposure": 1}')
    whole = preview_frame(Shot.open(copied), 6, grade)
    # Each try writes over the one before.
    free, changed = read_picture(whole.path), changed_between(whole)
    for frame in ("2", "6"):
        assert portraitgen("paint", copied, "--take", "scar", "--frame", frame, "--mask").stdout
    tried = preview_frame(Shot.open(copied), 6, grade)
    assert np.array_equal(read_picture(tried.path), free)
    assert tried.notes == (
        "The mask of frames 2, 6 has no paint yet and is left out: the editor works on the whole"
        " performer",
    )
    path = copied / "takes" / "scar" / "mask" / "0002.png"
    window = cv2.imread(str(path))
    assert window is not None
    side = window.shape[0]
    cv2.imwrite(str(path), cv2.circle(window, (side // 2, side // 2), side // 12, (0, 0, 255), -1))
    tried = preview_frame(Shot.open(copied), 6, grade)
    assert tried.notes == ("The mask of frame 6 has no paint yet and is left out",)
    assert 0 < changed_between(tried) < changed / 4
    moved = Shot.open(copied).discard_mask("scar")
    assert moved is not None and (moved / "0002.png").exists()
    assert Shot.open(copied).discard_mask("scar") is None
    assert preview_frame(Shot.open(copied), 6, grade).notes == ()


def read_picture(path: str) -> np.ndarray:
    picture = cv2.imread(path)
    assert picture is not None
    return picture


def changed_between(tried: FrameTried) -> int:
    return int((read_picture(tried.path) != read_picture(tried.plate)).any(2).sum())


def test_a_painted_mask_holds_the_edit_where_it_lies_on_the_body(
    copied: Path, clip: Path, portraitgen: Command
) -> None:
    given = portraitgen("paint", copied, "--take", "scar", "--frame", "2", "--mask")
    assert given.returncode == 0 and "it changes there only" in given.stdout
    path = copied / "takes" / "scar" / "mask" / "0002.png"
    window = cv2.imread(str(path))
    assert window is not None
    side = window.shape[0]
    # About the middle of the face, in the window of head and shoulders.
    middle = (side // 2, int(0.45 * side))
    assert cv2.imwrite(str(path), cv2.circle(window, middle, side // 12, (0, 0, 255), -1))
    for words in (
        ["edit", copied, "--take", "scar", "--editor", "grade", "--set", "exposure=2"]
        + ["--steps", "20", "--keys", "2"],
        ["render", copied, "--take", "scar", "--plate", "--frames", "2-12"],
    ):
        done = portraitgen(*words)
        assert done.returncode == 0, done.stderr
    assert (copied / "takes" / "scar" / "edits" / "0001" / "mask" / "0002.base.png").exists()
    for frame in (2, 12):
        plate, scarred = plate_and_take(copied, "scar", frame, clip)
        changed = (plate != scarred).any(-1)
        assert 0.003 < changed.mean() < 0.1
        assert scarred[changed].mean() > plate[changed].mean() + 10
    assert not changed[:100].any() and not changed[400:].any()


def test_a_mix_of_nothing_is_the_plate_to_the_bit(
    copied: Path, clip: Path, portraitgen: Command
) -> None:
    done = portraitgen(
        "render", copied, "--take", "toon", "--plate", "--frames", "4-8", "--mix", "4:0,8:1"
    )
    assert done.returncode == 0, done.stderr
    changes = []
    for frame in (4, 6, 8):
        plate, mixed = plate_and_take(copied, "toon", frame, clip)
        changes.append(np.abs(plate.astype(int) - mixed).mean())
    assert changes[0] == 0 < changes[1] < changes[2]


def test_a_take_builds_on_another(copied: Path, portraitgen: Command) -> None:
    words = ["edit", copied, "--take", "dark", "--editor", "grade", "--set", "exposure=-2"]
    done = portraitgen(*words, "--base", "toon", "--steps", "30", "--keys", "4")
    assert done.returncode == 0, done.stderr
    assert read_json(copied / "takes" / "dark" / "edits" / "0001" / "edit.json")["base"] == "toon"
    for take in ("dark", "toon"):
        rendered = portraitgen("render", copied, "--take", take, "--frames", "8")
        assert rendered.returncode == 0, rendered.stderr
    dark, toon = (
        read_exr(copied / "takes" / take / "renders" / "v001" / "frames" / f"{take}.0008.exr")[
            "Combined"
        ][..., :3]
        for take in ("dark", "toon")
    )
    assert dark.mean() < 0.6 * toon.mean()


def test_a_frame_given_out_to_paint_is_never_overwritten(
    copied: Path, clip: Path, portraitgen: Command
) -> None:
    words = ["paint", copied, "--take", "tattoo", "--frame", "8"]
    assert portraitgen(*words).returncode == 0
    path = copied / "takes" / "tattoo" / "paint" / "0008.png"
    picture = cv2.imread(str(path))
    assert picture is not None and picture.shape[0] >= 512
    cv2.circle(picture, (picture.shape[1] // 2, picture.shape[0] // 2), 30, (200, 40, 20), -1)
    cv2.imwrite(str(path), picture)
    before = path.read_bytes()
    assert portraitgen(*words).returncode == 0 and path.read_bytes() == before
    edit = ["edit", copied, "--take", "tattoo", "--editor", "paint", "--steps", "10", "--keys", "2"]
    done = portraitgen(*edit)
    assert done.returncode == 0, done.stderr
    facts = read_json(copied / "takes" / "tattoo" / "edits" / "0001" / "edit.json")
    assert 8 in facts["key_frames"]
    # The avatar has hardly learned it; what the brush drew is laid over it in every frame.
    path.write_bytes(b"changed after the edit")
    done = portraitgen("render", copied, "--take", "tattoo", "--plate")
    assert done.returncode == 0, done.stderr
    for frame in (8, 2):
        plate, painted = plate_and_take(copied, "tattoo", frame, clip)
        touched = (plate != painted).any(-1).mean()
        assert touched < 0.05, f"{touched:.3f} of frame {frame} is not the plate's any more"
        shown = cv2.imread(
            str(
                copied
                / "takes"
                / "tattoo"
                / "renders"
                / "v001"
                / "frames"
                / f"tattoo.{frame:04d}.png"
            )
        )
        assert shown is not None
        blue = (np.abs(shown.astype(int) - (200, 40, 20)).max(2) < 40).sum() / shown[..., 0].size
        assert blue > 0.6 * np.pi * 30**2 / picture[..., 0].size, f"frame {frame}"


def test_the_performer_alone_through_another_camera(copied: Path, portraitgen: Command) -> None:
    camera = {"fx": 700, "fy": 700, "cx": 160, "cy": 120, "matrix": np.eye(4).tolist()}
    facts = {"width": 320, "height": 240, "frames": {"8": camera}}
    (copied / "cameras.json").write_text(json.dumps(facts))
    words = ["render", copied, "--take", "toon", "--frames", "8"]
    done = portraitgen(*words, "--camera", copied / "cameras.json")
    assert done.returncode == 0, done.stderr
    folder = next((copied / "takes" / "toon").glob("alone-*"))
    exr = next(folder.rglob("toon.0008.exr"))
    passes = read_exr(exr)
    assert passes["Combined"].shape == (240, 320, 4)
    assert 0.02 < (passes["Alpha"] > 0.5).mean() < 0.95
    picture = cv2.imread(str(exr.with_suffix(".png")), -1)
    assert picture is not None and picture.shape == (240, 320, 4)
    assert "No effect" not in done.stderr
    done = portraitgen(*words, "--drive", copied, "--plate", "--grain", "1")
    assert done.returncode == 0, done.stderr
    assert "drawn alone: plate and grain." in done.stderr
    both = list((copied / "takes" / "toon").glob("alone-*"))
    assert len(both) == 2, "one overwrote the other"
    driven = read_exr(next(next(each for each in both if each != folder).rglob("toon.0008.exr")))
    assert driven["Combined"].shape == (128, 128, 4)


def test_a_clean_plate_that_nothing_needs_is_told(copied: Path, portraitgen: Command) -> None:
    picture = copied / "clean.png"
    assert cv2.imwrite(str(picture), np.zeros((8, 8, 3), np.uint8))
    words = ["render", copied, "--take", "toon", "--frames", "8"]
    done = portraitgen(*words, "--clean", picture)
    assert done.returncode == 0, done.stderr
    assert "clean plate is not used" in done.stderr


def test_a_key_frame_that_was_kept_and_repainted_is_what_is_learned(
    copied: Path, portraitgen: Command
) -> None:
    words = ["edit", copied, "--take", "toon", "--editor", "toon", "--steps", "8"]
    keep = ["keep", copied, "--take", "toon", "--frame"]
    facts = read_json(copied / "takes" / "toon" / "edits" / "0001" / "edit.json")
    frame = facts["key_frames"][0]
    refused = portraitgen(*keep, "99")
    assert refused.returncode == 1 and f"choose one of {frame}" in refused.stderr
    assert portraitgen(*keep, frame).returncode == 0
    path = copied / "takes" / "toon" / "keys" / f"{frame:04d}.png"
    made = cv2.imread(str(path))
    assert made is not None
    assert cv2.imwrite(str(path), np.full_like(made, (0, 200, 0)))
    assert "takes the place" in portraitgen(*keep, frame).stdout
    done = portraitgen(*words)
    assert done.returncode == 0, done.stderr
    edit = copied / "takes" / "toon" / "edits" / "0002"
    assert facts["anchor"] in facts["key_frames"]
    again = read_json(edit / "edit.json")
    assert again["kept_frames"] == [frame] and again["anchor"] == frame
    assert facts["edits_frames"] and not again["edits_frames"], "only the avatar knows the paint"
    assert KeptKeys(copied / "takes" / "toon").repainted, (
        "that an edit took it over changes nothing"
    )
    learned = cv2.imread(str(next((edit / "dataset").glob(f"{frame:04d}.*"))))
    assert learned is not None and (learned == (0, 200, 0)).all()
    other = cv2.imread(str(next((edit / "dataset").glob(f"{facts['key_frames'][1]:04d}.*"))))
    assert other is not None and not (other == (0, 200, 0)).all()
    assert made.shape[0] < other.shape[0] == round(Track(Shot.open(copied)).box(frame).side), (
        "what the avatar is too coarse for is carried from key frames of the plate's size"
    )
    between = facts["key_frames"][1] + 1
    shown = {}
    for detail in (True, False):
        if not detail:
            small = cv2.resize(other, made.shape[:2], interpolation=cv2.INTER_AREA)
            for each in (edit / "dataset").glob("*.png"):
                assert cv2.imwrite(str(each), small)
        words_of = {"take": "toon", "frames": str(between), "movie": False}
        run("render", copied, words_of | {"detail": 0.8 - 0.01 * (not detail)}, Reporter())
        exr = render_of(copied / "takes" / "toon").frames / f"toon.{between:04d}.exr"
        shown[detail] = read_exr(exr)["Combined"]
    inside = shown[True][..., 3] > 0.9
    assert np.abs(shown[True] - shown[False])[inside].mean() > 5e-4, "and so they are"
    path.write_bytes(b"no picture")
    refused = portraitgen(*words)
    assert refused.returncode == 1 and "is no square picture" in refused.stderr


def test_a_frame_that_was_tried_and_approved_is_the_anchor(
    copied: Path, portraitgen: Command
) -> None:
    frame = 6
    shot = Shot.open(copied)
    preview_frame(shot, frame, EditOptions("look", "toon", '{"tones": 3}'))
    kept = keep_key(shot, "look", frame, nearest=True)
    assert kept.new and kept.frame == frame
    assert Path(kept.path).read_bytes() == tried_path(shot, "look", frame).read_bytes()
    words = ["edit", copied, "--take", "look", "--editor", "toon", "--steps", "4", "--keys", "3"]
    done = portraitgen(*words)
    assert done.returncode == 0, done.stderr
    facts = read_json(shot.edit_folder("look") / "edit.json")
    assert facts["anchor"] == frame and frame in facts["key_frames"]
    assert facts["edits_frames"], "it is still what the editor makes of it"
    assert keep_key(shot, "look", 99, nearest=True).frame == facts["key_frames"][-1]
    with pytest.raises(EditError, match=f"choose one of {facts['key_frames'][0]}"):
        keep_key(shot, "look", 99)


@pytest.mark.parametrize("editor", ["relight", "statue", "toon", "pixel", "grade"])
def test_editors_that_lie_on_the_plate_are_tried_from_the_track_alone(
    copied: Path, portraitgen: Command, editor: str
) -> None:
    for made in ("avatar", "takes"):
        shutil.rmtree(copied / made)
    more = ["--set", "exposure=1"] if editor == "grade" else []
    done = portraitgen("try", copied, "--frame", "6", "--editor", editor, *more)
    assert done.returncode == 0, done.stderr
    with closing(open_plate(Shot.open(copied).footage_path)) as plate:
        (_, codes), *_ = plate.frames_uint8([6])
    edited, before = (
        cv2.imread(str(copied / "jobs" / f"preview.0006{what}.png"))[..., ::-1]
        for what in ("", ".plate")
    )
    assert (before == codes).all(), "the plate beside it is the plate"
    track = Track(Shot.open(copied), 1)
    matte, rows, columns = place(track.matte(6).astype(np.float32) / 255, track.box(6), 512, 512)
    change = np.abs(edited.astype(int) - before).max(-1)[rows, columns]
    assert not change[matte == 0].any() and change[matte > 0.99].mean() > 4


def test_what_repaints_the_avatar_says_that_there_is_none(
    copied: Path, portraitgen: Command
) -> None:
    shutil.rmtree(copied / "avatar")
    refused = portraitgen("try", copied, "--frame", "6", "--editor", "toon", "--base", "toon")
    assert refused.returncode == 1 and "reconstruct" in refused.stderr, refused.stderr
    refused = portraitgen("try", copied, "--frame", "44", "--editor", "toon")
    assert refused.returncode == 1 and "was not tracked here" in refused.stderr


def test_a_hold_out_stays_before_the_edit_and_passes_are_written(
    copied: Path, portraitgen: Command, tmp_path: Path
) -> None:
    held = np.zeros((512, 512), np.uint8)
    held[:, :256] = 255
    for frame in (1, 2):
        assert cv2.imwrite(str(tmp_path / f"hand.{frame:04d}.png"), held)
    mask = tmp_path / "hand.0001.png"
    words = ["render", copied, "--take", "toon", "--frames", "1-2", "--plate", "--grain", "1"]
    done = portraitgen(*words, "--holdout", mask, "--passes", "parts,motion")
    assert done.returncode == 0, done.stderr
    exr = max((copied / "takes" / "toon").rglob("toon.0001.exr"))
    passes = read_exr(exr)
    assert passes["CryptoPart00"].shape[2] == passes["Vector"].shape[2] == 4
    covers = sum(passes[f"CryptoPart0{layer}"][..., at] for layer in range(3) for at in (1, 3))
    np.testing.assert_allclose(covers, passes["Alpha"][..., 0], atol=2e-3)
    assert np.abs(passes["Vector"]).max() < 40 and passes["Vector"][..., 2:].any()
    box, side = Track(Shot.open(copied)).box(1), passes["Alpha"].shape[1]
    hidden = int((250 - box.x) * side / box.side)
    assert hidden > 20 and not passes["Alpha"][:, :hidden].any()
    with closing(open_plate(Shot.open(copied).footage_path)) as plate:
        (_, codes), *_ = plate.frames_uint8([1])
    full = max((copied / "takes" / "toon").rglob("plates/toon.0001.*"))
    with closing(open_plate(full)) as laid:
        (_, shown), *_ = laid.frames_uint8()
    change = np.abs(shown.astype(int) - codes).max(-1)
    assert change[:, :250].max() <= 2 and change[:, 256:].max() > 40
    # It is another frame than without, and the same again is not made anew.
    before = exr.stat().st_mtime_ns
    assert portraitgen(*words, "--holdout", mask, "--passes", "parts,motion").returncode == 0
    assert exr.stat().st_mtime_ns == before
    refused = portraitgen("render", copied, "--take", "toon", "--holdout", mask)
    assert refused.returncode == 1 and "hold frames 1 to 2" in refused.stderr


def test_a_light_that_moves_moves_in_the_rendered_frames(
    copied: Path, portraitgen: Command
) -> None:
    words = ["edit", copied, "--take", "light", "--editor", "relight", "--set", "key=scene"]
    refused = portraitgen(*words)
    assert refused.returncode == 1 and "has no light of the scene" in refused.stderr
    light = {"frames": [1, 16], "directions": [[-1, 0, -0.2], [1, 0, -0.2]]}
    write_json(copied / "takes" / "light" / "light.json", light | {"colours": [[1, 1, 1]] * 2})
    done = portraitgen(*words, "--steps", "30", "--keys", "4")
    assert done.returncode == 0, done.stderr
    edit = copied / "takes" / "light" / "edits" / "0001"
    assert read_json(edit / "edit.json")["follows"] and (edit / "light.json").exists()
    done = portraitgen("render", copied, "--take", "light", "--frames", "1,16", "--no-movie")
    assert done.returncode == 0, done.stderr
    brighter = []
    for frame in (1, 16):
        passes = read_exr(
            copied / "takes" / "light" / "renders" / "v001" / "frames" / f"light.{frame:04d}.exr"
        )
        lit = passes["Combined"][..., :3].mean(2) - (
            passes["Reconstruction"].mean(2) * passes["Alpha"][..., 0]
        )
        weight = passes["Alpha"][..., 0] > 0.9
        middle = np.median(np.nonzero(weight)[1])
        columns = np.arange(weight.shape[1])[None] < middle
        brighter.append(lit[weight & columns].mean() - lit[weight & ~columns].mean())
    assert brighter[0] > 0.02 and brighter[1] < -0.02, brighter


def test_a_takes_key_frames_teach_a_look_that_the_shot_wears_at_the_plates_resolution(
    copied: Path, tmp_path: Path, portraitgen: Command
) -> None:
    file = tmp_path / "drawn.safetensors"
    learning = ["look", "learn", copied, "--take", "toon", "--out", str(file), "--seconds", "2"]
    done = portraitgen(*learning)
    assert done.returncode == 0, done.stderr
    assert "pairs: 4" in done.stdout and file.exists()
    # It goes on where it stood; the time was over.
    assert "It goes on after" in portraitgen(*learning).stderr
    words = ["edit", copied, "--take", "worn", "--editor", "look", "--set", f"look={file}"]
    done = portraitgen(*words, "--steps", "5", "--keys", "2")
    assert done.returncode == 0, done.stderr
    file.unlink()
    done = portraitgen("render", copied, "--take", "worn", "--frames", "3-4", "--plate")
    assert done.returncode == 0, done.stderr
    assert read_json(copied / "takes" / "worn" / "edits" / "0001" / "edit.json")["edits_frames"]


class StopsInThe(Reporter):
    """Stops once a stage of the second shot has begun."""

    def progress(
        self, stage: str, step: int, steps: int, eta_s: float | None, metrics: dict[str, float]
    ) -> None:
        if "2 of 2: train" in stage:
            self.cancel()


def test_a_take_is_copied_to_other_shots_and_edited_there_once(
    finished: Path, tmp_path: Path, portraitgen: Command
) -> None:
    source, *others = (tmp_path / name for name in ("source", "one", "two"))
    for each in (source, *others):
        shutil.copytree(finished, each)
        shutil.rmtree(each / "takes")
        shutil.rmtree(each / "jobs")
    edit = ["edit", source, "--take", "scar", "--editor", "grade", "--set", "exposure=2"]
    paint = ["paint", source, "--take", "scar", "--frame", "2", "--mask"]
    assert portraitgen(*paint).returncode == 0
    masked = source / "takes" / "scar" / "mask" / "0002.png"
    picture = cv2.imread(str(masked))
    side = picture.shape[0]
    cv2.circle(picture, (side // 2, int(0.4 * side)), side // 8, (255, 0, 255), -1)
    cv2.imwrite(str(masked), picture)
    act = ["act", source, "--take", "scar", "--set", "jawOpen=0.3"]
    for words in (act, [*edit, "--steps", "5", "--keys", "2"]):
        done = portraitgen(*words)
        assert done.returncode == 0, done.stderr
    values = {"take": "scar", "shots": json.dumps([str(each) for each in others])}
    with pytest.raises(Cancelled):
        run("apply", source, values, StopsInThe())
    assert (
        Shot.open(others[0]).take("scar").edit == 1 and "scar" not in Shot.open(others[1]).takes()
    )
    for _ in range(2):
        result = run("apply", source, values, Reporter())
        assert isinstance(result, ApplyResult) and not result.failed
    assert result.kept == tuple(map(str, others)) and not result.edited
    for each in others:
        there = Shot.open(each)
        assert there.take("scar").edit == 1
        assert there.edit_record("scar").options["exposure"] == 2
        assert (each / "takes" / "scar" / "acting.safetensors").exists()
        # The bodies are the same here, so that the mask lies where it was painted.
        mask = EditMask(body_of(there), Track(there), "", PaintedFrames(each / "takes/scar/mask"))
        camera = Track(there).camera.window(Track(there).box(2), 128)
        laid = mask.mask(mask.surface(2, camera), np.zeros((128, 128, 3), np.float32), np.ones(1))
        assert laid is not None and 0.01 < float((laid > 0.5).mean()) < 0.1
    assert run(
        "apply", source, values | {"shots": json.dumps([str(others[0]), "nowhere"])}, Reporter()
    ).told()["failed"]
    with pytest.raises(PortraitError, match="no other shot"):
        run("apply", source, values | {"shots": json.dumps([str(source)])}, Reporter())
