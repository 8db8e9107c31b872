# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Style transfer: the brushwork and colours of a picture, after Gatys et al."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import EditError
from ...models.store import Weights, find_weights
from ...raster.choice import best_device
from ...settings import option
from ..diffusion import read_picture, resized
from ..editor import Editor, EditorInfo, EditRequest
from ..vgg import Vgg19Trunk

# Of the five convolutions: all tell the style, the fourth (conv2_2) the content.
_CONTENT = 3
_HISTORY = 20
_SMALLEST = 16
_LEAST_COVER = 1e-3


@dataclass(frozen=True)
class StyleTransferOptions:
    """Whose style, and how much of it."""

    style: str = option("", "The picture whose style the performer takes on", path=True)
    ratio: float = option(
        1e6, "Weight of the style over the content at full strength", minimum=0, maximum=1e9
    )
    evaluations: int = option(
        300, "Evaluations of the optimiser", unit="evaluations", minimum=1, maximum=2000
    )
    size: int = option(
        512, "Longer side to work at, 0 for the window's own", unit="px", minimum=0, maximum=2048
    )
    model: str = option("vgg19", "The model's name, or a safetensors file of VGG19", path=True)


class StyleTransfer(Editor):
    """Gatys, Ecker and Bethge (2016): an image with the plate's content and a picture's style.

    The image begins as the avatar's rendering. Content is what VGG19 sees in the plate; style the
    correlations (Gram matrices) of what it sees, over the performer only. Minimised by L-BFGS.

    Raises:
        EditError: if there is no style picture.
        ModelError: if the weights are missing or pickled.
    """

    info: ClassVar[EditorInfo] = EditorInfo(
        id="style-transfer",
        label="Style transfer",
        description="Brushwork and colours of a picture",
        needs=("vgg19",),
        licence="BSD-3-Clause (torchvision's VGG19, trained on ImageNet)",
        memory_gb=2.0,
        starts_from_render=True,
    )
    Options = StyleTransferOptions

    def __init__(self, options: StyleTransferOptions) -> None:
        super().__init__(options)
        if not options.style:
            raise EditError("it needs a style picture", self.info.id, 'give one as style="..."')
        self._style = read_picture(options.style, self.info.id)
        self._weights = find_weights(options.model)
        self._trunk: Vgg19Trunk | None = None

    def commercial(self) -> bool:
        """Whether the weights may be used commercially."""
        return self._weights.commercial

    def opened(self) -> Sequence[Weights]:
        """The trunk's."""
        return (self._weights,)

    def prepare(self, samples: Sequence[EditRequest]) -> None:
        """Loads the weights."""
        self.trunk()

    def trunk(self) -> Vgg19Trunk:
        """The network, loaded once."""
        if self._trunk is None:
            self._trunk = Vgg19Trunk.load(self._weights.path).to(best_device("networks"))
        return self._trunk

    def _edit(self, request: EditRequest) -> np.ndarray:
        trunk, own = self.trunk(), request.source.shape[:2]
        longer = max(self.options.size or max(own), _SMALLEST)
        height, width = (max(_SMALLEST, round(side * longer / max(own))) for side in own)
        size = (height, width)
        cover = self._tensor(resized(request.matte, size)[..., None]).clamp(0, 1)
        if cover.mean() < _LEAST_COVER:
            return request.rendered
        style = resized(self._style, _fitted(self._style, longer))
        with torch.enable_grad():
            wanted = [gram(features) for features in trunk(self._tensor(style))]
            content = trunk(self._tensor(resized(request.source, size)))[_CONTENT]
            image = self._tensor(resized(request.rendered, size)).clamp(0, 1).requires_grad_()
            self._minimise(image, content, wanted, cover, self.options.ratio * request.strength)
        drawn = image.detach().clamp(0, 1)[0].permute(1, 2, 0).cpu().numpy()
        return resized(drawn, (own[0], own[1]))

    def _minimise(
        self, image: Tensor, content: Tensor, wanted: Sequence[Tensor], cover: Tensor, ratio: float
    ) -> None:
        """Moves the image towards content and style."""
        trunk = self.trunk()
        covers = [at_size(cover, features) for features in trunk(image.detach())]
        optimiser = torch.optim.LBFGS(
            [image],
            max_iter=self.options.evaluations,
            max_eval=self.options.evaluations,
            history_size=_HISTORY,
            tolerance_grad=0,
            tolerance_change=0,
            line_search_fn="strong_wolfe",
        )

        def evaluate() -> float:
            self.check()
            optimiser.zero_grad()
            found = trunk(image)
            weight = covers[_CONTENT]
            apart = weight * (found[_CONTENT] - content).square()
            loss = apart.sum() / (weight.sum() * content.shape[1])
            for features, target, share in zip(found, wanted, covers, strict=True):
                loss = loss + ratio * (gram(features, share) - target).square().mean()
            # Colours that no screen can show cost as much as they exceed it.
            loss = loss + (image - image.clamp(0, 1)).square().sum()
            loss.backward()
            return float(loss.detach())

        optimiser.step(evaluate)

    def _tensor(self, image: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(image, np.float32))
        return tensor.permute(2, 0, 1)[None].contiguous().to(self.trunk().mean.device)


def gram(features: Tensor, cover: Tensor | None = None) -> Tensor:
    """Correlations of feature channels, their mean over the image divided by their number.

    Args:
        features: (1, C, H, W).
        cover: (1, 1, H, W), what each place counts; all alike by default.

    Returns:
        (C, C).
    """
    flat = features[0].flatten(1)
    if cover is None:
        return flat @ flat.T / flat.numel()
    weight = cover[0].flatten(1)
    return (flat * weight) @ flat.T / (weight.sum() * len(flat))


def at_size(cover: Tensor, features: Tensor) -> Tensor:
    """A cover (1, 1, H, W) at the size of features."""
    height, width = features.shape[-2:]
    return nn.functional.interpolate(cover, (height, width), mode="area")


def _fitted(image: np.ndarray, longer: int) -> tuple[int, int]:
    """The size of a picture whose longer side is that long."""
    scale = longer / max(image.shape[:2])
    return max(_SMALLEST, round(image.shape[0] * scale)), max(
        _SMALLEST, round(image.shape[1] * scale)
    )
