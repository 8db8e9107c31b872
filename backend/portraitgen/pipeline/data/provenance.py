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
from ...records import EditAuthors, EditRecord
from ...shot import Shot
from .acting import FILE as ACTING_FILE
from .authors import authors_of
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
    made = _by_hand(shot, take, edit, record, avatar, track, lit)
    authors = {what: who for what, who in made.items() if who}
    common |= {"by_hand": tuple(made), "authors": authors}
    if edit is None or record is None:
        return Statement(**common, edit=None)
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
    )


def _by_hand(
    shot: Shot,
    take: str,
    edit: Path | None,
    record: EditRecord | None,
    avatar: int,
    track: Track,
    lit: bool,
) -> dict[str, tuple[str, ...]]:
    """What was done by hand, and who did it, of those who gave their name."""
    folder = shot.path / "takes" / take
    learned = shot.avatar_record(avatar)
    acts = (folder / ACTING_FILE).exists()
    who = record.authors if record else EditAuthors()
    painted = (record is not None and record.editor == "paint") or (
        edit is not None and (edit / "mask").is_dir()
    )
    retouched = learned.retouched or (record is not None and record.retouched)
    made = (
        ("pins", bool(track.motion.fixed.any()), track.record.authors),
        ("acting", acts, authors_of(folder).acting if acts else ()),
        ("light", lit, ()),
        ("paint", painted, who.paint),
        ("key frames", record is not None and bool(record.kept_frames), who.key_frames),
        ("splats", retouched, (*learned.authors, *who.splats)),
    )
    return {what: tuple(dict.fromkeys(names)) for what, done, names in made if done}
