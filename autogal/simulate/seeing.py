"""Point-spread functions of many scenes at once, known by their transforms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from autogal.rendering.ellipse import elliptical_form, evaluate_form
from autogal.rendering.grid import Grid, fast_length
from autogal.rendering.hankel import hankel_table

__all__ = ["Seeing", "airy_profile", "moffat_profile"]

# FWHM^2 that the pixel adds, px^2: fitted to the area above half maximum of drawn stars of 1.5-8 px
_PIXEL = 0.85
# Middle of a PSF image in which its width is measured, and how much finer than its pixels
_CORE, _FINE = 25, 8
# First bright ring beyond which diffraction rings are taken for their mean, in v = pi r / (lambda / D)
_RINGS = 10.2


def moffat_profile(beta: Tensor) -> Tensor:
    """Radial profiles of Moffat stars of FWHM 1 on the radii of `HankelTable`, [B, T], for indices `beta`
    [B] above 1."""
    radius = hankel_table(beta.device, torch.float32).log_t.exp()
    beta = beta.double()[:, None]
    core = 1 / (2 * torch.sqrt(2 ** (1 / beta) - 1))
    return (1 + (radius / core) ** 2) ** -beta


def airy_profile(blur: Tensor) -> Tensor:
    """Radial profiles of diffraction-limited stars of about FWHM 1 on the radii of `HankelTable`, [B, T].

    Parameters
    ----------
    blur : Tensor, [B]
        Part, 0 to 1, of the rings' contrast that a broad band and drizzling wash out.
    """
    radius = hankel_table(blur.device, torch.float32).log_t.exp()
    v = (math.pi * 1.029 * radius).clamp(min=1e-3)
    rings = (2 * torch.special.bessel_j1(v) / v) ** 2
    mean = 4 / (math.pi * v**3)
    outside = torch.sigmoid((v - _RINGS) / 0.5)
    # inside the first minimum there is no ring to wash out
    weight = torch.maximum(blur.double()[:, None] * torch.sigmoid((v - 4.5) / 0.3), outside)
    return torch.lerp(rings.expand_as(weight), mean.expand_as(weight), weight)


@dataclass(frozen=True)
class Seeing:
    """The PSF of each scene.

    Attributes
    ----------
    fwhm : Tensor, [B]
        FWHM of the effective PSF, px.
    before_pixel : Tensor, [B]
        FWHM before the pixel, px, geometric mean of both axes.
    tables : Tensor, [B, Z]
        Transfer functions of the round PSF of FWHM 1 before the pixel, over ln k as `HankelTable` lays it
        out.
    e1, e2 : Tensor, [B]
        Ellipticity, as in `SpectralRenderer`.
    size : int
        Side, odd, of PSF images: they hold all the light there is.
    """

    fwhm: Tensor
    before_pixel: Tensor
    tables: Tensor
    e1: Tensor
    e2: Tensor
    size: int

    @classmethod
    def of_profiles(cls, profile: Tensor, fwhm: Tensor, q: Tensor, pa: Tensor, size: int) -> Seeing:
        """PSFs of the given radial profiles [B, T] (FWHM 1, any scale), effective FWHM, axis ratio and angle,
        [B] each.

        Their wings end smoothly at the border of a PSF image of odd side `size`, so that a PSF image is
        complete and what is drawn with the transform is what a fit with the image expects.
        """
        hankel = hankel_table(fwhm.device, torch.float32)
        before_pixel = (fwhm**2 - _PIXEL).clamp(min=0.3).sqrt()
        end = (size // 2 - 0.5) * q.sqrt() / before_pixel
        position = hankel.log_t - end.double().log()[:, None]
        inside = 0.5 + 0.5 * torch.cos(math.pi * (position / math.log(2.0) + 1).clamp(0, 1))
        tables = (profile * inside).float() @ hankel.matrix
        angle, eta = 2 * torch.deg2rad(pa + 90), -q.log()
        return cls(fwhm, before_pixel, tables / tables[:, :1], eta * angle.cos(), eta * angle.sin(), size)

    def __getitem__(self, some: Tensor) -> Seeing:
        return Seeing(
            self.fwhm[some],
            self.before_pixel[some],
            self.tables[some],
            self.e1[some],
            self.e2[some],
            self.size,
        )

    def transfer(self, grid: Grid) -> Tensor:
        """Transfer functions, the pixel's included, [B, Kx, Ky] complex."""
        hankel = hankel_table(grid.device, grid.dtype)
        kx, ky = grid.kx.to(grid.dtype)[None, :, None], grid.ky.to(grid.dtype)[None, None, :]
        squares = evaluate_form(elliptical_form(self.e1, self.e2).radius, kx, ky)
        squares[:, 0, 0] = 1e-12
        origin = ((self.before_pixel.log() - hankel.log_z0) / hankel.step)[:, None, None]
        place = squares.log_().mul_(0.5 / hankel.step).add_(origin).clamp_(0, hankel.size - 1.001)
        index = place.to(torch.int64)
        fraction = place.sub_(index).flatten(1)
        index = index.flatten(1)
        values = torch.lerp(self.tables.gather(1, index), self.tables.gather(1, index + 1), fraction).view(
            squares.shape
        )
        values *= torch.sinc(kx / (2 * math.pi)) * torch.sinc(ky / (2 * math.pi))
        return values.to(grid.complex_dtype)

    @staticmethod
    def measure(images: Tensor) -> Tensor:
        """FWHM of PSF images [B, K, K] as `autogal.images.psf.checks.fwhm` measures it, [B].

        From the area above half the maximum, after band-limited interpolation.
        """
        side = images.shape[-1]
        start = max(side - _CORE, 0) // 2
        core = images[:, start : side - start, start : side - start]
        fine = _interpolation(core.shape[-1], images.device)
        fine = fine @ core @ fine.T
        area = (fine > 0.5 * fine.amax((1, 2), keepdim=True)).sum((1, 2)) / _FINE**2
        return 2 * torch.sqrt(area / math.pi)

    def images(self) -> Tensor:
        """Effective PSFs of unit sum in the middle of their images, [B, K, K]."""
        side, device = self.size, self.fwhm.device
        period = fast_length(side + 8)
        grid = Grid((side, side), (period, period), 2, device=device)
        middle = torch.full((1,), float(side // 2), device=device)
        spectra = (
            self.transfer(grid)
            * grid.phase(middle, "x")[0][:, :, None]
            * grid.phase(middle, "y")[0][:, None, :]
        )
        images = grid.to_images(spectra)
        return images / images.sum((-2, -1), keepdim=True)


@lru_cache(maxsize=4)
def _interpolation(length: int, device: torch.device) -> Tensor:
    """Matrix that interpolates `length` (odd) periodic samples on to `_FINE` times as many."""
    spectrum = torch.fft.rfft(torch.eye(length, dtype=torch.float64, device=device), dim=0)
    return (_FINE * torch.fft.irfft(spectrum, n=_FINE * length, dim=0)).float()
