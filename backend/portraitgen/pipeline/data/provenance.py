# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be said of a take's pictures, from the records of its versions."""

from pathlib import Path
from typing import Any

from ... import __version__
from ...editing.registry import editor_class
from ...errors import EditError
from ...models.manifest import models
from ...provenance.statement import Statement, WeightsUsed
from ...records import EditRecord
from ...shot import Shot
from .acting import FILE as ACTING_FILE
from .shots import Track


def statement_of(
    shot: Shot,
    take: str,
    edit: Path | None,
    record: EditRecord | None,
    avatar: int,
    track: Track,
    *,
    lit: bool = False,
) -> Statement:
    """How the pictures of a take were made.

    Args:
        edit: the edit's folder, None for the unedited reconstruction.
        record: the edit's.
        avatar: the version it is rendered from.
        lit: whether another renderer lit the performer.
    """
    common: dict[str, Any] = {
        "software": "PortraitGen for Blender",
        "version": __version__,
        "take": take,
        "track": track.version,
        "avatar": avatar,
        "plate": shot.record.footage.digest,
    }
    pinned = track.motion.fixed.any()
    acted = (shot.path / "takes" / take / ACTING_FILE).exists()
    if edit is None or record is None:
        hand = {"pins": pinned, "acting": acted, "light": lit}
        return Statement(
            **common, edit=None, by_hand=tuple(name for name, done in hand.items() if done)
        )
    try:
        info = editor_class(record.editor).info
    except EditError:
        # Of a package that is not installed here.
        info = None
    needs = info.needs if info else ()
    weights = tuple(
        WeightsUsed(
            model.name,
            model.repository or model.url,
            model.revision,
            model.licence,
            tuple(file.sha256 for file in model.files if file.sha256),
        )
        for model in (models().get(name) for name in needs)
        if model is not None
    )
    hands = {
        "pins": pinned,
        "acting": acted,
        "light": lit,
        "paint": record.editor == "paint" or (edit / "mask").is_dir(),
        "key frames": bool(record.kept_frames),
    }
    return Statement(
        **common,
        edit=int(edit.name),
        editor=record.editor,
        editor_licence=info.licence if info else "",
        options=dict(record.options),
        strength=record.strength,
        seed=int(record.settings.get("seed") or 0),
        generative=bool(needs),
        commercial=record.commercial,
        weights=weights,
        by_hand=tuple(name for name, done in hands.items() if done),
    )
