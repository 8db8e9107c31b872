# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The performer as Gaussian splats."""

from dataclasses import dataclass
from typing import ClassVar

from ..schema import Data
from .base import Call


@dataclass(frozen=True)
class CloudExported(Data):
    """Where an avatar's Gaussians lie; `neural` if a network finishes its pictures, `elsewhere` if
    they do not lie in the shot, which may not be written to."""

    path: str
    gaussians: int
    version: int
    neural: bool
    elsewhere: bool = False


@dataclass(frozen=True)
class ExportCloud(Call[CloudExported]):
    """Asks for the Gaussians with the triangles that carry them, for Blender to pose."""

    METHOD: ClassVar[str] = "splats.cloud"
    ANSWER: ClassVar[type[Data]] = CloudExported
    shot: str
    take: str = ""
    version: int | None = None


@dataclass(frozen=True)
class SplatsExported(Data):
    """The files that were written, and what an artist should know of them."""

    files: tuple[str, ...]
    gaussians: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportSplats(Call[SplatsExported]):
    """Asks for PLY files; `world` is a JSON of the camera's places."""

    METHOD: ClassVar[str] = "splats.export"
    ANSWER: ClassVar[type[Data]] = SplatsExported
    shot: str
    path: str
    take: str = ""
    frames: str = ""
    version: int | None = None
    world: str | None = None


@dataclass(frozen=True)
class SplatsImported(Data):
    """The new version, None if nothing changed, and what became of the splats; those passed over
    hold what no splat can, and stay as they were."""

    version: int | None
    changed: int
    erased: int
    unmatched: int
    by: str
    passed_over: int = 0


@dataclass(frozen=True)
class ImportSplats(Call[SplatsImported]):
    """Takes retouched splats of a frame back; `author` retouched them, empty for nobody named;
    `untouched` is a PLY of them all as they were before, in whatever pose."""

    METHOD: ClassVar[str] = "splats.import"
    ANSWER: ClassVar[type[Data]] = SplatsImported
    shot: str
    path: str
    frame: int
    take: str = ""
    version: int | None = None
    world: str | None = None
    author: str = ""
    untouched: str | None = None
