# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Colour tags of movies and images, against the standards' formulas written out here."""

import copy
import os
import struct
import zlib
from pathlib import Path

import av
import numpy as np
import PyOpenColorIO as ocio  # noqa: N813
import pytest
from footage_media import write_image
from test_media_images import RGB, write_exr

from portraitgen.errors import FootageError
from portraitgen.footage import colour
from portraitgen.footage.movie_facts import probe as probe_movie
from portraitgen.footage.plate import open_plate
from portraitgen.footage.plate_files import write_plate

D65 = (0.3127, 0.3290)
REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *D65)
P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *D65)
REC2020 = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *D65)


def _matrix(source: tuple[float, ...], target: tuple[float, ...] = REC709) -> np.ndarray:
    def xyz(c: tuple[float, ...]) -> np.ndarray:
        columns = np.array(
            [[c[i] / c[i + 1], 1, (1 - c[i] - c[i + 1]) / c[i + 1]] for i in (0, 2, 4)]
        )
        white = np.array([c[6] / c[7], 1, (1 - c[6] - c[7]) / c[7]])
        primaries = np.array(columns).T
        return primaries * np.linalg.solve(primaries, white)

    return np.linalg.solve(xyz(target), xyz(source))


def _srgb(linear: np.ndarray) -> np.ndarray:
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _from_srgb(code: np.ndarray) -> np.ndarray:
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def _hlg(light: np.ndarray) -> np.ndarray:
    """Light of a display, 1 at 203 of 1000 nits, as the HLG signal (BT.2100)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    white = (np.exp((0.75 - c) / a) + b) / 12
    scene = light ** (1 / 1.2) * white
    high = a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


def _pq(light: np.ndarray) -> np.ndarray:
    """Light of a display, 1 at 203 nits, as the PQ signal (SMPTE ST 2084)."""
    power = (light * 203 / 10000) ** (2610 / 16384)
    signal = (3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)
    return signal ** (2523 / 32)


def _picture() -> np.ndarray:
    """Rec.709 codes of a picture, (64, 64, 3) in 0..1."""
    y, x = np.mgrid[0:64, 0:64] / 63
    return np.stack([0.1 + 0.85 * x, 0.15 + 0.7 * y, 0.8 - 0.6 * x * y], axis=2)


def _movie(path: Path, rgb: np.ndarray, primaries: int, transfer: int, matrix: int) -> Path:
    """A lossless 12-bit movie of R'G'B' values, tagged."""
    kr, kb = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}[matrix]
    luma = rgb @ [kr, 1 - kr - kb, kb]
    planes = [
        np.rint((219 * luma + 16) * 16),
        np.rint((224 * (rgb[..., 2] - luma) / 2 / (1 - kb) + 128) * 16),
        np.rint((224 * (rgb[..., 0] - luma) / 2 / (1 - kr) + 128) * 16),
    ]
    frame = av.VideoFrame(64, 64, "yuv444p12le")
    for plane, codes in zip(frame.planes, planes, strict=True):
        padded = np.zeros((plane.height, plane.line_size // 2), "<u2")
        padded[:, :64] = codes
        plane.update(padded.tobytes())
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv444p12le"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = matrix, primaries, transfer
        context.color_range = 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_a_container_outranks_its_pictures(tmp_path: Path) -> None:
    """As in Blender and in players; takes were off the plate's strip by a matrix, unsaid."""
    inside = tmp_path / "inside.mov"
    with av.open(str(inside), "w") as container:
        stream = container.add_stream("prores_ks", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv422p10le"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = 6, 6, 1
        stream.metadata["timecode"] = "01:02:03:04"
        picture = np.full((64, 64, 3), (231, 156, 71), np.uint8)
        for _ in range(3):
            made = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format="yuv422p10le", dst_colorspace=1
            )
            made.colorspace = 6
            container.mux(stream.encode(made))
        container.mux(stream.encode())
    facts = probe_movie(inside)
    assert facts.matrix == "bt601" and facts.timecode == "01:02:03:04"
    assert not facts.notes, "a time code that is read is no track left out"
    data = inside.read_bytes()
    at = data.index(b"nclc")
    outside = tmp_path / "outside.mov"
    outside.write_bytes(data[: at + 4] + bytes((0, 1, 0, 1, 0, 1)) + data[at + 10 :])
    facts = probe_movie(outside)
    assert (facts.matrix, facts.primaries, facts.transfer) == ("bt709", 1, 1)
    assert [note for note in facts.notes if "tagged with different colours" in note]
    plate = open_plate(outside)
    assert abs(plate.read(1) * 255 - picture).max() < 2


@pytest.mark.parametrize(
    ("transfer", "signal", "name"), [(18, _hlg, "Rec.2100-HLG"), (16, _pq, "Rec.2100-PQ")]
)
def test_hdr_video_is_worked_on_as_its_rec_709_twin_and_written_back_as_it_came(
    tmp_path: Path, transfer: int, signal: object, name: str
) -> None:
    picture = _picture()
    light = np.maximum(picture**2.4 @ np.linalg.inv(_matrix(REC2020)).T, 0)
    coded = signal(light)
    plate = open_plate(_movie(tmp_path / "hdr.mkv", coded, 9, transfer, 9))
    assert plate.colour_space == name
    assert any("diffuse white at 203 nits" in note for note in plate.notes)
    shown = _srgb(plate.linear(1))
    assert np.abs(shown - picture).max() * 255 < 4
    assert np.abs(shown - picture).mean() * 255 < 0.3
    where = np.zeros((64, 64), bool)
    where[:32] = True
    frame = plate.laid_over(1, plate.read(1), where)
    native = plate.read_native(1)
    assert np.array_equal(frame.pixels[32:], native.pixels[32:])
    assert np.abs(frame.pixels[:32].astype(int) - native.pixels[:32]).max() < 40
    written = write_plate(tmp_path / "out", frame, plate)
    again = open_plate(written)
    assert again.colour_space == name, "the PNG says what it is (cICP)"
    assert np.array_equal(again.read_native(1).pixels, frame.pixels)


@pytest.mark.parametrize(
    ("primaries", "matrix", "gamut", "name"),
    [(12, 1, P3, "sRGB P3-D65"), (9, 9, REC2020, "Rec.2020"), (1, 1, REC709, "Rec.709")],
)
def test_primaries_are_honoured(
    tmp_path: Path, primaries: int, matrix: int, gamut: tuple[float, ...], name: str
) -> None:
    picture = _picture()
    plate = open_plate(_movie(tmp_path / "p.mkv", picture, primaries, 1, matrix))
    assert plate.colour_space == name
    wanted = _from_srgb(picture) @ _matrix(gamut).T
    assert np.abs(plate.linear(1) - wanted).max() < 3e-3
    linear = colour.to_linear(plate.read(1), plate.space)
    assert np.abs(linear - _from_srgb(picture)).max() < 3e-3
    assert np.allclose(colour.chromaticities(plate.space), gamut)


@pytest.mark.parametrize(
    ("transfer", "decode"),
    [(4, lambda v: v**2.2), (8, lambda v: v), (13, _from_srgb), (14, _from_srgb)],
)
def test_transfer_is_honoured(tmp_path: Path, transfer: int, decode: object) -> None:
    picture = _picture()
    plate = open_plate(_movie(tmp_path / "t.mkv", picture, 1, transfer, 1))
    assert np.abs(plate.linear(1) - decode(picture)).max() < 3e-3


def _png(path: Path, codes: np.ndarray, *chunks: tuple[bytes, bytes]) -> Path:
    """A 16-bit PNG with chunks of one's own before the pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    height, width = codes.shape[:2]
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in codes)
    parts = [
        chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
        *(chunk(*each) for each in chunks),
        chunk(b"IDAT", zlib.compress(lines)),
        chunk(b"IEND", b""),
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def _gama(value: int) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", value)


@pytest.mark.parametrize(
    ("chunks", "name", "decode"),
    [
        ([_gama(100000)], "Linear Rec.709", lambda v: v),
        ([_gama(45455)], "sRGB", _from_srgb),
        ([_gama(100000), (b"sRGB", b"\0")], "sRGB", _from_srgb),
        ([(b"cICP", bytes((12, 13, 0, 1)))], "sRGB P3-D65", None),
        ([_gama(45455), (b"cICP", bytes((9, 16, 0, 1)))], "Rec.2100-PQ", None),
        ([_gama(55556)], "Gamma 1.8 Rec.709", lambda v: v**1.8),
        ([], "sRGB", _from_srgb),
    ],
)
def test_chunks_of_png_are_honoured(
    tmp_path: Path, chunks: list[tuple[bytes, bytes]], name: str, decode: object
) -> None:
    picture = _picture()
    path = _png(tmp_path / "p.png", np.rint(picture * 65535), *chunks)
    plate = open_plate(path)
    assert plate.colour_space == name
    if decode is not None:
        assert np.abs(plate.linear(1) - decode(picture)).max() < 1e-4


CAMERAS = {
    "Linear ARRI Wide Gamut 3": (0.684, 0.313, 0.221, 0.848, 0.0861, -0.102, *D65),
    "Linear S-Gamut3.Cine": (0.766, 0.275, 0.225, 0.800, 0.089, -0.087, *D65),
    "Linear V-Gamut": (0.730, 0.280, 0.165, 0.840, 0.100, -0.030, *D65),
    "ACEScg": (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, 0.32168, 0.33767),
    "Linear Rec.2020": REC2020,
}


@pytest.mark.parametrize("name", CAMERAS)
def test_primaries_of_an_exr_name_cameras(tmp_path: Path, name: str) -> None:
    pixels = _picture().astype(np.float16)
    path = write_exr(tmp_path / "p.exr", ("", RGB, pixels), chromaticities=CAMERAS[name])
    plate = open_plate(path)
    assert plate.colour_space == name
    wanted = pixels.astype(float) @ _matrix(CAMERAS[name]).T
    # Whites differ for ACES, and so does the way they are adapted.
    assert np.abs(plate.linear(1) - wanted).max() < (0.08 if name == "ACEScg" else 0.02)


def test_primaries_of_no_camera_are_honoured_too(tmp_path: Path) -> None:
    odd = (0.66, 0.32, 0.25, 0.65, 0.14, 0.05, *D65)
    pixels = _picture().astype(np.float16)
    path = write_exr(tmp_path / "p.exr", ("", RGB, pixels), chromaticities=odd)
    plate = open_plate(path)
    assert np.abs(plate.linear(1) - pixels.astype(float) @ _matrix(odd).T).max() < 1e-4
    assert colour.resolve(plate.colour_space) == plate.space
    display = plate.read(1)
    inside = (plate.linear(1) > 0).all(axis=2)
    back = colour.from_display(display, plate.space)
    assert inside.any() and np.abs(back - pixels)[inside].max() < 2e-3


def test_the_interop_id_outranks_primaries(tmp_path: Path) -> None:
    pixels = _picture().astype(np.float16)
    for identity, name in (("lin_ap1_scene", "ACEScg"), ("lin_p3d65_scene", "Linear P3-D65")):
        path = write_exr(
            tmp_path / "p.exr", ("", RGB, pixels), interop=identity, chromaticities=REC709
        )
        assert open_plate(path).colour_space == name


def test_what_is_assumed_is_said(tmp_path: Path) -> None:
    path = write_exr(tmp_path / "p.exr", ("", RGB, _picture().astype(np.float16)))
    assert "the images name no primaries; linear Rec.709 is assumed" in open_plate(path).notes


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("HLG", "Rec.2100-HLG"),
        ("pq", "Rec.2100-PQ"),
        ("LogC3", "ARRI LogC3 (EI800)"),
        ("arri logc4", "ARRI LogC4"),
        ("S-Log3", "S-Log3 S-Gamut3"),
        ("slog3 s-gamut3.cine", "S-Log3 S-Gamut3.Cine"),
        ("V-Log", "V-Log V-Gamut"),
        ("Log3G10", "Log3G10 REDWideGamutRGB"),
        ("ALEXA Wide Gamut", "Linear ARRI Wide Gamut 3"),
        ("linear alexa wide gamut", "Linear ARRI Wide Gamut 3"),
        ("Rec 2020", "Rec.2020"),
        ("display-p3", "sRGB P3-D65"),
        ("ACES 2065-1", "ACES2065-1"),
        ("canon log 3", "CanonLog3 CinemaGamut D55"),
        ("bmd film", "BMDFilm WideGamut Gen5"),
        ("lin_rec709_scene", "Linear Rec.709"),
    ],
)
def test_everyday_names_of_colour_spaces_are_understood(said: str, name: str) -> None:
    assert colour.resolve(said).name == name


def test_a_studio_s_own_configuration_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builtin = ocio.Config.CreateFromBuiltinConfig("cg-config-v2.1.0_aces-v1.3_ocio-v2.3")
    config = copy.deepcopy(builtin)
    double = ocio.MatrixTransform([2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1])
    chain = ocio.GroupTransform([double, ocio.ColorSpaceTransform("ACEScg", "ACES2065-1")])
    space = ocio.ColorSpace(name="House Linear", encoding="scene-linear")
    space.setTransform(chain, ocio.COLORSPACE_DIR_TO_REFERENCE)
    config.addColorSpace(space)
    place = tmp_path / "house.ocio"
    place.write_text(config.serialize())
    with pytest.raises(FootageError, match="'House Linear' is unknown"):
        colour.resolve("House Linear")
    monkeypatch.setenv("OCIO", str(place))
    found = colour.resolve("House Linear")
    pixels = np.full((2, 2, 3), 0.25, np.float32)
    wanted = colour.to_rec709(2 * pixels, colour.resolve("ACEScg"))
    assert np.abs(colour.to_rec709(pixels, found) - wanted).max() < 1e-5
    back = colour.from_display(colour.to_display(pixels, found), found)
    assert np.abs(back - pixels).max() < 1e-4
    monkeypatch.setenv("OCIO", str(tmp_path / "gone.ocio"))
    with pytest.raises(FootageError, match="the colour configuration cannot be read"):
        colour.resolve("House Linear 2")


def _house(folder: Path, monkeypatch: pytest.MonkeyPatch, interchange: bool = True) -> None:
    """A studio's configuration with names that are ours, too, in other colours."""
    config = ocio.Config.CreateRaw()
    config.setVersion(2, 0)
    reference = ocio.ColorSpace(name="ap0", encoding="scene-linear")
    cube = ocio.GroupTransform(
        [ocio.ExponentTransform([3, 3, 3, 1]), ocio.BuiltinTransform("ACEScg_to_ACES2065-1")]
    )
    # Processors are kept by name.
    line = "house lin" if interchange else "other lin"
    linear = ocio.ColorSpace(name=line, encoding="scene-linear")
    linear.setTransform(
        ocio.BuiltinTransform("ACEScg_to_ACES2065-1"), ocio.COLORSPACE_DIR_TO_REFERENCE
    )
    lost = ocio.ColorSpace(name="lost", encoding="log")
    lost.setTransform(ocio.FileTransform("gone.cube"), ocio.COLORSPACE_DIR_TO_REFERENCE)
    config.addColorSpace(reference)
    for name in ("house log", "ARRI LogC4"):
        space = ocio.ColorSpace(name=name, encoding="log")
        space.setTransform(cube, ocio.COLORSPACE_DIR_TO_REFERENCE)
        config.addColorSpace(space)
    config.addColorSpace(linear)
    config.addColorSpace(lost)
    config.setRole("scene_linear", line)
    config.setRole("logc", "house log")
    if interchange:
        config.setRole("aces_interchange", "ap0")
    place = folder / f"house{interchange}.ocio"
    place.write_text(config.serialize())
    monkeypatch.setenv("OCIO", str(place))


def test_a_studios_meaning_of_everyday_names_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_image(tmp_path / "plate.exr", np.full((4, 4, 3), 0.5, np.float32))
    assert open_plate(path, colour_space="scene_linear").colour_space == "Linear Rec.709"
    _house(tmp_path, monkeypatch)
    wanted = {"scene_linear": 0.5, "logc": 0.125}
    for name, light in wanted.items():
        plate = open_plate(path, colour_space=name)
        # Grey is grey in both.
        assert np.abs(plate.linear(1) - light).max() < 2e-3
        again = open_plate(path, colour_space=plate.colour_space)
        assert np.array_equal(again.linear(1), plate.linear(1))
    same = open_plate(path, colour_space="sRGB")
    assert not any("studio's configuration" in note for note in same.notes)


def test_a_name_that_cannot_be_the_studios_is_ours_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_image(tmp_path / "plate.exr", np.full((4, 4, 3), 0.5, np.float32))
    _house(tmp_path, monkeypatch)
    plate = open_plate(path, colour_space="ARRI LogC4")
    assert plate.colour_space == "ARRI LogC4"
    assert any("other colours under the name 'ARRI LogC4'" in note for note in plate.notes)
    _house(tmp_path, monkeypatch, interchange=False)
    plate = open_plate(path, colour_space="scene_linear")
    assert plate.colour_space == "Linear Rec.709"
    assert any("lacks the role aces_interchange" in note for note in plate.notes)


def test_a_lut_that_is_missing_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _house(tmp_path, monkeypatch)
    with pytest.raises(FootageError, match=r"gone\.cube"):
        colour.to_rec709(np.zeros((1, 1, 3), np.float32), colour.resolve("lost"))


@pytest.mark.parametrize(
    ("name", "space", "told"),
    [
        ("a_lin.exr", "house lin", "which takes them as house lin, and is followed"),
        ("a_log.exr", "house log", "read as Linear Rec.709"),
        ("a_lost.exr", "Linear Rec.709", "which is not followed: 'lost' cannot be converted"),
        ("a_data.exr", "Linear Rec.709", "says nothing about colour"),
        ("a.exr", "Linear Rec.709", ""),
    ],
)
def test_a_studios_file_rules_are_followed_or_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, space: str, told: str
) -> None:
    _house(tmp_path, monkeypatch)
    config = ocio.Config.CreateFromFile(os.environ["OCIO"])
    config.addColorSpace(ocio.ColorSpace(name="masks", isData=True))
    rules = config.getFileRules()
    for place, (kind, to) in enumerate(
        {"lin": "house lin", "log": "house log", "lost": "lost", "data": "masks"}.items()
    ):
        rules.insertRule(place, f"by {kind}", to, f"*_{kind}", "exr")
    config.setFileRules(rules)
    house = tmp_path / "ruled.ocio"
    house.write_text(config.serialize())
    path = write_image(tmp_path / name, np.full((4, 4, 3), 0.5, np.float32))
    before = open_plate(path)
    assert before.colour_space == "Linear Rec.709" and "rule" not in " ".join(before.notes)
    monkeypatch.setenv("OCIO", str(house))
    plate = open_plate(path)
    assert plate.colour_space == space
    assert told in " ".join(plate.notes) and (told or "OCIO" not in " ".join(plate.notes))
    wanted = {"house log": 0.125}.get(space, 0.5)
    assert np.abs(plate.linear(1) - wanted).max() < 2e-3
    # What the user says outranks the rule; a configuration that is not there stops nothing.
    assert open_plate(path, colour_space="ACEScg").colour_space == "ACEScg"
    monkeypatch.setenv("OCIO", str(tmp_path / "gone.ocio"))
    plate = open_plate(path)
    assert plate.colour_space == "Linear Rec.709"
    assert "its file rules are not followed" in " ".join(plate.notes)
