# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed, or out of disk, at any step on the file system: the same bits in the end, and no litter.

PORTRAITGEN_ATTACKS says at how many steps of each job; 1000 means all: for kills, all that leave
something else than the step before, for disks, all that write. PORTRAITGEN_SHARE=2/5 takes the
second fifth of them.
"""

import hashlib
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from attack_shot import EDIT, SMALL, copy_of
from faults import fault, kills, writes

from portraitgen import locks
from portraitgen.failures import readable
from portraitgen.footage.encode import read_exr
from portraitgen.pipeline.data.key_frames import keep_key
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.requests.paint import start_painting
from portraitgen.pipeline.requests.rig import export_rig
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.shot import Shot
from portraitgen.storage import read_json, strays

ATTACKS = int(os.environ.get("PORTRAITGEN_ATTACKS", "0"))
Act = Callable[[Path], object]
Unbroken = Callable[[str], tuple[dict[str, str], list[int], list[int]]]


def job(kind: str, options: dict[str, object]) -> Act:
    return lambda shot: run(kind, shot, options, Reporter())


def discard(shot: Path) -> object:
    opened = Shot.open(shot)
    return opened.discard_take("toon") if "toon" in opened.takes() else None


def learn(shot: Path) -> object:
    out = str(shot / "learned")
    return run("look", shot, {"take": "toon", "out": out, "seconds": 1.0}, Reporter())


# What is done, and at how many steps a quick run kills it, and fills its disk.
ACTS: dict[str, tuple[Act, int, int]] = {
    "track": (job("track", {"frames": "1-5", "focal": 1280}), 1, 0),
    "reconstruct": (job("reconstruct", SMALL), 1, 0),
    "edit": (job("edit", EDIT | {"strength": 0.9}), 1, 1),
    "render": (job("render", {"take": "toon", "plate": True, "detail": 0.5, "movie": False}), 3, 2),
    "act": (
        job("act", {"take": "toon", "settings": '{"jawOpen": 0.3}', "frames": "2-4"}),
        *(2, 2),
    ),
    "look": (learn, 2, 2),
    "keep": (lambda shot: keep_key(Shot.open(shot), "toon", 3, nearest=True), 10, 10),
    "paint": (lambda shot: start_painting(Shot.open(shot), "toon", 2), 10, 10),
    "rig": (lambda shot: export_rig(Shot.open(shot)), 10, 10),
    "discard": (discard, 10, 10),
}


@pytest.fixture(autouse=True)
def quick_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_GATE_STALE", 0.2)


def marks(shot: Path) -> dict[str, str]:
    """A mark of all that matters, by path: without dates, jobs, locks and what names them."""
    found = {}
    for path in sorted(shot.rglob("*")):
        inside = path.relative_to(shot)
        top = inside.parts[0]
        if not path.is_file() or top in ("jobs", "locks") or path.suffix in (".json", ".mp4"):
            continue
        # Learned for a time, a look is another each time.
        content = b"" if path.name.startswith("learned.") else path.read_bytes()
        if path.suffix == ".exr":
            content = b"".join(values.tobytes() for values in read_exr(path).values())
        # A discarded take lies under its time.
        name = "trash" if top == "trash" else inside.as_posix()
        found[name] = hashlib.sha256(found.get(name, "").encode() + content).hexdigest()
    return found


def next_job(shot: Path) -> None:
    """What every job does first."""
    opened = Shot.open(shot)
    with opened.hold("track", "tracking"):
        opened.sweep()


def done(made: Path, shot: Path) -> bool:
    """Whether a job had said that it is done before it was killed; the same again is a new one."""
    new = {each.name for each in (shot / "jobs").iterdir()}
    new -= {each.name for each in (made / "jobs").iterdir()}
    records = [shot / "jobs" / name / "job.json" for name in new]
    return any(read_json(path)["state"] == "done" for path in records if path.exists())


def litter(shot: Path) -> list[str]:
    """What should not be left."""
    left = strays(shot, older_than=-1) + list((shot / "locks").glob("*"))
    left += list((shot / "jobs").glob("*/work"))
    # Whatever the name: nothing that we keep is hidden.
    left += list(shot.rglob(".*"))
    return [str(path.relative_to(shot)) for path in left]


@pytest.fixture(scope="module")
def unbroken(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    """What an act makes of the shot when nothing happens; at which steps it can be killed, and at
    which the disk can be full."""
    known: dict[str, tuple[dict[str, str], list[int], list[int]]] = {}

    def made_by(name: str) -> tuple[dict[str, str], list[int], list[int]]:
        if name not in known:
            shot = copy_of(made, tmp_path_factory.mktemp(name) / "shot")
            with fault("count", shot) as watch:
                ACTS[name][0](shot)
            known[name] = marks(shot), kills(watch), writes(watch)
            assert litter(shot) == []
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
    wanted, there, _ = unbroken(name)
    for at in steps(name, there, 1):
        shot = copy_of(made, tmp_path / "shot")
        with fault("kill", shot, at) as watch:
            try:
                ACTS[name][0](shot)
            except BaseException as error:  # noqa: BLE001 - a kill comes out as anything.
                assert not isinstance(error, AssertionError)
        if not done(made, shot):
            ACTS[name][0](shot)
        next_job(shot)
        assert marks(shot) == wanted, f"killed at step {at}, {watch.trace[-1]}"
        assert litter(shot) == [], f"killed at step {at}, {watch.trace[-1]}"
        tell(f"{name}: killed at step {at}, the same")
        shutil.rmtree(shot)


@pytest.mark.parametrize("mode", ["once", "full"])
@pytest.mark.parametrize("name", ACTS)
def test_a_disk_that_is_full_at_any_write_is_one_sentence(
    made: Path, unbroken: Unbroken, tmp_path: Path, name: str, mode: str
) -> None:
    if not (ATTACKS or ACTS[name][2]):
        pytest.skip("takes long; PORTRAITGEN_ATTACKS asks for it")
    wanted, _, there = unbroken(name)
    for at in steps(name, there, 2 if mode == "once" else 3):
        shot = copy_of(made, tmp_path / "shot")
        told = None
        with fault(mode, shot, at) as watch:
            try:
                ACTS[name][0](shot)
            except Exception as error:  # noqa: BLE001 - what it is, is looked at.
                told = readable(error)
        where = f"full at step {at}, {watch.trace[at]}"
        if told is not None:
            assert told.code == "disk_full" and "the disk is full" in str(told), where
            states = [read_json(each)["state"] for each in (shot / "jobs").glob("*/job.json")]
            assert mode == "full" or "running" not in states, where
        ACTS[name][0](shot)
        next_job(shot)
        assert marks(shot) == wanted, where
        assert litter(shot) == [], where
        tell(f"{name}: {where}, told, then the same")
        shutil.rmtree(shot)
