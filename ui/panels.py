# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels, in the order of the work, in the sequencer's and the 3D viewport's sidebar alike."""

import bpy

from .edit_panels import AvatarPanel, EditPanel
from .output_panels import JobsPanel, OutputPanel
from .shot_panels import CameraPanel, ShotPanel
from .track_panels import RigPanel, TrackPanel

_CONTENTS = (
    ShotPanel,
    CameraPanel,
    TrackPanel,
    RigPanel,
    AvatarPanel,
    EditPanel,
    OutputPanel,
    JobsPanel,
)
_SPACES = {"SEQ": "SEQUENCE_EDITOR", "V3D": "VIEW_3D"}
CLASSES = tuple(
    type(
        f"PORTRAITGEN_PT_{content.bl_label.lower()}_{short.lower()}",
        (content, bpy.types.Panel),
        {"bl_space_type": space, "__doc__": content.__doc__},
    )
    for short, space in _SPACES.items()
    for content in _CONTENTS
)
