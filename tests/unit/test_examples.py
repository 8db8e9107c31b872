# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples in docstrings say what is true."""

import doctest
import importlib
from pathlib import Path

import pytest

import portraitgen
from portraitgen import api

PACKAGE = Path(portraitgen.__file__).parent
MODULES = sorted(
    ".".join(("portraitgen", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
        ".__init__"
    )
    for path in PACKAGE.rglob("*.py")
    if ">>>" in path.read_text() and path.name != "api.py"
)
EXAMPLES = [each for each in doctest.DocTestFinder().find(api) if each.examples]


def check(example: doctest.DocTest) -> None:
    said: list[str] = []
    doctest.DocTestRunner().run(example, out=said.append)
    assert not said, "".join(said)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    found = doctest.DocTestFinder().find(importlib.import_module(name))
    examples = [each for each in found if each.examples]
    assert examples
    for each in examples:
        check(each)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.name.rpartition(".")[2])
def test_the_examples_of_the_api_hold(example: doctest.DocTest, copied: Path) -> None:
    """Each has a finished shot, whose take is called toon, to itself."""
    example.globs["shot"] = api.Shot.open(copied)
    check(example)


def test_each_job_of_the_api_has_an_example() -> None:
    assert {each.name.rpartition(".")[2] for each in EXAMPLES} >= {
        "track",
        "reconstruct",
        "edit",
        "try_frame",
        "render",
    }
