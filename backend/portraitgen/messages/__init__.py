# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender asks the worker, what the worker answers, and what it tells by itself.

Standard library only; both sides import this same module. Each request is a `Call` with its
parameters as fields, and names the type of its answer; each `Told` is a notification. Both sides
parse what they receive into these before they use it.
"""

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
