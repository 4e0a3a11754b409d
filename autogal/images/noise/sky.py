"""The sky's level and scatter, and a sigma map where the user has none."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter1d

from autogal.errors import AutogalError
from autogal.images.canonical import usable_box

__all__ = [
    "Sky",
    "box_mean",
    "estimate_sigma",
    "evenly",
    "find_sky",
    "scatter_of",
    "scatters",
    "sky_statistics",
]

_MAD = 1.4826  # standard deviation of a normal distribution in units of its median absolute deviation
_QUARTER = 0.7413  # the same in units of the distance of its quartiles
_LAG = 4  # pixels; longer than the correlation of drizzled or resampled noise
_ROUNDS = 6
_STEP = 0.3  # standard deviations, in which the density of values is that at their median
_FAINTEST = 0.4  # part of the pixels that are sky to begin with
# Sigmas of a smoothed sky below which pixels are free of sources, and those above which no noise reaches
_LOW, _CALM = 2.5, 3.75
_ENOUGH = 30  # differences that a scatter must rest on
_MANY, _FEW = 50_000, 3_000  # values enough for a scatter good to 0.5 %, and to find the sky


class Sky(NamedTuple):
    """Level and scatter of the sky of an image, in its units, and where it is seen, bool [H, W].

    `calm` are the pixels that lie lower than noise alone ever does above the sky: more than `free`, which
    lacks the noise's own peaks, and so what tells how noise goes together.
    """

    level: float
    scatter: float
    free: np.ndarray
    calm: np.ndarray


def sky_statistics(image: np.ndarray, mask: np.ndarray | None = None) -> tuple[float, float]:
    """Level and scatter of the source-free part of an image, as `find_sky` gives them."""
    return find_sky(image, mask)[:2]


def find_sky(image: np.ndarray, mask: np.ndarray | None = None, scatter: bool = True) -> Sky:
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
    scatter : bool
        False: the place is wanted. The scatter is NaN then, and the level
        that of some 3000 pixels.

    Returns
    -------
    Sky
        The scatter is NaN where fewer than 30 differences can be formed,
        and both for an image without usable pixels.
    """
    image = np.asarray(image, dtype=np.float64)
    good = np.isfinite(image) if mask is None else np.isfinite(image) & ~np.asarray(mask, dtype=bool)
    if not good.any():
        return Sky(float("nan"), float("nan"), good, good)
    box = np.s_[:, :] if good.all() else usable_box(good)  # whatever unusable frame it has
    level, width, *inner = _find_sky(image[box], good[box], scatter)
    free, calm = np.zeros((2, *good.shape), bool)
    free[box], calm[box] = inner
    return Sky(level, width, free, calm)


def _find_sky(image: np.ndarray, good: np.ndarray, scatter: bool) -> Sky:
    """What `find_sky` gives of float64 pixels [H, W], some of them good."""
    number = np.count_nonzero(good)
    some = np.ix_(*(evenly(length, int((number / _FEW) ** 0.5)) for length in image.shape))
    if np.count_nonzero(good[some]) < _ENOUGH:
        some = np.s_[:, :]
    usable = good[some]
    # About its median, so that running sums keep their digits on a high pedestal.
    sample = image[some][usable]
    pivot = np.median(sample[:: 1 + sample.size // 500])
    image = np.where(good, image - pivot, 0.0)
    smooth = box_mean(image, good)

    # What is source-free hangs on a threshold alone: of samples that are sorted once, each round takes those
    # below it.
    values, height = _sorted(image[some][usable], smooth[some][usable])
    bent, bent_height = _sorted(*_bends_of_smooth(smooth, good, number))
    faint = int(_FAINTEST * (height.size - 1))
    threshold = np.nextafter(np.partition(height, faint)[faint], np.inf)
    for _ in range(_ROUNDS):
        width = _spread(bent[bent_height < threshold])
        if not np.isfinite(width):
            width = _spread(bent)
        before, wider = threshold, _level(values[height < threshold]) + _LOW * width
        if not (height < wider).any():
            break
        threshold = wider
        if abs(np.count_nonzero(height < wider) - np.count_nonzero(height < before)) < 0.005 * height.size:
            break
    free = good & (smooth < threshold)
    calm = good & (smooth < threshold + (_CALM - _LOW) * width) if np.isfinite(width) else free
    level, found = float(pivot + _level(values[height < threshold])), float("nan")
    if scatter:
        found = scatter_of(image, free, _LAG)
        if not np.isfinite(found):  # sky in pieces smaller than two lags, or a stamp of a few pixels
            found = scatter_of(image, free, 1)
        if not np.isfinite(found):
            found = scatter_of(image, good, 1)
        level = float(pivot + _refined(image[free], level - pivot, found))
    return Sky(level, found, free, calm)


def _bends_of_smooth(smooth: np.ndarray, good: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Absolute second differences along some lines, and the highest of the three pixels of each."""
    step, lag = int(2 * number / _FEW), _LAG + 1
    height = np.where(good, smooth, np.inf)
    bent, highest = [], []
    for plane, other in ((smooth, height), (smooth.T, height.T)):
        if plane.shape[0] > 2 * lag:
            lines = evenly(plane.shape[1], step)
            plane, other = plane[:, lines], other[:, lines]
            bent.append(np.abs(_bend(plane, lag)).ravel())
            highest.append(
                np.maximum(np.maximum(other[: -2 * lag], other[2 * lag :]), other[lag:-lag]).ravel()
            )
    if not bent:
        return np.zeros(0), np.zeros(0)
    bent, highest = np.concatenate(bent), np.concatenate(highest)
    usable = highest < np.inf
    return bent[usable], highest[usable]


def _sorted(values: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(values)
    return values[order], others[order]


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
    level, scatter, *_ = sky or find_sky(image, ~good)
    if not scatter > 0:
        raise AutogalError(
            "The noise of the image cannot be measured from its sky.", "Give a sigma map (sigma=FILE)."
        )
    notes = [f"Sigma estimated: sky scatter {scatter:.4g} at level {level:.4g}"]
    sigma = np.full(image.shape, scatter)
    if gain is None:
        notes[0] += ", without the photon noise of the sources (gain unknown)."
        return sigma, notes
    notes[0] += f", photon noise for a gain of {gain:.4g}."
    signal = np.where(good, image - level, 0.0)
    smooth = box_mean(signal, good)
    # Above ten sigma, its photon noise included, a pixel knows its own brightness to 10 % and better than its
    # mean.
    bright = signal > 10 * np.sqrt(scatter**2 + np.maximum(signal, 0) / gain)
    signal = np.where(bright, signal, smooth)
    return np.sqrt(scatter**2 + np.maximum(signal, 0) / gain), notes


def _level(values: np.ndarray) -> float:
    """Median of the sorted values that are within three robust standard deviations of the median."""
    median, reach = _middle(values), 3 * _QUARTER * (values[3 * values.size // 4] - values[values.size // 4])
    return _middle(
        values[np.searchsorted(values, median - reach) : np.searchsorted(values, median + reach, "right")]
    )


def _refined(values: np.ndarray, level: float, scatter: float) -> float:
    """The median of all values within three standard deviations, from that of a sample: one step of
    Newton's on their distribution."""
    if not scatter > 0:
        return level
    off = (values - level) / scatter
    near = np.abs(off)
    middle = np.count_nonzero(near < _STEP)
    excess = np.count_nonzero((off > 0) & (near < 3)) - np.count_nonzero((off < 0) & (near < 3))
    return level + scatter * float(np.clip(_STEP * excess / max(middle, 1), -_STEP, _STEP))


def _middle(values: np.ndarray) -> float:
    """Median of sorted values, at least one."""
    return float(values[(values.size - 1) // 2] + values[values.size // 2]) / 2


@functools.lru_cache(maxsize=1024)
def evenly(length: int, step: int) -> np.ndarray:
    """About every `step`-th of `length` places, the same ones counted from either end, so that samples of an
    image are those of its mirror image.

    Parameters
    ----------
    length, step : int

    Returns
    -------
    ndarray of int, at least one
        Not to be written to.
    """
    step = max(1, min(step, length // 2))
    places = np.flatnonzero(np.abs(2 * np.arange(length) - (length - 1)) // 2 % step == step // 2)
    places.setflags(write=False)
    return places


def box_mean(image: np.ndarray, good: np.ndarray, half: int = 2) -> np.ndarray:
    """Mean of the good pixels in a square around each; 0 where there are none."""

    def total(values, axes=(0, 1)):
        for axis in axes:
            values = uniform_filter1d(values, 2 * half + 1, axis, mode="constant")
        return values * (2 * half + 1) ** len(axes)

    if good.all():
        rows, columns = (np.rint(total(np.ones(length), (0,))) for length in image.shape)
        return total(image) / (rows[:, None] * columns)
    number = np.rint(total(good.astype(np.float64)))
    return total(np.where(good, image, 0.0)) / np.maximum(number, 1.0)


def _bend(values: np.ndarray, lag: int) -> np.ndarray:
    return values[: -2 * lag] + values[2 * lag :] - 2 * values[lag:-lag]


def scatter_of(image: np.ndarray, use: np.ndarray, lag: int, many: int = _MANY) -> float:
    """Standard deviation of a pixel, from second differences of used pixels; NaN from fewer than 30."""
    return scatters(image, use, (lag,), many)[0]


def scatters(image: np.ndarray, use: np.ndarray, lags: Sequence[int], many: int = _MANY) -> list[float]:
    """As :func:`scatter_of`, for several lags."""
    # Of a few lines as much is learnt as of all, where more differences are there than are wanted.
    step, parts = int(2 * np.count_nonzero(use) // (2 * many)), []
    for values, used in ((image, use), (image.T, use.T)):
        lines = evenly(values.shape[1], step) if step > 1 else slice(None)
        parts.append((values[:, lines], used[:, lines]))
    return [_scatter_of_lines(parts, lag) for lag in lags]


def _scatter_of_lines(parts: Sequence[tuple[np.ndarray, np.ndarray]], lag: int) -> float:
    """`scatter_of`, along the columns of all planes and of the places used in them."""
    differences, some = [], []
    for values, used in parts:
        if values.shape[0] > 2 * lag:
            bent = np.abs(_bend(values, lag))
            all_used = used[: -2 * lag] & used[lag:-lag] & used[2 * lag :]
            differences.append(bent[all_used])
            lines = evenly(bent.shape[1], 2 * bent.size // _FEW)
            some.append(bent[:, lines][all_used[:, lines]])
    if not differences:
        return float("nan")
    differences, some = np.concatenate(differences), np.concatenate(some)
    # Selecting is dearer than summing: some thousand tell where to cut. Where they are zero so may all be:
    # few counts, or few digits.
    robust = (
        _MAD * float(np.median(some if some.size >= 10 * _ENOUGH else differences))
        if differences.size >= _ENOUGH
        else 0.0
    )
    return _width(differences, robust, differences[differences < 4 * robust])


def _spread(differences: np.ndarray) -> float:
    """As :func:`scatter_of`, of absolute second differences that are sorted."""
    robust = _MAD * _middle(differences) if differences.size >= _ENOUGH else 0.0
    return _width(differences, robust, differences[: np.searchsorted(differences, 4 * robust)])


def _width(differences: np.ndarray, robust: float, kept: np.ndarray) -> float:
    """Standard deviation of a pixel from absolute second differences, their robust scatter, and those of
    them that count."""
    if differences.size < _ENOUGH:
        return float("nan")
    # The variance of a - 2 b + c is 6 of a pixel's, for independent a, b, c.
    if not robust > 0:
        return float(np.sqrt(np.mean(np.square(differences)) / 6.0))
    # What a source that slipped through bends is cut at four sigma; that takes 0.1 % of a normal
    # distribution's width.
    return float(min(np.sqrt(np.mean(np.square(kept))), 1.3 * robust) / np.sqrt(6.0))
