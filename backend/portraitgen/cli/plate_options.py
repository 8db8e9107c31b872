# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user may say of a plate that the plate does not say itself, or says wrongly."""

import argparse

_NAMES = ("first", "colour_space", "fps", "matrix", "range", "part", "layer", "deinterlace")


def add_plate_options(parser: argparse.ArgumentParser) -> None:
    """The options of all commands that open a plate."""
    parser.add_argument("--first", type=int, help="the number of a movie's first frame")
    parser.add_argument("--colour-space", help="the plate's colour space, such as LogC3 or HLG")
    parser.add_argument("--fps", help="the shot's frame rate, such as 24000/1001")
    parser.add_argument("--matrix", help="the movie's YUV matrix: 601, 709 or 2020")
    parser.add_argument("--range", help="the movie's YUV range: limited or full")
    parser.add_argument("--part", help="the part of an EXR that is the picture")
    parser.add_argument("--layer", help="the layer of an EXR that is the picture, such as Combined")
    parser.add_argument(
        "--deinterlace", action="store_true", help="read the upper field of interlaced frames"
    )


def plate_facts(given: argparse.Namespace) -> dict[str, object]:
    """What was given of them."""
    facts = {name: getattr(given, name) for name in _NAMES}
    return {
        name: value for name, value in facts.items() if value is not None and value is not False
    }
