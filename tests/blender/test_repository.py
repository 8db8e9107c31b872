# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension from a repository of ours: installed, and updated when a newer one lies there."""

import json
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import pytest
from conftest import ROOT, ZIP

sys.path.insert(0, str(ROOT / "backend" / "tools"))

import packing

BLOCKED = """schema_version = "1.0.0"
[[blocklist]]
id = "portraitgen"
reason = "it is older than this test"
"""


def numbered(version: str, folder: Path) -> Path:
    """Our extension with another version."""
    target = folder / f"portraitgen-{version}.zip"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(ZIP) as archive, zipfile.ZipFile(target, "w") as made:
        for name in archive.namelist():
            data = archive.read(name)
            if name == "blender_manifest.toml":
                text = re.sub(r'(?m)^version = ".+"', f'version = "{version}"', data.decode())
                data = text.encode()
            made.writestr(name, data)
    return target


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Any]:
    (tmp_path / "served").mkdir()
    repos = bpy.context.preferences.extensions.repos
    made = repos.new(
        name="ours", module="ours", remote_url=(tmp_path / "served" / "index.json").as_uri()
    )
    made.use_remote_url = True
    # Blender asks for it whatever the address is; this one is a file's.
    system = bpy.context.preferences.system
    before, system.use_online_access = system.use_online_access, True
    yield made
    system.use_online_access = before
    repos.remove(made)


def publish(folder: Path, version: str, blocklist: str = "") -> dict[str, Any]:
    own = Path(bpy.utils.system_resource("SCRIPTS")) / "addons_core/bl_pkg/cli/blender_ext.py"
    blocked = folder / "blocked.toml"
    blocked.write_text(blocklist or 'schema_version = "1.0.0"\nblocklist = []\n')
    zips = [numbered(version, folder / "built")]
    index = packing.build_repository(Path(sys.executable), own, zips, blocked, folder / "served")
    facts: dict[str, Any] = json.loads(index.read_text())
    return facts


def test_it_is_installed_and_updated_from_a_repository(repository: Any, tmp_path: Path) -> None:
    index = [each.module for each in bpy.context.preferences.extensions.repos].index("ours")
    manifest = Path(repository.directory) / "portraitgen" / "blender_manifest.toml"

    def version() -> str:
        found = re.search(r'(?m)^version = "(.+)"', manifest.read_text())
        assert found
        return found[1]

    facts = publish(tmp_path, "0.0.8")
    assert [(each["id"], each["version"]) for each in facts["data"]] == [("portraitgen", "0.0.8")]
    assert facts["blocklist"] == []
    bpy.ops.extensions.repo_sync(repo_index=index)
    bpy.ops.extensions.package_install(
        repo_index=index, pkg_id="portraitgen", enable_on_install=False
    )
    assert version() == "0.0.8"
    facts = publish(tmp_path, "0.0.9")
    assert len(facts["data"]) == 1, "one zip for each range of Blender's versions"
    bpy.ops.extensions.repo_sync(repo_index=index)
    bpy.ops.extensions.package_upgrade_all(use_active_only=False)
    assert version() == "0.0.9"
    facts = publish(tmp_path, "0.0.9", BLOCKED)
    assert facts["blocklist"][0]["reason"] == "it is older than this test"
    bpy.ops.extensions.package_uninstall(repo_index=index, pkg_id="portraitgen")
    assert not manifest.exists()
