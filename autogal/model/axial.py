"""Drawing what has a closed Fourier transform in its own two axes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from autogal.model.grid import Grid
from autogal.model.placed import Placed, PlacedRenderer
from autogal.profiles import EdgeOn

__all__ = ["AxialRenderer"]

# Where it is all but round the angle hardly matters, and its derivative must not grow without end
_ROUND = 1e-2


@dataclass(frozen=True)
class AxialRenderer(PlacedRenderer):
    """Draws a profile of two axes with its derivatives. Methods as `SpectralRenderer` has them.

    There is no taper: the periodic grid must be so large that no light comes round, which `wing_error` sees to.
    """

    profile: EdgeOn
    grid: Grid

    def draw(self, native: Tensor, psf: Tensor) -> Tensor:
        """Unit-flux images and their derivatives by x, y, ln R, e1 and e2, [B, 6, H, W]."""
        return self.fill(self.outline(native), psf)

    def image(self, native: Tensor, psf: Tensor) -> Tensor:
        axes = self.outline(native)
        transform = self._transform(axes.native)[0]
        return self.grid.to_images(psf * axes.px[:, :, None] * axes.py[:, None, :] * transform)

    def fill(self, outline: Placed, psf: Tensor) -> Tensor:
        native, px, px_slope, py, py_slope = outline
        px, px_slope, py, py_slope = px[:, :, None], px_slope[:, :, None], py[:, None, :], py_slope[:, None, :]
        transform, *slopes = self._transform(native)
        base = psf * px * py
        spectra = [base * transform, psf * px_slope * py * transform, psf * px * py_slope * transform, *(base * slope for slope in slopes)]
        return self.grid.to_images(torch.stack(spectra, dim=1))

    def wing_error(self, native: Tensor, fwhm: Tensor) -> tuple[Tensor, Tensor]:
        """The light that comes round the periodic grid, over that of the centre: `largest` and `total`, [B] each."""
        (height, width), (rows, columns) = self.grid.shape, self.grid.period
        x, y = native[:, 0], native[:, 1]
        far_x, far_y = torch.maximum(x, width - 1 - x), torch.maximum(y, height - 1 - y)
        reach = torch.minimum(rows - far_y, columns - far_x).clamp(min=1.0)
        t = reach / torch.exp(native[:, 2] + torch.hypot(native[:, -2], native[:, -1]) / 2)
        there = torch.sqrt(math.pi / 2 * t) * torch.exp(-t)
        return there, there

    def _transform(self, native: Tensor) -> tuple[Tensor, ...]:
        """The transform and its derivatives by ln R, e1 and e2, [B, Kx, Ky] each."""
        column = lambda v: v.to(self.grid.dtype)[:, None, None]  # noqa: E731
        eta, psi = torch.hypot(native[:, -2], native[:, -1]), torch.atan2(native[:, -1], native[:, -2]) / 2
        kx, ky = self.grid.kx.to(self.grid.dtype)[None, :, None], self.grid.ky.to(self.grid.dtype)[None, None, :]
        cos, sin = column(psi.cos()), column(psi.sin())
        along, across = kx * cos + ky * sin, ky * cos - kx * sin
        length, height = column(torch.exp(native[:, 2] + eta / 2)), column(torch.exp(native[:, 2] - eta / 2))
        a, b = along * length, across * height
        value, by_a, by_b = self.profile.transform(a, b)
        by_eta = (a * by_a - b * by_b) / 2
        by_angle = (across * length * by_a - along * height * by_b) / column(2 * eta.clamp(min=_ROUND))
        cos, sin = column(torch.cos(2 * psi)), column(torch.sin(2 * psi))
        return value, a * by_a + b * by_b, by_eta * cos - by_angle * sin, by_eta * sin + by_angle * cos
