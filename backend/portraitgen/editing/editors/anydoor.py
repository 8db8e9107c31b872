# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""AnyDoor: trying on a garment, in the user's own checkout, in a process of its own."""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...errors import EditError
from ...images import as_png, read_channels, read_codes, to_codes, to_float
from ...path_mapping import given_path
from ...settings import option
from ...user_folders import user_path
from ..diffusion import read_picture, resized
from ..editor import Editor, EditorInfo, EditRequest
from ..external_editor import PlugInProcess

_SCRIPT = "portraitgen_anydoor.py"
_SHIPPED = Path(__file__).resolve().parents[1] / "programs" / _SCRIPT
# What the public checkout has, and what ours needs of it.
_PUBLIC = "run_inference.py"


@dataclass(frozen=True)
class AnyDoorOptions:
    """The garment, and where the program lies."""

    garment: str = option("", "A picture of the garment", path=True)
    garment_mask: str = option(
        "",
        "A picture of its size, white where the garment is; needed unless it is cut out",
        path=True,
    )
    checkout: str = option("", "The folder of your checkout of AnyDoor", path=True, runs="folder")
    script: str = option(
        _SCRIPT,
        "The program in it that keeps the contract of docs/editors.md; ours where it has none",
        runs="script",
    )
    python: str = option(
        "", "The Python of AnyDoor's environment; ours by default", path=True, runs="program"
    )
    guidance: float = option(5.0, "How closely to follow the garment", minimum=1, maximum=20)
    steps: int = option(25, "Denoising steps", unit="steps", minimum=1, maximum=200)
    start_limit: float = option(
        600.0, "How long it may take to load", unit="seconds", minimum=1, maximum=7200
    )
    edit_limit: float = option(
        300.0, "How long one frame may take", unit="seconds", minimum=1, maximum=7200
    )


class AnyDoor(Editor):
    """Chen et al. (2023), spoken to in JSON lines; its code has no library and its weights are
    pickles, so that they are opened by its own program only. One program serves all frames; a
    fault ends it.

    Raises:
        EditError: if garment, checkout or program are missing.
    """

    info: ClassVar[EditorInfo] = EditorInfo(
        id="anydoor",
        label="AnyDoor",
        description="Tries on a garment, with your own checkout of AnyDoor",
        needs=("a checkout of AnyDoor with its weights", "a mask of where the garment goes"),
        licence="that of your checkout (AnyDoor's code: MIT; its weights: see their page)",
        commercial=False,
        memory_gb=24.0,
    )
    Options = AnyDoorOptions

    def __init__(self, options: AnyDoorOptions) -> None:
        super().__init__(options)
        if not options.garment:
            raise EditError("it needs a garment", self.info.id, 'give one as garment="..."')
        read_picture(options.garment, self.info.id)
        if not options.checkout:
            raise EditError(
                "it needs your checkout of AnyDoor", self.info.id, 'give it as checkout="..."'
            )
        self._folder = user_path(options.checkout).absolute()
        own = self._folder / options.script
        self._shipped = _SHIPPED if options.script == _SCRIPT and not own.is_file() else None
        needed = _PUBLIC if self._shipped else options.script
        if not (self._folder / needed).is_file():
            raise EditError(
                f"the checkout holds no {needed}",
                self._folder,
                "give the folder of a checkout of ali-vilab/AnyDoor, or a program of yours in it"
                " as docs/editors.md shows",
            )
        self._process: PlugInProcess | None = None

    def prepare(self, samples: Sequence[EditRequest]) -> None:
        """Starts the program and waits until it has loaded its weights."""
        self._running()

    def _running(self) -> PlugInProcess:
        if self._process is None or not self._process.running:
            command = [self.options.python or sys.executable, self.options.script]
            self._process = PlugInProcess(command, self._folder, self.info.id, self._shipped)
            self._process.wait_ready(self.options.start_limit, self.check)
        return self._process

    def _edit(self, request: EditRequest) -> np.ndarray:
        if request.mask is None or not request.mask.any():
            raise EditError(
                "no mask says where the garment goes",
                f"{self.info.id}, frame {request.frame}",
                "choose the clothes as the part to edit, or paint a mask",
            )
        process = self._running()
        with tempfile.TemporaryDirectory(prefix="portraitgen-") as name:
            folder = Path(name)
            message = {
                "type": "edit",
                "frame": request.frame,
                "image": _write(folder / "image.png", request.source),
                "mask": _write(folder / "mask.png", request.mask),
                "garment": str(given_path(self.options.garment).absolute()),
                "garment_mask": self._garment_mask(folder),
                "output": str(folder / "output.png"),
                "guidance": self.options.guidance,
                "steps": self.options.steps,
                "seed": request.seed,
            }
            try:
                process.ask(message, self.options.edit_limit, self.check)
                made = self._made(folder / "output.png", request)
            except BaseException:
                process.stop()
                raise
        dressed: np.ndarray = request.source + request.strength * (made - request.source)
        return dressed

    def _garment_mask(self, folder: Path) -> str:
        """Where the garment is in its picture: the mask given, or the picture's own alpha."""
        if self.options.garment_mask:
            return str(given_path(self.options.garment_mask).absolute())
        picture = read_channels(given_path(self.options.garment))
        if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
            raise EditError(
                "the garment is not cut out, and there is no mask of it",
                self.options.garment,
                'give a picture with alpha, or garment_mask="..."',
            )
        return _write(folder / "garment_mask.png", to_float(picture[..., 3]))

    def _made(self, path: Path, request: EditRequest) -> np.ndarray:
        """The program's picture at the frame's size."""
        encoded = read_codes(path) if path.is_file() else None
        if encoded is None:
            raise EditError(
                "the program said it was done and left no picture",
                f"{self.info.id}, frame {request.frame}",
                "let it write a PNG to the path given as output",
            )
        height, width = request.source.shape[:2]
        return resized(to_float(encoded), (height, width))


def _write(path: Path, image: np.ndarray) -> str:
    """Writes an image (H, W, 3) or (H, W) in 0..1 as an 8-bit PNG."""
    path.write_bytes(as_png(to_codes(image)))
    return str(path)
