# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flamenco's job type, compiled in a JavaScript engine from the jobs that we write."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from portraitgen.cli import _parser
from portraitgen.errors import OptionError
from portraitgen.farm.bundle import STAGES, FarmSettings, ShotPlan
from portraitgen.farm.flamenco import JOB_TYPE, write_flamenco
from portraitgen.farm.path_words import parted

pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")

# What the Manager gives a job type, and how it compiles one.
SHIM = """
const fs = require("fs"), vm = require("vm");
const tasks = [];
const world = vm.createContext({
  author: {
    Task: (name, type) => ({ name, type, commands: [], after: [],
      addCommand(c) { this.commands.push(c); }, addDependency(t) { this.after.push(t.name); } }),
    Command: (name, parameters) => ({ name, parameters }),
  },
  // Of the Manager's own, as far as these tests need it.
  shellSplit: (text) => (text.match(/(?:[^\\s"]|"[^"]*")+/g) || []).map((w) => w.replace(/"/g, "")),
});
new vm.Script('"use strict";' + fs.readFileSync(process.argv[1], "utf8")
  + "\\nglobalThis.compileJob = compileJob; globalThis.JOB_TYPE = JOB_TYPE;").runInContext(world);
const job = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const known = new Map(world.JOB_TYPE.settings.map((each) => [each.key, each]));
for (const key of Object.keys(job.settings)) {
  if (!known.has(key)) throw new Error("unknown " + key);
}
for (const [key, each] of known) {
  if (each.required && !(key in job.settings)) throw new Error("no " + key);
}
const { settings, metadata } = job;
world.compileJob({ settings, metadata, addTask: (task) => tasks.push(task) });
console.log(JSON.stringify(process.argv[3] ? world.JOB_TYPE : tasks));
"""
# What the Manager's interface (flamenco-openapi.yaml) knows of a setting, and what Blender's
# properties take of `propargs`.
KNOWN = {
    *("key", "type", "subtype", "choices", "propargs", "description", "label", "default"),
    *("eval", "evalInfo", "visible", "required", "editable"),
}
TYPES, VISIBLE = {"string", "int32", "float", "bool"}, {"visible", "hidden", "submission", "web"}
SUBTYPES = {"file_path", "dir_path", "file_name", "hashed_file_path"}
TAKEN = {"string": {"maxlen"}, "int32": {"min", "max"}, "float": {"min", "max"}, "bool": set()}
# Younger than what goja understands everywhere.
YOUNG = {
    "optional chaining": r"\?\.[\w\[(]",
    "nullish coalescing": r"\?\?",
    "powers": r"\*\*",
    "spread in objects": r"\{\s*\.\.\.|,\s*\.\.\.\w+\s*\}",
    "asynchronous functions": r"\b(async|await)\b",
    "classes, generators and modules": r"\b(class|yield|import|export)\b|function\s*\*",
    "private names and long numbers": r"#\w|\d_\d|\b\d+n\b",
    "lookbehind and named groups": r"\(\?<",
    "young methods": r"\.(at|flat|flatMap|replaceAll|matchAll|padStart|padEnd|includes|findLast"
    r"|fromEntries|entries|values|trimStart|trimEnd|allSettled|any|hasOwn)\(",
}


def compiled(job: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["node", "-e", SHIM, JOB_TYPE, job], capture_output=True, text=True)


def code_of(source: str) -> str:
    """A script without what it says in texts and comments; what stands in templates stays."""
    source = re.sub(r"//[^\n]*", "", source)
    source = re.sub(r'"(?:[^"\\\n]|\\.)*"', '""', source)
    return re.sub(r"`[^`]*`", lambda text: " ".join(re.findall(r"\$\{([^}]*)\}", text[0])), source)


def job_of(folder: Path, typed: dict[str, Any] | None = None, **asked: Any) -> Path:
    """A job as we write it; what was typed at the Manager takes the place of what we wrote."""
    plan = ShotPlan(
        Path("/shots/a b"),
        Path("/plates/p.mov"),
        asked.get("numbers", range(1, 25)),
        asked.get("stages", STAGES[:5]),
        asked.get("options", {"edit": ("--editor", "toon", "--set", "tones=3")}),
    )
    farm = FarmSettings(asked.get("chunk", 8))
    file = write_flamenco(folder, "night", "toon", [plan], farm)[1]
    job = json.loads(file.read_text())
    settings = job["settings"] | (typed or {})
    job["settings"] = {name: each for name, each in settings.items() if each is not None}
    file.write_text(json.dumps(job))
    return file


def tasks_of(job: Path) -> list[Any]:
    run = compiled(job)
    assert run.returncode == 0, run.stderr
    tasks: list[Any] = json.loads(run.stdout)
    for task in tasks:
        args = task["commands"][0]["parameters"]["args"]
        parsed = _parser(args[0]).parse_args(args)
        assert str(parsed.shot) == "/shots/a b" and str(parsed.footage) == "/plates/p.mov"
    return tasks


def words_of(tasks: list[Any], name: str) -> list[str]:
    words: list[str] = next(t for t in tasks if t["name"] == name)["commands"][0]["parameters"][
        "args"
    ]
    return words


def test_every_stage_is_a_task_that_waits_for_the_one_before(tmp_path: Path) -> None:
    """A track of frames 1-24 was asked for 1--24, since a match took the dash for a minus."""
    tasks = tasks_of(job_of(tmp_path))
    renders = ["render 1-8", "render 9-16", "render 17-24"]
    assert [t["name"] for t in tasks] == ["track", "reconstruct", "edit", *renders, "movie"]
    before = [[], ["track"], ["reconstruct"], *[["edit"]] * 3, renders]
    assert [t["after"] for t in tasks] == before
    assert words_of(tasks, "track")[-1] == "--frames=1-24"
    assert words_of(tasks, "edit")[-4:] == ["--editor", "toon", "--set", "tones=3"]
    assert words_of(tasks, "render 9-16")[-2:] == ["--frames=9-16", "--no-movie"]


@pytest.mark.parametrize(
    ("stages", "names"),
    [
        (("track",), ["track"]),
        (("track", "render"), ["track", "render 1-24"]),
        (("render", "qc"), ["render 1-24", "qc"]),
        (("qc",), ["qc"]),
    ],
)
def test_no_stage_runs_that_was_not_asked_for(
    tmp_path: Path, stages: tuple[str, ...], names: list[str]
) -> None:
    """Everything after the first stage ran: a track brought an edit that named no editor."""
    tasks = tasks_of(job_of(tmp_path, stages=stages, chunk=100))
    assert [t["name"] for t in tasks] == names
    assert [t["after"] for t in tasks] == [[], *([name] for name in names[:-1])]


@pytest.mark.parametrize(
    ("numbers", "hull", "chunks"),
    [
        (range(-3, 3), "-3-2", ["-3-0", "1-2"]),
        (range(-9, -4), "-9--5", ["-9--6", "-5"]),
        ([1, 11, 21, 31, 41], "1-41", ["1,11,21,31", "41"]),
        ([-2, -1, 5], "-2-5", ["-2--1,5"]),
        ([7], "7-7", ["7"]),
    ],
)
def test_frames_below_zero_and_in_steps_are_cut_into_chunks(
    tmp_path: Path, numbers: Any, hull: str, chunks: list[str]
) -> None:
    """The Manager's own chunker refuses numbers below zero, and knows no steps."""
    tasks = tasks_of(job_of(tmp_path, numbers=numbers, chunk=4))
    assert words_of(tasks, "track")[-1] == f"--frames={hull}"
    assert [t["name"] for t in tasks if t["name"].startswith("render")] == [
        f"render {chunk}" for chunk in chunks
    ]


def test_what_was_typed_at_the_manager_is_read_as_we_read_it(tmp_path: Path) -> None:
    tasks = tasks_of(job_of(tmp_path, {"frames": " 5-9x2, 1 - 2 ,2,", "stages": "render"}, chunk=2))
    assert [t["name"] for t in tasks] == ["render 1-2", "render 5,7", "render 9"]
    assert tasks_of(job_of(tmp_path, {"track_arguments": "--focal=35\r\n", "edit_arguments": None}))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"frames": ""}, "the job names no frame"),
        ({"frames": None}, "no frames"),
        ({"frames": "9-1"}, "9-1 ends before it begins; write 1-9"),
        ({"frames": "1-9x0"}, "has no step of 0"),
        ({"frames": "one"}, '"one" is no frame range'),
        ({"frames": "1-999999999"}, "has more than 1000000 frames"),
        ({"stages": "track,paint"}, '"paint" is none of the stages'),
        ({"stages": " , "}, "no stage is to run"),
        ({"chunk_size": 0}, "cannot render 0 frames"),
        ({"chunk_size": None}, "cannot render undefined frames"),
        ({"shot": " "}, "the job names no shot"),
        ({"take": ""}, "the job names no take"),
    ],
)
def test_a_job_that_cannot_be_meant_is_refused_in_a_sentence(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    run = compiled(job_of(tmp_path, changed))
    assert run.returncode and said in run.stderr


def test_two_way_variables_are_known_by_the_system_that_sends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for system, platform in (("win32", "windows"), ("darwin", "darwin"), ("linux", "linux")):
        monkeypatch.setattr("sys.platform", system)
        assert json.loads(job_of(tmp_path).read_text())["submitter_platform"] == platform


def test_paths_that_options_name_are_values_of_their_own(tmp_path: Path) -> None:
    """Two-way variables never reached them: the Manager lays these where a value begins."""
    edit = ("--editor", "grade", "--set", "reference=/show/a b.png", "--set", "exposure=0.5")
    render = ("--holdout=/show/hold.####.png", "--plate")
    options = {"edit": parted("edit", edit), "render": parted("render", render)}
    file = job_of(tmp_path, options=options)
    job = json.loads(file.read_text())
    assert job["metadata"] == {
        "take": "toon",
        "path_1": "/show/a b.png",
        "path_2": "/show/hold.####.png",
    }
    assert "/show" not in json.dumps(job["settings"])
    tasks = tasks_of(file)
    assert "reference=/show/a b.png" in words_of(tasks, "edit")
    assert "--holdout=/show/hold.####.png" in words_of(tasks, "render 1-8")
    # As the Manager has them once it has laid its variables into them.
    job["metadata"] |= {"path_1": "{show}/a b.png", "path_2": "{show}/hold.####.png"}
    file.write_text(json.dumps(job))
    tasks = tasks_of(file)
    assert "reference={show}/a b.png" in words_of(tasks, "edit")
    assert "--holdout={show}/hold.####.png" in words_of(tasks, "render 9-16")


def test_one_line_is_taken_apart_as_a_shell_does_it(tmp_path: Path) -> None:
    """Flamenco's panel in Blender has no place for more than one line."""
    typed = {"edit_arguments": '--editor toon --set "prompt=a b" --set tones=3'}
    words = words_of(tasks_of(job_of(tmp_path, typed)), "edit")
    assert words[-6:] == ["--editor", "toon", "--set", "prompt=a b", "--set", "tones=3"]
    # One word that we write is no such line.
    file = job_of(tmp_path, options={"render": ("--passes=a b",)})
    assert "--passes=a b" in words_of(tasks_of(file), "render 1-8")


def test_the_settings_are_those_that_manager_and_blender_know(tmp_path: Path) -> None:
    """Blender refused the whole job type for a property that no text of its has."""
    words = ["node", "-e", SHIM, JOB_TYPE, job_of(tmp_path), "type"]
    done = subprocess.run(words, capture_output=True, text=True)
    told = json.loads(done.stdout)
    assert set(told) <= {"label", "description", "settings"}
    assert len({each["key"] for each in told["settings"]}) == len(told["settings"])
    for each in told["settings"]:
        assert set(each) <= KNOWN and re.fullmatch("[a-z_]+", each["key"])
        assert each["type"] in TYPES and each.get("visible", "visible") in VISIBLE
        assert each.get("subtype", "file_path") in SUBTYPES
        assert "subtype" not in each or each["type"] == "string"
        assert set(each.get("propargs", {})) <= TAKEN[each["type"]]
        assert "evalInfo" not in each or set(each["evalInfo"]) == {"showLinkButton", "description"}
        if "eval" in each:
            compile(each["eval"], "eval", "eval")


@pytest.mark.parametrize("what", YOUNG)
def test_the_script_is_of_an_age_that_every_manager_reads(what: str) -> None:
    code = code_of(JOB_TYPE.read_text("utf-8"))
    assert "compileJob" in code and not re.search(YOUNG[what], code), what
    assert re.search(YOUNG["nullish coalescing"], code_of('a ?? `x${b ?? c}` // "'))


def test_words_of_several_lines_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="several lines"):
        job_of(tmp_path, options={"edit": ("--editor=toon", "--set", "prompt=a\nb")})
