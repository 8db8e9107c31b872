# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every editor promises, and what each of ours does."""

import dataclasses
import importlib.metadata
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion
from portraitgen.body.surface import Surface
from portraitgen.editing import registry
from portraitgen.editing.colour import to_display, to_linear
from portraitgen.editing.editor import Editor, EditorInfo, EditRequest
from portraitgen.editing.overlays import FrameEditor
from portraitgen.editing.registry import create_editor, describe_editors, editor_classes
from portraitgen.editing.schedule import iterative, one_pass, pivots
from portraitgen.errors import EditError, OptionError
from portraitgen.pipeline.requests.diagnostics import check_setup
from portraitgen.settings import option
from synthetic.acting import act, camera

EDITORS = sorted(name for name, editor in editor_classes().items() if not editor.info.needs)


def sphere(size: int = 96, light: tuple[float, float, float] = (0.5, -0.5, -0.7)) -> EditRequest:
    """A lit ball with a coloured texture: as simple as a head can be."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size * 2.2 - 1.1
    inside = x * x + y * y < 1
    z = -np.sqrt(np.clip(1 - x * x - y * y, 0, 1))
    normals = np.where(inside[..., None], np.stack([x, y, z], -1), 0).astype(np.float32)
    albedo = 0.4 + 0.15 * np.stack([np.sin(9 * x), np.sin(7 * y), np.cos(8 * x * y)], -1)
    return EditRequest(
        frame=1,
        rendered=np.full((size, size, 3), 0.5, np.float32),
        source=to_display(albedo * shading(normals, light)[..., None]),
        matte=inside.astype(np.float32),
        normals=normals,
    )


def shading(normals: np.ndarray, light: tuple[float, float, float]) -> np.ndarray:
    towards = np.array(light) / np.linalg.norm(light)
    return 0.25 + 0.9 * np.clip(normals @ towards, 0, 1)


def prepared(name: str, request: EditRequest, **options: Any) -> Editor:
    editor = create_editor(name, options)
    editor.prepare([request])
    return editor


@pytest.mark.parametrize("name", EDITORS)
class TestEveryEditor:
    def test_strength_zero_is_the_identity(self, name: str) -> None:
        request = dataclasses.replace(sphere(), strength=0.0)
        assert np.array_equal(prepared(name, request).edit(request), request.source)

    def test_outside_the_mask_every_bit_stays(self, name: str) -> None:
        request = sphere()
        mask = np.zeros((96, 96), np.float32)
        mask[30:60, 30:60] = 1
        masked = prepared(name, request).edit(dataclasses.replace(request, mask=mask))
        assert np.array_equal(masked[mask == 0], request.source[mask == 0])

    def test_it_does_something_and_the_same_every_time(self, name: str) -> None:
        request = sphere()
        options = {"exposure": 1.0} if name == "grade" else {}
        first = prepared(name, request, **options).edit(request)
        second = prepared(name, request, **options).edit(request)
        assert np.array_equal(first, second)
        assert np.abs(first - request.source)[request.matte > 0].mean() > 0.02
        assert first.dtype == np.float32 and 0 <= first.min() and first.max() <= 1

    def test_odd_and_oblong_sizes_are_taken(self, name: str) -> None:
        whole = sphere()
        request = dataclasses.replace(
            whole,
            **{
                key: np.ascontiguousarray(getattr(whole, key)[:77, :51])
                for key in ("rendered", "source", "matte", "normals")
            },
        )
        assert prepared(name, request).edit(request).shape == (77, 51, 3)

    def test_it_describes_itself_for_a_panel(self, name: str) -> None:
        described = {editor.id: editor for editor in describe_editors()}[name]
        json.dumps(described.to_json())
        assert described.licence and described.label and described.description
        assert all(option.help for option in described.options)


def test_a_new_key_light_comes_near_the_truth() -> None:
    before, after = (0.8, -0.3, -0.6), (-0.9, -0.3, -0.4)
    request, truth = sphere(light=before), sphere(light=after)
    options = {"key": "left", "ratio": 3.6, "temperature": 0.0, "fill_temperature": 0.0}
    relit = prepared("relight", request, **options).edit(request)
    inside = request.matte > 0

    def decibels(image: np.ndarray) -> float:
        a, b = to_linear(image)[inside], to_linear(truth.source)[inside]
        a = a * (b.mean() / a.mean())
        return float(-10 * np.log10(((a - b) ** 2).mean()))

    assert decibels(relit) > decibels(request.source) + 6


def test_light_from_the_left_brightens_the_left() -> None:
    request = sphere(light=(0, 0, -1))
    for key, brighter in (("left", slice(0, 48)), ("right", slice(48, 96))):
        relit = prepared("relight", request, key=key).edit(request)
        darker = slice(48, 96) if key == "left" else slice(0, 48)
        assert relit[:, brighter].sum() > 1.2 * relit[:, darker].sum()


def test_a_reference_gives_its_colours(tmp_path: Path) -> None:
    reference = tmp_path / "blue.png"
    generator = np.random.default_rng(0)
    picture = np.clip(generator.normal((0.6, 0.3, 0.2), 0.05, (40, 40, 3)), 0, 1)
    cv2.imwrite(str(reference), (picture * 255).astype(np.uint8))  # Blue first: a blue picture.
    request = sphere()
    graded = prepared("grade", request, reference=str(reference)).edit(request)
    colours = graded[request.matte > 0.9]
    assert np.allclose(colours.mean(0), picture.mean((0, 1))[::-1], atol=0.03)


def test_an_identity_cube_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "identity.cube"
    steps = np.linspace(0, 1, 5)
    rows = [f"{r} {g} {b}" for b in steps for g in steps for r in steps]
    path.write_text("TITLE x\nLUT_3D_SIZE 5\n" + "\n".join(rows))
    request = sphere()
    assert np.allclose(
        prepared("grade", request, cube=str(path)).edit(request), request.source, atol=2e-3
    )


@pytest.mark.parametrize("text", ["", "LUT_3D_SIZE 5\n0 0 0\n"])
def test_a_file_that_is_no_cube_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.cube"
    path.write_text(text)
    with pytest.raises(EditError, match="no 3D .cube"):
        create_editor("grade", {"cube": str(path)})


def test_a_mosaic_has_few_colours_in_square_cells() -> None:
    request = sphere()
    drawn = prepared("pixel", request, cells=12, colours=5).edit(request)
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) <= 5
    cells = drawn.reshape(12, 8, 12, 8, 3)
    assert np.array_equal(cells, np.broadcast_to(cells[:, :1, :, :1], cells.shape))


def plain(shade: float, colour: tuple[float, float, float], stroke: bool = False) -> EditRequest:
    """A ball of one colour in even light, perhaps with a dark stroke across."""
    request = sphere()
    source = np.broadcast_to(np.array(colour, np.float32) * shade, request.source.shape).copy()
    if stroke:
        source[44:48, 30:66] *= 0.4
    return dataclasses.replace(request, source=source)


def test_a_statue_has_its_material_s_colour_whatever_the_performer_s() -> None:
    fair, dark = plain(0.9, (1.0, 0.8, 0.7)), plain(0.3, (0.5, 0.6, 1.0))
    inside = fair.matte > 0.5
    means = {}
    for material in ("bronze", "gold", "silver", "marble"):
        one, other = (
            prepared("statue", each, material=material).edit(each) for each in (fair, dark)
        )
        assert np.abs(one - other)[inside].max() < 1e-3
        means[material] = one[inside].mean(0)
    for warm in ("bronze", "gold"):
        red, green, blue = means[warm]
        assert red > 1.15 * green > 1.15 * 1.15 * blue
    assert np.ptp(means["silver"]) < 0.03
    assert means["marble"].min() > 2 * means["bronze"].min()


def test_metal_shines_where_the_studio_s_lights_are_and_marble_does_not() -> None:
    request = plain(0.5, (1.0, 1.0, 1.0))
    inside = cv2.erode(request.matte, np.ones((9, 9))) > 0.5
    silver, marble = (
        prepared("statue", request, material=name).edit(request).mean(2)[inside]
        for name in ("silver", "marble")
    )
    contrast = [np.quantile(each, 0.98) / np.quantile(each, 0.1) for each in (silver, marble)]
    assert contrast[0] > 1.5 * contrast[1]
    y, x = np.nonzero(inside)
    brightest = silver > np.quantile(silver, 0.95)
    # The key hangs to the upper left.
    assert x[brightest].mean() < 48 and y[brightest].mean() < 48


def test_what_is_drawn_on_the_performer_is_cut_into_the_statue() -> None:
    bare, drawn = plain(0.6, (1.0, 0.9, 0.8)), plain(0.6, (1.0, 0.9, 0.8), stroke=True)
    near, far = np.s_[40:52, 36:60], np.s_[70:80, 40:56]
    changes = []
    for relief in (0.0, 1.0):
        edits = [prepared("statue", each, relief=relief).edit(each) for each in (bare, drawn)]
        changes.append(np.abs(edits[0] - edits[1]))
    assert changes[0].max() < 1e-6
    assert changes[1][near].mean() > 10 * changes[1][far].mean()
    assert changes[1][near].mean() > 0.02


def test_under_a_statue_s_clothes_there_is_no_other_person_s_anatomy() -> None:
    body, view = BodyModel.load(), camera(192)
    motion = act(body, range(1, 2), 0)
    values = (motion.pose, motion.expression, motion.transl)
    with torch.no_grad():
        posed = body.forward(torch.from_numpy(motion.betas)[None], *map(torch.from_numpy, values))
    surface = Surface.of(body, posed.vertices[0].numpy(), view)
    seen = surface.face >= 0
    corners = surface.vertices[surface.faces[surface.face[seen]]]
    facets = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facets /= np.linalg.norm(facets, axis=1, keepdims=True)
    normals = np.zeros((192, 192, 3), np.float32)
    normals[seen] = np.where(facets[:, 2:] > 0, -facets, facets)
    grey = np.full((192, 192, 3), 0.5, np.float32)
    request = EditRequest(1, grey, grey, seen.astype(np.float32), normals, surface=surface)
    bare = dataclasses.replace(request, surface=None)
    draped, tracked = (prepared("statue", each).edit(each).mean(2) for each in (request, bare))
    on_trunk = np.isin(surface.face, np.flatnonzero(body.parts["torso"].numpy())) & seen
    on_face = np.isin(surface.face, np.flatnonzero(body.parts["face"].numpy())) & seen
    inner = [cv2.erode(each.astype(np.uint8), np.ones((7, 7))) > 0 for each in (on_trunk, on_face)]
    rough = [
        [np.abs(cv2.Laplacian(each, cv2.CV_32F))[part].mean() for part in inner]
        for each in (draped, tracked)
    ]
    trunk, face = np.divide(*rough)
    assert trunk < 0.6 and face > 0.7


def test_unknown_editors_and_options_name_what_there_is() -> None:
    with pytest.raises(EditError, match="use one of: grade, relight"):
        create_editor("magic", {})
    with pytest.raises(OptionError, match="out of range"):
        create_editor("relight", {"ratio": 0})


@dataclass(frozen=True)
class NoOptions:
    """Nothing to choose."""

    amount: float = option(1.0, "How much")


class Invert(Editor):
    """A studio's own editor."""

    info = EditorInfo(id="invert", label="Invert", description="Turns light to dark")
    Options = NoOptions

    def _edit(self, request: EditRequest) -> np.ndarray:
        return 1 - request.source


class Rubbish(Invert):
    """An editor that gives back no image."""

    def _edit(self, request: EditRequest) -> np.ndarray:
        return np.full((3, 3), np.nan)


class Entry:
    """Stands in for an entry point of an installed package."""

    def __init__(self, name: str, value: object) -> None:
        self.name, self.value, self._loaded = name, str(value), value

    def load(self) -> object:
        if isinstance(self._loaded, Exception):
            raise self._loaded
        return self._loaded


def test_a_studio_adds_its_own_and_a_broken_one_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    entries = [Entry("invert", Invert), Entry("gone", ImportError("no module x")), Entry("odd", 3)]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: entries)
    assert registry.editor_classes()["invert"] is Invert
    assert "gone" in caplog.text and "no module x" in caplog.text and "odd" in caplog.text


def old_class(method: str) -> type[Editor]:
    return type("Old", (Invert,), {method: lambda self, *given: None})


@dataclass(frozen=True)
class OldInfo:
    """Makes an EditorInfo as packages for earlier versions do."""

    flags: dict[str, bool]

    def load(self) -> type[Editor]:
        info = EditorInfo(id="old", label="Old", description="Old", **self.flags)  # type: ignore[arg-type]
        return type("Old", (Invert,), {"info": info})


@pytest.mark.parametrize(
    ("name", "editor", "remedy"),
    [
        ("follow", old_class("follow"), "AvatarOverlay"),
        ("laid_over", old_class("laid_over"), "FrameEditor"),
        ("recall", old_class("recall"), "restore"),
        ("files", old_class("files"), "kept_files"),
        ("edits_frames", OldInfo({"edits_frames": True}), "FrameEditor"),
        ("lies_on_plate", OldInfo({"lies_on_plate": True}), "PlateOverlay"),
    ],
)
def test_an_editor_of_an_earlier_version_is_told_what_to_change(
    name: str, editor: Any, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = Entry("old", editor)
    if isinstance(editor, OldInfo):
        monkeypatch.setattr(entry, "load", editor.load)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry])
    assert "old" not in registry.editor_classes()
    with pytest.raises(EditError, match=f"earlier version.*'{name}'.*{remedy}"):
        create_editor("old", {})
    rows = {row.name: row for row in check_setup()}
    assert rows["Editor old"].state == "missing" and name in rows["Editor old"].message
    assert remedy in rows["Editor old"].remedy


class InvertFrames(FrameEditor, Invert):
    """A studio's own, over every frame of the plate."""

    keeps_grain = True


def test_what_a_studios_editor_is_for_is_read_off_its_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entries = [Entry("invert", InvertFrames)]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: entries)
    described = {each.id: each for each in describe_editors()}
    told = described["invert"]
    assert told.edits_frames and told.keeps_grain and not told.lies_on_plate
    assert described["paint"].lies_on_plate and not described["paint"].edits_frames
    assert described["toon"].edits_frames and not described["toon"].keeps_grain
    assert not described["ic-light"].edits_frames and described["ic-light"].starts_from_render


def test_one_editor_is_made_without_importing_the_others() -> None:
    script = (
        "import sys; from portraitgen.editing.registry import create_editor;"
        "create_editor('toon', {});"
        "print(*(name for name in sys.modules if '.editing.editors.' in name))"
    )
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert made.stdout.split() == ["portraitgen.editing.editors.toon"], made.stderr


def test_an_unusable_image_is_refused() -> None:
    with pytest.raises(EditError, match="unusable image"):
        Rubbish(NoOptions()).edit(sphere())


def motion(rows: int) -> Motion:
    generator = np.random.default_rng(1)
    return Motion(
        frames=np.arange(rows),
        betas=np.zeros(4, np.float32),
        transl=np.zeros((rows, 3), np.float32),
        pose=np.zeros((rows, 55, 3), np.float32),
        expression=generator.uniform(0, 1, (rows, 52)).astype(np.float32),
        valid=np.ones(rows, bool),
        fixed=np.zeros(rows, bool),
    )


def test_pivots_take_the_extremes_first() -> None:
    shot = motion(30)
    shot.expression[:] = 0.1
    shot.expression[7, 3], shot.expression[22, 5] = 1.0, 1.0
    assert {7, 22} <= set(pivots(shot, 3))
    assert pivots(shot, 100) == sorted(set(pivots(shot, 100)))


def test_one_pass_edits_every_pivot_once_before_the_first_step() -> None:
    plan = one_pass(motion(30), 6)
    assert sorted(plan.edits.values()) == plan.key_rows and len(plan.key_rows) == 6
    assert all(step < 0 for step in plan.edits) and not plan.gentle
    twice = one_pass(motion(30), 6, again=60)
    second = [row for step, row in sorted(twice.edits.items()) if step >= 0]
    assert second == plan.key_rows and sorted(twice.gentle) == list(range(60, 66))


def test_the_papers_schedule_edits_in_turn_while_training() -> None:
    plan = iterative(rows=48, every=12, interval=4, steps=40, rounds=100)
    assert plan.key_rows == [0, 12, 24, 36]
    assert [plan.edits[step] for step in range(0, 40, 4)] == [0, 12, 24, 36, 0, 12, 24, 36, 0, 12]
    once = iterative(rows=48, every=12, interval=4, steps=40, rounds=1)
    assert sorted(once.edits.values()) == [0, 12, 24, 36]


def test_a_patch_of_stray_normals_leaves_no_patch_of_shade() -> None:
    from portraitgen.editing.hole_filling import fill_normals

    request = sphere()
    stray = request.normals.copy()
    stray[50:56, 40:48] = (0.9, 0.3, 0.3)
    clean = fill_normals(request.normals, request.matte, sigma=1.5)
    mended = fill_normals(stray, request.matte, sigma=1.5)
    inside = request.matte > 0
    assert (clean * mended).sum(-1)[inside].min() > 0.97
