"""Noise that does not depend on how an image was computed."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr
from scipy.stats import poisson

__all__ = ["poisson_quantile"]

_EXACT_BELOW = 30.0


def poisson_quantile(mean: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Poisson deviates as quantiles of given standard normal deviates.

    One normal deviate makes one count, and the count rises with it and with the mean. So two computations of
    the mean that differ in the last digit give the same noise, where rejection sampling would fall out of step.

    Parameters
    ----------
    mean : ndarray
        Not negative.
    normal : ndarray
        Of the same shape.

    Returns
    -------
    ndarray of float64
        Counts. Exact below a mean of 30, above it by the Cornish-Fisher expansion (Fisher & Cornish 1960,
        third order), whose error is far below one count.
    """
    mean = np.asarray(mean, np.float64)
    safe = np.maximum(mean, _EXACT_BELOW)
    root = np.sqrt(safe)
    counts = np.rint(safe + root * normal + (normal**2 - 1) / 6 - (normal**3 - normal) / (72 * root))
    few = mean < _EXACT_BELOW
    if few.any():
        counts[few] = poisson.ppf(ndtr(normal[few]), mean[few])
    return np.maximum(counts, 0)
