"""The columns of a catalogue: each is declared here, once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.table import Table

from autogal.flags import names, quality
from autogal.parameters import PARAMETERS

if TYPE_CHECKING:
    from autogal.results.rows import Rows

__all__ = [
    "COLUMNS",
    "QUANTILE_NAMES",
    "Column",
    "bare_names",
    "column",
    "component_of",
    "declared",
    "first_columns",
    "last_columns",
    "of_chosen",
]

_NONE = u.dimensionless_unscaled

#: How the columns of the posterior's quantiles end, and what they are
QUANTILE_NAMES = {"p16": "15.87 % quantile", "p50": "Median", "p84": "84.13 % quantile"}
_ERRORS = {"boot": "by the bootstrap", "misfit": "from what the model misses, to be added in quadrature"}


@dataclass(frozen=True, slots=True)
class Column:
    """What a catalogue says about one of its columns.

    Attributes
    ----------
    name : str
        Name in the table; a component's column has the component in front, ``bulge_mag``.
    unit : astropy.units.UnitBase or None
        None for words and whole numbers.
    description : str
        One sentence without its full stop.
    format : str or None
        How to print it.
    value : callable or None
        Makes the column, [N], of `autogal.results.rows.Rows`; None where another part does: a parameter, what
        follows from parameters, a choice of models.
    """

    name: str
    unit: u.UnitBase | None
    description: str
    format: str | None = None
    value: Callable[[Rows], np.ndarray] | None = None


def _fitted(name: str) -> Callable[[Rows], np.ndarray]:
    """Where a number comes from that the fit itself puts down under its column's name, by
    `autogal.model.fitted.Fitted.put`."""
    return lambda rows: rows.of_fit(name)


_PARAMETERS = tuple(Column(one.name, u.Unit(one.unit), one.text, one.format) for one in PARAMETERS.values())

_DERIVED = (
    Column("flux", _NONE, "Total flux in image units, integrated to infinity", ".6g"),
    Column(
        "r_eff_arcsec",
        u.arcsec,
        "Half-light radius along the major axis; NaN where the pixel scale is unknown",
        ".4f",
    ),
    Column(
        "mu_e_mean",
        u.mag / u.arcsec**2,
        "Mean surface brightness inside the half-light ellipse; NaN where the pixel scale is unknown",
        ".4f",
    ),
    Column(
        "mu_break",
        u.mag / u.arcsec**2,
        "Surface brightness at the break; NaN where the pixel scale is unknown",
        ".4f",
    ),
    Column("ra", u.deg, "Right ascension of the centre (ICRS); NaN without a WCS", ".7f"),
    Column("dec", u.deg, "Declination of the centre (ICRS); NaN without a WCS", ".7f"),
    Column(
        "pa_sky",
        u.deg,
        "Position angle on the sky, north through east, in [0, 180); NaN without a WCS",
        ".3f",
    ),
)

_FIRST = (
    Column("id", None, "Identifier of the object", value=lambda rows: rows.words(c.id for c in rows.cutouts)),
    Column(
        "path",
        None,
        "Image file the object was read from",
        value=lambda rows: rows.words(c.path or "" for c in rows.cutouts),
    ),
)

_CHOICE = (
    Column("model", None, "The model chosen of several; empty where none could be measured"),
    Column("delta_bic", _NONE, "Bayesian information criterion, less that of the chosen model", ".3f"),
    Column("delta_aic", _NONE, "Akaike information criterion, less that of the chosen model", ".3f"),
)

# A number that the fit puts down (`fitted.put("name", rows, values)`) is a column once it has a line here:
# Column("name", unit, "What it is", ".3f", _fitted("name"))
_LAST = (
    Column(
        "snr",
        _NONE,
        "Signal-to-noise ratio of the fitted model (matched filter)",
        ".2f",
        lambda rows: rows.measured(rows.fitted.snr),
    ),
    Column(
        "chi2_dof",
        _NONE,
        "Chi-square, or another likelihood's deviance (Poisson: Cash), per degree of freedom",
        ".4f",
        lambda rows: rows.measured(rows.chi2_dof),
    ),
    Column(
        "n_iter",
        None,
        "Iterations of the solver",
        value=lambda rows: np.asarray(rows.fitted.n_iter, dtype=np.int32),
    ),
    Column(
        "status",
        None,
        "How the fit ended: converged, not_converged, failed or skipped",
        value=lambda rows: rows.words(rows.status),
    ),
    Column(
        "quality",
        None,
        "How far the row can be trusted, by status and flags: good, fair, poor, bad or none",
        value=lambda rows: rows.words(
            quality(word, bits) for word, bits in zip(rows.status, rows.flags, strict=True)
        ),
    ),
    Column(
        "flags",
        None,
        "Quality bits; their names are in flag_names",
        value=lambda rows: np.asarray(rows.flags, dtype=np.int64),
    ),
    Column(
        "flag_names",
        None,
        "Names of the quality bits that are set",
        value=lambda rows: rows.words(" ".join(names(b)) for b in rows.flags),
    ),
    Column(
        "message",
        None,
        "What was put right or assumed, or why there is no result",
        value=lambda rows: rows.words(rows.message(c) for c in rows.cutouts),
    ),
)

COLUMNS: dict[str, Column] = {c.name: c for c in (*_PARAMETERS, *_DERIVED, *_FIRST, *_CHOICE, *_LAST)}
"""Every declared column by its bare name; ``<name>_err``, ``<name>_err_boot``, ``<name>_err_misfit`` and
``<name>_p16``, ``_p50``, ``_p84`` follow from ``<name>``."""


def first_columns(rows: Rows) -> dict[str, np.ndarray]:
    """The columns of a table before the parameters."""
    return {one.name: one.value(rows) for one in _FIRST if one.value is not None}


def last_columns(rows: Rows) -> dict[str, np.ndarray]:
    """The columns of a table behind the parameters and what follows from them."""
    return {one.name: one.value(rows) for one in _LAST if one.value is not None}


def component_of(name: str) -> tuple[str, str]:
    """Split a parameter's name into its component and its bare name.

    Parameters
    ----------
    name : str
        ``"mag"``, ``"bulge_mag"``, ``"disk_r_eff"``.

    Returns
    -------
    component, bare : str
        ``("", "mag")``, ``("bulge", "mag")``, ``("disk", "r_eff")``. A name
        that ends in no declared column is its own bare name.
    """
    if name in COLUMNS:
        return "", name
    parts = name.split("_")
    for i in range(1, len(parts)):  # the longest bare name first: r_eff_arcsec before arcsec
        if (bare := "_".join(parts[i:])) in COLUMNS:
            return "_".join(parts[:i]), bare
    return "", name


def bare_names(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Of a catalogue of several models, the model that each column is of, and the name that it has where
    there is no other.

    Parameters
    ----------
    names : iterable of str
        All columns.

    Returns
    -------
    dict of str to (str, str)
        ``"sersic_point_host_mag": ("sersic_point", "host_mag")``; the model is empty where a column is of
        none.
    """
    names = list(names)
    models = sorted(
        (name.removesuffix("_status") for name in names if name.endswith("_status")), key=len, reverse=True
    )
    of = {name: next((model for model in models if name.startswith(f"{model}_")), "") for name in names}
    return {name: (model, name.removeprefix(f"{model}_") if model else name) for name, model in of.items()}


def of_chosen(values: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the columns of the chosen model alone, under the names that they have where there is no
    other.

    Parameters
    ----------
    values : mapping
        A row by column names. One without a choice comes back as it is.

    Returns
    -------
    dict
    """
    if "model" not in values:
        return dict(values)
    chosen, names = str(values["model"]), bare_names(values)
    return {
        bare: values[name]
        for name, (model, bare) in names.items()
        if not model or (model == chosen and bare not in values)
    }


def column(name: str) -> Column:
    """The declaration of any column of a catalogue, errors and components included.

    Parameters
    ----------
    name : str
        A column's name. A parameter that only a user's own profile knows is
        taken as a number without a unit.
    """
    for kind, text in _ERRORS.items():
        if name.endswith(f"_err_{kind}"):
            of = column(name.removesuffix(f"_err_{kind}"))
            return replace(
                of, name=name, description=f"1-sigma error of {of.name} {text}; NaN where not measurable"
            )
    for end, text in QUANTILE_NAMES.items():
        if name.endswith(f"_{end}"):
            of = column(name.removesuffix(f"_{end}"))
            return replace(
                of,
                name=name,
                description=f"{text} of the posterior of {of.name}; NaN where it was not sampled",
            )
    if name.endswith("_err"):
        of = column(name.removesuffix("_err"))
        return replace(of, name=name, description=f"1-sigma error of {of.name}; NaN where not measurable")
    component, bare = component_of(name)
    if bare not in COLUMNS:
        return Column(name, _NONE, f"Parameter {name} of the model", ".5g")
    known = COLUMNS[bare]
    text = f"{known.description} (component {component})" if component else known.description
    return replace(known, name=name, description=text)


def declared(data: dict[str, np.ndarray]) -> Table:
    """A table whose columns carry their declared unit, description and format.

    Parameters
    ----------
    data : dict of str to ndarray
        By column name; the arrays are not copied.
    """
    table = Table(data, copy=False)
    for name in table.colnames:
        what = column(name)
        table[name].unit, table[name].description, table[name].format = (
            what.unit,
            what.description,
            what.format,
        )
    return table
