# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A look as a file: one safetensors file with its weights, what it is, and a thumbnail.

Files come from strangers: names, types and shapes are compared with what the network needs before
anything but the header is read, and the metadata is JSON.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import torch

from ...bounded_json import parse_json
from ...errors import EditError, OptionError
from ...images import to_codes
from ...plain_text import printable
from ...records import TensorEntry
from ...schema import Data, Misfit
from ...tensors import DamagedTensors, header_of, load_arrays, save_arrays
from .network import Guides, LookNetwork

LARGEST = 8 << 20
"""Bytes; a look of ours takes 0.5 to 1.8 MB."""
_KEY = "portraitgen-look"
_SCHEMA = 1
_THUMBNAIL = "thumbnail"
_THUMBNAIL_SHAPE = (96, 192, 3)
_LONGEST_FACTS, _ROOM_FOR_NOTES = 1 << 16, 1 << 12
_REMEDY = "learn the look again, or ask for the file again"


@dataclass(frozen=True)
class LookFacts(Data):
    """What a look is.

    Attributes:
        name: as people call it.
        licence: what its pictures and weights may be used for, in the maker's words.
        commercial: whether that allows commercial use.
        made_of: where the pairs came from: an editor and its settings, or a folder.
        pairs: how many pairs it learned from.
        guides: as `Guides.names`.
        side: of the pictures it learned from, pixels.
        scale: pixels a metre on the performer in them, 0 if no body was known.
        seconds: how long it learned.
        held_out_db: how like its pictures are to pairs that it had not seen when that was measured;
            None if there were too few.
        notes: how the guides were chosen.
    """

    name: str
    schema: int = _SCHEMA
    created: str = ""
    licence: str = ""
    commercial: bool = True
    made_of: str = ""
    pairs: int = 0
    guides: tuple[str, ...] = ()
    side: int = 0
    scale: float = 0.0
    seconds: float = 0.0
    held_out_db: float | None = None
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Look:
    """A look, ready to be worn.

    Attributes:
        facts: what it is.
        network: with its weights.
        thumbnail: uint8 (96, 192, 3), before and after.
    """

    facts: LookFacts
    network: LookNetwork
    thumbnail: np.ndarray

    def save(self, path: Path) -> None:
        """Writes the file in one step; weights as float16."""
        arrays = {
            name: each.detach().cpu().numpy().astype(np.float16)
            for name, each in self.network.state_dict().items()
        }
        arrays[_THUMBNAIL] = self.thumbnail
        path.parent.mkdir(parents=True, exist_ok=True)
        save_arrays(path, arrays, {_KEY: _as_text(self.facts)})


def check_can_be_told(facts: LookFacts) -> None:
    """Checks what a look will say of itself before anything is learned for it.

    Raises:
        OptionError: if a file that says it, and a learner's notes, would not be read back.
    """
    try:
        text = _as_text(facts)
        parse_json(text)
    except ValueError as error:
        raise OptionError(
            f"what the look would say of itself is no text ({printable(str(error))})",
            "licence",
            "give another licence and name",
        ) from None
    if len(text) > _LONGEST_FACTS - _ROOM_FOR_NOTES:
        raise OptionError(
            f"the licence of {len(facts.licence)} characters is too long to go with a look",
            "licence",
            "say where its whole text is",
        )


def _as_text(facts: LookFacts) -> str:
    return json.dumps(facts.to_json(), sort_keys=True)


def read_facts(path: Path) -> LookFacts:
    """What a file says that it is, from its header alone.

    Raises:
        EditError: if it is no look that can be used.
    """
    return _judged(path)


def read_look(path: Path) -> Look:
    """Reads a look.

    Raises:
        EditError: if it is no look that can be used.
    """
    facts = _judged(path)
    arrays = _arrays(path)
    thumbnail = arrays.pop(_THUMBNAIL)
    network = LookNetwork(Guides.of(facts.guides))
    network.load_state_dict(
        {name: torch.from_numpy(each.astype(np.float32)) for name, each in arrays.items()}
    )
    return Look(facts, network.eval().requires_grad_(False), thumbnail)


def read_thumbnail(path: Path) -> np.ndarray:
    """The picture of a look, uint8 (96, 192, 3); raises as `read_look`."""
    _judged(path)
    return _arrays(path)[_THUMBNAIL]


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        return load_arrays(path)
    except DamagedTensors as error:
        raise EditError(f"the look cannot be used ({error})", path, _REMEDY) from None


def thumbnail_of(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Two pictures, float32 (H, W, 3), side by side as a thumbnail."""
    import cv2

    height, width = _THUMBNAIL_SHAPE[0], _THUMBNAIL_SHAPE[1] // 2
    small = [
        cv2.resize(np.asarray(each, np.float32), (width, height), interpolation=cv2.INTER_AREA)
        for each in (before, after)
    ]
    return to_codes(np.concatenate(small, axis=1))


def _kind_of(entry: object) -> tuple[str, tuple[int, ...]] | None:
    """Type and shape of a tensor; None if the header tells of none."""
    try:
        told = TensorEntry.parse(entry)
    except Misfit:
        return None
    return told.dtype, told.shape


@cache
def _wanted(guides: Guides) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Types and shapes of a look's tensors."""
    wanted: dict[str, tuple[str, tuple[int, ...]]] = {_THUMBNAIL: ("U8", _THUMBNAIL_SHAPE)}
    with torch.device("meta"):
        for name, each in LookNetwork(guides).state_dict().items():
            wanted[name] = ("F16", tuple(each.shape))
    return wanted


def _judged(path: Path) -> LookFacts:
    """The facts of a file whose header promises just what a look needs."""
    try:
        header = header_of(path, LARGEST)
    except DamagedTensors as error:
        raise EditError(f"the look cannot be used ({error})", path, _REMEDY) from None
    metadata = header.pop("__metadata__", None)
    text = metadata.get(_KEY) if isinstance(metadata, Mapping) else None
    if not isinstance(text, str):
        raise EditError("the file is no look", path, "choose one that 'portraitgen look' made")
    if len(text) > _LONGEST_FACTS:
        raise EditError("the look says too much of itself", path, _REMEDY)
    try:
        data = parse_json(text)
        newer = isinstance(data, Mapping) and data.get("schema")
        if isinstance(newer, int) and newer > _SCHEMA:
            raise EditError("a newer version made the look", path, "update PortraitGen")
        facts = LookFacts.parse(data)
    except (ValueError, Misfit) as error:
        raise EditError(
            f"what the look says of itself is damaged ({printable(str(error))})", path, _REMEDY
        ) from None
    if not (math.isfinite(facts.scale) and 0 <= facts.scale < 1e6 and 0 <= facts.side < 1 << 16):
        raise EditError("the look tells no usable size", path, _REMEDY)
    wanted = _wanted(Guides.of(facts.guides))
    found = {name: _kind_of(each) for name, each in header.items()}
    if found != wanted:
        wrong = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        raise EditError(
            f"the look's weights are not those of its network ('{printable(wrong[0])[:60]}')",
            path,
            _REMEDY,
        )
    return facts
