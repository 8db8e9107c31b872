# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pixel of a picture is hair, skin, lips, eyes, clothes: from the body and the matte.

The body's own parts say it on its surface; what the matte holds beyond the body belongs to the
nearest part, as hair round the head and clothes round the trunk. Where hair falls over the
forehead or a brow is bare, the shot's own colours of hair and skin decide.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ..body.surface import Surface
from ..errors import OptionError

PARTS_TOLD = {
    "hair": "Hair and beard",
    "skin": "Skin of face, ears and neck",
    "lips": "The lips",
    "eyes": "The eyes between their lids",
    "mouth": "Inside of the mouth: teeth and tongue",
    "hands": "Hands and wrists",
    "clothes": "All else that the performer wears",
}
PARTS = tuple(PARTS_TOLD)
_OF_BODY = {
    "scalp": "hair",
    "face": "skin",
    "head": "skin",
    "neck": "skin",
    "lips": "lips",
    "eyes": "eyes",
    "mouth": "mouth",
    "teeth": "mouth",
    "tongue": "mouth",
    "hands": "hands",
    "torso": "clothes",
    "arms": "clothes",
    "legs": "clothes",
}
_BEYOND = {"skin": "hair", "lips": "hair", "eyes": "hair", "mouth": "hair"}
_TONED = ("hair", "skin", "clothes")
_IN_MATTE = 0.5
_LEAST = 60
_SURER = 1.0
_LIKE = 4.0
_SOFT = 0.008
_NOTHING = 255


@dataclass(frozen=True)
class ColourModel:
    """The shot's colours: means (3,) and inverse covariances (3, 3), RGB 0..1."""

    hair: tuple[np.ndarray, np.ndarray]
    skin: tuple[np.ndarray, np.ndarray]
    clothes: tuple[np.ndarray, np.ndarray]

    def to_json(self) -> dict[str, object]:
        """As plain data."""
        return {name: [values.tolist() for values in getattr(self, name)] for name in _TONED}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> "ColourModel":
        """From `to_json`'s data."""
        hair, skin, clothes = (
            (np.array(facts[name][0]), np.array(facts[name][1])) for name in _TONED
        )
        return cls(hair, skin, clothes)


def parse_parts(text: str) -> tuple[str, ...]:
    """Part names from "hair,skin"; empty for everything.

    Raises:
        OptionError: if there is no such part.

    Example:
        >>> parse_parts("hair, skin")
        ('hair', 'skin')
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in PARTS:
            raise OptionError(f"there is no part '{name}'", "parts", f"use: {', '.join(PARTS)}")
    return names


def face_labels(parts: Mapping[str, Any], count: int) -> np.ndarray:
    """The part of each of a body's faces, uint8 (F,), indices into `PARTS`.

    Args:
        parts: the body model's own, name -> bool (F,).

    Raises:
        OptionError: if the body model tells no parts.
    """
    if not parts:
        raise OptionError(
            "the body model tells no parts", "parts", "edit everything, or use the open body"
        )
    labels = np.full(count, PARTS.index("clothes"), np.uint8)
    for name, chosen in parts.items():
        labels[np.asarray(chosen)] = PARTS.index(_OF_BODY[name])
    return labels


def tones_of(
    surfaces: Sequence[Surface],
    images: Sequence[np.ndarray],
    mattes: Sequence[np.ndarray],
    labels: np.ndarray,
) -> ColourModel | None:
    """The colours of hair, skin and clothes, learned from where the body is sure of them.

    Args:
        images: float32 (H, W, 3); mattes: float32 (H, W).

    Returns:
        None if there is too little of one, as of the clothes in a picture of a head.
    """
    hair, skin, clothes = [], [], []
    for surface, image, matte in zip(surfaces, images, mattes, strict=True):
        drawn = _by_body(surface, labels, matte)
        inner = cv2.erode((drawn == PARTS.index("skin")).astype(np.uint8), np.ones((5, 5)))
        low, high = _face_band(surface, labels)
        inner[: (low + high) // 2] = 0  # Hair may hang over the upper half.
        skin.append(image[(inner > 0) & (matte > 0.9)])
        sure = cv2.erode((drawn == PARTS.index("hair")).astype(np.uint8), np.ones((3, 3)))
        hair.append(image[(sure > 0) & (matte > 0.9)])
        covered = drawn == PARTS.index("clothes")
        covered[: round(high + 0.5 * (high - low))] = False  # The neckline is anywhere above.
        if not covered.any():
            covered = drawn == PARTS.index("clothes")
        clothes.append(image[covered & (matte > 0.9)])
    found = [np.concatenate(pixels) for pixels in (hair, skin, clothes)]
    if min(len(pixels) for pixels in found) < _LEAST:
        return None
    return ColourModel(_tone(found[0]), _tone(found[1]), _tone(found[2]))


def _tone(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle half's mean and inverse covariance, so that strays of the other do not count."""
    centre = np.median(pixels, axis=0)
    apart = np.linalg.norm(pixels - centre, axis=1)
    kept = pixels[apart <= np.quantile(apart, 0.7)].astype(np.float64)
    spread = np.cov(kept.T) + 4e-4 * np.eye(3)
    return kept.mean(0), np.linalg.inv(spread)


def part_labels(
    surface: Surface,
    image: np.ndarray,
    matte: np.ndarray,
    labels: np.ndarray,
    tones: ColourModel | None,
) -> np.ndarray:
    """The part of each pixel, uint8 (H, W), indices into `PARTS`; 255 outside the performer.

    Args:
        image: float32 (H, W, 3); matte: float32 (H, W).
    """
    drawn = _by_body(surface, labels, matte)
    if tones is None:
        return drawn
    certain_hair = drawn.copy()
    skin = PARTS.index("skin")
    low, high = _face_band(surface, labels)
    below = np.arange(len(drawn))[:, None] > high
    # Below the brows a face is skin, whatever shadow falls on it.
    brows = np.arange(len(drawn))[:, None] > low + 0.45 * (high - low)
    for part, tone, certain in (("hair", tones.hair, brows), ("clothes", tones.clothes, ~below)):
        other = PARTS.index(part)
        unsure = (drawn == other) | ((drawn == skin) & ~certain)
        if part == "hair":
            unsure &= ~below | (drawn == other)
        like_skin = _distance(image[unsure], tones.skin)
        away = _distance(image[unsure], tone) - like_skin
        decided = drawn[unsure]
        decided[((away < -_SURER) | (like_skin > 2 * _LIKE)) & (decided == skin)] = other
        decided[(away > _SURER) & (like_skin < _LIKE) & (decided == other)] = skin
        drawn[unsure] = decided
    # Hair hangs together with the scalp; a dark patch on the face is a brow or a lash.
    hair = PARTS.index("hair")
    pieces: Any
    _, pieces = cv2.connectedComponents((drawn == hair).astype(np.uint8))
    on_scalp = np.unique(pieces[(drawn == hair) & (certain_hair == hair)])
    drawn[(drawn == hair) & ~np.isin(pieces, on_scalp)] = skin
    # Bare skin hangs together with the face; a patch on a sleeve is a highlight.
    _, pieces = cv2.connectedComponents((drawn == skin).astype(np.uint8))
    on_face = np.unique(pieces[:high][drawn[:high] == skin])
    drawn[below & (drawn == skin) & ~np.isin(pieces, on_face)] = PARTS.index("clothes")
    return drawn


def part_mask(drawn: np.ndarray, parts: Sequence[str]) -> np.ndarray:
    """A soft mask, float32 (H, W) in 0..1, of some parts."""
    chosen: Any = np.isin(drawn, [PARTS.index(name) for name in parts]).astype(np.uint8)
    chosen = cv2.morphologyEx(chosen, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    sigma = max(_SOFT * drawn.shape[0], 0.6)
    soft: np.ndarray = cv2.GaussianBlur(chosen.astype(np.float32), (0, 0), sigma)
    return np.minimum(soft, 1)


def _by_body(surface: Surface, labels: np.ndarray, matte: np.ndarray) -> Any:
    # SciPy's filters takes a quarter of a second to load, and few who import this need it.
    from scipy.ndimage import distance_transform_edt

    drawn: Any = np.full(surface.face.shape, _NOTHING, np.uint8)
    on_body = surface.face >= 0
    drawn[on_body] = labels[surface.face[on_body]]
    if on_body.any():
        nearest = distance_transform_edt(~on_body, return_distances=False, return_indices=True)
        beyond = drawn[nearest[0], nearest[1]]
        for part, becomes in _BEYOND.items():
            beyond[beyond == PARTS.index(part)] = PARTS.index(becomes)
        drawn[~on_body] = beyond[~on_body]
    drawn[matte < _IN_MATTE] = _NOTHING
    return drawn


def _face_band(surface: Surface, labels: np.ndarray) -> tuple[int, int]:
    """The first row in which the head's skin is seen, and the row of the chin."""
    on_body = surface.face >= 0
    rows = {}
    for name in ("skin", "eyes", "lips"):
        chosen = np.zeros(surface.face.shape, bool)
        chosen[on_body] = labels[surface.face[on_body]] == PARTS.index(name)
        rows[name] = np.flatnonzero(chosen.any(1))
    if not all(len(found) for found in rows.values()):
        return 0, 0
    eyes, lips = rows["eyes"].mean(), rows["lips"].mean()
    return int(rows["skin"][0]), int(round(lips + 0.8 * max(lips - eyes, 1)))


def _distance(pixels: np.ndarray, tone: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Mahalanobis distances (N,)."""
    apart = pixels - tone[0]
    result: np.ndarray = np.sqrt(np.maximum(np.einsum("na,ab,nb->n", apart, tone[1], apart), 0))
    return result
