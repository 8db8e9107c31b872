# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes movies; they appear when they are complete."""

import mmap
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from ..errors import FootageError
from ..storage import atomic_path
from ..user_folders import utf_8_path
from .movie_pixels import EXACT


class MovieWriter:
    """An H.264 movie, tagged with its colours, that appears when it is complete.

    Use as a context manager; an error in the block leaves no file and an old one as it was.

    Args:
        path: of the .mp4.
        fps: frames a second.
        timecode: of its first frame, "" for none.
        sound: float32 (channels, samples) and samples a second, None for none.
        metadata: what the movie says of itself, by MP4's names.
        colours: primaries and transfer of its pictures by ITU-T H.273, None for Rec.709.
    """

    def __init__(
        self,
        path: Path,
        fps: Fraction,
        timecode: str = "",
        sound: tuple[np.ndarray, int] | None = None,
        metadata: Mapping[str, str] | None = None,
        colours: tuple[int, int] | None = None,
    ) -> None:
        self._path = path
        self._colours = colours or (1, 1)
        self._fps = fps
        self._timecode = timecode
        self._sound = sound
        self._metadata = dict(metadata or {})
        self._restatement: dict[str, str] = {}
        self._stack = ExitStack()
        self._container: Any = None
        self._stream: Any = None

    def __enter__(self) -> "MovieWriter":
        temporary = self._stack.enter_context(atomic_path(self._path))
        self._stack.enter_context(self._restated(temporary))
        options = {"movflags": "+faststart"}
        if self._timecode:
            options["write_tmcd"] = "1"
        self._container = self._stack.enter_context(
            av.open(utf_8_path(temporary), "w", format="mp4", options=options)
        )
        self._container.metadata.update(self._metadata)
        return self

    def say(self, metadata: Mapping[str, str]) -> None:
        """Says it in the place of what the movie said first, once all frames are known.

        Raises:
            ValueError: if a text has not the length of the one in whose place it stands.
        """
        for name, text in metadata.items():
            if len(text.encode()) != len(self._metadata[name].encode()):
                raise ValueError(f"'{name}' has another length than what stands in the movie")
        self._restatement = dict(metadata)

    @contextmanager
    def _restated(self, path: Path) -> Iterator[None]:
        """Writes over what the complete movie said first."""
        yield
        if not self._restatement:
            return
        with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as data:
            for name, text in self._restatement.items():
                before = self._metadata[name].encode()
                if text.encode() == before:
                    continue
                place = data.find(before)
                if place < 0:
                    raise FootageError(f"the movie does not hold its '{name}'", self._path)
                data[place : place + len(before)] = text.encode()

    def add(self, image: np.ndarray) -> None:
        """Appends uint8 (H, W, 3) RGB; odd sides lose their last row or column.

        Raises:
            FootageError: if the size differs from the first frame's.
        """
        image = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=self._fps)
            self._stream.height, self._stream.width = image.shape[:2]
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": "16", "preset": "fast"}
            context = self._stream.codec_context
            context.colorspace = 1
            context.color_primaries, context.color_trc = self._colours
            context.color_range = ColorRange.MPEG
            if self._timecode:
                self._stream.metadata["timecode"] = self._timecode
            if self._sound is not None:
                self._add_sound(*self._sound)
        if image.shape[:2] != (self._stream.height, self._stream.width):
            raise FootageError("the frames of a movie must have one size", self._path)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(
            format="yuv420p",
            src_colorspace=Colorspace.ITU709,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=EXACT,
        )
        with self._reported():
            self._container.mux(self._stream.encode(frame))

    def _add_sound(self, samples: np.ndarray, rate: int) -> None:
        layout = "mono" if len(samples) == 1 else "stereo"
        stream = self._container.add_stream("aac", rate=rate, layout=layout)
        with self._reported():
            for start in range(0, samples.shape[1], 1024):
                piece = np.ascontiguousarray(samples[:, start : start + 1024])
                frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
                frame.sample_rate, frame.pts = rate, start
                self._container.mux(stream.encode(frame))
            self._container.mux(stream.encode())

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Turns the encoder's errors into one sentence."""
        try:
            yield
        except av.error.FFmpegError as error:
            raise FootageError(
                f"the movie cannot be written ({error.strerror})", self._path, "check the disk"
            ) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            if error is not None:
                # Raised again inside, so that nothing incomplete takes the file's place.
                raise error
            if self._stream is not None:
                with self._reported():
                    self._container.mux(self._stream.encode())
