"""Sersic profiles and PSFs as sums of Gaussians, which can be convolved by adding variances.

Good to a few percent, which is enough to start a fit; the fit itself never uses them.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.optimize import lsq_linear, nnls
from scipy.special import gamma, gammaincinv, i0e

__all__ = [
    "INDEX_SCATTER",
    "MODEL_ERROR",
    "TYPICAL_INDEX",
    "psf_gaussians",
    "ring_profiles",
    "sersic_shares",
    "weighted_axis_ratio",
]

# Of both fits of profiles to rings
MODEL_ERROR = 0.03  #: no galaxy follows its ellipses better than this
TYPICAL_INDEX, INDEX_SCATTER = (
    math.log(1.8),
    0.8,
)  #: of ln n, of most galaxies; decides only where the light does not


@lru_cache(maxsize=512)
def sersic_gaussians(n: float) -> tuple[np.ndarray, np.ndarray]:
    """Variances [r_eff^2] and fluxes of the Gaussians that make a round Sersic profile of unit total flux."""
    # Cores and wings spread with n; a fixed range would waste Gaussians on light that is not there.
    sigma = np.geomspace(np.clip(0.08 / n**1.2, 0.02, 0.3), np.clip(4 * n**0.8, 1.5, 12), 14)
    flux = sersic_shares(n, sigma)
    keep = flux > 1e-4
    return sigma[keep] ** 2, flux[keep]


def sersic_shares(n: float, sigma: np.ndarray) -> np.ndarray:
    """Fluxes of Gaussians of dispersions `sigma` [r_eff] that make a round Sersic profile of unit total flux.

    The profile is Ciotti & Bertin (1999), with b_n from the incomplete gamma function.

    Parameters
    ----------
    n : float
    sigma : ndarray, shape (G,)

    Returns
    -------
    ndarray, shape (G,)
        None negative.
    """
    b = gammaincinv(2 * n, 0.5)
    radius = np.geomspace(0.01, 20, 80)
    total = 2 * np.pi * n * b ** (-2 * n) * gamma(2 * n)
    return _fit(radius, np.exp(-b * radius ** (1 / n)) / total, sigma)


def psf_gaussians(
    psf: np.ndarray, kind: str = "effective", oversample: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Variances [px^2] and fluxes of the round Gaussians closest to a PSF.

    Parameters
    ----------
    psf : ndarray, shape (K, L)
        Odd sides, centred, sum 1.
    kind : str
        ``"optical"`` adds the variance of a pixel.
    oversample : int
        Samples per image pixel.
    """
    rows, columns = psf.shape
    grid_y, grid_x = np.mgrid[:rows, :columns]
    distance = np.hypot(grid_x - (columns - 1) / 2, grid_y - (rows - 1) / 2)
    ring = np.rint(2 * distance).astype(int)
    counts = np.bincount(ring.ravel())
    filled = counts > 0
    radius = (np.bincount(ring.ravel(), distance.ravel())[filled] / counts[filled]) / oversample
    profile = np.bincount(ring.ravel(), psf.ravel())[filled] / counts[filled] * oversample**2
    area = np.count_nonzero(psf >= psf.max() / 2) / oversample**2
    width = max(np.sqrt(area / np.pi) / 1.1774, 0.25)
    sigma = width * np.geomspace(0.6, 5, 5)
    flux = _fit(np.maximum(radius, 0.1 / oversample), profile, sigma)
    if not flux.sum() > 0:
        sigma, flux = np.array([width]), np.array([1.0])
    keep = flux > 0.01 * flux.sum()
    pixel = 1 / 12 if kind == "optical" else 0.0
    return sigma[keep] ** 2 + pixel, flux[keep] / flux[keep].sum()


def ring_profiles(
    n: float, r_eff: np.ndarray, q: float, psf: tuple[np.ndarray, np.ndarray], radius: np.ndarray
) -> np.ndarray:
    """Mean brightness on ellipses of a PSF-convolved Sersic profile of unit flux.

    Each convolved Gaussian is an ellipse of another axis ratio than the rings'; its mean over a ring is
    exact: a Bessel function.

    Parameters
    ----------
    n : float
    r_eff : ndarray, shape (S,)
        Semi-major half-light radii [px].
    q : float
        Axis ratio of profile and rings.
    psf : (variances, fluxes)
        From :func:`psf_gaussians`.
    radius : ndarray, shape (R,)
        Semi-major axes of the rings [px].

    Returns
    -------
    ndarray, shape (S, R)
        Flux per square pixel.
    """
    variance, flux = sersic_gaussians(round(float(n), 2))
    major = (variance[:, None] * r_eff[:, None, None] ** 2 + psf[0])[..., None]  # [S, G, P, 1]
    minor = (variance[:, None] * (q * r_eff[:, None, None]) ** 2 + psf[0])[..., None]
    weight = (flux[:, None] * psf[1])[..., None] / (2 * np.pi * np.sqrt(major * minor))
    along, across = 1 / major, q * q / minor
    square = radius**2
    values = (
        weight
        * np.exp(-0.5 * square * np.minimum(along, across))
        * i0e(0.25 * square * np.abs(along - across))
    )
    return values.sum(axis=(1, 2))


def weighted_axis_ratio(
    n: float, r_eff: float, q: np.ndarray, psf: tuple[np.ndarray, np.ndarray], major: float, minor: float
) -> np.ndarray:
    """Axis ratio that a Gaussian weight measures on a PSF-convolved Sersic profile.

    Parameters
    ----------
    n : float
    r_eff : float
        Circularised half-light radius [px].
    q : ndarray, shape (Q,)
        True axis ratios.
    psf : (variances, fluxes)
        From :func:`psf_gaussians`.
    major, minor : float
        Dispersions of the weight [px].

    Returns
    -------
    ndarray, shape (Q,)
        Square root of the ratio of the weighted second moments.
    """
    variance, flux = sersic_gaussians(round(float(n), 2))
    size = variance[:, None] * r_eff**2 / q[:, None, None]  # [Q, G, 1]
    along, across = size + psf[0], size * (q**2)[:, None, None] + psf[0]
    # A Gaussian times a Gaussian weight is a Gaussian: inverse variances add.
    weighted_along, weighted_across = (
        along * major**2 / (along + major**2),
        across * minor**2 / (across + minor**2),
    )
    light = flux[:, None] * psf[1] / np.sqrt((along + major**2) * (across + minor**2))
    return np.sqrt((light * weighted_across).sum(axis=(1, 2)) / (light * weighted_along).sum(axis=(1, 2)))


def _fit(radius: np.ndarray, profile: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Non-negative fluxes of Gaussians of dispersion ``sigma`` that add up to a round profile."""
    basis = np.exp(-0.5 * (radius[:, None] / sigma) ** 2) / (2 * np.pi * sigma**2)
    # Half of the weight on relative accuracy, half on flux: neither core nor wings are given up.
    weight = 1 / np.maximum(np.abs(profile), 1e-4 * np.abs(profile).max())
    weight = np.sqrt(weight * radius**2 / np.max(np.abs(profile) * radius**2))
    matrix = basis * weight[:, None]
    scale = np.linalg.norm(matrix, axis=0)
    # Neighbouring Gaussians are nearly the same; a little damping keeps the active set from cycling.
    matrix = np.vstack([matrix / scale, 1e-6 * np.eye(sigma.size)])
    target = np.concatenate([profile * weight, np.zeros(sigma.size)])
    try:
        flux, _ = nnls(matrix, target)
    except RuntimeError:  # the active set cycled all the same; slower, but it always ends
        flux = lsq_linear(matrix, target, bounds=(0, np.inf)).x
    return flux / scale
