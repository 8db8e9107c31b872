# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may import whom, held by walking every import in the backend."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from child_process import child_environment

ROOT = Path(__file__).resolve().parents[2]
BACKEND = ROOT / "backend" / "portraitgen"

BASE = {
    "errors",
    "settings",
    "schema",
    "records",
    "job_results",
    "shot",
    "locks",
    "protocol",
    "messages",
    "frames",
    "renders",
    "images",
    "jit_cache",
    "npz",
    "storage",
    "bounded_json",
    "plain_text",
    "user_folders",
    "path_mapping",
    "tensors",
    "trust",
    "versions",
    "startup",
}
OUTSIDE = ("benchmarks", "synthetic")
# `backend/tools/count_untyped.py` says how they are counted.
UNTYPED_DICTS, STRING_KEYS, TABLES = 25, 99, 112
# Where codes and floats meet outside of `images.py`, how often, and why.
CONVERSIONS = {
    "avatar/colour_init.py": (2, "sums over the codes of all frames"),
    "avatar/dataset.py": (2, "batches of tensors, on the card"),
    "editing/programs/portraitgen_anydoor.py": (
        4,
        "stands alone, beside another program's packages",
    ),
    "footage/icc.py": (1, "a table of numbers in a profile"),
    "footage/movie_pixels.py": (2, "whole numbers of any depth, in a decoder's process"),
    "pipeline/requests/spz_file.py": (2, "bytes of Gaussians, no picture"),
    "tracking/photometric_alignment.py": (2, "luma and weights of a table of codes"),
}
STDLIB_ONLY = {
    "bounded_json": set(),
    "plain_text": set(),
    "user_folders": {"errors"},
    "errors": set(),
    "settings": {"errors", "schema"},
    "process_identity": set(),
    "locks": {"errors", "frames", "storage", "process_identity", "schema"},
    "failures": {"errors", "storage"},
    "stopping": {"locks"},
    "clean_up": {"locks", "plain_text", "shot", "storage"},
    "trust": {"errors", "schema", "settings", "storage", "user_folders"},
    "storage": {"bounded_json", "errors", "plain_text", "process_identity"},
    "path_mapping": {"bounded_json", "errors", "schema", "storage", "user_folders"},
    "versions": {"errors", "storage"},
    "shot": {"errors", "locks", "path_mapping", "storage", "schema", "records", "versions"},
    "frames": {"errors"},
    "protocol": {"bounded_json"},
    "messages": {"errors", "schema", "settings"},
    "schema": {"errors", "storage"},
    "records": {"schema"},
    "job_results": {"records", "schema"},
    "renders": {"errors", "records", "storage"},
    "job_queue": {"errors", "locks", "records", "schema", "shot"},
    "native_log_filter": set(),
    "preloaded": set(),
    "startup": set(),
    "requirements": {"errors", "storage"},
}
ROOMS = {
    "raster": BASE,
    "body": BASE,
    "images": BASE | {"provenance"},
    "provenance": BASE - {"images"},
    "tensors": BASE,
    "npz": BASE,
    "jit_cache": BASE,
    "perception": BASE,
    "footage": BASE | {"body", "perception"},
    "interchange": BASE | {"body"},
    "tracking": BASE | {"body", "perception"},
    "avatar": BASE | {"raster", "body"},
    "models": BASE,
    "editing": BASE | {"avatar", "raster", "body", "models"},
}
ROOMS["pipeline"] = BASE | set(ROOMS) | {"failures", "stopping"}
ROOMS["farm"] = BASE | {"editing", "pipeline"}
EVERYTHING = (
    BASE
    | set(ROOMS)
    | {"failures", "stopping", "clean_up", "native_log_filter", "job_queue"}
    | {"cli", "worker", "api", "demo", "entry", "preloaded"}
)
PROGRAMS = ("__main__", "cli", "worker", "api", "demo", "entry", "preload_server")
ROOMS |= dict.fromkeys(PROGRAMS, EVERYTHING)
# Which floor of the pipeline may look into which; a floor may look into itself.
FLOORS = {
    "run": set(),
    "data": {"run"},
    "compositing": {"run", "data"},
    "jobs": {"run", "data", "compositing"},
    "requests": {"run", "data", "compositing", "jobs"},
    "registry": {"run", "jobs"},
}


def room_of(path: Path) -> str:
    return path.relative_to(BACKEND).parts[0].removesuffix(".py")


def backend_imports(path: Path) -> set[str]:
    """The rooms of the backend that a file imports, relative or absolute."""
    package = list(path.relative_to(BACKEND).parts[:-1])
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
                target = base + (node.module or "").split(".") if node.module else base
            elif (node.module or "").split(".")[0] == "portraitgen":
                target = (node.module or "").split(".")[1:]
            else:
                continue
            names = [target[0]] if target else [alias.name for alias in node.names]
            rooms |= set(names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                if parts[0] == "portraitgen" and len(parts) > 1:
                    rooms.add(parts[1])
    return {
        room for room in rooms if (BACKEND / room).exists() or (BACKEND / f"{room}.py").exists()
    }


def third_party(path: Path) -> set[str]:
    import sys

    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").split(".")[0])
    return found - set(sys.stdlib_module_names)


SOURCES = sorted(BACKEND.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(BACKEND)))
def test_arrows_run_one_way(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        assert not backend_imports(path)
        return
    allowed = STDLIB_ONLY.get(room, ROOMS.get(room))
    assert allowed is not None, f"{room} has no place in the house"
    assert backend_imports(path) - {room} <= allowed


PIPELINE = sorted((BACKEND / "pipeline").rglob("*.py"))


@pytest.mark.parametrize("path", PIPELINE, ids=lambda p: str(p.relative_to(BACKEND)))
def test_the_pipelines_floors_look_downwards(path: Path) -> None:
    inside = path.relative_to(BACKEND / "pipeline").parts
    floor = inside[0].removesuffix(".py")
    if floor == "__init__":
        return
    package = ["pipeline", *inside[:-1]]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            target = [*base, *(node.module or "").split(".")]
            if target[0] == "pipeline" and len(target) > 1 and target[1]:
                assert target[1] in FLOORS[floor] | {floor}, ast.unparse(node)


def test_what_artists_install_needs_neither_benchmarks_nor_the_synthetic_performer() -> None:
    needing = {path.name for path in SOURCES if third_party(path) & set(OUTSIDE)}
    assert needing <= {"bench.py"}  # `bench` tells that it needs a checkout.


@pytest.mark.parametrize("name", sorted(STDLIB_ONLY))
def test_what_blender_imports_needs_the_standard_library_only(name: str) -> None:
    files = [BACKEND / f"{name}.py"] if (BACKEND / f"{name}.py").exists() else []
    files += (BACKEND / name).rglob("*.py")
    assert files and not any(third_party(file) for file in files)


def test_the_backend_never_imports_bpy() -> None:
    assert not [
        path
        for path in SOURCES
        if third_party(path) & {"bpy", "bpy_extras", "gpu", "gpu_extras", "mathutils", "bmesh"}
    ]


EXTENSION = sorted(
    path
    for name in ("portraitgen_addon", "operators", "ui")
    for path in (ROOT / name).rglob("*.py")
)


@pytest.mark.parametrize("path", EXTENSION, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_extension_needs_blender_and_numpy_only(path: Path) -> None:
    known = {"blf", "bpy", "bmesh", "bpy_extras", "gpu", "gpu_extras", "mathutils", "numpy"}
    known |= {"portraitgen"}
    assert third_party(path) <= known
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("portraitgen."):
            assert node.level or (node.module or "").split(".")[1] in STDLIB_ONLY


@pytest.mark.parametrize("path", EXTENSION, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_extensions_arrows_run_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    below = {"portraitgen_addon": set(), "operators": {"portraitgen_addon"}}
    allowed = below.get(room, {"portraitgen_addon", "operators"})
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 2:
            assert (node.module or "").split(".")[0] in allowed


def files_imported(path: Path) -> set[Path]:
    """The files of this repository that a file imports relatively, wherever in it that stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for each in (base, *(base / alias.name for alias in node.names)):
                found |= {file for file in (each.with_suffix(".py"),) if file.is_file()}
    return found - {path}


def test_no_files_import_each_other_in_a_circle() -> None:
    files = [*(ROOT / "backend").rglob("*.py"), *EXTENSION]
    left = {path: files_imported(path) for path in files}
    while free := [path for path, needs in left.items() if not needs & set(left)]:
        for path in free:
            del left[path]
    assert not left, sorted(str(path.relative_to(ROOT)) for path in left)


def test_versions_are_told_apart_in_one_place() -> None:
    for path in EXTENSION:
        if path.name != "compat.py":
            assert "bpy.app.version" not in path.read_text("utf-8"), path


def calls_in(source: ast.AST) -> list[str]:
    """The methods that are called, in the order in which they stand."""
    found = [each for each in ast.walk(source) if isinstance(each, ast.Call)]
    named = [each for each in found if isinstance(each.func, ast.Attribute)]
    named.sort(key=lambda each: (each.end_lineno or 0, each.end_col_offset or 0))
    return [each.func.attr for each in named if isinstance(each.func, ast.Attribute)]


def test_whoever_publishes_looks_before_whether_it_still_holds_the_part() -> None:
    known = 0
    for path in (BACKEND / "pipeline").rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef):
                calls = calls_in(function)
                for at, name in enumerate(calls):
                    if name in ("publish", "publish_edit"):
                        known += 1
                        assert "check_held" in calls[max(at - 2, 0) : at], (path, function.name)
    assert known >= 7


def test_every_source_names_its_licence() -> None:
    folders = ("backend", "tests", "portraitgen_addon", "operators", "ui")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    for path in [*files, ROOT / "build.py", ROOT / "__init__.py"]:
        assert "SPDX-License-Identifier: GPL-3.0-or-later" in path.read_text("utf-8")[:300], path


def test_no_test_hands_the_sources_to_a_child_process() -> None:
    # build.py runs the unit tests on the built wheel; child_process.child_environment gives
    # children the same one.
    for path in (ROOT / "tests" / "unit").glob("*.py"):
        if path.name not in ("child_process.py", "test_house.py"):
            for line in path.read_text("utf-8").splitlines():
                assert "PYTHONPATH" not in line or "child_environment" in line, (path, line)


def test_what_needs_no_torch_does_not_wait_for_it() -> None:
    """Torch takes two seconds to load, SciPy a quarter of one, numba a third."""
    modules = (
        "cli",
        "worker",
        "api",
        "footage.exr",
        "editing.registry",
        "pipeline.data.shots",
        "pipeline.data.provenance",
        "pipeline.jobs.movie",
        "pipeline.requests.paint",
        "pipeline.requests.diagnostics",
    )
    script = (
        "import importlib, sys\n"
        f"for name in {modules}:\n"
        "    importlib.import_module('portraitgen.' + name)\n"
        "    heavy = {'torch', 'scipy', 'numba', 'ai_edge_litert'} & sys.modules.keys()\n"
        "    assert not heavy, (name, heavy)\n"
    )
    made = subprocess.run(
        [sys.executable, "-c", script],
        env=child_environment(),
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr


_FULL = (255, 65535)
_CONVERTERS = {"cvtColor", "imencode", "imdecode", "imread", "imwrite", "fromarray"}


def conversions(source: str) -> list[str]:
    """Codes made into floats and back, channels reversed, pictures coded: what `images` is for."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.BinOp(op=ast.Mult() | ast.Div()):
                sides = [each for each in (node.left, node.right) if isinstance(each, ast.Constant)]
                # A fraction such as 8 / 255 is a threshold.
                hit = len(sides) == 1 and sides[0].value in _FULL
            case ast.Call():
                hit = ast.unparse(node.func).rpartition(".")[2] in _CONVERTERS
            case ast.Subscript(slice=ast.Tuple(elts=[*before, ast.Slice(step=ast.expr() as step)])):
                hit = ast.unparse(step) == "-1" and [ast.unparse(each) for each in before] == [
                    "..."
                ]
            case _:
                continue
        if hit:
            found.append(ast.unparse(node))
    return found


def test_pictures_are_converted_in_one_place() -> None:
    source = "a / 255.0; 65535 * a; 8 / 255; a[..., 2::-1]; a[::-1]; cv2.cvtColor(a, 1)"
    assert len(conversions(source)) == 4
    found = {
        path.relative_to(BACKEND).as_posix(): conversions(path.read_text("utf-8"))
        for path in SOURCES
        if path.name != "images.py"
    }
    told = {name: len(each) for name, each in found.items() if each}
    assert told == {name: count for name, (count, _) in CONVERSIONS.items()}, found


def test_untyped_dicts_and_string_keys_do_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What types do not hold may become less, not more; lower these with it."""
    monkeypatch.syspath_prepend(str(ROOT / "backend" / "tools"))
    import count_untyped

    source = 'a: dict[str, Any]; b["x"]; b.get("y"); m.arrays["z"]; c[0]; L: Literal["w"]'
    one = count_untyped.Found()
    one.look_into("one.py", source)
    assert [each.total() for each in (one.dicts, one.accesses, one.arrays)] == [1, 2, 1]
    found = count_untyped.count(ROOT)
    assert found.dicts.total() <= UNTYPED_DICTS, found.dicts.most_common(5)
    assert found.accesses.total() <= STRING_KEYS, found.accesses.most_common(5)
    # A table that is gone must not hide a record that takes its name.
    assert set(found.tables) == set(count_untyped.TABLES)
    assert found.tables.total() <= TABLES


def test_no_python_that_we_start_looks_for_modules_where_it_runs() -> None:
    """A stranger's shot may lie there, with a `numpy.py` in it."""
    rooms = (BACKEND, ROOT / "portraitgen_addon", ROOT / "operators", ROOT / "ui")
    started = re.compile(r"""(?<!"-P", )"-[mc]",""")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for room in rooms
        for path in sorted(room.rglob("*.py"))
        for line in path.read_text("utf-8").splitlines()
        if started.search(line)
    ]
    assert not found


def test_nothing_is_renamed_past_the_program_that_may_have_it_open() -> None:
    """Windows refuses that for a moment; storage waits."""
    extension = [ROOT / name for name in ("portraitgen_addon", "operators", "ui")]
    for folder in (BACKEND, *extension):
        for path in folder.rglob("*.py"):
            if path.name not in ("storage.py", "locks.py", "unpickle_main.py"):
                assert not re.search(r"os\.(rename|replace)\(", path.read_text("utf-8")), path
