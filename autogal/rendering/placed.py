"""Where galaxies are drawn: the shift of each on its grid, for renderers that need no more."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from autogal.rendering.renderer import Renderer

__all__ = ["Placed", "PlacedRenderer", "TransformRenderer"]


class Placed(NamedTuple):
    """Parameters and shifts of galaxies to be drawn, as in `autogal.rendering.spectral.Outline`."""

    native: Tensor
    px: Tensor
    px_slope: Tensor
    py: Tensor
    py_slope: Tensor

    def split(self, size: int) -> list[Placed]:
        return [Placed(*piece) for piece in zip(*(v.split(size) for v in self))]


@dataclass(frozen=True)
class PlacedRenderer(Renderer):
    """A renderer that needs nothing of a galaxy in advance but its parameters and its place."""

    def outline(self, native: Tensor) -> Placed:
        return Placed(native, *self.grid.phase(native[:, 0], "x"), *self.grid.phase(native[:, 1], "y"))


@dataclass(frozen=True)
class TransformRenderer(PlacedRenderer):
    """A renderer of what has its transform at every wave number.

    There is no taper: the periodic grid must be so large that no light comes round, which `wing_error` sees
    to.
    """

    @abstractmethod
    def transform(self, native: Tensor, derivatives: bool = True) -> Sequence[Tensor]:
        """The transform at unit flux, without the shift to its centre.

        Parameters
        ----------
        native : Tensor, [B, D] float64
        derivatives : bool
            Whether those are asked for.

        Returns
        -------
        sequence of Tensor, [B, Kx, Ky] each
            The transform, then its derivatives by each column of `native` after x and y.
        """

    def image(self, native: Tensor, psf: Tensor) -> Tensor:
        place = self.outline(native)
        return self.grid.to_images(
            psf * place.px[:, :, None] * place.py[:, None, :] * self.transform(native, derivatives=False)[0]
        )

    def fill(self, outline: Placed, psf: Tensor) -> Tensor:
        native, px, px_slope, py, py_slope = outline
        px, px_slope, py, py_slope = (
            px[:, :, None],
            px_slope[:, :, None],
            py[:, None, :],
            py_slope[:, None, :],
        )
        transform, *slopes = self.transform(native)
        base = psf * px * py
        spectra = [
            base * transform,
            psf * px_slope * py * transform,
            psf * px * py_slope * transform,
            *(base * slope for slope in slopes),
        ]
        return self.grid.to_images(torch.stack(spectra, dim=1))

    def reach(self, native: Tensor) -> Tensor:
        """From how far off its centre light would come round to the stamp, [B], pixels."""
        (height, width), (rows, columns) = self.grid.shape, self.grid.period
        x, y = native[:, 0], native[:, 1]
        far_x, far_y = torch.maximum(x, width - 1 - x), torch.maximum(y, height - 1 - y)
        return torch.minimum(rows - far_y, columns - far_x).clamp(min=1.0)
