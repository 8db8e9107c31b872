# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many threads torch has, whenever numba starts its own."""

import sys


def keep_threads() -> None:
    """Has numba start its threads now, if torch is loaded, and leaves torch as many as it had.

    When numba starts them it gives torch as many as itself, and the last bits of what torch
    computes depend on that. A resumed job comes to that moment elsewhere than one in one go.
    """
    if torch := sys.modules.get("torch"):
        import numba

        count = torch.get_num_threads()
        numba.get_num_threads()
        torch.set_num_threads(count)
