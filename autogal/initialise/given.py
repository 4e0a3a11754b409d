"""Which of the user's starting values a fit can begin from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.model.fitted import Fitted
from autogal.segment.segmentation import wanted_position

__all__ = ["no_source", "note_unsegmented", "sanitise_start"]

_POSITIVE = ("flux", "r_eff", "n", "q")
_ROUNDING = 1e-6
_FARTHEST = 100.0  # mag from the zero point: fluxes of 1e40, which no image holds
# A fit that ends so far from where it was to start, in mag or in the logarithm of r_eff, may have taken a
# neighbour's light
_ASTRAY, _ASTRAY_SIZE = 0.5, math.log(1.6)


def sanitise_start(cutout: Cutout, bounds: Mapping[str, tuple[float, float]]) -> Flag:
    """Put the user's starting values of one cutout right, and say so in its notes.

    Parameters
    ----------
    cutout : Cutout
        Of its ``start`` is dropped what no galaxy has, so that it is measured, and moved to the bounds what
        lies beyond.
    bounds : mapping of str to (float, float)
        Of the model, in catalogue units, by the names of starting values.

    Returns
    -------
    Flag
        START_FALLBACK where a value could not be taken.
    """
    if not cutout.start or cutout.error is not None:
        return Flag(0)
    given = cutout.start
    places = [(given.get(name, 0.0), side) for name, side in zip("xy", cutout.shape[::-1])]
    if any(
        math.isfinite(at) and side and max(-at, at - (side - 1)) > side for at, side in places
    ):  # nothing of such a galaxy is in the image
        cutout.fail(no_source(cutout))
        return Flag(0)
    impossible = {name for name, value in given.items() if not _is_possible(name, value)}
    if abs(given.get("mag", cutout.zeropoint) - cutout.zeropoint) > _FARTHEST:
        impossible.add("mag")
    if math.isfinite(given.get("mag", math.nan)) and "mag" not in impossible:
        impossible.discard("flux")  # it serves only where there is no mag
    moved = {
        name: min(max(given[name], low), high)
        for name, (low, high) in bounds.items()
        if name in given and name not in impossible
    }
    moved = {
        name: value for name, value in moved.items() if abs(value - given[name]) > _ROUNDING * abs(value)
    }
    if not impossible and not moved:
        return Flag(0)
    cutout.start = {name: value for name, value in (given | moved).items() if name not in impossible}
    cutout.notes += [
        f"No galaxy has {name} = {given[name]:g}: its starting values were measured."
        for name in given
        if name in impossible
    ]
    cutout.notes += [
        f"The start {name} = {given[name]:g} is outside the bounds; {value:g} was taken."
        for name, value in moved.items()
    ]
    return Flag.START_FALLBACK


def _is_possible(name: str, value: float) -> bool:
    """Whether a galaxy can have this value; one that is missing can be anything."""
    if math.isnan(value):
        return True
    return (
        math.isfinite(value)
        and (value > 0 or name not in _POSITIVE)
        and (value <= 1 + _ROUNDING or name != "q")
    )


def no_source(cutout: Cutout) -> str:
    """What to say of a cutout in which no target was found."""
    x, y = wanted_position(cutout)
    height, width = cutout.shape
    if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
        return (
            f"x = {x:.4g}, y = {y:.4g}, where the target should be, is outside the image of {width} x "
            f"{height} pixels."
        )
    return (
        f"No source was found at x = {x:.4g}, y = {y:.4g}, where the target should be; x and y in a "
        f"manifest or start table "
        "name another place."
    )


def note_unsegmented(cutouts: Sequence[Cutout], fitted: Fitted, start: np.ndarray, rows: np.ndarray) -> None:
    """Say of fits whose neighbours were not looked for that they may be in the way, where the fits look like
    it.

    Parameters
    ----------
    cutouts : sequence of Cutout
        Get a note where the fit is poor, or ended far from its start.
    fitted : Fitted
        Gets the flag NEIGHBOURS_IGNORED there.
    start : ndarray, [N, 8]
        Starting values, x, y, mag, r_eff first.
    rows : ndarray of bool, [N]
        Those that brought all their starting values and were not segmented.
    """
    doubtful = (fitted.flags & int(Flag.POOR_FIT)) != 0
    if {"mag", "r_eff"} <= set(fitted.parameters):
        mag, r_eff = (fitted.values[:, fitted.parameters.index(name)] for name in ("mag", "r_eff"))
        with np.errstate(invalid="ignore", divide="ignore"):
            doubtful |= (np.abs(mag - start[:, 2]) > _ASTRAY) | (np.log(r_eff / start[:, 3]) > _ASTRAY_SIZE)
    for i in np.flatnonzero(doubtful & rows & np.isfinite(start).all(axis=1)):
        fitted.flags[i] |= Flag.NEIGHBOURS_IGNORED
        cutouts[i].notes.append(
            "Neighbours were not looked for, as all starting values were given, and the fit is poor or "
            "ended far from "
            "them: segment=maskrcnn or neighbours=auto has neighbours masked or fitted."
        )
