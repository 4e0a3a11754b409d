"""The modified Ferrer profile."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autogal.profiles.integrated import IntegratedProfile
from autogal.profiles.radial import ShapeParameter

__all__ = ["Ferrer"]


class Ferrer(IntegratedProfile):
    r"""Modified Ferrer profile of bars and lenses,
    :math:`I(r) \propto (1 - (r / r_{out})^{2 - \beta})^\alpha` within :math:`r_{out}`.

    Notes
    -----
    Binney & Tremaine (1987), as in Peng et al. (2010, AJ 139, 2097, eq. 12).
    """

    name = "ferrer"
    size = ShapeParameter("r_out", 0.1, math.inf, length=True)
    shape = (ShapeParameter("alpha", 0.5, 10.0), ShapeParameter("beta", 0.01, 1.8))
    typical = ((2.0, 0.2), (4.0, 1.0))
    sharp = True

    def log_edge(self, shape: Tensor) -> Tensor:
        return torch.zeros_like(shape[:, 0])

    def log_intensity(self, log_t: Tensor, shape: list[Tensor]) -> tuple[Tensor, Tensor, list[Tensor]]:
        alpha, beta = shape[0].exp(), shape[1].exp()
        inside = log_t < 0
        power = (2 - beta) * torch.where(inside, log_t, -1.0)
        rest = -torch.expm1(power).clamp(max=-1e-30)  # 1 - r^(2 - beta)
        log_rest, ratio = rest.log(), power.exp() / rest
        zero = torch.zeros_like(rest)
        keep = lambda v: torch.where(inside, v, zero)
        return (
            torch.where(inside, alpha * log_rest, -math.inf),
            keep(-alpha * (2 - beta) * ratio),
            [keep(alpha * log_rest), keep(alpha * beta * ratio * log_t)],
        )
