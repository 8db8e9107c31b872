# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a movie or an image says of itself, as a decoder process finds it. Standard library only."""

from dataclasses import dataclass
from fractions import Fraction

from ..schema import Data
from .image_tags import ColourTags


@dataclass(frozen=True)
class MovieFacts(Data):
    """What a movie's container and codec say.

    Attributes:
        stamps: time stamps of all shown pictures as the decoder gives them, in `time_base` seconds.
        times: the same with gaps of the recording closed; ascending.
        keys: the ascending stamps from which decoding can start.
        in_order: stamps cannot be searched; pictures are counted.
        until: when the last picture ends, or None.
        fps: the constant rate, exact where the times are uniform.
        uniform: every frame lasts equally long (within the rounding of the time stamps).
        width, height: as shown, after `orientation`.
        stored: width and height as stored.
        orientation: from stored to shown, as Exif numbers it, 1 to 8.
        pixel_aspect: width over height of a pixel as shown.
        bit_depth: significant bits of a channel.
        alpha: whether the pictures have an alpha channel.
        matrix: name of the YCbCr matrix, "rgb" where none is needed.
        matrix_tagged: the file itself named the matrix.
        range: "limited" or "full".
        primaries, transfer: tags of ITU-T H.273, 2 where the file says nothing.
        tags: what its first picture by itself says of colours and pixels' shape, in numbers.
        interlaced: whether pictures hold two fields.
        timecode, reel: as the file names them, or "".
        sound: whether it has any.
        source_type: IPTC's digital source type, as the file names it, or "".
        notes: what was assumed, left out or found damaged.
    """

    stamps: tuple[int, ...]
    times: tuple[int, ...]
    keys: tuple[int, ...]
    in_order: bool
    until: int | None
    time_base: Fraction
    fps: Fraction
    uniform: bool
    width: int
    height: int
    stored: tuple[int, int]
    orientation: int
    pixel_aspect: Fraction
    bit_depth: int
    alpha: bool
    matrix: str
    matrix_tagged: bool
    range: str
    primaries: int
    transfer: int
    tags: tuple[int, ...]
    interlaced: bool
    timecode: str
    reel: str
    sound: bool
    notes: tuple[str, ...]
    source_type: str = ""


@dataclass(frozen=True)
class ImageFacts(Data):
    """What an image's header says.

    Attributes:
        width, height: as shown, after the orientation in the header.
        picture: what is shown: grey or colour, its layer, with alpha or without.
        bit_depth, floating: how its codes are stored.
        fps: the rate the file names, or None.
        colour: what it says of its colours.
        photograph: the header was written by a camera.
        form: OpenImageIO's name of the file format.
        timecode: as the file names it, or "".
        notes: what was chosen, assumed or left out.
        of_plates: what is to say besides where full plates are written of it.
        source_type: IPTC's digital source type, as the file names it, or "".
    """

    width: int
    height: int
    picture: str
    bit_depth: int
    floating: bool
    fps: Fraction | None
    pixel_aspect: Fraction
    colour: ColourTags
    photograph: bool
    form: str
    timecode: str
    notes: tuple[str, ...]
    of_plates: tuple[str, ...] = ()
    source_type: str = ""


def told_of_tags(first: tuple[int, ...], later: tuple[int, ...], frame: int) -> list[str]:
    """What to say of a picture whose `tags` differ from the first one's."""
    changed = {"colours": first[:4] != later[:4], "pixels' shape": first[4:] != later[4:]}
    return [
        f"the movie's pictures change what they say of their {what} on the way, at frame {frame};"
        " what the first one says is taken for all"
        for what, differs in changed.items()
        if differs
    ]


def told_of_size(size: tuple[int, int], frame: int, first: tuple[int, int]) -> str:
    """What to say of a picture whose width and height differ from the first one's."""
    return (
        f"the movie's pictures change their size on the way, to {size[0]} x {size[1]} at frame"
        f" {frame}; they are scaled to the first one's {first[0]} x {first[1]}"
    )
