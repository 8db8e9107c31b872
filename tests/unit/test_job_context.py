# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""However a job ends, its record says so, and its log holds what is needed to mend it."""

import errno
import logging
from pathlib import Path

import pytest
import shot_records

from portraitgen import __version__
from portraitgen.errors import Cancelled, EditError, PortraitError
from portraitgen.failures import ProgramFault
from portraitgen.pipeline.run.job_context import running
from portraitgen.pipeline.run.job_log import warnings_as_notes
from portraitgen.pipeline.run.progress import Reporter, Stage
from portraitgen.records import JobRecord
from portraitgen.shot import Job, Shot


@pytest.fixture
def shot(tmp_path: Path) -> Shot:
    return Shot.create(tmp_path / "shot", shot_records.footage())


def record_of(shot: Shot) -> JobRecord:
    return shot.jobs()[-1].record


def log_of(shot: Shot) -> str:
    return shot.jobs()[-1].log.read_text("utf-8")


def test_a_fault_marks_its_job_failed_and_its_trace_is_in_the_log(shot: Shot) -> None:
    with pytest.raises(ProgramFault), running(shot, "edit", {"take": "x"}, "take:x"):
        raise KeyError("mattes")
    record = record_of(shot)
    assert record.state == "failed" and record.code == "fault" and record.unfinished
    assert "KeyError" in record.message and "mattes" in record.message and record.remedy
    log = log_of(shot)
    assert "Traceback" in log and "KeyError: 'mattes'" in log and "test_job_context" in log
    assert f"portraitgen {__version__}" in log and "Python 3" in log and "torch 2" in log


def test_a_failure_keeps_code_place_and_remedy(shot: Shot) -> None:
    with pytest.raises(EditError), running(shot, "edit", {}, "take:x"):
        raise EditError("no frame is painted", "frame 7", "paint one")
    record = record_of(shot)
    assert (record.state, record.code) == ("failed", "edit")
    assert (record.message, record.place, record.remedy) == (
        "no frame is painted",
        "frame 7",
        "paint one",
    )
    assert "frame 7: no frame is painted; paint one." in log_of(shot)


def test_a_cancelled_job_is_no_failure(shot: Shot) -> None:
    with pytest.raises(Cancelled), running(shot, "edit", {}, "take:x"):
        raise Cancelled
    assert record_of(shot).state == "cancelled" and "Traceback" not in log_of(shot)


def test_a_job_that_goes_on_ends_without_the_failure_of_its_first_run(shot: Shot) -> None:
    for fails in (True, False):
        try:
            with running(shot, "track", {}, "track") as job:
                if fails:
                    raise OSError(5, "Input/output error")
                job.finish({"track": 1})
        except PortraitError as error:
            assert "does not answer" in str(error)
    record = record_of(shot)
    assert record.state == "done" and record.resumed == 1
    assert record.message == record.code == "" and record.result == {"track": 1}
    assert log_of(shot).count(f"portraitgen {__version__}") == 2, "a resumed job's log grows"


def test_what_the_program_warns_of_becomes_a_note_once(shot: Shot) -> None:
    class Listener(Reporter):
        notes: list[str] = []

        def note(self, text: str) -> None:
            super().note(text)
            self.notes.append(text)

    listener = Listener()
    with warnings_as_notes(listener), running(shot, "track", {}, "track", listener) as job:
        for _ in range(2):
            logging.getLogger("portraitgen.raster.dispatch").warning("gsplat %s", "is missing")
        logging.getLogger("some.library").warning("nothing an artist can act on")
        Stage(listener, "mattes", 3)
        listener.note("The plate has no timecode.")
        job.finish()
    assert listener.notes == ["gsplat is missing", "The plate has no timecode."]
    log = log_of(shot)
    for text in ("gsplat is missing", "nothing an artist", "mattes: 0 of 3", "has no timecode"):
        assert text in log
    logging.getLogger("portraitgen").warning("said to nobody")
    assert "said to nobody" not in log_of(shot)


def test_a_log_that_leads_out_of_the_shot_is_not_written(shot: Shot, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    with pytest.raises(Cancelled), running(shot, "track", {}, "track"):
        raise Cancelled
    shot.jobs()[-1].log.unlink()
    shot.jobs()[-1].log.symlink_to(outside)
    with pytest.raises(PortraitError, match="no plain file"), running(shot, "track", {}, "track"):
        pass
    assert outside.read_text() == "mine" and record_of(shot).state == "failed"


def test_a_job_whose_first_line_finds_no_room_has_failed(
    shot: Shot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Job, "event", full)
        with pytest.raises(PortraitError, match="the disk is full"):
            with running(shot, "edit", {}, "take:x"):
                raise AssertionError("the job begins all the same")
    assert record_of(shot).state == "failed" and record_of(shot).code == "disk_full"
