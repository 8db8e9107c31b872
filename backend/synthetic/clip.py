# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the synthetic performer as a movie with its truth.

python -m portraitgen.performer.clip tests/data/performer
"""

import argparse
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

from portraitgen.body.model import BodyModel
from portraitgen.footage.movie_writing import MovieWriter
from portraitgen.images import to_codes
from portraitgen.storage import atomic_path, write_json

from .acting import FPS, act, camera
from .render import LIGHTS, Performer


def write_clip(
    stem: Path, *, frames: int = 48, size: int = 512, identity: int = 0, light: str = "studio"
) -> None:
    """Writes `stem`.mp4, its motion as `stem`.safetensors, its camera and look as `stem`.json.

    Args:
        stem: path without a suffix.
        frames: how many, from frame 1 on.
        size: of the square picture, pixels.
        identity: picks the person.
        light: a name in `LIGHTS`.
    """
    body = BodyModel.load()
    motion = act(body, range(1, frames + 1), identity)
    performer = Performer(body, motion, identity, light)
    seen = camera(size)
    with MovieWriter(stem.with_suffix(".mp4"), Fraction(FPS)) as movie:
        for frame in motion.frames:
            rendering = performer.render(int(frame), seen)
            movie.add(to_codes(rendering.rgb))
    with atomic_path(stem.with_suffix(".safetensors")) as temporary:
        motion.save(temporary)
    facts = {"identity": identity, "light": light, "camera": asdict(seen)}
    write_json(stem.with_suffix(".json"), facts)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stem", type=Path)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--identity", type=int, default=0)
    parser.add_argument("--light", choices=tuple(LIGHTS), default="studio")
    given = parser.parse_args()
    write_clip(
        given.stem,
        frames=given.frames,
        size=given.size,
        identity=given.identity,
        light=given.light,
    )


if __name__ == "__main__":
    main()
