# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plate cut to pieces in random order: each piece has its take, which looks as the piece does.

PORTRAITGEN_STEPS says how many steps, twice, in edits of 40 at most, since little of a plate is
left by then; PORTRAITGEN_SEED which edits.
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
from conftest import module, shown, trim
from test_edit_variants import COUNT, START, media, move, shot, takes

__all__ = ["media", "shot"]

STEPS = int(os.environ.get("PORTRAITGEN_STEPS", "24"))
SEED = int(os.environ.get("PORTRAITGEN_SEED", "1"))


def ours() -> Any:
    return bpy.context.scene.portraitgen.shots[0]


def pieces() -> list[Any]:
    scene = bpy.context.scene
    found = module("portraitgen_addon.plate_strip").every_piece(ours(), scene)
    return sorted(found, key=shown)


def lies(strip: Any) -> int:
    return int(module("portraitgen_addon.compat").file_start(strip))


def picture(strip: Any, frame: int) -> int:
    """Which of its file's pictures a strip shows on a scene frame."""
    compat = module("portraitgen_addon.compat")
    held = compat.held_frame(strip, frame)
    return (frame if held is None else held) - lies(strip)


def split(strip: Any, frame: int) -> None:
    begin, end = module("portraitgen_addon.compat").played_range(strip)
    if begin < frame < end:
        strip.split(frame=frame, split_method="SOFT")


class Edit:
    """The steps; each does one thing of an editor's."""

    def __init__(self, rng: np.random.Generator, take: Path, folder: Path) -> None:
        self.rng, self.take, self.folder = rng, take, folder
        self.renders = 0

    def one(self) -> Any:
        """A piece; if there are others, none that holds frames or lies over another."""
        found = [each for each in pieces() if self.alone(each)] or pieces()
        return found[self.rng.integers(len(found))]

    def alone(self, piece: Any) -> bool:
        begin, end = shown(piece)
        over = [each for each in pieces() if shown(each)[0] < end and begin < shown(each)[1]]
        played = module("portraitgen_addon.compat").played_range(piece)
        return len(over) == 1 and played == (begin, end)

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

    def parted(self) -> tuple[list[Any], int, int]:
        """Pieces from one on, where they begin, and where all before them ends."""
        found = pieces()
        at = int(self.rng.integers(len(found)))
        end = max([shown(each)[1] for each in found[:at]], default=shown(found[0])[0])
        return found[at:], min(shown(each)[0] for each in found[at:]), end

    def ripple_delete(self) -> None:
        """Closes a gap before a piece; takes are left where they are, or moved, too."""
        behind, begin, end = self.parted()
        if end < begin:
            over = [each for each in takes(ours()) if shown(each)[0] >= begin]
            for each in [*behind, *(over if self.rng.random() < 0.5 else ())]:
                move(each, end - begin)

    def part(self) -> None:
        """Moves a piece and all behind it away from the others."""
        behind, begin, end = self.parted()
        if end <= begin:
            by = int(self.rng.integers(1, 5))
            for each in reversed(behind):
                move(each, by)

    def trim_piece(self) -> None:
        """Moves the ends of a piece, up to its neighbours'."""
        piece = self.one()
        if not self.alone(piece):
            return
        others = [shown(each) for each in pieces() if each != piece]
        begin, end = shown(piece)
        lowest = max([begin - 3, *(after for _, after in others if after <= begin)])
        highest = min([end + 3, *(first for first, _ in others if first >= end)])
        if highest - lowest > 2:
            cuts = self.rng.choice(np.arange(lowest, highest + 1), 2, replace=False)
            trim(piece, int(min(cuts)), int(max(cuts)))
            first, after = module("portraitgen_addon.compat").played_range(piece)
            if max(first, begin) >= min(after, end):
                trim(piece, begin, end)

    def slip(self) -> None:
        """Has a piece show other frames where it lies, some of them alone."""
        piece, by = self.one(), int(self.rng.integers(-3, 4))
        begin, end = shown(piece)
        if not self.alone(piece):
            return
        first = begin - lies(piece) - by
        elsewhere = {
            picture(each, frame)
            for each in pieces()
            if each != piece
            for frame in range(*shown(each))
        }
        own = set(range(first, first + end - begin))
        if (
            first >= 0
            and first + end - begin <= COUNT
            and own - elsewhere
            and abs(by) < end - begin
        ):
            move(piece, by)
            trim(piece, begin, end)

    def hold(self) -> None:
        """Hold Split, the left half then held over the right one."""
        piece = self.one()
        begin, end = shown(piece)
        # What lies under a piece that holds frames, and nowhere else, has no take to come back.
        if end - begin > 6 and all(self.alone(each) for each in pieces()):
            cut = int(self.rng.integers(begin + 2, end - 3))
            piece.split(frame=cut, split_method="HARD")
            piece.channel = max(each.channel for each in pieces()) + 1
            trim(piece, begin, cut + int(self.rng.integers(0, 3)))

    def ripple(self) -> None:
        by = int(self.rng.integers(-40, 40))
        for each in pieces():
            move(each, by)

    def slide_all(self) -> None:
        by = int(self.rng.integers(-40, 40))
        for each in [*pieces(), *takes(ours())]:
            move(each, by)

    def raise_plate(self) -> None:
        """Puts all pieces onto other channels; what lies over others does so still."""
        found = sorted(pieces(), key=lambda each: int(each.channel))
        by = int(self.rng.integers(2, 9)) - found[0].channel
        for each in found if by < 0 else reversed(found):
            each.channel += by

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
    """That at each frame one take lies over what is seen of the plate, with its picture and look,
    and none where there is none."""
    layout = module("portraitgen_addon.take_layout")
    among = bpy.context.scene.sequence_editor.strips
    every, plates = takes(ours()), pieces()
    for frame in range(
        min(shown(each)[0] for each in [*every, *plates]),
        max(shown(each)[1] for each in [*every, *plates]),
    ):
        below = [each for each in plates if shown(each)[0] <= frame < shown(each)[1]]
        over = [
            each for each in every if shown(each)[0] <= frame < shown(each)[1] and not each.mute
        ]
        assert len(over) == bool(below), (frame, [each.name for each in over])
        if not below:
            continue
        piece, take = max(below, key=lambda each: int(each.channel)), over[0]
        assert picture(take, frame) == picture(piece, frame), (frame, piece.name, take.name)
        assert take.channel > piece.channel
        assert layout.look_of(take)[:3] == layout.look_of(piece)[:3], (piece.name, take.name)
        cover = layout.cover_of(among, take)
        if cover is not None:
            assert shown(cover)[0] <= frame < shown(cover)[1]
            assert cover.channel > take.channel and cover.input_2 == take


@pytest.mark.parametrize("seed", range(SEED, SEED + max(2, STEPS // 20)))
def test_each_piece_of_a_cut_plate_has_its_take(
    seed: int, shot: Any, media: SimpleNamespace, tmp_path: Path
) -> None:
    if seed % 2 == 0:
        render = bpy.context.scene.render
        render.resolution_x, render.resolution_y = living_shot.WIDTH, living_shot.HEIGHT
    living_shot.look(shot)
    assert lies(pieces()[0]) == START
    edit = Edit(np.random.default_rng(seed), media.take, tmp_path)
    steps = (
        *(edit.blade_plate, edit.blade_all, edit.punch_in, edit.opacity),
        *(edit.take_out, edit.ripple, edit.raise_plate, edit.render, edit.undo),
        *(edit.ripple_delete, edit.part, edit.trim_piece, edit.hold, edit.slip),
        edit.slide_all,
    )
    for number in range(min(STEPS, 40)):
        step = steps[edit.rng.integers(len(steps))]
        step()
        living_shot.look(ours())
        assert bpy.ops.portraitgen.update_from_strip() == {"FINISHED"}
        told = living_shot.look(ours())
        assert told == [], (number, step.__name__, told)
        check()
