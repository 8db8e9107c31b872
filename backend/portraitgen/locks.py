# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks on parts of a shot folder that name their holder and survive a dead one.

Standard library only. Each holder keeps one small file in the shot's `locks` folder and touches it
while it lives. The files are enough on a network share:

* A holder whose table of processes this process shares is looked up there.
* Of any other holder only this counts: whether its file is seen to change. Its times are compared
  with each other and never with a clock of ours, so machines may disagree about the time. Who sees
  no change for a minute takes the part over.
* A holder writes its claim first and looks then, so two never believe that they hold one part.
* A holder whose claim was taken away, as it slept or lost its network, is told at `check`, before
  it publishes anything.
"""

import atexit
import getpass
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from .errors import OptionError, ShotError, ShotLocked
from .frames import frame_list, parse_frame_list
from .process_identity import ProcessIdentity, is_running, process_identity
from .schema import Data, Misfit
from .storage import (
    check_inside,
    entries,
    make_folder,
    read_json,
    remove_file,
    remove_tree,
    write_json,
)

HEARTBEAT = 5.0
"""How often a holder touches its claim, in seconds."""
DEAD_AFTER = 60.0
"""For how long a claim must not change until its holder counts as dead, in seconds."""
_GATE_STALE = 10.0
_GATE_LIMIT = 40.0
_LOOK = 0.25
_PATIENCE = 2.0
# Of a longer claim only so many are compared.
_MOST_FRAMES = 1_000_000
_MOST_STEPS = 10_000_000
_held: "set[Lock]" = set()
_held_lock = threading.Lock()


def _silent(text: str) -> None:
    """Tells nobody."""


def _go_on() -> None:
    """Never cancels."""


@dataclass(frozen=True)
class Waiting:
    """How long to wait for a part that another process holds, and whom to tell.

    Attributes:
        seconds: for a holder that lives; 0 gives up at once. A holder of which nothing is known is
            watched for `DEAD_AFTER` seconds in any case.
        tell: is given a sentence when waiting begins.
        check: is called while waiting; what it raises ends it.
    """

    seconds: float = 0.0
    tell: Callable[[str], None] = field(default=_silent)
    check: Callable[[], None] = field(default=_go_on)


@dataclass(frozen=True)
class Claim(Data):
    """What a holder's file says.

    Attributes:
        resource: the part of the shot; purpose: what it is held for.
        frames: the first and the last of them, None for all of the part.
        frame_list: all of them, as text.
        user, host, boot, namespace, pid, process_started: whose it is; see `ProcessIdentity`.
    """

    resource: str
    purpose: str
    frames: tuple[int, int] | None
    user: str
    host: str
    pid: int
    frame_list: str = ""
    boot: str | None = ""
    namespace: str | None = None
    process_started: str | None = None

    @property
    def holder(self) -> ProcessIdentity:
        """The process that holds it."""
        return ProcessIdentity(self.host, self.boot, self.namespace, self.pid, self.process_started)

    def listed(self) -> set[int]:
        """Its frames; those of one without a list that can be read lie between its ends."""
        assert self.frames is not None
        first, last = self.frames
        last = min(last, first + _MOST_FRAMES)
        between = range(first, last + 1)
        # What names as many frames over and over would keep everybody waiting at the gate.
        if self.frame_list.count(",") * len(between) > _MOST_STEPS:
            return set(between)
        try:
            return set(parse_frame_list(self.frame_list, between))
        except OptionError:
            return set(between)

    def conflicts(self, other: "Claim") -> bool:
        """Whether both cannot be held at once."""
        if other.resource != self.resource:
            return False
        mine, theirs = self.frames, other.frames
        if mine is None or theirs is None:
            return True
        if mine[0] > theirs[1] or theirs[0] > mine[1]:
            return False
        return not self.listed().isdisjoint(other.listed())


class Lock:
    """A claim on one resource of a shot, held inside a `with` block."""

    def __init__(
        self,
        folder: Path,
        resource: str,
        purpose: str,
        frames: Sequence[int] | None,
        waiting: Waiting | None = None,
    ) -> None:
        self._folder = folder
        self._path = folder / f"{uuid.uuid4().hex}.json"
        self._stop = threading.Event()
        self._waiting = waiting or Waiting()
        own = process_identity()
        self._claim = Claim(
            resource=resource,
            purpose=purpose,
            frames=(frames[0], frames[-1]) if frames else None,
            frame_list=frame_list(frames) if frames else "",
            user=_user(),
            host=own.host,
            boot=own.boot,
            namespace=own.namespace,
            pid=own.pid,
            process_started=own.started,
        )

    def __enter__(self) -> "Lock":
        make_folder(self._folder)
        begun = time.monotonic()
        seen: dict[Path, tuple[int, float]] = {}
        living: set[Path] = set()
        told = False
        while True:
            holder = self._try(seen, living)
            if holder is None:
                break
            path, other = holder
            waited = time.monotonic() - begun
            known = path in living or is_running(other.holder) is True
            if known and waited >= self._waiting.seconds:
                raise self._locked(other)
            if not told and waited > (0 if known else _PATIENCE):
                told = True
                self._waiting.tell(self._why_waiting(other, known))
            self._waiting.check()
            time.sleep(_LOOK)
        with _held_lock:
            _held.add(self)
        threading.Thread(target=self._beat, daemon=True, name="lock heartbeat").start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def release(self) -> None:
        """Gives the part back; done when the block ends, and when the process does."""
        self._stop.set()
        with _held_lock:
            _held.discard(self)
        with suppress(OSError):
            remove_file(self._path)

    def check(self) -> None:
        """Called before something is published.

        Raises:
            ShotLocked: if another process has taken the part over, because this one was silent.
        """
        # A touch tells whoever is about to take it over that this process woke up.
        with suppress(OSError):
            os.utime(self._path)
        if not self._path.exists():
            raise ShotLocked(
                f"this process was silent for too long, and lost its hold on"
                f" {self._claim.resource}",
                self._folder.parent,
                "run the same command again to go on",
            )

    def _try(
        self, seen: dict[Path, tuple[int, float]], living: set[Path]
    ) -> tuple[Path, Claim] | None:
        """Claims the part, or gives who holds it.

        Args:
            seen: when each claim was last seen to change, and its time of change then.
            living: claims that were seen to change.
        """
        with _gate(self._folder, self._waiting):
            write_json(self._path, self._claim.to_json())
            try:
                living_one: tuple[Path, Claim] | None = None
                for path, other in _claims(self._folder):
                    if path == self._path:
                        continue
                    if not self._claim.conflicts(other):
                        if is_running(other.holder) is False:
                            remove_file(path)  # Of no use to anybody.
                        continue
                    # All are looked at, so that those that are silent are watched at once.
                    if _is_dead(path, other, seen, living):
                        remove_file(path)
                    elif living_one is None or (path in living and living_one[0] not in living):
                        living_one = path, other
                if living_one is not None:
                    remove_file(self._path)
                    return living_one
            except BaseException:
                remove_file(self._path)
                raise
        return None

    def _locked(self, other: Claim) -> ShotLocked:
        return ShotLocked(
            f"{self._who(other)} is busy with {other.purpose}",
            self._folder.parent,
            "wait until it ends or stop it",
        )

    def _why_waiting(self, other: Claim, known: bool) -> str:
        who = self._who(other)
        if known:
            return f"Waiting until {who} is done with {other.purpose}."
        return (
            f"{who} holds this part of the shot for {other.purpose}; watching for up to"
            f" {DEAD_AFTER:.0f} seconds whether it still lives."
        )

    def _who(self, other: Claim) -> str:
        own = self._claim
        table = (own.host, own.boot, own.namespace)
        alike = (other.host, other.boot, other.namespace) == table
        machine = "this machine" if alike else other.host
        return f"{other.user} on {machine} (process {other.pid})"

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            try:
                os.utime(self._path)
            except FileNotFoundError:
                return  # Taken away; `check` tells.
            except OSError:
                continue  # A share that is gone for a moment comes back.


def release_all() -> None:
    """Gives back whatever this process holds, when it ends without leaving its blocks."""
    with _held_lock:
        held = list(_held)
    for lock in held:
        lock.release()


atexit.register(release_all)


@contextmanager
def _gate(folder: Path, waiting: Waiting) -> Iterator[None]:
    """Lets one process at a time look and claim, as far as that can be had.

    Making a folder is atomic on shares too. Looking and claiming takes milliseconds, so a gate that
    does not change for seconds was left shut by a process that died. What lies there is not asked.

    Raises:
        ShotLocked: if it does not open.
    """
    gate = check_inside(folder / "claiming")
    begun = time.monotonic()
    known, since = None, begun
    told = False
    while True:
        try:
            gate.mkdir()
            break
        except (FileExistsError, PermissionError) as error:
            present = time.monotonic()
            # Windows says so of a folder that is being deleted, too.
            refused = isinstance(error, PermissionError)
            if refused and (sys.platform != "win32" or present - begun > _PATIENCE):
                raise
            mark = _mark(gate)
            if mark != known:
                known, since = mark, present
            if mark is not None and present - since > _GATE_STALE:
                _clear(gate, mark)
            elif present - begun > _GATE_LIMIT:
                raise ShotLocked(
                    "other processes keep the locks busy", gate, "delete it and run again"
                ) from None
            elif present - begun > _PATIENCE and not told:
                told = True
                waiting.tell("Waiting for another process that is looking at the shot's locks.")
            waiting.check()
            time.sleep(0.02)
    own = _mark(gate)
    try:
        yield
    finally:
        if _mark(gate) == own:
            with suppress(OSError):
                gate.rmdir()


def _mark(path: Path) -> tuple[int, int] | None:
    """Tells one folder from another that was made in its place; None if it is gone."""
    try:
        facts = os.lstat(path)
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns


def _clear(gate: Path, mark: tuple[int, int]) -> None:
    """Takes a gate away that a dead process left, unless it was just taken away and made anew."""
    aside = gate.with_name(f"claiming-{uuid.uuid4().hex}")
    with suppress(OSError):
        if _mark(gate) == mark:
            os.rename(gate, aside)
            remove_tree(aside)


def _is_dead(
    path: Path,
    other: Claim,
    seen: dict[Path, tuple[int, float]],
    living: set[Path],
) -> bool:
    """Whether the holder of a claim is known not to live."""
    running = is_running(other.holder)
    if running is not None:
        return not running
    try:
        # Opened, since shares ask the server for a file's times only then.
        with open(path, "rb") as file:
            touched = os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return True
    known = seen.get(path)
    if known is None or known[0] != touched:
        if known is not None:
            living.add(path)
        seen[path] = touched, time.monotonic()
        return False
    return time.monotonic() - known[1] >= DEAD_AFTER


def holders(folder: Path) -> list[Claim]:
    """The claims on a shot whose holders are not known to be dead."""
    return [claim for _, claim in _claims(folder) if is_running(claim.holder) is not False]


def _claims(folder: Path) -> list[tuple[Path, Claim]]:
    found = []
    for path in entries(folder):
        if path.suffix == ".json" and (claim := _read(path)) is not None:
            found.append((path, claim))
    return found


def _read(path: Path) -> Claim | None:
    """A claim; None if it was released meanwhile, or is something else."""
    try:
        claim = Claim.parse(read_json(path))
    except (ShotError, Misfit):
        return None
    texts = (claim.resource, claim.purpose, claim.host, claim.user)
    return claim if all(len(text) < 500 for text in texts) else None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "someone"
