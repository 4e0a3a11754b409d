"""The edge-on disk."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autogal.profiles.light import Light
from autogal.profiles.radial import ShapeParameter

__all__ = ["EdgeOn"]


class EdgeOn(Light):
    r"""A disk seen edge-on, exponential in radius and sech^2 in height,
    :math:`I(x, z) \propto (|x| / h) K_1(|x| / h)\,\mathrm{sech}^2(z / z_0)`.

    Notes
    -----
    van der Kruit & Searle (1981, A&A 95, 105); the edge-on disk of GALFIT (Peng et al. 2010, AJ 139, 2097),
    and of IMFIT (Erwin 2015, ApJ 799, 226) at n = 1. Its axis ratio is :math:`q = z_0 / h`, and it has a
    closed Fourier transform.
    """

    name = "edge_on"
    renderer = "autogal.rendering.axial:AxialRenderer"
    brightness = "mag"
    size = ShapeParameter("h", 0.05, math.inf, length=True)
    largest = 0.25
    shape: tuple[ShapeParameter, ...] = ()
    typical: tuple[tuple[float, ...], ...] = ()

    def transform(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Fourier transform of the disk of unit flux.

        Parameters
        ----------
        a, b : Tensor
            Wave number along the disk times h, and across it times z0.

        Returns
        -------
        transform, by_a, by_b : Tensor, shape of `a` and `b` together
            With its derivatives.
        """
        along = 1 / (1 + a * a)
        c = (math.pi / 2) * b.abs().clamp(min=1e-3)  # c / sinh(c), exact to 1e-6 where b is smaller
        e = torch.exp(-2 * c)
        across = 2 * c * torch.exp(-c) / (1 - e)
        value = along**1.5 * across
        return (
            value,
            -3 * a * along * value,
            value * torch.sign(b) * (1 / c - (1 + e) / (1 - e)) * (math.pi / 2),
        )

    def half_light(self, shape: Tensor) -> Tensor:
        """ln of the half-light radius, in units of h, of the Sersic profile that looks like it; about."""
        return torch.full_like(shape.sum(-1), math.log(1.4))
