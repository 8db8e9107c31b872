# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a file lies on this machine that another one names by its own path. Standard library only.

Render farms mount one storage at different places. Open Job Description tells a job of it by rules
(`pathmapping-1.0`): what begins with `source_path` lies under `destination_path` here.
"""

import ntpath
import posixpath
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from .bounded_json import parse_json
from .errors import OptionError, ShotError
from .schema import Data
from .storage import read_bytes
from .user_folders import user_path

_VERSION = "pathmapping-1.0"
_LARGEST = 1 << 20


@dataclass(frozen=True)
class PathRule:
    """What lies under `source`, as another machine writes it, lies under `target` here."""

    source: PurePath
    target: Path

    def apply(self, path: Path | str) -> Path | None:
        """Where a path lies here, None if the rule says nothing of it.

        Example:
            >>> rule = PathRule(PureWindowsPath("P:/shots"), Path("/mnt/shots"))
            >>> print(rule.apply("p:\\\\shots\\\\010\\\\plate.mov"), rule.apply("Q:/other.mov"))
            /mnt/shots/010/plate.mov None
        """
        windows = isinstance(self.source, PureWindowsPath)
        # Shots name their plates relative to themselves: `..` must not hide what is above.
        straight = ntpath.normpath if windows else posixpath.normpath
        told = path.as_posix() if isinstance(path, PurePath) and not windows else str(path)
        try:
            below = type(self.source)(straight(told)).relative_to(self.source)
        except ValueError:
            return None
        return self.target.joinpath(*below.parts)


@dataclass(frozen=True)
class _Rule(Data):
    source_path: str
    destination_path: str
    source_path_format: str = ""


@dataclass(frozen=True)
class _RulesFile(Data):
    """A `pathmapping-1.0` file of Open Job Description's."""

    version: str = ""
    path_mapping_rules: tuple[_Rule, ...] | None = None


_rules: list[PathRule] = []


def add_rule(source: str, target: Path) -> None:
    """Maps a path, and all below it, for the rest of this process; later rules come first."""
    _rules.insert(0, PathRule(_pure(source), target))


def clear_rules() -> None:
    """Forgets all rules."""
    _rules.clear()


def here(path: Path | str) -> Path:
    """Where a path lies on this machine: by the first rule that fits, else where it says."""
    for rule in _rules:
        if (found := rule.apply(path)) is not None:
            return found
    return Path(path)


def given_path(text: Path | str) -> Path:
    """The file or folder that an option names, where it lies on this machine.

    What a job was asked is kept as it was asked: the same words name one file on every machine.
    """
    return here(user_path(text))


def read_rules(file: Path) -> None:
    """Takes over the rules of a `pathmapping-1.0` file.

    A session that maps nothing writes an empty object.

    Raises:
        OptionError: if it is no such file.
    """
    remedy = "give the file that the farm's session names"
    try:
        data = parse_json(read_bytes(file, _LARGEST))
        if data == {}:
            return
        told = _RulesFile.parse(data)
        if told.version != _VERSION:
            raise ValueError(f"it is not of version {_VERSION}")
        if told.path_mapping_rules is None:
            raise ValueError("it holds no path_mapping_rules")
        _rules[:0] = [_rule(each) for each in told.path_mapping_rules]
    except ShotError as error:
        raise OptionError(f"no path mapping: {error.message}", file, remedy) from None
    except (OSError, ValueError) as error:
        raise OptionError(f"no path mapping ({error})", file, remedy) from None


def _rule(told: _Rule) -> PathRule:
    """A rule as it is used; one that would be passed over or misread raises ValueError."""
    known = {"POSIX": PurePosixPath, "WINDOWS": PureWindowsPath}
    kind = known.get(told.source_path_format.upper())
    if kind is None:
        form = told.source_path_format or "none"
        raise ValueError(f"the format of '{told.source_path}' is {form}, not POSIX or WINDOWS")
    source, target = kind(told.source_path), Path(told.destination_path)
    for path in (source, target):
        if not path.is_absolute():
            raise ValueError(f"a rule names '{path}', which does not begin at a root")
    return PathRule(source, target)


def _pure(path: str) -> PurePath:
    windows = len(path) > 2 and path[1] == ":" or path.startswith("\\\\")
    return PureWindowsPath(path) if windows else PurePosixPath(path)
