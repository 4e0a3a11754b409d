"""Surface photometry of crops: the ellipse that fits the light best, and how bright it is ring by ring.

A network learns position angles and profiles from pixels slowly; from these numbers it has them at once.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["NAMES", "photometry", "psf_moments", "shape"]

_RINGS = 12
_INNERMOST, _OUTERMOST = 0.35, 6.0  # semi-major axes of the rings, in units of the ellipse's
_ITERATIONS = 10
_NARROWEST = 0.03  # radii^2; a Gaussian narrower than two pixels of a crop says nothing about shape
_WIDEST = 1.2  # radii^2
_FAINTEST = 1e-3  # of the brightest ring

NAMES = ("ln S/N", "ln size", "ln true size", "mean x", "mean y", "e1", "e2", "true e1", "true e2",
         *(f"ring {k}" for k in range(_RINGS)), *(f"S/N of ring {k}" for k in range(_RINGS)))


def photometry(light: Tensor, covered: Tensor, step: Tensor, psf: Tensor, pixel: Tensor) -> tuple[Tensor, Tensor]:
    """Ellipse and profile of B crops.

    Parameters
    ----------
    light : Tensor, [B, S, S]
        In units of the noise of a stamp's pixel; 0 where nothing is known.
    covered : Tensor, [B, S, S]
        Part of each of the crop's pixels that is known, 0 to 1.
    step : Tensor, [S]
        Places of the crop's pixels along either axis, in radii from its middle.
    psf : Tensor, [B, 3]
        Second moments xx, yy, xy of the PSF, from `psf_moments`, in radii^2.
    pixel : Tensor, [B]
        Side of the crop's pixels in the stamp's.

    Returns
    -------
    features : Tensor, [B, len(NAMES)]
        ``ln S/N`` under the ellipse; half its area's logarithm, as seen and with the PSF taken off; its centre and
        ellipticities (as those of `autogal.initialise.targets`) in the same two ways; the logarithm of each ring's mean
        against the brightest's; and asinh of its S/N.
    flux : Tensor, [B]
        Light under the ellipse's Gaussian, in units of the noise; not always positive.

    Notes
    -----
    The ellipse's own weighted moments are those of the light (Bernstein & Jarvis 2002, section 3). What is not known is
    taken from the opposite side of the crop: galaxies are nearly symmetric about their centre.
    """
    opposite, seen = light.flip(1, 2), covered.flip(1, 2)
    light = torch.where((covered < 0.5) & (seen > covered), opposite, light)
    step = step.expand(len(light), -1)
    x, y, xx, yy, xy = _adaptive_moments(light, step, step)
    weight = _gaussian(step, step, x, y, xx, yy, xy)
    flux = 2 * (light * weight).sum((1, 2)) * pixel**2
    noise = (weight.square().sum((1, 2))).sqrt() * pixel * 2
    observed, true = shape(xx, yy, xy), shape(*(whole - part for whole, part in zip((xx, yy, xy), psf.unbind(1))))
    brightness, significance = _rings(light, torch.maximum(covered, seen), step, (x, y, xx, yy, xy), pixel)
    significant = (flux / noise).clamp(min=1).log()
    columns = [significant, observed[0], true[0], x, y, *observed[1:], *true[1:], *brightness.unbind(1), *significance.unbind(1)]
    return torch.stack(columns, 1), flux


def psf_moments(psf: Tensor, fwhm: Tensor) -> Tensor:
    """Second moments xx, yy, xy [px^2] of the Gaussian that fits each PSF best, [B, 3].

    Parameters
    ----------
    psf : Tensor, [B, K, L]
        Centred images.
    fwhm : Tensor, [B]
        px.
    """
    columns, rows = ((torch.arange(length, device=psf.device) - (length - 1) / 2) / fwhm[:, None] for length in reversed(psf.shape[1:]))
    return torch.stack(_adaptive_moments(psf.float(), columns, rows)[2:], 1) * fwhm[:, None].square()


def _adaptive_moments(light: Tensor, columns: Tensor, rows: Tensor) -> tuple[Tensor, ...]:
    """Centre and second moments x, y, xx, yy, xy [B] of the Gaussian that fits light best, whose columns and rows are at [B, W], [B, H]."""
    x = y = xy = light.new_zeros(len(light))
    xx = yy = light.new_full((len(light),), 0.25)
    for _ in range(_ITERATIONS):
        weighted = light * _gaussian(columns, rows, x, y, xx, yy, xy)
        along, down = weighted.sum(1), weighted.sum(2)
        total = along.sum(1)
        # without light there is nothing to follow
        real = total > 0
        total = torch.where(real, total, 1.0)
        mx, my = (along * columns).sum(1) / total, (down * rows).sum(1) / total
        mxx, myy = (along * columns**2).sum(1) / total - mx * mx, (down * rows**2).sum(1) / total - my * my
        mxy = ((weighted @ columns[:, :, None])[:, :, 0] * rows).sum(1) / total - mx * my
        # the product of two equal Gaussians has half their moments
        x, y = (torch.where(real, (c + 2 * (m - c).clamp(-0.2, 0.2)).clamp(-0.5, 0.5), c) for c, m in ((x, mx), (y, my)))
        xx, yy, xy = (torch.where(real, 2 * m, c) for c, m in ((xx, mxx), (yy, myy), (xy, mxy)))
        xx, yy, xy = _bounded(xx, yy, xy)
    return x, y, xx, yy, xy


def _bounded(xx: Tensor, yy: Tensor, xy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Moments whose larger and smaller eigenvalues lie within the bounds."""
    middle, half = (xx + yy) / 2, torch.hypot((xx - yy) / 2, xy)
    large, small = ((middle + sign * half).clamp(_NARROWEST, _WIDEST) for sign in (1, -1))
    turn = (large - small) / 2 / half.clamp(min=1e-9)
    along, cross = turn * (xx - yy) / 2, turn * xy
    return (large + small) / 2 + along, (large + small) / 2 - along, cross


def shape(xx: Tensor, yy: Tensor, xy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """ln size and the two ellipticities, of length -ln q, of second moments [B], [B] each."""
    xx, yy, xy = _bounded(xx, yy, xy)
    middle, half = (xx + yy) / 2, torch.hypot((xx - yy) / 2, xy)
    large, small = middle + half, middle - half
    eta = 0.5 * torch.log(large / small)
    return 0.25 * torch.log(large * small), eta * (xx - yy) / 2 / half.clamp(min=1e-9), eta * xy / half.clamp(min=1e-9)


def _squares(columns: Tensor, rows: Tensor, x: Tensor, y: Tensor, xx: Tensor, yy: Tensor, xy: Tensor) -> Tensor:
    """Square of the elliptical radius [B, H, W] in units of the ellipse."""
    dx, dy = columns - x[:, None], rows - y[:, None]
    determinant = (xx * yy - xy * xy).clamp(min=1e-9)
    a, b, c = (part[:, None, None] for part in (yy / determinant, -xy / determinant, xx / determinant))
    return a * dx[:, None, :].square() + 2 * b * dx[:, None, :] * dy[:, :, None] + c * dy[:, :, None].square()


def _gaussian(columns: Tensor, rows: Tensor, *moments: Tensor) -> Tensor:
    return torch.exp(-0.5 * _squares(columns, rows, *moments))


def _rings(light: Tensor, covered: Tensor, step: Tensor, moments: tuple[Tensor, ...], pixel: Tensor) -> tuple[Tensor, Tensor]:
    """Means of elliptical rings [B, R]: their logarithms against the brightest's, and asinh of their S/N."""
    place = 0.5 * torch.log(_squares(step, step, *moments).clamp(min=1e-6)) - math.log(_INNERMOST)
    place = (place * ((_RINGS - 1) / math.log(_OUTERMOST / _INNERMOST))).clamp(min=0).flatten(1)
    known = covered.flatten(1).clamp(max=1)
    values = light.flatten(1)
    sums, counts = [], []
    for k in range(_RINGS):
        weight = known * (1 - (place - k).abs()).clamp(min=0)
        sums.append((weight * values).sum(1))
        counts.append(weight.sum(1))
    total, count = torch.stack(sums, 1), torch.stack(counts, 1)
    there = count > 0.5
    mean = torch.where(there, total / count.clamp(min=0.5), 0.0)
    significance = torch.where(there, mean * count.clamp(min=0.5).sqrt() * pixel[:, None], 0.0)
    brightest = mean.amax(1, keepdim=True).clamp(min=1e-6)
    return torch.log((mean / brightest).clamp(min=_FAINTEST)), torch.asinh(significance)
