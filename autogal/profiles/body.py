"""What is seen in projection: a body of some thickness, of which an image shows its light summed along the
line of sight."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from torch import Tensor

from autogal.profiles.light import Light
from autogal.profiles.radial import ShapeParameter

__all__ = ["Body"]


class Body(Light, ABC):
    """A body in space, seen at an inclination.

    Its own axes are x and y in its plane and z, its pole. The line of sight is `inclination` away from the
    pole: 0 is face-on, 90 deg edge-on. x lies in the plane of the sky, in the direction of the position
    angle. Attributes are those of `RadialProfile`; lengths are the body's own, not foreshortened.
    """

    component = "autogal.model.inclined:InclinedComponent"
    brightness = "mag"
    size: ShapeParameter = ShapeParameter("h", 0.05, math.inf, length=True)
    shape: tuple[ShapeParameter, ...] = ()
    typical: tuple[tuple[float, ...], ...] = ()
    largest: float = 0.25

    @abstractmethod
    def half_light(self, shape: Tensor) -> Tensor:
        """ln of the half-light radius seen face-on, in units of the size, [B], for `shape` [B, S]; about."""
