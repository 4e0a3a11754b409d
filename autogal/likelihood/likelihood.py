"""What a likelihood is: how far data are from a model, and which way the model must move."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
from torch import Tensor

__all__ = ["Likelihood", "Terms"]


class Terms(NamedTuple):
    """Of every pixel, [B, H, W] each; 0 where a pixel is excluded.

    Attributes
    ----------
    deviance : Tensor
        -2 ln L, less that of the best possible model: never negative.
    score : Tensor
        -1/2 of its derivative by the model: where the model must go.
    weight : Tensor
        A curvature, never negative, with which score / weight is a step that does not overshoot.
    """

    deviance: Tensor
    score: Tensor
    weight: Tensor


class Likelihood(ABC):
    """A distribution of data around a model.

    Data and model are in a stamp's units, the sky included. `weight` squared is how much a pixel counts: 1 /
    sigma, or, where the noise is that of counts, the square root of how many pixels were averaged; 0 where a
    pixel is excluded.

    A user's own is a subclass, named in the configuration as ``likelihood=MODULE:CLASS``; its settings are
    the arguments of its class. It is tried out before the run.

    Attributes
    ----------
    name : str
        In the configuration.
    counts : bool
        Whether the data are counts, whose noise no sigma map must describe.
    quadratic : bool
        Whether the deviance is a sum of squares: then `autogal.batch.least_squares.StampProblem` is all it
        takes.
    """

    name: ClassVar[str]
    counts: ClassVar[bool] = False
    quadratic: ClassVar[bool] = False

    @abstractmethod
    def terms(self, data: Tensor, model: Tensor, weight: Tensor) -> Terms:
        """Deviance and what a solver asks of it, at any model, also one that cannot be.

        Parameters
        ----------
        data, model, weight : Tensor, [B, H, W]

        Returns
        -------
        Terms
            The deviance may be in double precision where differences of large numbers make it.
        """

    @abstractmethod
    def information(self, model: Tensor, weight: Tensor) -> Tensor:
        """Fisher information of every pixel's own brightness: the mean curvature of half the deviance.

        Parameters
        ----------
        model, weight : Tensor, [B, H, W]

        Returns
        -------
        Tensor, [B, H, W]
            In 1 / (unit of the stamp)^2; 0 where a pixel is excluded.
        """

    @abstractmethod
    def expected(self, model: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the deviance of data which the model describes, of every pixel.

        Parameters
        ----------
        model, weight : Tensor, [B, H, W]

        Returns
        -------
        mean, variance : Tensor, [B, H, W]
            0 where a pixel is excluded.
        """

    @abstractmethod
    def draw(self, model: np.ndarray, usable: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Noise around a model, for the parametric bootstrap.

        Parameters
        ----------
        model : ndarray, [H, W]
        usable : ndarray of bool, [H, W]
            Pixels that are not excluded; of others the noise may be anything.
        rng : Generator

        Returns
        -------
        ndarray, [H, W] float32
            In units of 1 / weight.
        """
