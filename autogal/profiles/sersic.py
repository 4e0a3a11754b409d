"""The Sersic profile."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from scipy.special import gammaincinv
from torch import Tensor

from autogal.profiles.radial import RadialProfile, ShapeParameter

__all__ = ["Sersic", "sersic_b"]

_LOG_N = (math.log(0.05), math.log(20.0), 2048)


@lru_cache(maxsize=8)
def _b_knots(device: torch.device) -> tuple[Tensor, Tensor]:
    # b_n has no closed form and every series fails somewhere below n = 0.4: tabulate the exact root once.
    log_n = np.linspace(*_LOG_N)
    step = 1e-4
    value = np.log(gammaincinv(2 * np.exp(log_n), 0.5))
    slope = (
        np.log(gammaincinv(2 * np.exp(log_n + step), 0.5))
        - np.log(gammaincinv(2 * np.exp(log_n - step), 0.5))
    ) / (2 * step)
    return torch.as_tensor(value, device=device), torch.as_tensor(slope, device=device)


def sersic_b(log_n: Tensor) -> tuple[Tensor, Tensor]:
    """The constant b_n that makes r_eff the half-light radius: P(2 n, b_n) = 1/2.

    Parameters
    ----------
    log_n : Tensor
        ln n, any shape, for n from 0.05 to 20 (clamped outside).

    Returns
    -------
    b, b_log_n : Tensor, shape of `log_n`
        b_n to a relative error below 1e-11, and its derivative by ln n, in float64.

    Notes
    -----
    Cubic Hermite interpolation of ln b_n over ln n between roots of the regularised incomplete gamma function
    (Ciotti & Bertin 1999, A&A 352, 447, eq. 3).
    """
    lower, upper, count = _LOG_N
    value, slope = _b_knots(log_n.device)
    width = (upper - lower) / (count - 1)
    position = (log_n.double().clamp(lower, upper) - lower) / width
    i = position.floor().clamp(max=count - 2).long()
    u = position - i
    y0, y1, m0, m1 = value[i], value[i + 1], slope[i] * width, slope[i + 1] * width
    a, c = 2 * (y0 - y1) + m0 + m1, 3 * (y1 - y0) - 2 * m0 - m1
    b = torch.exp(((a * u + c) * u + m0) * u + y0)
    return b, b * ((3 * a * u + 2 * c) * u + m0) / width


class Sersic(RadialProfile):
    r"""Sersic (1963) profile, :math:`I(t) \propto \exp(-b_n t^{1/n})`.

    Notes
    -----
    Normalisation to unit flux: Graham & Driver (2005, PASA 22, 118), eq. 4. `r_eff` holds half of the light
    integrated to infinity; n = 0.5 is a Gaussian, 1 an exponential disk, 4 de Vaucouleurs' law.
    """

    name = "sersic"
    like_sersic = True
    largest = (
        3.0  # drawn as well as smaller ones; where its own light tells the size, the image need not hold it
    )
    shape = (ShapeParameter("n", 0.2, 10.0),)
    typical = ((1.0,), (4.0,))

    def intensity(self, log_t: Tensor, shape: Tensor) -> Tensor:
        return self.evaluate(log_t, shape)[0]

    def evaluate(self, log_t: Tensor, shape: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        log_n = shape[..., 0].double()
        n = log_n.exp()
        b, b_log_n = sersic_b(log_n)
        log_norm = 2 * n * b.log() - torch.log(2 * math.pi * n) - torch.lgamma(2 * n)
        log_norm_log_n = 2 * n * (b.log() + b_log_n / b - torch.digamma(2 * n)) - 1

        def align(v: Tensor) -> Tensor:
            return v.reshape(v.shape + (1,) * (log_t.ndim - v.ndim)).to(log_t.dtype)

        inverse_n = align(1 / n)
        # ln p = ln b + ln(t) / n is kept below overflow: exp(-e^80) is zero in every precision
        p = torch.exp((align(b.log()) + log_t * inverse_n).clamp(max=80.0))
        g = torch.exp(align(log_norm) - p)
        pg = p * g
        g_log_n = align(log_norm_log_n) * g - (align(b_log_n / b) - log_t * inverse_n) * pg
        return g, -inverse_n * pg, g_log_n.unsqueeze(0)
