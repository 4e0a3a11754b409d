"""The disk of finite thickness, at any inclination."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from autogal.profiles.body import Body
from autogal.profiles.radial import ShapeParameter

__all__ = ["DiskTransform", "ThickDisk"]

_SERIES = 0.3  # below which the expansion of `_coth_term` is right to 1e-9


class DiskTransform(NamedTuple):
    """The transform of a body of unit flux in the plane of the sky, and its derivatives.

    Attributes
    ----------
    value : Tensor, [B, Kx, Ky]
    by_size : Tensor
        By the logarithm of all lengths.
    by_cos2 : Tensor
        By the squared cosine of the inclination.
    by_turn : Tensor
        By the direction of the x axis, divided by the squared sine of the inclination.
    by_shape : tuple of Tensor
        By the logarithms of the own parameters.
    """

    value: Tensor
    by_size: Tensor
    by_cos2: Tensor
    by_turn: Tensor
    by_shape: tuple[Tensor, ...]


class ThickDisk(Body):
    r"""A disk that is exponential in radius and sech^2 in height,
    :math:`e \propto \exp(-R / h)\,\mathrm{sech}^2(z / z_0)`.

    Notes
    -----
    van der Kruit & Searle (1981, A&A 95, 105). By the projection-slice theorem the transform of its image is
    the slice of its transform in space, a product of a Hankel and a Fourier transform in closed form,
    perpendicular to the line of sight: with a and b the wave numbers along and across the line of nodes times
    h, and i the inclination,

    .. math:: [1 + a^2 + b^2 \cos^2 i]^{-3/2}\; c / \sinh c, \quad c = \pi\, b\, z_0 \sin i / 2h .
    """

    name = "thick_disk"
    renderer = "autogal.rendering.tilted:DiskRenderer"
    shape = (ShapeParameter("z0", 0.01, math.inf, length=True),)
    typical = ((0.15,), (0.4,))

    def transform(self, a: Tensor, b: Tensor, cos2: Tensor, shape: Tensor) -> DiskTransform:
        """Fourier transform of the image of a disk of unit flux.

        Parameters
        ----------
        a, b : Tensor, [B, Kx, Ky]
            Wave numbers along and across the line of nodes, times h.
        cos2 : Tensor, [B, 1, 1]
            Squared cosine of the inclination.
        shape : Tensor, [B, 1]
            ln of z0 / h.
        """
        height = (math.pi / 2) * shape[:, 0].exp().to(b.dtype)[:, None, None]
        c = height * b.abs() * (1 - cos2).clamp(min=0.0).sqrt()
        pole = _coth_term(c)
        value = (1 + a * a + b * b * cos2) ** -1.5 * _over_sinh(c)
        plane, thick = 3 / (1 + a * a + b * b * cos2), height**2 * pole
        by_size = -value * (a * a * plane + b * b * (plane * cos2 + thick * (1 - cos2)))
        bent = -value * (plane - thick)
        return DiskTransform(value, by_size, bent * b * b / 2, bent * a * b, (-value * pole * c * c,))

    def half_light(self, shape: Tensor) -> Tensor:
        return torch.full_like(shape.sum(-1), math.log(1.678))


def _over_sinh(c: Tensor) -> Tensor:
    """c / sinh(c), c >= 0."""
    small = c < 1e-3
    safe = c.clamp(min=1e-3)
    return torch.where(small, 1 - c * c / 6, 2 * safe * torch.exp(-safe) / -torch.expm1(-2 * safe))


def _coth_term(c: Tensor) -> Tensor:
    """(c coth(c) - 1) / c^2, c >= 0."""
    square, safe = c * c, c.clamp(min=_SERIES)
    series = 1 / 3 - square * (1 / 45 - square * (2 / 945 - square * (1 / 4725 - square * (2 / 93555))))
    return torch.where(c < _SERIES, series, (safe / torch.tanh(safe) - 1) / safe**2)
