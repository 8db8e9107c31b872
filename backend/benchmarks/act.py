# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Acting over the plate, against the synthetic performer who acts otherwise in truth."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from portraitgen.body.geometry import rasterize_mesh
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion
from portraitgen.footage.crop import place
from portraitgen.images import save_png, to_float
from portraitgen.pipeline.compositing.acted_light import light_of_shot
from portraitgen.pipeline.compositing.acted_mouth import Mouth
from portraitgen.pipeline.compositing.acted_plate import ActedPlate
from portraitgen.pipeline.compositing.clean_plate import SeenCleanPlate
from portraitgen.pipeline.data.acting import Acting
from portraitgen.pipeline.data.avatars import frame_parameters, load_avatar
from portraitgen.pipeline.data.crops import load_matte
from portraitgen.pipeline.data.pictures import sheet
from portraitgen.pipeline.data.ready_made_acting import ActingRequest, ready_made
from portraitgen.pipeline.data.shots import Track, body_of, plate_of
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.shot import Shot
from synthetic.acting import camera
from synthetic.render import Performer

from .synthetic import performed

_SIZE, _WINDOW, _FRAMES, _STEPS = 512, 256, 48, 700
# Identity and light of the performers.
_PEOPLE = ((0, "studio"), (2, "left"))
_COMPARED = (3, 14, 25, 36)
_VISIBLE, _LEAST, _BITS = 0.02, 20, 8
_STILL = 0.02
_BUMP, _BUMP_RADIUS, _CHEEK = 0.008, 0.02, 425
_EDITS: dict[str, dict[str, str]] = {
    "gaze 15 degrees": {"gaze": "15,0"},
    "jaw +0.4": {"jawOpen": "0.4"},
    "smile +0.5": {"mouthSmileLeft": "0.5", "mouthSmileRight": "0.5"},
    "brows +0.6": {"browInnerUp": "0.6", "browOuterUpLeft": "0.6", "browOuterUpRight": "0.6"},
    "blink removed": {"open_eyes": "1"},
    "head turned by 5 degrees": {"head_yaw": "5"},
    "head turned by 10 degrees": {"head_yaw": "10"},
    "head turned by 20 degrees": {"head_yaw": "20"},
    "weight 0.5": {"weight": "0.5"},
    "age 0.5": {"age": "0.5"},
    "nose width 0.5": {"nose_width": "0.5"},
    "bump of 8 mm": {},
}


def measure(footage: Path | None, out: Path) -> dict[str, str]:
    """Acts each edit on tracked and rebuilt performers, and compares it with the truth.

    Returns:
        Of each edit the PSNR in dB inside what changes in truth, over frames that span the shot
        and all performers; beside it that of the plate left as it was and of the avatar alone over
        the clean plate; the sharpness inside what changes, over the truth's; and how many pixels
        farther than eight from all that moves in truth lost the plate's bits.
    """
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in _EDITS}
    pictures: dict[str, list[np.ndarray]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for identity, light in _PEOPLE:
            shot, motion, _ = performed(
                Path(folder), frames=_FRAMES, size=_SIZE, identity=identity, light=light
            )
            run("reconstruct", shot.path, {"steps": _STEPS, "size": _WINDOW}, Reporter())
            for name in _EDITS:
                found, shown = compare(shot, motion, name, identity, light)
                rows[name] += found
                pictures.setdefault(name, shown)
    out.mkdir(parents=True, exist_ok=True)
    labels = ["plate", "acted", "truth"]
    save_png(out / "act.png", sheet(list(pictures.values()), labels, _SIZE // 2))
    return {name: _words(found) for name, found in rows.items() if found}


def compare(
    shot: Shot, truth: Motion, name: str, identity: int, lamps: str
) -> tuple[list[dict[str, float]], list[np.ndarray]]:
    """One edit of one performer: errors of each frame, and pictures of one."""
    body, plate = body_of(shot), plate_of(shot)
    base = shot.version_folder("avatar")
    track = Track(shot, shot.avatar_record(int(base.name)).track)
    avatar = load_avatar(base, body)
    frames = _blinks(body, truth) if name == "blink removed" else list(_COMPARED)
    acting = _acting(shot, body, track, frames, name)
    meant = _acting(shot, body, _Truth(track, truth), frames, name)
    acted = acting.applied(track.motion, body)
    actor = ActedPlate(
        track,
        acted,
        acting,
        avatar,
        body,
        light_of_shot(track, plate, body),
        Mouth.of(track, plate, body),
    )
    clean = SeenCleanPlate(track, plate, track.frames)
    other = Performer(body, meant.applied(truth, body), identity, lamps)
    plain = Performer(body, truth, identity, lamps)
    found, shown = [], []
    for frame in frames:
        image = plate.read(frame)
        made = actor.frame(frame, image, clean)
        if made is None:
            continue
        wanted, was = (each.render(frame, camera(_SIZE)).rgb for each in (other, plain))
        changed = np.abs(wanted - was).max(2) > _VISIBLE
        if changed.sum() < _LEAST:
            continue
        # Hair moves, too, which is no face of the body.
        moves = np.abs(wanted - was).max(2) > 0.5 / 255
        still = ~(_moved(body, truth, meant.applied(truth, body), frame) | moves)
        far = cv2.distanceTransform(still.astype(np.uint8), cv2.DIST_L2, 5) > _BITS
        alone = _avatar_alone(track, actor, frame, image, clean)
        found.append(
            {
                "acted": _squared(made.image, wanted, changed),
                "plate": _squared(image, wanted, changed),
                "avatar": _squared(alone, wanted, changed),
                "sharp": _gradient(made.image, changed) / _gradient(wanted, changed),
                "lost": float((made.image != image).any(2)[far].sum()),
            }
        )
        shown = shown or [image, made.image, wanted]
    plate.close()
    return found, shown


def _moved(body: BodyModel, first: Motion, second: Motion, frame: int) -> np.ndarray:
    """Where the true body shows a face of which a corner moved, bool (H, W)."""
    posed = []
    for motion in (first, second):
        parameters = frame_parameters(motion, [frame])
        made = body.forward(
            torch.from_numpy(motion.betas)[None],
            parameters.pose,
            parameters.expression,
            parameters.transl,
            vertex_offsets=parameters.offsets,
        )
        posed.append(made.vertices[0].numpy())
    lens, faces = camera(_SIZE), body.faces.numpy()
    apart = np.linalg.norm(lens.project(posed[1]) - lens.project(posed[0]), axis=1)
    moves = (apart > _STILL)[faces].any(1)
    seen = np.zeros((_SIZE, _SIZE), bool)
    for vertices in posed:
        face = rasterize_mesh(vertices, faces, lens)[0]
        seen |= np.where(face >= 0, moves[face], False)
    return seen


class _Truth:
    """A track whose motion is the true one."""

    def __init__(self, track: Track, motion: Motion) -> None:
        self.motion = motion
        self.version = track.version


def _acting(shot: Shot, body: BodyModel, track: object, frames: list[int], name: str) -> Acting:
    request = ActingRequest(shot, body, track, frames)  # type: ignore[arg-type]
    acting = ready_made(request, _EDITS[name])
    if name.startswith("bump"):
        rest = body.template.numpy()
        marks = body.landmarks.on(rest, body.faces.numpy())
        cheek = marks[list(body.landmarks.indices).index(_CHEEK)]
        away = np.linalg.norm(rest - cheek, axis=1)
        side = np.array([np.sign(cheek[0]) * 0.6, 0, 0.8], np.float32)
        acting = replace(
            acting,
            sculpt=(_BUMP * np.exp(-np.square(away / _BUMP_RADIUS)))[:, None].astype(np.float32)
            * side,
            sculpted=np.ones(len(frames), np.float32),
        )
    return acting


def _blinks(body: BodyModel, truth: Motion) -> list[int]:
    lids = truth.expression[:, body.expression_names.index("eyeBlinkLeft")]
    return [int(frame) for frame in truth.frames[lids > 0.4 * body.blink_closed]][:4]


def _avatar_alone(
    track: Track,
    actor: ActedPlate,
    frame: int,
    image: np.ndarray,
    clean: SeenCleanPlate,
) -> np.ndarray:
    """The acted avatar over the clean plate, as an edit would lay it."""
    box = track.box(frame)
    height, width = image.shape[:2]
    rgb, alpha = actor.avatar_alone(frame, _WINDOW)
    colours, rows, columns = place(rgb, box, width, height)
    cover = place(alpha, box, width, height)[0][..., None]
    matte = place(to_float(load_matte(track, frame)), box, width, height)[0]
    wanted = np.zeros(image.shape[:2], bool)
    wanted[rows, columns] = matte > 0
    result = clean.frame(frame, image, wanted).image.copy()
    part = result[rows, columns]
    result[rows, columns] = part + cover * (colours - part)
    return result


def _squared(picture: np.ndarray, truth: np.ndarray, where: np.ndarray) -> float:
    return float(np.square(picture - truth)[where].mean())


def _gradient(picture: np.ndarray, where: np.ndarray) -> float:
    grey = picture.mean(2)
    across, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    return float(np.hypot(across, down)[where].mean())


def _words(found: Sequence[Mapping[str, float]]) -> str:
    def decibels(name: str) -> float:
        return float(-10 * np.log10(np.mean([each[name] for each in found])))

    worst = -10 * np.log10(max(each["acted"] for each in found))
    sharp = np.mean([each["sharp"] for each in found])
    lost = int(sum(each["lost"] for each in found))
    return (
        f"{decibels('acted'):.1f} dB, worst frame {worst:.1f} (plate unchanged"
        f" {decibels('plate'):.1f}, avatar alone {decibels('avatar'):.1f}); sharpness"
        f" {sharp:.2f}; {lost} far pixels changed; {len(found)} frames"
    )
