# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Some 660 plates of every kind, made on the spot, against what is known of them.

A plate is right when its picture is within tolerance of what went in; told, when it is not but a
note or a refusal says so. What is neither is silently wrong: there must be none.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from portraitgen.errors import FootageError
from portraitgen.footage.plate import Plate, open_plate

from . import media_images, media_movies, media_rare, media_unsaid
from .media_case import Case


def measure(footage: Path | None, out: Path) -> dict[str, object]:
    """Makes the plates, reads them and counts."""
    folder = Path(tempfile.mkdtemp(prefix="portraitgen-media-"))
    verdicts: Counter[str] = Counter()
    wrong: list[str] = []
    kinds: dict[str, Counter[str]] = {}
    try:
        for case in _cases(folder):
            verdict = judged(case)
            verdicts[verdict] += 1
            kinds.setdefault(case.name.split()[0], Counter())[verdict] += 1
            if verdict == "silent wrong":
                wrong.append(case.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures: dict[str, object] = {
        "plates": sum(verdicts.values()),
        "right": verdicts["right"],
        "told": verdicts["told"],
        "silently wrong": verdicts["silent wrong"],
        "which": wrong,
    }
    for kind, counts in kinds.items():
        figures[f"of {kind}"] = ", ".join(f"{count} {name}" for name, count in counts.items())
    return figures


def _cases(folder: Path) -> Iterator[Case]:
    makers: list[Callable[[Path], Iterator[Case]]] = [
        media_movies.layouts,
        media_movies.codecs,
        media_movies.orientations,
        media_movies.rates,
        media_movies.hdr,
        media_movies.broken,
        media_images.formats,
        media_images.parts,
        media_images.primaries,
        media_images.chunks,
        media_images.names,
        media_images.broken,
        *media_rare.MAKERS,
        *media_unsaid.MAKERS,
    ]
    for make in makers:
        place = folder / f"{make.__module__.split('.')[-1]}_{make.__name__}"
        place.mkdir()
        yield from make(place)


def judged(case: Case) -> str:
    """ "right", "told" or "silent wrong"."""
    try:
        plate = open_plate(case.path, **case.asked)
    except FootageError as error:
        return "right" if case.needs and case.needs in str(error) else "told"
    try:
        wrong = _differs(case, plate)
        plate.examine()
    except FootageError:
        return "told"
    finally:
        plate.close()
    said = " ".join(plate.notes)
    if case.needs:
        return "right" if case.needs in said else "silent wrong"
    if not wrong:
        return "right"
    return "told" if plate.notes else "silent wrong"


def _differs(case: Case, plate: Plate) -> bool:
    if case.numbers is not None and plate.numbers != case.numbers:
        return True
    if case.timecode is not None and plate.timecode != case.timecode:
        return True
    for frame, truth in case.truth.items():
        if case.numbers is None and frame > plate.last:
            continue  # A file that was cut off shows what is left of it.
        if case.linear:
            shown, wanted = _codes(plate.linear(frame)), _codes(truth)
        else:
            shown, wanted = plate.read(frame), truth
        if shown.shape != wanted.shape:
            return True
        if float(np.abs(shown - wanted).mean()) * 255 > case.tolerance:
            return True
    return False


def _codes(linear: np.ndarray) -> np.ndarray:
    clipped = np.clip(linear, 0, 1)
    curve = 1.055 * clipped ** (1 / 2.4) - 0.055
    return np.where(clipped <= 0.0031308, 12.92 * clipped, curve)
