# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shots from strips and folders."""

import dataclasses
import re
import textwrap
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty

from portraitgen.errors import FootageError, PortraitError
from portraitgen.messages.shots import (
    CreateShot,
    FacesFound,
    FindFaces,
    PlateFacts,
    PlateSplit,
    ProbePlate,
    ShotInfo,
    SplitPlate,
)
from portraitgen.shot import Shot

from ..portraitgen_addon import (
    compat,
    edit_watch,
    file_paths,
    plate_strip,
    preferences,
    properties,
    scene_updates,
    sequencer,
    shot_summary,
    strip_sync,
)
from ..portraitgen_addon.plate_strip import StripFootage
from ..portraitgen_addon.session import session
from ..portraitgen_addon.take_settings import adopt_takes
from . import base


def _active_strip(context: Any) -> Any:
    """The sequencer's active strip, None without one."""
    scene = compat.sequencer_scene(context)
    editor = scene.sequence_editor if scene else None
    return editor.active_strip if editor else None


def _no_plate(context: Any) -> str:
    """Why the active strip can be no plate."""
    strip = _active_strip(context)
    if strip is None:
        return "Select a movie or image strip in the sequencer"
    if strip.type == "META":
        return "Open the meta strip (Tab) and select the plate in it"
    if strip.type not in ("MOVIE", "IMAGE"):
        return "The active strip is no movie or image strip"
    return ""


_PROBED: list[PlateFacts] = []
"""What the backend said of the plate that the dialog is about."""


_BLENDERS_DEFAULTS = frozenset(("", "sRGB", "Rec.709", "Linear Rec.709", "Linear"))


def _said_space(footage: StripFootage) -> str | None:
    """The colour space that the artist chose for the strip; None for what Blender takes by itself.

    Blender does not read all tags (HLG, PQ, P3, cameras' primaries), and its default must not
    outrank them.
    """
    return None if footage.colour_space in _BLENDERS_DEFAULTS else footage.colour_space


def _rate_of(footage: StripFootage) -> str | None:
    """The rate that the artist gives a plate: pictures have the scene's, a movie its own."""
    return None if footage.kind == "movie" else f"{footage.fps[0]}/{footage.fps[1]}"


def _probe_of(footage: StripFootage) -> ProbePlate:
    """Asks how the plate of a strip would be read."""
    path, space = str(footage.path), _said_space(footage)
    return ProbePlate(footage=path, colour_space=space, fps=_rate_of(footage))


_NOT_BLENDERS = ("NTSC", "NTSC 1953", "PAL", "Film")
"""Primaries of standard definition, which Blender has no space for: it shows them as Rec.709."""


def _as_shown(footage: StripFootage, facts: PlateFacts) -> str | None:
    """The colour space that a shot is made with: where Blender shows a movie otherwise than it is
    tagged, as it is shown, since edits lie on the strip and go to the compositor beside it."""
    said = _said_space(footage)
    gamut, _, curve = facts.colour_space.rpartition(" ")
    return "Rec.709" if said is None and curve == "srgb" and gamut in _NOT_BLENDERS else said


def plate_lines(facts: PlateFacts, shown_as: str = "") -> list[str]:
    """What there is to say of a plate, one line each.

    Args:
        shown_as: the colour space in which its strip is shown, as Blender names it.
    """
    # Blender's sRGB is what files call Rec.709: one name for it in dialog, panel and strip.
    alike = {facts.colour_space, shown_as} == {"Rec.709", "sRGB"}
    space = shown_as if alike else facts.colour_space
    rate = float(Fraction(facts.fps))
    lines = [
        f"{facts.kind.title()}, frames {facts.first} to {facts.last}, {rate:.5g} a second",
        f"{facts.width} x {facts.height}, {facts.bit_depth} bits, {space}",
    ]
    if Fraction(facts.pixel_aspect) != 1:
        lines[1] += f", pixel aspect {float(Fraction(facts.pixel_aspect)):.4g}"
    if facts.colour_space.rpartition(" ")[0] in _NOT_BLENDERS:
        lines.append("Blender has no such colors and shows them as Rec.709; so does the shot.")
    for note in facts.notes:
        lines += textwrap.wrap(note[:1].upper() + note[1:] + ".", 76)
    return lines


class PORTRAITGEN_OT_new_shot(bpy.types.Operator):
    """Make a shot of the active movie or image strip: its trimmed range, rate and colour space"""

    bl_idname = "portraitgen.new_shot"
    bl_label = "New Shot from Strip"
    bl_options = {"REGISTER"}

    folder: StringProperty(
        name="Shot Folder",
        description="Where everything known of the shot is kept",
        subtype="DIR_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    looked_at: StringProperty(
        description="The strip whose plate was looked at", options={"HIDDEN", "SKIP_SAVE"}
    )
    shown: StringProperty(
        description="What the strip shows of its plate", options={"HIDDEN", "SKIP_SAVE"}
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a strip that can be a plate, and the backend."""
        return base.allowed(cls, _no_plate(context), base.no_backend(context))

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Has the plate looked at; the dialog opens with what was found, since Blender draws one
        that is open no second time."""
        strip = _active_strip(context)
        if not self.looked_at:
            return base.attempt(self, lambda: self._look(context))
        if strip.name != self.looked_at:
            return {"CANCELLED"}
        name = re.sub(r"[^\w-]+", "_", Path(strip.name).stem).strip("_") or "shot"
        if bpy.data.filepath:
            self.folder = f"//portraitgen/{name}"
        else:
            source = strip.filepath if strip.type == "MOVIE" else strip.directory
            self.folder = str(Path(bpy.path.abspath(source)).parent / "portraitgen" / name)
        return context.window_manager.invoke_props_dialog(self, width=500)

    def _look(self, context: Any) -> None:
        strip = _active_strip(context)
        footage = plate_strip.footage_of(strip, compat.sequencer_scene(context))
        call = _probe_of(footage)
        lies, windows = _Place.of(strip, footage), list(context.window_manager.windows)
        place = windows.index(context.window) if context.window in windows else 0

        def looked(facts: PlateFacts) -> None:
            _PROBED[:] = [facts]
            _, found = lies.find("select another strip and press New Shot")
            _ask_where(found.name, place, _part_of(footage, facts))

        scene_updates.ask("Looking at the plate", call, looked)

    def draw(self, context: Any) -> None:
        """The folder, and how the backend would read the plate."""
        self.layout.prop(self, "folder")
        column = self.layout.column(align=True)
        strip = _active_strip(context)
        shown_as = strip.colorspace_settings.name if strip is not None else ""
        for line in filter(None, (*plate_lines(_PROBED[-1], shown_as), self.shown)):
            column.label(text=line)

    def execute(self, context: Any) -> set[str]:
        """Asks the backend to read the plate; the shot appears when it has."""
        return base.attempt(self, lambda: self._make(context))

    def _make(self, context: Any) -> None:
        scene, strip = compat.sequencer_scene(context), _active_strip(context)
        folder = _whole_path(self.folder)
        footage = plate_strip.footage_of(strip, scene)
        rate = _rate_of(footage)
        model = preferences.get().body_model
        call = CreateShot(
            shot=str(folder),
            footage=str(footage.path),
            fps=rate and (_known_rate(folder) or rate),
            body_model=bpy.path.abspath(model) if model else None,
        )
        place, shown_as = _Place.of(strip, footage), self.folder

        def make(space: str | None) -> None:
            asked = dataclasses.replace(call, colour_space=space)
            scene_updates.ask(
                "Reading the plate", asked, lambda made: _add(place, shown_as, footage, made)
            )

        _look_first(strip, footage, make)


def _part_of(footage: StripFootage, facts: PlateFacts) -> str:
    """What a strip shows of its plate, empty where that is all of it."""
    whole = (footage.first, footage.last) == (facts.first, facts.last)
    if whole or footage.kind == "still":
        return ""
    return f"The strip shows frames {footage.first} to {footage.last}, which are the shot's."


def _look_first(strip: Any, footage: StripFootage, make: Callable[[str | None], None]) -> None:
    """Has a strip's plate looked at before shots are made of it.

    Args:
        make: makes them, in the colour space that it is given.
    """
    name = strip.name
    own = float(strip.fps) if footage.kind == "movie" else 0.0

    def looked(facts: PlateFacts) -> None:
        if own:
            probed = float(Fraction(facts.fps))
            plate_strip.check_probed_rate(name, own, footage.fps, probed)
        make(_as_shown(footage, facts))

    scene_updates.ask("Looking at the plate", _probe_of(footage), looked)


def _ask_where(strip: str, place: int, shown: str) -> None:
    """Opens the dialog of New Shot in a window, if the strip is the active one still."""
    windows = bpy.context.window_manager.windows
    if bpy.app.background or place >= len(windows):
        return
    with bpy.context.temp_override(window=windows[place]):
        active = _active_strip(bpy.context)
        if active is not None and active.name == strip:
            bpy.ops.portraitgen.new_shot("INVOKE_DEFAULT", looked_at=strip, shown=shown)


def _known_rate(folder: Path) -> str:
    """The rate of the shot that a folder already is, empty for a new one: the scene's, should it
    have changed, is taken over with all the rest."""
    if not (folder / "shot.json").is_file():
        return ""
    fps = Shot.open(folder).record.footage.fps
    return f"{fps.numerator}/{fps.denominator}"


def _whole_path(folder: str) -> Path:
    """A shot's folder as the artist gave it, whole.

    Raises:
        PortraitError: if it would depend on where Blender was started.
    """
    if not folder:
        raise PortraitError("no folder is given", "Shot Folder", "choose one")
    if folder.startswith("//") and not bpy.data.filepath:
        raise PortraitError(
            "the folder is relative to a file that is not saved yet",
            folder,
            "save the file first, or choose a folder by its whole path",
        )
    path = Path(bpy.path.abspath(folder))
    if not path.is_absolute():
        raise PortraitError(
            "the folder's path is not whole",
            folder,
            "choose the folder in the file browser, or begin with // for one beside the file",
        )
    return path


@dataclasses.dataclass(frozen=True)
class _Place:
    """A strip that something is asked about, to be found again whatever is renamed meanwhile."""

    scene: int
    name: str
    file: Path
    offset: int

    @staticmethod
    def of(strip: Any, footage: StripFootage) -> "_Place":
        """Where a strip lies now."""
        uid = strip.id_data.session_uid
        return _Place(uid, strip.name, plate_strip.file_of(strip), footage.offset)

    def find(self, remedy: str) -> tuple[Any, Any]:
        """The scene and the strip: the one of the name, else the one that lies as it lay.

        Args:
            remedy: what the artist can do where it is gone.

        Raises:
            FootageError: if it was deleted.
        """
        scene = next((each for each in bpy.data.scenes if each.session_uid == self.scene), None)
        every = [strip for strip, _ in compat.every_strip(scene)] if scene is not None else []
        alike = [
            strip
            for strip in every
            if strip.type in ("MOVIE", "IMAGE") and plate_strip.file_of(strip) == self.file
        ]
        alike.sort(key=lambda strip: (strip.name != self.name, not self._lies_as(strip)))
        if not alike:
            raise FootageError("the strip was deleted meanwhile", self.name, remedy)
        return scene, alike[0]

    def _lies_as(self, strip: Any) -> bool:
        try:
            return plate_strip.footage_of(strip, strip.id_data).offset == self.offset
        except PortraitError:
            return False


def _add(place: _Place, folder: str, footage: StripFootage, made: ShotInfo) -> None:
    """Adds the shot that was made of a strip, or brings one that there is in line with it."""
    scene, strip = place.find(f"add its file again and press Open Shot for {made.path}")
    last = made.footage.get("last")
    plate_strip.number_photo(strip, made.footage.get("first"), last)
    if footage.kind == "still":
        footage = plate_strip.footage_of(strip, scene)
    if isinstance(last, int) and footage.last > last:
        # Blender counts frames that a damaged or cut-off movie only announces.
        footage = dataclasses.replace(footage, last=max(last, footage.first))
    shot_summary.forget_summaries()
    shot = _list_shot(scene, strip, folder, footage, made.id, Path(made.path).name)
    scene_updates.undo_step("New Shot")
    _count_people(shot)


def _list_shot(
    scene: Any, strip: Any, folder: str, footage: StripFootage, shot_id: str, name: str
) -> Any:
    """The shot of an id in the list, as the strip shows it; the active one from now on."""
    plate = plate_strip.whereabouts(strip, scene)
    shot = properties.find_shot(shot_id, scene.session_uid)
    if shot is not None:
        strip_sync.apply(shot, plate, footage)
    else:
        shot = scene.portraitgen.shots.add()
        file_paths.note(scene)
        shot.name, shot.shot_id, shot.folder = name, shot_id, folder
        shot.offset = footage.offset
        strip_sync.take_over(shot, plate, footage)
    state = shot.id_data.portraitgen
    state.active = [each.shot_id for each in state.shots].index(shot_id)
    adopt_takes(shot)
    edit_watch.note_change()
    return shot


def _count_people(shot: Any) -> None:
    """Lets the Track panel say that there are several, and that one is to be chosen."""
    shot_id = shot.shot_id

    def counted(found: FacesFound) -> None:
        known = properties.find_shot(shot_id)
        if known is not None:
            known.people = len(found.faces)
            scene_updates.redraw()

    # Nothing waits for it; what is wrong with the plate is said by the work on it.
    call = FindFaces(str(shot.path), span=(shot.first, shot.last))
    session.ask(call, counted, lambda error: None)


class PORTRAITGEN_OT_split_at_cuts(bpy.types.Operator):
    """Split the active strip at the plate's cuts, and make a shot of each part that shows a face"""

    bl_idname = "portraitgen.split_at_cuts"
    bl_label = "Split at Cuts"
    bl_options = {"REGISTER", "UNDO"}

    folder: StringProperty(
        name="Folder",
        description="Where the shots' folders go; beside the file, or the plate, by default",
        subtype="DIR_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE", "SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a strip that can be a plate, and the backend."""
        return base.allowed(cls, _no_plate(context), base.no_backend(context))

    def execute(self, context: Any) -> set[str]:
        """Asks the backend for the parts; the strip is split when they are known."""
        return base.attempt(self, lambda: self._ask(context))

    def _ask(self, context: Any) -> None:
        scene, strip = compat.sequencer_scene(context), _active_strip(context)
        footage = plate_strip.footage_of(strip, scene)
        if not self.folder:
            beside = Path(bpy.data.filepath or footage.path).parent
            self.folder = str(beside / "portraitgen")
        model = preferences.get().body_model
        call = SplitPlate(
            footage=str(footage.path),
            folder=str(_whole_path(self.folder)),
            span=(footage.first, footage.last),
            body_model=bpy.path.abspath(model) if model else None,
            fps=_rate_of(footage),
        )
        place = _Place.of(strip, footage)

        def split(space: str | None) -> None:
            asked = dataclasses.replace(call, colour_space=space)
            scene_updates.ask("Looking for cuts", asked, lambda got: _split(place, footage, got))

        _look_first(strip, footage, split)


def _split(place: _Place, footage: StripFootage, found: PlateSplit) -> None:
    """Splits a strip where parts begin, and lists the shots that were made of them."""
    scene, strip = place.find("add its file again and press Split at Cuts")
    listed = []
    for part in found.parts:
        if footage.first < part.first <= footage.last:
            strip = strip.split(part.first + footage.offset, "SOFT") or strip
            strip.pop(plate_strip.MARK, None)
        if part.shot is None or part.shot_id is None:
            continue
        folder = sequencer.directory_of(Path(part.shot))
        first, last = max(part.first, footage.first), min(part.last, footage.last)
        if last < first:
            continue  # The strip is trimmed to other parts.
        whole = dataclasses.replace(footage, first=first, last=last)
        shot = _list_shot(scene, strip, folder, whole, part.shot_id, Path(part.shot).name)
        listed.append(part.shot_id)
        _count_people(shot)
    _choose_shown(scene, listed)
    shot_summary.forget_summaries()
    scene_updates.undo_step("Split at Cuts")


def _choose_shown(scene: Any, listed: Sequence[str]) -> None:
    """Makes the shot active that the current frame shows, the first of those just listed if it
    shows none of them."""
    shots = [each for each in map(properties.find_shot, listed) if each is not None]
    frame = scene.frame_current
    shown = [each for each in shots if each.first <= frame - each.offset <= each.last]
    for shot in (shown or shots)[:1]:
        state = shot.id_data.portraitgen
        state.active = [each.shot_id for each in state.shots].index(shot.shot_id)


class PORTRAITGEN_OT_open_shot(bpy.types.Operator):
    """Open a shot folder that another file or the terminal has made"""

    bl_idname = "portraitgen.open_shot"
    bl_label = "Open Shot"
    bl_options = {"REGISTER", "UNDO"}

    directory: StringProperty(subtype="DIR_PATH")

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks for the folder."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> set[str]:
        """Adds the shot; its plate starts where it starts in the active strip, or on its frames."""
        return base.attempt(self, lambda: self._open(context))

    def _open(self, context: Any) -> None:
        opened = Shot.open(Path(bpy.path.abspath(self.directory)))
        scene = compat.sequencer_scene(context)
        if properties.find_shot(opened.record.id):
            raise PortraitError("the file has this shot already", opened.path, "select it")
        shot = scene.portraitgen.shots.add()
        file_paths.note(scene)
        shot.name = opened.path.name
        shot.shot_id = opened.record.id
        shot.folder = sequencer.directory_of(opened.path)
        shot.first, shot.last = opened.record.footage.first, opened.record.footage.last
        strip = _strip_of(scene, opened.footage_path)
        if strip is not None:
            plate = plate_strip.whereabouts(strip, scene)
            record = opened.record.footage
            plate_strip.number_photo(strip, record.first, record.last)
            footage = plate_strip.footage_of(strip, scene, plate)
            shot.offset = footage.offset
            strip_sync.apply(shot, plate, footage)
        scene.portraitgen.active = len(scene.portraitgen.shots) - 1
        adopt_takes(shot)
        edit_watch.note_change()


def _strip_of(scene: Any, plate: Path) -> Any | None:
    """The strip that shows a plate, None if the scene has none."""
    wanted = plate.resolve()
    for strip, _ in compat.every_strip(scene):
        if strip.type == "MOVIE" and Path(bpy.path.abspath(strip.filepath)).resolve() == wanted:
            return strip
        if strip.type == "IMAGE" and len(strip.elements) == 1:
            # Beside a photo lie others.
            if plate_strip.file_of(strip).resolve() == wanted:
                return strip
        elif strip.type == "IMAGE":
            folder = Path(bpy.path.abspath(strip.directory)).resolve()
            if folder in (wanted, wanted.parent):
                return strip
    return None


class PORTRAITGEN_OT_remove_shot(bpy.types.Operator):
    """Take the shot off the list; its folder, rig and strips stay"""

    bl_idname = "portraitgen.remove_shot"
    bl_label = "Remove Shot from List"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a shot."""
        shot = properties.active_shot(context)
        return base.allowed(cls, "" if shot else "There is no shot to remove")

    def execute(self, context: Any) -> set[str]:
        """Removes it."""
        shot = properties.active_shot(context)
        state = shot.id_data.portraitgen
        state.shots.remove(list(state.shots).index(shot))
        state.active = max(0, min(state.active, len(state.shots) - 1))
        return {"FINISHED"}


class PORTRAITGEN_OT_match_scene(bpy.types.Operator):
    """Give the scene the plate's resolution, so that body and plate agree"""

    bl_idname = "portraitgen.match_scene"
    bl_label = "Match Scene to Plate"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a shot with a rig."""
        return base.allowed(cls, base.no_shot(context), base.no_rig(context))

    def execute(self, context: Any) -> set[str]:
        """Sets the resolution of the scene that holds the rig."""
        shot = properties.active_shot(context)
        footage = shot_summary.summary_of(shot.path).footage
        render = shot.camera.users_scene[0].render
        assert footage, "the poll has read it"
        render.resolution_x, render.resolution_y = footage.width, footage.height
        render.resolution_percentage = 100
        return {"FINISHED"}


CLASSES = (
    PORTRAITGEN_OT_new_shot,
    PORTRAITGEN_OT_split_at_cuts,
    PORTRAITGEN_OT_open_shot,
    PORTRAITGEN_OT_remove_shot,
    PORTRAITGEN_OT_match_scene,
)
