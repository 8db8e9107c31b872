# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs the built zip through Blender's own operators, once, and empties the file each test."""

import importlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

# Blender reads it when it is imported; the user's own configuration stays untouched.
_USER = tempfile.TemporaryDirectory(prefix="portraitgen-blender-")
os.environ["BLENDER_USER_RESOURCES"] = _USER.name

import bpy  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
ZIP = Path(os.environ["PORTRAITGEN_EXTENSION"])
PYTHON = Path(os.environ["PORTRAITGEN_PYTHON"])
CLIP = ROOT / "tests" / "data" / "performer.mp4"
PACKAGE = "bl_ext.user_default.portraitgen"


def module(name: str) -> ModuleType:
    """A module of the installed extension."""
    return importlib.import_module(f"{PACKAGE}.{name}")


@pytest.fixture(scope="session", autouse=True)
def installed() -> Iterator[None]:
    """The extension, installed from its zip and enabled, with the test's interpreter."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.extensions.package_install_files(
        filepath=str(ZIP), repo="user_default", enable_on_install=True
    )
    yield
    module("portraitgen_addon.session").session.end()


@pytest.fixture(autouse=True)
def empty(installed: None) -> Iterator[None]:
    """An empty file; the worker and its warm imports stay from test to test."""
    settings = module("portraitgen_addon.preferences").get()
    settings.source = "EXISTING"
    settings.interpreter = str(PYTHON)
    # As in a window, where the timer drains what `until` drains here.
    module("portraitgen_addon.scene_updates").waits = False
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
    yield
    session = module("portraitgen_addon.session").session
    if session.busy:
        session.end()
    session.error = None


@pytest.fixture
def session() -> Any:
    return module("portraitgen_addon.session").session


@pytest.fixture
def until(session: Any) -> Callable[..., None]:
    """Drains the session, as the timer does in a window, until something holds."""

    def wait(met: Callable[[], object], limit_s: float = 600) -> None:
        end = time.monotonic() + limit_s
        while not met():
            assert time.monotonic() < end, f"not within {limit_s} s: {session.message}"
            session.tick()
            time.sleep(0.01)

    return wait


def plate_strip(scene: Any, start: int = 1001, path: Path = CLIP) -> Any:
    """The embedded clip as a strip of a scene at the clip's own rate."""
    scene.render.fps, scene.render.fps_base = 25, 1.0
    scene.sequence_editor_create()
    strip = scene.sequence_editor.strips.new_movie(
        name="performer", filepath=str(path), channel=2, frame_start=start
    )
    scene.sequence_editor.active_strip = strip
    return strip


MadeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Makes a folder that tests only read, by its name: once for all Blenders that build.py tests,
    since the backend makes the same for each."""
    shared = Path(os.environ.get("PORTRAITGEN_SHARED") or tmp_path_factory.mktemp("shared"))

    def once(name: str, make: Callable[[Path], object]) -> Path:
        folder, claim = shared / name, shared / f"{name}.claim"
        end = time.monotonic() + 600
        while not folder.exists():
            try:
                claim.touch(exist_ok=False)
            except FileExistsError:
                assert time.monotonic() < end, f"another process did not make {folder}"
                time.sleep(0.2)
                continue
            try:
                # It may have been made since it was looked for.
                if not folder.exists():
                    staged = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=shared))
                    make(staged)
                    staged.rename(folder)
            finally:
                claim.unlink()
        return folder

    return once


def by_backend(code: str, *words: object) -> Callable[[Path], object]:
    """What runs code in the backend's Python; it is given the folder and words."""

    def make(folder: Path) -> None:
        subprocess.run([str(PYTHON), "-c", code, str(folder), *map(str, words)], check=True)

    return make


@pytest.fixture(scope="session")
def splat_shot(made_once: MadeOnce) -> Path:
    """A folder with a shot of the synthetic performer, and the truth of its splats."""
    from splat_performer import make_shot

    return made_once("splats", make_shot)


@pytest.fixture
def built(splat_shot: Path) -> SimpleNamespace:
    """That shot's rig and performer in the open file."""
    from splat_performer import put_together

    return put_together(splat_shot, "one")


@pytest.fixture(scope="session")
def tracked_clip(made_once: MadeOnce) -> Path:
    """A shot of the embedded clip whose frames 5 to 10 are tracked."""

    def track(folder: Path) -> None:
        words = ["track", str(folder / "shot"), "--footage", str(CLIP), "--frames", "5-10"]
        subprocess.run([str(PYTHON), "-m", "portraitgen", *words], check=True)

    return made_once("tracked", track) / "shot"


def copy_shot(made: Path, plate: Path, folder: Path) -> None:
    """A copy of a shot, wherever its plate lies from there."""
    shutil.copytree(made, folder)
    facts = json.loads((folder / "shot.json").read_text())
    facts["footage"]["path"] = str(plate)
    (folder / "shot.json").write_text(json.dumps(facts))


def open_copy(made: Path, plate: Path, folder: Path, until: Callable[..., None]) -> Any:
    """A copy of a shot with its rig, opened in the scene, where the strip of its plate is."""
    copy_shot(made, plate, folder)
    assert bpy.ops.portraitgen.open_shot(directory=str(folder)) == {"FINISHED"}
    bpy.ops.portraitgen.show_version(version=0)
    shot = bpy.context.scene.portraitgen.shots[0]
    until(lambda: shot.has_rig)
    return shot


@pytest.fixture
def performer_shot(splat_shot: Path, tmp_path: Path, until: Callable[..., None]) -> Any:
    """The synthetic performer's shot with its rig, opened in the scene from a folder of its own."""
    from splat_performer import OFFSET, SIZE

    scene = bpy.context.scene
    scene.render.resolution_x = scene.render.resolution_y = SIZE
    plate_strip(scene, OFFSET + 1, splat_shot / "plate.mp4")
    return open_copy(splat_shot / "shot", splat_shot / "plate.mp4", tmp_path / "shot", until)


def shown(strip: Any) -> tuple[int, int]:
    """The first scene frame that shows a strip and the one after its last."""
    found: tuple[int, int] = module("portraitgen_addon.compat").strip_range(strip)
    return found


def trim(strip: Any, first: int, end: int) -> None:
    """Lets a strip show from a scene frame up to, not including, another."""
    module("portraitgen_addon.compat").trim(strip, first, end)
