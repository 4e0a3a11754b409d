"""Random numbers that depend on a seed and a step, on any device."""

from __future__ import annotations

import math
from statistics import NormalDist

import torch
from torch import Tensor

__all__ = ["Rng"]


class Rng:
    """One step's own stream of random tensors.

    Parameters
    ----------
    seed, step : int
        Neighbouring numbers give streams that have nothing to do with each other.
    device : torch.device
    """

    def __init__(self, seed: int, step: int, device: torch.device):
        self.device = device
        self.generator = torch.Generator(device).manual_seed(_mix(seed, step))

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=self.generator, device=self.device)

    def log_uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return torch.exp(self.uniform(math.log(low), math.log(high), *shape))

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, device=self.device)

    def truncated(self, low: Tensor | float, high: Tensor | float, *shape: int) -> Tensor:
        """Standard normal numbers between `low` and `high`, without a pile at either.

        Parameters
        ----------
        low, high : Tensor or float
        *shape : int

        Returns
        -------
        Tensor
        """
        below, above = (
            torch.special.ndtr(v) if isinstance(v, Tensor) else NormalDist().cdf(v) for v in (low, high)
        )
        return torch.special.ndtri(
            (below + (above - below) * self.uniform(0, 1, *shape)).clamp(1e-6, 1 - 1e-6)
        )

    def bernoulli(self, probability: float, *shape: int) -> Tensor:
        """True with a probability.

        Parameters
        ----------
        probability : float
        *shape : int

        Returns
        -------
        Tensor of bool
        """
        return self.uniform(0, 1, *shape) < probability


def _mix(seed: int, step: int) -> int:
    """One 63-bit seed of two numbers, by the finaliser of SplitMix64 (Steele, Lea & Flood 2014)."""
    z = (seed * 0x9E3779B97F4A7C15 + step * 0xD1B54A32D192ED03 + 0x632BE59BD9B4E019) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return (z ^ (z >> 31)) >> 1
