# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders that somebody sends: nothing runs, nothing outside is touched, a loss costs one part."""

import json
import os
import pickle
import random
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from attack_shot import EDIT, Portraitgen, copy_of, environment

from portraitgen.clean_up import leftovers, remove
from portraitgen.cli import TerminalReporter, main
from portraitgen.editing.looks.look_file import Look, LookFacts, read_look
from portraitgen.editing.looks.network import Guides, LookNetwork
from portraitgen.errors import Cancelled, PortraitError, ProgramNotAllowed, ShotError
from portraitgen.failures import ProgramFault, readable
from portraitgen.farm.request import bundle_for
from portraitgen.messages.farm import FarmShot, WriteBundle
from portraitgen.pipeline.data.acting import Acting, load_acting
from portraitgen.pipeline.data.avatars import frame_parameters, load_avatar
from portraitgen.pipeline.data.shots import Track, body_of, info
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.requests.report import report
from portraitgen.pipeline.requests.rig import export_rig
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.renders import render_of
from portraitgen.shot import Shot
from portraitgen.storage import file_digest, read_json, write_json
from portraitgen.tensors import DamagedTensors, load_arrays, save_arrays

QC = {"take": "toon", "version": 1}
RENDER = {"take": "toon", "frames": "2", "movie": False, "detail": 0.3}


class Notes(Reporter):
    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of the user's beside the shot, with files of the names that we use."""
    folder = tmp_path / "precious"
    for name in ("work/checkpoint.safetensors", "edit/edit.json", "frames/toon.0002.exr", "a.json"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    return folder


@pytest.mark.parametrize(
    "link",
    [
        *("jobs", "locks", "takes", "takes/toon", "takes/toon/renders", "takes/toon/edits"),
        *("takes/toon/renders/v001", "takes/toon/renders/v001/frames"),
        *("takes/toon/renders/v001/plates", "track", "avatar", "rigs"),
    ],
)
def test_nothing_outside_is_touched_through_a_link(shot: Path, outside: Path, link: str) -> None:
    kept = shot / "kept"
    if (shot / link).exists():
        # What the link shows is what was there, so that the job finds all it needs.
        shutil.copytree(shot / link, outside, dirs_exist_ok=True)
        os.rename(shot / link, kept)
    (shot / link).symlink_to(outside, target_is_directory=True)
    before = contents(outside)
    acts = [
        lambda: run("render", shot, RENDER | {"plate": True}, Reporter()),
        lambda: export_rig(Shot.open(shot)),
        lambda: Shot.open(shot).discard_take("toon"),
        lambda: remove(leftovers(Shot.open(shot))),
    ]
    for act in acts:
        try:
            act()
        except PortraitError as error:
            assert not isinstance(error, ProgramFault), error
    assert contents(outside) == before


@pytest.mark.parametrize("name", ["frames/toon.0002.png", "plates/toon.0002.png", "toon.mp4"])
def test_what_a_link_leads_to_is_not_delivered(shot: Path, outside: Path, name: str) -> None:
    path = shot / "takes" / "toon" / "renders" / "v001" / name
    path.unlink(missing_ok=True)
    path.symlink_to(outside / "a.json")
    copies = outside.parent / "delivery"
    with pytest.raises(ShotError, match="this is a link"):
        run("deliver", shot, {"take": "toon", "out": str(copies)}, Reporter())
    assert not copies.exists()


def test_a_resumed_job_neither_follows_nor_deletes_a_linked_work_folder(
    shot: Path, outside: Path
) -> None:
    class Stop(Reporter):
        def preview(self, path: Path) -> None:
            self.cancel()

        def progress(self, stage: str, *rest: Any) -> None:
            if stage == "train":
                self.cancel()

    before = contents(outside)
    with pytest.raises(Cancelled):
        run("edit", shot, EDIT | {"strength": 0.8}, Stop())
    job = next(each for each in Shot.open(shot).jobs() if each.record.unfinished)
    shutil.rmtree(job.folder / "work")
    (job.folder / "work").symlink_to(outside, target_is_directory=True)
    with pytest.raises(ShotError, match="a link leads out of the shot"):
        run("edit", shot, EDIT | {"strength": 0.8}, Reporter())
    assert contents(outside) == before


def test_a_program_that_a_shot_names_never_runs(shot: Path, tmp_path: Path) -> None:
    checkout = shot / "anydoor"
    checkout.mkdir()
    (checkout / "portraitgen_anydoor.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    picture = next((shot / "takes" / "toon" / "renders" / "v001" / "frames").glob("*.png"))
    chosen = {"checkout": str(checkout), "garment": str(picture), "garment_mask": str(picture)}
    options = EDIT | {"editor": "anydoor", "editor_options": json.dumps(chosen)}
    with pytest.raises(ProgramNotAllowed):
        run("edit", shot, options, Reporter())
    record = shot / "takes" / "toon" / "edits" / "0001" / "edit.json"
    facts = read_json(record) | {"editor": "anydoor", "options": chosen, "follows": True}
    write_json(record, facts)
    run("render", shot, RENDER, Reporter())
    assert not (tmp_path / "ran").exists()


def test_modules_in_a_shot_are_not_imported_by_what_runs_there(shot: Path, tmp_path: Path) -> None:
    for module in ("numpy", "contextlib", "json", "sitecustomize"):
        (shot / f"{module}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (tmp_path / "poses.pkl").write_bytes(pickle.dumps({"pose": [0.0]}))
    for words in (
        ("probe", str(Shot.open(shot).footage_path)),
        ("convert-track", str(tmp_path / "poses.pkl"), str(tmp_path / "poses.npz")),
    ):
        # As the installed command, which looks into its own folder and not into this one.
        command = [sys.executable, "-P", "-m", "portraitgen", *words]
        told = subprocess.run(
            command, env=environment(), cwd=shot, capture_output=True, text=True, check=False
        )
        assert told.returncode == 0, told.stderr
    assert not (tmp_path / "ran").exists()


def test_a_program_that_a_take_names_goes_neither_to_other_shots_nor_to_a_farm(
    made: Path, shot: Path, tmp_path: Path, portraitgen: Portraitgen
) -> None:
    checkout = tmp_path / "anydoor"
    checkout.mkdir()
    (checkout / "portraitgen_anydoor.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    picture = next((shot / "takes" / "toon" / "renders" / "v001" / "frames").glob("*.png"))
    chosen = {"checkout": str(checkout), "garment": str(picture), "garment_mask": str(picture)}
    record = shot / "takes" / "toon" / "take.json"
    settings = {"editor": "anydoor", "editor_options": json.dumps(chosen), "parts": "clothes"}
    write_json(record, read_json(record) | {"settings": settings})
    # What the user types names no program.
    told = portraitgen("apply", shot, "--take", "toon", copy_of(made, tmp_path / "other"))
    assert told.returncode == 1 and "you have not allowed it yet" in told.stderr
    # A farm's worker believes its command line.
    call = WriteBundle((FarmShot(str(shot), {"edit": settings}),), "new", str(tmp_path / "job"))
    with pytest.raises(ProgramNotAllowed):
        bundle_for(call)
    assert not (tmp_path / "job").exists() and not (tmp_path / "ran").exists()


def test_systems_own_files_are_passed_over_everywhere(shot: Path) -> None:
    for folder in [shot, *(path for path in shot.rglob("*") if path.is_dir())]:
        for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._0001", "Icon\r", "notes.txt"):
            (folder / name).write_text("x")
    assert run("edit", shot, EDIT | {"strength": 0.7}, Reporter()).told()["edit"] == 2
    assert run("render", shot, RENDER, Reporter()).told()["edit"] == 2
    facts = info(Shot.open(shot))
    assert not facts.problems and facts.takes[0]["rendered_frames"] == 1


READS_PIPES = """
import os, sys
from pathlib import Path
from portraitgen.failures import ProgramFault, readable
from portraitgen.pipeline.data.acting import load_acting
from portraitgen.pipeline.data.avatars import load_avatar
from portraitgen.pipeline.data.key_frames import KeptKeys
from portraitgen.pipeline.data.key_frames import keep_key
from portraitgen.pipeline.data.shots import Track, body_of, info
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.editing.paint_layers import PaintedFrames
from portraitgen.shot import Shot
from portraitgen.editing.looks.look_file import read_facts

folder = Path(sys.argv[1])
shot, take = Shot.open(folder), folder / "takes" / "toon"
body = body_of(shot)
for name in ("acting.safetensors", "light.json", "keys/0002.png", "paint/0002.png"):
    (take / name).parent.mkdir(exist_ok=True)
    os.mkfifo(take / name)
acts = {
    "info": lambda: info(shot),
    "acting": lambda: load_acting(take / "acting.safetensors", body),
    "look": lambda: read_facts(take / "acting.safetensors"),
    "keys": lambda: KeptKeys(take).digest(),
    "paint": lambda: PaintedFrames(take / "paint").digest(),
    "render": lambda: run("render", folder, {"take": "toon", "frames": "2"}, Reporter()),
    "edit": lambda: run("edit", folder, {"take": "toon", "editor": "toon", "steps": 1}, Reporter()),
    "qc": lambda: run("qc", folder, {"take": "toon"}, Reporter()),
    "movie": lambda: run("movie", folder, {"take": "toon"}, Reporter()),
    "avatar": lambda: load_avatar(folder / "avatar" / "0001", body),
    "track": lambda: Track(shot),
    "matte": lambda: Track(shot, 1).matte(2),
}
for path in sorted(folder.rglob("*")):
    if path.is_file() and path.suffix in (".exr", ".png", ".safetensors", ".jsonl", ".txt"):
        if "0001/params" not in str(path):
            path.unlink()
            os.mkfifo(path)
for name, act in acts.items():
    print(name, flush=True)
    try:
        act()
    except Exception as error:
        assert not isinstance(told := readable(error), ProgramFault), f"{name}: {told}"
"""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes among its files")
def test_pipes_in_the_place_of_files_are_not_waited_for(shot: Path) -> None:
    # Told by the last line which act waits, should one: no signal ends such a wait.
    command = [sys.executable, "-c", READS_PIPES, str(shot)]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 99}', '{"schema": 2, "a": NaN}'])
def test_a_damaged_take_or_job_costs_itself_only(shot: Path, text: str) -> None:
    shutil.copytree(shot / "takes" / "toon", shot / "takes" / "other")
    (shot / "takes" / "other" / "take.json").write_text(text)
    for path in (shot / "jobs").glob("*/job.json"):
        path.write_text(text)
    opened = Shot.open(shot)
    assert opened.takes() == ["toon"] and list(opened.damaged_takes()) == ["other"]
    facts = info(opened)
    assert [take["name"] for take in facts.takes] == ["toon"] and len(facts.problems) == 1
    with pytest.raises(ShotError, match="other takes are whole"):
        opened.take_folder("other")
    assert opened.edit_folder("toon").name == "0001"


def test_a_damaged_version_names_the_one_that_is_whole(shot: Path) -> None:
    path = shot / "track" / "0002" / "params.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ShotError, match="version 1 is whole"):
        Track(Shot.open(shot))
    # Whole in itself, and yet not the file that the record tells of.
    shutil.copyfile(shot / "track" / "0001" / "params.safetensors", path)
    with pytest.raises(ShotError, match="not the one that its record tells of"):
        Track(Shot.open(shot))


@pytest.mark.parametrize("text", [None, "{", "[]"])
@pytest.mark.parametrize("name", ["track.json", "avatar.json", "metrics.json", "edit.json"])
def test_a_damaged_record_names_the_version_that_is_whole(
    shot: Path, name: str, text: str | None
) -> None:
    opened = Shot.open(shot)
    home = {"edit.json": shot / "takes" / "toon" / "edits"}.get(name, shot / "avatar")
    home = shot / "track" if name == "track.json" else home
    shutil.copytree(home / "0001", home / "0007")
    # Neither the latest that is damaged in its tensors is whole.
    shutil.copytree(home / "0001", home / "0008")
    tensors = next((home / "0008").glob("*.safetensors"))
    tensors.write_bytes(tensors.read_bytes()[:-1])
    shutil.copytree(home / "0001", home / "0009")
    (home / "0009" / name).unlink()
    if text is not None:
        (home / "0009" / name).write_text(text)
    reads = {
        "track.json": (opened.track_record, lambda: run("refine", shot, {}, Reporter())),
        "avatar.json": (opened.avatar_record, lambda: run("edit", shot, EDIT, Reporter())),
        "metrics.json": (opened.avatar_metrics,),
        "edit.json": (lambda: opened.edit_record("toon"), lambda: run("qc", shot, QC, Reporter())),
    }
    if name == "edit.json":
        take = shot / "takes" / "toon" / "take.json"
        write_json(take, read_json(take) | {"edit": 9})
        render = render_of(shot / "takes" / "toon").folder / "render.json"
        write_json(render, read_json(render) | {"edit": 9})
    for read in reads[name]:
        with pytest.raises(PortraitError, match=r"0009.*(edit|version) 7 is whole"):
            read()


@pytest.mark.parametrize("kind", ["avatar", "edit"])
def test_damaged_tensors_name_the_version_that_is_whole(shot: Path, kind: str) -> None:
    home = shot / "avatar" if kind == "avatar" else shot / "takes" / "toon" / "edits"
    shutil.copytree(home / "0001", home / "0002")
    path = home / "0002" / "avatar.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    if kind == "edit":
        take = shot / "takes" / "toon" / "take.json"
        write_json(take, read_json(take) | {"edit": 2})
        with pytest.raises(ShotError, match="edit 1 is whole: render that one"):
            run("render", shot, RENDER, Reporter())
        made = run("render", shot, RENDER | {"edit": 1}, Reporter()).told()
        assert made["edit"] == 1
    else:
        with pytest.raises(ShotError, match="version 1 is whole: delete the folder of this one"):
            run("edit", shot, EDIT | {"strength": 0.4}, Reporter())
        shutil.rmtree(home / "0002")
        assert run("edit", shot, EDIT | {"strength": 0.4}, Reporter()).told()["edit"] == 2


def test_a_shot_whose_latest_track_is_damaged_is_tracked_anew(shot: Path) -> None:
    (shot / "track" / "0009").mkdir()
    with pytest.raises(ShotError, match="version 2 is whole"):
        Track(Shot.open(shot))
    notes = Notes()
    assert run("track", shot, {"frames": "1-3", "focal": 1280}, notes).told()["track"] == 10
    told = "Nothing fixed by hand is taken over from track 9"
    assert any(note.startswith(told) for note in notes.notes)


def test_a_later_portraitgens_track_is_not_replaced(shot: Path) -> None:
    record = shot / "track" / "0002" / "track.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"schema": 99}))
    with pytest.raises(ShotError, match="schema 99.*update PortraitGen"):
        run("track", shot, {"frames": "1-3", "focal": 1280}, Reporter())
    assert not (shot / "track" / "0003").exists()


def whole_arrays(path: Path) -> None:
    """Reads tensors as all of ours are read."""
    try:
        load_arrays(path, may_be_nan=("residual", "part_residual"))
    except DamagedTensors as error:
        raise ShotError(str(error), path, "") from None


def test_flipped_bits_in_a_version_are_refused_or_change_nothing(shot: Path) -> None:
    opened = Shot.open(shot)
    body, generator = body_of(opened), random.Random(5)
    base, edit = shot / "avatar" / "0001", shot / "takes" / "toon" / "edits" / "0001"
    track = Track(opened)
    acting, look = shot / "takes" / "toon" / "acting.safetensors", shot / "a.look"
    Acting.none(body, track.frames).save(acting, track, body)
    thumbnail = np.zeros((96, 192, 3), np.uint8)
    Look(LookFacts(name="a", guides=Guides().names), LookNetwork(Guides()), thumbnail).save(look)
    rig = Path(export_rig(opened).path)
    for path, read in (
        (shot / "track" / "0002" / "params.safetensors", lambda: Track(opened)),
        (base / "avatar.safetensors", lambda: load_avatar(base, body)),
        (edit / "avatar.safetensors", lambda: load_avatar(edit, body)),
        (acting, lambda: load_acting(acting, body)),
        (look, lambda: read_look(look)),
        (rig, lambda: whole_arrays(rig)),
    ):
        whole = path.read_bytes()
        for _ in range(int(os.environ.get("PORTRAITGEN_ATTACKS", "25"))):
            damaged = bytearray(whole)
            damaged[generator.randrange(len(whole))] ^= 1 << generator.randrange(8)
            path.write_bytes(bytes(damaged))
            with pytest.raises(PortraitError):
                read()
        path.write_bytes(whole)
        read()


def test_a_damaged_checkpoint_is_set_aside_and_told(shot: Path) -> None:
    class Stop(Notes):
        def progress(self, stage: str, step: int, *rest: Any) -> None:
            if stage == "train" and step >= 52:
                self.cancel()

    options = EDIT | {"steps": 60, "strength": 0.6}
    with pytest.raises(Cancelled):
        run("edit", shot, options, Stop())
    (checkpoint,) = (shot / "jobs").glob("*/work/checkpoint.safetensors")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-9])
    notes = Notes()
    assert run("edit", shot, options, notes).told()["edit"] == 2
    assert any("was set aside as damaged-checkpoint" in note for note in notes.notes)


def test_a_track_of_some_frames_says_what_it_leaves_out_and_keeps_its_own_mattes(
    shot: Path,
) -> None:
    notes = Notes()
    made = run("track", shot, {"frames": "4-5", "focal": 1280}, notes)
    assert any("holds no frames 1-3, which track 2 does" in note for note in notes.notes)
    track = Track(Shot.open(shot), made.told()["track"])
    assert track.record.mattes == track.version and track.matte_path(4).exists()


def test_two_processes_that_track_at_once_keep_their_own_mattes_and_are_told(
    shot: Path,
) -> None:
    words = [sys.executable, "-m", "portraitgen", "track", str(shot), "--focal", "1280", "--frames"]
    at_once = [
        subprocess.Popen([*words, f"{first}-{first + 1}"], stdout=subprocess.PIPE, text=True,
                         stderr=subprocess.STDOUT, env=environment())
        for first in (1, 4)
    ]  # fmt: skip
    said = [process.communicate(timeout=300)[0] for process in at_once]
    assert [process.returncode for process in at_once] == [0, 0], said
    opened = Shot.open(shot)
    assert opened.versions("track") == [1, 2, 3, 4]
    frames = []
    for version in (3, 4):
        track = Track(opened, version)
        assert track.record.mattes == version
        assert all(track.matte_path(frame).exists() for frame in track.frames)
        frames.append(list(track.frames))
    assert sorted(frames) == [[1, 2], [4, 5]]
    # Whoever came last says what the one before holds.
    hidden = "4-5" if frames[1] == [1, 2] else "1-2"
    assert any(f"holds no frames {hidden}, which track 3 does" in each for each in said), said


@pytest.mark.parametrize(
    "name", ["CON", "con", "nul.frames", "COM1", "lpt9.x", "a" * 64 + "b", "é" * 64 + "é"]
)
def test_names_that_a_system_refuses_are_refused(shot: Path, name: str) -> None:
    with pytest.raises(ShotError, match="cannot name a take"):
        Shot.open(shot).take_name(name)


def test_names_that_some_systems_do_not_tell_apart(shot: Path) -> None:
    opened = Shot.open(shot)
    assert opened.take_name("toon") == "toon"
    with pytest.raises(ShotError, match="are one name to some systems"):
        opened.take_name("Toon")
    decomposed = "cafe\u0301"
    assert opened.take_name(decomposed) == "caf\xe9"
    os.rename(shot / "takes" / "toon", shot / "takes" / "caf\xe9")
    assert opened.take_name(decomposed) == "caf\xe9"


def test_a_clean_up_shows_sizes_and_removes_what_nothing_needs(shot: Path) -> None:
    opened = Shot.open(shot)
    shutil.copytree(shot / "takes" / "toon", shot / "takes" / "other")
    opened.discard_take("other")
    work = shot / "jobs" / "20200101-000000-edit-abcdef" / "work"
    work.mkdir(parents=True)
    (work / "checkpoint.safetensors").write_bytes(b"x" * 5000)
    found = {each.name: each for each in leftovers(opened)}
    assert found.keys() == {"trash", "work"} and found["work"].size == 5000
    assert "5 kB" in str(found["work"])
    with opened.hold("track", "tracking"):
        assert [each.name for each in leftovers(opened)] == ["trash"]
    assert remove(list(found.values())) > 5000
    assert leftovers(opened) == [] and opened.takes() == ["toon"]


def test_other_programs_steering_signs_are_not_printed(shot: Path, capsys: Any) -> None:
    record = read_json(shot / "takes" / "toon" / "take.json")
    evil = "\x1b]0;owned\x07\x1b[2J\u202e"
    write_json(shot / "takes" / "toon" / "take.json", record | {"settings": {"editor": evil}})
    main(["info", str(shot)])
    out = capsys.readouterr().out
    assert "owned" in out and "\x1b" not in out and "\u202e" not in out


def test_a_take_called_as_what_a_farm_reads_gives_no_orders(capsys: Any) -> None:
    reporter = TerminalReporter("openjd", "render")
    reporter.note("openjd_fail: a take of that name")
    reporter.frame("toon", 1, Path("openjd_env: A=B\n\x1b[2J"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and not any(each.startswith("openjd_") for each in lines)
    assert "\x1b" not in "".join(lines)


def test_names_in_somebodys_weights_steer_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    folder = tmp_path / "stable-diffusion-v1-5"
    (folder / "unet").mkdir(parents=True)
    (folder / "unet" / "config.json").write_text("{}")
    write_json(folder / "model_index.json", {"\x1b[2J": ["a", "\x1b]0;owned\x07"]})
    index = {"weight_map": {"a": "\x1b[2Jshard.safetensors"}}
    write_json(folder / "unet" / "diffusion_pytorch_model.safetensors.index.json", index)
    monkeypatch.setenv("PORTRAITGEN_MODELS", str(tmp_path))
    for words in (["list"], ["check"], ["list", "--json"]):
        with suppress(SystemExit):
            main(["models", *words])
        said = capsys.readouterr()
        assert "stable-diffusion-v1-5" in said.out
        assert "\x1b" not in said.out + said.err and "\x07" not in said.out + said.err
    row = SimpleNamespace(state="bad", name="looks", message="\x1b[2J", remedy="")
    monkeypatch.setattr("portraitgen.pipeline.requests.diagnostics.check_setup", lambda: (row,))
    main(["check"])
    assert "\x1b" not in capsys.readouterr().out


def test_tensors_of_checkpoints_and_landmarks_are_checked_too(shot: Path) -> None:
    path = shot / "track" / "0001" / "params.safetensors"
    assert load_arrays(path)
    path.write_bytes(path.read_bytes().replace(b"sha256", b"sha257"))
    with pytest.raises(DamagedTensors):
        path.write_bytes(path.read_bytes()[:-4])
        load_arrays(path)


def rewritten(path: Path, name: str, values: np.ndarray) -> None:
    """A file of tensors with one changed on purpose: whoever does that writes its digests, too."""
    save_arrays(path, load_arrays(path) | {name: values})
    for record in ("track.json", "avatar.json", "edit.json"):
        if (path.parent / record).exists():
            facts = read_json(path.parent / record)
            digests = dict(facts.get("digests", {})) | {path.name: file_digest(path)}
            write_json(path.parent / record, facts | {"digests": digests})


@pytest.mark.parametrize(
    ("name", "shape", "kind"),
    [
        ("betas", (0,), "f4"),
        ("betas", (), "f4"),
        ("pose", (5, 55, 3), "f8"),
        ("expression", (5, 7), "f4"),
        ("frames", (), "i8"),
    ],
)
def test_a_track_of_other_tensors_is_told(
    shot: Path, name: str, shape: tuple[int, ...], kind: str
) -> None:
    rewritten(shot / "track" / "0002" / "params.safetensors", name, np.zeros(shape, kind))
    for act in (export_rig, report, lambda opened: Track(opened).motion.neutral(body_of(opened))):
        try:
            act(Shot.open(shot))
        except Exception as error:  # noqa: BLE001 - what it is, is looked at.
            assert not isinstance(told := readable(error), ProgramFault), told


@pytest.mark.parametrize(
    ("name", "shape", "kind"),
    [
        ("state.betas", (152,), "f8"),
        ("texels.barycentric", (0, 3), "f4"),
        ("texels.barycentric", (941, 3), "f8"),
        ("texels.face", (), "i8"),
        ("texels.face", (0,), "i8"),
    ],
)
def test_an_avatar_of_other_tensors_is_told(
    shot: Path, name: str, shape: tuple[int, ...], kind: str
) -> None:
    rewritten(shot / "avatar" / "0001" / "avatar.safetensors", name, np.zeros(shape, kind))
    body, motion = body_of(Shot.open(shot)), Track(Shot.open(shot)).motion
    lens = torch.tensor([[[300.0, 0, 32], [0, 300, 32], [0, 0, 1]]])
    try:
        avatar = load_avatar(shot / "avatar" / "0001", body)
        with torch.no_grad():
            assert torch.isfinite(avatar.render(frame_parameters(motion, [2]), lens, 64).rgb).all()
    except Exception as error:  # noqa: BLE001 - what it is, is looked at.
        assert not isinstance(told := readable(error), ProgramFault), told


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("done", np.array(-(10**9))),
        ("curve", np.zeros(3)),
    ],
)
def test_a_checkpoint_that_says_what_no_training_does_is_told(
    shot: Path, monkeypatch: pytest.MonkeyPatch, name: str, values: np.ndarray
) -> None:
    class Stop(Reporter):
        def progress(self, stage: str, *rest: Any) -> None:
            if stage == "train":
                self.cancel()

    monkeypatch.setattr("portraitgen.pipeline.jobs.edit._CHECKPOINT_STEPS", 1)
    options = EDIT | {"steps": 3, "strength": 0.6}
    with pytest.raises(Cancelled):
        run("edit", shot, options, Stop())
    (checkpoint,) = (shot / "jobs").glob("*/work/checkpoint.safetensors")
    rewritten(checkpoint, name, values)
    with pytest.raises(PortraitError) as told:
        run("edit", shot, options, Reporter())
    assert not isinstance(told.value, ProgramFault), told.value
