"""How many cores one operation of torch takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["one_thread_an_operation"]


@contextmanager
def one_thread_an_operation(device: torch.device) -> Iterator[int]:
    """On a CPU, chunks run side by side, so each operation keeps to one core; gives the number of cores."""
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield before
    finally:
        torch.set_num_threads(before)
