"""Pixels that hold no measurement: what no exposure covers, chip gaps, sentinels such as -99 or 1e30.

Such pixels repeat one value exactly. What tells them from a sky that happens to be constant (a noise-free
simulation), from counts of which most are zero, and from clipped cores is their surroundings: they end at
once, in noise that does not hold their value, and without light that rises towards them.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

__all__ = ["suspect", "unmeasured"]

_RUN = 8  # pixels of one value in a row, or 3 x 3: more than chance makes of any noise
_MOST_VALUES = 6
_RING = 3  # pixels around an area, of which its surroundings are judged
_FRAGMENT = 12  # pixels; a smaller piece in an area of one value is a count in an empty sky, no surroundings
# An area must be so many times larger than chance makes of a value as frequent as around it
_BEYOND_CHANCE = 20.0
_FAR = 20.0  # sigma from the sky at which no exact repeat is a measurement
_FEW = 3
_COMMON = 0.25  # a value that so many pixels around have is one of their noise, or counts of few photons
_CLOSE = 0.5  # sigma
_STEP = 0.7
# Of an image; where less than the first is measured, or than the second and all of it on one side of the
# rest, that is a source without a sky, as simulations draw
_SHARE, _SMALL_SHARE = 0.01, 0.05
# A value that so many times more pixels have than the commonest of the others is none of theirs, where these
# differ as much
_OFTEN, _DIFFERENT, _MAJORITY = 5.0, 0.25, 0.3
_OUTSIDE, _BELOW = 5.0, 0.005  # sigma; part of the pixels
_RARE = 0.02  # as many pixels outside, in units of those in areas: noise that hardly ever has the value
_CHANCE = 1e-3
_LARGE = 64  # pixels of one piece, where noise has it
_MAD = 1.4826
# Correlation of next-door second differences: -2/3 for white noise, below 0.7 for drizzled, 0.9 and more for
# a smooth model
_SMOOTH = 0.8
# Scatter below this part of an image's values is their rounding to single precision
_ROUNDING = 4e-6
# Light next to an area, in units of its own height above the sky, that belongs to a clipped core
_CORE = 0.3
_BRIGHT = 5.0  # sigma


def suspect(image: np.ndarray) -> bool:
    """Whether an image can have pixels that :func:`unmeasured` finds: a glance that costs next to nothing.

    Parameters
    ----------
    image : ndarray, shape (H, W)

    Returns
    -------
    bool
        True where more pixels equal their neighbour than in noise, or the lowest or highest value or zero
        repeats.
    """
    if (
        np.count_nonzero(image[:, 1:] == image[:, :-1]) + np.count_nonzero(image[1:] == image[:-1])
        >= _RUN - 1
    ):
        return True
    return any(np.count_nonzero(image == end) >= _FEW for end in (image.min(), image.max(), 0))


def unmeasured(image: np.ndarray, blank: float | None = None) -> tuple[np.ndarray, list[str]]:
    """Find the pixels that hold no measurement.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        As stored. Pixels that are not finite are left out: they are known.
    blank : float, optional
        Value that the header's BLANK names.

    Returns
    -------
    mask : ndarray of bool, shape (H, W)
    notes : list of str
        One sentence for each value.
    """
    image = np.asarray(image)
    found, notes = np.zeros(image.shape, bool), []
    if blank is not None:
        marked = image == np.asarray(blank).astype(image.dtype if image.dtype.kind == "f" else float)
        if marked.any():
            found |= marked
            notes.append(
                f"{marked.sum()} pixels of the value that BLANK names, {blank:g}, hold no measurement: "
                f"excluded."
            )
    if not suspect(image):
        return found, notes
    finite = np.isfinite(image) & ~found
    if not finite.any():
        return found, notes
    solid = _solid(image, finite)
    often = _often(image, finite)
    sky = _Sky(image, finite & ~solid & ~np.isin(image, often))
    if not sky.noisy:
        return found, notes
    values, numbers = np.unique(image[solid], return_counts=True)
    candidates = list(values[np.argsort(-numbers, kind="stable")][:_MOST_VALUES])
    candidates += [
        other for other in (*often, image[finite].min(), image[finite].max()) if other not in candidates
    ]
    for value in candidates:
        same = (image == value) & finite
        rest = finite & ~same
        measured = np.count_nonzero(rest)
        if np.count_nonzero(same) < _FEW or measured < _FRAGMENT:
            continue
        if sky.is_small and (
            measured > _SMALL_SHARE * image.size
            or not 0.02 < np.count_nonzero(image[rest] < value) / measured < 0.98
        ):
            continue
        area = _no_measurement(image, rest, same, solid & same, sky)
        if area is None and value in often and _is_strange(image, rest, same, sky):
            area = same
        if area is not None and area.any():
            found |= area
            finite &= ~area
            notes.append(
                f"{np.count_nonzero(area)} pixels of exactly {value:g} hold no measurement: excluded."
            )
    return found, notes


class _Sky:
    """Level and noise of what may be a measurement."""

    def __init__(self, image: np.ndarray, use: np.ndarray):
        values = image[use].astype(np.float64)
        self.noisy, self.is_small = False, values.size < _SMALL_SHARE * image.size
        if values.size < max(_FRAGMENT, _SHARE * image.size):
            return
        self.level = float(np.median(values))
        self.scatter, smooth = _noise(image, use)
        below = values[values < self.level]
        self.depth = (
            _MAD * (self.level - float(np.median(below))) if below.size else 0.0
        )  # correlated noise bends less than it scatters
        height = float(np.quantile(np.abs(values - self.level), 0.999))
        # Without noise, what is constant is what was computed: a model, or its sky.
        self.noisy = self.scatter > _ROUNDING * max(abs(self.level), height) and smooth < _SMOOTH


def _often(image: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """Values, wherever they lie, that repeat as none does of noise of many digits."""
    values, numbers = np.unique(image[finite], return_counts=True)
    order = np.argsort(-numbers, kind="stable")[: _MOST_VALUES + 1]
    first, usual = numbers[order[:2]], int(numbers[order[-1]])
    # of counts most pixels have one of few values
    if first[0] > _MAJORITY * numbers.sum() or values.size < _DIFFERENT * (numbers.sum() - first.sum()):
        return values[:0]
    return values[[i for i in order[:-1] if numbers[i] > max(_RUN - 1, _OFTEN * usual)]]


def _is_strange(image: np.ndarray, rest: np.ndarray, same: np.ndarray, sky: _Sky) -> bool:
    """Whether a frequent value lies outside of the noise, or amid it; one at its lower end is clipped
    noise, or counts of none."""
    value = float(image[same][0])
    if value > sky.level + _BRIGHT * sky.scatter:
        window = _around(same)
        return not _core(image[window], rest[window], same[window], value, sky.level)
    return value < sky.level - _OUTSIDE * max(sky.scatter, sky.depth) or np.count_nonzero(
        image[rest] < value
    ) > _BELOW * np.count_nonzero(rest)


def _solid(image: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """Pixels within 3 x 3, or in a row or column of eight, of one value."""
    across, along = image[:, 1:] == image[:, :-1], image[1:] == image[:-1]
    solid = np.zeros(image.shape, bool)
    if min(image.shape) >= 3:
        rows = across[:, 1:] & across[:, :-1]  # three in a row
        block = rows[2:] & rows[1:-1] & rows[:-2] & along[1:, 1:-1] & along[:-1, 1:-1]
        for i in range(3):
            for j in range(3):
                solid[i : i + block.shape[0], j : j + block.shape[1]] |= block
    for equal, target in ((across, solid), (along.T, solid.T)):
        run = equal
        for step in (1, 2, 3):  # 2, 4, then 7 pairs in a row: eight pixels
            run = run[:, step:] & run[:, :-step] if run.shape[1] > step else run[:, :0]
        for j in range(_RUN if run.shape[1] else 0):
            target[:, j : j + run.shape[1]] |= run
    return solid & finite


def _no_measurement(
    image: np.ndarray, rest: np.ndarray, same: np.ndarray, area: np.ndarray, sky: _Sky
) -> np.ndarray | None:
    """Which of the pixels of one value hold no measurement; None where the value may be one."""
    value = float(image[same][0])
    window = _around(same)
    if value > sky.level + _BRIGHT * sky.scatter and _core(
        image[window], rest[window], same[window], value, sky.level
    ):
        return None
    if abs(value - sky.level) > _FAR * sky.scatter and _apart(
        image[window], rest[window], same[window], value, sky
    ):
        return same
    outside = np.count_nonzero(same) - np.count_nonzero(area)
    few = outside <= _RARE * np.count_nonzero(area)
    area = _pieces_of(area, _RUN if few else _LARGE)
    if not area.any():
        return None
    window = _around(area)
    ring = _surroundings((rest | (same & ~area))[window], area[window])
    if ring is None:
        return None
    chance = max(
        np.count_nonzero(ring & same[window]) / np.count_nonzero(ring), outside / np.count_nonzero(rest)
    )
    if chance > _COMMON or np.count_nonzero(area) <= _BEYOND_CHANCE * 9 * image.size * chance**_RUN:
        return None
    if _continued(image[window], rest[window], area[window], value):
        return None
    return (
        same if few and chance < _CHANCE else area
    )  # what repeats the value outside is none either, where the noise never has it


def _continued(image: np.ndarray, rest: np.ndarray, area: np.ndarray, value: float) -> bool:
    """Whether what lies next to an area comes up to its value, as where noise, counts or a model are cut
    off there."""
    square = np.ones((3, 3))
    touching = ndimage.binary_dilation(area, square) & rest
    near = image[touching].astype(np.float64) - value
    if not near.size:
        return False
    steps = np.unique(near)
    quantum = float(np.diff(steps).min()) if 1 < steps.size < near.size / 2 else 0.0
    if np.count_nonzero(np.abs(near) < 1.5 * quantum) > _STEP * near.size:
        return True  # numbers of few digits, of which it is the next
    if near.min() < 0 < near.max():
        return False
    middle = float(np.median(near))
    if float(np.quantile(np.abs(near), 0.1)) < _CLOSE * _MAD * float(np.median(np.abs(near - middle))):
        return True
    inner = (
        ndimage.binary_dilation(area, square, iterations=_RING)
        & ~ndimage.binary_dilation(area, square, iterations=_RING - 1)
        & rest
    )
    return bool(inner.any()) and abs(float(np.median(image[inner])) - value) > 1.5 * abs(middle)


def _around(pixels: np.ndarray) -> tuple[slice, slice]:
    """The smallest window with the pixels and their surroundings."""
    rows, columns = (np.flatnonzero(pixels.any(axis)) for axis in (1, 0))
    return tuple(slice(max(0, at[0] - _RING - 1), at[-1] + _RING + 2) for at in (rows, columns))


def _pieces_of(area: np.ndarray, smallest: int) -> np.ndarray:
    """What of an area is in pieces of at least so many pixels."""
    pieces, _ = ndimage.label(area, structure=np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return (sizes >= smallest)[pieces]


def _surroundings(other: np.ndarray, area: np.ndarray) -> np.ndarray | None:
    """The pixels next to an area that are no mere specks in it; None where there are none."""
    ring = ndimage.binary_dilation(area, np.ones((3, 3)), iterations=_RING) & _pieces_of(other, _FRAGMENT)
    return ring if ring.any() else None


def _apart(image: np.ndarray, rest: np.ndarray, same: np.ndarray, value: float, sky: _Sky) -> bool:
    """Whether a value is as far from what lies next to it as from the sky: no part of a source."""
    ring = ndimage.binary_dilation(same, np.ones((3, 3))) & rest
    near = image[ring].astype(np.float64)
    if not near.size:
        return True
    local = float(np.median(near))
    return abs(value - local) > _FAR * max(sky.scatter, _MAD * float(np.median(np.abs(near - local))))


def _noise(image: np.ndarray, use: np.ndarray) -> tuple[float, float]:
    """Scatter of a pixel by second differences, and how far next-door ones are alike: what is smooth has
    no noise."""
    bent, pairs = [], []
    for values, used in ((image, use), (image.T, use.T)):
        if values.shape[0] < 4:
            continue
        values = values.astype(np.float64)
        good = used[:-2] & used[1:-1] & used[2:]
        second = np.where(good, values[:-2] - 2 * values[1:-1] + values[2:], 0.0)
        bent.append(second[good])
        both = good[1:] & good[:-1]
        pairs.append((second[1:][both], second[:-1][both]))
    bent = np.concatenate(bent) if bent else np.zeros(0)
    if bent.size < _FRAGMENT:
        return 0.0, 1.0
    width = _MAD * np.median(np.abs(bent))
    if not width > 0:
        width = float(np.std(bent))  # counts of few values
    first, second = (np.concatenate(side) for side in zip(*pairs))
    faint = (np.abs(first) < 4 * width) & (
        np.abs(second) < 4 * width
    )  # cores of sources say nothing of the noise
    first, second = first[faint], second[faint]
    total = float(np.sqrt(np.sum(first**2) * np.sum(second**2)))
    return float(width / np.sqrt(6.0)), float(np.sum(first * second) / total) if total > 0 else 1.0


def _core(image: np.ndarray, rest: np.ndarray, same: np.ndarray, value: float, level: float) -> bool:
    """Whether the light next to the pixels of a value rises towards it: a saturated core, cut off there."""
    ring = ndimage.binary_dilation(same, np.ones((3, 3))) & rest
    if not ring.any():
        return False
    near = image[ring].astype(np.float64)
    return (
        float(np.median(near)) > level + _CORE * (value - level)
        and np.count_nonzero(near > value) < 0.1 * near.size
    )
