# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the diffusion editors share: finding and loading weights, sizes, latents, DDIM's steps.

Weights are read from this machine only, from safetensors only, and by the classes of diffusers and
transformers only. The last pipeline stays loaded for the next editor that asks for it.
"""

import gc
import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from torch import Tensor

from ..body.camera import Camera
from ..body.surface import Surface
from ..errors import EditError, ModelError
from ..images import read_channels, to_float
from ..models.pipelines import check_pipeline, check_stable_diffusion_file
from ..models.store import Weights, find_weights
from ..path_mapping import given_path
from ..raster.choice import best_device
from .editor import Editor, EditRequest
from .noise import surface_noise
from .placement import PLACEMENTS, SAYINGS, Placement, fitting, needs, next_smaller, place
from .single_file import load_single_file

_held: dict[tuple[object, ...], tuple[Placement, Any]] = {}
_at_work = threading.RLock()


class DiffusionEditor(Editor):
    """Base class of editors that run a pipeline of diffusers over the avatar's rendering.

    Subclasses give `pipelines`, `multiple` and `smallest` (what an image's sides must be a
    multiple of and at least, in pixels), `_load` and `_diffuse`; their options hold `model`,
    `prompt`, `size` and, where the pipeline is large, `memory`.

    Raises:
        EditError: if there is no prompt.
        ModelError: if the weights are missing, incomplete or pickled.
    """

    pipelines: ClassVar[tuple[str, ...]]
    multiple: ClassVar[int]
    smallest: ClassVar[int] = 1
    half: ClassVar[torch.dtype] = torch.float16
    channels: ClassVar[int] = 0

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        if not self.words():
            raise EditError("it needs a prompt", self.info.id, 'give one as prompt="..."')
        self.weights = self.find()
        self._anchor: EditRequest | None = None
        self._placed: Placement | None = None

    def words(self) -> str:
        """What the model is told."""
        return str(self.options.prompt).strip()

    def commercial(self) -> bool:
        """Whether all its weights may be used commercially."""
        return all(weights.commercial for weights in self.weights)

    def opened(self) -> Sequence[Weights]:
        """The pipeline's, and what is laid over them."""
        return self.weights

    def agree_with(self, anchor: EditRequest | None) -> None:
        """Keeps the anchor for the edits to come."""
        self._anchor = anchor

    def anchor_for(self, request: EditRequest) -> EditRequest | None:
        """The anchor at working size, None if there is none or the frame itself is it."""
        if self._anchor is None or self._anchor.frame == request.frame:
            return None
        return self._working(self._anchor)

    def prepare(self, samples: Sequence[EditRequest]) -> None:
        """Loads the weights, so that what is wrong with them is told before any work is done."""
        for weights in self.weights:
            if weights.note:
                self.tell(weights.note)
        self.pipeline()

    def pipeline(self) -> Any:
        """The pipeline, loaded once."""
        device = best_device("networks")
        key = (self.info.id, device, *(weights.path for weights in self.weights))
        with _at_work:
            held = _held.get(key)
            asked = getattr(self.options, "memory", "auto")
            if held is not None and self._placed is None and asked in ("auto", held[0]):
                self._placed = held[0]
            if held is None or held[0] != self._placed:
                forget_pipelines()
                self._placed = self._placed or self._fitting(device, asked)
                held = self._placed, place(self._load(), self._placed, device)
                _held[key] = held
            return held[1]

    def _fitting(self, device: torch.device, asked: str) -> Placement:
        """How the pipeline is to lie on the card: as was asked, or as there is room for it."""
        if device.type != "cuda":
            return "whole"
        chosen = next((each for each in PLACEMENTS if each == asked), None)
        if chosen is not None:
            return chosen
        free, _ = torch.cuda.mem_get_info(device)
        needed = needs(self.weights[0].path, self.pipelines[0], self.dtype())
        size = getattr(self.options, "size", 0) or 1024
        chosen = fitting(needed, size, free)
        told = f"about {needed.of(chosen, size) / 1e9:.1f} of {free / 1e9:.1f} GB free"
        self.tell(f"{self.info.label} lies {SAYINGS[chosen]} ({told}).")
        return chosen

    def dtype(self) -> torch.dtype:
        """Of the weights in memory: half precision on an accelerator."""
        return torch.float32 if best_device("networks").type == "cpu" else self.half

    def find(self) -> list[Weights]:
        """The weights that the options name, the pipeline's first."""
        return [self.found_pipeline(self.options.model)]

    def found_pipeline(self, name: str) -> Weights:
        """The folder, or the one file, of a whole pipeline of the editor's kind.

        Raises:
            ModelError: if it is missing, incomplete, pickled or of another kind.
        """
        weights = find_weights(name)
        if weights.path.is_file() and self.channels:
            check_stable_diffusion_file(weights.path, self.channels)
        elif weights.path.is_file():
            raise ModelError(
                f"{self.info.label} is several networks, and one file holds only one of them",
                weights.path,
                "give the folder of the whole pipeline in the layout of diffusers",
            )
        else:
            check_pipeline(weights.path, self.pipelines)
        return weights

    def _edit(self, request: EditRequest) -> np.ndarray:
        while True:
            try:
                with _at_work, torch.inference_mode():
                    edited = self._diffuse(self._working(request))
                break
            except torch.OutOfMemoryError as error:
                smaller = next_smaller(self._placed or "whole")
                if smaller is None:
                    raise EditError(
                        "the card's memory is not enough for it",
                        self.info.id,
                        "choose a smaller size, close other programs, or use a smaller model",
                    ) from error
            # Outside the handler, whose traceback holds what filled the memory.
            self._placed = smaller
            forget_pipelines()
            self.tell(
                f"The card's memory was not enough; {self.info.label} now lies {SAYINGS[smaller]}."
            )
        height, width = self._size(request)
        rows, columns = request.source.shape[:2]
        return resized(edited[:height, :width], (rows, columns))

    def _size(self, request: EditRequest) -> tuple[int, int]:
        """Height and width to work at, before padding."""
        height, width = request.source.shape[:2]
        scale = self.options.size / max(height, width) if self.options.size else 1.0
        return max(1, round(height * scale)), max(1, round(width * scale))

    def _working(self, request: EditRequest) -> EditRequest:
        """A request at working size, padded to what the model takes."""
        size = self._size(request)
        names = ("rendered", "source", "matte", "normals")
        images: dict[str, Any] = {
            name: self._padded(resized(getattr(request, name), size)) for name in names
        }
        if request.surface is not None:
            images["surface"] = _scaled(request.surface, size, images["source"].shape[:2])
        return replace(request, mask=None, **images)

    def _padded(self, image: np.ndarray) -> np.ndarray:
        """The image with its last rows and columns repeated up to what the model takes."""
        least = [max(side, self.smallest) for side in image.shape[:2]]
        below, right = (
            side + -side % self.multiple - now
            for side, now in zip(least, image.shape[:2], strict=True)
        )
        return np.pad(image, ((0, below), (0, right)) + ((0, 0),) * (image.ndim - 2), "edge")

    def _load(self) -> Any:
        raise NotImplementedError

    def _diffuse(self, request: EditRequest) -> np.ndarray:
        """The edited image (H, W, 3) of a request at working size, sides a multiple of ours."""
        raise NotImplementedError


def forget_pipelines() -> None:
    """Lets go of the pipeline that is held, and of the card's memory with it."""
    with _at_work:
        _held.clear()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _scaled(surface: Surface, size: tuple[int, int], padded: tuple[int, int]) -> Surface:
    """The body in its picture once that is scaled to a size and padded to another, (H, W) both."""
    seen = surface.camera
    across, down = size[1] / seen.width, size[0] / seen.height
    lens = (seen.fx * across, seen.fy * down, seen.cx * across, seen.cy * down)
    return surface.seen_by(Camera(*lens, width=padded[1], height=padded[0]))


def load_pipeline(
    name: str, folder: Path, dtype: torch.dtype, channels: int = 0, **parts: Any
) -> Any:
    """A pipeline of diffusers from a folder or one file, on the CPU.

    Args:
        name: of its class.
        folder: checked by `check_pipeline` before.
        dtype: of its weights in memory.
        channels: that the U-Net of one file takes.
        parts: replace or leave out (None) parts of the pipeline.

    Raises:
        EditError: if diffusers is not installed or does not know the pipeline.
        ModelError: if the weights do not fit their configuration.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    remedy = 'pip install "portraitgen[diffusion]" in the environment'
    try:
        import diffusers
        import transformers
    except ImportError as error:
        raise EditError(f"{error.name} is not installed", name, remedy) from error
    kind = getattr(diffusers, name, None)
    if kind is None:
        raise EditError(f"diffusers {diffusers.__version__} does not know it", name, remedy)
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    try:
        if folder.is_file():
            return load_single_file(kind, folder, dtype, channels, **parts)
        return kind.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            variant=check_pipeline(folder, [name]) or None,
            **parts,
        )
    except Exception as error:
        # What a damaged folder raises depends on which library notices first.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"the weights cannot be loaded ({reason})", folder, "fetch or copy them again"
        ) from error


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image (H, W) or (H, W, C) at another size (height, width)."""
    if image.shape[:2] == size:
        return image
    smaller = size[0] < image.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size[::-1], interpolation=method), np.float32)


def read_picture(path: str, editor: str) -> np.ndarray:
    """A picture of the user's as (H, W, 3) in 0..1, its transparent parts white.

    Raises:
        EditError: if it cannot be read.
    """
    file = given_path(path)
    encoded = read_channels(file) if file.is_file() else None
    if encoded is None or encoded.ndim != 3 or encoded.dtype not in (np.uint8, np.uint16):
        raise EditError("the picture cannot be read", path, f"give {editor} an RGB PNG or JPEG")
    image = to_float(encoded)
    colours = np.ascontiguousarray(image[..., :3])
    if image.shape[2] == 4:
        alpha = image[..., 3:]
        colours = colours * alpha + (1 - alpha)
    return colours


def to_tensor(image: np.ndarray, like: Tensor) -> Tensor:
    """An image (H, W, 3) in 0..1 as (1, 3, H, W) in -1..1, on the device and of the type given."""
    tensor = torch.from_numpy(np.ascontiguousarray(image, np.float32)).permute(2, 0, 1)[None]
    return (tensor * 2 - 1).to(like.device, like.dtype)


def to_image(tensor: Tensor) -> np.ndarray:
    """A tensor (1, 3, H, W) in -1..1 as an image (H, W, 3)."""
    return np.asarray((tensor[0].float() / 2 + 0.5).permute(1, 2, 0).cpu().numpy())


def text_embedding(pipeline: Any, text: str) -> Tensor:
    """CLIP's embedding (1, 77, C) of a text, cut where CLIP's 77 tokens end."""
    tokens = pipeline.tokenizer(
        text,
        padding="max_length",
        max_length=pipeline.tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    embedded: Tensor = pipeline.text_encoder(tokens.input_ids.to(pipeline.text_encoder.device))[0]
    return embedded.to(pipeline.unet.dtype)


def leading_timesteps(first: int, steps: int) -> list[int]:
    """DDIM's "leading" timesteps with an offset of 1, as Stable Diffusion 1 was trained to be
    sampled and Instruct-NeRF2NeRF samples it: even steps of a schedule that is `first` long.

    Returns:
        At most `steps`, falling, the last one 1.
    """
    count = max(1, min(steps, first))
    stride = max(first, 1) // count
    return [1 + stride * index for index in reversed(range(count))]


def ddim(
    latents: Tensor,
    timesteps: Sequence[int],
    alphas: Tensor,
    predict: Callable[[Tensor, int], Tensor],
    check: Callable[[], None],
) -> Tensor:
    """Deterministic DDIM (Song et al. 2020, eq. 12 with eta 0), in float32.

    Its last step goes to the least noise of the schedule, as Stable Diffusion 1 has it
    (set_alpha_to_one is false).

    Args:
        latents: noised to the first of the timesteps.
        timesteps: falling.
        alphas: the cumulative products of the noise schedule (Song's alpha), one a timestep.
        predict: gives the noise in latents at a timestep.
        check: called before every step; raises to stop.
    """
    levels = [float(alphas[t]) for t in timesteps] + [float(alphas[0])]
    for t, now, then in zip(timesteps, levels[:-1], levels[1:], strict=True):
        check()
        drawn = predict(latents, t).float()
        clean = (latents - (1 - now) ** 0.5 * drawn) / now**0.5
        latents = then**0.5 * clean + (1 - then) ** 0.5 * drawn
    return latents


def noise_of(request: EditRequest, latents: Tensor) -> Tensor:
    """The noise for a request's latents; it lies on the body."""
    return surface_noise(latents.shape, request.noise_seed, request.surface, latents)


def noised(clean: Tensor, t: int, alphas: Tensor, drawn: Tensor) -> Tensor:
    """Clean latents with as much of the noise drawn as a timestep has, in float32."""
    level = float(alphas[t])
    return level**0.5 * clean.float() + (1 - level) ** 0.5 * drawn


def plane(network: Any) -> Tensor:
    """An empty tensor on a network's device and of its type."""
    return torch.empty(0, device=network.device, dtype=network.dtype)


def predicts_noise(pipeline: Any) -> bool:
    """Whether the U-Net predicts noise, as those of Stable Diffusion 1 do."""
    return bool(pipeline.scheduler.config.prediction_type == "epsilon")
