# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the two programs say is typed: parsed by whoever receives it, and whole when it arrives."""

import dataclasses
import importlib
import io
import json
import shutil
import threading
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import shot_records
from conftest import ROOT

from portraitgen import protocol
from portraitgen.errors import EditError, PortraitError
from portraitgen.job_results import EditResult, JobResult
from portraitgen.messages.base import Call, ErrorData
from portraitgen.messages.jobs import ResumeJob, StartJob
from portraitgen.messages.tables import CALLS, NOTIFICATIONS
from portraitgen.pipeline import registry
from portraitgen.pipeline.registry import JOBS, options_of
from portraitgen.protocol import Failure, Notification, Request, Result, decode, encode
from portraitgen.schema import Data, Misfit
from portraitgen.shot import Shot
from portraitgen.storage import write_json
from portraitgen.worker import Channel, Worker

MESSAGES = {**CALLS, **NOTIFICATIONS}


def said(*calls: Call[Any] | Request) -> list[protocol.Message]:
    """What a worker of this process says to some requests."""
    stream = io.BytesIO()
    lines = b"".join(
        encode(call if isinstance(call, Request) else Request(id, call.METHOD, call.to_json()))
        for id, call in enumerate(calls, 1)
    )
    Worker(io.BytesIO(lines), Channel(stream)).serve()
    return [decode(line) for line in stream.getvalue().splitlines()]


def answers(*calls: Call[Any] | Request) -> list[Result | Failure]:
    return [each for each in said(*calls) if isinstance(each, Result | Failure)]


def example(hint: Any) -> object:
    """A value that a field's JSON may hold."""
    from typing import Literal, get_args, get_origin

    origin, arguments = get_origin(hint), get_args(hint)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return {"some": example(arguments[1])}
    if origin is Literal:
        return arguments[0]
    if origin is tuple:
        kinds = arguments[:1] * 2 if arguments[-1] is Ellipsis else arguments
        return [example(each) for each in kinds]
    if arguments:
        return example(arguments[0])
    if isinstance(hint, type) and issubclass(hint, Data):
        return whole(hint)
    return {str: "a", int: 3, float: 1.5, bool: True}.get(hint, "anything")


def whole(kind: type) -> dict[str, object]:
    from typing import get_type_hints

    hints = get_type_hints(kind)
    return {each.name: example(hints[each.name]) for each in dataclasses.fields(kind)}


@pytest.mark.parametrize("method", MESSAGES)
def test_every_message_arrives_as_it_was_sent(method: str) -> None:
    kind = MESSAGES[method]
    if method == "describe":
        return  # It asks for nothing.
    message = kind.parse(whole(kind))
    line = encode(Request(1, method, message.to_json()))
    back = decode(line)
    assert isinstance(back, Request) and kind.parse(back.params) == message
    assert not isinstance(getattr(message, "job", ""), dict)


@pytest.mark.parametrize("method", [name for name, kind in CALLS.items() if whole(kind)])
def test_a_missing_or_wrong_parameter_is_told_as_one(method: str) -> None:
    kind = CALLS[method]
    for each in dataclasses.fields(kind):
        params = whole(kind)
        params[each.name] = {"not": ["this"]} if params[each.name] != {"some": "a"} else 3
        if each.name == "options" or each.name == "settings":
            params[each.name] = 3
        (answer,) = answers(Request(1, method, params))
        assert isinstance(answer, Failure) and answer.code == protocol.INVALID_PARAMS
        assert f"'{each.name}" in answer.message and method in answer.message
        if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
            del params[each.name]
            (answer,) = answers(Request(1, method, params))
            assert isinstance(answer, Failure) and answer.code == protocol.INVALID_PARAMS
            assert f"'{each.name}' is missing" in answer.message


def test_every_answer_is_of_a_type_of_its_own() -> None:
    for kind in CALLS.values():
        assert issubclass(kind.ANSWER, Data) and kind.ANSWER.__doc__


def test_a_damaged_file_is_no_missing_parameter(tmp_path: Path) -> None:
    shot = Shot.create(tmp_path / "shot", shot_records.footage())
    folder = tmp_path / "staged"
    folder.mkdir()
    content = {k: v for k, v in shot_records.track().to_json().items() if k != "mattes"}
    write_json(folder / "track.json", content)
    shot.publish("track", folder)
    (answer,) = answers(Request(1, "rig.export", {"shot": str(shot.path)}))
    assert isinstance(answer, Failure) and answer.code == protocol.FAILED
    error = ErrorData.parse(answer.data)
    assert error.code == "shot" and "track.json" in error.place
    assert "'mattes' is missing" in error.message and error.remedy
    assert answer.message == str(error.error())
    # What is known of a shot is told all the same, and what is damaged with it.
    (answer,) = answers(Request(1, "shot.info", {"shot": str(shot.path)}))
    assert isinstance(answer, Result) and "'mattes' is missing" in json.dumps(answer.value)


def test_all_that_an_editor_says_of_itself_is_described() -> None:
    from portraitgen.editing.editor import EditorInfo
    from portraitgen.messages.setup import EditorDescription

    told = {each.name for each in dataclasses.fields(EditorInfo)}
    assert told <= {each.name for each in dataclasses.fields(EditorDescription)}


def test_an_error_crosses_the_wire_whole() -> None:
    error = EditError("no frame is painted", "takes/x", "paint one")
    back = ErrorData.parse(json.loads(json.dumps(ErrorData.of(error).to_json()))).error()
    assert isinstance(back, PortraitError) and str(back) == str(error)
    assert (back.code, back.place, back.remedy) == (error.code, error.place, error.remedy)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, Mapping[str, Any]]]]:
    """The jobs that a worker runs, which do nothing here."""
    jobs: list[tuple[str, Mapping[str, Any]]] = []
    ended = threading.Event()

    def run(kind: str, shot: Path, values: Mapping[str, Any], reporter: object) -> JobResult:
        jobs.append((kind, values))
        ended.set()
        return EditResult("warm", 3, 5)

    monkeypatch.setattr(registry, "run", run)
    yield jobs


@pytest.mark.parametrize("kind", JOBS)
def test_every_job_gives_back_a_result_of_its_own(kind: str) -> None:
    module, _, name = registry._JOBS[kind]
    job = getattr(importlib.import_module(f"portraitgen.pipeline.jobs.{module}"), name)
    made = typing.get_type_hints(job)["return"]
    assert issubclass(made, JobResult) and made is not JobResult


@pytest.mark.parametrize("kind", JOBS)
def test_every_kind_of_job_is_resumed_over_the_wire_as_it_was_asked(
    kind: str, tmp_path: Path, ran: list[tuple[str, Mapping[str, Any]]]
) -> None:
    shot = Shot.create(tmp_path / "shot", shot_records.footage())
    asked = dataclasses.asdict(options_of(kind)())
    inputs = {"track": 3, "avatar": 1, "under": None, "state": "a digest", "edit": "0002"}
    job = shot.start_job(kind, asked, inputs)
    job.update(state="cancelled")
    told = said(ResumeJob(str(shot.path), job.id))
    assert [each for each in told if isinstance(each, Failure)] == []
    assert ran == [(kind, asked)]
    again = shot.start_job(kind, asked, inputs)
    assert again.id == job.id and again.resumed
    ends = [each for each in told if isinstance(each, Notification) and each.method == "job.done"]
    assert ends[0].params["result"] == {"take": "warm", "edit": 3, "key_frames": 5}


def test_jobs_of_an_older_version_are_resumed_over_the_wire(
    tmp_path: Path, ran: list[tuple[str, Mapping[str, Any]]]
) -> None:
    shutil.copytree(ROOT / "tests" / "data" / "old_shot", tmp_path / "shot")
    shot = Shot.open(tmp_path / "shot")
    unfinished = [job for job in shot.jobs() if job.record.unfinished]
    assert {job.record.kind for job in unfinished} == {"reconstruct", "edit"}
    for job in unfinished:
        assert any(isinstance(each, Result) for each in said(ResumeJob(str(shot.path), job.id)))
    assert [kind for kind, _ in ran] == ["reconstruct", "edit"]
    assert "track" not in ran[0][1] and "avatar" not in ran[1][1]


def test_what_cannot_be_resumed_says_why(
    tmp_path: Path, ran: list[tuple[str, Mapping[str, Any]]]
) -> None:
    shot = Shot.create(tmp_path / "shot", shot_records.footage())
    job = shot.start_job("track", {})
    job.finish({})
    for record, sentence in ((job.id, "the job is done"), ("../x", "there is no job '../x'")):
        (answer,) = answers(ResumeJob(str(shot.path), record))
        assert isinstance(answer, Failure) and sentence in answer.message
    (answer,) = answers(StartJob("dance", str(shot.path)))
    assert isinstance(answer, Failure) and "no such job" in answer.message
    assert not ran


def test_a_misfit_names_its_place() -> None:
    with pytest.raises(Misfit, match=r"'error.code' is missing"):
        NOTIFICATIONS["job.failed"].parse({"job": "a", "error": {"message": "b"}})
