# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any file of every kind changed at random: told in a sentence, or harmless.

Each change goes through information, check, render, edit and reconstruction in one process, one in
four through report and rig, one in fifty through the command line's processes. PORTRAITGEN_ATTACKS
says how many files are changed, PORTRAITGEN_SEED takes others, PORTRAITGEN_SHARE=8/1000 the eighth
alone.
"""

import faulthandler
import functools
import json
import os
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attack_shot import CLIP, EDIT, SMALL, Portraitgen, copy_of
from faults import done_outside

from portraitgen.body.model import BodyModel
from portraitgen.bounded_json import parse_json
from portraitgen.cli import main
from portraitgen.editing.looks.library import looks_in
from portraitgen.editing.looks.look_file import Look, LookFacts, read_look
from portraitgen.editing.looks.network import Guides, LookNetwork
from portraitgen.errors import Cancelled
from portraitgen.failures import ProgramFault, readable
from portraitgen.footage.exr import read_exr
from portraitgen.images import read_codes, save_png
from portraitgen.job_queue import JobQueue, QueuedJob
from portraitgen.pipeline.data.acting import Acting
from portraitgen.pipeline.data.key_frames import keep_key
from portraitgen.pipeline.data.shots import Track, body_of, info
from portraitgen.pipeline.jobs import edit, reconstruct
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.requests import diagnostics
from portraitgen.pipeline.requests.paint import start_painting
from portraitgen.pipeline.requests.report import report
from portraitgen.pipeline.requests.rig import export_rig
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.raster import choice
from portraitgen.shot import Shot
from portraitgen.storage import read_json, write_json
from portraitgen.tensors import load_arrays
from portraitgen.trust import Program, allow, is_allowed
from portraitgen.user_folders import user_cache_folder

ATTACKS = int(os.environ.get("PORTRAITGEN_ATTACKS", "0"))
SEED = os.environ.get("PORTRAITGEN_SEED", "11")
# Nothing below takes so long; what does, hangs.
HANGS_AFTER = 240.0
RENDER = {"take": "toon", "frames": "2", "movie": False, "detail": 0.3, "plate": True}
EDITED = EDIT | {"steps": 2, "strength": 0.9}
REBUILT = SMALL | {"steps": 2, "frames": "1-2"}
SOMETIMES = ("report", "rig")
Act = Callable[[Path], object]


class StopsAtStep(Reporter):
    """Stops a job once it has trained a step, and so has a checkpoint."""

    def progress(self, stage: str, *rest: Any) -> None:
        if stage == "train":
            self.cancel()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no file of a shot changes is done once, or hardly."""
    for job in (edit, reconstruct):
        monkeypatch.setattr(job, "_CHECKPOINT_STEPS", 1)
    monkeypatch.setattr(reconstruct, "_GLANCE_STEPS", 1)
    monkeypatch.setattr(choice, "measure", functools.cache(choice.measure))
    # The open body's, which comes with the program.
    monkeypatch.setattr(BodyModel, "load", functools.cache(BodyModel.load))
    for part in ("_body", "_plug_ins", "_optional"):
        monkeypatch.setattr(diagnostics, part, functools.cache(getattr(diagnostics, part)))


def use(root: Path, patch: pytest.MonkeyPatch) -> None:
    """Has the program read its configuration, looks and models from a folder."""
    for variable in ("CONFIG", "LOOKS", "MODELS"):
        patch.setenv(f"PORTRAITGEN_{variable}", str(root / variable.lower()))


def everything(made: Path, root: Path) -> None:
    """A shot with what it holds once an artist has worked on it by hand, its plate, two jobs that
    were stopped, and what lies outside of shots."""
    folder = copy_of(made, root / "shot")
    shutil.copyfile(CLIP, folder / "plate.mp4")
    facts = read_json(folder / "shot.json")
    write_json(folder / "shot.json", facts | {"footage": facts["footage"] | {"path": "plate.mp4"}})
    shot = Shot.open(folder)
    take, track, body = folder / "takes" / "toon", Track(shot), body_of(shot)
    keep_key(shot, "toon", 3, nearest=True, author="ann")
    for mask in (False, True):
        painted = Path(start_painting(shot, "toon", 2, mask, author="ann").path)
        size = np.shape(read_codes(painted))
        save_png(painted, np.full((*size[:2], 3), 0.5, np.float32))
    Acting.none(body, track.frames).save(take / "acting.safetensors", track, body)
    for kind, options in (("reconstruct", REBUILT), ("edit", EDITED)):
        with pytest.raises(Cancelled):
            run(kind, folder, options, StopsAtStep())
        assert list(folder.glob(f"jobs/*-{kind}-*/work/checkpoint.safetensors"))
    export_rig(shot)
    (root / "looks").mkdir()
    thumbnail = np.zeros((96, 192, 3), np.uint8)
    look = Look(LookFacts(name="a", guides=Guides().names), LookNetwork(Guides()), thumbnail)
    look.save(root / "looks" / "a.safetensors")
    allow(program(root))
    JobQueue(root / "night.json").add([QueuedJob.of(folder, "render", RENDER, "toon")])
    weights = root / "models" / "stable-diffusion-v1-5"
    (weights / "unet").mkdir(parents=True)
    write_json(weights / "model_index.json", {"unet": ["diffusers", "UNet2DConditionModel"]})
    write_json(weights / "unet" / "config.json", {"in_channels": 4})
    index = {"weight_map": {"a": "shard.safetensors"}}
    write_json(weights / "unet" / "diffusion_pytorch_model.safetensors.index.json", index)


def program(root: Path) -> Program:
    return Program("", ("run.py",), root)


def informed(root: Path) -> None:
    """All that is told of a shot, and beside it of looks, programs and lists of jobs."""
    looks_in(root / "looks")
    is_allowed(program(root))
    JobQueue(root / "night.json").read()
    # As the worker sends it.
    json.dumps(info(Shot.open(root / "shot")).to_json(), allow_nan=False)


def checked(root: Path) -> None:
    assert diagnostics.check_setup()
    read_look(root / "looks" / "a.safetensors")
    try:
        main(["models", "check", "--json"])
    except SystemExit as end:
        assert end.code in (0, 1, 2)


ACTS: dict[str, Act] = {
    "info": informed,
    "check": checked,
    "report": lambda root: report(Shot.open(root / "shot")),
    "rig": lambda root: export_rig(Shot.open(root / "shot")),
    "render": lambda root: run("render", root / "shot", RENDER, Reporter()),
    "edit": lambda root: run("edit", root / "shot", EDITED, Reporter()),
    "reconstruct": lambda root: run("reconstruct", root / "shot", REBUILT, Reporter()),
}


def mutated(data: Any, generator: random.Random) -> Any:
    """JSON with something changed somewhere."""
    evil = [None, True, -1, 0, 10**18, 1e308, -1e-308, "", "x" * 5000, "..", "/etc/passwd", "\0"]
    evil += [[], {}, [1, 2], {"a": {}}, "\udcff", "CON", "\x1b[31m", "1" * 19, 2.5, "NaN", "1/0"]
    if isinstance(data, dict) and data and generator.random() < 0.9:
        key = generator.choice(sorted(data))
        if generator.random() < 0.1:
            return {name: value for name, value in data.items() if name != key}
        return data | {key: mutated(data[key], generator)}
    if isinstance(data, list) and data and generator.random() < 0.7:
        place = generator.randrange(len(data))
        return [*data[:place], mutated(data[place], generator), *data[place + 1 :]]
    return generator.choice(evil)


def spoiled(path: Path, generator: random.Random) -> bytes:
    """A file's content with something changed: JSON by its sense, others by their bytes."""
    content = path.read_bytes()
    if path.suffix == ".json" and generator.random() < 0.7:
        return json.dumps(mutated(json.loads(content), generator)).encode()
    if not content or generator.random() < 0.2:
        return content[: generator.randrange(len(content) + 1)]
    changed = bytearray(content)
    for _ in range(generator.choice((1, 1, 20))):
        changed[generator.randrange(len(changed))] = generator.randrange(256)
    return bytes(changed)


def kind_of(path: Path) -> str:
    """Files of one kind have one name, but for numbers."""
    return "".join("0" if each.isdigit() else each for each in path.name).replace("toon", "")


def written(root: Path, before: dict[Path, int]) -> list[Path]:
    """What was written since."""
    return [path for path, time in times(root).items() if before.get(path) != time]


def times(root: Path) -> dict[Path, int]:
    found = (path for path in root.rglob("*") if path.is_file())
    return {path: path.stat().st_mtime_ns for path in found}


def nothings(data: Any, place: str = "") -> set[str]:
    """Where JSON says null, which is written for numbers that are not finite."""
    if isinstance(data, dict):
        return set().union(*(nothings(each, f"{place}.{key}") for key, each in data.items()), ())
    if isinstance(data, list):
        return set().union(*(nothings(each, place) for each in data), ())
    return {place} if data is None else set()


def not_finite(paths: list[Path], usual: set[str]) -> list[str]:
    """What of some files holds numbers that are none.

    Args:
        usual: where records say null when nothing is wrong.
    """
    found = []
    for path in paths:
        if path.suffix == ".exr":
            for name, values in read_exr(path).items():
                if not np.isfinite(values.astype(np.float32)).all():
                    found.append(f"{path.name}: {name}")
        elif path.suffix == ".safetensors":
            load_arrays(path, may_be_nan=("residual", "part_residual"))
        elif path.suffix == ".json" and "jobs" not in path.parts:
            nulls = nothings(parse_json(path.read_bytes()), path.name) - usual
            found += [f"{path}: {each}" for each in sorted(nulls)]
    return found


@pytest.fixture(scope="module")
def whole(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is changed; nobody may change this one."""
    root = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        for job in (edit, reconstruct):
            patch.setattr(job, "_CHECKPOINT_STEPS", 1)
        use(root, patch)
        everything(made, root)
    return root


def faults_of(
    root: Path, act: Callable[[Path], object], usual: set[str], target: Path
) -> tuple[str, list[str]]:
    """What an act tells of a folder with a spoiled file, and what is wrong with that."""
    before, told, wrong = times(root), "", []
    # A hang ends the whole run, with a trace of where.
    faulthandler.dump_traceback_later(HANGS_AFTER, exit=True, file=sys.__stderr__)
    with done_outside(root, user_cache_folder()) as outside:
        try:
            act(root)
        except Exception as error:  # noqa: BLE001 - what it is, is looked at.
            failure = readable(error)
            told = str(failure)
            if isinstance(failure, ProgramFault) or len(told) >= 1500:
                wrong.append(told)
    faulthandler.cancel_dump_traceback_later()
    wrong += outside
    fresh = [path for path in written(root, before) if path != target]
    return told, wrong + not_finite(fresh, usual)


def test_any_file_changed_at_random_is_told_in_a_sentence(
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    portraitgen: Portraitgen,
) -> None:
    """Whatever it says then, nothing is written or started anywhere else."""
    root, faults = tmp_path / "root", []
    use(root, monkeypatch)
    shutil.copytree(whole, root)
    files = sorted(path for path in times(root) if path.suffix != ".mp4" or path.stem == "plate")
    kinds = sorted({kind_of(path) for path in files})
    before, usual = times(root), set()
    for name, act in ACTS.items():
        told, wrong = faults_of(root, act, set(), root / "night.json")
        # Unbroken, all but what lacks its weights goes well.
        assert not told and not [each for each in wrong if ".json: " not in each], (name, told)
    done = [job.record for job in Shot.open(root / "shot").jobs() if job.record.resumed]
    assert [(each.kind, each.state) for each in done] == [("reconstruct", "done"), ("edit", "done")]
    for path in written(root, before):
        if path.suffix == ".json":
            usual |= nothings(parse_json(path.read_bytes()), path.name)
    count = ATTACKS or 2
    part, parts = (int(each) for each in os.environ.get("PORTRAITGEN_SHARE", "1/1").split("/"))
    refused = dict.fromkeys(ACTS, 0)
    for number in range(part - 1, count if parts < count else parts, parts):
        generator = random.Random(f"{SEED} {number}")
        shutil.rmtree(root)
        shutil.copytree(whole, root)
        kind = generator.choice(kinds)
        path = generator.choice([each for each in files if kind_of(each) == kind])
        path.write_bytes(spoiled(path, generator))
        for name, act in ACTS.items():
            if name in SOMETIMES and number % 4:
                continue
            told, wrong = faults_of(root, act, usual, path)
            refused[name] += bool(told)
            faults += [f"{number + 1}, {path.relative_to(root)}, {name}: {each}" for each in wrong]
            if wrong and ATTACKS:
                print(faults[-1], file=sys.__stderr__, flush=True)
        if number % 50 == 49:
            for words in (("info",), ("render", "--take", "toon", "--frames", "1", "--no-movie")):
                ended = portraitgen(words[0], root / "shot", *words[1:])
                if ended.returncode not in (0, 1, 2) or "Traceback" in ended.stderr:
                    faults.append(f"{number + 1}, {path.relative_to(root)}: {ended.stderr[-1500:]}")
            print(f"{number + 1} of {count}, told: {refused}", file=sys.__stderr__, flush=True)
        capsys.readouterr()
    assert not faults, "\n".join(faults)
