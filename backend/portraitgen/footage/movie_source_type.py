# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""IPTC's digital source type of a movie: in a comment of ours, or in XMP, where Adobe's
specification (part 3) lays it in MP4 and QuickTime."""

import html
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..schema import Data
from .container_tags import movie_comment
from .iso_boxes import boxes_in, is_iso, outer_boxes

_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_LARGEST = 8 << 20
_SAID = re.compile(
    rb"DigitalSourceType(?:\s+rdf:resource)?(?:\s*=\s*[\"']([^\"'<>]{1,200})[\"']|>([^<>]{1,200})<)"
)


def movie_source_type(path: Path) -> str:
    """The term, as the movie names it; empty if it names none, or holds no such things."""
    for packet in _packets(path):
        if found := _SAID.search(packet):
            return html.unescape((found[1] or found[2]).decode("utf-8", "replace")).strip()
    with suppress(ValueError):
        return _Comment.parse(json.loads(movie_comment(path) or "{}")).digital_source_type
    return ""


@dataclass(frozen=True)
class _Comment(Data):
    """What is looked for in a movie's comment."""

    digital_source_type: str = ""


def _packets(path: Path) -> Iterator[bytes]:
    """XMP, of a movie made of boxes."""
    with open(path, "rb") as file, suppress(ValueError):
        if not is_iso(file.read(12)):
            return
        for kind, start, end in outer_boxes(file, path.stat().st_size):
            if kind not in (b"uuid", b"moov") or end - start > _LARGEST:
                continue
            file.seek(start)
            body = file.read(end - start)[8:]
            if kind == b"uuid" and body.startswith(_UUID):
                yield body[len(_UUID) :]
            if kind == b"moov":
                for inner, held in boxes_in(body):
                    if inner == b"udta":
                        yield from (data for name, data in boxes_in(held) if name == b"XMP_")
