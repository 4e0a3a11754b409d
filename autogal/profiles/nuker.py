"""The Nuker law."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from autogal.profiles.radial import RadialProfile, ShapeParameter, align

__all__ = ["Nuker"]


class Nuker(RadialProfile):
    r"""Nuker law (Lauer et al. 1995, AJ 110, 2622),
    :math:`I(r) = I_b 2^{(\beta-\gamma)/\alpha} u^{-\gamma} (1 + u^\alpha)^{(\gamma-\beta)/\alpha}`,
    :math:`u = r / r_b`.

    Notes
    -----
    Its total is infinite for an outer slope beta of 2 or less, so its brightness is stated at the break:
    ``mag_break`` is the magnitude of :math:`\pi q r_b^2 I_b`, which gives the surface brightness at the
    break, ``mu_break``, that Peng et al. (2010, AJ 139, 2097, eq. 20) have.
    """

    name = "nuker"
    brightness = "mag_break"
    size = ShapeParameter("r_break", 0.05, math.inf, length=True)
    shape = (
        ShapeParameter("alpha", 0.2, 20.0),
        ShapeParameter("beta", 0.5, 8.0),
        ShapeParameter("gamma", 0.01, 1.3),
    )
    typical = ((1.0, 2.0, 0.3), (2.0, 3.0, 0.1), (2.0, 1.5, 0.7))
    sharp = True

    def intensity(self, log_t: Tensor, shape: Tensor) -> Tensor:
        return self.evaluate(log_t, shape)[0]

    def evaluate(self, log_t: Tensor, shape: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        alpha, beta, gamma = (align(v.double().exp(), log_t) for v in shape.unbind(-1))
        turn = torch.sigmoid(alpha * log_t)
        rise = softplus(alpha * log_t, threshold=50.0) / alpha
        outer = rise - math.log(2.0) / alpha  # what the outer slope has to say, relative to the break
        log_g = -gamma * log_t + (gamma - beta) * outer - math.log(math.pi)
        g = torch.exp(log_g.clamp(max=80.0))
        by_alpha = (gamma - beta) * (turn * log_t - outer)
        by_beta, by_gamma = -beta * outer, gamma * (outer - log_t)
        return g, g * ((gamma - beta) * turn - gamma), torch.stack([g * by_alpha, g * by_beta, g * by_gamma])

    def half_light(self, shape: Tensor) -> Tensor:
        return torch.full_like(shape[:, 0], torch.nan)
