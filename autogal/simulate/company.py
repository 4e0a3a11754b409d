"""Who stands beside a galaxy on the sky: companions of its own kind, and neighbours as numerous and faint
as counts have them."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from autogal.simulate.rng import Rng
from autogal.simulate.scenes import Scenes

__all__ = ["with_company"]

_ALIKE = 0.4, 0.8  # magnitudes by which a companion is fainter than the galaxy, and the scatter
_APART = 0.8, 2.0  # sums of both half-light radii between their centres
_FAINTEST = 12.0  # S/N of the faintest neighbours that are drawn, as a point source
# of log10 of the number of galaxies brighter than a magnitude: between those of bright and faint galaxies
_SLOPE = 0.4
_BRIGHTEST = 100.0  # times the faintest
_SMALL = 0.15, 1.5  # FWHM of the seeing: half-light radii of the faintest galaxies


def with_company(rng: Rng, scenes: Scenes, pairs: float, counted: float) -> Scenes:
    """Give a part of the targets a companion, and another part the neighbours that number counts have.

    Parameters
    ----------
    rng : Rng
    scenes : Scenes
    pairs : float
        Part of the scenes whose target has a galaxy of about its own brightness beside it, their light
        merging.
    counted : float
        Part of the scenes whose neighbours grow in number towards faint magnitudes, 10^(0.4 m), are small,
        and all there.
    """
    sources, fwhm = scenes.sources, scenes.seeing.fwhm
    count, places = sources.alive.shape
    if places == 1:
        return scenes
    draw = (count, places - 1)
    values = {name: getattr(sources, name).clone() for name in ("alive", "star", "x", "y", "flux", "r_eff")}

    is_counted = rng.bernoulli(counted, count, 1)
    noise = scenes.conditions.sky_sigma[:, None] * (3.2 * fwhm**2).sqrt()[:, None] * _FAINTEST
    # N(> S) goes as S^-1 where that of magnitudes goes as 10^(0.4 m)
    rank = rng.uniform(1 / _BRIGHTEST, 1.0, *draw)
    bright = rank ** (-0.4 / _SLOPE)
    values["flux"][:, 1:] = torch.where(is_counted, noise * bright, values["flux"][:, 1:])
    small = fwhm[:, None] * rng.log_uniform(*_SMALL, *draw) * bright**0.3
    values["r_eff"][:, 1:] = torch.where(is_counted, small, values["r_eff"][:, 1:])
    values["alive"][:, 1:] |= is_counted & rng.bernoulli(0.8, *draw)

    is_pair = rng.bernoulli(pairs, count)
    size = values["r_eff"][:, 0] * 10 ** (0.2 * rng.normal(count))
    apart = fwhm + rng.uniform(*_APART, count) * (size + values["r_eff"][:, 0])
    angle = rng.uniform(0, 2 * math.pi, count)
    flux = values["flux"][:, 0] * 10 ** (-0.4 * (_ALIKE[0] + _ALIKE[1] * rng.normal(count)))
    companion = {
        "alive": is_pair | True,
        "star": is_pair & False,
        "x": values["x"][:, 0] + apart * angle.cos(),
        "y": values["y"][:, 0] + apart * angle.sin(),
        "flux": flux,
        "r_eff": size,
    }
    for name, value in companion.items():
        values[name][:, 1] = torch.where(is_pair, value, values[name][:, 1])
    return replace(scenes, sources=replace(sources, **values))
