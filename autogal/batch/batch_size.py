"""How much a GPU takes at a time."""

from __future__ import annotations

import torch

__all__ = ["max_batch_size"]

# Some of CUDA's kernels count the numbers of a tensor in 32 bits
_COUNTABLE = 2**31 - 1


def max_batch_size(device: torch.device, share: float, size: float, numbers: int) -> int:
    """Items that the memory of a GPU holds, at least 1.

    Parameters
    ----------
    device : torch.device
        Of type ``cuda``.
    share : float
        Of the free memory, what all items together may take.
    size : float
        Bytes an item.
    numbers : int
        Numbers that the largest tensor has an item.
    """
    free, _ = torch.cuda.mem_get_info(device)
    # what torch has set aside and does not use is free too: without it, every block would be cut finer than
    # the one before
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return max(1, min(int(share * free / size), _COUNTABLE // numbers))
