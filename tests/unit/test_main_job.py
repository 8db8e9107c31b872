# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job on the embedded clip, from the command line: track, reconstruct, edit, render."""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from child_process import child_environment
from conftest import Command

from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion
from portraitgen.editing.paint_layers import PaintedFrames
from portraitgen.errors import Cancelled, EditError, PortraitError
from portraitgen.footage.crop import place
from portraitgen.footage.decoder import RemoteReader
from portraitgen.footage.encode import read_exr
from portraitgen.footage.plate import Plate, open_plate
from portraitgen.footage.source_frame import SourceFrame
from portraitgen.job_results import ApplyResult
from portraitgen.messages.takes import FrameTried
from portraitgen.pipeline.data.edit_mask import EditMask
from portraitgen.pipeline.data.key_frames import KeptKeys, keep_key, tried_path
from portraitgen.pipeline.data.shots import Track, body_of
from portraitgen.pipeline.jobs.edit import EditOptions
from portraitgen.pipeline.jobs.reconstruct import ReconstructOptions
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.requests.preview import preview_frame
from portraitgen.pipeline.run.progress import OverallProgress, Reporter
from portraitgen.renders import render_of
from portraitgen.shot import Shot
from portraitgen.storage import read_json, write_json

FRAMES = "1-16"
SMALL = ["--size", "128", "--gaussians", "4000", "--steps", "150"]


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory, portraitgen: Command, clip: Path) -> Path:
    """A shot that has gone through every stage; tests read it, and copy it before they write."""
    folder = tmp_path_factory.mktemp("job") / "shot ü"
    for words in (
        ["track", folder, "--footage", clip, "--frames", FRAMES, "--focal", "1280"],
        ["reconstruct", folder, *SMALL],
        ["edit", folder, "--take", "toon", "--editor", "toon", "--steps", "60", "--keys", "4"],
        ["render", folder, "--take", "toon", "--plate"],
    ):
        done = portraitgen(*words)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def copy(shot: Path, tmp_path: Path) -> Path:
    """A copy of the shot to work on; the clip's relative path is renewed."""
    shutil.copytree(shot, tmp_path / "shot")
    facts = read_json(tmp_path / "shot" / "shot.json")
    plate = Shot.open(shot).footage_path.resolve()
    write_json(
        tmp_path / "shot" / "shot.json",
        facts | {"footage": facts["footage"] | {"path": str(plate)}},
    )
    return tmp_path / "shot"


def test_info_tells_machines_what_people_read(shot: Path, portraitgen: Command) -> None:
    facts = json.loads(portraitgen("info", shot, "--json").stdout)
    assert facts["track"]["tracked_frames"] == 16
    assert 0 < facts["track"]["landmark_residual_percent"] < 1.5
    assert facts["avatar"]["psnr"] > 22 and 0.7 < facts["avatar"]["ssim"] <= 1
    assert not facts["avatar"]["track_has_changed"]
    assert [take["name"] for take in facts["takes"]] == ["toon"]
    assert facts["takes"][0]["rendered_frames"] == 16
    assert facts["unfinished_jobs"] == [] and facts["holders"] == []
    words = portraitgen("info", shot).stdout
    assert "tracked frames: 16" in words and "name toon" in words


def test_a_likeness_is_shown_before_the_plate_is_read(copy: Path) -> None:
    class Listener(Reporter):
        def __init__(self) -> None:
            super().__init__()
            self.stages: list[str] = []
            self.seen: list[np.ndarray] = []

        def progress(self, stage: str, step: int, steps: int, *rest: object) -> None:
            self.stages.append(f"{stage} {steps}")
            if self.seen:
                self.cancel()

        def preview(self, path: Path) -> None:
            self.seen.append(cv2.imread(str(path)) / 255)

    listener = Listener()
    with pytest.raises(Cancelled):
        run("reconstruct", copy, {"size": 128, "gaussians": 4000}, listener)
    assert set(listener.stages) == {"read plate 5", "foreground 5", "read plate 16"}
    plate, drawn = np.split(listener.seen[0], 2, axis=1)
    assert 0 < np.abs(plate - drawn).mean() < 0.05 < plate.mean()


def test_the_bar_of_a_reconstruction_is_full_at_its_end_alone(copy: Path) -> None:
    """It stood at 100 % with no time left while the avatar was measured and settled."""

    class Listener(Reporter):
        def __init__(self) -> None:
            super().__init__()
            self.told: list[tuple[float, int]] = []
            self.overall = OverallProgress("reconstruct")

        def progress(self, stage: str, step: int, steps: int, *rest: object) -> None:
            share = self.overall.share(stage, step, steps)
            self.told.append((share, len(Shot.open(copy).versions("avatar"))))

    listener = Listener()
    before = len(Shot.open(copy).versions("avatar"))
    run("reconstruct", copy, {"size": 64, "gaussians": 1000, "steps": 2}, listener)
    assert [made for share, made in listener.told if share == 1] == [before + 1]


def test_the_whole_performer_gets_a_larger_window_and_a_larger_avatar(
    shot: Path, portraitgen: Command, clip: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "shot"
    words = ["--footage", clip, "--frames", "1-4", "--window", "whole"]
    done = portraitgen("track", folder, *words)
    assert done.returncode == 0, done.stderr
    # This performer fills the plate.
    whole, head = Track(Shot.open(folder)), Track(Shot.open(shot), 1)
    assert whole.box(1) == (0, 0, 512) and head.box(1).side <= 512
    assert ReconstructOptions().scale(whole) == (512, 24576)
    assert ReconstructOptions().scale(head) == (256, 16384)
    assert ReconstructOptions(size=300, gaussians=5000).scale(whole) == (296, 5000)


def test_the_track_agrees_with_the_truth(shot: Path, clip: Path) -> None:
    from benchmarks.ground_truth import compare

    truth = Motion.load(clip.with_suffix(".safetensors")).rows(np.arange(16))
    motion = Motion.load(shot / "track" / "0001" / "params.safetensors")
    figures = compare(BodyModel.load(), truth, motion)
    assert figures["head_vertices_mm"] < 3.0
    assert figures["head_turn_degrees"] < 4.0
    assert figures["head_place_mm"] < 40
    assert figures["jaw_correlation"] > 0.7 and figures["blink_correlation"] > 0.9


def test_the_matte_agrees_with_the_truth(shot: Path, clip: Path) -> None:
    from portraitgen.pipeline.data.crops import load_matte
    from portraitgen.pipeline.data.shots import Track
    from synthetic.acting import camera
    from synthetic.render import Performer

    truth = Motion.load(clip.with_suffix(".safetensors"))
    alpha = Performer(BodyModel.load(), truth).render(8, camera(512)).alpha[..., 0]
    track = Track(Shot.open(shot))
    box = track.box(8)
    from portraitgen.footage.crop import crop

    expected, _ = crop(alpha, box, 256)
    assert np.abs(load_matte(track, 8, 256) / 255 - expected).mean() < 0.03


def test_exr_passes_hold_what_their_names_say(shot: Path) -> None:
    passes = read_exr(shot / "takes" / "toon" / "renders" / "v001" / "frames" / "toon.0008.exr")
    assert {"Combined", "Depth", "Normal", "Alpha", "Reconstruction"} <= passes.keys()
    alpha = passes["Alpha"][..., 0]
    inside = alpha > 0.99
    assert inside.mean() > 0.15
    depth = passes["Depth"][..., 0][inside]
    assert 0.3 < np.median(depth) < 3.0
    length = np.linalg.norm(passes["Normal"][inside], axis=-1)
    assert np.median(np.abs(length - 1)) < 0.02
    assert np.median(passes["Normal"][inside][:, 2]) < -0.3  # Towards the camera.


def test_pixels_outside_the_matte_keep_their_bits(shot: Path, clip: Path) -> None:
    """Wherever the matte is empty, and everywhere beyond its window, in every frame."""
    track = Track(Shot.open(shot))
    for frame in (1, 8, 16):
        box = track.box(frame)
        cover, rows, columns = place(track.matte(frame) / np.float32(255), box, 512, 512)
        outside = np.ones((512, 512), bool)
        # A pixel's width for the matte's resampling to the plate.
        grown = cv2.dilate(cover, np.ones((3, 3), np.uint8))
        outside[rows, columns] = grown == 0
        assert 0.1 < outside.mean() < 0.9
        original, written = plate_and_take(shot, "toon", frame, clip)
        changed = (written != original).any(-1)
        assert 0.05 < changed.mean() < 0.8
        assert not changed[outside].any(), f"{changed[outside].sum()} pixels of frame {frame}"


def _head_joint(motion: Motion, row: int) -> np.ndarray:
    """Metres, camera space."""
    values = (each[row : row + 1] for each in (motion.pose, motion.expression, motion.transl))
    body = BodyModel.load()
    posed = body.forward(torch.from_numpy(motion.betas)[None], *map(torch.from_numpy, values))
    return posed.joints[0, 15].numpy()


def test_a_new_solve_keeps_the_frames_an_artist_fixed(copy: Path, portraitgen: Command) -> None:
    folder = Shot.open(copy).version_folder("track")
    motion = Motion.load(folder / "params.safetensors")
    motion.expression[4, :] = 0.123
    motion.fixed[4] = True
    # A solve may find another identity, longer in the trunk, say.
    motion.betas[:8] += 0.7
    record = Shot.open(copy).track_record()
    staged = copy / "jobs" / "fixed"
    staged.mkdir()
    motion.save(staged / "params.safetensors")
    Shot.open(copy).publish("track", staged, record)
    done = portraitgen("track", copy, "--frames", FRAMES, "--smoothing", "2")
    assert done.returncode == 0, done.stderr
    again = Motion.load(Shot.open(copy).version_folder("track") / "params.safetensors")
    heads = [_head_joint(each, 4) for each in (motion, again)]
    assert np.abs(heads[0] - heads[1]).max() < 1e-5, "the head is not where the artist put it"
    # Faces are what they were, whatever each identity's neutral face is.
    body = BodyModel.load()
    faces = [each.expression + each.neutral(body) for each in (motion, again)]
    assert np.abs(faces[0][4] - faces[1][4]).max() < 1e-5 and again.fixed[4]
    assert np.abs(faces[0][5] - faces[1][5]).max() > 1e-3


def test_two_processes_render_disjoint_frames_of_one_take(copy: Path) -> None:
    shutil.rmtree(copy / "takes" / "toon" / "renders" / "v001" / "frames")
    chunks = [
        subprocess.Popen(
            [sys.executable, "-m", "portraitgen.cli", "render", str(copy), "--take", "toon"]
            + ["--frames", frames, "--no-movie"],
            env=child_environment(),
            stdout=subprocess.DEVNULL,
        )
        for frames in ("1-4", "5-8")
    ]
    assert [chunk.wait(timeout=600) for chunk in chunks] == [0, 0]
    assert len(list((copy / "takes" / "toon" / "renders" / "v001" / "frames").glob("*.exr"))) == 8


def test_who_holds_the_shot_is_told_and_nothing_changes(copy: Path, portraitgen: Command) -> None:
    with Shot.open(copy).hold("avatar", "reconstruct"):
        done = portraitgen("reconstruct", copy, *SMALL)
    assert done.returncode == 75
    assert f"process {os.getpid()}" in done.stderr and "Traceback" not in done.stderr
    assert Shot.open(copy).versions("avatar") == [1]


def test_frames_that_are_not_tracked_teach_nothing(copy: Path, portraitgen: Command) -> None:
    path = Shot.open(copy).version_folder("track") / "track.json"
    facts = read_json(path)
    for row in facts["quality"][:3]:
        row["state"] = "lost"
    write_json(path, facts)
    for command in (["reconstruct", copy, *SMALL], ["edit", copy, "--take", "new"]):
        done = portraitgen(*command, "--frames", "1-3")
        assert done.returncode == 1 and "no frame of the range is tracked" in done.stderr


def test_events_are_json_lines(copy: Path, portraitgen: Command) -> None:
    done = portraitgen("render", copy, "--take", "toon", "--frames", "1-2", "--events")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["event"] == "done" and events[-1]["result"]["frames"] == 2
    assert [event["frame"] for event in events if event["event"] == "frame"] == [1, 2]


def test_the_render_is_deterministic(copy: Path, shot: Path, portraitgen: Command) -> None:
    portraitgen("render", copy, "--take", "toon", "--frames", "3", "--no-movie")
    first, second = (
        read_exr(folder / "takes" / "toon" / "renders" / "v001" / "frames" / "toon.0003.exr")
        for folder in (shot, copy)
    )
    assert all(np.array_equal(first[name], second[name]) for name in first)


def bad_movie(tmp_path: Path, kind: str, clip: Path) -> Path:
    path = tmp_path / f"{kind}.mp4"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        path.write_bytes(clip.read_bytes()[:3000])
    elif kind == "no_face":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width = stream.height = 128
            stream.pix_fmt = "yuv420p"
            for index in range(6):
                picture = np.full((128, 128, 3), 40 * index, np.uint8)
                for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                    container.mux(packet)
            for packet in stream.encode():
                container.mux(packet)
    elif kind == "audio_only":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=44100)
            samples = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            samples.sample_rate = 44100
            for packet in [*stream.encode(samples), *stream.encode()]:
                container.mux(packet)
    return path


@pytest.mark.parametrize("kind", ["missing", "empty", "truncated", "audio_only", "no_face"])
def test_a_plate_that_cannot_be_tracked_is_one_sentence(
    kind: str, tmp_path: Path, clip: Path, portraitgen: Command
) -> None:
    plate = bad_movie(tmp_path, kind, clip)
    done = portraitgen("track", tmp_path / "shot", "--footage", plate)
    assert done.returncode == 1
    sentence = [line for line in done.stderr.splitlines() if line.startswith("portraitgen: ")]
    assert len(sentence) == 1 and sentence[0].endswith("."), done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "shot" / "track").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["track", "{shot}", "--frames", "40-90"], "stay within 1-48"),
        (["track", "{shot}", "--frames", "soon"], "is no frame range"),
        (["track", "{shot}", "--window", "round"], "use one of: fixed, follow"),
        (["reconstruct", "{shot}", "--size", "4"], "out of range"),
        (["edit", "{shot}", "--editor", "magic"], "there is no such editor; use one of: grade"),
        (["edit", "{shot}", "--set", "key=behind"], "'behind' is not a choice"),
        (["edit", "{shot}", "--set", "keys"], "write it as name=value"),
        (["edit", "{shot}", "--set", "wobble=1"], "there is no such option"),
        (["edit", "{shot}", "--take", "../up"], "cannot name a take"),
        (["edit", "{shot}", "--editor", "grade", "--set", "reference=/no.png"], "cannot be read"),
        (["edit", "{shot}", "--parts", "nose"], "'nose' is not a choice; use one of: hair, skin"),
        (["edit", "{shot}", "--take", "toon", "--base", "toon"], "the takes build on each other"),
        (["edit", "{shot}", "--base", "gold"], "there is no take 'gold'"),
        (["edit", "{shot}", "--editor", "paint"], "no frame is painted"),
        (["paint", "{shot}", "--take", "x", "--frame", "99"], "frame 99 is not tracked"),
        (["render", "{shot}", "--take", "toon", "--mix", "2"], "2 is no share of the edit"),
        (["import-track", "{shot}", "/no.npz"], "there is no such file"),
        (["render", "{shot}", "--take", "gold"], "there is no take 'gold'; the takes are: toon"),
        (["render", "{shot}", "--take", "toon", "--frames", "17-20"], "stay within 1-16"),
        (["info", "{empty}"], "is not a shot"),
        (["render", "{empty}"], "is not a shot"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    words: list[str], sentence: str, shot: Path, tmp_path: Path, portraitgen: Command
) -> None:
    before = sorted(path.name for path in shot.rglob("*") if "jobs" not in path.parts)
    done = portraitgen(*(word.format(shot=shot, empty=tmp_path) for word in words))
    assert done.returncode in (1, 2)
    assert sentence in done.stderr and "Traceback" not in done.stderr
    assert sorted(p.name for p in shot.rglob("*") if "jobs" not in p.parts) == before


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("shot.json", b"{", "cannot be read"),
        ("avatar/0001/avatar.safetensors", b"\x08\0\0\0\0\0\0\0garbage!", "is not the one"),
        ("track/0002/params.safetensors", b"", "is not the one"),
        ("track/0002/track.json", b"[]", "holds no JSON object"),
        ("takes/toon/edits/0001/avatar.safetensors", b"x", "is not the one"),
    ],
)
def test_a_damaged_file_is_one_sentence(
    file: str, content: bytes, sentence: str, copy: Path, portraitgen: Command
) -> None:
    (copy / file).write_bytes(content)
    done = portraitgen("render", copy, "--take", "toon", "--frames", "1-2")
    assert done.returncode == 1
    assert sentence in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_shot_is_one_sentence(copy: Path, portraitgen: Command) -> None:
    (copy / "jobs").chmod(stat.S_IRUSR | stat.S_IXUSR)
    done = portraitgen("render", copy, "--take", "toon")
    (copy / "jobs").chmod(0o755)
    assert done.returncode == 1 and "not allowed" in done.stderr


def test_a_render_whose_frames_are_there_loads_nothing_that_draws(copy: Path) -> None:
    """Loading torch and numba takes three times as long as all that such a render does."""
    program = "import sys\nfrom portraitgen.cli import main\nmain(sys.argv[1:])\n"
    program += "print('loaded', *sorted({'torch', 'numba', 'scipy'} & set(sys.modules)))"
    words = ["render", str(copy), "--take", "toon", "--no-movie"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        env=child_environment(),
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1].split() == ["loaded"], done.stdout + done.stderr
    # The test would show nothing if they had not been there.
    assert len(list((copy / "takes" / "toon" / "renders").iterdir())) == 1


def test_a_full_disk_is_one_sentence(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from portraitgen.errors import PortraitError
    from portraitgen.pipeline.compositing import frame_files
    from portraitgen.pipeline.jobs import render
    from portraitgen.pipeline.run.progress import Reporter

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "x.exr")

    monkeypatch.setattr(frame_files, "write_exr", full)
    for path in (copy / "takes" / "toon" / "renders" / "v001" / "frames").glob("toon.0001.*"):
        path.unlink()
    with pytest.raises(PortraitError, match="the disk is full.*free some space"):
        render.render(Shot.open(copy), render.RenderOptions(take="toon", frames="1"), Reporter())
    record = Shot.open(copy).jobs()[-1].record
    assert record.state == "failed" and record.kind == "render"


def test_a_render_reads_each_thing_once(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame is decoded once, for what is drawn, its full plate and the movie alike."""
    shutil.rmtree(copy / "takes" / "toon" / "renders" / "v001" / "frames")
    counts: Counter[str] = Counter()
    sequence, decode, digest = RemoteReader.sequence, cv2.imdecode, Plate.digest

    def decoded(self: RemoteReader, positions: Iterable[int]) -> Iterator[SourceFrame]:
        for frame in sequence(self, positions):
            counts["frames decoded"] += 1
            yield frame

    def read(data: np.ndarray, flags: int) -> np.ndarray | None:
        counts["mattes read"] += 1
        return decode(data, flags)

    def digested(self: Plate) -> str:
        counts["plate digests"] += 1
        return digest(self)

    monkeypatch.setattr(RemoteReader, "sequence", decoded)
    monkeypatch.setattr(cv2, "imdecode", read)
    monkeypatch.setattr(Plate, "digest", digested)
    run("render", copy, {"take": "toon", "plate": True}, Reporter())
    assert counts == {"frames decoded": 16, "mattes read": 16, "plate digests": 1}
    with av.open(str(copy / "takes" / "toon" / "renders" / "v001" / "toon.mp4")) as movie:
        assert sum(1 for _ in movie.decode(video=0)) == 16
    # A render that finds all frames on disk makes the same movie of them.
    made = (copy / "takes" / "toon" / "renders" / "v001" / "toon.mp4").read_bytes()
    run("render", copy, {"take": "toon", "plate": True}, Reporter())
    assert (copy / "takes" / "toon" / "renders" / "v001" / "toon.mp4").read_bytes() == made
    # Of a part, the frames beside it steady it, and none is decoded twice.
    shutil.rmtree(copy / "takes" / "toon" / "renders" / "v001" / "frames")
    counts.clear()
    run("render", copy, {"take": "toon", "frames": "5-12"}, Reporter())
    assert counts["frames decoded"] == 12 and counts["mattes read"] <= 12


def test_an_edit_of_the_same_take_keeps_the_earlier_one(copy: Path, portraitgen: Command) -> None:
    words = ["edit", copy, "--take", "toon", "--editor", "pixel", "--steps", "10", "--keys", "2"]
    done = portraitgen(*words)
    assert done.returncode == 0, done.stderr
    take = read_json(copy / "takes" / "toon" / "take.json")
    assert take["edit"] == 2 and take["settings"]["editor"] == "pixel"
    assert (copy / "takes" / "toon" / "edits" / "0001" / "avatar.safetensors").exists()


def plate_and_take(shot: Path, take: str, frame: int, clip: Path) -> tuple[np.ndarray, np.ndarray]:
    """A frame of the plate and of a take's full plates, uint8 (H, W, 3) RGB."""
    written = render_of(shot / "takes" / take).full_plates()[frame]
    encoded = cv2.imread(str(written), cv2.IMREAD_UNCHANGED)
    assert encoded is not None
    return open_plate(clip).read_uint8(frame), encoded[..., 2::-1]


def test_only_the_parts_asked_for_change(copy: Path, clip: Path, portraitgen: Command) -> None:
    for words in (
        ["edit", copy, "--take", "dyed", "--editor", "grade", "--set", "exposure=2"]
        + ["--parts", "hair", "--steps", "20", "--keys", "2"],
        ["render", copy, "--take", "dyed", "--plate", "--frames", "8"],
    ):
        done = portraitgen(*words)
        assert done.returncode == 0, done.stderr
    plate, dyed = plate_and_take(copy, "dyed", 8, clip)
    changed = (plate != dyed).any(-1)
    assert 0.02 < changed.mean() < 0.2
    assert not changed[320:].any(), "the chin or the clothes were touched"
    assert dyed[changed].mean() > plate[changed].mean() + 10


def test_a_mask_that_was_given_out_and_not_painted_masks_nothing(
    copy: Path, portraitgen: Command
) -> None:
    """It hid the edit everywhere, and nobody was told."""
    grade = EditOptions("scar", "grade", '{"exposure": 1}')
    whole = preview_frame(Shot.open(copy), 6, grade)
    # Each try writes over the one before.
    free, changed = read_picture(whole.path), changed_between(whole)
    for frame in ("2", "6"):
        assert portraitgen("paint", copy, "--take", "scar", "--frame", frame, "--mask").stdout
    tried = preview_frame(Shot.open(copy), 6, grade)
    assert np.array_equal(read_picture(tried.path), free)
    assert tried.notes == (
        "The mask of frames 2, 6 has no paint yet and is left out: the editor works on the whole"
        " performer",
    )
    path = copy / "takes" / "scar" / "mask" / "0002.png"
    window = cv2.imread(str(path))
    assert window is not None
    side = window.shape[0]
    cv2.imwrite(str(path), cv2.circle(window, (side // 2, side // 2), side // 12, (0, 0, 255), -1))
    tried = preview_frame(Shot.open(copy), 6, grade)
    assert tried.notes == ("The mask of frame 6 has no paint yet and is left out",)
    assert 0 < changed_between(tried) < changed / 4
    moved = Shot.open(copy).discard_mask("scar")
    assert moved is not None and (moved / "0002.png").exists()
    assert Shot.open(copy).discard_mask("scar") is None
    assert preview_frame(Shot.open(copy), 6, grade).notes == ()


def read_picture(path: str) -> np.ndarray:
    picture = cv2.imread(path)
    assert picture is not None
    return picture


def changed_between(tried: FrameTried) -> int:
    return int((read_picture(tried.path) != read_picture(tried.plate)).any(2).sum())


def test_a_painted_mask_holds_the_edit_where_it_lies_on_the_body(
    copy: Path, clip: Path, portraitgen: Command
) -> None:
    given = portraitgen("paint", copy, "--take", "scar", "--frame", "2", "--mask")
    assert given.returncode == 0 and "it changes there only" in given.stdout
    path = copy / "takes" / "scar" / "mask" / "0002.png"
    window = cv2.imread(str(path))
    assert window is not None
    side = window.shape[0]
    # About the middle of the face, in the window of head and shoulders.
    middle = (side // 2, int(0.45 * side))
    assert cv2.imwrite(str(path), cv2.circle(window, middle, side // 12, (0, 0, 255), -1))
    for words in (
        ["edit", copy, "--take", "scar", "--editor", "grade", "--set", "exposure=2"]
        + ["--steps", "20", "--keys", "2"],
        ["render", copy, "--take", "scar", "--plate", "--frames", "2-12"],
    ):
        done = portraitgen(*words)
        assert done.returncode == 0, done.stderr
    assert (copy / "takes" / "scar" / "edits" / "0001" / "mask" / "0002.base.png").exists()
    for frame in (2, 12):
        plate, scarred = plate_and_take(copy, "scar", frame, clip)
        changed = (plate != scarred).any(-1)
        assert 0.003 < changed.mean() < 0.1
        assert scarred[changed].mean() > plate[changed].mean() + 10
    assert not changed[:100].any() and not changed[400:].any()


def test_a_mix_of_nothing_is_the_plate_to_the_bit(
    copy: Path, clip: Path, portraitgen: Command
) -> None:
    done = portraitgen(
        "render", copy, "--take", "toon", "--plate", "--frames", "4-8", "--mix", "4:0,8:1"
    )
    assert done.returncode == 0, done.stderr
    changes = []
    for frame in (4, 6, 8):
        plate, mixed = plate_and_take(copy, "toon", frame, clip)
        changes.append(np.abs(plate.astype(int) - mixed).mean())
    assert changes[0] == 0 < changes[1] < changes[2]


def test_a_take_builds_on_another(copy: Path, portraitgen: Command) -> None:
    words = ["edit", copy, "--take", "dark", "--editor", "grade", "--set", "exposure=-2"]
    done = portraitgen(*words, "--base", "toon", "--steps", "30", "--keys", "4")
    assert done.returncode == 0, done.stderr
    assert read_json(copy / "takes" / "dark" / "edits" / "0001" / "edit.json")["base"] == "toon"
    for take in ("dark", "toon"):
        rendered = portraitgen("render", copy, "--take", take, "--frames", "8")
        assert rendered.returncode == 0, rendered.stderr
    dark, toon = (
        read_exr(copy / "takes" / take / "renders" / "v001" / "frames" / f"{take}.0008.exr")[
            "Combined"
        ][..., :3]
        for take in ("dark", "toon")
    )
    assert dark.mean() < 0.6 * toon.mean()


def test_a_frame_given_out_to_paint_is_never_overwritten(
    copy: Path, clip: Path, portraitgen: Command
) -> None:
    words = ["paint", copy, "--take", "tattoo", "--frame", "8"]
    assert portraitgen(*words).returncode == 0
    path = copy / "takes" / "tattoo" / "paint" / "0008.png"
    picture = cv2.imread(str(path))
    assert picture is not None and picture.shape[0] >= 512
    cv2.circle(picture, (picture.shape[1] // 2, picture.shape[0] // 2), 30, (200, 40, 20), -1)
    cv2.imwrite(str(path), picture)
    before = path.read_bytes()
    assert portraitgen(*words).returncode == 0 and path.read_bytes() == before
    edit = ["edit", copy, "--take", "tattoo", "--editor", "paint", "--steps", "10", "--keys", "2"]
    done = portraitgen(*edit)
    assert done.returncode == 0, done.stderr
    facts = read_json(copy / "takes" / "tattoo" / "edits" / "0001" / "edit.json")
    assert 8 in facts["key_frames"]
    # The avatar has hardly learned it; what the brush drew is laid over it in every frame.
    path.write_bytes(b"changed after the edit")
    done = portraitgen("render", copy, "--take", "tattoo", "--plate")
    assert done.returncode == 0, done.stderr
    for frame in (8, 2):
        plate, painted = plate_and_take(copy, "tattoo", frame, clip)
        touched = (plate != painted).any(-1).mean()
        assert touched < 0.05, f"{touched:.3f} of frame {frame} is not the plate's any more"
        shown = cv2.imread(
            str(
                copy
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


def test_the_performer_alone_through_another_camera(copy: Path, portraitgen: Command) -> None:
    camera = {"fx": 700, "fy": 700, "cx": 160, "cy": 120, "matrix": np.eye(4).tolist()}
    facts = {"width": 320, "height": 240, "frames": {"8": camera}}
    (copy / "cameras.json").write_text(json.dumps(facts))
    words = ["render", copy, "--take", "toon", "--frames", "8"]
    done = portraitgen(*words, "--camera", copy / "cameras.json")
    assert done.returncode == 0, done.stderr
    folder = next((copy / "takes" / "toon").glob("alone-*"))
    exr = next(folder.rglob("toon.0008.exr"))
    passes = read_exr(exr)
    assert passes["Combined"].shape == (240, 320, 4)
    assert 0.02 < (passes["Alpha"] > 0.5).mean() < 0.95
    picture = cv2.imread(str(exr.with_suffix(".png")), -1)
    assert picture is not None and picture.shape == (240, 320, 4)
    done = portraitgen(*words, "--drive", copy)
    assert done.returncode == 0, done.stderr
    both = list((copy / "takes" / "toon").glob("alone-*"))
    assert len(both) == 2, "one overwrote the other"
    driven = read_exr(next(next(each for each in both if each != folder).rglob("toon.0008.exr")))
    assert driven["Combined"].shape == (128, 128, 4)


def test_a_key_frame_that_was_kept_and_repainted_is_what_is_learned(
    copy: Path, portraitgen: Command
) -> None:
    words = ["edit", copy, "--take", "toon", "--editor", "toon", "--steps", "8"]
    keep = ["keep", copy, "--take", "toon", "--frame"]
    facts = read_json(copy / "takes" / "toon" / "edits" / "0001" / "edit.json")
    frame = facts["key_frames"][0]
    refused = portraitgen(*keep, "99")
    assert refused.returncode == 1 and f"choose one of {frame}" in refused.stderr
    assert portraitgen(*keep, frame).returncode == 0
    path = copy / "takes" / "toon" / "keys" / f"{frame:04d}.png"
    made = cv2.imread(str(path))
    assert made is not None
    assert cv2.imwrite(str(path), np.full_like(made, (0, 200, 0)))
    assert "takes the place" in portraitgen(*keep, frame).stdout
    done = portraitgen(*words)
    assert done.returncode == 0, done.stderr
    edit = copy / "takes" / "toon" / "edits" / "0002"
    assert facts["anchor"] in facts["key_frames"]
    again = read_json(edit / "edit.json")
    assert again["kept_frames"] == [frame] and again["anchor"] == frame
    assert facts["edits_frames"] and not again["edits_frames"], "only the avatar knows the paint"
    assert KeptKeys(copy / "takes" / "toon").repainted, "that an edit took it over changes nothing"
    learned = cv2.imread(str(next((edit / "dataset").glob(f"{frame:04d}.*"))))
    assert learned is not None and (learned == (0, 200, 0)).all()
    other = cv2.imread(str(next((edit / "dataset").glob(f"{facts['key_frames'][1]:04d}.*"))))
    assert other is not None and not (other == (0, 200, 0)).all()
    assert made.shape[0] < other.shape[0] == round(Track(Shot.open(copy)).box(frame).side), (
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
        run("render", copy, words_of | {"detail": 0.8 - 0.01 * (not detail)}, Reporter())
        exr = render_of(copy / "takes" / "toon").frames / f"toon.{between:04d}.exr"
        shown[detail] = read_exr(exr)["Combined"]
    inside = shown[True][..., 3] > 0.9
    assert np.abs(shown[True] - shown[False])[inside].mean() > 5e-4, "and so they are"
    path.write_bytes(b"no picture")
    refused = portraitgen(*words)
    assert refused.returncode == 1 and "is no square picture" in refused.stderr


def test_a_frame_that_was_tried_and_approved_is_the_anchor(
    copy: Path, portraitgen: Command
) -> None:
    frame = 6
    shot = Shot.open(copy)
    preview_frame(shot, frame, EditOptions("look", "toon", '{"tones": 3}'))
    kept = keep_key(shot, "look", frame, nearest=True)
    assert kept.new and kept.frame == frame
    assert Path(kept.path).read_bytes() == tried_path(shot, "look", frame).read_bytes()
    words = ["edit", copy, "--take", "look", "--editor", "toon", "--steps", "4", "--keys", "3"]
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
    copy: Path, portraitgen: Command, editor: str
) -> None:
    for made in ("avatar", "takes"):
        shutil.rmtree(copy / made)
    more = ["--set", "exposure=1"] if editor == "grade" else []
    done = portraitgen("try", copy, "--frame", "6", "--editor", editor, *more)
    assert done.returncode == 0, done.stderr
    with closing(open_plate(Shot.open(copy).footage_path)) as plate:
        (_, codes), *_ = plate.frames_uint8([6])
    edited, before = (
        cv2.imread(str(copy / "jobs" / f"preview.0006{what}.png"))[..., ::-1]
        for what in ("", ".plate")
    )
    assert (before == codes).all(), "the plate beside it is the plate"
    track = Track(Shot.open(copy), 1)
    matte, rows, columns = place(track.matte(6).astype(np.float32) / 255, track.box(6), 512, 512)
    change = np.abs(edited.astype(int) - before).max(-1)[rows, columns]
    assert not change[matte == 0].any() and change[matte > 0.99].mean() > 4


def test_what_repaints_the_avatar_says_that_there_is_none(copy: Path, portraitgen: Command) -> None:
    shutil.rmtree(copy / "avatar")
    refused = portraitgen("try", copy, "--frame", "6", "--editor", "toon", "--base", "toon")
    assert refused.returncode == 1 and "reconstruct" in refused.stderr, refused.stderr
    refused = portraitgen("try", copy, "--frame", "44", "--editor", "toon")
    assert refused.returncode == 1 and "was not tracked here" in refused.stderr


def test_a_hold_out_stays_before_the_edit_and_passes_are_written(
    copy: Path, portraitgen: Command, tmp_path: Path
) -> None:
    held = np.zeros((512, 512), np.uint8)
    held[:, :256] = 255
    for frame in (1, 2):
        assert cv2.imwrite(str(tmp_path / f"hand.{frame:04d}.png"), held)
    mask = tmp_path / "hand.0001.png"
    words = ["render", copy, "--take", "toon", "--frames", "1-2", "--plate", "--grain", "1"]
    done = portraitgen(*words, "--holdout", mask, "--passes", "parts,motion")
    assert done.returncode == 0, done.stderr
    exr = max((copy / "takes" / "toon").rglob("toon.0001.exr"))
    passes = read_exr(exr)
    assert passes["CryptoPart00"].shape[2] == passes["Vector"].shape[2] == 4
    covers = sum(passes[f"CryptoPart0{layer}"][..., at] for layer in range(3) for at in (1, 3))
    np.testing.assert_allclose(covers, passes["Alpha"][..., 0], atol=2e-3)
    assert np.abs(passes["Vector"]).max() < 40 and passes["Vector"][..., 2:].any()
    box, side = Track(Shot.open(copy)).box(1), passes["Alpha"].shape[1]
    hidden = int((250 - box.x) * side / box.side)
    assert hidden > 20 and not passes["Alpha"][:, :hidden].any()
    with closing(open_plate(Shot.open(copy).footage_path)) as plate:
        (_, codes), *_ = plate.frames_uint8([1])
    full = max((copy / "takes" / "toon").rglob("plates/toon.0001.*"))
    with closing(open_plate(full)) as laid:
        (_, shown), *_ = laid.frames_uint8()
    change = np.abs(shown.astype(int) - codes).max(-1)
    assert change[:, :250].max() <= 2 and change[:, 256:].max() > 40
    # It is another frame than without, and the same again is not made anew.
    before = exr.stat().st_mtime_ns
    assert portraitgen(*words, "--holdout", mask, "--passes", "parts,motion").returncode == 0
    assert exr.stat().st_mtime_ns == before
    refused = portraitgen("render", copy, "--take", "toon", "--holdout", mask)
    assert refused.returncode == 1 and "hold frames 1 to 2" in refused.stderr


def test_a_light_that_moves_moves_in_the_rendered_frames(copy: Path, portraitgen: Command) -> None:
    words = ["edit", copy, "--take", "light", "--editor", "relight", "--set", "key=scene"]
    refused = portraitgen(*words)
    assert refused.returncode == 1 and "has no light of the scene" in refused.stderr
    light = {"frames": [1, 16], "directions": [[-1, 0, -0.2], [1, 0, -0.2]]}
    write_json(copy / "takes" / "light" / "light.json", light | {"colours": [[1, 1, 1]] * 2})
    done = portraitgen(*words, "--steps", "30", "--keys", "4")
    assert done.returncode == 0, done.stderr
    edit = copy / "takes" / "light" / "edits" / "0001"
    assert read_json(edit / "edit.json")["follows"] and (edit / "light.json").exists()
    done = portraitgen("render", copy, "--take", "light", "--frames", "1,16", "--no-movie")
    assert done.returncode == 0, done.stderr
    brighter = []
    for frame in (1, 16):
        passes = read_exr(
            copy / "takes" / "light" / "renders" / "v001" / "frames" / f"light.{frame:04d}.exr"
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
    copy: Path, tmp_path: Path, portraitgen: Command
) -> None:
    file = tmp_path / "drawn.safetensors"
    learning = ["look", "learn", copy, "--take", "toon", "--out", str(file), "--seconds", "2"]
    done = portraitgen(*learning)
    assert done.returncode == 0, done.stderr
    assert "pairs: 4" in done.stdout and file.exists()
    # It goes on where it stood; the time was over.
    assert "It goes on after" in portraitgen(*learning).stderr
    words = ["edit", copy, "--take", "worn", "--editor", "look", "--set", f"look={file}"]
    done = portraitgen(*words, "--steps", "5", "--keys", "2")
    assert done.returncode == 0, done.stderr
    file.unlink()
    done = portraitgen("render", copy, "--take", "worn", "--frames", "3-4", "--plate")
    assert done.returncode == 0, done.stderr
    assert read_json(copy / "takes" / "worn" / "edits" / "0001" / "edit.json")["edits_frames"]


class StopsInThe(Reporter):
    """Stops once a stage of the second shot has begun."""

    def progress(
        self, stage: str, step: int, steps: int, eta_s: float | None, metrics: dict[str, float]
    ) -> None:
        if "2 of 2: train" in stage:
            self.cancel()


def test_a_take_is_copied_to_other_shots_and_edited_there_once(
    shot: Path, tmp_path: Path, portraitgen: Command
) -> None:
    source, *others = (tmp_path / name for name in ("source", "one", "two"))
    for each in (source, *others):
        shutil.copytree(shot, each)
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
