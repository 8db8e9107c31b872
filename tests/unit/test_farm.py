# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs for render farms: bundles that OpenJD runs, Flamenco's job type, movies of many parts."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from child_process import child_environment
from conftest import Command

from portraitgen import path_mapping
from portraitgen.errors import OptionError
from portraitgen.footage.exr import read_exr
from portraitgen.pipeline.run.progress import OverallProgress
from portraitgen.shot import Shot

SMALL = ["--size", "64", "--gaussians", "1000", "--steps", "8"]
EDIT = ["--editor", "toon", "--steps", "4", "--keys", "2"]
OPENJD = Path(sys.executable).with_name("openjd")


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory, portraitgen: Command, clip: Path) -> Path:
    """A shot with an edited take, its plate beside it; nothing is rendered."""
    folder = tmp_path_factory.mktemp("farm")
    plate = Path(shutil.copy(clip, folder / "plate.mp4"))
    for words in (
        ["track", folder / "shot", "--footage", plate, "--frames", "1-4", "--focal", "1280"],
        ["reconstruct", folder / "shot", *SMALL],
        ["edit", folder / "shot", "--take", "toon", *EDIT],
    ):
        done = portraitgen(*words)
        assert done.returncode == 0, done.stderr
    return folder / "shot"


@pytest.fixture
def copy(shot: Path, tmp_path: Path) -> Path:
    shutil.copytree(shot.parent, tmp_path / "job")
    return tmp_path / "job" / "shot"


@pytest.fixture(autouse=True)
def no_rules() -> None:
    path_mapping.clear_rules()


def stages_of(folder: Path) -> list[str]:
    template = json.loads((folder / "template.json").read_text())
    return [step["name"].rpartition(": ")[2] for step in template["steps"]]


def test_a_bundle_holds_what_is_missing(copy: Path, portraitgen: Command, tmp_path: Path) -> None:
    done = portraitgen("bundle", copy, "--take", "toon", "--out", tmp_path / "b", "--frames", "1-4")
    assert done.returncode == 0, done.stderr
    assert stages_of(tmp_path / "b") == ["render", "movie"]
    assert "render, movie, 4 frames" in done.stdout and "not used" not in done.stdout
    # Nothing said that an editor was named for a take that is edited already.
    words = ["--take", "toon", "--editor", "toon", "--set", "tones=3", "--out", tmp_path / "u"]
    assert "shot: what was asked of edit is not used" in portraitgen("bundle", copy, *words).stdout
    # The track holds four frames of a longer plate; those are what can be rendered.
    assert portraitgen("bundle", copy, "--take", "toon", "--out", tmp_path / "a").returncode == 0
    whole = json.loads((tmp_path / "a" / "template.json").read_text())["steps"][0]
    assert whole["parameterSpace"]["taskParameterDefinitions"][0]["range"] == "1-4"
    words = ["--take", "new", "--editor", "toon", "--set", "tones=3", "--out", tmp_path / "c"]
    assert portraitgen("bundle", copy, *words).returncode == 0
    assert stages_of(tmp_path / "c") == ["edit", "render", "movie"]
    template = json.loads((tmp_path / "c" / "template.json").read_text())
    args = template["steps"][0]["script"]["actions"]["onRun"]["args"]
    assert args[:2] == ["edit", "{{Param.Shot1}}"] and args[args.index("--set") + 1] == "tones=3"
    # What is not of this machine alone is a PATH parameter.
    assert str(copy) not in json.dumps(template["steps"])
    assert {p["type"] for p in template["parameterDefinitions"][:2]} == {"PATH"}
    values = json.loads((tmp_path / "c" / "openjd_parameters.json").read_text())
    assert {name: values[name] for name in ("Shot1", "Plate1")} == {
        "Shot1": str(copy),
        "Plate1": str(copy.parent / "plate.mp4"),
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--take", "new"], "name its editor"),
        (["--take", "toon", "--stages", "paint"], "no stage 'paint'"),
        (["--take", "toon", "--frames", "1-9999"], "leaves the frames"),
        (["--take", "toon", "--chunk", "0"], "cannot render 0 frames"),
        (["--take", "toon", "--edit-option", "steps"], "is no setting"),
        (["--take", "new", "--editor", "look", "--set", "look={{Task.x}}"], "as their own"),
        (["--take", "toon", "--flamenco", "--render-option", "lit=a\nb"], "several lines"),
        (["--take", "toon", "--flamenco", "--gpus", "1"], "tag the workers"),
    ],
)
def test_a_bundle_that_cannot_run_is_refused_in_a_sentence(
    copy: Path, portraitgen: Command, tmp_path: Path, words: list[str], said: str
) -> None:
    done = portraitgen("bundle", copy, *words, "--out", tmp_path / "b")
    assert done.returncode in (1, 2) and said in done.stderr
    assert not (tmp_path / "b").exists()


@pytest.mark.skipif(not OPENJD.exists(), reason="openjd-cli is not installed")
def test_openjd_runs_a_bundle_and_goes_on_after_a_task_that_failed(
    copy: Path, portraitgen: Command, tmp_path: Path
) -> None:
    # A worker whose first rendering task fails.
    program = tmp_path / "program.py"
    program.write_text(
        f"""#!{sys.executable}
import os, sys
mark = {str(tmp_path / "failed")!r}
if sys.argv[1] == "render" and not os.path.exists(mark):
    open(mark, "w").close()
    sys.exit("the worker was taken away")
os.execv(sys.executable, [sys.executable, "-m", "portraitgen", *sys.argv[1:]])
"""
    )
    program.chmod(0o755)
    words = ["--take", "toon", "--chunk", "2", "--frames", "1-4", "--command", program]
    done = portraitgen("bundle", copy, *words, "--out", tmp_path / "b")
    assert done.returncode == 0, done.stderr
    # The plate is mounted elsewhere on the worker.
    elsewhere = tmp_path / "mounted"
    (copy.parent / "plate.mp4").rename(elsewhere := elsewhere.with_suffix(".mp4"))
    rules = {
        "version": "pathmapping-1.0",
        "path_mapping_rules": [
            {
                "source_path_format": "POSIX",
                "source_path": str(copy.parent / "plate.mp4"),
                "destination_path": str(elsewhere),
            }
        ],
    }
    (tmp_path / "rules.json").write_text(json.dumps(rules))
    command = [OPENJD, "run", tmp_path / "b" / "template.json", "--extensions", "TASK_CHUNKING"]
    command += ["--job-param", f"file://{tmp_path / 'b' / 'openjd_parameters.json'}"]
    mapped = ["--path-mapping-rules", f"file://{tmp_path / 'rules.json'}"]
    around = child_environment(OMP_NUM_THREADS="1")

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        words = [*command, *more]
        return subprocess.run(words, capture_output=True, text=True, env=around, timeout=600)

    assert run(*mapped).returncode != 0
    second = run(*mapped)
    assert second.returncode == 0, second.stdout[-3000:] + second.stderr[-2000:]
    assert "openjd_progress: 100" in second.stdout
    if sys.platform.startswith("linux"):
        # Tasks of a render are copies of what was loaded once, and nothing of it is left.
        assert "PORTRAITGEN_PRELOADED=" in second.stdout
        assert "No process runs in" not in second.stdout
    take = copy / "takes" / "toon" / "renders" / "v001"
    assert (take / "toon.mp4").stat().st_size > 1000
    chunks = [read_exr(take / "frames" / f"toon.{frame:04d}.exr") for frame in range(1, 5)]
    # One process makes the same bits.
    for file in (take / "frames").iterdir():
        file.unlink()
    elsewhere.rename(copy.parent / "plate.mp4")
    assert portraitgen("render", copy, "--take", "toon", "--no-movie").returncode == 0
    for frame, parts in enumerate(chunks, 1):
        whole = read_exr(take / "frames" / f"toon.{frame:04d}.exr")
        assert parts.keys() == whole.keys()
        assert all((parts[name] == whole[name]).all() for name in whole)
    # A farm that has one storage maps nothing.
    third = run()
    assert third.returncode == 0, third.stdout[-3000:] + third.stderr[-2000:]


@pytest.mark.skipif(not OPENJD.exists(), reason="openjd-cli is not installed")
def test_openjd_maps_the_files_that_options_name(
    copy: Path, portraitgen: Command, tmp_path: Path
) -> None:
    """Submitted where they lie in one folder, run where they lie in another."""
    program, there, here = tmp_path / "program.py", tmp_path / "there", tmp_path / "he re"
    program.write_text(
        f"""#!{sys.executable}
import os, sys
os.execv(sys.executable, [sys.executable, "-m", "portraitgen", *sys.argv[1:]])
"""
    )
    program.chmod(0o755)
    there.mkdir()
    cv2.imwrite(str(there / "look.png"), np.full((8, 8, 3), (40, 90, 200), np.uint8))
    cv2.imwrite(str(there / "hold.0001.png"), np.zeros((256, 256, 3), np.uint8))
    words = ["--take", "g", "--editor", "grade", "--set", f"reference={there}/look.png"]
    words += ["--edit-option", "steps=4", "--edit-option", "keys=2", "--frames", "1"]
    words += ["--render-option", f"holdout={there}/hold.####.png", "--stages", "edit,render"]
    done = portraitgen("bundle", copy, *words, "--command", program, "--out", tmp_path / "b")
    assert done.returncode == 0, done.stderr
    there.rename(here)
    rule = {"source_path_format": "POSIX", "source_path": str(there), "destination_path": str(here)}
    rules = {"version": "pathmapping-1.0", "path_mapping_rules": [rule]}
    (tmp_path / "rules.json").write_text(json.dumps(rules))
    command = [OPENJD, "run", tmp_path / "b" / "template.json", "--extensions", "TASK_CHUNKING"]
    command += ["--job-param", f"file://{tmp_path / 'b' / 'openjd_parameters.json'}"]
    mapped = ["--path-mapping-rules", f"file://{tmp_path / 'rules.json'}"]
    around = child_environment(OMP_NUM_THREADS="1")
    told = [
        subprocess.run([*command, *more], capture_output=True, text=True, env=around, timeout=600)
        for more in ([], mapped)
    ]
    assert told[0].returncode != 0
    assert told[1].returncode == 0, told[1].stdout[-3000:] + told[1].stderr[-2000:]
    (record,) = (copy / "takes" / "g" / "edits").glob("*/edit.json")
    # As it was asked, on whichever machine.
    assert json.loads(record.read_text())["options"]["reference"] == f"{there}/look.png"
    assert len(list((copy / "takes" / "g" / "renders" / "v001" / "frames").glob("*.exr"))) == 1


def test_a_movie_is_made_of_frames_that_were_rendered_in_parts(
    copy: Path, portraitgen: Command
) -> None:
    take = copy / "takes" / "toon" / "renders" / "v001"
    first = portraitgen("render", copy, "--take", "toon", "--frames", "1-2")
    assert first.returncode == 0 and "portraitgen movie" in first.stderr
    assert not (take / "toon.mp4").exists()
    refused = portraitgen("movie", copy, "--take", "toon")
    assert refused.returncode == 1 and "frames 3-4" in refused.stderr
    assert portraitgen("render", copy, "--take", "toon", "--frames", "3-4").returncode == 0
    made = portraitgen("movie", copy, "--take", "toon")
    assert made.returncode == 0, made.stderr
    in_parts = (take / "toon.mp4").read_bytes()
    assert portraitgen("render", copy, "--take", "toon").returncode == 0
    assert (take / "toon.mp4").read_bytes() == in_parts


def test_a_sheet_of_quality_lies_beside_the_frames_and_fails_a_job_if_asked(
    copy: Path, portraitgen: Command
) -> None:
    words = ["render", copy, "--take", "toon", "--frames", "1-3", "--plate"]
    assert portraitgen(*words).returncode == 0
    made = portraitgen("qc", copy, "--take", "toon", "--events", "--identity", "90", "--gaze", "90")
    assert made.returncode == 0, made.stderr
    result = json.loads(made.stdout.splitlines()[-1])["result"]
    sheet = Path(result["sheet"])
    assert sheet == copy / "takes" / "toon" / "renders" / "v001" / "qc.html"
    assert result["frames"] == 3 and "outside" not in result["exceeded"]
    text = sheet.read_text("utf-8")
    assert text.count("<img") == 3 and "toon.0001" not in text and "digital_source_type" in text
    # One pixel of the plate that nobody edited has another code.
    plate = sheet.parent / "plates" / "toon.0002.png"
    picture = cv2.imread(str(plate), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    picture[0, 0] ^= 1
    cv2.imwrite(str(plate), picture)
    gone = portraitgen("qc", copy, "--take", "toon", "--strict", "--outside", "9", "--frames=1-4")
    assert gone.returncode == 1 and "frames 4 are not rendered, and not measured" in gone.stderr
    assert "Frames 4 are not rendered" in sheet.read_text("utf-8")
    strict = portraitgen("qc", copy, "--take", "toon", "--strict", "--identity", "90")
    assert strict.returncode == 1 and "Untouched pixels is beyond its limit" in strict.stderr
    assert "in frames 2." in strict.stderr and "look at the sheet" in strict.stderr


def test_frames_with_gaps_and_below_zero_are_cut_into_chunks(
    copy: Path, portraitgen: Command, tmp_path: Path
) -> None:
    words = ["--take", "toon", "--frames", "1-3x2,4", "--out", tmp_path / "b", "--stages"]
    assert portraitgen("bundle", copy, *words, "render,movie,qc").returncode == 0
    template = json.loads((tmp_path / "b" / "template.json").read_text())
    frames = template["steps"][0]["parameterSpace"]["taskParameterDefinitions"][0]
    assert frames["range"] == "1,3-4" and frames["chunks"]["rangeConstraint"] == "NONCONTIGUOUS"
    args = [step["script"]["actions"]["onRun"]["args"] for step in template["steps"]]
    assert "--frames=1,3-4" in args[1] and args[2][0] == "qc"
    if OPENJD.exists():
        check = [OPENJD, "check", tmp_path / "b" / "template.json", "--extensions", "TASK_CHUNKING"]
        assert subprocess.run(check, capture_output=True).returncode == 0
    refused = portraitgen("render", copy, "--take", "toon", "--frames", "-3-0")
    assert refused.returncode == 2 and "leaves the frames there are" in refused.stderr


def test_a_plate_on_another_mount_is_taken_where_its_digest_agrees(
    copy: Path, portraitgen: Command, tmp_path: Path
) -> None:
    plate = copy.parent / "plate.mp4"
    moved = plate.rename(tmp_path / "moved.mp4")
    words = ["render", copy, "--take", "toon", "--frames", "1", "--no-movie"]
    assert portraitgen(*words).returncode == 1
    path_mapping.clear_rules()
    assert portraitgen(*words, "--footage", moved).returncode == 0
    path_mapping.clear_rules()
    (tmp_path / "other.mp4").write_bytes(moved.read_bytes() + b"more")
    other = portraitgen(*words, "--footage", tmp_path / "other.mp4")
    assert other.returncode == 1 and "other.mp4" in other.stderr


def test_paths_of_other_machines_are_found_by_a_farms_rules(tmp_path: Path) -> None:
    rules = [
        {"source_path_format": "WINDOWS", "source_path": r"P:\shows", "destination_path": "/mnt/s"},
        {"source_path_format": "POSIX", "source_path": "/vol/a", "destination_path": "/mnt/a"},
    ]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"version": "pathmapping-1.0", "path_mapping_rules": rules}))
    path_mapping.read_rules(file)
    assert path_mapping.here("/vol/a/b/c.mov") == Path("/mnt/a/b/c.mov")
    assert path_mapping.here("/vol/x/../a/c.mov") == Path("/mnt/a/c.mov")
    assert path_mapping.here("/vol/ab/c.mov") == Path("/vol/ab/c.mov")
    assert path_mapping.here("p:\\Shows\\c.mov") == Path("/mnt/s/c.mov")
    assert path_mapping.here("p:\\x\\..\\Shows\\c.mov") == Path("/mnt/s/c.mov")
    # It climbs out of what the rule is about.
    outside = "p:\\Shows\\..\\x\\c.mov"
    assert path_mapping.here(outside) == Path(outside)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"version": "2"}',
        '{"version": "pathmapping-1.0"}',
        '{"version": "pathmapping-1.0", "rules": []}',
        '{"version": "pathmapping-1.0", "path_mapping_rules": [1]}',
    ],
)
def test_rules_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "rules.json").write_text(text)
    with pytest.raises(OptionError, match="no path mapping"):
        path_mapping.read_rules(tmp_path / "rules.json")


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (("S3", "s3://bucket/a", "/mnt"), "the format of 's3://bucket/a' is S3, not POSIX or"),
        (("", r"P:\shows", "/mnt"), r"the format of 'P:\\shows' is none"),
        (("POSIX", "/vol", ""), "a rule names '.', which does not begin at a root"),
        (("POSIX", "vol", "/mnt"), "a rule names 'vol'"),
    ],
)
def test_rules_that_would_be_misread_are_refused(
    tmp_path: Path, rule: tuple[str, str, str], told: str
) -> None:
    """Unknown formats were read as POSIX, and a place without a root as one in the own folder."""
    path_mapping.clear_rules()
    names = ("source_path_format", "source_path", "destination_path")
    good = dict(zip(names, ("POSIX", "/good", "/mnt"), strict=True))
    rules = [good, dict(zip(names, rule, strict=True))]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"version": "pathmapping-1.0", "path_mapping_rules": rules}))
    with pytest.raises(OptionError, match=told):
        path_mapping.read_rules(file)
    assert path_mapping.here("/good/a") == Path("/good/a")


def test_a_session_that_maps_no_paths_runs(tmp_path: Path) -> None:
    (tmp_path / "rules.json").write_text("{}")
    path_mapping.clear_rules()
    path_mapping.read_rules(tmp_path / "rules.json")
    assert path_mapping.here("/vol/a") == Path("/vol/a")


def test_exit_codes_tell_a_farm_what_to_try_again(
    copy: Path, portraitgen: Command, tmp_path: Path
) -> None:
    wrong = portraitgen("render", copy, "--take", "toon", "--mix", "2", "--events")
    assert wrong.returncode == 2
    failed = json.loads(wrong.stdout.splitlines()[-1])
    assert failed["event"] == "failed" and failed["code"] == "option"
    assert failed["place"] and failed["remedy"]
    # So it is where the command line itself is wrong, which was told to nobody but people.
    for words, said in (
        (["render", copy, "--no-such", "--events"], "unrecognized arguments: --no-such"),
        (["render", "--events"], "required: SHOT"),
        (["edit", copy, "--steps", "--events"], "expected one argument"),
    ):
        mistyped = portraitgen(*words)
        assert mistyped.returncode == 2 and "usage: portraitgen" in mistyped.stderr
        failed = json.loads(mistyped.stdout.splitlines()[-1])
        assert failed["code"] == "option" and said in failed["message"], failed
        assert "--help" in failed["remedy"]
    told = portraitgen("movie", copy, "--openjd", "--bad").stdout
    assert told.startswith("openjd_fail: portraitgen")
    with Shot.open(copy).hold("frames:toon", "render"):
        busy = portraitgen("render", copy, "--take", "toon", "--openjd")
    assert busy.returncode == 75 and "openjd_fail: " in busy.stdout


def test_progress_of_a_whole_job_never_falls() -> None:
    for kind in ("track", "refine", "reconstruct", "edit", "render", "movie", "unknown"):
        overall = OverallProgress(kind)
        stages = ["read plate", "landmarks", "solve", "mattes", "read plate", "train", "movie"]
        seen = [overall.share(stage, step, 10) for stage in stages for step in (0, 3, 10)]
        assert seen == sorted(seen) and 0 <= seen[0] and seen[-1] <= 1
    assert OverallProgress("movie").share("movie", 5, 10) == 0.5


def test_the_time_that_is_left_counts_what_this_run_has_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [100.0]
    monkeypatch.setattr("portraitgen.pipeline.run.progress.time.monotonic", lambda: clock[0])
    overall = OverallProgress("movie")
    assert overall.left_s is None
    overall.share("movie", 50, 100)  # A job that is resumed begins in its middle.
    clock[0] += 10
    assert overall.left_s is None, "nothing was done yet"
    overall.share("movie", 75, 100)
    assert overall.left_s == pytest.approx(10)


def test_a_warmed_cache_holds_the_kernels_of_drawing_and_of_training(tmp_path: Path) -> None:
    around = child_environment(NUMBA_CACHE_DIR=str(tmp_path))
    command = [sys.executable, "-m", "portraitgen", "warm"]
    done = subprocess.run(command, env=around, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stdout
    kernels = {path.name.partition("-")[0] for path in tmp_path.rglob("*.nbi")}
    assert {"compositing.blend_tiles", "compositing.blend_tiles_backward"} <= kernels
