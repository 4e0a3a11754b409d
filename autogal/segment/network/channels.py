"""What the segmentation network sees: a stamp in units of its noise, and how far each pixel is from the
target's place."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

__all__ = ["CHANNELS", "LARGEST", "SMALLEST", "STRIDE", "binned", "binning", "input_channels"]

CHANNELS = ("asinh(S/N)", "asinh(S/N / 10)", "asinh(distance / 4 px)")  # written in every checkpoint's card
STRIDE = 32  # px; the network's coarsest features, of which each side must be a multiple
SMALLEST = 32  # px; on smaller stamps there is nothing for the coarse features to see
LARGEST = 256  # px; larger stamps are binned: their galaxies are larger too

_RANGE = -20.0, 1e6  # of the signal-to-noise ratio of a pixel; beyond lies damage
_SCALE = 0.5  # brings the channels near one
_SAMPLE = 64  # pixels along a side are enough to find the sky
_HOLE = 5  # px; smaller holes are filled in from around them


def input_channels(image: Tensor, sigma: Tensor, mask: Tensor, centre: Tensor | None = None) -> Tensor:
    """Input of the segmentation network, which never depends on the units of the image.

    The sky is taken off (the fainter of the clipped medians of the stamp and of its border), the rest divided
    by the noise of each pixel. Small holes are filled with the mean of the good pixels around them, larger
    ones are sky.

    Parameters
    ----------
    image, sigma : Tensor, shape (B, H, W)
        In the same units.
    mask : Tensor of bool, shape (B, H, W)
        True = excluded. Pixels that are not finite, or whose sigma is not positive, are excluded too.
    centre : Tensor, shape (B, 2), optional
        x, y where each target should be; the middle of the stamp by default.

    Returns
    -------
    Tensor of float32, shape (B, 3, H', W')
        `CHANNELS`. The sides are those of the image rounded up to a multiple of `STRIDE`: what is added, at
        the ends of the rows and columns, is empty sky at its true distance.
    """
    count, height, width = image.shape
    good = ~mask & torch.isfinite(image) & torch.isfinite(sigma) & (sigma > 0)
    signal = (
        torch.where(good, (image - _sky(image, good)) / torch.where(good, sigma, 1), 0).clamp(*_RANGE).float()
    )
    weight = avg_pool2d(good.float()[:, None], _HOLE, stride=1, padding=_HOLE // 2)
    around = avg_pool2d(signal[:, None], _HOLE, stride=1, padding=_HOLE // 2) / weight.clamp(min=1e-3)
    signal = torch.where(good, signal, around[:, 0])

    rows, columns = (-(-side // STRIDE) * STRIDE for side in (height, width))
    signal = pad(signal, (0, columns - width, 0, rows - height))
    if centre is None:
        centre = signal.new_tensor([(width - 1) / 2, (height - 1) / 2]).expand(count, 2)
    x = torch.arange(columns, device=image.device) - centre[:, 0, None, None]
    y = torch.arange(rows, device=image.device)[:, None] - centre[:, 1, None, None]
    distance = torch.hypot(*torch.broadcast_tensors(x, y)).float()
    return _SCALE * torch.stack(
        [torch.asinh(signal), torch.asinh(signal / 10), torch.asinh(distance / 4)], dim=1
    )


def binning(shape: tuple[int, int]) -> int:
    """Factor by which a stamp of some shape is binned before the network sees it.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns [px].

    Returns
    -------
    int
        1 for stamps of up to `LARGEST` px.
    """
    return -(-max(shape) // LARGEST)


def binned(image: Tensor, sigma: Tensor, mask: Tensor, factor: int) -> tuple[Tensor, Tensor, Tensor]:
    """Means of `factor` x `factor` good pixels, their sigma, and where there are none.

    Parameters
    ----------
    image, sigma : Tensor, shape (B, H, W)
    mask : Tensor of bool, shape (B, H, W)
    factor : int

    Returns
    -------
    image, sigma, mask : Tensor, shape (B, ceil(H / factor), ceil(W / factor))
    """
    good = ~mask & torch.isfinite(image) & torch.isfinite(sigma) & (sigma > 0)
    right, below = -image.shape[2] % factor, -image.shape[1] % factor

    def mean(values: Tensor) -> Tensor:
        return avg_pool2d(pad(torch.where(good, values, 0), (0, right, 0, below))[:, None], factor)[:, 0]

    used = mean(torch.ones_like(image))
    number = (used * factor**2).clamp(min=1)
    return (
        mean(image) / used.clamp(min=1e-9),
        (mean(sigma**2) / used.clamp(min=1e-9) / number).sqrt(),
        used == 0,
    )


def _sky(image: Tensor, good: Tensor) -> Tensor:
    """Sky level [B, 1, 1]: where a galaxy fills the stamp its border is fainter, where a neighbour lies on
    the border the rest."""
    step = max(1, min(image.shape[1:]) // _SAMPLE)
    values = torch.where(good, image, torch.nan)[:, ::step, ::step]
    rim = max(1, min(values.shape[1:]) // 10)
    border = values.clone()
    border[:, rim:-rim, rim:-rim] = torch.nan
    levels = torch.stack([_clipped_median(part.flatten(1)) for part in (values, border)])
    return levels.nan_to_num(nan=torch.inf).amin(0).nan_to_num(posinf=0.0)[:, None, None]


def _clipped_median(values: Tensor) -> Tensor:
    """Median [B] of rows [B, N] whose bright side is clipped closer than the faint one; NaN is left out."""
    for _ in range(4):
        median = values.nanmedian(dim=1, keepdim=True).values
        scatter = 1.4826 * (values - median).abs().nanmedian(dim=1, keepdim=True).values
        kept = (values >= median - 4 * scatter) & (values <= median + 2.5 * scatter)
        values = torch.where(kept, values, torch.nan)
    return values.nanmedian(dim=1).values
