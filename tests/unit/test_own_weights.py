# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights as artists own them: half precision alone, one file, another snapshot of the cache."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("diffusers", reason="diffusers is not installed")

from test_diffusion_editors import request

from portraitgen.editing import single_file
from portraitgen.editing.registry import create_editor
from portraitgen.errors import ModelError
from portraitgen.models.manifest import models
from portraitgen.models.pipelines import check_pipeline, weight_files
from portraitgen.models.store import find_weights, state_of

KIND = "StableDiffusionInstructPix2PixPipeline"
OPTIONS = {"prompt": "bronze", "steps": 2, "size": 0}


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    monkeypatch.setenv("PORTRAITGEN_MODELS", str(tmp_path / "models"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.stable_diffusion(tmp_path_factory.mktemp("plain") / "ip2p", KIND, 8)


@pytest.fixture
def folder(plain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain, tmp_path / "ip2p"))


def edited(model: Path | str, **options: Any) -> np.ndarray:
    editor = create_editor("instruct-pix2pix", {**OPTIONS, "model": str(model), **options})
    return editor.edit(request())


def as_variant(part: Path, variant: str) -> None:
    for path in part.glob("*.safetensors"):
        path.rename(path.with_name(f"{path.stem}.{variant}.safetensors"))


def test_a_folder_of_half_precision_alone_is_loaded(folder: Path) -> None:
    meant = edited(folder)
    for part in ("unet", "vae", "text_encoder"):
        as_variant(folder / part, "fp16")
    assert check_pipeline(folder, [KIND]) == "fp16"
    assert np.array_equal(edited(folder), meant)


def test_one_part_of_half_precision_goes_with_plain_others(folder: Path) -> None:
    meant = edited(folder)
    as_variant(folder / "unet", "fp16")
    assert check_pipeline(folder, [KIND]) == "fp16"
    assert np.array_equal(edited(folder), meant)
    assert {part: [each.name for each in files] for part, files in weight_files(
        folder, "fp16"
    ).items()} == {
        "text_encoder": ["model.safetensors"],
        "unet": ["diffusion_pytorch_model.fp16.safetensors"],
        "vae": ["diffusion_pytorch_model.safetensors"],
    }  # fmt: skip


def test_plain_weights_are_preferred_where_both_lie(folder: Path) -> None:
    part = folder / "unet"
    shutil.copy(
        part / "diffusion_pytorch_model.safetensors",
        part / "diffusion_pytorch_model.fp16.safetensors",
    )
    assert check_pipeline(folder, [KIND]) == ""


def test_shards_of_a_variant_must_be_whole(folder: Path) -> None:
    part = folder / "unet"
    state = load_file(part / "diffusion_pytorch_model.safetensors")
    (part / "diffusion_pytorch_model.safetensors").unlink()
    shard = "diffusion_pytorch_model.fp16-00001-of-00001.safetensors"
    save_file(state, part / shard, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": dict.fromkeys(state, shard)}
    (part / "diffusion_pytorch_model.safetensors.index.fp16.json").write_text(json.dumps(index))
    assert check_pipeline(folder, [KIND]) == "fp16"
    assert np.isfinite(edited(folder)).all()
    (part / shard).unlink()
    with pytest.raises(ModelError, match=f"{shard} is missing"):
        check_pipeline(folder, [KIND])


def test_parts_of_different_variants_are_told_apart(folder: Path) -> None:
    as_variant(folder / "unet", "fp16")
    as_variant(folder / "vae", "bf16")
    with pytest.raises(ModelError, match="different variants: .*unet fp16.*vae bf16"):
        check_pipeline(folder, [KIND])


def test_a_folder_that_is_no_pipeline_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no model_index.json.*one .safetensors file"):
        check_pipeline(tmp_path, [KIND])
    (tmp_path / "model_index.json").write_text('{"vae": ["diffusers", "AutoencoderKL"]}')
    with pytest.raises(ModelError, match="does not say what pipeline it holds; give one of"):
        check_pipeline(tmp_path, [KIND])


@pytest.fixture
def tiny_configuration(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny models' configuration and words in the place of the real ones."""
    names = {"scheduler": "scheduler_config.json"}
    found = {
        part: json.loads((plain / part / names.get(part, "config.json")).read_text())
        for part in single_file.part_configurations()
    }
    monkeypatch.setattr(single_file, "_configurations", lambda: found)
    monkeypatch.setattr(single_file, "clip_tokenizer", tiny_models.clip_tokenizer)


@pytest.mark.usefixtures("tiny_configuration")
def test_one_file_makes_the_pictures_that_its_folder_makes(plain: Path, tmp_path: Path) -> None:
    file = tiny_models.original_file(tmp_path / "instruct.safetensors", plain)
    assert np.abs(edited(file) - edited(plain)).max() < 1e-5


@pytest.mark.usefixtures("tiny_configuration")
def test_one_file_in_the_models_folder_is_found_by_name(plain: Path, tmp_path: Path) -> None:
    place = tmp_path / "models" / "instruct-pix2pix"
    place.mkdir(parents=True)
    tiny_models.original_file(place / "instruct-pix2pix-00-22000.safetensors", plain)
    assert state_of(models()["instruct-pix2pix"], digests=False).state == "present"
    assert np.abs(edited("instruct-pix2pix") - edited(plain)).max() < 1e-5


@pytest.mark.usefixtures("tiny_configuration")
def test_ic_light_takes_any_stable_diffusion_of_one_file(tmp_path: Path) -> None:
    base = tiny_models.stable_diffusion(tmp_path / "base", "StableDiffusionPipeline", 4)
    offset = tiny_models.light_offset(tmp_path / "light.safetensors", base, 8)
    file = tiny_models.original_file(tmp_path / "own.safetensors", base)
    made = []
    for each in (base, file):
        options = {**OPTIONS, "model": str(offset), "base": str(each)}
        made.append(create_editor("ic-light", options).edit(request()))
    assert np.abs(made[0] - made[1]).max() < 1e-5


def first(channels: int) -> dict[str, torch.Tensor]:
    return {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(8, channels, 3, 3)}


ONE = torch.zeros(1)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({**first(4), "first_stage_model.a": ONE, "cond_stage_model.transformer.a": ONE},
         "takes 4 channels .Stable Diffusion., not the 8 of InstructPix2Pix"),
        (first(8), "holds no VAE"),
        ({**first(8), "first_stage_model.a": ONE}, "holds no text encoder"),
        ({**first(4), "conditioner.embedders.0.a": ONE}, "Stable Diffusion XL"),
        ({**first(4), "cond_stage_model.model.a": ONE}, "Stable Diffusion 2"),
        ({"double_blocks.0.a": ONE}, "a transformer by itself"),
        ({"lora_unet.a": ONE}, "no U-Net of Stable Diffusion"),
    ],
)  # fmt: skip
def test_a_file_of_another_kind_says_what_it_is(
    tmp_path: Path, state: dict[str, torch.Tensor], told: str
) -> None:
    path = tmp_path / "own.safetensors"
    save_file({name: value.clone() for name, value in state.items()}, path)
    with pytest.raises(ModelError, match=told):
        edited(path)


@pytest.mark.parametrize("data", [b"", b"12345678", b"\xff" * 64, b"\x02" + b"\0" * 7 + b"[]"])
def test_a_damaged_file_says_so(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "own.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelError, match="no safetensors file"):
        edited(path)


def test_a_pickled_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.ckpt"
    path.write_bytes(b"\x80\x04")
    with pytest.raises(ModelError, match="pickle can run any code"):
        edited(path)


def test_large_models_say_that_one_file_is_not_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "klein.safetensors"
    save_file({"double_blocks.0.a": ONE}, path)
    with pytest.raises(ModelError, match="several networks, and one file holds only one"):
        create_editor("flux2-klein", {"prompt": "bronze", "model": str(path)})


def cached(tmp_path: Path, plain: Path, commit: str) -> Path:
    repository = tmp_path / "cache" / "models--timbrooks--instruct-pix2pix"
    return Path(shutil.copytree(plain, repository / "snapshots" / commit))


def test_another_snapshot_of_the_cache_is_taken_and_told(plain: Path, tmp_path: Path) -> None:
    whole = cached(tmp_path, plain, "a" * 40)
    part = cached(tmp_path, plain, "b" * 40)
    (part / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    os.utime(part, (2e9, 2e9))
    found = find_weights("instruct-pix2pix")
    assert found.path == whole and "another revision (aaaaaaaaaaaa)" in found.note
    assert "another revision" in state_of(models()["instruct-pix2pix"], digests=False).message


def test_main_is_the_snapshot_that_its_name_stands_for(plain: Path, tmp_path: Path) -> None:
    commits = ["a" * 40, "b" * 40]
    places = [cached(tmp_path, plain, commit) for commit in commits]
    os.utime(places[1], (2e9, 2e9))
    refs = places[0].parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text(commits[0])
    assert find_weights("instruct-pix2pix").path == places[0]
    assert find_weights(str(places[0].parents[1])).path == places[0].absolute()


@pytest.mark.parametrize("name", ["../../../..", "/", ""])
def test_a_name_in_the_cache_leads_nowhere_else(plain: Path, tmp_path: Path, name: str) -> None:
    place = cached(tmp_path, plain, "a" * 40)
    refs = place.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text(name)
    assert find_weights("instruct-pix2pix").path == place


def test_words_become_the_tokens_that_clip_was_trained_on() -> None:
    tokens = single_file.clip_tokenizer()
    assert len(tokens) == 49408
    assert tokens("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
