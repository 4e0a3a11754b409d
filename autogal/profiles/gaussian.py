"""The Gaussian."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autogal.profiles.radial import RadialProfile, ShapeParameter

__all__ = ["Gaussian"]

_SHARPNESS = 4 * math.log(2.0)


class Gaussian(RadialProfile):
    r"""Gaussian, :math:`I(r) \propto 2^{-4 r^2 / fwhm^2}` (Peng et al. 2010, AJ 139, 2097, eq. 9).

    Notes
    -----
    Its half-light radius is fwhm / 2, its standard deviation fwhm / 2.3548.
    """

    name = "gaussian"
    size = ShapeParameter("fwhm", 0.05, math.inf, length=True)

    def intensity(self, log_t: Tensor, shape: Tensor) -> Tensor:
        return self.evaluate(log_t, shape)[0]

    def evaluate(self, log_t: Tensor, shape: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        p = _SHARPNESS * torch.exp((2 * log_t).clamp(max=80.0))
        g = _SHARPNESS / math.pi * torch.exp(-p)
        return g, -2 * p * g, log_t.new_zeros((0, *log_t.shape))
