"""The triaxial ellipsoid whose image is a Sersic profile."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autogal.profiles.body import Body
from autogal.profiles.radial import ShapeParameter
from autogal.profiles.sersic import Sersic

__all__ = ["Ellipsoid"]

_TINY = 1e-12  # the slope of a square root at zero is finite then


class Ellipsoid(Body):
    r"""A body whose emissivity is the same on similar ellipsoids, and whose image is a Sersic profile from
    every side.

    Its axes are 1 : ``b_a`` : ``c_a``, the third one being its pole; ``azimuth`` [deg] is the angle, in its
    plane, from the line of nodes to its first axis. ``r_eff`` is the half-light radius of its image along the
    first axis where it is seen face-on.

    Notes
    -----
    The image of similar ellipsoids is made of similar ellipses (Stark 1977, ApJ 213, 368; Binney 1985, MNRAS
    212, 767), so their deprojection need not be known. Where the ellipsoids are :math:`r^T C^{-1} r = m^2`,
    the ellipses are those of the upper left part of C in the axes of the sky. One image tells no more than
    its axis ratio and its angle: of the inclination, the position angle, the axes and the azimuth only two
    can be free.
    """

    name = "ellipsoid"
    renderer = "autogal.rendering.tilted:EllipsoidRenderer"
    size = ShapeParameter("r_eff", 0.05, math.inf, length=True)
    shape = (
        *Sersic.shape,
        ShapeParameter("b_a", 0.05, 1.0),
        ShapeParameter("c_a", 0.05, 1.0),
        ShapeParameter("azimuth", 1e-3, 180.0),
    )
    typical = ((1.0, 1.0, 0.5, 45.0), (4.0, 1.0, 0.5, 45.0))
    largest = 0.75

    def project(self, size: Tensor, cos2: Tensor, shape: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The ellipse that is seen.

        Parameters
        ----------
        size : Tensor, [B]
            ln of r_eff.
        cos2 : Tensor, [B]
            Squared cosine of the inclination.
        shape : Tensor, [B, 4]
            Logarithms of the own parameters.

        Returns
        -------
        log_r, e1, e2 : Tensor, [B]
            ln of the circularised half-light radius, and the ellipticity as
            `autogal.rendering.spectral.SpectralRenderer` has it, with the line of nodes as the first axis.
        """
        b2, c2, azimuth = (
            torch.exp(2 * shape[:, 1]),
            torch.exp(2 * shape[:, 2]),
            torch.deg2rad(shape[:, 3].exp()),
        )
        cos, sin = azimuth.cos(), azimuth.sin()
        along = cos * cos + b2 * sin * sin
        across = cos2 * (sin * sin + b2 * cos * cos) + c2 * (1 - cos2)
        mixed = torch.sqrt(cos2 + _TINY) * sin * cos * (1 - b2)
        root = torch.sqrt(along * across - mixed * mixed)
        s1, s2 = (along - across) / (2 * root), mixed / root
        square = s1 * s1 + s2 * s2  # sinh^2 of -ln q
        safe = torch.where(square < 1e-4, 1.0, square).sqrt()
        stretch = torch.where(square < 1e-4, 1 - square / 6 + 3 * square**2 / 40, torch.asinh(safe) / safe)
        return size + root.log() / 2, s1 * stretch, s2 * stretch

    def half_light(self, shape: Tensor) -> Tensor:
        return torch.zeros_like(shape.sum(-1))
