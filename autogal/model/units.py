"""Between the units of stamps, in which models are fitted, and those of the catalogue."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from autogal.model.plane import SKY

__all__ = ["Units"]


class Units(NamedTuple):
    """What the numbers of stamps are in the catalogue, one row a stamp.

    Magnitudes of a model are those of its light in the unit of the stamp.

    Attributes
    ----------
    zeropoint : Tensor, [N] float64
        Magnitude of one unit of the stamp.
    scale : Tensor, [N] float64
        Image units in one unit of the stamp.
    pedestal : Tensor, [N] float64
        Image units of a sky that is zero in the stamp.
    to_centre : Tensor, [N, 2] float64, optional
        From the centre of the stamp to that of the whole image, x and y, pixels.
    """

    zeropoint: Tensor
    scale: Tensor
    pedestal: Tensor
    to_centre: Tensor | None = None

    def of(self, name: str) -> tuple[Tensor, Tensor]:
        """Factor and offset, [N] each, from the model's numbers of the sky, a slope of it or a magnitude
        to the catalogue's."""
        if name not in SKY:
            return torch.ones_like(self.scale), self.zeropoint
        return self.scale, self.pedestal if name == "sky" else torch.zeros_like(self.pedestal)
