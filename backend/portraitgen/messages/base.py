# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests, answers and notifications as such, and a failure."""

from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from ..errors import PortraitError
from ..schema import Data

Answer = TypeVar("Answer", bound=Data, covariant=True)


class Call(Data, Generic[Answer]):
    """A request's parameters. Subclasses are frozen dataclasses."""

    METHOD: ClassVar[str]
    ANSWER: ClassVar[type[Data]]


class Told(Data):
    """A notification's parameters. Subclasses are frozen dataclasses."""

    METHOD: ClassVar[str]


@dataclass(frozen=True)
class Nothing(Data):
    """An answer that holds nothing."""


@dataclass(frozen=True)
class ErrorData(Data):
    """A failure, whole: what panels decide by, and what people read.

    Attributes:
        code: which kind of error it is, as in `errors`.
        message, place, remedy: as `PortraitError` has them.
    """

    code: str
    message: str
    place: str = ""
    remedy: str = ""

    @classmethod
    def of(cls, error: PortraitError) -> "ErrorData":
        """An error's data."""
        return cls(error.code, error.message, error.place, error.remedy)

    def error(self) -> PortraitError:
        """The error again."""
        error = PortraitError(self.message, self.place, self.remedy)
        error.code = self.code
        return error
