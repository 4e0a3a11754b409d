"""How far a run has come: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from autogal.runtime.logs import is_quiet

__all__ = ["FitProgress"]

log = logging.getLogger(__name__)


class FitProgress:
    """Show progress in galaxies, galaxies per second and time left.

    On a terminal it is one live line on standard error. Elsewhere it is silent but
    for log lines at least ``interval`` seconds apart.

    Parameters
    ----------
    total : int
        Objects in the run.
    console : rich.console.Console, optional
        By default standard error.
    interval : float
        Shortest time between two log lines [s].
    clock : callable
        Seconds of a clock that never goes back.

    Examples
    --------
    >>> with FitProgress(1000) as progress:     # doctest: +SKIP
    ...     progress.advance(64)
    """

    def __init__(
        self,
        total: int,
        console: Console | None = None,
        interval: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.total = total
        self.done = 0
        self._clock = clock
        self._interval = interval
        self._start = clock()
        self._next = self._start + interval
        console = console or Console(stderr=True)
        self._bar: Progress | None = None
        if console.is_terminal and not is_quiet():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                _Rate(),
                TimeRemainingColumn(elapsed_when_finished=True),
                console=console,
                expand=True,
            )
            self._task = self._bar.add_task("fitting", total=total)

    def __enter__(self) -> FitProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ):
        if self._bar is not None:
            self._bar.stop()

    def advance(self, objects: int = 1) -> None:
        """Count objects as done.

        Parameters
        ----------
        objects : int
            How many since the last call.
        """
        self.done += objects
        if self._bar is not None:
            self._bar.advance(self._task, objects)
        elif (now := self._clock()) >= self._next:
            self._next = now + self._interval
            rate = self.done / (now - self._start)
            left = (self.total - self.done) / rate if rate else float("inf")
            log.info(
                "%d of %d objects done, %.3g galaxies/s, about %.0f s left", self.done, self.total, rate, left
            )

    def describe(self, text: str) -> None:
        """Say what is being done now.

        Parameters
        ----------
        text : str
            A word or two in front of the bar.
        """
        if self._bar is not None:
            self._bar.update(self._task, description=text)


class _Rate(ProgressColumn):
    """Galaxies per second, from the last steps."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if not speed else f"{speed:.3g} galaxies/s", style="cyan")
