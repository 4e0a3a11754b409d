"""Starting values of one Sersic fit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from autogal.flags import Flag
from autogal.parameters import FLUX_START, START_STEP

__all__ = ["NAMES", "STEP", "Start", "predicted_start", "rounded"]

NAMES = FLUX_START

STEP = START_STEP
_TURN = 2.0**-3  # deg
_LOGARITHMIC = ("flux", "r_eff", "n")
_LIMITS = {
    "n": (0.3, 8.0),
    "q": (0.06, 1.0),
}  # of what is predicted: the network was shown no other, nor can a fit begin with all
_SIZES = 0.1, 0.7  # of r_eff: px, and longer sides of the image


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
        How uncertain the values are, where the method knows: of x, y [px], ln flux, ln R (circularised, R =
        r_eff sqrt(q)), ln n, e1 and e2 (-ln q at twice the angle of the major axis from +x). From it a fit
        that failed can draw other starting values.
    """

    values: dict[str, float]
    flags: Flag = Flag(0)
    notes: list[str] = field(default_factory=list)
    covariance: np.ndarray | None = None


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """Starting values without what the order of sums left in their last digits.

    A network's numbers hang, in their seventh digit, on what is computed together with them. Where a fit has
    a valley to choose from, that digit can decide on which side it ends.

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


def predicted_start(
    values: Mapping[str, float], shape: tuple[int, int], covariance: np.ndarray | None = None
) -> Start | None:
    """A start within what makes sense; None for one that makes none.

    Parameters
    ----------
    values : mapping of str to float
        All of `NAMES`.
    shape : (int, int)
        Rows and columns of the image.
    covariance : ndarray, shape (7, 7), optional
    """
    height, width = shape
    known = np.isfinite(list(values.values())).all() and (covariance is None or np.isfinite(covariance).all())
    if not (known and values["flux"] > 0):
        return None
    if not (-0.5 <= values["x"] <= width - 0.5 and -0.5 <= values["y"] <= height - 0.5):
        return None
    limits = _LIMITS | {"r_eff": (_SIZES[0], _SIZES[1] * max(shape))}
    bounded = {
        name: float(np.clip(value, *limits[name])) if name in limits else value
        for name, value in values.items()
    }
    return Start(rounded(bounded), covariance=covariance)
