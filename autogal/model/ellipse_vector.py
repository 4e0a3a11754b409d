"""The vector (w1, w2) of an axis ratio and a position angle, in which the solver moves them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autogal.parameters import position_angle, spin

__all__ = ["THINNEST", "squash", "squashed", "unsquashed"]

#: In ln q, from the bound beyond which the vector of a component has no length
THINNEST = 1e-4

_TINY = 1e-12
_CIRCLE = 1e-17  # length of the vector of an axis ratio of 1, so that its angle is not lost


def squash(u: Tensor) -> Tensor:
    """tanh(u) / u, of lengths in units of the largest -ln q."""
    return torch.where(u < 1e-3, 1 - u * u / 3, torch.tanh(u) / u.clamp(min=1e-3))


def squashed(w1: Tensor, w2: Tensor, least: float) -> tuple[Tensor, Tensor]:
    """-ln q and the position angle [deg] of a vector, with derivatives at the origin too.

    Parameters
    ----------
    w1, w2 : Tensor
    least : float
        The bound of q.

    Returns
    -------
    eta, pa : Tensor
        The vector's angle is 2 (pa + 90 deg), and eta = eta_max tanh(length / eta_max), which never passes
        eta_max = -ln(least).
    """
    most = -math.log(least)
    length = torch.sqrt(w1 * w1 + w2 * w2 + _TINY**2)
    return most * torch.tanh(length / most), position_angle(w1, w2)


def unsquashed(q: Tensor, pa: Tensor, least: float, closest: float = 1 - 1e-9) -> list[Tensor]:
    """The vector (w1, w2) of an axis ratio and a position angle [deg], the inverse of `squashed`.

    Parameters
    ----------
    q, pa : Tensor
    least : float
        The bound of q.
    closest : float
        Fraction of its bound that -ln q may have at most.
    """
    bound = -math.log(least)
    thin = -torch.log(torch.where(q > 1, 1.0, q))  # no clamp: on the bound itself that has no slope
    length = bound * torch.atanh((thin / bound).clamp(max=closest)) + _CIRCLE
    return list(spin(length, pa))
