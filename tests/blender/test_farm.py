# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A take goes to a farm, and its frames come back into the strip, from whichever machine."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import bpy
import pytest
from conftest import module, plate_strip, trim


@pytest.fixture
def shot(tmp_path: Path, until: Callable[..., None]) -> Any:
    scene = bpy.context.scene
    trim(plate_strip(scene, 101), 103, 109)
    bpy.ops.portraitgen.new_shot(folder=str(tmp_path / "shot"))
    until(lambda: len(scene.portraitgen.shots))
    shot = scene.portraitgen.shots[0]
    bpy.ops.portraitgen.take_add(editor="grade")
    shot.take.strength = 0.5
    return shot


@pytest.fixture
def online() -> Iterator[None]:
    settings = bpy.context.preferences.system
    before = settings.use_online_access
    settings.use_online_access = True
    yield
    settings.use_online_access = before


def test_a_bundle_is_written_with_the_takes_own_settings(
    shot: Any, tmp_path: Path, session: Any, until: Callable[..., None]
) -> None:
    out = tmp_path / "job"
    shot.settings_qc.strict, shot.settings_qc.flicker = True, 1.5
    sent = bpy.ops.portraitgen.send_to_farm(target="FOLDER", folder=str(out), quality=True)
    assert sent == {"FINISHED"}
    until(lambda: shot.take.watched)
    template = json.loads((out / "template.json").read_text())
    args = {
        step["name"].rpartition(": ")[2]: step["script"]["actions"]["onRun"]["args"]
        for step in template["steps"]
    }
    assert list(args) == ["track", "reconstruct", "edit", "render", "movie", "qc"]
    assert "--strict" in args["qc"] and "--flicker=1.5" in args["qc"]
    assert "--frames=3-8" in args["track"] and "--plate" in args["render"]
    assert args["edit"][args["edit"].index("--editor") + 1] == "grade"
    assert "--strength=0.5" in args["edit"]
    values = json.loads((out / "openjd_parameters.json").read_text())
    assert values["Shot1"] == str(shot.path)
    bpy.ops.portraitgen.watch_frames()
    assert not shot.take.watched


class Manager(BaseHTTPRequestHandler):
    """As Flamenco's answers."""

    jobs: list[dict[str, Any]] = []
    refuse = False
    raw: list[bytes] = []
    """What is answered instead, one after the other, as it goes over the wire."""

    def _answer(self, code: int, data: object) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(data).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.raw and (said := self.raw.pop(0)):
            self.wfile.write(said)
            return
        if self.refuse:
            self._answer(412, {"code": 412, "message": "job type <unknown>\x1b"})
            return
        self.jobs.append(body)
        self._answer(200, {"id": "a/b", "name": body["name"], "status": "queued"})

    def do_GET(self) -> None:
        if self.raw:
            self.wfile.write(self.raw[0])
            return
        assert self.path.startswith("/api/v3/jobs/a%2Fb")
        if self.path.endswith("/tasks"):
            states = ["completed", "completed", "failed"]
            self._answer(200, {"tasks": [{"status": each} for each in states]})
        else:
            self._answer(200, {"status": "failed"})

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def manager() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Manager)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    Manager.jobs, Manager.refuse, Manager.raw = [], False, []
    farm = module("portraitgen_addon.farm").farm
    farm.jobs, farm.error = [], None
    settings = module("portraitgen_addon.preferences").get()
    settings.flamenco_manager = f"http://127.0.0.1:{server.server_port}/"
    yield settings.flamenco_manager
    settings.flamenco_manager = ""
    module("portraitgen_addon.farm").end()
    server.shutdown()
    server.server_close()


def test_flamenco_takes_a_job_only_where_blender_is_online(
    shot: Any, tmp_path: Path, manager: str
) -> None:
    bpy.context.preferences.system.use_online_access = False
    with pytest.raises(RuntimeError, match="Blender is offline"):
        bpy.ops.portraitgen.send_to_farm(target="FLAMENCO", folder=str(tmp_path / "job"))
    assert not Manager.jobs and not (tmp_path / "job").exists()


def test_a_job_of_flamencos_is_followed_to_its_end(
    shot: Any, tmp_path: Path, manager: str, online: None, until: Callable[..., None]
) -> None:
    farm = module("portraitgen_addon.farm")
    farm._EVERY = 0.05
    out = str(tmp_path / "job")
    bpy.ops.portraitgen.send_to_farm(target="FLAMENCO", folder=out)
    until(lambda: farm.farm.jobs and farm.farm.jobs[0].over)
    assert Manager.jobs[0]["type"] == "portraitgen"
    assert Manager.jobs[0]["settings"]["frames"] == "3-8"
    assert str(farm.farm.jobs[0]).endswith("failed, 2 of 3 tasks")
    Manager.refuse = True
    bpy.ops.portraitgen.send_to_farm(target="FLAMENCO", folder=out)
    until(lambda: farm.farm.error)
    assert "refused the job" in str(farm.farm.error) and "\x1b" not in str(farm.farm.error)
    assert "portraitgen.js" in farm.farm.error.remedy


ODD = [
    b"",
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n<html>a router's page</html>",
    b"HTTP/1.1 200 OK\r\n\r\n[]",
    b"HTTP/1.1 200 OK\r\n\r\n{}",
    b'HTTP/1.1 200 OK\r\n\r\n{"id": 5}',
    b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000,
    b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (5 << 20),
    b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n",
    b"HTTP/1.1 500 Oops\r\nContent-Length: 9\r\n\r\n",
]


@pytest.mark.parametrize("said", ODD, ids=lambda said: said[:40].decode() or "nothing")
def test_what_is_no_manager_is_told_in_a_sentence(
    shot: Any, tmp_path: Path, manager: str, online: None, until: Callable[..., None], said: bytes
) -> None:
    """A thread that met another protocol ended without a word; a job without an id was followed."""
    farm = module("portraitgen_addon.farm")
    Manager.raw = [said] if said else [b" "]
    bpy.ops.portraitgen.send_to_farm(target="FLAMENCO", folder=str(tmp_path / "job"))
    until(lambda: farm.farm.error)
    told = str(farm.farm.error)
    assert "Manager" in told and not farm.farm.jobs and not farm.farm.sending
    assert told.isprintable() and len(told) < 700


def test_jobs_that_were_taken_before_one_was_not_are_followed(
    manager: str, until: Callable[..., None], tmp_path: Path
) -> None:
    """They were forgotten, and sent a second time by who tried again."""
    farm = module("portraitgen_addon.farm")
    farm._EVERY = 0.05
    files = [tmp_path / f"{name}.json" for name in ("one", "two", "three")]
    for file in files:
        file.write_text(json.dumps({"name": file.stem}))
    Manager.raw = [b"", b"HTTP/1.1 412 No\r\n\r\nno room\x1b"]
    farm.send_to_flamenco(manager, files)
    until(lambda: farm.farm.error)
    assert "1 of 3 jobs were sent before (one)" in str(farm.farm.error)
    assert "(no room\\x1b)" in str(farm.farm.error)
    until(lambda: farm.farm.jobs[0].over)
    assert [job["name"] for job in Manager.jobs] == ["one"]


def test_a_job_that_was_deleted_at_the_manager_is_followed_no_more(
    manager: str, until: Callable[..., None], tmp_path: Path
) -> None:
    farm = module("portraitgen_addon.farm")
    farm._EVERY = 0.05
    (tmp_path / "one.json").write_text('{"name": "one"}')
    farm.send_to_flamenco(manager, [tmp_path / "one.json"])
    until(lambda: farm.farm.jobs)
    Manager.raw = [b"BROKEN\r\n"]
    until(lambda: farm.farm.jobs[0].error)
    assert "does not answer" in farm.farm.jobs[0].error
    Manager.raw = [b"HTTP/1.1 404 Gone\r\n\r\n"]
    until(lambda: farm.farm.jobs[0].over)
    assert str(farm.farm.jobs[0]).startswith("one: gone") and not farm.farm.jobs[0].error


@pytest.mark.parametrize(
    "manager",
    ["farm:8080", "ftp://farm", "http://", "http://[", "http://farm:99999", "http://farm:a",
     "http://me:secret@farm:8080", "http://my farm", "http://farm:0", "http://farm\x00"],
)  # fmt: skip
def test_addresses_that_are_none_are_refused_before_anything_is_written(
    shot: Any, tmp_path: Path, online: None, manager: str
) -> None:
    settings = module("portraitgen_addon.preferences").get()
    farm = module("portraitgen_addon.farm")
    with pytest.raises(module("portraitgen_addon.farm").PortraitError, match="is no address"):
        farm.address_of(manager)
    settings.flamenco_manager = manager.replace("\x00", "@")
    with pytest.raises(RuntimeError, match="is no address"):
        bpy.ops.portraitgen.send_to_farm(target="FLAMENCO", folder=str(tmp_path / "job"))
    settings.flamenco_manager = ""
    assert not (tmp_path / "job").exists()


def test_a_dialog_of_deadlines_that_fails_says_so(
    tmp_path: Path, until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    farm = module("portraitgen_addon.farm")
    program = tmp_path / "deadline"
    program.write_text("#!/bin/sh\necho 'No module named PySide6' >&2; exit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(farm, "deadline", lambda: str(program))
    farm.open_deadline(tmp_path)
    until(lambda: farm.farm.error)
    assert "No module named PySide6" in str(farm.farm.error)


def test_frames_from_other_machines_appear_as_they_arrive(shot: Any) -> None:
    watch = module("portraitgen_addon.frame_watch")
    name = shot.take.folder_name
    home = shot.path / "takes" / name
    image = bpy.data.images.new("frame", 16, 16)
    image.file_format = "PNG"

    def arrive(frame: int, whole: bool = True, version: str = "v001") -> None:
        folder = home / "renders" / version
        for each in ("frames", "plates"):
            (folder / each).mkdir(parents=True, exist_ok=True)
        image.save(filepath=str(folder / "plates" / f"{name}.{frame:04d}.png"))
        if whole:
            (folder / "frames" / f"{name}.{frame:04d}.exr").write_bytes(b"")

    strips = module("portraitgen_addon.sequencer").take_strips
    shot.take.watched = True
    assert watch.look() == 0
    arrive(3)
    arrive(4)
    arrive(5, whole=False)
    assert watch.look() == 2 and watch.look() == 0
    (strip,) = strips(bpy.context.scene, shot.shot_id, name)
    assert len(strip.elements) == 2 and strip["portraitgen_render"] == 1
    for frame in (5, 6, 7, 8):
        arrive(frame)
    assert watch.look() == 4 and len(strip.elements) == 6
    assert not shot.take.watched, "all has come"
    # A farm renders the next version: what is whole already is not what is waited for.
    bpy.ops.portraitgen.watch_frames()
    assert watch.look() == 0 and shot.take.watched
    arrive(5, version="v002")
    (home / "renders" / "v002" / "render.json").write_text(
        '{"schema": 1, "created": "2026", "inputs": "b", "rendered": "2026"}'
    )
    assert watch.look() == 1 and shot.take.watched and strip["portraitgen_render"] == 2
    assert module("portraitgen_addon.sequencer").shows_others(strip) == [0, 1, 3, 4, 5]
