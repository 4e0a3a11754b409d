"""How much memory a process may take, and work that is done in smaller pieces where a GPU's is too small."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar

import torch

__all__ = ["in_pieces", "memory"]

Item, Result = TypeVar("Item"), TypeVar("Result")

_log = logging.getLogger(__name__)

# Where Linux says what a container may take: control groups of the second and of the first version
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_UNKNOWN = 8e9  # bytes, where the system does not say


@lru_cache(maxsize=1)
def memory() -> float:
    """Bytes of memory that this machine, or the container that this process runs in, has."""
    try:
        there = float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        there = _UNKNOWN
    for path in _LIMITS:
        try:
            with open(path, encoding="ascii") as file:
                there = min(there, float(file.read()))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return there


def in_pieces(
    work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item], otherwise: Callable[[Item], Result]
) -> list[Result]:
    """What `work` makes of items together; of fewer at a time where the GPU's memory is not enough.

    Parameters
    ----------
    work : callable
        Takes some of the items, and gives one result each.
    items : sequence
    otherwise : callable
        Takes an item for which alone the GPU's memory is not enough.

    Returns
    -------
    list
        One result an item, in order.
    """
    try:
        return work(items)
    except torch.OutOfMemoryError as problem:
        failure = str(problem).splitlines()[0] if str(problem) else "no memory"
    # the exception is gone here, and with it what its frames held on the device
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if len(items) == 1:
        return [otherwise(items[0])]
    _log.info(
        "the GPU's memory is too small for %d stamps at a time (%s): trying half as many", len(items), failure
    )
    half = len(items) // 2
    return [*in_pieces(work, items[:half], otherwise), *in_pieces(work, items[half:], otherwise)]
