# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws the frames of a render that are not on disk, and what its movie shows of those that are."""

from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...avatar.avatar import Avatar
from ...body.surface import Surface
from ...editing.paint_layers import PaintedFrames
from ...errors import EditError
from ...footage.crop import CompositeLayer, crop, place
from ...footage.plate_files import unmarked
from ...frames import spread
from ...images import read_codes, to_codes, to_float
from ...records import EditRecord, PartsRecord
from ..compositing.frame_files import frame_layers, laid_over, write_frame
from ..compositing.grain import Grain, GrainMatch
from ..compositing.key_detail import KeyDetail
from ..compositing.motion_blur import MotionBlur, frames_of, pairs_of, shutter_of
from ..compositing.novel_view import NovelViewRenderer, write_novel_view
from ..compositing.part_passes import PartPasses, PassMaker
from ..compositing.plate_compositor import FrameRenderer, RenderedFrame
from ..compositing.take_appearance import TakeAppearance
from ..data.acting import StoredActing
from ..data.avatars import load_avatar, tell_device
from ..data.crops import load_crops, load_matte, painting_side
from ..data.edit_mask import EditMask
from ..data.key_frames import edited_key
from ..data.plate_stream import FrameSource
from ..run.progress import Reporter
from .before_and_after import before_and_after
from .render_run import MadeFrame, RenderRun, on_disk

if TYPE_CHECKING:
    from ..compositing.acted_stream import ActedStream

_GRAIN_FRAMES = 4
# The side of the windows in which the shutter is measured.
_SHUTTER_SIDE = 768


class FrameMaker:
    """Makes the frames of a run."""

    def __init__(self, run: RenderRun) -> None:
        self._run = run
        self._stream: ActedStream | None = None

    def made(self, done: set[int], reporter: Reporter) -> Generator[MadeFrame, None, None]:
        """Each frame, with what writes it, which is nothing if it is `done`."""
        run = self._run
        options, track, base, edit = run.options, run.track, run.base, run.edit
        body = run.body
        tell_device(reporter)
        plain = load_avatar(base, body)
        edited = load_avatar(edit, body) if edit else plain
        size, record = run.size, run.record
        # Lit, all of the performer is; what an editor would add is not.
        shown_edit, shown_record = (edit, record) if run.lit is None else (None, None)
        painted = PaintedFrames(shown_edit / "mask") if shown_edit else None
        chosen = shown_record.parts if shown_record else PartsRecord()
        parts = EditMask.of(body, track, chosen, painted)
        look = TakeAppearance(edited, shown_edit, shown_record, track, parts)
        # Alone, nothing lies on the plate.
        wanted = [] if run.alone else look.wanted_frames
        side = max((painting_side(track.box(frame)) for frame in wanted), default=size)
        look.prepare(load_crops(run.shot, track, wanted, side, reporter, run.plate))
        # What only acts is the plate itself, which nothing is laid over.
        only_acts = run.acting is not None and edit is None
        steady = 0.0 if only_acts else options.steady
        grain = self._grain() if options.grain > 0 and not run.alone else None
        blur = None
        if options.motion_blur > 0 and not run.alone and not look.keeps_performer:
            blur = self._blur(parts, reporter)
        keys = None
        if shown_record and not shown_record.base and not (run.alone or look.keeps_performer):
            keys = self._key_detail(shown_record)
        renderer = FrameRenderer(
            track, plain, look, size, options.detail, steady, parts, grain, blur, keys, run.lit
        )
        wants = frozenset(options.passes.split(",")) - {""}
        names = {name: each.numpy() for name, each in body.parts.items()}
        passes = PassMaker(run.track, parts, (names, len(body.faces)), wants)
        shown: FrameSource = run.plate
        if run.acting is not None and not run.alone:
            shown = self._stream = self._acted(run.acting, plain)
        if run.alone:
            lone = NovelViewRenderer(track, look, run.motion, run.views, size)
            images = run.plate.frames(run.frames)
        else:
            left = set(run.frames) - done
            images = renderer.ahead(shown, run.frames, left)
        told = False
        for frame, image in images:
            path, full = run.paths(frame)
            if frame in done:
                codes = self._codes(frame, image)
                yield MadeFrame(frame) if run.alone else on_disk(run, frame, codes)
            elif run.alone:
                drawn = lone.render(frame)
                said = run.statement_of(frame, None)
                attributes = partial(run.attributes, frame, said)
                texts = said.png_texts()
                yield MadeFrame(
                    frame,
                    partial(write_novel_view, path, drawn, run.plate, frame, texts, attributes),
                )
            else:
                rendered = self._rendered(renderer, frame, image)
                over = (full, laid_over(rendered, run.plate, frame)) if full else None
                if over and not told:
                    told = True
                    if note := unmarked(over[1], run.plate):
                        reporter.note(note)
                layers = frame_layers(rendered, image, run.plate, frame)
                said = run.statement_of(frame, float(rendered.touched.mean()))
                made = passes.of(frame, image, rendered.laid)
                layers |= self._acted_layers(frame, rendered) | made.layers
                attributes = partial(run.attributes, frame, said)
                attributes = partial(self._with_header, attributes, made)
                yield MadeFrame(
                    frame,
                    partial(
                        write_frame,
                        path,
                        rendered,
                        layers,
                        run.plate,
                        frame,
                        over,
                        said.png_texts(),
                        attributes,
                    ),
                    partial(self._side_by_side, frame, rendered),
                )
        for source in (self._stream, run.lit):
            if source is not None and (note := source.note()):
                reporter.note(note)

    def _acted(self, acting: StoredActing, plain: Avatar) -> "ActedStream":
        """The plate of a take that acts."""
        # What acts is a third of all that a render loads, and most takes do not act.
        from ..compositing.acted_light import light_of_shot
        from ..compositing.acted_mouth import Mouth
        from ..compositing.acted_plate import ActedPlate
        from ..compositing.acted_stream import ActedStream

        run = self._run
        light = light_of_shot(run.tracked, run.plate, run.body)
        mouth = Mouth.of(run.tracked, run.plate, run.body)
        actor = ActedPlate(
            run.tracked, run.track.motion, acting.acting, plain, run.body, light, mouth
        )
        return ActedStream(run.plate, actor, run.clean, run.mattes)

    def _grain(self) -> GrainMatch:
        """The plate's grain, measured in a few frames of the track, whichever are rendered."""
        seen = self._run.plate.frames(spread(self._run.tracked.frames, _GRAIN_FRAMES))
        return GrainMatch(Grain.measured([image for _, image in seen]), self._run.options.grain)

    def _blur(self, parts: EditMask, reporter: Reporter) -> MotionBlur | None:
        """The blur of the plate's shutter, as it is measured; None where nothing tells it."""
        track = self._run.track
        pairs = [] if self._run.acting is not None else pairs_of(self._run.body, track)
        images = dict(self._run.plate.frames(list(frames_of(pairs))))

        def window(frame: int) -> tuple[np.ndarray, Surface]:
            box = track.box(frame)
            side = min(_SHUTTER_SIDE, max(1, round(box.side)))
            camera = track.camera.window(box, side)
            return crop(images[frame], box, side)[0], parts.surface(frame, camera)

        box = track.box(track.frames[0])
        share = shutter_of(pairs, window, min(1.0, _SHUTTER_SIDE / box.side))
        if share is None:
            reporter.note(
                "Nothing in the shot moves fast enough, near a frame in which it rests, to measure"
                " the shutter; no motion blur is laid on."
            )
            return None
        reporter.note(f"The plate's shutter is measured to be open for {360 * share:.0f} degrees.")
        maker = PassMaker(track, parts, ({}, 0), frozenset({"motion"}))
        return MotionBlur(maker.vectors, share * self._run.options.motion_blur)

    def _key_detail(self, record: EditRecord) -> KeyDetail | None:
        """The detail of the edit's key frames; None where they are no larger than the avatar."""
        run = self._run
        track, edit = run.tracked, run.edit
        assert edit is not None
        detail = KeyDetail(run.body, track, EditMask(run.body, track, ""), run.size)
        found = {frame: edited_key(edit, frame) for frame in record.key_frames}
        paths = {frame: path for frame, path in found.items() if path and frame in track.frames}
        for frame, image in run.plate.frames(sorted(paths)):
            encoded = read_codes(paths[frame])
            if encoded is None or encoded.shape[0] != encoded.shape[1]:
                raise EditError(
                    "an edited key frame cannot be read", paths[frame], "edit the take again"
                )
            detail.add(frame, image, to_float(encoded))
        return None if detail.empty else detail

    @staticmethod
    def _with_header(attributes: Callable[[], dict[str, str]], made: PartPasses) -> dict[str, str]:
        return attributes() | made.attributes

    def _rendered(self, renderer: FrameRenderer, frame: int, image: np.ndarray) -> RenderedFrame:
        """A frame; of a take that acts, the window of the whole picture is shown."""
        if self._stream is None:
            return renderer.render(frame, image, self._run.mix[frame], self._run.hold.cover(frame))
        shows = self._run.edit is not None or self._run.lit is not None
        share = self._run.mix[frame] if shows else 0.0
        drawn = renderer.render(frame, image, share, self._run.hold.cover(frame))
        box, laid = self._run.track.box(frame), drawn.laid
        if not shows:
            matte = to_float(load_matte(self._run.track, frame))
            cover, rows, columns = place(matte, box, image.shape[1], image.shape[0])
            laid = CompositeLayer(image[rows, columns], cover, rows, columns)
        touched = drawn.touched
        if (part := self._stream.part(frame)) is not None:
            # Laid over its plate, the frame shows the background that came to light, too.
            acted = part.touched[laid.rows, laid.columns]
            colours = np.where(acted[..., None], drawn.over[laid.rows, laid.columns], laid.colours)
            laid = replace(laid, colours=colours, cover=np.where(acted, 1, laid.cover))
            touched = touched | part.touched
            drawn = replace(drawn, window=crop(part.plate, box, self._run.size)[0])
        beauty, _ = crop(drawn.over, box, drawn.beauty.shape[0])
        return replace(drawn, laid=laid, beauty=beauty, touched=touched)

    def _acted_layers(self, frame: int, rendered: RenderedFrame) -> dict[str, np.ndarray]:
        """Where a frame of a take that acts shows what the plate never did."""
        part = self._stream.part(frame) if self._stream is not None else None
        if part is None:
            return {}
        rows, columns = rendered.laid.rows, rendered.laid.columns
        layers = {"Filled": part.filled, "Invented": part.invented}
        return {name: to_float(values[rows, columns, None]) for name, values in layers.items()}

    def _side_by_side(self, frame: int, rendered: RenderedFrame) -> np.ndarray:
        drawn = to_codes(rendered.beauty)
        return before_and_after(
            self._run.track,
            self._run.plate,
            frame,
            rendered.window,
            drawn,
            rendered.matte,
            self._run.acting is not None,
        )

    def _codes(self, frame: int, image: np.ndarray) -> np.ndarray:
        """The plate of a frame, of which `image` may show how it is acted, uint8 (H, W, 3)."""
        part = self._stream.part(frame) if self._stream is not None else None
        return to_codes(image) if part is None else part.plate
