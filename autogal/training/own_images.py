"""What both networks need to learn from a user's own images: enough of them, some kept for validation, and
steps for all processes."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from autogal.errors import AutogalError

__all__ = ["FEWEST", "check_enough", "own_steps", "set_aside"]

FEWEST = 20  # images; fewer cannot be shared out between training and validation
_ASIDE = 8  # one image in so many is for validation, always the same ones


def check_enough(count: int) -> None:
    """Refuse to train on fewer than `FEWEST` images.

    Parameters
    ----------
    count : int

    Raises
    ------
    AutogalError
    """
    if count < FEWEST:
        raise AutogalError(
            f"Only {count} usable images with good labels: {FEWEST} are needed.",
            "Give more images, or train from the simulator (without data=); autogal.log says what was left "
            "out, and why.",
        )


def set_aside(ids: Sequence[str]) -> Tensor:
    """Which images are for validation, bool [N]: at least one, and an image stays on its side when others are
    added.

    Parameters
    ----------
    ids : sequence of str

    Returns
    -------
    Tensor, [N] bool
    """
    aside = torch.tensor([zlib.crc32(one.encode()) % _ASIDE == 0 for one in ids])
    if not aside.any():
        aside[0] = True
    return aside


def own_steps(first: int, rank: int, world: int) -> Iterator[int]:
    """Endless steps, from `first` on, of one worker of one process: no two have a step in common.

    Parameters
    ----------
    first, rank, world : int
        Step to begin with, the process, and how many there are.
    """
    worker = get_worker_info()
    number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
    return itertools.count(first + rank * workers + number, workers * world)
