# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen look learn | list | info`."""

import argparse
from pathlib import Path
from typing import Any

from ..errors import OptionError
from ..plain_text import printable
from .output import print_json, say, words
from .terminal_reporter import TerminalReporter


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "look", help="learn a look from a few pictures, or list the looks there are"
    )
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    learning = what.add_parser("learn", help="learn a look; stop it when it is good enough")
    learning.add_argument("shot", type=Path, nargs="?", metavar="SHOT", help="the shot folder")
    learning.add_argument("--take", help="the take whose key frames teach the look")
    learning.add_argument("--pairs", help="a folder of pictures before and after")
    learning.add_argument("--colour-space", help="of the pairs' pictures, such as LogC3")
    learning.add_argument("--out", help="the look's file, or its name in the library")
    learning.add_argument("--seconds", help="how long it learns in all (default 120)")
    learning.add_argument("--licence", help="what the look may be used for, in your words")
    learning.add_argument("--seed", help="seed of the learning (default 0)")
    learning.add_argument("--events", action="store_true", help="tell progress as JSON lines")
    listing = what.add_parser("list", help="the looks of the library")
    listing.add_argument("--folder", type=Path, help="another folder of looks")
    listing.add_argument("--json", action="store_true", help="as JSON")
    telling = what.add_parser("info", help="what a look is")
    telling.add_argument("look", help="a file, or a name of the library")
    telling.add_argument("--thumbnail", type=Path, metavar="PNG", help="write its picture")
    return parser


def run(given: argparse.Namespace) -> None:
    """Learns or lists looks."""
    {"learn": _learn, "list": _list, "info": _info}[given.what](given)


def _learn(given: argparse.Namespace) -> None:
    names = ("take", "pairs", "colour_space", "out", "seconds", "licence", "seed")
    asked = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    reporter = TerminalReporter("events" if given.events else "person", "look")
    if given.shot is not None:
        from ..pipeline.registry import run as run_job

        reporter.done(run_job("look", given.shot, asked, reporter))
        return
    if not given.pairs or given.take:
        raise OptionError(
            "there is nothing to learn from", "look learn", "give a shot and --take, or --pairs"
        )
    from ..pipeline.jobs.learn_look import LearnLookOptions, learn_from_folder
    from ..settings import parse

    reporter.done(learn_from_folder(parse(LearnLookOptions, asked), reporter))


def _list(given: argparse.Namespace) -> None:
    from ..editing.looks.library import library_folder, looks_in

    folder = given.folder or library_folder()
    found, refused = looks_in(folder)
    if given.json:
        usable = [{"path": str(path)} | facts.to_json() for path, facts in found.items()]
        print_json(usable + [{"path": str(path), "error": why} for path, why in refused.items()])
        return
    say(f"{len(found)} looks in {folder}")
    for path, facts in found.items():
        use = "" if facts.commercial else ", no commercial use"
        text = f"{path.stem}: {facts.pairs} pairs, {facts.made_of}{use}"
        print(f"  {printable(text)}")
    for path, reason in refused.items():
        print(f"  {printable(f'{path.name}: {reason}')}")


def _info(given: argparse.Namespace) -> None:
    from ..editing.looks.library import look_path
    from ..editing.looks.look_file import read_look
    from ..images import save_png, to_float

    look = read_look(look_path(given.look))
    for name, value in look.facts.to_json().items():
        print(f"{name.replace('_', ' ')}: {words(value)}")
    if given.thumbnail:
        save_png(given.thumbnail, to_float(look.thumbnail))
