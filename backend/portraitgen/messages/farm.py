# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs for render farms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..schema import Data, Values
from .base import Call


@dataclass(frozen=True)
class FarmShot(Data):
    """A shot of a farm's job.

    Attributes:
        folder: the shot's.
        options: of stages, by their names; an edit's are the take's settings.
    """

    folder: str
    options: Mapping[str, Values]


@dataclass(frozen=True)
class BundleWritten(Data):
    """The files of a farm's job.

    Attributes:
        stages: those that are to run, of each shot.
    """

    files: tuple[str, ...]
    stages: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class WriteBundle(Call[BundleWritten]):
    """Writes a job for a render farm.

    Attributes:
        out: the folder for its files.
        flamenco: for Flamenco 3, else for Open Job Description.
        chunk: frames of one task.
        command: `portraitgen` as workers call it.
        quality: whether each take is measured at the end.
    """

    METHOD: ClassVar[str] = "farm.bundle"
    ANSWER: ClassVar[type[Data]] = BundleWritten
    shots: tuple[FarmShot, ...]
    take: str
    out: str
    flamenco: bool = False
    chunk: int = 16
    gpus: int = 0
    command: str = "portraitgen"
    quality: bool = False
