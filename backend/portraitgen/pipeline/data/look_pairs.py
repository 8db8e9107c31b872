# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs that a look learns from: a take's key frames, or a folder of before and after."""

import dataclasses
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ...editing.looks.alignment import misplacement
from ...editing.looks.guides import normals, places
from ...editing.looks.learning import PATCH, Pair
from ...errors import EditError, FootageError
from ...footage import colour
from ...footage.colour_arithmetic import srgb_encode
from ...footage.file_kind import opens_as_image
from ...footage.image import read_facts, read_image
from ...footage.matte import MatteMaker, foreground_colours
from ...footage.plate_colours import image_space
from ...images import read_codes, to_codes, to_float
from ...shot import Shot
from ...tracking.landmarks import LandmarkDetector
from ..run.progress import Reporter
from .crops import load_crops
from .edit_mask import EditMask
from .key_frames import KeptKeys, edited_key
from .shots import Track, body_of

MOST = 30
_LARGEST_SIDE, _WORKING_SIDE = 16384, 1024
_ALIKE = 1.5 / 255
# The share of a picture's pixels that may be cut off without a word.
_LOST = 1e-3
_AS_THEY_ARE = ("sRGB", "Rec.709")
# As far as rounding of small sizes goes.
_ASPECT = 1.05
_WORDS = {
    "before": ("before", "source", "input", "in", "a"),
    "after": ("after", "target", "output", "out", "b"),
    "mask": ("mask", "masks", "matte"),
}
_SYSTEMS_OWN = ("thumbs.db", "desktop.ini")
_REMEDY = "repair the pair, or take it out of the folder"


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


def pairs_in_folder(folder: Path, reporter: Reporter) -> list[Pair]:
    """Before and after pictures by name, with masks if there are any.

    They lie in the subfolders before and after (and mask) under the same names, or side by side as
    NAME.before.png, NAME.after.png and NAME.mask.png. Without a mask the performer is found.

    Raises:
        EditError: if a pair cannot be learned from; says which, and why.
    """
    files = {part: _files(folder, part) for part in _WORDS}
    _tell_left_out(folder, files, reporter)
    before, after, masks = files.values()
    names = sorted({*before, *after})
    if not names:
        raise EditError(
            "there are no pairs in the folder",
            folder,
            "put pictures of the same names into its subfolders 'before' and 'after'",
        )
    for name in names:
        for part in ("before", "after"):
            if name not in files[part]:
                raise EditError(f"the pair '{name}' has no picture {part}", folder, _REMEDY)
    for name in masks:
        if name not in names:
            raise EditError(
                f"the mask '{name}' belongs to no pair", masks[name], "name it as its pair"
            )
    if len(names) > MOST:
        raise EditError(
            f"there are {len(names)} pairs", folder, f"leave the {MOST} that show most of the look"
        )
    matte_maker, detector = MatteMaker(), LandmarkDetector()
    pairs = []
    for name in names:
        reporter.check()
        given = before[name], after[name], masks.get(name)
        pairs.append(_pair(name, *given, matte_maker, detector, reporter))
    _check_unlike(pairs)
    for each in pairs:
        if not _unlike(each):
            reporter.note(
                f"Before and after are the same in '{each.name}': there the look learns to change"
                " nothing."
            )
        elif beside := misplacement(each):
            reporter.note(
                f"After {beside} in '{each.name}': a look learns what changes at a place and not"
                " what moves, and will be soft; lay the pictures over each other."
            )
    return pairs


def _files(folder: Path, part: str) -> dict[str, Path]:
    """The pictures of a part of the pairs, by the pairs' names."""
    found: dict[str, Path] = {}
    if not folder.is_dir():
        raise EditError("there is no such folder", folder, "give the folder of the pairs")
    words = _WORDS[part]

    def add(name: str, path: Path) -> None:
        # One name is written in two ways on Macs and elsewhere.
        name = unicodedata.normalize("NFC", name)
        if name in found:
            raise EditError(
                f"the pair '{name}' has two pictures {part} ({found[name].name}, {path.name})",
                folder,
                "leave one of them",
            )
        found[name] = path

    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and entry.name.lower() in words:
            for path in sorted(entry.iterdir()):
                if opens_as_image(path):
                    add(path.stem, path)
        elif opens_as_image(entry):
            match = re.fullmatch(rf"(.+)[._-](?:{'|'.join(words)})", entry.stem, re.IGNORECASE)
            if match:
                add(match[1], entry)
    return found


def _tell_left_out(
    folder: Path, files: Mapping[str, Mapping[str, Path]], reporter: Reporter
) -> None:
    """Tells of what lies beside the pairs and is no part of any."""
    used = {path for each in files.values() for path in each.values()}
    words = {word for each in _WORDS.values() for word in each}
    left = []
    for entry in _shown(folder):
        if not entry.is_dir():
            left += [entry.name] if opens_as_image(entry) and entry not in used else []
        elif entry.name.lower() in words:
            left += [f"{entry.name}/{path.name}" for path in _shown(entry) if path not in used]
        elif _shown(entry):
            left.append(f"{entry.name}/")
    if used and left:
        reporter.note(
            f"Left out: {', '.join(left[:5])}{' and more' if len(left) > 5 else ''}. Pictures of"
            " pairs lie in the subfolders before, after and mask, no deeper, or say in their names"
            " which they are."
        )


def _shown(folder: Path) -> list[Path]:
    """What file browsers show of a folder."""
    return [
        each
        for each in sorted(folder.iterdir())
        if not each.name.startswith(".") and each.name.lower() not in _SYSTEMS_OWN
    ]


def _pair(
    name: str,
    before_path: Path,
    after_path: Path,
    mask_path: Path | None,
    matte_maker: MatteMaker,
    detector: LandmarkDetector,
    reporter: Reporter,
) -> Pair:
    sizes = [_size(path) for path in (before_path, after_path)]
    if sizes[0] != sizes[1]:
        one, other = (f"{width} x {height}" for width, height in sizes)
        raise EditError(
            f"the pair '{name}' is {one} before and {other} after", before_path.parent, _REMEDY
        )

    def telling(path: Path) -> Callable[[str], None]:
        return lambda note: reporter.note(f"{path.name}: {note}.")

    given = [_read(path, telling(path)) for path in (before_path, after_path)]
    alpha, other_alpha = (each.alpha for each in given)
    # Brighter than white: as plates have it where both know of it.
    soft = all(each.space.kind != "display" for each in given)
    before, after = (
        _as_srgb(each, soft, telling(path))
        for each, path in zip(given, (before_path, after_path), strict=True)
    )
    for part, opaque in (("before", alpha), ("after", other_alpha)):
        if opaque is not None:
            reporter.note(
                f"The alpha of '{name}' {part} is not used; where the performer is, a mask tells."
            )
    if min(before.shape[:2]) < PATCH:
        raise EditError(f"the pair '{name}' is smaller than {PATCH} pixels", before_path, _REMEDY)
    codes = to_codes(before)
    if len(detector.faces(codes)) == 0:
        raise EditError(f"no performer is seen in the pair '{name}'", before_path, _REMEDY)
    if mask_path is not None:
        drawn, alpha = _drawn(mask_path)
        cover: np.ndarray = drawn.mean(-1) if alpha is None else drawn.mean(-1) * alpha
        if cover.shape != before.shape[:2]:
            across, down = (
                one / other for one, other in zip(cover.shape, before.shape[:2], strict=True)
            )
            if not 1 / _ASPECT < across / down < _ASPECT:
                raise EditError(
                    f"the mask of the pair '{name}' has another shape than its pictures",
                    mask_path,
                    _REMEDY,
                )
            cover = cv2.resize(cover, before.shape[1::-1], interpolation=cv2.INTER_AREA)
    else:
        cover = matte_maker.alone(codes)
    if float((cover > 0.5).mean()) < 1e-3:
        raise EditError(f"the mask of the pair '{name}' covers nothing", before_path, _REMEDY)
    return Pair(name, before, after, np.asarray(cover, np.float32))


def _size(path: Path) -> tuple[int, int]:
    """Width and height from the header alone."""
    try:
        facts = read_facts(path)
    except FootageError as error:
        raise EditError(f"a picture cannot be read ({error.message})", path, _REMEDY) from None
    if max(facts.width, facts.height) > _LARGEST_SIDE:
        raise EditError(
            f"the picture is {facts.width} x {facts.height}",
            path,
            f"give one of at most {_LARGEST_SIDE} pixels a side",
        )
    return facts.width, facts.height


@dataclass(frozen=True)
class _Read:
    """A picture of a pair in its own space, float32 (H, W, 3), at most 1024 pixels a side unless
    its values are floats, and its alpha (H, W), None where that is opaque throughout."""

    picture: np.ndarray
    space: colour.ColourSpace
    alpha: np.ndarray | None


def _read(path: Path, tell: Callable[[str], None]) -> _Read:
    """A picture and what it says of its colours, which `tell` takes notes on."""
    notes: list[str] = []
    try:
        facts = read_facts(path)
        frame = read_image(path, lean=True)
        space = image_space(None, facts, notes, path)
    except FootageError as error:
        raise EditError(f"a picture cannot be read ({error.message})", path, _REMEDY) from None
    for note in notes:
        tell(note)
    names, floats = [each.lower() for each in frame.channels], frame.pixels.dtype.kind == "f"
    if floats and np.isnan(frame.pixels).any():
        raise EditError("the picture holds pixels that are no numbers", path, _REMEDY)
    if not floats:
        frame = dataclasses.replace(frame, pixels=_at_most(frame.pixels, _WORKING_SIDE))
    picture = frame.encoded()
    alpha = _as_float(frame.pixels[..., names.index("a")]) if "a" in names else None
    if floats and alpha is not None:
        # Floats are multiplied by their alpha.
        picture = picture / np.maximum(alpha, 1e-3)[..., None]
    if alpha is not None and alpha.min() > 1 - _ALIKE:
        alpha = None
    elif alpha is not None:
        alpha = _at_most(alpha, _WORKING_SIDE)
    return _Read(picture, space, alpha)


def _as_srgb(read: _Read, soft: bool, tell: Callable[[str], None]) -> np.ndarray:
    """A picture as shots' pictures are worked on, float32 (H, W, 3) as sRGB 0..1, at most 1024
    pixels a side.

    Args:
        soft: what is brighter than white is kept apart, as in plates that are scene-linear.
        tell: takes a note on what is lost.
    """
    shown = read.picture
    beyond = np.zeros(shown.shape[:2], bool)
    if read.space.kind != "display" and soft:
        beyond = colour.to_rec709(shown, read.space).max(-1) > colour.HIGHLIGHT
        shown = colour.to_display(shown, read.space)
    elif read.space.name not in _AS_THEY_ARE:
        shown = srgb_encode(colour.to_rec709(shown, read.space))
    beyond |= (shown.max(-1) > 1 + _ALIKE) | (shown.min(-1) < -_ALIKE)
    lost = float(beyond.mean())
    if lost > _LOST:
        tell(
            f"{100 * lost:.2g} % of its pixels are brighter or more colourful than a look can hold,"
            " and are cut off there"
        )
    return np.ascontiguousarray(_at_most(shown.clip(0, 1), _WORKING_SIDE), np.float32)


def _drawn(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """A mask's values as they are, float32 (H, W, 3) 0..1, and its alpha."""
    try:
        frame = read_image(path, lean=True)
    except FootageError as error:
        raise EditError(f"a picture cannot be read ({error.message})", path, _REMEDY) from None
    names = [each.lower() for each in frame.channels]
    alpha = _as_float(frame.pixels[..., names.index("a")]) if "a" in names else None
    return _at_most(_as_float(frame.encoded()), _WORKING_SIDE), alpha


def _at_most(pixels: np.ndarray, side: int) -> np.ndarray:
    """A picture (H, W) or (H, W, C) of so many pixels a side at most."""
    share = side / max(pixels.shape[:2])
    if share >= 1:
        return pixels
    size = round(pixels.shape[1] * share), round(pixels.shape[0] * share)
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return small.reshape(*small.shape[:2], *pixels.shape[2:])


def _as_float(pixels: np.ndarray) -> np.ndarray:
    """Codes, or floats of any size, as float32 0..1."""
    if pixels.dtype.kind == "u":
        return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    found: np.ndarray = np.nan_to_num(pixels.astype(np.float32)).clip(0, 1)
    return found


def _unlike(pair: Pair) -> bool:
    """Whether something was changed in it."""
    inside = pair.cover > 0.5
    return bool(inside.any()) and float(np.abs(pair.after - pair.before)[inside].mean()) > _ALIKE


def _check_unlike(pairs: Sequence[Pair]) -> None:
    """Raises EditError if nothing was changed in any pair."""
    if any(_unlike(each) for each in pairs):
        return
    name = pairs[0].name if len(pairs) == 1 else "every pair"
    raise EditError(
        f"before and after are the same in {name}", "look", "give pairs that an edit has changed"
    )
