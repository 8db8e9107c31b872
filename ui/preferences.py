# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension's preferences: set-up first, then what is checked, then looks."""

from pathlib import Path
from typing import Any

from ..operators.environment import Setup, outdated, running
from ..operators.models import Models
from ..portraitgen_addon import preferences
from ..portraitgen_addon.background_process import BackgroundProcess
from ..portraitgen_addon.session import session
from .progress import draw_awaited, draw_message
from .text import draw_text

_SYMBOLS = {"ok": "CHECKMARK", "limited": "INFO", "missing": "ERROR", "failed": "ERROR"}
_LOG_LINES = 8


def draw(layout: Any, settings: Any) -> None:
    """Draws the preferences."""
    layout.use_property_split = True
    layout.use_property_decorate = False
    row = layout.row()
    row.use_property_split = False
    row.prop(settings, "source", expand=True)
    if settings.source == "EXISTING":
        row = layout.row()
        row.alert = preferences.interpreter() is None
        row.prop(settings, "interpreter")
    else:
        layout.prop(settings, "environment_folder")
        _packages(layout, settings)
        _creation(layout)
    draw_message(layout)
    row = layout.row(align=True)
    row.operator("portraitgen.check_setup", icon="CHECKMARK")
    row.operator("portraitgen.self_test", icon="MEMORY")
    draw_awaited(layout)
    for each in Setup.rows:
        line = layout.row()
        line.alert = each.state == "missing"
        line.label(text=each.name, icon=_SYMBOLS[each.state])
        line.label(text=each.message)
        if each.code == "environment":
            line.operator("portraitgen.create_environment", text="Create Environment")
        elif each.remedy:
            layout.label(text=each.remedy.capitalize(), icon="BLANK1")
    _tested(layout)
    if session.pid:
        layout.operator("portraitgen.free_memory", icon="MEMORY")
    layout.separator()
    layout.prop(settings, "author", placeholder="Nobody is named")
    layout.prop(settings, "body_model")
    layout.prop(settings, "looks_folder")
    layout.prop(settings, "models_folder")
    _models(layout)
    layout.separator()
    layout.prop(settings, "flamenco_manager")
    layout.prop(settings, "farm_command")
    layout.separator()
    layout.prop(settings, "overlay_colour")
    layout.prop(settings, "wire_opacity")


def _tested(layout: Any) -> None:
    """What the self-test found, and its report to send."""
    for each in Setup.tested:
        if each.name.startswith("setup: ") or each.state == "left out":
            continue
        line = layout.row()
        line.alert = each.state == "failed"
        line.label(text=each.name, icon=_SYMBOLS[each.state])
        line.label(text=f"{each.message} ({each.seconds:.1f} s)")
    if Setup.report:
        folder = str(Path(Setup.report).parent)
        layout.operator("wm.path_open", text="Open the Report", icon="TEXT").filepath = folder


def _models(layout: Any) -> None:
    layout.operator("portraitgen.list_models", icon="FILE_REFRESH")
    fetching = Models.fetching
    if fetching is not None and fetching.state == "running":
        row = layout.row(align=True)
        row.progress(factor=fetching.share, type="BAR", text=fetching.step)
        row.operator("portraitgen.cancel_fetch", text="", icon="CANCEL")
    elif fetching is not None and fetching.state == "failed":
        column = layout.column(align=True)
        column.alert = True
        draw_text(column, fetching.message, "ERROR")
    for each in Models.rows:
        line = layout.row()
        line.label(text=each.label, icon="CHECKMARK" if each.whole else "DOT")
        use = "" if each.commercial else ", non-commercial"
        line.label(text=f"{each.licence}{use}")
        size = each.bytes / 1e9 if each.bytes else each.approximate_gb or 0
        line.label(text=f"{size:.1f} GB")
        if each.whole:
            line.label(text="Ready")
        else:
            line.operator("portraitgen.fetch_model", text="Fetch").name = each.name


def _packages(layout: Any, settings: Any) -> None:
    """Where packages come from; folded up until a studio needs it."""
    header, body = layout.panel("portraitgen_packages", default_closed=True)
    header.label(text="Packages From")
    if body is None:
        return
    row = body.row()
    row.use_property_split = False
    row.prop(settings, "packages_from", expand=True)
    if settings.packages_from == "FOLDER":
        body.prop(settings, "wheel_folder")
    else:
        body.prop(settings, "index_url", placeholder="https://pypi.org/simple")
        body.prop(settings, "pytorch_index_url", placeholder="https://download.pytorch.org/whl")
        body.prop(settings, "proxy", placeholder="http://HOST:PORT")
        body.prop(settings, "ca_file")
    bundling = Setup.bundling
    if running(bundling):
        _progress(body, bundling, "portraitgen.cancel_bundle")
    else:
        body.operator("portraitgen.make_offline_bundle", icon="PACKAGE")
    if bundling is not None and bundling.state == "done":
        draw_text(body.column(align=True), f"Made {bundling.target}")
    _failure(body, bundling)


def _creation(layout: Any) -> None:
    creation = Setup.creation
    if running(creation):
        _progress(layout, creation, "portraitgen.cancel_environment")
    else:
        made = preferences.interpreter() is not None
        text = "Create Environment Again" if made else "Create Environment"
        layout.operator("portraitgen.create_environment", text=text, icon="IMPORT")
        if made and outdated():
            column = layout.column(align=True)
            column.alert = True
            draw_text(column, outdated(), "ERROR")
    _failure(layout, creation)
    if creation is not None and creation.state != "done":
        box = layout.box().column(align=True)
        for line in list(creation.log)[-_LOG_LINES:]:
            box.label(text=line)
        box.label(text=f"Log: {creation.log_file}")


def _progress(layout: Any, process: BackgroundProcess | None, cancel: str) -> None:
    assert process is not None
    row = layout.row(align=True)
    row.progress(factor=process.share, type="BAR", text=process.step)
    row.operator(cancel, text="", icon="CANCEL")


def _failure(layout: Any, process: BackgroundProcess | None) -> None:
    if process is not None and process.state == "failed":
        column = layout.column(align=True)
        column.alert = True
        draw_text(column, process.message, "ERROR")


def register() -> None:
    """Lets the preferences be drawn by this file."""
    preferences.draw_with(draw)


def unregister() -> None:
    """Leaves them empty."""
    preferences.draw_with(None)
