# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A track is aligned by itself, goes on where it stopped, and nothing is done twice."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reporters import Noting

from portraitgen.errors import Cancelled, TrackingError
from portraitgen.pipeline.data.crops import Crops, load_crops
from portraitgen.pipeline.data.shots import Track, create_shot
from portraitgen.pipeline.jobs import refine_track as job
from portraitgen.pipeline.jobs.reconstruct import ReconstructOptions, training_data
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.shot import Shot
from portraitgen.tracking import photometric_alignment

FRAMES = 6


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Path:
    """A folder of a shot beside its plate; nobody changes it."""
    folder = tmp_path_factory.mktemp("tracked")
    create_shot(folder / "shot", Path(shutil.copy(clip, folder)), {})
    run("track", folder / "shot", {"frames": f"1-{FRAMES}", "focal": 1280}, Reporter())
    return folder


@pytest.fixture
def shot(tracked: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tracked, tmp_path / "job")) / "shot"


class Stopping(Reporter):
    """Is asked to stop once a stage has come so far."""

    def __init__(self, per_cent: int) -> None:
        super().__init__()
        self._limit = per_cent

    def progress(self, stage: str, step: int, *rest: Any) -> None:
        if stage == "align" and step >= self._limit:
            self.cancel()


def test_it_goes_on_where_it_stopped_and_ends_with_the_same(
    shot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "ALIGN_SIZE", 192)
    before = Track(Shot.open(shot))
    with pytest.raises(Cancelled):
        run("refine", shot, {}, Stopping(30))
    assert Shot.open(shot).versions("track") == [1]
    steps = count_steps(monkeypatch)
    resumed = run("refine", shot, {}, Reporter())
    went_on = len(steps)
    assert resumed.told()["track"] == 2
    assert resumed.told()["frames"] == FRAMES
    after = Track(Shot.open(shot))
    assert (after.record.source, after.record.parent) == ("align", 1)
    assert after.record.aligned == (1, FRAMES)
    assert after.record.mattes == before.record.mattes
    assert not np.array_equal(after.motion.pose, before.motion.pose)
    assert np.array_equal(after.motion.betas, before.motion.betas)

    steps.clear()
    unbroken = job.aligned(Shot.open(shot), before, crops_of(shot, before), Reporter())
    assert went_on < len(steps)
    for name in ("pose", "expression", "transl"):
        assert np.array_equal(getattr(unbroken, name), getattr(after.motion, name))


def crops_of(shot: Path, track: Track) -> Crops:
    return load_crops(Shot.open(shot), track, track.tracked(track.frames), 192, Reporter())


def count_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gauss-Newton rounds that are done from now on."""
    steps: list[int] = []
    step = photometric_alignment.Alignment._step

    def counted(self: Any, motion: Any) -> Any:
        steps.append(1)
        return step(self, motion)

    monkeypatch.setattr(photometric_alignment.Alignment, "_step", counted)
    return steps


def test_reconstruction_repeats_nothing_that_is_done(
    shot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "ALIGN_SIZE", 192)
    steps = count_steps(monkeypatch)
    run("refine", shot, {"frames": "1-4"}, Reporter())
    assert steps
    opened = Shot.open(shot)
    track = Track(opened)
    assert not job.is_aligned(track, list(range(1, FRAMES + 1)))
    steps.clear()
    _, data = training_data(opened, track, range(1, 5), ReconstructOptions(size=64), Reporter())
    assert not steps
    assert np.array_equal(data.motion.pose, track.motion.pose[:4])


@pytest.mark.parametrize("between", [False, True])
def test_a_track_that_came_in_between_is_told(
    shot: Path, monkeypatch: pytest.MonkeyPatch, between: bool
) -> None:
    def fit(*given: Any) -> Any:
        if between:
            opened = Shot.open(shot)
            other = Track(opened)
            folder = shot / "other"
            folder.mkdir()
            other.motion.save(folder / "params.safetensors")
            opened.publish("track", folder, other.record)
        return given[1]

    monkeypatch.setattr(job, "ALIGN_SIZE", 64)
    monkeypatch.setattr(job, "fit_photometric", fit)
    notes = Noting()
    assert run("refine", shot, {}, notes).told()["track"] == 2 + between
    told = [note for note in notes.notes if "holds nothing of it" in note]
    assert len(told) == between
    assert not between or told[0].startswith("Track 2 was made while this job worked on track 1")


def test_frames_that_are_not_tracked_are_named(shot: Path) -> None:
    opened = Shot.open(shot)
    path = opened.version_folder("track") / "track.json"
    path.write_text(path.read_text("utf-8").replace('"tracked"', '"bridged"'), "utf-8")
    with pytest.raises(TrackingError, match="no frame of the range is tracked"):
        run("refine", shot, {"frames": "2-3"}, Reporter())
