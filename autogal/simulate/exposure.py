"""What a detector makes of the light: noise, dead and saturated pixels, cosmic rays."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from autogal.simulate.rng import Rng
from autogal.simulate.scenes import Conditions

__all__ = ["Exposure", "expose", "poisson_quantile"]

# Points along a cosmic ray's track, half a pixel apart
_TRACK = 40
_RAYS = 4


class Exposure(NamedTuple):
    """An observed image [B, H, W], its standard deviation, and the pixels that are not to be used."""

    image: Tensor
    sigma: Tensor
    mask: Tensor


def expose(rng: Rng, light: Tensor, conditions: Conditions, background: Tensor | None = None) -> Exposure:
    """Observe the light of scenes.

    Parameters
    ----------
    rng : Rng
    light : Tensor, [B, H, W]
        All sources together, image units.
    conditions : Conditions
    background : Tensor, [B, H, W], optional
        Real sky with its own noise; only the photons of the sources add to it.
    """
    column = lambda v: v[:, None, None]
    gain, blank = column(conditions.gain), column(conditions.sky_sigma).square()
    light = light.clamp(min=0)
    variance = blank + light / gain
    sigma = variance.sqrt()
    normal = _correlated(rng, light.shape, conditions.correlation)
    if background is None:
        counts = (
            variance * gain**2
        )  # a blank pixel's variance, in electrons squared, is its number of electrons
        image = poisson_quantile(counts, normal) / gain - blank * gain
    else:
        image = background + light + normal * (light / gain).sqrt()
    image += _sky(light, conditions)
    mask = image >= column(conditions.saturation)
    image = torch.minimum(image, column(conditions.saturation))
    _strike(rng, image, mask, conditions)
    _break(rng, image, mask, conditions)
    return Exposure(image, sigma * column(conditions.sigma_error), mask)


def poisson_quantile(mean: Tensor, normal: Tensor) -> Tensor:
    """Counts of a Poisson distribution at the quantiles of standard normal numbers.

    Parameters
    ----------
    mean : Tensor
        Not negative.
    normal : Tensor, of the same shape

    Returns
    -------
    Tensor
        Whole numbers, by the Cornish-Fisher expansion of third order (Fisher & Cornish 1960): far better than
        one count above a mean of 10, which the sky of every survey is.
    """
    root = mean.sqrt()
    square = normal.square()
    third = (square - 1).mul_(normal).div_(root.clamp(min=1.0)).div_(-72)
    return torch.addcmul(mean, root, normal).add_(square.sub_(1).div_(6)).add_(third).round_().clamp_(min=0)


def _correlated(rng: Rng, shape, weight: Tensor) -> Tensor:
    """Unit normal noise, smoothed along both axes by (w, 1, w) and scaled back to unit variance."""
    count, height, width = shape
    noise = rng.normal(count, height + 2, width + 2)
    w = weight[:, None, None]
    rows = torch.addcmul(noise[:, 1:-1], w, noise[:, :-2] + noise[:, 2:])
    both = torch.addcmul(rows[:, :, 1:-1], w, rows[:, :, :-2] + rows[:, :, 2:])
    return both.div_(1 + 2 * w * w)


def _sky(light: Tensor, conditions: Conditions) -> Tensor:
    _, height, width = light.shape
    x = torch.arange(width, device=light.device) - (width - 1) / 2
    y = torch.arange(height, device=light.device) - (height - 1) / 2
    slope = conditions.gradient
    return conditions.sky[:, None, None] + slope[:, 0, None, None] * x + slope[:, 1, None, None] * y[:, None]


def _strike(rng: Rng, image: Tensor, mask: Tensor, conditions: Conditions) -> None:
    """Cosmic rays: bright straight tracks, most of them found and masked."""
    count, height, width = image.shape
    draw = (count, _RAYS)
    strikes = torch.arange(_RAYS, device=image.device) < conditions.rays[:, None]
    x, y = rng.uniform(0, width, *draw), rng.uniform(0, height, *draw)
    angle, length = rng.uniform(0, 2 * math.pi, *draw), rng.log_uniform(1.0, 20.0, *draw)
    energy = rng.log_uniform(5.0, 300.0, *draw) * conditions.sky_sigma[:, None]
    found = rng.bernoulli(0.9, *draw)
    step = torch.arange(_TRACK, device=image.device) / 2
    column = (x[..., None] + step * angle.cos()[..., None]).long()
    row = (y[..., None] + step * angle.sin()[..., None]).long()
    hit = (
        strikes[..., None]
        & (step <= length[..., None])
        & (column >= 0)
        & (column < width)
        & (row >= 0)
        & (row < height)
    )
    stamp = torch.arange(count, device=image.device)[:, None, None]
    pixel = (stamp * height + row) * width + column
    image.view(-1).index_add_(0, pixel[hit], energy[..., None].expand_as(hit)[hit] / 2)
    mask.view(-1)[pixel[hit & found[..., None]]] = True


def _break(rng: Rng, image: Tensor, mask: Tensor, conditions: Conditions) -> None:
    """Dead pixels, some of them in columns."""
    dead = rng.uniform(0, 1, *image.shape) < conditions.dead[:, None, None]
    column = rng.uniform(0, 1, len(image), 1, image.shape[2]) < 2 * conditions.dead[:, None, None]
    start, stop = (rng.uniform(0, 1, len(image), 1, 1) * image.shape[1] for _ in range(2))
    y = torch.arange(image.shape[1], device=image.device)[:, None]
    dead |= column & (y >= torch.minimum(start, stop)) & (y < torch.maximum(start, stop))
    image.masked_fill_(dead, 0.0)
    mask |= dead
