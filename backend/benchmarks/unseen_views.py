# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an avatar shows that its plate never did: other acting, other sides, other frames."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from portraitgen.avatar.avatar import Avatar, AvatarOutput
from portraitgen.avatar.training import Trainer
from portraitgen.body.camera import orbit
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion
from portraitgen.frames import parse_frame_list, spread
from portraitgen.images import as_picture, save_png
from portraitgen.interchange.layouts_body import PARTS
from portraitgen.pipeline.data.avatars import frame_parameters, load_avatar
from portraitgen.pipeline.data.pictures import sheet
from portraitgen.pipeline.data.shots import Track, body_of, create_shot
from portraitgen.pipeline.jobs.reconstruct import (
    ReconstructOptions,
    finished,
    new_trainer,
    training_data,
)
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.requests.track_import import import_track
from portraitgen.pipeline.run.progress import Reporter
from synthetic.acting import camera
from synthetic.render import Performer

from .over_grounds import GROUNDS, CutOut, psnr_over, specks
from .synthetic import performed

_SIZE, _LEARNT, _ALL, _STEPS = 512, 48, 96, 1200
_ACTED = range(52, 97, 6)
_TURNED, _TURNS = (8, 24, 40), (20, 40)
# A hole is where the performer surely is and the avatar is not.
_SURE, _MISSING = 7, 0.5

_CLIPS = ("expressions.mp4", "long_hair.mp4")
_TRACKED, _USED, _CLIP_STEPS = "1-240", "1-240x3", 500
_LOOKED = 8


@dataclass(frozen=True)
class _Compared:
    """Figures of some pictures, on the mean; specks are counted over all of them."""

    inside: float
    white: float
    holes: float
    specks: dict[str, int]

    @classmethod
    def of(cls, pairs: Sequence[tuple[CutOut, CutOut]]) -> "_Compared":
        """Of pictures drawn, each with the true one."""
        return cls(
            float(np.mean([_inside(*pair) for pair in pairs])),
            float(np.mean([psnr_over("white", *pair) for pair in pairs])),
            float(np.mean([_holes(*pair) for pair in pairs])),
            {ground: sum(specks(ground, *pair) for pair in pairs) for ground in GROUNDS},
        )


def measure(footage: Path | None, out: Path) -> dict[str, float | str]:
    """A synthetic performer, and with `footage` the last third of clips.

    Of the performer 48 frames are learned from the true motion; then the acting that follows is
    played, and the camera goes round. Of each clip every third of 240 frames is aligned, the first
    two thirds are learned; what follows is drawn as tracked, and then placed: pose and expression,
    never the avatar, fitted to it.

    Writes unseen.png and unseen_CLIP.png: truth and avatar, over black, white and green.

    Returns:
        PSNR in dB inside the performer or of the whole frame over white; holes, per cent of the
        performer; specks, how many patches show where no performer is, over each ground.
    """
    out.mkdir(parents=True, exist_ok=True)
    figures: dict[str, float | str] = dict(_of_performer(out))
    for name in _CLIPS:
        if footage is not None and (footage / name).exists():
            figures |= _of_clip(footage / name, out)
    return figures


def _of_performer(out: Path) -> dict[str, float | str]:
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
    acted = [_pair(avatar, performer, motion, frame, np.eye(4)) for frame in _ACTED]
    figures: dict[str, float | str] = {
        "held_out_psnr_true_track": found.told()["psnr"],
        "unseen_acting_psnr": _Compared.of(acted).inside,
    }
    shown = [acted[1], acted[4]]
    for turn in _TURNS:
        pairs = [
            _pair(avatar, performer, motion, frame, _view(motion, body, frame, sign * turn))
            for frame in _TURNED
            for sign in (-1, 1)
        ]
        compared = _Compared.of(pairs)
        shown += pairs[2:4]
        figures |= {
            f"view_{turn}_psnr": compared.inside,
            f"view_{turn}_holes_percent": compared.holes,
            f"view_{turn}_specks": _told(compared),
        }
    sides = [f"{turn} degrees {side}" for turn in _TURNS for side in ("left", "right")]
    _save(out / "unseen.png", shown, ["acting never seen"] * 2 + sides, _SIZE)
    return figures


def _of_clip(clip: Path, out: Path) -> dict[str, float | str]:
    with tempfile.TemporaryDirectory() as folder:
        shot = create_shot(Path(folder) / "shot", clip, {})
        run("track", shot.path, {"frames": _TRACKED}, Reporter())
        track, body = Track(shot), body_of(shot)
        options = ReconstructOptions(frames=_USED, steps=_CLIP_STEPS)
        used = parse_frame_list(_USED, track.frames)
        windows, data = training_data(shot, track, used, options, Reporter())
        rows = np.arange(len(windows.frames))
        last = [int(row) for row in rows[2 * len(rows) // 3 :]]
        data.hold_out(data.held_out | np.isin(rows, last))
        trainer = new_trainer(body, track, windows.some(data.trained), data, options)
    while trainer.done < _CLIP_STEPS:
        trainer.step()
    trainer.avatar = finished(trainer, body)
    looked, name = spread(last, _LOOKED), clip.stem
    own = _Compared.of([_row(trainer, row) for row in spread(data.trained, _LOOKED)])
    between = [int(row) for row in np.flatnonzero(data.held_out) if row not in last]
    tracked = [_row(trainer, row) for row in looked]
    compared = _Compared.of(tracked)
    figures: dict[str, float | str] = {
        f"{name}_own_frames_over_white": own.white,
        f"{name}_held_out_between_inside": _Compared.of([_row(trainer, r) for r in between]).inside,
        f"{name}_last_third_over_white": compared.white,
        f"{name}_last_third_specks": _told(compared),
    }
    for row in looked:
        trainer.place(row)
    placed = [_row(trainer, row) for row in looked]
    figures[f"{name}_last_third_placed_over_white"] = _Compared.of(placed).white
    shown = [placed[0], placed[_LOOKED // 2], placed[-1]]
    labels = [f"frame {windows.frames[looked[at]]}" for at in (0, _LOOKED // 2, -1)]
    _save(out / f"unseen_{name}.png", shown, labels, 2 * data.size)
    return figures


def _told(compared: _Compared) -> str:
    return ", ".join(f"{count} over {ground}" for ground, count in compared.specks.items())


def _save(
    path: Path, pairs: Sequence[tuple[CutOut, CutOut]], labels: Sequence[str], side: int
) -> None:
    """Truth and avatar, a pair a column, over every ground."""
    rows = [[pair[which].over(ground) for pair in pairs] for ground in GROUNDS for which in (1, 0)]
    save_png(path, sheet(rows, labels, side))


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
def _pair(
    avatar: Avatar, performer: Performer, motion: Motion, frame: int, view: np.ndarray
) -> tuple[CutOut, CutOut]:
    """The avatar from a side, and the truth."""
    seen = camera(_SIZE)
    real = performer.seen_from(view).render(frame, seen)
    drawn = avatar.render(
        frame_parameters(motion, [frame]),
        torch.from_numpy(seen.matrix())[None],
        _SIZE,
        views=torch.from_numpy(view).float()[None],
    )
    return _cut_out(drawn), CutOut(real.rgb * real.alpha, real.alpha[..., 0])


@torch.no_grad()
def _row(trainer: Trainer, row: int) -> tuple[CutOut, CutOut]:
    """The avatar in a row, and its plate."""
    colour, alpha = trainer.data.target([row], trainer.data.size)
    return _cut_out(trainer.render_row(row)), CutOut(as_picture(colour), as_picture(alpha)[..., 0])


def _cut_out(drawn: AvatarOutput) -> CutOut:
    return CutOut(as_picture(drawn.premultiplied.clamp(0, 1)), as_picture(drawn.alpha)[..., 0])


def _inside(drawn: CutOut, truth: CutOut) -> float:
    """PSNR in dB of the performer's colours, however thinly drawn."""
    ours, real = (each.premultiplied / each.alpha.clip(1e-3)[..., None] for each in (drawn, truth))
    apart = ((ours.clip(0, 1) - real.clip(0, 1)) ** 2).mean(2)
    return float(-10 * np.log10((apart * truth.alpha).sum() / truth.alpha.sum()))


def _holes(drawn: CutOut, truth: CutOut) -> float:
    sure = cv2.erode((truth.alpha > 0.99).astype(np.uint8), np.ones((_SURE, _SURE), np.uint8)) > 0
    return 100 * float((drawn.alpha < _MISSING)[sure].mean())
