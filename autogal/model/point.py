"""A point source: its free parameters, and drawing it with its derivatives."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from autogal.rendering.grid import Grid
from autogal.rendering.placed import Placed, PlacedRenderer
from autogal.model.component import FAINTEST, MAG
from autogal.profiles import PointSource

__all__ = ["PointComponent", "PointRenderer"]


@dataclass(frozen=True)
class PointComponent:
    """A centre and a flux; its block of free parameters is (x, y, flux). Attributes and methods as `Component` has them."""

    name: str = ""
    profile: PointSource = PointSource()

    size = 3
    flux = 2
    plain = (0, 1)

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(f"{self.name}_{name}" if self.name else name for name in ("x", "y", "mag"))

    @property
    def linear(self) -> dict[int, int]:
        return {2: 0}

    @property
    def constants(self) -> dict[int, float]:
        return {}

    def block(self, values: Tensor, zeropoint: Tensor) -> Tensor:
        x, y, mag = values.unbind(-1)
        return torch.stack([x, y, torch.exp((mag - zeropoint) / MAG)], dim=-1)

    def values(self, block: Tensor, zeropoint: Tensor) -> Tensor:
        x, y, flux = block.unbind(-1)
        return torch.stack([x, y, zeropoint + MAG * torch.log(flux)], dim=-1)

    def values_jacobian(self, block: Tensor) -> Tensor:
        ones = torch.ones_like(block[:, 0])
        return torch.diag_embed(torch.stack([ones, ones, MAG / block[:, 2]], -1))

    def native(self, block: Tensor) -> Tensor:
        """What the renderer draws: x, y, [B, 2]."""
        return block[:, :2]

    def lift(self, block: Tensor) -> Tensor:
        out = block.new_zeros(len(block), 3, 3)
        out[:, 0, 2] = 1.0
        out[:, 1, 0] = out[:, 2, 1] = block[:, 2]
        return out

    def box(self, shape: tuple[int, int]) -> list[tuple[float, float]]:
        height, width = shape
        return [(-0.25 * width, 1.25 * width), (-0.25 * height, 1.25 * height), (FAINTEST, math.inf)]

    def prior(self) -> list[tuple[float, float]]:
        return [(0.0, 0.0)] * 3

    def step_limit(self) -> list[float]:
        return [4.0, 4.0, math.inf]

    def restarts(self, block: Tensor) -> list[dict[int, Tensor]]:
        return []

    def start(self, single: Tensor, share: float, scale: float, kind: int, rounder: bool = False) -> Tensor:
        return torch.cat([single[:, :2], single[:, 2:3] - 2.5 * math.log10(share)], dim=1)


@dataclass(frozen=True)
class PointRenderer(PlacedRenderer):
    """Draws the PSF at a given place. Methods as `SpectralRenderer` has them, for `native` of x and y alone."""

    profile: PointSource
    grid: Grid

    def draw(self, native: Tensor, psf: Tensor) -> Tensor:
        """Unit-flux images and their derivatives by x and y, [B, 3, H, W]."""
        return self.fill(self.outline(native), psf)

    def image(self, native: Tensor, psf: Tensor) -> Tensor:
        place = self.outline(native)
        return self.grid.to_images(psf * place.px[:, :, None] * place.py[:, None, :])

    def fill(self, outline: Placed, psf: Tensor) -> Tensor:
        _, px, px_slope, py, py_slope = outline
        moved = psf * px[:, :, None]
        spectra = [moved * py[:, None, :], (psf * px_slope[:, :, None]).mul_(py[:, None, :]), moved.mul_(py_slope[:, None, :])]
        return self.grid.to_images(torch.stack(spectra, dim=1))

    def wing_error(self, native: Tensor, fwhm: Tensor) -> tuple[Tensor, Tensor]:
        """No light goes farther than the PSF."""
        return torch.zeros_like(fwhm), torch.zeros_like(fwhm)
