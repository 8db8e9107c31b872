# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes lie on their plate: whatever an artist did to the plate's strip, its takes' strips have.

A take that lies over an opaque plate which fills the frame hides it. Where the plate lets through
what is below (opacity, a blend mode, alpha, edges inside the frame), laying the take over it would
count it twice; there an effect strip above both shows the take in the plate's place. It is an Alpha
Over whose fader is 0, which gives its second input alone: Blender would split no transition, nor
any strip under one. Where a plate was cut in pieces, each strip of a take lies on the piece below.
"""

import hashlib
import json
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector

from portraitgen.errors import PortraitError

from . import compat, exr_header
from .plate_strip import PlateStrip, file_of, is_muted

# What a strip of a take carries: the plate's look that it has, and the names of its modifiers that
# are the plate's. What a cover carries: the take's strip that it shows.
LOOK, MODIFIERS, COVER = (
    f"portraitgen_{name}" for name in ("plate_look", "plate_modifiers", "cover")
)
_TRANSFORM = ("offset_x", "offset_y", "scale_x", "scale_y", "rotation", "filter")
_CROP = ("min_x", "max_x", "min_y", "max_y")
_COLOUR = ("color_saturation", "color_multiply", "multiply_alpha", "use_linear_modifiers")
_FLIP = ("use_flip_x", "use_flip_y")
_OVER = ("blend_type", "blend_alpha")
_COVERS, _COVERED = "ALPHA_OVER", ("ALPHA_OVER", "CROSS")
"""The kind of a cover, and all kinds that files have."""
# Rounds to all of any code.
_NEARLY_OPAQUE = 0.99999
# What belongs to Blender's panels.
_NO_SETTINGS = {
    "rna_type",
    "type",
    "name",
    "is_active",
    "show_expanded",
    "show_preview",
    "open_mask_input_panel",
    "execution_time",
}


def lay(plate: PlateStrip, take: Any) -> bool:
    """Gives a take's strip the look of its plate's, unless it has it already.

    Args:
        plate: the part of it that lies where the take does, see `PlateStrip.around`.

    Returns:
        Whether anything had to be changed.
    """
    strip = plate.under(take)
    look = look_of(strip)
    # Where they are apart, Blender would show a cover between them.
    (begin, end), (first, after) = compat.strip_range(strip), compat.strip_range(take)
    covered = begin < after and first < end and lets_through(strip, take)
    below = covered and _something_below(plate, strip)
    told = json.dumps([look, covered, below], sort_keys=True)
    mark = hashlib.sha256(told.encode()).hexdigest()
    cover = cover_of(plate.among, take)
    fits = cover is not None and _fits(cover, strip, take)
    same = take.get(LOOK) == mark
    if same and fits == covered and (cover is None) == (not covered):
        return cover is not None and _set_cover(plate, cover, take)
    if cover is not None and not (covered and fits):
        plate.among.remove(cover)
        cover = None
    if not same:
        _copy_look(strip, take)
    if covered:
        cover = cover or _make_cover(plate, strip, take)
        for name in _OVER:
            setattr(cover, name, getattr(strip, name))
        _set_cover(plate, cover, take)
        _copy_curves(strip, cover, "blend_alpha")
        _let_through(strip, cover, below)
    take[LOOK] = mark
    return True


def _fits(cover: Any, strip: Any, take: Any) -> bool:
    """Whether a take's cover is as ours are, over the piece of the plate that it lies on."""
    above = cover.type == _COVERS and cover.channel > take.channel
    return above and strip in (cover.input_1, cover.input_2)


def cover_of(among: Any, take: Any) -> Any | None:
    """The strip that shows a take in its plate's place, None if it lies over the plate."""
    for strip in among:
        if strip.type in _COVERED and strip.get(COVER) and take in (strip.input_1, strip.input_2):
            return strip
    return None


def look_of(strip: Any, named: bool = True) -> list[Any]:
    """All that an artist can do to how a strip looks, to be compared.

    Args:
        named: whether keys count as those of a strip of this name.
    """
    look: list[Any] = [
        _values(strip.transform, (*_TRANSFORM, "origin")),
        _values(strip.crop, _CROP),
    ]
    look.append(_values(strip, (*_COLOUR, *_FLIP, *_OVER)))
    look += [[each.type, each.name, _settings(each)] for each in strip.modifiers]
    start = 0 if named else len(_path_of(strip))
    look += [
        [curve.data_path[start:], curve.array_index, _digest_of(curve)]
        for curve in _curves_of(strip)
    ]
    return look


def _values(holder: Any, names: tuple[str, ...]) -> list[Any]:
    return [_plain(getattr(holder, name, None)) for name in names]


def _plain(value: Any) -> Any:
    if isinstance(value, bpy.types.ID):
        return value.name_full
    if isinstance(value, bool | int | float | str | None):
        return value
    return [round(float(each), 7) for each in value]


def _settings(holder: Any) -> list[Any]:
    """All settings of a modifier, or of what it holds, in the order Blender names them."""
    found = []
    for prop in holder.bl_rna.properties:
        name = prop.identifier
        if name in _NO_SETTINGS or (prop.is_readonly and prop.type != "POINTER"):
            continue
        value = getattr(holder, name)
        if isinstance(value, bpy.types.CurveMapping):
            found.append([name, _curve_points(value)])
        elif prop.type == "POINTER" and value is not None and not _is_reference(value):
            found.append([name, _settings(value)])
        elif prop.type == "POINTER":
            found.append([name, value.name if value is not None else None])
        elif prop.type != "COLLECTION":
            found.append([name, sorted(value) if isinstance(value, set) else _plain(value)])
    return found


def _is_reference(value: Any) -> bool:
    return isinstance(value, bpy.types.ID | bpy.types.Strip)


def _curve_points(mapping: Any) -> list[Any]:
    return [
        [[*point.location, point.handle_type] for point in curve.points] for curve in mapping.curves
    ]


def _digest_of(curve: Any) -> str:
    points = curve.keyframe_points
    whole = hashlib.sha256(f"{curve.extrapolation} {curve.mute}".encode())
    values = np.empty(2 * len(points), np.float32)
    for name in ("co", "handle_left", "handle_right"):
        points.foreach_get(name, values)
        whole.update(values.tobytes())
    whole.update("".join(point.interpolation for point in points).encode())
    return whole.hexdigest()


def _path_of(strip: Any) -> str:
    return f'sequence_editor.strips_all["{bpy.utils.escape_identifier(strip.name)}"].'


def _curves_of(strip: Any) -> list[Any]:
    """The F-curves of how a strip looks; where it lies in time has none."""
    path = _path_of(strip)
    return [each for each in compat.own_curves(strip.id_data) if each.data_path.startswith(path)]


# Copying


def _copy_look(strip: Any, take: Any) -> None:
    share = _size_shares(strip, take)
    for name in _TRANSFORM:
        setattr(take.transform, name, getattr(strip.transform, name))
    take.transform.origin = strip.transform.origin
    take.transform.scale_x *= share[0]
    take.transform.scale_y *= share[1]
    for name, size in zip(_CROP, (share[0], share[0], share[1], share[1]), strict=True):
        setattr(take.crop, name, round(getattr(strip.crop, name) / size))
    for name in (*_COLOUR, *_FLIP, *_OVER):
        if hasattr(strip, name):
            setattr(take, name, getattr(strip, name))
    _copy_modifiers(strip, take)
    for curve in [each for each in _curves_of(take) if not _is_own(each)]:
        compat.remove_curve(curve)
    _copy_curves(strip, take)


def _is_own(curve: Any) -> bool:
    """Whether an F-curve of a take's strip can't have come from its plate."""
    return curve.data_path.endswith(("volume", "pan"))


def _size_shares(strip: Any, take: Any) -> tuple[float, float]:
    """Width and height of a plate's picture in those of a take's."""
    plate, own = (each.elements[0] if each.elements else None for each in (strip, take))
    if plate is None or own is None or not (plate.orig_width and plate.orig_height):
        return 1.0, 1.0
    if not (own.orig_width and own.orig_height):
        return 1.0, 1.0
    return plate.orig_width / own.orig_width, plate.orig_height / own.orig_height


def _copy_modifiers(strip: Any, take: Any) -> None:
    for name in json.loads(take.get(MODIFIERS, "[]")):
        if (old := take.modifiers.get(name)) is not None:
            take.modifiers.remove(old)
    made = []
    for each in strip.modifiers if compat.MAKES_MODIFIERS else ():
        copy = take.modifiers.new(name=each.name, type=each.type)
        _copy_settings(each, copy)
        made.append(copy.name)
    take[MODIFIERS] = json.dumps(made)


def uncopied(strip: Any) -> list[str]:
    """The names of a strip's modifiers that this Blender can't give to its takes."""
    return [] if compat.MAKES_MODIFIERS else [each.name for each in strip.modifiers]


def _copy_settings(old: Any, new: Any) -> None:
    for prop in old.bl_rna.properties:
        name = prop.identifier
        if name in _NO_SETTINGS or prop.type == "COLLECTION":
            continue
        value = getattr(old, name)
        if isinstance(value, bpy.types.CurveMapping):
            _copy_mapping(value, getattr(new, name))
        elif prop.is_readonly:
            if prop.type == "POINTER" and value is not None and not _is_reference(value):
                _copy_settings(value, getattr(new, name))
        else:
            setattr(new, name, value)


def _copy_mapping(old: Any, new: Any) -> None:
    for name in ("black_level", "white_level", "clip_min_x", "clip_min_y", "clip_max_x"):
        setattr(new, name, getattr(old, name))
    new.clip_max_y, new.use_clip = old.clip_max_y, old.use_clip
    new.tone, new.extend = old.tone, old.extend
    for before, after in zip(old.curves, new.curves, strict=True):
        while len(after.points) > max(len(before.points), 2):
            after.points.remove(after.points[len(after.points) - 2])
        while len(after.points) < len(before.points):
            after.points.new(0.5, 0.5)
        for point, copy in zip(before.points, after.points, strict=True):
            copy.location, copy.handle_type = point.location, point.handle_type
    new.update()


def _copy_curves(strip: Any, other: Any, only: str = "") -> None:
    """Keys another strip as the first is; `only` names the one property whose keys are wanted."""
    start, path = len(_path_of(strip)), _path_of(other)
    share = _size_shares(strip, other) if not only else (1.0, 1.0)
    for curve in _curves_of(strip):
        name = curve.data_path[start:]
        if only and name != only:
            continue
        copy = compat.copy_curve(curve, path + name)
        size = {"transform.scale_x": share[0], "transform.scale_y": share[1]}.get(name, 1.0)
        size = {
            "crop.min_x": 1 / share[0],
            "crop.max_x": 1 / share[0],
            "crop.min_y": 1 / share[1],
            "crop.max_y": 1 / share[1],
        }.get(name, size)
        if size != 1.0:
            compat.scale_curve(copy, size)


# What shines through


def lets_through(strip: Any, take: Any) -> bool:
    """Whether what lies below a plate is seen through it or beside it."""
    if strip.blend_type == "REPLACE":
        return False
    animated = {curve.data_path.rsplit(".", 1)[-1] for curve in _curves_of(strip)}
    if strip.blend_type not in ("ALPHA_OVER", "CROSS") or strip.blend_alpha < 1:
        return True
    if animated & {"blend_alpha", *_TRANSFORM, *_CROP, "origin", "multiply_alpha"}:
        return True
    if any(each.type in ("MASK", "COMPOSITOR") for each in strip.modifiers):
        return True
    return strip.multiply_alpha or _has_alpha(take) or not _fills_frame(strip)


def _has_alpha(take: Any) -> bool:
    """Whether a take's pictures have alpha, since their plate has."""
    path = file_of(take)
    try:
        if path.suffix.lower() == ".exr":
            return exr_header.has_alpha(path)
        with open(path, "rb") as file:
            head = file.read(26)
    except (OSError, PortraitError):
        return False  # A frame that is gone shows nothing.
    return head[:8] == b"\x89PNG\r\n\x1a\n" and head[25:] in (b"\x04", b"\x06")


def _fills_frame(strip: Any) -> bool:
    """Whether all of a frame's pixels lie well inside a strip's picture."""
    element = strip.elements[0] if strip.elements else None
    if element is None or not element.orig_width:
        return True
    render = strip.id_data.render
    share = render.resolution_percentage / 100
    width, height = render.resolution_x * share, render.resolution_y * share
    move, crop = strip.transform, strip.crop
    size = Vector((element.orig_width, element.orig_height))
    if not (move.scale_x and move.scale_y):
        return False
    # As Blender places pictures: about their origin; their middle lies on the frame's at first.
    pivot = Vector(((move.origin[0] - 0.5) * size.x, (move.origin[1] - 0.5) * size.y))
    place = Vector((move.offset_x, move.offset_y))
    turn = Matrix.Rotation(-move.rotation, 2)
    for x in (0.5, width - 0.5):
        for y in (0.5, height - 0.5):
            at = Vector((x - width / 2, y - height / 2)) / share - place - pivot
            at = turn @ at
            at = Vector((at.x / move.scale_x, at.y / move.scale_y)) + pivot + size / 2
            inside = crop.min_x + 0.5 <= at.x <= size.x - crop.max_x - 0.5
            if not inside or not crop.min_y + 0.5 <= at.y <= size.y - crop.max_y - 0.5:
                return False
    return True


def _make_cover(plate: PlateStrip, strip: Any, take: Any) -> Any:
    begin, end = compat.strip_range(take)
    channel = free_channel(plate.among, take.channel + 1, begin, end)
    if not channel:
        raise PortraitError(
            "every channel above the take is taken", take.name, "free a channel of the sequencer"
        )
    cover = compat.new_effect(
        plate.among, f"{take.name} over plate", _COVERS, channel, begin, end, strip, take
    )
    cover.use_default_fade = False
    cover[COVER] = True
    return cover


def _set_cover(plate: PlateStrip, cover: Any, take: Any) -> bool:
    """Has a cover show its take, and hide with it or its channel, which Blender does not see to by
    itself; True if that had to be set."""
    swapped = cover.input_1 == take
    if swapped:
        cover.input_1, cover.input_2 = cover.input_2, cover.input_1
    wanted = (0.0, is_muted(take, plate.metas))
    if (cover.effect_fader, cover.mute) == wanted:
        return swapped
    cover.effect_fader, cover.mute = wanted
    return True


def _something_below(plate: PlateStrip, piece: Any) -> bool:
    """Whether other strips lie below a piece of a plate, to be seen through it."""
    begin, end = compat.strip_range(piece)
    for strip in plate.among:
        if strip.channel >= piece.channel or strip.type == "SOUND":
            continue
        first, after = compat.strip_range(strip)
        if first < end and after > begin:
            return True
    return False


def _let_through(strip: Any, cover: Any, below: bool) -> None:
    """Keeps Blender from taking a cover for opaque, and from leaving out what is below.

    An empty mask does it, too, but rounds the colours of pixels that are nearly transparent; so
    does any opacity where nothing lies below, and nothing can be left out.
    """
    for each in list(cover.modifiers):
        cover.modifiers.remove(each)
    if not (below and compat.EFFECTS_HIDE):
        return
    if any(curve.data_path.endswith(".blend_alpha") for curve in _curves_of(strip)):
        cover.modifiers.new(name="Lets Through", type="MASK")
    elif cover.blend_type == "ALPHA_OVER":
        cover.blend_alpha = min(cover.blend_alpha, _NEARLY_OPAQUE)


def free_channel(among: Any, lowest: int, first: int, end: int) -> int:
    """The lowest channel, from `lowest` on, with nothing between two frames; 0 if there is none."""
    taken = {
        strip.channel
        for strip in among
        if compat.strip_range(strip)[1] > first and compat.strip_range(strip)[0] < end
    }
    return next((channel for channel in range(lowest, 129) if channel not in taken), 0)
