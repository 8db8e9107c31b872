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
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from child_process import child_environment
from conftest import MAIN_JOB_FRAMES, SMALL, Command, plate_and_take

from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion
from portraitgen.errors import Cancelled, PortraitError
from portraitgen.footage.crop import place
from portraitgen.footage.decoder import RemoteReader
from portraitgen.footage.exr import read_exr
from portraitgen.footage.plate import Plate
from portraitgen.footage.source_frame import SourceFrame
from portraitgen.pipeline.data.shots import Track
from portraitgen.pipeline.jobs.reconstruct import ReconstructOptions
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import OverallProgress, Reporter
from portraitgen.shot import Shot
from portraitgen.storage import read_json, write_json


def test_info_tells_machines_what_people_read(finished: Path, portraitgen: Command) -> None:
    facts = json.loads(portraitgen("info", finished, "--json").stdout)
    assert facts["track"]["tracked_frames"] == 16
    assert 0 < facts["track"]["landmark_residual_percent"] < 1.5
    assert facts["avatar"]["psnr"] > 22 and 0.7 < facts["avatar"]["ssim"] <= 1
    assert not facts["avatar"]["track_has_changed"]
    assert [take["name"] for take in facts["takes"]] == ["toon"]
    assert facts["takes"][0]["rendered_frames"] == 16
    assert facts["unfinished_jobs"] == [] and facts["holders"] == []
    words = portraitgen("info", finished).stdout
    assert "tracked frames: 16" in words and "name toon" in words


def test_a_likeness_is_shown_before_the_plate_is_read(copied: Path) -> None:
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
        run("reconstruct", copied, {"size": 128, "gaussians": 4000}, listener)
    assert set(listener.stages) == {"read plate 5", "foreground 5", "read plate 16"}
    plate, drawn = np.split(listener.seen[0], 2, axis=1)
    assert 0 < np.abs(plate - drawn).mean() < 0.05 < plate.mean()


def test_the_bar_of_a_reconstruction_is_full_at_its_end_alone(copied: Path) -> None:
    """It stood at 100 % with no time left while the avatar was measured and settled."""

    class Listener(Reporter):
        def __init__(self) -> None:
            super().__init__()
            self.told: list[tuple[float, int]] = []
            self.overall = OverallProgress("reconstruct")

        def progress(self, stage: str, step: int, steps: int, *rest: object) -> None:
            share = self.overall.share(stage, step, steps)
            self.told.append((share, len(Shot.open(copied).versions("avatar"))))

    listener = Listener()
    before = len(Shot.open(copied).versions("avatar"))
    run("reconstruct", copied, {"size": 64, "gaussians": 1000, "steps": 2}, listener)
    assert [made for share, made in listener.told if share == 1] == [before + 1]


def test_the_whole_performer_gets_a_larger_window_and_a_larger_avatar(
    finished: Path, portraitgen: Command, clip: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "shot"
    words = ["--footage", clip, "--frames", "1-4", "--window", "whole"]
    done = portraitgen("track", folder, *words)
    assert done.returncode == 0, done.stderr
    # This performer fills the plate.
    whole, head = Track(Shot.open(folder)), Track(Shot.open(finished), 1)
    assert whole.box(1) == (0, 0, 512) and head.box(1).side <= 512
    assert ReconstructOptions().scale(whole) == (512, 24576)
    assert ReconstructOptions().scale(head) == (256, 16384)
    assert ReconstructOptions(size=300, gaussians=5000).scale(whole) == (296, 5000)


def test_the_track_agrees_with_the_truth(finished: Path, clip: Path) -> None:
    from benchmarks.ground_truth import compare

    truth = Motion.load(clip.with_suffix(".safetensors")).rows(np.arange(16))
    motion = Motion.load(finished / "track" / "0001" / "params.safetensors")
    figures = compare(BodyModel.load(), truth, motion)
    assert figures["head_vertices_mm"] < 3.0
    assert figures["head_turn_degrees"] < 4.0
    assert figures["head_place_mm"] < 40
    assert figures["jaw_correlation"] > 0.7 and figures["blink_correlation"] > 0.9


def test_the_matte_agrees_with_the_truth(finished: Path, clip: Path) -> None:
    from portraitgen.pipeline.data.crops import load_matte
    from portraitgen.pipeline.data.shots import Track
    from synthetic.acting import camera
    from synthetic.render import Performer

    truth = Motion.load(clip.with_suffix(".safetensors"))
    alpha = Performer(BodyModel.load(), truth).render(8, camera(512)).alpha[..., 0]
    track = Track(Shot.open(finished))
    box = track.box(8)
    from portraitgen.footage.crop import crop

    expected, _ = crop(alpha, box, 256)
    assert np.abs(load_matte(track, 8, 256) / 255 - expected).mean() < 0.03


def test_exr_passes_hold_what_their_names_say(finished: Path) -> None:
    passes = read_exr(finished / "takes" / "toon" / "renders" / "v001" / "frames" / "toon.0008.exr")
    assert {"Combined", "Depth", "Normal", "Alpha", "Reconstruction"} <= passes.keys()
    alpha = passes["Alpha"][..., 0]
    inside = alpha > 0.99
    assert inside.mean() > 0.15
    depth = passes["Depth"][..., 0][inside]
    assert 0.3 < np.median(depth) < 3.0
    length = np.linalg.norm(passes["Normal"][inside], axis=-1)
    assert np.median(np.abs(length - 1)) < 0.02
    assert np.median(passes["Normal"][inside][:, 2]) < -0.3  # Towards the camera.


def test_pixels_outside_the_matte_keep_their_bits(finished: Path, clip: Path) -> None:
    """Wherever the matte is empty, and everywhere beyond its window, in every frame."""
    track = Track(Shot.open(finished))
    for frame in (1, 8, 16):
        box = track.box(frame)
        cover, rows, columns = place(track.matte(frame) / np.float32(255), box, 512, 512)
        outside = np.ones((512, 512), bool)
        # A pixel's width for the matte's resampling to the plate.
        grown = cv2.dilate(cover, np.ones((3, 3), np.uint8))
        outside[rows, columns] = grown == 0
        assert 0.1 < outside.mean() < 0.9
        original, written = plate_and_take(finished, "toon", frame, clip)
        changed = (written != original).any(-1)
        assert 0.05 < changed.mean() < 0.8
        assert not changed[outside].any(), f"{changed[outside].sum()} pixels of frame {frame}"


def _head_joint(motion: Motion, row: int) -> np.ndarray:
    """Metres, camera space."""
    values = (each[row : row + 1] for each in (motion.pose, motion.expression, motion.transl))
    body = BodyModel.load()
    posed = body.forward(torch.from_numpy(motion.betas)[None], *map(torch.from_numpy, values))
    return posed.joints[0, 15].numpy()


def test_a_new_solve_keeps_the_frames_an_artist_fixed(copied: Path, portraitgen: Command) -> None:
    folder = Shot.open(copied).version_folder("track")
    motion = Motion.load(folder / "params.safetensors")
    motion.expression[4, :] = 0.123
    motion.fixed[4] = True
    # A solve may find another identity, longer in the trunk, say.
    motion.betas[:8] += 0.7
    record = Shot.open(copied).track_record()
    staged = copied / "jobs" / "fixed"
    staged.mkdir()
    motion.save(staged / "params.safetensors")
    Shot.open(copied).publish("track", staged, record)
    done = portraitgen("track", copied, "--frames", MAIN_JOB_FRAMES, "--smoothing", "2")
    assert done.returncode == 0, done.stderr
    again = Motion.load(Shot.open(copied).version_folder("track") / "params.safetensors")
    heads = [_head_joint(each, 4) for each in (motion, again)]
    assert np.abs(heads[0] - heads[1]).max() < 1e-5, "the head is not where the artist put it"
    # Faces are what they were, whatever each identity's neutral face is.
    body = BodyModel.load()
    faces = [each.expression + each.neutral(body) for each in (motion, again)]
    assert np.abs(faces[0][4] - faces[1][4]).max() < 1e-5 and again.fixed[4]
    assert np.abs(faces[0][5] - faces[1][5]).max() > 1e-3


def test_two_processes_render_disjoint_frames_of_one_take(copied: Path) -> None:
    shutil.rmtree(copied / "takes" / "toon" / "renders" / "v001" / "frames")
    chunks = [
        subprocess.Popen(
            [sys.executable, "-m", "portraitgen.cli", "render", str(copied), "--take", "toon"]
            + ["--frames", frames, "--no-movie"],
            env=child_environment(),
            stdout=subprocess.DEVNULL,
        )
        for frames in ("1-4", "5-8")
    ]
    assert [chunk.wait(timeout=600) for chunk in chunks] == [0, 0]
    assert len(list((copied / "takes" / "toon" / "renders" / "v001" / "frames").glob("*.exr"))) == 8


def test_who_holds_the_shot_is_told_and_nothing_changes(copied: Path, portraitgen: Command) -> None:
    with Shot.open(copied).hold("avatar", "reconstruct"):
        done = portraitgen("reconstruct", copied, *SMALL)
    assert done.returncode == 75
    assert f"process {os.getpid()}" in done.stderr and "Traceback" not in done.stderr
    assert Shot.open(copied).versions("avatar") == [1]


def test_frames_that_are_not_tracked_teach_nothing(copied: Path, portraitgen: Command) -> None:
    path = Shot.open(copied).version_folder("track") / "track.json"
    facts = read_json(path)
    for row in facts["quality"][:3]:
        row["state"] = "lost"
    write_json(path, facts)
    for command in (["reconstruct", copied, *SMALL], ["edit", copied, "--take", "new"]):
        done = portraitgen(*command, "--frames", "1-3")
        assert done.returncode == 1 and "no frame of the range is tracked" in done.stderr


def test_events_are_json_lines(copied: Path, portraitgen: Command) -> None:
    done = portraitgen("render", copied, "--take", "toon", "--frames", "1-2", "--events")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["event"] == "done" and events[-1]["result"]["frames"] == 2
    assert [event["frame"] for event in events if event["event"] == "frame"] == [1, 2]


def test_the_render_is_deterministic(copied: Path, finished: Path, portraitgen: Command) -> None:
    portraitgen("render", copied, "--take", "toon", "--frames", "3", "--no-movie")
    first, second = (
        read_exr(folder / "takes" / "toon" / "renders" / "v001" / "frames" / "toon.0003.exr")
        for folder in (finished, copied)
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
    words: list[str], sentence: str, finished: Path, tmp_path: Path, portraitgen: Command
) -> None:
    before = sorted(path.name for path in finished.rglob("*") if "jobs" not in path.parts)
    done = portraitgen(*(word.format(shot=finished, empty=tmp_path) for word in words))
    assert done.returncode in (1, 2)
    assert sentence in done.stderr and "Traceback" not in done.stderr
    assert sorted(p.name for p in finished.rglob("*") if "jobs" not in p.parts) == before


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
    file: str, content: bytes, sentence: str, copied: Path, portraitgen: Command
) -> None:
    (copied / file).write_bytes(content)
    done = portraitgen("render", copied, "--take", "toon", "--frames", "1-2")
    assert done.returncode == 1
    assert sentence in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_shot_is_one_sentence(copied: Path, portraitgen: Command) -> None:
    (copied / "jobs").chmod(stat.S_IRUSR | stat.S_IXUSR)
    done = portraitgen("render", copied, "--take", "toon")
    (copied / "jobs").chmod(0o755)
    assert done.returncode == 1 and "not allowed" in done.stderr


def test_a_render_whose_frames_are_there_loads_nothing_that_draws(copied: Path) -> None:
    """Loading torch and numba takes three times as long as all that such a render does."""
    program = "import sys\nfrom portraitgen.cli import main\nmain(sys.argv[1:])\n"
    program += "print('loaded', *sorted({'torch', 'numba', 'scipy'} & set(sys.modules)))"
    words = ["render", str(copied), "--take", "toon", "--no-movie"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        env=child_environment(),
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1].split() == ["loaded"], done.stdout + done.stderr
    # The test would show nothing if they had not been there.
    assert len(list((copied / "takes" / "toon" / "renders").iterdir())) == 1


def test_a_full_disk_is_one_sentence(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from portraitgen.pipeline.compositing import frame_files
    from portraitgen.pipeline.jobs import render
    from portraitgen.pipeline.run.progress import Reporter

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "x.exr")

    monkeypatch.setattr(frame_files, "write_exr", full)
    for path in (copied / "takes" / "toon" / "renders" / "v001" / "frames").glob("toon.0001.*"):
        path.unlink()
    with pytest.raises(PortraitError, match="the disk is full.*free some space"):
        render.render(Shot.open(copied), render.RenderOptions(take="toon", frames="1"), Reporter())
    record = Shot.open(copied).jobs()[-1].record
    assert record.state == "failed" and record.kind == "render"


def test_a_render_reads_each_thing_once(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame is decoded once, for what is drawn, its full plate and the movie alike."""
    shutil.rmtree(copied / "takes" / "toon" / "renders" / "v001" / "frames")
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
    run("render", copied, {"take": "toon", "plate": True}, Reporter())
    assert counts == {"frames decoded": 16, "mattes read": 16, "plate digests": 1}
    with av.open(str(copied / "takes" / "toon" / "renders" / "v001" / "toon.mp4")) as movie:
        assert sum(1 for _ in movie.decode(video=0)) == 16
    # A render that finds all frames on disk makes the same movie of them.
    made = (copied / "takes" / "toon" / "renders" / "v001" / "toon.mp4").read_bytes()
    run("render", copied, {"take": "toon", "plate": True}, Reporter())
    assert (copied / "takes" / "toon" / "renders" / "v001" / "toon.mp4").read_bytes() == made
    # Of a part, the frames beside it steady it, and none is decoded twice.
    shutil.rmtree(copied / "takes" / "toon" / "renders" / "v001" / "frames")
    counts.clear()
    run("render", copied, {"take": "toon", "frames": "5-12"}, Reporter())
    assert counts["frames decoded"] == 12 and counts["mattes read"] <= 12
