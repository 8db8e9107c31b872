# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The models we know of: where they come from, what they weigh, what their licence allows."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..errors import ModelError, ShotError
from ..schema import Data, Record

_MANIFEST = Path(__file__).parent / "data" / "manifest.json"


@dataclass(frozen=True)
class ModelFile(Data):
    """One file of a model.

    Attributes:
        path: relative to the model's folder, with forward slashes.
        size: in bytes, None where it is not known beforehand.
        sha256: its digest in hexadecimal, None where it is not known beforehand.
    """

    path: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Model(Data):
    """One set of weights.

    Attributes:
        name: of its folder below the models folder, and on the command line.
        label: its name for people.
        editors: who uses it.
        repository: on the Hugging Face Hub, empty if it comes from `url`.
        revision: a commit, a tag or a branch of the repository.
        url: of the one file, empty if it comes from the Hub.
        layout: "diffusers" (a pipeline's folder), "file" (safetensors) or "torchvision" (a pickle
            that is turned into safetensors after its digest was checked).
        pipelines: the classes that model_index.json may name, for the diffusers layout.
        patterns: which files of the repository are fetched.
        files: those known beforehand, and those that must be there.
        approximate_gb: what it takes on disk, rounded; None where unknown.
        licence: as its publisher names it.
        licence_url: where to read it.
        commercial: whether its publisher allows commercial use.
    """

    name: str
    label: str
    editors: tuple[str, ...]
    repository: str
    revision: str
    url: str
    layout: str
    pipelines: tuple[str, ...]
    patterns: tuple[str, ...]
    files: tuple[ModelFile, ...]
    approximate_gb: float | None
    licence: str
    licence_url: str
    commercial: bool

    @property
    def verified(self) -> bool:
        """Whether every file's digest is known beforehand."""
        return bool(self.files) and all(file.sha256 for file in self.files)


@dataclass(frozen=True, kw_only=True)
class _Manifest(Record):
    """The manifest's file."""

    models: tuple[Model, ...]


@cache
def models() -> dict[str, Model]:
    """All models of the manifest by name.

    Raises:
        ModelError: if the manifest is of a newer version.
    """
    return read_manifest(_MANIFEST)


def read_manifest(path: Path) -> dict[str, Model]:
    """The models that a manifest file lists, by name.

    Raises:
        ModelError: if it cannot be read or is of a newer version.
    """
    try:
        return {model.name: model for model in _Manifest.read(path).models}
    except ShotError as error:
        raise ModelError(
            f"the manifest cannot be read ({error.message})",
            path,
            "update PortraitGen, or install it again",
        ) from error


def known_model(name: str) -> Model:
    """The model of that name.

    Raises:
        ModelError: if there is none.
    """
    if name not in models():
        raise ModelError("there is no such model", name, f"use one of: {', '.join(models())}")
    return models()[name]
