# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The editors there are: ours, and those that a studio's packages add.

A package adds one through the entry point group `portraitgen.editors`, naming a subclass of
`Editor`. One that cannot be loaded is left out and told of, in the log and in Check Setup; it stops
nothing else.
"""

import importlib
import importlib.metadata
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import EditError
from ..messages.setup import EditorDescription
from ..models.store import commercial_only
from ..settings import describe, parse
from .editor import Editor
from .overlays import FORMER, FrameEditor, PlateOverlay

_GROUP = "portraitgen.editors"
_OURS = {
    "grade": "grade:Grade",
    "relight": "relight:Relight",
    "toon": "toon:Toon",
    "pixel": "pixel:Pixel",
    "statue": "statue:Statue",
    "paint": "paint:Paint",
    "look": "look:Worn",
    "instruct-pix2pix": "instruct_pix2pix:InstructPix2Pix",
    "ic-light": "ic_light:ICLight",
    "anydoor": "anydoor:AnyDoor",
    "style-transfer": "style_transfer:StyleTransfer",
    "flux2-klein": "flux2_klein:Flux2Klein",
    "qwen-image-edit": "qwen_image_edit:QwenImageEdit",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UnusableEditor:
    """A plug-in editor that cannot be loaded.

    Attributes:
        name: of its entry point.
        reason: why, in a clause.
        remedy: what mends it.
    """

    name: str
    reason: str
    remedy: str


def editor_classes() -> dict[str, type[Editor]]:
    """All editors by id, ours first; plug-ins that cannot be loaded are told of in the log."""
    found = {name: _ours(name) for name in _OURS}
    added, unusable = _plug_ins()
    for each in unusable:
        _log.warning(
            "The editor '%s' cannot be loaded: %s; %s", each.name, each.reason, each.remedy
        )
    return found | {name: each for name, each in added.items() if name not in found}


def editor_class(name: str) -> type[Editor]:
    """An editor by its id; only what it needs itself is imported.

    Raises:
        EditError: if there is no such editor.
    """
    if name in _OURS:
        return _ours(name)
    added, unusable = _plug_ins()
    if name in added:
        return added[name]
    for each in unusable:
        if each.name == name:
            raise EditError(f"the editor cannot be loaded: {each.reason}", name, each.remedy)
    raise EditError("there is no such editor", name, f"use one of: {', '.join([*_OURS, *added])}")


def unusable_editors() -> list[UnusableEditor]:
    """The plug-in editors that cannot be loaded."""
    return _plug_ins()[1]


def _ours(name: str) -> type[Editor]:
    module, _, attribute = _OURS[name].partition(":")
    loaded: type[Editor] = getattr(
        importlib.import_module(f".editors.{module}", __package__), attribute
    )
    return loaded


def _plug_ins() -> tuple[dict[str, type[Editor]], list[UnusableEditor]]:
    """The editors of other packages by id, and those that cannot be loaded."""
    found: dict[str, type[Editor]] = {}
    unusable = []
    for entry in importlib.metadata.entry_points(group=_GROUP):
        try:
            editor = entry.load()
            if not (isinstance(editor, type) and issubclass(editor, Editor)):
                raise TypeError(f"{entry.value} is no Editor")
            for name, now in FORMER.items():
                if hasattr(editor, name) and not (
                    name == "keeps_grain" and issubclass(editor, FrameEditor)
                ):
                    raise TypeError(f"'{name}' is of an earlier version: {now}")
            found.setdefault(editor.info.id, editor)
        except Exception as error:  # noqa: BLE001 - a plug-in may fail in any way.
            unusable.append(UnusableEditor(entry.name, *_why(error)))
    return found, unusable


def _why(error: Exception) -> tuple[str, str]:
    """Why a plug-in cannot be loaded, and what mends it."""
    reason = str(error) or type(error).__name__
    for name, now in FORMER.items():
        if isinstance(error, TypeError) and f"'{name}'" in reason:
            return (
                f"it is written for an earlier version of PortraitGen, with '{name}'",
                f"let its author {now} (docs/developer.md, Adding an editor)",
            )
    return reason, "install or mend the package that brings it, or remove it"


def create_editor(name: str, options: Mapping[str, Any], commercial: bool = False) -> Editor:
    """An editor with its options.

    Args:
        name: its id.
        options: by name, as text or values.
        commercial: refuse what may not be used commercially; PORTRAITGEN_COMMERCIAL=1 does so too.

    Raises:
        EditError: if there is no such editor, or its weights allow no commercial use.
        ModelError: if its weights are missing or cannot be used.
        OptionError: if an option is unknown or out of range.
    """
    chosen = editor_class(name)
    names = [each.name for each in fields(chosen.Options)]
    if "offload" in options and "memory" in names:
        # What takes of earlier versions have in its place.
        parts = str(options["offload"]).lower() == "true"
        kept = {each: value for each, value in options.items() if each != "offload"}
        options = {"memory": "parts" if parts else "auto", **kept}
    editor = chosen(parse(chosen.Options, options))
    if commercial_only(commercial) and not editor.commercial():
        raise EditError(
            "what it makes with these weights may not be used commercially",
            name,
            "choose other weights, or allow it by leaving the commercial setting off",
        )
    return editor


def describe_editors() -> tuple[EditorDescription, ...]:
    """Every editor with its options."""
    return tuple(
        EditorDescription.parse(
            {
                **asdict(editor.info),
                "lies_on_plate": issubclass(editor, PlateOverlay),
                "edits_frames": issubclass(editor, FrameEditor),
                "keeps_grain": issubclass(editor, FrameEditor) and editor.keeps_grain,
                "options": [each.to_json() for each in describe(editor.Options)],
            }
        )
        for editor in editor_classes().values()
    )
