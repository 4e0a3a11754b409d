"""Normal noise of known standard deviation: chi-square."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from autogal.likelihood.likelihood import Likelihood, Terms

__all__ = ["Gaussian"]


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """Chi-square: ((data - model) / sigma)^2 in sum over the pixels."""

    name = "gaussian"
    counts = False
    quadratic = True

    def terms(self, data: Tensor, model: Tensor, weight: Tensor) -> Terms:
        squared = weight.square()
        off = data - model
        return Terms(squared * off.square(), squared * off, squared)

    def information(self, model: Tensor, weight: Tensor) -> Tensor:
        return weight.square()

    def expected(self, model: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        used = (weight > 0).to(weight.dtype)
        return used, 2 * used

    def draw(self, model: np.ndarray, usable: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return rng.standard_normal(usable.shape, np.float32)
