"""Model images of catalogue parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from autogal.model.levels import LEVELS, level_needed, renderer_at
from autogal.model.model import Model

__all__ = ["psf_fwhm", "render_images"]


def psf_fwhm(psf: Tensor, oversample: int = 1) -> Tensor:
    """FWHM [native px] of the round Gaussian with the PSF's own noise-equivalent area, [N].

    Parameters
    ----------
    psf : Tensor, [N, K, K']
        Unit sum.
    """
    area = psf.double().sum((-2, -1)) ** 2 / psf.double().square().sum((-2, -1))
    return torch.sqrt(area / (4 * torch.pi)) * 2.3548 / oversample


def render_images(
    model: Model,
    values: Tensor,
    zeropoint: Tensor,
    psf: Tensor,
    shape: tuple[int, int],
    optical: bool = False,
    oversample: int = 1,
    dtype: torch.dtype = torch.float32,
    chunk: int = 8,
) -> Tensor:
    """PSF-convolved model images, the sky included.

    Parameters
    ----------
    model : Model
    values : Tensor, [N, P] float64
        In the order of `model.parameters`.
    zeropoint : Tensor, [N]
    psf : Tensor, [M, K, K'], M = 1 or N
        Odd-sized, centred, unit sum.
    shape : (int, int)
        Rows and columns.
    optical, oversample :
        As in `Grid`.
    dtype : torch.dtype
    chunk : int
        Images drawn at once.

    Returns
    -------
    Tensor, [N, H, W]
    """
    free = model.free(values, zeropoint)
    native, _ = model.native(free)
    i_flux, i_sky = model.linear
    out = torch.empty((len(values), *shape), dtype=dtype, device=values.device)
    level = level_needed(model.profile, shape, native, psf_fwhm(psf, oversample).to(native.device).expand(len(native)))
    for wanted in range(LEVELS):
        places = (level == wanted).nonzero()[:, 0]
        if not len(places):
            continue
        renderer = renderer_at(wanted, model.profile, shape, oversample, 1, values.device, dtype)
        common = renderer.grid.psf_transform(psf, optical) if len(psf) == 1 else None
        for some in places.split(chunk):
            transfer = renderer.grid.psf_transform(psf[some], optical) if common is None else common.expand(len(some), -1, -1)
            image = renderer.image(native[some], transfer)
            out[some] = image * free[some, i_flux, None, None].to(dtype) + free[some, i_sky, None, None].to(dtype)
    return out
