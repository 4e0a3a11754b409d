"""Where the time of a run goes."""

from __future__ import annotations

import time
from contextlib import contextmanager

__all__ = ["Stopwatch"]


class Stopwatch(dict):
    """Seconds by stage."""

    @contextmanager
    def time(self, stage: str):
        """Add the time of a with-block to `stage`."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self[stage] = self.get(stage, 0.0) + time.perf_counter() - begin
