# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: the same jobs that Blender runs, from a terminal or a farm."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import __version__
from .errors import Cancelled, OptionError, PortraitError
from .native_log_filter import filter_native_logs
from .pipeline.run.progress import Reporter

_TRACK_HELP = {
    "report": ("draw how good a track is, with its worst frames", False),
    "export-track": ("write a track as the parameters of SMPL-X", True),
    "import-track": ("take in a track of another program as a new version", True),
}
_JOB_HELP = {
    "track": "fit the body to the performer in a plate",
    "reconstruct": "rebuild the performer as an avatar",
    "edit": "edit the performer into a take",
    "render": "render a take, or the reconstruction, to frames",
}


class TerminalReporter(Reporter):
    """One line of progress for a person, or JSON lines for a machine."""

    def __init__(self, events: bool) -> None:
        super().__init__()
        self._events = events
        self._open_line = False
        self._told = ("", 0)

    def _emit(self, event: str, **facts: Any) -> None:
        print(json.dumps({"event": event} | facts, ensure_ascii=False), flush=True)

    def progress(
        self, stage: str, step: int, steps: int, eta_s: float | None, metrics: dict[str, float]
    ) -> None:
        """Rewrites the line of the stage; without a terminal each tenth is told."""
        if self._events:
            self._emit(
                "progress", stage=stage, step=step, steps=steps, eta_s=eta_s, metrics=metrics
            )
            return
        live = sys.stderr.isatty()
        tenth = (stage, 10 * step // max(steps, 1))
        if not live and (tenth == self._told or step == 0):
            return
        self._told = tenth
        facts = "".join(f"  {name} {value:.4g}" for name, value in metrics.items())
        left = f"  {eta_s:.0f} s left" if eta_s and step < steps else ""
        line = f"{stage}: {step} of {steps}{facts}{left}"
        sys.stderr.write(f"\r\x1b[K{line}" if live else line)
        self._open_line = live and step < steps
        sys.stderr.write("" if self._open_line else "\n")
        sys.stderr.flush()

    def frame(self, take: str, frame: int, path: Path, plate: Path | None = None) -> None:
        """Tells a machine where a frame lies."""
        if self._events:
            self._emit("frame", take=take, frame=frame, path=str(path))

    def preview(self, path: Path) -> None:
        """Tells a machine where the preview lies."""
        if self._events:
            self._emit("preview", path=str(path))

    def note(self, text: str) -> None:
        """Shows the sentence on a line of its own."""
        if self._events:
            self._emit("note", text=text)
            return
        sys.stderr.write(("\n" if self._open_line else "") + text + "\n")
        self._open_line = False

    def done(self, result: dict[str, Any]) -> None:
        """Ends the output with what the job made."""
        if self._events:
            self._emit("done", result=result)
            return
        for name, value in result.items():
            print(f"{name.replace('_', ' ')}: {_words(value)}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; ends the process with 0, 1 for an error, 130 when stopped."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # Idle threads of torch's pool must not spin while the rasteriser's own work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        with filter_native_logs():
            _run(arguments)
    except (Cancelled, KeyboardInterrupt):
        print("Stopped; run the same command again to go on.", file=sys.stderr)
        sys.exit(130)
    except (PortraitError, OSError) as error:
        from .pipeline.run.job_context import readable

        print(f"portraitgen: {readable(error)}", file=sys.stderr)
        sys.exit(1)


def _run(arguments: list[str]) -> None:
    parser = _parser(arguments[0] if arguments else "")
    given = vars(parser.parse_args(arguments))
    command = given.pop("command")
    match command:
        case "track" | "reconstruct" | "edit" | "render":
            _run_job(command, given)
        case "info":
            from .pipeline.data.shots import info
            from .shot import Shot

            _show(info(Shot.open(given["shot"])), given["json"])
        case "report" | "export-track" | "import-track":
            _run_on_track(command, given)
        case "keep":
            from .pipeline.data.key_frames import keep_key
            from .shot import Shot

            kept = keep_key(Shot.open(given["shot"]), given["take"], given["frame"])
            print(f"{kept['path']} takes the place of what the editor makes of this frame")
            print("Repaint it if you like, and edit the take again; delete it to let it go")
        case "paint":
            from .pipeline.requests.paint import start_painting
            from .shot import Shot

            shot, mask = Shot.open(given["shot"]), given["mask"]
            made = start_painting(shot, given["take"], given["frame"], mask)
            then = "edit the take: it changes there only" if mask else "use --editor paint"
            print(f"Paint over {made['path']}, save it, and {then}")
        case "editors":
            from .editing.registry import describe_editors

            _show_editors(describe_editors(), given["json"])
        case "models":
            from .models.command import run_models

            run_models(given)
        case "check":
            from .pipeline.requests.diagnostics import check_setup

            _show_check(check_setup(), given["json"])
        case "bench":
            try:
                from benchmarks import run_bench
            except ModuleNotFoundError:
                raise OptionError(
                    "the benchmarks are not part of what is installed",
                    "bench",
                    "run it from a checkout of the repository",
                ) from None

            run_bench(given["what"], given["footage"], given["out"])
        case "worker":
            from .worker import main as serve

            serve()


def _parser(command: str) -> argparse.ArgumentParser:
    """The parser; only the job that runs pays for loading its options."""
    from .models.command import add_models_parser

    parser = argparse.ArgumentParser(
        prog="portraitgen", description="Track, rebuild, edit and re-render a portrait shot."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for kind, text in _JOB_HELP.items():
        job = commands.add_parser(kind, help=text, description=text.capitalize() + ".")
        job.add_argument("shot", type=Path, metavar="SHOT", help="the shot folder")
        job.add_argument("--events", action="store_true", help="tell progress as JSON lines")
        if kind == "track":
            job.add_argument("--footage", type=Path, help="the plate: a movie, sequence or photo")
            job.add_argument("--first", type=int, help="the number of a movie's first frame")
            job.add_argument("--colour-space", help="the plate's colour space")
            job.add_argument("--fps", help="the shot's frame rate, such as 24000/1001")
            job.add_argument("--matrix", help="the movie's YUV matrix: 601, 709 or 2020")
            job.add_argument("--range", help="the movie's YUV range: limited or full")
            job.add_argument("--body-model", type=Path, help="an SMPLX_NEUTRAL.npz of your own")
        if kind == "edit":
            job.add_argument(
                "--set",
                action="append",
                default=[],
                metavar="NAME=VALUE",
                help="an option of the editor; may be repeated",
            )
            job.add_argument("--models", type=Path, help="the folder where weights lie")
        if kind == command:
            _add_options(job, kind)
    for name, (text, with_file) in _TRACK_HELP.items():
        on_track = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        on_track.add_argument("shot", type=Path, metavar="SHOT")
        if with_file:
            on_track.add_argument("file", type=Path, metavar="FILE", help=".npz or .json")
        if name != "import-track":
            on_track.add_argument("--version", type=int, help="of the track, the latest by default")
    keep = commands.add_parser("keep", help="keep a key frame of a take, to repaint it")
    keep.add_argument("shot", type=Path, metavar="SHOT")
    keep.add_argument("--take", required=True, help="the take that it belongs to")
    keep.add_argument("--frame", type=int, required=True)
    paint = commands.add_parser("paint", help="give a frame out to be painted over")
    paint.add_argument("shot", type=Path, metavar="SHOT")
    paint.add_argument("--take", required=True, help="the take that the paint is for")
    paint.add_argument("--frame", type=int, required=True)
    paint.add_argument("--mask", action="store_true", help="paint where the take's editor may work")
    info = commands.add_parser("info", help="tell all about a shot")
    info.add_argument("shot", type=Path, metavar="SHOT")
    info.add_argument("--json", action="store_true", help="as JSON")
    for name, text in (("editors", "list the editors"), ("check", "check this machine's set-up")):
        listing = commands.add_parser(name, help=text)
        listing.add_argument("--json", action="store_true", help="as JSON")
    add_models_parser(commands)
    bench = commands.add_parser("bench", help="measure the figures of docs/figures.md")
    bench.add_argument("what", nargs="*", help="what to measure, everything by default")
    bench.add_argument("--footage", type=Path, help="a folder of clips to measure on")
    bench.add_argument("--out", type=Path, default=Path("bench"), help="where pictures go")
    commands.add_parser("worker", help="serve Blender on stdin and stdout")
    return parser


def _add_options(job: argparse.ArgumentParser, kind: str) -> None:
    from .pipeline.registry import options_of
    from .settings import describe

    for fact in describe(options_of(kind)):
        flag = "--" + fact["name"].replace("_", "-")
        unit = f", in {fact['unit']}" if fact["unit"] else ""
        default = f" (default {fact['default']})" if fact["default"] not in ("", None) else ""
        text = f"{fact['help']}{unit}{default}".replace("%", "%%")
        if fact["type"] == "bool":
            job.add_argument(
                flag, action=argparse.BooleanOptionalAction, default=None, help=fact["help"]
            )
        else:
            word = "|".join(fact["choices"]) or fact["type"].upper()
            job.add_argument(flag, metavar=word, help=text)


def _run_on_track(command: str, given: dict[str, Any]) -> None:
    from .pipeline.requests.report import report
    from .pipeline.requests.track_io import export_track, import_track
    from .shot import Shot

    shot = Shot.open(given["shot"])
    if command == "report":
        result = report(shot, given["version"])
    elif command == "export-track":
        result = export_track(shot, given["file"], given["version"])
    else:
        result = import_track(shot, given["file"])
    for name, value in result.items():
        print(f"{name}: {_words(value)}")


def _run_job(kind: str, given: dict[str, Any]) -> None:
    from .pipeline.data.shots import create_shot
    from .pipeline.registry import run

    shot, events = given.pop("shot"), given.pop("events")
    reporter = TerminalReporter(events)
    if kind == "track":
        names = ("first", "colour_space", "fps", "matrix", "range", "body_model")
        facts = {name: given.pop(name) for name in names}
        if footage := given.pop("footage"):
            create_shot(shot, footage, {k: v for k, v in facts.items() if v is not None})
    if kind == "edit" and (folder := given.pop("models")):
        os.environ["PORTRAITGEN_MODELS"] = str(folder)
    if kind == "edit" and (pairs := given.pop("set")):
        options = {}
        for pair in pairs:
            name, equals, value = pair.partition("=")
            if not equals:
                raise OptionError(f"'{pair}' is no setting", "--set", "write it as name=value")
            options[name] = value
        given["editor_options"] = json.dumps(options, sort_keys=True)
    values = {name: value for name, value in given.items() if value is not None}
    reporter.done(run(kind, shot, values, reporter))


def _words(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_words(each) for each in value) or "none"
    return "none" if value is None else str(value)


def _show(data: dict[str, Any], as_json: bool, indent: str = "") -> None:
    if as_json:
        print(json.dumps(data, indent=1, ensure_ascii=False))
        return
    for name, value in data.items():
        label = f"{indent}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            print(label)
            _show(value, False, indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            print(label)
            for each in value:
                print(f"{indent}  - " + ", ".join(f"{k} {_words(v)}" for k, v in each.items()))
        else:
            print(f"{label}: {_words(value)}")


def _show_editors(editors: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(editors, indent=1, ensure_ascii=False))
        return
    for editor in editors:
        print(f"{editor['id']}: {editor['description']}")
        use = "commercial use allowed" if editor["commercial"] else "no commercial use"
        print(f"  licence {editor['licence']} ({use}); needs {_words(editor['needs'])}")
        for fact in editor["options"]:
            unit = f" {fact['unit']}" if fact["unit"] else ""
            print(f"  {fact['name']} = {_words(fact['default'])}{unit}: {fact['help']}")


def _show_check(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    for row in rows:
        remedy = f" ({row['remedy']})" if row["remedy"] else ""
        print(f"{row['state']:>8}  {row['name']}: {row['message']}{remedy}")


if __name__ == "__main__":
    main()
