"""Quadratic forms of elliptical radii, smooth through the circle."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["EllipticalForm", "elliptical_form", "evaluate_form"]


class EllipticalForm(NamedTuple):
    """The matrix exp(E), E = ((e1, e2), (e2, -e1)), and its derivatives, as ``v^T M v = xx x^2 + yy y^2 + xy
    x y``.

    Attributes
    ----------
    radius, by_e1, by_e2 : (Tensor, Tensor, Tensor)
        xx, yy, xy, each [B]: of the form itself, and of its derivatives by e1 and e2.
    """

    radius: tuple[Tensor, Tensor, Tensor]
    by_e1: tuple[Tensor, Tensor, Tensor]
    by_e2: tuple[Tensor, Tensor, Tensor]


def elliptical_form(e1: Tensor, e2: Tensor) -> EllipticalForm:
    """exp(E) = cosh(eta) 1 + sinh(eta) / eta E with eta = |(e1, e2)|, for e1, e2 of shape [B]."""
    eta = torch.hypot(e1, e2)
    small = eta < 1e-2
    safe = torch.where(small, 1.0, eta)
    cosh = torch.cosh(eta)
    sinhc = torch.where(small, 1 + eta**2 / 6 + eta**4 / 120, torch.sinh(eta) / safe)
    slope = torch.where(small, 1 / 3 + eta**2 / 30, (cosh - sinhc) / safe**2)  # d sinhc / d eta / eta
    a, b = sinhc * e1, sinhc * e2
    a1, b1 = sinhc + slope * e1 * e1, slope * e1 * e2
    b2 = sinhc + slope * e2 * e2
    return EllipticalForm((cosh + a, cosh - a, 2 * b), (a + a1, a - a1, 2 * b1), (b + b1, b - b1, 2 * b2))


def evaluate_form(form: tuple[Tensor, Tensor, Tensor], x: Tensor, y: Tensor) -> Tensor:
    """The form at the points of a grid of columns `x` [B or 1, 1, W] and rows `y` [B or 1, H, 1]: [B, H,
    W]."""
    xx, yy, xy = (v.to(x.dtype)[:, None, None] for v in form)
    return torch.addcmul(xx * x * x + yy * y * y, xy * y, x)
