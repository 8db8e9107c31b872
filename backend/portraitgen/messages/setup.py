# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the backend is, what it can do, and whether it works."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from ..schema import Data
from ..settings import OptionDescription
from .base import Call


@dataclass(frozen=True)
class HelloAnswer(Data):
    """What runs on the other side."""

    protocol: int
    version: str
    python: str
    device: str
    pid: int


@dataclass(frozen=True)
class Hello(Call[HelloAnswer]):
    """The first request; a worker of another protocol refuses it."""

    METHOD: ClassVar[str] = "hello"
    ANSWER: ClassVar[type[Data]] = HelloAnswer
    protocol: int
    version: str = ""


@dataclass(frozen=True)
class EditorDescription(Data):
    """An editor as panels know it; the fields are those of `editing.editor.EditorInfo`."""

    id: str
    label: str
    description: str
    needs: tuple[str, ...] = ()
    licence: str = ""
    commercial: bool = True
    memory_gb: float = 0.0
    starts_from_render: bool = False
    generative: bool | None = None
    lies_on_plate: bool = False
    keeps_grain: bool = False
    edits_frames: bool = False
    options: tuple[OptionDescription, ...] = ()


@dataclass(frozen=True)
class Description(Data):
    """What panels draw.

    Attributes:
        editors: all there are.
        settings: each job's options.
        memory_gb: each job's peak with its default options.
    """

    editors: tuple[EditorDescription, ...] = ()
    settings: Mapping[str, tuple[OptionDescription, ...]] = field(default_factory=dict)
    memory_gb: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Describe(Call[Description]):
    """Asks for what panels draw."""

    METHOD: ClassVar[str] = "describe"
    ANSWER: ClassVar[type[Data]] = Description


@dataclass(frozen=True)
class CheckRow(Data):
    """A part of the set-up.

    Attributes:
        state: "ok", "missing" or "limited".
        code: "environment" where creating the environment again mends it.
    """

    name: str
    state: str
    message: str
    remedy: str = ""
    code: str = ""


@dataclass(frozen=True)
class Checked(Data):
    """The set-up, part by part."""

    rows: tuple[CheckRow, ...]


@dataclass(frozen=True)
class Check(Call[Checked]):
    """Asks what of the set-up works."""

    METHOD: ClassVar[str] = "check"
    ANSWER: ClassVar[type[Data]] = Checked


@dataclass(frozen=True)
class SelfTestRow(Data):
    """A part of the self-test.

    Attributes:
        state: "ok", "limited", "failed" or "left out".
        seconds: that it took; memory_gb: that it held of the card.
        figures: measured, by name.
    """

    name: str
    state: str
    message: str
    seconds: float = 0.0
    memory_gb: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SelfTested(Data):
    """The self-test, part by part, and where its report lies."""

    rows: tuple[SelfTestRow, ...]
    report: str


@dataclass(frozen=True)
class RunSelfTest(Call[SelfTested]):
    """Asks for everything to be tried on this machine; takes up to three minutes."""

    METHOD: ClassVar[str] = "selftest"
    ANSWER: ClassVar[type[Data]] = SelfTested


@dataclass(frozen=True)
class ModelRow(Data):
    """A model of the manifest, and where it stands on this machine.

    Attributes:
        path: None if it is not here.
        state: "missing", "incomplete", "damaged", "present" (whole by its layout; digests not
            read), "ok" (sizes and digests agree) or "unverified" (no digest is known).
    """

    name: str
    label: str
    editors: tuple[str, ...]
    licence: str
    licence_url: str
    commercial: bool
    approximate_gb: float | None
    path: str | None = None
    bytes: int = 0
    state: str = "missing"
    message: str = ""

    @property
    def whole(self) -> bool:
        """Whether it can be used."""
        return self.state in ("present", "ok", "unverified")


@dataclass(frozen=True)
class ModelList(Data):
    """The models, and the folder where they lie."""

    folder: str
    rows: tuple[ModelRow, ...]


@dataclass(frozen=True)
class ListModels(Call[ModelList]):
    """Asks for the models."""

    METHOD: ClassVar[str] = "models.list"
    ANSWER: ClassVar[type[Data]] = ModelList
