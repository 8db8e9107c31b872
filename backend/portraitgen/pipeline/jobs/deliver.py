# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The deliver job: copies of all that was rendered of a take, with Content Credentials if asked."""

import shutil
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from ...errors import OptionError, ShotError
from ...footage.encode import exr_attributes
from ...job_results import DeliverResult
from ...provenance.credentials import BESIDE, EMBEDDED, Signer
from ...provenance.statement import Statement
from ...renders import Render, render_of
from ...settings import option
from ...shot import Shot
from ...storage import atomic_path, entries, is_link
from ..data.frame_identity import edit_shown
from ..data.provenance import statement_of
from ..data.shots import Track
from ..run.job_context import running
from ..run.progress import Reporter, Stage

_THREADS = 2


@dataclass(frozen=True)
class DeliverOptions:
    """What is delivered, where to, and who signs it."""

    take: str = option("", "The rendered take")
    out: str = option("", "The folder for the copies", path=True)
    version: int | None = option(
        None, "The version of the render, the one rendered last by default", minimum=0
    )
    certificate: str = option(
        "", "The studio's certificate chain (PEM); without one nothing is signed", path=True
    )
    key: str = option("", "Its private key (PKCS#8 PEM)", path=True)


def deliver(shot: Shot, options: DeliverOptions, reporter: Reporter) -> DeliverResult:
    """Copies frames, pictures, full plates and movie of a take into a folder.

    Raises:
        OptionError: if no folder is named, or a certificate without its key; ShotError: if nothing
        was rendered; CredentialError: if signing fails.
    """
    if not options.out:
        raise OptionError("the copies have no folder", "out", "name one")
    if bool(options.certificate) != bool(options.key):
        raise OptionError("a certificate and its key go together", "certificate", "give both")
    signer = None
    if options.certificate:
        signer = Signer(Path(options.certificate), Path(options.key))
    rendered = render_of(shot.take_folder(options.take), options.version)
    out = Path(options.out).absolute()
    with running(shot, "deliver", asdict(options), f"deliver:{options.take}", reporter) as job:
        files = _files(rendered, options.take)
        stage = Stage(reporter, "deliver", len(files))
        copies = sign_take(shot, options.take, out, signer, rendered.version)
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


def _files(rendered: Render, take: str) -> list[Path]:
    """What can be delivered of a render.

    Raises:
        ShotError: if a file is a link: what it leads to is no part of the render.
    """
    files = [
        path
        for place in (rendered.frames, rendered.plates)
        for path in entries(place)
        if path.suffix.lower() in EMBEDDED or path.suffix.lower() in BESIDE
    ]
    movie = rendered.folder / f"{take}.mp4"
    files += [movie] if movie.exists() else []
    for path in files:
        if is_link(path):
            raise ShotError("this is a link", path, "delete it, and render again")
    return files


def sign_take(
    shot: Shot, take: str, out: Path, signer: Signer | None, version: int | None = None
) -> Generator[Path, None, None]:
    """Signs copies of a take's frames, pictures, full plates and movie, for delivery.

    What lies in the shot stays as it is: its frames vouch for their files by their digests.

    Args:
        out: the folder for the copies; what it holds of the same names is replaced.
        signer: None signs nothing.
        version: of the render, the one rendered last by default.

    Yields:
        The files that hold the credentials, or without a signer the copies.

    Raises:
        ShotError: if nothing was rendered, or a process renders; CredentialError: if signing fails.
    """
    rendered = render_of(shot.take_folder(take), version)
    files = _files(rendered, take)
    movie = rendered.folder / f"{take}.mp4"
    if not files:
        raise ShotError(f"take '{take}' is not rendered", shot.path, "render it first")
    plate = shot.footage_path
    ingredient = plate if plate.is_file() else None
    statements: dict[int, Statement] = {}

    def sign(path: Path) -> Path:
        place = out if path == movie else out / path.parent.name
        if signer is None:
            with atomic_path(place / path.name) as temporary:
                shutil.copyfile(path, temporary)
            return place / path.name
        said = statements[_edit_of(shot, take, rendered, path)]
        return signer.sign(path, said, ingredient, place / path.name)

    with shot.hold(f"frames:{take}", "sign"):
        for path in files:
            edit = _edit_of(shot, take, rendered, path)
            if edit not in statements:
                record = shot.edit_record(take, edit)
                track = Track(shot, shot.avatar_record(record.avatar).track)
                shown = shot.edit_folder(take, edit)
                statements[edit] = statement_of(shot, take, shown, record, record.avatar, track)
        # The library works outside of Python's own lock.
        with ThreadPoolExecutor(_THREADS) as pool:
            yield from pool.map(sign, files)


def _edit_of(shot: Shot, take: str, rendered: Render, path: Path) -> int:
    """The edit that a file shows: a frame says it itself, what goes with it is its frame's."""
    frame = rendered.frames / f"{path.name.removesuffix(path.suffix)}.exr"
    shown = edit_shown(frame) if frame.exists() and exr_attributes(frame) else None
    if shown is None and rendered.record:
        shown = rendered.record.edit
    return shown or int(shot.edit_folder(take).name)
