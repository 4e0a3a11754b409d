"""The modified King profile."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from autogal.profiles.integrated import IntegratedProfile
from autogal.profiles.radial import ShapeParameter

__all__ = ["King"]


class King(IntegratedProfile):
    r"""Modified King (1962) profile,
    :math:`I(r) \propto [(1 + r^2/r_c^2)^{-1/\alpha} - (1 + r_t^2/r_c^2)^{-1/\alpha}]^\alpha` within
    :math:`r_t`.

    Notes
    -----
    Elson (1999), as in Peng et al. (2010, AJ 139, 2097, eq. 16); alpha = 2 is King's law. Size: the core
    radius.
    """

    name = "king"
    size = ShapeParameter("r_core", 0.05, math.inf, length=True)
    shape = (ShapeParameter("r_tidal", 0.1, math.inf, length=True), ShapeParameter("alpha", 1.0, 10.0))
    typical = ((8.0, 2.0), (40.0, 2.0))
    sharp = True

    def log_edge(self, shape: Tensor) -> Tensor:
        return shape[:, 0]

    def log_intensity(self, log_t: Tensor, shape: list[Tensor]) -> tuple[Tensor, Tensor, list[Tensor]]:
        log_edge, log_alpha = shape
        alpha = log_alpha.exp()
        here, edge = (
            softplus(2 * log_t, threshold=50.0),
            softplus(2 * log_edge, threshold=50.0),
        )  # ln(1 + r^2)
        inside = log_t < log_edge
        gap = torch.log1p(
            torch.where(inside, torch.expm1(2 * (log_edge - log_t).clamp(max=40.0)), 1.0)
            * torch.sigmoid(2 * log_t)
        )
        # f = (1 + r_t^2)^(-1) (exp(gap / alpha) - 1)^alpha, gap = ln((1 + r_t^2) / (1 + r^2))
        gap = torch.where(inside & (log_edge - log_t > 20.0), edge - here, gap).clamp(min=1e-30)
        steep = 1 / -torch.expm1(-gap / alpha)  # d ln f / d gap
        log_f = gap + alpha * torch.log(-torch.expm1(-gap / alpha)) - edge
        zero = torch.zeros_like(log_f)
        by_log_t = -2 * torch.sigmoid(2 * log_t) * steep
        by_edge = 2 * torch.sigmoid(2 * log_edge) * (steep - 1)
        by_alpha = alpha * torch.log(-torch.expm1(-gap / alpha)) - gap * (steep - 1)
        return (
            torch.where(inside, log_f, -math.inf),
            torch.where(inside, by_log_t, zero),
            [torch.where(inside, by_edge, zero), torch.where(inside, by_alpha, zero)],
        )
