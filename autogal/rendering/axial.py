"""Drawing what has a closed Fourier transform in its own two axes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from autogal.profiles import EdgeOn
from autogal.rendering.grid import Grid
from autogal.rendering.placed import TransformRenderer

__all__ = ["AxialRenderer"]

# Where it is all but round the angle hardly matters, and its derivative must not grow without end
_ROUND = 1e-2


@dataclass(frozen=True)
class AxialRenderer(TransformRenderer):
    """Draws a profile of two axes, with derivatives by x, y, ln R, e1 and e2."""

    profile: EdgeOn
    grid: Grid

    def wing_error(self, native: Tensor, fwhm: Tensor) -> tuple[Tensor, Tensor]:
        """The light that comes round the periodic grid, over that of the centre: `largest` and `total`,
        [B] each."""
        t = self.reach(native) / torch.exp(native[:, 2] + torch.hypot(native[:, -2], native[:, -1]) / 2)
        there = torch.sqrt(math.pi / 2 * t) * torch.exp(-t)
        return there, there

    def transform(self, native: Tensor, derivatives: bool = True) -> tuple[Tensor, ...]:
        column = lambda v: v.to(self.grid.dtype)[:, None, None]
        eta, psi = torch.hypot(native[:, -2], native[:, -1]), torch.atan2(native[:, -1], native[:, -2]) / 2
        kx, ky = (
            self.grid.kx.to(self.grid.dtype)[None, :, None],
            self.grid.ky.to(self.grid.dtype)[None, None, :],
        )
        cos, sin = column(psi.cos()), column(psi.sin())
        along, across = kx * cos + ky * sin, ky * cos - kx * sin
        length, height = column(torch.exp(native[:, 2] + eta / 2)), column(torch.exp(native[:, 2] - eta / 2))
        a, b = along * length, across * height
        value, by_a, by_b = self.profile.transform(a, b)
        by_eta = (a * by_a - b * by_b) / 2
        by_angle = (across * length * by_a - along * height * by_b) / column(2 * eta.clamp(min=_ROUND))
        cos, sin = column(torch.cos(2 * psi)), column(torch.sin(2 * psi))
        return value, a * by_a + b * by_b, by_eta * cos - by_angle * sin, by_eta * sin + by_angle * cos
