# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a picture: the program, the editor, its weights, the versions, the hands."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from html import escape

from ..bounded_json import dump_json
from ..plain_text import printable

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
"""IPTC's list of digital source types; XMP, C2PA and the EU's rules name a picture's by it."""

TOUCHED = "portraitgen:touched"
"""How much of the plate was touched, in the headers of EXR and the texts of PNG."""

_NAMESPACE = "urn:portraitgen:provenance"
_DIGITS = 4
_TRAINED = "trainedalgorithmicmedia"


@dataclass(frozen=True)
class WeightsUsed:
    """Weights that an editor drew with: where they come from and what their publisher allows.

    Attributes:
        name: in our list of models; of a user's own, the file's or the look's.
        repository: where they come from, or what a look was made of; empty if that is unknown.
        revision, licence: as their publisher names them; "unknown" is a licence that nobody told.
        sha256: of their files, as far as they are known.
        changed: files that are others than were fetched, or than their publisher lists.
    """

    name: str
    repository: str
    revision: str
    licence: str
    sha256: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Performance:
    """A performance of another shot, which the performer acts.

    Attributes:
        shot: the name of that shot's folder.
        plate: the digest of its plate.
        track: the version of its track.
    """

    shot: str
    plate: str
    track: int


@dataclass(frozen=True)
class Statement:
    """How a take's pictures were made, or one of them.

    Attributes:
        software, version: the program.
        take, edit: which edit of which take; edit is None for the reconstruction.
        track, avatar: the versions it is made on.
        editor, editor_licence, options, strength, seed: how it was edited; of paths the name alone.
        base: the takes that it builds on, the nearest first.
        generative: whether a model that was trained on other pictures drew it, or what it builds
            on.
        commercial: whether the licences allow commercial use.
        weights: that the editor draws with, and those of what it builds on.
        plate: the digest of the plate.
        by_hand: what an artist did: "pins", "acting", "light", "paint", "key frames", "splats".
        authors: who did what of it, of those who gave their name.
        render: what was asked of the render, as keys of the mix; of paths the name alone.
        plate_source: IPTC's digital source type of the plate, as its own file names it.
        performances: of other shots, that the performer acts.
        camera: the digest of the cameras that it was rendered through, empty for the plate's own.
        touched: the share of the plate's pixels that the edit changed, 0..1, of a movie the mean of
            its frames; None where that is not known, or there is no plate.
        shown: how much of the edit this frame shows, 0..1.
    """

    software: str
    version: str
    take: str
    edit: int | None
    track: int
    avatar: int
    plate: str
    editor: str = ""
    editor_licence: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    strength: float = 1.0
    seed: int = 0
    base: tuple[str, ...] = ()
    generative: bool = False
    commercial: bool = True
    weights: tuple[WeightsUsed, ...] = ()
    by_hand: tuple[str, ...] = ()
    authors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    render: Mapping[str, object] = field(default_factory=dict)
    plate_source: str = ""
    performances: tuple[Performance, ...] = ()
    camera: str = ""
    touched: float | None = None
    shown: float = 1.0

    @property
    def source_type(self) -> str:
        """IPTC's term: a trained model's pixels over a capture, or a composite without any."""
        # A plate that says to be a trained model's stays one, whatever is laid over it.
        drawn = self.generative or _TRAINED in self.plate_source.lower()
        kind = "compositeWithTrainedAlgorithmicMedia" if drawn else "compositeCapture"
        return SOURCE_TYPES + kind

    @property
    def is_alone(self) -> bool:
        """Whether the performer was rendered without the plate."""
        return bool(self.camera) or "drive" in self.render

    def to_json(self) -> str:
        """As one line of JSON, without what is empty."""
        touched = None if self.touched is None else round(self.touched, _DIGITS)
        facts = asdict(replace(self, touched=touched)) | {"digital_source_type": self.source_type}
        # As an edit that is None, a reconstruction is told.
        unsaid = {"touched": None, "shown": 1.0}
        return dump_json(
            {
                name: value
                for name, value in facts.items()
                if value not in ("", (), {}) and not (name in unsaid and value == unsaid[name])
            }
        ).decode()

    def exr_attributes(self) -> dict[str, str]:
        """For the header of an EXR."""
        said = {
            "portraitgen:provenance": self.to_json(),
            "portraitgen:digitalSourceType": self.source_type,
        }
        return said if self.touched is None else said | {TOUCHED: f"{self.touched:.{_DIGITS}f}"}

    def png_texts(self) -> dict[str, str]:
        """For the text chunks of a PNG, by keyword: in words, and as XMP for other programs."""
        said = {} if self.touched is None else {TOUCHED: f"{self.touched:.{_DIGITS}f}"}
        return said | {
            "Software": f"{self.software} {self.version}",
            "portraitgen:provenance": self.to_json(),
            "portraitgen:digitalSourceType": self.source_type,
            "XML:com.adobe.xmp": self.xmp(),
        }

    def movie_metadata(self) -> dict[str, str]:
        """For the metadata of a movie, of the same length whatever share is touched: a movie's
        beginning is written before its frames are known."""
        longest = len(replace(self, touched=1 - 10**-_DIGITS).to_json())
        return {
            "encoder": f"{self.software} {self.version}",
            "comment": self.to_json().ljust(longest),
        }

    def xmp(self) -> str:
        """An XMP packet with IPTC's digital source type, those who did something by hand, and all
        that is said, as JSON."""
        tool = _quoted(f"{self.software} {self.version}")
        names = dict.fromkeys(name for who in self.authors.values() for name in who)
        listed = "".join(
            f"<rdf:li>{escape(printable(name), quote=False)}</rdf:li>" for name in names
        )
        people = f"<dc:contributor><rdf:Bag>{listed}</rdf:Bag></dc:contributor>" if names else ""
        # Not every character of JSON's is one of XML's.
        said = _quoted(json.dumps(json.loads(self.to_json())))
        return (
            '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
            '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
            '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            '<rdf:Description rdf:about=""'
            ' xmlns:dc="http://purl.org/dc/elements/1.1/"'
            ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
            ' xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
            f" xmlns:portraitgen={_quoted(_NAMESPACE)}"
            f" portraitgen:provenance={said}"
            f" xmp:CreatorTool={tool}"
            f" Iptc4xmpExt:DigitalSourceType={_quoted(self.source_type)}>{people}"
            "</rdf:Description></rdf:RDF></x:xmpmeta>"
            '<?xpacket end="r"?>'
        )


def _quoted(text: str) -> str:
    """A text as an attribute of XML, which makes blanks of ends of lines that are not escaped."""
    escaped = escape(text).replace("\n", "&#10;").replace("\r", "&#13;").replace("\t", "&#9;")
    return f'"{escaped}"'
