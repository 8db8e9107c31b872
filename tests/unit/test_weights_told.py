# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pictures tell of the weights that drew them, and of takes that they build on."""

import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from made_looks import random_look

from portraitgen.editing.registry import editor_class
from portraitgen.errors import ShotError
from portraitgen.pipeline.data.provenance import statement_of
from portraitgen.provenance.statement import Statement
from portraitgen.records import EditAuthors, EditRecord
from portraitgen.storage import file_digest

GENERATED, CAPTURED = "compositeWithTrainedAlgorithmicMedia", "compositeCapture"


def edit(editor: str, on: str = "", generative: bool | None = None, **options: Any) -> EditRecord:
    return EditRecord(
        created="",
        job="",
        avatar=1,
        settings={"seed": 5},
        editor=editor,
        options=options,
        base=on,
        generative=generative,
        authors=EditAuthors(),
    )


def told(folder: Path, record: EditRecord, **takes: EditRecord) -> Statement:
    """What is said of an edit in a shot of other takes."""
    place = folder / "0001"
    place.mkdir(exist_ok=True)
    learned = SimpleNamespace(retouched=False, authors=())

    def record_of(take: str) -> EditRecord:
        if take not in takes:
            raise ShotError("there is no such take", folder, "make it")
        return takes[take]

    shot: Any = SimpleNamespace(
        path=folder,
        record=SimpleNamespace(footage=SimpleNamespace(digest="abc")),
        avatar_record=lambda version: learned,
        edit_record=record_of,
        edit_folder=lambda take: folder / take,
    )
    motion = SimpleNamespace(fixed=SimpleNamespace(any=lambda: False))
    track: Any = SimpleNamespace(version=2, motion=motion, record=SimpleNamespace(authors=()))
    return statement_of(shot, "one", place, record, 1, track)


@pytest.mark.parametrize(
    ("editor", "given", "names"),
    [
        ("flux2-klein", {}, ["flux2-klein-4b"]),
        ("flux2-klein", {"model": "flux2-klein-9b"}, ["flux2-klein-9b"]),
        ("qwen-image-edit", {}, ["qwen-image-edit-2511"]),
        ("ic-light", {"model": "ic-light-fbc"}, ["ic-light-fbc", "stable-diffusion-v1-5"]),
        ("instruct-pix2pix", {}, ["instruct-pix2pix"]),
        ("style-transfer", {}, ["vgg19"]),
        ("style-transfer", {"model": "/models/mine.safetensors"}, ["mine.safetensors"]),
        ("anydoor", {"checkout": "C:\\tools\\AnyDoor"}, ["AnyDoor"]),
    ],
)
def test_every_editor_names_the_weights_that_it_was_told_to_use(
    tmp_path: Path, editor: str, given: dict[str, str], names: list[str]
) -> None:
    options = asdict(editor_class(editor).Options()) | given
    said = told(tmp_path, edit(editor, **options))
    assert [each.name for each in said.weights] == names
    assert said.source_type.endswith("/" + GENERATED)
    ours = names[0] not in ("AnyDoor", "mine.safetensors")
    assert all(bool(each.repository) == ours and each.licence for each in said.weights)


@pytest.mark.parametrize("editor", ["paint", "toon", "statue", "grade", "relight", "pixel"])
def test_what_the_artist_and_arithmetic_made_is_no_trained_models(
    tmp_path: Path, editor: str
) -> None:
    said = told(tmp_path, edit(editor))
    assert said.source_type.endswith("/" + CAPTURED) and not said.weights


def test_a_look_is_told_by_its_name_licence_and_digest(tmp_path: Path) -> None:
    (tmp_path / "0001").mkdir()
    copy = tmp_path / "0001" / "look.safetensors"
    random_look(licence="CC-BY", made_of="statue").save(copy)
    said = told(tmp_path, edit("look", look="/home/ann/looks/noise.safetensors"))
    (used,) = said.weights
    assert (used.name, used.licence, used.repository) == ("noise", "CC-BY", "statue")
    assert used.sha256 == (file_digest(copy),)
    assert "ann" not in said.to_json() and said.options["look"] == "noise.safetensors"


def test_a_take_tells_of_those_that_it_builds_on(tmp_path: Path) -> None:
    klein = edit("flux2-klein", model="flux2-klein-4b")
    paint = edit("paint", on="klein")
    said = told(tmp_path, edit("toon", on="painted"), painted=paint, klein=klein)
    assert said.base == ("painted", "klein") and said.editor == "toon"
    assert [each.name for each in said.weights] == ["flux2-klein-4b"]
    assert json.loads(said.to_json())["digital_source_type"].endswith("/" + GENERATED)
    # Where that was deleted, the edit still knows.
    gone = told(tmp_path, edit("toon", on="klein", generative=True))
    assert gone.generative and gone.base == ("klein",)


def test_an_editor_that_is_not_installed_here_is_told_by_the_edit(tmp_path: Path) -> None:
    assert told(tmp_path, edit("theirs", generative=True)).generative
    assert not told(tmp_path, edit("theirs", generative=False, prompt="/x a")).generative
    named = told(tmp_path, edit("theirs", model="/home/ann/theirs-2b"))
    assert named.generative and [each.name for each in named.weights] == ["theirs-2b"]
    assert "/home/ann" not in named.to_json()
