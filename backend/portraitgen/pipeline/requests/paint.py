# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Giving a frame out to be painted over, in any program."""

from contextlib import closing

from ...errors import ShotError
from ...footage.crop import crop
from ...images import save_png
from ...messages.takes import PaintStarted
from ...shot import Shot, check_take_name
from ...storage import make_folder
from ..data.authors import name_picture
from ..data.crops import painting_side
from ..data.shots import Track, plate_of


def start_painting(
    shot: Shot, take: str, frame: int, mask: bool = False, *, author: str = ""
) -> PaintStarted:
    """Writes a frame's window twice into the take: to be painted over, and as it was.

    A frame that was given out before is left as the artist has it.

    Args:
        mask: whether the paint, of any colour, says where the take edits, instead of being the
            edit itself.
        author: who paints it, empty for nobody named.

    Returns:
        Where the picture to paint over lies, and whether it was just written.

    Raises:
        ShotError: if the frame is not tracked.
    """
    check_take_name(take)
    track = Track(shot)
    if frame not in track.frames:
        raise ShotError(f"frame {frame} is not tracked", shot.path, "choose a tracked frame")
    folder = shot.path / "takes" / take / ("mask" if mask else "paint")
    path, base = folder / f"{frame:04d}.png", folder / f"{frame:04d}.base.png"
    name_picture(folder.parent, "masks" if mask else "paint", frame, author)
    if path.exists() and base.exists():
        return PaintStarted(str(path), new=False)
    make_folder(folder)
    box = track.box(frame)
    with closing(plate_of(shot)) as plate:
        window, _ = crop(plate.read(frame), box, painting_side(box))
    if not base.exists():
        save_png(base, window)
    if not path.exists():
        save_png(path, window)
    return PaintStarted(str(path), new=True)
