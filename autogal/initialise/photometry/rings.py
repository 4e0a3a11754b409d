"""Light in rings around targets: means, and what they say of each pixel."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["WIDE", "from_rings", "narrow_rings", "wide_rings"]

WIDE = 14  # rings that a network sees
_INNERMOST, _OUTERMOST = 0.03, 2.2  # their circularised radii, in units of the target's radius
_FAINTEST = 1e-4  # of the brightest ring
_NARROW, _PLAIN, _GROWTH = (
    32,
    5,
    1.2,
)  # rings to which a profile is fitted: a pixel wide at first, then wider by a factor
_REACH = 6.0  # radii; far out it is seen what of the light around a target is sky, and what its own wings


def narrow_rings(
    light: Tensor, known: Tensor, squares: Tensor, radius: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean squared radius, mean light and pixels [B, R] of rings at `squares` [B, H, W], squared radii in
    units of `radius` [B] px.

    Parameters
    ----------
    light : Tensor, [B, H, W]
    known : Tensor, [B, H, W] bool
    squares : Tensor, [B, H, W]
    radius : Tensor, [B]

    Returns
    -------
    square, mean, count : Tensor, [B, R]
    """
    place = _place(squares, radius).long().clamp(max=_NARROW - 1).flatten(1)
    inside = (known & (squares < _REACH**2)).flatten(1).float()
    square, mean, count = (
        light.new_zeros(len(light), _NARROW).scatter_add_(1, place, values)
        for values in (inside * squares.flatten(1), inside * light.flatten(1), inside)
    )
    return square / count.clamp(min=1), mean / count.clamp(min=1), count


def from_rings(mean: Tensor, squares: Tensor, radius: Tensor) -> Tensor:
    """The light [B, H, W] that means [B, R] of `narrow_rings` let expect, linear between their middles.

    Parameters
    ----------
    mean : Tensor, [B, R]
    squares : Tensor, [B, H, W]
        In units of `radius`, squared.
    radius : Tensor, [B]
        px.

    Returns
    -------
    Tensor, [B, H, W]
    """
    place = (_place(squares, radius) - 0.5).clamp(0, _NARROW - 1).flatten(1)
    below = place.long().clamp(max=_NARROW - 2)
    return torch.lerp(mean.gather(1, below), mean.gather(1, below + 1), place - below).view(squares.shape)


def wide_rings(light: Tensor, known: Tensor, squares: Tensor) -> tuple[Tensor, Tensor]:
    """Means of rings [B, WIDE]: their logarithms against the brightest's, and asinh of their S/N.

    Parameters
    ----------
    light : Tensor, [B, H, W]
        In units of the noise of a pixel.
    known : Tensor, [B, H, W] bool
    squares : Tensor, [B, H, W]
        Squared circularised radii, in radii of the target.
    """
    place = (0.5 * torch.log(squares.clamp(min=1e-8)) - math.log(_INNERMOST)) * (
        (WIDE - 1) / math.log(_OUTERMOST / _INNERMOST)
    )
    place = place.clamp(min=0).flatten(1)
    known, values = known.flatten(1).float(), light.flatten(1)
    # each pixel is shared between two rings; those beyond the last have no part
    below = place.long()
    share = place - below
    total, count = (light.new_zeros(len(light), WIDE + 2) for _ in range(2))
    for index, part in ((below, (1 - share) * known), (below + 1, share * known)):
        index = index.clamp(max=WIDE + 1)
        count.scatter_add_(1, index, part)
        total.scatter_add_(1, index, part * values)
    total, count = total[:, :WIDE], count[:, :WIDE]
    there = count > 0.5
    mean = torch.where(there, total / count.clamp(min=0.5), 0.0)
    brightest = mean.amax(1, keepdim=True).clamp(min=1e-6)
    return (
        torch.where(there, torch.log((mean / brightest).clamp(min=_FAINTEST)), 0.0),
        torch.asinh(mean * count.sqrt()) * there,
    )


def _place(squares: Tensor, radius: Tensor) -> Tensor:
    """Which of the narrow rings [B, H, W], and how far from its inner edge to the outer."""
    pixels = squares.sqrt() * radius[:, None, None]
    return torch.where(
        pixels < _PLAIN, pixels, _PLAIN + torch.log(pixels.clamp(min=1) / _PLAIN) / math.log(_GROWTH)
    )
