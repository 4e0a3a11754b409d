"""Drawing a sky that is a plane."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autogal.profiles import TiltedSky
from autogal.rendering.grid import Grid
from autogal.rendering.renderer import Renderer

__all__ = ["PlaneRenderer"]


@dataclass(frozen=True)
class PlaneRenderer(Renderer):
    """Draws planes, each zero at a place of its own; the PSF leaves them as they are.

    `native` is both slopes, image units per pixel and pixel, and where from the centre of the stamp the plane
    is zero, x and y [px], [B, 4]. A plane is linear in its slopes, so that no other images are drawn than its
    derivatives.
    """

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

    def linear_images(self, native: Tensor, psf: Tensor) -> Tensor:
        """Both planes, [B, 2, H, W]."""
        return self.fill(native, psf)

    def wing_error(self, native: Tensor, fwhm: Tensor) -> tuple[Tensor, Tensor]:
        """None, [B] each: nothing leaves the stamp that comes back."""
        return torch.zeros_like(fwhm), torch.zeros_like(fwhm)
