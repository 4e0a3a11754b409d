"""Where the time of a run goes."""

from __future__ import annotations

import time
from contextlib import contextmanager

__all__ = ["Stopwatch"]


class Stopwatch(dict):
    """Seconds by stage, by the clock on the wall unless another is set."""

    clock = staticmethod(time.perf_counter)

    @contextmanager
    def time(self, stage: str):
        """Add the time of a with-block to `stage`."""
        begin = self.clock()
        try:
            yield
        finally:
            self[stage] = self.get(stage, 0.0) + self.clock() - begin
