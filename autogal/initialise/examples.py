"""Training examples of the network of starting values: crops of simulated scenes, and what is true of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d
from torch.utils.data import IterableDataset, get_worker_info

from autogal.initialise.crops import crop
from autogal.initialise.photometry import psf_moments
from autogal.initialise.targets import encode
from autogal.simulate.batch import SceneBatch

__all__ = ["Examples", "examples"]

_VISIBLE = 0.3  # of the target's footprint; a galaxy behind its neighbours teaches nothing


class Examples(IterableDataset):
    """Batches of examples from the simulator, reproducible and never the same twice.

    Step k comes from source ``k % len(sources)``. Every worker of every rank has steps of its own.

    Parameters
    ----------
    sources : sequence of SceneSource
        They may draw stamps of different sizes: crops are all of one.
    batch : int
        Examples a step, those that turn out not to be usable included.
    first : int
        Step to begin with, where a run is resumed.
    steps : int, optional
        Steps in all; endless by default.
    rank, world : int
        Of the process, in distributed training.
    shake : bool
        Vary centre, radius and masks as real footprints do.
    """

    def __init__(self, sources: Sequence[Any], batch: int, first: int = 0, steps: int | None = None, rank: int = 0,
                 world: int = 1, shake: bool = True):
        self.sources, self.batch, self.first, self.steps = list(sources), batch, first, steps
        self.rank, self.world, self.shake = rank, world, shake

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        step = self.first + self.rank * workers + number
        while self.steps is None or step < self.first + self.steps:
            source = self.sources[step % len(self.sources)]
            generator = torch.Generator(source.device).manual_seed(source.seed * 1_000_003 + step)
            yield examples(source.draw(self.batch, step), generator if self.shake else None)
            step += workers * self.world


def examples(scenes: SceneBatch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Crops and targets of the usable ones of B scenes.

    Those without a Sersic truth, or whose target is nearly all covered, are left out.

    Parameters
    ----------
    scenes : SceneBatch
    generator : torch.Generator, optional
        Varies centres, radii and masks; without it they are the true ones, the masks grown by 2 px.

    Returns
    -------
    dict of str to Tensor
        ``channels`` [B', 4, SIDE, SIDE], ``features`` [B', 8], ``targets`` [B', 7], and for the record ``snr``,
        ``radius`` [px], ``q``, [B'] each.
    """
    device, count = scenes.image.device, len(scenes)
    target = torch.stack([pieces[0] for pieces in scenes.instances])
    neighbours = torch.stack([pieces[1:].any(0) for pieces in scenes.instances])
    shift = stretch = None
    growth = torch.full((count,), 2, device=device)
    if generator is not None:
        growth = torch.randint(1, 5, (count,), generator=generator, device=device)
        shift = 0.05 * torch.randn(count, 2, generator=generator, device=device)
        stretch = torch.exp(0.45 * torch.rand(count, generator=generator, device=device) - 0.3)
    excluded = scenes.mask | _grown(neighbours, growth)
    visible = (target & ~excluded).sum((1, 2)) >= _VISIBLE * target.sum((1, 2))
    crops = crop(scenes.image, scenes.sigma, excluded, target, scenes.psf_fwhm, psf_moments(scenes.psf, scenes.psf_fwhm), shift, stretch)
    targets = encode(scenes.truth, crops)
    keep = visible & scenes.analytic & targets.isfinite().all(1)
    found = {"channels": crops.channels, "features": crops.features, "targets": targets, "snr": scenes.truth["snr"],
             "radius": crops.radius.float(), "q": scenes.truth["q"]}
    return {name: values[keep] for name, values in found.items()}


def _grown(masks: Tensor, growth: Tensor) -> Tensor:
    """Masks [B, H, W], each grown by its own number of pixels [B]."""
    grown = masks.clone()
    for size in growth.unique().tolist():
        these = growth == size
        grown[these] = max_pool2d(masks[these].float()[:, None], 2 * size + 1, stride=1, padding=size)[:, 0] > 0
    return grown
