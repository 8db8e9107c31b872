# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a picture: the program, the editor, its weights, the versions, the hands."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from xml.sax.saxutils import escape, quoteattr

from ..bounded_json import dump_json
from ..plain_text import printable

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
"""IPTC's list of digital source types; XMP, C2PA and the EU's rules name a picture's by it."""


@dataclass(frozen=True)
class WeightsUsed:
    """Weights that an editor drew with: where they come from and what their publisher allows.

    Attributes:
        name: in our list of models; of a user's own, the file's or the look's.
        repository: where they come from, or what a look was made of; empty if that is unknown.
        revision, licence: as their publisher names them; "unknown" is a licence that nobody told.
        sha256: of their files, as far as they are known.
    """

    name: str
    repository: str
    revision: str
    licence: str
    sha256: tuple[str, ...] = ()


@dataclass(frozen=True)
class Statement:
    """How a take's pictures were made.

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

    @property
    def source_type(self) -> str:
        """IPTC's term: a trained model's pixels over a capture, or a composite without any."""
        kind = "compositeWithTrainedAlgorithmicMedia" if self.generative else "compositeCapture"
        return SOURCE_TYPES + kind

    def to_json(self) -> str:
        """As one line of JSON, without what is empty."""
        facts = {name: value for name, value in asdict(self).items() if value not in ("", (), {})}
        return dump_json(facts | {"digital_source_type": self.source_type}).decode()

    def exr_attributes(self, touched: float | None = None) -> dict[str, str]:
        """For the header of an EXR.

        Args:
            touched: the share of the plate's pixels that the edit changed, 0..1.
        """
        said = {
            "portraitgen:provenance": self.to_json(),
            "portraitgen:digitalSourceType": self.source_type,
        }
        return said if touched is None else said | {"portraitgen:touched": f"{touched:.4f}"}

    def png_texts(self, touched: float | None = None) -> dict[str, str]:
        """For the text chunks of a PNG, by keyword: in words, and as XMP for other programs.

        Args:
            touched: the share of the plate's pixels that the edit changed, 0..1.
        """
        said = {} if touched is None else {"portraitgen:touched": f"{touched:.4f}"}
        return said | {
            "Software": f"{self.software} {self.version}",
            "portraitgen:provenance": self.to_json(),
            "XML:com.adobe.xmp": self.xmp(),
        }

    def movie_metadata(self) -> dict[str, str]:
        """For the metadata of a movie."""
        return {"encoder": f"{self.software} {self.version}", "comment": self.to_json()}

    def xmp(self) -> str:
        """An XMP packet with IPTC's digital source type, and those who did something by hand."""
        tool = quoteattr(f"{self.software} {self.version}")
        names = dict.fromkeys(name for who in self.authors.values() for name in who)
        listed = "".join(f"<rdf:li>{escape(printable(name))}</rdf:li>" for name in names)
        people = f"<dc:contributor><rdf:Bag>{listed}</rdf:Bag></dc:contributor>" if names else ""
        return (
            '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
            '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
            '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            '<rdf:Description rdf:about=""'
            ' xmlns:dc="http://purl.org/dc/elements/1.1/"'
            ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
            ' xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
            f" xmp:CreatorTool={tool}"
            f" Iptc4xmpExt:DigitalSourceType={quoteattr(self.source_type)}>{people}"
            "</rdf:Description></rdf:RDF></x:xmpmeta>"
            '<?xpacket end="r"?>'
        )
