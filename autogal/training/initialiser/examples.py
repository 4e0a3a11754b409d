"""Training examples of the network of starting values: crops of simulated scenes, and what is true of
them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d
from torch.utils.data import IterableDataset, get_worker_info

from autogal.initialise.network.crops import crop
from autogal.initialise.network.targets import encode
from autogal.initialise.photometry.photometry import describe_psf
from autogal.simulate.batch import SceneBatch

__all__ = ["Examples", "Replayed", "examples"]

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

    def __init__(
        self,
        sources: Sequence[Any],
        batch: int,
        first: int = 0,
        steps: int | None = None,
        rank: int = 0,
        world: int = 1,
        shake: bool = True,
    ):
        self.sources, self.batch, self.first, self.steps = list(sources), batch, first, steps
        self.rank, self.world, self.shake = rank, world, shake

    def seed(self, step: int) -> int:
        """Of what varies the examples of a step."""
        return self.sources[step % len(self.sources)].seed * 1_000_003 + step

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        step = self.first + self.rank * workers + number
        while self.steps is None or step < self.first + self.steps:
            source = self.sources[step % len(self.sources)]
            generator = torch.Generator(source.device).manual_seed(self.seed(step))
            yield examples(source.draw(self.batch, step), generator if self.shake else None)
            step += workers * self.world


class Replayed(IterableDataset):
    """Batches of examples that were seen before, and of new ones: to draw a galaxy costs as much as to learn
    from it.

    Training sees it mirrored and turned, so that it is not the same again.

    Parameters
    ----------
    source : Examples
        Of new ones, in batches of the size that is wanted.
    times : int
        Batches that are seen for each new one, once `pool` examples are kept; the oldest give way.
    pool : int
    until : int, optional
        Batches, over all workers, after which none is seen again.
    """

    def __init__(self, source: Examples, times: int, pool: int = 4096, until: int | None = None):
        self.source, self.times, self.pool, self.until = source, times, pool, until

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        kept: deque[dict[str, Tensor]] = deque(maxlen=max(1, self.pool // self.source.batch))
        worker = get_worker_info()
        left = math.inf if self.until is None else self.until / (worker.num_workers if worker else 1)
        for number, new in enumerate(self.source):
            yield new
            left -= 1
            if len(new["snr"]):
                kept.append(new)
            full = len(kept) == kept.maxlen
            generator = torch.Generator().manual_seed(self.source.seed(number))
            for _ in range(self.times - 1 if full else 0):
                if left > 0:
                    left -= 1
                    yield self._mixed(kept, self.source.batch, generator)

    @staticmethod
    def _mixed(kept: deque[dict[str, Tensor]], count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Examples of any of the batches kept, a few of each of some of them."""
        chosen = [
            (batch, torch.randint(len(batch["snr"]), (1,), generator=generator).item())
            for batch in (kept[i] for i in torch.randint(len(kept), (count,), generator=generator).tolist())
        ]
        return {name: torch.stack([batch[name][row] for batch, row in chosen]) for name in chosen[0][0]}


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
        ``channels`` [B', 4, SIDE, SIDE], ``features`` [B', len(FEATURES)], ``targets`` [B', 7], and for the
        record ``snr``, ``radius`` [px], ``q``, [B'] each.
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
    crops = crop(
        scenes.image,
        scenes.sigma,
        excluded,
        target,
        describe_psf(scenes.psf, scenes.psf_fwhm),
        shift,
        stretch,
    )
    targets = encode(scenes.truth, crops)
    keep = visible & scenes.analytic & targets.isfinite().all(1)
    found = {
        "channels": crops.channels,
        "features": crops.features,
        "targets": targets,
        "snr": scenes.truth["snr"],
        "radius": crops.radius.float(),
        "q": scenes.truth["q"],
    }
    return {name: values[keep] for name, values in found.items()}


def _grown(masks: Tensor, growth: Tensor) -> Tensor:
    """Masks [B, H, W], each grown by its own number of pixels [B]."""
    grown = masks.clone()
    for size in growth.unique().tolist():
        these = growth == size
        grown[these] = (
            max_pool2d(masks[these].float()[:, None], 2 * size + 1, stride=1, padding=size)[:, 0] > 0
        )
    return grown
