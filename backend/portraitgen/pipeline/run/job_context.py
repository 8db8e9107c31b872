# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a job under its record and its lock, and writes down how it ended."""

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from ...errors import Cancelled, PortraitError
from ...shot import Job, Shot
from ...stopping import at_hard_end


@contextmanager
def running(
    shot: Shot,
    kind: str,
    options: Mapping[str, Any],
    resource: str,
    frames: range | None = None,
) -> Iterator[Job]:
    """A job of a kind, begun or resumed, with its part of the shot held.

    The block must end with `job.finish`. When it fails or is cancelled, what it keeps in
    `job.work` stays for the next run with the same options.

    Raises:
        ShotLocked: if another process holds the same part.
    """
    with shot.hold(resource, kind, frames):
        job = shot.start_job(kind, options)
        job.event("resumed" if job.resumed else "started")
        # Where nothing can be unwound any more, the record says at least that it stopped.
        forget = at_hard_end(partial(job.update, state="cancelled"))
        try:
            yield job
        except (Cancelled, KeyboardInterrupt):
            job.update(state="cancelled")
            job.event("cancelled")
            raise
        except (PortraitError, OSError) as error:
            failure = readable(error)
            # On a full disk the record may be impossible to write; the first error counts.
            if not (isinstance(error, OSError) and error.errno == errno.ENOSPC):
                job.update(state="failed", message=str(failure), code=failure.code)
                job.event("failed", message=str(failure), code=failure.code)
            raise failure from error
        finally:
            forget()


def readable(error: PortraitError | OSError) -> PortraitError:
    """An error of the operating system in a sentence; our own errors stay as they are."""
    if isinstance(error, PortraitError):
        return error
    place = error.filename or ""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return PortraitError("the disk is full", place, "free some space and run it again")
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return PortraitError(
                "writing here is not allowed", place, "choose a folder that you may write to"
            )
        case errno.ENOENT:
            return PortraitError("the file is missing", place, "check the path")
        case _:
            reason = (error.strerror or str(error)).lower()
            return PortraitError(f"the system refused ({reason})", place, "check the disk")
