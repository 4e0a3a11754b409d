"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from autogal.errors import AutogalError

__all__ = ["atomic", "ensure_writable"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """A temporary name to write to, which becomes ``path`` when the block ends well.

    Whatever happens in the block, a full disk or Ctrl-C included, ``path`` is
    either what it was before or complete, and no temporary file stays.

    Parameters
    ----------
    path : str or Path
        The file to be; it may exist.

    Yields
    ------
    Path
        In the same folder, with the same ending.

    Raises
    ------
    AutogalError
        Where the file system refuses: it says why, and what to do.
    """
    path = Path(path)
    # A name of our own rather than tempfile's: its files are closed to the user's group.
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except OSError as problem:
        raise _refused(path, problem) from problem
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def ensure_writable(folder: str | Path) -> Path:
    """Make sure, before any work starts, that results can be written.

    Parameters
    ----------
    folder : str or Path
        Made, with its parents, where it does not exist.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    AutogalError
        Where the folder cannot be made, is a file, is read-only, or is on a full disk.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as problem:
        raise AutogalError(
            f"{folder} cannot be a folder for results: a file is in its place.",
            "Choose another one with out=FOLDER.",
        ) from problem
    except OSError as problem:
        raise _refused(folder / "catalogue", problem) from problem
    trial = folder / f".{uuid.uuid4().hex[:12]}"
    try:
        trial.write_bytes(bytes(4096))
    except OSError as problem:
        raise _refused(folder / "catalogue", problem) from problem
    finally:
        with suppress(OSError):
            trial.unlink(missing_ok=True)
    return folder


def _refused(path: Path, problem: OSError) -> AutogalError:
    """What the file system said, and what a user can do about it."""
    # numpy and astropy word a write that came to a halt anew, without an error number.
    halted = problem.errno is None and ("requested and" in str(problem) or "space" in str(problem))
    if problem.errno in _FULL or halted:
        return AutogalError(
            f"{path} could not be written: the disk is full.",
            "Free some space, or write somewhere else with out=FOLDER.",
        )
    if problem.errno in _FORBIDDEN:
        return AutogalError(
            f"The folder {path.parent} cannot be written.",
            "Choose another one with out=FOLDER, or change its permissions.",
        )
    return AutogalError(
        f"{path} could not be written: {problem.strerror or problem}.",
        "Choose another folder with out=FOLDER.",
    )
