# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where weights lie on this machine, and whether they are whole and safe to open.

Nothing here reaches for the network. A model is looked for at an explicit path, then in the
models folder, then in the Hugging Face cache.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..messages import ModelRow
from .manifest import Model, ModelFile, models

RECORD = "portraitgen-model.json"
_PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl", ".msgpack")
# Parts of a pipeline that hold no weights of ours to load.
_UNUSED = ("safety_checker", "feature_extractor", "image_encoder")
_LIBRARIES = ("diffusers", "transformers")
_CHUNK = 1 << 22


@dataclass(frozen=True)
class Weights:
    """Weights found on this machine.

    Attributes:
        path: the folder of a pipeline, or the one file.
        name: of the model in the manifest, or the path's own for weights of the user's.
        licence: as its publisher names it, "unknown" for weights that nobody told us about.
        commercial: whether they may be used commercially; False if that is unknown.
    """

    path: Path
    name: str
    licence: str
    commercial: bool


def models_folder() -> Path:
    """Where models are kept: PORTRAITGEN_MODELS, or this user's data folder."""
    if given := os.environ.get("PORTRAITGEN_MODELS"):
        return Path(given).expanduser().absolute()
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "portraitgen" / "models"


def find_weights(name: str) -> Weights:
    """The weights of a model, found and checked for their shape on disk.

    Args:
        name: of a model in the manifest, or the path of a folder or file of the user's own.

    Raises:
        ModelError: if they are missing, incomplete or pickled.
    """
    if name in models():
        model = models()[name]
        place = _place(model)
        if place is None:
            raise ModelError(
                "the weights are not on this machine",
                name,
                f"put them into {models_folder() / name}, or run: portraitgen models fetch {name}",
            )
        check_layout(place, model)
        return Weights(_opened(place, model), name, model.licence, model.commercial)
    path = Path(name).expanduser()
    if not path.exists():
        raise ModelError(
            "there is neither a model nor a folder of that name",
            name,
            f"use one of {', '.join(models())}, or give a path",
        )
    refuse_pickle(path)
    record = _record(path if path.is_dir() else path.parent)
    licence = str(record.get("licence", "unknown"))
    return Weights(path.absolute(), path.name, licence, record.get("commercial") is True)


def check_layout(folder: Path, model: Model) -> None:
    """Refuses a model's folder that lacks files or holds pickles where weights should be.

    Raises:
        ModelError: naming what is wrong.
    """
    if model.layout == "diffusers":
        check_pipeline(folder, model.pipelines)
        return
    path = _opened(folder, model)
    if not path.is_file():
        for pickled in sorted(folder.glob("*")):
            if pickled.suffix in _PICKLES:
                refuse_pickle(pickled)
        raise ModelError(
            f"{path.name} is missing", folder, f"run: portraitgen models fetch {model.name}"
        )


def check_pipeline(folder: Path, pipelines: Sequence[str]) -> None:
    """Refuses a folder that is no whole pipeline in safetensors.

    Args:
        folder: in the layout of diffusers.
        pipelines: the classes that its model_index.json may name.

    Raises:
        ModelError: naming what is wrong.
    """
    index = _json(folder / "model_index.json")
    found = index.get("_class_name")
    if found not in pipelines:
        raise ModelError(
            f"the folder holds a {found}", folder, f"give one of: {', '.join(pipelines)}"
        )
    for part, entry in index.items():
        if part.startswith("_") or part in _UNUSED or not isinstance(entry, list):
            continue
        if entry[0] not in _LIBRARIES:
            raise ModelError(
                f"its part '{part}' would run code of its own ({entry[0]})",
                folder,
                "give a folder that uses the classes of diffusers and transformers only",
            )
        if not (folder / part).is_dir():
            raise ModelError(f"its part '{part}' is missing", folder, "fetch or copy it again")
        if part not in ("scheduler", "tokenizer", "processor"):
            _check_part(folder / part)


def _check_part(folder: Path) -> None:
    """One network of a pipeline: whole safetensors, in one file or in the shards of an index."""
    if not (folder / "config.json").is_file():
        raise ModelError("config.json is missing", folder, "fetch or copy it again")
    for stem in ("diffusion_pytorch_model", "model"):
        index = folder / f"{stem}.safetensors.index.json"
        if (folder / f"{stem}.safetensors").is_file():
            return
        if index.is_file():
            for shard in sorted(set(_json(index).get("weight_map", {}).values())):
                if not (folder / str(shard)).is_file():
                    raise ModelError(f"{shard} is missing", folder, "fetch or copy it again")
            return
    for path in sorted(folder.iterdir()):
        refuse_pickle(path)
    raise ModelError("there are no weights in safetensors", folder, "fetch or copy it again")


def refuse_pickle(path: Path) -> None:
    """Refuses a file that could run code when it is opened.

    Raises:
        ModelError: if its name is that of a pickle.
    """
    if path.suffix in _PICKLES:
        raise ModelError(
            "the weights are pickled, and opening a pickle can run any code",
            path,
            "give the same weights as .safetensors",
        )


def state_of(model: Model, digests: bool) -> ModelRow:
    """Where a model stands on this machine.

    Args:
        digests: also reads every byte and compares sha256.
    """
    row = ModelRow(
        name=model.name,
        label=model.label,
        editors=tuple(model.editors),
        licence=model.licence,
        licence_url=model.licence_url,
        commercial=model.commercial,
        approximate_gb=model.approximate_gb,
        message="not on this machine",
    )
    place = _place(model)
    if place is None:
        return row
    size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    row = replace(row, path=str(place), bytes=size)
    try:
        check_layout(place, model)
    except ModelError as error:
        return replace(row, state="incomplete", message=str(error))
    known = expected_files(place, model)
    try:
        compared = [compare(place, file, digests) for file in known]
    except ModelError as error:
        return replace(row, state="damaged", message=str(error))
    if not digests:
        return replace(row, state="present", message="all files are here")
    if not any(compared):
        message = "all files are here; no sha256 is known to compare them with"
        return replace(row, state="unverified", message=message)
    return replace(row, state="ok", message=f"{sum(compared)} files agree with their sha256")


def expected_files(folder: Path, model: Model) -> list[ModelFile]:
    """What the manifest says of a model's files, completed by what was noted on fetching them."""
    if model.layout == "torchvision":
        known: dict[str, ModelFile] = {}
    else:
        known = {file.path: file for file in model.files}
    for entry in _record(folder).get("files", []):
        file = ModelFile(str(entry["path"]), entry.get("size"), entry.get("sha256"))
        if file.path not in known or not known[file.path].sha256:
            known[file.path] = file
    return list(known.values())


def compare(folder: Path, file: ModelFile, digests: bool = True) -> bool:
    """Compares a file with what is known of it.

    Returns:
        Whether its digest was compared.

    Raises:
        ModelError: if the file is missing or differs.
    """
    path = folder / file.path
    remedy = "delete it and fetch or copy it again"
    if not path.is_file():
        raise ModelError("the file is missing", path, "fetch or copy it again")
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        raise ModelError(f"the file has {size} bytes instead of {file.size}", path, remedy)
    if not digests or not file.sha256:
        return False
    if digest(path) != file.sha256:
        raise ModelError("the file's sha256 is not the one it should be", path, remedy)
    return True


def digest(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    total = hashlib.sha256()
    for chunk in _chunks(path):
        total.update(chunk)
    return total.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def _place(model: Model) -> Path | None:
    folder = models_folder() / model.name
    if folder.is_dir():
        return folder
    return _cached(model) if model.repository else None


def _cached(model: Model) -> Path | None:
    """The model's snapshot in the Hugging Face cache, read without its library."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    snapshots = hub / f"models--{model.repository.replace('/', '--')}" / "snapshots"
    pinned = snapshots / model.revision
    return pinned if pinned.is_dir() else None


def _opened(folder: Path, model: Model) -> Path:
    """What is opened of a model's folder: itself, or its one file."""
    if model.layout == "diffusers":
        return folder
    if model.layout == "torchvision":
        return folder / f"{model.name}.safetensors"
    return folder / model.files[0].path


def _record(folder: Path) -> Mapping[str, Any]:
    path = folder / RECORD
    return _json(path) if path.is_file() else {}


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError("the file is missing", path, "fetch or copy it again") from None
    except (OSError, ValueError) as error:
        raise ModelError(
            f"the file cannot be read ({error})", path, "fetch or copy it again"
        ) from error
    if not isinstance(data, dict):
        raise ModelError("the file holds no JSON object", path, "fetch or copy it again")
    return data


def commercial_only(asked: bool = False) -> bool:
    """Whether the rest is refused: because it was asked, or PORTRAITGEN_COMMERCIAL is set."""
    return asked or os.environ.get("PORTRAITGEN_COMMERCIAL", "").lower() in ("1", "true", "yes")
