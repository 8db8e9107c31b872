# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A strip of the edit as a shot's plate: which one it is, and what it shows of its file."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bpy

from portraitgen.errors import FootageError

from . import compat

MARK = "portraitgen_plate"
"""The property by which a strip is known as a shot's plate, whatever it is called by then: the ids
of its shots, of which there are several where several people of it are shots of their own."""
PIECES = "portraitgen_pieces"
"""What a take's strip carries: the names of the strips of its plate that it lies on."""
_NUMBER = "portraitgen_number"
"""What a photo's strip carries: the number by which its shot knows the one frame."""
# Blender's own reading of a movie's rate is this exact.
_SAME_RATE = 2e-3


@dataclass(frozen=True)
class StripFootage:
    """A strip's footage.

    Attributes:
        path: the movie, or one image of the sequence.
        kind: "movie", "sequence" or, of a strip of one image, "still".
        first, last: the footage frames that the trimmed strip shows, with those that pieces of it
            show elsewhere; a movie counts from 1.
        offset: scene frame minus footage frame of what was not moved from the first piece.
        fps: frames a second, numerator and denominator.
        colour_space: as Blender names it.
        channel: the strip's.
    """

    path: Path
    kind: str
    first: int
    last: int
    offset: int
    fps: tuple[int, int]
    colour_space: str
    channel: int


@dataclass(frozen=True)
class PlateStrip:
    """Where a shot's plate lies in an edit.

    Attributes:
        strip: the strip; one of them where the plate was cut in pieces.
        metas: the meta strips that it lies in, the outermost first.
        places: all strips of the plate that lie as the first does, itself included, each with its
            meta strips: Blender's Split of a meta strip makes two of what lies in it.
        elsewhere: the names of its copies: pieces that lie elsewhere and show what others do.
        moved: pieces with frames of their own that were moved away from the first, as by a ripple
            delete, together where they lie alike.
        by: by how many frames these were moved.
    """

    strip: Any
    metas: tuple[Any, ...]
    places: tuple[tuple[Any, tuple[Any, ...]], ...]
    elsewhere: tuple[str, ...] = ()
    moved: tuple["PlateStrip", ...] = ()
    by: int = 0

    @property
    def groups(self) -> list["PlateStrip"]:
        """The pieces that lie as the first does, then those that were moved away from it."""
        return [self, *self.moved]

    def others(self, group: "PlateStrip") -> list[Any]:
        """The pieces that do not lie as those of a group do."""
        return [piece for each in self.groups if each.by != group.by for piece in each.pieces]

    def group_of(self, frame: int) -> "PlateStrip":
        """The pieces among which one plays a frame of the file, counted from 0; those that were not
        moved where none does."""
        for group in self.moved:
            if any(first <= frame < end for first, end in group.frames()):
                return group
        return self

    def frames(self) -> list[tuple[int, int]]:
        """The frames of the file that each piece plays, counted from 0, the end excluded."""
        return [_file_range(piece, metas) for piece, metas in self.places]

    @property
    def pieces(self) -> list[Any]:
        """The strips of the plate that lie as the first does, itself included."""
        return [piece for piece, _ in self.places]

    @property
    def among(self) -> Any:
        """The strips that the plate is one of: its meta strip's, or its scene's."""
        return self.metas[-1].strips if self.metas else compat.strips(self.strip.id_data)

    def parts(self) -> list["PlateStrip"]:
        """The plate by the meta strips in which its pieces lie, the first piece's first."""
        found: dict[str, list[tuple[Any, tuple[Any, ...]]]] = {}
        for piece, metas in ((self.strip, self.metas), *self.places):
            group = found.setdefault(metas[-1].name if metas else "", [])
            if not any(piece == each for each, _ in group):
                group.append((piece, metas))
        return [
            replace(self, strip=group[0][0], metas=group[0][1], places=tuple(group))
            for group in found.values()
        ]

    def around(self, strip: Any) -> "PlateStrip | None":
        """The part of the plate in whose meta strip, or scene, a strip lies; None for none."""
        for part in self.parts():
            if any(strip == each for each in part.among):
                return part
        return None

    def under(self, strip: Any) -> Any:
        """The piece of this part of the plate that most of another strip lies on."""
        if len(self.places) == 1:
            return self.strip
        begin, end = compat.strip_range(strip)

        def shared(piece: Any) -> tuple[int, bool, int]:
            first, after = compat.strip_range(piece)
            # Of pieces that lie over one another, the topmost is seen.
            return max(0, min(end, after) - max(begin, first)), not piece.mute, piece.channel

        return max([self.strip, *self.pieces], key=shared)

    def lowest_over(self, strip: Any) -> int:
        """The lowest channel on which nothing of this part of the plate hides another strip."""
        begin, end = compat.strip_range(strip)
        ranges = [(piece.channel, *compat.strip_range(piece)) for piece in self.pieces]
        return 1 + max(
            [self.under(strip).channel]
            + [channel for channel, first, after in ranges if first < end and after > begin]
        )


def find(shot: Any, scene: Any) -> PlateStrip | None:
    """The strip of a shot's plate, None if the edit has lost it.

    It is known by its mark; in files of earlier versions by its name.
    """
    every = list(compat.every_strip(scene))
    marked = [(strip, metas) for strip, metas in every if shot.shot_id in shots_of(strip)]
    if not marked:
        marked = [
            (strip, metas)
            for strip, metas in every
            if strip.name == shot.strip and strip.type in ("MOVIE", "IMAGE") and not strip.get(MARK)
        ]
    if not marked:
        return None
    marked.sort(key=lambda each: (each[0].name != shot.strip, compat.strip_range(each[0])[0]))
    main, metas = marked[0]
    start = _numbered_from(main)
    alike = tuple(each for each in marked if _numbered_from(each[0]) == start)
    known = [_file_range(*each) for each in alike]
    moved: dict[int, list[tuple[Any, tuple[Any, ...]]]] = {}
    twice = []
    # Copies have the later names.
    for each in sorted(marked, key=lambda each: str(each[0].name)):
        if (by := _numbered_from(each[0]) - start) == 0:
            continue
        first, end = _file_range(*each)
        if _is_photo(each[0]) or _within(first, end, known):
            twice.append((by, each))
            continue
        known.append((first, end))
        moved.setdefault(by, []).append(each)
    followed = {name for strip, _ in every for name in strip.get(PIECES, ())}
    copies = []
    for by, each in twice:
        if not _is_photo(each[0]) and (by in moved or each[0].name in followed):
            moved.setdefault(by, []).append(each)
        else:
            copies.append(each[0].name)
    groups = [PlateStrip(*each[0], tuple(each), by=by) for by, each in sorted(moved.items())]
    return PlateStrip(main, metas, alike, tuple(copies), tuple(groups))


def shots_of(strip: Any) -> list[str]:
    """The ids of the shots whose plate a strip is."""
    return str(strip.get(MARK, "")).split()


def _is_photo(strip: Any) -> bool:
    return strip.type == "IMAGE" and len(strip.elements) == 1


def _within(first: int, end: int, ranges: list[tuple[int, int]]) -> bool:
    """Whether ranges hold all from a frame up to, not including, another."""
    for begin, after in sorted(ranges):
        if begin <= first < after:
            first = after
    return first >= end


def is_muted(strip: Any, metas: tuple[Any, ...]) -> bool:
    """Whether a strip, one of the meta strips it lies in, or its channel is muted."""
    if strip.mute or any(meta.mute for meta in metas):
        return True
    channels = metas[-1].channels if metas else strip.id_data.sequence_editor.channels
    return bool(channels[strip.channel].mute)


def every_piece(shot: Any, scene: Any) -> list[Any]:
    """All strips that are known as a shot's plate, moved ones and copies too."""
    return [strip for strip, _ in compat.every_strip(scene) if shot.shot_id in shots_of(strip)]


def claim(plate: PlateStrip, shot: Any) -> None:
    """Marks a strip as a shot's plate. It stays that of other shots whose whole plate it is; a
    piece of one, such as a part that was split off or a copy, is so no longer."""
    strip, scene = plate.strip, plate.strip.id_data
    known = shots_of(strip)
    if shot.shot_id in known:
        return
    whole = []
    for other in scene.portraitgen.shots:
        if other.shot_id in known:
            place = find(other, scene)
            if place is not None and place.strip == strip and len(place.pieces) == 1:
                whole.append(other.shot_id)
    strip[MARK] = " ".join([*whole, shot.shot_id])


def _numbered_from(strip: Any) -> int:
    """The scene frame of the first frame of a strip's file."""
    return compat.file_start(strip)


def played(plate: PlateStrip) -> tuple[int, int]:
    """The first scene frame on which a plate plays, and the one after its last: beyond its content
    a strip holds the first or the last frame. Pieces that were moved are left out."""
    return _outer([_played(*each) for each in plate.places])


def _played(strip: Any, metas: tuple[Any, ...]) -> tuple[int, int]:
    (begin, end), (first, after) = _clipped(strip, metas), compat.played_range(strip)
    return max(begin, first), min(end, after)


def _file_range(strip: Any, metas: tuple[Any, ...]) -> tuple[int, int]:
    """The frames of its file that a strip plays, counted from 0, the end excluded."""
    begin, end = _played(strip, metas)
    return begin - _numbered_from(strip), end - _numbered_from(strip)


def _outer(ranges: list[tuple[int, int]]) -> tuple[int, int]:
    """From where to where ranges go, the empty ones left out if there are others."""
    seen = [each for each in ranges if each[0] < each[1]] or ranges
    return min(each[0] for each in seen), max(each[1] for each in seen)


def _clipped(strip: Any, metas: tuple[Any, ...]) -> tuple[int, int]:
    """What of a strip's range its meta strips show."""
    begin, end = compat.strip_range(strip)
    for meta in metas:
        first, after = compat.strip_range(meta)
        begin, end = max(begin, first), min(end, after)
    return begin, end


def whereabouts(strip: Any, scene: Any) -> PlateStrip:
    """A strip by itself, with the meta strips it lies in."""
    metas = next((metas for each, metas in compat.every_strip(scene) if each == strip), ())
    return PlateStrip(strip, metas, ((strip, metas),))


def footage_of(strip: Any, scene: Any, plate: PlateStrip | None = None) -> StripFootage:
    """Reads a movie or image strip.

    Args:
        plate: where it lies, if that is known.

    Raises:
        FootageError: if the strip cannot be a shot's plate; says why.
    """
    if strip.type not in ("MOVIE", "IMAGE"):
        raise FootageError(
            "only movie and image strips hold a plate", strip.name, "select one of those"
        )
    plate = plate or whereabouts(strip, scene)
    for each in (strip, *plate.metas):
        check_plays_straight(each, scene)
    begin, end = _played(strip, plate.metas)
    fps = rate_of(scene)
    trim = compat.content_trim(strip)
    content = compat.content_start(strip)
    if strip.type == "MOVIE":
        path = Path(bpy.path.abspath(strip.filepath))
        _check_rate(strip, fps)
        kind, number = "movie", 1 + trim
    else:
        path, number = _first_image(strip)
        kind = "sequence"
        if len(strip.elements) == 1:
            # A photo is one frame, wherever its strip begins and however long that holds it.
            kind, content, end = "still", begin, min(begin + 1, end)
        else:
            number += trim
    if not path.exists():
        raise FootageError("the strip's file is missing", path, "press Relink Plate")
    ranges = [(begin, end)]
    for piece, metas in plate.places[1:] if kind != "still" else ():
        if not any(map(_is_retimed, (piece, *metas))):
            ranges.append(_played(piece, metas))
    for group in plate.moved:
        for piece, metas in group.places:
            if not any(map(_is_retimed, (piece, *metas))):
                first, after = _played(piece, metas)
                ranges.append((first - group.by, after - group.by))
    begin, end = _outer(ranges)
    if begin >= end:
        raise FootageError(
            "the strip shows nothing of its file", strip.name, "lengthen it, or its meta strip"
        )
    offset = content - number
    return StripFootage(
        path,
        kind,
        begin - offset,
        end - 1 - offset,
        offset,
        fps,
        strip.colorspace_settings.name,
        strip.channel,
    )


def check_plays_straight(strip: Any, scene: Any) -> None:
    """Whether each frame of the scene is the next frame of a strip's file.

    Raises:
        FootageError: if it is not; says what to do.
    """
    if getattr(strip, "use_reverse_frames", False):
        raise FootageError(
            f"the {_kind(strip)} plays backwards", strip.name, "turn Reverse Frames off"
        )
    if _is_retimed(strip):
        raise FootageError(
            f"the {_kind(strip)} is retimed",
            strip.name,
            "remove its retiming keys, edit the performer first and retime plate and take together",
        )
    if strip.strobe > 1:
        raise FootageError(f"the {_kind(strip)} holds frames", strip.name, "set its Strobe to 1")
    for other, _ in compat.every_strip(scene):
        if other.type == "SPEED" and strip in (other.input_1, getattr(other, "input_2", None)):
            raise FootageError(
                f"the Speed effect '{other.name}' plays the {_kind(strip)} at another speed",
                strip.name,
                "delete the effect, edit the performer first and put the effect on the take",
            )


def _is_retimed(strip: Any) -> bool:
    if strip.type != "META":
        return bool(getattr(strip, "retiming_keys", None))
    # Python is not told of a meta strip's keys; that it is longer or shorter than what lies in it
    # gives them away. One that a script has made has no length of its own in Blender 4.5.
    ranges = [compat.strip_range(each) for each in strip.strips]
    held = max(end for _, end in ranges) - min(begin for begin, _ in ranges) if ranges else 0
    return compat.content_length(strip) > 1 and held > 1 and compat.content_length(strip) != held


def _kind(strip: Any) -> str:
    return "meta strip" if strip.type == "META" else "strip"


def _check_rate(strip: Any, fps: tuple[int, int]) -> None:
    own, rate = float(strip.fps), fps[0] / fps[1]
    if own and abs(own / rate - 1) > _SAME_RATE:
        raise FootageError(
            f"the movie runs at {own:g} frames a second, the scene at {rate:g}",
            strip.name,
            "set the scene's frame rate to the movie's, so that each frame shows once, or make the "
            "shot in a scene of its own at that rate and put that scene into this edit as a strip",
        )


def check_probed_rate(name: str, own: float, fps: tuple[int, int], probed: float) -> None:
    """Whether a movie's own frames come as often as its strip shows them.

    Blender takes a movie of varying frame rate, as phones make, for one of a fixed rate, often one
    it never has.

    Args:
        name, own: the strip's, and the rate at which Blender takes its movie to run.
        fps: the scene's.
        probed: frames a second that the backend has counted.

    Raises:
        FootageError: if they do not; says what to do.
    """
    if abs(probed / (fps[0] / fps[1]) - 1) > _SAME_RATE:
        raise FootageError(
            f"the movie has {probed:.5g} frames a second and Blender plays it at {own:g}, so a "
            "frame of the strip is not the same frame of the file",
            name,
            "convert the movie to a constant frame rate, or to an image sequence, first",
        )


def rate_of(scene: Any) -> tuple[int, int]:
    """The scene's rate as a fraction: 24 and 1.001 are 24000/1001."""
    render = scene.render
    base = round(render.fps_base * 1000)
    return (render.fps, 1) if base == 1000 else (render.fps * 1000, base)


def file_of(strip: Any) -> Path:
    """The movie or the first image of a strip, whether it is there or not."""
    if strip.type == "MOVIE":
        return Path(bpy.path.abspath(strip.filepath))
    name = strip.elements[0].filename if strip.elements else ""
    return Path(bpy.path.abspath(strip.directory)) / name


def _first_image(strip: Any) -> tuple[Path, int]:
    folder = Path(bpy.path.abspath(strip.directory))
    names = [element.filename for element in strip.elements]
    numbers = [number_of(name) for name in names]
    first = numbers[0] if numbers else None
    if len(names) == 1:
        return folder / names[0], int(strip.get(_NUMBER, 1 if first is None else first))
    if first is None or None in numbers:
        raise FootageError(
            "its files have no numbers",
            strip.name,
            "select a movie, a numbered image sequence or a single image",
        )
    if numbers != list(range(first, first + len(numbers))):
        raise FootageError(
            "its files do not follow one another", strip.name, "add the sequence without gaps"
        )
    return folder / names[0], first


def number_photo(strip: Any, first: object, last: object) -> None:
    """Has a strip of one image count its frame as the shot does, which may read its name otherwise.

    Args:
        first, last: the frames of the shot's plate.
    """
    if strip.type == "IMAGE" and len(strip.elements) == 1 and first == last:
        strip[_NUMBER] = first


def number_of(name: str) -> int | None:
    """The frame number at the end of a file's name."""
    stem = os.path.splitext(name)[0]
    digits = stem[len(stem.rstrip("0123456789")) :]
    return int(digits) if digits else None
