"""What the training needs to know of a network, and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule
from torch.utils.data import IterableDataset

__all__ = ["Task"]


@dataclass(frozen=True)
class Task:
    """A network to be trained.

    Attributes
    ----------
    name : str
        ``initialiser`` or ``segmenter``.
    module : LightningModule
        Its ``network`` is what the checkpoint holds.
    card : mapping
        What a checkpoint's card must say for its weights to fit, with ``version``.
    examples : callable
        ``examples(first, rank, world)``: endless training batches of one process, from step `first` on.
    validation : callable
        ``validation(rank, world)``: the same few batches of one process every time.
    monitor, mode : str
        The metric that says which weights are best, and ``min`` or ``max``.
    shown : tuple of str
        Metrics worth a person's eye after each validation.
    prepare : callable
        Called before training from random weights.
    plot : callable
        ``plot(path)``: draws predictions of the last validation as a PNG.
    source : mapping
        For the card: what the examples are, as ``{"simulator": "general"}``.
    finish : callable
        Called with the best weights in place, before they are measured and written.
    """

    name: str
    module: LightningModule
    card: Mapping[str, Any]
    examples: Callable[[int, int, int], IterableDataset]
    validation: Callable[[int, int], IterableDataset]
    monitor: str
    mode: str
    shown: tuple[str, ...]
    source: Mapping[str, Any]
    prepare: Callable[[], None] = lambda: None
    plot: Callable[[Path], None] | None = None
    finish: Callable[[], None] = lambda: None
