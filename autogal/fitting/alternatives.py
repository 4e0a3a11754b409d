"""How far the values of a galaxy hang on a choice that was close: whether light beside it is its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from omegaconf import DictConfig, OmegaConf

from autogal.fitting.engine import fit_cutouts
from autogal.flags import Flag
from autogal.images import Cutout
from autogal.model.fitted import Fitted
from autogal.parameters import angle_difference, split_name
from autogal.runtime.stopwatch import Stopwatch

__all__ = ["weigh_choices"]

_MATTERS = 0.1  # of an error: a choice that moves nothing by more is none
_NAMED = 3  # parameters, those that move farthest


def weigh_choices(
    cutouts: Sequence[Cutout],
    otherwise: Mapping[int, np.ndarray],
    start: np.ndarray,
    settings: DictConfig,
    fitted: Fitted,
    watch: Stopwatch | None = None,
) -> np.ndarray:
    """Fit galaxies again inside the masks of the other choice, and note what that changes.

    Parameters
    ----------
    cutouts : sequence of Cutout
        As they were fitted. Those whose values hang on the choice get a note with the numbers.
    otherwise : mapping of int to ndarray of bool, shape (H, W)
        Of the cutouts at these places, the whole mask of the other choice.
    start : ndarray, [N, 8]
    settings : DictConfig
        Of the fits.
    fitted : Fitted
        The fits inside the cutouts' own masks.
    watch : Stopwatch, optional

    Returns
    -------
    ndarray of int, [N]
        BLENDED where the choice matters.
    """
    flags = np.zeros(len(cutouts), int)
    places = [i for i in otherwise if np.isfinite(fitted.values[i]).all()]
    if not places:
        return flags
    others = [replace(cutouts[i], mask=otherwise[i], notes=[]) for i in places]
    quick = settings.copy()
    OmegaConf.set_readonly(quick, False)
    OmegaConf.update(quick, "uncertainty", {"name": "none"}, merge=False)
    again = fit_cutouts(others, start[places], quick, watch)
    for i, values in zip(places, again.values):
        if note := _note(fitted, i, values):
            cutouts[i].notes.append(note)
            flags[i] |= Flag.BLENDED
    return flags


def _note(fitted: Fitted, row: int, values: np.ndarray) -> str | None:
    """What to say of the values that one galaxy has the other way; None where there is nothing to say."""
    begin = (
        "Whether all of its light is its own is not clear: two looks at the image disagree. Masked the "
        "other way, "
    )
    if not np.isfinite(values).all():
        return begin + "it could not be fitted."
    difference = values - fitted.values[row]
    for k, name in enumerate(fitted.parameters):
        if split_name(name)[1] == "pa":
            difference[k] = angle_difference(difference[k])
    with np.errstate(invalid="ignore", divide="ignore"):
        moved = np.abs(difference) / np.sqrt(np.diagonal(fitted.covariance[row]))
    moved[~np.isfinite(moved) | np.array([name.startswith("sky") for name in fitted.parameters])] = 0.0
    farthest = [k for k in np.argsort(-moved, kind="stable")[:_NAMED] if moved[k] > _MATTERS]
    if not farthest:
        return None
    said = [
        f"{fitted.parameters[k]} by {difference[k]:+.3g} ({moved[k]:.1f} of its errors)" for k in farthest
    ]
    return f"{begin}these would change: {', '.join(said)}."
