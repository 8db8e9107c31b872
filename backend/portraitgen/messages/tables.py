# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every request and every notification, by its method."""

from collections.abc import Mapping

from ..schema import Data
from .base import Call, Told
from .farm import WriteBundle
from .jobs import (
    CancelJob,
    Heartbeat,
    JobCancelled,
    JobDone,
    JobFailed,
    JobFrame,
    JobNote,
    JobPreview,
    JobProgress,
    ResumeJob,
    Shutdown,
    StartJob,
)
from .setup import Check, Describe, Hello, ListModels, RunSelfTest
from .shots import CreateShot, FindFaces, InfoOfShot, ProbePlate, RelinkPlate, SplitPlate
from .splats import ExportCloud, ExportSplats, ImportSplats
from .takes import KeepKey, ListLooks, ShowLook, StartPainting, TryFrame
from .tracks import ExportRig, ExportTrack, ImportTrack, PublishTrack, SolvePins

CALLS: Mapping[str, type[Call[Data]]] = {
    call.METHOD: call
    for call in (
        *(
            Hello,
            Describe,
            Check,
            RunSelfTest,
            ListModels,
            CreateShot,
            RelinkPlate,
            InfoOfShot,
            ExportRig,
            PublishTrack,
            ImportTrack,
            ExportTrack,
        ),
        *(ProbePlate, SplitPlate, FindFaces, ExportCloud, ExportSplats, ImportSplats),
        *(ListLooks, ShowLook),
        *(SolvePins, TryFrame, StartPainting, KeepKey, WriteBundle),
        *(StartJob, ResumeJob, CancelJob, Shutdown),
    )
}
"""Every request by its method."""


NOTIFICATIONS: Mapping[str, type[Told]] = {
    told.METHOD: told
    for told in (
        *(Heartbeat, JobProgress, JobFrame, JobPreview, JobNote, JobDone, JobFailed, JobCancelled),
    )
}
"""Every notification by its method."""
