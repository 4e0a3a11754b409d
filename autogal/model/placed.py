"""Where galaxies are drawn: the shift of each on its grid, for renderers that need no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from autogal.model.grid import Grid

__all__ = ["Placed", "PlacedRenderer"]


class Placed(NamedTuple):
    """Parameters and shifts of galaxies to be drawn, as in `autogal.model.spectral.Outline`."""

    native: Tensor
    px: Tensor
    px_slope: Tensor
    py: Tensor
    py_slope: Tensor

    def split(self, size: int) -> list[Placed]:
        return [Placed(*piece) for piece in zip(*(v.split(size) for v in self))]


@dataclass(frozen=True)
class PlacedRenderer:
    """A renderer that needs nothing of a galaxy but its parameters and its place."""

    profile: Any
    grid: Grid

    def outline(self, native: Tensor) -> Placed:
        return Placed(native, *self.grid.phase(native[:, 0], "x"), *self.grid.phase(native[:, 1], "y"))
