# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is likely where a trained avatar's frames showed little or nothing.

Training leaves what no frame shows as chance left it. Once it is done, each texel keeps what it
showed, and the rest is settled: colours change with view and expression no more than the frames
need (ridge regression); what was hardly seen is like its mirror image on the body, and varies
smoothly over it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import cg
from scipy.spatial import cKDTree
from torch import Tensor

from ..body.geometry import triangle_frames
from ..body.model import BodyModel
from ..frames import spread
from ..raster import rasterize
from .avatar import Avatar
from .texture import Gaussians, spherical_harmonics
from .training import Trainer

_LOOKS = 24
# A texel is hidden in a look if it lies so far behind what the look shows, metres.
_BEHIND, _COVERED = 0.01, 0.5
# So many looks from straight ahead make a texel half believed.
_HALF = 1.0
_PIXELS = 0.3
# What a mirror image counts beside that, and all neighbours together.
_MIRROR, _SMOOTH = 0.3, 1.0
_NEIGHBOURS = 6
# A reversed normal is as far away as this, and a mirror image farther than that is none, metres.
_REVERSED, _FAR = 0.04, 0.02
# How dear it is that colours change, beside what one look from straight ahead shows of it.
_RIDGE = 0.2
_CHUNK = 2048


@dataclass(frozen=True)
class Looks:
    """How some frames, L of them, show each texel.

    Attributes:
        seen: (L, N), 0 if hidden, else the more the squarer it is seen; 1 in empty space.
        basis: (L, N, 8), spherical harmonics of the direction it is seen from.
        bases: (L, K), how far each personal basis counts.
        sampling: (N,), metres that a pixel spans there where it is nearest.
    """

    seen: Tensor
    basis: Tensor
    bases: Tensor
    sampling: Tensor

    def of(self, chosen: Tensor) -> "Looks":
        """The same of some texels, bool (N,)."""
        return Looks(self.seen[:, chosen], self.basis[:, chosen], self.bases, self.sampling[chosen])


@torch.no_grad()
def settle(avatar: Avatar, body: BodyModel, looks: Looks) -> None:
    """Settles what the frames that an avatar learned from leave open, in place.

    Args:
        body: the whole body model.
        looks: of the avatar as it was trained.
    """
    _damp(avatar, looks)
    _fill(avatar, body, looks.seen.sum(0) / _HALF)
    avatar.texture.sampling.copy_(looks.sampling)


@torch.no_grad()
def looks_of(trainer: Trainer) -> Looks:
    """How the frames that an avatar learned from, or many of them, show its texels."""
    avatar, data = trainer.avatar, trainer.data
    seen, basis, bases, sampling = [], [], [], []
    for row in spread(data.trained, _LOOKS):
        parameters = trainer.parameters_of(row)
        vertices = avatar.pose_vertices(parameters, avatar.personal(parameters)[0])
        gaussians = avatar.texture(vertices, channels=3)
        means, normals = gaussians.means[0], gaussians.normals[0]
        frames = avatar.texture.carriers(vertices)[1][0]
        towards = -torch.nn.functional.normalize(means, dim=-1)
        K = data.intrinsics([row], data.size)[0]
        drawn = trainer.render_row(row)
        depth, alpha = drawn.depth[0, 0], drawn.alpha[0, 0]
        pixels = means @ K.T
        places = pixels[:, :2] / means[:, 2:]
        inside = ((places >= 0) & (places < data.size)).all(1)
        at = places.long().clamp(0, data.size - 1)
        there = alpha[at[:, 1], at[:, 0]] > _COVERED
        hidden = there & (means[:, 2] > depth[at[:, 1], at[:, 0]] + _BEHIND)
        square = (towards * normals).sum(1).clamp_min(0).square()
        shown = torch.where(there, square, 1.0) * (inside & ~hidden)
        seen.append(torch.maximum(shown, _cover(trainer, row, gaussians) / _PIXELS))
        basis.append(spherical_harmonics((frames.mT @ towards[..., None])[..., 0]))
        bases.append(avatar.bases.weights(parameters.pose, parameters.expression)[0])
        sampling.append(means[:, 2] / K[0, 0])
    return Looks(
        torch.stack(seen),
        torch.stack(basis),
        torch.stack(bases),
        torch.stack(sampling).min(0).values,
    )


def _cover(trainer: Trainer, row: int, gaussians: Gaussians) -> Tensor:
    """How many pixels each Gaussian makes up in a row's picture, (N,)."""
    data = trainer.data
    # The gradient of the picture's sum by a Gaussian's colour is what it covers.
    with torch.enable_grad():
        colour = torch.zeros_like(gaussians.features, requires_grad=True)
        drawn = rasterize(
            gaussians.means,
            gaussians.quats,
            gaussians.scales,
            gaussians.opacities,
            colour,
            torch.eye(4)[None].to(colour),
            data.intrinsics([row], data.size),
            data.size,
            data.size,
        )
        (gradient,) = torch.autograd.grad(drawn.features[..., 0].sum(), colour)
    return gradient[0, :, 0]


def _damp(avatar: Avatar, looks: Looks) -> None:
    """Of all ways of a colour to change that look alike in the frames, takes the least."""
    texture, tints = avatar.texture, avatar.bases.tints
    count, harmonics = len(texture.opacity), looks.basis.shape[-1]
    for start in range(0, count, _CHUNK):
        some = slice(start, start + _CHUNK)
        basis = looks.basis[:, some].transpose(0, 1)
        shared = looks.bases.expand(len(basis), -1, -1)
        shown = torch.cat([torch.ones_like(basis[..., :1]), basis, shared], dim=-1).double()
        weighed = shown * looks.seen[:, some].T[..., None]
        known = shown.mT @ weighed
        dear = torch.full((known.shape[-1],), _RIDGE, dtype=known.dtype, device=known.device)
        dear[0] = 1e-6
        changing = torch.cat([texture.harmonics[some], tints[:, some].transpose(0, 1)], dim=1)
        whole = torch.cat([torch.zeros_like(changing[:, :1]), changing], dim=1).double()
        least = torch.linalg.solve(known + torch.diag(dear), known @ whole).float()
        texture.features[some, :3] += least[:, 0]
        texture.harmonics[some] = least[:, 1 : 1 + harmonics]
        tints[:, some] = least[:, 1 + harmonics :].transpose(0, 1)


def _fill(avatar: Avatar, body: BodyModel, odds: Tensor) -> None:
    """Lets what was hardly seen be like its mirror image, and like what lies around it.

    Args:
        odds: (N,), how far each texel is believed, over how far it is not.
    """
    texture = avatar.texture
    faces = avatar.texel_faces.cpu()
    corners = body.template[body.faces[faces]]
    places = (corners * texture.barycentric.cpu()[..., None]).sum(1)
    frames = triangle_frames(corners)
    known = odds.cpu().numpy().astype(np.float64)
    mirrored, alike = _mirrored(places.numpy(), frames[..., 2].numpy())
    flip = torch.tensor([-1.0, 1.0, 1.0])
    lifted = (frames @ texture.offset.detach().cpu()[..., None])[..., 0]
    values = torch.cat(
        [
            texture.features[:, :3].detach().cpu(),
            texture.scale.detach().cpu(),
            lifted,
        ],
        dim=1,
    )
    turned = torch.cat([values[mirrored, :6], values[mirrored, 6:] * flip], dim=1)
    believed = known[mirrored] / (1 + known[mirrored])
    settled = _smooth(
        _neighbours(places.numpy(), frames[..., 2].numpy()),
        [known, _MIRROR * alike * believed],
        [values.double().numpy(), turned.double().numpy()],
    )
    doubt = torch.from_numpy(1 / (1 + known)).float()[:, None]
    new = (values + doubt * (torch.from_numpy(settled).float() - values)).to(odds.device)
    doubt, turn = doubt.to(odds.device), frames.mT.to(odds.device)
    texture.features[:, :3] = new[:, :3]
    texture.scale.copy_(new[:, 3:6])
    texture.offset.copy_((turn @ new[:, 6:, None])[..., 0])
    straight = torch.tensor([1.0, 0, 0, 0], device=odds.device)
    unit = torch.nn.functional.normalize(texture.rotation, dim=-1)
    unit *= torch.where(unit[:, :1] < 0, -1.0, 1.0)
    texture.rotation.copy_(unit + doubt * (straight - unit))


def _embedded(places: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Places on the body so that those back to back, as lips are, lie apart."""
    return np.hstack([places, normals * (_REVERSED / 2)])


def _mirrored(places: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The texel at each one's mirror image, (N,), and how near that it is, 0 to 1."""
    flip = np.array([-1, 1, 1])
    apart, other = cKDTree(_embedded(places, normals)).query(
        _embedded(places * flip, normals * flip)
    )
    return other, np.clip(1 - apart / _FAR, 0, 1)


def _neighbours(places: np.ndarray, normals: np.ndarray) -> csr_matrix:
    """The graph Laplacian of texels and those around them, (N, N)."""
    count = len(places)
    _, near = cKDTree(_embedded(places, normals)).query(
        _embedded(places, normals), k=_NEIGHBOURS + 1
    )
    rows = np.repeat(np.arange(count), _NEIGHBOURS)
    share = np.full(len(rows), 0.5 / _NEIGHBOURS)
    links = csr_matrix((share, (rows, near[:, 1:].ravel())), shape=(count, count))
    links = links + links.T
    return diags(np.asarray(links.sum(1)).ravel()) - links


def _smooth(graph: csr_matrix, weights: list[np.ndarray], values: list[np.ndarray]) -> np.ndarray:
    """The smoothest values over a graph that keep near some others, (N, C).

    Args:
        weights: (N,) of each of the `values` (N, C).
    """
    # A trace of what there was, so that an island that nobody knows keeps it.
    kept = sum(weights) + 1e-4
    system = _SMOOTH * graph + diags(kept)
    right = sum(w[:, None] * v for w, v in zip(weights, values, strict=True)) + 1e-4 * values[0]
    found = np.empty_like(values[0])
    ease = diags(1 / system.diagonal())
    for column in range(found.shape[1]):
        found[:, column], _ = cg(system, right[:, column], x0=values[0][:, column], M=ease)
    return found
