"""The exponential disk and de Vaucouleurs' law: Sersic profiles of a fixed index."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autogal.profiles.radial import RadialProfile
from autogal.profiles.sersic import Sersic

__all__ = ["DeVaucouleurs", "Exponential", "FixedIndex"]


class FixedIndex(RadialProfile):
    """A Sersic profile whose index is part of its name."""

    like_sersic = True
    index: float
    largest = Sersic.largest

    def intensity(self, log_t: Tensor, shape: Tensor) -> Tensor:
        return self.evaluate(log_t, shape)[0]

    def evaluate(self, log_t: Tensor, shape: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        log_n = torch.full(
            (*shape.shape[:-1], 1), math.log(self.index), dtype=torch.float64, device=log_t.device
        )
        g, g_log_t, g_shape = Sersic().evaluate(log_t, log_n)
        return g, g_log_t, g_shape[:0]


class Exponential(FixedIndex):
    """Exponential disk (Freeman 1970): a Sersic profile of n = 1. Its scale length is r_eff / 1.678."""

    name = "exponential"
    index = 1.0


class DeVaucouleurs(FixedIndex):
    """De Vaucouleurs' (1948) law: a Sersic profile of n = 4."""

    name = "devaucouleurs"
    index = 4.0
