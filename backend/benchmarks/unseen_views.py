# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an avatar shows that its plate never did: other acting, other sides."""

import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch

from portraitgen.avatar.avatar import Avatar
from portraitgen.body.camera import orbit
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion
from portraitgen.images import as_picture, save_png
from portraitgen.interchange.layouts_body import PARTS
from portraitgen.pipeline.data.avatars import frame_parameters, load_avatar
from portraitgen.pipeline.data.pictures import on_grey, sheet
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.requests.track_import import import_track
from portraitgen.pipeline.run.progress import Reporter
from synthetic.acting import camera
from synthetic.render import Performer

from .synthetic import performed

_SIZE, _LEARNT, _ALL, _STEPS = 512, 48, 96, 1200
_COMPARED = range(52, 97, 6)
_TURNED = (8, 24, 40)
_TURN = 20.0
# A hole is where the performer surely is and the avatar is not.
_SURE, _MISSING = 7, 0.5


def measure(footage: Path | None, out: Path) -> dict[str, float]:
    """Learns 48 frames of a performance from its true motion and plays the 48 that follow.

    Writes unseen.png: truth above, avatar below; acting, then both sides.

    Returns:
        PSNR in dB inside the performer: held-out frames among those learnt, the acting that
        follows (the same movements in other combinations), views from 20 degrees to either side;
        and what share of the performer is a hole there, per cent.
    """
    body = BodyModel.load()
    with tempfile.TemporaryDirectory() as folder:
        shot, motion, _ = performed(Path(folder), frames=_ALL, size=_SIZE)
        truth = Path(folder) / "truth.npz"
        posed = {name: motion.pose[:, part].reshape(_ALL, -1) for name, part in PARTS.items()}
        kept = {name: getattr(motion, name) for name in ("betas", "transl", "expression")}
        np.savez(truth, **posed, **kept, frames=motion.frames)
        import_track(shot, truth)
        found = run(
            "reconstruct",
            shot.path,
            {"frames": f"1-{_LEARNT}", "steps": _STEPS, "refine": False},
            Reporter(),
        )
        avatar = load_avatar(shot.version_folder("avatar"), body)
    performer = Performer(body, motion)
    still = np.eye(4)
    acted = [_compare(avatar, performer, motion, frame, still) for frame in _COMPARED]
    around = [
        _compare(avatar, performer, motion, frame, _view(motion, body, frame, sign * _TURN))
        for frame in _TURNED
        for sign in (-1, 1)
    ]
    shown = [acted[1], acted[4], around[2], around[3]]
    pictures = [[each[2] for each in shown], [each[3] for each in shown]]
    labels = ["acting never seen", "acting never seen", "20 degrees left", "20 degrees right"]
    out.mkdir(parents=True, exist_ok=True)
    save_png(out / "unseen.png", sheet(pictures, labels, _SIZE))
    return {
        "held_out_psnr_true_track": found.told()["psnr"],
        "unseen_acting_psnr": float(np.mean([each[0] for each in acted])),
        "novel_view_psnr": float(np.mean([each[0] for each in around])),
        "novel_view_holes_percent": 100 * float(np.mean([each[1] for each in around])),
    }


def _view(motion: Motion, body: BodyModel, frame: int, degrees: float) -> np.ndarray:
    """The plate camera's space to that of a camera round the head, (4, 4)."""
    posed = body.forward(
        torch.from_numpy(motion.betas)[None],
        *(
            torch.from_numpy(each[motion.index(frame)][None])
            for each in (motion.pose, motion.expression, motion.transl)
        ),
    )
    return orbit(posed.joints[0, 15].numpy(), degrees)


@torch.no_grad()
def _compare(
    avatar: Avatar, performer: Performer, motion: Motion, frame: int, view: np.ndarray
) -> tuple[float, float, np.ndarray, np.ndarray]:
    """PSNR inside the performer, the share of holes, and both pictures on grey."""
    seen = camera(_SIZE)
    real = performer.seen_from(view).render(frame, seen)
    drawn = avatar.render(
        frame_parameters(motion, [frame]),
        torch.from_numpy(seen.matrix())[None],
        _SIZE,
        views=torch.from_numpy(view).float()[None],
    )
    ours, cover = as_picture(drawn.rgb), as_picture(drawn.alpha)[..., 0]
    alpha = real.alpha[..., 0]
    apart = ((ours - real.rgb) ** 2).mean(2)
    error = (apart * alpha).sum() / alpha.sum()
    sure = cv2.erode((alpha > 0.99).astype(np.uint8), np.ones((_SURE, _SURE), np.uint8)) > 0
    holes = float((cover < _MISSING)[sure].mean())
    return float(-10 * np.log10(error)), holes, on_grey(real.rgb, alpha), on_grey(ours, cover)
