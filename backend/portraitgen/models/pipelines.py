# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a folder or a file holds a whole pipeline that is safe to open. Standard library only."""

import json
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..records import TensorEntry
from ..schema import Data

PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl", ".msgpack")
# Parts of a pipeline that hold no weights of ours to load.
_UNUSED = ("safety_checker", "feature_extractor", "image_encoder")
_WITHOUT_WEIGHTS = ("scheduler", "tokenizer", "processor")
_LIBRARIES = ("diffusers", "transformers")
_STEMS = ("diffusion_pytorch_model", "model")
# unet/diffusion_pytorch_model.fp16.safetensors, model.fp16-00001-of-00002.safetensors
_OF_VARIANT = re.compile(
    r"(?:diffusion_pytorch_model|model)\.([A-Za-z0-9_]+)(?:-\d+-of-\d+)?\.safetensors"
)
_INDEX_OF_VARIANT = re.compile(
    r"(?:diffusion_pytorch_model|model)\.safetensors\.index\.([A-Za-z0-9_]+)\.json"
)
_MAX_HEADER = 100 << 20
_COPY = "fetch or copy it again"


def check_pipeline(folder: Path, pipelines: Sequence[str]) -> str:
    """Refuses a folder that is no whole pipeline in safetensors.

    Args:
        folder: in the layout of diffusers.
        pipelines: the classes that its model_index.json may name.

    Returns:
        The variant that its weights are of, such as "fp16"; empty for the plain ones.

    Raises:
        ModelError: naming what is wrong.
    """
    if not (folder / "model_index.json").is_file():
        raise ModelError(
            "the folder holds no model_index.json, so it is no pipeline in the layout of diffusers",
            folder,
            "give the folder that holds one, or one .safetensors file with all its parts",
        )
    index = read_json(folder / "model_index.json")
    found = index.get("_class_name")
    if found not in pipelines:
        said = (
            f"holds a {found}" if isinstance(found, str) else "does not say what pipeline it holds"
        )
        raise ModelError(f"the folder {said}", folder, f"give one of: {', '.join(pipelines)}")
    parts = []
    for part, entry in index.items():
        if part.startswith("_") or part in _UNUSED or not isinstance(entry, list):
            continue
        if entry[0] is None:
            continue
        if entry[0] not in _LIBRARIES:
            raise ModelError(
                f"its part '{part}' would run code of its own ({entry[0]})",
                folder,
                "give a folder that uses the classes of diffusers and transformers only",
            )
        if not (folder / part).is_dir():
            raise ModelError(f"its part '{part}' is missing", folder, _COPY)
        if not part.startswith(_WITHOUT_WEIGHTS):
            parts.append(folder / part)
    variants = [_variants(part) for part in parts]
    common = set.intersection(*variants) if variants else {""}
    if not common:
        # Diffusers takes the plain weights of parts that have none of a variant.
        common = {
            each
            for each in set.union(*variants)
            if all(each in of_part or "" in of_part for of_part in variants)
        }
    if not common:
        raise ModelError(
            "its parts hold weights of different variants: "
            + ", ".join(
                f"{part.name} {' and '.join(sorted(each or 'plain' for each in of_part))}"
                for part, of_part in zip(parts, variants, strict=True)
            ),
            folder,
            "fetch or copy all parts of one variant",
        )
    return min(common, key=lambda each: (each != "", each != "fp16", each))


def pipeline_class(folder: Path) -> str:
    """The class that a folder's model_index.json names; empty if the folder holds none.

    Raises:
        ModelError: if the file cannot be read.
    """
    path = folder / "model_index.json"
    if not path.is_file():
        return ""
    return _Index.parse(read_json(path)).kind


@dataclass(frozen=True)
class _Index(Data):
    """A pipeline's model_index.json, as far as every one of them is alike."""

    _class_name: object = ""

    @property
    def kind(self) -> str:
        return self._class_name if isinstance(self._class_name, str) else ""


def _variants(folder: Path) -> set[str]:
    """The variants of which a network's weights are whole, "" for the plain ones.

    Raises:
        ModelError: if there are none.
    """
    if not (folder / "config.json").is_file():
        raise ModelError("config.json is missing", folder, _COPY)
    names = {path.name for path in folder.iterdir()}
    matches = [kind.fullmatch(name) for name in names for kind in (_OF_VARIANT, _INDEX_OF_VARIANT)]
    wanted = {""} | {match[1] for match in matches if match}
    missing, found = "", set()
    for variant in sorted(wanted):
        middle = f".{variant}" if variant else ""
        for stem in _STEMS:
            index = f"{stem}.safetensors.index{middle}.json"
            if f"{stem}{middle}.safetensors" in names:
                found.add(variant)
            elif index in names:
                shards = set(read_json(folder / index).get("weight_map", {}).values())
                lacking = sorted(str(shard) for shard in shards if str(shard) not in names)
                if lacking or not shards:
                    missing = missing or (lacking[0] if lacking else f"what {index} lists")
                else:
                    found.add(variant)
    if found:
        return found
    if missing:
        raise ModelError(f"{missing} is missing", folder, _COPY)
    for path in sorted(folder.iterdir()):
        refuse_pickle(path)
    raise ModelError("there are no weights in safetensors", folder, _COPY)


def weight_files(folder: Path, variant: str = "") -> dict[str, list[Path]]:
    """The files of weights that each part of a whole pipeline is loaded from, by part."""
    found: dict[str, list[Path]] = {}
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        if part.name in _UNUSED:
            continue
        for wanted in (variant, ""):
            files = [
                path
                for path in sorted(part.glob("*.safetensors"))
                if path.stem.startswith(_STEMS) and _variant_of(path.name) == wanted
            ]
            if files:
                found[part.name] = files
                break
    return found


def _variant_of(name: str) -> str:
    match = _OF_VARIANT.fullmatch(name)
    return match[1] if match else ""


def refuse_pickle(path: Path) -> None:
    """Refuses a file that could run code when it is opened.

    Raises:
        ModelError: if its name is that of a pickle.
    """
    if path.suffix in PICKLES:
        raise ModelError(
            "the weights are pickled, and opening a pickle can run any code",
            path,
            "give the same weights as .safetensors",
        )


def read_header(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Names of a safetensors file's tensors, with their types and shapes, read from its header.

    Raises:
        ModelError: if it is no such file.
    """
    try:
        with open(path, "rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > min(_MAX_HEADER, path.stat().st_size):
                raise ValueError("its header is too long")
            header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        entries = {name: TensorEntry.parse(entry) for name, entry in header.items()}
        return {name: (entry.dtype, entry.shape) for name, entry in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError, struct.error) as error:
        raise ModelError(f"it is no safetensors file ({error})", path, _COPY) from error


def check_stable_diffusion_file(path: Path, channels: int) -> None:
    """Refuses a single file that is not all of a Stable Diffusion 1 with so many input channels.

    Raises:
        ModelError: saying what the file is.
    """
    refuse_pickle(path)
    remedy = "give one .safetensors file with U-Net, VAE and text encoder of Stable Diffusion 1"
    if path.suffix != ".safetensors":
        raise ModelError("it is no .safetensors file", path, remedy)
    shapes = {name: shape for name, (_, shape) in read_header(path).items()}
    what = _other_kind(shapes)
    if what:
        raise ModelError(f"the file holds {what}", path, remedy)
    for part, beginning in (
        ("VAE", "first_stage_model."),
        ("text encoder", "cond_stage_model."),
    ):
        if not any(name.startswith(beginning) for name in shapes):
            raise ModelError(f"the file holds no {part}", path, remedy)
    taken = shapes["model.diffusion_model.input_blocks.0.0.weight"][1]
    if taken != channels:
        kinds = {4: "Stable Diffusion", 8: "InstructPix2Pix", 9: "inpainting"}
        raise ModelError(
            f"its U-Net takes {taken} channels ({kinds.get(taken, 'of another kind')}),"
            f" not the {channels} of {kinds.get(channels, 'this editor')}",
            path,
            remedy,
        )


def _other_kind(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """What a file's tensors are, if they are no Stable Diffusion 1; empty if they are."""
    first = "model.diffusion_model.input_blocks.0.0.weight"
    if any(name.startswith("conditioner.embedders") for name in shapes):
        return "Stable Diffusion XL"
    if any(name.startswith("cond_stage_model.model.") for name in shapes):
        return "Stable Diffusion 2"
    if any(".double_blocks." in f".{name}" or "transformer_blocks" in name for name in shapes):
        if first not in shapes:
            return "a transformer by itself (as of FLUX or Qwen)"
    if first not in shapes or len(shapes[first]) != 4:
        return "no U-Net of Stable Diffusion"
    return ""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ModelError: if it is missing or none.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError("the file is missing", path, _COPY) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"the file cannot be read ({error})", path, _COPY) from error
    if not isinstance(data, dict):
        raise ModelError("the file holds no JSON object", path, _COPY)
    return data
