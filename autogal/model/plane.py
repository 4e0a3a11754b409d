"""A sky that is a plane: its slopes, and drawing them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autogal.drawing.grid import Grid
from autogal.profiles import TiltedSky

__all__ = ["SLOPES", "PlaneComponent", "PlaneRenderer", "move_sky", "sky_image"]

#: Names of its parameters
SLOPES = ("sky_dx", "sky_dy")


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
        """What the renderer draws: both slopes, [B, 2]."""
        return block

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
    """Draws planes that are zero at the centre of the stamp. Methods as `SpectralRenderer` has them."""

    profile: TiltedSky
    grid: Grid

    def image(self, native: Tensor, psf: Tensor) -> Tensor:
        return torch.einsum("bi,ihw->bhw", native.to(self.grid.dtype), self._planes())

    def outline(self, native: Tensor) -> Tensor:
        return native

    def fill(self, outline: Tensor, psf: Tensor) -> Tensor:
        """Planes of unit slope along x and y, [B, 2, H, W]: the derivatives by both."""
        return self._planes().expand(len(outline), -1, -1, -1)

    def wing_error(self, native: Tensor, fwhm: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(fwhm), torch.zeros_like(fwhm)

    def _planes(self) -> Tensor:
        height, width = self.grid.shape
        y, x = torch.meshgrid(self.grid.y - (height - 1) / 2, self.grid.x - (width - 1) / 2, indexing="ij")
        return torch.stack([x, y])


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
    covariance[:] = turn @ covariance @ turn.swapaxes(-1, -2)


def sky_image(parameters: Sequence[str], values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The sky of catalogue values [P], flat or tilted around the centre, [H, W]."""
    image = np.full(shape, values[list(parameters).index("sky")])
    for name, axis in zip(SLOPES, (1, 0)):
        if name in parameters:
            image += values[list(parameters).index(name)] * np.expand_dims(np.arange(shape[axis]) - (shape[axis] - 1) / 2, 1 - axis)
    return image
