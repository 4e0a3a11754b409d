"""Warnings kept quiet, where several threads read."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["silenced"]

_lock = threading.RLock()


@contextmanager
def silenced(category: type[Warning] = Warning, message: str = "") -> Iterator[None]:
    """Show no warnings of a category, or those of them that begin with `message`.

    The filters are the whole process's: two threads that set and restored them side by side could leave them
    changed. So one thread at a time is in here; what it does, nearly all of it Python, would not run faster
    beside another's.
    """
    with _lock, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message, category)
        yield
