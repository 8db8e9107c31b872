# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands that run a job share: the shot, its options, how it tells what it does."""

import argparse
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import OptionError
from ..job_results import JobResult
from ..trust import Program
from .terminal_reporter import Style, TerminalReporter


def add_job(commands: Any, kind: str, text: str, options: bool) -> argparse.ArgumentParser:
    """The parser of a job.

    Args:
        text: what it does, without a capital and a full stop.
        options: whether its own options are wanted; loading them takes a second.
    """
    job: argparse.ArgumentParser = commands.add_parser(
        kind, help=text, description=text.capitalize() + "."
    )
    job.add_argument("shot", type=Path, metavar="SHOT", help="the shot folder")
    telling = job.add_mutually_exclusive_group()
    telling.add_argument("--events", action="store_true", help="tell progress as JSON lines")
    telling.add_argument(
        "--openjd", action="store_true", help="tell progress as Open Job Description reads it"
    )
    add_paths(job, kind)
    job.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="how long to wait for a part of the shot that another process works on",
    )
    if options:
        add_options(job, kind)
    return job


def add_paths(job: argparse.ArgumentParser, kind: str) -> None:
    """Where things lie on this machine."""
    if kind != "track":
        job.add_argument(
            "--footage", type=Path, help="where the plate lies on this machine, if elsewhere"
        )
    job.add_argument(
        "--path-mapping", type=Path, metavar="FILE", help="a farm's rules of pathmapping-1.0"
    )


def add_options(job: argparse.ArgumentParser, kind: str) -> None:
    """A job's own options."""
    from ..pipeline.registry import options_of
    from ..settings import describe

    for option in describe(options_of(kind)):
        flag = "--" + option.name.replace("_", "-")
        unit = f", in {option.unit}" if option.unit else ""
        default = f" (default {option.default})" if option.default not in ("", None) else ""
        text = f"{option.help}{unit}{default}".replace("%", "%%")
        if option.type == "bool":
            job.add_argument(
                flag, action=argparse.BooleanOptionalAction, default=None, help=option.help
            )
        else:
            word = ("," if option.several else "|").join(option.choices) or option.type.upper()
            job.add_argument(flag, metavar=word, help=text)


def run_job(kind: str, given: argparse.Namespace, **values: str) -> JobResult:
    """Runs a job with the options that were given, and with those in `values`."""
    from ..pipeline.registry import run

    map_paths(kind, given)
    asked = asked_options(kind, given)
    style: Style = "openjd" if given.openjd else "events" if given.events else "person"
    reporter = TerminalReporter(style, kind)
    reporter.wait_s = given.wait
    reporter.author = getattr(given, "author", "")
    result = run(kind, given.shot, asked | values, reporter)
    reporter.done(result)
    return result


def asked_options(kind: str, given: argparse.Namespace) -> dict[str, object]:
    """Those of a job's options that were given."""
    from ..pipeline.registry import options_of
    from ..settings import describe

    names = [option.name for option in describe(options_of(kind))]
    return {name: getattr(given, name) for name in names if getattr(given, name) is not None}


def typed_program(asked: Mapping[str, object]) -> Program | None:
    """What the user's own typing has an editor run, None if it runs nothing."""
    from ..pipeline.jobs.edit import program_of

    editor = str(asked.get("editor") or "")
    return program_of(editor, str(asked.get("editor_options") or "{}")) if editor else None


def map_paths(kind: str, given: argparse.Namespace) -> None:
    """Takes over where the plate and other files lie on this machine."""
    from ..path_mapping import add_rule, read_rules
    from ..shot import Shot

    if given.path_mapping:
        read_rules(given.path_mapping)
    if kind != "track" and given.footage:
        add_rule(os.path.normpath(Shot.open(given.shot).footage_path), given.footage.absolute())


def pairs(given: Iterable[str], flag: str = "--set") -> dict[str, str]:
    """What was given as `--set NAME=VALUE`, or with another flag, by name."""
    options = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals:
            raise OptionError(f"'{pair}' is no setting", flag, "write it as name=value")
        options[name] = value
    return options
