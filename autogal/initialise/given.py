"""Which of the user's starting values a fit can begin from."""

from __future__ import annotations

import math
from collections.abc import Mapping

from autogal.flags import Flag
from autogal.images.cutout import Cutout

__all__ = ["settle_start"]

_POSITIVE = ("flux", "r_eff", "n", "q")
_ROUNDING = 1e-6


def settle_start(cutout: Cutout, bounds: Mapping[str, tuple[float, float]]) -> Flag:
    """Put the user's starting values of one cutout right, and say so in its notes.

    Parameters
    ----------
    cutout : Cutout
        Of its ``start`` is dropped what no galaxy has, so that it is measured, and moved to the bounds what lies beyond.
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
    impossible = {name for name, value in given.items() if not _is_possible(name, value)}
    if math.isfinite(given.get("mag", math.nan)):
        impossible.discard("flux")  # it serves only where there is no mag
    moved = {name: min(max(given[name], low), high) for name, (low, high) in bounds.items() if name in given and name not in impossible}
    moved = {name: value for name, value in moved.items() if abs(value - given[name]) > _ROUNDING * abs(value)}
    if not impossible and not moved:
        return Flag(0)
    cutout.start = {name: value for name, value in (given | moved).items() if name not in impossible}
    cutout.notes += [f"No galaxy has {name} = {given[name]:g}: its starting values were measured." for name in given if name in impossible]
    cutout.notes += [f"The start {name} = {given[name]:g} is outside the bounds; {value:g} was taken." for name, value in moved.items()]
    return Flag.START_FALLBACK


def _is_possible(name: str, value: float) -> bool:
    """Whether a galaxy can have this value; one that is missing can be anything."""
    if math.isnan(value):
        return True
    return math.isfinite(value) and (value > 0 or name not in _POSITIVE) and (value <= 1 + _ROUNDING or name != "q")
