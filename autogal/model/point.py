"""A point source: its values and its free parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from autogal.model.component import FAINTEST, Component
from autogal.parameters import MAG, flux_of, magnitude_of
from autogal.profiles import PointSource

__all__ = ["PointComponent"]


@dataclass(frozen=True)
class PointComponent(Component):
    """A centre and a flux; its block of free parameters is (x, y, flux)."""

    name: str = ""
    profile: PointSource = PointSource()

    @property
    def bare_parameters(self) -> tuple[str, ...]:
        return "x", "y", "mag"

    def block(self, values: Tensor, zeropoint: Tensor) -> Tensor:
        x, y, mag = values.unbind(-1)
        return torch.stack([x, y, flux_of(mag, zeropoint)], dim=-1)

    def values(self, block: Tensor, zeropoint: Tensor) -> Tensor:
        x, y, flux = block.unbind(-1)
        return torch.stack([x, y, magnitude_of(flux, zeropoint)], dim=-1)

    def values_jacobian(self, block: Tensor) -> Tensor:
        ones = torch.ones_like(block[:, 0])
        return torch.diag_embed(torch.stack([ones, ones, MAG / block[:, 2]], -1))

    def native(self, block: Tensor) -> Tensor:
        """What the renderer draws: x, y, [B, 2]."""
        return block[:, :2]

    def image_jacobian(self, block: Tensor) -> Tensor:
        out = block.new_zeros(len(block), 3, 3)
        out[:, 0, 2] = 1.0
        out[:, 1, 0] = out[:, 2, 1] = block[:, 2]
        return out

    def block_bounds(self, shape: tuple[int, int]) -> list[tuple[float, float]]:
        height, width = shape
        return [(-0.25 * width, 1.25 * width), (-0.25 * height, 1.25 * height), (FAINTEST, math.inf)]

    def step_limit(self) -> list[float]:
        return [4.0, 4.0, math.inf]

    def start(self, single: Tensor, share: float, scale: float, kind: int, rounder: bool = False) -> Tensor:
        return torch.cat([single[:, :2], single[:, 2:3] + magnitude_of(share)], dim=1)
