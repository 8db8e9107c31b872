# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plate cut to pieces in random order: each piece has its take, which looks as the piece does.

PORTRAITGEN_STEPS says how many steps, in each of two edits.
"""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import living_shot
import numpy as np
import pytest
from conftest import module, shown
from test_edit_variants import START, media, move, shot, start, takes

__all__ = ["media", "shot"]

STEPS = int(os.environ.get("PORTRAITGEN_STEPS", "24"))


def ours() -> Any:
    return bpy.context.scene.portraitgen.shots[0]


def pieces() -> list[Any]:
    found = module("portraitgen_addon.strip_sync").plate_of(ours()).pieces
    return sorted(found, key=shown)


def split(strip: Any, frame: int) -> None:
    begin, end = shown(strip)
    if begin < frame < end:
        strip.split(frame=frame, split_method="SOFT")


class Edit:
    """The steps; each does one thing of an editor's."""

    def __init__(self, rng: np.random.Generator, take: Path, folder: Path) -> None:
        self.rng, self.take, self.folder = rng, take, folder
        self.renders = 0

    def one(self) -> Any:
        found = pieces()
        return found[self.rng.integers(len(found))]

    def blade_plate(self) -> None:
        begin, end = shown(piece := self.one())
        split(piece, int(self.rng.integers(begin, end + 1)))

    def blade_all(self) -> None:
        frame = int(self.rng.integers(*shown(self.one())))
        for each in [*takes(ours()), *pieces()]:
            split(each, frame)

    def punch_in(self) -> None:
        move_ = self.one().transform
        move_.scale_x = move_.scale_y = float(self.rng.choice([1.0, 1.5, 2.0]))
        move_.offset_x = float(self.rng.choice([0.0, 30.0]))

    def opacity(self) -> None:
        self.one().blend_alpha = float(self.rng.choice([1.0, 0.5]))

    def take_out(self) -> None:
        if len(found := pieces()) > 2:
            found[0].id_data.sequence_editor.strips.remove(
                found[self.rng.integers(1, len(found) - 1)]
            )

    def ripple(self) -> None:
        by = int(self.rng.integers(-40, 40))
        for each in pieces():
            move(each, by)

    def raise_plate(self) -> None:
        channel = int(self.rng.integers(2, 9))
        for each in pieces():
            each.channel = channel

    def render(self) -> None:
        self.renders += 1
        again = self.folder / f"v{self.renders:03d}"
        shutil.copytree(self.take.parent, again)
        living_shot.show_take(bpy.context.scene, ours(), again / self.take.name)
        assert {Path(bpy.path.abspath(each.directory)) for each in takes(ours())} == {again}

    def undo(self) -> None:
        bpy.ops.ed.undo_push(message="before")
        before = [shown(each) for each in takes(ours())]
        self.blade_plate()
        self.punch_in()
        living_shot.look(ours())
        bpy.ops.portraitgen.update_from_strip()
        bpy.ops.ed.undo_push(message="update")
        bpy.ops.ed.undo()
        assert sorted(shown(each) for each in takes(ours())) == sorted(before)


def check() -> None:
    """That at each frame one take lies over each piece, on its picture and with its look."""
    layout = module("portraitgen_addon.take_layout")
    among = bpy.context.scene.sequence_editor.strips
    every = takes(ours())
    for piece in pieces():
        look = layout.look_of(piece)[:3]
        for frame in range(*shown(piece)):
            over = [each for each in every if shown(each)[0] <= frame < shown(each)[1]]
            assert len(over) == 1 and not over[0].mute, (frame, [each.name for each in over])
            take = over[0]
            assert start(take) == start(piece) and take.channel > piece.channel
            assert layout.look_of(take)[:3] == look, (piece.name, take.name)
            cover = layout.cover_of(among, take)
            if cover is not None:
                assert shown(cover)[0] <= frame < shown(cover)[1]
                assert cover.channel > take.channel and cover.input_2 == take
    covered = {frame for piece in pieces() for frame in range(*shown(piece))}
    assert {frame for each in every for frame in range(*shown(each))} == covered


@pytest.mark.parametrize("seed", [1, 2])
def test_each_piece_of_a_cut_plate_has_its_take(
    seed: int, shot: Any, media: SimpleNamespace, tmp_path: Path
) -> None:
    if seed == 2:
        render = bpy.context.scene.render
        render.resolution_x, render.resolution_y = living_shot.WIDTH, living_shot.HEIGHT
    living_shot.look(shot)
    assert start(pieces()[0]) == START
    edit = Edit(np.random.default_rng(seed), media.take, tmp_path)
    steps = (
        *(edit.blade_plate, edit.blade_all, edit.punch_in, edit.opacity),
        *(edit.take_out, edit.ripple, edit.raise_plate, edit.render, edit.undo),
    )
    for number in range(STEPS):
        step = steps[edit.rng.integers(len(steps))]
        step()
        living_shot.look(ours())
        assert bpy.ops.portraitgen.update_from_strip() == {"FINISHED"}
        told = living_shot.look(ours())
        assert told == [], (number, step.__name__, told)
        check()
