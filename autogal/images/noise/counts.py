"""Images of counts: their sky, and the noise that follows from it."""

from __future__ import annotations

import numpy as np

from autogal.errors import AutogalError
from autogal.images.cutout import Cutout
from autogal.images.noise.sky import sky_statistics

__all__ = ["check_counts", "count_sigma", "sky_of", "sky_of_counts"]

# Counts of the sky from which its median is its mean to within a twentieth of its scatter
_ENOUGH = 50.0
_FEWEST_BINS = 8  # a side


def check_counts(image: np.ndarray, mask: np.ndarray, gain: float | None) -> list[str]:
    """Refuse an image that cannot be counts.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    mask : ndarray of bool, shape (H, W)
        True = left out.
    gain : float or None
        Electrons (or photons) per image unit.

    Returns
    -------
    list of str
        What was assumed.

    Raises
    ------
    AutogalError
        Where usable pixels are negative.
    """
    negative = np.count_nonzero(image[~mask] < 0)
    if negative:
        raise AutogalError(
            f"{negative} pixels are negative: no counts, which likelihood=poisson is for.",
            "Leave the sky in the image, or mask them.",
        )
    return [] if gain else ["No gain: image units are taken as counts."]


def sky_of(cutout: Cutout) -> tuple[float, float]:
    """Level and scatter of the source-free pixels of a cutout, image units, counts or not."""
    return (
        sky_of_counts(cutout.image, cutout.mask, cutout.gain)
        if cutout.counts
        else sky_statistics(cutout.image, cutout.mask)
    )


def sky_of_counts(
    image: np.ndarray, mask: np.ndarray | None = None, gain: float | None = None
) -> tuple[float, float]:
    """Level and scatter of the source-free part of an image of counts, however few they are.

    The median of few counts is a whole number far from their mean: pixels are put together until the sky of
    each has some 50 counts, or there are 8 on a side.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    mask : ndarray of bool, shape (H, W), optional
        True = left out.
    gain : float, optional
        Counts per image unit; 1 by default.

    Returns
    -------
    level, scatter : float
        Of one pixel, image units.
    """
    image, gain = np.asarray(image, np.float64), gain or 1.0
    good = np.isfinite(image) if mask is None else np.isfinite(image) & ~np.asarray(mask, bool)
    side = 1
    while True:
        means, enough = _binned(image, good, side)
        level, _ = sky_statistics(means, ~enough)
        if not level * gain * side**2 < _ENOUGH or min(image.shape) // (2 * side) < _FEWEST_BINS:
            break
        side *= 2
    level = max(level, 0.0)
    return level, float(np.sqrt(level / gain))


def count_sigma(image: np.ndarray, mask: np.ndarray, gain: float | None) -> np.ndarray:
    """Noise of an image of counts, [H, W]: to find sources with and to show residuals in; a fit of counts
    needs none.

    That of the counts themselves, of the sky where they are fewer, and never less than one count: on an empty
    sky a single one would be a source.
    """
    gain = gain or 1.0
    level, _ = sky_of_counts(image, mask, gain)
    return np.sqrt(np.maximum(np.where(mask, level, image), max(level, 1 / gain)) / gain)


def _binned(image: np.ndarray, good: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of the good pixels in squares, and which squares have at least half of theirs."""
    rows, columns = (n // side for n in image.shape)
    shape = rows, side, columns, side
    cut = slice(0, rows * side), slice(0, columns * side)
    used = good[cut].reshape(shape).sum((1, 3))
    total = np.where(good, image, 0.0)[cut].reshape(shape).sum((1, 3))
    return total / np.maximum(used, 1), used >= side**2 / 2
