"""Starting values of one Sersic fit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from autogal.flags import Flag
from autogal.parameters import FLUX_START, START_STEP

__all__ = ["Start", "NAMES", "STEP", "rounded"]

NAMES = FLUX_START

STEP = START_STEP
_TURN = 2.0**-3  # deg
_LOGARITHMIC = ("flux", "r_eff", "n")


@dataclass(slots=True)
class Start:
    """Where a fit begins.

    Attributes
    ----------
    values : dict of str to float
        ``x, y`` [px, 0-indexed], ``flux`` [image units, total], ``r_eff`` [px, semi-major half-light radius],
        ``n``, ``q``, ``pa`` [deg, counter-clockwise from +y, in [0, 180)], ``sky`` [image units per pixel].
        All finite, ``flux`` and ``r_eff`` positive.
    flags : Flag
        START_FALLBACK where any of them is a guess rather than what was asked for.
    notes : list of str
        One sentence for each guess.
    covariance : ndarray, shape (7, 7), optional
        How uncertain the values are, where the method knows: of x, y [px], ln flux, ln R (circularised, R = r_eff
        sqrt(q)), ln n, e1 and e2 (-ln q at twice the angle of the major axis from +x). From it a fit that failed can
        draw other starting values.
    """

    values: dict[str, float]
    flags: Flag = Flag(0)
    notes: list[str] = field(default_factory=list)
    covariance: np.ndarray | None = None


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """Starting values without what the order of sums left in their last digits.

    A network's numbers hang, in their seventh digit, on what is computed together with them. Where a fit has a valley to choose from,
    that digit can decide on which side it ends.

    Parameters
    ----------
    values : mapping of str to float
        Any of `NAMES`; a sky stays as it is.
    """
    out = dict(values)
    for name in ("x", "y", "q"):
        if name in out:
            out[name] = round(out[name] / STEP) * STEP
    for name in _LOGARITHMIC:
        if name in out and out[name] > 0:
            out[name] = math.exp(round(math.log(out[name]) / STEP) * STEP)
    if "pa" in out:
        out["pa"] = round(out["pa"] / _TURN) * _TURN % 180.0
    return out
