# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The performer as Gaussian splats: in the scene, lit by it, as files, and retouched ones back."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from portraitgen.errors import PortraitError
from portraitgen.messages.splats import (
    CloudExported,
    ExportCloud,
    ExportSplats,
    ImportSplats,
    SplatsExported,
    SplatsImported,
)
from portraitgen.storage import write_json

from ..portraitgen_addon import (
    acting_layer,
    camera,
    compat,
    lit_render,
    preferences,
    properties,
    scene_updates,
    shot_summary,
    shot_time,
    splat_retouch,
    splats,
)
from ..portraitgen_addon.session import Job, session
from ..portraitgen_addon.splat_data import SplatData
from . import base


def _take(context: Any) -> str:
    """The take to be shown: the active one if it is edited, else none, for the reconstruction."""
    shot = properties.active_shot(context)
    return "" if not shot or base.not_edited(context) else str(shot.take.folder_name)


def _performer(context: Any) -> Any | None:
    """The performer that is meant: the active object, or the one of the active take."""
    active = context.object
    if active is not None and active in splats.performers():
        return active
    shot = properties.active_shot(context)
    known = splats.performers(shot.shot_id) if shot else []
    shown = [each for each in known if each[splats.TAKE] == _take(context)]
    # A copy of the scene has a performer and a rig of its own.
    here = [each for each in shown or known if splats.armature_of(each) == shot.armature]
    return next(iter(here or shown or known), None)


def _no_performer(context: Any) -> str:
    missing = compat.splats_missing()
    return missing or ("" if _performer(context) else "Press To 3D first")


def _not_own(context: Any) -> str:
    """Why there is no performer that may be changed."""
    if missing := _no_performer(context):
        return missing
    cloud: Any = _performer(context)
    if cloud.get(splats.SURFACE) is None:
        return f"'{cloud.name}' has lost its surface, press To 3D again"
    return "" if splats.is_own(cloud) else f"'{cloud.name}' belongs to another file"


class PORTRAITGEN_OT_to_3d(bpy.types.Operator):
    """Put the performer into the scene as Gaussian splats that the rig carries: the active take if
    it is edited, else the reconstruction"""

    bl_idname = "portraitgen.to_3d"
    bl_label = "To 3D"
    bl_options = {"REGISTER"}

    performer: StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs splats, a rig and an avatar."""
        return base.allowed(
            cls,
            compat.splats_missing(),
            base.no_shot(context),
            base.no_rig(context),
            base.no_avatar(context),
            base.no_backend(context),
            base.busy(context),
        )

    def execute(self, context: Any) -> set[str]:
        """Asks for the splats; they come into the collection of the rig."""
        shot = properties.active_shot(context)
        known = {each.name: str(each[splats.TAKE]) for each in splats.performers(shot.shot_id)}
        take = known.get(self.performer, _take(context))
        return base.attempt(self, lambda: _bring(shot, take))


_ELSEWHERE = (
    "The shot cannot be written to, so its splats lie among your own files: Pack Splats lets others"
    " see them"
)
_NEURAL = "A network changes this take beyond what its splats hold"


def _bring(shot: Any, take: str, retouched: str = "", sent: str = "") -> None:
    shot_id, scene = shot.shot_id, shot.id_data.session_uid
    call = ExportCloud(str(shot.path), take)

    def show(answer: CloudExported) -> None:
        known = properties.find_shot(shot_id, scene)
        if known is not None and known.has_rig:
            _show(known, take, retouched, sent, answer)

    scene_updates.ask("Writing the splats", call, show)


def _show(shot: Any, take: str, retouched: str, sent: str, answer: CloudExported) -> None:
    """Shows splats in every performer of a take, and makes one where the shot's rig has none.

    Args:
        retouched: what a retouch has changed, empty for none.
        sent: the name of the performer whose modifiers made it.
    """
    path = Path(answer.path)
    data = SplatData.load(path)
    if not splats.fits(data, shot.armature):
        raise PortraitError(
            f"track {shot.track_version} is of another body than the avatar was learned on",
            shot.name,
            "show a later version of the track, or reconstruct again",
        )
    shown, erased, joined = False, 0, 0
    for old in splats.performers(shot.shot_id, take):
        if old.library is not None or old.data.library is not None:
            continue
        if old.get(splats.SURFACE) is None:
            splats.remove(old)
            continue
        if splats.armature_of(old) is None:
            splats.adopt(old, shot.armature, shot.camera)
        if not splats.fits(data, splats.armature_of(old)):
            continue  # The rig of another scene shows another track.
        if old.name == sent:
            splats.drop_retouch(old)
        elif not retouched:
            erased += max(splats.erased(old), 0)
            joined += max(-splats.erased(old), 0)
        splats.show_anew(old, data, path, shot.offset)
        shown |= splats.armature_of(old) == shot.armature
    splats.remove_remains()
    if not shown:
        name = f"{shot.name} {take or 'reconstruction'}"
        splats.build(name, shot.shot_id, data, path, shot.armature, shot.camera, shot.offset)
    scene_updates.undo_step("Take Retouched Splats" if retouched else "To 3D")
    back = f"{erased} splats that were erased by hand are back; Undo, and Take Retouched keeps it"
    gone = f"{joined} splats that were joined to the performer are gone; Undo brings them back"
    notes = [retouched, back if erased else "", gone if joined else ""]
    notes += [_NEURAL] if answer.neural else []
    notes += [_ELSEWHERE] if answer.elsewhere else []
    session.told_of_splats = tuple(note for note in notes if note)


class PORTRAITGEN_OT_lit_by_scene(bpy.types.Operator):
    """Let the scene's lights light the performer, whose own light is divided out, with shadows of
    CG on it and of it on CG; pressed again, it is shown in the plate's light"""

    bl_idname = "portraitgen.lit_by_scene"
    bl_label = "Lit by Scene"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a performer in 3D."""
        return base.allowed(cls, _not_own(context))

    def execute(self, context: Any) -> set[str]:
        """Changes material and shadow."""
        cloud = _performer(context)
        splats.light_by_scene(cloud, not splats.is_lit(cloud))
        return {"FINISHED"}


class PORTRAITGEN_OT_pack_splats(bpy.types.Operator):
    """Keep the performer's splats in the .blend, for a file that leaves the shot's folder behind;
    pressed again, they are read from the folder"""

    bl_idname = "portraitgen.pack_splats"
    bl_label = "Pack Splats"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a performer in 3D."""
        return base.allowed(cls, _not_own(context))

    def execute(self, context: Any) -> set[str]:
        """Marks it, and says what that weighs."""
        return base.attempt(self, lambda: self._pack(_performer(context)))

    def _pack(self, cloud: Any) -> None:
        packed = not cloud.get(splats.PACKED)
        size = splats.data_path(cloud).stat().st_size / 1e6
        if packed and not len(cloud.data.points):
            raise PortraitError("it shows no splats to pack", cloud.name, "press To 3D again")
        cloud[splats.PACKED] = packed
        text = f"takes about {size:.0f} MB" if packed else "is read from the shot"
        self.report({"INFO"}, f"'{cloud.name}' {text} in saved files")


class PORTRAITGEN_OT_render_lit_take(bpy.types.Operator):
    """Render the lit performer through the plate's camera by the scene's engine, and lay it over
    the plate as the take's frames are: into its strip, bit-exact where the performer is not"""

    bl_idname = "portraitgen.render_lit_take"
    bl_label = "Render Lit Take"
    bl_options = {"REGISTER"}

    frames: EnumProperty(
        name="Frames",
        items=[
            ("ALL", "All Frames", "The whole shot"),
            ("CURRENT", "Current Frame", "To see what the light does before the shot is rendered"),
        ],
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a take, its rig, a performer that the scene lights, and a free backend."""
        missing = compat.splats_missing()
        cloud = None if missing else _performer(context)
        lit = cloud is not None and splats.is_lit(cloud)
        return base.allowed(
            cls,
            missing,
            base.no_shot(context),
            base.no_rig(context),
            base.no_take(context),
            _no_performer(context),
            "" if lit else "Press Lit by Scene first",
            base.no_backend(context),
            base.busy(context),
            "Blender is rendering" if bpy.app.is_job_running("RENDER") else "",
        )

    def execute(self, context: Any) -> set[str]:
        """Renders, and has the backend lay it over the plate."""
        return base.attempt(self, lambda: self._start(context))

    def _start(self, context: Any) -> None:
        shot, cloud = properties.active_shot(context), _performer(context)
        if cloud is None or cloud[splats.SHOT] != shot.shot_id:
            raise PortraitError("the performer is another shot's", shot.name, "select this one's")
        if reason := _not_of_take(context, shot, cloud):
            raise PortraitError(reason, cloud.name, "press To 3D and Lit by Scene")
        if splats.is_moved(cloud):
            raise PortraitError(
                "the performer was moved out of the plate's camera",
                cloud.name,
                "put it back (Alt+G, Alt+R, Alt+S)",
            )
        if reason := _posed_otherwise(shot):
            raise PortraitError(reason, shot.name, "or what is rendered lies beside the plate")
        frames = range(shot.first, shot.last + 1)
        options = base.strip_options(shot)
        if self.frames == "CURRENT":
            frame = _current(context, shot)
            frames = range(frame, frame + 1)
            options["frames"] = str(frame)
        name = shot.take.folder_name
        made = lit_render.prepare(shot, cloud, name, frames)
        options |= {"lit": str(made.folder), "track": shot.track_version}
        job = Job("render", shot.shot_id, shot.path, shot.id_data.session_uid, name, options)

        def lay() -> None:
            made.finish()
            scene_updates.run(job)

        try:
            if bpy.app.background:
                lit_render.render_now(made)
                lay()
            else:
                lit_render.render_beside(
                    made, lambda complete: session.later(lay if complete else made.discard)
                )
        except RuntimeError:
            made.discard()
            raise
        if bpy.app.background:
            scene_updates.wait_for(job)


def _not_of_take(context: Any, shot: Any, cloud: Any) -> str:
    """Why a performer does not show what a take shows now, empty if it does. A take without an edit
    shows the reconstruction."""
    take = _take(context)
    if take and cloud[splats.TAKE] != take:
        return f"the performer in 3D is not that of '{shot.take.name}'"
    return shot_summary.older(shot.path, splats.made_of(cloud))


def _posed_otherwise(shot: Any) -> str:
    """Why the rig does not show what the backend knows of the take, empty if it seems to."""
    name = shot.take.folder_name
    shown = acting_layer.acting_take(shot.armature)
    if not shown and acting_layer.has_corrections(shot.armature):
        return "send the corrections to the shot first"
    acts = (shot.path / "takes" / name / acting_layer.FILE).exists()
    if shown and (shown != name or not acts):
        return "send the acting first" if shown == name else f"the rig shows how '{shown}' acts"
    return "let the rig show how the take acts first" if acts and not shown else ""


class PORTRAITGEN_OT_export_splats(bpy.types.Operator):
    """Write the active take, or the reconstruction, as Gaussian splats for other programs"""

    bl_idname = "portraitgen.export_splats"
    bl_label = "Export Splats"
    bl_options = {"REGISTER"}

    filepath: StringProperty(subtype="FILE_PATH")
    # Lets Blender's file window say that a file is there.
    check_existing: BoolProperty(default=True, options={"HIDDEN"})
    filter_glob: StringProperty(default="*.ply;*.spz", options={"HIDDEN"})
    kind: EnumProperty(
        name="Format",
        items=[
            (".ply", "PLY", "Exact, with ids; read by every program"),
            (".spz", "SPZ", "A tenth of the size, rounded; without ids"),
        ],
    )
    frames: EnumProperty(
        name="Frames",
        items=[
            ("CURRENT", "Current Frame", "One file"),
            ("ALL", "All Frames", "A file a frame, with its number before the suffix"),
        ],
    )
    in_world: BoolProperty(
        name="In the World",
        description="Where the plate's camera stands in the scene; its own space without",
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs an avatar."""
        return base.job_allowed(cls, context, base.no_avatar)

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks for the file."""
        name = _take(context) or "reconstruction"
        self.filepath = f"{name}{self.kind}"
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def check(self, context: Any) -> bool:
        """Lets the name follow the format."""
        named = _named(self.filepath, self.kind)
        changed = named != self.filepath
        self.filepath = named
        return changed

    def execute(self, context: Any) -> set[str]:
        """Asks for the files."""
        return base.attempt(self, lambda: self._export(context))

    def _export(self, context: Any) -> None:
        shot = properties.active_shot(context)
        frames = shot.frames if self.frames == "ALL" else str(_current(context, shot))
        path = str(base.file_to_write(self.filepath))
        # A script that names a file means its format, unless it says another.
        if self.properties.is_property_set("kind") or not path.lower().endswith(_FORMATS):
            path = _named(path, self.kind)
        call = ExportSplats(
            str(shot.path),
            path,
            _take(context),
            frames,
            None,
            str(_world(shot)) if self.in_world else None,
        )
        scene_updates.ask("Writing the splats", call, _written)


def _written(answer: SplatsExported) -> None:
    first, count = Path(answer.files[0]), len(answer.files)
    where = f"{count} frames, {first.name} first," if count > 1 else first.name
    session.told_of_splats = (f"{where} in {first.parent}", *answer.notes)


def _current(context: Any, shot: Any) -> int:
    """The footage frame one stands on."""
    now = int(shot_time.scene_at_hand(context).frame_current)
    if not shot.first <= now - shot.offset <= shot.last:
        first, last = shot.first + shot.offset, shot.last + shot.offset
        raise PortraitError(
            f"frame {now} does not show the shot", shot.name, f"go to one of {first} to {last}"
        )
    return now - int(shot.offset)


_FORMATS = (".ply", ".spz")


def _named(path: str, kind: str) -> str:
    """A path with a suffix in the place of the other format's; a name may have points itself."""
    return (path[:-4] if path.lower().endswith(_FORMATS) else path) + kind


def _world(shot: Any) -> Path:
    """A file that says where the plate's camera stands in every frame."""
    if not shot.has_rig:
        raise PortraitError("the plate's camera is not in the scene", shot.name, "build the rig")
    frames = {}
    for frame, graph in camera.every_frame(shot):
        place, turn, _ = shot.camera.evaluated_get(graph).matrix_world.decompose()
        stands = turn.to_matrix().to_4x4()
        stands.translation = place
        frames[str(frame)] = [list(row) for row in stands @ camera.FLIP]
    # The shot may lie where nobody may write.
    path = Path(bpy.app.tempdir) / "portraitgen world.json"
    write_json(path, {"frames": frames})
    return path


class PORTRAITGEN_OT_take_retouched_splats(bpy.types.Operator):
    """Take splats that were erased, recoloured or moved by hand back, as a new version in which all
    frames follow: from the selected performer and the modifiers on it, or from a PLY or SPZ file"""

    bl_idname = "portraitgen.take_retouched_splats"
    bl_label = "Take Retouched Splats"
    bl_options = {"REGISTER"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default="*.ply;*.spz", options={"HIDDEN"})
    in_world: BoolProperty(
        name="In the World", description="The file was exported where the plate's camera stands"
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs an avatar."""
        return base.job_allowed(cls, context, base.no_avatar)

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks for a file where no performer is selected."""
        here = not compat.splats_missing() and context.object in splats.performers()
        if context.object is not None and here:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> set[str]:
        """Sends them."""
        return base.attempt(self, lambda: self._send(context))

    def _send(self, context: Any) -> None:
        cloud, take = None, _take(context)
        shot = properties.active_shot(context)
        path = Path(bpy.path.abspath(self.filepath)) if self.filepath else None
        untouched = None
        if path is None:
            cloud = _performer(context)
            if cloud is None:
                raise PortraitError("no splats are given", shot.name, "select them, or a file")
            if compat.splats_missing():
                # This Blender reads a newer one's points and nodes as something else.
                raise PortraitError(
                    "Blender 5.3 and later alone show its splats",
                    cloud.name,
                    "open the file there, or give a PLY or SPZ file",
                )
            take = str(cloud[splats.TAKE])
            shot = properties.find_shot(cloud[splats.SHOT], shot.id_data.session_uid)
            if shot is None:
                raise PortraitError(
                    "the file has lost the performer's shot", cloud.name, "open the shot"
                )
            path = shot.path / "splats" / "retouched.ply"
            untouched = shot.path / "splats" / "untouched.ply"
            if reason := shot_summary.older(shot.path, splats.made_of(cloud)):
                raise PortraitError(reason, cloud.name, "press To 3D again: your modifiers stay")
            splat_retouch.write(cloud, path, untouched)
        # What stands in the scene is taken as a difference, in whatever frame and pose.
        frame = shot.first if untouched else _current(context, shot)
        call = ImportSplats(
            str(shot.path),
            str(path),
            frame,
            take,
            world=str(_world(shot)) if self.in_world and not untouched else None,
            author=preferences.get().author,
            untouched=str(untouched) if untouched else None,
        )
        shot_id, scene = shot.shot_id, shot.id_data.session_uid
        sent = cloud.name if cloud else ""
        scene_updates.ask(
            "Taking the splats",
            call,
            lambda answer: _taken(properties.find_shot(shot_id, scene), take, sent, answer),
        )


def _taken(shot: Any, take: str, sent: str, answer: SplatsImported) -> None:
    over = (
        f"{answer.passed_over} passed over, which are no splats any more: metres away or large, or"
        " without numbers"
    )
    if answer.version is None:
        text = "the splats are as they were, there is nothing to take"
        raise PortraitError(f"{text}; {over}" if answer.passed_over else text, take)
    shot_summary.forget_summaries()
    parts = [f"{answer.changed} splats changed, {answer.erased} erased"]
    if answer.unmatched:
        parts.append(f"{answer.unmatched} that are none of the performer's left out")
    if answer.passed_over:
        parts.append(over)
    if answer.by == "place":
        parts.append("known by their place")
    told = "; ".join(parts)
    session.told_of_splats = (told,)
    if shot is not None and splats.performers(shot.shot_id, take):
        _bring(shot, take, told, sent)


CLASSES = (
    PORTRAITGEN_OT_to_3d,
    PORTRAITGEN_OT_lit_by_scene,
    PORTRAITGEN_OT_pack_splats,
    PORTRAITGEN_OT_render_lit_take,
    PORTRAITGEN_OT_export_splats,
    PORTRAITGEN_OT_take_retouched_splats,
)
