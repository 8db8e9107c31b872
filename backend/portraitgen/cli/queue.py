# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen queue add|run|show|retry|remove|move|clear|pause|go-on LIST`."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import OptionError
from ..job_queue import JobQueue, QueuedJob, blocked
from ..plain_text import printable
from .output import print_json_line, words

STAGES = ("track", "reconstruct", "edit", "render", "movie", "qc")
_OF_TAKE = ("edit", "render", "movie", "qc")
_SYMBOLS = {"waiting": " ", "running": ">", "done": "+", "failed": "!"}


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    text = "run a list of jobs over shots and takes, that goes on where it was stopped"
    parser: argparse.ArgumentParser = commands.add_parser(
        "queue", help=text, description=text.capitalize() + "."
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, text: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = actions.add_parser(
            name, help=text, description=text.capitalize() + "."
        )
        made.add_argument("list", type=Path, metavar="LIST", help="the list's file, as night.json")
        return made

    adding = action("add", "add what shots need for a take to the end of a list")
    adding.add_argument("shots", type=Path, nargs="+", metavar="SHOT", help="the shot folders")
    adding.add_argument("--take", required=True, help="the take to render, of every shot")
    adding.add_argument("--frames", default="", help="frames as 1001-1250 or 1-9x2")
    adding.add_argument(
        "--stages", default="", help=f"of {','.join(STAGES)}; what is missing by default"
    )
    adding.add_argument("--editor", default="", help="the take's editor, if it is to be edited")
    adding.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="an option of the editor"
    )
    for stage in ("track", "reconstruct", "edit", "render", "qc"):
        adding.add_argument(
            f"--{stage}-option",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help=f"an option of {stage}, as {stage} --help lists them",
        )
    running = action("run", "run the jobs of a list, one after the other")
    running.add_argument("--events", action="store_true", help="tell progress as JSON lines")
    running.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="how long to wait for a part of a shot that another process works on",
    )
    showing = action("show", "say how the jobs of a list stand")
    showing.add_argument("--json", action="store_true", help="for machines")
    action("retry", "let the jobs that failed run again")
    action("clear", "take those off that are done")
    action("pause", "let no further job begin")
    action("go-on", "let jobs begin again")
    removing = action("remove", "take jobs off a list")
    removing.add_argument("jobs", nargs="+", metavar="JOB", help="as show names them")
    moving = action("move", "change the order of a list")
    moving.add_argument("job", metavar="JOB", help="as show names it")
    moving.add_argument("by", type=int, metavar="PLACES", help="down, or with less than 0 up")
    return parser


def run(given: argparse.Namespace) -> None:
    """Does what is asked with the list, and says how it stands."""
    queue = JobQueue(given.list)
    if given.action != "add" and not queue.path.exists():
        remedy = "check the path; portraitgen queue add makes it"
        raise OptionError("there is no such list", queue.path, remedy)
    match given.action:
        case "add":
            _add(queue, given)
        case "run":
            _run(queue, given)
        case "retry":
            print(f"{queue.retry()} jobs run again")
        case "clear":
            queue.clear()
        case "pause" | "go-on":
            queue.pause(given.action == "pause")
        case "remove":
            for job in given.jobs:
                queue.remove(job)
        case "move":
            queue.move(given.job, given.by)
    if given.action == "show" and given.json:
        print_json_line(queue.read().to_json())
    elif given.action != "run":
        _show(queue)


def _show(queue: JobQueue) -> None:
    record = queue.read()
    waiting = {job.id for job in blocked(record)}
    for job in record.jobs:
        more = f": {job.error}" if job.error else ""
        more = ": waits for a job that failed" if job.id in waiting else more
        print(printable(f"{_SYMBOLS[job.state]} {job.id} {job.state:7} {job}{more}"))
    if record.paused:
        print("paused: no further job begins")


def _add(queue: JobQueue, given: argparse.Namespace) -> None:
    from dataclasses import asdict

    from ..farm.path_words import rooted_options
    from ..farm.plan import plan_shot
    from ..farm.request import check_editor
    from ..frames import frame_list
    from ..pipeline.registry import options_of
    from ..schema import plain
    from ..settings import parse
    from .job_command import pairs

    stages = [word.strip() for word in given.stages.split(",") if word.strip()]
    for stage in stages:
        if stage not in STAGES:
            raise OptionError(f"there is no stage '{stage}'", "--stages", f"use {','.join(STAGES)}")
    editor = {"editor": given.editor} if given.editor else {}
    if given.set:
        # An editor is named where its options are; `check_editor` tells of it if none is.
        typed = rooted_options(given.editor, pairs(given.set)) if given.editor else {}
        editor["editor_options"] = json.dumps(typed or pairs(given.set), sort_keys=True)
    asked: dict[str, Mapping[str, str]] = {
        "track": pairs(given.track_option),
        "reconstruct": pairs(given.reconstruct_option),
        "edit": editor | pairs(given.edit_option),
        "render": pairs(given.render_option),
        "movie": {},
        "qc": pairs(given.qc_option),
    }
    check_editor(given.editor, pairs(given.set))
    edit_words = {"edit": ["--editor", given.editor] if given.editor else []}
    jobs = []
    for folder in given.shots:
        plan = plan_shot(folder, given.take, given.frames, stages, edit_words)
        whole = not given.frames
        for stage in plan.stages:
            if stage == "movie" and whole and "render" in plan.stages:
                continue  # Rendering all of it makes the movie.
            options = dict(asked[stage])
            if stage in _OF_TAKE:
                options["take"] = given.take
            if given.frames and stage in ("render", "movie", "qc"):
                options["frames"] = frame_list(plan.frames)
            if given.frames and stage == "track":
                options["frames"] = f"{plan.frames[0]}-{plan.frames[-1]}"
            values = plain(asdict(parse(options_of(stage), options)))
            take = given.take if stage in _OF_TAKE else ""
            jobs.append(QueuedJob.of(plan.folder, stage, values, take))
    queue.add(jobs)


def _run(queue: JobQueue, given: argparse.Namespace) -> None:
    """Runs all that can be run.

    Raises:
        PortraitError: if jobs failed: ShotLocked and its like where each may go well later.
    """
    from ..pipeline.registry import run as run_job
    from . import LATER
    from .terminal_reporter import TerminalReporter

    with queue.running():
        while (job := queue.begin()) is not None:
            reporter = TerminalReporter("events" if given.events else "person", job.kind)
            reporter.wait_s = given.wait
            reporter.note(f"{job} ({job.id})")
            try:
                result = run_job(job.kind, Path(job.shot), job.options, reporter)
            except Exception as error:  # noqa: BLE001 - the next job of the list goes on.
                _failed(queue, job, error)
            except BaseException:
                queue.end(job.id)
                raise
            else:
                queue.end(job.id, result.told())
                reporter.done(result)
    record = queue.read()
    left = blocked(record)
    failed = [each.error for each in record.jobs if each.error]
    counts = {name: sum(each.state == name for each in record.jobs) for name in _SYMBOLS}
    told = {name: count for name, count in counts.items() if count}
    print(", ".join(f"{words(count)} {name}" for name, count in told.items()) or "nothing to do")
    if failed:
        first = next((each for each in failed if each.code not in LATER), failed[0])
        more = f"; {len(left)} wait for them" if left else ""
        first.message = f"{len(failed)} of {len(record.jobs)} jobs failed{more}: {first.message}"
        raise first


def _failed(queue: JobQueue, job: QueuedJob, error: Exception) -> None:
    """Writes down why a job failed; one that was cancelled waits again, and ends the run."""
    import sys
    import traceback

    from ..errors import Cancelled
    from ..failures import ProgramFault, readable

    if isinstance(error, Cancelled):
        queue.end(job.id)
        raise error
    failure = readable(error)
    if isinstance(failure, ProgramFault):
        traceback.print_exception(error)
    print(f"portraitgen: {printable(str(failure))}", file=sys.stderr)
    queue.end(job.id, error=failure)
