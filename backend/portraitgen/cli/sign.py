# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen sign SHOT --take T`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from ..plain_text import printable


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    text = "give what was rendered Content Credentials (C2PA), signed by your studio"
    parser: argparse.ArgumentParser = commands.add_parser(
        "sign", help=text, description=text[0].upper() + text[1:] + "."
    )
    parser.add_argument("shot", type=Path, metavar="SHOT", help="the shot folder")
    parser.add_argument("--take", required=True, help="the take whose pictures are signed")
    parser.add_argument("--out", type=Path, required=True, help="the folder for signed copies")
    parser.add_argument(
        "--version", type=int, help="of the render; the one rendered last by default"
    )
    parser.add_argument(
        "--gaps", action="store_true", help="sign though frames in between are missing"
    )
    parser.add_argument(
        "--alone", default="", metavar="FOLDER", help="of the take, alone-..., in its own place"
    )
    parser.add_argument("--certificate", type=Path, required=True, help="the chain, PEM")
    parser.add_argument("--key", type=Path, help="its private key, PKCS#8 PEM")
    parser.add_argument(
        "--command",
        nargs="+",
        dest="signing_command",
        metavar="WORD",
        help="instead of a key: a program that signs what it is given on stdin",
    )
    return parser


def run(given: argparse.Namespace) -> None:
    """Signs copies of frames, pictures, plates and the movie of a take."""
    from ..pipeline.jobs.deliver import home_of, notes_on, plate_notes, sign_take
    from ..provenance.credentials import Signer
    from ..renders import render_of
    from ..shot import Shot

    signer = Signer(given.certificate, given.key, given.signing_command)
    shot = Shot.open(given.shot)
    rendered = render_of(home_of(shot, given.take, given.alone), given.version)
    notes = notes_on(shot, rendered, given.take, given.out, given.gaps)
    for note in [*notes, *plate_notes(shot, rendered, given.take)]:
        print(printable(f"note: {note}"), file=sys.stderr)
    for path in sign_take(shot, given.take, given.out, signer, rendered.version, given.alone):
        print(printable(str(path)))
