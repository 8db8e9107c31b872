# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen models list | check | fetch NAME`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..bounded_json import dump_json
from ..errors import ModelError
from ..messages.setup import ModelRow
from ..plain_text import printable
from .fetch import fetch
from .manifest import known_model, models
from .store import models_folder, state_of


def run_models(action: str, names: Sequence[str], folder: Path | None, as_json: bool) -> None:
    """Runs the command.

    Args:
        action: "list", "check" or "fetch".
        names: of models; all, or all that are here, if none is named.
        folder: where weights lie, instead of the usual place.
        as_json: print for machines.

    Raises:
        ModelError: if a model is unknown, damaged or cannot be fetched.
    """
    if folder:
        os.environ["PORTRAITGEN_MODELS"] = str(folder)
    chosen = [known_model(name) for name in names] if names else list(models().values())
    if action == "fetch":
        if not names:
            raise ModelError("no model is named", "models fetch", "name what to fetch")
        for model in chosen:
            use = "commercial use allowed" if model.commercial else "no commercial use"
            _tell(f"{model.label}: licence {model.licence} ({use}), see {model.licence_url}\n")
            folder = fetch(model, _Progress())
            _tell(f"{model.name} is ready in {folder}\n")
    rows = [state_of(model, digests=action != "list") for model in chosen]
    if action == "check" and not names:
        rows = [row for row in rows if row.state != "missing"]
    if as_json:
        print(dump_json([row.to_json() for row in rows], indent=1).decode())
    else:
        _show(rows)
    bad = [row.name for row in rows if row.state in ("damaged", "incomplete")]
    absent = [row.name for row in rows if row.state == "missing"] if names else []
    if action == "check" and bad + absent:
        raise ModelError("not every model is whole", ", ".join(bad + absent), "fetch it again")


def _show(rows: Sequence[ModelRow]) -> None:
    print(printable(f"models folder: {models_folder()}"))
    for row in rows:
        use = "commercial use allowed" if row.commercial else "NO COMMERCIAL USE"
        size = f"about {row.approximate_gb} GB"
        if row.bytes:
            size = f"{row.bytes / 1e9:.1f} GB"
        users = ", ".join(row.editors) or "the perceptual loss"
        # What a folder of weights holds may be a stranger's, with such names.
        print(printable(f"{row.state:>10}  {row.name}: {row.label}, {size}; {row.message}"))
        print(f"{'':>10}  licence {row.licence} ({use}); used by {users}")


class _Progress:
    """One line that is written over in a terminal; elsewhere a line a percent."""

    def __init__(self) -> None:
        self._told: tuple[str, int] = ("", -1)

    def __call__(self, name: str, done: int, total: int) -> None:
        if sys.stderr.isatty():
            share = f"{done / 1e9:.2f} of {total / 1e9:.2f} GB" if total else f"{done / 1e9:.2f} GB"
            _tell(f"\r\x1b[K{name}: {share}")
        elif total and self._told != (name, percent := done * 100 // total):
            self._told = (name, percent)
            _tell(f"{name}: {percent} %\n")


def _tell(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
