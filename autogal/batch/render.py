"""Model images of catalogue parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from autogal.batch.grid_levels import LEVELS, model_level, renderers_at
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
    amplitudes, sky, native = (
        [a.to(dtype) for a in model.amplitudes(free)],
        free[:, -1].to(dtype),
        model.native(free),
    )
    fwhm = psf_fwhm(psf, oversample).to(values.device).expand(len(values))
    grid_level = model_level(model, shape, native, fwhm)
    out = torch.empty((len(values), *shape), dtype=dtype, device=values.device)
    for wanted in range(LEVELS):
        places = (grid_level == wanted).nonzero()[:, 0]
        if not len(places):
            continue
        renderers = renderers_at(wanted, model, shape, oversample, 1, values.device, dtype)
        grid = renderers[0].grid
        common = grid.psf_transform(psf, optical) if len(psf) == 1 else None
        for some in places.split(chunk):
            transfer = (
                grid.psf_transform(psf[some], optical) if common is None else common.expand(len(some), -1, -1)
            )
            images = [
                r.image(n[some], transfer) * a[some, None, None]
                for r, n, a in zip(renderers, native, amplitudes)
            ]
            out[some] = sum(images, start=sky[some, None, None])
    return out
