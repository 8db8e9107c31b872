# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings describe themselves and refuse what does not fit, with one sentence."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portraitgen.errors import OptionError
from portraitgen.frames import parse_frames, spread
from portraitgen.settings import describe, option, parse


@dataclass(frozen=True)
class Example:
    """Settings of each kind."""

    steps: int = option(10, "How many", unit="steps", minimum=1, maximum=100)
    strength: float = option(0.5, "How strong", minimum=0)
    mode: str = option("fixed", "Which way", choices=("fixed", "follow"))
    preview: bool = option(False, "Whether to show it", label="Show It")
    focal: float | None = option(None, "Focal length", unit="px")


def test_text_and_plain_values_become_settings() -> None:
    assert parse(Example, {"steps": "7", "preview": "on", "focal": "1200"}) == Example(
        7, 0.5, "fixed", True, 1200.0
    )
    assert parse(Example, {}) == Example()


def test_a_description_holds_all_that_a_panel_needs() -> None:
    options = {option.name: option for option in describe(Example)}
    assert options["steps"].type == "int" and options["steps"].maximum == 100
    assert options["mode"].choices == ("fixed", "follow")
    assert options["focal"].type == "float" and options["focal"].default is None
    assert options["preview"].label == "Show It" and options["steps"].label == "Steps"
    assert options["focal"].unit == "px"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"step": 3}, "step: there is no such option; use one of: steps, strength"),
        ({"steps": 0}, "steps: 0 is out of range; give a value from 1 to 100"),
        ({"steps": 2.5}, "not a whole number"),
        ({"steps": "many"}, "'many' is not a whole number"),
        ({"strength": -1}, "give a value of 0 or more"),
        ({"strength": "nan"}, "out of range"),
        ({"mode": "free"}, "use one of: fixed, follow"),
        ({"preview": "perhaps"}, "neither on nor off"),
    ],
)
def test_what_does_not_fit_is_one_sentence(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse(Example, values)
    assert sentence in str(caught.value)


def test_frame_ranges_keep_the_plates_own_numbers() -> None:
    plate = range(1001, 1251)
    assert parse_frames("", plate) == plate
    assert parse_frames("1001-1003", plate) == range(1001, 1004)
    assert parse_frames("1250", plate) == range(1250, 1251)
    assert parse_frames("-3--1", range(-5, 5)) == range(-3, 0)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1-10", "stay within 1001-1250"),
        ("1240-1251", "stay within 1001-1250"),
        ("1010-1005", "write 1005-1010"),
        ("all", "is no frame range"),
    ],
)
def test_a_range_that_cannot_be_says_what_can(text: str, sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        parse_frames(text, range(1001, 1251))


@given(st.integers(1, 500), st.integers(1, 60))
def test_a_spread_is_even_and_holds_both_ends(count: int, most: int) -> None:
    chosen = spread(range(1001, 1001 + count), most)
    assert len(chosen) == min(count, most) and chosen[0] == 1001
    assert most == 1 or chosen[-1] == 1000 + count
    gaps = {after - before for before, after in zip(chosen, chosen[1:], strict=False)}
    assert not gaps or (min(gaps) >= 1 and max(gaps) - min(gaps) <= 1)


def test_a_spread_of_nothing_is_nothing() -> None:
    assert spread([], 5) == []


def test_every_choice_has_a_tooltip_of_its_own() -> None:
    from portraitgen.editing.registry import editor_classes
    from portraitgen.pipeline.registry import JOBS, options_of

    classes = [options_of(kind) for kind in JOBS]
    classes += [each.Options for each in editor_classes().values()]
    told = [each for options in classes for each in describe(options) if each.choices]
    assert told
    for each in told:
        assert len(set(each.choice_help)) == len(each.choices), each
