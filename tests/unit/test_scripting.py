# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of docs/scripting.md run as they stand, and the API tells what it made."""

import re
import shutil
from pathlib import Path

import pytest
from conftest import ROOT

from portraitgen import api

EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "scripting.md").read_text(), re.S)


def test_the_examples_run_in_their_order(
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copyfile(clip, tmp_path / "plate.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(EXAMPLES) == 3
    said = []
    for example in EXAMPLES:
        exec(compile(example, "docs/scripting.md", "exec"), {"__name__": "example"})
        said.append(capsys.readouterr().out)
    assert said[0].startswith("1 4\n") and "preview.0002.plate.png" in said[0]
    assert "warm.0002.exr" in said[0]
    assert "warm.0001.png" in said[0]
    assert said[1].startswith("edit alchemy there is no such editor use one of: grade")
    assert "render: 1 of 4" in said[2] or "render: 0 of 4" in said[2]
    assert said[2].endswith("stopped after the first frame\n")

    shot = api.Shot.open("shot")
    assert shot.takes() == ["warm"] and shot.path == tmp_path / "shot"
    # The same again: what is on disk is not made anew.
    frames = shot.render("warm", frames="1-2", plate=True)
    assert list(frames.exr) == list(frames.plates) == [1, 2] and frames.movie is None
    with pytest.raises(api.PortraitError, match="there is no such option"):
        shot.track(wobble=1)
