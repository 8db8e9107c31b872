# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the program begins: what a command needs may have been loaded already."""

import sys

from .preloaded import run_preloaded


def main() -> None:
    """Runs the command line, in a copy of the process that has loaded it if there is one."""
    if (status := run_preloaded(sys.argv[1:])) is not None:
        sys.exit(status)
    from .startup import run_to_the_end, settle

    settle()
    run_to_the_end(_command_line)


def _command_line() -> None:
    from .cli import main as run

    run()
