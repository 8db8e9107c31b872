# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named arrays out of files of other programs, read one by one and only where they are wanted.

Nothing is unpickled, and nothing is believed of its size before it is compared with the file's.
What nobody asks for is never read, so that it can be anything.
"""

import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import ShotError
from ..npz import DAMAGE, MAX_BYTES, DamagedArray, PickledArray, plain_array
from ..storage import read_bytes

_MAX_FILES = 100_000
PICKLES: tuple[str, ...] = (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".frame", ".ckpt")
"""Endings of files that could run a program when they are read."""
_REMEDY = "see docs/tracks.md for what is read"


class ForeignArrays:
    """A file, or a folder with one file a frame, as named arrays; nested names have slashes.

    Attributes:
        path: the file or folder.
        frames: numbers from the names of a folder's files; None for a single file.
    """

    def __init__(self, path: Path) -> None:
        """Looks at what there is.

        Raises:
            ShotError: if it cannot be read, or is of a kind that could run a program.
        """
        self.path = Path(path)
        self.frames: np.ndarray | None = None
        self._read: dict[str, np.ndarray] = {}
        self._members: dict[str, str] = {}
        self.parts: list[ForeignArrays] = []
        if self.path.is_dir():
            self._open_folder()
        elif self.path.suffix.lower() in PICKLES:
            raise ShotError(
                "it is a pickle, which could run a program when it is read",
                path,
                f"make an .npz of it: portraitgen convert-track {self.path.name} "
                f"{self.path.stem}.npz",
            )
        elif self.path.suffix.lower() == ".json":
            self._flatten("", read_json(self.path), 0)
        else:
            self._open_npz()

    def __contains__(self, name: str) -> bool:
        return name in self._members or name in self._read

    def __iter__(self) -> Iterator[str]:
        return iter([*self._members, *self._read])

    def has(self, *names: str) -> bool:
        """Whether all of these are there."""
        return all(name in self for name in names)

    def under(self, prefix: str) -> "ForeignArrays":
        """The arrays whose names begin so, without it."""
        part = object.__new__(ForeignArrays)
        part.path, part.frames, part.parts = self.path, self.frames, []
        cut = len(prefix)
        part._members = {k[cut:]: v for k, v in self._members.items() if k.startswith(prefix)}
        part._read = {k[cut:]: v for k, v in self._read.items() if k.startswith(prefix)}
        return part

    def groups(self) -> list[str]:
        """First parts of nested names, in order."""
        return list(dict.fromkeys(name.split("/")[0] for name in self if "/" in name))

    def text(self, name: str) -> str:
        """A text, empty if there is none."""
        if name not in self:
            return ""
        values = self._raw(name)
        return str(values.ravel()[0]) if values.dtype.kind in "US" and values.size else ""

    def texts(self, name: str) -> list[str]:
        """A list of texts, empty if there is none."""
        values = self._raw(name) if name in self else np.zeros(0)
        return [str(each) for each in values.ravel()] if values.dtype.kind in "US" else []

    def numbers(self, name: str) -> np.ndarray:
        """An array as float64, finite.

        Raises:
            ShotError: if it is missing, damaged, holds no numbers, or some that are not finite.
        """
        if name not in self:
            raise ShotError(f"it holds no '{name}'", self.path, _REMEDY)
        values = self._raw(name)
        if values.dtype.kind not in "fiub":
            raise ShotError(f"'{name}' holds no numbers", self.path, _REMEDY)
        if values.size > MAX_BYTES // 16:
            raise ShotError(f"'{name}' is too large for a track", self.path, _REMEDY)
        found = values.astype(np.float64)
        if not np.isfinite(found).all():
            raise ShotError(
                f"'{name}' holds values that are no numbers (NaN or infinite)",
                self.path,
                "leave those frames out and give the others' numbers in 'frames'",
            )
        if found.size and np.abs(found).max() > 1e8:
            raise ShotError(f"'{name}' holds {np.abs(found).max():g}", self.path, _REMEDY)
        return found

    def _raw(self, name: str) -> np.ndarray:
        if self.parts:
            return self._stacked(name)
        if name not in self._read:
            self._read[name] = self._member(name)
        return self._read[name]

    def _stacked(self, name: str) -> np.ndarray:
        """An array of every file of a folder, one below the other."""
        if name not in self._read:
            values = [part._raw(name) for part in self.parts]
            shapes = {each.shape for each in values}
            if len(shapes) != 1:
                raise ShotError(f"'{name}' has several shapes, {_some(shapes)}", self.path, _REMEDY)
            self._read[name] = np.stack(values)
        return self._read[name]

    # Files

    def _open_npz(self) -> None:
        if self.path.exists() and not self.path.is_file():
            raise ShotError("this is no plain file", self.path, _REMEDY)
        try:
            with open(self.path, "rb") as file:
                start = file.read(6)
                if start == b"\x93NUMPY":
                    file.seek(0)
                    self._read[""] = _array(file, self.path.stat().st_size, self.path, "the file")
                    return
            if start[:2] != b"PK":
                raise ShotError(
                    "it is of a kind that is not read" if start else "it is empty",
                    self.path,
                    "give .npz, .npy, .json or .csv, or a folder with a file a frame",
                )
            with zipfile.ZipFile(self.path) as archive:
                infos = archive.infolist()
        except FileNotFoundError:
            raise ShotError("there is no such file", self.path, "give the right path") from None
        except DAMAGE as error:
            raise ShotError(f"it cannot be read ({error})", self.path, _REMEDY) from error
        names = [info.filename for info in infos if info.filename.endswith(".npy")]
        if not names:
            raise ShotError("it holds no arrays", self.path, _REMEDY)
        if len(names) > _MAX_FILES:
            raise ShotError(f"it holds {len(names)} arrays", self.path, _REMEDY)
        self._members = {_plain(name.removesuffix(".npy")): name for name in names}

    def _member(self, name: str) -> np.ndarray:
        try:
            with zipfile.ZipFile(self.path) as archive:
                info = archive.getinfo(self._members[name])
                with archive.open(info) as file:
                    return _array(file, info.file_size, self.path, f"'{name}'")
        except DAMAGE as error:
            raise ShotError(f"'{name}' cannot be read ({error})", self.path, _REMEDY) from error

    def _open_folder(self) -> None:
        """One .npz a frame, or one folder of .npy files a frame."""
        files = sorted(self.path.glob("*.npz"))
        folders = [each for each in sorted(self.path.iterdir()) if (each / "exp.npy").is_file()]
        if len(files) > _MAX_FILES or len(folders) > _MAX_FILES:
            raise ShotError("it holds too many files", self.path, _REMEDY)
        entries = files or folders
        if entries:
            stems, first = _of_first_person([each.stem if files else each.name for each in entries])
            self.people = len(entries) - len(first)
            read = ForeignArrays if files else _of_folder
            self.parts = [read(entries[row]) for row in first]
        else:
            raise ShotError(
                "it is a folder without .npz files or folders of codes", self.path, _REMEDY
            )
        shared = set(self.parts[0])
        for part in self.parts:
            shared &= set(part)
        self._members = {name: name for name in self.parts[0] if name in shared}
        # A longer number is no frame's.
        digits = [re.findall(r"(?<!\d)\d{1,18}(?!\d)", stem) for stem in stems]
        if all(digits) and len({int(each[-1]) for each in digits}) == len(digits):
            order = np.argsort([int(each[-1]) for each in digits], kind="stable")
            self.parts = [self.parts[row] for row in order]
            self.frames = np.array(sorted(int(each[-1]) for each in digits), np.int64)

    people: int = 0
    """How many files of other people a folder holds besides."""

    # JSON

    def _flatten(self, name: str, value: Any, depth: int) -> None:
        if isinstance(value, dict) and depth < 8:
            for key, inner in value.items():
                self._flatten(f"{name}/{key}" if name else str(key), inner, depth + 1)
        elif isinstance(value, list) and value and isinstance(value[0], dict) and depth < 8:
            # Frames one after the other: what all of them have, one below the other.
            rows = [row for row in value if isinstance(row, dict)]
            shared = [key for key in rows[0] if all(key in row for row in rows)]
            within = "" if name == "frames" else name
            for key in shared if len(rows) == len(value) else ():
                self._flatten(
                    f"{within}/{key}" if within else key, [r[key] for r in rows], depth + 1
                )
        else:
            try:
                found = np.array(value)
            except ValueError:
                return  # A ragged list: no array that any layout has.
            if found.dtype.kind in "fiubUS":
                self._read[name] = found


def read_json(path: Path) -> Any:
    """The content of a JSON file of another program.

    Raises:
        ShotError: if it cannot be read or is larger than any track.
    """
    try:
        if path.stat().st_size > MAX_BYTES // 4:
            raise ShotError("the file is too large for a track", path, "save it as .npz")
        # Numbers that are none are told with their names, where they are asked for.
        return json.loads(read_bytes(path, MAX_BYTES // 4).decode("utf-8-sig"))
    except FileNotFoundError:
        raise ShotError("there is no such file", path, "give the right path") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ShotError(f"it cannot be read ({error})", path, _REMEDY) from error


def _of_first_person(stems: list[str]) -> tuple[list[str], list[int]]:
    """Names without people's numbers, and which entries are the first person of every frame.

    FRAME_PERSON is told from FRAME and from NAME_FRAME by a number before the last, that changes.
    """
    matches = [re.fullmatch(r"(.*\d)_(\d+)", stem) for stem in stems]
    frames = [match[1] for match in matches if match is not None]
    if len(frames) < len(stems) or len(set(frames)) < 2:
        return stems, list(range(len(stems)))
    first: dict[str, int] = {}
    for row, frame in enumerate(frames):
        first.setdefault(frame, row)
    return list(first), list(first.values())


def _of_folder(folder: Path) -> ForeignArrays:
    part = object.__new__(ForeignArrays)
    part.path, part.frames, part.parts, part._members, part._read = folder, None, [], {}, {}
    for file in sorted(folder.glob("*.npy"))[:64]:
        part._read[file.stem] = ForeignArrays(file)._raw("")
    return part


def _plain(name: str) -> str:
    return name.replace(".", "/").strip("/")


def _array(file: IO[bytes], size: int, path: Path, name: str) -> np.ndarray:
    """One .npy, if its header tells the truth."""
    try:
        return plain_array(file, size)
    except PickledArray as error:
        raise ShotError(
            f"{name} {error}",
            path,
            f"make plain ones of them: portraitgen convert-track {path.name} {path.stem}_plain.npz",
        ) from None
    except DamagedArray as error:
        raise ShotError(f"{name} {error}", path, _REMEDY) from error


def _some(values: Iterable[object]) -> str:
    return ", ".join(str(each) for each in sorted(map(str, values))[:3])
