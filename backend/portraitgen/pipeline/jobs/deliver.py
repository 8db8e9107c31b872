# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The deliver job: copies of all that was rendered of a take, with Content Credentials if asked."""

import re
import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ...errors import FootageError, OptionError, ShotError
from ...footage.exr import exr_attributes, read_exr
from ...footage.exr_digest import was_damaged
from ...footage.movie_index import index_movie
from ...footage.sequence import find_sequence
from ...frames import frame_list
from ...job_results import DeliverResult
from ...provenance.credentials import BESIDE, EMBEDDED, Signer, doubt_about
from ...provenance.statement import Statement
from ...renders import Render, render_of
from ...settings import option
from ...shot import Shot
from ...storage import atomic_path, entries, is_link, remove_file
from ..compositing.opacity import mix_of
from ..data.frame_identity import edit_shown, was_changed
from ..data.provenance import statement_of, touched_in, touched_told
from ..data.shots import Track
from ..run.job_context import running
from ..run.progress import Reporter, Stage

_THREADS = 2
# The folders of a shot.
_OWN = ("takes", "avatar", "jobs", "locks", "masks", "rigs", "track", "trash")
_ALONE = re.compile("alone-[0-9a-f]{8}")


@dataclass(frozen=True)
class DeliverOptions:
    """What is delivered, where to, and who signs it."""

    take: str = option("", "The rendered take")
    out: str = option("", "The folder for the copies", path=True)
    version: int | None = option(
        None, "The version of the render, the one rendered last by default", minimum=0
    )
    alone: str = option(
        "",
        "A folder alone-... of the take, for the performer alone: through another camera, or driven"
        " by another shot; the take over its plate by default",
    )
    certificate: str = option(
        "", "The studio's certificate chain (PEM); without one nothing is signed", path=True
    )
    key: str = option("", "Its private key (PKCS#8 PEM)", path=True)
    gaps: bool = option(False, "Deliver though frames in between, or files of some, are missing")


def deliver(shot: Shot, options: DeliverOptions, reporter: Reporter) -> DeliverResult:
    """Copies frames, pictures, full plates and movie of a take into a folder.

    What else lies there is told.

    Raises:
        OptionError: if no folder is named, or a certificate without its key; ShotError: if nothing
        was rendered, something is missing in between that may not be, or a picture was changed;
        FootageError: if a frame or the movie is damaged; CredentialError: if signing fails.
    """
    if not options.out:
        raise OptionError("the copies have no folder", "out", "name one")
    if bool(options.certificate) != bool(options.key):
        raise OptionError("a certificate and its key go together", "certificate", "give both")
    signer = None
    if options.certificate:
        signer = Signer(Path(options.certificate), Path(options.key))
    rendered = render_of(home_of(shot, options.take, options.alone), options.version)
    out = Path(options.out).absolute()
    with running(shot, "deliver", asdict(options), f"deliver:{options.take}", reporter) as job:
        files = _files(rendered, options.take)
        for note in notes_on(shot, rendered, options.take, out, options.gaps):
            reporter.note(note)
        for note in plate_notes(shot, rendered, options.take) if signer else ():
            reporter.note(note)
        stage = Stage(reporter, "deliver", len(files))
        copies = sign_take(shot, options.take, out, signer, rendered.version, options.alone)
        with closing(copies):
            for count, _ in enumerate(copies, 1):
                stage.step(count)
        result = DeliverResult(
            take=options.take,
            version=rendered.version,
            files=len(files),
            folder=str(out),
            signed=signer is not None,
        )
        job.finish(result.told())
    return result


def home_of(shot: Shot, take: str, alone: str) -> Path:
    """Where the versions of a take's render lie.

    Args:
        alone: the name of the folder of what the take shows alone; empty for the take itself.

    Raises:
        OptionError: if there is no such folder.
    """
    folder = shot.take_folder(take)
    if not alone:
        return folder
    if not _ALONE.fullmatch(alone) or not (folder / alone).is_dir() or is_link(folder / alone):
        known = sorted(each.name for each in entries(folder) if _ALONE.fullmatch(each.name))
        remedy = f"use {' or '.join(known)}" if known else "render it with --camera or --drive"
        raise OptionError(f"the take has no folder '{alone}'", "alone", remedy)
    return folder / alone


def _files(rendered: Render, take: str) -> list[Path]:
    """What can be delivered of a render.

    Raises:
        ShotError: if a file is a link: what it leads to is no part of the render.
    """
    files = [
        path
        for place in (rendered.frames, rendered.plates)
        for path in entries(place)
        if _is_delivered(path, take)
    ]
    movie = rendered.folder / f"{take}.mp4"
    files += [movie] if movie.exists() else []
    for path in files:
        if is_link(path):
            raise ShotError("this is a link", path, "delete it, and render again")
    return files


def _is_delivered(path: Path, take: str) -> bool:
    suffix = path.suffix.lower()
    return (suffix in EMBEDDED or suffix in BESIDE) and _number(path, take) is not None


def _number(path: Path, take: str) -> int | None:
    """The frame that a file shows by its name, None if it is not named as a render names them."""
    name, _, number = path.stem.rpartition(".")
    return int(number) if name == take and re.fullmatch("-?[0-9]{1,9}", number) else None


def notes_on(shot: Shot, rendered: Render, take: str, out: Path, gaps: bool) -> list[str]:
    """What whoever gets a delivery would miss, or find in it without its being a part of it.

    Args:
        out: the folder for the copies.
        gaps: whether frames in between, and files of some frames, may be missing.

    Raises:
        ShotError: if they are, and may not be.
    """
    held: dict[tuple[Path, str], set[int]] = {}
    left_out = []
    for place in (rendered.frames, rendered.plates):
        for path in entries(place):
            number = _number(path, take)
            if _is_delivered(path, take) and number is not None:
                held.setdefault((place, path.suffix.lower()), set()).add(number)
            else:
                left_out.append(path.name)
    every = sorted(set().union(*held.values()))
    notes = list(_lacking(held, every, rendered.folder / f"{take}.mp4"))
    if notes and not gaps:
        remedy = "render what is missing, or allow gaps"
        raise ShotError(f"the delivery has gaps: {'; '.join(notes)}", rendered.folder, remedy)
    tracked = [each.frame for each in shot.track_record().quality] if shot.versions("track") else []
    if every and tracked and (every[0] > tracked[0] or every[-1] < tracked[-1]):
        span = f"{tracked[0]} to {tracked[-1]}"
        notes.append(f"delivered is {every[0]} to {every[-1]}, and the track has {span}")
    if left_out:
        notes.append(f"left out, since the render did not write it: {_named(left_out)}")
    mine = {path.name for path in _files(rendered, take)}
    others = [
        path.name
        for place in (rendered.frames, rendered.plates)
        for path in entries(out / place.name)
        if path.is_file() and path.name.removesuffix(".c2pa") not in mine
    ]
    if others:
        notes.append(f"the folder holds what is no part of this delivery: {_named(others)}")
    return notes


def _lacking(
    held: Mapping[tuple[Path, str], set[int]], every: Sequence[int], movie: Path
) -> Iterator[str]:
    """What is missing between frames that are there, and of those frames.

    Args:
        held: the frames of each kind of file, by folder and suffix.
        every: those of which there is anything, ascending.
    """
    if every and (gaps := set(range(every[0], every[-1] + 1)).difference(every)):
        told = frame_list(sorted(gaps))
        yield f"not all of {every[0]} to {every[-1]} is rendered: {told} is missing"
    for (place, suffix), numbers in held.items():
        if lacks := set(every) - numbers:
            yield f"{place.name} hold no {suffix[1:].upper()} of {frame_list(sorted(lacks))}"
    if every and movie.is_file() and not is_link(movie):
        # One that is damaged is told when it is copied.
        with suppress(FootageError):
            if (shown := len(index_movie(movie).stamps)) < len(every):
                yield f"the movie shows {shown} of {len(every)} frames"


def _named(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _check_whole(path: Path, frame: Path) -> None:
    """Raises FootageError where a frame or the movie cannot be read to its end, and ShotError where
    a picture is not the one that was written with its frame."""
    if path.suffix == ".mp4":
        try:
            index_movie(path)
        except FootageError as error:
            raise FootageError("the movie is damaged", path, "make it again") from error
    elif path == frame:
        try:
            read_exr(frame)
            if was_damaged(frame):
                raise FootageError("its bytes are others than were written", path)
        except FootageError as error:
            # Rendering goes on after frames that seem to be there.
            remedy = "delete it, and render again"
            raise FootageError("the frame is damaged", path, remedy) from error
    elif frame.exists() and was_changed(path, frame):
        raise ShotError("this was changed since it was rendered", path, "render the frame again")


def sign_take(
    shot: Shot,
    take: str,
    out: Path,
    signer: Signer | None,
    version: int | None = None,
    alone: str = "",
) -> Generator[Path, None, None]:
    """Signs copies of a take's frames, pictures, full plates and movie, for delivery.

    What lies in the shot stays as it is: its frames vouch for their files by their digests.

    Args:
        out: the folder for the copies; what it holds of the same names is replaced.
        signer: None signs nothing.
        version: of the render, the one rendered last by default.
        alone: as `home_of` takes it.

    Yields:
        The files that hold the credentials, or without a signer the copies.

    Raises:
        OptionError: if the folder lies among the shot's own files;
        ShotError: if nothing was rendered, a process renders, or a picture was changed since;
        FootageError: if a frame or the movie is damaged; CredentialError: if signing fails.
    """
    for name in _OWN:
        if out.resolve().is_relative_to((shot.path / name).resolve()):
            told = "the takes" if name == "takes" else f"the shot's own files ({name})"
            raise OptionError(f"the copies would lie among {told}", out, "choose another folder")
    rendered = render_of(home_of(shot, take, alone), version)
    files = _files(rendered, take)
    movie = rendered.folder / f"{take}.mp4"
    if not files:
        raise ShotError(f"take '{take}' is not rendered", shot.path, "render it first")
    plate = PlateFiles.of(shot)
    statements: dict[int | None, Statement] = {}

    def sign(path: Path) -> Path:
        place = out if path == movie else out / path.parent.name
        _check_whole(path, _frame_of(rendered, path))
        if signer is None:
            # What an earlier delivery said of a file of this name does not hold for another.
            remove_file(place / (path.name + ".c2pa"))
            with atomic_path(place / path.name) as temporary:
                shutil.copyfile(path, temporary)
            return place / path.name
        said = statements[_edit_of(shot, take, rendered, path)]
        said = _of_file(said, path, movie, _frame_of(rendered, path), rendered)
        said = replace(said, shown=1.0) if alone else said
        source = plate.shown_in(None if path == movie else _number(path, take))
        return signer.sign(path, said, source, place / path.name)

    with shot.hold(f"frames:{take}", "sign"):
        for path in files:
            edit = _edit_of(shot, take, rendered, path)
            if edit not in statements:
                statements[edit] = _statement(shot, take, rendered, edit)
        # The library works outside of Python's own lock.
        with ThreadPoolExecutor(_THREADS) as pool:
            yield from pool.map(sign, files)


@dataclass(frozen=True)
class PlateFiles:
    """The files of a plate, as credentials name them.

    Attributes:
        whole: of a movie or a photo; None if it is not there.
        pictures: of a sequence, in the order of its frames; first: the number of the first.
    """

    whole: Path | None = None
    pictures: Sequence[Path] = ()
    first: int = 0

    @classmethod
    def of(cls, shot: Shot) -> "PlateFiles":
        """Those of a shot's plate."""
        path, record = shot.footage_path, shot.record.footage
        if record.kind == "movie" or (record.kind == "still" and path.is_file()):
            return cls(path if path.is_file() else None)
        try:
            return cls(None, tuple(find_sequence(path).files.values()), record.first)
        except FootageError:
            return cls()

    def shown_in(self, frame: int | None) -> Path | None:
        """What a frame was made from; of a sequence's movie, None, its first picture."""
        if not self.pictures:
            return self.whole
        row = 0 if frame is None else frame - self.first
        return self.pictures[row] if 0 <= row < len(self.pictures) else None


def plate_notes(shot: Shot, rendered: Render, take: str) -> list[str]:
    """What whoever signs a render should know of its plate."""
    plate = PlateFiles.of(shot)
    numbers = [_number(path, take) for path in _files(rendered, take)]
    files = dict.fromkeys(plate.shown_in(number) for number in numbers)
    if None in files:
        return ["the plate, or a picture of it, is not where it was: credentials do not name it"]
    doubts = [doubt for file in files if file is not None and (doubt := doubt_about(file))]
    more = f"; so do {len(doubts) - 1} more of its pictures" if len(doubts) > 1 else ""
    return [doubts[0] + more] if doubts else []


def _of_file(said: Statement, path: Path, movie: Path, frame: Path, rendered: Render) -> Statement:
    """How one file of a render was made."""
    if path == movie:
        return replace(said, touched=touched_told(movie))
    number = int(path.stem.rpartition(".")[2])
    shown = mix_of(rendered.record.mix, [number])[number] if rendered.record else 1.0
    return replace(said, touched=touched_in([frame]), shown=shown)


def _frame_of(rendered: Render, path: Path) -> Path:
    """The frame that a file was written with, or that it is."""
    return rendered.frames / f"{path.name.removesuffix(path.suffix)}.exr"


def _edit_of(shot: Shot, take: str, rendered: Render, path: Path) -> int | None:
    """The edit that a file shows: a frame says it itself, what goes with it is its frame's. None of
    a take that acts, or is lit, without an edit."""
    frame = _frame_of(rendered, path)
    shown = edit_shown(frame) if frame.exists() and exr_attributes(frame) else None
    if shown is None:
        shown = rendered.record.edit if rendered.record else shot.take(take).edit
    return shown or None


def _statement(shot: Shot, take: str, rendered: Render, edit: int | None) -> Statement:
    """How the files of a render that show an edit were made."""
    record = shot.edit_record(take, edit) if edit is not None else None
    folder = shot.edit_folder(take, edit) if edit is not None else None
    render = rendered.record
    if record is not None:
        avatar = record.avatar
    else:
        avatar = render.avatar if render else int(shot.version_folder("avatar").name)
    track = Track(shot, (render and render.track) or shot.avatar_record(avatar).track)
    return statement_of(shot, take, folder, record, avatar, track, render)
