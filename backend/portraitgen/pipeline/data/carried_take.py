# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A take's paint, masks and acting, brought from one shot to another."""

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from ...body.model import BodyModel
from ...body.surface import Surface, carry
from ...bounded_json import parse_json
from ...editing.colour import LUMA
from ...editing.paint_layers import SURE, PaintedFrames
from ...errors import PortraitError, ShotError
from ...footage.crop import crop
from ...frames import spread
from ...images import save_png, to_float
from ...schema import Data
from ...shot import Shot
from ...storage import (
    file_digest,
    make_folder,
    move_folder,
    read_bytes,
    remove_file,
    remove_tree,
    write_bytes,
    write_json,
)
from .acting import FILE, Acting, load_acting
from .authors import Pictures, authors_of, name_acting, name_picture, painters
from .crops import painting_side
from .edit_mask import EditMask
from .shots import Track, body_of, plate_of

# Of how many frames the one is chosen that shows most of what was painted, and how large they are.
_CHOICES, _SMALL = 24, 96
_SHADE, _DARKEST, _BRIGHTEST = 0.05, 0.4, 2.5
# What lies beside what was carried, so that it is known from what was made here.
_MARK, _ACTING_MARK = "carried.json", "acting.carried.json"
_HELD = ("shape", "identity", "sculpted")


@dataclass(frozen=True)
class _Carried(Data):
    """What was carried, by the digest of its files."""

    digest: str


@dataclass(frozen=True)
class Place:
    """A shot, its latest track and its body."""

    shot: Shot
    track: Track
    body: BodyModel
    parts: EditMask

    @classmethod
    def of(cls, shot: Shot) -> "Place":
        """Reads them; raises ShotError without a track."""
        track, body = Track(shot), body_of(shot)
        return cls(shot, track, body, EditMask(body, track, ""))

    def surface(self, frame: int, side: int) -> Surface:
        """The body in a frame's window."""
        return self.parts.surface(frame, self.track.camera.window(self.track.box(frame), side))

    def window(self, frame: int, side: int) -> np.ndarray:
        """A frame's window, float32 (side, side, 3)."""
        with closing(plate_of(self.shot)) as plate:
            return to_float(crop(plate.read_uint8(frame), self.track.box(frame), side)[0])


def carry_painting(
    source: Place, target: Place, take: str, kind: str, tell: Callable[[str], None]
) -> int:
    """Lays a take's paint or mask on frames of another shot, where its body shows most of it.

    What was laid there before is laid anew; what somebody has painted there stays, and that is
    told. All of it comes at once: a run that is cut off leaves nothing half laid.

    Args:
        kind: "paint" or "mask", the folder in the take.
        tell: is told what could not be laid.

    Returns:
        How many frames were written.

    Raises:
        ShotError: if the bodies differ.
    """
    painted = PaintedFrames(source.shot.path / "takes" / take / kind)
    folder = target.shot.path / "takes" / take / kind
    there = PaintedFrames(folder)
    carried = bool(there.frames) and _marked(folder / _MARK) == there.digest()
    if there.frames and not carried:
        if painted.frames:
            tell(f"The {kind} that the take has in '{target.shot.path.name}' stays as it is.")
        return 0
    if painted.frames and source.body.sha256 != target.body.sha256:
        raise ShotError(
            f"its {kind} lies on another body than the shot was tracked with",
            target.shot.path,
            "use one body model for both",
        )
    laying, old = (folder.with_name(f".{kind}-{each}") for each in ("laying", "old"))
    for each in (laying, old):
        if os.path.lexists(each):
            remove_tree(each)
    choices = spread(target.track.tracked(target.track.frames), _CHOICES)
    used: dict[int, int] = {}
    for frame in painted.frames:
        if frame not in source.track.frames:
            tell(f"Frame {frame} of its {kind} is not tracked and was left out.")
            continue
        side = painting_side(source.track.box(frame))
        image, cover = painted.read(frame, side)
        surface = source.surface(frame, side)
        left = [each for each in choices if each not in used]
        shown = {each: _shown(cover, surface, target.surface(each, _SMALL)) for each in left}
        best = max(shown, key=lambda each: shown[each], default=None)
        if best is None or shown[best] <= 0:
            tell(f"No frame of '{target.shot.path.name}' shows where frame {frame} is painted.")
            continue
        used[best] = frame
        light = _light(source.window(frame, side))
        _lay(target, best, laying, np.dstack([image, cover, light]), surface, kind == "mask")
    if carried:
        move_folder(folder, old)
    if used:
        _mark(laying / _MARK, PaintedFrames(laying).digest())
        if folder.is_dir():
            # Files that are no painted frames stay.
            for each in sorted(laying.iterdir()):
                write_bytes(folder / each.name, each.read_bytes())
        else:
            move_folder(laying, folder)
    for each in (laying, old):
        if os.path.lexists(each):
            remove_tree(each)
    pictures: Pictures = "masks" if kind == "mask" else "paint"
    for best, frame in used.items():
        for name in painters(painted.folder.parent, pictures, [frame]):
            name_picture(folder.parent, pictures, best, name)
    return len(used)


def _mark(path: Path, digest: str) -> None:
    write_json(path, _Carried(digest).to_json())


def _marked(path: Path) -> str | None:
    """The digest of what was carried here; None if nothing was."""
    try:
        return _Carried.parse(parse_json(read_bytes(path, 1 << 12))).digest
    except (OSError, ValueError, PortraitError):
        return None


def _shown(cover: np.ndarray, painted: Surface, surface: Surface) -> float:
    """How much of what is painted a picture shows, as a share of its pixels."""
    carried, surety = carry(cover[..., None], painted, surface)
    return float((carried[..., 0] * np.clip(surety / SURE, 0, 1) * surety).mean())


def _lay(
    target: Place, frame: int, folder: Path, packed: np.ndarray, painted: Surface, mask: bool
) -> None:
    side = painting_side(target.track.box(frame))
    base = target.window(frame, side)
    packed = packed.copy()
    packed[..., :3] *= packed[..., 3:4]
    carried, surety = carry(packed, painted, target.surface(frame, side))
    cover = carried[..., 3]
    colour = carried[..., :3] / np.maximum(cover, 1e-3)[..., None]
    cover = (cover * np.clip(surety / SURE, 0, 1))[..., None]
    if mask:
        # Any colour will do that is not the plate's.
        colour = (base < 0.5).astype(np.float32)
    else:
        ratio = _light(base) / np.maximum(carried[..., 4], 0.02)
        colour = colour * np.clip(ratio, _DARKEST, _BRIGHTEST)[..., None]
    make_folder(folder)
    # What is read back is what was written: both as codes.
    save_png(folder / f"{frame:04d}.png", base + cover * (colour.clip(0, 1) - base))
    save_png(folder / f"{frame:04d}.base.png", base)


def _light(picture: np.ndarray) -> np.ndarray:
    """The brightness without its detail, (H, W)."""
    grey = (picture @ LUMA).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), _SHADE * grey.shape[0]), np.float32)


def carry_acting(source: Place, target: Place, take: str, tell: Callable[[str], None]) -> bool:
    """Lets a take of another shot act as it does here, from the first tracked frame on.

    What a person is (reshape, sculpt) holds to the shot's end; what they do ends with what was
    acted. What was carried there before gives way; acting that somebody has made there stays, and
    that is told.

    Returns:
        Whether acting was written.

    Raises:
        ShotError: if the bodies differ.
    """
    path = target.shot.path / "takes" / take / FILE
    given = source.shot.path / "takes" / take / FILE
    mark = path.with_name(_ACTING_MARK)
    if path.exists():
        if _marked(mark) != file_digest(path):
            if given.exists():
                tell(f"The acting that the take has in '{target.shot.path.name}' stays as it is.")
            return False
        if not given.exists():
            remove_file(path)
    if not given.exists():
        return False
    stored = load_acting(given, target.body)
    acting = stored.acting
    made = shifted(acting, source.track.tracked(source.track.frames), target)
    if len(made.frames) < len(acting.frames):
        tell(f"'{target.shot.path.name}' is shorter: the end of the acting is left out.")
    make_folder(path.parent)
    made.save(path, target.track, target.body, stored.performances)
    _mark(mark, file_digest(path))
    for name in authors_of(given.parent).acting:
        name_acting(path.parent, name, anew=False)
    return True


def shifted(acting: Acting, tracked: list[int], target: Place) -> Acting:
    """Acting as the target's frames have it.

    Args:
        tracked: the frames of the shot it comes from.
    """
    frames = target.track.tracked(target.track.frames)
    rows, held = [], []
    for frame in frames:
        row = acting.row(frame - frames[0] + tracked[0])
        beyond = row is None and frame - frames[0] + tracked[0] > tracked[-1]
        # Where nothing was acted a person is still reshaped as at the last frame that was.
        rows.append(len(acting.frames) - 1 if row is None else row)
        held.append((row is not None, beyond or row is not None))
    chosen = acting.rows(np.array(rows, np.int64))
    does, is_ = (np.array(each, np.float32) for each in zip(*held, strict=True))
    values = {}
    for name in ("pose", "expression", "transl", *_HELD):
        weight = is_ if name in _HELD else does
        each = getattr(chosen, name)
        values[name] = (each * weight.reshape(-1, *[1] * (each.ndim - 1))).astype(np.float32)
    kept = np.flatnonzero(is_ > 0)
    made = replace(chosen, frames=np.asarray(frames, np.int64), **values)
    return made.rows(kept)
