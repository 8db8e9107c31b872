# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rendered take is delivered into a folder, whole unless gaps are allowed."""

import shutil
from pathlib import Path
from typing import Any

import bpy
from conftest import module


def _publish(shot: Any) -> None:
    """Publishes the reconstruction as an edit of the active take, as a job does."""
    from portraitgen.records import EditRecord
    from portraitgen.shot import Shot

    folder = shot.path / "staged"
    folder.mkdir()
    shutil.copy(shot.path / "avatar" / "0001" / "avatar.safetensors", folder)
    record = EditRecord(
        created="2026-01-01T00:00:00+00:00",
        job="made",
        avatar=1,
        settings={"editor": "grade"},
        editor="grade",
        options={},
    )
    Shot.open(shot.path).publish_edit(str(shot.take.folder_name), folder, record)
    module("portraitgen_addon.shot_summary").forget_summaries()


def test_a_delivery_with_gaps_is_refused_until_they_are_allowed(
    performer_shot: Any, until: Any, session: Any, tmp_path: Path
) -> None:
    bpy.ops.portraitgen.take_add(editor="grade")
    _publish(performer_shot)
    bpy.ops.portraitgen.render_to_strip()
    until(lambda: not session.busy and not session.waiting_work)
    (renders,) = (performer_shot.path / "takes").glob("*/renders/v001")
    frames, out = renders / "frames", tmp_path / "out"

    def delivered(**asked: bool) -> int:
        bpy.ops.portraitgen.deliver(directory=str(out), **asked)
        until(lambda: not session.busy and not session.waiting_work)
        return len(list((out / "frames").glob("*.exr")))

    assert delivered() == 6
    for suffix in ("exr", "png"):
        next(frames.glob(f"*.0003.{suffix}")).unlink()
        next((out / "frames").glob(f"*.0003.{suffix}")).unlink()
    # What the folder held before stays.
    assert delivered() == 5 and session.job.state == "failed"
    told = "the delivery has gaps: frames hold no EXR of 3; frames hold no PNG of 3"
    assert told in str(session.job.error)
    next((out / "frames").glob("*.0004.exr")).unlink()
    assert delivered(gaps=True) == 5 and session.job.state == "done"
