"""A body whose emissivity is free on nodes of radius and height: what each node looks like."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from autogal.rendering.grid import Grid

__all__ = ["NodeGrid"]

_SAMPLES = 3  # a pixel and axis, at which lines of sight are drawn
_ALONG = 96  # places on each, in the part of it that is inside
_FLAT = 1e-9  # of the sine and cosine of an inclination, so that no line of sight runs along a layer


@dataclass(frozen=True)
class NodeGrid:
    """Nodes of an emissivity that is the same around its pole and below its plane.

    Between nodes it is bilinear, and beyond the last ones zero.

    Attributes
    ----------
    radii : Tensor, [M] float64
        Distances from the pole, pixels, rising from 0.
    heights : Tensor, [K] float64
        Distances from the plane, pixels, rising from 0.
    """

    radii: Tensor
    heights: Tensor

    @property
    def size(self) -> int:
        """Number of nodes."""
        return len(self.radii) * len(self.heights)

    def images(
        self, grid: Grid, transfer: Tensor, x: float, y: float, inclination: float, pa: float
    ) -> Tensor:
        """The image of each node with the emissivity 1 there and 0 at all others.

        Parameters
        ----------
        grid : Grid
        transfer : Tensor, [Kx, Ky] complex
            From `Grid.psf_transform`.
        x, y : float
            Centre, pixels.
        inclination, pa : float
            Degrees, as in the catalogue.

        Returns
        -------
        Tensor, [M K, H, W]
            Flux per pixel; the emissivity is flux per cubic pixel.
        """
        reach = float(torch.hypot(self.radii[-1], self.heights[-1]))
        count = math.ceil(reach * _SAMPLES)
        offset = torch.arange(-count, count + 1, dtype=torch.float64) / _SAMPLES
        waves = [torch.exp(-1j * k[:, None] * offset) / _SAMPLES for k in (grid.kx, grid.ky)]
        rows = torch.stack(
            [waves[0] @ self._row(offset, dy, inclination, pa).to(waves[0].dtype) for dy in offset.tolist()]
        )
        spectra = torch.einsum("yr,rxn->nxy", waves[1], rows)
        px, py = (grid.phase(torch.tensor([at]), axis)[0] for at, axis in ((x, "x"), (y, "y")))
        factor = transfer * px[0][:, None] * py[0][None, :]
        return torch.cat([grid.to_images(some.to(factor.dtype) * factor) for some in spectra.split(64)])

    def _row(self, dx: Tensor, dy: float, inclination: float, pa: float) -> Tensor:
        """Lengths of lines of sight, at offsets of one row of the image, that belong to each node, [P, M
        K]."""
        turn, tilt = math.radians(pa + 90), math.radians(inclination)
        cos, sin = max(math.cos(tilt), _FLAT), max(math.sin(tilt), _FLAT)
        along, across = dx * math.cos(turn) + dy * math.sin(turn), dy * math.cos(turn) - dx * math.sin(turn)
        wide, high = torch.sqrt((self.radii[-1] ** 2 - along**2).clamp(min=0.0)), self.heights[-1]
        low = torch.maximum((across * cos - wide) / sin, (-high - across * sin) / cos)
        length = (torch.minimum((across * cos + wide) / sin, (high - across * sin) / cos) - low).clamp(
            min=0.0
        )
        l = low[:, None] + length[:, None] * (torch.arange(_ALONG, dtype=torch.float64) + 0.5) / _ALONG
        i, left = _between(self.radii, torch.hypot(along[:, None], across[:, None] * cos - l * sin))
        j, below = _between(self.heights, (across[:, None] * sin + l * cos).abs())
        out = dx.new_zeros(len(dx), self.size)
        step = (length / _ALONG)[:, None]
        for right in (0, 1):
            for above in (0, 1):
                share = (left if right else 1 - left) * (below if above else 1 - below) * step
                out.scatter_add_(1, (i + right) * len(self.heights) + j + above, share)
        return out


def _between(nodes: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """The node before each place, and how far it is to the next one, from 0 to 1."""
    i = (torch.searchsorted(nodes, at.contiguous(), right=True) - 1).clamp(0, len(nodes) - 2)
    return i, ((at - nodes[i]) / (nodes[i + 1] - nodes[i])).clamp(0.0, 1.0)
