# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs that a look learns from: a take's key frames, or a folder of before and after."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ...editing.looks.alignment import misplacement
from ...editing.looks.guides import normals, places
from ...editing.looks.learning import PATCH, Pair
from ...errors import EditError
from ...footage.colour import resolve_asked
from ...footage.facts import ImageFacts
from ...footage.matte import MatteMaker, foreground_colours
from ...images import read_codes, to_codes, to_float
from ...shot import Shot
from ...tracking.landmarks import LandmarkDetector
from ..run.progress import Reporter
from .crops import load_crops
from .edit_mask import EditMask
from .key_frames import KeptKeys, edited_key
from .pair_files import REMEDY, PairFiles, pair_files
from .pair_pictures import LIKE, as_srgb, facts_of, read, read_mask
from .shots import Track, body_of

MOST = 30
# Of the files that one note is on, so many are named.
_LISTED = 3
# As far as rounding of small sizes goes.
_ASPECT = 1.05
# How broad the detector's box of a face is, metres: 0.147 to 0.186 on six performers.
_FACE = 0.17
# A mask that covers so much less of the performer than of what is round about lies beside them.
_BESIDE = 0.5
# The share of the performer that a cut-out shows at least.
_CUT_OUT = 0.25


def pairs_of_take(shot: Shot, take: str, reporter: Reporter) -> tuple[list[Pair], str]:
    """The key frames of a take's latest edit, repainted ones included, with what they were.

    Returns:
        1 to 30 pairs, and what made them.

    Raises:
        ShotError: if the take was never edited; EditError: if its key frames cannot be used.
    """
    folder, record = shot.edit_folder(take), shot.edit_record(take)
    if record.base:
        raise EditError(
            f"the take builds on '{record.base}', so its pictures have no before in the plate",
            take,
            "learn from a take that builds on the plate",
        )
    kept = KeptKeys(shot.path / "takes" / take)
    avatar = shot.avatar_record(record.avatar)
    track, body = Track(shot, avatar.track), body_of(shot)
    wanted = sorted({*record.key_frames, *kept.frames} & set(track.frames))
    if len(wanted) > MOST:
        reporter.note(
            f"The take has {len(wanted)} key frames; the look learns from {MOST} of them."
        )
        rows = np.linspace(0, len(wanted) - 1, MOST).round().astype(int)
        wanted = [wanted[row] for row in rows]
    windows = load_crops(shot, track, wanted, avatar.size, reporter)
    parts = EditMask(body, track, "")
    pairs = []
    for row, frame in enumerate(wanted):
        after = kept.picture(frame, avatar.size)
        if after is None:
            after = _edited(folder, frame, avatar.size)
        if after is None:
            continue
        matte = windows.mattes[row]
        surface = parts.surface(frame, windows.cameras[row])
        pairs.append(
            Pair(
                name=f"frame {frame}",
                before=to_float(foreground_colours(windows.images[row], matte)),
                after=after,
                cover=to_float(matte),
                normals=normals(surface, matte.shape),
                places=places(surface, matte.shape),
                scale=surface.pixels_per_metre,
            )
        )
    if not pairs:
        raise EditError("the take has no key frames left", folder, "edit the take again")
    _check_unlike(pairs)
    return pairs, f"take '{take}', editor {record.editor}"


def _edited(edit: Path, frame: int, size: int) -> np.ndarray | None:
    path = edited_key(edit, frame)
    read = None if path is None else read_codes(path)
    if read is None:
        return None
    if read.shape[0] != size:
        read = cv2.resize(read, (size, size), interpolation=cv2.INTER_AREA)
    return to_float(read)


def pairs_in_folder(folder: Path, reporter: Reporter, colour_space: str = "") -> list[Pair]:
    """Before and after pictures, with masks if there are any; names are as `pair_files` reads them.

    Without a mask the performer is found.

    Args:
        colour_space: of the pictures; what they say of themselves by default.

    Raises:
        EditError: if a pair cannot be learned from; says which, and why.
        FootageError: if there is no such colour space.
    """
    if colour_space:
        resolve_asked(colour_space)
    found = pair_files(folder, reporter)
    if len(found) > MOST:
        raise EditError(
            f"there are {len(found)} pairs", folder, f"leave the {MOST} that show most of the look"
        )
    reading = _Reading(folder, colour_space, MatteMaker(), LandmarkDetector())
    pairs = []
    for each in found:
        reporter.check()
        pairs.append(_pair(each, reading))
    for note, names in reading.notes.items():
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        reporter.note(f"{', '.join(names[:_LISTED])}{more}: {note}.")
    _check_unlike(pairs)
    for pair in pairs:
        if not _unlike(pair):
            reporter.note(
                f"Before and after are the same in '{pair.name}': there the look learns to change"
                " nothing."
            )
        elif beside := misplacement(pair):
            reporter.note(
                f"After {beside} in '{pair.name}': a look learns what changes at a place and not"
                " what moves, and will be soft; lay the pictures over each other."
            )
    return pairs


@dataclass
class _Reading:
    """What pairs are read with, and what is told of their files, by what is told."""

    folder: Path
    colour_space: str
    matte_maker: MatteMaker
    detector: LandmarkDetector
    notes: dict[str, list[str]] = field(default_factory=dict)

    def telling(self, path: Path) -> Callable[[str], None]:
        """What takes notes on a file."""
        name = str(path.relative_to(self.folder))
        return lambda note: self.notes.setdefault(note, []).append(name)


def _pair(files: PairFiles, reading: _Reading) -> Pair:
    name, paths = files.name, (files.before, files.after)
    facts = [facts_of(path) for path in paths]
    sizes = [(each.width, each.height) for each in facts]
    if sizes[0] != sizes[1]:
        one, other = (f"{width} x {height}" for width, height in sizes)
        raise EditError(
            f"the pair '{name}' is {one} before and {other} after", files.before.parent, REMEDY
        )
    given = [
        read(path, each, reading.colour_space, reading.telling(path))
        for path, each in zip(paths, facts, strict=True)
    ]
    # Brighter than white: as plates have it where both know of it.
    soft = all(each.space.kind != "display" for each in given)
    before, after = (
        _squared(as_srgb(each, soft, reading.telling(path)), facts[0])
        for each, path in zip(given, paths, strict=True)
    )
    if min(before.shape[:2]) < PATCH:
        raise EditError(f"the pair '{name}' is smaller than {PATCH} pixels", files.before, REMEDY)
    codes = to_codes(before)
    faces = reading.detector.faces(codes)
    if len(faces) == 0:
        raise EditError(f"no performer is seen in the pair '{name}'", files.before, REMEDY)
    performer = reading.matte_maker.alone(codes)
    cover = performer
    if files.mask is not None:
        cover = read_mask(files.mask)
        if not _has_shape(cover, before, sizes[0]):
            raise EditError(
                f"the mask of the pair '{name}' has another shape than its pictures",
                files.mask,
                REMEDY,
            )
        if cover.shape != before.shape[:2]:
            cover = cv2.resize(cover, before.shape[1::-1], interpolation=cv2.INTER_AREA)
        if _mean(cover, performer) < _BESIDE * _mean(cover, 1 - performer):
            reading.telling(files.mask)(
                "the mask lies beside the performer; the look is learned where it is white"
            )
    for each, path in zip(given, paths, strict=True):
        if each.alpha is not None:
            cover = _opaque(cover, _squared(each.alpha, facts[0]), reading.telling(path))
    if float((cover > 0.5).mean()) < 1e-3:
        raise EditError(f"the mask of the pair '{name}' covers nothing", files.before, REMEDY)
    scale = float(faces[:, 2].max()) / _FACE
    return Pair(name, before, after, np.asarray(cover, np.float32), scale=scale)


def _squared(picture: np.ndarray, facts: ImageFacts) -> np.ndarray:
    """A picture whose pixels are as wide as high, as plates are worked on; at most as large."""
    aspect = float(facts.pixel_aspect)
    height, width = picture.shape[:2]
    size = (width, round(height / aspect)) if aspect > 1 else (round(width * aspect), height)
    if size == (width, height):
        return picture
    result: np.ndarray = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return result


def _has_shape(mask: np.ndarray, picture: np.ndarray, stored: tuple[int, int]) -> bool:
    """Whether a mask has the shape of a picture, or of its file, whose width and height are
    given."""
    aspect = mask.shape[1] / mask.shape[0]
    known = picture.shape[1] / picture.shape[0], stored[0] / stored[1]
    return any(1 / _ASPECT < aspect / each < _ASPECT for each in known)


def _opaque(cover: np.ndarray, alpha: np.ndarray, tell: Callable[[str], None]) -> np.ndarray:
    """Where a picture that is cut out shows something to learn from; an alpha that hides most of
    the performer is something else."""
    if _mean(alpha > 0.5, cover) < _CUT_OUT:
        tell("its alpha is not used; where the performer is, a mask tells")
        return cover
    tell("nothing is learned where it is transparent")
    result: np.ndarray = cover * alpha
    return result


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float((values * weights).sum() / max(float(weights.sum()), 1e-9))


def _unlike(pair: Pair) -> bool:
    """Whether something was changed in it."""
    inside = pair.cover > 0.5
    return bool(inside.any()) and float(np.abs(pair.after - pair.before)[inside].mean()) > LIKE


def _check_unlike(pairs: Sequence[Pair]) -> None:
    """Raises EditError if nothing was changed in any pair."""
    if any(_unlike(each) for each in pairs):
        return
    name = pairs[0].name if len(pairs) == 1 else "every pair"
    raise EditError(
        f"before and after are the same in {name}", "look", "give pairs that an edit has changed"
    )
