# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The editors there are: ours, and those that a studio's packages add.

A package adds one through the entry point group `portraitgen.editors`, naming a subclass of
`Editor`. One that cannot be loaded is left out and told of; it stops nothing else.
"""

import importlib
import importlib.metadata
import logging
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from ..errors import EditError
from ..messages import EditorDescription
from ..models.store import commercial_only
from ..settings import describe, parse
from .editor import Editor

_GROUP = "portraitgen.editors"
_OURS = {
    "grade": "grade:Grade",
    "relight": "relight:Relight",
    "toon": "toon:Toon",
    "pixel": "pixel:Pixel",
    "statue": "statue:Statue",
    "paint": "paint:Paint",
    "instruct-pix2pix": "instruct_pix2pix:InstructPix2Pix",
    "ic-light": "ic_light:ICLight",
    "anydoor": "anydoor:AnyDoor",
    "style-transfer": "style_transfer:StyleTransfer",
    "flux2-klein": "flux2_klein:Flux2Klein",
    "qwen-image-edit": "qwen_image_edit:QwenImageEdit",
}
_log = logging.getLogger(__name__)


def editor_classes() -> dict[str, type[Editor]]:
    """All editors by id, ours first."""
    found: dict[str, type[Editor]] = {}
    for name, place in _OURS.items():
        module, _, attribute = place.partition(":")
        loaded = importlib.import_module(f".editors.{module}", __package__)
        found[name] = getattr(loaded, attribute)
    for entry in importlib.metadata.entry_points(group=_GROUP):
        try:
            editor = entry.load()
            if not (isinstance(editor, type) and issubclass(editor, Editor)):
                raise TypeError(f"{entry.value} is no Editor")
            found.setdefault(editor.info.id, editor)
        except Exception as error:  # noqa: BLE001 - a plug-in may fail in any way.
            _log.warning("The editor '%s' cannot be loaded: %s", entry.name, error)
    return found


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
    classes = editor_classes()
    if name not in classes:
        raise EditError("there is no such editor", name, f"use one of: {', '.join(classes)}")
    chosen = classes[name]
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
                "options": [each.to_json() for each in describe(editor.Options)],
            }
        )
        for editor in editor_classes().values()
    )
