# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which colour space a plate is in: as its user says, by a rule of the studio's, or as it says
itself."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import FootageError
from . import colour
from .colour_arithmetic import GAMUTS
from .facts import ImageFacts, MovieFacts
from .image_tags import ColourTags

_NO_CURVE = ("", "User defined", "Undefined")
"""What OpenImageIO calls transfer curves of a DPX that are none."""

_UNSAID = [(one, other) for one in (0, 2, 3) for other in (0, 2, 3)]
"""Numbers of primaries and transfer that say nothing."""


def image_space(
    name: str | None, facts: ImageFacts, notes: list[str], path: Path | None = None
) -> colour.ColourSpace:
    """The named space, else what a rule of the studio's says of `path`, else what an image's header
    says; what is assumed is noted."""
    if name is not None:
        return _named(name, notes, lambda assumed: image_space(None, facts, assumed))
    space = _ruled(path, notes, lambda assumed: _said_by_image(facts, assumed))
    if facts.colour.cicp is not None and facts.form == "png" and facts.colour.cicp[3] == 0:
        notes.append(
            "the images' tags say video levels, which are not stretched: black looks grey; write"
            " them with full range"
        )
    _tell_hdr(space, "image is an HDR picture", notes)
    return space


def _said_by_image(facts: ImageFacts, notes: list[str]) -> colour.ColourSpace:
    tags = facts.colour
    if tags.interop and tags.interop not in ("unknown", "data"):
        try:
            return _agreed(colour.resolve(tags.interop), tags, notes)
        except FootageError:
            notes.append(f"the images' colour space '{tags.interop}' is not known here")
    if tags.named:
        return _agreed(colour.resolve(tags.named), tags, notes)
    if facts.floating and tags.icc_primaries is not None:
        return _icc_space(tags, notes)
    if facts.floating:
        if tags.chromaticities is None:
            notes.append("the images name no primaries; linear Rec.709 is assumed")
        return colour.from_chromaticities(tags.chromaticities)
    if any(word in tags.dpx_transfer.lower() for word in ("log", "density")):
        notes.append(
            f"the images are logarithmic ({tags.dpx_transfer}) and name no camera; film's printing"
            " density is assumed (ADX10); name another curve by its colour space, such as"
            " ARRI LogC3"
        )
        return colour.resolve("ADX10" if facts.bit_depth <= 10 else "ADX16")
    if "linear" in tags.dpx_transfer.lower():
        return colour.resolve("Linear Rec.709")
    if tags.cicp is not None and (tags.cicp[0], tags.cicp[1]) not in _UNSAID:
        space = colour.from_tags(tags.cicp[0], tags.cicp[1])
        if space is not None:
            return space
        notes.append("the images' colour tags (cICP) are not known here; sRGB is assumed")
    if tags.icc:
        return _icc_space(tags, notes)
    if not tags.srgb and (tags.gamma is not None or tags.chromaticities is not None):
        return _gamma_space(tags, notes)
    if facts.form == "dpx" and tags.dpx_transfer in _NO_CURVE:
        notes.append(
            "the images name no transfer curve; Rec.709 is assumed; if they are logarithmic, name"
            " their colour space, such as ADX10 or ARRI LogC3"
        )
        return colour.resolve("Rec.709")
    return colour.resolve("Rec.709" if tags.dpx_transfer else "sRGB")


def _named(
    name: str, notes: list[str], own: Callable[[list[str]], colour.ColourSpace]
) -> colour.ColourSpace:
    """The space that was named; what is to say of the file's own, where it is the same."""
    space, told = colour.resolve_asked(name)
    notes += told
    assumed: list[str] = []
    with contextlib.suppress(FootageError):  # What the file does not say was said by its user.
        if own(assumed) == space:
            notes += assumed
    return space


def _agreed(space: colour.ColourSpace, tags: ColourTags, notes: list[str]) -> colour.ColourSpace:
    """A space that an image names, which outranks the primaries beside it; a note where they are
    others."""
    said = tags.chromaticities
    if said is None or space.kind == "log":
        return space
    if not np.allclose(said, colour.chromaticities(space), atol=2e-3):
        listed = " ".join(f"{value:.4g}" for value in said)
        notes.append(
            f"the images name the colour space {space.name}, and primaries of another ({listed});"
            f" {space.name} is taken"
        )
    return space


def _ruled(
    path: Path | None, notes: list[str], own: Callable[[list[str]], colour.ColourSpace]
) -> colour.ColourSpace:
    """The space that a file rule of the studio's configuration names, else the plate's own."""
    assumed: list[str] = []
    try:
        ruled = None if path is None else colour.ruled(path)
    except FootageError as error:
        notes.append(f"its file rules are not followed: {str(error).rstrip('.')}")
        ruled = None
    if ruled is None:
        return own(notes)
    said = own(assumed)
    rule, name = ruled
    start = f"the studio's configuration (OCIO) has the rule '{rule}' for such files"
    try:
        space, told = colour.resolve_asked(name)
        same = colour.same_colours(said, space)
    except FootageError as error:
        same, why = None, error.message
    else:
        why = f"'{name}' cannot be converted (the role aces_interchange or a LUT is missing)"
    if same is None:
        notes += [*assumed, f"{start}, which is not followed: {why}; {said.name} is taken"]
        return said
    if same:
        notes += assumed
        return said
    notes += told
    notes.append(
        f"{start}, which takes them as {space.name}, and is followed; by itself the plate would be"
        f" read as {said.name}"
    )
    return space


def _icc_space(tags: ColourTags, notes: list[str]) -> colour.ColourSpace:
    # What a profile holds outranks what it is called.
    if tags.icc_primaries is not None:
        found = colour.from_primaries(tags.icc_primaries, tags.icc_curve)
        if found is not None:
            return found
    words = tags.icc.lower()
    for known, space in (
        # As libjxl names what a JPEG XL says of itself.
        ("rgb_d65_srg_rel_lin", "Linear Rec.709"),
        ("rgb_d65_srg_rel_srg", "sRGB"),
        ("rgb_d65_202_rel_peq", "Rec.2100-PQ"),
        ("rec2100pq", "Rec.2100-PQ"),
        ("rgb_d65_202_rel_hlg", "Rec.2100-HLG"),
        ("rec2100hlg", "Rec.2100-HLG"),
        ("displayp3", "sRGB P3-D65"),
        ("rgb_d65_dci_rel_srg", "sRGB P3-D65"),
        ("display p3", "sRGB P3-D65"),
        ("p3 d65", "sRGB P3-D65"),
        ("adobe rgb", "Adobe RGB"),
        ("rec. 2020", "Rec.2020"),
        ("bt.2020", "Rec.2020"),
        ("rec. 709", "Rec.709"),
        ("acescg", "ACEScg"),
        ("srgb", "sRGB"),
    ):
        if known in words:
            found = colour.resolve(space)
            if tags.icc_other and found.kind == "display":
                notes.append(
                    f"the ICC profile '{tags.icc}' has a curve of its own, which is not used;"
                    f" {found.name} is assumed"
                )
            return found
    notes.append(f"the ICC profile '{tags.icc}' is not used; sRGB is assumed")
    return colour.resolve("sRGB")


def _gamma_space(tags: ColourTags, notes: list[str]) -> colour.ColourSpace:
    """Primaries of PNG (cHRM) and TIFF, and PNG's gAMA: the exponent from light to codes."""
    primaries = tags.chromaticities or GAMUTS["Rec.709"]
    exponent = 1 / tags.gamma if tags.gamma else 2.2
    if abs(exponent - 1) < 0.02:
        return colour.from_chromaticities(tags.chromaticities)
    curve = f"gamma {exponent:.4g}"
    if abs(exponent - 2.2) < 0.05 and not np.allclose(primaries, GAMUTS["Adobe RGB"], atol=2e-3):
        # What sRGB files say too, since the curve is close to it.
        curve = "srgb"
    for known, name in ((1.8, "Gamma 1.8 Rec.709"), (2.4, "Rec.1886")):
        if abs(exponent - known) < 0.05 and np.allclose(primaries, GAMUTS["Rec.709"], atol=2e-3):
            return colour.resolve(name)
    found = colour.from_primaries(primaries, curve) if 0.2 < exponent < 5 else None
    if found is None:
        notes.append("the images' primaries and gamma span no colours; sRGB is assumed")
        return colour.resolve("sRGB")
    return found


def movie_space(
    name: str | None, facts: MovieFacts, notes: list[str], path: Path | None = None
) -> colour.ColourSpace:
    """As `image_space`, of a movie and its tags."""
    if name is not None:
        return _named(name, notes, lambda assumed: movie_space(None, facts, assumed))
    space = _ruled(path, notes, lambda assumed: _said_by_movie(facts, assumed))
    _tell_hdr(space, "movie is HDR video", notes)
    return space


def _said_by_movie(facts: MovieFacts, notes: list[str]) -> colour.ColourSpace:
    space = colour.from_tags(facts.primaries, facts.transfer)
    if space is None:
        notes.append(
            f"the movie's colour tags (primaries {facts.primaries}, transfer {facts.transfer})"
            " are not known here; Rec.709 is assumed"
        )
        return colour.resolve("Rec.709")
    if facts.primaries in (0, 2, 3) and facts.matrix_tagged and facts.matrix != "rgb":
        notes.append(f"the movie names no primaries; {space.name} is assumed")
    elif facts.primaries not in (0, 1, 2, 3) and facts.transfer in (0, 2, 3):
        # As phones and cameras tag their log recordings.
        notes.append(
            f"the movie names primaries but no transfer curve; {space.name} is assumed; if it is a"
            " log recording, name its colour space"
        )
    return space


def _tell_hdr(space: colour.ColourSpace, what: str, notes: list[str]) -> None:
    if space.kind != "hdr":
        return
    curve = "HLG" if "HLG" in space.name or "hlg" in space.name else "PQ"
    notes.append(
        f"the {what} ({curve}); it is edited with diffuse white at 203 nits, "
        f"{'75' if curve == 'HLG' else '58'} % of the signal, and written back as it came"
    )
