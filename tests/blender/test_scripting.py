# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""In a script without a window, operators return when their results are in the file."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import pytest
from conftest import ROOT, module, plate_strip

EXAMPLES = re.findall(
    r"```python blender\n(.*?)```", (ROOT / "docs" / "scripting.md").read_text(), re.S
)


@pytest.fixture
def waiting(empty: None) -> Iterator[None]:
    """As `blender -b` has it; the other tests do what the timer of a window does."""
    updates = module("portraitgen_addon.scene_updates")
    assert bpy.app.background
    updates.waits = True
    yield
    updates.waits = False


def test_the_examples_run(
    waiting: None, session: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strip = plate_strip(bpy.context.scene, 1)
    module("portraitgen_addon.compat").trim(strip, 1, 6)
    assert len(EXAMPLES) == 1
    for example in EXAMPLES:
        exec(compile(example, "docs/scripting.md", "exec"), {"folder": str(tmp_path / "shot")})
    assert session.job.state == "done" and "1 shot rig" in capsys.readouterr().out
    shot = bpy.context.scene.portraitgen.shots[0]
    assert shot.has_rig and shot.take.strength == 0.5

    # What fails raises, with the sentence that a person would read.
    folder = module("portraitgen_addon.shot_summary").Shot.open(shot.path)
    with (
        folder.hold("track", "a test"),
        pytest.raises(RuntimeError, match="is busy with a test"),
    ):
        bpy.ops.portraitgen.track()
    assert session.job.error.code == "locked" and session.job.error.remedy
