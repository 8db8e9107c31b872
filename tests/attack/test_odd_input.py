# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Odd words on the command line, odd surroundings, odd files: a sentence, or the right thing."""

import io
import json
import os
import random
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from attack_shot import CLIP, EDIT, ROOT, Portraitgen, copy_of, environment

from portraitgen import api
from portraitgen.clean_up import leftovers, remove
from portraitgen.cli import main
from portraitgen.editing.paint_layers import PaintedFrames
from portraitgen.errors import OptionError, PortraitError, ShotError
from portraitgen.failures import ProgramFault, readable
from portraitgen.frames import parse_frame_list
from portraitgen.images import read_codes
from portraitgen.interchange.arrays_file import ForeignArrays
from portraitgen.locks import Claim, Lock, Waiting
from portraitgen.pipeline.data.acting import Acting, load_acting
from portraitgen.pipeline.data.key_frames import KeptKeys
from portraitgen.pipeline.data.shots import Track, body_of, create_shot, info
from portraitgen.pipeline.jobs.apply_take import ApplyOptions
from portraitgen.pipeline.jobs.quality import QualityOptions
from portraitgen.pipeline.jobs.track import TrackOptions
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.requests.paint import start_painting
from portraitgen.pipeline.requests.splat_file import read_ply
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.plain_text import printable
from portraitgen.settings import parse
from portraitgen.shot import Shot
from portraitgen.storage import read_json, write_json


def told_by(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """A command that fails, in this process: its status, and what it says on standard error."""
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return int(end.value.code or 0), said


@pytest.mark.parametrize("frames", ["1" * 5000, "1-" + "9" * 4999, "1-5x" + "9" * 5000])
def test_frames_of_thousands_of_digits_are_told(frames: str) -> None:
    with pytest.raises(OptionError):
        parse_frame_list(frames, range(1, 6))


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (TrackOptions, "focal", float("inf")),
        (TrackOptions, "focal", "1e400"),
        (TrackOptions, "focal", 10**400),
        (TrackOptions, "focal", True),
        (TrackOptions, "bridge", float("inf")),
        (TrackOptions, "bridge", 10**20),
        pytest.param(TrackOptions, "bridge", 10**5000, id="thousands of digits"),
        (TrackOptions, "frames", ["1"]),
        (TrackOptions, "frames", b"1"),
        (TrackOptions, "frames", "1\0"),
        (QualityOptions, "mouth", float("nan")),
        (QualityOptions, "mouth", float("-inf")),
        (ApplyOptions, "shots", {"a": 1}),
    ],
)
def test_values_that_no_record_could_hold_are_refused(
    settings: type, name: str, value: object
) -> None:
    with pytest.raises(OptionError):
        parse(settings, {name: value})


def _npy(shape: str, kind: str = "'<f4'", data: bytes = b"") -> bytes:
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(
    "array",
    [
        _npy("(-1,)", data=bytes(400)),
        _npy("(-1, -1)", data=bytes(400)),
        _npy("(True,)", data=bytes(4)),
        _npy(f"(0, {10**30})"),
        _npy("(3,)", "'<U0'"),
        _npy("(3,)", "'|V0'"),
        _npy("(2,)", "('<f4', (3,))", bytes(24)),
        _npy("(2,", data=bytes(8)),
    ],
)
def test_an_array_whose_header_lies_is_told(tmp_path: Path, array: bytes) -> None:
    path = tmp_path / "track.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("poses.npy", array)
    with pytest.raises(ShotError):
        ForeignArrays(path).numbers("poses")


def test_bytes_changed_in_an_archive_of_arrays_are_told(tmp_path: Path) -> None:
    whole, path = io.BytesIO(), tmp_path / "track.npz"
    np.savez_compressed(whole, poses=np.arange(825.0).reshape(5, 165), trans=np.ones((5, 3)))
    generator = random.Random(1)
    for _ in range(300):
        changed = bytearray(whole.getvalue())
        for _ in range(generator.choice((1, 2, 8))):
            changed[generator.randrange(len(changed))] = generator.randrange(256)
        path.write_bytes(changed)
        try:
            found = ForeignArrays(path)
            for name in found:
                found.numbers(name)
        except PortraitError:
            continue


def test_a_frame_number_that_no_integer_holds_is_none(tmp_path: Path) -> None:
    for name in ("f" + "9" * 30, "f1"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "exp.npy", np.zeros(3))
    assert ForeignArrays(tmp_path).numbers("exp").shape == (2, 3)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def test_a_small_picture_that_says_it_is_huge_is_not_decoded(tmp_path: Path) -> None:
    side = 20_000
    pack = zlib.compressobj(9)
    rows = b"".join(pack.compress(bytes(1 + 3 * side)) for _ in range(64)) + pack.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", rows)
    (tmp_path / "0001.png").write_bytes(png + _chunk(b"IEND", b""))
    assert read_codes(tmp_path / "0001.png") is None
    flags = [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    jpeg = bytearray(cv2.imencode(".jpg", np.zeros((8, 16, 3), np.uint8), flags)[1].tobytes())
    (tmp_path / "0002.jpg").write_bytes(jpeg)
    small = read_codes(tmp_path / "0002.jpg")
    assert small is not None and small.shape == (8, 16, 3)
    at = jpeg.index(b"\xff\xc2") + 5
    jpeg[at : at + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "0002.jpg").write_bytes(jpeg)
    assert read_codes(tmp_path / "0002.jpg") is None


def test_pictures_are_found_by_the_numbers_that_frames_have(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    for stem in ("-003", "0002", "²", "x", "9" * 200):
        (tmp_path / "keys" / f"{stem}.png").write_bytes(b"x")
        (tmp_path / f"{stem}.png").write_bytes(b"x")
        (tmp_path / f"{stem}.base.png").write_bytes(b"x")
    assert KeptKeys(tmp_path).frames == [-3, 2]
    assert PaintedFrames(tmp_path).frames == [-3, 2]


def test_a_name_begins_no_line_of_its_own() -> None:
    assert "\n" not in printable("shot\nopenjd_fail: gone\r\u2028\x1b[2J")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes among its files")
def test_pipes_on_the_command_line_are_not_waited_for(
    shot: Path, tmp_path: Path, portraitgen: Portraitgen
) -> None:
    names = {}
    for suffix in (".pkl", ".png", ".json", ".npz"):
        os.mkfifo(tmp_path / f"pipe{suffix}")
        names[suffix[1:]] = tmp_path / f"pipe{suffix}"
    (tmp_path / "whole.exr").write_bytes(b"x")
    os.mkfifo(tmp_path / "whole.exr.c2pa")
    for words in (
        ("convert-track", names["pkl"], tmp_path / "out.npz"),
        ("verify", names["png"]),
        ("verify", tmp_path / "whole.exr"),
        ("movie", shot, "--take", "toon", "--path-mapping", names["json"]),
        ("import-track", shot, tmp_path / "none.npz", "--smplx-model", names["npz"]),
    ):
        done = portraitgen(*words)
        assert done.returncode in (1, 2) and "Traceback" not in done.stderr, done.stderr


def test_links_that_lead_round_in_a_circle_are_told(shot: Path, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    asked = {"take": "toon", "shots": json.dumps([str(tmp_path / "loop"), "~nobody-here/shot"])}
    with pytest.raises(PortraitError) as told:
        run("apply", shot, asked, Reporter())
    assert not isinstance(readable(told.value), ProgramFault)


def test_a_claim_that_names_its_frames_over_and_over_keeps_nobody_waiting() -> None:
    told = ",".join(["1-1000000"] * 1000)
    claim = Claim("frames:a", "render", (1, 1_000_000), "x", "x", 1, told)
    begun = time.process_time()
    assert len(claim.listed()) == 1_000_000
    assert time.process_time() - begun < 20


def test_silent_holders_are_watched_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shot that was copied while ten machines worked on it keeps nobody waiting ten times."""
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr("portraitgen.locks.time.monotonic", lambda: now)
    monkeypatch.setattr("portraitgen.locks.time.sleep", sleep)
    for number in range(10):
        claim = Claim("track", "track", None, "x", f"machine{number}", 1, "", "boot", "space", "1")
        write_json(tmp_path / f"{number}.json", claim.to_json())
    with Lock(tmp_path, "track", "track", None, Waiting()):
        assert now < 70


def test_a_list_that_is_not_there_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for action in ("run", "show", "retry", "clear", "pause"):
        status, said = told_by(capsys, "queue", action, tmp_path / "typo.json")
        assert status == 2 and "no such list" in said


@pytest.mark.parametrize(
    "words",
    [
        ("--edit-option", "nosuch=1"),
        ("--render-option", "detail=nan"),
        ("--render-option", "frames=1"),
        ("--editor", "nosuch", "--stages", "edit"),
        ("--editor", "toon", "--stages", "edit", "--set", "nosuch=1"),
        ("--chunk", "5000"),
        ("--gpus", "-1"),
        ("--name", "{{Param.Models}}"),
    ],
)
def test_a_bundle_that_no_farm_could_run_is_not_written(
    shot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    told_by(capsys, "bundle", shot, "--take", "toon", "--out", tmp_path / "job", *words)
    assert not (tmp_path / "job").exists()


def test_a_take_of_a_bundle_has_a_name_that_takes_can_have(
    shot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for take in ("../x", "{{Param.Models}}", "con", "TOON"):
        _, said = told_by(capsys, "bundle", shot, "--take", take, "--out", tmp_path / "job")
        assert "take" in said
    assert not (tmp_path / "job").exists()


@pytest.mark.skipif(os.name != "posix", reason="closes streams as POSIX does")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_lead_nowhere(shot: Path, closed: str) -> None:
    words = f'"{sys.executable}" -m portraitgen info "{shot}" {closed}'
    done = subprocess.run(["sh", "-c", words], env=environment(), timeout=120, check=False)
    assert done.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="names are text to other systems")
def test_a_folder_whose_name_is_no_utf_8_takes_every_job(
    made: Path, tmp_path: Path, portraitgen: Portraitgen
) -> None:
    shot = copy_of(made, tmp_path / os.fsdecode(b"M\xfcller\nshot"))
    render = run("render", shot, {"take": "toon", "plate": True, "detail": 0.2}, Reporter()).told()
    for kind in ("qc", "movie"):
        run(kind, shot, {"take": "toon"}, Reporter())
    run("deliver", shot, {"take": "toon", "out": str(shot / "out")}, Reporter())
    run("edit", shot, EDIT | {"steps": 1}, Reporter())
    track, body = Track(Shot.open(shot)), body_of(Shot.open(shot))
    acting = shot / "takes" / "toon" / "acting.safetensors"
    Acting.none(body, track.frames).save(acting, track, body)
    assert load_acting(acting, body)
    assert len(list((Path(render["folder"]).parent / "plates").iterdir())) == 5
    # In a process of its own: OpenCV ends the one that it is given such letters in.
    done = portraitgen("report", shot)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "words", [("info", "--json"), ("render", "--take", "none", "--events"), ("info",)]
)
def test_a_reader_that_has_gone_leaves_no_trace(shot: Path, words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "portraitgen", words[0], str(shot), *words[1:]]
    done = subprocess.run(
        command, env=environment(), stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_machines_read_json_whatever_the_terminal_writes(made: Path, tmp_path: Path) -> None:
    shot = tmp_path / "Größe ☃ 𝄞"
    shot.mkdir()
    (shot / "shot.json").write_bytes((made / "shot.json").read_bytes())
    for encoding in ("ascii", "cp1252", "utf-8"):
        for words in (("--json",), ()):
            done = subprocess.run(
                [sys.executable, "-m", "portraitgen", "info", str(shot), *words],
                env=environment(PYTHONIOENCODING=encoding, PYTHONUTF8="0"),
                capture_output=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            if words:
                assert json.loads(done.stdout.decode(encoding))["path"] == str(shot)


NOBODY = """
import os, stat, sys
import numba.core.caching as caching
# As in an installation that cannot be written to, by a user without a home.
caching.CacheImpl._locator_classes = [caching.UserProvidedCacheLocator]
import os.path
os.path.expanduser = lambda text: text
from portraitgen import api
from portraitgen.cli import main
main(sys.argv[1:])
"""


def test_a_user_without_a_home_works_in_an_installation_that_cannot_be_written() -> None:
    names = ("HOME", "NUMBA_CACHE_DIR", "PORTRAITGEN_CACHE", "XDG_CACHE_HOME")
    done = subprocess.run(
        [sys.executable, "-c", NOBODY, "editors"],
        env={name: each for name, each in environment().items() if name not in names},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("fps", ["1e999999999", "9" * 4000 + "/1", "inf", "1/0", "-5/1", "", " 25"])
def test_a_rate_that_only_an_exponent_can_write_is_no_rate(
    shot: Path, tmp_path: Path, fps: str
) -> None:
    path = shot / "shot.json"
    facts = read_json(path)
    write_json(path, facts | {"footage": facts["footage"] | {"fps": fps}})
    with pytest.raises(ShotError, match=r"footage\.fps"):
        Shot.open(shot)
    with pytest.raises(PortraitError):
        create_shot(tmp_path / "new", CLIP, {"fps": fps.strip() + "e9"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("first", "x"),
        ("first", 1.5),
        ("first", 10**30),
        ("first", True),
        ("first", [1]),
        ("fps", 10**9),
        ("fps", 10**400),
        ("colour_space", ["x"]),
        ("matrix", [1]),
        ("part", {}),
        ("deinterlace", "x"),
        ("nosuch", 1),
    ],
)
def test_facts_of_a_plate_that_no_shot_could_hold_are_refused(
    tmp_path: Path, name: str, value: object
) -> None:
    with pytest.raises(PortraitError):
        create_shot(tmp_path / "new", CLIP, {name: value})
    assert not (tmp_path / "new").exists()


def test_scripts_are_told_in_our_words(shot: Path) -> None:
    """`PortraitError` is all that a script has to expect."""
    opened = api.Shot.open(shot)
    for options in ({"camera": str(shot / "none.json")}, {"camera": str(shot)}):
        with pytest.raises(PortraitError):
            opened.render("toon", frames="2", **options)
    for wrong in (object(), [1], "x", {"tones": object()}):
        with pytest.raises(OptionError):
            opened.edit("new", "toon", wrong)  # type: ignore[arg-type]
    with pytest.raises(PortraitError):
        opened.edit("\ud800", "toon")
    assert not (shot / "takes" / "new").exists()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("value", "id"), [("1e300", "1"), ("0", "nan"), ("0", "1e30")])
def test_splats_of_numbers_that_do_not_fit_warn_nobody(tmp_path: Path, value: str, id: str) -> None:
    names = "x y z f_dc_0 f_dc_1 f_dc_2 opacity scale_0 scale_1 scale_2 rot_0 rot_1 rot_2 rot_3 id"
    header = "ply\nformat ascii 1.0\nelement vertex 1\n"
    header += "".join(f"property double {name}\n" for name in names.split()) + "end_header\n"
    path = tmp_path / "splats.ply"
    path.write_text(f"{header}{value} {'0 ' * 9}1 0 0 0 {id}\n")
    found = read_ply(path)
    assert found.ids is not None and np.isfinite(found.positions).all() == (value == "0")


@pytest.mark.parametrize(
    "name",
    ["avatar/0001/avatar.safetensors", "takes/toon/edits/0001/avatar.safetensors"]
    + ["track/0002/params.safetensors", "takes/toon/renders/v001/frames/toon.0002.png"],
)
def test_a_file_that_is_a_hole_of_terabytes_keeps_nobody_waiting(shot: Path, name: str) -> None:
    try:
        os.truncate(shot / name, 3 << 40)
    except OSError:
        pytest.skip("this file system holds no such file")
    begun = time.monotonic()
    with suppress(PortraitError):
        run("render", shot, {"take": "toon", "frames": "2", "movie": False}, Reporter())
    info(Shot.open(shot))
    assert time.monotonic() - begun < 60


@pytest.mark.skipif(sys.platform != "linux", reason="plays other systems on Linux")
@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_jobs_need_nothing_that_another_system_has_not_got(shot: Path, system: str) -> None:
    if system == "darwin" and not os.environ.get("PORTRAITGEN_ATTACKS"):
        pytest.skip("takes long; PORTRAITGEN_ATTACKS asks for it")
    commands = (
        ("edit", shot, "--take", "toon", "--editor", "toon", "--steps", "1", "--keys", "1"),
        ("render", shot, "--take", "toon", "--frames", "2", "--plate"),
        ("keep", shot, "--take", "toon", "--frame", "3"),
        ("info", shot),
    )
    words = [str(word) for command in commands for word in ("and", *command)][1:]
    script = Path(__file__).with_name("other_system.py")
    done = subprocess.run(
        [sys.executable, str(script), system, *words],
        env=environment(PYTHONIOENCODING="cp1252", LOCALAPPDATA=os.environ.get("TMPDIR", "/tmp")),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "Traceback" not in done.stderr and done.stdout.count("running") == len(commands)
    assert Shot.open(shot).edit_folder("toon").name == "0002"
    assert not list((shot / "locks").glob("*.json"))


def nest(folder: Path, depth: int = 1050) -> None:
    """Folders in each other, more than Python's own walk bears and a path can name."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("aaaa", dir_fd=handle)
        inner = os.open("aaaa", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(handle)


@pytest.mark.skipif(os.mkdir not in os.supports_dir_fd, reason="paths alone make no such folders")
def test_folders_that_are_nested_without_end_stop_nothing(shot: Path) -> None:
    (done,) = (shot / "jobs").glob("*-track-*")
    nest(done / "work" / "deep")
    nest(shot / "trash" / "a", 60)
    run("render", shot, {"take": "toon", "frames": "2", "movie": False}, Reporter())
    assert not (done / "work").exists()
    opened = Shot.open(shot)
    assert [each.name for each in leftovers(opened)] == ["trash"]
    remove(leftovers(opened))
    assert leftovers(opened) == [] and not any((shot / "trash").iterdir())
    # What would be taken into an edit is refused.
    start_painting(opened, "toon", 2, mask=True)
    nest(shot / "takes" / "toon" / "mask" / "deep", 60)
    with pytest.raises(ShotError, match="nested too deeply"):
        run("edit", shot, EDIT | {"steps": 1}, Reporter())
