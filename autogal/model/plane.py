"""A sky that is a plane: its slopes, and its level at one place and another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from autogal.model.component import Component
from autogal.model.constraints import Constraints
from autogal.model.coordinate_kinds import Kind
from autogal.profiles import TiltedSky

__all__ = ["SKY", "SLOPES", "PlaneComponent", "move_sky", "sky_image"]

#: Names of its parameters
SLOPES = ("sky_dx", "sky_dy")
#: and those of all that a sky has
SKY = ("sky", *SLOPES)


@dataclass(frozen=True)
class PlaneComponent(Component):
    """The slopes of the sky along x and y, image units per pixel and pixel."""

    name: str = "sky"
    profile: TiltedSky = TiltedSky()

    flux: ClassVar[None] = None
    plain: ClassVar[tuple[int, ...]] = ()

    @property
    def bare_parameters(self) -> tuple[str, ...]:
        return SLOPES

    @property
    def parameters(self) -> tuple[str, ...]:
        """Those of the sky, of which there is one: they need no other name."""
        return SLOPES

    @property
    def linear(self) -> dict[int, int]:
        return {0: 0, 1: 1}

    def block(self, values: Tensor, zeropoint: Tensor) -> Tensor:
        return values

    def values(self, block: Tensor, zeropoint: Tensor) -> Tensor:
        return block

    def values_jacobian(self, block: Tensor) -> Tensor:
        return self.image_jacobian(block)

    def native(self, block: Tensor) -> Tensor:
        """What the renderer draws: both slopes, and where from the centre of the stamp the plane is zero,
        x and y, [B, 4]."""
        return torch.cat([block, torch.zeros_like(block)], 1)

    def zero_at(self, native: Tensor, place: Tensor) -> Tensor:
        return torch.cat([native[:, :2], place], 1)

    def image_jacobian(self, block: Tensor) -> Tensor:
        return torch.eye(2, dtype=block.dtype, device=block.device).expand(len(block), 2, 2)

    def elements(
        self,
        values: Sequence[Tensor],
        flux: Tensor | None,
        vector: Sequence[Tensor] | None,
        modes: Mapping[int, Sequence[Tensor]],
    ) -> list[Tensor]:
        return list(values)

    def block_bounds(self, shape: tuple[int, int]) -> list[tuple[float, float]]:
        return [(-math.inf, math.inf)] * 2

    def step_limit(self) -> list[float]:
        return [math.inf] * 2

    def coordinate_kinds(
        self, constraints: Constraints, tied: Set[str], followed: Set[str]
    ) -> dict[int, Kind]:
        return {
            place: Kind.SLOPE if name in constraints.restricted else Kind.SKY
            for place, name in enumerate(SLOPES)
        }

    def start(self, single: Tensor, share: float, scale: float, kind: int, rounder: bool = False) -> Tensor:
        return torch.zeros_like(single[:, :2])


def move_sky(
    parameters: Sequence[str], values: np.ndarray, covariance: np.ndarray | None, move: np.ndarray
) -> None:
    """State the level of tilted skies at another place, in place.

    Parameters
    ----------
    parameters : sequence of str, length P
        Nothing is done where it has no slopes.
    values : ndarray, [N, P]
    covariance : ndarray, [N, P, P], or None
    move : ndarray, [N, 2]
        From the old place to the new one, x and y, pixels.
    """
    if not set(SLOPES) <= set(parameters):
        return
    sky, *slopes = (list(parameters).index(name) for name in ("sky", *SLOPES))
    values[:, sky] += (values[:, slopes] * move).sum(-1)
    if covariance is None:
        return
    turn = np.broadcast_to(np.eye(len(parameters)), covariance.shape).copy()
    turn[:, sky, slopes] = move
    # slopes held at a bound have no errors, and move the level as what is known does
    covariance[:] = np.where(
        np.isnan(covariance),
        np.nan,
        turn @ np.where(np.isnan(covariance), 0, covariance) @ turn.swapaxes(-1, -2),
    )


def sky_image(
    parameters: Sequence[str],
    values: np.ndarray,
    shape: tuple[int, int],
    to_centre: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """The sky of catalogue values [P], flat or tilted around a place that is `to_centre` (x, y) from the
    centre, [H, W]."""
    image = np.full(shape, values[list(parameters).index("sky")])
    for name, axis, far in zip(SLOPES, (1, 0), to_centre):
        if name in parameters:
            along = np.arange(shape[axis]) - (shape[axis] - 1) / 2 - far
            image += values[list(parameters).index(name)] * np.expand_dims(along, 1 - axis)
    return image
