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

    def _answer(self, code: int, data: object) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(data).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.refuse:
            self._answer(412, {"code": 412, "message": "job type <unknown>\x1b"})
            return
        self.jobs.append(body)
        self._answer(200, {"id": "a/b", "name": body["name"], "status": "queued"})

    def do_GET(self) -> None:
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
    Manager.jobs, Manager.refuse = [], False
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
