"""What a coordinate of the solver is of the value of its parameter."""

from __future__ import annotations

import math
from enum import Enum, auto

__all__ = ["STEPS", "Kind"]


class Kind(Enum):
    """What a coordinate is of the value of its parameter."""

    LINEAR = auto()  # itself
    SKY = auto()  # of the sky or its slopes: itself, and the image is linear in it
    LEVEL = auto()  # of a sky that something keeps from its optimum: itself
    SLOPE = auto()  # and of a slope of it
    LOG = auto()  # its logarithm
    ROUND = auto()  # of a size along the major axis: the logarithm of that of a circle of the same area
    FLUX = auto()  # of a magnitude: the flux, in which the image is linear
    LN_FLUX = (
        auto()
    )  # of a magnitude that others follow, or something keeps from its optimum: the logarithm of the flux
    ANGLE = auto()  # twice the angle, in radians
    VECTOR = (
        auto()
    )  # of axis ratio and angle together: one component of (w1, w2), as in `EllipticalComponent`
    MODE = (
        auto()
    )  # of amplitude and phase of a Fourier mode together: a coefficient, as in `DeformedComponent`
    SHARE = auto()  # of what lies between two limits: the place between them, from 0 to 1
    OVER = auto()  # how far above its lower limit, in its logarithm where it is positive
    UNDER = auto()  # how far below its upper limit


#: Largest move of each in one step; the problem is far from linear beyond
STEPS = {
    Kind.LINEAR: 4.0,
    Kind.SKY: math.inf,
    Kind.LEVEL: 10.0,
    Kind.SLOPE: 0.1,
    Kind.LOG: 0.7,
    Kind.ROUND: 0.7,
    Kind.FLUX: math.inf,
    Kind.LN_FLUX: 1.0,
    Kind.ANGLE: 0.7,
    Kind.VECTOR: 0.7,
    Kind.MODE: 0.2,
    Kind.SHARE: 0.25,
    Kind.OVER: 0.7,
    Kind.UNDER: 0.7,
}
