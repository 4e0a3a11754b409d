"""From a fit to the rows of a catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from astropy.table import Table

from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.model.fitted import Fitted
from autogal.parameters import HIGHEST_MODE
from autogal.results.celestial import local_sky, position_angle, scale_along
from autogal.results.columns import component_of, declared, first_columns, last_columns
from autogal.results.data import ARRAYS, CatalogueData
from autogal.results.posterior import posterior_columns
from autogal.results.rows import Rows, is_unmeasured

__all__ = ["build_data", "build_table", "measured", "unmeasured_as_nan"]

# Surface brightnesses: column, a magnitude, the radius of an ellipse, and the share of the light that lies on
# its area (Graham & Driver 2005, eq. 9; the Nuker law's magnitude is stated for the ellipse of its break)
_BRIGHTNESS = (("mu_e_mean", "mag", "r_eff", 0.5), ("mu_break", "mag_break", "r_break", 1.0))
#: From variances and the values they are of to errors, [N]
Roots = Callable[[np.ndarray, np.ndarray], np.ndarray]

_SQUARE = 1e-4  # a scale that changes by less, per degree, is the same in all directions: what projections do


def build_table(cutouts: Sequence[Cutout], fitted: Fitted) -> Table:
    """The catalogue of a fit: one row per cutout, in their order.

    Parameters
    ----------
    cutouts : sequence of Cutout, length N
        What was fitted, failed inputs included.
    fitted : Fitted
        One item per cutout, in the same order.

    Returns
    -------
    astropy.table.Table
        N rows; a unit and a description on every column. What was not
        measured is NaN. Where the fit has a bootstrap besides its covariance,
        its errors are in ``<name>_err_boot``, those of what the model misses in
        ``<name>_err_misfit``, the posterior's quantiles in ``<name>_p16``, ``_p50``
        and ``_p84``.
    """
    values, covariance, status = measured(cutouts, fitted)
    numbers = _numbers(cutouts, fitted.parameters, values, covariance)
    others = {}
    if fitted.bootstrap is not None:
        others["boot"] = _numbers(
            cutouts, fitted.parameters, values, unmeasured_as_nan(fitted.bootstrap, status)
        )
    if fitted.misfit is not None:
        others["misfit"] = _numbers(
            cutouts, fitted.parameters, values, unmeasured_as_nan(fitted.misfit, status), _or_nothing
        )
    spans = posterior_columns(cutouts, fitted, numbers, status) if fitted.quantiles is not None else {}
    numbers = {key: column for name in numbers for key, column in _with_others(name, numbers, others, spans)}
    rows = Rows(cutouts, fitted, status)
    return declared({**first_columns(rows), **numbers, **fitted.selection, **last_columns(rows)})


def build_data(cutouts: Sequence[Cutout], fitted: Fitted) -> CatalogueData:
    """The catalogue of a fit as it travels: its table and all arrays that it has.

    Parameters
    ----------
    cutouts, fitted
        As in :func:`build_table`.
    """
    _, covariance, status = measured(cutouts, fitted)
    arrays = {
        what.name: getattr(fitted, what.name, None)
        for what in ARRAYS
        if what.name != "covariance" and (fitted.keeps or what.name != "replicates")
    }
    others: dict[str, Any] = {
        name: unmeasured_as_nan(array, status) for name, array in arrays.items() if array is not None
    }
    return CatalogueData(
        build_table(cutouts, fitted), covariance, tuple(fitted.parameters), seconds=fitted.seconds, **others
    )


def _numbers(
    cutouts: Sequence[Cutout],
    parameters: Sequence[str],
    values: np.ndarray,
    covariance: np.ndarray,
    roots: Roots | None = None,
) -> dict[str, np.ndarray]:
    """Parameters and what follows from them, each with its error: `roots` of its variance."""
    roots = roots or _errors
    errors = roots(np.diagonal(covariance, axis1=1, axis2=2), values)
    numbers: dict[str, np.ndarray] = {}
    for p, name in enumerate(parameters):
        numbers[name], numbers[f"{name}_err"] = values[:, p], errors[:, p]
    for component in dict.fromkeys(component_of(name)[0] for name in parameters):
        numbers |= _derive(component, cutouts, numbers, list(parameters), covariance, roots)
    return numbers


def _with_others(
    name: str,
    numbers: dict[str, np.ndarray],
    others: dict[str, dict[str, np.ndarray]],
    spans: dict[str, dict[str, np.ndarray]],
) -> Iterator[tuple[str, np.ndarray]]:
    """A column, behind an error those of other kinds, and behind all errors of a value its quantiles."""
    yield name, numbers[name]
    if name.endswith("_err"):
        for kind, other in others.items():
            yield f"{name}_{kind}", other[name]
        yield from spans.get(name.removesuffix("_err"), {}).items()


def measured(cutouts: Sequence[Cutout], fitted: Fitted) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """A fit's numbers with everything that was not measured set to NaN.

    A fit that failed still carries its starting values; they must not reach a
    catalogue.

    Parameters
    ----------
    cutouts : sequence of Cutout, length N
    fitted : Fitted
        One item per cutout, in the same order; it is not changed.

    Returns
    -------
    values : ndarray, shape (N, P)
    covariance : ndarray, shape (N, P, P)
    status : list of str, length N

    Raises
    ------
    ValueError
        Where the fit does not have one item per cutout.
    """
    values, covariance = np.array(fitted.values, float), np.array(fitted.covariance, float)
    if not len(cutouts) == len(values) == len(covariance) == len(fitted.status):
        raise ValueError(f"{len(cutouts)} cutouts, but {len(values)} fits")
    status = [
        "failed" if c.error is not None else str(s) for c, s in zip(cutouts, fitted.status, strict=True)
    ]
    values[is_unmeasured(status)] = np.nan
    covariance = unmeasured_as_nan(covariance, status)
    values[~(values > -np.inf)] = np.nan  # inf is the magnitude of a component without light
    return values, covariance, status


def unmeasured_as_nan(numbers: np.ndarray, status: Sequence[str]) -> np.ndarray:
    """A copy of `numbers`, [N, ...], with NaN in the rows whose `status` says that nothing was measured."""
    numbers = np.array(numbers, float)
    numbers[is_unmeasured(status)] = np.nan
    return numbers


def _errors(variance: np.ndarray, values: np.ndarray) -> np.ndarray:
    """1-sigma errors; NaN for a variance that is zero, negative or infinite."""
    usable = np.isfinite(variance) & np.isfinite(values) & (variance > 0)
    return np.sqrt(variance, out=np.full(np.shape(values), np.nan), where=usable)


def _or_nothing(variance: np.ndarray, values: np.ndarray) -> np.ndarray:
    """As `_errors`, and 0 where a difference of variances came out below."""
    return np.where(
        np.isfinite(variance) & np.isfinite(values) & (variance <= 0), 0.0, _errors(variance, values)
    )


def _derive(
    component: str,
    cutouts: Sequence[Cutout],
    numbers: dict[str, np.ndarray],
    parameters: list[str],
    covariance: np.ndarray,
    roots: Roots,
) -> dict[str, np.ndarray]:
    """Columns that follow from one component's parameters, with their errors."""
    prefix = f"{component}_" if component else ""
    derived: dict[str, np.ndarray] = {}

    def add(name: str, value: np.ndarray, error: np.ndarray | None = None) -> None:
        derived[prefix + name] = value
        if error is not None:
            derived[f"{prefix}{name}_err"] = error

    def has(*names: str) -> bool:
        return all(prefix + name in numbers for name in names)

    scale = np.array([np.nan if c.flags & Flag.PIXEL_SCALE_DEFAULT else c.pixel_scale for c in cutouts])
    # A component without a centre of its own has the shared one.
    at = prefix if has("x", "y") else ""
    placed = at + "x" in numbers and at + "y" in numbers
    places = None
    if placed and any(c.wcs is not None for c in cutouts):
        places = [
            local_sky(c.wcs, x, y)
            for c, x, y in zip(cutouts, numbers[at + "x"], numbers[at + "y"], strict=True)
        ]
    along, slope, across = _local_scales(cutouts, places, numbers.get(prefix + "pa"), scale)
    if has("mag"):
        mag, mag_err = numbers[prefix + "mag"], numbers[f"{prefix}mag_err"]
        flux = 10 ** (-0.4 * (mag - np.array([c.zeropoint for c in cutouts])))
        add("flux", flux, flux * mag_err * 0.4 * np.log(10))
    if has("r_eff"):
        r_eff, error = numbers[prefix + "r_eff"], numbers[f"{prefix}r_eff_err"] * along
        if slope.any():  # the direction is uncertain too
            of = [parameters.index(prefix + key) for key in ("r_eff", "pa") if prefix + key in parameters]
            steps = np.stack([along, r_eff * slope], axis=1)[:, : len(of)]
            variance = np.einsum("ni,nij,nj->n", steps, covariance[:, of][:, :, of], steps)
            error = np.where(slope != 0, roots(variance, r_eff), error)
        add("r_eff_arcsec", r_eff * along, error)
    bent = any(
        has(name) for name in ("c0", "softness", *(f"am{m}" for m in range(1, HIGHEST_MODE + 1)))
    )  # or cut off
    for name, mag_of, radius_of, share in _BRIGHTNESS:
        if has(mag_of, radius_of, "q") and not (
            bent and share < 1
        ):  # half of the light is not on the ellipse of r_eff then
            mag, radius, q = (numbers[prefix + key] for key in (mag_of, radius_of, "q"))
            mu = mag + 2.5 * np.log10(np.pi / share * q * (radius * across) ** 2)
            of = [parameters.index(prefix + key) for key in (mag_of, radius_of, "q")]
            slope = np.stack([np.ones_like(q), 5 / np.log(10) / radius, 2.5 / np.log(10) / q], axis=1)
            variance = np.einsum("ni,nij,nj->n", slope, covariance[:, of][:, :, of], slope)
            add(name, mu, roots(variance, mu))
    if placed and places is None:
        names = (["ra", "dec"] if at == prefix else []) + (["pa_sky"] if has("pa") else [])
        for name in names:
            add(name, np.full(len(scale), np.nan), np.full(len(scale), np.nan) if name == "pa_sky" else None)
    elif places is not None:
        if at == prefix:
            ra, dec = np.array([place[:2] for place in places]).reshape(-1, 2).T
            add("ra", ra)
            add("dec", dec)
        if has("pa"):
            turns = zip(places, numbers[prefix + "pa"], numbers[f"{prefix}pa_err"], strict=True)
            angles = np.array([position_angle(place[2], pa, err) for place, pa, err in turns])
            add("pa_sky", *angles.reshape(-1, 2).T)
    return derived


def _local_scales(cutouts: Sequence[Cutout], places: list[tuple] | None, pa: np.ndarray | None,
                  scale: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """arcsec per pixel where the galaxies are: along their major axes, how that changes with pa, and the root
    of the area.

    Those of the WCS, where the pixel scale of the image is the WCS's; else the image's everywhere.
    """
    along, slope, across = scale.copy(), np.zeros_like(scale), scale.copy()
    for i, cutout in enumerate(cutouts):
        if places is None or not cutout.wcs_scale or not np.isfinite(places[i][2]).all():
            continue
        across[i] = np.sqrt(abs(np.linalg.det(places[i][2])))
        along[i], slope[i] = (
            (across[i], 0.0) if pa is None or not np.isfinite(pa[i]) else scale_along(places[i][2], pa[i])
        )
        if abs(slope[i]) < _SQUARE * along[i]:
            slope[i] = 0.0
    return along, slope, across
