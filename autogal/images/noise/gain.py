"""Whether the photon noise that a gain implies is in the image: which reading of the header's GAIN holds.

The GAIN of a camera is electrons a count of one exposure. In counts a second it has to be multiplied by the
exposure time, in a mean of several exposures by their number; where no unit says what the pixels are, the
image itself tells: its scatter where sources are bright cannot be less than that of their photons.
"""

from __future__ import annotations

import numpy as np

from autogal.errors import AutogalError
from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.images.header.keywords import Facts
from autogal.images.noise.sky import estimate_sigma

__all__ = ["gain_bound", "settle_gain", "too_noisy"]

_BIN, _MOST_BINS = 48, 12
_SKY = 200  # differences that the noise of the sky must rest on
_CERTAIN = 4.0  # errors
_MATTERS = 0.3  # photon noise, in units of the sky's variance, below which a gain hardly changes an error


def settle_gain(cutout: Cutout, facts: Facts, image: np.ndarray | None = None) -> None:
    """Take the reading of the gain whose photon noise the image can hold.

    Parameters
    ----------
    cutout : Cutout
        Without a sigma map of its own. Its gain becomes the one taken; notes, warnings and flags say what was
        in doubt.
    facts : Facts
        The readings of the header.
    image : ndarray, shape (H, W), optional
        In place of the cutout's own, as without the slope of its sky.
    """
    image, mask, gain = cutout.image if image is None else image, cutout.mask, cutout.gain
    if gain is None:
        return
    try:
        sigma, _ = estimate_sigma(image, mask, gain)
    except AutogalError:  # an image whose noise cannot be measured says nothing of its photons
        return
    if not too_noisy(image, mask, sigma, gain):
        return
    doubt = (
        f"The photon noise for a gain of {gain:.5g} is more than the scatter of the image where its sources "
        f"are bright"
    )
    if gain != facts.gain or not facts.gains:
        cutout.flags |= Flag.NOISE_MISMATCH
        cutout.warn(f"{doubt}; it is what was given, and stays.")
        return
    for other, words in facts.gains[1:]:
        if not too_noisy(image, mask, sigma, gain, other):
            cutout.gain = other
            cutout.warn(f"{doubt}: gain {other:.5g} taken, {words}.")
            return
    cutout.gain = gain_bound(image, mask, sigma, gain)
    cutout.flags |= Flag.NOISE_MISMATCH | Flag.GAIN_ESTIMATED
    cutout.warn(
        f"{doubt}, and no other reading of the header's gain fits: {cutout.gain:.5g}, the least that the "
        f"scatter allows, taken."
    )


def too_noisy(
    image: np.ndarray, mask: np.ndarray, sigma: np.ndarray, gain: float, other: float | None = None
) -> bool:
    """Whether an estimated sigma map has more noise on the sources than the image.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    mask : ndarray of bool, shape (H, W)
        True = left out.
    sigma : ndarray, shape (H, W)
        From :func:`autogal.images.noise.sky.estimate_sigma`, with `gain`.
    gain : float
        Electrons per image unit that `sigma` rests on.
    other : float, optional
        Gain to judge in place of it.

    Returns
    -------
    bool
        False too where the image cannot tell.
    """
    signal, scatter, ratio, error, faint = _bins(image, mask, sigma, gain)
    gain = gain if other is None else other
    photons = signal / gain
    # Correlated noise bends less: the faint part of the image says by how much.
    measured = ratio * (scatter**2 + faint / gain)
    expected = scatter**2 + photons
    return bool(np.any((photons > _MATTERS * scatter**2) & (measured < expected * (1 - _CERTAIN * error))))


def gain_bound(image: np.ndarray, mask: np.ndarray, sigma: np.ndarray, gain: float) -> float | None:
    """Smallest gain, electrons per image unit, whose photon noise the image can hold; None where it cannot
    tell.

    What sources bend over five pixels counts as noise: the bound is low rather than high.

    Parameters
    ----------
    image, mask, sigma, gain
        As :func:`too_noisy` takes them.
    """
    signal, scatter, ratio, error, faint = _bins(image, mask, sigma, gain)
    if not signal.size:
        return None
    bound = np.inf
    for _ in range(5):
        measured = ratio * (scatter**2 + faint / bound)
        bound = float(np.max(signal / np.maximum(measured * (1 + error) - scatter**2, error * measured)))
    return bound


def _bins(
    image: np.ndarray, mask: np.ndarray, sigma: np.ndarray, gain: float
) -> tuple[np.ndarray, float, np.ndarray, np.ndarray, float]:
    """Bins of pixels: their mean signal above the sky, and their variance in units of that of the faint part,
    with its error.

    Besides, the scatter of the sky, and the signal of the faint part.
    """
    good = ~mask & np.isfinite(image)
    sigma = np.asarray(sigma, np.float64)
    scatter = float(sigma.min())
    signal = (sigma**2 - scatter**2) * gain
    image = np.where(good, image, 0.0).astype(np.float64)
    found = []
    for values, use, light in ((image, good, signal), (image.T, good.T, signal.T)):
        if len(values) < 5:
            continue
        every = use[:-4] & use[1:-3] & use[2:-2] & use[3:-1] & use[4:]
        bent = values[:-4] - 4 * values[1:-3] + 6 * values[2:-2] - 4 * values[3:-1] + values[4:]
        # The mean over as far as the difference reaches, so that a pixel's own noise does not choose its bin.
        mean = (light[:-4] + 4 * light[1:-3] + 6 * light[2:-2] + 4 * light[3:-1] + light[4:]) / 16
        found.append((bent[every], mean[every]))
    nothing = np.zeros(0), scatter, np.zeros(0), np.zeros(0), 0.0
    if not found:
        return nothing
    bent, mean = (np.concatenate(part) for part in zip(*found))
    squares = bent**2
    order = np.argsort(mean)
    squares, mean = squares[order], mean[order]
    faint = max(_SKY, mean.size // 4)
    if mean.size < faint + _BIN:
        return nothing
    sky, dim = float(np.median(squares[:faint])), float(np.median(mean[:faint]))
    bright = mean > 3 * scatter
    squares, mean = squares[bright], mean[bright]
    number = min(_MOST_BINS, mean.size // _BIN)
    if not (sky > 0 and number):
        return nothing
    parts = np.array_split(np.arange(mean.size), number)
    ratio = np.array([np.median(squares[part]) for part in parts]) / sky
    # 1.6 / sqrt(n) for n independent squares; each pixel is in ten differences, of two directions.
    error = np.array([1.6 * 2.0 / np.sqrt(part.size) for part in parts])
    return (
        np.array([np.mean(mean[part]) for part in parts]),
        scatter,
        ratio,
        np.minimum(error, 1.0 / (_CERTAIN + 1)),
        dim,
    )
