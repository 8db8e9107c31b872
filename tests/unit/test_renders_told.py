# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What frames, full plates, movies and credentials say of how they were rendered."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from xml.dom import minidom

import numpy as np
import OpenImageIO as oiio  # noqa: N813
import pytest
from footage_media import write_movie
from performer_shot import performer_shot
from PIL import Image
from reporters import Noting

from portraitgen.body.model import BodyModel
from portraitgen.errors import OptionError
from portraitgen.footage.container_tags import movie_comment
from portraitgen.footage.exr import exr_attributes
from portraitgen.footage.plate import open_plate
from portraitgen.footage.plate_files import unmarked, write_plate
from portraitgen.footage.tiff_xmp import with_xmp, xmp_in
from portraitgen.pipeline.data.provenance import touched_in, touched_told
from portraitgen.pipeline.jobs.deliver import sign_take
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.provenance.png_text import texts_of
from portraitgen.provenance.statement import Statement
from portraitgen.records import RenderRecord
from portraitgen.shot import Shot
from portraitgen.storage import remove_tree

FRAMES, SIZE = 3, 64
SAID = Statement(
    *("PortraitGen", "0.1.0", 'a "take" <b> & \x9b', 1, 2, 1, "abc", "toon"), touched=0.25
)


class Pen:
    """Signs nothing, and remembers what it would have said of each file."""

    def __init__(self) -> None:
        self.said: dict[str, Any] = {}

    def sign(self, path: Path, statement: Statement, plate: Path | None, target: Path) -> Path:
        self.said[path.name] = json.loads(statement.to_json())
        return target


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> Shot:
    """A performer with an edited take."""
    folder = tmp_path_factory.mktemp("rendered")
    plate = write_movie(folder / "plate.mp4", FRAMES, size=(SIZE, SIZE))
    made = performer_shot(folder, plate, BodyModel.load(), frames=FRAMES, size=SIZE, splats=500)
    edit = {"take": "toon", "editor": "toon", "steps": 2, "keys": 1}
    run("edit", made.path, edit, Reporter())
    return made


@pytest.fixture
def other(shot: Shot, tmp_path: Path) -> Shot:
    """Another performer, with a plate of its own."""
    shutil.copytree(shot.path, tmp_path / "other")
    record = json.loads((tmp_path / "other" / "shot.json").read_text())
    record["footage"]["digest"] = "9" * 64
    (tmp_path / "other" / "shot.json").write_text(json.dumps(record))
    return Shot.open(tmp_path / "other")


def said_by(frame: Path) -> dict[str, Any]:
    """What a frame says, and its picture with it."""
    header = exr_attributes(frame)["portraitgen:provenance"]
    texts = texts_of(frame.with_suffix(".png").read_bytes())
    assert texts["portraitgen:provenance"] == header
    (told,) = minidom.parseString(texts["XML:com.adobe.xmp"]).getElementsByTagName(
        "rdf:Description"
    )
    found: dict[str, Any] = json.loads(header)
    assert json.loads(told.getAttribute("portraitgen:provenance")) == found
    return found


def test_whose_performance_drives_and_through_which_camera_is_told(
    shot: Shot, other: Shot, tmp_path: Path
) -> None:
    """Their pictures said nothing at all, and their frames nothing of either."""
    view = {"fx": 80, "fy": 80, "cx": 32, "cy": 32}
    matrix = np.eye(4).tolist()
    cameras = {"width": 64, "height": 64, "frames": {"1": view | {"matrix": matrix}}}
    moves = tmp_path / "moves.json"
    moves.write_text(json.dumps(cameras))
    given = {"drive": str(other.path), "camera": str(moves), "take": "toon", "frames": "1"}
    run("render", shot.path, given, Reporter())
    (frame,) = shot.path.glob("takes/toon/alone-*/renders/v001/frames/*.exr")
    said = said_by(frame)
    assert said["performances"] == [{"shot": "other", "plate": "9" * 64, "track": 1}]
    assert said["camera"] == hashlib.sha256(moves.read_bytes()).hexdigest()
    assert said["render"]["drive"] == "other" and said["render"]["camera"] == "moves.json"
    assert str(tmp_path) not in json.dumps(said) and "touched" not in said
    # So do the credentials of its copies.
    home, pen = frame.parents[3].name, Pen()
    with pytest.raises(OptionError, match=f"no folder 'alone-1'; use {home}"):
        run("deliver", shot.path, {"take": "toon", "out": "x", "alone": "alone-1"}, Reporter())
    list(sign_take(shot, "toon", tmp_path / "out", cast(Any, pen), alone=home))
    assert pen.said == {frame.name: said, frame.with_suffix(".png").name: said}
    out = {"take": "toon", "out": str(tmp_path / "out"), "alone": home}
    assert run("deliver", shot.path, out, Reporter()).told()["files"] == 2
    record = RenderRecord.read(frame.parents[1] / "render.json")
    assert record.performance and record.performance.plate == "9" * 64
    assert record.camera_sha256 == said["camera"]


def test_how_much_of_an_edit_shows_is_told_by_frame_movie_and_credential(
    shot: Shot, tmp_path: Path
) -> None:
    mix = "1:0,3:1"
    run("render", shot.path, {"take": "toon", "mix": mix, "plate": True}, Reporter())
    folder = shot.path / "takes" / "toon" / "renders" / "v001"
    frames = sorted((folder / "frames").glob("*.exr"))
    said = {frame.name: said_by(frame) for frame in frames}
    assert [each.get("shown", 1) for each in said.values()] == [0, 0.5, 1]
    assert all(each["render"]["mix"] == mix for each in said.values())
    shares = [each["touched"] for each in said.values()]
    assert shares[0] == 0 < shares[1] <= shares[2]
    first = json.loads(movie_comment(folder / "toon.mp4"))
    assert first["render"]["mix"] == mix
    assert first["touched"] == pytest.approx(np.mean(shares), abs=1e-4)
    pen = Pen()
    list(sign_take(shot, "toon", tmp_path / "out", cast(Any, pen)))
    for name, facts in said.items():
        assert pen.said[name] == facts == pen.said[name.replace(".exr", ".png")]
    assert pen.said["toon.mp4"] == first
    # A movie of some of the frames tells of those.
    run("movie", shot.path, {"take": "toon", "frames": "2-3"}, Reporter())
    assert touched_told(folder / "toon.mp4") == pytest.approx(np.mean(shares[1:]), abs=1e-4)
    pen = Pen()
    list(sign_take(shot, "toon", tmp_path / "again", cast(Any, pen)))
    assert pen.said["toon.mp4"]["touched"] == pytest.approx(np.mean(shares[1:]), abs=1e-4)


def test_a_movie_whose_frames_do_not_say_it_does_not_say_how_much_is_touched(
    tmp_path: Path,
) -> None:
    assert touched_in([]) is None and touched_in([tmp_path / "none.exr"]) is None
    plain = write_movie(tmp_path / "plain.mp4", 1)
    assert movie_comment(plain) == "" and touched_told(plain) is None
    (tmp_path / "no.mp4").write_bytes(b"\0\0\0\x10moov\0\0\0\x08udta")
    assert movie_comment(tmp_path / "no.mp4") == ""


def test_another_performers_mouth_is_told(shot: Shot, other: Shot) -> None:
    """Also of what is acted above it, until all of it is acted anew."""
    settings = json.dumps({"mouth_from": str(other.path)})
    run("act", shot.path, {"take": "lips", "settings": settings}, Reporter())
    more = {"take": "lips", "settings": '{"jawOpen": 0.1}'}
    run("act", shot.path, more | {"add": True}, Reporter())
    run("render", shot.path, {"take": "lips", "frames": "1", "movie": False}, Reporter())
    (frame,) = shot.path.glob("takes/lips/renders/v001/frames/*.exr")
    theirs = [{"shot": "other", "plate": "9" * 64, "track": 1}]
    assert said_by(frame)["performances"] == theirs
    run("act", shot.path, more, Reporter())
    run("render", shot.path, {"take": "lips", "frames": "1", "movie": False}, Reporter())
    (frame,) = shot.path.glob("takes/lips/renders/v002/frames/*.exr")
    assert "performances" not in said_by(frame)


# Full plates


def image(path: Path, width: int = 32, **attributes: Any) -> Path:
    """An image of 16 bits, or 10 in a DPX."""
    spec = oiio.ImageSpec(width, width, 3, oiio.UINT16)
    if path.suffix == ".dpx":
        spec.attribute("oiio:BitsPerSample", 10)
    for name, value in attributes.items():
        if isinstance(value, bytes):
            data = np.frombuffer(value, np.uint8)
            spec.attribute(name.replace("__", ":"), oiio.TypeDesc(f"uint8[{len(data)}]"), data)
        else:
            spec.attribute(name.replace("__", ":"), value)
    output = oiio.ImageOutput.create(str(path))
    assert output and output.open(str(path), spec), oiio.geterror()
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 1 << 10, (width, width, 3), np.uint16)
    output.write_image((codes << 6 | codes >> 4).astype(np.uint16))
    output.close()
    return path


@pytest.mark.parametrize("suffix", [".tif", ".tiff"])
def test_a_full_plate_of_tiff_says_how_it_was_made(tmp_path: Path, suffix: str) -> None:
    source = image(tmp_path / f"plate.0001{suffix}", Software="Scanner 5", Copyright="Ann")
    plate = open_plate(source)
    native = plate.read_native(plate.first)
    written = write_plate(tmp_path / "over", native, plate, SAID.png_texts())
    packet = xmp_in(written.read_bytes())
    (told,) = (
        each
        for each in minidom.parseString(packet).getElementsByTagName("rdf:Description")
        if each.hasAttribute("portraitgen:provenance")
    )
    assert json.loads(told.getAttribute("portraitgen:provenance")) == json.loads(SAID.to_json())
    assert told.getAttribute("Iptc4xmpExt:DigitalSourceType") == SAID.source_type
    assert packet.count("CreatorTool") == 1
    again = open_plate(written)
    assert np.array_equal(again.read_native(again.first).pixels, native.pixels)
    spec = oiio.ImageInput.open(str(written)).spec()
    assert spec.get_string_attribute("Iptc4xmpExt:DigitalSourceType") == SAID.source_type
    assert spec.get_string_attribute("Copyright") == "Ann"
    with Image.open(written) as opened:
        assert SAID.source_type.encode() in bytes(opened.tag_v2[700])


@pytest.mark.parametrize(
    ("mode", "big"), [("L", False), ("L", True), ("I;16", True), ("I;16B", False)]
)
def test_any_tiff_takes_a_packet_and_keeps_its_pixels_and_pages(
    tmp_path: Path, mode: str, big: bool
) -> None:
    """Of either byte order and length of addresses."""
    pages = [Image.new(mode, (9, 7), 40 * (page + 1)) for page in range(2)]
    path = tmp_path / "pages.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:], big_tiff=big)
    path.write_bytes(with_xmp(path.read_bytes(), SAID.xmp()))
    assert SAID.source_type in xmp_in(path.read_bytes())
    with Image.open(path) as opened:
        for page, made in enumerate(pages):
            opened.seek(page)
            assert np.array_equal(np.asarray(opened), np.asarray(made))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".exr"])
def test_what_a_plate_says_of_its_own_making_is_not_said_of_the_take(
    tmp_path: Path, suffix: str
) -> None:
    """A camera's *digital capture*, or an earlier take's record, stood beside ours."""
    name = "Iptc4xmpExt:DigitalSourceType"
    own = {name: "digitalCapture", "portraitgen:provenance": "old", "Copyright": "Ann"}
    path = tmp_path / f"plate.0001{suffix}"
    spec = oiio.ImageSpec(16, 8, 3, oiio.HALF if suffix == ".exr" else oiio.UINT8)
    for key, text in own.items():
        spec.attribute(key, text)
    output = oiio.ImageOutput.create(str(path))
    assert output and output.open(str(path), spec)
    output.write_image(np.zeros((8, 16, 3), np.uint8))
    output.close()
    if suffix == ".tif":
        said = SAID.xmp().replace(SAID.source_type, "digitalCapture")
        path.write_bytes(with_xmp(path.read_bytes(), said))
    plate = open_plate(path, colour_space="Rec.709")
    native = plate.read_native(plate.first)
    assert native.attributes[name][1] == "digitalCapture"
    written = write_plate(tmp_path / "over", native, plate, SAID.png_texts())
    assert b"digitalCapture" not in written.read_bytes()
    assert SAID.source_type.encode() in written.read_bytes()
    again = oiio.ImageInput.open(str(written)).spec()
    assert again.get_string_attribute("Copyright") == "Ann"
    assert again.get_string_attribute("portraitgen:provenance") != "old"
    # A plate that is written as it is says what it said.
    as_it_is = write_plate(tmp_path / "plain", native, plate)
    assert suffix == ".tif" or b"digitalCapture" in as_it_is.read_bytes()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".exr"])
@pytest.mark.parametrize("key", ["Iptc4xmpExt:DigitalSourceType", "portraitgen:digitalSourceType"])
def test_a_plate_that_a_trained_model_drew_stays_one(tmp_path: Path, suffix: str, key: str) -> None:
    """Its take was called a capture, since the editor trains on nothing."""
    made = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    spec = oiio.ImageSpec(16, 8, 3, oiio.HALF if suffix == ".exr" else oiio.UINT8)
    path = tmp_path / f"plate.0001{suffix}"
    spec.attribute(key, made)
    output = oiio.ImageOutput.create(str(path))
    assert output and output.open(str(path), spec)
    output.write_image(np.zeros((8, 16, 3), np.uint8))
    output.close()
    if suffix == ".tif":
        path.write_bytes(with_xmp(path.read_bytes(), SAID.xmp().replace(SAID.source_type, made)))
    plate = open_plate(path, colour_space="Rec.709")
    assert plate.source_type == made
    said = replace(SAID, plate_source=plate.source_type)
    assert said.source_type.endswith("/compositeWithTrainedAlgorithmicMedia")
    facts = json.loads(said.to_json())
    assert facts["plate_source"] == made and facts["generative"] is False
    assert replace(SAID, plate_source="digitalCapture").source_type == SAID.source_type


def test_what_is_no_tiff_is_refused() -> None:
    with pytest.raises(ValueError, match="no TIFF"):
        with_xmp(b"II", SAID.xmp())


def test_a_full_plate_of_dpx_says_how_it_was_made(tmp_path: Path) -> None:
    plate = open_plate(image(tmp_path / "plate.0001.dpx"), colour_space="Rec.709")
    native = plate.read_native(plate.first)
    written = write_plate(tmp_path / "over", native, plate, SAID.png_texts())
    head = written.read_bytes()[2048:]
    assert head.startswith(b"PORTRAITGEN".ljust(32, b"\0"))
    told, _ = json.JSONDecoder().raw_decode(head[32:4096].decode("utf-8", "replace"))
    assert json.loads(told["portraitgen:provenance"]) == json.loads(SAID.to_json())
    assert told["portraitgen:digitalSourceType"] == SAID.source_type
    again = open_plate(written, colour_space="Rec.709")
    assert np.array_equal(again.read_native(again.first).pixels, native.pixels)
    assert unmarked(native, plate) == ""


def test_a_render_over_such_dpx_files_says_once_that_they_are_not_marked(tmp_path: Path) -> None:
    own = b"SCANNER".ljust(32, b"\0") + b"12345678"
    for frame in range(1, FRAMES + 1):
        image(tmp_path / f"p.{frame:04d}.dpx", SIZE, dpx__UserData=own)
    plate = tmp_path / "p.0001.dpx"
    shot = performer_shot(tmp_path, plate, BodyModel.load(), frames=FRAMES, size=SIZE, splats=500)
    act = {"take": "talk", "settings": '{"jawOpen": 0.4}'}
    run("act", shot.path, act, Reporter())
    for full in (True, False):
        heard = Noting()
        run("render", shot.path, {"take": "talk", "plate": full, "movie": False}, heard)
        told = [note for note in heard.notes if "data of their own" in note]
        assert len(told) == full
        remove_tree(shot.path / "takes" / "talk" / "renders")


def test_a_dpx_with_data_of_its_own_keeps_it_and_that_is_told(
    tmp_path: Path,
) -> None:
    own = b"SCANNER".ljust(32, b"\0") + b"12345678"
    for frame in range(1, FRAMES + 1):
        image(tmp_path / f"plate.{frame:04d}.dpx", dpx__UserData=own)
    plate = open_plate(tmp_path / "plate.0001.dpx", colour_space="Rec.709")
    native = plate.read_native(plate.first)
    written = write_plate(tmp_path / "over.0001", native, plate, SAID.png_texts())
    assert written.read_bytes()[2048 : 2048 + len(own)] == own
    assert "data of their own" in unmarked(native, plate)
