# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks: what is learned is worn, files of strangers are judged, bad pairs are told of."""

import argparse
import json
import os
import struct
import zlib
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from made_looks import face, pair, picture, random_look, warm, write
from reporters import Noting

from portraitgen.cli.look import run
from portraitgen.editing.editor import Editor, EditRequest
from portraitgen.editing.looks import library
from portraitgen.editing.looks.learning import Learner, Pair
from portraitgen.editing.looks.look_file import Look, LookFacts, read_facts, read_look
from portraitgen.editing.looks.network import Guides, LookNetwork
from portraitgen.editing.looks.wearing import TILE, wear
from portraitgen.editing.registry import create_editor
from portraitgen.errors import Cancelled, EditError, OptionError, PortraitError
from portraitgen.pipeline.data.look_pairs import pairs_in_folder
from portraitgen.pipeline.jobs.edit import tell_other_files
from portraitgen.pipeline.jobs.learn_look import LearnLookOptions, learn, licences_of, look_file
from portraitgen.pipeline.requests.looks import list_looks
from portraitgen.pipeline.run.progress import Reporter


def request(image: np.ndarray, frame: int = 1, **more: object) -> EditRequest:
    shape = image.shape[:2]
    return EditRequest(
        frame, image, image, np.ones(shape, np.float32), np.zeros_like(image), **more
    )


class Ticks:
    """A clock of which every look takes a second."""

    def __init__(self) -> None:
        self.told = 0.0

    def __call__(self) -> float:
        self.told += 1.0
        return self.told


def learned(pairs: list[Pair], steps: int, **more: object) -> Learner:
    learner = Learner(pairs, steps, clock=Ticks(), **more)
    while not learner.finished:
        learner.step()
    return learner


def test_a_look_is_learned_and_worn_on_a_picture_it_never_saw(tmp_path: Path) -> None:
    learner = learned([pair(seed) for seed in range(3)], 40)
    look = learner.look(LookFacts(name="warm"))
    look.save(tmp_path / "warm.safetensors")
    again = read_look(tmp_path / "warm.safetensors")
    unseen = picture(96, 7)
    error = np.abs(wear(again, request(unseen)) - warm(unseen)).mean()
    assert error < 0.15 * np.abs(unseen - warm(unseen)).mean()
    assert (tmp_path / "warm.safetensors").stat().st_size < 8 << 20


@pytest.mark.parametrize("rate", [0.3, 1e30])
def test_stopped_early_a_look_is_never_further_from_its_pairs_than_where_it_began(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rate: float
) -> None:
    pairs = [pair(seed) for seed in range(3)]

    def apart(look: Look) -> float:
        worn = [wear(look, request(each.before)).clip(0, 1) - each.after for each in pairs]
        return float(np.square(worn).mean())

    began = apart(Learner(pairs, 20, clock=Ticks()).look(LookFacts(name="start")))
    # A network that has gone astray.
    monkeypatch.setattr("portraitgen.editing.looks.learning._RATE", rate)
    learner = Learner(pairs, 20, clock=Ticks())
    for _ in range(6):
        learner.step()
        learner.look(LookFacts(name="early")).save(tmp_path / "early.safetensors")
        assert apart(read_look(tmp_path / "early.safetensors")) <= began + 1e-7
        shown = learner.preview()[:, 96:192] - pairs[1].after
        assert np.square(shown).mean() <= 1.5 * began


def test_texture_of_places_goes_on_only_where_it_pays_on_pairs_kept_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def placed(seed: int, painted: bool) -> Pair:
        before = picture(96, seed)
        columns, rows = np.meshgrid(np.linspace(-0.5, 0.5, 96), np.linspace(-0.5, 0.5, 96))
        # The body stands elsewhere in each picture.
        shift = 0.3 * np.random.default_rng(seed).random(2) - 0.15
        places = np.stack([columns + shift[0], rows + shift[1]], -1).astype(np.float32)
        after = before.copy()
        if painted:
            after[np.sin(25 * places[..., 0]) > 0] *= 0.2
        else:
            after = warm(before)
        size = before.shape[:2]
        return Pair(
            f"{seed}", before, after, np.ones(size, np.float32), np.zeros_like(before), places
        )

    monkeypatch.setattr("portraitgen.editing.looks.learning._TRIAL", 0.9)
    monkeypatch.setattr("portraitgen.editing.looks.learning.BATCH", 4)
    with_paint = learned([placed(seed, True) for seed in range(7)], 100)
    assert with_paint.look(LookFacts(name="paint")).facts.guides == ("normals", "place")
    of_colour = learned([placed(seed, False) for seed in range(4)], 30)
    assert of_colour.look(LookFacts(name="warm")).facts.guides == ("normals",)
    assert of_colour.held_out_db is not None and of_colour.notes


def test_tiles_show_no_seams() -> None:
    look = random_look()
    image = picture(TILE + 104)
    tiled = wear(look, request(image))
    planes = torch.from_numpy(image).permute(2, 0, 1)[None]
    guides = torch.ones(1, 1, planes.shape[2] // 2, planes.shape[3] // 2)
    places = torch.full((1, *guides.shape[2:], 2), -2.0)
    with torch.no_grad():
        whole = look.network(planes, guides, places)[0].permute(1, 2, 0).numpy()
    assert np.abs(tiled - whole).max() < 0.01
    assert np.abs(tiled - image).max() > 0.02


def test_a_look_of_smaller_pictures_changes_larger_ones_and_keeps_their_pixels() -> None:
    look = random_look(side=64)
    image = picture(192)
    grain = 0.1 * np.random.default_rng(0).standard_normal(image.shape).astype(np.float32)
    worn, with_grain = (wear(look, request(each)) for each in (image, (image + grain).clip(0, 1)))
    kept = np.corrcoef((with_grain - worn).ravel(), grain.ravel())[0, 1]
    assert kept > 0.8
    assert np.abs(worn - image).max() > 0.02


@pytest.mark.parametrize(("gain", "offset"), [(0.0, 0.4), (-1.0, 1.0), (0.5, 0.2), (1.6, 0.0)])
def test_detail_that_a_look_never_saw_is_kept_as_far_as_it_keeps_what_it_saw(
    gain: float, offset: float
) -> None:
    """A look of bronze left ghosts of the plate's lashes, one that turned bright and dark about had
    them the other way round, and a harder grade was soft."""
    look = Look(LookFacts(name="one", side=64), LookNetwork(Guides()).eval(), np.zeros(0))
    look.network.colours.zero_()
    look.network.colours[0] = offset
    look.network.colours[1:4] = gain * torch.eye(3)
    grain = 0.03 * np.random.default_rng(0).standard_normal((192, 192, 3)).astype(np.float32)
    image = (0.5 * picture(192) + 0.05 + grain).clip(0, 0.6)
    worn = wear(look, request(image))
    assert np.abs(worn - (gain * image + offset)).mean() < 0.1 * np.abs(grain).mean()


def test_strength_nothing_keeps_every_bit_and_mix_blends_two_looks(tmp_path: Path) -> None:
    for name, guides in (("one", Guides()), ("two", Guides(normals=True))):
        random_look(guides).save(tmp_path / f"{name}.safetensors")
    one, two = (str(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    image = picture(64)
    alone = [create_editor("look", {"look": each}).edit(request(image)) for each in (one, two)]
    assert (create_editor("look", {"look": one}).edit(request(image, strength=0.0)) == image).all()
    keyed = create_editor("look", {"look": one, "other": two, "mix_keys": "10:0,20:1"})
    for frame, share in ((5, 0.0), (10, 0.0), (15, 0.5), (20, 1.0), (30, 1.0)):
        wanted = alone[0] + share * (alone[1] - alone[0])
        # Each look is clipped by itself.
        assert np.abs(keyed.edit(request(image, frame)) - wanted).mean() < 0.002
    with pytest.raises(EditError, match="no key of the mix"):
        create_editor("look", {"look": one, "mix_keys": "10:3"})
    said: list[str] = []
    for more in ({"mix": 0.5}, {"mix_keys": "10:1"}, {}, {"mix": 0.5, "other": two}):
        editor = create_editor("look", {"look": one} | more)
        editor.tell = said.append
        editor.prepare([request(image)])
    assert said == ["The mix has no effect: no second look is chosen."] * 2


class Edited:
    """A shot with one edit of a take."""

    def __init__(self, folder: Path, editor: Editor) -> None:
        self._folder = folder / "edits" / "0001"
        self._folder.mkdir(parents=True)
        for name, file in editor.kept_files().items():  # type: ignore[attr-defined]
            (self._folder / name).write_bytes(file.read_bytes())
        self._record = SimpleNamespace(editor="look", options=asdict(editor.options))

    def versions(self, kind: str) -> list[int]:
        return [1] if kind == "takes/bronze/edits" else []

    def edit_folder(self, take: str) -> Path:
        return self._folder

    def edit_record(self, take: str) -> SimpleNamespace:
        return self._record


def test_another_look_of_the_same_name_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTRAITGEN_LOOKS", str(tmp_path / "mine"))
    path = tmp_path / "mine" / "bronze.safetensors"
    path.parent.mkdir()
    random_look().save(path)
    editor = create_editor("look", {"look": "bronze"})
    shot, heard = Edited(tmp_path, editor), Noting()
    tell_other_files(shot, "bronze", editor, heard)  # type: ignore[arg-type]
    assert heard.notes == []
    random_look(Guides(normals=True)).save(path)
    tell_other_files(shot, "new", editor, heard)  # type: ignore[arg-type]
    assert heard.notes == [], "a take that wore none"
    tell_other_files(shot, "bronze", editor, heard)  # type: ignore[arg-type]
    assert len(heard.notes) == 1 and "is not the file that edit 1 wore" in heard.notes[0]
    another = create_editor("look", {"look": "bronze", "mix": 0.1})
    tell_other_files(shot, "bronze", another, heard)  # type: ignore[arg-type]
    assert len(heard.notes) == 1, "other options may name another look"


def test_a_look_of_a_look_has_its_licence(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    look = random_look()
    replace(look, facts=replace(look.facts, licence="Not for cinema")).save(path)
    shot = Edited(tmp_path, create_editor("look", {"look": str(path), "other": str(path)}))
    assert licences_of(shot, "bronze") == "Not for cinema"  # type: ignore[arg-type]


def test_an_edit_keeps_its_looks_and_wears_them_when_the_library_has_lost_them(
    tmp_path: Path,
) -> None:
    path = tmp_path / "one.safetensors"
    random_look().save(path)
    editor = create_editor("look", {"look": str(path)})
    state, edit = editor.state(), tmp_path / "edit"
    edit.mkdir()
    for name, file in editor.kept_files().items():
        (edit / name).write_bytes(file.read_bytes())
    wanted = editor.edit(request(picture(64)))
    path.unlink()
    worn = create_editor("look", {"look": str(path)})
    worn.restore(edit, {})
    assert state and (worn.edit(request(picture(64))) == wanted).all()


def test_looks_are_found_by_name_in_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTRAITGEN_LOOKS", str(tmp_path))
    random_look().save(tmp_path / "noise.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing of the sort")
    found, refused = library.looks_in(tmp_path)
    assert [path.stem for path in found] == ["noise"] and len(refused) == 1
    assert library.look_path("noise") == tmp_path / "noise.safetensors"
    with pytest.raises(EditError, match="no such look"):
        library.look_path("other")
    with pytest.raises(EditError, match="no such look"):
        library.look_path("a" * 300)
    with pytest.raises(EditError, match="no look is chosen"):
        library.look_path("")


def test_a_name_means_the_library_whatever_is_called_so_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of the pairs' name hid the look that was learned from it."""
    monkeypatch.setenv("PORTRAITGEN_LOOKS", str(tmp_path / "looks"))
    kept = tmp_path / "looks" / "noise.safetensors"
    random_look().save(kept)
    here = tmp_path / "here"
    (here / "noise").mkdir(parents=True)
    monkeypatch.chdir(here)
    assert library.look_path("noise") == look_file("noise") == kept
    (here / "noise").rmdir()
    (here / "noise").write_text("of somebody")
    assert library.look_path("noise") == kept
    random_look().save(here / "noise.safetensors")
    assert library.look_path("noise.safetensors") == look_file("noise.safetensors")


def test_files_of_a_library_that_are_no_looks_are_listed_with_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORTRAITGEN_LOOKS", str(tmp_path))
    paths = {name: tmp_path / f"{name}.safetensors" for name in ("good", "short", "newer", "flip")}
    for path in paths.values():
        random_look().save(path)
    paths["short"].write_bytes(paths["good"].read_bytes()[:3000])
    tampered(paths["newer"], "newer")
    tampered(paths["flip"], "flipped")
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "gone.safetensors").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.safetensors")
    wanted = {
        "flip": "has changed since it was written",
        "folder": "no plain file",
        "gone": "missing",
        "newer": "a newer version made the look; update PortraitGen",
        "pipe": "no plain file",
        "short": "it is cut short",
    }
    rows = {each.name: each for each in list_looks().rows}
    assert not rows["good"].error and Path(rows["good"].thumbnail).exists()
    for name, told in wanted.items():
        assert told in rows[name].error and str(tmp_path) not in rows[name].error, name
    for json_ in (False, True):
        run(argparse.Namespace(what="list", folder=None, json=json_))
        printed = capsys.readouterr().out
        for name, told in wanted.items():
            # What only the weights say is told where they are read.
            assert (told in printed or name == "flip") and name in printed


def test_a_picture_of_the_library_is_that_of_its_look_whatever_the_files_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTRAITGEN_LOOKS", str(tmp_path))
    path = tmp_path / "noise.safetensors"
    for shade in (10, 200):
        look = random_look()
        look.thumbnail[:] = shade
        look.save(path)
        # One that was copied from elsewhere is dated as it was there.
        os.utime(path, (1e9 - shade, 1e9 - shade))
        (row,) = list_looks().rows
        assert cv2.imread(row.thumbnail).mean() == shade


def test_a_look_of_damaged_weights_is_listed_as_one_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTRAITGEN_LOOKS", str(tmp_path))
    random_look().save(tmp_path / "noise.safetensors")
    tampered(tmp_path / "noise.safetensors", "flipped")
    (row,) = list_looks().rows
    assert "has changed since it was written" in row.error


def tampered(path: Path, change: str) -> None:
    """A look's file as a stranger might write it."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header, values = json.loads(data[8 : 8 + length]), data[8 + length :]
    if change == "huge":
        header["out.weight"]["shape"] = [1 << 40, 1 << 40]
    elif change == "renamed":
        header["up.0.0.weight2"] = header.pop("up.0.0.weight")
    elif change == "no facts":
        header["__metadata__"] = {}
    elif change == "no json":
        header["__metadata__"]["portraitgen-look"] = "{"
    elif change == "talks":
        facts = json.loads(header["__metadata__"]["portraitgen-look"])
        told = json.dumps(facts | {"made_of": "x" * 100000})
        header["__metadata__"]["portraitgen-look"] = told
    elif change == "newer":
        header["__metadata__"]["portraitgen-look"] = json.dumps({"name": "x", "schema": 99})
    elif change == "other guides":
        facts = json.loads(header["__metadata__"]["portraitgen-look"])
        header["__metadata__"]["portraitgen-look"] = json.dumps(facts | {"guides": ["place"]})
    elif change == "flipped":
        values = bytes([values[0] ^ 255]) + values[1:]
    elif change == "long":
        values += b" " * (9 << 20)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + values)


@pytest.mark.parametrize(
    "change",
    ["huge", "renamed", "no facts", "no json", "newer", "other guides", "flipped", "long", "talks"],
)
def test_a_strangers_file_is_refused_in_one_sentence(tmp_path: Path, change: str) -> None:
    path = tmp_path / "theirs.safetensors"
    random_look().save(path)
    assert read_facts(path).name == "noise"
    tampered(path, change)
    with pytest.raises(EditError) as told:
        read_look(path)
    assert told.value.remedy and "\n" not in str(told.value)


def test_a_look_whose_numbers_have_no_end_is_told_by_its_file(tmp_path: Path) -> None:
    """It was the editor's author who should hear of it."""
    look = random_look()
    with torch.no_grad():
        for each in look.network.parameters():
            each.fill_(6e4)
    look.save(tmp_path / "theirs.safetensors")
    with pytest.raises(EditError, match=r"theirs.*beyond all numbers.*ask for the file again"):
        create_editor("look", {"look": str(tmp_path / "theirs.safetensors")}).edit(
            request(picture(64))
        )


def test_what_a_strangers_file_says_of_itself_cannot_act_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random_look(made_of="\x1b[31mred\x07").save(tmp_path / "noise.safetensors")
    run(argparse.Namespace(what="list", folder=tmp_path, json=False))
    told = capsys.readouterr().out
    assert "red" in told and "\x1b" not in told and "\x07" not in told


def test_learning_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    pairs = [pair(seed) for seed in range(3)]
    first = Learner(pairs, 20, clock=Ticks())
    for _ in range(8):
        first.step()
    first.save(tmp_path / "state")
    again = Learner(pairs, 20, clock=Ticks())
    again.resume(tmp_path / "state")
    assert again.used == first.used
    for learner in (first, again):
        while not learner.finished:
            learner.step()
    kept, resumed = (each.look(LookFacts(name="x")).network.state_dict() for each in (first, again))
    assert all(torch.equal(kept[name], resumed[name]) for name in kept)
    with pytest.raises(EditError, match="not learned from these pairs"):
        Learner([pair(9)], 20, clock=Ticks()).resume(tmp_path / "state")


class Stopping(Reporter):
    """Stops as soon as there is a preview."""

    def preview(self, path: Path) -> None:
        self.shown = path
        self.cancel()


def test_stopped_at_any_time_the_look_so_far_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portraitgen.pipeline.jobs.learn_look._KEPT_EVERY", 0.05)
    out, reporter = tmp_path / "warm.safetensors", Stopping()
    options = LearnLookOptions(seconds=30.0)
    with pytest.raises(Cancelled):
        learn([pair()], out, LookFacts(name="warm"), options, reporter, tmp_path / "p.png")
    assert read_look(out).facts.seconds > 0 and reporter.shown.exists()
    assert (tmp_path / "warm.learning").exists()
    with pytest.raises(EditError, match="not learned from these pairs"):
        learn([pair(5)], out, LookFacts(name="x"), options, Reporter(), tmp_path / "p.png")


def test_a_place_that_cannot_be_written_to_is_told_before_anything_is_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(learner: Learner) -> float:
        raise AssertionError("it learns")

    monkeypatch.setattr(Learner, "step", step)
    (tmp_path / "file").write_bytes(b"")
    for out in (tmp_path / "file" / "warm.safetensors", tmp_path / ("x" * 300 + ".safetensors")):
        with pytest.raises((OSError, PortraitError)):
            learn(
                [pair()], out, LookFacts(name="x"), LearnLookOptions(), Reporter(), tmp_path / "p"
            )


@pytest.mark.parametrize("name", [".", "..", "/", "folder/", ".hidden", ".safetensors"])
def test_what_names_no_file_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match="no name for a look"):
        look_file(name)


def test_pairs_are_read_by_name_from_folders_and_beside_each_other(tmp_path: Path) -> None:
    before = face()
    after = (before * 0.5).astype(np.uint8)
    write(tmp_path / "sub" / "before", "one.png", before)
    write(tmp_path / "sub" / "after", "one.jpg", after)
    write(tmp_path / "flat", "one.before.png", before)
    write(tmp_path / "flat", "one.after.png", after)
    write(tmp_path / "flat", "one.mask.png", np.full_like(before, 255))
    for kind in ("sub", "flat"):
        (found,) = pairs_in_folder(tmp_path / kind, Reporter())
        assert found.name == "one" and found.before.shape == (256, 256, 3)
        assert abs(float(found.after.mean() / found.before.mean()) - 0.5) < 0.02
    assert found.cover.min() == 1


def test_what_of_the_pictures_is_not_learned_from_is_told(tmp_path: Path) -> None:
    before, after = face(), (face() * 0.5).astype(np.uint8)
    for name, other in (("one", after), ("same", before)):
        write(tmp_path, f"{name}.before.png", before)
        write(tmp_path, f"{name}.after.png", other)
    write(tmp_path, "contact.png", before)
    see_through = np.dstack([after[..., ::-1], np.full((256, 256), 90, np.uint8)])
    cv2.imwrite(str(tmp_path / "one.after.png"), see_through)
    notes = Noting()
    pairs_in_folder(tmp_path, notes)
    told = " ".join(notes.notes)
    assert "contact.png" in told and "one.after.png: its alpha is not used" in told
    assert "the same in 'same'" in told and len(notes.notes) == 3


def test_a_mask_lies_in_the_alpha_of_a_white_picture_too(tmp_path: Path) -> None:
    write(tmp_path, "one.before.png", face())
    write(tmp_path, "one.after.png", (face() * 0.5).astype(np.uint8))
    mask = np.full((256, 256, 4), 255, np.uint8)
    mask[:128, :, 3] = 0
    cv2.imwrite(str(tmp_path / "one.mask.png"), mask)
    (found,) = pairs_in_folder(tmp_path, Noting())
    assert not found.cover[:128].any() and found.cover[128:].min() == 1


def test_floats_are_divided_by_their_alpha_and_must_be_numbers(tmp_path: Path) -> None:
    import OpenImageIO

    before = face()
    write(tmp_path, "one.before.png", before)
    linear = ((before * 0.5 / 255 + 0.055) / 1.055) ** 2.4

    def write_exr(pixels: np.ndarray) -> None:
        path = str(tmp_path / "one.after.exr")
        specification = OpenImageIO.ImageSpec(256, 256, 4, OpenImageIO.FLOAT)
        specification.channelnames = ("R", "G", "B", "A")
        opened = OpenImageIO.ImageOutput.create(path)
        assert opened.open(path, specification)
        opened.write_image(pixels.astype(np.float32))
        opened.close()

    write_exr(np.dstack([linear * 0.5, np.full((256, 256), 0.5)]))
    (found,) = pairs_in_folder(tmp_path, Noting())
    assert abs(float(found.after.mean() / found.before.mean()) - 0.5) < 0.03
    write_exr(np.dstack([linear * np.nan, np.ones((256, 256))]))
    with pytest.raises(EditError, match="no numbers"):
        pairs_in_folder(tmp_path, Noting())


def test_pairs_are_read_in_the_colours_their_pictures_name(tmp_path: Path) -> None:
    from PIL import Image, ImageCms

    before = face()
    light = ((before / 255 + 0.055) / 1.055) ** 2.4
    write(tmp_path, "one.before.png", before)
    # The darker picture, by a profile of linear light.
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    darker = np.rint((light * 0.25) * 65535).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "one.after.png"), darker[..., ::-1])
    data = (tmp_path / "one.after.png").read_bytes()
    body = struct.pack(">I", 100000)
    chunk = struct.pack(">I", 4) + b"gAMA" + body + struct.pack(">I", zlib.crc32(b"gAMA" + body))
    (tmp_path / "one.after.png").write_bytes(data[:33] + chunk + data[33:])
    Image.fromarray(before).save(tmp_path / "one.before.png", icc_profile=profile)
    notes = Noting()
    (found,) = pairs_in_folder(tmp_path, notes)
    wanted = 1.055 * (light * 0.25) ** (1 / 2.4) - 0.055
    lit = light.min(-1) > 0.05
    assert np.abs(found.after - wanted)[lit].max() < 0.01
    assert np.abs(found.before - before / 255).max() < 0.01


@pytest.mark.parametrize("both", [False, True])
def test_light_above_white_in_pairs_is_kept_or_told(tmp_path: Path, both: bool) -> None:
    import OpenImageIO

    def write_exr(path: Path, pixels: np.ndarray) -> None:
        opened = OpenImageIO.ImageOutput.create(str(path))
        assert opened.open(str(path), OpenImageIO.ImageSpec(256, 256, 3, OpenImageIO.FLOAT))
        opened.write_image(pixels.astype(np.float32))
        opened.close()

    before = face()
    light = np.maximum((before / 255 + 0.055) / 1.055, 0) ** 2.4
    bright = light.copy()
    bright[:64, :64], bright[64:128, :64] = 1.5, 3.0
    if both:
        write_exr(tmp_path / "one.before.exr", light)
    else:
        write(tmp_path, "one.before.png", before)
    write_exr(tmp_path / "one.after.exr", bright)
    write(tmp_path, "one.mask.png", np.full_like(before, 255))
    notes = Noting()
    (found,) = pairs_in_folder(tmp_path, notes)
    told = "brighter or more colourful" in " ".join(notes.notes)
    assert told != both
    assert (found.after[32, 32] < found.after[96, 32] - 0.02).all() == both


def test_a_name_is_one_name_however_a_system_writes_it(tmp_path: Path) -> None:
    write(tmp_path / "before", "h\u00e9l\u00e8ne.png", face())
    write(tmp_path / "after", "he\u0301le\u0300ne.png", (face() * 0.5).astype(np.uint8))
    assert len(pairs_in_folder(tmp_path, Noting())) == 1


def large_png(side: int) -> bytes:
    """A black PNG of one bit a pixel: a small file of a huge picture."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    packer = zlib.compressobj(1)
    rows = bytes(1 + side // 8) * 1000
    pixels = b"".join(packer.compress(rows) for _ in range(side // 1000)) + packer.flush()
    size = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    body = chunk(b"IHDR", size) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("sizes", "is 256 x 256 before and 128 x 128 after"),
        ("missing", "has no picture after"),
        ("same", "before and after are the same"),
        ("no performer", "no performer is seen"),
        ("huge", "40000 x 40000"),
        ("no image", "cannot be read"),
        ("none", "there are no pairs"),
        ("many", "there are 31 pairs"),
        ("no folder", "there is no such folder"),
        ("twice", "has two pictures before"),
        ("mask alone", "belongs to no pair"),
        ("mask's shape", "has another shape"),
        ("loop", "cannot be read"),
    ],
)
def test_bad_pairs_get_one_sentence(tmp_path: Path, fault: str, told: str) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    write(before, "one.png", face())
    write(after, "one.png", (face() * 0.5).astype(np.uint8))
    folder = tmp_path
    if fault == "sizes":
        write(after, "one.png", face(128))
    elif fault == "missing":
        (after / "one.png").unlink()
    elif fault == "same":
        write(after, "one.png", face())
    elif fault == "no performer":
        write(before, "one.png", np.full((256, 256, 3), 90, np.uint8))
    elif fault == "huge":
        for each in (before, after):
            (each / "one.png").write_bytes(large_png(40000))
    elif fault == "no image":
        (before / "one.png").write_bytes(b"not an image")
    elif fault == "none":
        (folder := tmp_path / "empty").mkdir()
    elif fault == "many":
        for number in range(30):
            for each in (before, after):
                (each / f"{number}.png").write_bytes((before / "one.png").read_bytes())
    elif fault == "no folder":
        folder = tmp_path / "nowhere"
    elif fault == "twice":
        write(before, "one.jpg", face())
    elif fault == "mask alone":
        write(tmp_path / "mask", "uno.png", face())
    elif fault == "mask's shape":
        write(tmp_path / "mask", "one.png", np.full((64, 128, 3), 255, np.uint8))
    elif fault == "loop":
        (after / "one.png").unlink()
        (after / "one.png").symlink_to("one.png")
    with pytest.raises(PortraitError, match=told) as caught:
        pairs_in_folder(folder, Reporter())
    assert caught.value.remedy and "\n" not in str(caught.value)
