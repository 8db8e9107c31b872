# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shot folder keeps what it is given, refuses what it cannot read, and says who holds it."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import shot_records
from child_process import child_environment

from portraitgen.errors import ShotError, ShotLocked
from portraitgen.locks import holders
from portraitgen.shot import Shot
from portraitgen.storage import atomic_path, read_json, write_json


@pytest.fixture
def shot(tmp_path: Path) -> Shot:
    return Shot.create(tmp_path / "a shot ü", shot_records.footage("../plate.mov"))


def test_a_shot_is_read_back_as_it_was_made(shot: Shot) -> None:
    again = Shot.open(shot.path)
    assert again.record == shot.record
    assert again.footage_path == shot.path.parent / "plate.mov" or again.footage_path.resolve() == (
        shot.path.parent / "plate.mov"
    )


def test_relative_footage_survives_moving_the_project(tmp_path: Path) -> None:
    project = tmp_path / "project"
    shot = Shot.create(project / "shots" / "s1", shot_records.footage("../../plates/p.mov"))
    (tmp_path / "moved").parent.mkdir(exist_ok=True)
    os.rename(project, tmp_path / "moved")
    moved = Shot.open(tmp_path / "moved" / "shots" / "s1")
    assert moved.footage_path.resolve() == tmp_path / "moved" / "plates" / "p.mov"
    assert shot.relative(project / "plates" / "p.mov") == "../../plates/p.mov"


def test_a_folder_that_is_no_shot_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShotError, match="is not a shot"):
        Shot.open(tmp_path)


def test_a_shot_of_a_newer_schema_is_refused(shot: Shot) -> None:
    facts = read_json(shot.path / "shot.json") | {"schema": 99}
    write_json(shot.path / "shot.json", facts)
    with pytest.raises(ShotError, match="schema 99.*update PortraitGen"):
        Shot.open(shot.path)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema": 1}', "\xff\xfe"])
def test_a_damaged_record_is_one_sentence(shot: Shot, text: str) -> None:
    (shot.path / "shot.json").write_text(text, "latin-1")
    with pytest.raises(ShotError) as caught:
        Shot.open(shot.path)
    assert str(caught.value).count("\n") == 0


def test_a_second_shot_never_replaces_the_first(shot: Shot) -> None:
    with pytest.raises(ShotError, match="already is a shot"):
        Shot.create(shot.path, shot_records.footage("other.mov"))
    assert Shot.open(shot.path).record == shot.record


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "frame.png"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["frame.png"]


def test_the_temporary_file_keeps_the_suffix(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "frame.0001.exr") as temporary:
        assert temporary.suffix == ".exr"
        temporary.write_bytes(b"x")
    assert (tmp_path / "frame.0001.exr").read_bytes() == b"x"


def test_versions_count_up_and_never_replace_one_another(shot: Shot) -> None:
    for number in (1, 2, 3):
        folder = shot.path / "staging"
        folder.mkdir()
        write_json(folder / "track.json", {"number": number})
        assert shot.publish("track", folder) == number
    assert shot.versions("track") == [1, 2, 3]
    assert read_json(shot.version_folder("track", 2) / "track.json")["number"] == 2
    with pytest.raises(ShotError, match="no track 7; use one of 1, 2, 3"):
        shot.version_folder("track", 7)


def test_what_is_missing_names_the_step_that_makes_it(shot: Shot) -> None:
    with pytest.raises(ShotError, match="run track first"):
        shot.version_folder("track")
    with pytest.raises(ShotError, match="no take 'gold'; the takes are: none yet"):
        shot.take_folder("gold")


def test_an_edit_run_again_keeps_the_earlier_one(shot: Shot) -> None:
    for colour in ("red", "blue"):
        folder = shot.path / "staging"
        folder.mkdir()
        settings = {"editor": "grade", "strength": 0.0, "seed": 7, "parts": colour}
        shot.publish_edit("look", folder, shot_records.edit(colour, settings=settings))
    assert shot.edit_record("look").job == "blue" and shot.edit_record("look", 1).job == "red"
    assert shot.take("look").settings == settings and shot.take("look").edit == 2


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "con?", "x" * 65, "end.", "_x"])
def test_a_take_that_could_escape_its_folder_is_refused(shot: Shot, name: str) -> None:
    with pytest.raises(ShotError, match="cannot name a take"):
        shot.publish_edit(name, shot.path, shot_records.edit())


def test_an_unfinished_job_is_taken_up_again(shot: Shot) -> None:
    job = shot.start_job("edit", {"take": "x", "strength": 0.5})
    (job.work / "checkpoint").write_text("half way")
    again = shot.start_job("edit", {"take": "x", "strength": 0.5})
    assert again.id == job.id and again.resumed
    assert (again.work / "checkpoint").read_text() == "half way"
    assert shot.start_job("edit", {"take": "x", "strength": 0.6}).id != job.id
    again.finish()
    assert not (again.folder / "work").exists()
    assert shot.start_job("edit", {"take": "x", "strength": 0.5}).id != job.id


def test_jobs_of_one_second_are_told_in_the_order_they_began(shot: Shot) -> None:
    kinds = ["track", "reconstruct", "edit", "apply"]
    for kind in kinds:
        shot.start_job(kind, {})
    assert [job.record.kind for job in shot.jobs()] == kinds
    begun = [shot.start_job("render", {"take": str(take)}).id for take in range(9)]
    assert [job.record.id for job in shot.jobs()][len(kinds) :] == begun


def test_a_new_job_removes_what_a_kill_left_half_written(shot: Shot) -> None:
    frames = shot.path / "takes" / "look" / "frames"
    with pytest.raises(KeyboardInterrupt), atomic_path(frames / "look.0001.exr") as temporary:
        left = temporary.name
        raise KeyboardInterrupt
    old, fresh, mine = frames / left, frames / left.replace("0001", "0002"), frames / ".mine.png"
    for path in (old, fresh, mine, frames / "look.0003.exr"):
        path.write_bytes(b"half")
    for path in (old, mine):
        os.utime(path, (0, 0))
    shot.start_job("render", {"take": "look"})
    kept = {path.name for path in frames.iterdir()}
    assert kept == {fresh.name, mine.name, "look.0003.exr"}


def test_the_second_process_is_told_who_holds_the_shot(shot: Shot) -> None:
    with shot.hold("track", "tracking"):
        with pytest.raises(ShotLocked, match=rf"process {os.getpid()}.*busy with tracking"):
            shot.hold("track", "tracking").__enter__()
        with shot.hold("avatar", "reconstruct"):
            assert len(holders(shot.path / "locks")) == 2
    with shot.hold("track", "tracking"):
        pass
    assert not list((shot.path / "locks").glob("*.json"))


def test_disjoint_frame_chunks_never_collide(shot: Shot) -> None:
    with shot.hold("frames:x", "render", range(1001, 1011)):
        with shot.hold("frames:x", "render", range(1011, 1021)):
            pass
        with pytest.raises(ShotLocked), shot.hold("frames:x", "render", range(1010, 1012)):
            pass


HOLDER = """
import sys, time
from pathlib import Path
from portraitgen.shot import Shot
with Shot.open(Path(sys.argv[1])).hold("track", "tracking"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_survives_its_killed_holder_only_until_someone_asks(shot: Shot) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(shot.path)],
        stdout=subprocess.PIPE,
        env=child_environment(),
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(ShotLocked, match=str(process.pid)), shot.hold("track", "tracking"):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    with shot.hold("track", "tracking"):
        pass


def _claim(path: str, results: Any, barrier: Any, all_answered: Any) -> None:
    shot = Shot.open(Path(path))
    barrier.wait()
    try:
        with shot.hold("track", "tracking"):
            results.put("held")
            all_answered.wait(60)
    except ShotLocked:
        results.put("told")


def test_of_processes_that_claim_at_once_one_wins(shot: Shot) -> None:
    context = multiprocessing.get_context("fork")
    results, barrier, all_answered = context.Queue(), context.Barrier(4), context.Event()
    shared = (str(shot.path), results, barrier, all_answered)
    claims = [context.Process(target=_claim, args=shared) for _ in range(4)]
    for claim in claims:
        claim.start()
    outcome = sorted(results.get(timeout=60) for _ in claims)
    all_answered.set()
    for claim in claims:
        claim.join()
    assert outcome == ["held", "told", "told", "told"]


def test_a_job_killed_after_it_published_does_not_publish_again(shot: Shot) -> None:
    job = shot.start_job("track", {})
    folder = job.work / "track"
    folder.mkdir()
    shot_records.track(job=job.id).write(folder / "track.json")
    assert shot.published_by("track", job) is None
    shot.publish("track", folder)
    again = shot.start_job("track", {})
    assert shot.published_by("track", again) == 1
    for _ in range(2):
        edit = job.work / "edit"
        edit.mkdir(exist_ok=True)
        assert shot.publish_edit("look", edit, shot_records.edit(job.id)) == 1


def test_work_of_a_job_that_was_killed_once_it_was_done_is_swept(shot: Shot) -> None:
    done, cut = shot.start_job("edit", {"strength": 0.1}), shot.start_job("edit", {"strength": 0.2})
    for job in (done, cut):
        (job.work / "checkpoint").write_bytes(b"x")
    done.update(state="done")
    cut.update(state="cancelled")
    shot.sweep()
    assert not (done.folder / "work").exists() and (cut.folder / "work" / "checkpoint").exists()
