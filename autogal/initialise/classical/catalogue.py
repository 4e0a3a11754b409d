"""Starting values that the user gave."""

from __future__ import annotations

import numpy as np

from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.initialise.classical.moments import start_from_moments
from autogal.initialise.start import NAMES, Start
from autogal.parameters import flux_of
from autogal.segment.segmentation import Segmentation

__all__ = ["start_from_catalogue"]


def start_from_catalogue(cutout: Cutout, segmentation: Segmentation, settings=None) -> Start:
    """The user's values; what is missing or not usable is measured and flagged.

    The sky may be left out without a flag: it is always measurable where a fit is possible.

    Parameters
    ----------
    cutout : Cutout
        With ``start``: any of x, y, mag or flux, r_eff, n, q, pa, sky.
    segmentation : Segmentation
    settings
        Configuration node ``initialise``; nothing of it is needed.

    Returns
    -------
    Start
        With START_FALLBACK where a value other than the sky had to be measured.
    """
    given = _usable(cutout)
    missing = [name for name in NAMES if name not in given]
    if not missing:
        return Start(given)
    measured = start_from_moments(cutout, segmentation, settings)
    values = {name: given.get(name, measured.values[name]) for name in NAMES}
    missing = [name for name in missing if name != "sky"]
    if not missing:
        return Start(values)
    note = f"No usable starting value was given for {', '.join(missing)}: measured instead."
    return Start(values, measured.flags | Flag.START_FALLBACK, [note, *measured.notes])


def _usable(cutout: Cutout) -> dict[str, float]:
    """The user's values that a fit can start from, with flux in place of mag."""
    given = {name: float(value) for name, value in (cutout.start or {}).items() if value is not None}
    if "flux" not in given and "mag" in given:
        given["flux"] = flux_of(given["mag"], cutout.zeropoint)
    values = {name: given[name] for name in NAMES if name in given and np.isfinite(given[name])}
    for name in ("flux", "r_eff", "n", "q"):
        if name in values and not values[name] > 0:
            del values[name]
    if "pa" in values:
        values["pa"] %= 180.0
    if "q" in values and values["q"] > 1:
        # The axes were swapped: the same ellipse seen from its minor axis.
        if "r_eff" in values:
            values["r_eff"] *= values["q"]
        values["q"] = 1 / values["q"]
        if "pa" in values:
            values["pa"] = (values["pa"] + 90.0) % 180.0
    return values
