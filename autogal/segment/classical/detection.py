"""Detection of sources: sky, noise and a smoothed image first, then the `sep` library."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import sep
from scipy import ndimage

from autogal.images.cutout import Cutout
from autogal.images.psf.checks import fwhm as star_fwhm

__all__ = ["Field", "extract", "prepare_field"]

log = logging.getLogger(__name__)

_SMALLEST_MESH = 64  # px; a background mesh must be much larger than a galaxy
_SUB_OBJECTS = 1024, 65536  # the library's own limit on deblended pieces, and ours
_TYPICAL_FWHM = 2.5  # px, where there is no PSF
_GAUSSIAN_FWHM = 2 * np.sqrt(2 * np.log(2))


@dataclass(slots=True, eq=False)
class Field:
    """One cutout made ready for detection, in units of its typical pixel noise.

    Working in units of the noise keeps every later number near one, whatever
    the units of the image are.

    Attributes
    ----------
    data : ndarray of float64, shape (H, W)
        Sky-subtracted image, bad pixels interpolated, smoothed with a Gaussian of the PSF's width.
    noise : ndarray of float64, shape (H, W)
        1-sigma noise of ``data``, as measured on the sky: correlated noise is included.
    pixel_noise : ndarray of float64, shape (H, W)
        1-sigma noise of a pixel before smoothing.
    good : ndarray of bool, shape (H, W)
    fwhm : float
        Full width at half maximum of the smoothing, in image pixels: the PSF's unless it is extreme.
    """

    data: np.ndarray
    noise: np.ndarray
    pixel_noise: np.ndarray
    good: np.ndarray
    fwhm: float


def prepare_field(cutout: Cutout, smoothing: float = 1.0) -> Field | None:
    """Subtract the sky, interpolate bad pixels and smooth.

    Parameters
    ----------
    cutout : Cutout
    smoothing : float
        Width of the smoothing in units of the PSF's; more than 1 brings out faint extended sources.

    Returns
    -------
    Field or None
        None where there are too few good pixels, or no noise to measure against.
    """
    image = np.asarray(cutout.image, np.float64)
    good = ~cutout.mask & np.isfinite(image)
    if min(image.shape) < 3 or np.count_nonzero(good) < 9:
        return None
    blank, scatter = _lower_envelope(image, good)
    if cutout.sigma is None:
        sigma = np.full(image.shape, scatter)
    else:
        sigma = np.asarray(cutout.sigma, np.float64)
        good &= np.isfinite(sigma) & (sigma > 0)
        if np.count_nonzero(good) < 9:
            return None
    unit = float(np.median(sigma[good]))
    if not (np.isfinite(unit) and unit > 0):
        return None
    pixel_noise = np.where(good, sigma / unit, 1.0)
    data = np.where(good, (image - blank) / unit, 0.0)

    fwhm = star_fwhm(cutout.psf) / cutout.psf_oversample if cutout.psf is not None else _TYPICAL_FWHM
    fwhm = float(np.clip(fwhm if np.isfinite(fwhm) else _TYPICAL_FWHM, 1.5, 6.0) * smoothing)
    width = fwhm / _GAUSSIAN_FWHM
    smooth = _smooth(data, good, width)
    # The smoothed noise is measured, not computed: drizzled and resampled images have correlated
    # noise. White noise bounds it, for stamps that hold no sky at all.
    white = 1 / (2 * np.sqrt(np.pi) * width)
    ratio = white
    sky = np.zeros_like(data)
    covered = np.zeros(good.shape, bool)
    for _ in range(2):
        blank, scatter = _lower_envelope((smooth - sky) / pixel_noise, good & ~covered)
        # few counts hardly scatter in most of the image, and yet a single one is no source
        ratio = float(np.clip(scatter, white if cutout.counts else 0.1 * white, 6 * white))
        sources = good & (smooth - sky - blank > 3 * ratio * pixel_noise)
        sources = ndimage.binary_opening(sources)
        grown = ndimage.binary_dilation(sources, iterations=max(3, int(round(fwhm))))
        if np.count_nonzero(good & ~grown) < max(30, 0.05 * good.size):
            sky = sky + blank
            break
        covered = grown
        sky = _sky(data, good, covered)
    return Field(smooth - sky, ratio * pixel_noise, pixel_noise, good, fwhm)


def extract(
    field: Field,
    threshold: float,
    min_area: int,
    deblend_levels: int,
    deblend_contrast: float,
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Sources above a threshold, deblended.

    Parameters
    ----------
    field : Field
    threshold : float
        In units of the noise of the smoothed image.
    min_area : int
        Fewest pixels of a source.
    deblend_levels : int
        Number of thresholds between a source's faintest and brightest pixel.
    deblend_contrast : float
        Smallest part of the flux that makes a peak a source of its own; 1 switches deblending off.

    Returns
    -------
    objects : structured ndarray
        As `sep.extract` gives them.
    labels : ndarray of int32, shape (H, W)
        0 sky, i + 1 the i-th object.
    deblended : bool
        False where deblending had to be given up.
    """
    # The library's buffer is a global; a whole image above the threshold must fit in it.
    sep.set_extract_pixstack(max(sep.get_extract_pixstack(), 2 * field.data.size + 1000))
    data = np.ascontiguousarray(field.data)
    contrast, limit, deblended = deblend_contrast, _SUB_OBJECTS[0], True
    sep.set_sub_object_limit(limit)
    try:
        while True:
            try:
                objects, labels = sep.extract(
                    data,
                    threshold,
                    err=field.noise,
                    mask=~np.isfinite(data),
                    minarea=min_area,
                    filter_kernel=None,
                    deblend_nthresh=deblend_levels,
                    deblend_cont=contrast,
                    clean=False,
                    segmentation_map=True,
                )
                return objects, labels.astype(np.int32), deblended
            except Exception as error:  # the library raises bare Exception
                message = str(error)
                if "deblending overflow" in message and limit < _SUB_OBJECTS[1]:
                    limit *= 8
                    sep.set_sub_object_limit(limit)
                elif "pixel buffer" in message and sep.get_extract_pixstack() < 64 * data.size:
                    sep.set_extract_pixstack(4 * sep.get_extract_pixstack())
                elif contrast < 1:
                    log.warning("deblending given up: %s", message)
                    contrast, deblended = 1.0, False
                else:
                    raise
    finally:
        sep.set_sub_object_limit(_SUB_OBJECTS[0])


def _lower_envelope(values: np.ndarray, use: np.ndarray) -> tuple[float, float]:
    """Sky level and its scatter from the faint side of the distribution, which sources do not reach.

    The sky is the clipped median of the border or of all pixels, whichever is fainter: one of the
    two is nearly free of light unless sources cover everything.
    """
    height, width = values.shape
    rim = max(1, min(height, width) // 10)
    border = use.copy()
    border[rim:-rim, rim:-rim] = False
    candidates = [
        _clipped_median(values[pixels]) for pixels in (use, border) if np.count_nonzero(pixels) >= 9
    ]
    if not candidates:
        return 0.0, 0.0
    sky = min(candidates)
    below = values[use & (values <= sky)]
    return sky, float(1.4826 * np.median(sky - below)) if below.size else 0.0


def _clipped_median(values: np.ndarray) -> float:
    values = np.sort(values)  # once: what is kept of it is a part in one piece
    for _ in range(8):
        median = _median(values)
        scatter = 1.4826 * _median_distance(values, median)
        first, last = (
            np.searchsorted(values, median - 4 * scatter, "right"),
            np.searchsorted(values, median + 2.5 * scatter),
        )
        if last <= first:
            break
        converged = last - first > 0.998 * values.size
        values = values[first:last]
        if converged:
            break
    return _median(values)


def _median(values: np.ndarray) -> float:
    """Of sorted values."""
    return float(values[(values.size - 1) // 2] + values[values.size // 2]) / 2


def _median_distance(values: np.ndarray, centre: float) -> float:
    """Median of the distances of sorted values from `centre`, by halving the part of them that can hold
    the nearer half."""
    half = (values.size + 1) // 2  # the nearer half are neighbours of one another
    low, high = 0, values.size - half
    while low < high:
        first = (low + high) // 2
        if centre - values[first] > values[first + half] - centre:
            low = first + 1
        else:
            high = first
    outermost = max(centre - values[low], values[low + half - 1] - centre)
    if values.size % 2:
        return float(outermost)
    beyond = [abs(values[place] - centre) for place in (low - 1, low + half) if 0 <= place < values.size]
    return float(outermost + min(beyond)) / 2


def _smooth(data: np.ndarray, good: np.ndarray, width: float) -> np.ndarray:
    """Gaussian smoothing that interpolates bad pixels from the good ones around them."""
    smooth = ndimage.gaussian_filter(data, width, mode="nearest", truncate=3)
    if good.all():
        return smooth
    weight = ndimage.gaussian_filter(good.astype(np.float64), width, mode="nearest", truncate=3)
    # Holes are interpolated; large masked areas, which hide neighbours or lie off the detector, are not.
    side = 1 + 2 * int(np.ceil(2 * width))
    padded = np.pad(~good, side, constant_values=True)
    large = ndimage.binary_opening(padded, np.ones((side, side)))[side:-side, side:-side]
    return np.where((weight > 0.05) & ~large, smooth / np.maximum(weight, 0.05), 0.0)


def _sky(data: np.ndarray, good: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Sky outside sources: a coarse mesh on large images, one number on small ones."""
    bad = ~good | covered
    mesh = max(_SMALLEST_MESH, min(data.shape) // 3)
    if min(data.shape) >= 2 * mesh:
        background = sep.Background(np.ascontiguousarray(data), mask=bad, bw=mesh, bh=mesh, fw=3, fh=3)
        return background.back().astype(np.float64)
    return np.full(data.shape, _clipped_median(data[~bad]))
