# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where weights lie on this machine, and whether they are whole and safe to open.

Nothing here reaches for the network. A model is looked for at an explicit path, then in the
models folder, then in the Hugging Face cache.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import ModelError
from ..messages.setup import ModelRow
from ..path_mapping import given_path
from ..schema import Data, Misfit
from ..user_folders import home_folder, user_data_folder
from .manifest import Model, ModelFile, models
from .pipelines import PICKLES, check_pipeline, read_json, refuse_pickle

RECORD = "portraitgen-model.json"
_CHUNK = 1 << 22


@dataclass(frozen=True)
class Weights:
    """Weights found on this machine.

    Attributes:
        path: the folder of a pipeline, or the one file.
        name: of the model in the manifest, or the path's own for weights of the user's.
        licence: as its publisher names it, "unknown" for weights that nobody told us about.
        commercial: whether they may be used commercially; False if that is unknown.
        note: what the user should know of where they were found, one sentence; empty if nothing.
        repository: on the Hub, or the address that they come from; empty if nobody knows.
        revision: that they were fetched of; empty if nobody knows.
        published: the revision that files with all of the digests expected are of.
        expected: what their files should be, as it was noted when they were fetched, or as their
            publisher lists them.
    """

    path: Path
    name: str
    licence: str
    commercial: bool
    note: str = ""
    repository: str = ""
    revision: str = ""
    published: str = ""
    expected: tuple[ModelFile, ...] = ()


@dataclass(frozen=True)
class FetchedRecord(Data):
    """What was noted of weights when they were fetched, in their folder.

    Attributes:
        repository, revision: that they are of, if they come from the Hub.
        licence: as its publisher names it; commercial: whether it allows commercial use.
        files: what came.
    """

    repository: str = ""
    revision: str = ""

    licence: str = "unknown"
    commercial: bool = False
    files: tuple[ModelFile, ...] = ()


def models_folder() -> Path:
    """Where models are kept: PORTRAITGEN_MODELS, or this user's data folder."""
    return user_data_folder("PORTRAITGEN_MODELS", "models")


def find_weights(name: str) -> Weights:
    """The weights of a model, found and checked for their shape on disk.

    Args:
        name: of a model in the manifest, or the path of a folder or file of the user's own.

    Raises:
        ModelError: if they are missing, incomplete or pickled.
    """
    if name in models():
        model = models()[name]
        place, note = _place(model)
        if place is None:
            raise ModelError(
                "the weights are not on this machine",
                name,
                f"put them into {models_folder() / name}, or run: portraitgen models fetch {name}",
            )
        check_layout(place, model)
        return Weights(
            _opened(place, model),
            name,
            model.licence,
            model.commercial,
            note,
            model.repository or model.url,
            _record(place).revision or _snapshot(place),
            model.revision,
            () if note else tuple(expected_files(place, model)),
        )
    path = given_path(name)
    if not path.exists():
        raise ModelError(
            "there is neither a model nor a folder of that name",
            name,
            f"use one of {', '.join(models())}, or give a path",
        )
    path = _in_cache_folder(path)
    refuse_pickle(path)
    record = _record(path if path.is_dir() else path.parent)
    return Weights(
        path.absolute(),
        path.name,
        record.licence,
        record.commercial,
        repository=record.repository or _repository(path),
        revision=record.revision or _snapshot(path),
        expected=record.files,
    )


def check_layout(folder: Path, model: Model) -> None:
    """Refuses a model's folder that lacks files or holds pickles where weights should be.

    Raises:
        ModelError: naming what is wrong.
    """
    if model.layout == "diffusers":
        if single_file(folder) is None:
            check_pipeline(folder, model.pipelines)
        return
    path = _opened(folder, model)
    if not path.is_file():
        for pickled in sorted(folder.glob("*")):
            if pickled.suffix in PICKLES:
                refuse_pickle(pickled)
        raise ModelError(
            f"{path.name} is missing", folder, f"run: portraitgen models fetch {model.name}"
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
    place, note = _place(model)
    if place is None:
        return row
    size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    row = replace(row, path=str(place), bytes=size)
    try:
        check_layout(place, model)
    except ModelError as error:
        return replace(row, state="incomplete", message=str(error))
    # Files of another revision, or one file for all parts, are not those that are known of.
    whole = model.layout == "diffusers" and single_file(place) is not None
    known = [] if note or whole else expected_files(place, model)
    try:
        compared = [compare(place, file, digests) for file in known]
    except ModelError as error:
        return replace(row, state="damaged", message=str(error))
    if not digests:
        return replace(row, state="present", message=note or "all files are here")
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
    for file in _record(folder).files:
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


def single_file(folder: Path) -> Path | None:
    """The one file of safetensors that holds a whole pipeline, None for a folder of parts."""
    if (folder / "model_index.json").exists() or not folder.is_dir():
        return None
    files = sorted(folder.glob("*.safetensors"))
    return files[0] if len(files) == 1 else None


def _place(model: Model) -> tuple[Path | None, str]:
    """Where a model lies, None if nowhere; and what the user should know of it."""
    folder = models_folder() / model.name
    if folder.is_dir():
        return folder, ""
    return _cached(model) if model.repository else (None, "")


def _cached(model: Model) -> tuple[Path | None, str]:
    """The model's snapshot in the Hugging Face cache, read without its library.

    The revision that was tried, else the one that its name in `refs` stands for, else the latest
    that is whole.
    """
    home = Path(os.environ.get("HF_HOME") or home_folder() / ".cache" / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    repository = hub / f"models--{model.repository.replace('/', '--')}"
    pinned = repository / "snapshots" / model.revision
    if pinned.is_dir():
        return pinned, ""
    snapshots = _snapshots(repository, (model.revision, "main"))
    if not snapshots:
        return None, ""
    whole = next((each for each in snapshots if _is_whole(each, model)), snapshots[0])
    if (repository / "refs" / model.revision).is_file() and whole == snapshots[0]:
        return whole, ""
    note = f"{model.label} is of another revision ({whole.name[:12]}) than the one that was tried"
    return whole, f"{note}."


def _snapshots(repository: Path, names: tuple[str, ...]) -> list[Path]:
    """The snapshots of a repository in the cache: those that names stand for, then the latest."""
    folder = repository / "snapshots"
    found = []
    for name in names:
        try:
            commit = (repository / "refs" / name).read_text("ascii").strip()
        except (OSError, ValueError):
            continue
        if commit and Path(commit).name == commit and (folder / commit).is_dir():
            found.append(folder / commit)
    others = [each for each in folder.glob("*") if each.is_dir() and each not in found]
    return found + sorted(others, key=lambda each: each.stat().st_mtime, reverse=True)


def _is_whole(folder: Path, model: Model) -> bool:
    try:
        check_layout(folder, model)
    except ModelError:
        return False
    return True


def _in_cache_folder(path: Path) -> Path:
    """A folder `models--OWNER--NAME` of the cache holds the model in one of its snapshots."""
    if (path / "snapshots").is_dir() and not (path / "model_index.json").exists():
        snapshots = _snapshots(path, ("main",))
        return snapshots[0] if snapshots else path
    return path


def _snapshot(folder: Path) -> str:
    """The commit that a folder of the Hugging Face cache is of; empty for any other folder."""
    return folder.name if folder.parent.name == "snapshots" else ""


def _repository(folder: Path) -> str:
    """The repository that a folder of the Hugging Face cache is of; empty for any other folder."""
    name = folder.parent.parent.name
    owned = _snapshot(folder) and name.startswith("models--")
    return name.removeprefix("models--").replace("--", "/", 1) if owned else ""


def _opened(folder: Path, model: Model) -> Path:
    """What is opened of a model's folder: itself, or its one file."""
    if model.layout == "diffusers":
        return single_file(folder) or folder
    if model.layout == "torchvision":
        return folder / f"{model.name}.safetensors"
    return folder / model.files[0].path


def _record(folder: Path) -> FetchedRecord:
    path = folder / RECORD
    if not path.is_file():
        return FetchedRecord()
    try:
        return FetchedRecord.parse(read_json(path))
    except Misfit as misfit:
        raise ModelError(str(misfit), path, "fetch the weights again") from None


def commercial_only(asked: bool = False) -> bool:
    """Whether the rest is refused: because it was asked, or PORTRAITGEN_COMMERCIAL is set."""
    return asked or os.environ.get("PORTRAITGEN_COMMERCIAL", "").lower() in ("1", "true", "yes")
