# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed, or out of disk, at any step on the file system: the same bits in the end, and no litter.

PORTRAITGEN_ATTACKS says at how many steps of each job; 1000 means all: for kills, all that leave
something else than the step before, for disks, all that write. PORTRAITGEN_SHARE=2/5 takes the
second fifth of them.
"""

import functools
import hashlib
import json
import os
import pickle
import random
import shutil
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attack_shot import CLIP, EDIT, SMALL, copy_of
from faults import fault, kills, writes
from OpenImageIO import ImageBuf

from portraitgen import locks
from portraitgen.clean_up import leftovers, remove
from portraitgen.cli import queue as cli_queue
from portraitgen.failures import readable
from portraitgen.farm.request import bundle_for
from portraitgen.interchange.convert import convert_track
from portraitgen.job_queue import JobQueue, QueuedJob
from portraitgen.messages.farm import FarmShot, WriteBundle
from portraitgen.pipeline.data.key_frames import keep_key
from portraitgen.pipeline.data.shots import Track, create_shot
from portraitgen.pipeline.jobs.edit import EditOptions
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.requests.paint import start_painting
from portraitgen.pipeline.requests.preview import preview_frame
from portraitgen.pipeline.requests.probe import probe
from portraitgen.pipeline.requests.relink import relink
from portraitgen.pipeline.requests.report import report
from portraitgen.pipeline.requests.retouched_splats import import_splats
from portraitgen.pipeline.requests.rig import export_rig, publish_motion
from portraitgen.pipeline.requests.splat_cloud import export_cloud
from portraitgen.pipeline.requests.splat_file import read_ply, write_ply
from portraitgen.pipeline.requests.splats import export_splats
from portraitgen.pipeline.requests.split import split_at_cuts
from portraitgen.pipeline.requests.track_export import export_track
from portraitgen.pipeline.requests.track_import import import_track
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.settings import parse
from portraitgen.shot import Shot
from portraitgen.storage import read_json, strays
from portraitgen.tensors import save_arrays
from portraitgen.trust import Program, allow

ATTACKS = int(os.environ.get("PORTRAITGEN_ATTACKS", "0"))
Act = Callable[[Path], object]
Unbroken = Callable[[str], tuple[dict[str, str], list[int], list[int]]]
# In records these say when, and by which job: what is made again has others.
_PASSING = {"created", "started", "updated", "finished", "rendered", "added", "time", "id", "job"}
_PASSING |= {"inputs", "attempts", "before", "known"}


def job(kind: str, options: dict[str, object]) -> Act:
    return lambda shot: run(kind, shot, options, Reporter())


def discard(shot: Path) -> object:
    opened = Shot.open(shot)
    return opened.discard_take("toon") if "toon" in opened.takes() else None


def learn(shot: Path) -> object:
    out = str(shot / "learned")
    return run("look", shot, {"take": "toon", "out": out, "seconds": 1.0}, Reporter())


def deliver(shot: Path) -> object:
    return run("deliver", shot, {"take": "toon", "out": str(shot / "out")}, Reporter())


def apply(shot: Path) -> object:
    asked = {"take": "toon", "shots": json.dumps([str(shot.parent / "other")])}
    return run("apply", shot, asked, Reporter())


def latest(shot: Path, kind: str) -> int:
    return Shot.open(shot).versions(kind)[-1]


# What takes something in makes a version each time; it is asked again only if none was made.


def correct(shot: Path) -> object:
    if latest(shot, "track") > 2:
        return None
    return publish_motion(Shot.open(shot), 2, shot.parent / "moved", "blender", author="ann")


def moved(shot: Path) -> None:
    """A motion that an artist changed in Blender."""
    motion = Track(Shot.open(shot), 2).motion
    names = ("frames", "pose", "expression", "transl")
    values = {name: getattr(motion, name)[:1].copy() for name in names}
    values["transl"] += np.float32(0.01)
    save_arrays(shot.parent / "moved", values)


def take_in(shot: Path) -> object:
    if latest(shot, "track") > 2:
        return None
    return import_track(Shot.open(shot), shot.parent / "track.npz")


def write_tracks(shot: Path) -> None:
    for name in ("a.npz", "a.json", "a.csv", "a.bvh"):
        # What is there is not replaced.
        if not (shot / "tracks" / name).exists():
            export_track(Shot.open(shot), shot / "tracks" / name)


def write_splats(shot: Path) -> object:
    for name in ("splats.ply", "splats.spz"):
        export_splats(Shot.open(shot), shot / "clouds" / name)
    return export_cloud(Shot.open(shot), "toon")


def retouch(take: str) -> Act:
    def act(shot: Path) -> object:
        if latest(shot, f"takes/{take}/edits" if take else "avatar") > 1:
            return None
        return import_splats(Shot.open(shot), shot.parent / "a.ply", None, take, author="ann")

    return act


def retouched(take: str) -> Callable[[Path], None]:
    def prepare(shot: Path) -> None:
        path = shot.parent / "a.ply"
        export_splats(Shot.open(shot), path, take)
        splats = read_ply(path)
        some = np.arange(len(splats.positions))[:, None] % 3 == 0
        write_ply(path, replace(splats, positions=splats.positions + np.float32(0.01) * some))

    return prepare


def left_over(shot: Path) -> None:
    """A take that was deleted, and a job that was stopped."""
    Shot.open(shot).discard_take("toon")
    for name in ("a.bin", "deep/b.bin"):
        path = shot / "jobs" / "20200101-000000-edit-abcdef" / "work" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def plate_beside(shot: Path) -> None:
    (shot / "moved").mkdir()
    shutil.copyfile(CLIP, shot / "moved" / "plate.mp4")


def make_shots(shot: Path) -> object:
    create_shot(shot / "new", CLIP, {})
    return split_at_cuts(CLIP, shot / "parts", {})


def farm(shot: Path) -> None:
    call = WriteBundle(
        (FarmShot(str(shot), {"edit": {"editor": "toon"}}),), "new", str(shot / "farm")
    )
    for flamenco in (False, True):
        bundle_for(replace(call, flamenco=flamenco))


def list_jobs(shot: Path) -> None:
    """A list with a job that is run."""
    queue = JobQueue(shot / "night.json")
    if not queue.read().jobs:
        queue.add([QueuedJob.of(shot, "movie", {"take": "toon"}, "toon")])
    queue.retry()
    cli_queue._run(queue, Namespace(events=False, wait=0.0))


def allow_program(shot: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTRAITGEN_CONFIG", str(shot / "configuration"))
        allow(Program("", ("run.py",), shot.parent / "tool"))


def pickled(shot: Path) -> None:
    (shot.parent / "track.pkl").write_bytes(pickle.dumps({"pose": [0.0] * 165}))


def convert(shot: Path) -> object:
    done = (shot / "a.npz").exists()
    return None if done else convert_track(shot.parent / "track.pkl", shot / "a.npz")


def try_frame(shot: Path) -> object:
    asked = {"take": "toon", "editor": "toon", "strength": 0.5}
    return preview_frame(Shot.open(shot), 2, parse(EditOptions, asked))


# What lies beside or in the shot before an act begins.
PREPARED: dict[str, Callable[[Path], object]] = {
    "unmask": lambda shot: start_painting(Shot.open(shot), "toon", 2, mask=True),
    "clean": left_over,
    "correct": moved,
    "import": lambda shot: export_track(Shot.open(shot), shot.parent / "track.npz"),
    "export": lambda shot: (shot / "tracks").mkdir(),
    "retouch avatar": retouched(""),
    "retouch take": retouched("toon"),
    "relink": plate_beside,
    "convert": pickled,
}
# What is done, and at how many steps a quick run kills it, and fills its disk.
ACTS: dict[str, tuple[Act, int, int]] = {
    "track": (job("track", {"frames": "1-5", "focal": 1280}), 1, 0),
    "refine": (job("refine", {}), 0, 0),
    "reconstruct": (job("reconstruct", SMALL), 1, 0),
    "edit": (job("edit", EDIT | {"strength": 0.9}), 1, 1),
    "apply": (apply, 0, 0),
    "render": (job("render", {"take": "toon", "plate": True, "detail": 0.5, "movie": False}), 3, 2),
    "movie": (job("movie", {"take": "toon"}), 0, 0),
    "qc": (job("qc", {"take": "toon"}), 1, 0),
    "deliver": (deliver, 0, 0),
    "act": (
        job("act", {"take": "toon", "settings": '{"jawOpen": 0.3}', "frames": "2-4"}),
        *(2, 2),
    ),
    "look": (learn, 2, 2),
    "keep": (lambda shot: keep_key(Shot.open(shot), "toon", 3, nearest=True), 5, 5),
    "paint": (lambda shot: start_painting(Shot.open(shot), "toon", 2), 5, 5),
    "rig": (lambda shot: export_rig(Shot.open(shot)), 5, 5),
    "report": (lambda shot: report(Shot.open(shot)), 0, 0),
    "discard": (discard, 5, 5),
    "unmask": (lambda shot: Shot.open(shot).discard_mask("toon"), 0, 0),
    "clean": (lambda shot: remove(leftovers(Shot.open(shot))), 2, 0),
    "correct": (correct, 1, 1),
    "import": (take_in, 0, 0),
    "export": (write_tracks, 0, 0),
    "splats": (write_splats, 0, 0),
    "retouch avatar": (retouch(""), 0, 0),
    "retouch take": (retouch("toon"), 1, 0),
    "relink": (lambda shot: relink(Shot.open(shot), shot / "moved"), 0, 0),
    "create": (make_shots, 1, 0),
    "bundle": (farm, 1, 0),
    "queue": (list_jobs, 1, 0),
    "allow": (allow_program, 0, 0),
    "convert": (convert, 0, 0),
    "probe": (lambda shot: probe(CLIP, {}, "1-2", shot / "looked"), 0, 0),
    "try": (try_frame, 0, 0),
}


@pytest.fixture(autouse=True)
def quick_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_GATE_STALE", 0.2)


def marks(area: Path) -> dict[str, str]:
    """A mark of all that matters in the shots of a folder, by path: without dates, jobs and
    locks."""
    found: dict[str, str] = {}
    for path in sorted(area.rglob("*")):
        inside = path.relative_to(area)
        top = inside.parts[1] if len(inside.parts) > 1 else ""
        if not top or not path.is_file() or top in ("jobs", "locks"):
            continue
        facts = path.stat()
        content = content_of(path, area, facts.st_mtime_ns, facts.st_size)
        # What is discarded lies under its time.
        name = "trash" if top == "trash" else inside.as_posix()
        found[name] = hashlib.sha256(found.get(name, "").encode() + content).hexdigest()
    return found


@functools.cache
def content_of(path: Path, area: Path, *facts: int) -> bytes:
    """What of a file is the same whenever it is made; most files of a copy are as they were."""
    # Learned for a time, a look is another each time.
    if path.name.startswith("learned."):
        return b""
    content = path.read_bytes()
    if path.suffix == ".exr":
        # Its header says when it was made.
        return hashlib.sha256(ImageBuf(str(path)).get_pixels("float").tobytes()).digest()
    if path.suffix == ".json":
        content = json.dumps(lasting(json.loads(content)), sort_keys=True).encode()
    return content.replace(str(area).encode(), b"AREA")


def lasting(data: Any) -> Any:
    """JSON without what differs when the same is made again."""
    if isinstance(data, dict):
        return {key: lasting(each) for key, each in data.items() if key not in _PASSING}
    if isinstance(data, list):
        return [lasting(each) for each in data]
    return data


def next_job(shot: Path) -> None:
    """What every job does first, in the shot and in those beside it, to which acts may go."""
    for path in shot.parent.glob("*/shot.json"):
        opened = Shot.open(path.parent)
        with opened.hold("track", "tracking"):
            opened.sweep()


def done(made: Path, shot: Path) -> bool:
    """Whether a job had said that it is done before it was killed; the same again is a new one."""
    new = {each.name for each in (shot / "jobs").iterdir()}
    new -= {each.name for each in (made / "jobs").iterdir()}
    records = [shot / "jobs" / name / "job.json" for name in new]
    return any(read_json(path)["state"] == "done" for path in records if path.exists())


def litter(area: Path) -> list[str]:
    """What should not be left in the shots of a folder."""
    left = strays(area, older_than=-1) + list(area.glob("*/locks/*"))
    left += list(area.glob("*/jobs/*/work"))
    # Whatever the name: nothing that we keep is hidden.
    left += list(area.rglob(".*"))
    return [str(path.relative_to(area)) for path in left]


def shot_for(name: str, made: Path, area: Path) -> Path:
    """A shot that an act works on, in a folder of its own; beside it what the act needs."""
    area.mkdir()
    if name == "apply":
        shutil.rmtree(copy_of(made, area / "other") / "takes")
    shot = copy_of(made, area / "shot")
    if name in PREPARED:
        PREPARED[name](shot)
    return shot


@pytest.fixture(scope="module")
def unbroken(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    """What an act makes of the shot when nothing happens; at which steps it can be killed, and at
    which the disk can be full."""
    known: dict[str, tuple[dict[str, str], list[int], list[int]]] = {}

    def made_by(name: str) -> tuple[dict[str, str], list[int], list[int]]:
        if name not in known:
            area = tmp_path_factory.mktemp("unbroken") / "area"
            shot = shot_for(name, made, area)
            with fault("count", area) as watch:
                ACTS[name][0](shot)
            next_job(shot)
            known[name] = marks(area), kills(watch), writes(watch)
            assert litter(area) == []
        return known[name]

    return made_by


def steps(name: str, there: list[int], seed: int) -> list[int]:
    most = min(len(there), ATTACKS or ACTS[name][1 if seed == 1 else 2])
    chosen = sorted(random.Random(f"{name} {seed}").sample(there, most))
    part, parts = (int(each) for each in os.environ.get("PORTRAITGEN_SHARE", "1/1").split("/"))
    chosen = chosen[part - 1 :: parts]
    tell(f"{name}: {len(chosen)} of {len(there)} steps")
    return chosen


def tell(text: str) -> None:
    """Where a long attack stands, for whoever lets pytest print (-s)."""
    if ATTACKS:
        print(text, flush=True)


@pytest.mark.parametrize("name", ACTS)
def test_a_kill_at_any_step_leaves_what_can_be_gone_on_with(
    made: Path, unbroken: Unbroken, tmp_path: Path, name: str
) -> None:
    if not (ATTACKS or ACTS[name][1]):
        pytest.skip("takes long; PORTRAITGEN_ATTACKS asks for it")
    wanted, there, _ = unbroken(name)
    for at in steps(name, there, 1):
        area = tmp_path / "area"
        shot = shot_for(name, made, area)
        with fault("kill", area, at) as watch:
            try:
                ACTS[name][0](shot)
            except BaseException as error:  # noqa: BLE001 - a kill comes out as anything.
                assert not isinstance(error, AssertionError)
        # A list knows by itself what of it is done.
        if name == "queue" or not done(made, shot):
            ACTS[name][0](shot)
        next_job(shot)
        assert marks(area) == wanted, f"killed at step {at}, {watch.trace[-1]}"
        assert litter(area) == [], f"killed at step {at}, {watch.trace[-1]}"
        tell(f"{name}: killed at step {at}, the same")
        shutil.rmtree(area)


@pytest.mark.parametrize("mode", ["once", "full"])
@pytest.mark.parametrize("name", ACTS)
def test_a_disk_that_is_full_at_any_write_is_one_sentence(
    made: Path, unbroken: Unbroken, tmp_path: Path, name: str, mode: str
) -> None:
    if not (ATTACKS or ACTS[name][2]):
        pytest.skip("takes long; PORTRAITGEN_ATTACKS asks for it")
    wanted, _, there = unbroken(name)
    for at in steps(name, there, 2 if mode == "once" else 3):
        area = tmp_path / "area"
        shot = shot_for(name, made, area)
        told = None
        with fault(mode, area, at) as watch:
            try:
                ACTS[name][0](shot)
            except Exception as error:  # noqa: BLE001 - what it is, is looked at.
                told = readable(error)
        where = f"full at step {at}, {watch.trace[at]}"
        if told is not None:
            assert told.code == "disk_full" and "the disk is full" in str(told), where
            states = [read_json(each)["state"] for each in area.glob("*/jobs/*/job.json")]
            assert mode == "full" or "running" not in states, where
        ACTS[name][0](shot)
        next_job(shot)
        assert marks(area) == wanted, where
        assert litter(area) == [], where
        tell(f"{name}: {where}, told, then the same")
        shutil.rmtree(area)
