# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edited frames as image strips that grow while they arrive. Existing strips are never touched."""

import os
from pathlib import Path
from typing import Any

import bpy

from portraitgen.errors import PortraitError

from . import compat, take_layout, take_seams
from .plate_strip import PlateStrip

_LAST_FRAME = 1 << 20  # Blender has no later frame.
# What a strip carries, so that it is found again whatever it is called by then.
SHOT, TAKE, SETTINGS = "portraitgen_shot", "portraitgen_take", "portraitgen_settings"
VERSION = "portraitgen_render"
BY = "portraitgen_by"
"""By how many frames the piece of the plate was moved from the others that a take's strip lies on.
"""


def take_strips(scene: Any, shot_id: str, take: str) -> list[Any]:
    """The strips of a take; more than one where its rendered ranges leave gaps."""
    return [strip for strip in all_take_strips(scene, shot_id) if strip.get(TAKE) == take]


def all_take_strips(scene: Any, shot_id: str) -> list[Any]:
    """The strips of all takes of a shot, in meta strips too."""
    return [
        strip
        for strip, _ in compat.every_strip(scene)
        if strip.type == "IMAGE" and strip.get(SHOT) == shot_id and strip.get(TAKE) is not None
    ]


def grow(
    scene: Any,
    shot_id: str,
    take: str,
    name: str,
    path: Path,
    frame: int,
    *,
    above: int,
    colour_space: str,
    settings: str,
    version: int = 0,
    plate: PlateStrip | None = None,
) -> Any:
    """Shows one more finished frame, in a strip of the take or in a new one above the plate.

    A frame that strips hold already, as those of a take that was cut do, is read again in all of
    them; one that continues a strip lengthens it. A copy elsewhere in the edit stays as it is.

    Args:
        name: of a new strip.
        path: the frame's file.
        frame: the scene frame it belongs to.
        above: the channel of the plate's strip.
        colour_space: as Blender names it, empty for its own guess.
        settings: the take's, as JSON, for the strip to carry.
        version: of the render, for the strip to carry; frames of another that it shows stay until
            those of this one come.
        plate: where the plate's strip lies, whose look a new strip gets and whose meta strip it
            joins, each of them if the plate lies in several; None if the edit has lost it.

    Returns:
        The strip, the first of several.

    Raises:
        PortraitError: if there is no channel for a new strip.
    """
    number = number_of(path.name)
    groups: list[PlateStrip | None] = [*plate.groups] if plate is not None else [None]
    owner = None
    if plate is not None:
        owner = plate.group_of(frame - compat.file_start(plate.strip))
    places = [
        (strip, frame + _by(group) - compat.file_start(strip), group)
        for strip in take_strips(scene, shot_id, take)
        for group in groups
    ]
    held = [(strip, at, group) for strip, at, group in places if _holds(strip, at, number)]
    for strip, at, group in held:
        strip[SETTINGS], strip[VERSION] = settings, version
        _point_at(strip, path)
        strip.elements[at].filename = path.name
        _laid(strip, group)
    if held:
        return held[0][0]
    frame += _by(owner)
    before = None if number is None else number - 1
    grown = [
        strip
        for strip, at, group in places
        if group is owner
        and at == len(strip.elements)
        and _holds(strip, at - 1, before)
        # The left half of a Hold Split ends where it was split.
        and not compat.content_trim_end(strip)
    ]
    for strip in grown:
        # One whose end the artist has trimmed keeps its end.
        begin, end = compat.strip_range(strip)
        strip[SETTINGS], strip[VERSION] = settings, version
        _point_at(strip, path)
        if compat.content_trim(strip):
            # Blender would lose the pictures behind as many as the strip shows.
            compat.set_content_trim(strip, 0, 0)
        strip.elements.append(path.name)
        compat.set_length(strip, (end + 1 if end == frame else end) - begin)
        _laid(strip, owner)
        _hold(strip, plate, owner)
    if grown:
        return grown[0]
    made = []
    parts = owner.parts() if owner is not None else []
    homes = [(part.among, part.strip.channel) for part in parts[1:]]
    first_home = owner.among if owner is not None else compat.strips(scene, create=True)
    above = owner.strip.channel if owner is not None and _by(owner) else above
    for among, lowest in [(first_home, above), *homes]:
        channel = _free_channel(among, lowest + 1, frame, scene.name)
        strip = among.new_image(name=name, filepath=str(path), channel=channel, frame_start=frame)
        strip[SHOT], strip[TAKE], strip[SETTINGS] = shot_id, take, settings
        strip[VERSION], strip[BY] = version, _by(owner)
        if colour_space:
            strip.colorspace_settings.name = colour_space
        _point_at(strip, path)
        made.append(_laid(strip, owner))
    return made[0]


def _by(group: PlateStrip | None) -> int:
    return group.by if group is not None else 0


def first_frame(strip: Any, offset: int) -> int:
    """The footage frame of the first picture of a take's strip, as it lies.

    Args:
        offset: the shot's.
    """
    return int(compat.file_start(strip) - offset - strip.get(BY, 0))


def number_of(name: str) -> int | None:
    """The footage frame of a rendered picture, as its name tells it: TAKE.####.png."""
    digits = name.rsplit(".", 1)[0].rsplit(".", 1)[-1]
    return int(digits) if digits.lstrip("-").isdigit() else None


def _holds(strip: Any, at: int, number: int | None) -> bool:
    """Whether the picture at a place in a strip is that of a number."""
    within = 0 <= at < len(strip.elements)
    return within and number_of(strip.elements[at].filename) == number


def _laid(strip: Any, plate: PlateStrip | None) -> Any:
    part = plate.around(strip) if plate is not None else None
    if part is not None:
        take_layout.lay(part, strip)
    return strip


def _hold(strip: Any, plate: PlateStrip | None, group: PlateStrip | None) -> None:
    """Has a strip that has come to the end of its plate's frames hold the last, if that does."""
    part = group.around(strip) if group is not None else None
    if part is not None and plate is not None and group is not None:
        alike = take_strips(strip.id_data, strip[SHOT], strip[TAKE])
        take_seams.hold(part, strip, plate.others(group), alike)


def move_among(take: Any, plate: PlateStrip) -> Any:
    """Moves a take's strip to where its plate's lies: into its meta strip, or out of one.

    Returns:
        The strip, which may be another than before.

    Raises:
        PortraitError: if there is no channel for it.
    """
    scene = take.id_data
    metas = next(metas for strip, metas in compat.every_strip(scene) if strip == take)
    old = metas[-1].strips if metas else compat.strips(scene)
    if (cover := take_layout.cover_of(old, take)) is not None:
        old.remove(cover)
    begin, end = compat.strip_range(take)
    channel = take_layout.free_channel(plate.among, plate.strip.channel + 1, begin, end)
    if not channel:
        raise no_channel(plate.strip.name)
    names = [element.filename for element in take.elements]
    path = Path(bpy.path.abspath(take.directory)) / names[0]
    start = compat.file_start(take)
    # Blender's own way leads into a meta strip only; this one both ways.
    made = plate.among.new_image(
        name=take.name, filepath=str(path), channel=channel, frame_start=start
    )
    for name in names[1:]:
        made.elements.append(name)
    made.directory = take.directory
    compat.set_length(made, len(names))
    compat.set_content_trim(made, compat.content_trim(take), compat.content_trim_end(take))
    compat.trim(made, begin, end)
    for key in take.keys():
        if key not in (take_layout.LOOK, take_layout.MODIFIERS):
            made[key] = take[key]
    made.mute, made.color_tag = take.mute, take.color_tag
    made.colorspace_settings.name = take.colorspace_settings.name
    title = take.name
    old.remove(take)
    made.name = title
    return made


def _point_at(strip: Any, path: Path) -> None:
    """Points a strip at the folder of a file; what it shows from another folder it shows still."""
    directory = directory_of(path.parent)
    if strip.directory == directory:
        return
    old, new = bpy.path.abspath(strip.directory), str(path.parent)
    strip.directory = directory
    if os.path.normpath(old) == os.path.normpath(new):
        return
    for element in strip.elements:
        file = os.path.normpath(os.path.join(old, element.filename))
        there = os.path.join(new, os.path.basename(file))
        gone = os.path.exists(there) or not os.path.exists(file)
        element.filename = os.path.basename(file) if gone else _from_folder(file, new)


def _from_folder(file: str, folder: str) -> str:
    """A file as an element of a strip in another folder names it."""
    try:
        return os.path.relpath(file, folder)
    except ValueError:
        return os.path.basename(file)  # On another drive: it cannot be named.


def shows_others(strip: Any) -> list[int]:
    """The places in a strip whose pictures lie in another folder, of another version."""
    return [at for at, each in enumerate(strip.elements) if os.path.dirname(each.filename)]


def directory_of(folder: Path) -> str:
    """A folder as strips name it: relative to the file once that is saved, so that both move."""
    text = str(folder) + os.sep
    if not bpy.data.filepath:
        return text
    try:
        # Which drops the separator at the end, and calls the file's own folder "//.".
        near = bpy.path.relpath(text)
    except ValueError:
        return text  # On another drive of a Windows machine.
    return "//" if near == "//." else near + os.sep


def _free_channel(among: Any, lowest: int, frame: int, place: str) -> int:
    """The lowest channel, from `lowest` on, with nothing from `frame` on."""
    channel = take_layout.free_channel(among, lowest, frame, _LAST_FRAME)
    if not channel:
        raise no_channel(place)
    return channel


def no_channel(place: str) -> PortraitError:
    """What is raised where there is no channel for a take's strip."""
    return PortraitError(
        "every channel above the plate is taken", place, "free a channel and render again"
    )
