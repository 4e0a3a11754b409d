"""Starting values measured from the image: moments for the shape, rings for the light."""

from __future__ import annotations

import logging

import numpy as np
from scipy import ndimage

from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.initialise.classical.ellipse import Ellipse, adaptive_moments, footprint_moments
from autogal.initialise.classical.profile import match_sersic, measure_rings
from autogal.initialise.photometry.gaussians import psf_gaussians, weighted_axis_ratio
from autogal.initialise.start import Start
from autogal.segment.segmentation import Segmentation

__all__ = ["start_from_moments"]

log = logging.getLogger(__name__)

# Why this is not autogal.initialise.photometry, which measures the same for networks and neighbours: measured
# on the same targets, that takes 12 ms a target of a block in place of 15, but 29 one by one, as where it
# stands in for a network; beyond S/N 200 it knows r_eff to 1 % in place of 5 %, between 20 and 50 it is no
# better (13 % of the starts are wrong, 11 % here); and behind a hole in the target, which it fills from the
# other side of a centre that the hole has moved, the centre is off by 0.31 px in place of 0.21, r_eff by 14 %
# in place of 7 in the worst twentieth. These values stand in where a network cannot be asked; there holes
# matter more. Its own cannot change: networks learnt from them.
_Q_RANGE = 0.1, 0.98
_TYPICAL_Q = 0.75


def start_from_moments(cutout: Cutout, segmentation: Segmentation, settings=None) -> Start:
    """Measure starting values.

    1. Sky: clipped median outside all sources.
    2. Centre, axis ratio, position angle: adaptive Gaussian moments less those of the PSF.
    3. Total flux, half-light radius, Sersic index and sky: the PSF-convolved Sersic profile closest to
       the mean light in elliptical rings.

    Parameters
    ----------
    cutout : Cutout
        Prepared; never changed.
    segmentation : Segmentation
    settings
        Configuration node ``initialise``; nothing of it is needed.

    Returns
    -------
    Start
        With START_FALLBACK, and a note that says why, where one of these steps failed.
    """
    image = np.asarray(cutout.image, np.float64)
    use = ~cutout.mask & ~segmentation.neighbours & np.isfinite(image)
    if cutout.sigma is not None:
        use &= np.isfinite(cutout.sigma) & (cutout.sigma > 0)
    if np.count_nonzero(use) < 9:
        return _guess(segmentation, 0.0, 1.0, 2.5, "too few usable pixels to measure starting values")
    sky, scatter = _outer_sky(image, use, segmentation)
    sigma = np.full(image.shape, scatter) if cutout.sigma is None else np.asarray(cutout.sigma, np.float64)
    unit = float(np.median(sigma[use]))
    if not (np.isfinite(unit) and unit > 0):
        return _guess(segmentation, sky, 1.0, 2.5, "the noise of the image is not known")
    # Units of the noise keep all numbers near one.
    light = np.where(use, (image - sky) / unit, 0.0)
    noise = np.where(use, sigma / unit, 1.0)
    psf, psf_matrix = _describe_psf(cutout)
    width = float(np.sqrt(np.trace(psf_matrix) / 2))
    if segmentation.flags & Flag.NO_TARGET:
        return _guess(segmentation, sky, unit, 2.355 * width, "No target to measure starting values from.")

    notes = []
    first = footprint_moments(light, segmentation.target & use, segmentation.x, segmentation.y)
    reach = max(3.0, 2.355 * width, np.sqrt(np.count_nonzero(segmentation.target) / np.pi))
    ellipse = adaptive_moments(light, use, Ellipse(segmentation.x, segmentation.y, first.matrix), reach)
    if ellipse is None:
        notes.append("The moments did not settle; the footprint's were taken.")
        ellipse = first
    q, pa = _intrinsic_shape(ellipse, psf_matrix)
    height, length = image.shape
    largest = 0.7 * max(height, length)
    rings = measure_rings(light, noise, use, ellipse.x, ellipse.y, q, pa)
    fit = match_sersic(rings, q, psf, smallest=min(0.25 * width, largest / 4), largest=largest)
    if fit is None:
        return _guess(
            segmentation, sky, unit, 2.355 * width, "No profile fits the light around the target.", light
        )
    circular = fit.r_eff * np.sqrt(q)
    q = _axis_ratio(ellipse, fit.n, circular, psf)
    values = dict(
        x=ellipse.x,
        y=ellipse.y,
        flux=fit.flux * unit,
        r_eff=float(circular / np.sqrt(q)),
        n=fit.n,
        q=q,
        pa=pa,
        sky=sky + fit.sky * unit,
    )
    for note in notes:
        log.debug("%s: %s", cutout.id, note)
    return Start(values, Flag.START_FALLBACK if notes else Flag(0), notes)


def _outer_sky(image: np.ndarray, use: np.ndarray, segmentation: Segmentation) -> tuple[float, float]:
    """Clipped median and scatter of the pixels outside all sources; of the border where sources cover
    everything."""
    target = segmentation.target
    far = use.copy()
    if target.any():
        radius = np.sqrt(np.count_nonzero(target) / np.pi)
        far &= ndimage.distance_transform_edt(~target) > max(3.0, 0.7 * radius)
    if np.count_nonzero(far) < max(20, 0.02 * image.size):
        rim = max(1, min(image.shape) // 12)
        far = use.copy()
        far[rim:-rim, rim:-rim] = False
    if np.count_nonzero(far) < 9:
        far = use
    values = image[far]
    for _ in range(6):
        median = np.median(values)
        scatter = 1.4826 * np.median(np.abs(values - median))
        kept = values[np.abs(values - median) <= 3 * scatter]
        if kept.size in (0, values.size):
            break
        values = kept
    return float(np.median(values)), float(1.4826 * np.median(np.abs(values - np.median(values))))


def _describe_psf(cutout: Cutout) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """The PSF as round Gaussians, and its adaptive second moments [px^2]."""
    if cutout.psf is None:
        return (np.array([1.0]), np.array([1.0])), np.eye(2)
    scale = cutout.psf_oversample
    gaussians = psf_gaussians(cutout.psf, cutout.psf_kind, scale)
    rows, columns = cutout.psf.shape
    typical = float(np.sum(gaussians[0] * gaussians[1])) * scale**2
    first = Ellipse(
        (columns - 1) / 2, (rows - 1) / 2, np.eye(2) * np.clip(typical, 0.3, (min(rows, columns) / 3) ** 2)
    )
    ellipse = adaptive_moments(
        cutout.psf, np.ones(cutout.psf.shape, bool), first, max(2.0, min(rows, columns) / 3)
    )
    matrix = (ellipse or first).matrix / scale**2
    if cutout.psf_kind == "optical":
        matrix = matrix + np.eye(2) / 12
    return gaussians, matrix


def _intrinsic_shape(ellipse: Ellipse, psf_matrix: np.ndarray) -> tuple[float, float]:
    """Axis ratio and position angle with the PSF taken off; typical ones for a source not wider than the
    PSF."""
    intrinsic = Ellipse(ellipse.x, ellipse.y, ellipse.matrix - psf_matrix)
    major, minor, pa = intrinsic.axes()
    if not major > 0.15 * np.sqrt(np.trace(psf_matrix) / 2):
        return _TYPICAL_Q, pa
    return float(np.clip(minor / major, *_Q_RANGE)), pa


def _axis_ratio(ellipse: Ellipse, n: float, r_eff: float, psf: tuple[np.ndarray, np.ndarray]) -> float:
    """True axis ratio of the Sersic profile that has the measured one once it is convolved and weighted.

    Taking the PSF's moments off is exact for Gaussians only; cuspy profiles come out too round.
    """
    major, minor, _ = ellipse.axes()
    trial = np.linspace(*_Q_RANGE, 45)
    return float(np.interp(minor / major, weighted_axis_ratio(n, r_eff, trial, psf, major, minor), trial))


def _guess(
    segmentation: Segmentation,
    sky: float,
    unit: float,
    fwhm: float,
    note: str,
    light: np.ndarray | None = None,
) -> Start:
    """Plain values for a source that could not be measured, flagged."""
    target = segmentation.target
    area = max(np.count_nonzero(target), np.pi * fwhm**2)
    flux = 3 * unit * np.sqrt(area)
    if light is not None and target.any():
        flux = max(flux, float(light[target].sum()) * unit)
    values = dict(
        x=segmentation.x,
        y=segmentation.y,
        flux=flux,
        r_eff=float(np.sqrt(area / np.pi) / 2),
        n=1.5,
        q=_TYPICAL_Q,
        pa=0.0,
        sky=sky,
    )
    return Start(values, Flag.START_FALLBACK, [note])
