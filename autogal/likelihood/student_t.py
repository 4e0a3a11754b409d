"""Noise with heavy tails: Student's t distribution, to which a wild pixel is no surprise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autogal.errors import AutogalError
from autogal.likelihood.likelihood import Likelihood, Terms

__all__ = ["StudentT"]


@dataclass(frozen=True)
class StudentT(Likelihood):
    """Student's t: (dof + 1) ln(1 + z^2 / dof) in sum over the pixels, z = (data - model) / (scale sigma).

    Attributes
    ----------
    dof : float
        Degrees of freedom: the fewer, the heavier the tails; 1 is Cauchy's distribution, infinitely many the
        normal one.
    scale : float
        Width of the core in units of sigma.

    Notes
    -----
    The weights are those of iterative reweighting (Lange, Little & Taylor 1989, JASA 84, 881), with which no
    step overshoots however far the data are; the information is theirs too, (dof + 1) / (dof + 3) of the
    normal one.
    """

    dof: float = 4.0
    scale: float = 1.0

    name = "student_t"
    counts = False
    quadratic = False

    def __post_init__(self):
        if not (self.dof > 0 and math.isfinite(self.dof)):
            raise AutogalError(
                f"likelihood.dof={self.dof} is not possible.",
                "Give degrees of freedom above zero, as 4; for infinitely many take likelihood=gaussian.",
            )
        if not (self.scale > 0 and math.isfinite(self.scale)):
            raise AutogalError(
                f"likelihood.scale={self.scale} is not possible.",
                "Give the width in units of sigma, above zero.",
            )

    def terms(self, data: Tensor, model: Tensor, weight: Tensor) -> Terms:
        off, squared = data - model, (weight / self.scale).square()
        tail = squared * off.square() / self.dof
        drawn_in = squared * ((self.dof + 1) / self.dof) / (1 + tail)
        return Terms((self.dof + 1) * tail.log1p(), drawn_in * off, drawn_in)

    def information(self, model: Tensor, weight: Tensor) -> Tensor:
        return (weight / self.scale).square() * ((self.dof + 1) / (self.dof + 3))

    def expected(self, model: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        half = torch.tensor([(self.dof + 1) / 2, self.dof / 2], dtype=torch.float64)
        digamma, trigamma = torch.digamma(half), torch.polygamma(1, half)
        used = (weight > 0).to(weight.dtype)
        return used * float((self.dof + 1) * (digamma[0] - digamma[1])), used * float(
            (self.dof + 1) ** 2 * (trigamma[1] - trigamma[0])
        )

    def draw(self, model: np.ndarray, usable: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return (self.scale * rng.standard_t(self.dof, usable.shape)).astype(np.float32)
