# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors that people are meant to read. Standard library only."""

_LONGEST = 500


class PortraitError(Exception):
    """A failure a person can act on: what is wrong, where, and what to do.

    Args:
        message: what is wrong, without a full stop.
        place: the file, frame, option or tool it concerns.
        remedy: what to do about it, as an imperative without a full stop.
    """

    code = "failed"

    def __init__(self, message: str, place: object = "", remedy: str = "") -> None:
        super().__init__(message)
        # What a stranger's file says may be quoted, but must not fill the window.
        self.message = message if len(message) <= _LONGEST else f"{message[:_LONGEST]}..."
        text = str(place)
        self.place = text if len(text) <= _LONGEST else f"...{text[-_LONGEST:]}"
        self.remedy = remedy

    def __str__(self) -> str:
        sentence = f"{self.place}: {self.message}" if self.place else self.message
        return f"{sentence}; {self.remedy}." if self.remedy else f"{sentence}."


class FootageError(PortraitError):
    """The plate cannot be read, or not as asked."""

    code = "footage"


class ShotError(PortraitError):
    """The shot folder is not one, is damaged, or is of a newer schema."""

    code = "shot"


class NewerSchema(ShotError):  # noqa: N818
    """A file is whole, and of a later PortraitGen: nothing may take its place."""


class StorageError(PortraitError):
    """A file cannot be written: the disk is full, or the system refuses."""

    code = "storage"


class DiskFull(StorageError):  # noqa: N818
    """There is no space left; the same may go well later."""

    code = "disk_full"


class OutOfMemory(PortraitError):  # noqa: N818
    """There is too little memory; the same may go well later, or smaller."""

    code = "memory"


class ShotLocked(ShotError):  # noqa: N818
    """Another process works on the shot."""

    code = "locked"


class BodyError(PortraitError):
    """The body model cannot be used."""

    code = "body"


class TrackingError(PortraitError):
    """The performer cannot be tracked."""

    code = "tracking"


class RasterError(PortraitError):
    """The rasteriser was asked for something it cannot do."""

    code = "raster"


class AvatarError(PortraitError):
    """The avatar is missing, damaged or does not fit the track."""

    code = "avatar"


class EditError(PortraitError):
    """An editor or its options cannot be used."""

    code = "edit"


class QualityError(PortraitError):
    """A rendered take is beyond a limit that was set."""

    code = "quality"


class ModelError(PortraitError):
    """Weights are missing, damaged, unsafe, or may not be used as asked."""

    code = "model"


class ProgramNotAllowed(PortraitError):  # noqa: N818
    """A program that the user has not allowed would have been run."""

    code = "program"


class OptionError(PortraitError):
    """An option is unknown or its value is out of range."""

    code = "option"


class Cancelled(Exception):  # noqa: N818
    """The user asked the job to stop; what was done is kept and can be resumed."""
