# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m portraitgen.cli` is the command line too."""

from ..entry import main

main()
