"""Drawing point sources: the PSF itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autogal.profiles import PointSource
from autogal.rendering.grid import Grid
from autogal.rendering.placed import Placed, PlacedRenderer

__all__ = ["PointRenderer"]


@dataclass(frozen=True)
class PointRenderer(PlacedRenderer):
    """Draws the PSF at a given place, with derivatives by x and y: `native` is those two alone, [B, 2]."""

    profile: PointSource
    grid: Grid

    def image(self, native: Tensor, psf: Tensor) -> Tensor:
        place = self.outline(native)
        return self.grid.to_images(psf * place.px[:, :, None] * place.py[:, None, :])

    def fill(self, outline: Placed, psf: Tensor) -> Tensor:
        """Unit-flux images and their derivatives by x and y, [B, 3, H, W]."""
        _, px, px_slope, py, py_slope = outline
        moved = psf * px[:, :, None]
        spectra = [
            moved * py[:, None, :],
            (psf * px_slope[:, :, None]).mul_(py[:, None, :]),
            moved.mul_(py_slope[:, None, :]),
        ]
        return self.grid.to_images(torch.stack(spectra, dim=1))

    def wing_error(self, native: Tensor, fwhm: Tensor) -> tuple[Tensor, Tensor]:
        """None, [B] each: no light goes farther than the PSF."""
        return torch.zeros_like(fwhm), torch.zeros_like(fwhm)
