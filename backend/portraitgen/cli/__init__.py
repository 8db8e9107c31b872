# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: the same jobs that Blender runs, from a terminal or a farm.

Each command is a module here that gives `add`, its parser, and `run`, what it does. They import
what is heavy when they run, so that `portraitgen --help` comes at once.
"""

import argparse
import importlib
import os
import re
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from .. import __version__
from ..errors import Cancelled, DiskFull, OptionError, OutOfMemory, PortraitError, ShotLocked
from ..failures import ProgramFault, readable
from ..native_log_filter import filter_native_logs
from ..plain_text import printable
from ..stopping import Stopped, graceful_stop
from .output import open_standard_streams, print_json_line
from .terminal_reporter import TerminalReporter

__all__ = ["COMMANDS", "LATER", "TerminalReporter", "main"]

COMMANDS = (
    "probe",
    "split",
    "track",
    "refine",
    "reconstruct",
    "act",
    "try",
    "edit",
    "look",
    "apply",
    "render",
    "movie",
    "qc",
    "bundle",
    "queue",
    "selftest",
    "warm",
    "preload",
    "sign",
    "verify",
    "report",
    "export-track",
    "import-track",
    "convert-track",
    "export-splats",
    "import-splats",
    "keep",
    "paint",
    "info",
    "relink",
    "clean",
    "editors",
    "check",
    "models",
    "bench",
    "worker",
)
"""In the order in which help lists them; each is the module of its name, or the one below."""

_MODULES = {"try": "try_frame"}  # Python keeps the word for itself.

LATER = {ShotLocked.code, DiskFull.code, OutOfMemory.code}
"""What may go well when it is tried again; a farm does so for status 75, as sendmail did."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line.

    Ends the process with 0; 2 for a command that is wrong; 75 for what may go well later (a shot
    that is locked, no memory, a full disk); 1 for any other error; 130 when it was stopped by
    Ctrl+C and 143 by the system.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    open_standard_streams()
    try:
        with graceful_stop(), filter_native_logs():
            _run(arguments)
    except (Cancelled, KeyboardInterrupt) as stop:
        print("Stopped; run the same command again to go on.", file=sys.stderr)
        sys.exit(stop.status if isinstance(stop, Stopped) else 130)
    except BrokenPipeError:
        _print_to_nobody()
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - whatever fails is told in one sentence.
        _fail(arguments, readable(error))


def _fail(arguments: Sequence[str], failure: PortraitError) -> NoReturn:
    """Tells why it failed, to people and to machines, and ends the process."""
    if isinstance(failure, ProgramFault):
        traceback.print_exc()
    try:
        print(f"portraitgen: {printable(str(failure))}", file=sys.stderr)
        if "--events" in arguments:
            facts = {"code": failure.code, "message": failure.message}
            facts |= {"place": failure.place, "remedy": failure.remedy}
            print_json_line({"event": "failed"} | facts)
        if "--openjd" in arguments:
            print(f"openjd_fail: {printable(str(failure))}", flush=True)
    except BrokenPipeError:
        _print_to_nobody()
    sys.exit(75 if failure.code in LATER else 2 if failure.code == OptionError.code else 1)


def _print_to_nobody() -> None:
    """Whoever read what is printed has gone, as `head` does: nor does Python complain of it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(nowhere, number)


def _run(arguments: list[str]) -> None:
    arguments = _joined(arguments)
    given = _parser(arguments[0] if arguments else "").parse_args(arguments)
    given.run(given)


def _joined(arguments: list[str]) -> list[str]:
    """Frame numbers below zero are no switches: `--frames -3-5` is `--frames=-3-5`."""
    joined: list[str] = []
    for word in arguments:
        if joined and joined[-1] == "--frames" and re.fullmatch(r"-\d[\d ,x:-]*", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


class _Parser(argparse.ArgumentParser):
    """Tells what is wrong with a command as every other failure is told, to machines, too."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        raise OptionError(message, self.prog, f"see {self.prog} --help")


def _parser(chosen: str) -> argparse.ArgumentParser:
    """The parser; a command that runs loads none of the others."""
    parser: argparse.ArgumentParser = _Parser(
        prog="portraitgen", description="Track, rebuild, edit and re-render a portrait shot."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in [chosen] if chosen in COMMANDS else COMMANDS:
        module = _MODULES.get(name, name.replace("-", "_"))
        command = importlib.import_module(f".{module}", __name__)
        command.add(commands, chosen == name).set_defaults(run=command.run)
    return parser
