"""What the network of starting values sees: the target alone, in units of its noise and of its own size.

One network serves every stamp: sizes reach it divided by the target's radius, fluxes divided by the light in
the crop. What was divided out comes back in `autogal.initialise.network.targets`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from autogal.initialise.photometry.photometry import NAMES, photometry, shape
from autogal.initialise.photometry.reliability import SKY_NAMES, sky_reliability
from autogal.initialise.photometry.stamps import SMALLEST, clear_of_target, extent, sky_and_noise

__all__ = ["CHANNELS", "FEATURES", "SIDE", "Crops", "crop"]

SIDE = 64  # px of a crop
CHANNELS = (
    "asinh(S/N)",
    "asinh(S/N / 10)",
    "asinh(S/N / 100)",
    "coverage",
)  # written in every checkpoint's card
FEATURES = ("ln radius", "ln PSF FWHM", "ln PSF size", "PSF e1", "PSF e2", *NAMES, *SKY_NAMES)

_REACH = 2.2  # half a crop's side in radii of the footprint


@dataclass(slots=True)
class Crops:
    """B crops and where they were taken.

    Attributes
    ----------
    channels : Tensor, [B, 4, SIDE, SIDE] float32
        `CHANNELS`. S/N is the light per pixel of the stamp in units of the noise of its sky, coverage the
        part of a crop's pixel that was usable; where there was nothing, the light is 0.
    features : Tensor, [B, len(FEATURES)] float32
        `FEATURES`: radius, and FWHM, size and ellipticity of the PSF, in px; then the
        `autogal.initialise.photometry.photometry` of the target, in radii, and the
        `autogal.initialise.photometry.reliability` of the sky.
    x, y : Tensor, [B]
        Centre of the crop in the stamp, 0-indexed px.
    radius : Tensor, [B]
        Unit of length, px: the footprint's radius, or the PSF's where that is larger.
    flux : Tensor, [B]
        Unit of flux, image units: the light inside the target, or the noise there; always positive.
    sky : Tensor, [B]
        What was taken off, image units per px.
    """

    channels: Tensor
    features: Tensor
    x: Tensor
    y: Tensor
    radius: Tensor
    flux: Tensor
    sky: Tensor

    def __len__(self) -> int:
        return len(self.x)

    @classmethod
    def cat(cls, parts: list[Crops]) -> Crops:
        """All of them as one."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def crop(
    image: Tensor,
    sigma: Tensor,
    excluded: Tensor,
    target: Tensor,
    psf: Tensor,
    shift: Tensor | None = None,
    stretch: Tensor | None = None,
) -> Crops:
    """Cut the targets of stamps of one shape out.

    Parameters
    ----------
    image, sigma : Tensor, [B, H, W]
        In the same units, of any size.
    excluded : Tensor, [B, H, W] bool
        Bad pixels and neighbours. Pixels that are not finite, or whose sigma is not positive, are excluded
        too.
    target : Tensor, [B, H, W] bool
        The target's footprint, at least one pixel each.
    psf : Tensor, [B, len(PSF_NAMES)]
        From `autogal.initialise.photometry.photometry.describe_psf`.
    shift : Tensor, [B, 2], optional
        Moves of the centre in radii. Training shakes the crops, because footprints come from more than one
        method.
    stretch : Tensor, [B], optional
        Factors on the radius, for the same reason.
    """
    height, width = image.shape[1:]
    use = ~excluded & torch.isfinite(image) & torch.isfinite(sigma) & (sigma > 0)
    x, y, radius = extent(torch.where(use, image, 0).double(), target)
    psf_fwhm, psf_moments = psf[:, 0], psf[:, 1:4]
    radius = torch.maximum(radius, psf_fwhm.double()).clamp(min=SMALLEST)
    if stretch is not None:
        radius = radius * stretch
    # a crop larger than its stamp would show nothing more
    radius = radius.clamp(max=0.55 * max(height, width) / _REACH)
    if shift is not None:
        x, y = x + shift[:, 0] * radius, y + shift[:, 1] * radius
    clear = clear_of_target(use, target, x, y, radius)
    sky, noise = sky_and_noise(image, sigma, use, clear)
    light = (
        torch.where(use, (image - sky[:, None, None]) / noise[:, None, None], 0.0).clamp(-1e4, 1e7).float()
    )
    columns, rows = _weights(x, radius, width), _weights(y, radius, height)
    covered = rows @ use.float() @ columns.mT
    mean = torch.where(covered > 0.05, rows @ light @ columns.mT / covered.clamp(min=0.05), 0.0)
    channels = torch.stack(
        [torch.asinh(mean), torch.asinh(mean / 10), torch.asinh(mean / 100), covered.clamp(max=1)], 1
    )
    variance = torch.where(use, sigma / noise[:, None, None], 1.0).clamp(1e-2, 1e4).square().float()
    measured, flux = photometry(light, variance, use, x, y, radius, psf)
    sky_features = sky_reliability(light, clear, radius.float())
    # in FWHM^2, so that the bounds of a shape are bounds for stars of any seeing
    own = shape(
        *(psf_moments / psf_fwhm[:, None] ** 2).float().unbind(1), torch.full_like(psf_fwhm, 0.01).float()
    )
    seeing = [radius.float().log(), psf_fwhm.float().log(), psf_fwhm.float().log() + own[0], *own[1:]]
    features = torch.cat([torch.stack(seeing, 1), measured, sky_features], 1)
    return Crops(channels, features, x, y, radius, flux.double() * noise.double(), sky.double())


def _weights(centre: Tensor, radius: Tensor, length: int) -> Tensor:
    """Weights [B, SIDE, length] of the stamp's pixels in each of the crop's, along one axis.

    Triangles that sum to about one inside the stamp: linear interpolation where the crop is finer than the
    stamp, a mean over neighbours where it is coarser.
    """
    step = 2 * _REACH * radius[:, None, None] / SIDE
    place = (
        centre[:, None, None]
        - _REACH * radius[:, None, None]
        + (torch.arange(SIDE, device=centre.device)[:, None] + 0.5) * step
    )
    reach = step.clamp(min=1.0)
    triangle = (1 - (torch.arange(length, device=centre.device) - place).abs() / reach).clamp(min=0)
    return (triangle / reach).float()
