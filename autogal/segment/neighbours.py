"""Growing the neighbours' footprints until they leave no light outside."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from autogal.segment.classical.detection import Field

__all__ = ["Reach", "grow_neighbours", "union_of"]

#: Where a neighbour's light reaches: a box, rows and columns, and the pixels in it, bool
Reach = tuple[tuple[slice, slice], np.ndarray]

_FAINTEST = 0.05  # light below this part of the pixel noise is left in
_OF_TARGET = 0.03  # and light below this part of the target's own light
_SLOPES = 3.5, 8.0  # of the surface brightness of wings, as a power of the radius
_LONGEST = 60  # px
# Growth that would hide more than this part of the target's squared signal-to-noise ratio gives way on its
# footprint, to where a neighbour's light is a larger and larger part of all there is
_HIDDEN = 0.3
_GIVING_WAY = 0.1, 0.3, 1.0


def grow_neighbours(
    field: Field,
    labels: np.ndarray,
    expected: np.ndarray,
    centre: tuple[float, float] | None,
    threshold: float,
    grow: float = 1.0,
) -> dict[int, Reach]:
    """Masks of the neighbours, each grown as far as its own light reaches.

    The light around each footprint is measured in rings of equal distance to it, after the target's
    expected light is taken off; where other sources or noise cover a ring, a power law
    stands in. Growth ends where that light drops below a small part of the noise,
    and on the target also where it drops below a small part of the target's own light, or, where much of the
    target would be hidden, a larger one of all light there.

    Parameters
    ----------
    field : Field
    labels : ndarray of int, shape (H, W)
        1 the target, 2, 3, ... the neighbours.
    expected : ndarray of float64, shape (H, W)
        The target's own light, in the units of ``field.data``.
    centre : (x, y) or None
        Of the target; its core (one PSF half width) is never masked by growth.
    threshold : float
        Detection threshold in units of ``field.noise``.
    grow : float
        Factor on every growth distance; 0 keeps the bare footprints.

    Returns
    -------
    dict of int to Reach
        By label, the footprints included.
    """
    found, lights = {}, {}
    residual = field.data - expected
    occupied = labels > 0
    smoothing = float(np.median(field.noise / field.pixel_noise))
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if number == 1 or box is None:
            continue
        if grow <= 0:
            found[number] = box, labels[box] == number
            continue
        footprint_radius = np.sqrt(np.count_nonzero(labels[box] == number) / np.pi)
        reach = int(np.clip(1.5 * footprint_radius, 10, _LONGEST))
        box = tuple(
            slice(max(0, side.start - reach), min(side.stop + reach, length))
            for side, length in zip(box, labels.shape)
        )
        own = labels[box] == number
        distance = ndimage.distance_transform_edt(~own)
        free = field.good[box] & ~occupied[box]
        noise = field.pixel_noise[box]
        light = _ring_profile(
            residual[box],
            noise,
            own,
            distance,
            free,
            footprint_radius,
            reach,
            threshold,
            smoothing,
            field.fwhm,
        )
        at_pixel = np.interp(distance / grow, np.arange(light.size), light, right=0.0)
        grown = (at_pixel > 0) & (at_pixel > _OF_TARGET * expected[box])
        if centre is not None:
            grid_y, grid_x = np.ogrid[box]
            grown &= np.hypot(grid_x - centre[0], grid_y - centre[1]) > max(1.5, field.fwhm / 2)
        found[number], lights[number] = (box, own | grown), at_pixel
    _give_way(field, labels, found, lights)
    return found


def _give_way(
    field: Field, labels: np.ndarray, reaches: dict[int, Reach], lights: dict[int, np.ndarray]
) -> None:
    """Take growth off the target's footprint, in place, until enough of the target is left; `lights` [h,
    w] are of each neighbour."""
    target = (labels == 1) & field.good
    weight = np.where(target, np.maximum(field.data, 0) / field.pixel_noise, 0.0) ** 2
    for part in _GIVING_WAY:
        if not weight[union_of(reaches, labels.shape)].sum() > _HIDDEN * weight.sum():
            return
        for number, light in lights.items():
            box, mask = reaches[number]
            mask &= ~target[box] | (light > part * field.data[box])


def union_of(reaches: dict[int, Reach], shape: tuple[int, int]) -> np.ndarray:
    """All pixels that any of the neighbours reaches, bool of `shape`.

    Parameters
    ----------
    reaches : dict of int to Reach
    shape : (int, int)
        Rows and columns.

    Returns
    -------
    ndarray of bool, shape (H, W)
    """
    mask = np.zeros(shape, bool)
    for box, own in reaches.values():
        mask[box] |= own
    return mask


def _ring_profile(
    residual, noise, own, distance, free, footprint_radius, reach, threshold, smoothing, fwhm
) -> np.ndarray:
    """Light at distances 0, 1, ... px from a footprint, falling; 0 from where it no longer matters."""
    pixel = float(np.median(noise))
    edge = threshold * smoothing * pixel
    steps = np.arange(reach + 1)
    radius = footprint_radius + steps
    ring = np.rint(distance).astype(np.int32)
    near = (ring <= reach) & free & ~own
    counts = np.bincount(ring[near], minlength=reach + 1)
    seen = np.flatnonzero(counts >= 5)
    seen = seen[seen > 0]
    medians = ndimage.median(residual[near], ring[near], seen) if seen.size else np.zeros(0)
    # A median of m smoothed pixels is that of m / beam independent ones, 1.25 times as noisy as a mean.
    beam = max(1.0, 2 * fwhm**2)
    scatter = 1.25 * smoothing * pixel / np.sqrt(np.maximum(counts[seen] / beam, 1.0))
    lost = np.flatnonzero(medians < 2 * scatter)
    seen = seen[: lost[0]] if lost.size else seen
    medians = medians[: seen.size]
    # Where noise or other sources cover the rings, a power law goes on: as steep as the light fell before.
    peak = max(residual[own].max(), 1.01 * edge)
    if seen.size >= 3:
        slope = np.log(max(medians[0], edge / 4) / medians[-1]) / np.log(radius[seen[-1]] / radius[seen[0]])
        last, from_light = seen[-1], medians[-1]
    else:
        slope = np.log(peak / edge) / np.log1p(footprint_radius)
        last, from_light = (seen[-1], medians[-1]) if seen.size else (0, edge)
    slope = np.clip(slope, *_SLOPES)
    light = from_light * (radius / radius[last]) ** -slope
    light[seen] = medians
    light = np.minimum.accumulate(light)
    # At least 2 px: the smoothing and the threshold always leave some light there.
    faint = _FAINTEST * pixel
    end = np.flatnonzero(light < faint)
    end = max(int(end[0]) if end.size else light.size, 3)
    light[:end] = np.maximum(light[:end], faint)
    light[end:] = 0
    return light
