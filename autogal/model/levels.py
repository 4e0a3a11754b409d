"""How large the periodic grid must be for a given galaxy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from autogal.model.grid import Grid, fast_length
from autogal.model.model import Model
from autogal.model.spectral import SpectralRenderer
from autogal.profiles import RadialProfile

__all__ = ["LEVELS", "level_needed", "renderer_at", "renderers_at"]

# By how much the grid exceeds the stamp: a factor, and a margin in pixels
_SIZES = ((1.25, 32), (1.5625, 64), (2.5, 128), (4.0, 384))
LEVELS = len(_SIZES)
_LARGEST, _TOTAL = 3e-4, 1e-3


@lru_cache(maxsize=64)
def renderer_at(
    level: int,
    profile: RadialProfile,
    shape: tuple[int, int],
    oversample: int = 1,
    binning: int = 1,
    device: torch.device = torch.device("cpu"),
    dtype: torch.dtype = torch.float32,
) -> SpectralRenderer:
    """The renderer of one level (0 to `LEVELS` - 1, each on a larger grid) for stamps of `shape`."""
    factor, margin = _SIZES[level]
    period = tuple(fast_length(max(math.ceil(factor * n), n + margin)) for n in shape)
    return SpectralRenderer(profile, Grid(tuple(shape), period, oversample, binning, device, dtype))


def renderers_at(level: int, model: Model, *grid) -> tuple[SpectralRenderer, ...]:
    """The renderers of a model's components on the grid of one level; `grid` as in `renderer_at`, from `shape` on."""
    return tuple(renderer_at(level, component.profile, *grid) for component in model.components)


def level_needed(model: Model, shape: tuple[int, int], native: Sequence[Tensor], fwhm: Tensor) -> Tensor:
    """First level whose estimated error is below 3e-4 of the brightest pixel and 1e-3 of the flux in sum.

    It depends on each galaxy alone, so its numbers do not change with the company it is fitted in.

    Parameters
    ----------
    model : Model
    shape : (int, int)
        Rows and columns of the stamp.
    native : sequence of Tensor, [B, 5 + S]
        Of each component, as in `SpectralRenderer.draw`; the one that needs the largest grid decides.
    fwhm : Tensor, [B]
        PSF FWHM, native pixels.

    Returns
    -------
    Tensor, [B] int
    """
    level = torch.full_like(fwhm, LEVELS - 1, dtype=torch.long)
    for candidate in range(LEVELS - 2, -1, -1):
        enough = torch.ones_like(level, dtype=torch.bool)
        for component, drawn in zip(model.components, native):
            largest, total = renderer_at(candidate, component.profile, shape, device=fwhm.device).wing_error(drawn, fwhm)
            enough &= (largest < _LARGEST) & (total < _TOTAL)
        level = torch.where(enough, candidate, level)
    return level
