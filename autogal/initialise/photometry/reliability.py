"""What tells how far photometry can be trusted: noise of the light, what is hidden, what no profile explains,
a sky that is not flat.

Without it a network must promise the same errors for a lone galaxy on white noise and for one between
neighbours on correlated noise: too large for the one, too small for the other.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from autogal.initialise.photometry.rings import from_rings

__all__ = ["SKY_NAMES", "TARGET_NAMES", "evenly_spaced", "sky_reliability", "target_reliability"]

TARGET_NAMES = (
    "ln noise under target",
    "ln hidden core",
    "ln hidden",
    "ln unknown",
    "ln scatter",
    "ln relative scatter",
    "ln outer scatter",
)

_WINDOWS = (
    1,
    3,
    9,
)  # px; the noise of means over wider ones is that of a sky that is not flat, or correlated
SKY_NAMES = ("ln reach", *(f"ln noise of {size} px" for size in _WINDOWS))

_APERTURE = 1.3  # radii, of what may be hidden
_OUTER = 2.2  # radii, of what neighbours leave
_LEAST = 0.01  # part of the light or area that is worth counting as hidden
_CLIPPED = 5.0  # noise of a pixel
_FEWEST = 9  # windows
_SAMPLE = 4096  # windows that are looked at


def target_reliability(
    light: Tensor,
    variance: Tensor,
    known: Tensor,
    filled: Tensor,
    weight: Tensor,
    squares: Tensor,
    mean: Tensor,
    radius: Tensor,
) -> Tensor:
    """How well the light of B targets is known, [B, len(TARGET_NAMES)].

    Parameters
    ----------
    light : Tensor, [B, H, W]
        In units of the noise of a pixel of sky.
    variance : Tensor, [B, H, W]
        Of the light, in the same units.
    known, filled : Tensor, [B, H, W] bool
        What is known, and what is once the opposite side of the target has stood in.
    weight : Tensor, [B, H, W]
        The Gaussian that fits the light best.
    squares : Tensor, [B, H, W]
        Squared circularised radii, in units of `radius`.
    mean : Tensor, [B, R]
        Of `autogal.initialise.photometry.rings.narrow_rings` at `squares`.
    radius : Tensor, [B]
        px.

    Returns
    -------
    Tensor
        Logarithms: of the noise under the Gaussian, of what part of it and of the target's area is hidden,
        and remains unknown; of the mean square of what the rings leave inside the radius in units of its
        variance, of its root against the light, and of the mean square outside.
    """
    use, power = known.float(), weight.square() * known
    noise = 0.5 * ((power * variance).sum((1, 2)) / power.sum((1, 2)).clamp(min=1e-9)).clamp(1e-2, 1e8).log()
    whole = squares < _APERTURE**2
    area = whole.sum((1, 2)).clamp(min=1)
    hidden = [
        1 - (weight * use).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1e-9),
        *((whole & ~part).sum((1, 2)) / area for part in (known, filled)),
    ]
    expected = from_rings(mean, squares, radius)
    off = (light - expected).square()
    inside, outside = (known & (squares < 1), known & (squares >= 1) & (squares < _OUTER**2))
    scatter = [
        ((part * off / variance.clamp(min=1e-4)).sum((1, 2)) + 1)
        .div(part.sum((1, 2)) + 1)
        .clamp(1e-2, 1e6)
        .log()
        for part in (inside, outside)
    ]
    relative = (
        0.5
        * ((inside * off).sum((1, 2)) / (inside * expected.square()).sum((1, 2)).clamp(min=1e-6))
        .clamp(1e-6, 1e2)
        .log()
    )
    return torch.stack(
        [noise, *((_LEAST + part.clamp(min=0)).log() for part in hidden), scatter[0], relative, scatter[1]], 1
    )


def evenly_spaced(pixels: int, most: int, device: torch.device) -> Tensor:
    """Indices of `most` pixels, or of all, evenly over an image.

    In whole numbers: float32 does not count the pixels of an image larger than 4096 x 4096.

    Parameters
    ----------
    pixels : int
        Of the image.
    most : int
    device : torch.device

    Returns
    -------
    Tensor of int
    """
    count = min(most, pixels)
    return torch.arange(count, device=device) * (pixels - 1) // max(count - 1, 1)


def sky_reliability(light: Tensor, sky: Tensor, radius: Tensor) -> Tensor:
    """How well the sky around B targets is known, [B, len(SKY_NAMES)].

    Parameters
    ----------
    light : Tensor, [B, H, W]
        Less the sky, in units of its noise.
    sky : Tensor, [B, H, W] bool
        Known pixels away from the target.
    radius : Tensor, [B]
        px.

    Returns
    -------
    Tensor
        ln of half the stamp's side in radii; ln of the scatter (1.4826 MAD) of means over windows, times the
        root of their pixels: 0 for a flat sky with the noise it is said to have, whatever the window.
    """
    height, width = light.shape[1:]
    part = sky.float()
    values = light.clamp(-_CLIPPED, _CLIPPED) * part
    pick = evenly_spaced(height * width, _SAMPLE, light.device)
    found = [(0.5 * max(height, width) / radius).log()]
    for size in _WINDOWS:
        total, count = (_summed(one, size).flatten(1)[:, pick] for one in (values, part))
        there = (count > 0.5 * size * size) & sky.flatten(1)[:, pick]
        mean = torch.where(there, total / count.clamp(min=1).sqrt(), torch.nan)
        scatter_of_means = 1.4826 * (mean - mean.nanmedian(1, keepdim=True).values).abs().nanmedian(1).values
        found.append(torch.where(there.sum(1) >= _FEWEST, scatter_of_means, 1.0).clamp(0.05, 50).log())
    return torch.stack(found, 1)


def _summed(values: Tensor, size: int) -> Tensor:
    """Sums [B, H, W] over squares of `size` px around each pixel."""
    if size == 1:
        return values
    rows = avg_pool2d(values[:, None], (size, 1), 1, (size // 2, 0), divisor_override=1)
    return avg_pool2d(rows, (1, size), 1, (0, size // 2), divisor_override=1)[:, 0]
