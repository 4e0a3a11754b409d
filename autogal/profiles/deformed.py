"""A profile whose isophotes are no ellipses: boxy or disky, lopsided, or bent by Fourier modes."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from autogal.profiles.light import Light
from autogal.profiles.radial import RadialProfile, align

__all__ = ["Contour", "Deformed"]

# 1 + the modes, below which their logarithm goes on as its tangent: modes may add up to more than 1 and leave
# no radius
_LEAST = 0.2
_TINY = 1e-30
_ANGLES = 512  # of the mean over a contour


class Contour(NamedTuple):
    """An isophote of size 1: a point at t times its distance has the brightness of the profile's radius t.

    Attributes
    ----------
    log_s : Tensor, [B, ...]
        ln of the ratio of the profile's radius to the elliptical one.
    by_theta, by_psi : Tensor, [B, ...]
        Its derivatives by the direction, and by the angle of the box with the modes kept as they are.
    by_own : list of Tensor, [B, ...]
        By c0 and by the two coefficients of each mode.
    """

    log_s: Tensor
    by_theta: Tensor
    by_psi: Tensor
    by_own: list[Tensor]


class Deformed(Light):
    r"""Any radial profile on the generalised ellipses and Fourier modes of GALFIT (Peng et al. 2010, AJ 139,
    2097, eqs. 3, 24).

    With x' and y' along the major and the minor axis,

    .. math:: r_0 = (|x'|^{c_0 + 2} + |y' / q|^{c_0 + 2})^{1 / (c_0 + 2)}, \quad
              r = r_0\,[1 + \sum_m a_m \cos(m (\theta + \phi_m))], \quad \theta = \mathrm{atan2}(y' / q, x').

    c0 > 0 is boxy, c0 < 0 disky. ``am<m>`` is :math:`a_m` and ``pm<m>`` is :math:`\phi_m` in degrees, from
    -180 / m to 180 / m, with theta counter-clockwise from the direction ``pa``: where ``pa`` goes over from
    180 to 0 a phase of odd m jumps by half its range. Where the cosine is positive the light is nearer to the
    centre. m = 2 is an ellipse, so that it is not a mode.

    Parameters
    ----------
    profile : RadialProfile
    boxiness : bool
        Whether it has c0.
    modes : tuple of int
        1, or 3 to `autogal.parameters.HIGHEST_MODE`, each once, in rising order.

    Notes
    -----
    All isophotes are alike, whence the size keeps its meaning on the deformed ones: r_eff is that of the
    isophote that holds half of the light. The magnitude is that of all the light, modes included (GALFIT's
    counts c0 alone); a brightness stated at a break is that of the break's isophote of the area of its
    ellipse.

    Inside, a mode is the pair of coefficients of cos(m t) and sin(m t) with t = theta + psi, psi being the
    major axis from +x: it has no singular phase where the amplitude is zero, and none where q is 1.
    """

    renderer = "autogal.rendering.multipole:MultipoleRenderer"
    component = "autogal.model.deformed:DeformedComponent"

    def __init__(self, profile: RadialProfile, boxiness: bool, modes: tuple[int, ...] = ()):
        self.profile, self.boxiness, self.modes = profile, boxiness, modes
        self.name, self.brightness, self.size, self.shape = (
            profile.name,
            profile.brightness,
            profile.size,
            profile.shape,
        )
        self.largest, self.typical, self.sharp = profile.largest, profile.typical, profile.sharp

    @property
    def period(self) -> int:
        """How many times the contour repeats itself in a turn."""
        return math.gcd(*([4] if self.boxiness else []), *self.modes)

    @property
    def own(self) -> int:
        """Number of parameters of the contour."""
        return self.boxiness + 2 * len(self.modes)

    def half_light(self, shape: Tensor) -> Tensor:
        """As `RadialProfile.half_light`."""
        return self.profile.half_light(shape)

    def contour(self, theta: Tensor, own: Tensor, psi: Tensor) -> Contour:
        """The contour in given directions.

        Parameters
        ----------
        theta : Tensor, [B, ...]
            From +x, in the frame in which the ellipse is a circle.
        own : Tensor, [B, K]
            c0, then the two coefficients of each mode.
        psi : Tensor, [B]
            The major axis from +x.
        """
        log_s, by_theta, by_own = torch.zeros_like(theta), torch.zeros_like(theta), []
        if self.boxiness:
            log_s, by_theta, by_c0 = _box(theta - align(psi, theta), align(own[:, 0], theta))
            by_own.append(by_c0)
        by_psi = -by_theta
        if self.modes:
            coefficients = [align(v, theta) for v in own[:, int(self.boxiness) :].unbind(-1)]
            waves = [wave(m * theta) for m in self.modes for wave in (torch.cos, torch.sin)]
            turned = [
                m * sign * waves[2 * i + other]
                for i, m in enumerate(self.modes)
                for sign, other in ((-1, 1), (1, 0))
            ]
            whole = 1 + sum(a * wave for a, wave in zip(coefficients, waves))
            kept = whole.clamp(min=_LEAST)
            log_s = log_s + kept.log() + (whole - kept) / _LEAST
            by_theta = by_theta + sum(a * slope for a, slope in zip(coefficients, turned)) / kept
            by_own += [wave / kept for wave in waves]
        return Contour(log_s, by_theta, by_psi, by_own)

    def log_area(self, own: Tensor, psi: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """ln of the area of the contour over that of its ellipse, and its derivatives by psi and by its
        parameters.

        All zero where the brightness is not the total.

        Returns
        -------
        log_area, by_psi : Tensor, [B] float64
        by_own : Tensor, [K, B] float64
        """
        if self.brightness != "mag":
            return (
                torch.zeros_like(psi),
                torch.zeros_like(psi),
                torch.zeros(self.own, *psi.shape, dtype=psi.dtype, device=psi.device),
            )
        theta = torch.arange(_ANGLES, dtype=torch.float64, device=psi.device) * (
            2 * math.pi / self.period / _ANGLES
        )
        contour = self.contour(theta + psi[:, None], own, psi)
        areas = torch.exp(-2 * contour.log_s)
        mean = areas.mean(-1)
        by_psi, *by_own = (
            -2 * (areas * slope).mean(-1) / mean for slope in (contour.by_psi, *contour.by_own)
        )
        return mean.log(), by_psi, torch.stack(by_own)


def _box(alpha: Tensor, c0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """ln of the generalised radius on the unit circle, and its derivatives by the angle from the major
    axis and by c0."""
    cos, sin, p = alpha.cos(), alpha.sin(), c0 + 2
    a, b = cos.abs().clamp(min=_TINY), sin.abs().clamp(min=_TINY)
    along, across = a**p, b**p
    total = along + across
    log_s = total.log() / p
    by_alpha = (b ** (p - 1) * cos * sin.sign() - a ** (p - 1) * sin * cos.sign()) / total
    return log_s, by_alpha, ((along * a.log() + across * b.log()) / total - log_s) / p
