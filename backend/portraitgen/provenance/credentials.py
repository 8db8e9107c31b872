# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content Credentials (C2PA) for what is delivered, by the reference library `c2pa-python`.

A studio brings its certificate chain (PEM, the signer's first) and either the key (PKCS#8 PEM) or a
command that signs, so that a key never leaves an HSM. No network is asked for anything.
"""

import io
import json
import re
import shutil
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..errors import PortraitError
from ..schema import Data, Misfit
from ..storage import atomic_path, is_plain, read_bytes, remove_file, write_bytes
from .statement import Statement

LABEL = "org.portraitgen.edit"
"""Our own assertion; C2PA asks vendors for reverse DNS."""

EMBEDDED = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
}
"""What a credential is embedded in."""

BESIDE = {".exr": "image/x-exr", ".dpx": "image/x-dpx"}
"""What the library cannot write into: its credential lies beside it, as NAME.exr.c2pa."""

# Thumbnails, on by default, make 860 kB of the 4 kB that a credential takes.
_QUIET = {"builder": {"thumbnail": {"enabled": False}}}
# A box, the size of the one in it, and that one's name.
_JUMBF, _JUMBF_BYTES = re.compile(b"jumb.{4}jumd", re.DOTALL), 12
_COMMAND_SECONDS = 60
_SIGNATURE_BYTES = 64
# Bytes: of a credential that lies beside its picture, and of certificates.
_LARGEST, _LARGEST_PEM = 1 << 28, 1 << 20
_WRONG_KEY = "claimSignature.mismatch"
_FOREIGN = "signingCredential.untrusted"
# Codes of certificates that were good once: what they signed is as it was.
_LAPSED = {
    "signingCredential.expired": "is not valid today, and no stamp tells when it signed",
    "signingCredential.revoked": "was called back by whoever issued it",
}


class CredentialError(PortraitError):
    """A credential cannot be made or read."""

    code = "credential"


@dataclass(frozen=True)
class Verdict:
    """What a credential says of its file.

    Attributes:
        state: "trusted" (whole, and its signer leads to a root that was given), "untrusted" (whole,
            but nobody said that its signer is to be trusted), "expired" (whole, but its signer's
            certificate holds no more), "tampered" (the file was changed), "forged" (the signature
            is not by the key of its certificate) or "none".
        sentence: the same for people.
        statement: what was said of the picture, empty if nothing was.
        sources_hold: whether the credentials of all that it was made from, as of the plate, held
            when it was signed.
    """

    state: Literal["trusted", "untrusted", "expired", "tampered", "forged", "none"]
    sentence: str
    statement: dict[str, Any]
    sources_hold: bool = True


class Signer:
    """Signs files for one studio.

    Args:
        chain: the certificates, PEM, the signer's first and the root left out.
        key: its private key, PKCS#8 PEM.
        command: instead of a key, a program and its arguments that is given the bytes on stdin and
            answers with r and s, 32 bytes each.

    Raises:
        CredentialError: if the library is not installed, or a file is none of these.
    """

    def __init__(
        self, chain: Path, key: Path | None = None, command: Sequence[str] | None = None
    ) -> None:
        self._c2pa = _library()
        algorithm = self._c2pa.C2paSigningAlg.ES256
        if key and command:
            raise CredentialError("a key and a signing command are given", chain, "give one")
        self._command = _Command(command) if command else None
        try:
            if self._command:
                self._signer = self._c2pa.Signer.from_callback(
                    self._command.answer, algorithm, _pem(chain), None
                )
            elif key:
                info = self._c2pa.C2paSignerInfo(
                    algorithm, _pem(chain).encode(), _private_key(key).encode(), None
                )
                self._signer = self._c2pa.Signer.from_info(info)
            else:
                raise CredentialError("nothing signs", chain, "give a key or a signing command")
        except (self._c2pa.C2paError, ValueError) as error:
            raise CredentialError(
                f"this is no chain and key for ES256 ({error})",
                chain,
                "give PEM files of your own, whose key is on the curve P-256",
            ) from error

    def sign(
        self, path: Path, statement: Statement, plate: Path | None, target: Path | None = None
    ) -> Path:
        """Signs a file in place, or beside it where nothing can be embedded.

        Args:
            plate: the ingredient; one that has credentials of its own keeps them.
            target: where a signed copy goes instead; nothing is written if signing fails.

        Returns:
            The file that holds the credential.

        Raises:
            CredentialError: if the kind of file takes none, or signing fails.
        """
        suffix = path.suffix.lower()
        mime = EMBEDDED.get(suffix) or BESIDE.get(suffix)
        if mime is None:
            known = ", ".join([*EMBEDDED, *BESIDE])
            raise CredentialError("files of this kind take no credential", path, f"give {known}")
        target = target or path
        try:
            context = self._c2pa.Context.from_dict(_QUIET)
            manifest = _manifest(statement, path.name, mime, plate is not None)
            builder = self._c2pa.Builder(json.dumps(manifest), context=context)
            if plate is not None:
                self._add_plate(builder, plate)
            with open(path, "rb") as source:
                if suffix in EMBEDDED:
                    with atomic_path(target) as temporary, open(temporary, "w+b") as written:
                        builder.sign(self._signer, mime, source, written)
                    return target
                builder.set_no_embed()
                credential = builder.sign(self._signer, mime, source, io.BytesIO())
        except self._c2pa.C2paError as error:
            raise self._told(path, str(error)) from error
        beside = target.with_name(target.name + ".c2pa")
        if target != path:
            # One that is killed here leaves a copy without a credential, and none that lies.
            remove_file(beside)
            with atomic_path(target) as temporary:
                shutil.copyfile(path, temporary)
        write_bytes(beside, credential)
        return beside

    def _told(self, path: Path, reason: str) -> CredentialError:
        """Why signing failed; the library does not pass on what became of a command."""
        if self._command and self._command.failure:
            return CredentialError(
                f"the signing command {self._command.failure}", path, "see what it says by itself"
            )
        if "does not match" in reason:
            return CredentialError(
                "the key is not the one of the certificate", path, "give the two of one signer"
            )
        return CredentialError(
            f"signing failed ({reason})", path, "check certificate, key and command"
        )

    def _add_plate(self, builder: Any, plate: Path) -> None:
        """Names the plate as the ingredient; one that the library cannot take apart keeps no
        credentials, but is named all the same."""
        told = {
            "title": plate.name,
            "relationship": "parentOf",
            "label": "plate",
            "instance_id": "plate",
        }
        kinds = [EMBEDDED.get(plate.suffix.lower()), "application/octet-stream"]
        for kind in filter(None, kinds):
            try:
                with open(plate, "rb") as opened:
                    builder.add_ingredient(json.dumps(told), kind, opened)
                return
            except self._c2pa.C2paError:
                if kind == kinds[-1]:
                    raise


def _pem(path: Path) -> str:
    """The text of a file of certificates or a key.

    Raises:
        CredentialError: if it is no text.
    """
    if not is_plain(path):
        raise CredentialError("this is no plain file", path, "give PEM files of your own")
    try:
        return read_bytes(path, _LARGEST_PEM).decode("ascii")
    except UnicodeDecodeError:
        raise CredentialError("this is no PEM file", path, "give PEM files of your own") from None


def _private_key(path: Path) -> str:
    """The text of a private key.

    Raises:
        CredentialError: if it is of a form that the library does not read.
    """
    text = _pem(path)
    if "-----BEGIN PRIVATE KEY-----" not in text:
        raise CredentialError(
            "this is no plain PKCS#8 key",
            path,
            "convert it (openssl pkcs8 -topk8 -nocrypt), or give a signing command",
        )
    return text


def _anchors(path: Path) -> str:
    """The text of a file of root certificates.

    Raises:
        CredentialError: if it holds none, or a damaged one: no file would be to blame for that.
    """
    text = _pem(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError) as error:
        raise CredentialError(
            "this holds no root certificates, or damaged ones", path, "give them as PEM"
        ) from error
    return text


def verify(path: Path, roots: Path | None = None) -> Verdict:
    """What the credential of a file says.

    Args:
        roots: root certificates that are trusted, PEM.

    Raises:
        CredentialError: if the library is not installed, the kind of file takes none, the file is
            none of its kind, or there are no certificates among the roots.
    """
    c2pa = _library()
    suffix = path.suffix.lower()
    mime = EMBEDDED.get(suffix) or BESIDE.get(suffix)
    if mime is None:
        raise CredentialError("files of this kind take no credential", path, "check the path")
    beside = path.with_name(path.name + ".c2pa")
    for each in (path, beside):
        if not is_plain(each):
            raise CredentialError("this is no plain file", each, "check the path")
    settings: dict[str, Any] = {"verify": {"verify_trust": roots is not None}}
    if roots is not None:
        settings["trust"] = {"user_anchors": _anchors(roots)}
    try:
        context = c2pa.Context.from_dict(settings)
        with open(path, "rb") as source:
            if suffix in BESIDE:
                if not beside.exists():
                    return Verdict("none", f"{path.name} has no credential beside it", {})
                data = read_bytes(beside, _LARGEST)
                reader = c2pa.Reader(mime, source, manifest_data=data, context=context)
            else:
                reader = c2pa.Reader(mime, source, context=context)
            facts = Report.parse(json.loads(reader.json()))
    except c2pa.C2paError as error:
        if "ManifestNotFound" in str(error) or "JumbfNotFound" in str(error):
            return Verdict("none", f"{path.name} has no credential", {})
        if suffix in EMBEDDED and not _holds_credential(path):
            raise CredentialError(
                f"this is no whole {suffix[1:].upper()} file, and no credential is in it ({error})",
                path,
                "copy or export it again",
            ) from error
        return Verdict("tampered", f"{path.name}: its credential is damaged ({error})", {})
    except Misfit as misfit:
        return Verdict("tampered", f"{path.name}: its credential is damaged ({misfit})", {})
    return _with_sources(_verdict(path, facts, roots), facts)


def doubt_about(plate: Path) -> str:
    """Why the credential that a plate brings along is not to be believed, in one sentence; empty if
    it holds, or there is none."""
    if plate.suffix.lower() not in EMBEDDED:
        return ""
    try:
        verdict = verify(plate)
    except CredentialError:
        # No whole file of its kind, without a credential: footage says what is wrong with it.
        return ""
    if verdict.state in ("trusted", "untrusted", "expired", "none") and verdict.sources_hold:
        return ""
    return f"the plate brings a credential that does not hold: {verdict.sentence}"


def _holds_credential(path: Path) -> bool:
    """Whether a file has the beginning of a credential anywhere: a JUMBF box with its description.
    (Large plates have the four letters of either by chance.)"""
    end = b""
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            if _JUMBF.search(end + piece):
                return True
            end = piece[-_JUMBF_BYTES + 1 :]
    return False


@dataclass(frozen=True)
class _Assertion(Data):
    label: str = ""
    data: object = None


@dataclass(frozen=True)
class _Signature(Data):
    common_name: str | None = None


@dataclass(frozen=True)
class _Status(Data):
    code: str = ""


@dataclass(frozen=True)
class _Found(Data):
    """What was found of one credential."""

    failure: tuple[_Status, ...] | None = ()


@dataclass(frozen=True)
class _Results(Data):
    """What was found of a source when it was named; by C2PA's names."""

    activeManifest: _Found | None = None  # noqa: N815


@dataclass(frozen=True)
class _Ingredient(Data):
    title: str | None = None
    validation_results: _Results | None = None

    @property
    def failures(self) -> set[str]:
        """Why its own credential did not hold; a signer that nobody knew is no reason."""
        found = self.validation_results and self.validation_results.activeManifest
        codes = {each.code for each in (found and found.failure) or ()}
        return codes - {_FOREIGN, *_LAPSED}


@dataclass(frozen=True)
class _Manifest(Data):
    assertions: tuple[_Assertion, ...] | None = ()
    signature_info: _Signature | None = None
    ingredients: tuple[_Ingredient, ...] | None = ()


@dataclass(frozen=True)
class Report(Data):
    """What the library reads out of a file, as far as it is used."""

    active_manifest: str | None = None
    manifests: Mapping[str, _Manifest] | None = None
    validation_status: tuple[_Status, ...] | None = ()
    validation_state: str | None = ""


def _with_sources(verdict: Verdict, facts: Report) -> Verdict:
    """A verdict that says which sources' credentials did not hold, of all that are carried."""
    named = [
        (each.title or "an unnamed file", failures)
        for manifest in (facts.manifests or {}).values()
        for each in manifest.ingredients or ()
        if (failures := each.failures)
    ]
    if not named:
        return verdict
    title, failures = named[0]
    sentence = (
        f"{verdict.sentence}; but the credential of what it was made from, {title}, did not hold"
        f" when it was signed ({', '.join(sorted(failures))})"
    )
    return replace(verdict, sentence=sentence, sources_hold=False)


def _verdict(path: Path, facts: Report, roots: Path | None) -> Verdict:
    active = (facts.manifests or {}).get(facts.active_manifest or "")
    if active is None:
        return Verdict("tampered", f"{path.name}: its credential is damaged (it is empty)", {})
    told = (each.data for each in active.assertions or () if each.label == LABEL)
    first = next(told, None)
    statement = dict(first) if isinstance(first, Mapping) else {}
    signature = active.signature_info or _Signature()
    signer = signature.common_name or "an unnamed signer"
    codes = {each.code for each in facts.validation_status or ()}
    if _WRONG_KEY in codes and not any("Hash.mismatch" in code for code in codes):
        sentence = (
            f"{path.name} bears a signature that is not by the key of {signer}'s certificate:"
            " its credential was forged, or changed"
        )
        return Verdict("forged", sentence, statement)
    if codes - {_FOREIGN, *_LAPSED}:
        reasons = ", ".join(sorted(codes - {_FOREIGN, *_LAPSED}))
        sentence = (
            f"{path.name} was changed after {signer} signed it, or wrongly signed ({reasons})"
        )
        return Verdict("tampered", sentence, statement)
    for code, why in _LAPSED.items():
        if code in codes:
            sentence = f"{path.name} is as {signer} signed it, but {signer}'s certificate {why}"
            return Verdict("expired", sentence, statement)
    if facts.validation_state == "Trusted":
        sentence = f"{path.name} is as {signer} signed it, and {signer} is trusted"
        return Verdict("trusted", sentence, statement)
    why = "leads to none of the roots given" if roots else "was checked against no roots"
    sentence = f"{path.name} is as it was signed, but its signer, {signer}, {why}"
    return Verdict("untrusted", sentence, statement)


def _manifest(statement: Statement, title: str, mime: str, has_plate: bool) -> dict[str, Any]:
    agent = {"name": statement.software, "version": statement.version}
    # The first action tells where it began: from the plate, or from files that are not named.
    begun: dict[str, Any] = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["plate"]}}
    if not has_plate:
        begun = {"action": "c2pa.created", "digitalSourceType": statement.source_type}
    begun["softwareAgent"] = agent
    where = "alone" if statement.is_alone else "over the plate"
    how = f"with '{statement.editor}'" if statement.editor else "as an avatar"
    edited = {
        "action": "c2pa.edited",
        "softwareAgent": agent,
        "digitalSourceType": statement.source_type,
        "description": f"The performer was rebuilt {how} and rendered {where}",
    }
    return {
        "claim_generator_info": [agent],
        "title": title,
        "format": mime,
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {"actions": [begun, edited]},
            },
            # As text: the library takes lists of whole numbers for bytes.
            {"label": LABEL, "data": {"statement": statement.to_json()}, "kind": "Json"},
        ],
    }


class _Command:
    """A studio's program that signs.

    Attributes:
        failure: what was wrong when it last was asked, empty if nothing was.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)
        self.failure = ""

    def answer(self, data: bytes) -> bytes:
        """What it answers, r and s; nothing if it fails."""
        try:
            done = subprocess.run(
                self._words, input=data, capture_output=True, timeout=_COMMAND_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            self.failure = f"did not answer within {_COMMAND_SECONDS} s"
            return b""
        except OSError as error:
            self.failure = f"{self._words[0]} cannot be run ({error.strerror})"
            return b""
        said = done.stderr.decode(errors="replace").strip().splitlines()
        if done.returncode:
            self.failure = f"ended with status {done.returncode}{f' ({said[-1]})' if said else ''}"
        elif len(done.stdout) != _SIGNATURE_BYTES:
            self.failure = f"answered {len(done.stdout)} bytes, not r and s of 32 each"
        else:
            self.failure = ""
        return done.stdout


def _library() -> Any:
    try:
        import c2pa
    except ImportError:
        raise CredentialError(
            "Content Credentials need the package c2pa-python",
            "this environment",
            "install it: pip install c2pa-python",
        ) from None
    return c2pa
