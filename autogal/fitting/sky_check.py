"""Which galaxies' fitted skies are not the ones around them, and what is made of a fit with the sky held
at the level measured there."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from autogal.batch.batch_fit import BucketFit
from autogal.batch.stamps import usable_pixels
from autogal.fitting.context import FitContext, Level
from autogal.fitting.residuals import POOR_CHI2
from autogal.flags import Flag
from autogal.images import Cutout, sky_of
from autogal.images.frame import leaves_frame
from autogal.images.noise.slope import STEEP, flattened
from autogal.model.fitted import Fitted
from autogal.model.plane import SLOPES, move_sky
from autogal.parameters import split_name

__all__ = ["astray", "settle"]

_log = logging.getLogger(__name__)

_SKY_ASTRAY = 0.2  # of the noise of a pixel
_FULL = (
    1.0  # of the noise: light of the galaxy at the place of the sky, from which that is not measured at all
)
_OUTGROWN = 0.75  # of the longer side of the image
_APART = 0.25  # in ln r_eff or mag, of two fits that do not say the same
_WORSE = 9.0  # in chi-square, by which a held sky may be worse and still be what the image has
# pixels for one that the level of the sky is known by: not all are free of sources, and a median takes pi / 2
# more
_PIXELS = 5.0


def astray(
    rows: np.ndarray, cutouts: Sequence[Cutout], how: FitContext, fit: BucketFit, fitted: Fitted
) -> dict[int, tuple[float, float]]:
    """Places of the galaxies whose fitted sky may not be the one around them, the level measured there, and
    its error by the noise.

    A galaxy that grows without end sinks the sky. Where no Sersic profile fits, the centre's many sigmas
    outvote the outskirts, and the sky takes up the mismatch.
    """
    parameters, runaway = how.model.parameters, fit.runaway.cpu().numpy()
    poor, found = _is_poor(rows, fitted, fit.mean.cpu().numpy()), np.isfinite(fitted.chi2[rows])
    untold = found & (runaway | _outgrown(parameters, fitted.values[rows], [cutouts[i] for i in rows]))
    cut = leaves_frame(parameters, fitted.values[rows[poor]], [cutouts[i] for i in rows[poor]])
    poor[poor] = ~cut  # no outskirts to see the sky in
    around = fitted.values[rows]
    move_sky(parameters, around, None, -np.array([cutouts[i].to_centre for i in rows]))
    again = {}
    for row in np.flatnonzero(poor | untold).tolist():
        i = int(rows[row])
        if not untold[row] and np.count_nonzero(cutouts[i].mask) > 0.5 * cutouts[i].mask.size:
            continue
        level, scatter = sky_of(
            _flattened(cutouts[i], parameters, fitted.values[i], bool(fitted.flags[i] & Flag.SKY_SLOPED))
        )
        if np.isfinite(level) and (
            untold[row] or abs(around[row, parameters.index("sky")] - level) > _SKY_ASTRAY * scatter
        ):
            again[i] = level, scatter * (_PIXELS / max(1, np.count_nonzero(usable_pixels(cutouts[i])))) ** 0.5
    return again


def settle(
    again: Mapping[int, tuple[float, float]],
    cutouts: Sequence[Cutout],
    how: FitContext,
    fitted: Fitted,
    held: Fitted,
    level: Level,
) -> list[int]:
    """Choose between the fits of free and those of held skies, row by row.

    A sky can be measured where the galaxy's light does not reach: a held fit whose own light is there
    contradicts its level. Where the profile describes the data, the free sky counts unless the galaxy
    outgrows the image; then chi-square says whether the level can be right, and size and light hang on it:
    the row is UNCONSTRAINED. Where no profile describes the data, the level counts, with an error that holds
    the light there; the row is UNCONSTRAINED, and errors hold both fits, if that fills the image.

    Parameters
    ----------
    again : mapping of int to (float, float)
        As `astray` gives it.
    fitted, held : Fitted
        Of free skies and of held ones. Chosen rows of the latter replace those of the former, and get
        SKY_FIXED.
    level : Level
        Of the held fits.

    Returns
    -------
    list of int
        Places at which the held fit was chosen.
    """
    taken = []
    for i, (sky, _) in again.items():
        free = {name: fitted.values[i, p] for p, name in enumerate(fitted.parameters)}
        was, poor = fitted.values[i].copy(), fitted.chi2[i] > POOR_CHI2 * max(1, fitted.dof[i])
        measured = held.status[i] in ("converged", "not_converged") and np.isfinite(held.values[i]).all()
        wing = level.wing[i] / _noise(cutouts[i])
        denied = not poor and not (wing < _SKY_ASTRAY and held.chi2[i] - fitted.chi2[i] < _WORSE)
        if not measured or denied:
            continue
        _log.info(
            "%s: the fitted sky is not the image's; fitted again with the sky held at %.5g",
            cutouts[i].id,
            sky,
        )
        fitted.replace_row(i, held)
        fitted.flags[i] |= Flag.SKY_FIXED
        cutouts[i].notes.append(
            f"The fitted sky, {free['sky']:.5g}, is not the image's; it was held at {sky:.5g}."
        )
        if not (poor and wing < _FULL):
            off = np.where(
                [split_name(name)[1] == "pa" for name in fitted.parameters], 0.0, fitted.values[i] - was
            )
            fitted.hang([i], off[None])
            if not poor or _differ(fitted.parameters, fitted.values[i], was):
                fitted.flags[i] |= Flag.UNCONSTRAINED
                cutouts[i].notes.append(
                    "Size and light hang on the sky, which the image does not tell: errors hold the fit of "
                    "a free sky too."
                )
        taken.append(i)
    return taken


def _outgrown(parameters: Sequence[str], values: np.ndarray, cutouts: Sequence[Cutout]) -> np.ndarray:
    """Whose half-light radius, of a circle of the same area, is so large that hardly any of the image is
    sky, [M] bool."""
    longest = np.array([max(cutout.shape) for cutout in cutouts])
    column, out = dict(zip(parameters, values.T)), np.zeros(len(values), bool)
    for name in column:
        if split_name(name)[1] == "r_eff":
            q = column.get(name.removesuffix("r_eff") + "q", 1.0)
            out |= column[name] * np.sqrt(q) > _OUTGROWN * longest
    return out


def _differ(parameters: Sequence[str], one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two fits [V] differ by a quarter in the half-light radius, or as much in light."""
    names = [split_name(name)[1] for name in parameters]
    sizes, mags = [name == "r_eff" for name in names], [name == "mag" for name in names]
    ratio = np.abs(np.log(one[sizes] / other[sizes]))
    return bool((ratio > _APART).any() or (np.abs(one[mags] - other[mags]) > _APART).any())


def _is_poor(rows: np.ndarray, fitted: Fitted, mean: np.ndarray) -> np.ndarray:
    return np.isfinite(fitted.chi2[rows]) & ~(fitted.chi2[rows] / mean < POOR_CHI2)


def _noise(cutout: Cutout) -> float:
    """Typical noise of a pixel, image units."""
    return float(np.median(cutout.sigma[usable_pixels(cutout)]))


def _flattened(cutout: Cutout, parameters: Sequence[str], values: np.ndarray, is_sloped: bool) -> Cutout:
    """The same cutout without the slopes of its sky, fitted or seen, whose level at the galaxy stays."""
    x, y = (
        values[next(p for p, name in enumerate(parameters) if split_name(name)[1] == axis)] for axis in "xy"
    )
    if not set(SLOPES) <= set(parameters):
        return flattened(cutout, x, y, STEEP) if is_sloped else cutout
    dx, dy = (values[parameters.index(name)] for name in SLOPES)
    rows, columns = np.ogrid[: cutout.shape[0], : cutout.shape[1]]
    return replace(cutout, image=cutout.image - (dx * (columns - x) + dy * (rows - y)))
