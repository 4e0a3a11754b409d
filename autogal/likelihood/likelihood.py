"""What a likelihood is: how far data are from a model, and which way the model must move."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from torch import Tensor

__all__ = ["Likelihood", "Terms"]


class Terms(NamedTuple):
    """Of every pixel, [B, H, W] each; 0 where a pixel is excluded.

    Attributes
    ----------
    deviance : Tensor
        -2 ln L, less that of the best possible model.
    pull : Tensor
        -1/2 of its derivative by the model: where the model must go.
    weight : Tensor
        A curvature, never negative, with which pull / weight is a step that does not overshoot.
    """

    deviance: Tensor
    pull: Tensor
    weight: Tensor


class Likelihood(Protocol):
    """A distribution of data around a model.

    Data and model are in a stamp's units, the sky included. `weight` squared is how much a pixel counts: 1 / sigma, or,
    where the noise is that of counts, the square root of how many pixels were averaged; 0 where a pixel is excluded.

    Attributes
    ----------
    name : str
        In the configuration.
    counts : bool
        Whether the data are counts, whose noise no sigma map must describe.
    quadratic : bool
        Whether the deviance is a sum of squares: then `autogal.batch.least_squares.StampProblem` is all it takes.
    """

    name: str
    counts: bool
    quadratic: bool

    def terms(self, data: Tensor, model: Tensor, weight: Tensor) -> Terms:
        """Deviance and what a solver asks of it, at any model, [B, H, W] each."""

    def information(self, model: Tensor, weight: Tensor) -> Tensor:
        """Fisher information of every pixel's own brightness, [B, H, W]: the mean curvature of half the deviance."""

    def expected(self, model: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the deviance of data which the model describes, of every pixel, [B, H, W] each."""

    def draw(self, model: np.ndarray, usable: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Noise around a model [H, W], in units of 1 / weight, [H, W] float32."""
