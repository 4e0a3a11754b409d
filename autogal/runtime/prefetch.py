"""Work for the next block that is done while this one is being fitted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

__all__ = ["prefetch", "prefetch_threads"]

Result = TypeVar("Result")

# More would only wait for one another: half of the time that reading takes, Python's interpreter lets one
# thread run
_MOST = 4


def prefetch_threads(device: torch.device, threads: int | None = None) -> int:
    """Threads that may work ahead of a fit.

    Parameters
    ----------
    device : torch.device
        That the fit is done on.
    threads : int, optional
        CPU threads that the user grants; by default, as many as torch takes.

    Returns
    -------
    int
        0 where the fit itself keeps a lone core busy.
    """
    cores = threads or min(torch.get_num_threads(), os.cpu_count() or 1)
    return min(cores - 1 if device.type == "cpu" else cores, _MOST)


def prefetch(blocks: Iterable[Sequence[Callable[[], Result]]], threads: int) -> Iterator[list[Result]]:
    """Do small tasks block by block, one block ahead of the caller.

    While the caller is busy with the results of one block, other threads do the tasks of the next one, and
    never those of a later one. What the caller gets does not depend on `threads`.

    Parameters
    ----------
    blocks : iterable of sequences of callables
        The tasks of each block. Iterated in the caller's thread, when the tasks are begun.
    threads : int
        Tasks done at a time; 0: in the caller's thread, when it asks for them.

    Yields
    ------
    list
        What the tasks of a block return, in order.

    Raises
    ------
    Exception
        What a task raises, when its block is asked for.

    Notes
    -----
    To be used within `contextlib.closing`: where the caller stops early, by Ctrl-C too, tasks not begun are
    dropped and those begun are waited for, so they must be short.
    """
    if not threads:
        for tasks in blocks:
            yield [task() for task in tasks]
        return
    pool, blocks = ThreadPoolExecutor(threads, "autogal-prefetch"), iter(blocks)
    try:
        begun = _begin(pool, blocks)
        while begun is not None:
            results = [future.result() for future in begun]
            begun = _begin(pool, blocks)
            yield results
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(
    pool: ThreadPoolExecutor, blocks: Iterator[Sequence[Callable[[], Result]]]
) -> list[Future[Result]] | None:
    """The tasks of the next block, handed to the pool; None after the last."""
    tasks = next(blocks, None)
    return None if tasks is None else [pool.submit(task) for task in tasks]
