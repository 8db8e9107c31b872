# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Libraries' own logs stay out of the terminal; errors and progress get through."""

import subprocess
import sys
import textwrap

SAID = """
    import os, sys
    from portraitgen.native_log_filter import filter_native_logs
    with filter_native_logs():
        os.write(2, b"W0000 00:00:1795309853.513426   14312 feedback_manager.cc:114] Feedback\\n")
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\\n")
        os.write(2, b"Out of memory.\\n")
        sys.stderr.write("train: 1 of 9")
        raise SystemExit("no such shot")
"""


def test_errors_get_through_and_chatter_does_not() -> None:
    words = [sys.executable, "-c", textwrap.dedent(SAID)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "feedback" not in done.stderr and "INFO" not in done.stderr
    for said in ("Out of memory.", "train: 1 of 9", "no such shot"):
        assert said in done.stderr


def test_standard_error_is_as_before_afterwards(capfd) -> None:
    from portraitgen.native_log_filter import filter_native_logs

    before = sys.stderr
    with filter_native_logs():
        assert sys.stderr is before or sys.stderr.fileno() != 2
    assert sys.stderr is before
    print("heard", file=sys.stderr)
    assert "heard" in capfd.readouterr().err
