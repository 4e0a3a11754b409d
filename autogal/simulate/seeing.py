"""Point-spread functions of many scenes at once, known by their transforms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from autogal.model.ellipse import elliptical_form, evaluate_form
from autogal.model.grid import Grid
from autogal.model.hankel import hankel_table

__all__ = ["Seeing", "moffat_tables"]


@dataclass(frozen=True)
class Seeing:
    """The PSF of each scene, without the pixel: a radial transfer function, stretched.

    Attributes
    ----------
    tables : Tensor, [B, Z]
        Transfer function over ln k as `HankelTable` lays it out, for a PSF of FWHM 1.
    fwhm : Tensor, [B]
        FWHM before the pixel, px, geometric mean of both axes.
    e1, e2 : Tensor, [B]
        As in `SpectralRenderer`.
    """

    tables: Tensor
    fwhm: Tensor
    e1: Tensor
    e2: Tensor

    def transfer(self, grid: Grid) -> Tensor:
        """Transfer functions with the pixel's own, [B, Kx, Ky] complex."""
        hankel = hankel_table(grid.device, grid.dtype)
        kx, ky = grid.kx.to(grid.dtype)[None, :, None], grid.ky.to(grid.dtype)[None, None, :]
        squares = evaluate_form(elliptical_form(self.e1, self.e2).radius, kx, ky)
        squares[:, 0, 0] = 1e-12
        origin = ((self.fwhm.log() - hankel.log_z0) / hankel.step)[:, None, None]
        place = squares.log_().mul_(0.5 / hankel.step).add_(origin).clamp_(0, hankel.size - 1.001)
        index = place.to(torch.int64)
        fraction = place.sub_(index).flatten(1)
        index = index.flatten(1)
        low, high = self.tables.gather(1, index), self.tables.gather(1, index + 1)
        values = torch.lerp(low, high, fraction).view(squares.shape)
        values *= torch.sinc(kx / (2 * math.pi)) * torch.sinc(ky / (2 * math.pi))
        return values.to(grid.complex_dtype)

    def images(self, grid: Grid) -> Tensor:
        """Effective PSFs, the pixel included, of unit sum in the middle of the grid's (odd-sized) stamp."""
        height, width = grid.shape
        centre = [torch.full((1,), float(side // 2), device=grid.device) for side in (width, height)]
        phase = shift(grid, centre[0], "x")[:, :, None] * shift(grid, centre[1], "y")[:, None, :]
        images = grid.to_images(self.transfer(grid) * phase)
        return images / images.sum((-2, -1), keepdim=True)


def shift(grid: Grid, centre: Tensor, axis: str) -> Tensor:
    """Phase factors that put a source at `centre` [B] along an axis, [B, K] complex."""
    k = grid.kx if axis == "x" else grid.ky
    return torch.exp(-1j * centre.double()[:, None] * k).to(grid.complex_dtype)


def moffat_tables(beta: Tensor) -> Tensor:
    """Transfer functions of round Moffat profiles of FWHM 1, [B, Z], for indices `beta` [B] above 1."""
    hankel = hankel_table(beta.device, torch.float32)
    beta = beta.double()[:, None]
    core = 1 / (2 * torch.sqrt(2 ** (1 / beta) - 1))
    profile = (beta - 1) / (math.pi * core**2) * (1 + (hankel.log_t.exp() / core) ** 2) ** -beta
    return profile.float() @ hankel.matrix
