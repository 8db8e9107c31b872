# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be said of a take's pictures, from the records of its versions."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from ... import __version__
from ...bounded_json import parse_json
from ...editing.editor import Editor
from ...editing.registry import editor_class
from ...errors import EditError, ShotError
from ...footage.container_tags import movie_comment
from ...footage.exr import exr_attributes
from ...models.manifest import models
from ...provenance.statement import TOUCHED, Performance, Statement, WeightsUsed
from ...records import EditAuthors, EditRecord, PerformanceRecord, RenderRecord, WeightsRecord
from ...schema import Data, Values
from ...settings import describe
from ...shot import Shot
from ...storage import file_digest
from .acting import FILE as ACTING_FILE
from .acting import performances_in
from .authors import authors_of
from .shots import Track

# Options of editors that name weights, and what an edit's copies of looks end in.
_WEIGHTS, _LOOK = ("model", "base", "checkout"), "look.safetensors"
_NO_WEIGHTS = (".json", ".txt", ".jinja")


def statement_of(
    shot: Shot,
    take: str,
    edit: Path | None,
    record: EditRecord | None,
    avatar: int,
    track: Track,
    render: RenderRecord | None = None,
) -> Statement:
    """How the pictures of a take were made.

    Args:
        edit: the edit's folder, None for the unedited reconstruction.
        record: the edit's.
        avatar: the version it is rendered from.
        render: the record of their render; None of frames from before renders had versions.
    """
    common: dict[str, Any] = {
        "software": "PortraitGen for Blender",
        "version": __version__,
        "take": take,
        "track": track.version,
        "avatar": avatar,
        "plate": shot.record.footage.digest,
    }
    made = _by_hand(shot, take, edit, record, avatar, track, bool(render and render.is_lit))
    authors = {what: who for what, who in made.items() if who}
    common |= {"by_hand": tuple(made), "authors": authors}
    acted = list(performances_in(shot.path / "takes" / take / ACTING_FILE))
    if render is not None:
        common |= {"render": _of_render(render), "camera": render.camera_sha256}
        common |= {"plate_source": render.plate_source}
        acted += [render.performance] if render.performance else []
    common |= {"performances": tuple(dict.fromkeys(map(_performance, acted)))}
    if edit is None or record is None:
        return Statement(**common, edit=None)
    drawn, weights = _drawn_with(record, edit)
    base: list[str] = []
    commercial, above = record.commercial, record.base
    while above and above not in base:
        base.append(above)
        try:
            under, folder = shot.edit_record(above), shot.edit_folder(above)
        except ShotError:
            # Deleted since; what was edited on it says whether weights drew it.
            break
        more, others = _drawn_with(under, folder)
        drawn, weights = drawn or more, (*weights, *others)
        above, commercial = under.base, commercial and under.commercial
    try:
        editor: type[Editor] | None = editor_class(record.editor)
    except EditError:
        # Of a package that is not installed here.
        editor = None
    return Statement(
        **common,
        edit=int(edit.name),
        editor=record.editor,
        editor_licence=editor.info.licence if editor else "",
        options=_without_folders(record.options, editor),
        strength=record.strength,
        seed=int(record.settings.get("seed") or 0),
        base=tuple(base),
        generative=drawn,
        commercial=commercial,
        weights=tuple(dict.fromkeys(weights)),
    )


def _of_render(render: RenderRecord) -> dict[str, object]:
    """What was asked of a render, without what was left as it is."""
    idle = set() if render.is_driven else {"normalise"}
    idle |= {"mix"} if render.mix == "1" else set()
    return {
        name: _name_of(value) if isinstance(value, str) and _is_below(value) else value
        for name, value in render.settings.items()
        if value not in ("", None, 0) and name not in idle
    }


def _performance(record: PerformanceRecord) -> Performance:
    return Performance(record.shot, record.plate, record.track)


def touched_in(frames: Iterable[Path]) -> float | None:
    """The share of the plate's pixels that an edit changed in some rendered frames, on average;
    None where one of them does not say."""
    shares = []
    for frame in frames:
        share = _share(exr_attributes(frame).get(TOUCHED))
        if share is None:
            return None
        shares.append(share)
    return sum(shares) / len(shares) if shares else None


def touched_told(movie: Path) -> float | None:
    """The share of the plate's pixels that an edit changed as a movie of ours says, which may show
    some frames of a render alone; None where it does not say."""
    try:
        return _share(_MovieSays.parse(parse_json(movie_comment(movie))).touched)
    except ValueError:
        return None


@dataclass(frozen=True)
class _MovieSays(Data):
    """What a movie says of itself, as far as it is read."""

    touched: object = None


def _share(told: object) -> float | None:
    """A share as a file says it."""
    if not isinstance(told, str | int | float):
        return None
    try:
        share = float(told)
    except ValueError:
        return None
    return share if 0 <= share <= 1 else None


def _drawn_with(record: EditRecord, edit: Path) -> tuple[bool, tuple[WeightsUsed, ...]]:
    """Whether trained weights drew an edit, and which."""
    named = [record.options.get(name) for name in _WEIGHTS]
    given = [each for each in named if isinstance(each, str) and each]
    try:
        info = editor_class(record.editor).info
    except EditError:
        # Of a package that is not installed here: what names weights drew with them.
        used = tuple(map(_measured, record.weights)) or tuple(_weights(name) for name in given)
        return bool(record.generative or used), used
    if not info.draws_with_weights:
        return bool(record.generative), ()
    looks = tuple(_look(path) for path in sorted(edit.glob("*" + _LOOK)))
    if record.weights:
        return True, tuple(map(_measured, record.weights)) + looks
    if not given:
        given = [need for need in info.needs if need in models()]
    return True, tuple(_weights(name) for name in given) + looks


def _measured(record: WeightsRecord) -> WeightsUsed:
    """Weights that an edit measured; of their files, those that hold weights."""
    digests = tuple(
        sha256 for path, sha256 in record.files.items() if not path.endswith(_NO_WEIGHTS)
    )
    return WeightsUsed(
        record.name, record.repository, record.revision, record.licence, digests, record.changed
    )


def _weights(name: str) -> WeightsUsed:
    """A model of our list, or weights of the user's own."""
    model = models().get(name)
    if model is None:
        return WeightsUsed(_name_of(name), "", "", "unknown")
    digests = tuple(file.sha256 for file in model.files if file.sha256)
    return WeightsUsed(
        model.name, model.repository or model.url, model.revision, model.licence, digests
    )


def _look(path: Path) -> WeightsUsed:
    """A look, of the copy that an edit keeps."""
    from ...editing.looks.look_file import read_facts

    facts = read_facts(path)
    licence = facts.licence or "unknown"
    return WeightsUsed(facts.name, facts.made_of, "", licence, (file_digest(path),))


def _without_folders(options: Values, editor: type[Editor] | None) -> dict[str, object]:
    """An editor's options, of files the name alone: what is delivered says nothing of where its
    maker keeps them."""
    if editor is None:
        return {
            name: _name_of(value) if isinstance(value, str) and _is_absolute(value) else value
            for name, value in options.items()
        }
    paths = {each.name for each in describe(editor.Options) if each.path}
    return {
        name: _name_of(value) if isinstance(value, str) and name in paths else value
        for name, value in options.items()
    }


def _is_absolute(text: str) -> bool:
    return PureWindowsPath(text).is_absolute() or PurePosixPath(text).is_absolute()


def _is_below(text: str) -> bool:
    """Whether a text is the path of something in a folder."""
    return "/" in text or "\\" in text


def _name_of(path: str) -> str:
    """The name of a file, of whichever system its path is."""
    return PureWindowsPath(path).name or path


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
