# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches edit and shot folders from the timer: takes follow their plate, panels say what differs.

Handlers only note that something has changed; the timer looks, so that neither drawing nor the
artist's own steps wait. What is found is kept here and drawn from here.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import bpy

from portraitgen.errors import PortraitError

from . import (
    camera,
    compat,
    file_marks,
    plate_strip,
    queue_runner,
    sequencer,
    shot_summary,
    shot_time,
    splats,
    strip_sync,
    take_layout,
    take_places,
)
from .plate_strip import PlateStrip
from .session import session
from .take_settings import adopt_takes

_EVERY = 1.0
"""Seconds between looks at the shot folders, more where a look takes long, as over a network."""
_PATIENCE = 50
_REST = 20
"""How much longer than a look at the edit takes the next one waits."""


@dataclass(frozen=True)
class Notice:
    """What a panel says of a shot that is not as it should be.

    Attributes:
        text: the sentence.
        operator, label, options: the button that mends it; no operator where only words help.
    """

    text: str
    operator: str = ""
    label: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ShownRender:
    """What a take's strips show.

    Attributes:
        version: of its render; 0 for frames from before renders had versions.
        mixed: whether some frames are of another version.
    """

    version: int
    mixed: bool


_DRAGGING = (
    "TRANSFORM_OT",
    "SEQUENCER_OT",
    "WM_OT_drag",
    "POSE_OT",
    "SCULPT_OT",
    "PAINT_OT",
    "PORTRAITGEN_OT_pin",
)


class _State:
    """What is known since the last look."""

    def __init__(self) -> None:
        self.changed = True
        self.notices: dict[tuple[str, str], tuple[Notice, ...]] = {}
        self.folders: dict[tuple[str, str], tuple[object, ...]] = {}
        # The versions of renders that came last, and what strips show, by shot and take.
        self.rendered: dict[tuple[str, str, str], int] = {}
        self.shown: dict[tuple[str, str], dict[str, ShownRender]] = {}
        # Plates and the files of their strips, and whether they were there at the last look.
        self.files: dict[tuple[str, str], dict[Path, bool]] = {}
        self.next_folders = 0.0
        self.next_look = 0.0
        self.longest = 0.0


_state = _State()


def notices(shot: Any) -> tuple[Notice, ...]:
    """What is to be said of a shot; costs nothing, for panels that are drawn many times."""
    return _state.notices.get(_key(shot), ())


def shown_render(shot: Any, take: Any) -> ShownRender | None:
    """What the strips of a take show, None if it has none; costs as little as `notices`."""
    known = _state.shown.get(_key(shot), {}) if file_marks.watched else _shown(shot)
    return known.get(take.folder_name)


def _shown(shot: Any) -> dict[str, ShownRender]:
    found: dict[str, ShownRender] = {}
    for strip in sequencer.all_take_strips(shot.id_data, shot.shot_id):
        name, mixed = strip[sequencer.TAKE], bool(sequencer.shows_others(strip))
        if name in found:
            found[name] = replace(found[name], mixed=found[name].mixed or mixed)
        else:
            found[name] = ShownRender(int(strip.get(sequencer.VERSION, 0)), mixed)
    return found


def _key(shot: Any) -> tuple[str, str]:
    """What a shot is known by: a copied scene has a copy of it, with strips of its own."""
    return shot.id_data.name_full, shot.shot_id


def forget() -> None:
    """Lets the next look begin anew, as another file has been opened."""
    _state.__init__()  # type: ignore[misc]


def note_change(*unused: Any) -> None:
    """Has the next look compare all shots; called whenever Blender's data has changed."""
    _state.changed = True


def look(force: bool = False) -> bool:
    """Compares shots, strips and folders if there was a change.

    Args:
        force: look at the folders now, whenever they were looked at last.

    Returns:
        Whether something that is shown is another now.
    """
    news = _look_at_folders(force)
    _state.changed |= news
    begun = time.perf_counter()
    if not _state.changed or _hands_full() or (begun < _state.next_look and not force):
        return news
    _state.changed = False
    for shot in _own_shots():
        news |= _look_at(shot)
    took = time.perf_counter() - begun
    _state.longest = max(_state.longest, took)
    # Of a long edit that changes all the time it takes a small share.
    _state.next_look = begun + took + _REST * took
    # What was just written is no change of the artist's.
    _state.changed = False
    return news


def _own_shots() -> list[Any]:
    """The shots of this file: those of linked scenes are another file's, which looks after them."""
    scenes = [scene for scene in bpy.data.scenes if scene.library is None]
    return [shot for scene in scenes for shot in scene.portraitgen.shots]


def _hands_full() -> bool:
    """Whether the artist is in the middle of something: what is dragged must not be exchanged."""
    manager = bpy.context.window_manager
    windows = manager.windows if manager else ()
    return any(window.screen.is_animation_playing for window in windows) or dragging()


def dragging() -> bool:
    """Whether the artist drags bones, strips or a brush: Blender holds on to what is dragged."""
    manager = bpy.context.window_manager
    return any(
        each.bl_idname.startswith(_DRAGGING)
        for window in (manager.windows if manager else ())
        for each in window.modal_operators
    )


# Folders


def _look_at_folders(force: bool) -> bool:
    now = time.monotonic()
    if not force and now < _state.next_folders:
        return False
    news = file_marks.look() | queue_runner.look()
    for shot in _own_shots():
        files = _state.files.get(_key(shot), {})
        news |= any(is_there(path) != there for path, there in files.items())
        stamp = shot_summary.stamp(shot.path)
        if _state.folders.get(_key(shot)) != stamp:
            _state.folders[_key(shot)] = stamp
            shot_summary.forget_summaries(shot.path)
            adopt_takes(shot)
            _note_renders(shot)
            news = True
    _state.next_folders = now + max(_EVERY, _PATIENCE * (time.monotonic() - now))
    return news


def _note_renders(shot: Any) -> None:
    """Notes which version of each take's render came last, of those that a strip can show."""
    for take in shot.takes:
        last = shot_summary.last_render(shot.path, take.folder_name)
        key = (*_key(shot), take.folder_name)
        _state.rendered.pop(key, None)
        if last is not None:
            _state.rendered[key] = last


# What differs


def _look_at(shot: Any) -> bool:
    changed = False
    plate = strip_sync.plate_of(shot)
    told: list[Notice] = []
    if plate is not None:
        try:
            changed = strip_sync.follow(shot, plate)
        except PortraitError as error:
            told.append(Notice(_sentence(error)))
    of_strip = _of_strip(shot, plate)
    if not any(each.operator == "portraitgen.relink_plate" for each in of_strip):
        of_strip += _of_background(shot)
    told = [*of_strip, *told, *_of_rig(shot), *_of_folder(shot, plate)]
    before = _state.notices.get(_key(shot)), _state.shown.get(_key(shot))
    _state.notices[_key(shot)], _state.shown[_key(shot)] = tuple(told), _shown(shot)
    return changed or before != (_state.notices[_key(shot)], _state.shown[_key(shot)])


def _of_strip(shot: Any, plate: PlateStrip | None) -> list[Notice]:
    update = ("portraitgen.update_from_strip", "Update from Strip")
    relink = ("portraitgen.relink_plate", "Relink Plate")
    known = shot_summary.summary_of(shot.path)
    if known.error:
        return []
    place = shot_summary.plate_path(shot.path)
    files = [place, *(plate_strip.file_of(each.strip) for each in (plate,) if each)]
    _state.files[_key(shot)] = {each: is_there(each) for each in files}
    missing = not is_there(place)
    if plate is None:
        found = [_lost_strip(shot)] if shot.strip and not _edited_elsewhere(shot) else []
        return found + ([Notice("The plate's file is missing", *relink)] if missing else [])
    strip = plate.strip
    file = plate_strip.file_of(strip)
    if missing or not is_there(file):
        return [Notice(f"The plate's file is missing: {file.name}", *relink)]
    if not strip_sync.same_file(shot, file):
        return [Notice(f"The plate's strip shows another file now, {file.name}")]
    told = []
    try:
        footage = plate_strip.footage_of(strip, strip.id_data, plate)
    except PortraitError as error:
        told.append(Notice(_sentence(error)))
    else:
        told += [Notice(text, *update) for text in strip_sync.differences(shot, plate, footage)]
        if footage.offset == shot.offset:
            told += [Notice(text) for text in take_places.off_plate(shot, plate)]
        if shot.colour_space and shot.colour_space != footage.colour_space:
            text = f"The plate's strip is read as {footage.colour_space} now"
            told.append(Notice(f"{text}, the shot was made with {shot.colour_space}"))
        told += _untracked(known, footage.first, footage.last)
    told += _of_pieces(plate)
    places = [place for group in plate.groups for place in group.places]
    muted = [piece.name for piece, metas in places if plate_strip.is_muted(piece, metas)]
    if len(muted) == len(places):
        told.append(Notice("The plate's strip is muted"))
    elif muted:
        told.append(Notice(f"A piece of the plate, '{muted[0]}', is muted"))
    for group in plate.moved if shot.has_rig else ():
        text = f"Rig and markers lie with '{strip.name}', not with '{group.strip.name}'"
        told.append(Notice(f"{text}, which was moved by {group.by:+d} frames"))
    for name in plate.elsewhere:
        told.append(Notice(f"A piece of the plate, '{name}', lies elsewhere: make a shot of it"))
    told += _covered(shot, plate)
    return told


def _of_background(shot: Any) -> list[Notice]:
    """The plate behind the rig, which Blender leaves out without a word where its file is lost."""
    for each in shot.camera.data.background_images if shot.camera is not None else ():
        if each.image is not None and each.image.filepath and not each.image.packed_file:
            file = Path(bpy.path.abspath(each.image.filepath, library=each.image.library))
            if not is_there(file):
                text = f"The plate behind the rig is missing: {file.name}"
                return [Notice(text, "portraitgen.relink_plate", "Relink Plate")]
    return []


def _edited_elsewhere(shot: Any) -> bool:
    """Whether another scene has the plate, as where a scene was copied without its strips."""
    others = [
        each
        for each in _own_shots()
        if each.shot_id == shot.shot_id and each.id_data != shot.id_data
    ]
    return any(strip_sync.plate_of(each) is not None for each in others)


def _lost_strip(shot: Any) -> Notice:
    text = "The plate's strip is no longer in the edit"
    strip = strip_sync.unmarked(shot)
    if strip is None:
        return Notice(f"{text}: add the plate's file again")
    return Notice(
        f"{text}; '{strip.name}' shows the same file",
        "portraitgen.update_from_strip",
        f"Use '{strip.name}'",
        {"strip": strip.name},
    )


def _untracked(known: shot_summary.ShotSummary, first: int, last: int) -> list[Notice]:
    """Which frames of the strip have no track."""
    if known.track is None or not known.track.quality:
        return []
    rows = [row.frame for row in known.track.quality]
    parts = [(first, min(last, rows[0] - 1)), (max(first, rows[-1] + 1), last)]
    words = [f"{a} to {b}" if a < b else f"{a}" for a, b in parts if a <= b]
    if not words:
        return []
    text = f"Not tracked yet: frames {' and '.join(words)}"
    return [Notice(text, "portraitgen.track", "Re-track")]


def _of_pieces(plate: PlateStrip) -> list[Notice]:
    """Which other pieces of a plate that was cut play otherwise than the first."""
    told = []
    for piece, metas in (place for group in plate.groups for place in group.places):
        for each in (piece, *metas) if piece != plate.strip else ():
            try:
                plate_strip.check_plays_straight(each, each.id_data)
            except PortraitError as error:
                told.append(Notice(_sentence(error)))
    return told


def _covered(shot: Any, plate: PlateStrip) -> list[Notice]:
    """Strips of the artist's between a plate and its takes, which the takes hide."""
    takes = [
        take
        for take in sequencer.all_take_strips(plate.strip.id_data, shot.shot_id)
        if not take.mute
    ]
    if not takes:
        return []
    told = [
        Notice(
            f"This Blender can't copy the modifier '{name}' to takes: use Modifiers > Copy to "
            "Selected Strips"
        )
        for name in take_layout.uncopied(plate.strip)
    ]
    names: list[str] = []
    others: list[str] = []
    effects: list[str] = []
    twice: list[str] = []
    cameras: list[tuple[str, int]] = []
    top = 0
    groups = {each.name: group for each, group in take_places.takes_on(shot, plate, shot.offset)}
    for take in takes:
        part = groups.get(take.name, plate).around(take)
        if part is None:
            continue
        cover = take_layout.cover_of(part.among, take)
        highest = take.channel if cover is None else cover.channel
        top = max(top, highest)
        showing = _effects_of(part)
        begin, end = compat.strip_range(take)
        for strip in part.among:
            first, after = compat.strip_range(strip)
            if strip.mute or strip.type == "SOUND" or first >= end or after <= begin:
                continue
            if any(strip == each for each in showing):
                effects.append(strip.name)
            elif _skips(strip, part, take, highest):
                cameras.append((strip.name, highest))
            elif not part.lowest_over(take) <= strip.channel < highest:
                continue
            elif strip.get(sequencer.SHOT):
                others += [strip.name] * (strip[sequencer.SHOT] != shot.shot_id)
            elif not strip.get(plate_strip.MARK) and not strip.get(take_layout.COVER):
                names.append(strip.name)
        if cover is not None and plate_strip.is_muted(cover, part.metas):
            if not plate_strip.is_muted(take, part.metas):
                text = f"'{cover.name}' shows the take where the plate lets through"
                told.append(Notice(f"{text}, and its channel {cover.channel} is muted: unmute it"))
        # Where it lets through, two would count twice; where it does not, the upper is seen.
        for other in takes if cover is not None else ():
            if other != take and part.around(other) and _overlap(other, take):
                twice += [other.name, take.name]
    names, others, effects = (list(dict.fromkeys(each)) for each in (names, others, effects))
    if twice:
        text = f"'{twice[0]}' and '{twice[1]}' lie over each other, and the plate lets through"
        told.append(Notice(f"{text} what is below, so that both are seen: mute one"))
    if effects:
        text = f"'{effects[0]}' shows the plate, not the take on it"
        told.append(Notice(f"{text}: delete it, and put one like it on the take"))
    for name, channel in dict(cameras).items():
        text = f"'{name}' shows the plate's channel, not the take on it: have it show"
        told.append(Notice(f"{text} channel {channel}"))
    if names:
        listed = ", ".join(f"'{name}'" for name in names[:3])
        text = f"{listed} lies under the take, which hides it: move it above channel {top}"
        told.append(Notice(text))
    if others:
        text = f"'{others[0]}', of another shot of this plate, lies under the take, which hides it"
        told.append(Notice(f"{text}: mute one, or join both in the compositor (To Compositor)"))
    return told


def _skips(strip: Any, part: PlateStrip, take: Any, highest: int) -> bool:
    """Whether a Multicam Selector above a take shows what is below it alone."""
    if strip.type != "MULTICAM" or strip.channel <= highest:
        return False
    return bool(part.under(take).channel <= strip.multicam_source < highest)


def _overlap(one: Any, other: Any) -> bool:
    (begin, end), (first, after) = compat.strip_range(one), compat.strip_range(other)
    return begin < after and first < end


def _effects_of(part: PlateStrip) -> list[Any]:
    """The artist's effects that show a plate, or another effect that does, and no take of it.

    Covers are none of them, nor is a Speed effect, which is told of by itself.
    """
    found: list[Any] = []
    effects = [each for each in part.among if hasattr(each, "input_1")]
    known: list[Any] = list(part.pieces)
    for _ in effects:  # As often as one may lie on another.
        for each in effects:
            inputs = [each.input_1, getattr(each, "input_2", None)]
            if each in known or each.get(take_layout.COVER) or each.type == "SPEED":
                continue
            if not any(one == other for one in inputs for other in known):
                continue
            if not any(one is not None and one.get(sequencer.TAKE) is not None for one in inputs):
                known.append(each)
                found.append(each)
    return found


def _of_rig(shot: Any) -> list[Notice]:
    """What of a rig does not lie where the shot does."""
    told = []
    for scene in shot.armature.users_scene if shot.has_rig else ():
        if camera.is_stretched(scene):
            text = f"'{scene.name}' stretches time, so that the rig leaves its plate"
            told.append(
                Notice(f"{text}: set Time Stretching to 100 and 100 (Output > Frame Range)")
            )
    for text in shot_time.disagreements(shot):
        text = text[:1].upper() + text[1:]
        if shot_time.rig_offset(shot) != shot.offset:
            told.append(Notice(text, "portraitgen.update_from_strip", "Update from Strip"))
        else:
            version = {"version": shot.track_version}
            told.append(Notice(text, "portraitgen.show_version", "Show Track Again", version))
    return told


def _of_folder(shot: Any, plate: PlateStrip | None) -> list[Notice]:
    known = shot_summary.summary_of(shot.path)
    if known.error:
        return []
    told = []
    if shot.has_rig and known.tracks and shot.track_version != known.tracks[-1]:
        text = f"The rig shows track {shot.track_version}, the latest is {known.tracks[-1]}"
        if shot.track_version not in known.tracks:
            text = f"Track {shot.track_version}, which the rig shows, is no longer in the folder"
        told.append(Notice(text, "portraitgen.show_version", "Show Latest", {"version": 0}))
    take = shot.take
    record = known.takes.get(take.folder_name) if take is not None else None
    if record is not None and record.edit and known.avatars:
        if record.avatar is not None and record.avatar < known.avatars[-1]:
            text = f"'{take.name}' was edited on avatar {record.avatar}"
            told.append(
                Notice(
                    f"{text}, the latest is {known.avatars[-1]}", "portraitgen.edit", "Edit Shot"
                )
            )
    if take is not None and plate is not None and not take.watched:
        last = _state.rendered.get((*_key(shot), take.folder_name))
        strips = sequencer.take_strips(plate.strip.id_data, shot.shot_id, take.folder_name)
        shown = max((int(strip.get(sequencer.VERSION, 0)) for strip in strips), default=last)
        if last is not None and last != shown and not session.busy:
            text = f"'{take.name}' shows render {shown}, render {last} came last"
            told.append(Notice(text, "portraitgen.show_frames", "Show Rendered Frames"))
    told += _of_queue(shot) + _of_performers(shot)
    for each in shot.takes:
        if each.in_folder and each.folder_name not in known.takes:
            if not is_there(shot.path / "takes" / each.folder_name):
                text = f"The take '{each.name}' is no longer in the folder"
                options = {"folder_name": each.folder_name}
                told.append(Notice(text, "portraitgen.forget_take", "Take off the List", options))
    return told


def _of_queue(shot: Any) -> list[Notice]:
    """Which jobs of a shot were left, as Blender ended in the middle of the queue."""
    count = queue_runner.left(shot.path) if queue_runner.interrupted() else 0
    if not count:
        return []
    jobs = "a job" if count == 1 else f"{count} jobs"
    text = f"The queue was interrupted, with {jobs} of this shot left"
    return [Notice(text, "portraitgen.queue_start", "Run Queue")]


def _of_performers(shot: Any) -> list[Notice]:
    """Which performers in 3D do not show what the shot holds now."""
    told = []
    for cloud in splats.performers(shot.shot_id):
        if compat.splats_missing():
            told.append(Notice(f"'{cloud.name}' is shown by Blender 5.3 and later alone"))
            continue
        if not splats.is_own(cloud):
            continue
        reason = shot_summary.older(shot.path, splats.made_of(cloud))
        if splats.armature_of(cloud) is None:
            reason = "its rig is gone"
        if not reason and not len(cloud.data.points):
            reason = "it shows no splats"
        if not reason and splats.has_older_nodes(cloud):
            reason = "an earlier version of the extension carries and lights it"
        if not reason:
            continue
        text = f"The performer '{cloud.name}' is not up to date: {reason}"
        takes = shot_summary.summary_of(shot.path).takes
        if cloud[splats.TAKE] in ("", *(name for name, each in takes.items() if each.edit)):
            options = {"performer": cloud.name}
            told.append(Notice(text, "portraitgen.to_3d", "To 3D", options))
        else:
            told.append(Notice(text))
    return told


def is_there(path: Path) -> bool:
    """Whether a file or folder is there; one on a lost network drive is not."""
    return os.path.exists(path)


def _sentence(error: PortraitError) -> str:
    text = str(error).rstrip(".")
    # What it begins with is a name then, which is written as the artist wrote it.
    return text if error.place else text[:1].upper() + text[1:]


# Wiring


@bpy.app.handlers.persistent
def _on_change(*unused: Any) -> None:
    _state.changed = True


@bpy.app.handlers.persistent
def _on_load(*unused: Any) -> None:
    forget()
    shot_summary.forget_summaries()
    _look_at_folders(force=True)


_HANDLERS = ("depsgraph_update_post", "undo_post", "redo_post")


def register() -> None:
    """Notes changes from now on."""
    for name in _HANDLERS:
        getattr(bpy.app.handlers, name).append(_on_change)
    bpy.app.handlers.load_post.append(_on_load)


def unregister() -> None:
    """Stops noting them."""
    for name in _HANDLERS:
        getattr(bpy.app.handlers, name).remove(_on_change)
    bpy.app.handlers.load_post.remove(_on_load)
    forget()
