# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which part and layer of an image is the picture: by the names that renderers give."""

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import FootageError

_BEAUTY = frozenset("combined beauty rgba rgb bty final main default composite comp".split())
_BESIDE = frozenset(
    (
        "ao occlusion ambient depth z zdepth normal normals n position pos p point motion "
        "vector velocity speed uv id object material index crypto cryptomatte cryptoobject "
        "cryptomaterial cryptoasset mask matte alpha diffuse diff dif specular spec glossy "
        "gloss transmission transmit refraction reflection refl reflect emission emit "
        "emissive environment env shadow shadows albedo sss subsurface scatter volume mist "
        "fog light lighting direct indirect color colour dir ind coat sheen background bg "
        "denoise denoising noisy variance debug samples thumbnail preview holdout right"
    ).split()
)
_COLOURS = (("r", "g", "b"), ("red", "green", "blue"))


@dataclass(frozen=True)
class Layer:
    """Red, green and blue that belong together.

    Attributes:
        part: the number of the part they lie in, counted from 0.
        part_name: its name, or "".
        name: the layer's name in that part, "" for plain R, G and B.
        rgb: the positions of the three channels.
        grey: there is one channel for all three.
    """

    part: int
    part_name: str
    name: str
    rgb: tuple[int, int, int]
    grey: bool = False

    @property
    def label(self) -> str:
        """What a person would call it."""
        return ".".join(each for each in (self.part_name, self.name) if each) or "RGB"

    def rank(self) -> tuple[int, int, int, int, int]:
        """Lower is more likely the picture."""
        words = set(_words(self.name)) | set(_words(self.part_name))
        right = int(bool(words & {"right", "r"}))  # The other eye's view.
        beauty, beside = bool(words & _BEAUTY), bool(words & _BESIDE)
        class_ = 0 if beauty or (not self.name and not beside) else 3 if beside else 2
        class_ += beauty and beside  # "BG.Combined" beside "ViewLayer.Combined".
        return (int(self.grey), right, class_, int(bool(self.name)), self.part)


@dataclass(frozen=True)
class Choice:
    """The picture of an image file.

    Attributes:
        part: the number of its part.
        rgb: the positions of red, green and blue in it.
        grey: there is one channel for all three.
        notes: what else there was.
        lossy_beside: what is not kept beside it, or "".
    """

    part: int
    rgb: tuple[int, int, int]
    grey: bool
    notes: tuple[str, ...]
    lossy_beside: str = ""


def _words(name: str) -> list[str]:
    """The words of a layer's name, in small letters: "ViewLayer.DiffCol" -> diff, col..."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    pieces = re.split(r"[^A-Za-z0-9]+", spaced) + re.split(r"[^A-Za-z0-9]+", name)
    return [re.sub(r"\d+$", "", piece).lower() for piece in pieces if piece]


def layers_of(part: int, name: str, channels: tuple[str, ...], named: bool) -> list[Layer]:
    """The layers of a part.

    Args:
        part, name: of the part.
        channels: its channels' names.
        named: whether names mean something (EXR); if not, one or two channels are grey.
    """
    lower = [channel.lower() for channel in channels]
    prefixes: dict[str, str] = {}
    for channel in channels:
        head, dot, _ = channel.rpartition(".")
        prefixes.setdefault((head + dot).lower(), head)
    layers = []
    for prefix, shown in prefixes.items():
        for names in _COLOURS:
            wanted = [prefix + each for each in names]
            if all(each in lower for each in wanted):
                red, green, blue = (lower.index(each) for each in wanted)
                layers.append(Layer(part, name, shown, (red, green, blue)))
                break
    grey = channels[0].rpartition(".")[2].lower() if channels else ""
    if not layers and len(channels) <= 2 and (not named or grey in ("y", "l", "i", "luminance")):
        layers.append(Layer(part, name, "", (0, 0, 0), grey=True))
    if not layers and not named and len(channels) >= 3:
        layers.append(Layer(part, name, "", (0, 1, 2)))
    if not layers:
        # Told in the sentence that refuses the file.
        layers.append(Layer(part, name, ", ".join(channels[:6]), (-1, -1, -1)))
    return layers


def choose(parts: list[list[Layer]], part: str | None, layer: str | None, path: Path) -> Choice:
    """The layer that shows the picture.

    Args:
        parts: the layers of every part.
        part: the name or number of a part that the user wants.
        layer: the name of a layer, whole or its last word.

    Raises:
        FootageError: if there is none, or not the one that is asked for.
    """
    coloured = [each for layers in parts for each in layers if each.rgb[0] >= 0]
    if not coloured and any({"RY", "BY"} & set(e.name.split(", ")) for all_ in parts for e in all_):
        raise FootageError(
            "the image is in luminance and chroma (Y, RY, BY), which is not read",
            path,
            "write it as RGB",
        )
    if not coloured:
        channels = "; ".join(each.name for layers in parts[:4] for each in layers)
        raise FootageError(
            f"the image has no red, green and blue in one part (its channels are {channels})"
            if len(parts) > 1
            else f"the image has no red, green and blue (its channels are {channels})",
            path,
            "give a colour image",
        )
    found = coloured
    if part is not None:
        found = [each for each in found if part.lower() in (each.part_name.lower(), str(each.part))]
        if not found:
            names = ", ".join(dict.fromkeys(each.part_name or str(each.part) for each in coloured))
            raise FootageError(f"there is no part '{part}' with colours", path, f"use {names}")
    if layer is not None:
        wanted = layer.lower()
        exact = [e for e in found if wanted in (e.name.lower(), e.label.lower())]
        last = [e for e in found if wanted == e.label.lower().rpartition(".")[2]]
        found = exact or last
        if not found:
            names = ", ".join(dict.fromkeys(each.label for each in coloured))
            raise FootageError(f"there is no layer '{layer}' with colours", path, f"use {names}")
    best = min(found, key=Layer.rank)
    notes: tuple[str, ...] = ()
    others = [each.label for each in coloured if each != best]
    if (others or len(parts) > 1) and part is None and layer is None:
        beside = ", ".join(others[:4]) + (" and more" if len(others) > 4 else "")
        there = f"beside {beside}" if others else f"one of {len(parts)} parts"
        notes = (f"the picture is taken from {best.label} ({there})",)
    return Choice(best.part, best.rgb, best.grey, notes)
