# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a job under its record and its lock, and writes down how it ended."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from ...errors import Cancelled, DiskFull, PortraitError
from ...failures import readable
from ...locks import Waiting
from ...schema import Values
from ...shot import Job, Shot
from ...stopping import at_hard_end
from ...storage import is_disk_full
from .job_log import logged
from .progress import Reporter

_log = logging.getLogger(__name__)


@contextmanager
def running(
    shot: Shot,
    kind: str,
    options: Values,
    resource: str,
    reporter: Reporter | None = None,
    *,
    inputs: Mapping[str, object] | None = None,
    frames: Sequence[int] | None = None,
) -> Iterator[Job]:
    """A job of a kind, begun or resumed, with its part of the shot held.

    The block must end with `job.finish`. When it fails or is cancelled, what it keeps in
    `job.work` stays for the next run with the same options and inputs. However it ends, its
    record says so, and its log holds the trace of a failure.

    Args:
        options: what was asked.
        resource: the part of the shot, as `Shot.hold` names it.
        reporter: is told when the job goes on where an earlier run stood.
        inputs: what identifies the run besides.
        frames: the frames it works on, all by default.

    Raises:
        ShotLocked: if another process holds the same part.
    """
    waiting = waiting_of(reporter)
    with shot.hold(resource, kind, frames, waiting) as lock:
        shot.sweep()
        job = shot.start_job(kind, options, inputs)
        job.check_held = lock.check
        about = f"{kind} {'resumed' if job.resumed else 'started'}: {dict(options)}"
        # Where nothing can be unwound any more, the record says at least that it stopped.
        forget = at_hard_end(partial(job.update, state="cancelled"))
        try:
            job.event("resumed" if job.resumed else "started")
            with logged(job.log, about):
                yield job
        except (Cancelled, KeyboardInterrupt):
            job.update(state="cancelled")
            job.event("cancelled")
            raise
        except Exception as error:
            failure = readable(error)
            _failed(job, failure)
            raise failure from error
        finally:
            forget()


def waiting_of(reporter: Reporter | None) -> Waiting:
    """How long a job waits for what another process holds, and whom that is told."""
    if reporter is None:
        return Waiting()
    return Waiting(reporter.wait_s, reporter.note, reporter.check)


def _failed(job: Job, failure: PortraitError) -> None:
    """Writes down why a job failed."""
    try:
        job.update(
            state="failed",
            message=failure.message,
            code=failure.code,
            place=failure.place,
            remedy=failure.remedy,
        )
        job.event("failed", message=str(failure), code=failure.code)
    except (PortraitError, OSError) as second:
        # On a full disk the record may be impossible to write; the first error counts.
        if not (isinstance(second, DiskFull) or is_disk_full(second)):
            _log.warning("the job's record could not be written: %s", second)
