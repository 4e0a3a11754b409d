"""A catalogue that grows block by block and is always complete on disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from autogal.errors import AutogalError
from autogal.results.catalogue import Catalogue
from autogal.results.files import catalogue_path, write_catalogue
from autogal.runtime.files import ensure_writable

__all__ = ["CatalogueWriter"]

log = logging.getLogger(__name__)

# Writing again and again what was written before may take this share of a run.
_SHARE = 0.05


class CatalogueWriter:
    """Keep a run's catalogue on disk while the run goes on.

    The file is written anew, atomically, after the first block, then at most
    every ``interval`` seconds, and at the end of the ``with`` block however
    it ends: Ctrl-C or an error keeps all blocks that were appended. Where one
    writing takes long, the interval grows so that writing stays a small share
    of the run.

    Parameters
    ----------
    folder : str or Path
        Made where it does not exist.
    format : {"fits", "ecsv", "parquet"} or str
        MODULE:CLASS for a user's own.
    interval : float
        Shortest time between two writings [s].
    clock : callable
        Seconds of a clock that never goes back.

    Raises
    ------
    AutogalError
        Where the folder cannot be written: before any work is done.

    Examples
    --------
    >>> with CatalogueWriter("run1") as writer:                     # doctest: +SKIP
    ...     for cutouts in blocks:
    ...         writer.append(Catalogue.from_fitted(cutouts, fit_cutouts(cutouts, settings)))
    >>> catalogue = writer.catalogue                                # doctest: +SKIP
    """

    def __init__(
        self,
        folder: str | Path,
        format: str = "fits",
        interval: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        # The folder first: a path that does not exist yet could be taken for a file.
        self.path, self._format = catalogue_path(ensure_writable(folder), format)[0], format
        self._interval = interval
        self._clock = clock
        self._parts: dict[int, Catalogue] = {}  # by the row at which each begins
        self._unwritten = 0
        self._due = float("-inf")

    def __enter__(self) -> CatalogueWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ):
        if kind is None:
            self.flush()
            return
        try:
            self.flush()
        except AutogalError as problem:
            log.error("the last rows were not written: %s", problem)

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts.values())

    @property
    def catalogue(self) -> Catalogue:
        """Everything appended so far, in the order of the rows.

        Raises
        ------
        AutogalError
            Where nothing was appended.
        """
        if not self._parts:
            raise AutogalError("There is no result yet.", "Fit at least one object.")
        runs: dict[int, list[Catalogue]] = {}
        begin, end = 0, -1
        for first, part in sorted(self._parts.items()):
            if first == end:
                runs[begin].append(part)
            else:
                begin, runs[first] = first, [part]
            end = first + len(part)
        # what follows on one another is kept as one, so that it need not be joined again
        self._parts = {first: _joined(parts) for first, parts in runs.items()}
        return _joined(list(self._parts.values()))

    def append(self, part: Catalogue, first: int | None = None) -> None:
        """Add a block; write the file where it is time.

        A writing that fails here is logged and tried again later, so that a
        disk that is full for a while costs no result.

        Parameters
        ----------
        part : Catalogue
            The same columns and parameters as the blocks before.
        first : int, optional
            Row of the whole run at which it begins, where blocks come in another order; by default after all
            others.
        """
        if first is None:
            first = max((begin + len(block) for begin, block in self._parts.items()), default=0)
        self._parts[first] = part
        self._unwritten += len(part)
        if self._clock() >= self._due:
            try:
                self.flush()
            except AutogalError as problem:
                log.error("%s The run goes on; the catalogue will be tried again.", problem.what)
                self._due = self._clock() + self._interval

    def flush(self) -> None:
        """Write all that was appended, where there is anything new.

        Raises
        ------
        AutogalError
            Where the file cannot be written; the one from before is kept.
        """
        if not self._unwritten:
            return
        start = self._clock()
        write_catalogue(self.catalogue, self.path, self._format)
        self._unwritten = 0
        end = self._clock()
        self._due = end + max(self._interval, (end - start) / _SHARE)
        log.info("wrote %d rows to %s", len(self), self.path)


def _joined(parts: list[Catalogue]) -> Catalogue:
    return parts[0] if len(parts) == 1 else Catalogue.join(parts)
