# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passes for compositors: Cryptomatte by its standard, motion vectors as Blender has them."""

import json
import struct
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from portraitgen.body.camera import Box, Camera
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import posed
from portraitgen.body.surface import Surface
from portraitgen.editing.part_segmentation import PARTS
from portraitgen.footage.crop import CompositeLayer
from portraitgen.footage.cryptomatte import attributes, float_of, hash_of, murmur3, ranked
from portraitgen.pipeline.compositing.part_passes import PERFORMER, VECTOR, PassMaker
from synthetic.acting import act

SIZE = 160
VIEW = Camera(250, 250, SIZE / 2, SIZE / 2, SIZE, SIZE)


def test_names_are_hashed_as_everywhere() -> None:
    """Values of the reference implementation."""
    known = {b"": 0, b"hello": 0x248BFA47, b"hello, world": 0x149BBB7F}
    known[b"The quick brown fox jumps over the lazy dog"] = 0x2E4FF723
    assert {data: murmur3(data) for data in known} == known
    for name in (*PARTS, PERFORMER, *(f"thing{number}" for number in range(2000))):
        assert struct.unpack("<I", struct.pack("<f", float_of(hash_of(name))))[0] == hash_of(name)
        assert np.isfinite(float_of(hash_of(name))) and abs(float_of(hash_of(name))) > 1e-38


def test_pairs_are_ranked_by_cover_and_the_header_tells_names() -> None:
    covers = {name: np.zeros((1, 2), np.float32) for name in PARTS}
    covers["hair"][0, 0], covers["skin"][0, 0], covers["lips"][0, 0] = 0.2, 0.5, 0.25
    covers["clothes"][0, 1] = 1.0
    first, second, third = ranked(covers)
    skin, hair, lips, clothes = (
        np.float32(float_of(hash_of(name))) for name in ("skin", "hair", "lips", "clothes")
    )
    assert first[0, 0].tolist() == [skin, np.float32(0.5), lips, np.float32(0.25)]
    assert second[0, 0].tolist() == [hair, np.float32(0.2), 0, 0] and not third.any()
    assert first[0, 1].tolist() == [clothes, 1, 0, 0]
    told = attributes("ViewLayer.CryptoPart", PARTS)
    (key,) = {name.rsplit("/", 1)[0] for name in told}
    assert len(key) == len("cryptomatte/") + 7
    assert told[f"{key}/hash"] == "MurmurHash3_32"
    assert told[f"{key}/conversion"] == "uint32_to_float32"
    assert json.loads(told[f"{key}/manifest"])["hair"] == f"{hash_of('hair'):08x}"


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


def maker(body: BodyModel, wanted: set[str]) -> PassMaker:
    """A performer that moves 3 mm to the right and 2 mm down a frame, before a still camera."""
    still = posed(body, act(body, range(1, 2), 0)).vertices[0].numpy()

    def surface(frame: int, camera: Camera) -> Surface:
        step = np.array([0.003, 0.002, 0.0], np.float32)
        return Surface.of(body, (still + frame * step).astype(np.float32), camera)

    matte = np.zeros((SIZE, SIZE), np.uint8)
    matte[surface(2, VIEW).face >= 0] = 255
    box = Box(0, 0, SIZE)
    track: Any = SimpleNamespace(
        frames=range(1, 4), camera=VIEW, box=lambda frame: box, matte=lambda frame: matte
    )
    parts: Any = SimpleNamespace(surface=surface)
    names = {name: each.numpy() for name, each in body.parts.items()}
    return PassMaker(track, parts, (names, len(body.faces)), frozenset(wanted))


def laid(made: PassMaker) -> CompositeLayer:
    cover = made._track.matte(2).astype(np.float32) / 255
    every = slice(0, SIZE)
    return CompositeLayer(np.zeros((SIZE, SIZE, 3), np.float32), cover, every, every)


def test_vectors_go_from_frame_to_frame_in_pixels_with_y_up(body: BodyModel) -> None:
    made = maker(body, {"motion"})
    image = np.full((SIZE, SIZE, 3), 0.5, np.float32)
    vectors = made.of(2, image, laid(made)).layers[VECTOR]
    middle = laid(made).cover > 0
    depth = made._parts.surface(2, VIEW).depth
    pixels = VIEW.fx / np.median(depth[np.isfinite(depth)])
    # To the right and down: the place before lies left and above.
    wanted = np.array([-0.003, 0.002, -0.003, 0.002]) * pixels
    np.testing.assert_allclose(np.median(vectors[middle], axis=0), wanted, rtol=0.08)
    assert not vectors[~middle].any()
    assert not made.of(1, image, laid(made)).layers[VECTOR][..., :2].any(), "nothing before it"
    assert not made.of(3, image, laid(made)).layers[VECTOR][..., 2:].any(), "nothing after it"


def test_parts_cover_as_much_as_the_matte(body: BodyModel) -> None:
    made = maker(body, {"parts"})
    rng = np.random.default_rng(0)
    image = rng.uniform(0.4, 0.5, (SIZE, SIZE, 3)).astype(np.float32)
    passes = made.of(2, image, laid(made))
    layers = list(passes.layers.values())
    assert len(layers) == 3 and passes.attributes
    covers = np.stack([layer[..., at] for layer in layers for at in (1, 3)])
    np.testing.assert_allclose(covers.sum(0), laid(made).cover, atol=2e-3)
    assert (np.diff(covers, axis=0) <= 0).all(), "ranked by cover"
    skin = np.float32(float_of(hash_of("skin")))
    assert (layers[0][..., 0] == skin).sum() > 50
