# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look-up tables: 1D and 3D, their domain, and files that are none."""

from pathlib import Path

import numpy as np
import pytest

from portraitgen.editing.look_up_table import LookUpTable
from portraitgen.errors import EditError


def _cube(path: Path, head: str, rows: np.ndarray) -> Path:
    lines = [" ".join(f"{value:.6f}" for value in row) for row in rows]
    path.write_text(head + "\n" + "\n".join(lines) + "\n")
    return path


def _grid(size: int, top: float = 1.0) -> np.ndarray:
    """The places of a 3D table, red fastest."""
    steps = np.linspace(0, top, size)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    return np.stack([red, green, blue], axis=-1).reshape(-1, 3)


COLOURS = np.random.default_rng(0).random((4, 5, 3)).astype(np.float32)


def test_a_3d_table_maps_colours(tmp_path: Path) -> None:
    rows = _grid(5)[:, [2, 0, 1]] * 0.5 + 0.1
    table = LookUpTable(_cube(tmp_path / "t.cube", "LUT_3D_SIZE 5", rows))
    assert np.abs(table.map(COLOURS) - (COLOURS[..., [2, 0, 1]] * 0.5 + 0.1)).max() < 1e-5


def test_a_1d_table_maps_each_channel(tmp_path: Path) -> None:
    steps = np.linspace(0, 1, 257)[:, None]
    table = LookUpTable(
        _cube(tmp_path / "t.cube", "LUT_1D_SIZE 257", np.hstack([steps**2, steps, 1 - steps]))
    )
    red, green, blue = np.moveaxis(COLOURS, -1, 0)
    wanted = np.stack([red**2, green, 1 - blue], axis=-1)
    assert np.abs(table.map(COLOURS) - wanted).max() < 1e-4


def test_the_domain_of_a_table_is_honoured(tmp_path: Path) -> None:
    # Values from 0 to 2 lie on the grid: what comes in at 0.5 is a quarter of the way.
    head = "LUT_3D_SIZE 9\nDOMAIN_MIN 0 0 0\nDOMAIN_MAX 2 2 2"
    table = LookUpTable(_cube(tmp_path / "t.cube", head, _grid(9)))
    assert np.abs(table.map(COLOURS) - COLOURS / 2).max() < 1e-5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "LUT_3D_SIZE 2\n0 0 0\n",
        "LUT_3D_SIZE many\n0 0 0\n",
        "LUT_3D_SIZE 100000\n0 0 0\n",
        "LUT_3D_SIZE -3\n",
        "LUT_1D_SIZE 2\n0 0\n1 1\n",
        "LUT_3D_SIZE 2\n" + "nan nan nan\n" * 8,
        "not a table at all",
        "\0\1\2\3" * 50,
    ],
)
def test_what_is_no_table_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.cube"
    path.write_text(text)
    with pytest.raises(EditError) as caught:
        LookUpTable(path)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(".") and "broken.cube" in sentence


def test_bytes_of_another_encoding_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "latin.cube"
    path.write_bytes(b'TITLE "M\xfcller"\nLUT_3D_SIZE 2\n')
    with pytest.raises(EditError, match="look-up table"):
        LookUpTable(path)
