"""The PSF-convolved Sersic profile closest to the light in rings, for many targets at a time.

Profile and PSF are sums of Gaussians (Emsellem et al. 1994), so that a convolution adds variances and the
mean over an elliptical ring is a Bessel function. Good to a percent or so, which is what a network needs to
begin with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from autogal.initialise.photometry.gaussians import INDEX_SCATTER, MODEL_ERROR, TYPICAL_INDEX, sersic_shares

__all__ = ["RingFit", "Rings", "fit_rings", "psf_shares"]

_STEP = 1.4  # between the dispersions of neighbouring Gaussians, and between the sizes that are tried first
_WIDTHS = 24  # Gaussians of a profile
_NARROWEST = 0.006  # r_eff
_INDICES = np.geomspace(0.5, 8.5, 36)  # Gaussians cannot make a flatter core
_TRIED = slice(2, None, 5)  # of the indices, at first
_SIZES = 16
_LARGEST = 1.5  # r_eff, in the unit of length
PSF_WIDTHS = tuple(np.geomspace(0.6, 5, 5) / 2.3548)  # FWHM
_SKY_ERROR = 0.3  # of the noise of a pixel; the wings of a galaxy are part of what was taken off as sky
_ITERATIONS = 12
_NUDGE = 0.02  # of the logarithms, for derivatives
_FARTHEST_STEP = 0.4
_AXIS_RATIOS = np.linspace(0.06, 1.0, 24)


@dataclass(slots=True)
class Rings:
    """Light of B targets in R rings around each, and the PSF it was seen through.

    Attributes
    ----------
    square, mean, count : Tensor, [B, R]
        Mean square of the circularised radius, mean brightness in units of the noise of a pixel, and pixels
        of each ring.
    moments : Tensor, [B, 2]
        Larger and smaller second moment of the Gaussian that fits the light best, as if the PSF were round;
        its axis ratio is that of the rings.
    fwhm : Tensor, [B]
        Of the PSF. All lengths are in one unit, about as large as the target.
    shares : Tensor, [B, 5]
        From `psf_shares`.
    """

    square: Tensor
    mean: Tensor
    count: Tensor
    moments: Tensor
    fwhm: Tensor
    shares: Tensor

    def filled(self) -> Rings:
        """Without the outermost rings in which no target has a pixel."""
        last = 1 + int(
            ((self.count > 0).any(0) * torch.arange(self.count.shape[1], device=self.count.device)).amax()
        )
        return replace(
            self, square=self.square[:, :last], mean=self.mean[:, :last], count=self.count[:, :last]
        )


@dataclass(slots=True)
class RingFit:
    """Best profiles of B targets.

    Attributes
    ----------
    ln_flux, ln_r, ln_n : Tensor, [B]
        Logarithms of the total flux (noise of a pixel times area), of the circularised r_eff and of n.
    q : Tensor, [B]
        Axis ratio that has the measured one once it is convolved.
    error_r, error_n : Tensor, [B]
        Standard deviations of ln r and ln n.
    misfit : Tensor, [B]
        Reduced chi-square.
    sky : Tensor, [B]
        That the rings want, in units of how well it is known.
    """

    ln_flux: Tensor
    ln_r: Tensor
    ln_n: Tensor
    q: Tensor
    error_r: Tensor
    error_n: Tensor
    misfit: Tensor
    sky: Tensor


def psf_shares(psf: Tensor, fwhm: Tensor) -> Tensor:
    """Shares [B, 5] of round Gaussians of fixed widths in FWHM that make the centred PSFs [B, K, L] of `fwhm`
    [B] px.

    Least squares with non-negative shares, by the multiplicative rule of Lee & Seung (2001).

    Parameters
    ----------
    psf : Tensor, [B, K, L]
    fwhm : Tensor, [B]
        px.

    Returns
    -------
    Tensor, [B, 5]
        Their sum is 1.
    """
    columns, rows = (
        (torch.arange(length, device=psf.device) - (length - 1) / 2) / fwhm[:, None]
        for length in reversed(psf.shape[1:])
    )
    square = (columns[:, None, :].square() + rows[:, :, None].square()).flatten(1)
    light = psf.float().flatten(1).clamp(min=0)
    variance = light.new_tensor(PSF_WIDTHS).square()[:, None]
    basis = torch.exp(-0.5 * square[:, None, :] / variance) / (2 * math.pi * variance)
    light = light * (fwhm.square() / light.sum(1).clamp(min=1e-30))[:, None]
    # relative accuracy counts as much as absolute: the wings hold light too
    weight = 1 / (light + 1e-3 * light.amax(1, keepdim=True)).clamp(min=1e-30)
    gram, wanted = (basis * weight[:, None]) @ basis.mT, (basis * (weight * light)[:, None]).sum(2)
    shares = torch.full_like(wanted, 1 / len(PSF_WIDTHS))
    for _ in range(200):
        shares = shares * wanted / (gram @ shares[:, :, None])[:, :, 0].clamp(min=1e-30)
    return shares / shares.sum(1, keepdim=True).clamp(min=1e-30)


def fit_rings(rings: Rings, iterations: int = _ITERATIONS) -> RingFit:
    """Fit B targets: sizes and indices are tried, the best of them is improved by damped Gauss-Newton steps.

    Parameters
    ----------
    rings : Rings
    iterations : int
        Gauss-Newton steps.

    Returns
    -------
    RingFit
        float32.
    """
    # float64: in float32 chi-square is too coarse to tell when a bright galaxy's fit is done, and rounding
    # would decide
    profiles = _Profiles(Rings(*(getattr(rings, part.name).double() for part in fields(rings))).filled())
    ln_r, ln_n = profiles.coarse()
    damping, now, hessian = torch.full_like(ln_r, 1e-2), (), ln_r
    for iteration in range(iterations):
        if iteration in (0, iterations // 3):
            profiles.set_axis_ratio(ln_r, ln_n)
            now = profiles.solve(ln_r, ln_n)
        residual, _, by_n = now
        jacobian = torch.stack([(profiles.solve(ln_r + _NUDGE, ln_n)[0] - residual) / _NUDGE, by_n], 2)
        hessian, gradient = jacobian.mT @ jacobian, (jacobian * residual[:, :, None]).sum(1)
        damped = hessian + (damping[:, None] * hessian.diagonal(dim1=1, dim2=2) + 1e-6).diag_embed()
        step = (
            -(_inverse(damped) * gradient[:, None, :])
            .sum(2)
            .clamp(-_FARTHEST_STEP, _FARTHEST_STEP)
            .nan_to_num(0.0)
        )
        other = profiles.bounded(ln_r + step[:, 0], ln_n + step[:, 1])
        then = profiles.solve(*other)
        better = (then[0].square().sum(1) < residual.square().sum(1)) & (then[1] > 0)
        ln_r, ln_n = torch.where(better, other[0], ln_r), torch.where(better, other[1], ln_n)
        now = tuple(
            torch.where(better.view(-1, *[1] * (new.ndim - 1)), new, old)
            for new, old in zip(then, now, strict=True)
        )
        damping = torch.where(better, 0.2 * damping, 5 * damping)
    profiles.set_axis_ratio(ln_r, ln_n)
    errors = (
        _inverse(hessian + 1e-3 * torch.eye(2, device=ln_r.device, dtype=ln_r.dtype))
        .diagonal(dim1=1, dim2=2)
        .clamp(min=1e-12)
        .sqrt()
    )
    dof = ((rings.count > 0).sum(1) - 4).clamp(min=1)
    found = (
        now[1].clamp(min=1e-12).log(),
        ln_r,
        ln_n,
        profiles.q,
        *errors.unbind(1),
        now[0].square().sum(1) / dof,
        now[0][:, -2],
    )
    return RingFit(*(part.float() for part in found))


@lru_cache(maxsize=4)
def _table(device: torch.device) -> tuple[Tensor, Tensor]:
    """Variances [G, r_eff^2] of the Gaussians of a profile, and what part of the light each has at
    `_INDICES`, [N, G]."""
    sigma = _NARROWEST * _STEP ** np.arange(_WIDTHS)
    shares = np.stack([sersic_shares(float(n), sigma) for n in _INDICES])
    return tuple(torch.as_tensor(part, dtype=torch.float64, device=device) for part in (sigma**2, shares))


def _inverse(matrix: Tensor) -> Tensor:
    """Of symmetric matrices [B, 2, 2]."""
    a, b, c = matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 1]
    determinant = (a * c - b * b).clamp(min=1e-30)
    return torch.stack([c, -b, -b, a], 1).view(-1, 2, 2) / determinant[:, None, None]


class _Profiles:
    """Convolved profiles on the rings of B targets, of the axis ratio `q` [B]."""

    def __init__(self, rings: Rings):
        self.rings = rings
        self.variance, self.table = _table(rings.mean.device)
        self.ln_indices = rings.mean.new_tensor(np.log(_INDICES))
        self.star = (rings.fwhm[:, None] * rings.mean.new_tensor(PSF_WIDTHS)).square()
        larger, smaller = rings.moments.unbind(1)
        ratio = (smaller / larger).sqrt()
        self.axes = rings.square / ratio[:, None], rings.square * ratio[:, None]  # squares of the semi-axes
        variance = rings.count.clamp(min=1).reciprocal() + (MODEL_ERROR * rings.mean).square()
        self.weight = torch.where(rings.count > 0, variance.rsqrt(), 0.0)
        seeing = (rings.fwhm / 2.3548).square()
        self.q = (
            ((smaller - seeing).clamp(min=1e-6) / (larger - seeing).clamp(min=1e-6))
            .sqrt()
            .clamp(_AXIS_RATIOS[0], 1)
        )

    def bounded(self, ln_r: Tensor, ln_n: Tensor) -> tuple[Tensor, Tensor]:
        largest = math.log(_LARGEST)
        return (
            ln_r.clamp(largest - (_SIZES - 1) * math.log(_STEP), largest),
            ln_n.clamp(math.log(_INDICES[0]), math.log(_INDICES[-1]) - 2 * _NUDGE),
        )

    def coarse(self) -> tuple[Tensor, Tensor]:
        """ln r and ln n of the best profile of a grid; its sizes share their Gaussians."""
        smallest, steps = (
            math.log(_LARGEST) - (_SIZES - 1) * math.log(_STEP),
            torch.arange(_SIZES + _WIDTHS - 1, device=self.q.device),
        )
        widths = math.exp(2 * smallest) * self.variance[0] * _STEP ** (2 * steps)
        light = self._gaussians(widths.expand(len(self.q), -1)).unfold(1, _WIDTHS, 1)  # [B, S, R, G]
        indices = self.ln_indices[_TRIED]
        residual, flux = self._linear(
            torch.einsum("bsrg,ng->bnsr", light, self.table[_TRIED]), indices[:, None]
        )
        best = torch.where(flux > 0, residual.square().sum(-1), torch.inf).flatten(1).argmin(1)
        return smallest + (best % _SIZES) * math.log(_STEP), indices[best // _SIZES]

    def solve(self, ln_r: Tensor, ln_n: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Residuals [B, R + 2] in sigmas, those of sky and index the last, fluxes [B], and the residuals'
        derivative by ln n."""
        light = self._gaussians(torch.exp(2 * ln_r)[:, None] * self.variance)
        residual, flux = self._linear((self._shares(ln_n)[:, :, None] * light).sum(1), ln_n)
        beside, _ = self._linear((self._shares(ln_n + _NUDGE)[:, :, None] * light).sum(1), ln_n + _NUDGE)
        return residual, flux, (beside - residual) / _NUDGE

    def set_axis_ratio(self, ln_r: Tensor, ln_n: Tensor) -> None:
        """Find the true axis ratio of profiles whose convolved light has the measured moments.

        Taking the PSF's moments off is exact for Gaussians only; cuspy profiles come out too round.
        """
        light = self._shares(ln_n)
        ratios = self.q.new_tensor(_AXIS_RATIOS)
        trial, widths = (
            ratios[:, None, None],
            (torch.exp(2 * ln_r)[:, None] * self.variance)[:, None, :, None],
        )
        window = self.rings.moments[:, :, None, None, None].unbind(1)
        along, across = (widths * stretch + self.star[:, None, None] for stretch in (1 / trial, trial))
        # a Gaussian times a Gaussian window is a Gaussian: inverse variances add
        inside = (
            light[:, None, :, None]
            * self.rings.shares[:, None, None]
            / ((along + window[0]) * (across + window[1])).sqrt()
        )
        major, minor = (
            (inside * size * part / (size + part)).sum((2, 3)) for size, part in zip((along, across), window)
        )
        seen, measured = minor / major, self.rings.moments[:, 1] / self.rings.moments[:, 0]
        # what is seen grows with the true ratio
        above = (seen < measured[:, None]).sum(1).clamp(1, len(ratios) - 1)
        low, high = (seen.gather(1, at[:, None])[:, 0] for at in (above - 1, above))
        share = ((measured - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
        self.q = ratios[above - 1] + share * (ratios[above] - ratios[above - 1])

    def _shares(self, ln_n: Tensor) -> Tensor:
        """Shares [B, G] of the Gaussians in profiles of index n."""
        place = (ln_n - self.ln_indices[0]) / (self.ln_indices[1] - self.ln_indices[0])
        below = place.long().clamp(0, len(self.table) - 2)
        share = (place - below)[:, None]
        return (1 - share) * self.table[below] + share * self.table[below + 1]

    def _gaussians(self, widths: Tensor) -> Tensor:
        """Mean brightness [B, G, R] of convolved Gaussians of unit flux, of circularised variances [B, G]."""
        q, star = self.q[:, None, None], self.star[:, None]
        along, across = ((widths[:, :, None] * stretch + star)[..., None] for stretch in (1 / q, q))
        major, minor = self.axes[0][:, None, None] / along, self.axes[1][:, None, None] / across
        value = torch.exp(-0.5 * torch.minimum(major, minor)) * torch.special.i0e(
            0.25 * (major - minor).abs()
        )
        return (value * (self.rings.shares[:, None, :, None] / (2 * math.pi * (along * across).sqrt()))).sum(
            2
        )

    def _linear(self, model: Tensor, ln_n: Tensor) -> tuple[Tensor, Tensor]:
        """Residuals [B, ..., R + 2] and fluxes [B, ...] of profiles [B, ..., R] of unit flux, with the
        best flux and sky."""
        shape = (len(self.q),) + (1,) * (model.ndim - 2) + (-1,)
        one, data = self.weight.view(shape), (self.weight * self.rings.mean).view(shape)
        model = model * one
        mm, m1, md = model.square().sum(-1), (model * one).sum(-1), (model * data).sum(-1)
        s11, s1d = one.square().sum(-1) + 1 / _SKY_ERROR**2, (one * data).sum(-1)
        determinant = (mm * s11 - m1 * m1).clamp(min=1e-30)
        flux, sky = (md * s11 - m1 * s1d) / determinant, (mm * s1d - m1 * md) / determinant
        prior = ((ln_n - TYPICAL_INDEX) / INDEX_SCATTER).expand(flux.shape)
        residual = data - flux[..., None] * model - sky[..., None] * one
        return torch.cat([residual, (sky / _SKY_ERROR)[..., None], prior[..., None]], -1), flux
