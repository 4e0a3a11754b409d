"""The quantiles of sampled posteriors, of the parameters and of what follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from autogal.images.cutout import Cutout
from autogal.model.fitted import QUANTILES, Fitted
from autogal.results.celestial import local_sky, position_angle
from autogal.results.columns import QUANTILE_NAMES, component_of
from autogal.results.rows import is_unmeasured

__all__ = ["posterior_columns"]

# Surface brightnesses, by the magnitude and the radius that they follow from. What else is in them, the pixel
# scale, is the same for every sample of a galaxy
_MAGNITUDES = {"mu_e_mean": ("mag", "r_eff"), "mu_break": ("mag_break", "r_break")}


def posterior_columns(
    cutouts: Sequence[Cutout], fitted: Fitted, numbers: Mapping[str, np.ndarray], status: Sequence[str]
) -> dict[str, dict[str, np.ndarray]]:
    """Quantiles of the posterior, by the column that they are of.

    Parameters
    ----------
    cutouts : sequence of Cutout, length N
    fitted : Fitted
        With quantiles and replicates.
    numbers : mapping of str to ndarray
        The values of the best fits, by column; derived ones included.
    status : sequence of str, length N

    Returns
    -------
    dict of str to dict of str to ndarray
        ``{"mag": {"mag_p16": ..., "mag_p50": ..., "mag_p84": ...}}``. Angles go on beyond 0 and 180 deg, so
        that p16 < p50 < p84.
    """
    if fitted.quantiles is None or fitted.replicates is None:
        raise ValueError("a fit without samples of its posterior")
    found, drawn = fitted.quantiles, fitted.replicates
    quantiles = {name: found[:, :, p] for p, name in enumerate(fitted.parameters)}
    samples = {name: drawn[:, :, p] for p, name in enumerate(fitted.parameters)}
    sound = np.isfinite(found).any((1, 2)) & ~np.asarray(is_unmeasured(status))
    out = dict(quantiles)
    for column in numbers:
        component, bare = component_of(column)
        prefix = f"{component}_" if component else ""
        if column in out or column.endswith("_err"):
            continue
        if bare == "flux" and prefix + "mag" in samples:
            off = quantiles[prefix + "mag"] - numbers[prefix + "mag"][:, None]
            out[column] = (numbers[column][:, None] * 10 ** (-0.4 * off))[:, ::-1]
        elif bare == "r_eff_arcsec":
            with np.errstate(invalid="ignore", divide="ignore"):
                out[column] = (
                    quantiles[prefix + "r_eff"] * (numbers[column] / numbers[prefix + "r_eff"])[:, None]
                )
        elif bare in _MAGNITUDES:
            mag, size = (prefix + name for name in _MAGNITUDES[bare])
            out[column] = _surface_brightness(mag, size, prefix + "q", numbers[column], numbers, samples)
        elif bare == "pa_sky":
            at = prefix if prefix + "x" in numbers else ""
            out[column] = _on_sky(
                cutouts, numbers[at + "x"], numbers[at + "y"], quantiles[prefix + "pa"], numbers[column]
            )
    return {
        name: {f"{name}_{word}": np.where(sound, some[:, k], np.nan) for k, word in enumerate(QUANTILE_NAMES)}
        for name, some in out.items()
    }


def _surface_brightness(
    mag: str,
    radius: str,
    q: str,
    best: np.ndarray,
    numbers: Mapping[str, np.ndarray],
    samples: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Quantiles [N, 3] of mag + 2.5 lg(q radius^2) + what is constant, `best` [N] at the best fit."""

    def part(some):
        return some[mag] + 5 * np.log10(some[radius]) + 2.5 * np.log10(some[q])

    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = part(samples) + (best - part(numbers))[:, None]
    return np.quantile(np.where(np.isfinite(drawn), drawn, np.nan), QUANTILES, axis=1).T


def _on_sky(
    cutouts: Sequence[Cutout], x: np.ndarray, y: np.ndarray, pa: np.ndarray, best: np.ndarray
) -> np.ndarray:
    """Position angles [N, 3] on the sky of those `pa` on the image, about the best fits' `best` [N]."""
    out = np.full_like(pa, np.nan)
    for i, cutout in enumerate(cutouts):
        if cutout.wcs is not None and np.isfinite(best[i]) and np.isfinite(pa[i]).all():
            local = local_sky(cutout.wcs, x[i], y[i])[2]
            angles = np.array([position_angle(local, one, np.nan)[0] for one in pa[i]])
            # of pixels that are square; others are less than a quarter turn off that
            up = -np.sign(np.linalg.det(local))
            about = best[i] + up * (pa[i] - pa[i, 1]) + _nearest(angles[1] - best[i])
            out[i] = np.sort(about + _nearest(angles - about))
    return out


def _nearest(angle: np.ndarray | float) -> np.ndarray:
    """The same without half turns, within [-90, 90)."""
    return np.remainder(angle + 90.0, 180.0) - 90.0
