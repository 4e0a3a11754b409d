"""Counts: the Cash statistic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from autogal.likelihood.likelihood import Likelihood, Terms

__all__ = ["Poisson"]

# Below this share of a pixel's counts, or in an empty one of the share of pixels that have any, the deviance
# goes on as a parabola: a model may ring below zero, or a sky try to be negative, and must be brought back.
# No source is so bright that this lies above the sky; what changes in an empty pixel is less than this share
# of a count.
_FLOOR = 1e-3
# ln of the counts between which moments of the deviance are tabulated; above, they are those of chi-square
# but for 1 / 6 counts
_LOWEST, _HIGHEST, _POINTS = math.log(1e-6), math.log(1e3), 512


@dataclass(frozen=True)
class Poisson(Likelihood):
    """Counts n around a model m that includes the sky: 2 (m - n + n ln(n / m)) in sum over the pixels.

    Notes
    -----
    Cash (1979, ApJ 228, 939), with the constant of the perfect model: Poisson's deviance. Unlike chi-square
    with sigma from the data it is unbiased however few the counts. Where it is small its mean is not one a
    pixel: that, and its variance, are summed over the distribution (as Kaastra 2017, A&A 605, A51, has them).
    """

    name = "poisson"
    counts = True
    quadratic = False

    def terms(self, data: Tensor, model: Tensor, weight: Tensor) -> Terms:
        exposure = weight.square()
        floor = _floor(data, exposure)
        mean, below = torch.maximum(model, floor), (model - floor).clamp(max=0)
        # in double precision: of many counts, a small difference of large numbers
        n, m = data.double(), mean.double()
        deviance = 2 * (m - n - torch.where(n > 0, n * (m / n.clamp(min=1e-300)).log(), 0.0))
        # the parabola has its lowest point, where there are no counts, at a model of zero
        bend = (data + floor) / floor.square()
        slope = data / mean - 1
        deviance = deviance + below * (bend * below - 2 * slope)
        return Terms(exposure * deviance, exposure * (slope - bend * below), exposure / mean)

    def information(self, model: Tensor, weight: Tensor) -> Tensor:
        exposure = weight.square()
        return exposure / torch.maximum(model, _floor(model.clamp(min=0), exposure))

    def expected(self, model: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        counts = weight.square() * model
        step = (_HIGHEST - _LOWEST) / (_POINTS - 1)
        place = ((counts.clamp(min=1e-30).log() - _LOWEST) / step).clamp(0, _POINTS - 1.001)
        index = place.long()
        table = _moments().to(counts)
        low, high = table[:, index], table[:, index + 1]
        mean, variance = (low + (high - low) * (place - index)) * (weight > 0)
        return mean, variance

    def draw(self, model: np.ndarray, usable: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        mean = np.maximum(model, 0.0)
        return (rng.poisson(mean) - model).astype(np.float32)


def _floor(counts: Tensor, exposure: Tensor) -> Tensor:
    """The model below which the deviance goes on as a parabola, [B, H, W]."""
    total = lambda plane: plane.sum((-2, -1), keepdim=True)
    # binned pixels only tell where to begin, and what is drawn on them rings by more than a faint sky: there
    # it is of the mean
    binned = exposure.amax((-2, -1), keepdim=True) > 1
    mean = total(exposure * torch.where(binned, counts, counts.clamp(max=1))) / total(exposure).clamp(
        min=1e-30
    )
    return (_FLOOR * torch.maximum(counts, mean)).clamp(min=1e-12)


@lru_cache(maxsize=1)
def _moments() -> Tensor:
    """Mean and variance of the deviance, [2, points], at mean counts between `_LOWEST` and `_HIGHEST`."""
    mean = torch.linspace(_LOWEST, _HIGHEST, _POINTS, dtype=torch.float64).exp()[:, None]
    n = torch.arange(1500, dtype=torch.float64)
    chance = (n * mean.log() - mean - torch.lgamma(n + 1)).exp()
    deviance = 2 * (mean - n - torch.where(n > 0, n * (mean / n.clamp(min=1)).log(), 0.0))
    first = (chance * deviance).sum(-1)
    return torch.stack([first, (chance * (deviance - first[:, None]).square()).sum(-1)])
