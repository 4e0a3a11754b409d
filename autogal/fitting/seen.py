"""How best fits look beside their images: where the target's light is, what masks hide of it, and whether the model misses it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from autogal.buckets.bucket import BucketFit
from autogal.buckets.stamps import Stamps
from autogal.fitting.how import How
from autogal.images import Cutout

__all__ = ["POOR_CHI2", "POOR_SHARE", "Seen", "is_poor", "seen"]

#: Reduced chi-square from which a fit may be poor
POOR_CHI2 = 1.5
#: Of the light, which a poor fit misses
POOR_SHARE = 0.07

# Where the target's light is: pixels of at least so much of the brightest one's signal-to-noise ratio, and of so much in units of
# the noise. They hang on the model alone, not on how much empty sky the image has
_OF_BRIGHTEST, _OF_NOISE = (0.5, 0.15), (1.0, 0.2)
_FEWEST = 12  # pixels of such a region
_CLEARLY = 5.0  # standard deviations of chi-square
_AT_ONCE = 1 << 21  # pixels


class Seen(NamedTuple):
    """Of N stamps, [N] each; NaN, and not poor, where there is no fit.

    Attributes
    ----------
    poor : ndarray of bool
        Where the target's light is, the model misses a good part of it.
    inside : ndarray
        Share of the model's light that lies within the image.
    hidden, spoilt : ndarray
        Share of the target's squared signal-to-noise ratio, within the image, under masks of all kinds, and under bad pixels.
    wing : ndarray
        Light of the target in the fainter half of the pixels, where a sky is measured, units of the stamp a pixel.
    """

    poor: np.ndarray
    inside: np.ndarray
    hidden: np.ndarray
    spoilt: np.ndarray
    wing: np.ndarray


def is_poor(chi2: np.ndarray | Tensor, mean: np.ndarray | Tensor, variance: np.ndarray | Tensor, snr: np.ndarray | Tensor):
    """Whether fits miss a good part of the light, by their chi-square, what it is where the model describes the data, and its variance.

    Bright galaxies are never Sersic profiles to within the noise: a poor fit is one that leaves more than 7 % of the
    signal-to-noise ratio, root of chi-square's excess against that of the light, and whose reduced chi-square is above 1.5 and
    5 standard deviations above 1.
    """
    excess = (chi2 - mean).clip(min=0.0)
    return (excess > (POOR_SHARE * snr) ** 2) & (chi2 > POOR_CHI2 * mean) & (excess > _CLEARLY * variance**0.5)


def seen(fit: BucketFit, stamps: Stamps, cutouts: Sequence[Cutout], how: How, snr: Tensor) -> Seen:
    """What the best fits of one bucket show.

    Parameters
    ----------
    fit : BucketFit
        Of `stamps`.
    cutouts : sequence of Cutout, length N
        Those that the stamps are of.
    how : How
    snr : Tensor, [N]
        Signal-to-noise ratios of the targets.
    """
    theta, n = fit.outcome.theta, len(stamps)
    poor, numbers = np.zeros(n, bool), np.full((4, n), np.nan)
    sound = torch.isfinite(theta).all(-1).nonzero()[:, 0]
    for items in sound.split(max(1, _AT_ONCE // stamps.data[0].numel())) if len(sound) else ():
        light, model = fit.bucket.light_and_model(theta[items], items)
        weight = stamps.weight[items]
        unexpected, mean, variance = _deviance(stamps.data[items], model, weight, how)
        signal = light.square() * how.likelihood.information(model, weight)
        places = items.cpu().numpy()
        poor[places] = _misses(unexpected, mean, variance, signal, snr[items]).cpu().numpy()
        own = [cutouts[i] for i in places]
        flux = sum(how.model.amplitudes(theta[items])[number] for number in how.model.lights)
        numbers[:, places] = _shares(light, flux, weight, own)
    return Seen(poor, *numbers)


def _deviance(data: Tensor, model: Tensor, weight: Tensor, how: How) -> tuple[Tensor, Tensor, Tensor]:
    """Deviance of every pixel, and its mean and variance where the model describes the data, [B, H, W] each."""
    return how.likelihood.terms(data, model, weight).deviance, *how.likelihood.expected(model, weight)


def _misses(deviance: Tensor, mean: Tensor, variance: Tensor, signal: Tensor, snr: Tensor) -> Tensor:
    """Whether the light is missed in any of the regions that it makes, [B]; `signal` is the squared S/N of every pixel."""
    brightest = signal.amax((1, 2), keepdim=True)
    least = [part**2 * brightest for part in _OF_BRIGHTEST] + [torch.full_like(brightest, level**2) for level in _OF_NOISE]
    out = torch.zeros(len(snr), dtype=torch.bool, device=snr.device)
    for level in least:
        there = ((signal >= level) & (signal > 0)).to(deviance.dtype)
        chi2, expected, spread, count = ((one * there).sum((1, 2), dtype=torch.float64) for one in (deviance, mean, variance, mean > 0))
        out |= (count >= _FEWEST) & is_poor(chi2, expected, spread, snr)
    return out


def _shares(light: Tensor, flux: Tensor, weight: Tensor, cutouts: Sequence[Cutout]) -> np.ndarray:
    """The numbers of `Seen`, [4, B]."""
    out = np.full((4, len(cutouts)), np.nan)
    light, weight, flux = (one.cpu().numpy() for one in (light, weight, flux))
    for row, cutout in enumerate(cutouts):
        own = tuple(slice(0, length) for length in cutout.shape)
        image, used = np.maximum(light[row][own], 0.0), weight[row][own] > 0
        out[0, row] = image.sum(dtype=float) / flux[row]
        if used.all():
            out[1:3, row] = 0.0
        elif used.any():
            signal = _signal(image, weight[row][own], used)
            bad = ~used if cutout.bad is None else ~used & (cutout.bad | ~np.isfinite(cutout.image))
            out[1:3, row] = signal[~used].sum() / signal.sum(), signal[bad].sum() / signal.sum()
        if used.any():
            some = image[used]
            out[3, row] = np.median(some[some <= np.median(some)])
    return out


def _signal(light: np.ndarray, weight: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Squared S/N of every pixel [H, W], those that are hidden too: their noise is that of pixels of the same light which are not."""
    variance, some = weight[used].astype(float) ** -2, light[used].astype(float)
    faint = np.median(variance[some <= np.median(some)])
    photons = max(0.0, float(((variance - faint) * some).sum() / max((some**2).sum(), 1e-300)))
    return light.astype(float) ** 2 / (faint + photons * light)
