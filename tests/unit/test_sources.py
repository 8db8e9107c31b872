# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages from mirrors, proxies and folders: bundles, environments, and what is said when not."""

import contextlib
import hashlib
import http.server
import importlib.util
import json
import os
import socket
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from portraitgen import requirements
from portraitgen.requirements import bundle
from portraitgen.requirements.sources import Source, SourceError

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from portraitgen_addon import environment  # noqa: E402

LINUX, WINDOWS = requirements.named("linux"), requirements.named("windows")
HERE = requirements.this_python()


def wheel(folder: Path, name: str, version: str, tag: str, **files: str) -> Path:
    """A wheel with a few files in it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    texts = {file.replace("__", "/") + ".py": text for file, text in files.items()} | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in texts.items():
            # Without the time of day: one that is made twice is one.
            archive.writestr(zipfile.ZipInfo(inside), text)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Studio:
    """A studio's index as a folder, and a lock of small packages to go with it."""

    def __init__(self, folder: Path) -> None:
        self.index = folder / "simple"
        self.lock = folder / "lock"
        self.lock.mkdir()
        self.backend = wheel(folder / "own", "portraitgen", "0.1.0", "py3-none-any",
                             portraitgen____init__="", portraitgen__worker="")  # fmt: skip
        tag = "manylinux_2_17_x86_64"
        self.put("packages", "small_one", "1.0", "py3-none-any", small="one = 1")
        self.put("packages", "compiled.two", "2.0", f"cp3{HERE[2:]}-cp3{HERE[2:]}-{tag}")
        self.put("packages", "compiled.two", "2.0", "cp312-cp312-win_amd64")
        self.put("torch-cpu", "torch", "2.0", "py3-none-any", torch="__version__ = '2.0'")
        self.put("torch-cuda", "torch", "2.0", "py3-none-any", torch="__version__ = '2.0'")
        self.put("cuda", "small_three", "3.0", "py3-none-any", three="")
        self.put("checks", "uv", "1.0", f"py3-none-{tag}")
        self.put("checks", "uv", "1.0", "py3-none-win_amd64")
        sizes = {part: {"linux": 1, "windows": 1, "macos": 1} for part in
                 ("packages", "torch-cpu", "torch-cuda", "cuda", "checks")}  # fmt: skip
        (self.lock / "downloads.json").write_text(json.dumps(sizes))

    @property
    def source(self) -> Source:
        return Source(index=self.index.as_uri(), pytorch=self.index.as_uri() + "/")

    def put(self, part: str, name: str, version: str, tag: str, **files: str) -> None:
        """Adds a wheel to the index and to a file of the lock."""
        plain = name.replace("_", "-")
        path = wheel(self.index / plain, name, version, tag, **files)
        page = self.index / plain / "index.html"
        text = page.read_text() if page.exists() else ""
        page.write_text(f'{text}<a href="{path.name}#sha256={sha256(path)}">{path.name}</a>\n')
        file = self.lock / f"{part}.txt"
        text = file.read_text() if file.exists() else ""
        head = f"{plain}=={version}"
        if head in text:
            text = text.replace(f"{head} \\\n", f"{head} \\\n    --hash=sha256:{sha256(path)} \\\n")
        else:
            text += f"{head} \\\n    --hash=sha256:{sha256(path)}\n"
        file.write_text(text)


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    studio = Studio(tmp_path)
    monkeypatch.setattr(requirements, "FOLDER", studio.lock)
    # PyTorch's builds come from its own index by their system; here one index has all.
    for name in ("cpu", "cu130"):
        (studio.index / name).symlink_to(studio.index, target_is_directory=True)
    return studio


def collected(studio: Studio, target: Path, system: Any = LINUX, cuda: bool = False) -> Path:
    python = "3.12" if system is WINDOWS else HERE
    said: list[str] = []
    return bundle.collect(
        system,
        python,
        cuda,
        target,
        studio.source,
        studio.backend,
        lambda _, what: said.append(what),
    )


def test_a_bundle_holds_what_one_system_needs_and_says_how(studio: Studio, tmp_path: Path) -> None:
    target = collected(studio, tmp_path / "bundle", WINDOWS, cuda=True)
    names = {path.name for path in (target / "wheels").iterdir()}
    assert names == {
        "small_one-1.0-py3-none-any.whl",
        "compiled.two-2.0-cp312-cp312-win_amd64.whl",
        "torch-2.0-py3-none-any.whl",
        "small_three-3.0-py3-none-any.whl",
        "uv-1.0-py3-none-win_amd64.whl",
        "portraitgen-0.1.0-py3-none-any.whl",
    }
    text = (target / "README.txt").read_text()
    assert "Windows x86_64, Python 3.12, with an NVIDIA card" in text and "Wheel Folder" in text
    assert all((target / name).exists() for name in ("packages.txt", "torch-cuda.txt", "cuda.txt"))


def test_a_bundle_that_was_cut_off_goes_on_and_is_not_there_before(
    studio: Studio, tmp_path: Path
) -> None:
    target = tmp_path / "bundle"

    def cut(share: float, what: str) -> None:
        if what.startswith("compiled"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bundle.collect(LINUX, HERE, False, target, studio.source, studio.backend, cut)
    kept = tmp_path / "bundle.partial" / "wheels" / "small_one-1.0-py3-none-any.whl"
    assert not target.exists() and kept.exists()
    before = kept.stat().st_mtime_ns
    collected(studio, target)
    assert (target / "wheels" / kept.name).stat().st_mtime_ns == before
    with pytest.raises(SourceError, match="there already"):
        collected(studio, target)


def test_another_file_under_a_locked_name_is_refused(studio: Studio, tmp_path: Path) -> None:
    # A mirror that tells no digests, and holds another file.
    page = studio.index / "small-one" / "index.html"
    name = "small_one-1.0-py3-none-any.whl"
    page.write_text(f'<a href="{name}">{name}</a>')
    (studio.index / "small-one" / name).write_bytes(b"something else")
    with pytest.raises(SourceError, match="another file than the one that is locked"):
        collected(studio, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_package_that_the_mirror_lacks_is_named(studio: Studio, tmp_path: Path) -> None:
    (studio.index / "compiled.two" / "index.html").write_text("<a href='x.whl'>x</a>")
    with pytest.raises(SourceError, match=r"no compiled\.two==2\.0 .* have the mirror updated"):
        collected(studio, tmp_path / "bundle")


class Server(http.server.BaseHTTPRequestHandler):
    """Gives a file in two halves, the first of which breaks off; or refuses everything."""

    data = bytes(range(256)) * 4096
    status = 200
    words: str | None = None
    starts: list[int] = []

    def do_GET(self) -> None:
        if self.status != 200:
            self.send_response(self.status, self.words)
            self.end_headers()
            return
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        Server.starts.append(start)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(self.data) - start))
        self.end_headers()
        end = len(self.data) // 2 if start == 0 else len(self.data)
        self.wfile.write(self.data[start:end])

    def log_message(self, *unused: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        Server.status, Server.starts = 200, []
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


def test_a_file_that_came_in_part_goes_on_where_it_ended(server: str, tmp_path: Path) -> None:
    digests = frozenset({hashlib.sha256(Server.data).hexdigest()})
    path = tmp_path / "big.whl"
    with pytest.raises(SourceError, match="it cannot be reached"):
        list(bundle.download(f"{server}/big.whl", path, digests, Source()))
    assert not path.exists()
    list(bundle.download(f"{server}/big.whl", path, digests, Source()))
    assert path.read_bytes() == Server.data and Server.starts == [0, len(Server.data) // 2]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "Package Index as https://NAME"),
        (404, "check Package Index"),
        (407, "set Proxy"),
        (503, "it answered 503 Service Unavailable; try again later"),
    ],
)
@pytest.mark.parametrize("words", [None, "", "File not found"])
def test_a_refusal_names_the_host_and_the_setting(
    server: str, status: int, said: str, words: str | None
) -> None:
    """Servers that worded their answer otherwise got "it failed; see the log"."""
    Server.status, Server.words = status, words
    with pytest.raises(SourceError, match=said) as refused:
        Source().page(server, "numpy")
    assert refused.value.place == server.removeprefix("http://")


def test_a_proxy_that_is_not_there_is_named() -> None:
    source = Source(proxy="http://artist:secret@127.0.0.1:9")
    with pytest.raises(SourceError, match="through the proxy 127.0.0.1:9; ") as refused:
        source.page("http://pypi.invalid/simple", "numpy")
    assert "secret" not in str(refused.value) and "Proxy" in refused.value.remedy


@pytest.fixture
def answers(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that answers everything with the bytes given."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                asked, _ = listening.accept()
            except OSError:
                return
            with asked, contextlib.suppress(OSError):
                asked.recv(4096)
                asked.sendall(request.param)

    threading.Thread(target=serve, daemon=True).start()
    yield f"127.0.0.1:{listening.getsockname()[1]}"
    listening.close()


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (b"hello\r\n\r\n", "what answers there is no index"),
        (b"", "it cannot be reached"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<html>", "it cannot be reached"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "cannot be reached"),
        (b"HTTP/1.1 302 Found\r\nLocation: /loop\r\n\r\n", "what answers there is no index"),
    ],
    indirect=["answers"],
)
@pytest.mark.parametrize("proxied", [False, True])
def test_what_is_no_index_ends_the_work_with_a_sentence(
    answers: str, said: str, proxied: bool, studio: Studio, tmp_path: Path, no_uv: None
) -> None:
    """The thread died, and the environment was being created for ever."""
    address = f"http://{answers}"
    source = Source(proxy=address) if proxied else Source(index=address, pytorch=address)
    source = replace(source, index="http://pypi.invalid/simple") if proxied else source
    creation = create(tmp_path / "environment", studio, source)
    assert creation.state == "failed" and said in creation.message, creation.message
    assert answers in creation.message and "in the preferences" in creation.message


def test_a_fault_of_our_own_ends_the_work_too(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Source) -> None:
        raise AssertionError("never")

    monkeypatch.setattr(Source, "check", broken)
    creation = create(tmp_path / "environment", studio, Source())
    assert creation.state == "failed" and "a fault of the program's own" in creation.message
    assert "Traceback" in creation.log_file.read_text()


@pytest.fixture
def no_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without uv, which is downloaded first then."""
    monkeypatch.setattr(environment, "installed", lambda name: "")


def test_a_socks_proxy_that_only_uv_speaks_is_refused() -> None:
    with pytest.raises(SourceError, match="set Proxy to an HTTP proxy"):
        Source(proxy="socks5://127.0.0.1:9").open("http://pypi.invalid/simple")


@pytest.mark.parametrize("held", [b"", b"not a certificate", bytes(range(256)), None])
def test_a_ca_file_that_holds_no_certificates_is_named(held: bytes | None, tmp_path: Path) -> None:
    """It was an error of a library's, without the file or the setting."""
    path = tmp_path / "ca.pem"
    path.mkdir() if held is None else path.write_bytes(held)
    with pytest.raises(SourceError, match="choose another CA File") as refused:
        Source(ca_file=str(path)).check()
    assert refused.value.place == str(path)


# What uv 0.13 prints, shortened.
_UV = {
    "dns error": (
        "error: Failed to fetch: https://pypi.studio/simple/six/\n  cause: client error (Connect)\n"
        "  cause: dns error",
        "pypi.studio: it cannot be reached; check the network, or set Proxy or Package Index",
    ),
    "certificate": (
        "error: Failed to fetch: https://user:word@pypi.studio/simple/six/\n"
        "  cause: client error (Connect)\n  cause: invalid peer certificate: UnknownIssuer",
        "pypi.studio: its certificate is not trusted; set CA File",
    ),
    "password": (
        "error: No solution found\n  cause: Because six was not found in the package registry and "
        "you require six==1.16.0, ...\nhint: An index URL (http://pypi.studio/simple) could not be "
        "queried due to a lack of valid authentication credentials (401 Unauthorized)",
        "pypi.studio: it asks for a name and a password; write them into Package Index",
    ),
    "missing": (
        "error: No solution found\n  cause: Because six was not found in the package registry and "
        "you require six==1.16.0, we can conclude",
        "mirror.studio: it has no six==1.16.0 for this system and Python; have the mirror updated",
    ),
    "hash": (
        "error: Failed to download https://pypi.studio/six.whl\n cause: Hash mismatch\n Expected:\n"
        "  sha256:0abb\n\n Computed:\n  sha256:8abb",
        "pypi.studio: it gave another file than the one that is locked",
    ),
    "Python": (
        "error sending request for url (https://github.com/astral-sh/python-build-standalone/x)\n"
        "  cause: dns error",
        "github.com: it cannot be reached; install Python 3.12 on this machine yourself",
    ),
    "PyTorch": (
        "error: Failed to fetch: https://download.pytorch.org/whl/cpu/torch/\n  cause: dns error",
        "download.pytorch.org: it cannot be reached; check the network, or set Proxy or PyTorch",
    ),
    "disk": ("error: failed to write\n cause: No space left on device (os error 28)", "make room"),
}  # fmt: skip


@pytest.mark.parametrize("case", _UV)
def test_what_uv_says_becomes_one_sentence(case: str) -> None:
    said, sentence = _UV[case]
    told = str(Source(index="https://a:b@mirror.studio/simple").told(said))
    assert sentence in told and "\n" not in told and "word" not in told.replace("password", "")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Source(index="pypi.studio"), "begin Package Index with https://"),
        (Source(index="https://host:port/simple"), "write Package Index as https://HOST"),
        (Source(pytorch="https:///whl"), "write PyTorch Index as https://HOST"),
        (Source(index="https://pypi.studio/my index"), "write Package Index as https://HOST"),
        (Source(index="http://[::1/simple"), "write Package Index as https://HOST"),
        (Source(index=f"http://{'a' * 70}.com"), "write Package Index as https://HOST"),
        (Source(proxy="http://my proxy:80"), "write Proxy as http://HOST"),
        (Source(proxy="file:///etc/proxy"), "begin Proxy with http://"),
        (Source(ca_file="/nowhere/ca.pem"), "choose another CA File"),
        (Source(folder="/nowhere"), "Make Offline Bundle"),
    ],
)
def test_settings_are_looked_at_before_anything_is_fetched(source: Source, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        source.check()


def uv_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("uv") is None:
        pytest.skip("uv is not installed")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def create(folder: Path, studio: Studio, source: Source) -> environment.Creation:
    plan = environment.Plan(LINUX, cuda=False)
    creation = environment.Creation(folder, studio.backend, source, plan)
    creation.start()
    creation.thread.join(120)
    return creation


@pytest.mark.skipif(sys.platform != "linux", reason="the studio's packages are for Linux")
def test_an_environment_is_made_from_a_bundle_without_a_network(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv_on_path(monkeypatch)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    source = Source(folder=str(collected(studio, tmp_path / "bundle")))
    folder = tmp_path / "made" / "environment"
    creation = create(folder, studio, source)
    assert creation.state == "done", creation.message
    site = next((folder / "lib").glob("python*/site-packages"))
    assert (site / "small.py").exists() and (site / "portraitgen" / "worker.py").exists()
    assert environment.python_in(folder).exists() and not list(folder.parent.glob("*.partial*"))
    assert "Installing PyTorch for the CPU" in creation.log_file.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="the studio's packages are for Linux")
def test_what_fails_leaves_the_old_environment_and_says_what_to_change(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv_on_path(monkeypatch)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "environment"
    target = collected(studio, tmp_path / "bundle")
    assert create(folder, studio, Source(folder=str(target))).state == "done"
    (folder / "mine").write_text("")
    (target / "wheels" / "small_one-1.0-py3-none-any.whl").unlink()
    with open(studio.lock / "packages.txt", "a") as file:
        file.write(f"small-four==4.0 \\\n    --hash=sha256:{'0' * 64}\n")
    failed = create(folder, studio, Source(folder=str(target)))
    assert failed.state == "failed" and (folder / "mine").exists()
    assert "make the bundle anew" in failed.message and str(target) in failed.message
    # A studio's index that is not there is named, with what to set.
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    away = create(folder, studio, replace(studio.source, index="http://127.0.0.1:9/simple"))
    assert away.state == "failed" and away.message.startswith("127.0.0.1:9: it cannot be reached")


def test_an_environment_of_another_version_is_told_so(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "own_wheel", lambda: studio.backend)
    monkeypatch.setattr(requirements, "system", lambda: LINUX)
    folder = tmp_path / "environment"
    assert environment.outdated(folder) == ""
    environment.python_in(folder).parent.mkdir(parents=True)
    environment.python_in(folder).write_text("")
    assert "create it again" in environment.outdated(folder)
    identity = environment.Plan(LINUX, cuda=False).identity(studio.backend)
    (folder / "portraitgen-environment.json").write_text(json.dumps(identity))
    assert environment.outdated(folder) == ""
    with open(studio.lock / "packages.txt", "a") as file:
        file.write("# newer\n")
    assert "create it again" in environment.outdated(folder)


def test_what_is_downloaded_is_said_with_its_size_and_hosts() -> None:
    here = environment.Plan(LINUX, cuda=False)
    said = " ".join(here.sentences(Source(index="https://a:b@pypi.studio/simple")))
    torch = requirements.steps(LINUX, False)[0].megabytes
    assert f"PyTorch for the CPU, {torch} MB" in said and f"{here.megabytes} MB in all" in said
    assert "download.pytorch.org and pypi.studio" in said and "a:b" not in said
