# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks that training asks besides the pictures: LPIPS."""

from ...avatar.lpips import Lpips
from ...errors import ModelError
from ...models.store import find_weights
from ...path_mapping import given_path
from ..run.progress import Reporter

_TRUNK = "vgg16"


def perceptual_loss(given: str, reporter: Reporter) -> Lpips | None:
    """LPIPS on the weights given, else on those of the models folder; without any, a note says so.

    Raises:
        AvatarError: if the weights given are missing, damaged or others.
        ModelError: if those of the models folder are damaged.
    """
    if given:
        return Lpips.load(given_path(given))
    try:
        found = find_weights(_TRUNK)
    except ModelError:
        reporter.note(
            "VGG16's weights are not on this machine, so pictures are learned without a perceptual"
            f" loss (LPIPS); `portraitgen models fetch {_TRUNK}` gets them."
        )
        return None
    return Lpips.load(found.path)
