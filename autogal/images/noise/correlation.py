"""How the noise of one pixel goes with that of its neighbours, measured on the sky of an image."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import fft
from scipy.ndimage import uniform_filter1d

__all__ = ["REACH", "Correlation", "correlation"]

#: Lags looked at, pixels
REACH = 8
_LAGS = np.arange(-REACH, REACH + 1)
_RING = np.rint(np.hypot(_LAGS[:, None], _LAGS)).astype(int)
_LOCAL = 12  # half side of the square whose mean is taken off: skies slope, and galaxies have wings
_CUT = 4.0  # robust standard deviations at which pixels are cut, lest a star outvotes the sky
_SIDE = 256  # pixels; of more than that the middle is enough
_FEWEST = 200  # pixels that say something of a correlation
_MAD = 1.4826


@dataclass(frozen=True, slots=True)
class Correlation:
    """Autocorrelation of the noise of an image.

    Attributes
    ----------
    matrix : ndarray of float, shape (2 REACH + 1, 2 REACH + 1)
        By lag in y and in x, pixels; 1 in the middle, 0 elsewhere for independent pixels.
    error : float
        Standard deviation of one of its entries where pixels are independent.
    scatter : float
        Standard deviation of a pixel, in the units of what was measured, the smoothest part taken off.
    """

    matrix: np.ndarray = field(compare=False)
    error: float
    scatter: float

    @property
    def neighbour(self) -> float:
        """Mean correlation with the four nearest pixels."""
        m = REACH
        return float(self.matrix[[m - 1, m + 1, m, m], [m, m, m - 1, m + 1]].mean())

    @property
    def reach(self) -> int:
        """Lags up to which it stands out of its own error, pixels: two rings of lags that do not end it."""
        quiet = 0
        for radius in range(1, REACH + 1):
            values = self.matrix[radius == _RING]
            # each lag is there twice, with its opposite
            quiet = quiet + 1 if abs(values.mean()) < 2.5 * self.error * np.sqrt(2 / values.size) else 0
            if quiet == 2:
                return radius - 2
        return REACH - quiet

    @property
    def factor_error(self) -> float:
        """Standard deviation of `factor`, relative.

        No more areas can be compared than the squares whose means are taken off, and a standard deviation is
        known to half of what a variance is.
        """
        return (2 * _LOCAL + 1) * self.error / 2

    @property
    def trimmed(self) -> np.ndarray:
        """The matrix without the lags beyond its reach, which hold nothing but their own error."""
        return np.where(self.reach >= _RING, self.matrix, 0.0)

    @property
    def factor(self) -> float:
        """By how much the noise of a large sum of pixels exceeds that of independent ones.

        The root of the sum of the autocorrelation within its reach: the factor by which errors of extended
        sources that rest on independent pixels are too small.
        """
        return float(np.sqrt(max(self.trimmed.sum(), 0.0)))


def correlation(noise: np.ndarray, use: np.ndarray) -> Correlation | None:
    """Autocorrelation of what is left of an image without its sources.

    The mean of the pixels used in the 25 x 25 around is taken off each, so that slopes and wings are not
    taken for correlation, and pixels are cut at four robust standard deviations. Products are averaged over
    the pairs of used pixels of each lag, by Fourier transforms of the pixels and of their mask (the
    Wiener-Khinchin theorem).

    Parameters
    ----------
    noise : ndarray, shape (H, W)
        Image less its sky, best in units of its sigma map. Where not used, anything finite.
    use : ndarray of bool, shape (H, W)
        Source-free pixels.

    Returns
    -------
    Correlation or None
        None where fewer than 200 pixels can be used, or nothing scatters.
    """
    part = tuple(slice(max(0, (n - _SIDE) // 2), max(0, (n - _SIDE) // 2) + _SIDE) for n in noise.shape)
    noise, use = noise[part], use[part]
    if min(noise.shape) < 2 * REACH or np.count_nonzero(use) < _FEWEST:
        return None
    weight = use.astype(np.float32)
    some = noise[use]
    width = _MAD * float(np.median(np.abs(some)))
    if not 0 < width < np.inf:
        return None
    values = np.clip(np.where(use, noise, 0) / width, -_CUT, _CUT).astype(
        np.float32
    )  # about 1, whatever the units
    values -= _local_mean(values, weight) * weight
    shape = [fft.next_fast_len(n + REACH, real=True) for n in noise.shape]
    both = fft.rfft2(np.stack([values, weight]), shape)
    products, pairs = fft.irfft2(both.real**2 + both.imag**2, shape)
    window = np.ix_(_LAGS % shape[0], _LAGS % shape[1])
    products, pairs = products[window], pairs[window]
    number = float(pairs[REACH, REACH])
    variance = float(products[REACH, REACH]) / number
    if not variance > 0:
        return None
    # lags of few pairs say nothing, and are shrunk towards none
    matrix = products / np.maximum(pairs, 0.05 * number) / variance
    # the means that were taken off hold noise too: all lags lie too low by what the farthest ones lie below
    # zero
    low = max(-float(np.median(matrix[np.hypot(_LAGS[:, None], _LAGS) > REACH - 1])), 0.0)
    matrix = (matrix + low) / (1 + low)
    return Correlation(
        matrix.astype(np.float64), float(1 / np.sqrt(number)), width * float(np.sqrt(variance))
    )


def _local_mean(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    total, number = values, weight
    for axis in (0, 1):
        total, number = (
            uniform_filter1d(plane, 2 * _LOCAL + 1, axis, mode="constant") for plane in (total, number)
        )
    return total / np.maximum(number, (2 * _LOCAL + 1) ** -2)
