# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The avatar: body, neural Gaussian texture and renderer as one performer that can be drawn."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..body.model import BodyModel
from ..body.uv import Texels
from ..errors import AvatarError
from ..raster import rasterize
from ..raster.conventions import BLUR_VARIANCE
from ..tensors import DamagedTensors, load_tensors, save_tensors
from .blendshapes import PersonalBases
from .cuda_graphs import Graphs
from .renderer import NeuralRenderer, PaperRenderer
from .texture import FEATURES, Gaussians, NeuralGaussianTexture

_MULTIPLE = 8
_COVERED = 1e-3
_HEAD = 15


@dataclass(frozen=True)
class FrameParameters:
    """How the performer stands in some frames, in camera space.

    Attributes:
        pose: (B, 55, 3) axis-angle; expression: (B, E); transl: (B, 3), metres.
        offsets: (B, V, 3), how the whole rest body is reshaped, metres; None if it is not.
    """

    pose: Tensor
    expression: Tensor
    transl: Tensor
    offsets: Tensor | None = None

    def on(self, device: torch.device) -> "FrameParameters":
        """The same on a device."""
        return FrameParameters(
            self.pose.to(device),
            self.expression.to(device),
            self.transl.to(device),
            None if self.offsets is None else self.offsets.to(device),
        )


@dataclass(frozen=True)
class AvatarOutput:
    """Pictures of the performer.

    Attributes:
        premultiplied: (B, 3, H, W), colours times alpha: what training compares.
        alpha: (B, 1, H, W).
        preview: (B, 3, H, W), the first three features, times alpha.
        depth: (B, 1, H, W), metres, 0 outside.
        normals: (B, 3, H, W), unit, camera space, 0 outside; None unless asked for.
        displaced: (B, V', 3), as `Avatar.personal` gave it for these pictures.
    """

    premultiplied: Tensor
    alpha: Tensor
    preview: Tensor
    depth: Tensor
    normals: Tensor | None
    displaced: Tensor

    @property
    def rgb(self) -> Tensor:
        """Colours (B, 3, H, W), 0..1, not multiplied by alpha; 0 outside."""
        seen = self.alpha > _COVERED
        return torch.where(seen, self.premultiplied / self.alpha.clamp_min(_COVERED), 0).clamp(0, 1)


class Avatar(nn.Module):
    """A performer of one identity.

    Args:
        body: the body model.
        betas: (S,), the identity.
        texels: where the Gaussians sit.

    Attributes:
        neural: whether the network has its say. A fresh one adds nothing, and a plate teaches it
            nothing that the texture cannot learn in less time; edits do.
    """

    betas: Tensor

    def __init__(self, body: BodyModel, betas: Tensor, texels: Texels) -> None:
        super().__init__()
        self.neural = False
        self._graphs = Graphs()
        used, corners = body.faces[texels.face].unique(return_inverse=True)
        self._texels = texels
        self.vertices = used
        self._body = body.restricted(used)
        self._head = torch.nonzero(body.weights[used, _HEAD] > 0.5)[:, 0]
        self.texture = NeuralGaussianTexture(body, texels)
        self.texture.face_corners = corners
        self.renderer: NeuralRenderer | PaperRenderer = NeuralRenderer()
        self.register_buffer("betas", betas)
        self.displacement = nn.Parameter(torch.zeros(len(used), 3))
        self.bases = PersonalBases(len(used), len(texels.face), body.n_expression)
        place = torch.full((body.vertex_count,), -1)
        place[used] = torch.arange(len(used))
        faces = place[body.faces]
        self.faces = faces[(faces >= 0).all(1)]

    @property
    def gaussian_count(self) -> int:
        """How many Gaussians there are."""
        return len(self.texture.opacity)

    @property
    def graphs_recorded(self) -> int:
        """How many CUDA graphs frames are drawn by."""
        return self._graphs.recorded + self.renderer.graphs.recorded

    @property
    def texel_faces(self) -> Tensor:
        """The face of the body that each Gaussian rides on, int64 (N,)."""
        return self._texels.face

    @property
    def expression_bounds(self) -> tuple[float, float]:
        """The least and the greatest sensible value of an expression."""
        return self._body.expression_bounds

    def on(self, device: torch.device | str) -> "Avatar":
        """This avatar with its tensors on a device."""
        self.to(device)
        self._body = self._body.to(device)
        return self

    def use_paper_renderer(self) -> None:
        """Draws by the paper's own renderer from now on, which is yet to be trained."""
        self.renderer = PaperRenderer().to(self.betas.device)
        self.neural = True

    def kept(self, body: BodyModel, chosen: Tensor) -> "Avatar":
        """The same performer with some of the Gaussians.

        Args:
            body: the whole body model.
            chosen: bool (N,), which.
        """
        device = self.betas.device
        chosen = chosen.cpu()
        texels = Texels(*(value[chosen] for value in vars(self._texels).values()))
        fewer = type(self)(body, self.betas.detach().cpu(), texels)
        if isinstance(self.renderer, PaperRenderer):
            fewer.use_paper_renderer()
        place = torch.searchsorted(self.vertices, fewer.vertices)
        state = {name: value.cpu() for name, value in self.state_dict().items()}
        for name in [*dict(self.texture.named_parameters()), "sampling"]:
            state[f"texture.{name}"] = state[f"texture.{name}"][chosen]
        state["displacement"] = state["displacement"][place]
        state["bases.fields"] = state["bases.fields"][:, place]
        state["bases.tints"] = state["bases.tints"][:, chosen]
        fewer.load_state_dict(state)
        fewer.neural = self.neural
        return fewer.on(device)

    def personal(self, parameters: FrameParameters) -> tuple[Tensor, Tensor]:
        """How far the surface lies off the body's in the rest pose, (B, V', 3), metres, and what
        its Gaussians' colours gain, (B, N, 3)."""
        displaced, tints = self.bases(parameters.pose, parameters.expression)
        return self.displacement + displaced, tints

    def pose_vertices(self, parameters: FrameParameters, displaced: Tensor) -> Tensor:
        """The posed vertices that carry Gaussians, (B, V', 3).

        Args:
            parameters: of B frames, where the avatar is.
            displaced: the first of what `personal` gives for them.
        """
        return self._vertices(self.betas, parameters, displaced)

    def _vertices(self, betas: Tensor, parameters: FrameParameters, displaced: Tensor) -> Tensor:
        output = self._body.forward(
            betas[None],
            parameters.pose,
            parameters.expression,
            parameters.transl,
            vertex_offsets=displaced,
        )
        return output.vertices

    def gaussians(
        self, parameters: FrameParameters, eyes: Tensor | None, channels: int
    ) -> tuple[Gaussians, Tensor]:
        """The Gaussians, ready to be splatted, and what `personal` displaces.

        Args:
            parameters: of B frames, where the avatar is.
            eyes, channels: as the texture takes them.
        """
        offsets = parameters.offsets
        if offsets is not None:
            offsets = offsets[:, self.vertices.to(offsets.device)]
        displaced, *fields = self._graphs(
            self._posed,
            self.parameters(),
            self.betas,
            parameters.pose,
            parameters.expression,
            parameters.transl,
            offsets,
            eyes,
            channels,
        )
        return Gaussians(*fields), displaced

    def placed(self, parameters: FrameParameters, displaced: Tensor) -> Gaussians:
        """The Gaussians of some frames with given displacements, in their first three features.

        Args:
            parameters: of B frames, where the avatar is.
            displaced: (B, V', 3), as `gaussians` gave them for others; a reshaped body comes atop.
        """
        if parameters.offsets is not None:
            displaced = displaced + parameters.offsets[:, self.vertices.to(displaced.device)]
        vertices = self._vertices(self.betas, parameters, displaced)
        return self.texture(vertices, None, 3)

    def _posed(
        self,
        betas: Tensor,
        pose: Tensor,
        expression: Tensor,
        transl: Tensor,
        offsets: Tensor | None,
        eyes: Tensor | None,
        channels: int,
    ) -> tuple[Tensor, ...]:
        """What is displaced, then the Gaussians' fields in their order."""
        parameters = FrameParameters(pose, expression, transl)
        displaced, tints = self.personal(parameters)
        if offsets is not None:
            displaced = displaced + offsets
        vertices = self._vertices(betas, parameters, displaced)
        return displaced, *vars(self.texture(vertices, eyes, channels, tints)).values()

    @torch.no_grad()
    def head_shapes(self, parameters: FrameParameters) -> tuple[Tensor, Tensor]:
        """The head's vertices in one frame, (N, 3), and how a unit of each shape direction moves
        them, (S, N, 3), metres."""
        parameters = parameters.on(self.betas.device)
        count = len(self.betas)
        steps = torch.cat([torch.zeros_like(self.betas)[None], torch.eye(count).to(self.betas)])
        posed = self._body.forward(
            self.betas + steps,
            parameters.pose.expand(count + 1, -1, -1),
            parameters.expression.expand(count + 1, -1),
            parameters.transl.expand(count + 1, -1),
            vertices=self._head,
        ).vertices
        return posed[0], posed[1:] - posed[:1]

    def render(
        self,
        parameters: FrameParameters,
        Ks: Tensor,
        size: int,
        *,
        normals: bool = False,
        views: Tensor | None = None,
        neural: bool = True,
    ) -> AvatarOutput:
        """Draws the performer.

        Args:
            parameters: of B frames, on any device.
            Ks: (B, 3, 3), the windows' intrinsics at `size`.
            size: side of the pictures, a multiple of 8.
            normals: whether to draw normals too.
            views: (B, 4, 4), camera space to that of other cameras; the same if None.
            neural: False leaves the network out, even if it has its say; the first features are
                the picture then, in a third of the time.

        Raises:
            AvatarError: if the size is no multiple of 8.
        """
        if size % _MULTIPLE:
            raise AvatarError(f"a window of {size} pixels cannot be rendered", "size", "use 256")
        device, eyes = self.betas.device, None
        parameters, Ks = parameters.on(device), Ks.to(device)
        if views is None:
            views = torch.eye(4, device=device).expand(len(Ks), 4, 4)
        else:
            views = views.to(device)
            eyes = -(views[:, :3, :3].mT @ views[:, :3, 3:])[..., 0]
        neural = neural and self.neural
        gaussians, displaced = self.gaussians(parameters, eyes, FEATURES if neural else 3)
        drawn = rasterize(
            gaussians.means,
            gaussians.quats,
            self.widened(gaussians, views, Ks),
            gaussians.opacities,
            gaussians.features,
            views,
            Ks,
            size,
            size,
            extras=gaussians.normals if normals else None,
        )
        features = drawn.features.permute(0, 3, 1, 2)
        alpha = drawn.alpha.permute(0, 3, 1, 2)
        depth = drawn.depth.permute(0, 3, 1, 2)
        directions = None
        if drawn.extras is not None:
            directions = nn.functional.normalize(drawn.extras.permute(0, 3, 1, 2), dim=1)
            directions = torch.where(alpha > 0.05, directions, 0)
        return AvatarOutput(
            self.renderer(features, alpha) if neural else features,
            alpha,
            features[:, :3],
            torch.where(alpha > _COVERED, depth / alpha.clamp_min(_COVERED), 0),
            directions,
            displaced,
        )

    def widened(self, gaussians: Gaussians, views: Tensor, Ks: Tensor) -> Tensor:
        """The Gaussians' scales, (B, N, 3), as soft as the pixels that they were learned from.

        The rasteriser blurs a splat by a part of a pixel. From nearer than any frame was, or in
        larger pictures, a pixel is less, and gaps would open between splats: what is lacking is
        given in space (the 3D filter of Mip-Splatting, Yu et al. 2024).
        """
        depth = (gaussians.means @ views[:, 2, :3, None])[..., 0] + views[:, 2, 3:]
        lacking = self.texture.sampling.square() - (depth / Ks[:, :1, 0]).square()
        wider = BLUR_VARIANCE * lacking.clamp_min(0)
        return (gaussians.scales.square() + wider[..., None]).sqrt()

    def save(self, path: Path) -> None:
        """Writes avatar.safetensors in one step."""
        tensors = {f"state.{name}": value for name, value in self.state_dict().items()}
        tensors |= {f"texels.{name}": value for name, value in vars(self._texels).items()}
        save_tensors(path, tensors)

    @classmethod
    def load(cls, path: Path, body: BodyModel) -> "Avatar":
        """Reads avatar.safetensors.

        Raises:
            AvatarError: if the file is damaged or was made on another body.
        """
        remedy = "reconstruct the shot again"
        try:
            tensors = load_tensors(path)
        except DamagedTensors as error:
            raise AvatarError(f"the avatar cannot be read ({error})", path, remedy) from error
        groups: dict[str, dict[str, Tensor]] = {"state": {}, "texels": {}}
        for name, value in tensors.items():
            group, _, rest = name.partition(".")
            groups.setdefault(group, {})[rest] = value
        try:
            texels = Texels(**groups["texels"])
            betas = groups["state"]["betas"].float()
            faces = texels.face
            count = len(faces)
            shapes = {"barycentric": (count, 3), "uv": (count, 2), "area": (count,)}
            if faces.dtype != torch.int64 or any(
                getattr(texels, name).shape != shape or getattr(texels, name).dtype != torch.float32
                for name, shape in shapes.items()
            ):
                raise AvatarError("its places on the body are damaged", path, remedy)
            outside = int(faces.max()) >= len(body.faces) or int(faces.min()) < 0
            if outside or len(betas) not in (body.n_shape, len(body.directions)):
                raise AvatarError("the avatar was made on another body", path, remedy)
            avatar = cls(body, betas, texels)
            if "renderer.layers.0.weight" in groups["state"]:
                avatar.use_paper_renderer()
            avatar.load_state_dict(groups["state"])
            avatar.neural = not avatar.renderer.fresh
        except (IndexError, KeyError, TypeError, RuntimeError) as error:
            raise AvatarError("the avatar does not fit this version", path, remedy) from error
        return avatar
