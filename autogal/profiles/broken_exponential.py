"""The broken exponential disk."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from autogal.profiles.integrated import IntegratedProfile
from autogal.profiles.radial import ShapeParameter

__all__ = ["BrokenExponential"]


class BrokenExponential(IntegratedProfile):
    r"""Two exponentials that meet smoothly,
    :math:`I(r) \propto e^{-r/h_1} (1 + e^{a (r - r_b)})^{(1/h_1 - 1/h_2) / a}`.

    Notes
    -----
    Erwin, Pohlen & Beckman (2008, AJ 135, 20, eq. 5), as in IMFIT (Erwin 2015, ApJ 799, 226). ``sharpness``
    is
    :math:`a h_1`, without a unit: IMFIT's alpha is sharpness / h_in. Both a disk that steepens (h_out < h_in)
    and one that flattens are possible.
    """

    name = "broken_exponential"
    size = ShapeParameter("h_in", 0.05, math.inf, length=True)
    shape = (
        ShapeParameter("h_out", 0.05, math.inf, length=True),
        ShapeParameter("r_break", 0.1, math.inf, length=True),
        ShapeParameter("sharpness", 0.5, 100.0),
    )
    typical = ((0.5, 3.0, 5.0), (2.0, 2.0, 5.0))
    sharp = True

    def log_intensity(self, log_t: Tensor, shape: list[Tensor]) -> tuple[Tensor, Tensor, list[Tensor]]:
        h, r_break, a = (v.exp() for v in shape)
        t = log_t.exp()
        bend = 1 - 1 / h
        beyond = a * (t - r_break)
        rise, turn = softplus(beyond, threshold=50.0) / a, torch.sigmoid(beyond)
        by_break = -bend * turn * r_break
        by_sharpness = bend * (turn * (t - r_break) - rise)
        return bend * rise - t, t * (bend * turn - 1), [rise / h, by_break, by_sharpness]
