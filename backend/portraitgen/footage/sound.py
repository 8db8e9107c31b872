# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sound of a movie, for the movies that are made from it."""

from pathlib import Path

import av
import numpy as np

from .decoder_messages import SoundRead
from .movie_container import decoded, open_container

RATE = 48000
_LONGEST = 3 * 3600


def read_sound(path: Path, start: float, end: float) -> tuple[SoundRead, list[np.ndarray]]:
    """A movie's first sound track between two moments.

    Args:
        start, end: seconds on the movie's own clock.

    Returns:
        The rate, and the samples, float32 (channels, samples), mono or stereo; no array if there is
        no sound that can be decoded.
    """
    container = open_container(path)
    with container:
        streams = list(container.streams.audio)
        if not streams or end <= start or end - start > _LONGEST:
            return SoundRead(RATE), []
        stream = streams[0]
        layout = "mono" if stream.codec_context.channels == 1 else "stereo"
        count = 1 if layout == "mono" else 2
        samples = np.zeros((count, round((end - start) * RATE)), np.float32)
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=RATE)
        found = False
        at: int | None = None
        for frame in decoded(container, stream, lambda reason: None):
            if at is None:
                time = frame.time if frame.time is not None else start
                at = round((time - start) * RATE)
            for each in resampler.resample(frame):
                values = each.to_ndarray()
                low, high = max(at, 0), min(at + values.shape[1], samples.shape[1])
                if low < high:
                    samples[:, low:high] = values[:, low - at : high - at]
                    found = True
                at += values.shape[1]
            if at >= samples.shape[1]:
                break
    return SoundRead(RATE), [samples] if found else []
