"""Stamps made ready for photometry: in stacks of one shape, with where their targets are, their sky and
its noise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from autogal.initialise.photometry.photometry import moments
from autogal.initialise.photometry.reliability import evenly_spaced

__all__ = ["SMALLEST", "chunks_of_one_shape", "clear_of_target", "extent", "sky_and_noise", "stack"]

SMALLEST = 2.5  # px; a radius below which more pixels of sky tell more than a finer grid
_SAMPLE = 4096  # pixels from which the sky is measured
_CLEAR = 1.5  # radii from the target beyond which there is sky


def chunks_of_one_shape(shapes: Sequence[tuple[int, int]], pixels: int) -> Iterator[list[int]]:
    """Places of one shape, as many as hold about `pixels` together.

    Parameters
    ----------
    shapes : sequence of (int, int)
    pixels : int

    Returns
    -------
    iterator of list of int
        Places in `shapes`; every place once.
    """
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, shape in enumerate(shapes):
        groups[shape].append(i)
    for (height, width), members in groups.items():
        count = max(1, pixels // (height * width))
        yield from (members[first : first + count] for first in range(0, len(members), count))


def stack(arrays: Sequence[np.ndarray], kind: type, device: torch.device) -> Tensor:
    """Planes of one shape as a tensor [B, H, W].

    Parameters
    ----------
    arrays : sequence of ndarray, shape (H, W)
    kind : type
        Of numpy.
    device : torch.device
    """
    return torch.from_numpy(np.stack([np.asarray(array, kind) for array in arrays])).to(device)


def extent(light: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Centre (weighted by light) and radius of footprints, px: between the radii of equal area and of equal
    length.

    Parameters
    ----------
    light : Tensor, [B, H, W] float64
    target : Tensor, [B, H, W] bool

    Returns
    -------
    x, y, radius : Tensor, [B]
    """
    weight = torch.where(target, light, 0.0)
    weight = weight.clamp(min=0)
    plain = target.double()
    # a footprint without light, or with a saturated core, has its own centre
    weight = torch.where(
        (weight.sum((1, 2)) > 0)[:, None, None],
        weight / weight.amax((1, 2), keepdim=True).clamp(min=1e-300),
        plain,
    )
    columns, rows = (
        torch.arange(length, dtype=plain.dtype, device=plain.device).expand(len(plain), -1)
        for length in reversed(plain.shape[1:])
    )
    x, y, *_ = moments(weight, columns, rows)
    _, _, xx, yy, xy, _ = moments(plain, columns, rows)
    longest = 2 * torch.sqrt(((xx + yy) / 2 + torch.sqrt(((xx - yy) / 2) ** 2 + xy**2)).clamp(min=0))
    area = torch.sqrt(plain.sum((1, 2)) / torch.pi)
    return x, y, torch.sqrt(area * torch.maximum(longest, area))


def clear_of_target(use: Tensor, target: Tensor, x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    """Pixels [B, H, W] away from the target.

    Parameters
    ----------
    use, target : Tensor, [B, H, W] bool
    x, y, radius : Tensor, [B]
        px.
    """
    height, width = use.shape[1:]
    columns, rows = (
        torch.arange(width, device=use.device) - x[:, None],
        torch.arange(height, device=use.device) - y[:, None],
    )
    farthest = torch.hypot(torch.maximum(x, width - 1 - x), torch.maximum(y, height - 1 - y))
    clear = torch.minimum(_CLEAR * radius, 0.75 * farthest)
    return (
        use
        & ~target
        & (columns.square()[:, None, :] + rows.square()[:, :, None] > clear.square()[:, None, None])
    )


def sky_and_noise(image: Tensor, sigma: Tensor, use: Tensor, clear: Tensor) -> tuple[Tensor, Tensor]:
    """Clipped median of the light away from the target, and the median noise there, [B] each.

    Parameters
    ----------
    image, sigma : Tensor, [B, H, W]
        In the same units.
    use, clear : Tensor, [B, H, W] bool
        Usable pixels, and those of them away from the target.

    Returns
    -------
    sky, noise : Tensor, [B]
        In these units; the noise is positive.
    """
    pick = evenly_spaced(image[0].numel(), _SAMPLE, image.device)
    good, far, values, noise = (part.flatten(1)[:, pick] for part in (use, clear, image, sigma))
    far = torch.where(far.sum(1, keepdim=True) >= 9, far, good)
    values, noise = torch.where(far, values, torch.nan), torch.where(far, noise, torch.nan)
    for _ in range(3):
        median = values.nanmedian(1, keepdim=True).values
        scatter = 1.4826 * (values - median).abs().nanmedian(1, keepdim=True).values
        values = torch.where((values - median).abs() <= 3 * scatter, values, torch.nan)
    sky, noise = values.nanmedian(1).values, noise.nanmedian(1).values
    return sky.nan_to_num(nan=0.0), torch.where(noise > 0, noise, 1.0)
