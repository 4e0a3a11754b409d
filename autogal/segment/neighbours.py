"""Growing the neighbours' footprints until they leave no light outside."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from autogal.segment.detection import Field

__all__ = ["grow_neighbours"]

_FAINTEST = 0.15  # light below this part of the pixel noise is left in
_OF_TARGET = 0.05  # and light below this part of the target's own light
_LONGEST = 60  # px


def grow_neighbours(field: Field, labels: np.ndarray, expected: np.ndarray, centre: tuple[float, float] | None,
                    threshold: float, grow: float = 1.0) -> np.ndarray:
    """Mask of the neighbours, each grown as far as its own light reaches.

    The light around each footprint is measured in rings of equal distance to it, after the target's
    expected light is taken off; where a ring is covered by other sources, the footprint's exponential
    extrapolation stands in. Growth ends where that light drops below a small part of the noise,
    and on the target also where it drops below a small part of the target's own light.

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
    ndarray of bool, shape (H, W)
    """
    mask = labels > 1
    if grow <= 0 or not mask.any():
        return mask
    residual = field.data - expected
    occupied = labels > 0
    grown = np.zeros_like(mask)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if number == 1 or box is None:
            continue
        footprint_radius = np.sqrt(np.count_nonzero(labels[box] == number) / np.pi)
        reach = int(np.clip(2 * footprint_radius, 8, _LONGEST))
        box = tuple(slice(max(0, side.start - reach), side.stop + reach) for side in box)
        own = labels[box] == number
        distance = ndimage.distance_transform_edt(~own)
        free = field.good[box] & ~occupied[box]
        noise = field.pixel_noise[box]
        light = _ring_profile(residual[box], noise, own, distance, free, footprint_radius, reach, threshold, field)
        at_pixel = np.interp(distance / grow, np.arange(light.size), light, right=0.0)
        grown[box] |= (at_pixel > 0) & (at_pixel > _OF_TARGET * expected[box])
    if centre is not None:
        height, width = mask.shape
        grid_y, grid_x = np.ogrid[:height, :width]
        core = np.hypot(grid_x - centre[0], grid_y - centre[1]) <= max(1.5, field.fwhm / 2)
        grown &= ~core
    return mask | grown


def _ring_profile(residual, noise, own, distance, free, footprint_radius, reach, threshold, field) -> np.ndarray:
    """Light at distances 0, 1, ... px from a footprint, falling; 0 from where it drops into the noise."""
    peak = residual[own].max()
    edge = threshold * float(np.median(noise[own])) * float(np.median(field.noise / field.pixel_noise))
    scale = footprint_radius / max(np.log(max(peak / edge, 1.0)), 0.5)
    light = edge * np.exp(-np.arange(reach + 1) / scale)
    ring = np.rint(distance).astype(np.int32)
    near = (ring <= reach) & free & ~own
    counts = np.bincount(ring[near], minlength=reach + 1)
    seen = np.flatnonzero(counts >= 5)
    seen = seen[seen > 0]
    if seen.size:
        light[seen] = ndimage.median(residual[near], ring[near], seen)
    faint = _FAINTEST * float(np.median(noise[own | near]))
    light = np.minimum.accumulate(np.maximum(light, 0))
    # At least 2 px: the smoothing, the seeing and the threshold always leave some light there.
    end = np.flatnonzero(light < faint)
    end = max(int(end[0]) if end.size else light.size, 3)
    light[:end] = np.maximum(light[:end], faint)
    light[end:] = 0
    return light
