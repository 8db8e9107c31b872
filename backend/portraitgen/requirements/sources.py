# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where packages come from: the public indexes, or a studio's mirror, proxy and folder of wheels.

What fails on the way is told in one sentence that names the host and the setting to change.
Standard library only.
"""

import html.parser
import http
import http.client
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import PortraitError
from . import PYPI, PYTORCH, Step

_TIMEOUT_S = 30
_URL = re.compile(r"https?://[^\s)`'\"]+")


class SourceError(PortraitError):
    """A package cannot be had from where it is looked for."""

    code = "source"


@dataclass(frozen=True)
class Source:
    """Where packages are looked for, as the extension's preferences have it.

    Attributes:
        index: a package index in PyPI's place; empty for PyPI.
        pytorch: an index in the place of PyTorch's own, without "cpu" or "cu130" at its end.
        proxy: the proxy for all of it; empty for what the system says.
        ca_file: a PEM file of the authorities that are trusted; empty for the system's.
        folder: a folder of wheels; no index is asked if there is one.
    """

    index: str = ""
    pytorch: str = ""
    proxy: str = ""
    ca_file: str = ""
    folder: str = ""

    def check(self) -> None:
        """Looks at what can be looked at without a network.

        Raises:
            SourceError: if a file or a folder is missing or is none, or an address is none.
        """
        for label, address in (("Package Index", self.index), ("PyTorch Index", self.pytorch)):
            _check_address(label, address, ("https", "http", "file"))
        _check_address("Proxy", self.proxy, ("http", "https", *_SOCKS))
        self._trusted()
        if self.folder and not any(self.wheels().glob("*.whl")):
            raise SourceError(
                "there are no wheels in it",
                self.folder,
                "choose the folder that Make Offline Bundle has made as Wheel Folder",
            )

    def wheels(self) -> Path:
        """The folder of wheels itself, which may lie in a bundle."""
        inside = Path(self.folder) / "wheels"
        return inside if inside.is_dir() else Path(self.folder)

    def environment(self) -> dict[str, str]:
        """uv's own settings, as environment variables."""
        found: dict[str, str] = {}
        if self.proxy:
            found |= dict.fromkeys(("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"), self.proxy)
            found |= dict.fromkeys(("all_proxy", "http_proxy", "https_proxy"), self.proxy)
        if self.ca_file:
            found["SSL_CERT_FILE"] = self.ca_file
        if self.folder:
            found |= {"UV_OFFLINE": "1", "UV_NO_INDEX": "1", "UV_PYTHON_DOWNLOADS": "never"}
        elif self.index:
            found["UV_DEFAULT_INDEX"] = self.index
        return found

    def arguments(self, step: Step) -> list[str]:
        """What uv pip install is told of where to look for a file of requirements."""
        if self.folder:
            return ["--no-index", "--find-links", str(self.wheels())]
        return ["--index", self.of_step(step)] if step.index else []

    def of_step(self, step: Step) -> str:
        """The index that a file of requirements is looked for in first."""
        if step.index:
            own = self.pytorch.rstrip("/") + "/" if self.pytorch else PYTORCH
            return step.index.replace(PYTORCH, own)
        return self.index or PYPI

    def _trusted(self) -> ssl.SSLContext | None:
        """What is trusted, None for what the system trusts.

        Raises:
            SourceError: if the file of authorities is missing or holds none.
        """
        if not self.ca_file:
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except ssl.SSLError:
            problem = "it holds no certificates as PEM has them (-----BEGIN CERTIFICATE-----)"
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            problem = (
                "there is no such file" if missing else f"it cannot be read ({error.strerror})"
            )
        raise SourceError(problem, self.ca_file, "choose another CA File")

    def open(self, url: str, start: int = 0) -> Any:
        """Opens an address through the proxy, from a byte on.

        Raises:
            SourceError: if it cannot be reached.
        """
        handlers: list[urllib.request.BaseHandler] = []
        if self.proxy:
            if self.proxy.startswith(_SOCKS):
                raise SourceError(
                    "uv alone goes through a SOCKS proxy, and other downloads are needed",
                    shown(self.proxy),
                    "set Proxy to an HTTP proxy, or install uv on this machine if it has none",
                )
            handlers.append(urllib.request.ProxyHandler({"http": self.proxy, "https": self.proxy}))
        if (trusted := self._trusted()) is not None:
            handlers.append(urllib.request.HTTPSHandler(context=trusted))
        headers = {"Accept": "text/html"} | ({"Range": f"bytes={start}-"} if start else {})
        try:
            opener = urllib.request.build_opener(*handlers)
            return opener.open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S)
        except OSError as error:
            if start and getattr(error, "code", 0) == 416:
                return self.open(url)  # What has come is no part of it, or all of it.
            raise self.told(f"{url} {_reason(error)}") from error
        except http.client.HTTPException as error:
            raise self.told(f"{url} {_NO_HTTP}") from error

    def page(self, index: str, name: str) -> dict[str, tuple[str, str]]:
        """What an index has of a package.

        Returns:
            For each file name its address, and its sha256 or nothing if the index does not say.

        Raises:
            SourceError: if the index cannot be reached or is none.
        """
        url = f"{index.rstrip('/')}/{name}/"
        where = url + "index.html" if url.startswith("file:") else url
        with self.open(where) as answer:
            base = url if url.startswith("file:") else answer.url
            try:
                text = answer.read().decode("utf-8", "replace")
            except (OSError, http.client.HTTPException) as error:
                raise self.told(f"{url} connection lost ({error})") from error
        links = _Links()
        links.feed(text)
        found = {}
        for link in links.links:
            address, fragment = urllib.parse.urldefrag(urllib.parse.urljoin(base, link))
            file = urllib.parse.unquote(address.rpartition("/")[2])
            digest = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else ""
            found[file] = address, digest
        return found

    def told(self, said: str) -> SourceError:
        """One sentence out of what a download or uv said last."""
        address = next((shown(each) for each in _URL.findall(said)), shown(self.index) or PYPI)
        host = urllib.parse.urlsplit(address).netloc or address
        if self.folder and not _URL.search(said):
            host = self.folder
        low = said.lower()
        missing = re.search(r"requires? ([\w.+-]+==[\w.+]+)", said)
        if missing and not _any(_REFUSALS, low):
            return self._missing(missing[1].rstrip("."), host)
        message, remedy = next(
            ((message, remedy) for words, message, remedy in _FAULTS if _any(words, low)),
            ("it failed", "see the log"),
        )
        answered = re.search(r"\b[45]\d\d [A-Z][A-Za-z -]+", said)
        if message == "it failed" and answered:
            message, remedy = f"it answered {answered[0].strip()}", "try again later"
        if ("reached" in message or "answers" in message) and self.proxy:
            message += f" through the proxy {urllib.parse.urlsplit(shown(self.proxy)).netloc}"
        if "reached" in message and host == "github.com":
            remedy = "install Python 3.12 on this machine yourself, or set Proxy in the preferences"
        elif "reached" in message and host == urllib.parse.urlsplit(self.pytorch or PYTORCH).netloc:
            remedy = "check the network, or set Proxy or PyTorch Index in the preferences"
        return SourceError(message, host, remedy)

    def _missing(self, package: str, host: str) -> SourceError:
        """What to do about a package that is not where it was looked for."""
        if self.folder:
            remedy = "make the bundle anew with this version for this system, Python and card"
        else:
            remedy = "have the mirror updated, or clear Package Index and PyTorch Index"
        message = f"it has no {package} for this system and Python"
        return SourceError(message, self.folder or host, remedy)


_SOCKS = ("socks5", "socks5h")
_NO_HTTP = "it does not speak http"
_REFUSALS = ("401 unauthorized", "403 forbidden", "authentication credentials")
# The first whose words occur is what went wrong: words, message, remedy.
_FAULTS = (
    (("no space left", "os error 112", "disk full"), "the disk is full", "make room and try again"),
    (
        ("hash mismatch", "computed:", "is not the file"),
        "it gave another file than the one that is locked",
        "do not use this index or folder: what it holds under that name has been changed",
    ),
    (
        ("certificate", "unknownissuer"),
        "its certificate is not trusted",
        "set CA File in the preferences to your studio's certificates",
    ),
    (
        (_NO_HTTP, "301 moved", "302 found", "307 temporary", "308 permanent"),
        "what answers there is no index",
        "check Package Index, PyTorch Index and Proxy in the preferences",
    ),
    (
        ("tunnel", "407 proxy", "proxy connect"),
        "it cannot be reached",
        "set Proxy in the preferences, with name and password if it asks for them",
    ),
    (
        _REFUSALS,
        "it asks for a name and a password",
        "write them into Package Index as https://NAME:PASSWORD@HOST, or into your netrc file",
    ),
    (
        ("404 not found", "no such file"),
        "it does not have what was asked for",
        "check Package Index and PyTorch Index in the preferences",
    ),
    (
        ("no interpreter found",),
        "no Python 3.11 or 3.12 was found",
        "install Python 3.12 on this machine, then try again",
    ),
    (
        ("dns", "connect", "timed out", "timeout", "name or service", "unreachable", "reset",
         "getaddrinfo", "network", "error sending request"),
        "it cannot be reached",
        "check the network, or set Proxy or Package Index in the preferences",
    ),
)  # fmt: skip


def _check_address(label: str, address: str, schemes: tuple[str, ...]) -> None:
    """Whether an address is one, if there is one.

    Raises:
        SourceError: if it is none; names the setting.
    """
    if not address:
        return
    if not address.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        raise SourceError(
            "this is no address", shown(address), f"begin {label} with {schemes[0]}://"
        )
    try:
        parts = urllib.parse.urlsplit(address)
        named = parts.hostname and parts.hostname.encode("idna") and (parts.port or True)
    except ValueError:  # Of which an error of letters is one.
        named = False
    if re.search(r"\s", address) or not (named or address.startswith("file:")):
        remedy = f"write {label} as {schemes[0]}://HOST or {schemes[0]}://HOST:PORT, without spaces"
        raise SourceError("this is no address", shown(address), remedy)


def _any(words: Iterable[str], text: str) -> bool:
    return any(word in text for word in words)


def shown(address: str) -> str:
    """An address without the name and password that may stand in it."""
    return re.sub(r"//[^/@\s]*@", "//", address)


def _reason(error: OSError) -> str:
    """What an error of urllib says, in words that are looked for."""
    if isinstance(error, urllib.error.HTTPError):
        # Servers word it as they like, or not at all.
        known = error.code in set(http.HTTPStatus)
        return f"{error.code} {http.HTTPStatus(error.code).phrase if known else error.reason}"
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "certificate"
    if isinstance(reason, TimeoutError):
        return "timed out"
    return str(reason).lower() or "connect"


class _Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [value for key, value in attrs if key == "href" and value]
