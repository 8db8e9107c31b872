# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of an edit shows over time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portraitgen.errors import OptionError
from portraitgen.pipeline.compositing.opacity import mix_of


def test_one_number_holds_for_every_frame() -> None:
    assert mix_of("0.25", range(1001, 1004)) == dict.fromkeys((1001, 1002, 1003), 0.25)


def test_between_keys_it_changes_linearly_and_beyond_them_it_stays() -> None:
    shares = mix_of("1010:1, 1000:0", (990, 1000, 1005, 1010, 1020))
    assert list(shares.values()) == [0, 0, 0.5, 1, 1]


@pytest.mark.parametrize("text", ["", "1.5", "-0.1", "1001:x", "a:1", "nan", "1001:0,,"])
def test_anything_else_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(OptionError, match="0 to 1"):
        mix_of(text, (1,))


@given(
    st.dictionaries(st.integers(-50, 5000), st.floats(0, 1), min_size=1, max_size=8),
    st.integers(-100, 6000),
)
def test_it_never_leaves_the_keys_range(keys: dict[int, float], frame: int) -> None:
    text = ",".join(f"{number}:{share!r}" for number, share in keys.items())
    share = mix_of(text, (frame,))[frame]
    assert min(keys.values()) - 1e-9 <= share <= max(keys.values()) + 1e-9
    if frame in keys:
        assert share == pytest.approx(keys[frame])
