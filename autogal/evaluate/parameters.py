"""Estimated parameters against the true ones, in the units in which they are judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from astropy.table import Table

from autogal.evaluate.evaluation import by_bins
from autogal.evaluate.statistics import Bins, median, scatter, share
from autogal.parameters import SINGLE, angle_difference
from autogal.report.facts import Grid

__all__ = ["CATALOGUE", "MEASURES", "Measure", "accuracy", "calibration", "differences", "summarise"]

#: Values that are compared
CATALOGUE = SINGLE

_THIN = 0.7  # axis ratio below which a galaxy has a position angle worth the name
_WRONG = {"mag": 0.5, "r_eff": 0.5, "n": np.log10(2)}  # beyond it an estimate is of no use


class Measure(NamedTuple):
    """One judged quantity: heading, columns of differences that it pools, format, and the scatter it must
    not exceed."""

    heading: str
    columns: tuple[str, ...]
    form: str
    allowed: float


MEASURES = {
    "mag": Measure("mag", ("mag",), ".3f", 0.05),
    "r_eff": Measure("r_eff, relative", ("r_eff",), ".3f", 0.10),
    "n": Measure("n [dex]", ("n",), ".3f", 0.10),
    "q": Measure("q", ("q",), ".3f", 0.04),
    "pa": Measure("pa [deg]", ("pa",), ".2f", 4.0),
    "centre": Measure("centre [px]", ("x", "y"), ".3f", 0.3),
}


def differences(found: Mapping[str, np.ndarray], truth: Table) -> dict[str, np.ndarray]:
    """Estimate less truth: x, y [px], mag, r_eff (relative), n [dex], q, pa [deg; NaN where the galaxy is
    rounder than 0.7].

    Parameters
    ----------
    found : mapping of str to ndarray, [N]
        `CATALOGUE`; NaN where nothing was estimated.
    truth : Table
        N rows.

    Returns
    -------
    dict of str to ndarray, [N]
        ``d_x`` and so on; and ``wrong``: nothing estimated, or off by 0.5 mag, half of r_eff, or a factor 2
        in n.
    """
    value = {name: np.asarray(found[name], float) for name in CATALOGUE}
    true = {name: np.asarray(truth[name], float) for name in CATALOGUE}
    with np.errstate(invalid="ignore", divide="ignore"):
        off = {name: value[name] - true[name] for name in CATALOGUE}
        off["r_eff"] /= true["r_eff"]
        off["n"] = np.log10(value["n"] / true["n"])
        off["pa"] = np.where(true["q"] < _THIN, angle_difference(off["pa"]), np.nan)
        near = np.all([np.abs(off[name]) <= limit for name, limit in _WRONG.items()], axis=0)
    return {**{f"d_{name}": one for name, one in off.items()}, "wrong": ~near}


def summarise(rows: Table) -> dict[str, Any]:
    """Scatter, median bias and share inside 1 sigma of every measure, over the rows of one method.

    Parameters
    ----------
    rows : Table
        With the columns of `differences` and, in the same units, ``e_x`` and so on (NaN: no error is known).
    """
    found: dict[str, Any] = {"stamps": len(rows), "wrong": share(np.count_nonzero(rows["wrong"]), len(rows))}
    pooled = []
    for name, measure in MEASURES.items():
        off = np.concatenate([np.asarray(rows[f"d_{column}"], float) for column in measure.columns])
        error = np.concatenate([np.asarray(rows[f"e_{column}"], float) for column in measure.columns])
        known = np.isfinite(off) & np.isfinite(error)
        inside = np.abs(off[known]) < error[known]
        found |= {
            f"{name}_scatter": scatter(off),
            f"{name}_bias": median(off),
            f"{name}_inside": share(inside.sum(), inside.size),
        }
        pooled.append(inside)
    together = np.concatenate(pooled)
    return {**found, "inside": share(together.sum(), together.size)}


def accuracy(
    name: str, title: str, rows: Table, methods: Sequence[str], bins: Bins, required: bool = False
) -> Grid:
    """Scatter and bias by method in bins of a quantity.

    Parameters
    ----------
    name, title : str
    rows : Table
        As `summarise` takes them, with ``method``.
    methods : sequence of str
    bins : Bins
    required : bool
        State the scatter that starting values must not exceed.

    Returns
    -------
    Grid
    """
    columns = {bins.title: "{group}", "": "{method}", "galaxies": "{stamps}", "wrong": "{wrong:.1%}"}
    columns |= {
        one.heading: f"{{{key}_scatter:{one.form}}} {{{key}_bias:+{one.form}}}"
        for key, one in MEASURES.items()
    }
    limits = {one.heading: f"{one.allowed:g}" for one in MEASURES.values()} if required else {}
    return Grid(
        name,
        f"{title}: scatter (1.4826 MAD) and median bias",
        columns,
        by_bins(rows, methods, bins, summarise),
        limits,
    )


def calibration(name: str, rows: Table, methods: Sequence[str], bins: Bins, required: bool = False) -> Grid:
    """Shares of the truths within 1 sigma, by method in bins of a quantity; methods without errors have none.

    Parameters
    ----------
    name : str
    rows, methods, bins
        As of `accuracy`.
    required : bool
        State the share that is required.

    Returns
    -------
    Grid
    """
    columns = {bins.title: "{group}", "": "{method}", "galaxies": "{stamps}", "all": "{inside:.0%}"}
    columns |= {
        one.heading.partition(" ")[0].strip(","): f"{{{key}_inside:.0%}}" for key, one in MEASURES.items()
    }
    found = [row for row in by_bins(rows, methods, bins, summarise) if np.isfinite(row["inside"])]
    return Grid(name, "Truths within 1 sigma", columns, found, {"all": "64-72%"} if required else {})
