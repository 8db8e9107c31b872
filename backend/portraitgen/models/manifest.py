# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The models we know of: where they come from, what they weigh, what their licence allows."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import ModelError

_MANIFEST = Path(__file__).parent / "data" / "manifest.json"
_SCHEMA = 1


@dataclass(frozen=True)
class ModelFile:
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
class Model:
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
        data = json.loads(path.read_text("utf-8"))
        if data["schema"] != _SCHEMA:
            raise ModelError(
                f"the manifest is of version {data['schema']}", path, "update portraitgen"
            )
        return {entry["name"]: _model(entry) for entry in data["models"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"the manifest cannot be read ({error})", path, "install again") from error


def known_model(name: str) -> Model:
    """The model of that name.

    Raises:
        ModelError: if there is none.
    """
    if name not in models():
        raise ModelError("there is no such model", name, f"use one of: {', '.join(models())}")
    return models()[name]


def _model(entry: dict[str, Any]) -> Model:
    values = dict(entry)
    values["files"] = tuple(ModelFile(**file) for file in values["files"])
    for name in ("editors", "pipelines", "patterns"):
        values[name] = tuple(values[name])
    return Model(**values)
