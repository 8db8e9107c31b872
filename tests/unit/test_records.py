# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a shot are parsed once: older ones are understood, what is damaged is named."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import shot_records
from conftest import ROOT, Command

from portraitgen.errors import ShotError
from portraitgen.pipeline.data.shots import Track, info, plate_of
from portraitgen.pipeline.requests.rig import export_rig
from portraitgen.pipeline.requests.track_export import export_track
from portraitgen.records import (
    AvatarMetrics,
    AvatarRecord,
    EditRecord,
    JobRecord,
    ShotRecord,
    TakeRecord,
    TrackRecord,
)
from portraitgen.schema import Data, Misfit, Record
from portraitgen.shot import Shot
from portraitgen.storage import read_json, write_json

OLD = ROOT / "tests" / "data" / "old_shot"
"""Made by version 0.3 of the program, with its layout; pictures and avatars are left out."""

FILES: dict[str, type[Record]] = {
    "shot.json": ShotRecord,
    "track/0002/track.json": TrackRecord,
    "avatar/0001/avatar.json": AvatarRecord,
    "avatar/0001/metrics.json": AvatarMetrics,
    "takes/dyed/take.json": TakeRecord,
    "takes/dyed/edits/0001/edit.json": EditRecord,
}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    shutil.copytree(OLD, tmp_path / "old_shot")
    shutil.copyfile(OLD.parent / "performer.mp4", tmp_path / "performer.mp4")
    return tmp_path / "old_shot"


def jobs_of(folder: Path) -> list[Path]:
    return sorted((folder / "jobs").glob("*/job.json"))


def test_an_old_shot_opens_and_tells_all(old: Path) -> None:
    facts = info(Shot.open(old))
    assert facts.track and facts.track["version"] == 2 and facts.track["tracked_frames"] == 4
    assert facts.avatar and facts.avatar["psnr"] == pytest.approx(24.21, abs=0.01)
    assert [take["name"] for take in facts.takes] == ["dyed"]
    states = {job["kind"]: job["state"] for job in facts.unfinished_jobs}
    assert states == {"reconstruct": "cancelled", "edit": "cancelled"}


def test_an_old_take_has_the_settings_it_was_asked_with(old: Path) -> None:
    take = Shot.open(old).take("dyed")
    asked = {"editor": "grade", "strength": 0.5, "seed": 7, "parts": "hair", "expression": 0.3}
    asked |= {"face": "off", "commercial": True, "keys": 2, "steps": 4}
    assert asked.items() <= take.settings.items()
    # Where the job is gone, the edit tells what it knows.
    shutil.rmtree(old / "jobs")
    known = Shot.open(old).take("dyed").settings
    assert known["strength"] == 0.5 and known["parts"] == "hair" and known["face"] == "off"
    assert json.loads(str(known["editor_options"]))["exposure"] == 1.0


def test_an_old_jobs_options_are_what_was_asked(old: Path) -> None:
    from portraitgen.pipeline.registry import options_of
    from portraitgen.settings import parse

    for path in jobs_of(old):
        record = JobRecord.read(path)
        parse(options_of(record.kind), record.options)
    inputs = {JobRecord.read(path).kind: JobRecord.read(path).inputs for path in jobs_of(old)}
    assert inputs["reconstruct"] == {"track": 1}
    assert inputs["edit"] == {"avatar": 1, "under": None, "state": ""}


def test_the_reading_part_of_every_command_takes_an_old_shot(
    old: Path, tmp_path: Path, portraitgen: Command
) -> None:
    shot = Shot.open(old)
    track = Track(shot)
    assert plate_of(shot).first == 1 and track.tracked(track.frames) == [1, 2, 3, 4]
    assert export_track(shot, tmp_path / "track.npz").frames == 4
    assert export_rig(shot).version == 2
    for words in (
        ["info", old],
        ["info", old, "--json"],
        ["report", old],
        ["paint", old, "--take", "dyed", "--frame", "2"],
        ["keep", old, "--take", "dyed", "--frame", "1"],
    ):
        done = portraitgen(*words)
        assert done.returncode == 0, done.stderr
    # The avatar itself was left out of what is kept here, and nothing else is missed.
    for words in (["render", old, "--take", "dyed"], ["edit", old, "--take", "new"]):
        done = portraitgen(*words)
        assert "Traceback" not in done.stderr
        assert "avatar.safetensors" in done.stderr or "matte" in done.stderr, done.stderr


def test_what_is_read_is_written_back_whole(old: Path) -> None:
    for name, kind in FILES.items():
        path = old / name
        content = read_json(path) | {"from_a_plugin": {"kept": [1, 2]}}
        write_json(path, content)
        record = kind.read(path)
        record.write(path)
        assert kind.read(path) == record, name
        assert read_json(path)["from_a_plugin"] == {"kept": [1, 2]}, name
        assert read_json(path)["schema"] == kind.SCHEMA


READERS: dict[str, Callable[[Shot], object]] = {
    "shot.json": lambda shot: Shot.open(shot.path),
    "track/0002/track.json": Track,
    "avatar/0001/avatar.json": lambda shot: shot.avatar_record(),
    "avatar/0001/metrics.json": lambda shot: shot.avatar_metrics(),
    "takes/dyed/take.json": lambda shot: shot.take("dyed"),
    "takes/dyed/edits/0001/edit.json": lambda shot: shot.edit_record("dyed"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_newer_schema_is_one_sentence_in_every_record(old: Path, name: str) -> None:
    shot = Shot.open(old)
    write_json(old / name, read_json(old / name) | {"schema": 99})
    with pytest.raises(ShotError, match=f"{Path(name).name}.*schema 99.*update PortraitGen"):
        READERS[name](shot)


def damages(content: dict[str, Any], kind: type[Record]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The content with each of its known keys gone, where it is needed, or of a wrong kind."""
    needed = {
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    known = {field.name for field in dataclasses.fields(kind)} - {"unknown", "settings"}
    for key in content.keys() & known:
        wrong: object = 3 if not isinstance(content[key], int | float) else "three"
        yield key, content | {key: wrong}
        if key in needed:
            yield key, {name: value for name, value in content.items() if name != key}


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_value_is_one_sentence_that_names_file_and_key(old: Path, name: str) -> None:
    shot, content = Shot.open(old), read_json(old / name)
    tried = list(damages(content, FILES[name]))
    assert tried
    for key, damaged in tried:
        write_json(old / name, damaged)
        with pytest.raises(ShotError) as caught:
            READERS[name](shot)
        told = str(caught.value)
        assert key in told and Path(name).name in told and "\n" not in told, told


def test_values_deep_inside_are_named_with_their_place(old: Path) -> None:
    path = old / "track" / "0002" / "track.json"
    content = read_json(path)
    content["quality"][2]["state"] = "asleep"
    write_json(path, content)
    with pytest.raises(ShotError, match=r"'quality\[2\].state' is 'asleep', not one of tracked"):
        Track(Shot.open(old))


def test_a_job_of_a_newer_version_is_passed_over(old: Path) -> None:
    path = jobs_of(old)[0]
    write_json(path, read_json(path) | {"schema": 99})
    assert len(Shot.open(old).jobs()) == len(jobs_of(old)) - 1


def test_a_job_that_asked_the_same_of_an_older_shot_is_outdated(tmp_path: Path) -> None:
    shot = Shot.create(tmp_path / "shot", shot_records.footage())
    first = shot.start_job("reconstruct", {"steps": 3}, {"track": 1})
    (first.work / "checkpoint").write_text("half way")
    assert shot.start_job("reconstruct", {"steps": 3}, {"track": 1}).id == first.id
    second = shot.start_job("reconstruct", {"steps": 3}, {"track": 2})
    assert second.id != first.id and not second.resumed
    assert shot.job(first.id).record.state == "outdated"
    assert not (first.folder / "work").exists()
    assert [job.id for job in shot.jobs() if job.record.unfinished] == [second.id]


@dataclass(frozen=True)
class _Pair(Data):
    both: tuple[int, int]
    rate: Fraction
    many: tuple[int, ...] = ()


def test_values_that_nearly_fit_are_refused() -> None:
    good = {"both": [1, 2], "rate": "24/1", "many": [1, 2.0]}
    assert _Pair.parse(good) == _Pair((1, 2), Fraction(24), (1, 2))
    for wrong in ({"both": [1, 2, 3]}, {"rate": "0/1"}, {"many": [1, True]}, {"many": [1.5]}):
        with pytest.raises(Misfit):
            _Pair.parse(good | wrong)


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [(True, "schema version is missing"), (0, "no schema 0"), (2, "has schema 2"), (5, "schema 5")],
)
def test_a_schema_must_be_one_that_there_is(schema: object, sentence: str) -> None:
    with pytest.raises(ShotError, match=sentence):
        ShotRecord.from_json({"schema": schema}, Path("shot.json"))
