"""Starting values of one Sersic fit."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from autogal.flags import Flag

__all__ = ["Start", "NAMES"]

NAMES = ("x", "y", "flux", "r_eff", "n", "q", "pa", "sky")


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
