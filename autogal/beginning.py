"""Where fits begin: the targets are found, their neighbours masked, and starting values measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from omegaconf import DictConfig

from autogal.canonical import views
from autogal.flags import Flag
from autogal.images import Cutout, as_seen
from autogal.initialise import initialise_all, validate_initialiser
from autogal.initialise.given import no_source
from autogal.neighbours import Surroundings
from autogal.networks.ready import check_checkpoints
from autogal.parameters import START, magnitude_of
from autogal.runtime.devices import choose_device, device_name
from autogal.runtime.stopwatch import Stopwatch
from autogal.segment import segment_all, validate_segmenter

__all__ = ["Beginning", "begin", "is_segmented", "validate_methods"]


@dataclass
class Beginning:
    """What is known of N targets before they are fitted.

    Attributes
    ----------
    start : ndarray, [N, 8]
        Starting values in the order of `autogal.fitting.engine.START`; NaN where there are none.
    start_covariance : ndarray, [N, 7, 7]
        Their covariances, as `autogal.initialise.Start` has them; NaN where they are not known.
    flags : ndarray of int, [N]
    neighbour_maps : dict of int to Surroundings
        What lies around each target, where neighbours are to be fitted.
    searched : ndarray of bool, [N]
        Targets that were searched for, in place of given.
    otherwise : dict of int to ndarray of bool, [H, W]
        Whole masks of the other choice, where one was close.
    """

    start: np.ndarray
    start_covariance: np.ndarray
    flags: np.ndarray
    neighbour_maps: dict[int, Surroundings]
    searched: np.ndarray
    otherwise: dict[int, np.ndarray]


def begin(cutouts: Sequence[Cutout], settings: DictConfig, watch: Stopwatch) -> Beginning:
    """Find the targets and their neighbours, and where each fit is to begin.

    Parameters
    ----------
    cutouts : sequence of Cutout
        Their masks are replaced by ones that hold the neighbours too, and their notes grow.
    settings : DictConfig
        The nodes ``segment``, ``initialise``, ``neighbours``, ``given_starts`` and ``device``.
    watch : Stopwatch
        Gets the time spent to segment and to initialise.
    """
    flags, neighbour_maps, otherwise = np.zeros(len(cutouts), int), {}, {}
    start = np.array([_row(cutout.start or {}, cutout.zeropoint) for cutout in cutouts], float).reshape(
        -1, len(START)
    )
    good = np.array([cutout.error is None for cutout in cutouts], bool)
    complete = np.isfinite(start).all(axis=1) & good
    start[~complete] = np.nan
    wanting = np.flatnonzero(good if is_segmented(settings) else good & ~complete).tolist()
    start_covariance = np.full((len(cutouts), 7, 7), np.nan)
    if not wanting:
        return Beginning(start, start_covariance, flags, neighbour_maps, ~complete, otherwise)
    device = choose_device(settings.device)
    with watch.time("segment"):
        seen = dict(
            zip(wanting, (one.flat for one in views([as_seen(cutouts[i]) for i in wanting])), strict=True)
        )
        segmentations = dict(
            zip(
                wanting,
                segment_all([one.cutout for one in seen.values()], settings.segment, device),
                strict=True,
            )
        )
    for i, found in segmentations.items():
        flags[i] = found.flags
        if Flag.NO_TARGET in found.flags and complete[i]:
            flags[i] = Flag.MASK_FALLBACK
            cutouts[i].notes.append(
                "No source was found at the start's x and y, so that its neighbours were not looked for."
            )
        elif Flag.NO_TARGET in found.flags:
            cutouts[i].notes.append(no_source(cutouts[i]))
    met = [i for i in wanting if Flag.NO_TARGET not in segmentations[i].flags]
    wanting = [i for i in met if not complete[i]]
    with watch.time("initialise"):
        starts = initialise_all(
            [seen[i].cutout for i in wanting],
            [segmentations[i] for i in wanting],
            settings.initialise,
            device,
        )
    for i in met:
        cutout, segmentations[i] = cutouts[i], seen[i].segmentation(segmentations[i])
        if settings.neighbours != "mask" and segmentations[i].n_sources > 1:
            neighbour_maps[i] = Surroundings(
                segmentations[i].labels, segmentations[i].reaches, cutout.mask, segmentations[i].doubtful
            )
        if segmentations[i].otherwise is not None:
            otherwise[i] = cutout.mask | segmentations[i].otherwise
        cutout.bad = cutout.mask
        cutout.mask = cutout.mask | segmentations[i].neighbours
        cutout.notes.extend(segmentations[i].notes)
    for i, first in zip(wanting, starts, strict=True):
        first = seen[i].start(first)
        cutouts[i].notes.extend(first.notes)
        start[i] = _row(first.values, cutouts[i].zeropoint)
        if first.covariance is not None:
            start_covariance[i] = first.covariance
        flags[i] |= first.flags
    return Beginning(start, start_covariance, flags, neighbour_maps, ~complete, otherwise)


def validate_methods(settings: DictConfig) -> None:
    """Refuse, before any work, a segmenter or an initialiser that cannot be used: no checkpoint, or one's own
    that fails on small images.

    Raises
    ------
    AutogalError
    """
    check_checkpoints(settings)
    device = choose_device(device_name(settings) if "trainer" in settings else settings.device)
    validate_segmenter(settings.segment, device), validate_initialiser(settings.initialise, device)


def is_segmented(settings: DictConfig) -> bool:
    """Whether the neighbours of rows that bring all their starting values are looked for."""
    return settings.given_starts == "segment" and settings.segment.name not in ("none", "given")


def _row(values: dict[str, float], zeropoint: float) -> list[float]:
    """Starting values in the order of `START`; `flux` serves where there is no `mag`."""
    if not math.isfinite(values.get("mag", math.nan)) and values.get("flux", math.nan) > 0:
        values = {**values, "mag": magnitude_of(values["flux"], zeropoint)}
    return [values.get(name, math.nan) for name in START]
