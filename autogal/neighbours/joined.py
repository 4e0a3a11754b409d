"""Fits of targets together with the pieces that were taken for neighbours of theirs, as the one galaxy
that they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from omegaconf import DictConfig

from autogal.fitting.engine import fit_cutouts
from autogal.flags import Flag
from autogal.images import Cutout
from autogal.initialise.classical.moments import start_from_moments
from autogal.model.fitted import Fitted
from autogal.neighbours.neighbour_map import Surroundings
from autogal.parameters import START
from autogal.runtime.stopwatch import Stopwatch
from autogal.segment.neighbours import union_of
from autogal.segment.segmentation import Segmentation

__all__ = ["fit_as_one"]

_RAN = int(Flag.AT_BOUND | Flag.UNCONSTRAINED | Flag.SINGULAR_COVARIANCE)
_TOLD = ("mag", "r_eff")  # of the values inside the masks, in the note


def fit_as_one(
    cutouts: Sequence[Cutout],
    around: Mapping[int, Surroundings],
    fits: Mapping[str, Fitted],
    settings: Mapping[str, DictConfig],
    watch: Stopwatch,
) -> list[int]:
    """Fit galaxies again with their doubtful neighbours left in, and keep that where it succeeds.

    Parameters
    ----------
    cutouts : sequence of Cutout
        With the masks of the fits. Those that are kept as one get its mask, and a note with the values inside
        the masks.
    around : mapping of int to Surroundings
        Of the cutouts at these places: the image says that their `doubtful` sources may be parts of the
        target.
    fits : mapping of str to Fitted
        By model; rows that are kept as one are replaced, and get POOR_FIT: nobody has seen whether it is one.
    settings : mapping of str to DictConfig
        Of each model.
    watch : Stopwatch

    Returns
    -------
    list of int
        Places that were kept as one.
    """
    if not around:
        return []
    whole, start = {}, np.full((len(cutouts), len(START)), np.nan)
    for i, one in around.items():
        whole[i] = replace(cutouts[i], mask=one.without(one.doubtful), notes=[])
        first = start_from_moments(whole[i], _merged(cutouts[i], one)).values
        zero = cutouts[i].zeropoint
        first = first | {"mag": zero - 2.5 * np.log10(first["flux"]) if first["flux"] > 0 else np.nan}
        start[i] = [first[name] for name in START]
    places = list(whole)
    again = {
        name: fit_cutouts([whole[i] for i in places], start[places], settings[name], watch) for name in fits
    }
    kept = []
    for row, i in enumerate(places):
        if any(one.status[row] != "converged" or one.flags[row] & _RAN for one in again.values()):
            continue  # no profile has the light of all of them
        kept.append(i)
        before = next(iter(fits.values()))
        was = [
            f"{name} {before.values[i, before.parameters.index(name)]:.4g}"
            for name in _TOLD
            if name in before.parameters
        ]
        for name, fitted in fits.items():
            _take(fitted, i, again[name], row)
            fitted.flags[i] |= Flag.POOR_FIT | Flag.BLENDED
        cutouts[i].mask[...] = whole[i].mask
        count = len(around[i].doubtful)
        cutouts[i].notes.append(
            f"{'They were' if count > 1 else 'It was'} fitted as one galaxy with the target."
            + (f" Masked, the target alone would have {', '.join(was)}." if was else "")
        )
    return kept


def _merged(cutout: Cutout, around: Surroundings) -> Segmentation:
    """The sources with the doubtful ones part of the target."""
    labels = np.where(np.isin(around.labels, list(around.doubtful)), 1, around.labels)
    others = {label: reach for label, reach in around.reaches.items() if label not in around.doubtful}
    rows, columns = np.nonzero((labels == 1) & ~around.bad)
    light = np.maximum(cutout.image[rows, columns] - np.median(cutout.image[~around.bad]), 0.0).astype(float)
    weight = light if light.sum() > 0 else np.ones(len(rows))
    x, y = (float((weight * place).sum() / weight.sum()) for place in (columns, rows))
    return Segmentation(
        labels, union_of(others, labels.shape), x, y, 1 + len(others), bool(others), Flag(0), [], others
    )


def _take(fitted: Fitted, i: int, other: Fitted, row: int) -> None:
    """Put row `row` of other fits in place of row `i`."""
    moved = Fitted.empty(len(fitted), fitted.parameters)
    further = ("bootstrap", "misfit", "quantiles", "replicates")
    for name in further:
        theirs = getattr(other, name)
        setattr(moved, name, None if theirs is None else np.full((len(fitted), *theirs.shape[1:]), np.nan))
    moved.remarks = [[] for _ in range(len(fitted))]
    for name in (
        "values",
        "covariance",
        "chi2",
        "dof",
        "n_iter",
        "snr",
        "status",
        "flags",
        "remarks",
        *further,
    ):
        if (theirs := getattr(other, name)) is not None:
            getattr(moved, name)[i] = theirs[row]
    fitted.replace_row(i, moved)
