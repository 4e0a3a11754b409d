"""How large the periodic grid must be for a given galaxy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from autogal.model.fit_model import FitModel
from autogal.profiles import Light
from autogal.rendering.grid import Grid, fast_length
from autogal.rendering.renderer import Renderer, renderer_of

__all__ = ["LEVELS", "level_needed", "model_level", "renderer_at", "renderers_at"]

# By how much the grid exceeds the stamp: a factor, and a margin in pixels
_SIZES = ((1.25, 32), (1.5625, 64), (2.5, 128), (4.0, 384))
LEVELS = len(_SIZES)
_LARGEST, _TOTAL = 3e-4, 1e-3


@lru_cache(maxsize=64)
def renderer_at(
    grid_level: int,
    profile: Light,
    shape: tuple[int, int],
    oversample: int = 1,
    binning: int = 1,
    device: torch.device = torch.device("cpu"),
    dtype: torch.dtype = torch.float32,
) -> Renderer:
    """The renderer of one grid level (0 to `LEVELS` - 1, each on a larger grid) for stamps of `shape`."""
    factor, margin = _SIZES[grid_level]
    period = tuple(fast_length(max(math.ceil(factor * n), n + margin)) for n in shape)
    return renderer_of(profile)(profile, Grid(tuple(shape), period, oversample, binning, device, dtype))


def renderers_at(grid_level: int, model: FitModel, *grid) -> tuple[Renderer, ...]:
    """The renderers of a model's components on the grid of one level; `grid` as in `renderer_at`, from
    `shape` on."""
    return tuple(renderer_at(grid_level, component.profile, *grid) for component in model.components)


def level_needed(profile: Light, shape: tuple[int, int], native: Tensor, fwhm: Tensor) -> Tensor:
    """First level whose estimated error is below 3e-4 of the brightest pixel and 1e-3 of the flux in sum.

    It depends on each galaxy alone, so its numbers do not change with the company it is fitted in.

    Parameters
    ----------
    profile : Light
    shape : (int, int)
        Rows and columns of the stamp.
    native : Tensor, [B, D]
        As in `Renderer.draw`.
    fwhm : Tensor, [B]
        PSF FWHM, native pixels.

    Returns
    -------
    Tensor, [B] int
    """
    grid_level = torch.full((len(native),), LEVELS - 1, device=native.device)
    for candidate in range(LEVELS - 2, -1, -1):
        largest, total = renderer_at(candidate, profile, shape, device=native.device).wing_error(native, fwhm)
        grid_level = torch.where((largest < _LARGEST) & (total < _TOTAL), candidate, grid_level)
    return grid_level


def model_level(model: FitModel, shape: tuple[int, int], native: Sequence[Tensor], fwhm: Tensor) -> Tensor:
    """Level that a whole model needs, [B]: that of the component which needs the largest grid; `native` of
    each."""
    return torch.stack(
        [level_needed(c.profile, shape, drawn, fwhm) for c, drawn in zip(model.components, native)]
    ).amax(0)
