# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole job on one clip: track, reconstruct, edit, render; a second take that acts; a contact
sheet and a table.

python -m portraitgen.demo --footage plate.mp4 --frames 100-147 --size 256 --out demo
"""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from .cli import TerminalReporter
from .errors import PortraitError
from .footage.crop import crop
from .images import as_picture, read_channels, save_png, to_float
from .pipeline.data.avatars import frame_parameters, load_avatar
from .pipeline.data.crops import load_matte
from .pipeline.data.pictures import mesh_overlay, on_grey, sheet
from .pipeline.data.shots import Track, body_of, create_shot, plate_of
from .pipeline.registry import run
from .renders import render_of
from .schema import Values
from .shot import Shot
from .storage import write_json

TAKE = "moonlight"
ACTING_TAKE = "smile"
_LOOK: Values = {"key": "left", "ratio": 7, "temperature": -0.35, "fill_temperature": 0.15}
_ACTING: Values = {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5}
_ROWS = 3
_HEIGHT = 256


def run_demo(
    footage: Path, out: Path, frames: str, size: int, steps: int, editor: str
) -> dict[str, float]:
    """Runs the main job into `out`/shot and writes the sheet and the table beside it.

    Stages that an earlier run of the demo finished are not run again.

    Returns:
        Seconds by stage, and of "all" of them up to the edited frames.
    """
    reporter = TerminalReporter()
    seconds: dict[str, float] = {}
    started = time.monotonic()
    shot = create_shot(out / "shot", footage, {})
    # Edit and render read the plate's window size from the avatar.
    look = _LOOK if editor == "relight" else {}
    jobs: list[tuple[str, Values]] = [
        ("track", {"frames": frames}),
        ("reconstruct", {"size": size, "steps": steps}),
        ("edit", {"take": TAKE, "editor": editor, "editor_options": _json(look)}),
        ("render", {"take": TAKE, "plate": True}),
    ]
    for kind, options in jobs:
        begun = time.monotonic()
        run(kind, shot.path, options, reporter)
        seconds[kind] = time.monotonic() - begun
    begun = time.monotonic()
    seconds["all"] = begun - started
    run("act", shot.path, {"take": ACTING_TAKE, "settings": _json(_ACTING)}, reporter)
    run("render", shot.path, {"take": ACTING_TAKE, "plate": True}, reporter)
    seconds["act and render"] = time.monotonic() - begun
    summary, metrics = shot.track_record().summary, shot.avatar_metrics()
    measured = {
        "frames": summary.frames,
        "tracked frames": summary.tracked_frames,
        "landmark residual, % of eye distance": summary.landmark_residual_percent,
        "held-out PSNR, dB": metrics.psnr,
        "held-out SSIM": metrics.ssim,
        "mean alpha error": metrics.alpha_error,
        "peak memory, GB": _peak_memory(),
    }
    picture = contact_sheet(shot)
    save_png(out / "contact_sheet.png", picture)
    write_json(out / "measured.json", {"seconds": seconds, "measured": measured})
    _table(out / "measured.md", measured, seconds)
    return seconds


def contact_sheet(shot: Shot) -> np.ndarray:
    """Plate, mesh, matte, reconstruction, edit, plate with the edit and plate that acts, of three
    frames."""
    avatar = shot.edit_record(TAKE).avatar
    base, record = shot.version_folder("avatar", avatar), shot.avatar_record(avatar)
    track = Track(shot, record.track)
    body, plate, size = body_of(shot), plate_of(shot), record.size
    plain = load_avatar(base, body)
    rendered = render_of(shot.path / "takes" / TAKE)
    acted = render_of(shot.path / "takes" / ACTING_TAKE)
    chosen = np.linspace(0, len(track.motion) - 1, _ROWS + 2)[1:-1].astype(int)
    rows = []
    for frame in (int(track.motion.frames[row]) for row in chosen):
        box = track.box(frame)
        camera = track.camera.window(box, 2 * _HEIGHT)
        window, _ = crop(plate.read(frame), box, 2 * _HEIGHT)
        matte = to_float(load_matte(track, frame, 2 * _HEIGHT))
        parameters = frame_parameters(track.motion, [frame])
        posed = body.forward(
            torch.from_numpy(track.motion.betas)[None],
            parameters.pose,
            parameters.expression,
            parameters.transl,
        )
        mesh = mesh_overlay(window, posed.vertices[0].numpy(), body.faces.numpy(), camera)
        K = torch.from_numpy(track.camera.window(box, size).matrix())[None]
        with torch.no_grad():
            output = plain.render(parameters, K, size)
        rebuilt = output.premultiplied + 0.5 * (1 - output.alpha)
        over = _read(rendered.plates / f"{TAKE}.{frame:04d}.png")
        smiling = _read(acted.plates / f"{ACTING_TAKE}.{frame:04d}.png")
        rows.append(
            [
                window,
                mesh,
                on_grey(np.ones_like(window), matte, 0.0),
                as_picture(rebuilt.clamp(0, 1)),
                _read(rendered.frames / f"{TAKE}.{frame:04d}.png"),
                crop(over, box, 2 * _HEIGHT)[0],
                crop(smiling, box, 2 * _HEIGHT)[0],
            ]
        )
    plate.close()
    labels = ["plate", "mesh", "matte", "reconstruction", "edit", "plate with the edit", "acting"]
    return sheet(rows, labels, _HEIGHT)


def _read(path: Path) -> np.ndarray:
    codes = read_channels(path)
    if codes is None:
        raise PortraitError("the picture is missing", path, "render the take again")
    return to_float(np.ascontiguousarray(codes[..., :3]))


def _json(values: Values) -> str:
    import json

    return json.dumps(values, sort_keys=True)


def _peak_memory() -> float | None:
    try:
        import resource
    except ImportError:
        return None  # Windows keeps no such account of a process.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


def _table(path: Path, measured: Mapping[str, float | None], seconds: Mapping[str, float]) -> None:
    lines = ["| what | figure |", "|---|---|"]
    lines += [f"| {name} | {value:.4g} |" for name, value in measured.items()]
    lines += ["", "| stage | seconds |", "|---|---|"]
    lines += [f"| {name} | {value:.0f} |" for name, value in seconds.items()]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="portraitgen.demo", description=__doc__)
    parser.add_argument("--footage", type=Path, required=True, help="the plate")
    parser.add_argument("--frames", default="", help="frames as 100-147, all by default")
    parser.add_argument("--size", type=int, default=256, help="side of the portrait window")
    parser.add_argument("--steps", type=int, default=800, help="steps of reconstruction")
    parser.add_argument("--editor", default="relight", help="an editor that needs no weights")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="where everything goes")
    given = parser.parse_args()
    try:
        seconds = run_demo(
            given.footage, given.out, given.frames, given.size, given.steps, given.editor
        )
    except (PortraitError, OSError) as error:
        from .failures import readable

        sys.exit(f"demo: {readable(error)}")
    print((given.out / "measured.md").read_text("utf-8"))
    movies = [
        str(render_of(given.out / "shot" / "takes" / take).folder / f"{take}.mp4")
        for take in (TAKE, ACTING_TAKE)
    ]
    print(f"Everything is in {given.out}: contact_sheet.png, {', '.join(movies)}")
    print(f"The whole job took {seconds['all']:.0f} s.")


if __name__ == "__main__":
    main()
