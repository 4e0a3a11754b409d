"""A sky that is a plane: its slopes, and drawing them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autogal.rendering.grid import Grid
from autogal.profiles import TiltedSky

__all__ = ["SKY", "SLOPES", "PlaneComponent", "PlaneRenderer", "move_sky", "sky_image"]

#: Names of its parameters
SLOPES = ("sky_dx", "sky_dy")
#: and those of all that a sky has
SKY = ("sky", *SLOPES)


@dataclass(frozen=True)
class PlaneComponent:
    """The slopes of the sky along x and y, image units per pixel and pixel. Attributes and methods as `Component` has them."""

    profile: TiltedSky = TiltedSky()

    name = "sky"
    size = 2
    flux = None
    plain = ()
    parameters = SLOPES

    @property
    def linear(self) -> dict[int, int]:
        return {0: 0, 1: 1}

    @property
    def constants(self) -> dict[int, float]:
        return {}

    def block(self, values: Tensor, zeropoint: Tensor) -> Tensor:
        return values

    def values(self, block: Tensor, zeropoint: Tensor) -> Tensor:
        return block

    def values_jacobian(self, block: Tensor) -> Tensor:
        return self.lift(block)

    def native(self, block: Tensor) -> Tensor:
        """What the renderer draws: both slopes, and where from the centre of the stamp the plane is zero, x and y, [B, 4]."""
        return torch.cat([block, torch.zeros_like(block)], 1)

    def around(self, native: Tensor, place: Tensor) -> Tensor:
        """The same, zero at another place [B, 2]."""
        return torch.cat([native[:, :2], place], 1)

    def lift(self, block: Tensor) -> Tensor:
        return torch.eye(2, dtype=block.dtype, device=block.device).expand(len(block), 2, 2)

    def box(self, shape: tuple[int, int]) -> list[tuple[float, float]]:
        return [(-math.inf, math.inf)] * 2

    def prior(self) -> list[tuple[float, float]]:
        return [(0.0, 0.0)] * 2

    def step_limit(self) -> list[float]:
        return [math.inf] * 2

    def restarts(self, block: Tensor) -> list[dict[int, Tensor]]:
        return []

    def start(self, single: Tensor, share: float, scale: float, kind: int, rounder: bool = False) -> Tensor:
        return torch.zeros_like(single[:, :2])


@dataclass(frozen=True)
class PlaneRenderer:
    """Draws planes, each zero at a place of its own. Methods as `SpectralRenderer` has them."""

    profile: TiltedSky
    grid: Grid

    def image(self, native: Tensor, psf: Tensor) -> Tensor:
        return torch.einsum("bi,bihw->bhw", native[:, :2].to(self.grid.dtype), self.fill(native, psf))

    def outline(self, native: Tensor) -> Tensor:
        return native

    def fill(self, outline: Tensor, psf: Tensor) -> Tensor:
        """Planes of unit slope along x and y, [B, 2, H, W]: the derivatives by both."""
        height, width = self.grid.shape
        y, x = torch.meshgrid(self.grid.y - (height - 1) / 2, self.grid.x - (width - 1) / 2, indexing="ij")
        return torch.stack([x, y]) - outline[:, 2:, None, None].to(self.grid.dtype)

    def wing_error(self, native: Tensor, fwhm: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(fwhm), torch.zeros_like(fwhm)


def move_sky(parameters: Sequence[str], values: np.ndarray, covariance: np.ndarray | None, move: np.ndarray) -> None:
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
    covariance[:] = np.where(np.isnan(covariance), np.nan, turn @ np.where(np.isnan(covariance), 0, covariance) @ turn.swapaxes(-1, -2))


def sky_image(parameters: Sequence[str], values: np.ndarray, shape: tuple[int, int],
              to_centre: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """The sky of catalogue values [P], flat or tilted around a place that is `to_centre` (x, y) from the centre, [H, W]."""
    image = np.full(shape, values[list(parameters).index("sky")])
    for name, axis, far in zip(SLOPES, (1, 0), to_centre):
        if name in parameters:
            along = np.arange(shape[axis]) - (shape[axis] - 1) / 2 - far
            image += values[list(parameters).index(name)] * np.expand_dims(along, 1 - axis)
    return image
