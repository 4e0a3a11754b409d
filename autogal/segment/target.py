"""Which detected source is the target, whether it is one, its light and its flags."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.segment.classical.detection import Field

__all__ = ["choose_target", "is_significant", "light_centre", "target_flags", "target_profile"]

_LOW_SN = 10.0
_CUT_OFF = 0.1  # of the target's peak: an edge through fainter light costs next to nothing
# of the fields of pure noise have a target, at each smoothing; what is fitted to most of them falls short in
# turn
_FALSE = 1e-3
_FRAME = (
    48  # px; a smaller stamp is full of its galaxy, whose light is in what is measured as noise and around it
)
_RING = 1.5, 2.5  # where the level around a peak is measured: FWHM of the smoothing, or radii of the source


def choose_target(
    objects: np.ndarray, labels: np.ndarray, x: float, y: float, exact: bool, fwhm: float
) -> int | None:
    """Number of the source that is the target: near the wanted position, and bright.

    The score is flux times a Gaussian of the distance: a bright source wins over a faint one that is
    somewhat nearer, but no source wins from outside the reach.

    Parameters
    ----------
    objects, labels
        From :func:`autogal.segment.classical.detection.extract`.
    x, y : float
        Wanted position.
    exact : bool
        True where the user gave the position; False where it is only the centre of the image.
    fwhm : float
        Of the PSF, in pixels.

    Returns
    -------
    int or None
        Index into `objects`; None where no source is within reach.
    """
    if not len(objects):
        return None
    reach = _reach(labels.shape, exact, fwhm)
    distance = np.minimum(
        np.hypot(objects["x"] - x, objects["y"] - y), np.hypot(objects["xpeak"] - x, objects["ypeak"] - y)
    )
    # A position inside a large galaxy's footprint is near it, unless it is far out, where it may be
    # another's.
    column, row = int(round(x)), int(round(y))
    inside = np.zeros(len(objects), bool)
    if 0 <= row < labels.shape[0] and 0 <= column < labels.shape[1] and labels[row, column]:
        here = labels[row, column] - 1
        inside[here] = distance[here] <= objects["a"][here]
    near = (distance <= reach) | inside
    if not near.any():
        return None
    score = np.log(np.maximum(objects["flux"], 1e-30)) - 0.5 * (distance / (0.4 * reach)) ** 2
    return int(np.argmax(np.where(near, score, -np.inf)))


def is_significant(
    field: Field, labels: np.ndarray, k: int, x: float, y: float, exact: bool, fwhm: float
) -> bool:
    """Whether noise alone would hardly ever show as much near the wanted position as this source does.

    The smoothed image at the source's peak stands above the ring around it, which no gradient of the sky
    makes it do, by more than the largest peak of noise that is expected in one of `1 / _FALSE` fields: the
    number of places within reach counts, and so does how well so small a field knows its own noise.

    Parameters
    ----------
    field : Field
        The image in which the source was found.
    labels, x, y, exact, fwhm
        As for :func:`choose_target`.
    k : int
        Number of the source.
    """
    height, width = labels.shape
    reach = _reach(labels.shape, exact, fwhm)
    rows, columns = np.nonzero(labels == k + 1)
    signal = field.data[rows, columns] / field.noise[rows, columns]
    away = np.hypot(columns - x, rows - y)
    # a large galaxy's brightest pixel may be a neighbour's, far off
    brightest = int(np.argmax(np.where(away <= max(reach, away.min()), signal, -np.inf)))
    row, column = rows[brightest], columns[brightest]
    # The ring lies outside the source and as far as it can within the frame, which would cut it on one side
    # only.
    high = min(
        _RING[1] * max(field.fwhm, np.sqrt(rows.size / np.pi)),
        row,
        column,
        height - 1 - row,
        width - 1 - column,
    )
    grid_y, grid_x = np.ogrid[:height, :width]
    radius = np.hypot(grid_x - column, grid_y - row)
    ring = (
        (radius >= _RING[0] / _RING[1] * high)
        & (radius <= high)
        & field.good
        & ((labels == 0) | (labels == k + 1))
    )
    beneath = (
        max(0.0, float(np.median(field.data[ring])))
        if high > field.fwhm and np.count_nonzero(ring) >= 9
        else 0.0
    )
    excess = signal[brightest] - beneath / field.noise[row, column]

    variance = (
        field.fwhm / 2.355
    ) ** 2  # of the smoothing; that of the noise's correlation is twice as large
    places = np.pi * reach**2 / (2 * variance)
    beams = np.count_nonzero(field.good) / (4 * np.pi * variance)
    # Peaks of a Gaussian field above u: places * u * exp(-u^2 / 2) / (2 pi)^1.5 (Adler 1981)
    u = 4.0
    for _ in range(20):
        u = np.sqrt(2 * np.log(max(places * u / ((2 * np.pi) ** 1.5 * _FALSE), 1.1)))
    if min(height, width) < _FRAME:
        return bool(signal[brightest] > u)
    # a tail as long as Student's with as many degrees of freedom as the noise was measured on
    return bool(excess > np.sqrt(beams * np.expm1(u**2 / beams)))


def target_profile(field: Field, target: np.ndarray, exclude: np.ndarray, x: float, y: float) -> np.ndarray:
    """The target's light as a function of elliptical radius only, as an image.

    The median along each ellipse ignores neighbours that cover less than half of it.

    Parameters
    ----------
    field : Field
    target : ndarray of bool, shape (H, W)
        Footprint, which gives the ellipse.
    exclude : ndarray of bool, shape (H, W)
        Pixels not to be used.
    x, y : float
        Centre.

    Returns
    -------
    ndarray of float64, shape (H, W)
        Never negative, never rising outwards.
    """
    radius = _elliptical_radius(field, target, x, y)
    ring = np.rint(radius).astype(np.int32)
    use = field.good & ~exclude
    index = np.arange(ring.max() + 1)
    counts = np.bincount(ring[use], minlength=index.size)
    filled = np.flatnonzero(counts >= 3)
    if not filled.size:
        return np.zeros(field.data.shape)
    medians = ndimage.median(field.data[use], ring[use], filled)
    profile = np.minimum.accumulate(np.maximum(np.interp(index, filled, medians), 0.0))
    return np.interp(radius, index, profile)


def light_centre(light: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """x and y [px] where the target's light is densest: the barycentre with the square of the light, which
    wings hardly move.

    Parameters
    ----------
    light : ndarray of float64, shape (H, W)
    target : ndarray of bool, shape (H, W)
        At least one pixel.
    """
    rows, columns = np.nonzero(target)
    weight = np.maximum(light[rows, columns], 0) ** 2
    if not weight.sum() > 0:
        weight = np.ones(rows.size)
    return float((weight * columns).sum() / weight.sum()), float((weight * rows).sum() / weight.sum())


def _elliptical_radius(field: Field, footprint: np.ndarray, x: float, y: float) -> np.ndarray:
    """Distance from (x, y) in pixels along the major axis of the footprint's light."""
    rows, columns = np.nonzero(footprint)
    weight = np.maximum(field.data[rows, columns], 0)
    total = weight.sum()
    dx, dy = columns - x, rows - y
    if total > 0 and rows.size >= 5:
        xx, yy, xy = ((weight * product).sum() / total for product in (dx * dx, dy * dy, dx * dy))
    else:
        xx, yy, xy = 1.0, 1.0, 0.0
    # A single row of pixels has no width: 1/12 is the variance of a pixel.
    matrix = np.array([[xx + 1 / 12, xy], [xy, yy + 1 / 12]])
    values, vectors = np.linalg.eigh(matrix)
    q = max(np.sqrt(values[0] / values[1]), 0.15)
    height, width = footprint.shape
    grid_y, grid_x = np.ogrid[:height, :width]
    minor, major = (v[0] * (grid_x - x) + v[1] * (grid_y - y) for v in vectors.T)
    return np.hypot(major, minor / q)


def target_flags(field: Field, cutout: Cutout, labels: np.ndarray, neighbours: np.ndarray) -> Flag:
    """LOW_SN, BLENDED and EDGE of a target that was found.

    Parameters
    ----------
    field : Field
    cutout : Cutout
    labels : ndarray of int, shape (H, W)
        1 the target, 2, 3, ... the neighbours.
    neighbours : ndarray of bool, shape (H, W)
        The neighbours' mask, grown.
    """
    flags = Flag(0)
    target = labels == 1
    area = np.count_nonzero(target)
    beside = ndimage.binary_dilation(target, structure=np.ones((3, 3))) & (labels > 1)
    if beside.any() or np.count_nonzero(neighbours & target) > 0.1 * area:
        flags |= Flag.BLENDED
    rim = target.copy()
    rim[1:-1, 1:-1] = False
    if rim.any() and field.data[rim].max() > _CUT_OFF * field.data[target].max():
        flags |= Flag.EDGE
    # Noise of the footprint's sum from the smoothed noise: n pixels hold n / beam independent values.
    used = target & field.good
    beam = max(1.0, 4 * np.pi * (field.fwhm / 2.355) ** 2)
    noise = np.sqrt(np.sum(field.noise[used] ** 2) * beam)
    if noise > 0 and field.data[used].sum() < _LOW_SN * noise:
        flags |= Flag.LOW_SN
    return flags


def _reach(shape: tuple[int, int], exact: bool, fwhm: float) -> float:
    """Largest distance of the target from the wanted position."""
    return max(3.0, 1.5 * fwhm, 0.0 if exact else 0.08 * min(shape))
