# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named directions of identity on the open body: what an artist calls a wider nose.

From MakeHuman's targets (CC0), written by backend/tools/build_identity.py beside the body, so that
shots tracked on the body stay valid. 1 is the end of a target's range, 0 the performer.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BodyError
from ..records import IDENTITY

if TYPE_CHECKING:
    # The names are told without waiting for torch.
    from .model import BodyModel

OPEN_IDENTITY = Path(__file__).parent / "data" / "open_identity.npz"


def identity_directions(body: "BodyModel") -> np.ndarray:
    """How the rest body moves when each named direction grows by 1, float32 (I, V, 3), metres.

    Raises:
        BodyError: if the body is not the open one, or the file beside it is damaged.
    """
    directions, sha256 = _directions(OPEN_IDENTITY)
    if body.sha256 != sha256:
        raise BodyError(
            "identity has named directions on the open body only",
            body.name,
            "sculpt the change instead, or track the shot with the open body",
        )
    return directions


def identity_offsets(body: "BodyModel", weights: np.ndarray) -> np.ndarray:
    """How the rest body moves, float32 (V, 3), metres.

    Args:
        weights: (I,), of the directions in `IDENTITY`.

    Raises:
        BodyError: if the body is not the open one.
    """
    used = np.flatnonzero(weights)
    moved: np.ndarray = np.tensordot(weights[used], identity_directions(body)[used], 1)
    return moved.astype(np.float32)


@cache
def _directions(path: Path) -> tuple[np.ndarray, str]:
    from .model import read_arrays

    arrays = read_arrays(path)
    try:
        names = [str(name) for name in arrays["names"]]
        directions = arrays["directions"][[names.index(name) for name in IDENTITY]]
        return directions.astype(np.float32) * float(arrays["unit"]), str(arrays["body_sha256"])
    except (KeyError, ValueError) as error:
        raise BodyError(
            f"the identity's directions are damaged ({error})", path, "install PortraitGen again"
        ) from error
