"""The sky's level and scatter, and a sigma map where the user has none."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter1d

from autogal.errors import AutogalError
from autogal.images.canonical import brightest, lie, usable_box

__all__ = ["Sky", "box_mean", "estimate_sigma", "find_sky", "scatter_of", "sky_statistics"]

_MAD = 1.4826  # standard deviation of a normal distribution in units of its median absolute deviation
_LAG = 4  # pixels; longer than the correlation of drizzled or resampled noise
_ROUNDS = 6
_ENOUGH = 30  # differences that a scatter must rest on
_MANY, _FEW = 50_000, 3_000  # values enough for a scatter good to 0.5 %, and to find the sky


class Sky(NamedTuple):
    """Level and scatter of the sky of an image, in its units, and where it is seen, bool [H, W]."""

    level: float
    scatter: float
    free: np.ndarray


def sky_statistics(image: np.ndarray, mask: np.ndarray | None = None) -> tuple[float, float]:
    """Level and scatter of the source-free part of an image, as `find_sky` gives them."""
    return find_sky(image, mask)[:2]


def find_sky(image: np.ndarray, mask: np.ndarray | None = None) -> Sky:
    """Level, scatter and place of the source-free part of an image.

    The scatter comes from second differences, x(i - L) - 2 x(i) + x(i + L),
    of source-free pixels, L = 4: a gradient of the sky and the wings of a
    galaxy that fills the stamp drop out, and noise that is correlated over a
    few pixels does not look smaller than it is, as it does in differences of
    neighbours. Source-free are the pixels whose 5 x 5 mean is not more than
    2.5 sigma above the sky; the two are found in turns, from the faintest
    part of the image outwards.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Pixels that are not finite are left out.
    mask : ndarray of bool, shape (H, W), optional
        True = left out.

    Returns
    -------
    Sky
        Level and scatter are NaN where fewer than 30 differences can be
        formed and for an image without usable pixels.
    """
    image = np.asarray(image, dtype=np.float64)
    good = np.isfinite(image) if mask is None else np.isfinite(image) & ~np.asarray(mask, dtype=bool)
    if not good.any():
        return Sky(float("nan"), float("nan"), good)
    # samples are of the same pixels however the image lies, and whatever unusable frame it has
    box = usable_box(good)
    how = lie(image[box], good[box], brightest(image[box], good[box], *((box[axis].stop - box[axis].start - 1) / 2 for axis in (1, 0))))
    found = _find_sky(*(np.ascontiguousarray(how.array(plane[box])) for plane in (image, good)))
    free = np.zeros(good.shape, bool)
    free[box] = how.inverse.array(found.free)
    return found._replace(free=free)


def _find_sky(image: np.ndarray, good: np.ndarray) -> Sky:
    """What `find_sky` gives of float64 pixels [H, W], some of them good."""
    # About its median, so that running sums keep their digits on a high pedestal.
    usable = image[good]
    pivot = np.median(usable[:: 1 + usable.size // _FEW])
    image = np.where(good, image - pivot, 0.0)
    smooth = box_mean(image, good)

    usable = smooth[good]
    source_free = good & (smooth <= np.quantile(usable[:: 1 + usable.size // _FEW], 0.4))
    for _ in range(_ROUNDS):
        level = _level(image[source_free], _FEW)
        width = scatter_of(smooth, source_free, _LAG + 1, _FEW)
        if not np.isfinite(width):
            width = scatter_of(smooth, good, _LAG + 1, _FEW)
        before, wider = source_free, good & (smooth < level + 2.5 * width)
        if not wider.any():
            break
        source_free = wider
        if np.count_nonzero(before ^ wider) < 0.005 * image.size:
            break
    scatter = scatter_of(image, source_free, _LAG)
    if not np.isfinite(scatter):  # sky in pieces smaller than two lags, or a stamp of a few pixels
        scatter = scatter_of(image, source_free, 1)
    if not np.isfinite(scatter):
        scatter = scatter_of(image, good, 1)
    return Sky(float(pivot + _level(image[source_free])), scatter, source_free)


def estimate_sigma(
    image: np.ndarray, mask: np.ndarray | None = None, gain: float | None = None, sky: Sky | None = None
) -> tuple[np.ndarray, list[str]]:
    """Sigma map of an image: the sky's scatter and the photon noise of the sources.

    sigma^2 = scatter^2 + max(image - sky, 0) / gain. A pedestal of sky in the
    image is in the scatter already, and is not counted twice. The photon noise
    of faint pixels is that of their 5 x 5 mean, lest a pixel that happens to
    be faint gets a larger weight and biases the fit.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    mask : ndarray of bool, shape (H, W), optional
        True = left out of the statistics; such pixels get a sigma all the same.
    gain : float, optional
        Electrons per image unit. None: no photon noise of the sources.
    sky : Sky, optional
        Of `image`, from :func:`find_sky`, where it is known already.

    Returns
    -------
    sigma : ndarray of float64, shape (H, W)
        Positive and finite everywhere.
    notes : list of str
        What the estimate rests on, and what it leaves out.

    Raises
    ------
    AutogalError
        Where the image has no usable pixels or no noise.
    """
    image = np.asarray(image, dtype=np.float64)
    good = np.isfinite(image) if mask is None else np.isfinite(image) & ~np.asarray(mask, dtype=bool)
    level, scatter, _ = sky or find_sky(image, ~good)
    if not scatter > 0:
        raise AutogalError("The noise of the image cannot be measured from its sky.", "Give a sigma map (sigma=FILE).")
    notes = [f"Sigma estimated: sky scatter {scatter:.4g} at level {level:.4g}"]
    sigma = np.full(image.shape, scatter)
    if gain is None:
        notes[0] += ", without the photon noise of the sources (gain unknown)."
        return sigma, notes
    notes[0] += f", photon noise for a gain of {gain:.4g}."
    signal = np.where(good, image - level, 0.0)
    smooth = box_mean(signal, good)
    # Above ten sigma, its photon noise included, a pixel knows its own brightness to 10 % and better than its mean.
    bright = signal > 10 * np.sqrt(scatter**2 + np.maximum(signal, 0) / gain)
    signal = np.where(bright, signal, smooth)
    return np.sqrt(scatter**2 + np.maximum(signal, 0) / gain), notes


def _level(values: np.ndarray, many: int = _MANY) -> float:
    """Median of the values within three robust standard deviations of the median."""
    values = values[:: 1 + values.size // many]
    median = np.median(values)
    deviation = np.abs(values - median)
    near = deviation <= 3 * _MAD * np.median(deviation)
    return float(np.median(values[near])) if near.any() else float(median)


def box_mean(image: np.ndarray, good: np.ndarray, half: int = 2) -> np.ndarray:
    """Mean of the good pixels in a square around each; 0 where there are none."""

    def total(values):
        for axis in (0, 1):
            values = uniform_filter1d(values, 2 * half + 1, axis, mode="constant")
        return values * (2 * half + 1) ** 2

    number = np.rint(total(good.astype(np.float64)))
    return total(np.where(good, image, 0.0)) / np.maximum(number, 1.0)


def scatter_of(image: np.ndarray, use: np.ndarray, lag: int, many: int = _MANY) -> float:
    """Standard deviation of a pixel, from second differences of used pixels; NaN from fewer than 30."""
    differences = []
    # Of a few lines as much is learnt as of all, where more differences are there than are wanted.
    step = max(1, int(2 * np.count_nonzero(use) // (2 * many)))
    for values, used in ((image[:, ::step], use[:, ::step]), (image.T[:, ::step], use.T[:, ::step])):
        if values.shape[0] > 2 * lag:
            all_used = used[: -2 * lag] & used[lag:-lag] & used[2 * lag :]
            bent = values[: -2 * lag] - 2 * values[lag:-lag] + values[2 * lag :]
            differences.append(bent[all_used])
    differences = np.concatenate(differences) if differences else np.zeros(0)
    differences = differences[:: 1 + differences.size // many]
    if differences.size < _ENOUGH:
        return float("nan")
    # The variance of a - 2 b + c is 6 of a pixel's, for independent a, b, c.
    robust = _MAD * np.median(np.abs(differences))
    if not robust > 0:
        # More than half of the differences are zero: few counts, or numbers of few digits.
        return float(np.std(differences) / np.sqrt(6.0))
    # What a source that slipped through bends is cut at four sigma; that takes 0.1 % of a normal distribution's width.
    kept = differences[np.abs(differences) < 4 * robust]
    return float(min(np.sqrt(np.mean(kept**2)), 1.3 * robust) / np.sqrt(6.0))
