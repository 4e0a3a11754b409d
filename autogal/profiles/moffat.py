"""The Moffat profile."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autogal.profiles.radial import RadialProfile, ShapeParameter, align

__all__ = ["Moffat"]


class Moffat(RadialProfile):
    r"""Moffat (1969) profile, :math:`I(r) \propto (1 + r^2 / r_d^2)^{-\beta}`.

    Notes
    -----
    :math:`r_d = fwhm / (2\sqrt{2^{1/\beta} - 1})` and the normalisation as in Peng et al. (2010, AJ 139,
    2097, eqs. 10 and 11). The total is infinite at beta = 1.
    """

    name = "moffat"
    size = ShapeParameter("fwhm", 0.05, math.inf, length=True)
    shape = (ShapeParameter("beta", 1.1, 20.0),)
    typical = ((2.5,), (6.0,))

    def intensity(self, log_t: Tensor, shape: Tensor) -> Tensor:
        return self.evaluate(log_t, shape)[0]

    def evaluate(self, log_t: Tensor, shape: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        beta = shape[..., 0].double().exp()
        root = torch.exp2(1 / beta)
        reach = 4 * (root - 1)  # (fwhm / r_d)^2
        log_norm = torch.log((beta - 1) * reach / math.pi)
        reach_slope = -4 * math.log(2.0) * root / beta / reach  # d ln(reach) / d ln(beta)
        log_u = 2 * log_t + align(reach.log(), log_t)
        rise, share = torch.nn.functional.softplus(log_u, threshold=50.0), torch.sigmoid(log_u)
        b = align(beta, log_t)
        g = torch.exp(align(log_norm, log_t) - b * rise)
        by_beta = align(beta / (beta - 1) + reach_slope, log_t) - b * (
            rise + share * align(reach_slope, log_t)
        )
        return g, -2 * b * share * g, (g * by_beta).unsqueeze(0)
