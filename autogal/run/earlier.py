"""Results of an earlier run in the folder of a new one: nothing of two runs is mixed, and nothing is lost
unasked."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import count
from pathlib import Path

from autogal.errors import AutogalError
from autogal.images.fits import split_selection
from autogal.results.formats import format_names
from autogal.runtime.files import ensure_writable

__all__ = ["own_folder"]

_log = logging.getLogger(__name__)

# How the config.yaml of a run begins, by which its folder is known
_MARK = "# autogal "
_BESIDE = ("config.yaml", "autogal.log", "objects")


@contextmanager
def own_folder(
    folder: str | Path, inputs: Iterable[str | None] = (), overwrite: bool = False, own: Iterable[str] = ()
) -> Iterator[None]:
    """A folder for the results of one run alone, for as long as the block lasts.

    The results of an earlier ``autogal fit`` are set aside first, in ``earlier_1``, ``earlier_2``, ... of the
    same folder.

    Parameters
    ----------
    folder : path
        Made where it does not exist.
    inputs : iterable of str or None
        Files that the run is to read.
    overwrite : bool
        Delete the earlier results instead.
    own : iterable of str
        Endings of catalogues besides those of the formats of the package.

    Raises
    ------
    AutogalError
        Where another run is at work there; where earlier results are an input of this one, or cannot be
        moved; where the folder cannot be written.
    """
    folder = ensure_writable(folder)
    with _locked(folder):
        if earlier := _results(
            folder, [f"catalogue.{ending}" for ending in dict.fromkeys([*format_names(), *own])]
        ):
            _refuse_inputs(folder, earlier, inputs)
            try:
                _delete(folder, earlier) if overwrite else _set_aside(folder, earlier)
            except OSError as problem:
                raise AutogalError(
                    f"The results of an earlier run in {folder} cannot be moved: "
                    f"{problem.strerror or problem}.",
                    "Choose another folder with out=FOLDER.",
                ) from problem
        yield


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # Windows: runs are not told from one another
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AutogalError(
                f"Another run writes to {folder} at this moment.",
                "Wait until it has ended, or choose another folder with out=FOLDER.",
            ) from None
        except OSError as problem:  # file systems without locks
            _log.info("%s cannot be locked: %s", folder, problem)
        yield
    finally:
        os.close(handle)


def _results(folder: Path, catalogues: list[str]) -> list[Path]:
    """What an earlier fit wrote; nothing where there is neither a catalogue nor files of objects, or no
    run's config.yaml."""
    try:
        with open(folder / "config.yaml", encoding="utf-8", errors="replace") as file:
            if file.read(len(_MARK)) != _MARK:
                return []
    except OSError:
        return []
    objects = folder / "objects"
    if not any((folder / name).is_file() for name in catalogues) and not (
        objects.is_dir() and any(objects.iterdir())
    ):
        return []  # of another verb, or of a run that ended before it began
    return [folder / name for name in (*catalogues, *_BESIDE) if (folder / name).exists()]


def _refuse_inputs(folder: Path, earlier: Iterable[Path], inputs: Iterable[str | None]) -> None:
    real = lru_cache(maxsize=1024)(os.path.realpath)  # of many files in few folders
    places = {str(Path(real(folder)) / path.name) for path in earlier}
    for path in filter(None, inputs):
        file = split_selection(path)[0]
        where = str(real(os.path.dirname(file) or "."))
        if where in places or os.path.join(where, os.path.basename(file)) in places:
            raise AutogalError(
                f"{file} is a result of the earlier run in {folder}, which this one would replace.",
                "Choose another folder with out=FOLDER.",
            )


def _set_aside(folder: Path, earlier: Iterable[Path]) -> None:
    aside = next(place for number in count(1) if not (place := folder / f"earlier_{number}").exists())
    aside.mkdir()
    for path in earlier:
        os.rename(path, aside / path.name)
    _log.warning(
        "%s held the results of an earlier run: they are now in %s (overwrite=true deletes them instead).",
        folder,
        aside,
    )


def _delete(folder: Path, earlier: Iterable[Path]) -> None:
    for path in earlier:
        if not path.is_dir() or path.is_symlink():
            path.unlink()
            continue
        for file in path.iterdir():  # what else a user has put among the objects' files stays
            if file.suffix in (".fits", ".png") and file.is_file():
                file.unlink()
        if not any(path.iterdir()):
            path.rmdir()
    _log.info("The results of an earlier run in %s are deleted, as overwrite=true has it.", folder)
