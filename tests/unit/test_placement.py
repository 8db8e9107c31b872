# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How large pipelines lie on a card: reckoned from their files, and less where memory ends."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch

pytest.importorskip("diffusers", reason="diffusers is not installed")

from test_diffusion_editors import request

from portraitgen.editing import diffusion
from portraitgen.editing.diffusion import DiffusionEditor
from portraitgen.editing.placement import (
    PLACEMENTS,
    Needs,
    fitting,
    in_eight_bits,
    needs,
    next_smaller,
    place,
)
from portraitgen.editing.registry import create_editor
from portraitgen.errors import EditError

GB = 10**9


@pytest.fixture(scope="module")
def klein(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.klein(tmp_path_factory.mktemp("placement") / "klein")


@pytest.fixture(autouse=True)
def nothing_held() -> Iterator[None]:
    diffusion.forget_pipelines()
    yield
    diffusion.forget_pipelines()


def editor(klein: Path, **options: Any) -> DiffusionEditor:
    made = create_editor(
        "flux2-klein", {"prompt": "bronze", "steps": 2, "size": 0, "model": str(klein), **options}
    )
    assert isinstance(made, DiffusionEditor)
    return made


def test_what_a_pipeline_takes_is_what_its_networks_hold(klein: Path) -> None:
    pipeline = editor(klein).pipeline()
    found = needs(klein, "Flux2KleinPipeline", torch.float16)
    for part in ("transformer", "text_encoder", "vae"):
        held = sum(each.numel() for each in getattr(pipeline, part).parameters())
        # Buffers of the decoder are saved too.
        assert 2 * held <= found.parts[part] < 2.2 * held + 4096, part
    assert found.largest_layer < max(found.parts.values())


def test_one_file_is_counted_by_its_parts(tmp_path: Path) -> None:
    folder = tiny_models.stable_diffusion(tmp_path / "sd", "StableDiffusionPipeline", 4)
    file = tiny_models.original_file(tmp_path / "sd.safetensors", folder)
    by_folder, by_file = (
        needs(each, "StableDiffusionPipeline", torch.float32) for each in (folder, file)
    )
    assert by_file.parts == by_folder.parts


# Qwen-Image-Edit in bfloat16, as its files have it.
QWEN = Needs({"transformer": 41 * GB, "text_encoder": 16 * GB, "vae": GB // 4}, GB * 7 // 10)


def test_the_fastest_that_there_is_room_for_is_taken() -> None:
    found = [fitting(QWEN, 1024, free * GB) for free in (80, 48, 24, 8, 1)]
    assert found == ["whole", "parts", "eight-bit", "layers", "layers"]
    assert fitting(QWEN, 512, 43 * GB) == "parts", "a smaller picture takes less"
    takes = [QWEN.of(each, 1024) for each in PLACEMENTS]
    assert takes == sorted(takes, reverse=True) and next_smaller("layers") is None


def test_eight_bits_change_the_picture_a_little(klein: Path) -> None:
    made = editor(klein)
    meant = made.edit(request())
    transformer = made.pipeline().transformer
    in_eight_bits(made.pipeline())
    kinds = {each.dtype for each in transformer.parameters()}
    assert torch.float8_e4m3fn in kinds and transformer.dtype == torch.float32
    apart = np.abs(made.edit(request()) - meant)
    assert 0 < apart.mean() < 0.05


@pytest.mark.parametrize(
    ("placement", "called"),
    [
        ("whole", ["to"]),
        ("parts", ["enable_model_cpu_offload"]),
        ("eight-bit", ["enable_layerwise_casting", "enable_model_cpu_offload"]),
        ("layers", ["enable_group_offload"]),
    ],
)
def test_each_placement_asks_diffusers_for_it(
    klein: Path, placement: Any, called: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its own methods, whose arguments are bound to their signatures."""
    import inspect

    from diffusers import DiffusionPipeline

    pipeline, calls = editor(klein).pipeline(), []
    for owner, name in (
        (DiffusionPipeline, "to"),
        (DiffusionPipeline, "enable_model_cpu_offload"),
        (DiffusionPipeline, "enable_group_offload"),
        (type(pipeline.transformer), "enable_layerwise_casting"),
    ):
        takes = inspect.signature(getattr(owner, name))

        def watched(self: Any, *given: Any, _name: str = name, _takes: Any = takes, **named: Any):
            _takes.bind(self, *given, **named)
            calls.append(_name)
            return self

        monkeypatch.setattr(owner, name, watched)
    assert place(pipeline, placement, torch.device("cuda")) is pipeline
    assert calls == called
    calls.clear()
    place(pipeline, placement, torch.device("mps"))
    assert calls == ["to"], "memory is shared there"


def test_layer_by_layer_makes_the_same_picture(klein: Path) -> None:
    made = editor(klein)
    meant = made.edit(request())
    made.pipeline().enable_group_offload(
        onload_device=torch.device("cpu"), offload_type="leaf_level", exclude_modules=["vae"]
    )
    assert np.array_equal(made.edit(request()), meant)


def test_where_memory_ends_less_is_taken_and_told(
    klein: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    made = editor(klein)
    made.tell = told.append
    meant, right = made.edit(request()), made._diffuse
    left = 2

    def diffuse(asked: Any) -> np.ndarray:
        nonlocal left
        if left:
            left -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return right(asked)

    monkeypatch.setattr(made, "_diffuse", diffuse)
    assert np.array_equal(made.edit(request()), meant)
    assert len(told) == 2 and "8 bits" in told[1] and "memory was not enough" in told[0]
    left = 9
    with pytest.raises(EditError, match="card's memory is not enough.*smaller size"):
        made.edit(request())


def test_the_next_editor_takes_over_what_is_loaded(klein: Path) -> None:
    first = editor(klein)
    held = first.pipeline()
    assert editor(klein, prompt="silver").pipeline() is held
    assert editor(klein, memory="layers").pipeline() is not held


def test_a_card_is_asked_for_its_room_and_the_choice_is_told(
    klein: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = editor(klein)
    told: list[str] = []
    made.tell = told.append
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (8 * GB, 12 * GB))
    assert made._fitting(torch.device("cuda"), "auto") == "whole"
    assert told[0].startswith("FLUX.2 klein lies whole on the card (about ")
    assert told[0].endswith(" of 8.0 GB free).")
    assert made._fitting(torch.device("cuda"), "layers") == "layers"
    assert made._fitting(torch.device("mps"), "layers") == "whole"


def test_takes_of_earlier_versions_keep_what_they_asked_for(klein: Path) -> None:
    assert editor(klein, offload=True).options.memory == "parts"
    assert editor(klein, offload=False).options.memory == "auto"
