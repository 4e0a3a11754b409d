"""Classical segmentation with the `sep` library (SExtractor's algorithms)."""

from __future__ import annotations

import logging

import numpy as np

from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.segment.classical.detection import extract, prepare_field
from autogal.segment.neighbours import grow_neighbours, union_of
from autogal.segment.pieces import judge_pieces
from autogal.segment.segmentation import Segmentation, wanted_position
from autogal.segment.target import choose_target, is_significant, target_flags, target_profile

__all__ = ["segment_target_only", "segment_with_sep"]

log = logging.getLogger(__name__)

# Smoothing [PSF widths] and threshold [settings.threshold], tried until a source is found at the target's
# place.
_STEPS = ((1.0, 1.0), (1.0, 0.75), (1.0, 0.55), (3.0, 0.75), (3.0, 0.55))


def segment_with_sep(cutout: Cutout, settings) -> Segmentation:
    """Find the target and mask its neighbours.

    Parameters
    ----------
    cutout : Cutout
    settings
        Node with ``threshold`` (noise sigmas of the smoothed image), ``min_area`` [px], ``deblend_levels``,
        ``deblend_contrast`` and ``grow`` (factor on the measured growth of the neighbours' masks).

    Returns
    -------
    Segmentation
        With the flag NO_TARGET and an empty target where no source is at the target's place.
    """
    return _segment(cutout, settings, deblend_contrast=float(settings.deblend_contrast), mask_neighbours=True)


def segment_target_only(cutout: Cutout, settings) -> Segmentation:
    """Find the target's footprint and mask nothing beyond ``cutout.mask``.

    Parameters and result as for :func:`segment_with_sep`; sources are not deblended.
    """
    return _segment(cutout, settings, deblend_contrast=1.0, mask_neighbours=False)


def _segment(cutout: Cutout, settings, deblend_contrast: float, mask_neighbours: bool) -> Segmentation:
    fields = {1.0: prepare_field(cutout)}
    if fields[1.0] is None:
        return Segmentation.empty(cutout, "too few usable pixels to look for a source")
    x, y = wanted_position(cutout)
    start = cutout.start or {}
    exact = bool(np.isfinite(float(start.get("x", np.nan))) and np.isfinite(float(start.get("y", np.nan))))
    attempts = []
    for smoothing, step in _STEPS:
        if smoothing not in fields:
            fields[smoothing] = prepare_field(cutout, smoothing)
        field = fields[smoothing]
        threshold = float(settings.threshold) * step
        objects, labels, deblended = extract(
            field, threshold, int(settings.min_area), int(settings.deblend_levels), deblend_contrast
        )
        k = choose_target(objects, labels, x, y, exact, fields[1.0].fwhm)
        attempts.append((field, threshold, labels, deblended))
        if k is not None and is_significant(field, labels, k, x, y, exact, fields[1.0].fwhm):
            break
        k = None
    else:
        # The faint detections were for the target's sake; the neighbours are those of the full threshold.
        field, threshold, labels, deblended = attempts[0]

    flags, notes = Flag(0), []
    if not deblended:
        flags |= Flag.MASK_FALLBACK
        notes.append("Overlapping sources could not be deblended.")
    if k is None:
        flags |= Flag.NO_TARGET
        notes.append("no source was found where the target should be")
        labels = np.where(labels > 0, labels + 1, 0).astype(np.int32)
        expected, centre = np.zeros(labels.shape), None
    else:
        x, y = float(objects["x"][k]), float(objects["y"][k])
        labels = judge_pieces(field, objects, labels, k, float(settings.threshold))
        expected, centre = target_profile(field, labels == 1, labels > 1, x, y), (x, y)
    if not mask_neighbours:
        labels = np.where(labels == 1, 1, 0).astype(np.int32)
    reaches = grow_neighbours(field, labels, expected, centre, threshold, float(settings.grow))
    neighbours = union_of(reaches, labels.shape)
    if k is not None:
        flags |= target_flags(field, cutout, labels, neighbours)
    n_sources = int(labels.max()) if k is not None else max(int(labels.max()) - 1, 0)
    log.debug("%s: %d sources, threshold %.2f", cutout.id, n_sources, threshold)
    return Segmentation(
        labels, neighbours, x, y, n_sources, bool(flags & Flag.BLENDED), flags, notes, reaches
    )
