# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of a render: which one a run goes into, whatever lies in the folder already."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from portraitgen.errors import ShotError
from portraitgen.records import RenderRecord
from portraitgen.renders import Render, begin_render, render_of, renders_of, version_of


def begun(home: Path, inputs: str) -> Render:
    return begin_render(home, RenderRecord(created="2026", inputs=inputs))


def with_frame(render: Render) -> Render:
    render.frames.mkdir(parents=True, exist_ok=True)
    (render.frames / "look.0001.exr").write_bytes(b"")
    return render


def test_the_same_goes_on_and_anything_else_is_another_version(tmp_path: Path) -> None:
    assert [begun(tmp_path, each).version for each in "aabba"] == [1, 1, 2, 2, 1]
    assert [each.name for each in renders_of(tmp_path)] == ["v001", "v002"]
    # What was rendered last counts, of those that hold frames.
    with_frame(renders_of(tmp_path)[1])
    assert render_of(tmp_path).version == 2
    with_frame(begun(tmp_path, "a"))
    assert render_of(tmp_path).version == 1 and render_of(tmp_path, 2).version == 2
    with pytest.raises(ShotError, match="use one of 1, 2"):
        render_of(tmp_path, 7)
    with pytest.raises(ShotError, match="nothing is rendered"):
        render_of(tmp_path / "elsewhere")


def test_any_number_of_processes_begin_the_same_version(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda index: begun(tmp_path, "ab"[index % 2]), range(24)))
    assert sorted({each.version for each in made}) == [1, 2]
    assert len({each.version for each in made[::2]}) == 1
    assert not [each for each in (tmp_path / "renders").iterdir() if each.name.startswith(".")]


def test_what_is_no_version_takes_its_number_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "renders"
    folder.mkdir()
    (folder / "v001").write_text("a file")
    (folder / "v002").mkdir()
    (folder / "v002" / "render.json").write_text("{")
    (folder / "v003").symlink_to(folder / "v002", target_is_directory=True)
    (folder / "notes").mkdir()
    assert begun(tmp_path, "a").version == 4
    assert [each.version for each in renders_of(tmp_path)] == [2, 4]
    (folder / "v999999999").mkdir()
    with pytest.raises(ShotError, match="no number left"):
        begun(tmp_path, "b")


def test_frames_from_before_count_as_a_render_without_a_version(tmp_path: Path) -> None:
    with_frame(Render(0, tmp_path))
    assert render_of(tmp_path).name == "unversioned"
    path = begun(tmp_path, "a").plates / "look.0001.png"
    assert version_of(path) == 1 and version_of(tmp_path / "plates" / "look.0001.png") == 0


@pytest.mark.parametrize(
    "rendered", ["2099-01-01T00:00:00.000000+00:00", "9999", "zz", "2099-01-01"]
)
def test_the_last_render_is_the_last_whatever_clocks_say(tmp_path: Path, rendered: str) -> None:
    ahead = with_frame(begun(tmp_path, "a"))
    RenderRecord(created="2026", inputs="a", rendered=rendered).write(ahead.folder / "render.json")
    for inputs, version in (("b", 2), ("a", 1), ("c", 3), ("b", 2)):
        with_frame(begun(tmp_path, inputs))
        assert render_of(tmp_path).version == version
