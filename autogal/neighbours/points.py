"""Whether a neighbour is larger than the PSF."""

from __future__ import annotations

import numpy as np

__all__ = ["TRIAL", "is_point"]

#: Half-light radius of the larger image that `is_point` takes, in standard deviations of the PSF
TRIAL = 0.5

_SIGNIFICANT = 3.0  # standard deviations
_LARGER = 0.3  # as much larger as the trial, in square: below, no model tells a galaxy from a star


def is_point(image: np.ndarray, sigma: np.ndarray, use: np.ndarray, point: np.ndarray, larger: np.ndarray) -> bool:
    """Whether an image is that of a point, as far as it tells.

    Its light is taken as a point's, the difference between a slightly larger source and a point, and a constant, as in
    the SPREAD_MODEL of SExtractor (Desai et al. 2012): the share of the second grows with the square of the size.

    Parameters
    ----------
    image, sigma : ndarray, shape (H, W)
    use : ndarray of bool, shape (H, W)
        Pixels to look at.
    point, larger : ndarray, shape (H, W)
        Images of unit flux: of a point there, and of a round exponential disk of the size `TRIAL`.
    """
    rows = np.stack([point, larger - point, np.ones_like(point)])[:, use] / sigma[use]
    matrix, right = rows @ rows.T, rows @ (image / sigma)[use]
    if not np.linalg.cond(matrix) < 1e12:  # too few pixels: what a star can look like, a small galaxy can too
        return False
    covariance = np.linalg.inv(matrix)
    flux, excess, _ = covariance @ right
    return not (excess > _SIGNIFICANT * np.sqrt(covariance[1, 1]) and excess > _LARGER * flux)
