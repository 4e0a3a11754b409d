"""Which detected source is the target, and which pieces around it belong to it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.segment.detection import Field

__all__ = ["choose_target", "is_significant", "target_flags", "target_profile", "judge_pieces"]

_EXCESS = 0.5  # a neighbour's peak stands this much above the target's own light, relative to it
_SADDLE = 5.0  # and by this many sigmas above the saddle that joins it to the target
_ARM = 0.3  # height of a spiral arm's peak, at most, relative to the target's
_LOW_SN = 10.0
_CUT_OFF = 0.1  # of the target's peak: an edge through fainter light costs next to nothing
_FALSE = 1e-4  # of the fields of pure noise have a target, at each smoothing
_FRAME = 48  # px; a smaller stamp is full of its galaxy, whose light is in what is measured as noise and around it
_RING = 1.5, 2.5  # where the level around a peak is measured: FWHM of the smoothing, or radii of the source
_BRIGHTER = 1.5  # a peak this much brighter than the target's own is never the target's


def choose_target(objects: np.ndarray, labels: np.ndarray, x: float, y: float, exact: bool,
                  fwhm: float) -> int | None:
    """Number of the source that is the target: near the wanted position, and bright.

    The score is flux times a Gaussian of the distance: a bright source wins over a faint one that is
    somewhat nearer, but no source wins from outside the reach.

    Parameters
    ----------
    objects, labels
        From :func:`autogal.segment.detection.extract`.
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
    distance = np.minimum(np.hypot(objects["x"] - x, objects["y"] - y), np.hypot(objects["xpeak"] - x, objects["ypeak"] - y))
    # A position inside a large galaxy's footprint is near it, unless it is far out, where it may be another's.
    column, row = int(round(x)), int(round(y))
    inside = np.zeros(len(objects), bool)
    if 0 <= row < labels.shape[0] and 0 <= column < labels.shape[1] and labels[row, column]:
        here = labels[row, column] - 1
        inside[here] = distance[here] <= objects["a"][here]
    near = (distance <= reach) | inside
    if not near.any():
        return None
    score = np.log(np.maximum(objects["flux"], 1e-30)) - 0.5 * (distance / (0.4 * reach))**2
    return int(np.argmax(np.where(near, score, -np.inf)))


def is_significant(field: Field, labels: np.ndarray, k: int, x: float, y: float, exact: bool, fwhm: float) -> bool:
    """Whether noise alone would hardly ever show as much near the wanted position as this source does.

    The smoothed image at the source's peak stands above the ring around it, which no gradient of the sky makes it do,
    by more than the largest peak of noise that is expected in one of `1 / _FALSE` fields: the number of places within
    reach counts, and so does how well so small a field knows its own noise.

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
    # The ring lies outside the source and as far as it can within the frame, which would cut it on one side only.
    high = min(_RING[1] * max(field.fwhm, np.sqrt(rows.size / np.pi)), row, column, height - 1 - row, width - 1 - column)
    grid_y, grid_x = np.ogrid[:height, :width]
    radius = np.hypot(grid_x - column, grid_y - row)
    ring = (radius >= _RING[0] / _RING[1] * high) & (radius <= high) & field.good & ((labels == 0) | (labels == k + 1))
    around = max(0.0, float(np.median(field.data[ring]))) if high > field.fwhm and np.count_nonzero(ring) >= 9 else 0.0
    excess = signal[brightest] - around / field.noise[row, column]

    variance = (field.fwhm / 2.355)**2  # of the smoothing; that of the noise's correlation is twice as large
    places = np.pi * reach**2 / (2 * variance)
    beams = np.count_nonzero(field.good) / (4 * np.pi * variance)
    # Peaks of a Gaussian field above u: places * u * exp(-u^2 / 2) / (2 pi)^1.5 (Adler 1981)
    u = 4.0
    for _ in range(20):
        u = np.sqrt(2 * np.log(max(places * u / ((2 * np.pi)**1.5 * _FALSE), 1.1)))
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
    radius = elliptical_radius(field, target, x, y)
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


def elliptical_radius(field: Field, footprint: np.ndarray, x: float, y: float) -> np.ndarray:
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


def judge_pieces(field: Field, objects: np.ndarray, labels: np.ndarray, k: int, threshold: float) -> np.ndarray:
    """Tell neighbours from pieces of the target, and relabel.

    Deblending splits spiral arms and knots off large galaxies, and noise makes islands of a galaxy's
    faint outskirts. A neighbour must stand above what the target itself should have at that place:
    the median of the target's ellipse there, and the value diametrically opposite.

    Parameters
    ----------
    field : Field
    objects, labels
        From :func:`autogal.segment.detection.extract`.
    k : int
        The target, as an index into `objects`.
    threshold : float
        Detection threshold in units of ``field.noise``.

    Returns
    -------
    ndarray of int32, shape (H, W)
        0 sky, 1 the target with its pieces, 2, 3, ... neighbours, brightest first.
    """
    x, y = float(objects["x"][k]), float(objects["y"][k])
    islands, _ = ndimage.label(labels > 0, structure=np.ones((3, 3)))
    own_island = islands == islands[objects["ypeak"][k], objects["xpeak"][k]]
    target = labels == k + 1
    # The whole island gives a better ellipse than a shredded galaxy's middle piece, the piece a better one
    # where the island is a chain of neighbours: light expected by either is accepted.
    elsewhere = (labels > 0) & ~own_island
    peaks = objects["ypeak"], objects["xpeak"]
    height, noise = field.data[peaks], field.noise[peaks]
    connected = own_island[peaks]
    expected = target_profile(field, target, elsewhere, x, y)[peaks]
    # A spiral arm has its like on the other side; a source as bright as the target's centre is no arm.
    opposite = np.minimum(_opposite(field, x, y, elsewhere)[peaks], _ARM * height[k])
    expected = np.where(connected, np.maximum(expected, opposite), expected)
    excess = height - expected
    stands_out = excess > threshold * noise
    own_light = connected & ~(stands_out & (excess > _EXCESS * expected))
    # Where noise alone could have dug the saddle between two peaks, they are one source: the piece is a clump of the
    # target, or the target a clump of the piece. A joined piece can bring others within reach, but no saddle is higher
    # than the lowest on the way from the target.
    summit = np.where(height < _BRIGHTER * height[k], np.minimum(height, height[k]), height)
    level = np.full(len(objects) + 1, -np.inf)
    level[k + 1] = np.inf
    while True:
        saddle = _saddles(field, labels, level)
        joined = ~np.isfinite(level[1:]) & np.isfinite(saddle) & (own_light | (summit - saddle < _SADDLE * noise))
        joined[k] = False
        if not joined.any():
            break
        level[1:][joined] = saddle[joined]
    part = own_light | (level[1:] > -np.inf)

    new = np.zeros(len(objects) + 1, np.int32)
    new[1:][part] = 1
    neighbours = np.flatnonzero(~part & (connected | stands_out))
    brightest_first = neighbours[np.argsort(objects["flux"][neighbours])[::-1]]
    new[1 + brightest_first] = 2 + np.arange(neighbours.size)
    return new[labels]


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
    around = ndimage.binary_dilation(target, structure=np.ones((3, 3))) & (labels > 1)
    if around.any() or np.count_nonzero(neighbours & target) > 0.1 * area:
        flags |= Flag.BLENDED
    rim = target.copy()
    rim[1:-1, 1:-1] = False
    if rim.any() and field.data[rim].max() > _CUT_OFF * field.data[target].max():
        flags |= Flag.EDGE
    # Noise of the footprint's sum from the smoothed noise: n pixels hold n / beam independent values.
    used = target & field.good
    beam = max(1.0, 4 * np.pi * (field.fwhm / 2.355)**2)
    noise = np.sqrt(np.sum(field.noise[used]**2) * beam)
    if noise > 0 and field.data[used].sum() < _LOW_SN * noise:
        flags |= Flag.LOW_SN
    return flags


def _reach(shape: tuple[int, int], exact: bool, fwhm: float) -> float:
    """Largest distance of the target from the wanted position."""
    return max(3.0, 1.5 * fwhm, 0.0 if exact else 0.08 * min(shape))


def _saddles(field: Field, labels: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Height of the saddle that joins each source to the target; -inf where it borders none of its pieces.

    ``level[i]`` is the height of the saddle by which label i is joined already, -inf where it is not.
    """
    joined = ndimage.maximum_filter(np.minimum(field.data, level[labels]), size=3)
    return np.asarray(ndimage.maximum(np.minimum(joined, field.data), labels, np.arange(1, level.size)))


def _opposite(field: Field, x: float, y: float, exclude: np.ndarray) -> np.ndarray:
    """The image turned by 180 degrees about (x, y); zero where that is unknown."""
    height, width = field.data.shape
    rows = np.rint(2 * y - np.arange(height)).astype(int)
    columns = np.rint(2 * x - np.arange(width)).astype(int)
    known = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))[None, :]
    rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    turned = np.maximum(field.data, 0)[np.ix_(rows, columns)]
    known &= ~exclude[np.ix_(rows, columns)] & field.good[np.ix_(rows, columns)]
    return np.where(known, turned, 0.0)
