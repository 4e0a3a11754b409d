"""How best fits look beside their images: where the target's light is, what masks hide of it, and whether
the model misses it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from autogal.batch.batch_fit import BucketFit
from autogal.batch.stamps import Stamps
from autogal.fitting.context import FitContext
from autogal.flags import Flag
from autogal.images import Cutout
from autogal.images.noise.sky import evenly
from autogal.images.noise.slope import STEEP, slope_about

__all__ = ["FAR_CHI2", "POOR_CHI2", "POOR_SHARE", "Seen", "is_poor", "seen"]

#: Reduced chi-square from which a fit may be poor
POOR_CHI2 = 1.5
#: Of the light, which a poor fit misses
POOR_SHARE = 0.07
#: Reduced chi-square where the target's light is from which a fit is poor whatever share of the light it
#: misses
FAR_CHI2 = 4.0

# Where the target's light is: pixels of at least so much of the brightest one's signal-to-noise ratio, and of
# so much in units of the noise. They hang on the model alone, not on how much empty sky the image has
_OF_BRIGHTEST, _OF_NOISE = (0.15,), (1.0, 0.2)
_FEWEST = 25  # pixels of such a region: noise that is correlated over a few must not look like a misfit
_CLEARLY = 5.0  # standard deviations of chi-square
_AT_ONCE = 1 << 21  # pixels
_SLOPED = (
    4.0  # standard deviations of a plane through all residuals, from which the sky is looked at more closely
)
_SHARED = 4.0  # differences that overlap tell as much as so many fewer
_TYPICAL = 2000  # pixels, from which medians are taken
_WILD = 4.0  # times the noise, to which single residuals are cut there


class Seen(NamedTuple):
    """Of N stamps, [N] each; NaN, and not poor, where there is no fit.

    Attributes
    ----------
    poor : ndarray of bool
        Where the target's light is, the model misses a good part of it.
    inside : ndarray
        Share of the model's light that lies within the image.
    hidden, spoilt : ndarray
        Share of the target's squared signal-to-noise ratio, within the image, under masks of all kinds, and
        under bad pixels.
    wing : ndarray
        Light of the target in the fainter half of the pixels, where a sky is measured, units of the stamp a
        pixel.
    slope : ndarray
        How far what the model leaves of the sky rises from edge to edge of the image, in units of the noise;
        0 where it is flat.
    """

    poor: np.ndarray
    inside: np.ndarray
    hidden: np.ndarray
    spoilt: np.ndarray
    wing: np.ndarray
    slope: np.ndarray


def is_poor(
    chi2: np.ndarray | Tensor,
    mean: np.ndarray | Tensor,
    variance: np.ndarray | Tensor,
    snr: np.ndarray | Tensor,
):
    """Whether fits miss a good part of the light, by their chi-square, what it is where the model describes
    the data, and its variance.

    Bright galaxies are never Sersic profiles to within the noise: a poor fit is one that leaves more than 7 %
    of the signal-to-noise ratio, root of chi-square's excess against that of the light, and whose reduced
    chi-square is above 1.5 and 5 standard deviations above 1.
    """
    excess = (chi2 - mean).clip(min=0.0)
    return (
        (excess > (POOR_SHARE * snr) ** 2) & (chi2 > POOR_CHI2 * mean) & (excess > _CLEARLY * variance**0.5)
    )


def seen(fit: BucketFit, stamps: Stamps, cutouts: Sequence[Cutout], how: FitContext, snr: Tensor) -> Seen:
    """What the best fits of one bucket show.

    Parameters
    ----------
    fit : BucketFit
        Of `stamps`.
    cutouts : sequence of Cutout, length N
        Those that the stamps are of.
    how : FitContext
    snr : Tensor, [N]
        Signal-to-noise ratios of the targets.
    """
    theta, n = fit.outcome.theta, len(stamps)
    poor, numbers, slope = np.zeros(n, bool), np.full((4, n), np.nan), np.zeros(n)
    sound = torch.isfinite(theta).all(-1).nonzero()[:, 0]
    for items in sound.split(max(1, _AT_ONCE // stamps.data[0].numel())) if len(sound) else ():
        light, model = fit.bucket.light_and_model(theta[items], items)
        weight = stamps.weight[items]
        unexpected, mean, variance = _deviance(stamps.data[items], model, weight, how)
        information = how.likelihood.information(model, weight)
        signal = light.square() * information
        places = items.cpu().numpy()
        own = [cutouts[i] for i in places]
        far = _far(own, snr)
        missed = _misses(unexpected, mean, variance, signal, snr[items], far)
        if (doubt := missed & missed.new_tensor([_lacks_photons(cutout) for cutout in own])).any():
            pull = (stamps.data[items] - model)[doubt] * weight[doubt]
            missed[doubt] = _misses(
                *_grain(pull, weight[doubt] > 0), signal[doubt], snr[items][doubt], far[doubt]
            )
        poor[places] = missed.cpu().numpy()
        flux = sum(how.model.amplitudes(theta[items])[number] for number in how.model.lights)
        numbers[:, places] = _shares(light, flux, weight, own)
        if not how.model.slopes:
            for row in _sloped(stamps.data[items] - model, information).tolist():
                centre = _centre(light[row], own[row])
                slope[places[row]] = _rise(
                    (stamps.data[items[row]] - model[row]).cpu().numpy(),
                    information[row].cpu().numpy(),
                    centre,
                    own[row],
                )
    return Seen(poor, *numbers, slope)


def _deviance(data: Tensor, model: Tensor, weight: Tensor, how: FitContext) -> tuple[Tensor, Tensor, Tensor]:
    """Deviance of every pixel, and its mean and variance where the model describes the data, [B, H, W]
    each."""
    return how.likelihood.terms(data, model, weight).deviance, *how.likelihood.expected(model, weight)


def _far(cutouts: Sequence[Cutout], like: Tensor) -> Tensor:
    """Reduced chi-squares [B] that only a model makes: a sigma map that is too small makes all larger, and
    is said by another flag."""
    ratio = np.array([cutout.noise.ratio for cutout in cutouts])
    return torch.from_numpy(FAR_CHI2 / np.fmin(1.0, ratio) ** 2).to(like)


def _misses(
    deviance: Tensor, mean: Tensor, variance: Tensor, signal: Tensor, snr: Tensor, far: Tensor
) -> Tensor:
    """Whether the light is missed in any of the regions that it makes, [B]; `signal` is the squared S/N of
    every pixel.

    A poor fit is one that misses a good part of the light, or leaves so much more than the noise (`far`) that
    its errors, at the least, are wrong by a factor of 2: the brightest galaxies hide from the former what any
    other tool would see in its residuals.
    """
    signal = signal.flatten(1)
    brightest = signal.amax(1, keepdim=True)
    least = torch.cat(
        [part**2 * brightest for part in _OF_BRIGHTEST]
        + [torch.full_like(brightest, level**2) for level in _OF_NOISE],
        1,
    )
    there = (signal[:, None] >= least.clamp(min=torch.finfo(signal.dtype).tiny)[:, :, None]).to(signal.dtype)
    measures = torch.stack([deviance, mean, variance, (mean > 0).to(mean.dtype)], 1).flatten(2)
    chi2, expected, spread, count = (there.to(measures.dtype) @ measures.mT).double().unbind(2)
    loud = (chi2 > far[:, None] * expected) & (chi2 - expected > _CLEARLY * spread**0.5)
    return ((count >= _FEWEST) & (loud | is_poor(chi2, expected, spread, snr[:, None]))).any(1)


def _lacks_photons(cutout: Cutout) -> bool:
    """Whether the sigma map is the image's own, and nothing said how many photons its sources have."""
    return (
        bool(cutout.flags & Flag.SIGMA_ESTIMATED)
        and cutout.gain is None
        and not cutout.flags & Flag.GAIN_ESTIMATED
    )


def _grain(pull: Tensor, used: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What `_misses` takes of residuals in units of a noise [B, H, W] that may be too small where there is
    light: misfits against grain.

    Photons scatter every pixel by itself, where light that a model misses is as smooth as the PSF. The mixed
    fourth difference of 3 x 3 pixels leaves nothing of the latter: its square is what grain alone makes of
    the mean square of the same pixels.
    """
    parts = torch.tensor([1.0, -2.0, 1.0], dtype=pull.dtype, device=pull.device)
    kernel = (parts[:, None] * parts / 6)[None, None]
    whole = conv2d(used.to(pull.dtype)[:, None], torch.ones_like(kernel), padding=1)[:, 0] > 8.5
    pull = torch.where(used, pull, 0.0)[:, None]
    square, grain = (
        conv2d(pull.square(), kernel.square(), padding=1)[:, 0] * whole,
        conv2d(pull, kernel, padding=1)[:, 0].square() * whole,
    )
    return square, grain, _SHARED * 2 * grain.square() / 3  # of a normal number x, 3 is the mean of x^4


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
            out[3, row] = _wing(image, used)
    return out


def _wing(light: np.ndarray, used: np.ndarray) -> float:
    """Lower quartile of the light [H, W] in the used pixels: models are smooth, and a few thousand of them
    tell."""
    some = np.ix_(*(evenly(length, int((light.size / _TYPICAL) ** 0.5)) for length in light.shape))
    values = light[some][used[some]]
    values = values if values.size >= _FEWEST else light[used]
    return float(np.partition(values, values.size // 4)[values.size // 4])


def _signal(light: np.ndarray, weight: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Squared S/N of every pixel [H, W], those that are hidden too: their noise is that of pixels of the
    same light which are not."""
    variance, some = weight[used].astype(float) ** -2, light[used].astype(float)
    faint = np.median(variance[some <= np.median(some)])
    photons = max(0.0, float(((variance - faint) * some).sum() / max((some**2).sum(), 1e-300)))
    return light.astype(float) ** 2 / (faint + photons * light)


def _sloped(residual: Tensor, information: Tensor) -> Tensor:
    """Rows of residuals [B, H, W] through which a plane is not flat; what a neighbour leaves can be
    enough."""
    root = information.flatten(1).sqrt()  # 1 / noise, 0 where nothing is known
    pull = (residual.flatten(1) * root).clamp(-_WILD, _WILD)
    rows, columns = (
        torch.linspace(-1, 1, n, dtype=residual.dtype, device=residual.device) for n in residual.shape[1:]
    )
    shapes = torch.stack(
        [torch.ones_like(residual[0]), columns.expand_as(residual[0]), rows[:, None].expand_as(residual[0])]
    ).flatten(1)
    # a pixel knows the plane by its noise in units of the typical one
    known = root / _typical(root)
    matrix = known.square() @ (shapes[:, None] * shapes).flatten(0, 1).T
    matrix = matrix.double().unflatten(1, (3, 3)) + 1e-9 * torch.eye(
        3, dtype=torch.float64, device=residual.device
    )
    best = torch.linalg.solve_ex(matrix, ((known * pull) @ shapes.T).double())[0]
    error = torch.linalg.inv_ex(matrix)[0].diagonal(dim1=-2, dim2=-1).sqrt()
    clearly = torch.hypot(best[:, 1] / error[:, 1], best[:, 2] / error[:, 2]) > _SLOPED
    return (clearly & (2 * (best[:, 1].abs() + best[:, 2].abs()) > STEEP / 2)).nonzero()[:, 0]


def _typical(root: Tensor) -> Tensor:
    """Median of what is not 0 in every row of [B, P], [B, 1]; some thousand places are enough for it."""
    for step in (max(1, root.shape[1] // _TYPICAL), 1):
        some = root[:, ::step]
        median = torch.where(some > 0, some, torch.nan).nanmedian(1, keepdim=True).values
        if not median.isnan().any():
            break
    return median.nan_to_num(1.0)


def _centre(light: Tensor, cutout: Cutout) -> tuple[float, float]:
    """x and y of the brightest pixel of the target's light [H, W], within its image."""
    height, width = cutout.shape
    place = int(light[:height, :width].argmax())
    return float(place % width), float(place // width)


def _rise(
    residual: np.ndarray, information: np.ndarray, centre: tuple[float, float], cutout: Cutout
) -> float:
    """How far the sky rises from edge to edge of an image, in units of its noise; 0 where it is flat."""
    height, width = cutout.shape
    own = np.s_[:height, :width]
    good = information[own] > 0
    noise = float(np.median(information[own][good]) ** -0.5)
    slope = slope_about(residual[own], good, *centre, noise)
    if slope is None or not slope.is_steep(cutout.shape, noise):
        return 0.0
    return float(abs(slope.dx) * width + abs(slope.dy) * height) / noise
