# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says what of this machine's set-up works, what is missing, and what mends it."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil

from ... import __version__
from ...messages.setup import CheckRow

_NEEDED = (
    "torch",
    "ai-edge-litert",
    "numpy",
    "opencv-contrib-python",
    "av",
    "openimageio",
    "openexr",
)


def device_name() -> str:
    """The accelerator that torch sees, or "CPU" with the number of cores."""
    import torch

    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    if torch.backends.mps.is_available():
        return f"Apple GPU, {os.cpu_count()} cores"
    return f"CPU, {os.cpu_count()} cores"


def check_setup() -> tuple[CheckRow, ...]:
    """One row a part of the set-up.

    Returns:
        What works, what is missing or limited, and what mends it.
    """
    rows = [_row("Backend", f"portraitgen {__version__}, Python {platform.python_version()}")]
    for package in _NEEDED:
        try:
            rows.append(_row(package, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            rows.append(_broken(package, "not installed"))
    rows += [*_device(), _memory(), _disk(), _body(), *_optional(), *_plug_ins()]
    return tuple(rows)


def _row(name: str, message: str, state: str = "ok", remedy: str = "", code: str = "") -> CheckRow:
    return CheckRow(name, state, message, remedy, code)


def _broken(name: str, message: str) -> CheckRow:
    """A part that creating the environment again puts back."""
    return _row(name, message, "missing", "create the environment again", "environment")


def _device() -> list[CheckRow]:
    """The card, and a picture that is really drawn and timed there."""
    import torch

    from ...raster.choice import best_device, measure

    networks = best_device("networks")
    if networks.type == "cuda":
        free, total = torch.cuda.mem_get_info()
        text = f"{device_name()}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
        if torch.version.hip:
            text += f"; ROCm {torch.version.hip}, of which nothing has been tried on a card"
        device = _row("Device", text)
    elif networks.type == "mps":
        text = f"{device_name()}; diffusion and style run on Apple's GPU, drawing on the CPU"
        device = _row("Device", text)
    else:
        remedy = "for speed, run on a machine with an NVIDIA GPU"
        device = _row("Device", f"{device_name()}; no CUDA device", "limited", remedy)
    drawn = measure(networks)
    if drawn.on_device or networks.type != "cuda":
        return [device, _row("Rasteriser", drawn.sentence())]
    if torch.version.hip:
        remedy = "for speed, run on a machine with an NVIDIA GPU"
    elif importlib.util.find_spec("warp") is None:
        remedy = 'create the environment for CUDA, or pip install "portraitgen[cuda]" in it'
    else:
        remedy = "update the card's driver, then run portraitgen selftest and send its report"
    return [device, _row("Rasteriser", drawn.sentence(), "limited", remedy)]


def _memory() -> CheckRow:
    free = _free_memory()
    if free is None:
        return _row("Memory", "the system does not tell how much is free")
    state, remedy = ("ok", "") if free > 4 else ("limited", "close other programs")
    return _row("Memory", f"{free:.1f} GiB free", state, remedy)


def _free_memory() -> float | None:
    """Free memory in GiB, None where it cannot be read."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            facts = dict(line.split(":", 1) for line in lines)
        return int(facts["MemAvailable"].split()[0]) / 2**20
    except (OSError, KeyError, ValueError):
        return None


def _disk() -> CheckRow:
    try:
        free = shutil.disk_usage(os.path.expanduser("~")).free / 2**30
    except OSError:
        remedy = "set HOME to a folder of yours"
        return _row("Disk", "there is no home folder to look at", "limited", remedy)
    state, remedy = ("ok", "") if free > 10 else ("limited", "free some space")
    return _row("Disk", f"{free:.0f} GiB free in the home folder", state, remedy)


def _body() -> CheckRow:
    from ...body.model import BodyModel
    from ...errors import BodyError

    try:
        body = BodyModel.load()
    except BodyError as error:
        return _broken("Body model", error.message)
    return _row("Body model", f"{body.name}, {body.vertex_count} vertices")


def _optional() -> list[CheckRow]:
    if importlib.util.find_spec("diffusers") is None:
        remedy = 'pip install "portraitgen[diffusion]" in the environment'
        return [_row("Text editors", "diffusers is not installed", "limited", remedy)]
    return [_row("Text editors", f"diffusers {importlib.metadata.version('diffusers')}")]


def _plug_ins() -> list[CheckRow]:
    """The editors of other packages that cannot be loaded."""
    from ...editing.registry import unusable_editors

    return [
        _row(f"Editor {each.name}", f"cannot be loaded: {each.reason}", "missing", each.remedy)
        for each in unusable_editors()
    ]
