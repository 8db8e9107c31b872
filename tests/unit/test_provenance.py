# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pictures say of how they were made, and credentials that hold or do not."""

import datetime
import json
import shutil
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from conftest import Command
from reporters import Noting

from portraitgen.errors import PortraitError, ShotError
from portraitgen.footage.exr import exr_attributes, write_exr
from portraitgen.footage.plate import open_plate
from portraitgen.footage.plate_files import write_plate
from portraitgen.images import save_png
from portraitgen.provenance.png_text import texts_of, with_texts
from portraitgen.provenance.statement import Statement, WeightsUsed

PLAIN = Statement("PortraitGen for Blender", "0.1.0", "toon", 1, 2, 1, "abc", "toon", "GPL-3.0")
QUARTER = replace(PLAIN, touched=0.25)


def test_a_png_keeps_its_pixels_and_says_how_it_was_made(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).random((9, 7, 3), np.float32)
    plain = save_png(tmp_path / "plain.png", picture)
    said = save_png(tmp_path / "said.png", picture, PLAIN.png_texts())
    assert (cv2.imread(str(plain)) == cv2.imread(str(said))).all()
    texts = texts_of(said.read_bytes())
    assert json.loads(texts["portraitgen:provenance"])["take"] == "toon"
    assert PLAIN.source_type in texts["XML:com.adobe.xmp"]
    # By another reader than our own.
    with av.open(str(said)) as opened:
        frame = next(opened.decode(video=0))
        assert frame.width == 7
    assert texts_of(with_texts(plain.read_bytes(), {"ü": "naïve ☂"})) == {"ü": "naïve ☂"}


def test_a_full_plate_of_a_movie_says_what_its_frame_says(
    shot: Path, portraitgen: Command, tmp_path: Path
) -> None:
    again = tmp_path / "shot"
    shutil.copytree(shot, again)
    done = portraitgen("render", again, "--take", "toon", "--frames", "1", "--plate")
    assert done.returncode == 0, done.stderr
    (plate,) = (again / "takes" / "toon" / "renders").glob("*/plates/*.0001.png")
    (picture,) = plate.parents[1].glob("frames/*.0001.png")
    assert "portraitgen:touched" in texts_of(plate.read_bytes())
    assert texts_of(plate.read_bytes()) == texts_of(picture.read_bytes())


def test_a_full_plate_of_exr_says_how_it_was_made(tmp_path: Path) -> None:
    """What the plate's own header said stays, and so do its pixels."""
    write_exr(
        tmp_path / "plate.0001.exr",
        {"Combined": np.random.default_rng(0).random((8, 8, 4), np.float32)},
        fps=Fraction(25),
        frame=1,
        colour_space="ACEScg",
        attributes={"shot": "010"},
    )
    plate = open_plate(tmp_path / "plate.0001.exr")
    native = plate.read_native(plate.first)
    said = write_plate(tmp_path / "over.0001", native, plate, QUARTER.png_texts())
    header = exr_attributes(said)
    assert header["portraitgen:provenance"] == QUARTER.to_json() and header["shot"] == "010"
    assert header["portraitgen:digitalSourceType"] == PLAIN.source_type
    assert header["portraitgen:touched"] == "0.2500"
    again = open_plate(said)
    assert np.array_equal(again.read_native(again.first).pixels, native.pixels)


def test_a_trained_models_pixels_are_called_so() -> None:
    weights = (WeightsUsed("klein", "org/klein", "main", "Apache-2.0"),)
    generated = Statement("P", "1", "t", 1, 1, 1, "d", "klein", generative=True, weights=weights)
    assert generated.source_type.endswith("/compositeWithTrainedAlgorithmicMedia")
    assert PLAIN.source_type.endswith("/compositeCapture")
    facts = json.loads(generated.to_json())
    assert facts["weights"][0]["repository"] == "org/klein"
    assert facts["digital_source_type"] == generated.source_type


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory, portraitgen: Command, clip: Path) -> Path:
    folder = tmp_path_factory.mktemp("said") / "shot"
    small = ["--size", "64", "--gaussians", "1000", "--steps", "8"]
    edit = ["--take", "toon", "--editor", "toon", "--steps", "4", "--keys", "2", "--seed", "7"]
    for words in (
        ["track", folder, "--footage", clip, "--frames", "1-2", "--focal", "1280"],
        ["reconstruct", folder, *small],
        ["edit", folder, *edit],
        ["render", folder, "--take", "toon"],
    ):
        done = portraitgen(*words)
        assert done.returncode == 0, done.stderr
    return folder


def test_frames_pictures_and_movies_say_how_they_were_made(shot: Path) -> None:
    take = shot / "takes" / "toon" / "renders" / "v001"
    header = exr_attributes(take / "frames" / "toon.0001.exr")
    facts = json.loads(header["portraitgen:provenance"])
    assert (facts["editor"], facts["seed"], facts["edit"], facts["avatar"]) == ("toon", 7, 1, 1)
    assert facts["generative"] is False and len(facts["plate"]) > 8
    assert 0 < float(header["portraitgen:touched"]) < 1
    picture = texts_of((take / "frames" / "toon.0001.png").read_bytes())
    assert json.loads(picture["portraitgen:provenance"]) == facts
    assert picture["portraitgen:touched"] == header["portraitgen:touched"]
    shares = [
        float(exr_attributes(frame)["portraitgen:touched"])
        for frame in sorted((take / "frames").glob("*.exr"))
    ]
    with av.open(str(take / "toon.mp4")) as movie:
        said = json.loads(movie.metadata["comment"])
    assert said.pop("touched") == pytest.approx(sum(shares) / len(shares), abs=1e-4)
    assert facts.pop("touched") == shares[0] and said == facts


def test_who_kept_a_key_frame_is_told_by_every_later_frame(
    shot: Path, portraitgen: Command, tmp_path: Path
) -> None:
    """By a name on the command line alone; what was made before names nobody, and opens."""
    again = tmp_path / "shot"
    shutil.copytree(shot, again)
    for name in ("Ann", ""):
        given = ["--author", name] if name else []
        done = portraitgen("keep", again, "--take", "toon", "--frame", "1", *given)
        assert done.returncode == 0, done.stderr
    edit = ["--take", "toon", "--editor", "toon", "--steps", "4", "--keys", "2"]
    for words in (["edit", again, *edit], ["render", again, "--take", "toon", "--frames", "1"]):
        done = portraitgen(*words)
        assert done.returncode == 0, done.stderr
    told = []
    for version in ("v001", "v002"):
        frame = again / "takes" / "toon" / "renders" / version / "frames" / "toon.0001.exr"
        told.append(json.loads(exr_attributes(frame)["portraitgen:provenance"]))
    assert "authors" not in told[0] and "by_hand" not in told[0]
    assert told[1]["by_hand"] == ["key frames"]
    assert told[1]["authors"] == {"key frames": ["Ann"]}
    done = portraitgen("qc", again, "--take", "toon", "--frames", "1")
    assert done.returncode == 0, done.stderr
    assert "Ann" in (frame.parents[1] / "qc.html").read_text("utf-8")


# Content Credentials


def chain(folder: Path, studio: str) -> None:
    """A root, a signer under it and the signer's key, for tests alone."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    folder.mkdir()
    present = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [
        x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, studio),
                x509.NameAttribute(NameOID.COMMON_NAME, f"{studio} {role}"),
            ]
        )
        for role in ("Root", "Signer")
    ]

    def issue(index: int, ca: bool) -> Any:
        usage = x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)
        made = (
            x509.CertificateBuilder()
            .subject_name(names[index])
            .issuer_name(names[0])
            .public_key(keys[index].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(present - datetime.timedelta(hours=1))
            .not_valid_after(present + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(keys[index].public_key()), False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()), False
            )
        )
        if not ca:
            mail = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            made = made.add_extension(mail, critical=False)
        return made.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    (folder / "root.pem").write_bytes(issue(0, True))
    (folder / "chain.pem").write_bytes(issue(1, False))
    (folder / "key.pem").write_bytes(
        keys[1].private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


COMMAND = """
import sys
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
key = serialization.load_pem_private_key(open(sys.argv[1], "rb").read(), None)
r, s = decode_dss_signature(key.sign(sys.stdin.buffer.read(), ec.ECDSA(hashes.SHA256())))
sys.stdout.buffer.write(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
"""


@pytest.fixture(scope="module")
def studios(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("c2pa", reason="c2pa-python is not installed")
    pytest.importorskip("cryptography", reason="cryptography is not installed")
    folder = tmp_path_factory.mktemp("studios")
    chain(folder / "ours", "Test Studio")
    chain(folder / "theirs", "Other Studio")
    return folder


def test_signed_copies_are_trusted_and_the_shot_stays_as_it_was(
    shot: Path, studios: Path, portraitgen: Command, tmp_path: Path
) -> None:
    before = {p: p.read_bytes() for p in sorted((shot / "takes").rglob("*")) if p.is_file()}
    ours = studios / "ours"
    words = ["sign", shot, "--take", "toon", "--out", tmp_path, "--certificate", ours / "chain.pem"]
    done = portraitgen(*words, "--key", ours / "key.pem")
    assert done.returncode == 0, done.stderr
    made = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert made == [
        "frames/toon.0001.exr",
        "frames/toon.0001.exr.c2pa",
        "frames/toon.0001.png",
        "frames/toon.0002.exr",
        "frames/toon.0002.exr.c2pa",
        "frames/toon.0002.png",
        "toon.mp4",
    ]
    assert all(p.read_bytes() == data for p, data in before.items())
    source = shot / "takes" / "toon" / "renders" / "v001" / "frames" / "toon.0001.exr"
    assert (tmp_path / "frames" / "toon.0001.exr").read_bytes() == source.read_bytes()
    files = [tmp_path / name for name in made if not name.endswith(".c2pa")]
    checked = portraitgen("verify", *files, "--roots", ours / "root.pem")
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.count("trusted: ") == len(files)


@pytest.mark.parametrize("name", ["toon.0001.png", "toon.0001.exr"])
def test_tampering_foreign_signers_and_no_signer_are_told_apart(
    shot: Path, studios: Path, portraitgen: Command, tmp_path: Path, name: str
) -> None:
    from portraitgen.provenance.credentials import Signer, verify

    path = Path(
        shutil.copy(shot / "takes" / "toon" / "renders" / "v001" / "frames" / name, tmp_path)
    )
    assert verify(path).state == "none"
    tool = tmp_path / "tool.py"
    tool.write_text(COMMAND)
    ours, theirs = studios / "ours", studios / "theirs"
    command = [sys.executable, str(tool), str(ours / "key.pem")]
    Signer(ours / "chain.pem", command=command).sign(path, PLAIN, None)
    whole = verify(path, ours / "root.pem")
    assert whole.state == "trusted", whole.sentence
    assert json.loads(whole.statement["statement"])["editor"] == "toon"
    assert verify(path).state == "untrusted"
    foreign = verify(path, theirs / "root.pem")
    assert foreign.state == "untrusted" and "none of the roots" in foreign.sentence
    data = bytearray(path.read_bytes())
    data[-30] ^= 1
    path.write_bytes(data)
    changed = verify(path, ours / "root.pem")
    assert changed.state == "tampered" and "changed" in changed.sentence
    assert portraitgen("verify", path).returncode == 1


@pytest.mark.parametrize("data", [b"", b"hello" * 50])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".mp4"])
def test_a_file_that_holds_neither_a_picture_nor_a_credential_was_not_tampered_with(
    tmp_path: Path, suffix: str, data: bytes
) -> None:
    pytest.importorskip("c2pa", reason="c2pa-python is not installed")
    from portraitgen.provenance.credentials import CredentialError, verify

    path = tmp_path / f"take{suffix}"
    path.write_bytes(data)
    with pytest.raises(CredentialError, match="no whole"):
        verify(path)


def test_a_plate_that_holds_the_letters_of_a_credential_by_chance_brings_none(
    studios: Path, tmp_path: Path
) -> None:
    """It was called tampered with: any four letters stand somewhere in a large one."""
    from portraitgen.provenance.credentials import CredentialError, doubt_about, verify

    plate = tmp_path / "plate.mov"
    noise = np.random.default_rng(0).bytes(3000)
    plate.write_bytes(noise + b"jumb" + noise + b"jumd" + noise)
    assert doubt_about(plate) == ""
    with pytest.raises(CredentialError, match="no whole MOV file"):
        verify(plate)
    # A real beginning is found wherever it lies, over the edges of pieces that are read.
    for place in ((1 << 20) - 11, (1 << 20) - 1, 5):
        plate.write_bytes(bytes(place) + b"jumb\0\0\0\x20jumdc2pa" + noise)
        assert "does not hold" in doubt_about(plate)


def test_a_plate_that_the_library_cannot_take_apart_is_named_all_the_same(
    studios: Path, tmp_path: Path
) -> None:
    from portraitgen.provenance.credentials import Signer, verify

    plate, ours = tmp_path / "plate.mov", studios / "ours"
    plate.write_bytes(bytes(range(256)) * 9)
    path = save_png(tmp_path / "a.png", np.zeros((8, 8, 3), np.float32))
    Signer(ours / "chain.pem", ours / "key.pem").sign(path, PLAIN, plate)
    assert verify(path, ours / "root.pem").state == "trusted"
    assert b"plate.mov" in path.read_bytes()


@pytest.mark.parametrize("change", ["none", "pixel", "statement", "cut"])
def test_a_plate_whose_own_credential_does_not_hold_is_told_when_signing_and_verifying(
    shot: Path, studios: Path, portraitgen: Command, tmp_path: Path, change: str
) -> None:
    """It was carried along, or left behind, without a word."""
    from portraitgen.provenance.credentials import Signer, doubt_about, verify

    plate = save_png(tmp_path / "plate.png", np.random.default_rng(0).random((32, 32, 3), "f4"))
    theirs, ours = studios / "theirs", studios / "ours"
    Signer(theirs / "chain.pem", theirs / "key.pem").sign(plate, PLAIN, None)
    data = bytearray(plate.read_bytes())
    if change == "pixel":
        data[-30] ^= 1
    elif change == "statement":
        data[data.find(b"toon")] ^= 1
    elif change == "cut":
        place = data.find(b"c2pa.claim")
        data[place : place + 4] = b"\xff" * 4
    plate.write_bytes(data)
    whole = change == "none"
    assert (doubt_about(plate) == "") == whole
    assert whole or "does not hold" in doubt_about(plate)
    path = save_png(tmp_path / "a.png", np.zeros((8, 8, 3), np.float32))
    Signer(ours / "chain.pem", ours / "key.pem").sign(path, PLAIN, plate)
    found = verify(path, ours / "root.pem")
    assert found.state == "trusted"
    done = portraitgen("verify", path, "--roots", ours / "root.pem")
    # What the library cannot take apart is not carried along.
    carried = change in ("pixel", "statement")
    assert found.sources_hold == (not carried) and done.returncode == carried
    assert ("plate.png, did not hold" in done.stdout) == carried
    # What is made of that again is told, too.
    Signer(ours / "chain.pem", ours / "key.pem").sign(
        again := save_png(tmp_path / "b.png", np.zeros((8, 8, 3), np.float32)), PLAIN, path
    )
    assert verify(again, ours / "root.pem").sources_hold == (not carried)
    assert (doubt_about(path) == "") == (not carried)


def test_signing_and_delivering_tell_of_a_plate_whose_credential_does_not_hold(
    shot: Path, studios: Path, portraitgen: Command, clip: Path, tmp_path: Path
) -> None:
    from portraitgen.pipeline.registry import run
    from portraitgen.provenance.credentials import Signer

    ours, plate = studios / "ours", Path(shutil.copy(clip, tmp_path / "plate.mp4"))
    Signer(ours / "chain.pem", ours / "key.pem").sign(plate, PLAIN, None)
    data = bytearray(plate.read_bytes())
    data[data.find(b"mdat") + 400] ^= 1
    plate.write_bytes(data)
    again = tmp_path / "shot"
    shutil.copytree(shot, again)
    record = json.loads((again / "shot.json").read_text())
    record["footage"]["path"] = str(plate)
    (again / "shot.json").write_text(json.dumps(record))
    pens = {"certificate": str(ours / "chain.pem"), "key": str(ours / "key.pem")}
    out, said = (
        str(tmp_path / "out"),
        "brings a credential that does not hold: plate.mp4 was changed",
    )
    heard = Noting()
    run("deliver", again, {"take": "toon", "out": out} | pens, heard)
    assert any(said in note for note in heard.notes)
    heard = Noting()
    run("deliver", again, {"take": "toon", "out": out}, heard)
    assert not heard.notes
    words = [word for name, path in pens.items() for word in (f"--{name}", path)]
    done = portraitgen("sign", again, "--take", "toon", "--out", tmp_path / "more", *words)
    assert done.returncode == 0 and done.stderr.count(said) == 1
    checked = portraitgen("verify", *(tmp_path / "more" / "frames").glob("*.exr"))
    assert checked.returncode == 1 and checked.stdout.count("plate.mp4, did not hold") == 2


def test_a_key_that_is_not_the_certificates_is_refused(
    studios: Path, portraitgen: Command, shot: Path, tmp_path: Path
) -> None:
    done = portraitgen(
        *("sign", shot, "--take", "toon", "--out", tmp_path / "out"),
        *("--certificate", studios / "ours" / "chain.pem"),
        *("--key", studios / "theirs" / "key.pem"),
    )
    assert done.returncode == 1 and "the key is not the one of the certificate" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_fails_to_be_signed_is_not_delivered_and_what_was_stays(
    studios: Path, portraitgen: Command, shot: Path, tmp_path: Path
) -> None:
    words = ["sign", shot, "--take", "toon", "--out", tmp_path / "out", "--certificate"]
    words.append(studios / "ours" / "chain.pem")
    assert portraitgen(*words, "--key", studios / "theirs" / "key.pem").returncode == 1
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert portraitgen(*words, "--key", studios / "ours" / "key.pem").returncode == 0
    signed = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert portraitgen(*words, "--key", studios / "theirs" / "key.pem").returncode == 1
    assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == signed


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; sys.exit('no card in the reader')", "status 1 (no card in the reader)"),
        ("print('r and s')", "answered 8 bytes"),
        (None, "cannot be run (No such file"),
    ],
)
def test_what_became_of_a_signing_command_is_told(
    studios: Path, tmp_path: Path, program: str | None, said: str
) -> None:
    from portraitgen.provenance.credentials import CredentialError, Signer

    command = [sys.executable, "-c", program] if program else ["/nowhere/sign"]
    path = save_png(tmp_path / "a.png", np.zeros((8, 8, 3), np.float32))
    before = path.read_bytes()
    with pytest.raises(CredentialError) as failed:
        Signer(studios / "ours" / "chain.pem", command=command).sign(path, PLAIN, None)
    assert "the signing command" in str(failed.value) and said in str(failed.value)
    assert path.read_bytes() == before


def test_keys_that_are_encrypted_or_given_beside_a_command_are_refused(
    studios: Path, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives import serialization

    from portraitgen.provenance.credentials import CredentialError, Signer

    chain = studios / "ours" / "chain.pem"
    key = serialization.load_pem_private_key((studios / "ours" / "key.pem").read_bytes(), None)
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(CredentialError, match="no plain PKCS#8 key; convert it"):
        Signer(chain, tmp_path / "key.pem")
    with pytest.raises(CredentialError, match="give one"):
        Signer(chain, studios / "ours" / "key.pem", ["sign"])


def test_each_file_is_verified_even_beside_one_that_is_missing(
    studios: Path, portraitgen: Command, tmp_path: Path
) -> None:
    path = save_png(tmp_path / "a.png", np.zeros((8, 8, 3), np.float32))
    done = portraitgen("verify", tmp_path / "none.png", path, tmp_path / "a.txt")
    assert done.returncode == 1 and "none: a.png has no credential" in done.stdout
    assert "none.png: the file is missing" in done.stderr and "a.txt" in done.stderr


def test_a_signature_by_another_key_is_told_from_a_file_that_was_changed() -> None:
    from portraitgen.provenance.credentials import Report, _verdict

    def verdict(*codes: str) -> tuple[str, str]:
        active = {"signature_info": {"common_name": "Studio"}}
        facts = {"manifests": {"a": active}, "active_manifest": "a"}
        status = [{"code": code} for code in codes]
        report = Report.parse(facts | {"validation_status": status})
        found = _verdict(Path("a.png"), report, Path("root.pem"))
        return found.state, found.sentence

    forged = verdict("claimSignature.mismatch", "signingCredential.untrusted")
    changed = verdict("assertion.dataHash.mismatch")
    foreign = verdict("signingCredential.untrusted")
    assert [forged[0], changed[0], foreign[0]] == ["forged", "tampered", "untrusted"]
    assert "not by the key" in forged[1] and "was changed" in changed[1]
    assert len({forged[1], changed[1], foreign[1]}) == 3
    for empty in ({"manifests": {}}, {"manifests": None, "active_manifest": "a"}):
        assert _verdict(Path("a.png"), Report.parse(empty), None).state == "tampered"


def test_a_certificate_that_holds_no_more_is_no_change_of_the_file() -> None:
    from portraitgen.provenance.credentials import Report, _verdict

    def verdict(*codes: str) -> tuple[str, str]:
        active = {"signature_info": {"common_name": "Studio"}}
        facts = {"manifests": {"a": active}, "active_manifest": "a", "validation_state": "Invalid"}
        status = [{"code": code} for code in codes]
        found = _verdict(Path("a.png"), Report.parse(facts | {"validation_status": status}), None)
        return found.state, found.sentence

    late = "signingCredential.expired"
    state, sentence = verdict(late)
    assert state == "expired" and "is as Studio signed it" in sentence and "today" in sentence
    assert verdict("signingCredential.untrusted", late)[0] == "expired"
    assert verdict("signingCredential.revoked")[1] != sentence
    # What is not the certificate's is told in its place.
    assert verdict("assertion.dataHash.mismatch", late)[0] == "tampered"
    assert verdict("claimSignature.mismatch", late)[0] == "forged"


@pytest.mark.parametrize("given", ["", "hello", "key", "damaged", "folder"])
def test_roots_that_are_none_are_to_blame_and_not_the_file(
    studios: Path, tmp_path: Path, given: str
) -> None:
    from portraitgen.provenance.credentials import CredentialError, Signer, verify

    ours, roots = studios / "ours", tmp_path / "roots.pem"
    path = save_png(tmp_path / "a.png", np.zeros((8, 8, 3), np.float32))
    Signer(ours / "chain.pem", ours / "key.pem").sign(path, PLAIN, None)
    root = (ours / "root.pem").read_text()
    texts = {"key": (ours / "key.pem").read_text(), "damaged": root.replace(root[60:71], "")}
    if given == "folder":
        roots.mkdir()
    else:
        roots.write_text(texts.get(given, given))
    with pytest.raises(CredentialError, match="roots.pem: this") as failed:
        verify(path, roots)
    assert "tampered" not in str(failed.value)


@pytest.mark.parametrize("suffix", [".tif", ".dpx", ".jpg"])
def test_other_kinds_of_pictures_hold_a_credential_or_have_it_beside_them(
    studios: Path, tmp_path: Path, suffix: str
) -> None:
    import numpy as np
    import OpenImageIO as oiio  # noqa: N813

    from portraitgen.provenance.credentials import Signer, verify

    path, ours = tmp_path / f"a{suffix}", studios / "ours"
    output = oiio.ImageOutput.create(str(path))
    assert output and output.open(str(path), oiio.ImageSpec(64, 48, 3, oiio.UINT8))
    output.write_image(np.full((48, 64, 3), 90, np.uint8))
    output.close()
    signed = Signer(ours / "chain.pem", ours / "key.pem").sign(path, PLAIN, None)
    assert signed.name == ("a.dpx.c2pa" if suffix == ".dpx" else path.name)
    assert verify(path, ours / "root.pem").state == "trusted"


def test_a_delivery_without_a_certificate_is_copied_unsigned(shot: Path, tmp_path: Path) -> None:
    from portraitgen.errors import OptionError
    from portraitgen.pipeline.registry import run
    from portraitgen.pipeline.run.progress import Reporter

    given = {"take": "toon", "out": str(tmp_path / "out")}
    made = run("deliver", shot, given, Reporter())
    assert made.told()["signed"] is False and made.told()["files"] == 5
    source = shot / "takes" / "toon" / "renders" / "v001" / "toon.mp4"
    assert (tmp_path / "out" / "toon.mp4").read_bytes() == source.read_bytes()
    with pytest.raises(OptionError, match="go together"):
        run("deliver", shot, given | {"certificate": "chain.pem"}, Reporter())


def test_an_unsigned_delivery_leaves_no_credential_of_an_earlier_one(
    shot: Path, studios: Path, tmp_path: Path
) -> None:
    """EXR files of a new render lay beside the old one's credentials, as if somebody had tampered
    with them."""
    from portraitgen.pipeline.registry import run
    from portraitgen.pipeline.run.progress import Reporter
    from portraitgen.provenance.credentials import verify

    ours, out = studios / "ours", tmp_path / "out"
    pens = {"certificate": str(ours / "chain.pem"), "key": str(ours / "key.pem")}
    run("deliver", shot, {"take": "toon", "out": str(out)} | pens, Reporter())
    assert len(list(out.rglob("*.c2pa"))) == 2
    run("deliver", shot, {"take": "toon", "out": str(out)}, Reporter())
    assert not list(out.rglob("*.c2pa"))
    assert {verify(path).state for path in out.rglob("toon.*")} == {"none"}


def test_a_strangers_text_that_breaks_off_says_nothing(tmp_path: Path) -> None:
    plain = save_png(tmp_path / "plain.png", np.zeros((8, 8, 3), np.float32)).read_bytes()
    chunk = b"\0\0\0\x05iTXta\0\0\0\0" + b"\0" * 4
    assert texts_of(plain[:33] + chunk + plain[33:]) == {}


def _delivered(shot: Path, out: Path, gaps: bool = False) -> list[str]:
    """The notes of a delivery."""
    from portraitgen.pipeline.registry import run

    heard = Noting()
    run("deliver", shot, {"take": "toon", "out": str(out), "gaps": gaps}, heard)
    return heard.notes


def test_what_is_damaged_or_was_changed_is_not_delivered(shot: Path, tmp_path: Path) -> None:
    """It was copied, and signed, without a word."""

    shutil.copytree(shot, tmp_path / "shot")
    frames = tmp_path / "shot" / "takes" / "toon" / "renders" / "v001" / "frames"
    frame, picture = frames / "toon.0001.exr", frames / "toon.0001.png"
    whole, seen = frame.read_bytes(), picture.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for data in (flipped, whole[:100], b""):
        frame.write_bytes(data)
        with pytest.raises(PortraitError, match=r"toon\.0001\.exr: .*delete it, and render again"):
            _delivered(tmp_path / "shot", tmp_path / "out")
        assert not (tmp_path / "out" / "frames" / frame.name).exists()
    frame.write_bytes(whole)
    for data in (seen[:-1], (frames / "toon.0002.png").read_bytes()):
        picture.write_bytes(data)
        with pytest.raises(PortraitError, match="was changed since it was rendered"):
            _delivered(tmp_path / "shot", tmp_path / "out")
    picture.write_bytes(seen)
    movie = frames.parent / "toon.mp4"
    for data in (movie.read_bytes()[:-200], b""):
        movie.write_bytes(data)
        with pytest.raises(PortraitError, match=r"toon\.mp4: the movie is damaged; make it again"):
            _delivered(tmp_path / "shot", tmp_path / "out")
    movie.unlink()
    assert _delivered(tmp_path / "shot", tmp_path / "out") == []


def test_what_a_delivery_lacks_and_what_else_lies_there_is_told(shot: Path, tmp_path: Path) -> None:
    from portraitgen.errors import OptionError

    shutil.copytree(shot, tmp_path / "shot")
    take = tmp_path / "shot" / "takes" / "toon"
    frames, out = take / "renders" / "v001" / "frames", tmp_path / "out"
    (frames / "toon.0002.exr").unlink()
    shutil.copy(frames / "toon.0001.exr", frames / "toon.0005.exr")
    shutil.copy(frames / "toon.0001.png", frames / "holiday.png")
    (out / "frames").mkdir(parents=True)
    (out / "frames" / "toon.0077.exr").write_bytes(b"of another delivery")
    with pytest.raises(ShotError, match="not all of 1 to 5 is rendered: 3-4 is missing; frames"):
        _delivered(tmp_path / "shot", out)
    assert not (out / "frames" / "toon.0001.exr").exists()
    assert _delivered(tmp_path / "shot", out, gaps=True) == [
        "not all of 1 to 5 is rendered: 3-4 is missing",
        "frames hold no EXR of 2",
        "frames hold no PNG of 5",
        "the movie shows 2 of 3 frames",
        "left out, since the render did not write it: holiday.png",
        "the folder holds what is no part of this delivery: toon.0077.exr",
    ]
    assert not (out / "frames" / "holiday.png").exists()
    for inside in (take, frames):
        with pytest.raises(OptionError, match="would lie among the takes"):
            _delivered(tmp_path / "shot", inside, gaps=True)
    # A version of anything never changes.
    for name in ("track/0001", "avatar", "jobs/new"):
        with pytest.raises(OptionError, match="among the shot's own files"):
            _delivered(tmp_path / "shot", tmp_path / "shot" / name, gaps=True)
