"""The PSF that stands in where there is none."""

from __future__ import annotations

import numpy as np

from autogal.errors import AutogalError

__all__ = ["moffat"]

# Gauss-Legendre nodes per pixel and axis; 1e-6 of the peak for a Moffat FWHM of 1.5 pixels.
_NODES = 7


def moffat(
    fwhm: float,
    beta: float = 3.0,
    size: int | None = None,
    q: float = 1.0,
    pa: float = 0.0,
    pixel: bool = True,
) -> np.ndarray:
    """A Moffat PSF, centred on the middle pixel.

    I(r) = (1 + (r / alpha)^2)^-beta, fwhm = 2 alpha sqrt(2^(1 / beta) - 1)
    (Moffat 1969, A&A 3, 455), integrated over each pixel.

    Parameters
    ----------
    fwhm : float
        Along the major axis, pixels, before the pixel.
    beta : float
        Index, > 1.
    size : int, optional
        Side, odd. Large enough to hold all but 0.4 % of the light at beta = 2.5 by default.
    q, pa : float
        Axis ratio, and position angle in degrees counter-clockwise from +y.
    pixel : bool
        True for the effective PSF, pixel included; False for the optical one,
        sampled at the pixel centres.

    Returns
    -------
    ndarray of float64, shape (size, size)
        Sum 1.

    Raises
    ------
    AutogalError
        Where a parameter is out of range.
    """
    if not (fwhm > 0 and np.isfinite(fwhm) and beta > 1 and 0 < q <= 1):
        raise AutogalError(
            f"No Moffat PSF has fwhm = {fwhm}, beta = {beta}, q = {q}.",
            "Give fwhm > 0, beta > 1 and 0 < q <= 1.",
        )
    if size is None:
        size = 2 * min(max(int(np.ceil(6 * fwhm)), 5), 100) + 1
    if size < 1 or size % 2 == 0:
        raise AutogalError(f"A PSF of {size} pixels has no middle pixel.", "Give an odd size.")
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    nodes, weights = np.polynomial.legendre.leggauss(_NODES) if pixel else (np.zeros(1), np.full(1, 2.0))
    centres = np.arange(size) - size // 2
    positions = (centres[:, None] + nodes / 2).ravel()
    angle = np.deg2rad(pa)
    y, x = positions[:, None], positions[None, :]
    major = y * np.cos(angle) - x * np.sin(angle)
    minor = (x * np.cos(angle) + y * np.sin(angle)) / q
    fine = (1 + (major**2 + minor**2) / alpha**2) ** -beta
    count = len(nodes)
    psf = np.einsum("iajb,a,b->ij", fine.reshape(size, count, size, count), weights, weights)
    return psf / psf.sum()
