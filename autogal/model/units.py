"""Between the units of stamps, in which models are fitted, and those of the catalogue."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

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
    """

    zeropoint: Tensor
    scale: Tensor
    pedestal: Tensor

    def of(self, is_magnitude: bool) -> tuple[Tensor, Tensor]:
        """Factor and offset, [N] each, from the model's magnitudes, or its sky, to the catalogue's."""
        return (torch.ones_like(self.scale), self.zeropoint) if is_magnitude else (self.scale, self.pedestal)
