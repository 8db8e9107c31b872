# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen editors`."""

import argparse
from typing import Any

from .output import print_json, words


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser: argparse.ArgumentParser = commands.add_parser("editors", help="list the editors")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def run(given: argparse.Namespace) -> None:
    """Lists every editor with its options."""
    from ..editing.registry import describe_editors

    editors = describe_editors()
    if given.json:
        print_json([each.to_json() for each in editors])
        return
    for editor in editors:
        print(f"{editor.id}: {editor.description}")
        use = "commercial use allowed" if editor.commercial else "no commercial use"
        print(f"  licence {editor.licence} ({use}); needs {words(editor.needs)}")
        for option in editor.options:
            unit = f" {option.unit}" if option.unit else ""
            print(f"  {option.name} = {words(option.default)}{unit}: {option.help}")
