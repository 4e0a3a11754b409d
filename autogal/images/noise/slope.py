"""The slope of a sky, from the differences of pixels that lie opposite each other about the target."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from autogal.images.cutout import Cutout
from autogal.images.noise.sky import sky_statistics

__all__ = ["STEEP", "Slope", "flattened", "slope_about"]

#: Difference from one edge of the image to the other, in units of the noise of a pixel, from which a slope is
#: worth a word
STEEP = 0.3
_MISLEADING = 1.0  # the same, from which sources are found in it that are none
_CLEARLY = 6.0  # standard deviations
_BLOCKS = 12  # along the shorter side
_FEWEST = 12  # blocks on which a slope must rest
_PIXELS = 128  # along the shorter side: of larger images every so many are enough
_ROUNDS = 16
_SETTLED = 1e-4  # of the smallest error of a block, by which the plane moves no more
_TIGHTER = 0.75  # the scale of one round in that of the last
_LOOSEST = 1.5  # standard deviations of a block's median by the noise: what scatters more is no sky
_AGREE = 0.4  # of the blocks, weighted, which a plane must describe
_TUKEY = 4.685  # standard deviations: 95 % efficient on normal noise


@dataclass(frozen=True)
class Slope:
    """How a sky rises along x and y, image units a pixel, and the errors of both."""

    dx: float
    dy: float
    dx_err: float
    dy_err: float

    def is_steep(self, shape: tuple[int, int], noise: float, least: float = STEEP) -> bool:
        """Whether it is there beyond doubt, and lifts one edge of an image of `shape` above the other by
        `least` of its noise."""
        height, width = shape
        clearly = np.hypot(self.dx / self.dx_err, self.dy / self.dy_err) > _CLEARLY
        return bool(clearly and abs(self.dx) * width + abs(self.dy) * height > least * noise)


def slope_about(image: np.ndarray, good: np.ndarray, x: float, y: float, noise: float) -> Slope | None:
    """The slope of the sky of an image, whatever the light of a galaxy at (x, y).

    A galaxy is the same on opposite sides of its centre, so half the difference of two such pixels is of the
    sky's slope alone. Medians of blocks of them leave out what is small; Tukey's biweight (Beaton & Tukey
    1974), tightened until only blocks are left that agree to within the noise, what is on one side only.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    good : ndarray of bool, shape (H, W)
        Pixels that can be used.
    x, y : float
        Centre of the galaxy.
    noise : float
        Of a pixel of sky, image units.

    Returns
    -------
    Slope or None
        None where too little of the image lies on both sides of (x, y), or no plane describes enough of it.
    """
    parts, offsets = [], []
    for centre, length in ((y, image.shape[0]), (x, image.shape[1])):
        twice = round(2 * centre)
        low, high = max(0, twice - length + 1), min(length - 1, twice)
        parts.append(slice(low, max(low, high + 1)))
        offsets.append(np.arange(low, high + 1) - twice / 2)
    part, (rows, columns) = tuple(parts), offsets
    values, used = np.asarray(image[part], float), good[part]
    used = used & used[::-1, ::-1]
    block, step = max(3.0, min(used.shape) / _BLOCKS), max(1, min(used.shape) // _PIXELS)
    with np.errstate(invalid="ignore"):
        half = np.where(used, (values - values[::-1, ::-1]) / 2, 0.0)
    # of two opposite pixels one alone tells something
    thin = np.flatnonzero(rows >= 0)[::step], np.arange(len(columns))[::step]
    half, used, rows, columns = half[np.ix_(*thin)], used[np.ix_(*thin)], rows[thin[0]], columns[thin[1]]
    if not used.any():
        return None
    # counted from the centre, so that blocks lie opposite each other too
    across, up = (np.rint(offset / block).astype(int) for offset in (columns, rows))
    label = (up - up.min())[:, None] * (np.ptp(across) + 1) + (across - across.min())
    median, count, place = _medians(
        half[used], label[used], columns[np.nonzero(used)[1]], rows[np.nonzero(used)[0]]
    )
    full = count > 0.5 * (block / step) ** 2
    if np.count_nonzero(full) < _FEWEST:
        return None
    return _fit(median[full], place[:, full], 1.2533 * noise / np.sqrt(2 * count[full]))


def flattened(cutout: Cutout, x: float, y: float, least: float = _MISLEADING) -> Cutout:
    """The same cutout without the slope of its sky, if that is so steep that sources would be found in it:
    with the level that the sky has at (x, y)."""
    with np.errstate(invalid="ignore"):
        good = ~cutout.mask & np.isfinite(cutout.image)
    noise = cutout.noise.scatter if cutout.noise.scatter > 0 else sky_statistics(cutout.image, ~good)[1]
    slope = slope_about(cutout.image, good, x, y, noise) if noise > 0 else None
    if slope is None or not slope.is_steep(cutout.shape, noise, least):
        return cutout
    rows, columns = np.ogrid[: cutout.shape[0], : cutout.shape[1]]
    plane = slope.dx * (columns - x) + slope.dy * (rows - y)
    return replace(cutout, image=(cutout.image - plane).astype(cutout.image.dtype))


def _medians(
    values: np.ndarray, label: np.ndarray, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By label: median of the values, number of them, and mean x and y, [2, K]."""
    order = np.lexsort((values, label))
    count = np.bincount(label)
    filled = np.flatnonzero(count)
    count, last = count[filled], np.cumsum(count[filled])
    first, sorted_values = last - count, values[order]
    median = (sorted_values[first + (count - 1) // 2] + sorted_values[first + count // 2]) / 2
    place = np.stack([np.bincount(label, weights=axis)[filled] / count for axis in (x, y)])
    return median, count, place


def _fit(values: np.ndarray, place: np.ndarray, noise: np.ndarray) -> Slope | None:
    """Slopes of values [K] at places [2, K], each known to its `noise` [K], robustly; None where fewer
    agree than there must."""
    pull, weight, slope = np.inf, np.ones_like(values), np.zeros(2)
    for _ in range(_ROUNDS):
        sure, before, last = weight / noise**2, slope, pull
        slope = _solve((place * sure) @ place.T, place @ (sure * values))
        off = (values - slope @ place) / noise
        pull = max(_LOOSEST, min(_TIGHTER * pull, 1.4826 * float(np.median(np.abs(off)))))
        weight = np.square(np.clip(1 - (off / (_TUKEY * pull)) ** 2, 0.0, None))
        if pull == last and np.abs(slope - before) @ np.abs(place).max(1) < _SETTLED * noise.min():
            break
    if weight.mean() < _AGREE:
        return None
    sure = weight / noise**2
    # what is left scatters, whatever made it
    scatter = max(1.0, float((weight * off**2).sum() / weight.sum()))
    error = np.sqrt(scatter * np.diagonal(np.linalg.pinv((place * sure) @ place.T)))
    return Slope(*slope.tolist(), *error.tolist())


def _solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The two slopes of the normal equations [2, 2] and [2]; the shortest of them where there is no one
    answer."""
    (a, b), (_, d) = matrix.tolist()
    if a * d - b * b > 1e-9 * a * d:
        x, y = right.tolist()
        return np.array([d * x - b * y, a * y - b * x]) / (a * d - b * b)
    return np.linalg.lstsq(matrix, right, rcond=None)[0]
