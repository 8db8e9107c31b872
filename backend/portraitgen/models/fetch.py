# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetching a model when the user asks for it: the one place that reaches for the network.

Files gather in `.NAME.part` below the models folder, so that a broken fetch goes on where it
stopped; the folder takes its name once every file agrees with its size and sha256.
"""

import errno
import shutil
import urllib.request
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

from ..errors import ModelError
from ..storage import atomic_path, move, write_json
from .manifest import Model, ModelFile
from .measured import remember
from .store import RECORD, check_layout, commercial_only, compare, digest, models_folder

_TIMEOUT = 60
_CHUNK = 1 << 20
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
Progress = Callable[[str, int, int], None]


def fetch(model: Model, progress: Progress, endpoint: str | None = None) -> Path:
    """Fetches a model into the models folder, or goes on with a fetch that broke off.

    Args:
        progress: called with a file's name, the bytes done and the bytes in all (0 if unknown).
        endpoint: of the Hub, the public one by default.

    Returns:
        The model's folder.

    Raises:
        ModelError: if it is there already, cannot be fetched, differs from what it should be, or
            may not be used commercially where only that is allowed.
    """
    if commercial_only() and not model.commercial:
        raise ModelError(
            f"its licence ({model.licence}) allows no commercial use",
            model.name,
            "choose another model, or unset PORTRAITGEN_COMMERCIAL",
        )
    folder = models_folder() / model.name
    if folder.exists() and not _waits_for_conversion(folder, model):
        raise ModelError("the model is there already", folder, "delete the folder to fetch it anew")
    staging = models_folder() / f".{model.name}.part"
    staging.mkdir(parents=True, exist_ok=True)
    if model.layout == "torchvision":
        files, revision = [_convert(model, folder, staging, progress)], ""
    else:
        files, revision = _from_hub(model, staging, progress, endpoint)
    check_layout(staging, model)
    facts: dict[str, object] = {
        "name": model.name,
        "repository": model.repository,
        "revision": revision,
        "url": model.url,
        "licence": model.licence,
        "commercial": model.commercial,
        "files": [{"path": f.path, "size": f.size, "sha256": f.sha256} for f in files],
    }
    write_json(staging / RECORD, facts)
    shutil.rmtree(staging / ".cache", ignore_errors=True)
    if folder.exists():
        for path in staging.iterdir():
            move(path, folder / path.name)
        staging.rmdir()
    else:
        move(staging, folder)
    for file in files:
        if file.sha256:
            remember(folder / file.path, file.sha256)
    return folder


def _waits_for_conversion(folder: Path, model: Model) -> bool:
    """Whether the user put torchvision's own file there."""
    if model.layout != "torchvision" or (folder / f"{model.name}.safetensors").exists():
        return False
    return (folder / model.files[0].path).is_file()


def _from_hub(
    model: Model, staging: Path, progress: Progress, endpoint: str | None
) -> tuple[list[ModelFile], str]:
    """All files of a repository that the manifest names, verified; and the commit they are of."""
    try:
        from huggingface_hub import HfApi, hf_hub_download
    except ImportError as error:
        raise ModelError(
            "huggingface_hub is not installed",
            model.name,
            'pip install "portraitgen[diffusion]" in the environment',
        ) from error
    try:
        facts = HfApi(endpoint=endpoint).model_info(
            model.repository, revision=model.revision, files_metadata=True, timeout=_TIMEOUT
        )
        known = {file.path: file for file in model.files}
        wanted = []
        for sibling in facts.siblings or []:
            name = sibling.rfilename
            if not any(fnmatch(name, pattern) for pattern in model.patterns):
                continue
            told = sibling.lfs.sha256 if sibling.lfs else None
            ours = known.get(name, ModelFile(name))
            if ours.sha256 and told and ours.sha256 != told:
                raise ModelError(
                    f"the Hub's {name} is another file than the manifest's",
                    model.name,
                    "update portraitgen",
                )
            wanted.append(ModelFile(name, ours.size or sibling.size, ours.sha256 or told))
        absent = sorted(set(known) - {file.path for file in wanted})
        if absent:
            raise ModelError(
                f"the repository has no {absent[0]}", model.repository, "update portraitgen"
            )
        _room_for(wanted, staging)
        total, done, received = sum(file.size or 0 for file in wanted), 0, []
        for file in wanted:
            progress(file.path, done, total)
            hf_hub_download(
                model.repository,
                file.path,
                revision=facts.sha,
                local_dir=staging,
                endpoint=endpoint,
            )
            received.append(_verified(staging, file))
            done += received[-1].size or 0
        progress(model.name, done, total)
        return received, str(facts.sha)
    except ModelError:
        raise
    except Exception as error:
        # The errors of its HTTP library differ by version; those of the disk speak for themselves.
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            raise
        if getattr(getattr(error, "response", None), "status_code", 0) in (401, 403):
            raise ModelError(
                "the Hub gives it only to those who have accepted its terms and show a token",
                model.name,
                f"accept them at {model.licence_url}, make a token with the right to read at"
                " https://huggingface.co/settings/tokens, set it as HF_TOKEN, and fetch again",
            ) from error
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"the Hub did not give it ({first})",
            model.name,
            f"check the connection and the terms at {model.licence_url}, and fetch again",
        ) from error


def _verified(folder: Path, file: ModelFile) -> ModelFile:
    """A file that arrived, with its size and sha256; deleted if it is not what it should be."""
    path = folder / file.path
    try:
        compare(folder, file)
    except ModelError:
        path.unlink(missing_ok=True)
        raise
    return ModelFile(file.path, path.stat().st_size, file.sha256 or digest(path))


def _convert(model: Model, folder: Path, staging: Path, progress: Progress) -> ModelFile:
    """Torchvision's file as safetensors; the user's own copy is taken if it lies there."""
    import torch
    from safetensors.torch import save_file

    source = model.files[0]
    own = folder / source.path
    if not own.is_file():
        _download(model.url, staging / source.path, source, progress)
        own = staging / source.path
    compare(own.parent, source)
    # Its digest is the publisher's, and only plain tensors are read.
    state = torch.load(own, map_location="cpu", weights_only=True)
    name = f"{model.name}.safetensors"
    convolutions = {k: v.contiguous() for k, v in state.items() if k.startswith("features.")}
    with atomic_path(staging / name) as temporary:
        save_file(convolutions, str(temporary))
    if own.parent == staging:
        own.unlink()
    return _verified(staging, ModelFile(name))


def _download(url: str, path: Path, file: ModelFile, progress: Progress) -> None:
    """A file over HTTP, going on after the bytes that are there."""
    _room_for([file], path.parent)
    part = path.with_name(path.name + ".part")
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    if file.size is None or done < file.size:
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
                if done and answer.status != 206:
                    done = 0
                with open(part, "ab" if done else "wb") as stream:
                    while chunk := answer.read(_CHUNK):
                        stream.write(chunk)
                        done += len(chunk)
                        progress(path.name, done, file.size or 0)
        except OSError as error:
            if error.errno in _OF_THE_DISK:
                raise
            raise ModelError(
                f"the server did not give it ({error})", url, "check the connection, fetch again"
            ) from error
    if file.size is not None and done < file.size:
        raise ModelError(f"it broke off after {done} bytes", url, "fetch again to go on")
    move(part, path)
    _verified(path.parent, file)


def _room_for(files: list[ModelFile], folder: Path) -> None:
    there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    needed = sum(file.size or 0 for file in files) - there
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ModelError(
            f"{needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free",
            folder,
            "free some space or set PORTRAITGEN_MODELS to another disk",
        )
