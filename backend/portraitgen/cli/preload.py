# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen preload`."""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ..errors import OptionError, PortraitError
from ..preloaded import END, LOG, VARIABLE, connected, send, this_command
from .output import say

_PATIENCE = 30.0


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    text = "start a process that loads once what the commands after it need (Linux)"
    parser: argparse.ArgumentParser = commands.add_parser(
        "preload", help=text, description=text.capitalize() + "."
    )
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="an empty folder, for this process alone"
    )
    parser.add_argument(END, action="store_true", help="end the process")
    parser.add_argument(
        "--openjd", action="store_true", help="tell it as Open Job Description reads it"
    )
    return parser


def run(given: argparse.Namespace) -> None:
    """Starts the process, or ends it.

    For Open Job Description nothing of this is an error: tasks then load by themselves.

    Raises:
        OptionError: if the folder cannot be its.
        PortraitError: if it does not start.
    """
    folder: Path = given.folder.absolute()
    if not sys.platform.startswith("linux"):
        say("Nothing is preloaded on this system: commands load by themselves.")
    elif given.end:
        _end(folder)
    else:
        try:
            _start(folder)
        except PortraitError as error:
            if not given.openjd:
                raise
            say(f"Nothing is preloaded: {error}")
            return
        print(f"{'openjd_env:' if given.openjd else 'export'} {VARIABLE}={folder}", flush=True)


def _start(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mine = folder.stat().st_mode & 0o077 == 0
        taken = any(folder.iterdir())
    except OSError as error:
        raise OptionError("no process can lie here", folder, "name a folder of yours") from error
    if taken or not mine:
        wrong = "this folder is not empty" if taken else "others may write or read here"
        raise OptionError(wrong, folder, "name a new one")
    # It outlives this command, and holds none of its streams.
    with (folder / LOG).open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "portraitgen.preload_server", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and server.poll() is None:
        try:
            with connected(folder):
                return
        except OSError:
            time.sleep(0.02)
    server.kill()
    raise PortraitError("the process did not start", folder / LOG, "run commands without it")


def _end(folder: Path) -> None:
    try:
        with connected(folder) as server:
            send(server, this_command((END,)), (0, 1, 2))
            # It hangs up when it ends.
            while server.recv(1):
                pass
    except OSError:
        say(f"No process runs in {folder}.")
