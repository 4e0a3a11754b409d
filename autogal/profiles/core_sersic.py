"""The core-Sersic profile."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autogal.profiles.integrated import IntegratedProfile
from autogal.profiles.radial import ShapeParameter
from autogal.profiles.sersic import sersic_b

__all__ = ["CoreSersic"]


class CoreSersic(IntegratedProfile):
    r"""Core-Sersic profile,
    :math:`I(r) \propto (1
    + (r_b/r)^\alpha)^{\gamma/\alpha} \exp(-b_n [(r^\alpha + r_b^\alpha) / r_e^\alpha]^{1/(\alpha n)})`.

    Notes
    -----
    Graham et al. (2003, AJ 125, 2951, eq. 1) and Trujillo et al. (2004, AJ 127, 1917, eq. 5). Size:
    ``r_sersic``, the half-light radius of the Sersic profile that holds outside the core, which is not that
    of the galaxy with its core. A core larger than it is drawn as one of its size.
    """

    name = "core_sersic"
    size = ShapeParameter("r_sersic", 0.05, math.inf, length=True)
    shape = (
        ShapeParameter("n", 0.2, 10.0),
        ShapeParameter("r_break", 0.01, math.inf, length=True),
        ShapeParameter("gamma", 0.01, 1.3),
        ShapeParameter("alpha", 0.5, 20.0),
    )
    typical = ((4.0, 0.05, 0.1, 5.0), (3.0, 0.3, 0.1, 5.0), (2.0, 0.02, 0.3, 2.0))
    sharp = True

    def log_intensity(self, log_t: Tensor, shape: list[Tensor]) -> tuple[Tensor, Tensor, list[Tensor]]:
        log_n, log_break, log_gamma, log_alpha = shape
        is_core = log_break < 0
        log_break = log_break.clamp(max=0.0)
        gamma, alpha, inverse_n = log_gamma.exp(), log_alpha.exp(), torch.exp(-log_n)
        b, b_log_n = (v.to(log_t.dtype) for v in sersic_b(log_n))
        # m = (t^alpha + t_b^alpha)^(1 / alpha), a radius that stops falling at the break
        share = torch.sigmoid(alpha * (log_t - log_break))
        log_m = torch.logaddexp(alpha * log_t, alpha * log_break) / alpha
        p = torch.exp((b.log() + log_m * inverse_n).clamp(max=80.0))
        slope = gamma - p * inverse_n  # d ln f / d ln m
        by_alpha = slope * (share * log_t + (1 - share) * log_break - log_m)
        by_n = p * (log_m * inverse_n - b_log_n / b)
        return (
            gamma * (log_m - log_t) - p,
            slope * share - gamma,
            [by_n, slope * (1 - share) * is_core, gamma * (log_m - log_t), by_alpha],
        )
