# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that an edit's weights were opened from are named by their SHA-256, measured once."""

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from footage_media import write_movie
from performer_shot import performer_shot
from reporters import Noting
from test_models import COMMIT, Server, server, silent, single  # noqa: F401

from portraitgen.body.model import BodyModel
from portraitgen.errors import Cancelled
from portraitgen.footage.exr import exr_attributes
from portraitgen.models import measured
from portraitgen.models.fetch import fetch
from portraitgen.models.manifest import ModelFile, models
from portraitgen.models.measured import measure, opened_files, told
from portraitgen.models.store import find_weights
from portraitgen.pipeline.registry import run
from portraitgen.shot import Shot
from portraitgen.storage import file_digest

FRAMES, SIZE = 2, 64
KIND = "StableDiffusionInstructPix2PixPipeline"
TWO_HOURS_NS = 7200 * 10**9


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that knows no digest."""
    monkeypatch.setenv("PORTRAITGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PORTRAITGEN_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(measured, "_measured", {})
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """InstructPix2Pix, as its publisher lays it out, of no size."""
    return tiny_models.stable_diffusion(tmp_path_factory.mktemp("tiny") / "mine", KIND, 8)


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> Shot:
    folder = tmp_path_factory.mktemp("measured")
    plate = write_movie(folder / "plate.mp4", FRAMES, size=(SIZE, SIZE))
    return performer_shot(folder, plate, BodyModel.load(), frames=FRAMES, size=SIZE, splats=500)


def edited(shot: Shot, take: str, model: Path) -> tuple[Any, list[str]]:
    """The record of an edit, and the notes of its job."""
    options = {"model": str(model), "prompt": "bronze", "size": 32, "steps": 1}
    heard = Noting()
    given = {"editor": "instruct-pix2pix", "take": take, "steps": 1, "keys": 1, "face": "off"}
    run("edit", shot.path, given | {"editor_options": json.dumps(options)}, heard)
    return shot.edit_record(take), heard.notes


def test_an_edit_keeps_the_digest_of_each_file_that_it_drew_with(shot: Shot, tiny: Path) -> None:
    """It named a user's weights by their folder's name, and nothing else."""
    record, notes = edited(shot, "bronze", tiny)
    (used,) = record.weights
    assert used.name == "mine" and not used.changed and not used.revision
    names = ["unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model"]
    for name in (*(f"{each}.safetensors" for each in names), "model_index.json"):
        assert used.files[name] == file_digest(tiny / name)
    assert not any("not the file" in note for note in notes)
    given = {"take": "bronze", "frames": "1", "movie": False}
    run("render", shot.path, given, Noting())
    (frame,) = shot.path.glob("takes/bronze/renders/v001/frames/*.exr")
    said = json.loads(exr_attributes(frame)["portraitgen:provenance"])
    (weights,) = said["weights"]
    assert sorted(weights["sha256"]) == sorted(
        digest for path, digest in used.files.items() if path.endswith(".safetensors")
    )
    assert str(tiny.parent) not in json.dumps(said)


def test_weights_that_are_not_what_was_fetched_are_told(
    shot: Shot, tiny: Path, tmp_path: Path
) -> None:
    """A file that was exchanged was named as what had been fetched."""
    folder = tmp_path / "fetched"
    shutil.copytree(tiny, folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    facts = [
        {"path": path.relative_to(folder).as_posix(), "sha256": file_digest(path)} for path in files
    ]
    record = {"repository": "org/tiny", "revision": COMMIT, "licence": "MIT", "files": facts}
    (folder / "portraitgen-model.json").write_text(json.dumps(record))
    (whole,), notes = (found := edited(shot, "whole", folder))[0].weights, found[1]
    assert (whole.repository, whole.revision, whole.licence) == ("org/tiny", COMMIT, "MIT")
    name = "vae/diffusion_pytorch_model.safetensors"
    data = bytearray((folder / name).read_bytes())
    data[-3] ^= 1
    (folder / name).write_bytes(data)
    record, notes = edited(shot, "other", folder)
    (other,) = record.weights
    assert other.changed == (name,) and not other.revision
    assert other.files[name] == file_digest(folder / name) != whole.files[name]
    assert any(f"{name} of fetched is not the file that was fetched" in each for each in notes)


def test_what_was_fetched_is_measured_then_and_read_no_more(
    server: Server,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = single(server)
    folder = fetch(model, silent, server.address)
    assert folder.is_relative_to(tmp_path)
    monkeypatch.setattr(measured, "_digest", lambda path, step: pytest.fail(f"{path} is read"))
    (record,) = measure([find_weights(str(folder))], lambda done, total: None)
    assert record.revision == COMMIT and record.repository == "studio/tiny"
    assert record.files["light.safetensors"] == file_digest(folder / "light.safetensors")


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("flux2-klein-4b", tiny_models.klein),
        ("qwen-image-edit-2511", tiny_models.qwen_image_edit),
        ("instruct-pix2pix", lambda f: tiny_models.stable_diffusion(f, KIND, 8)),
        (
            "stable-diffusion-v1-5",
            lambda f: tiny_models.stable_diffusion(f, "StableDiffusionPipeline", 4),
        ),
    ],
)
def test_pipelines_whose_digests_nobody_lists_are_known_by_what_was_fetched(
    server: Server,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    make: Callable[[Path], Path],
) -> None:
    published = make(tmp_path / "published")
    server.files.clear()
    server.files |= {
        path.relative_to(published).as_posix(): path.read_bytes()
        for path in published.rglob("*")
        if path.is_file()
    }
    model = replace(models()[name], repository="studio/tiny", revision="main")
    monkeypatch.setitem(models(), name, model)
    folder = fetch(model, silent, server.address)
    (record,) = measure([find_weights(name)], lambda done, total: None)
    assert record.revision == COMMIT and not record.changed and not told(record)
    weights = {path for path in server.files if path.endswith(".safetensors")}
    assert weights and weights <= set(record.files)
    assert all(file_digest(folder / path) == each for path, each in record.files.items())


def old(path: Path, age_ns: int = TWO_HOURS_NS) -> None:
    """Lets a file be as old as most."""
    then = time.time_ns() - age_ns
    os.utime(path, ns=(then, then))


def test_files_are_read_once_and_again_when_they_change(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one.safetensors"
    path.write_bytes(b"one")
    old(path)
    read: list[int] = []

    def digests() -> dict[str, str]:
        read.clear()
        # As another process, which has read nothing yet.
        monkeypatch.setattr(measured, "_measured", {})
        (record,) = measure([find_weights(str(path))], lambda done, total: read.append(done))
        return dict(record.files)

    first = digests()
    assert first == {"one.safetensors": file_digest(path)} and read == [0, 3]
    assert digests() == first and read == []
    path.write_bytes(b"two")
    old(path, TWO_HOURS_NS // 2)
    assert digests() == {"one.safetensors": file_digest(path)} != first and read
    # What changed just now may change again and look the same.
    path.write_bytes(b"six")
    digests()
    assert digests() == {"one.safetensors": file_digest(path)} and read
    # A cache that is damaged, or can't be written, costs time alone.
    old(path)
    (own_cache / "weights.json").write_bytes(b"{")
    assert digests() == {"one.safetensors": file_digest(path)} and read
    (own_cache / "weights.json").unlink()
    (own_cache / "weights.json").mkdir()
    assert digests() == {"one.safetensors": file_digest(path)} and read


def test_measuring_stops_when_it_is_asked_to_and_goes_on_from_the_next_file(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = find_weights(str(tiny))
    seen: list[int] = []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        if done:
            raise Cancelled

    for _ in range(2):
        with pytest.raises(Cancelled):
            measure([weights], stop)
    begun = len(seen)
    measure([weights], lambda done, total: seen.append(total))
    assert seen[begun:] and max(seen[begun:]) <= sum(f.stat().st_size for f in opened_files(tiny))


def test_weights_of_our_list_tell_a_revision_only_where_somebody_knows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copied by hand, they were said to be of the revision that we know of, whatever they were."""
    name = "ic-light-fc"
    published = models()[name]
    folder = tmp_path / "models" / name
    folder.mkdir(parents=True)
    file = folder / published.files[0].path
    file.write_bytes(b"other weights")
    (record,) = measure([find_weights(name)], lambda done, total: None)
    assert record.changed == (file.name,) and not record.revision and told(record)
    known = replace(published, files=(ModelFile(file.name, None, file_digest(file)),))
    monkeypatch.setitem(models(), name, known)
    (record,) = measure([find_weights(name)], lambda done, total: None)
    assert not record.changed and record.revision == published.revision and not told(record)
    unknown = replace(published, files=(ModelFile(file.name),))
    monkeypatch.setitem(models(), name, unknown)
    (record,) = measure([find_weights(name)], lambda done, total: None)
    assert not record.changed and not record.revision


def test_a_snapshot_of_the_cache_is_told_by_its_commit(tmp_path: Path, tiny: Path) -> None:
    snapshot = tmp_path / "hub" / "models--org--tiny" / "snapshots" / COMMIT
    shutil.copytree(tiny, snapshot)
    (record,) = measure([find_weights(str(snapshot))], lambda done, total: None)
    assert (record.repository, record.revision) == ("org/tiny", COMMIT)
    assert len(record.files) == len(opened_files(snapshot))


def test_only_the_variant_that_is_loaded_is_measured(tmp_path: Path, tiny: Path) -> None:
    folder = tmp_path / "both"
    shutil.copytree(tiny, folder)
    plain = sorted(folder.rglob("*.safetensors"))
    for path in plain:
        shutil.copy(path, path.with_name(path.stem + ".fp16.safetensors"))
    assert sorted(each for each in opened_files(folder) if each.suffix == ".safetensors") == plain
    (folder / "safety_checker").mkdir()
    (folder / "safety_checker" / "model.safetensors").write_bytes(b"unused")
    assert not any("safety_checker" in str(each) for each in opened_files(folder))
