"""Flux, size and Sersic index from the light in elliptical rings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autogal.initialise.photometry.gaussians import INDEX_SCATTER, MODEL_ERROR, TYPICAL_INDEX, ring_profiles

__all__ = ["RadialFit", "Rings", "match_sersic", "measure_rings"]

_INDICES = np.geomspace(0.4, 8.0, 8)
_SIZES = 14


@dataclass(slots=True)
class Rings:
    """Mean brightness in elliptical rings: ``radius`` [px, semi-major], ``mean``, ``error``, each of shape
    (R,)."""

    radius: np.ndarray
    mean: np.ndarray
    error: np.ndarray


@dataclass(slots=True)
class RadialFit:
    """What the rings say: total ``flux``, ``r_eff`` [px], ``n``, ``sky``."""

    flux: float
    r_eff: float
    n: float
    sky: float


def measure_rings(
    image: np.ndarray, sigma: np.ndarray, use: np.ndarray, x: float, y: float, q: float, pa: float
) -> Rings:
    """Mean and error of the used pixels in rings that widen outwards.

    Parameters
    ----------
    image, sigma : ndarray of float64, shape (H, W)
    use : ndarray of bool, shape (H, W)
    x, y, q, pa
        Ellipse: centre [px], axis ratio, position angle [deg from +y].
    """
    height, width = image.shape
    dx, dy = np.arange(width) - x, (np.arange(height) - y)[:, None]
    sine, cosine = np.sin(np.radians(pa)), np.cos(np.radians(pa))
    along, across = -sine * dx + cosine * dy, cosine * dx + sine * dy
    radius = np.hypot(along, across / q)[use]
    # One pixel wide to 5 px, then growing with the radius.
    ring = np.where(radius < 5, radius, 5 + np.log(np.maximum(radius, 5) / 5) / np.log(1.2)).astype(int)
    counts = np.bincount(ring)
    filled = counts > 0
    counts = counts[filled]
    square, total, variance = (
        np.bincount(ring, values)[filled] for values in (radius**2, image[use], sigma[use] ** 2)
    )
    return Rings(np.sqrt(square / counts), total / counts, np.sqrt(variance) / counts)


def match_sersic(
    rings: Rings, q: float, psf: tuple[np.ndarray, np.ndarray], smallest: float, largest: float
) -> RadialFit | None:
    """The PSF-convolved Sersic profile closest to the rings, flux and sky solved for exactly.

    A grid over n and r_eff, then a finer one around its best point, averaged by likelihood.

    Parameters
    ----------
    rings : Rings
    q : float
        Axis ratio of the rings and the galaxy.
    psf : (variances, fluxes)
        From :func:`autogal.initialise.photometry.gaussians.psf_gaussians`.
    smallest, largest : float
        Range of r_eff [px].

    Returns
    -------
    RadialFit or None
        None where no profile of positive flux fits, or there are fewer than four rings.
    """
    if rings.radius.size < 4:
        return None
    background = np.median(rings.mean[-3:])
    error = np.hypot(rings.error, MODEL_ERROR * np.abs(rings.mean - background))
    sizes = np.geomspace(smallest, largest, _SIZES)
    chi2, flux, sky = _grid(rings, error, _INDICES, sizes, q, psf)
    if not np.isfinite(chi2).any():
        return None
    i, j = np.unravel_index(np.argmin(chi2), chi2.shape)
    step_n, step_r = _INDICES[1] / _INDICES[0], sizes[1] / sizes[0]
    indices = np.unique(np.clip(np.round(_INDICES[i] * step_n ** np.linspace(-1, 1, 7), 3), 0.3, 8.5))
    sizes = sizes[j] * step_r ** np.linspace(-1, 1, 7)
    chi2, flux, sky = _grid(rings, error, indices, sizes, q, psf)
    if not np.isfinite(chi2).any():
        return None
    weight = np.exp(-0.5 * (chi2 - chi2.min()))
    weight /= weight.sum()

    def mean(values):
        return float(np.sum(weight * np.where(weight > 0, values, 0.0)))

    return RadialFit(
        flux=float(np.exp(mean(np.log(np.where(flux > 0, flux, 1.0))))),
        r_eff=float(np.exp(mean(np.log(sizes)))),
        n=float(np.exp(mean(np.log(indices)[:, None]))),
        sky=mean(sky),
    )


def _grid(rings, error, indices, sizes, q, psf) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chi-square, flux and sky for every (n, r_eff); infinite chi-square where the flux is not positive."""
    model = np.stack([ring_profiles(n, sizes, q, psf, rings.radius) for n in indices])  # [N, S, R]
    w = 1 / error**2
    total, mm, m1 = w.sum(), (w * model**2).sum(-1), (w * model).sum(-1)
    md, d1 = (w * model * rings.mean).sum(-1), (w * rings.mean).sum()
    determinant = mm * total - m1**2
    with np.errstate(divide="ignore", invalid="ignore"):
        flux = (md * total - m1 * d1) / determinant
        sky = (mm * d1 - m1 * md) / determinant
    residual = (rings.mean - flux[..., None] * model - sky[..., None]) / error
    chi2 = (residual**2).sum(-1) + ((np.log(indices) - TYPICAL_INDEX) / INDEX_SCATTER)[:, None] ** 2
    usable = np.isfinite(flux) & (flux > 0) & (determinant > 1e-10 * mm * total)
    return np.where(usable, chi2, np.inf), np.where(usable, flux, 0.0), np.where(usable, sky, 0.0)
