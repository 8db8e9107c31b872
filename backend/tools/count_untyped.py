# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts what the types do not hold: untyped dicts, and records reached by string keys.

    python backend/tools/count_untyped.py [FOLDER]

Counted are annotations `dict[str, Any]`, and accesses by a key of plain words, `x["word"]` and
`x.get("word")`, in what artists install: where a word is mistyped nothing would say so. A record is
a mapping whose keys are decided here and whose values are of different kinds: what crosses a file,
the wire or a border between rooms. Options by name (`options["frames"]`), JSON that is read or put
together, and lines of a protocol count, too, even where they are parsed.

What is no record is counted apart:

* arrays by name, `arrays["vertices"]` and `tensors["frames"]`: their shapes are checked when the
  file is read;
* `TABLES`, each with its file and the expression: many things of one kind by name, collections of
  Blender's, and what a library gives or takes in a layout of its own.

`dict[str, object]` is not counted: nothing can be done with its values unless their kind was asked
for first. `tests/unit/test_house.py` holds what was reached, and that each of the tables is there.
"""

import ast
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

_FOLDERS = ("backend/portraitgen", "portraitgen_addon", "operators", "ui")
_WORD = re.compile(r"[a-z][a-z0-9_]*")
_ARRAYS = ("arrays", "tensors")
_BACKEND = "backend/portraitgen/"
TABLES: dict[tuple[str, str], str] = {
    # Many things of one kind, by name.
    (_BACKEND + "avatar/avatar.py", "state"): "tensors of the model's state",
    (_BACKEND + "avatar/avatar.py", "groups"): "a file's tensors, by their prefixes",
    (_BACKEND + "avatar/avatar.py", "groups['state']"): "tensors of the model's state",
    (_BACKEND + "avatar/training.py", "parts"): "a checkpoint's tensors, by their prefixes",
    (_BACKEND + "avatar/training.py", "values"): "figures, by what they measure",
    (_BACKEND + "body/motion.py", "_LARGEST"): "bounds of arrays",
    (_BACKEND + "body/retargeting.py", "told"): "masks of vertices, by part",
    (_BACKEND + "demo.py", "seconds"): "seconds, by step",
    (_BACKEND + "editing/diffusion.py", "images"): "pictures, by what they show",
    (_BACKEND + "editing/part_segmentation.py", "rows"): "rows of pixels, by part",
    (_BACKEND + "editing/placement.py", "self.parts"): "bytes, by part of a pipeline",
    (_BACKEND + "farm/plan.py", "done"): "yes or no, by stage",
    (_BACKEND + "farm/plan.py", "given"): "words of the command line, by stage",
    (_BACKEND + "farm/plan.py", "options"): "words of the command line, by stage",
    (_BACKEND + "farm/request.py", "shot.options"): "options, by stage",
    (_BACKEND + "interchange/layouts_body.py", "told"): "arrays of a foreign file",
    (_BACKEND + "interchange/layouts_face.py", "at"): "columns of a table",
    (_BACKEND + "pipeline/data/acting.py", "_ROUNDING"): "bounds of arrays",
    (_BACKEND + "pipeline/data/acting.py", "shapes"): "shapes of tensors",
    (_BACKEND + "pipeline/jobs/reconstruct.py", "measured"): "figures, by what they measure",
    (_BACKEND + "pipeline/jobs/reconstruct.py", "trainer.evaluate(rows)"): "figures as well",
    (_BACKEND + "pipeline/requests/rig.py", "changed"): "arrays of a rig",
    (_BACKEND + "pipeline/requests/selftest.py", "figures"): "figures, by what they measure",
    (_BACKEND + "pipeline/requests/splat_file.py", "rows"): "columns of a structured array",
    (_BACKEND + "raster/warp_backend.py", "splats"): "arrays of Gaussians",
    (_BACKEND + "storage.py", "mark"): "groups of a pattern",
    (_BACKEND + "tracking/photometric_face.py", "body.parts"): "masks of vertices, by part",
    ("portraitgen_addon/session.py", "told.metrics"): "figures, by what they measure",
    ("portraitgen_addon/sequence.py", "options"): "options, by stage",
    ("portraitgen_addon/splat_nodes.py", "product"): "sockets of nodes, by term",
    ("portraitgen_addon/splat_retouch.py", "found"): "arrays of a retouched file",
    # Collections of Blender's.
    ("portraitgen_addon/compat.py", "bpy.types.PointCloud.bl_rna.properties"): "Blender's",
    ("portraitgen_addon/compat.py", "datablock.colorspace_settings.bl_rna.properties"): "Blender's",
    ("portraitgen_addon/compat.py", "target.bl_rna.properties"): "Blender's",
    ("portraitgen_addon/pins.py", "bones"): "Blender's bones",
    ("portraitgen_addon/rig.py", "bones"): "Blender's bones",
    # What a library gives or takes in its own layout.
    (_BACKEND + "avatar/renderer.py", "able"): "what torch says of a processor",
    (_BACKEND + "avatar/training.py", "group"): "torch's groups of parameters",
    (_BACKEND + "avatar/training.py", "self.optimiser.state_dict()"): "torch's state",
    (_BACKEND + "editing/editors/qwen_image_edit.py", "facts"): "a scheduler's configuration",
    (_BACKEND + "editing/editors/qwen_image_edit.py", "named"): "an encoder's inputs",
    (_BACKEND + "editing/editors/qwen_image_edit.py", "pixels"): "a processor's outputs",
    (_BACKEND + "editing/looks/learning.py", "group"): "torch's groups of parameters",
    (_BACKEND + "footage/movie_writing.py", "options"): "FFmpeg's options",
    (_BACKEND + "footage/movie_writing.py", "self._stream.metadata"): "FFmpeg's metadata",
    (_BACKEND + "footage/movie_facts.py", "each.metadata"): "FFmpeg's metadata",
    (_BACKEND + "tracking/landmark_bias.py", "stored.metadata()"): "metadata of safetensors",
    ("portraitgen_addon/rig.py", "metadata"): "metadata of safetensors",
    ("portraitgen_addon/splat_data.py", "metadata"): "metadata of safetensors",
    ("portraitgen_addon/tensors.py", "metadata"): "metadata of safetensors",
}


@dataclass
class Found:
    """What a file's source, or all of them by file, hold.

    Attributes:
        dicts: annotations `dict[str, Any]`.
        accesses: to records by string keys.
        arrays: to arrays by name.
        tables: to what `TABLES` lists, by file and expression.
    """

    dicts: Counter[str] = field(default_factory=Counter)
    accesses: Counter[str] = field(default_factory=Counter)
    arrays: Counter[str] = field(default_factory=Counter)
    tables: Counter[tuple[str, str]] = field(default_factory=Counter)

    def look_into(self, name: str, source: str) -> None:
        """Adds what the source of a file holds."""
        for node in ast.walk(ast.parse(source)):
            base: ast.expr | None = None
            if isinstance(node, ast.Subscript):
                if ast.unparse(node) == "dict[str, Any]":
                    self.dicts[name] += 1
                elif _is_word(node.slice):
                    base = node.value
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr == "get" and node.args and _is_word(node.args[0]):
                    base = node.func.value
            if base is None or (written := ast.unparse(base)) == "Literal":
                continue
            if written.rpartition(".")[2] in _ARRAYS:
                self.arrays[name] += 1
            elif (name, written) in TABLES:
                self.tables[name, written] += 1
            else:
                self.accesses[name] += 1


def count(root: Path) -> Found:
    """What all hold that artists install."""
    found = Found()
    for folder in _FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            found.look_into(path.relative_to(root).as_posix(), path.read_text("utf-8"))
    return found


def _is_word(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and _WORD.fullmatch(node.value) is not None
    )


def main() -> None:
    """Prints the counts, and the files that have the most."""
    found = count(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    print(
        f"dict[str, Any]: {found.dicts.total()}; accesses to records by string keys:"
        f" {found.accesses.total()}; to arrays by name: {found.arrays.total()}; to tables:"
        f" {found.tables.total()}"
    )
    for title, counts in (("dict[str, Any]", found.dicts), ("string keys", found.accesses)):
        most = [f"{name} {number}" for name, number in counts.most_common(8) if number]
        print(f"  {title}: {', '.join(most)}")


if __name__ == "__main__":
    main()
