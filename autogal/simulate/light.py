"""The noise-free light of every source, drawn on no more pixels than it reaches."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from autogal.batch.grid_levels import LEVELS, level_needed, renderer_at
from autogal.profiles import Sersic
from autogal.profiles.sersic import sersic_b
from autogal.rendering.ellipse import elliptical_form, evaluate_form
from autogal.rendering.grid import Grid, fast_length
from autogal.rendering.hankel import hankel_table
from autogal.simulate.scenes import Parts, Scenes

__all__ = ["draw_light", "reach"]

_PROFILE = Sersic()
# Where a part is cut off: surface brightness in units of the noise of a blank pixel
_DARK = 0.03
_PATCHES = (24, 32, 48, 64, 96, 128)
# PSFs narrower than this hold frequencies above Nyquist, which sampling by pixels folds
_FOLDED = 2.6
# Galaxies that need a grid above this level are drawn on it all the same where a percent of their peak will
# do
_HIGHEST_LEVEL = 1
_CHUNK = 16
_LOG_N = (math.log(0.2), math.log(12.0), 384)


def draw_light(scenes: Scenes, parts: Parts, count: int, exact: bool = False) -> Tensor:
    """Light of every source.

    Parameters
    ----------
    scenes : Scenes
    parts : Parts
    count : int
        Number of living sources.
    exact : bool
        Draw large galaxies as exactly as a fit does, at twice the price.

    Returns
    -------
    Tensor, [count, H, W]
        Flux per pixel, seen through the PSF.
    """
    height, width = scenes.shape
    light = torch.zeros((count, height, width), device=parts.flux.device)
    half = reach(scenes, parts)
    side = torch.full_like(half, math.inf)
    for patch in reversed(_PATCHES):
        if patch <= max(height, width):
            side = torch.where(half < patch / 2 - 1, float(patch), side)
    folded = scenes.seeing.fwhm[parts.scene] < _FOLDED
    for oversample in (1, 2):
        mine = folded == (oversample == 2)
        for patch in side[mine].unique().tolist():
            some = (mine & (side == patch)).nonzero()[:, 0]
            if math.isinf(patch):
                _draw_whole(light, scenes, parts[some], oversample, LEVELS if exact else _HIGHEST_LEVEL)
            else:
                _draw_patches(light, scenes, parts[some], int(patch), oversample)
    return light


def reach(scenes: Scenes, parts: Parts) -> Tensor:
    """Distance [px] from a part's centre beyond which it is lost in the noise, [C].

    Parameters
    ----------
    scenes : Scenes
    parts : Parts
        C of them.

    Returns
    -------
    Tensor, [C]
    """
    dark = _DARK * scenes.conditions.sky_sigma[parts.scene]
    fwhm = scenes.seeing.fwhm[parts.scene]
    # a star of Moffat index 2.5, about the widest there is
    core = fwhm / 1.13
    star = core * ((parts.flux * 1.5 / (math.pi * core**2 * dark)).clamp(min=1.0)) ** 0.2
    star = torch.minimum(star, torch.full_like(star, scenes.seeing.size / 2 + 2))
    n = parts.n.double()
    b, _ = sersic_b(n.log())
    log_norm = 2 * n * b.log() - torch.log(2 * math.pi * n) - torch.lgamma(2 * n)
    fall = log_norm + torch.log(parts.flux / (parts.q * parts.r_eff**2 * dark)).double()
    galaxy = (parts.r_eff * ((fall / b).clamp(min=0) ** n).clamp(max=1e4)).float()
    return torch.where(parts.point, star, torch.maximum(galaxy + fwhm, star))


def _draw_whole(light: Tensor, scenes: Scenes, parts: Parts, oversample: int, highest: int) -> None:
    """Parts that reach over the stamp, with wings beyond it."""
    native = parts.native()
    fwhm = scenes.seeing.fwhm[parts.scene]
    level = torch.zeros(len(native), dtype=torch.int64, device=native.device)
    galaxies = (~parts.point).nonzero()[:, 0]
    level[galaxies] = level_needed(_PROFILE, scenes.shape, native[galaxies], fwhm[galaxies].double()).clamp(
        max=highest
    )
    for wanted in level.unique().tolist():
        renderer = renderer_at(wanted, _PROFILE, scenes.shape, oversample, 1, native.device)
        for some in (level == wanted).nonzero()[:, 0].split(_CHUNK):
            transfer = scenes.seeing[parts.scene[some]].transfer(renderer.grid)
            for point in (False, True):
                place = (parts.point[some] == point).nonzero()[:, 0]
                if not len(place):
                    continue
                those = some[place]
                if point:
                    images = _points(renderer.grid, native[those, :2], transfer[place])
                else:
                    images = renderer.image(native[those], transfer[place])
                light.index_add_(0, parts.source[those], images.mul_(parts.flux[those, None, None]))


def _draw_patches(light: Tensor, scenes: Scenes, parts: Parts, patch: int, oversample: int) -> None:
    """Parts that are dark beyond a small patch around them."""
    _count, height, width = light.shape
    native = parts.native()
    corner = (native[:, :2] - (patch - 1) / 2).round().long()
    # patches that miss the stamp altogether
    seen = ((corner > -patch) & (corner < torch.tensor([width, height], device=corner.device))).all(-1)
    parts, native, corner = parts[seen], native[seen], corner[seen]
    if not len(native):
        return
    period = fast_length(math.ceil(1.4 * patch))
    grid = _grid(patch, period, oversample, native.device)
    # the PSFs of the scenes there are, once each
    wanted, place = parts.scene.unique(return_inverse=True)
    transfer = scenes.seeing[wanted].transfer(grid)
    inside = torch.arange(patch, device=native.device)
    flat = light.view(-1)
    for some in torch.arange(len(native), device=native.device).split(_CHUNK * 4):
        within = native[some].clone()
        within[:, :2] -= corner[some]
        spectra = transfer[place[some]]
        resolved = (~parts.point[some]).nonzero()[:, 0]
        if len(resolved):
            spectra[resolved] *= _sersic_transform(grid, within[resolved])
        images = _points(grid, within[:, :2], spectra).mul_(parts.flux[some, None, None])
        x, y = corner[some, 0, None] + inside, corner[some, 1, None] + inside
        here = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
        pixel = (parts.source[some, None, None] * height + y[:, :, None]) * width + x[:, None, :]
        flat.index_add_(0, pixel[here], images[here])


def _points(grid: Grid, centre: Tensor, spectra: Tensor) -> Tensor:
    phase_x, phase_y = grid.phase(centre[:, 0], "x")[0], grid.phase(centre[:, 1], "y")[0]
    return grid.to_images((spectra * phase_x[:, :, None]).mul_(phase_y[:, None, :]))


@lru_cache(maxsize=32)
def _grid(patch: int, period: int, oversample: int, device: torch.device) -> Grid:
    return Grid((patch, patch), (period, period), oversample, device=device)


@lru_cache(maxsize=4)
def _transforms(device: torch.device) -> Tensor:
    """Transforms of Sersic profiles over ln n and ln z, [N, Z]."""
    first, last, count = _LOG_N
    hankel = hankel_table(device, torch.float64)
    log_n = torch.linspace(first, last, count, dtype=torch.float64, device=device)
    return (_PROFILE.evaluate(hankel.log_t.expand(count, -1), log_n[:, None])[0] @ hankel.matrix).float()


def _sersic_transform(grid: Grid, native: Tensor) -> Tensor:
    """Transforms of unit-flux Sersic profiles at the origin, [C, Kx, Ky]: bilinear in ln n and ln z."""
    hankel = hankel_table(grid.device, grid.dtype)
    first, last, count = _LOG_N
    row = ((native[:, 3] - first) * ((count - 1) / (last - first))).clamp(0, count - 1.001)
    below = row.long()
    tables = _transforms(grid.device)
    tables = torch.lerp(tables[below], tables[below + 1], (row - below).float()[:, None])
    kx, ky = grid.kx.to(grid.dtype)[None, :, None], grid.ky.to(grid.dtype)[None, None, :]
    squares = evaluate_form(elliptical_form(native[:, 4], native[:, 5]).radius, kx, ky)
    squares[:, 0, 0] = 1e-12
    origin = ((native[:, 2] - hankel.log_z0) / hankel.step).float()[:, None, None]
    place = squares.log_().mul_(0.5 / hankel.step).add_(origin).clamp_(0, hankel.size - 1.001)
    index = place.long()
    fraction = place.sub_(index).flatten(1)
    index = index.flatten(1)
    return torch.lerp(tables.gather(1, index), tables.gather(1, index + 1), fraction).view(squares.shape)
