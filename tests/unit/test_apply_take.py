# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a take that was copied to another shot be edited there again, and what does not."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import shot_records
import torch
from reporters import Noting

from portraitgen.cli import apply as command
from portraitgen.cli import edit as edit_command
from portraitgen.editing.looks.look_file import Look, LookFacts
from portraitgen.editing.looks.network import Guides, LookNetwork
from portraitgen.errors import EditError, ShotError, ShotLocked
from portraitgen.job_results import ApplyResult
from portraitgen.pipeline.jobs import apply_take
from portraitgen.pipeline.jobs.apply_take import ApplyOptions
from portraitgen.pipeline.jobs.edit import EditOptions
from portraitgen.schema import Values
from portraitgen.shot import Shot


class Other:
    """A shot that takes are copied to; of it no more than is asked for here."""

    def __init__(self, path: Path) -> None:
        self.path, self.edits = path, 0

    def take_name(self, take: str) -> str:
        return take

    def version_folder(self, kind: str) -> Path:
        return self.path / kind / "0001"

    def versions(self, kind: str) -> list[int]:
        return [1]

    def hold(self, *given: object) -> AbstractContextManager[None]:
        return nullcontext()

    def takes(self) -> list[str]:
        return ["night"] if self.edits else []

    def take(self, take: str) -> Any:
        return SimpleNamespace(edit=self.edits)

    def edit_record(self, take: str, edit: int) -> Any:
        raise ShotError("its record is damaged", self.path, "edit it again")


def save_look(path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    thumbnail = np.zeros((96, 192, 3), np.uint8)
    Look(LookFacts(name="a"), LookNetwork(Guides()).eval(), thumbnail).save(path)


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Other:
    made = Other(tmp_path / "other")

    def edit(*given: object) -> None:
        made.edits += 1

    monkeypatch.setattr(apply_take, "edit", edit)
    monkeypatch.setattr(apply_take.Place, "of", lambda shot: None)
    for name in ("carry_painting", "carry_acting"):
        monkeypatch.setattr(apply_take, name, lambda *given: 0)
    return made


def applied(tmp_path: Path, other: Other, settings: Values, notes: Noting) -> bool:
    source: Any = SimpleNamespace(
        shot=SimpleNamespace(path=tmp_path / "one", record=SimpleNamespace(id="one"))
    )
    shot: Any = other
    return apply_take._apply(source, shot, "night", settings, notes)


def test_a_look_that_was_learned_anew_is_worn_anew_and_one_that_is_gone_is_told(
    tmp_path: Path, other: Other
) -> None:
    look, notes = tmp_path / "a.safetensors", Noting()
    save_look(look, 0)
    settings: Values = {"editor": "look", "editor_options": f'{{"look": "{look}"}}'}
    assert applied(tmp_path, other, settings, notes)
    assert not applied(tmp_path, other, settings, notes) and other.edits == 1
    save_look(look, 1)
    assert applied(tmp_path, other, settings, notes) and other.edits == 2
    kept = look.read_bytes()
    look.unlink()
    with pytest.raises(EditError, match="no such look"):
        applied(tmp_path, other, settings, notes)
    look.write_bytes(kept)
    assert not applied(tmp_path, other, settings, notes) and other.edits == 2


def test_keys_of_a_mix_lie_where_they_lay_from_the_first_frame(
    tmp_path: Path, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They named frames of the shot they came from; in others the mix stood still."""
    asked: list[EditOptions] = []
    monkeypatch.setattr(apply_take, "edit", lambda shot, options, _: asked.append(options))
    save_look(tmp_path / "a.safetensors", 0)

    def place(first: int) -> Any:
        frames = list(range(first, first + 9))
        track = SimpleNamespace(frames=frames, tracked=lambda some: some[1:])
        shot = SimpleNamespace(path=tmp_path / "one", record=SimpleNamespace(id="one"))
        return SimpleNamespace(track=track, shot=shot)

    monkeypatch.setattr(apply_take.Place, "of", lambda shot: place(1001))
    look, shot = str(tmp_path / "a.safetensors"), cast(Any, other)
    worn = {"look": look, "other": look, "mix_keys": "9:1, 3:0.25"}
    settings: Values = {"editor": "look", "editor_options": json.dumps(worn)}
    apply_take._apply(place(1), shot, "night", settings, Noting())
    wanted = worn | {"mix_keys": "1003:0.25,1009:1"}
    assert json.loads(asked[0].editor_options) == wanted


def test_a_take_of_that_name_which_the_shot_has_already_is_told(
    tmp_path: Path, other: Other
) -> None:
    other.edits, notes = 3, Noting()
    assert applied(tmp_path, other, {"editor": "toon"}, notes)
    assert any("take 'night' of its own, whose edit 3 is kept" in each for each in notes.notes)


@pytest.fixture
def receiving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Shot, Any]:
    """A shot that a take is copied to, and the place that it comes from, of which nothing but the
    take's settings is carried."""
    shot, one = Shot.create(tmp_path / "two", shot_records.footage()), tmp_path / "one"
    source: Any = SimpleNamespace(shot=SimpleNamespace(path=one, record=SimpleNamespace(id="one")))
    monkeypatch.setattr(Shot, "version_folder", lambda *given: tmp_path)
    monkeypatch.setattr(apply_take, "_digest", lambda *given: "the same")
    monkeypatch.setattr(apply_take.Place, "of", lambda shot: None)
    for name in ("carry_painting", "carry_acting"):
        monkeypatch.setattr(apply_take, name, lambda *given: 0)
    return shot, source


def test_an_edit_that_was_cut_off_once_it_was_published_is_over(
    receiving: tuple[Shot, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stayed to be resumed, with its checkpoints, though its edit was there."""
    shot, source = receiving
    jobs = []

    def cut_off(shot: Shot, *given: object) -> None:
        jobs.append(shot.start_job("edit", {}))
        (jobs[-1].work / "edit").mkdir()
        record = replace(shot_records.edit(jobs[-1].id), settings=asdict(EditOptions("night")))
        shot.publish_edit("night", jobs[-1].work / "edit", record)

    monkeypatch.setattr(apply_take, "edit", cut_off)
    assert apply_take._apply(source, shot, "night", {}, Noting())
    assert [job.record.unfinished for job in shot.jobs()] == [True]
    assert not apply_take._apply(source, shot, "night", {}, Noting())
    assert [job.record.state for job in shot.jobs()] == ["done"]
    assert not (jobs[0].folder / "work").exists()


@pytest.fixture
def copied(
    receiving: tuple[Shot, Any], monkeypatch: pytest.MonkeyPatch
) -> tuple[Shot, Callable[[], bool]]:
    """A shot, and what copies a take to it whose edit fails unless it is made in another way."""
    shot, source = receiving

    def fails(*given: object) -> None:
        raise EditError("there is no memory", "edit", "close other programs")

    monkeypatch.setattr(apply_take, "edit", fails)
    return shot, lambda: apply_take._apply(source, shot, "night", {}, Noting())


def edited(shot: Shot, options: EditOptions) -> None:
    """As `edit` does, of which nothing else is needed here."""
    job = shot.start_job("edit", asdict(options))
    (job.work / "edit").mkdir()
    record = replace(shot_records.edit(job.id), settings=asdict(options))
    shot.publish_edit(options.take, job.work / "edit", record)


def test_an_edit_that_somebody_else_made_there_is_not_taken_for_the_copys(
    copied: tuple[Shot, Callable[[], bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the copy's edit failed and an artist edited the take there by hand, or had begun to,
    the next run said that it was edited, and it never was."""
    shot, apply = copied
    with pytest.raises(EditError):
        apply()
    edited(shot, EditOptions("night", strength=0.3))
    monkeypatch.setattr(apply_take, "edit", lambda shot, options, _: edited(shot, options))
    assert apply() and shot.take("night").edit == 2
    assert not apply()
    # What an artist then makes of the copy stays theirs.
    edited(shot, EditOptions("night", strength=0.5))
    assert not apply() and shot.take("night").edit == 3


def test_nothing_is_laid_under_an_edit_that_runs(
    copied: tuple[Shot, Callable[[], bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    shot, apply = copied
    monkeypatch.setattr(apply_take, "carry_painting", lambda *given: pytest.fail("it is laid"))
    with shot.hold("take:night", "edit"), pytest.raises(ShotLocked, match="busy with edit"):
        apply()
    assert not (shot.path / "takes").exists()


def test_what_a_system_refuses_in_one_shot_keeps_no_other_from_its_edit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that may not be read, or a file in a folder's place, ended the whole run."""
    shots = [Shot.create(tmp_path / name, shot_records.footage()) for name in ("1", "2", "3")]
    one, refused, good = (each.path for each in shots)
    done = []

    def apply_one(source: object, shot: Shot, *given: object) -> bool:
        if shot.path == refused:
            (refused / "shot.json" / "takes").mkdir()
        done.append(shot.path)
        return True

    monkeypatch.setattr(apply_take, "_apply", apply_one)
    monkeypatch.setattr(apply_take, "_settings", lambda *given: {})
    monkeypatch.setattr(apply_take.Place, "of", lambda shot: None)
    notes, long = Noting(), tmp_path / ("a" * 300)
    options = ApplyOptions("night", json.dumps([str(each) for each in (long, refused, good)]))
    result = apply_take.apply_take(Shot.open(one), options, notes)
    assert done == [good] and result.edited == (str(good),)
    assert result.failed == (str(long), str(refused))
    assert "the name is too long" in notes.notes[0] and "is a file" in notes.notes[1]


def test_a_look_is_kept_by_a_path_that_holds_in_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A take whose look was typed as it lay in one folder could not be copied from another."""
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(edit_command, "run_job", lambda kind, given, **values: asked.append(values))
    monkeypatch.chdir(tmp_path)
    save_look(tmp_path / "b.safetensors", 0)
    for look, kept in (
        ("looks/a.safetensors", f"{tmp_path}/looks/a.safetensors"),
        ("b.safetensors", f"{tmp_path}/b.safetensors"),
        ("bronze", "bronze"),
    ):
        given = SimpleNamespace(models=None, editor="look", set=[f"look={look}", "mix=0.5"])
        vars(given).update(
            {each.name: None for each in fields(EditOptions) if each.name != "editor"}
        )
        edit_command.run(given)  # type: ignore[arg-type]
        assert json.loads(asked[-1]["editor_options"]) == {"look": kept, "mix": "0.5"}


@pytest.mark.parametrize(("failed", "status"), [((), 0), (("/other",), 1)])
def test_the_command_ends_with_1_where_a_shot_failed(
    monkeypatch: pytest.MonkeyPatch, failed: tuple[str, ...], status: int
) -> None:
    result = ApplyResult("bronze", ("/one",), (), failed)
    monkeypatch.setattr(command, "run_job", lambda kind, given, **values: result)
    given = SimpleNamespace(models=None, shots=None, others=[Path("/one"), Path("/other")])
    ended = 0
    try:
        command.run(given)  # type: ignore[arg-type]
    except SystemExit as error:
        ended = int(error.code or 0)
    assert ended == status
