# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shot of the synthetic performer whose avatar was not learned: ready in a second."""

from pathlib import Path

import cv2
import numpy as np
import shot_records
import torch

from portraitgen.avatar.avatar import Avatar
from portraitgen.body.model import BodyModel
from portraitgen.body.uv import gaussian_texels
from portraitgen.pipeline.data.avatars import frame_parameters
from portraitgen.pipeline.data.shots import create_shot
from portraitgen.records import AvatarRecord, CameraRecord, FrameQuality, WindowRecord
from portraitgen.shot import Shot
from synthetic.acting import act, camera

_SKIN = (0.75, 0.55, 0.45)
_FINE = ("displacement", "bases.fields", "texture.offset")


def performer_shot(
    folder: Path, plate: Path, body: BodyModel, *, frames: int, size: int, splats: int
) -> Shot:
    """A shot as the true motion tracks it, with mattes, and an avatar of one colour that holds a
    little of everything.

    Args:
        folder: for the shot, and what is staged beside it.
        plate: its movie, of `frames` square frames of `size` pixels.
        splats: about how many.
    """
    shot = create_shot(folder / "shot", plate, {})
    motion, seen = act(body, range(1, frames + 1), 0), camera(size)
    torch.manual_seed(1)
    avatar = Avatar(body, torch.from_numpy(motion.betas), gaussian_texels(body, splats))
    with torch.no_grad():
        avatar.texture.features[:, :3] = torch.tensor(_SKIN)
        avatar.texture.scale += 0.3
        for name, value in avatar.named_parameters():
            if name in _FINE:
                value += 1e-3 * torch.randn_like(value)
            elif name.startswith(("texture.", "bases.")):
                value += 0.05 * torch.randn_like(value)
    staged = folder / "staged"
    (staged / "mattes").mkdir(parents=True)
    motion.save(staged / "params.safetensors")
    shot_records.track(
        camera=CameraRecord(seen.fx, seen.fy, seen.cx, seen.cy, size, size),
        window=WindowRecord("fixed", {1: (0, 0, size)}),
        quality=tuple(FrameQuality(frame, "tracked", 1.0, 1.0) for frame in range(1, frames + 1)),
    ).write(staged / "track.json")
    intrinsics = torch.from_numpy(seen.matrix())[None]
    for frame in range(1, frames + 1):
        with torch.no_grad():
            drawn = avatar.render(frame_parameters(motion, [frame]), intrinsics, size)
        matte = (drawn.alpha[0, 0].numpy() * 255 + 0.5).astype(np.uint8)
        assert cv2.imwrite(str(staged / "mattes" / f"matte.{frame:04d}.png"), matte)
    shot.publish("track", staged)
    staged.mkdir()
    avatar.save(staged / "avatar.safetensors")
    AvatarRecord(created="", track=1, size=size, gaussians=avatar.gaussian_count).write(
        staged / "avatar.json"
    )
    (staged / "metrics.json").write_text("{}")
    shot.publish("avatar", staged)
    return shot
