# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Learning a look: from a take's key frames or a folder of pairs, into one file of the library."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

from ...editing.editors.look import LOOK_COPIES
from ...editing.looks.learning import Learner, Pair
from ...editing.looks.library import SUFFIX, library_folder
from ...editing.looks.look_file import LookFacts, check_can_be_told, read_facts
from ...errors import EditError, OptionError
from ...footage.colour import resolve
from ...images import save_png
from ...job_results import LearnLookResult
from ...locks import Lock
from ...provenance.png_text import texts_in
from ...settings import option
from ...shot import Shot, now
from ...storage import make_folder, sweep
from ...user_folders import user_path
from ..data.look_pairs import pairs_in_folder, pairs_of_take
from ..run.job_context import running, waiting_of
from ..run.progress import Reporter, Stage

# How often the look, what is needed to go on, and the preview are written, seconds of learning.
_KEPT_EVERY = 4.0
_STATE_SUFFIX = ".learning"
_TICKS = 10
# Beside the looks, for all that are learned into one folder.
_LOCKS = ".locks"
# What a preview of ours says of itself, and the longest file that may be one.
_PREVIEW = "portraitgen-look-preview"
_LARGEST_PREVIEW = 64 << 20


@dataclass(frozen=True)
class LearnLookOptions:
    """What a look is learned from, and for how long."""

    take: str = option("", "The take whose key frames teach the look")
    pairs: str = option("", "A folder of pictures before and after, in the take's place", path=True)
    colour_space: str = option(
        "", "The colour space of the pairs' pictures, such as LogC3; what they say by default"
    )
    out: str = option(
        "", "The look's file, or its name in the library; the take's by default", path=True
    )
    seconds: float = option(
        120.0, "How long it learns in all; more goes on", unit="s", minimum=1, maximum=86400
    )
    licence: str = option("", "What the look may be used for, in your words")
    seed: int = option(0, "Seed of the learning", minimum=0)


def learn_look(shot: Shot, options: LearnLookOptions, reporter: Reporter) -> LearnLookResult:
    """Learns a look as a job of a shot.

    Raises:
        OptionError: if there is nothing to learn from; EditError: if pairs cannot be used.
    """
    if bool(options.take) == bool(options.pairs):
        raise OptionError("give either a take or a folder of pairs", "look", "name one of them")
    with running(shot, "look", asdict(options), "look", reporter) as job:
        out = look_file(options.out or options.take or _folder_name(options.pairs))
        _facts(out, options, options.take, options.licence, True)
        with _held(out, reporter) as check_held:

            def check() -> None:
                job.check_held()
                check_held()

            made_of, commercial, licence = "", True, options.licence
            if options.take:
                pairs, made_of = pairs_of_take(shot, options.take, reporter)
                commercial = shot.edit_record(options.take).commercial
                if words := licences_of(shot, options.take):
                    reporter.note(f"The take wears a look whose licence says: {words}")
                    licence = licence or words
            else:
                plate = shot.record.footage.colour_space
                if not options.colour_space and resolve(plate).kind == "log":
                    reporter.note(
                        f"The plate is {plate}, and pairs are read in the colours that they name;"
                        " if they are frames of it, name its colour space for them, too."
                    )
                pairs = pairs_in_folder(user_path(options.pairs), reporter, options.colour_space)
            facts = _facts(out, options, made_of, licence, commercial)
            preview = job.folder / "preview.png"
            result = learn(pairs, out, facts, options, reporter, preview, check)
        job.finish(result.told())
    return result


def learn_from_folder(options: LearnLookOptions, reporter: Reporter) -> LearnLookResult:
    """Learns a look from a folder of pairs without a shot; as `learn_look`."""
    out = look_file(options.out or _folder_name(options.pairs))
    facts = _facts(out, options, "", options.licence, True)
    # Before the pairs are read, which takes its time.
    with _held(out, reporter) as check:
        pairs = pairs_in_folder(user_path(options.pairs), reporter, options.colour_space)
        return learn(pairs, out, facts, options, reporter, preview_file(out), check)


@contextmanager
def _held(out: Path, reporter: Reporter) -> Iterator[Callable[[], None]]:
    """Keeps others from learning into a file; gives what raises once it is held no more.

    Raises:
        ShotLocked: if another process learns into it.
    """
    name = out.name.removesuffix(SUFFIX)
    # Many systems take both cases of a letter for one.
    resource, purpose = f"look:{name.casefold()}", f"learning the look '{name}'"
    folder = make_folder(out.parent) / _LOCKS
    try:
        with Lock(folder, resource, purpose, None, waiting_of(reporter)) as lock:
            # What lies deeper is none of a look's.
            sweep(out.parent, deepest=1)
            yield lock.check
    finally:
        # Another look may be learned beside it.
        with suppress(OSError):
            folder.rmdir()


def preview_file(out: Path) -> Path:
    """Where the preview of a look is written that no shot's job learns: beside it, over nothing
    but an earlier one."""
    name = out.name.removesuffix(SUFFIX)
    tried = (f"{name}.preview{f'-{number}' if number > 1 else ''}.png" for number in count(1))
    return next(path for path in map(out.with_name, tried) if _is_free(path))


def _is_free(preview: Path) -> bool:
    return not os.path.lexists(preview) or _PREVIEW in texts_in(preview, _LARGEST_PREVIEW)


def look_file(name: str) -> Path:
    """Where a look is written: in the library if a bare name is given.

    Raises:
        OptionError: if it names no file.
    """
    path = user_path(name)
    # The library and file browsers do not show what begins with a dot.
    if path.name.startswith(".") or path.name in ("", SUFFIX) or name.endswith(("/", os.sep)):
        raise OptionError(f"'{name}' is no name for a look", "out", "give a name, or a file")
    if path.name == name and not name.endswith(SUFFIX):
        return library_folder() / (name + SUFFIX)
    return path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)


def _folder_name(folder: str) -> str:
    return os.path.basename(os.path.abspath(user_path(folder)))


def licences_of(shot: Shot, take: str) -> str:
    """What the licences of the looks say that a take wears; empty if they say nothing."""
    folder = shot.edit_folder(take)
    worn = [folder / name for name in LOOK_COPIES.values() if (folder / name).is_file()]
    return "; ".join(dict.fromkeys(text for each in worn if (text := read_facts(each).licence)))


def _facts(
    out: Path, options: LearnLookOptions, made_of: str, licence: str, commercial: bool
) -> LookFacts:
    facts = LookFacts(
        name=out.name.removesuffix(SUFFIX),
        created=now(),
        licence=licence,
        commercial=commercial,
        made_of=made_of or f"pairs of '{_folder_name(options.pairs)}'",
    )
    check_can_be_told(facts)
    return facts


def learn(
    pairs: list[Pair],
    out: Path,
    facts: LookFacts,
    options: LearnLookOptions,
    reporter: Reporter,
    preview: Path,
    check: Callable[[], None] = lambda: None,
) -> LearnLookResult:
    """Learns until the time is over; whenever it is stopped, the look so far is in its file.

    An earlier learning of the same pairs into the same file goes on. Whoever calls holds the file.

    Raises:
        EditError: if the file is there, or one by which its learning would go on, and is not of
            these pairs.
    """
    learner = Learner(pairs, options.seconds, options.seed)
    state = out.with_name(out.name.removesuffix(SUFFIX) + _STATE_SUFFIX)
    # What it was asked may come from a stranger's shot; nobody's file is lost for it.
    if os.path.lexists(state):
        learner.resume(state)
        if learner.used:
            reporter.note(f"It goes on after {learner.used:.0f} s of learning.")
    elif os.path.lexists(out):
        raise EditError(
            f"there is such a file, and no {state.name} beside it tells what it was learned from",
            out,
            "give the look another name, or delete the file",
        )
    else:
        # A place where nothing can be written is told before anything is learned.
        learner.save(state)
    ticks = round(options.seconds * _TICKS)
    done = min(round(learner.used * _TICKS), ticks)
    stage = Stage(reporter, "learn", ticks, done=done)
    kept = learner.used

    def keep() -> None:
        check()
        # First, since without it nobody could tell whose the look is.
        learner.save(state)
        learner.look(facts).save(out)
        reporter.preview(save_png(preview, learner.preview(), {_PREVIEW: facts.name}))

    told = 0
    while not learner.finished:
        loss = learner.step()
        if learner.used - kept >= _KEPT_EVERY:
            kept = learner.used
            keep()
        for text in learner.notes[told:]:
            reporter.note(text)
        told = len(learner.notes)
        stage.step(min(round(learner.used * _TICKS), ticks), loss=loss)
    keep()
    look = learner.look(facts)
    return LearnLookResult(
        look=str(out),
        pairs=len(pairs),
        guides=tuple(look.facts.guides),
        held_out_db=look.facts.held_out_db,
        seconds=look.facts.seconds,
        steps=learner.steps,
    )
