"""Where neighbours lie."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autogal.simulate.rng import Rng

__all__ = ["place_neighbours"]


def place_neighbours(
    rng: Rng, shape: tuple[int, int], fwhm: Tensor, r_eff: Tensor, offset: float, overlapping: float
) -> tuple[Tensor, Tensor]:
    """Positions of targets and their neighbours.

    Parameters
    ----------
    rng : Rng
    shape : (int, int)
        Rows and columns.
    fwhm : Tensor, [B]
    r_eff : Tensor, [B, S]
        0 for stars; the first is the target's.
    offset : float
        Largest distance of the target from the stamp's centre along each axis, px.
    overlapping : float
        Part of the neighbours whose light and the target's overlap; the others lie anywhere, some beyond the
        stamp.

    Returns
    -------
    x, y : Tensor, [B, S]
    """
    height, width = shape
    count, most = r_eff.shape
    middle = torch.tensor([(width - 1) / 2, (height - 1) / 2], device=fwhm.device)
    target = middle + rng.uniform(-offset, offset, count, 1, 2)
    size = r_eff[:, :1] + r_eff[:, 1:]
    # nearer than this nobody could say which of them is the target
    nearest = offset + 0.8 * fwhm[:, None] + 0.4 * size
    farthest = offset + 2 * fwhm[:, None] + 2.5 * size
    close = rng.bernoulli(overlapping, count, most - 1)
    # uniform along the distance for those that overlap, in area for the others, out to the corners
    edge = torch.maximum(torch.full_like(nearest, 0.75 * max(shape)), nearest + 1)
    part = rng.uniform(0, 1, count, most - 1)
    distance = torch.where(
        close, nearest + (farthest - nearest) * part, torch.sqrt(nearest**2 + (edge**2 - nearest**2) * part)
    )
    angle = rng.uniform(0, 2 * math.pi, count, most - 1)
    neighbours = target + distance[..., None] * torch.stack([angle.cos(), angle.sin()], dim=-1)
    return torch.cat([target, neighbours], dim=1).unbind(-1)
