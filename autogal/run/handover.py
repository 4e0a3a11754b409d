"""Rows handed from the processes of a run to the one that writes the catalogue."""

from __future__ import annotations

import logging
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autogal.errors import AutogalError
from autogal.results.catalogue import Catalogue
from autogal.runtime.files import atomic, ensure_writable

__all__ = ["Handover"]

_log = logging.getLogger(__name__)

_FAILURE = "failure.pkl"


class Handover:
    """Blocks of rows as files in a folder, so that no process waits for another, and one that dies takes none
    of them along.

    Parameters
    ----------
    folder : Path
        One that all processes see, and nobody else uses.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def open(self) -> None:
        """Make the folder, without anything in it."""
        self.close()
        ensure_writable(self.folder)

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def put(self, first: int, part: Catalogue) -> None:
        """Hand over a block that begins at row `first` of the run.

        Raises
        ------
        AutogalError
            Where it cannot be written.
        """
        self._write(f"{first}.pkl", part)

    def poll(self) -> Iterator[tuple[int, Catalogue]]:
        """The blocks that have come since the last time, each with its first row."""
        for path in self.folder.glob("[0-9]*.pkl"):
            yield int(path.stem), pickle.loads(path.read_bytes())
            path.unlink()

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Hand over what goes wrong in a with-block, in place of raising it: the run is to end with it."""
        try:
            yield
        except Exception as error:
            if not isinstance(error, AutogalError):  # others may not survive pickling
                _log.exception("a process stopped by an unexpected error", extra={"only_file": True})
                error = RuntimeError(f"{type(error).__name__}: {error}")
            self._write(_FAILURE, error)

    def failure(self) -> Exception | None:
        """What went wrong in any of the processes."""
        path = self.folder / _FAILURE
        return pickle.loads(path.read_bytes()) if path.exists() else None

    def _write(self, name: str, what: Catalogue | Exception) -> None:
        with atomic(self.folder / name) as temporary:
            temporary.write_bytes(pickle.dumps(what))
