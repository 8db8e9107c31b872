# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job bundle of Open Job Description (2023-09): shots, their stages, frames in chunks, movies.

A bundle is a folder of `template.json`, `parameter_values.json` and `asset_references.json`, as
Deadline Cloud's submitters read it. `openjd run` takes the template, and its parameters from
`openjd_parameters.json`. Every path of the submitting machine's is a PATH parameter, those that
options name among them, so that a farm may send the file along and map its path. (The command and
the folder of weights are the workers' own.)
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import OptionError
from ..frames import frame_list
from ..plain_text import printable
from ..storage import write_json

STAGES = ("track", "reconstruct", "edit", "render", "movie", "qc")
"""The order in which a shot goes through them."""

_SPECIFICATION = "jobtemplate-2023-09"
# Names of the specification end at 64 characters.
_LONGEST = 64
_MOST_PARAMETERS = 50
# Characters of control, of which only the ends of lines may stand in words.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_NO_NAME = re.compile("[^A-Za-z0-9]")
MOST_FRAMES = 1024
"""What one task may render."""
_MOST_CARDS = 64


@dataclass(frozen=True)
class PathWord:
    """A word of a command line that ends in a path.

    Attributes:
        before: what stands before the path, as "--holdout=".
        option: whose value it is.
        path: as the submitting machine names it.
        runs: whether it is of a program that an editor runs: that is there on every worker.
    """

    before: str
    option: str
    path: str
    runs: bool = False

    def __str__(self) -> str:
        return self.before + self.path


Word = str | PathWord


@dataclass(frozen=True)
class ShotPlan:
    """What is to be done to one shot.

    Attributes:
        folder, footage: where shot and plate lie, as the submitting machine names them.
        frames: the frames to render, in the plate's own numbers.
        stages: of `STAGES`, those that are to run.
        options: what each stage is given, as words of the command line.
        reads: files and folders that the stages read besides: those of a plate that is a
            sequence, and those that options name.
    """

    folder: Path
    footage: Path
    frames: Sequence[int]
    stages: tuple[str, ...]
    options: Mapping[str, tuple[Word, ...]]
    reads: tuple[Path, ...] = ()


@dataclass(frozen=True)
class FarmSettings:
    """How a farm runs it.

    Attributes:
        chunk: frames that one task renders.
        gpus: cards that a worker must have.
        memory_mb: memory that a worker must have.
        command: `portraitgen` as workers call it.
        models: the workers' folder of weights, empty for their own.
    """

    chunk: int = 16
    gpus: int = 0
    memory_mb: int = 6144
    command: str = "portraitgen"
    models: str = ""

    def __post_init__(self) -> None:
        """Whether a farm can be asked for it.

        Raises:
            OptionError: if it cannot.
        """
        if not 1 <= self.chunk <= MOST_FRAMES:
            span = f"give 1 to {MOST_FRAMES}"
            raise OptionError(f"a task cannot render {self.chunk} frames", "chunk", span)
        if not 0 <= self.gpus <= _MOST_CARDS:
            raise OptionError(
                f"no worker has {self.gpus} cards", "gpus", f"give 0 to {_MOST_CARDS}"
            )
        if not self.command.strip():
            raise OptionError("nothing says how workers call us", "command", "give portraitgen")


def check_shots(shots: Sequence[ShotPlan]) -> None:
    """Whether there is something to do, to each shot once.

    Raises:
        OptionError: if not.
    """
    if not any(plan.stages for plan in shots):
        raise OptionError(
            "everything is done already", "the shots", "name the stages to run again with --stages"
        )
    seen = set[Path]()
    for plan in shots:
        if (folder := plan.folder.resolve()) in seen:
            raise OptionError("this shot is named twice", plan.folder, "name it once")
        seen.add(folder)


def write_bundle(
    out: Path, name: str, take: str, shots: Sequence[ShotPlan], farm: FarmSettings
) -> list[Path]:
    """Writes a bundle's files into a folder, which is made.

    Returns:
        The files.

    Raises:
        OptionError: if there is nothing to do, if there are more shots than a job has place for, or
        if a word cannot be written.
    """
    check_shots(shots)
    values = _values(shots, farm)
    files: dict[str, object] = {
        "template.json": template(name, take, shots, farm),
        "parameter_values.json": {
            "parameterValues": [{"name": name, "value": value} for name, value in values.items()]
        },
        "openjd_parameters.json": values,
        "asset_references.json": {
            "assetReferences": {
                "inputs": _inputs(shots),
                "outputs": {"directories": [str(plan.folder) for plan in shots]},
                "referencedPaths": [],
            }
        },
    }
    for file, content in files.items():
        write_json(out / file, content)
    return [out / file for file in files]


def _inputs(shots: Sequence[ShotPlan]) -> dict[str, list[str]]:
    """What the stages read, as asset references have it."""
    paths = dict.fromkeys(path for plan in shots for path in (plan.footage, *plan.reads))
    return {
        "filenames": [str(path) for path in paths if path.is_file()],
        "directories": [str(path) for path in paths if path.is_dir()],
    }


def template(
    name: str, take: str, shots: Sequence[ShotPlan], farm: FarmSettings
) -> dict[str, object]:
    """The job template, as JSON-ready data.

    Raises:
        OptionError: as `write_bundle`.
    """
    steps = []
    parameters = _parameters(shots, farm)
    if len(parameters) > _MOST_PARAMETERS:
        fits = (
            len(_parameters(shots[:count], farm)) <= _MOST_PARAMETERS for count in _up_to(shots)
        )
        place = sum(fits)
        remedy = f"write one for every {place}" if place else "let options name fewer files"
        told = f"{len(shots)} shots" if place else "so many files"
        raise OptionError(f"a job of Open Job Description has no place for {told}", take, remedy)
    paths = _option_paths(shots)
    for index, plan in enumerate(shots, 1):
        before: str | None = None
        for stage in plan.stages:
            step = _step(index, plan, stage, take, farm, paths)
            if before:
                step["dependencies"] = [{"dependsOn": before}]
            before = str(step["name"])
            steps.append(step)
    return {
        "specificationVersion": _SPECIFICATION,
        "extensions": ["TASK_CHUNKING"],
        "name": _literal(printable(name), "the job's name")[:_LONGEST],
        "description": f"PortraitGen: take {printable(take)}",
        "parameterDefinitions": parameters,
        "jobEnvironments": [_environment(farm)],
        "steps": steps,
    }


def _up_to(shots: Sequence[ShotPlan]) -> range:
    return range(1, len(shots) + 1)


_Paths = Mapping[tuple[str, str, str], tuple[str, PathWord]]


def _option_paths(shots: Sequence[ShotPlan]) -> _Paths:
    """The parameters of paths that options name: by stage, option and path, each one's name and one
    of its words. Shots that name the same share it."""
    found: dict[tuple[str, str, str], tuple[str, PathWord]] = {}
    names = set[str]()
    for plan in shots:
        for stage in plan.stages:
            for word in plan.options.get(stage, ()):
                if isinstance(word, str) or (stage, word.option, word.path) in found:
                    continue
                parts = (stage, *word.option.split("_"))
                # Options of other packages may have any letters in their names.
                plain = (_NO_NAME.sub("", part).capitalize() for part in parts)
                name = base = "".join(plain)[: _LONGEST - 3]
                number = 1
                while name in names:
                    number += 1
                    name = f"{base}{number}"
                names.add(name)
                found[stage, word.option, word.path] = name, word
    return found


def _environment(farm: FarmSettings) -> dict[str, object]:
    """Fails at once, and once a session, on a worker that cannot run the job."""
    # A variable that is set to nothing would take the worker's own from it.
    models = {"PORTRAITGEN_MODELS": "{{Param.Models}}"} if farm.models else {}
    return {
        "name": "PortraitGen",
        "variables": {"OMP_WAIT_POLICY": "PASSIVE"} | models,
        "script": {
            "actions": {
                "onEnter": {
                    "command": "{{Param.PortraitGen}}",
                    "args": ["--version"],
                    "timeout": 300,
                }
            }
        },
    }


def _preloaded() -> dict[str, object]:
    """Loads once a session what each of its tasks would load."""
    words = ["preload", "{{Session.WorkingDirectory}}/preloaded", "--openjd"]

    def action(*more: str) -> dict[str, object]:
        return {"command": "{{Param.PortraitGen}}", "args": [*words, *more], "timeout": 60}

    return {
        "name": "Preloaded",
        "script": {"actions": {"onEnter": action(), "onExit": action("--end")}},
    }


def _parameters(shots: Sequence[ShotPlan], farm: FarmSettings) -> list[dict[str, object]]:
    paths: list[dict[str, object]] = []
    command = _literal(farm.command, "command")
    for index, plan in enumerate(shots, 1):
        paths += [
            {
                "name": f"Shot{index}",
                "type": "PATH",
                "objectType": "DIRECTORY",
                "dataFlow": "INOUT",
                "description": "The shot folder, where every frame comes to lie",
                "userInterface": _control("CHOOSE_DIRECTORY", "Shot folder", f"Shot {index}"),
            },
            {
                "name": f"Plate{index}",
                "type": "PATH",
                "objectType": "DIRECTORY" if plan.footage.is_dir() else "FILE",
                # The pattern of a sequence is no file that could be sent along.
                "dataFlow": "IN" if plan.footage.exists() else "NONE",
                "description": "The plate that the shot was made from",
                "userInterface": _control("CHOOSE_INPUT_FILE", "Plate", f"Shot {index}")
                if not plan.footage.is_dir()
                else _control("CHOOSE_DIRECTORY", "Plate", f"Shot {index}"),
            },
        ]
    for (stage, option, path), (name, word) in _option_paths(shots).items():
        lies = Path(path)
        kind = "DIRECTORY" if lies.is_dir() else "FILE"
        control = "CHOOSE_DIRECTORY" if lies.is_dir() else "CHOOSE_INPUT_FILE"
        label = f"{stage}: {option}".replace("_", " ").capitalize()[:_LONGEST]
        paths.append(
            {
                "name": name,
                "type": "PATH",
                "objectType": kind,
                # The pattern of a sequence is no file; a program is there on every worker.
                "dataFlow": "IN" if lies.exists() and not word.runs else "NONE",
                "description": f"What {stage} reads as {option}",
                "userInterface": _control(control, label, "Files"),
            }
        )
    return [
        *paths,
        {
            "name": "ChunkSize",
            "type": "INT",
            "default": farm.chunk,
            "minValue": 1,
            "maxValue": MOST_FRAMES,
            "description": "Frames that one task renders",
            "userInterface": _control("SPIN_BOX", "Frames a task", "Farm"),
        },
        {
            "name": "PortraitGen",
            "type": "STRING",
            "default": command,
            "description": "The command as workers call it",
            "userInterface": _control("LINE_EDIT", "Command", "Farm"),
        },
        *([_models(farm)] if farm.models else []),
    ]


def _models(farm: FarmSettings) -> dict[str, object]:
    return {
        "name": "Models",
        "type": "STRING",
        "default": _literal(farm.models, "models"),
        "minLength": 1,
        "description": "The workers' folder of weights",
        "userInterface": _control("LINE_EDIT", "Models folder", "Farm"),
    }


def _control(control: str, label: str, group: str) -> dict[str, str]:
    return {"control": control, "label": label, "groupLabel": group}


def _values(shots: Sequence[ShotPlan], farm: FarmSettings) -> dict[str, str | int]:
    """The parameters' values: a template's own paths would have to be relative."""
    values: dict[str, str | int] = {}
    for index, plan in enumerate(shots, 1):
        values |= {f"Shot{index}": str(plan.folder), f"Plate{index}": str(plan.footage)}
    values |= {name: word.path for name, word in _option_paths(shots).values()}
    values |= {"ChunkSize": farm.chunk, "PortraitGen": farm.command}
    return values | ({"Models": farm.models} if farm.models else {})


def _literal(word: str, stage: str) -> str:
    """A word as a template may hold it, whose double braces stand for parameters.

    Raises:
        OptionError: if it has such braces, or characters that no template holds: there is no way to
        write them.
    """
    if "{{" in word:
        raise OptionError("job templates read '{{' as their own", f"{stage} {word}", "write '{ {'")
    if _UNWRITABLE.search(word):
        raise OptionError(
            "job templates hold no such characters", f"{stage} {printable(word)}", "leave them out"
        )
    return word


def _written(word: Word, stage: str, paths: _Paths) -> str:
    """A word as a template holds it.

    Raises:
        OptionError: as `_literal`.
    """
    if isinstance(word, str):
        return _literal(word, stage)
    name, _ = paths[stage, word.option, word.path]
    # Raw, since commands map the paths of their options themselves: what was asked stays the same
    # on machines that mount it elsewhere.
    return f"{_literal(word.before, stage)}{{{{RawParam.{name}}}}}"


def _step(
    index: int, plan: ShotPlan, stage: str, take: str, farm: FarmSettings, paths: _Paths
) -> dict[str, object]:
    """A step of one shot; rendering is cut into chunks of frames."""
    folder = printable(plan.folder.name)
    name = f"{index} {folder}: {stage}"
    if len(name) > _LONGEST:
        name = f"{index} {folder[: _LONGEST - len(stage) - 8]}: {stage}"
    args = [stage, f"{{{{Param.Shot{index}}}}}"]
    if stage in ("edit", "render", "movie", "qc"):
        args += ["--take", _literal(take, "take")]
    args += ["--footage", f"{{{{Param.Plate{index}}}}}"]
    args += [_written(word, stage, paths) for word in plan.options.get(stage, ())]
    step: dict[str, object] = {"name": name}
    if stage == "render":
        args += ["--frames={{Task.Param.Frames}}", "--no-movie"]
        step["stepEnvironments"] = [_preloaded()]
        whole = len(plan.frames) == plan.frames[-1] - plan.frames[0] + 1
        step["parameterSpace"] = {
            "taskParameterDefinitions": [
                {
                    "name": "Frames",
                    "type": "CHUNK[INT]",
                    "range": frame_list(plan.frames, ":"),
                    "chunks": {
                        "defaultTaskCount": "{{Param.ChunkSize}}",
                        "rangeConstraint": "CONTIGUOUS" if whole else "NONCONTIGUOUS",
                    },
                }
            ]
        }
    args += ["--path-mapping", "{{Session.PathMappingRulesFile}}", "--openjd"]
    step["script"] = {
        "actions": {
            "onRun": {
                "command": "{{Param.PortraitGen}}",
                "args": args,
                "cancelation": {"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": 120},
            }
        }
    }
    amounts = [{"name": "amount.worker.memory", "min": farm.memory_mb}]
    if farm.gpus and stage not in ("movie", "qc"):
        amounts.append({"name": "amount.worker.gpu", "min": farm.gpus})
    step["hostRequirements"] = {"amounts": amounts}
    return step
