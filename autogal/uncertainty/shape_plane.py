"""The planes in which noise moves the shapes of galaxies: smooth where an axis ratio, an inclination or an
angle is not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from autogal.model.ellipse_vector import squashed
from autogal.model.elliptical import EllipticalComponent
from autogal.model.inclined import InclinedComponent
from autogal.parameters import spin

__all__ = ["EllipsePlane", "InclinationPlane", "plane_of"]

_NEARLY = 1e-6  # sine and cosine of an inclination, in derivatives


@dataclass(frozen=True)
class EllipsePlane:
    """That of (w1, w2), as `Component` has them.

    Attributes
    ----------
    component : EllipticalComponent
    longest : float
        Length of the vectors at the end of the plane.
    """

    component: EllipticalComponent
    longest: ClassVar[float] = math.inf

    def vector(self, values: Tensor) -> Tensor:
        """The place [B, 2] of catalogue values [B, size]."""
        return self.component.block(values, torch.zeros_like(values[:, 0]))[:, -2:]

    def slopes(self, values: Tensor) -> Tensor:
        """Derivatives of axis ratio (or inclination) and position angle [deg] by the place, [B, 2, 2]."""
        return self.component.values_jacobian(self.component.block(values, torch.zeros_like(values[:, 0])))[
            :, -2:, -2:
        ]

    def seen_from_anywhere(self, low: Tensor, high: Tensor, nodes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Lengths from `low` to `high` [B, 1] at `nodes` [N] from 0 to 1, axis ratios (or inclinations)
        and how many are there, [B, N]."""
        length = low + (high - low) * nodes
        eta = squashed(length, torch.zeros_like(length), self.component.roundness[0])[0]
        q, steepness = torch.exp(-eta), 1 - (eta / math.log(self.component.roundness[0])) ** 2
        return length, self.component.of_axis_ratio(q), q * steepness  # as much for every dq


@dataclass(frozen=True)
class InclinationPlane:
    r"""That of :math:`\sin^2 i\,(\cos 2\psi, \sin 2\psi)`. Methods as `EllipsePlane` has them.

    The image of a body that is the same below its plane and above it depends on :math:`\cos^2 i`, and on its
    angle as
    :math:`\sin^2 i` grows: it is smooth in this vector from face-on, its origin, to edge-on, where its length
    is 1 and an inclination has no slope.
    """

    component: InclinedComponent
    longest: ClassVar[float] = 1.0

    def vector(self, values: Tensor) -> Tensor:
        return torch.stack(spin(torch.sin(torch.deg2rad(values[:, -2])) ** 2, values[:, -1]), -1)

    def slopes(self, values: Tensor) -> Tensor:
        tilt = torch.deg2rad(values[:, -2])
        sin, cos = torch.sin(tilt).clamp(min=_NEARLY), torch.cos(tilt).clamp(min=_NEARLY)
        e1, e2 = spin(torch.ones_like(tilt), values[:, -1])
        along, across = torch.stack([e1, e2], -1), torch.stack([-e2, e1], -1)
        return math.degrees(0.5) * torch.stack(
            [along / (sin * cos)[:, None], across / (sin * sin)[:, None]], 1
        )

    def seen_from_anywhere(self, low: Tensor, high: Tensor, nodes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        least, most = torch.sqrt(1 - high), torch.sqrt(1 - low)
        cos = least + (most - least) * nodes
        return 1 - cos**2, torch.rad2deg(torch.acos(cos)), torch.ones_like(cos)  # as much for every dcos i


def plane_of(component: EllipticalComponent) -> EllipsePlane | InclinationPlane:
    """Where the errors of a component's shape are normal."""
    return InclinationPlane(component) if component.is_body else EllipsePlane(component)
