# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles of Open Job Description with what studios name their shots, and what options name."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import Command
from made_looks import random_look

from portraitgen import path_mapping
from portraitgen.errors import OptionError
from portraitgen.farm.bundle import STAGES, FarmSettings, PathWord, ShotPlan, write_bundle
from portraitgen.farm.path_words import parted, paths_in, rooted
from portraitgen.footage.plate import open_plate
from portraitgen.frames import parse_frame_list
from portraitgen.pipeline.data.shots import pictures_of_plate

OPENJD = Path(sys.executable).with_name("openjd")
ODD = ["a b", "ü", "e\u0301", "日本", "a\"b'c", "a;b", "100%", "$HOME", "{a}", "x" * 200, "\u202ea"]


def plan(folder: str, frames: Sequence[int] = range(1, 9), *edit: str) -> ShotPlan:
    return ShotPlan(Path(folder), Path("/p/plate.mov"), frames, STAGES, {"edit": edit})


def written(out: Path, *shots: ShotPlan, take: str = "t", **settings: Any) -> Any:
    """The template, which `openjd check` takes for one."""
    write_bundle(out, "night", take, shots, FarmSettings(**settings))
    if OPENJD.exists():
        check = [OPENJD, "check", out / "template.json", "--extensions", "TASK_CHUNKING"]
        done = subprocess.run(check, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((out / "template.json").read_text())


def test_shots_takes_and_prompts_are_called_as_their_artists_please(tmp_path: Path) -> None:
    shots = [plan(f"/s/{name}", range(1, 9), "--set", f"prompt={name}") for name in ODD]
    template = written(tmp_path, *shots)
    args = [step["script"]["actions"]["onRun"]["args"] for step in template["steps"]]
    assert [each[-4] for each in args[2::6]] == [f"prompt={name}" for name in ODD]
    for name in ODD:
        written(tmp_path, plan("/s/a"), take=name)


@pytest.mark.parametrize("word", ["{{Param.Shot1}}", "a\x7fb", "a\x85b", "a\x00b", "\udcff"])
def test_what_a_template_cannot_hold_is_refused_wherever_it_is_said(
    tmp_path: Path, word: str
) -> None:
    """Takes were written as they are called: farms refused the job, or read a parameter of it."""
    said = "job templates (read|hold)"
    for asked in ({"take": word}, {"command": word}, {"models": word}):
        with pytest.raises(OptionError, match=said):
            written(tmp_path / "b", plan("/s/a"), **asked)
    with pytest.raises(OptionError, match=said):
        written(tmp_path / "b", plan("/s/a", range(1, 9), "--set", f"prompt={word}"))
    assert not (tmp_path / "b").exists()


def test_more_shots_than_a_job_has_place_for_are_refused(tmp_path: Path) -> None:
    """A template holds 50 parameters; with more, the farm refused it."""
    shots = [plan(f"/s/{index}") for index in range(25)]
    written(tmp_path, *shots[:24])
    with pytest.raises(OptionError, match=r"no place for 25 shots; write one for every 24\."):
        written(tmp_path, *shots)
    with pytest.raises(OptionError, match="write one for every 23"):
        written(tmp_path, *shots, models="/weights")
    with pytest.raises(OptionError, match="named twice"):
        written(tmp_path, shots[0], plan("/s/../s/0"))


def test_workers_keep_their_own_weights_unless_a_folder_is_named(tmp_path: Path) -> None:
    """A variable that was set to nothing took PORTRAITGEN_MODELS from every worker."""
    own = written(tmp_path, plan("/s/a"))
    assert "PORTRAITGEN_MODELS" not in own["jobEnvironments"][0]["variables"]
    named = written(tmp_path, plan("/s/a"), models="/weights")
    assert named["jobEnvironments"][0]["variables"]["PORTRAITGEN_MODELS"] == "{{Param.Models}}"
    assert json.loads((tmp_path / "openjd_parameters.json").read_text())["Models"] == "/weights"


@pytest.mark.parametrize(
    "frames", [range(-9, 4), [-9, -4, 1, 6], [3], [1, 2, 9, 30], list(range(0, 90, 7))]
)
def test_frames_of_any_kind_are_all_rendered_once(tmp_path: Path, frames: Sequence[int]) -> None:
    model = pytest.importorskip("openjd.model")
    template = written(tmp_path, plan("/s/a", frames), chunk=4)
    values = json.loads((tmp_path / "openjd_parameters.json").read_text())
    decoded = model.decode_job_template(template=template, supported_extensions=["TASK_CHUNKING"])
    given = model.preprocess_job_parameters(
        job_template=decoded,
        job_parameter_values={name: str(value) for name, value in values.items()},
        job_template_dir=tmp_path,
        current_working_dir=tmp_path,
    )
    job = model.create_job(job_template=decoded, job_parameter_values=given)
    (space,) = [step.parameterSpace for step in job.steps if step.parameterSpace]
    chunks = [task["Frames"].value for task in model.StepParameterSpaceIterator(space=space)]
    read = [list(parse_frame_list(chunk, range(-99, 99))) for chunk in chunks]
    assert max(map(len, read)) <= 4 and sorted(sum(read, [])) == list(frames)


def test_what_options_name_travels_with_the_job(tmp_path: Path) -> None:
    """Plates that are folders were told as files, which Deadline refuses; what options name, not at
    all."""
    plate, picture = tmp_path / "plate", tmp_path / "look.png"
    plate.mkdir()
    picture.write_bytes(b"")
    reads = paths_in("edit", ("--editor", "grade", "--set", f"reference={picture}"))
    assert reads == [picture]
    shot = ShotPlan(tmp_path / "s", plate, range(1, 9), STAGES, {}, tuple(reads))
    template = written(tmp_path / "b", shot)
    told = json.loads((tmp_path / "b" / "asset_references.json").read_text())["assetReferences"]
    assert told["inputs"] == {"filenames": [str(picture)], "directories": [str(plate)]}
    assert template["parameterDefinitions"][1]["dataFlow"] == "IN"
    # The pattern of a sequence is no file.
    shot = ShotPlan(tmp_path / "s", plate / "a.####.exr", range(1, 9), STAGES, {})
    pattern = written(tmp_path / "b", shot)["parameterDefinitions"][1]
    assert pattern["dataFlow"] == "NONE" and pattern["objectType"] == "FILE"


def test_the_pictures_of_a_sequence_are_all_listed(tmp_path: Path) -> None:
    files = [tmp_path / f"a.{number:04d}.png" for number in range(1, 4)]
    for file in [*files, tmp_path / "b.png"]:
        cv2.imwrite(str(file), np.zeros((8, 8, 3), np.uint8))
    for path in (tmp_path / "a.####.png", files[0]):
        shot = SimpleNamespace(footage_path=path)
        with closing(open_plate(path)) as plate:
            assert pictures_of_plate(shot, plate) == files  # type: ignore[arg-type]


def test_paths_that_options_name_begin_at_a_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path in the own folder is none in a worker's."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bronze").mkdir()
    Path("look.png").write_bytes(b"")
    picture = str(tmp_path / "look.png")
    edit = ("--editor", "grade", "--set", "reference=look.png", "--set", "cube=/a/b.cube")
    whole = ("--editor", "grade", "--set", f"reference={picture}", "--set", "cube=/a/b.cube")
    assert rooted("edit", edit) == whole
    options = ("--editor", "grade", '--editor-options={"reference": "look.png"}')
    assert json.loads(rooted("edit", options)[2].partition("=")[2]) == {"reference": picture}
    assert rooted("track", ("--matte-from=m/a.mov",)) == (f"--matte-from={tmp_path}/m/a.mov",)
    # A name stays one: of a look in the library, or of a model.
    for words in (("--editor", "look", "--set", "look=bronze"), ("--editor=look",)):
        assert rooted("edit", words) == words


def path_parameters(template: Any) -> dict[str, Any]:
    """What a template's parameters say that are paths."""
    parameters = template["parameterDefinitions"]
    return {each["name"]: each for each in parameters if each["type"] == "PATH"}


def arguments(template: Any) -> list[list[str]]:
    """What each step's command is given."""
    return [step["script"]["actions"]["onRun"]["args"] for step in template["steps"]]


def test_every_path_that_options_name_is_a_parameter(tmp_path: Path) -> None:
    """Those within an editor's options, and of renders, stood in the template as they were."""
    picture = tmp_path / "a 'look'.png"
    picture.write_bytes(b"")
    edit = ("--editor", "grade", "--set", f"reference={picture}", "--set", "exposure=0.5")
    render = (f"--holdout={tmp_path}/hold.####.png", "--grain=0.5", f"--drive={tmp_path}")
    options = {"edit": parted("edit", edit), "render": parted("render", render)}
    shots = [
        ShotPlan(Path(f"/s/{name}"), Path("/p/a.mov"), range(1, 9), STAGES, options)
        for name in "ab"
    ]
    template = written(tmp_path / "b", *shots)
    assert str(tmp_path) not in json.dumps(template)
    told = path_parameters(template)
    flows = {name: (each["objectType"], each["dataFlow"]) for name, each in told.items()}
    assert flows == {
        **{
            f"{what}{shot}": flows[f"{what}{shot}"] for what in ("Shot", "Plate") for shot in (1, 2)
        },
        "EditReference": ("FILE", "IN"),
        "RenderHoldout": ("FILE", "NONE"),
        "RenderDrive": ("DIRECTORY", "IN"),
    }
    values = json.loads((tmp_path / "b" / "openjd_parameters.json").read_text())
    assert values["EditReference"] == str(picture)
    assert values["RenderHoldout"] == f"{tmp_path}/hold.####.png"
    for args in (arguments(template)[2], arguments(template)[8]):
        assert args[args.index("--set") + 1] == "reference={{RawParam.EditReference}}"
        assert "exposure=0.5" in args
    assert "--holdout={{RawParam.RenderHoldout}}" in arguments(template)[3]


def test_paths_within_an_object_become_words_of_their_own(tmp_path: Path) -> None:
    """Another system's path, laid into JSON, would break it."""
    values = {"reference": r"P:\show\a.png", "exposure": 0.5, "cube": "/p/b.cube"}
    words = ("--editor", "grade", f"--editor-options={json.dumps(values)}", "--strength=0.5")
    shot = ShotPlan(Path("/s/a"), Path("/p"), [1], ("edit",), {"edit": parted("edit", words)})
    args = arguments(written(tmp_path, shot))[0]
    assert '--editor-options={"exposure": 0.5}' in args and "--strength=0.5" in args
    assert {"reference={{RawParam.EditReference}}", "cube={{RawParam.EditCube}}"} <= set(args)
    told = json.loads((tmp_path / "openjd_parameters.json").read_text())
    assert told["EditReference"] == r"P:\show\a.png"


def test_shots_that_name_other_files_have_parameters_of_their_own(tmp_path: Path) -> None:
    shots = [
        ShotPlan(
            Path(f"/s/{name}"),
            Path("/p/a.mov"),
            [1],
            ("render",),
            {"render": parted("render", (f"--holdout=/m/{name}.mov",))},
        )
        for name in "abc"
    ]
    args = arguments(written(tmp_path, *shots))
    told = json.loads((tmp_path / "openjd_parameters.json").read_text())
    for name, number, each in zip("abc", ("", "2", "3"), args, strict=True):
        assert f"--holdout={{{{RawParam.RenderHoldout{number}}}}}" in each
        assert told[f"RenderHoldout{number}"] == f"/m/{name}.mov"


def test_options_of_any_name_have_parameters(tmp_path: Path) -> None:
    """Names of parameters are of plain letters, and end at 64."""
    names = ["größe", "bild_über", "x" * 90, "bild_ber", "ÿ"]
    words = tuple(PathWord(f"--{name}=", name, f"/p/{name}") for name in names)
    shot = ShotPlan(Path("/s/a"), Path("/p"), [1], ("edit",), {"edit": words})
    told = path_parameters(written(tmp_path, shot))
    assert [*told][2:] == ["EditGre", "EditBildBer", "EditX" + "x" * 56, "EditBildBer2", "Edit"]


def test_a_program_that_an_editor_runs_is_not_sent_along(tmp_path: Path) -> None:
    words = ("--editor", "anydoor", "--set", f"checkout={tmp_path}", "--set", f"garment={tmp_path}")
    shot = ShotPlan(Path("/s/a"), Path("/p"), [1], ("edit",), {"edit": parted("edit", words)})
    told = path_parameters(written(tmp_path / "b", shot))
    flows = told["EditCheckout"]["dataFlow"], told["EditGarment"]["dataFlow"]
    assert flows == ("NONE", "IN")


def test_a_look_of_the_library_is_named_by_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers have a library of their own, in which there is none of the name."""
    monkeypatch.setenv("PORTRAITGEN_LOOKS", str(tmp_path))
    file = tmp_path / "bronze.safetensors"
    random_look().save(file)
    words = ("--editor", "look", "--set", "look=bronze", "--set", "other=none")
    assert rooted("edit", words)[3:] == (f"look={file}", "--set", "other=none")
    whole = ("--editor", "look", '--editor-options={"look": "bronze", "mix": 0.5}')
    shot = ShotPlan(
        Path("/s/a"), Path("/p"), [1], ("edit",), {"edit": parted("edit", rooted("edit", whole))}
    )
    args = arguments(written(tmp_path / "b", shot))[0]
    assert "look={{RawParam.EditLook}}" in args and '--editor-options={"mix": 0.5}' in args
    assert path_parameters(written(tmp_path / "b", shot))["EditLook"]["dataFlow"] == "IN"


def test_files_in_a_home_are_named_from_its_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's home is another one."""
    monkeypatch.setenv("HOME", str(tmp_path))
    edit = ("--editor", "grade", "--set", "reference=~/look.png")
    assert rooted("edit", edit)[-1] == f"reference={tmp_path}/look.png"


def test_more_files_than_a_job_has_place_for_are_refused(tmp_path: Path) -> None:
    def shot(index: int) -> ShotPlan:
        words = {"render": parted("render", (f"--holdout=/m/{index}.mov",))}
        return ShotPlan(Path(f"/s/{index}"), Path("/p"), [1], ("render",), words)

    shots = [shot(index) for index in range(17)]
    written(tmp_path, *shots[:16])
    with pytest.raises(OptionError, match="no place for 17 shots; write one for every 16"):
        written(tmp_path, *shots)


@pytest.fixture
def copy(tmp_path: Path, portraitgen: Command, clip: Path) -> Path:
    """A tracked and reconstructed shot, its plate beside it."""
    plate = Path(shutil.copy(clip, tmp_path / "plate.mp4"))
    track = ["track", tmp_path / "shot", "--footage", plate, "--frames", "1-3", "--focal", "1280"]
    small = ["--size", "64", "--gaussians", "1000", "--steps", "8"]
    for words in (track, ["reconstruct", tmp_path / "shot", *small]):
        done = portraitgen(*words)
        assert done.returncode == 0, done.stderr
    return tmp_path / "shot"


def test_a_farms_rules_hold_for_what_options_name(copy: Path, portraitgen: Command) -> None:
    """Only the plate was found on another mount: references, mattes and lit frames were not."""
    there = copy.parent / "mounted"
    there.mkdir()
    cv2.imwrite(str(there / "look.png"), np.full((8, 8, 3), (40, 90, 200), np.uint8))
    for frame in (1, 2, 3):
        white = np.full((256, 256, 3), 255, np.uint8)
        cv2.imwrite(str(there / f"hold.{frame:04d}.png"), white)
    rule = {"source_path_format": "WINDOWS", "source_path": r"P:\show"}
    rules = {"version": "pathmapping-1.0"}
    rules["path_mapping_rules"] = [rule | {"destination_path": str(there)}]  # type: ignore[assignment]
    (there / "rules.json").write_text(json.dumps(rules))
    mapped = ["--path-mapping", there / "rules.json"]
    edit = ["--take", "g", "--editor", "grade", "--set", r"reference=P:\show\look.png"]
    edit += ["--steps", "4", "--keys", "2"]
    assert portraitgen("edit", copy, *edit).returncode == 1
    path_mapping.clear_rules()
    done = portraitgen("edit", copy, *edit, *mapped)
    assert done.returncode == 0, done.stderr
    # What was asked is kept as it was asked, for machines that mount it elsewhere again.
    (record,) = (copy / "takes" / "g" / "edits").glob("*/edit.json")
    assert json.loads(record.read_text())["options"]["reference"] == r"P:\show\look.png"
    path_mapping.clear_rules()
    # What is set lies above what is given as one object.
    both = [*edit[:4], '--editor-options={"exposure": 0.25, "reference": "/none.png"}', *edit[4:]]
    done = portraitgen("edit", copy, *both, *mapped)
    assert done.returncode == 0, done.stderr
    *_, record = sorted((copy / "takes" / "g" / "edits").glob("*/edit.json"))
    kept = json.loads(record.read_text())["options"]
    assert (kept["exposure"], kept["reference"]) == (0.25, r"P:\show\look.png")
    path_mapping.clear_rules()
    words = ["--take", "g", "--frames", "1", r"--holdout=P:\show\hold.####.png"]
    done = portraitgen("render", copy, *words, *mapped)
    assert done.returncode == 0, done.stderr
    path_mapping.clear_rules()
