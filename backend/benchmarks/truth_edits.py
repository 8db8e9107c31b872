# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of the synthetic performer against what they should have become: light, and paint."""

import json
import tempfile
from pathlib import Path

import cv2
import numpy as np

from portraitgen.body.model import BodyModel
from portraitgen.editing.colour import LUMA
from portraitgen.footage.crop import crop
from portraitgen.images import read_codes, save_png, to_float
from portraitgen.pipeline.data.pictures import sheet
from portraitgen.pipeline.data.shots import Track
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.requests.paint import start_painting
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.renders import render_of
from portraitgen.shot import Shot
from synthetic.acting import camera
from synthetic.patch import cheek_patch
from synthetic.render import LIGHTS, Performer

from .synthetic import performed

_SIZE, _FRAMES, _STEPS = 512, 48, 700
_LIT, _COMPARED = 12, (2, 9, 16, 23, 30, 37, 44)
# What differs less is not paint, or not light.
_VISIBLE = 0.02


def measure(footage: Path | None, out: Path) -> dict[str, str]:
    """Relights a performer from studio light to two others, and paints a cheek in one frame.

    Everything goes the whole way from the plate to the edited plate. The new light's direction
    and how much brighter it makes the performer are given, as they would be from a set.

    Returns:
        PSNR in dB against the truth over frames that span the shot, inside the matte or the
        painted area, and the same of the unedited plate.
    """
    body = BodyModel.load()
    figures: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        shot, motion, _ = performed(Path(folder), frames=_FRAMES, size=_SIZE)
        run("reconstruct", shot.path, {"steps": _STEPS}, Reporter())
        plain = Performer(body, motion)
        rows = []
        for name in ("left", "right"):
            truth = Performer(body, motion, light=name)
            options = _light(name, plain, truth)
            _edited(shot, name, "relight", options)
            rows.append(_compare(shot, name, plain, truth, f"relit {name}", figures))
        truth = Performer(body, motion, paint=cheek_patch(body, motion))
        _give_paint(shot, "painted", plain, truth, _best_seen(plain, truth))
        _edited(shot, "painted", "paint", {})
        rows.append(_compare(shot, "painted", plain, truth, "painted", figures))
    out.mkdir(parents=True, exist_ok=True)
    save_png(out / "truth_edits.png", sheet(rows, ["plate", "edited", "truth"] * 2, _SIZE // 2))
    return figures


def _light(name: str, plain: Performer, truth: Performer) -> dict[str, float]:
    """The relight editor's options for a light of the synthetic stage."""
    x, y, z = (float(value) for value in LIGHTS[name][0].direction)
    warm, _, cold = LIGHTS[name][0].colour
    brighter = []
    for each in (truth, plain):
        shown = each.render(_LIT, camera(128))
        brighter.append(float((shown.rgb[shown.alpha[..., 0] > 0.9] ** 2.2 @ LUMA).mean()))
    return {
        "azimuth": float(np.degrees(np.arctan2(x, -z))),
        "elevation": float(np.degrees(np.arctan2(-y, np.hypot(x, z)))),
        "ratio": 4.0,
        "temperature": 0.3 if warm > cold else -0.3,
        "fill_temperature": -0.1,
        "exposure": float(np.log2(brighter[0] / brighter[1])),
    }


def _best_seen(plain: Performer, truth: Performer) -> int:
    """The frame in which most of the paint is seen, as an artist would choose it."""

    def shown(frame: int) -> int:
        before, after = (each.render(frame, camera(_SIZE // 4)).rgb for each in (plain, truth))
        return int((np.abs(after - before).max(2) > _VISIBLE).sum())

    return max(range(1, _FRAMES + 1, 3), key=shown)


def _give_paint(shot: Shot, take: str, plain: Performer, truth: Performer, frame: int) -> None:
    """Paints the frame given out as the truth is painted."""
    path = Path(start_painting(shot, take, frame).path)
    given = cv2.imread(str(path))
    assert given is not None
    box = Track(shot).box(frame)
    before, after = (
        crop(each.render(frame, camera(_SIZE)).rgb, box, given.shape[0])[0]
        for each in (plain, truth)
    )
    added = 255 * (after - before)[..., ::-1]
    painted = np.where(np.abs(added).max(2, keepdims=True) > 2, given + added, given)
    assert cv2.imwrite(str(path), np.clip(painted, 0, 255).astype(np.uint8))


def _edited(shot: Shot, take: str, editor: str, options: dict[str, float]) -> None:
    words = {"take": take, "editor": editor, "editor_options": json.dumps(options)}
    run("edit", shot.path, words, Reporter())
    run("render", shot.path, {"take": take, "plate": True}, Reporter())


def _compare(
    shot: Shot, take: str, plain: Performer, truth: Performer, name: str, figures: dict[str, str]
) -> list[np.ndarray]:
    """Adds figures; returns pictures of two frames."""
    errors: dict[str, list[float]] = {"unedited": [], "edited": []}
    worst, pictures = np.inf, []
    for frame in _COMPARED:
        before, after = (each.render(frame, camera(_SIZE)) for each in (plain, truth))
        file = render_of(shot.path / "takes" / take).full_plates()[frame]
        read = read_codes(file)
        assert read is not None
        made = to_float(read)
        changed = np.abs(after.rgb - before.rgb).max(2) > _VISIBLE
        where = changed & (after.alpha[..., 0] > 0.9)
        if where.sum() < 100:
            continue  # The patch is turned away.
        for kind, picture in (("unedited", before.rgb), ("edited", made)):
            errors[kind].append(float(((picture - after.rgb)[where] ** 2).mean()))
        worst = min(worst, -10 * np.log10(errors["edited"][-1]))
        if frame in _COMPARED[1:6:4]:
            pictures += [before.rgb, made, after.rgb]
    found = {kind: -10 * np.log10(np.mean(each)) for kind, each in errors.items()}
    figures[name] = (
        f"{found['edited']:.1f} dB (unedited {found['unedited']:.1f} dB), worst frame"
        f" {worst:.1f} dB, {len(errors['edited'])} frames"
    )
    return pictures
