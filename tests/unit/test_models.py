# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where weights are found, when they are refused, and how they are fetched from a local server."""

import dataclasses
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from conftest import Command
from safetensors.torch import load_file

from portraitgen.errors import ModelError
from portraitgen.models.fetch import fetch
from portraitgen.models.manifest import Model, ModelFile, models, read_manifest
from portraitgen.models.store import find_weights, refuse_pickle, state_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    monkeypatch.setenv("PORTRAITGEN_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("PORTRAITGEN_COMMERCIAL", raising=False)
    return tmp_path / "models"


@dataclass
class Server:
    """A hub of one repository: its files, and how many bytes an answer may hold."""

    files: dict[str, bytes] = field(default_factory=dict)
    limit: int | None = None
    refused: int = 0
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    address: str = ""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if state.refused:
                self.send_error(state.refused)
                return
            if path.startswith("/api/models/"):
                siblings = [
                    {
                        "rfilename": name,
                        "size": len(data),
                        "lfs": {
                            "oid": hashlib.sha256(data).hexdigest(),
                            "sha256": hashlib.sha256(data).hexdigest(),
                            "size": len(data),
                            "pointerSize": 1,
                        },
                    }
                    for name, data in state.files.items()
                ]
                facts = {"id": "studio/tiny", "sha": COMMIT, "siblings": siblings}
                self._send(json.dumps(facts).encode(), {"Content-Type": "application/json"})
                return
            name = re.sub(f"^/studio/tiny/resolve/{COMMIT}/", "", path).lstrip("/")
            if name not in state.files:
                self.send_error(404)
                return
            data = state.files[name]
            asked = self.headers.get("Range")
            if self.command == "GET":
                state.asked.append((name, asked))
            headers = {
                "ETag": f'"{hashlib.sha256(data).hexdigest()}"',
                "X-Repo-Commit": COMMIT,
                "X-Linked-Size": str(len(data)),
            }
            first = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
            self._send(data[first:], headers, 206 if asked else 200)

        def _send(self, body: bytes, headers: dict[str, str], status: int = 200) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body[: state.limit])
                if state.limit is not None and len(body) > state.limit:
                    self.close_connection = True

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    state.address = f"http://127.0.0.1:{http.server_port}"
    yield state
    http.shutdown()
    http.server_close()


def single(server: Server, data: bytes = b"weights", **changes: object) -> Model:
    """A model of one file on the server's hub."""
    server.files["light.safetensors"] = data
    model = dataclasses.replace(
        models()["ic-light-fc"],
        name="light",
        repository="studio/tiny",
        revision="main",
        patterns=("light.safetensors",),
        files=(ModelFile("light.safetensors"),),
    )
    return dataclasses.replace(model, **changes)


def silent(name: str, done: int, total: int) -> None:
    pass


def test_the_manifest_names_source_and_licence_of_everything() -> None:
    for model in models().values():
        assert model.licence and model.licence_url.startswith("https://")
        assert bool(model.repository) != bool(model.url)
        assert model.layout in ("diffusers", "file", "torchvision")
        assert (model.layout == "diffusers") == bool(model.pipelines)
        for file in model.files:
            assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
            assert file.sha256 or model.repository, "a file of no hub needs a digest"


def test_a_newer_manifest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text('{"schema": 2, "models": []}')
    with pytest.raises(ModelError, match="schema 2.*update"):
        read_manifest(path)


def test_a_missing_model_says_where_to_put_it(folder: Path) -> None:
    with pytest.raises(ModelError, match=rf"{folder}.*models fetch ic-light-fc"):
        find_weights("ic-light-fc")


def test_a_model_in_the_cache_of_hugging_face_is_found(folder: Path, tmp_path: Path) -> None:
    model = models()["ic-light-fc"]
    snapshot = tmp_path / "cache" / "models--lllyasviel--ic-light" / "snapshots" / model.revision
    snapshot.mkdir(parents=True)
    (snapshot / model.files[0].path).write_bytes(b"weights")
    assert find_weights("ic-light-fc").path == snapshot / model.files[0].path


def test_a_pickle_is_refused_wherever_it_lies(folder: Path, tmp_path: Path) -> None:
    (folder / "ic-light-fc").mkdir(parents=True)
    (folder / "ic-light-fc" / "iclight_sd15_fc.ckpt").write_bytes(b"\x80\x04")
    with pytest.raises(ModelError, match="pickled"):
        find_weights("ic-light-fc")
    with pytest.raises(ModelError, match="pickled"):
        refuse_pickle(tmp_path / "own.pth")


def test_weights_of_the_users_own_are_commercial_only_if_they_say_so(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    assert not find_weights(str(own)).commercial
    record = {"licence": "ours", "commercial": True}
    (own / "portraitgen-model.json").write_text(json.dumps(record))
    found = find_weights(str(own))
    assert found.commercial and found.licence == "ours"


def test_a_fetched_model_is_verified_and_remembered(server: Server, folder: Path) -> None:
    model = single(server)
    server.files["notes.md"] = b"not asked for"
    assert fetch(model, silent, server.address) == folder / "light"
    record = json.loads((folder / "light" / "portraitgen-model.json").read_text())
    assert record["revision"] == COMMIT
    assert record["files"][0]["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert not (folder / "light" / "notes.md").exists()
    assert state_of(model, digests=True).state == "ok"
    (folder / "light" / "light.safetensors").write_bytes(b"weightz")
    row = state_of(model, digests=True)
    assert row.state == "damaged" and "sha256" in row.message


def test_a_model_that_is_there_is_never_overwritten(server: Server, folder: Path) -> None:
    (folder / "light").mkdir(parents=True)
    with pytest.raises(ModelError, match="there already"):
        fetch(single(server), silent, server.address)


def test_what_differs_from_the_manifest_is_refused(server: Server, folder: Path) -> None:
    model = single(server, files=(ModelFile("light.safetensors", None, "0" * 64),))
    with pytest.raises(ModelError, match="another file"):
        fetch(model, silent, server.address)
    assert not (folder / "light").exists()


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_model_asks_for_a_token(server: Server, folder: Path, status: int) -> None:
    server.refused = status
    with pytest.raises(ModelError, match="accepted its terms.*set it as HF_TOKEN"):
        fetch(single(server), silent, server.address)


def test_without_a_connection_the_fetch_says_so(server: Server, folder: Path) -> None:
    with pytest.raises(ModelError, match="did not give it"):
        fetch(single(server, repository="studio/none"), silent, "http://127.0.0.1:9")


def test_no_commercial_use_is_not_fetched_where_it_is_needed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTRAITGEN_COMMERCIAL", "1")
    with pytest.raises(ModelError, match="no commercial use"):
        fetch(single(server, commercial=False), silent, server.address)
    assert not server.asked


def vision(server: Server, tmp_path: Path) -> Model:
    """Torchvision's file of a network of one convolution."""
    path = tmp_path / "vgg.pth"
    weight = torch.arange(6.0).view(2, 3)
    torch.save({"features.0.weight": weight, "classifier.0.weight": weight}, path)
    data = path.read_bytes()
    server.files["vgg.pth"] = data
    known = ModelFile("vgg.pth", len(data), hashlib.sha256(data).hexdigest())
    return dataclasses.replace(
        models()["vgg19"], name="vgg", url=f"{server.address}/vgg.pth", files=(known,)
    )


def test_a_broken_download_goes_on_and_becomes_safetensors(
    server: Server, folder: Path, tmp_path: Path
) -> None:
    model = vision(server, tmp_path)
    server.limit = 500
    with pytest.raises(ModelError, match="500 bytes"):
        fetch(model, silent)
    server.limit = None
    fetch(model, silent)
    assert server.asked[-1] == ("vgg.pth", "bytes=500-")
    assert list(load_file(folder / "vgg" / "vgg.safetensors")) == ["features.0.weight"]
    assert not (folder / "vgg" / "vgg.pth").exists()


def test_a_download_of_another_file_is_thrown_away(
    server: Server, folder: Path, tmp_path: Path
) -> None:
    model = vision(server, tmp_path)
    server.files["vgg.pth"] = bytes(len(server.files["vgg.pth"]))
    with pytest.raises(ModelError, match="sha256"):
        fetch(model, silent)
    assert not list(folder.rglob("*.pth"))


def test_a_file_of_torchvision_that_the_user_brings_is_converted_offline(
    server: Server, folder: Path, tmp_path: Path
) -> None:
    model = vision(server, tmp_path)
    (folder / "vgg").mkdir(parents=True)
    (folder / "vgg" / "vgg.pth").write_bytes(server.files["vgg.pth"])
    fetch(model, silent)
    assert not server.asked
    assert (folder / "vgg" / "vgg.safetensors").is_file()


def test_the_command_lists_and_checks(
    portraitgen: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = json.loads(portraitgen("models", "list", "--json", "--models", folder).stdout)
    assert {row["state"] for row in listed} == {"missing"}
    assert "NO COMMERCIAL USE" in portraitgen("models", "list").stdout
    assert portraitgen("models", "check").returncode == 0
    failed = portraitgen("models", "check", "vgg19")
    assert failed.returncode == 1 and "vgg19" in failed.stderr
    assert "no such model" in portraitgen("models", "fetch", "vgg99").stderr
