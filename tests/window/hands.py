# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tour's hands and eyes: clicks, keys and pictures by the test outside, and what is seen.

All that waits is a generator of seconds, so that Blender goes on meanwhile.
"""

import gc
import importlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import bpy

FOLDER, CLIP, ZIP, PYTHON = sys.argv[sys.argv.index("--") + 1 :]
PACKAGE = "bl_ext.user_default.portraitgen"
seen: dict[str, Any] = {"ticks": [], "others": [], "version": bpy.app.version_string}
# Panels lie in rows of this height; a mouse that goes down by it misses none.
_ROW = 20
# From the middle of a button to that of the header below it.
_HEADER = 26
_asked = 0


def module(name: str) -> Any:
    """A module of the installed extension."""
    return importlib.import_module(f"{PACKAGE}.{name}")


def outside(command: str) -> Iterator[float]:
    """Has the test do something to the window, and waits until it is done."""
    global _asked
    _asked += 1
    want = Path(FOLDER) / f"want_{_asked:03d}"
    want.with_suffix(".part").write_text(command)
    want.with_suffix(".part").rename(want)
    while not (Path(FOLDER) / f"got_{_asked:03d}").exists():
        yield 0.03


def picture(name: str) -> Iterator[float]:
    """A picture of the screen, to be looked at."""
    yield 0.8
    yield from outside(f"grab {name}.png")


def wait(met: Callable[[], object], limit_s: float = 600) -> Iterator[float]:
    """Until something holds, however long a busy machine takes."""
    end = time.monotonic() + limit_s
    while not met():
        if time.monotonic() > end:
            raise TimeoutError(module("portraitgen_addon.session").session.message)
        yield 0.05


def finished(kind: str) -> Iterator[float]:
    """Until a job has ended well and its results are in the scene."""
    session = module("portraitgen_addon.session").session
    yield from wait(lambda: not session.busy and not session._pending and not session.doing, 1800)
    assert session.job.kind == kind and session.job.state == "done", session.job.message


# Places


def window() -> Any:
    """Blender's first window, which fills the screen."""
    return bpy.context.window_manager.windows[0]


def largest(kind: str) -> Any:
    """The largest area of a kind."""
    areas = [area for area in window().screen.areas if area.type == kind]
    return max(areas, key=lambda area: area.width * area.height)


def region(area: Any, kind: str = "WINDOW") -> Any:
    """A region of an area."""
    return next(each for each in area.regions if each.type == kind)


def within(area: Any) -> Any:
    """As if the mouse were in an area."""
    return bpy.context.temp_override(window=window(), area=area, region=region(area))


def at(canvas: Any, x: float, y: float) -> str:
    """A place in a region as the screen counts: from the upper left."""
    return f"{round(canvas.x + x)} {window().height - round(canvas.y + y)}"


# Panels, by the mouse


def open_tab(area: Any) -> Iterator[float]:
    """Clicks down the sidebar's tabs until ours is open, as an artist would look for it."""
    area.spaces.active.show_region_ui = True
    yield 0.5
    bar = region(area, "UI")
    for y in range(bar.height - 30, 0, -25):
        yield from outside(f"click {at(bar, bar.width - 10, y)}")
        yield 0.3
        if bar.active_panel_category == "PortraitGen":
            return
    raise AssertionError("no click opened the PortraitGen tab")


def scroll(area: Any, notches: int) -> Iterator[float]:
    """Turns the wheel over the sidebar; up where `notches` is negative."""
    bar = region(area, "UI")
    word = "scroll" if notches > 0 else "scrollup"
    yield from outside(f"{word} {at(bar, bar.width // 2, bar.height // 2)} {abs(notches)}")
    yield 0.3


def _hovered(area: Any) -> str:
    """What the button under the mouse would do, as Blender copies it; empty for none."""
    manager = bpy.context.window_manager
    manager.clipboard = ""
    override = bpy.context.temp_override(window=window(), area=area, region=region(area, "UI"))
    with override:
        if bpy.ops.ui.copy_python_command_button.poll():
            bpy.ops.ui.copy_python_command_button()
    return str(manager.clipboard).replace('"', "'")


def find(area: Any, command: str, share: float = 0.3) -> Generator[float, None, tuple[int, int]]:
    """Looks down the panels with the mouse for a button, scrolling where needed.

    Args:
        command: how what it does begins, such as "portraitgen.track("; strings in single quotes.
        share: how far from the panel's left, for buttons that stand side by side.

    Returns:
        Where it is in the sidebar's region.
    """
    yield from scroll(area, -80)
    bar = region(area, "UI")
    top = bar.height - 40
    for _ in range(8):
        for y in range(top, 10, -_ROW):
            yield from outside(f"move {at(bar, share * (bar.width - 40), y)}")
            yield 0.08
            if _hovered(area).startswith(f"bpy.ops.{command}"):
                return round(share * (bar.width - 40)), y
        yield from scroll(area, 12)
    raise AssertionError(f"there is no button '{command}' in the panels")


def click(area: Any, command: str, share: float = 0.3) -> Iterator[float]:
    """Finds a button as `find` does, and clicks it."""
    place = yield from find(area, command, share)
    yield from outside(f"click {at(region(area, 'UI'), *place)}")
    seen["clicks"] = seen.get("clicks", 0) + 1
    yield 0.3


def open_below(area: Any, command: str) -> Iterator[float]:
    """Opens the part of a panel whose header stands right below a button."""
    x, y = yield from find(area, command)
    yield from outside(f"click {at(region(area, 'UI'), x, y - _HEADER)}")
    yield 0.5


def press(area: Any, name: str) -> None:
    """Runs an operator with the undo step that a click on its button makes."""
    with within(area):
        assert getattr(bpy.ops.portraitgen, name)("EXEC_DEFAULT", True) == {"FINISHED"}, name


def call(area: Any, name: str, **options: Any) -> None:
    """Runs an operator as a script does."""
    with within(area):
        assert getattr(bpy.ops.portraitgen, name)(**options) == {"FINISHED"}, name


# How long Blender is held


def time_ticks(session: Any) -> None:
    """Notes how long each drain of the backend's messages holds Blender, with a job and without."""
    drain = session.tick

    def timed() -> None:
        begun = time.perf_counter()
        drain()
        kind = "ticks" if session.busy else "others"
        seen[kind].append(1e3 * (time.perf_counter() - begun))

    session.tick = timed


class _Collector:
    """The processor time that Python's garbage collector took, which it does whenever enough has
    been made, in the middle of whatever is running then."""

    def __init__(self) -> None:
        self.took, self._begun = 0.0, 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, facts: dict[str, int]) -> None:
        if phase == "start":
            self._begun = time.thread_time()
        else:
            self.took += 1e3 * (time.thread_time() - self._begun)


def time_drawing() -> None:
    """Notes the processor time that each panel takes to draw, its buttons' polls with it, what the
    longest drawing of each was made of, and apart from it what the garbage collector took."""
    drawn: dict[str, list[float]] = seen.setdefault("drawn", {})
    longest: dict[str, dict[str, float]] = seen.setdefault("longest", {})
    collected: list[float] = seen.setdefault("collected", [])
    last = {"name": "", "end": 0.0}
    parts: dict[str, float] = {}
    collector = _Collector()
    deep = False

    def kept() -> None:
        if last["name"] and sum(parts.values()) > sum(longest.get(last["name"], {}).values()):
            longest[last["name"]] = dict(parts)

    def note(work: Callable[[Any, Any], Any], first: Any, context: Any, name: str = "") -> Any:
        nonlocal deep
        if deep:
            return work(first, context)  # A button that asks another is counted with it.
        deep = True
        begun, worked, before = time.perf_counter(), time.thread_time(), collector.took
        try:
            return work(first, context)
        finally:
            deep = False
            end, took = time.perf_counter(), 1e3 * (time.thread_time() - worked)
            if collector.took > before:
                collected.append(collector.took - before)
                took -= collected[-1]
            # Blender asks a panel's buttons once the panel itself has drawn.
            if name:
                kept()
                parts.clear()
                drawn.setdefault(name, []).append(took)
                last["name"], parts["panel"] = name, took
            elif last["name"] and begun - last["end"] < 0.002:
                drawn[last["name"]][-1] += took
                parts[first.__name__] = parts.get(first.__name__, 0.0) + took
            last["end"] = end

    def timed_panel(draw: Callable[[Any, Any], Any], name: str) -> Callable[[Any, Any], Any]:
        # Blender counts the arguments that a function names.
        def run(self: Any, context: Any) -> Any:
            return note(draw, self, context, name)

        return run

    def timed_poll(poll: Callable[[Any, Any], Any]) -> Any:
        def run(cls: Any, context: Any) -> Any:
            return note(poll, cls, context)

        return classmethod(run)

    for kind in module("ui.panels").CLASSES:
        kind.draw = timed_panel(kind.draw, kind.__name__.removeprefix("PORTRAITGEN_PT_"))
    rooms = [each for each in vars(module("operators")).values() if hasattr(each, "CLASSES")]
    for kind in (each for room in rooms for each in room.CLASSES):
        if "poll" in dir(kind) and hasattr(kind.poll, "__func__"):
            kind.poll = timed_poll(kind.poll.__func__)


def watch_bars() -> None:
    """Notes each text of a running job's bar as it is drawn, and whether the time is told."""
    progress = module("ui.progress")
    describe = progress.describe
    bars: list[str] = seen.setdefault("bars", [])

    def noted(job: Any) -> str:
        text = str(describe(job))
        if text not in bars[-1:]:
            bars.append(text)
        return text

    progress.describe = noted


def take(tour: Iterator[float]) -> None:
    """Takes a tour once the window is there, writes what was seen to seen.json, and quits."""

    def step() -> float | None:
        try:
            return next(tour)
        except StopIteration:
            seen["done"] = True
        except BaseException:  # noqa: BLE001 - the test outside reads it.
            seen["error"] = traceback.format_exc()
        (Path(FOLDER) / "seen.json").write_text(json.dumps(seen, indent=1))
        bpy.ops.wm.quit_blender()
        return None

    bpy.app.timers.register(step, first_interval=2.0, persistent=True)


def lay_plate(scene: Any, first: int) -> None:
    """Lays the clip into an edit of its own size and rate, from a frame on."""
    scene.render.fps, scene.render.fps_base = 25, 1.0
    editor = scene.sequence_editor_create()
    strip = editor.strips.new_movie(name="performer", filepath=CLIP, channel=2, frame_start=first)
    editor.active_strip = strip
    element = strip.elements[0]
    scene.render.resolution_x, scene.render.resolution_y = element.orig_width, element.orig_height
