# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who did what by hand: named where they gave their name, nobody otherwise."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree

import pytest

from portraitgen.errors import ShotError
from portraitgen.pipeline.data import provenance
from portraitgen.pipeline.data.acting import FILE as ACTING_FILE
from portraitgen.pipeline.data.authors import (
    FILE,
    added,
    authors_of,
    name_acting,
    name_picture,
    painters,
)
from portraitgen.provenance.statement import Statement
from portraitgen.records import EditAuthors, EditRecord


def test_nobody_is_named_who_gave_no_name(tmp_path: Path) -> None:
    name_picture(tmp_path, "paint", 3, "")
    name_picture(tmp_path, "key frames", 3, "  ")
    name_acting(tmp_path, "", anew=True)
    assert not (tmp_path / FILE).exists()
    assert painters(tmp_path, "paint", [3]) == () == authors_of(tmp_path).acting


def test_names_are_kept_by_picture_and_each_once(tmp_path: Path) -> None:
    for frame, name in ((3, "Ann"), (5, "Ben"), (3, "Ben"), (3, "Ann"), (5, "")):
        name_picture(tmp_path, "paint", frame, name)
    name_picture(tmp_path, "masks", 7, "Cem")
    assert authors_of(tmp_path).pictures["paint"] == {3: ("Ann", "Ben"), 5: ("Ben",)}
    assert painters(tmp_path, "paint", [5, 3]) == ("Ben", "Ann")
    assert painters(tmp_path, "masks", [7, 8]) == ("Cem",)
    assert painters(tmp_path, "key frames", [3]) == ()


def test_acting_anew_forgets_who_acted_before(tmp_path: Path) -> None:
    name_acting(tmp_path, "Ann", anew=True)
    name_acting(tmp_path, "Ben", anew=False)
    assert authors_of(tmp_path).acting == ("Ann", "Ben")
    name_acting(tmp_path, "", anew=False)
    assert authors_of(tmp_path).acting == ("Ann", "Ben")
    name_acting(tmp_path, "", anew=True)
    assert authors_of(tmp_path).acting == ()


def test_a_name_can_steer_no_terminal_and_fill_no_header() -> None:
    (name,) = added((), "Ann\x1b[31m" + "x" * 500)
    assert name.isprintable() and len(name) == 100


def test_a_damaged_record_of_names_is_told_and_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    with pytest.raises(ShotError):
        authors_of(tmp_path)


STATEMENT = Statement(
    "P", "1", "t", 1, 1, 1, "d", "paint", by_hand=("pins", "paint"), authors={"pins": ("Ann & Ö",)}
)


def test_names_stand_in_header_texts_and_metadata() -> None:
    told = [
        STATEMENT.exr_attributes()["portraitgen:provenance"],
        STATEMENT.png_texts()["portraitgen:provenance"],
        STATEMENT.movie_metadata()["comment"],
    ]
    for text in told:
        facts = json.loads(text)
        assert facts["authors"] == {"pins": ["Ann & Ö"]}
        assert facts["by_hand"] == ["pins", "paint"]
    unnamed = json.loads(Statement("P", "1", "t", 1, 1, 1, "d", by_hand=("pins",)).to_json())
    assert unnamed["by_hand"] == ["pins"] and "authors" not in unnamed


def test_names_stand_in_xmp_as_contributors() -> None:
    def people(statement: Statement) -> list[str | None]:
        packet = statement.xmp()
        inside = packet[packet.index("?>") + 2 : packet.rindex("<?xpacket")]
        root = ElementTree.fromstring(inside)
        (described,) = root.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
        source = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
        assert described.get(source) == statement.source_type
        return [each.text for each in root.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li")]

    assert people(STATEMENT) == ["Ann & Ö"]
    assert people(Statement("P", "1", "t", 1, 1, 1, "d")) == []


@pytest.mark.parametrize("named", [True, False])
def test_a_take_tells_all_that_was_done_by_hand(tmp_path: Path, named: bool) -> None:
    """Pins, acting, paint, key frames and splats, each with who did it, or with nobody."""

    def who(*names: str) -> tuple[str, ...]:
        return names if named else ()

    take, edit = tmp_path / "takes" / "look", tmp_path / "edit"
    take.mkdir(parents=True)
    (edit / "mask").mkdir(parents=True)
    (take / ACTING_FILE).write_bytes(b"")
    if named:
        name_acting(take, "Ben", anew=True)
    learned = SimpleNamespace(retouched=True, authors=who("Dee"))
    shot: Any = SimpleNamespace(path=tmp_path, avatar_record=lambda version: learned)
    fixed = SimpleNamespace(any=lambda: True)
    motion = SimpleNamespace(fixed=fixed)
    track: Any = SimpleNamespace(motion=motion, record=SimpleNamespace(authors=who("Ann")))
    authors = EditAuthors(who("Cem"), who("Ann"), who("Dee", "Eva"))
    record = cast(
        EditRecord,
        SimpleNamespace(editor="toon", kept_frames=(1,), retouched=False, authors=authors),
    )
    made = provenance._by_hand(shot, "look", edit, record, 1, track, False)
    assert made == {
        "pins": who("Ann"),
        "acting": who("Ben"),
        "paint": who("Cem"),
        "key frames": who("Ann"),
        "splats": who("Dee", "Eva"),
    }
