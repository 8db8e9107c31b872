# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rasteriser a card gets: tried, measured and remembered, by stand-ins for the card."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from portraitgen.errors import RasterError
from portraitgen.raster import choice as chooser
from portraitgen.raster.choice import Trial, best_device, choose, decide

CARD = torch.device("cuda")


class Card:
    """A card as torch tells of it, and what each rasteriser takes there."""

    def __init__(self) -> None:
        self.times: dict[str, float | Exception] = {"gsplat": 20.0, "warp": 30.0}
        self.differs = {"gsplat": "", "warp": ""}
        self.tried: list[str] = []
        self.name = "Stand-in 1"

    def difference(self, backend: str, device: torch.device) -> str:
        self.tried.append(backend)
        if isinstance(found := self.times[backend], Exception):
            raise found
        return self.differs[backend]


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Card]:
    made = Card()
    monkeypatch.setenv("PORTRAITGEN_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index=0: made.name)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index=0: (8, 6))
    monkeypatch.setattr(chooser, "_difference", made.difference)
    monkeypatch.setattr(chooser, "_milliseconds", lambda backend, device: made.times[backend])
    forget()
    yield made
    forget()


def forget() -> None:
    """As another process begins."""
    chooser._chosen.cache_clear()


def test_the_faster_is_taken_and_kept_for_other_processes(card: Card, tmp_path: Path) -> None:
    assert choose(CARD).backend == "gsplat"
    card.times["warp"] = 10.0
    forget()
    assert choose(CARD).backend == "gsplat" and card.tried == ["gsplat", "warp"]
    assert json.loads((tmp_path / "rasteriser.json").read_text())["identity"]["card"] == card.name
    assert choose(CARD, anew=True).backend == "warp"


def test_another_card_or_compiler_is_measured_anew(
    card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    card.times["gsplat"] = RuntimeError("no nvcc")
    assert choose(CARD).backend == "warp"
    card.times["gsplat"] = 5.0
    monkeypatch.setattr(chooser.shutil, "which", lambda name: f"/usr/bin/{name}")
    forget()
    assert choose(CARD).backend == "gsplat"
    card.name, card.times["gsplat"] = "Stand-in 2", 99.0
    forget()
    assert choose(CARD).backend == "warp"


def test_what_fails_fails_once_and_says_why(card: Card, caplog: Any) -> None:
    card.times = {
        "gsplat": ValueError("Unknown CUDA arch (12.0)\nmore"),
        "warp": RasterError("Warp cannot be imported (none)", "backend", "install it"),
    }
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            found = choose(CARD)
        forget()
        assert choose(CARD) == found
    assert card.tried == ["gsplat", "warp"]
    assert not found.on_device and best_device("drawing") == torch.device("cpu")
    assert best_device("networks") == CARD, "networks need no rasteriser"
    assert found.sentence() == (
        "Gaussians are drawn on the CPU (gsplat: Unknown CUDA arch (12.0);"
        " warp: Warp cannot be imported (none))"
    )
    assert "many times slower" in caplog.text


def test_a_wrong_picture_is_not_taken_however_fast(card: Card) -> None:
    card.times["gsplat"], card.differs["gsplat"] = 1.0, "its means differ from the CPU's by 40.0%"
    found = choose(CARD)
    assert found.backend == "warp" and best_device("drawing") == CARD
    assert found.sentence() == (
        "Gaussians are drawn on the card by warp, 30 ms a picture with gradients"
        " (gsplat: its means differ from the CPU's by 40.0%)"
    )


@pytest.mark.parametrize("kept", [b"", b"{}", b'{"identity": 1, "trials": [{}]}', b"\xff\xfe"])
def test_a_damaged_finding_is_made_anew(card: Card, tmp_path: Path, kept: bytes) -> None:
    (tmp_path / "rasteriser.json").write_bytes(kept)
    assert choose(CARD).backend == "gsplat"


def test_a_finding_that_cannot_be_kept_is_used(
    card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("PORTRAITGEN_CACHE", str(tmp_path / "file"))
    assert choose(CARD).backend == "gsplat"


def test_amd_cards_run_networks_and_are_told_of_drawing(
    card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "hip", "7.1")
    found = choose(CARD)
    assert not card.tried and not found.on_device
    assert "this is an AMD one" in found.sentence()


def test_the_setups_check_draws_anew_and_on_the_cpu_if_it_must(card: Card) -> None:
    choose(CARD)
    card.times["warp"] = 10.0
    assert chooser.measure(CARD).backend == "warp"
    card.times |= {"gsplat": RuntimeError("a"), "warp": RuntimeError("b"), "numba": 100.0}
    assert chooser.measure(CARD).sentence() == (
        "Gaussians are drawn on the CPU by numba, 100 ms a picture with gradients"
        " (gsplat: a; warp: b)"
    )


def test_the_cpu_is_never_asked() -> None:
    assert choose(torch.device("cpu")).backend == "numba"
    assert decide([Trial("warp", None, "no")]).backend == "numba"


def test_apples_cards_run_networks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert best_device("networks") == torch.device("mps")
    assert best_device("drawing") == torch.device("cpu")


def test_a_rasteriser_is_compared_with_the_cpus_and_a_wrong_one_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The comparison itself, with the CPU's own in a card's place."""
    cpu = torch.device("cpu")
    assert chooser._difference("numba", cpu) == ""
    right = chooser._drawn

    def wrong(backend: Any, device: torch.device, count: int, size: int) -> list[torch.Tensor]:
        drawn = right("numba", device, count, size)
        return [*drawn[:4], 1.1 * drawn[4], *drawn[5:]] if backend == "warp" else drawn

    monkeypatch.setattr(chooser, "_drawn", wrong)
    assert chooser._difference("warp", cpu) == "its quats differ from the CPU's by 10.0%"


def test_warp_passes_the_trial_on_its_cpu_device() -> None:
    pytest.importorskip("warp", reason="NOT TESTED: the rasteriser in Warp, which is missing")
    assert chooser._difference("warp", torch.device("cpu")) == ""


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="NOT TESTED: rasterisers on CUDA, there is no card"
)
def test_a_card_draws_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTRAITGEN_CACHE", str(tmp_path))
    forget()
    found = choose(CARD)
    assert found.on_device, found.sentence()
    forget()
