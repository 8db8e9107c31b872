# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The colour spaces a plate can be in, the names people and files give them."""

import functools
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PyOpenColorIO as ocio  # noqa: N813

from ..errors import FootageError
from .colour_arithmetic import GAMUTS, Encoding, adapted_matrix

_CONFIG = "studio-config-v2.1.0_aces-v1.3_ocio-v2.3"


@dataclass(frozen=True)
class ColourSpace:
    """A named colour space of a plate.

    Attributes:
        name: our name, equal to Blender's where Blender has it.
        source: its name in an OpenColorIO configuration, "" where arithmetic of our own does it.
        kind: "display" (worked on as it is), "linear", "log" or "hdr".
        linear: the name of the scene-linear space its EXR results are written in.
        encoding: primaries and curve, where `source` is empty.
        studio: `source` is a space of the studio's own configuration (`OCIO`).
    """

    name: str
    source: str
    kind: str
    linear: str
    encoding: Encoding | None = None
    studio: bool = False


def _display(name: str, source: str, linear: str = "Linear Rec.709") -> ColourSpace:
    return ColourSpace(name, source, "display", linear)


def _linear(name: str, source: str | None = None) -> ColourSpace:
    return ColourSpace(name, source or name, "linear", name)


def _log(name: str, linear: str = "ACEScg") -> ColourSpace:
    return ColourSpace(name, name, "log", linear)


def _own(name: str, kind: str, gamut: str, curve: str) -> ColourSpace:
    linear = {"P3-D65": "Linear P3-D65", "Rec.2020": "Linear Rec.2020"}.get(gamut, "Linear Rec.709")
    return ColourSpace(name, "", kind, linear, Encoding(GAMUTS[gamut], curve))


# Video is decoded to linear by the sRGB curve, as Blender does with movie strips, so that the
# result looks like the strip it came from; "Rec.1886" asks for the reference display's curve.
_SPACES = [
    _display("sRGB", "sRGB - Texture"),
    _display("Rec.709", "sRGB - Texture"),
    _display("Rec.1886", "Gamma 2.4 Rec.709 - Texture"),
    _display("Gamma 1.8 Rec.709", "Gamma 1.8 Rec.709 - Texture"),
    _display("Gamma 2.2 Rec.709", "Gamma 2.2 Rec.709 - Texture"),
    _display("Camera Rec.709", "Camera Rec.709"),
    _display("sRGB P3-D65", "sRGB Encoded P3-D65 - Texture", "Linear P3-D65"),
    _own("Rec.2020", "display", "Rec.2020", "srgb"),
    _own("Rec.2100-HLG", "hdr", "Rec.2020", "hlg"),
    _own("Rec.2100-PQ", "hdr", "Rec.2020", "pq"),
    _own("P3-D65 PQ", "hdr", "P3-D65", "pq"),
    _own("Adobe RGB", "display", "Adobe RGB", "gamma 2.2"),
    _linear("Linear Rec.709", "Linear Rec.709 (sRGB)"),
    _linear("Linear P3-D65"),
    _linear("Linear Rec.2020"),
    _linear("ACEScg"),
    _linear("ACES2065-1"),
    _linear("Linear ARRI Wide Gamut 3"),
    _linear("Linear ARRI Wide Gamut 4"),
    _linear("Linear S-Gamut3"),
    _linear("Linear S-Gamut3.Cine"),
    _linear("Linear Venice S-Gamut3"),
    _linear("Linear Venice S-Gamut3.Cine"),
    _linear("Linear REDWideGamutRGB"),
    _linear("Linear V-Gamut"),
    _linear("Linear CinemaGamut D55"),
    _linear("Linear BMD WideGamut Gen5"),
    _linear("Linear DaVinci WideGamut"),
    _log("ACEScc"),
    _log("ACEScct"),
    _log("ADX10"),
    _log("ADX16"),
    _log("ARRI LogC3 (EI800)"),
    _log("ARRI LogC4"),
    _log("BMDFilm WideGamut Gen5"),
    _log("DaVinci Intermediate WideGamut"),
    _log("CanonLog2 CinemaGamut D55"),
    _log("CanonLog3 CinemaGamut D55"),
    _log("V-Log V-Gamut"),
    _log("Log3G10 REDWideGamutRGB"),
    _log("S-Log3 S-Gamut3"),
    _log("S-Log3 S-Gamut3.Cine"),
    _log("S-Log3 Venice S-Gamut3"),
    _log("S-Log3 Venice S-Gamut3.Cine"),
]
SPACES: dict[str, ColourSpace] = {space.name: space for space in _SPACES}

# Where the primaries of an EXR name a space; in the order that decides between equal ones.
_LINEAR_GAMUTS = {
    "Linear Rec.709": "Rec.709",
    "Linear P3-D65": "P3-D65",
    "Linear Rec.2020": "Rec.2020",
    "ACES2065-1": "AP0",
    "ACEScg": "AP1",
    "Linear ARRI Wide Gamut 3": "ARRI Wide Gamut 3",
    "Linear ARRI Wide Gamut 4": "ARRI Wide Gamut 4",
    "Linear S-Gamut3": "S-Gamut3",
    "Linear S-Gamut3.Cine": "S-Gamut3.Cine",
    "Linear Venice S-Gamut3": "Venice S-Gamut3",
    "Linear Venice S-Gamut3.Cine": "Venice S-Gamut3.Cine",
    "Linear REDWideGamutRGB": "REDWideGamutRGB",
    "Linear V-Gamut": "V-Gamut",
    "Linear CinemaGamut D55": "CinemaGamut",
    "Linear BMD WideGamut Gen5": "BMD WideGamut Gen5",
    "Linear DaVinci WideGamut": "DaVinci WideGamut",
}

# Compared without case, blanks and punctuation.
_ALIASES = {
    "Rec.709": "rec709video bt709 bt1361 itur709",
    "Rec.1886": "gamma24encodedrec709 bt1886 gamma24 g24rec709scene g24rec709display",
    "Gamma 2.2 Rec.709": "gamma22encodedrec709 gamma22 g22rec709scene g22rec709display",
    "Gamma 1.8 Rec.709": "gamma18 g18rec709scene",
    "sRGB": "srgbrec709scene srgbrec709display iec6196621",
    "sRGB P3-D65": "displayp3 p3 p3d65 srgbp3d65scene srgbp3d65display smpte432",
    "Rec.2020": "bt2020 rec2020display itur2020",
    "Rec.2100-HLG": "hlg bt2100hlg rec2020hlg hlgrec2020display aribstdb67 hybridloggamma",
    "Rec.2100-PQ": "pq bt2100pq rec2020pq pqrec2020display smpte2084 st2084 hdr10",
    "P3-D65 PQ": "pqp3d65display p3pq dolbyvision",
    "Adobe RGB": "adobergb1998 g22adobergbscene g22adobergbdisplay",
    "Linear Rec.709": "linear scenelinear linearsrgb linrec709scene linrec709 linsrgb",
    "Linear P3-D65": "lineardcip3d65 lineardisplayp3 linp3d65scene linearp3",
    "Linear Rec.2020": "linrec2020scene linearbt2020",
    "ACEScg": "linap1scene ap1 acescglinear",
    "ACES2065-1": "aces linap0scene ap0 aces20651",
    "ACEScct": "acescctap1scene",
    "ACEScc": "acesccap1scene",
    "Linear ARRI Wide Gamut 3": (
        "alexawidegamut arriwidegamut arriwidegamut3 awg awg3 linearalexawidegamut "
        "lineararriwidegamut linearawg3 alexawidegamutlinear linarriwidegamut3scene"
    ),
    "Linear ARRI Wide Gamut 4": "arriwidegamut4 awg4 linearawg4 linarriwidegamut4scene",
    "Linear S-Gamut3": "sgamut3 linsgamut3scene",
    "Linear S-Gamut3.Cine": "sgamut3cine linsgamut3cinescene",
    "Linear REDWideGamutRGB": "redwidegamut redwidegamutrgb rwg linredwidegamutrgbscene",
    "Linear V-Gamut": "vgamut linvgamutscene",
    "Linear CinemaGamut D55": "cinemagamut canoncinemagamut linearcinemagamut",
    "Linear BMD WideGamut Gen5": "bmdwidegamut blackmagicwidegamut linbmdwidegamutgen5scene",
    "Linear DaVinci WideGamut": "davinciwidegamut dwg lindavinciwidegamutscene",
    "ARRI LogC3 (EI800)": "arrilogc3 logc3 logc arrilogc alexalogc alexav3logc logc3ei800",
    "ARRI LogC4": "logc4 alexa35logc4",
    "S-Log3 S-Gamut3": "slog3 slog3sgamut",
    "S-Log3 S-Gamut3.Cine": "slog3cine sonyslog3cine",
    "V-Log V-Gamut": "vlog panasonicvlog vlogl",
    "Log3G10 REDWideGamutRGB": "log3g10 redlog3g10 redlog",
    "CanonLog2 CinemaGamut D55": "canonlog2 clog2",
    "CanonLog3 CinemaGamut D55": "canonlog3 clog3 canonlog",
    "BMDFilm WideGamut Gen5": "bmdfilm blackmagicfilm bmdfilmgen5 blackmagicfilmgen5",
    "DaVinci Intermediate WideGamut": "davinciintermediate di",
    "ADX10": "cineon printingdensity kodaklog",
}
_REFUSED = {
    "agx log": "is a step inside Blender's view transform, not a plate's space",
    "agx base srgb": "has the AgX look baked in and cannot be undone",
    "agx base rec.1886": "has the AgX look baked in and cannot be undone",
    "filmic log": "is a step inside Blender's view transform, not a plate's space",
    "filmic srgb": "has the Filmic look baked in and cannot be undone",
    "khronos pbr neutral srgb": "has a look baked in and cannot be undone",
    "linear cie-xyz d65": "has no displayable primaries",
    "linear cie-xyz e": "has no displayable primaries",
    "linear filmlight e-gamut": "is not in OpenColorIO's built-in configuration",
    "raw": "says nothing about colour",
    "non-color": "says nothing about colour",
    "data": "says nothing about colour",
}
_CURVES = {
    1: "srgb", 2: "srgb", 4: "gamma 2.2", 5: "gamma 2.8", 6: "srgb", 7: "srgb", 8: "linear",
    11: "srgb", 12: "srgb", 13: "srgb", 14: "srgb", 15: "srgb", 16: "pq", 17: "gamma 2.6",
    18: "hlg",
}  # fmt: skip
_TAGGED_CURVES = {1: "srgb", 4: "gamma 2.2", 5: "gamma 2.8", 16: "pq", 17: "gamma 2.6", 18: "hlg"}
_PRIMARIES = {
    1: "Rec.709", 2: "Rec.709", 4: "NTSC 1953", 5: "PAL", 6: "NTSC", 7: "NTSC", 8: "Film",
    9: "Rec.2020", 11: "P3-DCI", 12: "P3-D65", 22: "PAL",
}  # fmt: skip
_NAMED_TAGS = {
    ("Rec.709", "srgb"): "Rec.709",
    ("Rec.709", "gamma 2.2"): "Gamma 2.2 Rec.709",
    ("Rec.709", "linear"): "Linear Rec.709",
    ("P3-D65", "srgb"): "sRGB P3-D65",
    ("P3-D65", "linear"): "Linear P3-D65",
    ("P3-D65", "pq"): "P3-D65 PQ",
    ("Rec.2020", "srgb"): "Rec.2020",
    ("Rec.2020", "linear"): "Linear Rec.2020",
    ("Rec.2020", "hlg"): "Rec.2100-HLG",
    ("Rec.2020", "pq"): "Rec.2100-PQ",
}


def _tagged_spaces() -> dict[str, ColourSpace]:
    """The rarer combinations of H.273's primaries and curves, such as "PAL srgb"."""
    made = {}
    for gamut in dict.fromkeys(_PRIMARIES.values()):
        for curve in dict.fromkeys(_CURVES.values()):
            if (gamut, curve) not in _NAMED_TAGS:
                kind = {"pq": "hdr", "hlg": "hdr", "linear": "linear"}.get(curve, "display")
                made[f"{gamut} {curve}"] = _own(f"{gamut} {curve}", kind, gamut, curve)
    return made


_TAGGED = _tagged_spaces()
_CUSTOM = re.compile(r"(Linear|srgb|gamma [0-9.]+) primaries ((?:-?[0-9.]+ ){7}-?[0-9.]+)")


def resolve(name: str) -> ColourSpace:
    """The colour space of a name, in our, Blender's, OpenColorIO's or everyday spelling.

    Raises:
        FootageError: unknown, or a space in which no plate can be worked on.

    Example:
        >>> resolve("srgb").name, resolve("acescg").kind
        ('sRGB', 'linear')
    """
    wanted = name.strip().lower()
    if wanted in _REFUSED:
        raise FootageError(
            f"the colour space '{name}' {_REFUSED[wanted]}",
            remedy="name the space the plate was written in, for example sRGB or ACEScg",
        )
    space = _known().get(_plain(wanted)) or _TAGGED.get(name.strip())
    if space is None and (match := _CUSTOM.fullmatch(name.strip())):
        space = _custom(tuple(float(each) for each in match[2].split()), match[1].lower())
    if space is None:
        found = builtin_config().getColorSpace(name.strip())
        source = found.getName() if found is not None else ""
        space = next((each for each in _SPACES if source and each.source == source), None)
    if space is None:
        space = studio_space(name.strip())
    if space is None:
        raise FootageError(
            f"the colour space '{name}' is unknown", remedy=f"use one of: {', '.join(SPACES)}"
        )
    return space


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name.lower())


@functools.cache
def _known() -> dict[str, ColourSpace]:
    names = {
        alias: SPACES[space] for space, aliases in _ALIASES.items() for alias in aliases.split()
    }
    return names | {_plain(space.name): space for space in _SPACES}


@functools.cache
def builtin_config() -> "ocio.Config":
    """OpenColorIO's built-in ACES studio configuration."""
    return ocio.Config.CreateFromBuiltinConfig(_CONFIG)


def studio_config() -> "ocio.Config | None":
    """The studio's own configuration, which the variable `OCIO` names; None if it names none.

    Raises:
        FootageError: if it cannot be read.
    """
    place = os.environ.get("OCIO", "")
    return _config_at(place) if place else None


@functools.cache
def _config_at(place: str) -> "ocio.Config":
    try:
        if place.startswith("ocio://"):
            return ocio.Config.CreateFromFile(place)
        return ocio.Config.CreateFromFile(str(Path(place)))
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "it is not readable"
        raise FootageError(
            f"the colour configuration cannot be read ({reason.rstrip('.')})",
            place,
            "correct the variable OCIO or unset it",
        ) from error


def studio_space(name: str) -> ColourSpace | None:
    """The space that the studio's own configuration has under a name, an alias or a role.

    Raises:
        FootageError: if the configuration cannot be read, or the space is none of colours.
    """
    config = studio_config()
    found = config.getColorSpace(name) if config is not None else None
    if found is None:
        return None
    encoding = found.getEncoding()
    if found.isData() or encoding == "data":
        raise FootageError(f"the colour space '{name}' says nothing about colour")
    kind = {"scene-linear": "linear", "sdr-video": "display"}.get(encoding, "log")
    return ColourSpace(name, found.getName(), kind, "ACEScg", studio=True)


def ruled(path: Path) -> tuple[str, str] | None:
    """The name of the file rule of the studio's configuration that a plate's path fits, and of the
    space that it names; None where there is none but the one for all others.

    Raises:
        FootageError: if the configuration cannot be read.
    """
    config = studio_config()
    if config is None or config.getMajorVersion() < 2:
        return None  # Older ones have no rules, and libraries make some up.
    place = path.as_posix()
    if config.filepathOnlyMatchesDefaultRule(place):
        return None
    name, number = config.getColorSpaceFromFilepath(place)
    return config.getFileRules().getName(number), name


def from_chromaticities(values: tuple[float, ...] | None) -> ColourSpace:
    """The scene-linear space with an EXR file's primaries; linear Rec.709 where none are given.

    Raises:
        FootageError: if they span no colours.
    """
    if values is None:
        return SPACES["Linear Rec.709"]
    for name, gamut in _LINEAR_GAMUTS.items():
        if np.allclose(values, GAMUTS[gamut], atol=2e-3):
            return SPACES[name]
    return _custom(tuple(values))


def from_primaries(values: tuple[float, ...], curve: str) -> ColourSpace | None:
    """The space of an ICC profile's primaries and curve; None if they span no colours.

    Args:
        values: x and y of red, green, blue and white.
        curve: as `Encoding` has it.
    """
    matrix = adapted_matrix(values)
    if matrix is None:
        return None
    named = {
        name: (space.encoding.primaries, space.encoding.curve)
        for name, space in (SPACES | _TAGGED).items()
        if space.encoding is not None
    }
    named |= {name: (GAMUTS[gamut], known) for (gamut, known), name in _NAMED_TAGS.items()}
    if curve == "linear":
        named |= {name: (GAMUTS[gamut], curve) for name, gamut in _LINEAR_GAMUTS.items()}
    for name, (primaries, known) in named.items():
        found = adapted_matrix(primaries)
        if (
            found is not None
            and _same_curve(curve, known)
            and np.allclose(matrix, found, atol=5e-3)
        ):
            return resolve("sRGB" if name == "Rec.709" else name)
    return _custom(values, curve)


def _same_curve(one: str, other: str) -> bool:
    """Adobe's 2.2 is 563/256."""
    if not (one.startswith("gamma") and other.startswith("gamma")):
        return one == other
    return abs(float(one.split()[1]) - float(other.split()[1])) < 0.02


def _custom(values: tuple[float, ...], curve: str = "linear") -> ColourSpace:
    """A space of any primaries."""
    if adapted_matrix(values) is None:
        raise FootageError(
            "the image's primaries span no colours",
            remedy="name its colour space (--colour-space), such as ACEScg",
        )
    primaries = "primaries " + " ".join(f"{value:.5g}" for value in values)
    exact = tuple(float(f"{value:.5g}") for value in values)
    linear = f"Linear {primaries}"
    if curve == "linear":
        return ColourSpace(linear, "", "linear", linear, Encoding(exact, curve))
    return ColourSpace(f"{curve} {primaries}", "", "display", linear, Encoding(exact, curve))


def from_tags(primaries: int, transfer: int) -> ColourSpace | None:
    """The colour space of a movie's or PNG's tags of ITU-T H.273; None where it is not known.

    Args:
        primaries, transfer: 2 where the file says nothing, which is taken as Rec.709.
    """
    curve = _CURVES.get(transfer if transfer not in (0, 3) else 2)
    gamut = _PRIMARIES.get(primaries if primaries not in (0, 3) else 2)
    if curve in ("hlg", "pq") and primaries in (0, 2, 3):
        gamut = "Rec.2020"  # HDR video has no other primaries, but files forget to say so.
    if curve is None or gamut is None:
        return None
    named = _NAMED_TAGS.get((gamut, curve))
    if transfer == 13 and named == "Rec.709":
        named = "sRGB"
    return SPACES[named] if named else _TAGGED[f"{gamut} {curve}"]


def tags_of(space: ColourSpace) -> tuple[int, int] | None:
    """Primaries and transfer of ITU-T H.273 that name a space; None where they cannot."""
    if space.name == "sRGB":
        return 1, 13
    for transfer, curve in _TAGGED_CURVES.items():
        for primaries, gamut in _PRIMARIES.items():
            named = _NAMED_TAGS.get((gamut, curve), f"{gamut} {curve}")
            if named == space.name and space.kind in ("display", "hdr"):
                # The curve of P3 on screens is sRGB's, that of video Rec.709's.
                return primaries, 13 if (gamut, curve) == ("P3-D65", "srgb") else transfer
    return None


def chromaticities(space: ColourSpace) -> tuple[float, ...]:
    """Primaries and white point (xr, yr, xg, yg, xb, yb, xw, yw) of a plate's linear results."""
    linear = resolve(space.linear)
    if linear.encoding is not None:
        return linear.encoding.primaries
    return GAMUTS[_LINEAR_GAMUTS[linear.name]]
