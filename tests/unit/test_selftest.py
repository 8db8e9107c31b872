# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The self-test: what it finds of this machine, and that a fault of any part is found and told."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
from conftest import Command

from portraitgen.editing.editors.grade import Grade
from portraitgen.errors import EditError
from portraitgen.messages.setup import SelfTestRow
from portraitgen.pipeline.requests import selftest
from portraitgen.pipeline.requests.selftest import SelfTest


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    monkeypatch.setenv("PORTRAITGEN_MODELS", str(tmp_path / "models"))


def of(rows: tuple[SelfTestRow, ...], name: str) -> SelfTestRow:
    return next(row for row in rows if row.name == name)


def test_everything_that_can_run_here_runs_and_is_reported(tmp_path: Path) -> None:
    pytest.importorskip("diffusers", reason="diffusers is not installed")
    kind = "StableDiffusionInstructPix2PixPipeline"
    tiny_models.stable_diffusion(tmp_path / "models" / "instruct-pix2pix", kind, 8)
    test = SelfTest(tmp_path / "report")
    rows = test.run()
    assert [row.name for row in rows if row.state == "failed"] == []
    assert of(rows, "rasteriser").figures["numba_picture"] < 1e-5
    trained = of(rows, "training").figures
    assert 0 < trained["loss_last"] < trained["loss_first"]
    assert of(rows, "CUDA graphs").figures["difference"] == 0
    for name in ("grade", "relight", "toon", "pixel", "statue", "instruct-pix2pix"):
        assert of(rows, f"editor: {name}").figures["change"] > 0, name
        assert (tmp_path / "report" / f"{name}.png").is_file()
    assert of(rows, "editor: flux2-klein").message == "the weights are not on this machine"
    text, data = test.report()
    told = json.loads(data.read_text("utf-8"))
    assert told["seconds"] < 180 and len(told["rows"]) == len(rows)
    assert "training" in text.read_text("utf-8")


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SelfTest:
    """One editor and nothing else that takes time."""
    monkeypatch.setattr(selftest, "check_setup", tuple)
    monkeypatch.setattr(selftest, "editor_classes", lambda: {"grade": Grade})
    for name in ("_rasteriser", "_training", "_graphs", "_half"):
        monkeypatch.setattr(SelfTest, name, lambda self: SelfTestRow("", "ok", "not run"))
    monkeypatch.setattr(SelfTest, "_request", lambda self: request())
    return SelfTest(tmp_path / "report")


def request() -> Any:
    picture = np.linspace(0, 1, 3 * 32 * 32, dtype=np.float32).reshape(32, 32, 3)
    return selftest.EditRequest(1, picture, picture, np.ones((32, 32), np.float32), picture)


def test_no_fault_stops_the_other_parts(quick: SelfTest, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: SelfTest) -> SelfTestRow:
        raise ZeroDivisionError("of a driver\nwith a trace")

    monkeypatch.setattr(SelfTest, "_training", fails)
    rows = quick.run()
    found = of(rows, "training")
    assert found.state == "failed"
    assert found.message.startswith("ZeroDivisionError: of a driver (test_selftest.py, line ")
    assert of(rows, "editor: grade").state == "ok"


def test_an_editor_that_fails_or_does_nothing_is_told(
    quick: SelfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Grade, "_edit", lambda self, request: request.source)
    assert of(quick.run(), "editor: grade").message == "it changed nothing"

    def refuses(self: Grade, request: Any) -> np.ndarray:
        raise EditError("the card is on fire", "grade", "put it out")

    monkeypatch.setattr(Grade, "_edit", refuses)
    quick.rows.clear()
    assert "the card is on fire" in of(quick.run(), "editor: grade").message


def test_what_takes_too_long_is_left_out(quick: SelfTest) -> None:
    quick.limit_s = 0.0
    assert of(quick.run(), "editor: grade").state == "left out"


def test_a_graph_that_draws_something_else_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = SelfTest(tmp_path)
    test._begun = 0.0
    test._training()
    avatar, plainly = test._made.avatar, type(test._made.avatar).render

    def graphed(self: Any, *given: Any, **named: Any) -> Any:
        drawn = plainly(self, *given, **named)
        if not getattr(selftest.cuda_graphs._here, "plain", False):
            drawn.premultiplied.add_(0.1)
        return drawn

    monkeypatch.setattr(type(avatar), "render", graphed)
    with torch.no_grad():
        found = test._graphs()
    assert found.state == "failed" and "draw another picture" in found.message


def test_the_command_fails_where_a_part_does(
    portraitgen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        SelfTest, "run", lambda self: (SelfTestRow("training", "failed", "no card"),)
    )
    monkeypatch.setattr(
        SelfTest, "report", lambda self: (tmp_path / "selftest.txt", tmp_path / "selftest.json")
    )
    done = portraitgen("selftest", "--out", str(tmp_path))
    assert done.returncode == 1
    assert "1 parts failed" in done.stderr and "selftest.txt" in done.stderr
