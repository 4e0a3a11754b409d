"""Between axis ratio and position angle, and the ellipticity (e1, e2) that is smooth where a galaxy is round.

A position angle is in degrees, counter-clockwise from +y, in [0, 180). An ellipticity has the length -ln q
and twice the angle of the major axis from +x. Tensors give tensors, all else what numpy gives.
"""

from __future__ import annotations

import math

from autogal.parameters.arrays import Numbers, functions_of

__all__ = ["angle_difference", "axis_ratio_and_angle", "ellipticity", "position_angle", "spin"]

_RADIANS = math.pi / 180


def spin(length: Numbers, pa: Numbers) -> tuple[Numbers, Numbers]:
    """The vector of a length along twice the angle, from +x, of a major axis of position angle `pa` [deg]."""
    of, angle = functions_of(length, pa), 2 * (pa + 90) * _RADIANS
    return length * of.cos(angle), length * of.sin(angle)


def position_angle(e1: Numbers, e2: Numbers) -> Numbers:
    """Position angle [deg], in [0, 180), of an ellipticity or any vector along twice the angle."""
    of = functions_of(e1, e2)
    return of.remainder(of.arctan2(e2, e1) / _RADIANS / 2 - 90, 180.0)


def ellipticity(q: Numbers, pa: Numbers) -> tuple[Numbers, Numbers]:
    """e1 and e2 of an axis ratio, taken as 1 above that, and a position angle [deg]."""
    of = functions_of(q, pa)
    return spin(-of.log(of.clip(q, None, 1.0)), pa)


def axis_ratio_and_angle(e1: Numbers, e2: Numbers) -> tuple[Numbers, Numbers]:
    """q and position angle [deg] of an ellipticity; the inverse of `ellipticity`."""
    of = functions_of(e1, e2)
    return of.exp(-of.hypot(e1, e2)), position_angle(e1, e2)


def angle_difference(difference: Numbers, turn: float = 180.0) -> Numbers:
    """A difference of angles [deg] that are the same after `turn`, as near to 0 as it can be: in [-turn /
    2, turn / 2)."""
    return (difference + turn / 2) % turn - turn / 2
