"""A cutout's noise, looked at once: its sky, the sigma map where there is none, and whether the two agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autogal.errors import AutogalError
from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.images.header.keywords import Facts
from autogal.images.noise.gain import settle_gain
from autogal.images.noise.noise_map import Noise, has_no_noise, measure_noise
from autogal.images.noise.photons import photon_variance
from autogal.images.noise.sky import Sky, estimate_sigma, find_sky
from autogal.images.noise.slope import flattened
from autogal.images.survey import Survey

__all__ = ["as_seen", "settle_noise"]

_MOST = 512  # pixels a side of the part of an image that its sigma map is compared in
# Of an image without noise, the part of its peak that stands for it where every pixel is to count alike
_OF_PEAK = 1e-3


def settle_noise(cutout: Cutout, survey: Survey, facts: Facts) -> None:
    """Give a cutout a sigma map where it has none, and say what its image says of its noise.

    Parameters
    ----------
    cutout : Cutout
        With image and mask. Gets `sigma`, `noise`, flags and notes.
    survey : Survey
    facts : Facts
        The readings of the header's gain.

    Raises
    ------
    AutogalError
        Where there is no sigma map and none can be estimated.
    """
    if cutout.sigma is None:
        _estimate(cutout, survey, facts)
        return
    part = tuple(slice(max(0, (n - _MOST) // 2), max(0, (n - _MOST) // 2) + _MOST) for n in cutout.shape)
    image, mask, sigma = cutout.image[part], cutout.mask[part], cutout.sigma[part]
    sky = find_sky(image, mask, scatter=False)
    if has_no_noise(image, mask, sky):
        _keep(
            cutout,
            Noise(
                absent=True,
                flags=Flag.NOISE_MISMATCH,
                notes=["The image has no noise: errors and chi2_dof are those of the sigma map alone."],
            ),
        )
        return
    _keep(cutout, measure_noise(image, sky, sigma))


def as_seen(cutout: Cutout) -> Cutout:
    """The cutout that sources are looked for in: with the image's own noise where its sigma map plainly
    contradicts it.

    Parameters
    ----------
    cutout : Cutout

    Returns
    -------
    Cutout
        `cutout` itself, or one that shares all but its sigma map with it.
    """
    if not cutout.noise.contradicts:
        return cutout
    sigma = estimate_sigma(cutout.image, cutout.mask, cutout.gain)[0].astype(cutout.image.dtype)
    cutout.notes.append(
        "Sources were looked for in the image's own noise, which its sigma map contradicts; the fit weighs "
        "pixels by the map."
    )
    return replace(cutout, sigma=sigma)


def _keep(cutout: Cutout, noise: Noise) -> None:
    cutout.noise = noise
    cutout.flags |= noise.flags
    cutout.notes += noise.notes


def _estimate(cutout: Cutout, survey: Survey, facts: Facts) -> None:
    image, mask = cutout.image, cutout.mask
    sky = find_sky(image, mask)
    if has_no_noise(image, mask, sky):
        _without_noise(cutout, survey, sky)
        return
    # of a sloped sky what lies above its middle is no light of sources, whose photons have noise
    flat = flattened(cutout, *_middle(cutout)) if _may_slope(image, mask, sky.scatter) else cutout
    if flat is not cutout:
        level = find_sky(flat.image, mask)
        # the slope of a sky hides sky, and that of light which fills the image does not
        if np.count_nonzero(level.free) > np.count_nonzero(sky.free):
            image, sky = flat.image, level
    settle_gain(cutout, facts, image)
    gain, guess = cutout.gain, None
    if gain is None and sky.scatter > 0:
        guess = photon_variance(image, mask, sky)
        gain = None if guess is None else 1 / guess
    try:
        sigma, notes = estimate_sigma(image, mask, gain, sky)
    except AutogalError:
        if _survey_scatter(cutout, survey) is None:
            raise
        scatter = _survey_scatter(cutout, survey)
        sigma, notes = np.full(image.shape, scatter), [f"Sigma {scatter:.4g} of survey {survey.name} taken."]
        guess = None
    if guess is not None:
        cutout.flags |= Flag.GAIN_ESTIMATED
        notes[0] = notes[0].removesuffix(".") + ", by how the scatter of the image grows with its light."
    cutout.sigma = sigma.astype(image.dtype)
    cutout.flags |= Flag.SIGMA_ESTIMATED
    cutout.notes += notes
    _keep(cutout, measure_noise(image, sky, sigma, estimated=True))


def _middle(cutout: Cutout) -> tuple[float, float]:
    """x and y of where the target is expected."""
    start, (height, width) = cutout.start or {}, cutout.shape
    return float(start.get("x", (width - 1) / 2)), float(start.get("y", (height - 1) / 2))


def _may_slope(image: np.ndarray, mask: np.ndarray, scatter: float) -> bool:
    """Whether opposite edges of an image differ in level: a glance."""
    good = ~mask & np.isfinite(image)
    for plane, used in ((image, good), (image.T, good.T)):
        wide = max(1, len(plane) // 10)
        ends = [plane[end][used[end]] for end in (slice(None, wide), slice(-wide, None))]
        if min(map(len, ends)) and abs(float(np.median(ends[0])) - float(np.median(ends[1]))) > scatter:
            return True
    return False


def _survey_scatter(cutout: Cutout, survey: Survey) -> float | None:
    if survey.sky_sigma is None or cutout.flags & Flag.ZEROPOINT_DEFAULT:
        return None
    return survey.sky_sigma / survey.unit_ratio(cutout.zeropoint)


def _without_noise(cutout: Cutout, survey: Survey, sky: Sky) -> None:
    """Errors of what a gain or a survey says of the noise that is not there; without either, none."""
    scatter = _survey_scatter(cutout, survey)
    light = np.maximum(np.where(cutout.mask, 0.0, cutout.image), 0.0)
    tells = True
    if cutout.gain is not None:
        # without a sky of its own, no pixel is known better than to one electron
        variance = (
            np.maximum(light, 1 / cutout.gain) / cutout.gain
            if scatter is None
            else scatter**2 + light / cutout.gain
        )
        note = f"errors are those of the photons for a gain of {cutout.gain:.4g}."
    elif scatter is not None:
        variance = np.full(cutout.shape, scatter**2)
        note = f"errors are those of the noise of survey {survey.name}, {scatter:.4g}."
    else:
        level = sky.level if np.isfinite(sky.level) else 0.0
        peak = float(np.max(np.abs(np.where(cutout.mask, level, cutout.image) - level)))
        variance, tells = np.full(cutout.shape, (_OF_PEAK * (peak or 1.0)) ** 2), False
        note = (
            "every pixel counts alike, and there are no errors, signal-to-noise ratio and chi2_dof; a sigma "
            "map or a gain would give them."
        )
    cutout.sigma = np.sqrt(variance).astype(cutout.image.dtype)
    cutout.flags |= Flag.SIGMA_ESTIMATED
    _keep(
        cutout,
        Noise(
            absent=True,
            tells_errors=tells,
            flags=Flag.NOISE_MISMATCH,
            notes=[f"The image has no noise: {note}"],
        ),
    )
