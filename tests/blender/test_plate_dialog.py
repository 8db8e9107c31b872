# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What New Shot says of a plate, and a strip split at the plate's cuts."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import pytest
from conftest import PYTHON, module, plate_strip, trim


def test_new_shot_says_how_the_plate_would_be_read(
    session: Any, until: Callable[..., None]
) -> None:
    footage = module("operators.footage")
    messages = module("operators.footage").ProbePlate
    scene = bpy.context.scene
    strip = plate_strip(scene)
    path = bpy.path.abspath(strip.filepath)
    answers: list[Any] = []
    updates = module("portraitgen_addon.scene_updates")
    updates.ask("Looking at the plate", messages(footage=path), answers.append)
    until(lambda: answers)
    lines = footage.plate_lines(answers[0])
    assert lines[0].startswith("Movie, frames 1 to ") and "25 a second" in lines[0]
    assert "8 bits, Rec.709" in lines[1]
    # As the panel and Blender's own say it.
    assert "8 bits, sRGB" in footage.plate_lines(answers[0], "sRGB")[1]
    assert "8 bits, Rec.709" in footage.plate_lines(answers[0], "ACEScg")[1]


@pytest.mark.parametrize("deleted", [False, True])
def test_a_strip_that_is_renamed_while_its_plate_is_read_is_made_a_shot(
    deleted: bool, session: Any, until: Callable[..., None], tmp_path: Path
) -> None:
    """There was no shot, and not a word; nor where the strip was deleted."""
    scene = bpy.context.scene
    strip = plate_strip(scene)
    bpy.ops.portraitgen.new_shot(folder=str(tmp_path / "shot"))
    scene.name, strip.name = "reel 2", "A001"
    if deleted:
        scene.sequence_editor.strips.remove(strip)
    until(lambda: not session.doing and not session.waiting_work)
    if deleted:
        assert "the strip was deleted meanwhile" in session.message
        assert "press Open Shot for" in session.message
    else:
        assert [shot.strip for shot in scene.portraitgen.shots] == ["A001"]


def test_a_movie_tagged_as_blender_does_not_show_it_is_read_as_it_is_shown(
    tmp_path: Path, session: Any, until: Callable[..., None]
) -> None:
    """Its takes were 0.1 off the strip in the compositor, and nobody was told."""
    footage, scene = module("operators.footage"), bpy.context.scene
    path = tmp_path / "tagged.mov"
    _make_tagged(path)
    plate_strip(scene, start=1, path=path)
    footage.PORTRAITGEN_OT_new_shot._look(None, bpy.context)
    until(lambda: not session.doing)
    assert any("shows them as Rec.709" in line for line in footage.plate_lines(footage._PROBED[0]))
    bpy.ops.portraitgen.new_shot(folder=str(tmp_path / "shot"))
    until(lambda: len(scene.portraitgen.shots))
    record = module("portraitgen_addon.shot_summary").summary_of(scene.portraitgen.shots[0].path)
    assert record.footage.colour_space == "Rec.709"


@pytest.mark.parametrize("primaries", ["NTSC", "PAL"])
def test_a_plate_that_is_split_is_read_as_it_is_shown_too(
    primaries: str,
    monkeypatch: pytest.MonkeyPatch,
    session: Any,
    until: Callable[..., None],
    tmp_path: Path,
) -> None:
    """Its shots had the tagged colours: their takes differed from the strip."""
    footage, scene = module("operators.footage"), bpy.context.scene
    path = tmp_path / f"{primaries}.mov"
    _make_tagged(path, 6 if primaries == "NTSC" else 5)
    plate_strip(scene, start=1, path=path)
    asked: list[Any] = []
    ask = session.ask

    def noted(call: Any, *then: Any) -> None:
        asked.append(call)
        ask(call, *then)

    monkeypatch.setattr(session, "ask", noted)
    bpy.ops.portraitgen.split_at_cuts(folder=str(tmp_path))
    until(lambda: not session.doing)
    splits = [each for each in asked if isinstance(each, footage.SplitPlate)]
    assert [each.colour_space for each in splits] == ["Rec.709"]


def test_a_movie_of_a_varying_rate_is_not_split(
    monkeypatch: pytest.MonkeyPatch, session: Any, until: Callable[..., None], tmp_path: Path
) -> None:
    """New Shot refused it; its parts were cut at other frames than the strip shows."""
    footage, scene = module("operators.footage"), bpy.context.scene
    plate_strip(scene)
    kept = footage.plate_strip.check_probed_rate
    monkeypatch.setattr(
        footage.plate_strip,
        "check_probed_rate",
        lambda name, own, fps, probed: kept(name, own, fps, probed * 1.1),
    )
    bpy.ops.portraitgen.split_at_cuts(folder=str(tmp_path))
    until(lambda: session.error or len(scene.portraitgen.shots))
    assert "frames a second and Blender plays it at" in session.message


def _make_tagged(path: Path, primaries: int = 6) -> None:
    code = [PYTHON, "-c", _TAGGED, path, str(primaries)]
    made = subprocess.run(code, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr


# SMPTE 170M, as recorders of standard definition tag it.
_TAGGED = """
import sys
import av
import numpy as np
with av.open(sys.argv[1], "w") as container:
    stream = container.add_stream("mpeg4", rate=25)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.colorspace = context.color_primaries = int(sys.argv[2])
    context.color_trc = 1
    for _ in range(3):
        frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 120, np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
"""


def test_new_shots_dialog_opens_when_the_plate_was_looked_at(
    session: Any, until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opened at once and said "Looking at the plate..." for ever: it is drawn only once."""
    footage = module("operators.footage")
    opened: list[Any] = []
    monkeypatch.setattr(footage, "_ask_where", lambda *given: opened.append(given))
    footage._PROBED.clear()
    strip = plate_strip(bpy.context.scene)
    trim(strip, 1003, 1013)
    footage.PORTRAITGEN_OT_new_shot._look(None, bpy.context)
    assert not opened
    until(lambda: opened or session.error)
    part = "The strip shows frames 3 to 12, which are the shot's."
    assert opened == [(strip.name, 0, part)] and footage._PROBED[0].width == 512


def test_new_shots_dialog_gives_pictures_the_scenes_rate(
    written_sequence: Path, session: Any, until: Callable[..., None]
) -> None:
    """It said 24, whatever the scene's rate, at which the shot was made."""
    footage, scene = module("operators.footage"), bpy.context.scene
    scene.render.fps, scene.render.fps_base = 24, 1.001
    files = sorted(written_sequence.glob("*.png"))
    strips = scene.sequence_editor_create().strips
    strip = strips.new_image(name="s", filepath=str(files[0]), channel=1, frame_start=1)
    for file in files[1:]:
        strip.elements.append(file.name)
    scene.sequence_editor.active_strip = strip
    footage._PROBED.clear()
    footage.PORTRAITGEN_OT_new_shot._look(None, bpy.context)
    until(lambda: footage._PROBED or session.error)
    assert "23.976 a second" in footage.plate_lines(footage._PROBED[0])[0]


@pytest.fixture
def written_sequence(tmp_path: Path) -> Path:
    image = bpy.data.images.new("any", 64, 48)
    image.file_format = "PNG"
    for frame in (1, 2, 3):
        image.save(filepath=str(tmp_path / f"plate.{frame:04d}.png"))
    return tmp_path


@pytest.mark.parametrize(("frame", "active"), [(1005, 0), (1012, 0), (1030, 1)])
def test_a_strip_is_split_where_the_plate_cuts_and_parts_with_a_face_are_shots(
    frame: int, active: int, tmp_path: Path
) -> None:
    footage = module("operators.footage")
    scene = bpy.context.scene
    scene.frame_set(frame)
    strip = plate_strip(scene, start=1001)
    compat = module("portraitgen_addon.compat")
    found = footage.PlateSplit(
        parts=(
            _part(1, 9),
            _part(10, 20, tmp_path / "b", "id-b"),
            _part(21, 400, tmp_path / "c", "c"),
        )
    )
    read = module("portraitgen_addon.plate_strip").footage_of(strip, scene)
    place = footage._Place.of(strip, read)
    strip.name = "renamed while the plate was looked at"
    footage._split(place, read, found)
    starts = sorted(compat.strip_range(each)[0] for each in compat.strips(scene))
    assert starts == [1001, 1010, 1021]
    shots = scene.portraitgen.shots
    assert [(each.name, each.first, each.last, each.offset) for each in shots] == [
        ("b", 10, 20, 1000),
        ("c", 21, 48, 1000),
    ]
    begins = {each.name: compat.strip_range(each)[0] for each in compat.strips(scene)}
    assert [begins[each.strip] for each in shots] == [1010, 1021]
    # What the playhead shows is worked on next, else what comes first.
    assert scene.portraitgen.active == active


def _part(first: int, last: int, shot: Path | None = None, shot_id: str | None = None) -> Any:
    from portraitgen.messages.shots import PlatePart

    return PlatePart(first, last, str(shot) if shot else None, shot_id)


def test_split_at_cuts_makes_the_shot_of_a_plate_without_cuts(
    session: Any, until: Callable[..., None], tmp_path: Path
) -> None:
    scene = bpy.context.scene
    trim(plate_strip(scene, start=1001), 1003, 1013)
    bpy.ops.portraitgen.split_at_cuts(folder=str(tmp_path))
    until(lambda: len(scene.portraitgen.shots) or session.error)
    assert session.error is None
    shot = scene.portraitgen.shots[0]
    assert (shot.first, shot.last, shot.path.name) == (3, 12, "performer_3-12")


def test_the_performer_is_picked_by_a_point_on_the_plate(
    session: Any, until: Callable[..., None], tmp_path: Path
) -> None:
    scene = bpy.context.scene
    plate_strip(scene, start=1001)
    bpy.ops.portraitgen.new_shot(folder=str(tmp_path / "shot"))
    until(lambda: len(scene.portraitgen.shots))
    shot = scene.portraitgen.shots[0]
    until(lambda: shot.people)
    assert shot.people == 1
    settings = shot.settings_track
    assert bpy.ops.portraitgen.pick_performer(frame=4, x=256, y=220) == {"FINISHED"}
    assert settings.performer == "4:256,220"
    until(lambda: not session.doing)
    assert session.error is None and settings.performer == "4:256,220"
    bpy.ops.portraitgen.pick_performer(frame=9, x=10, y=500)
    assert settings.performer == "4:256,220;9:10,500"
    until(lambda: session.error)
    assert "there is no face at 10,500" in str(session.error)
    assert settings.performer == "4:256,220"
    bpy.ops.portraitgen.pick_performer(frame=4, x=250, y=200)
    assert settings.performer == "4:250,200", "one point a frame"
    until(lambda: not session.doing)
    assert bpy.ops.portraitgen.forget_performer() == {"FINISHED"} and not settings.performer


def test_a_place_in_an_editor_is_a_pixel_of_the_plate() -> None:
    point = module("portraitgen_addon.plate_point")
    strip = plate_strip(bpy.context.scene)
    strip.transform.scale_x = strip.transform.scale_y = 2
    strip.transform.offset_x = 100
    share = point.of_preview((100 + 2 * 56, 2 * 156), strip, (512, 512))
    assert point.in_picture(share, (512, 512)) == pytest.approx((312, 100))
    assert point.in_picture((1.2, 0.5), (512, 512)) is None
    share = point.of_camera((300, 250), [(100, 50), (500, 50), (500, 350), (100, 350)])
    assert point.in_picture(share, (1920, 1080)) == pytest.approx((960, 360))
