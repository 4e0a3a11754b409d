"""Examples as a fit meets them: found by the segmenter, cut where it found them, none of them shaken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from autogal.initialise.network.resnet50 import cut, unusable
from autogal.initialise.network.targets import encode
from autogal.parameters import FLUX_START
from autogal.segment import segment_all
from autogal.simulate.cutouts import BLOCK, Simulation, simulate
from autogal.simulate.general import General
from autogal.simulate.population import Population

__all__ = ["examples_as_fitted"]

_OUTSHINES = (
    0.5  # in this part of its pixels a target outshines all others, or no image says which of them was meant
)
_TRUE = (*FLUX_START[:-1], "snr")


def examples_as_fitted(
    populations: Sequence[General | Population],
    sizes: Sequence[int],
    count: int,
    seed: int,
    segment: DictConfig,
    device: torch.device | str = "cpu",
) -> Iterator[dict[str, Tensor]]:
    """Batches of examples that differ in nothing from what `autogal fit` asks the network.

    Training varies footprints more than any method does, so that the network can do with all of them; how
    large its errors are must be learnt from those that it will see.

    Parameters
    ----------
    populations : sequence of General or Population
        Each gives a batch in turn.
    sizes : sequence of int
        Sides of the stamps [px]; in turn for each population.
    count : int
        Stamps drawn in all, up to a whole batch.
    seed : int
    segment : DictConfig
        Configuration node ``segment`` of a fit.
    device : torch.device or str
        Where a network of the segmenter runs.

    Yields
    ------
    dict of str to Tensor
        As from `autogal.training.initialiser.examples.examples`: of the targets that are one Sersic profile,
        were found, and outshine all other sources in half of their pixels.
    """
    for step in range(-(-count // BLOCK)):
        turn, whose = divmod(step, len(populations))
        size = sizes[turn % len(sizes)]
        found = _examples(
            simulate(BLOCK, populations[whose], seed, (size, size), first=step * BLOCK), segment, device
        )
        if found is not None:
            yield found


def _examples(
    scenes: Simulation, segment: DictConfig, device: torch.device | str
) -> dict[str, Tensor] | None:
    """Those of some scenes; None where no target is fit for one."""
    truth = scenes.truth
    some = np.flatnonzero(np.asarray(truth["analytic"], bool) & (np.asarray(truth["visible"]) >= _OUTSHINES))
    cutouts = [scenes.cutouts[i] for i in some]
    found = segment_all(cutouts, segment, device)
    there = [k for k, one in enumerate(found) if unusable(cutouts[k], one) is None]
    if not there:
        return None
    order, crops = cut([cutouts[k] for k in there], [found[k] for k in there], {}, torch.device("cpu"))
    rows = truth[[some[there[k]] for k in order]]
    true = {name: torch.as_tensor(np.asarray(rows[name], float)) for name in _TRUE}
    return {
        "channels": crops.channels,
        "features": crops.features,
        "targets": encode(true, crops),
        "snr": true["snr"].float(),
        "radius": crops.radius.float(),
        "q": true["q"].float(),
    }
