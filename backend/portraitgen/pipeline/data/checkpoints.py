# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints that can be gone on from, and those that cannot."""

from pathlib import Path

from ...storage import check_inside
from ...tensors import DamagedTensors, load_tensors
from ..run.progress import Reporter


def is_usable(checkpoint: Path, reporter: Reporter) -> bool:
    """Whether there is a checkpoint to go on from; a damaged one is set aside, and told of."""
    if not checkpoint.exists():
        return False
    try:
        load_tensors(checkpoint)
    except DamagedTensors as error:
        aside = check_inside(checkpoint).with_name(f"damaged-{checkpoint.name}")
        checkpoint.replace(aside)
        reporter.note(
            f"The checkpoint cannot be used ({error}); it was set aside as {aside.name}, and the"
            " training begins anew."
        )
        return False
    return True
