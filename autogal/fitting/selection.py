"""Of several models fitted to the same galaxies, the one that each galaxy asks for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from autogal.flags import MEASURED
from autogal.model.fitted import Fitted

__all__ = ["CRITERIA", "select"]

#: What a further free parameter must gain in chi-square, given the number of pixels
CRITERIA = {"bic": np.log, "aic": lambda pixels: np.full(len(pixels), 2.0)}


def select(fits: Mapping[str, Fitted], sizes: Mapping[str, int], criterion: str) -> Fitted:
    r"""Several fits as one, with the chosen model of each galaxy.

    Parameters
    ----------
    fits : mapping of str to Fitted
        By the name of the model; the same galaxies in each.
    sizes : mapping of str to int
        Numbers of free parameters.
    criterion : {"bic", "aic"}
        The lowest :math:`\chi^2 + k \ln N` (Schwarz 1978) or :math:`\chi^2 + 2 k` (Akaike 1974) is chosen, of
        the models that were measured; a galaxy of which none was has the first model's outcome, and no chosen
        one.

    Returns
    -------
    Fitted
        All parameters, each with its model's name in front; covariances between two models' are NaN.
        Chi-square, status and flags are the chosen model's, and `selection` has those of all.
    """
    names, every = list(fits), list(fits.values())
    rows = np.arange(len(every[0]))
    cost = np.full((len(rows), len(names)), np.inf)
    for column, (name, fitted) in enumerate(fits.items()):
        good = np.isin(fitted.status, MEASURED) & np.isfinite(fitted.chi2)
        pixels = np.maximum(fitted.dof + sizes[name], 1)
        cost[good, column] = (fitted.chi2 + sizes[name] * CRITERIA[criterion](pixels))[good]
    best = cost.argmin(axis=1)
    found = np.isfinite(cost).any(axis=1)
    lowest = cost[rows, best]

    out = Fitted.empty(len(rows), tuple(f"{name}_{p}" for name in names for p in fits[name].parameters))
    out.selection = {"model": np.where(found, np.array(names)[best], "")}
    first = 0
    for column, (name, fitted) in enumerate(fits.items()):
        last = first + len(fitted.parameters)
        out.values[:, first:last], out.covariance[:, first:last, first:last] = (
            fitted.values,
            fitted.covariance,
        )
        first = last
        worse = np.subtract(
            cost[:, column], lowest, where=np.isfinite(cost[:, column]), out=np.full(len(rows), np.nan)
        )
        reduced = np.divide(fitted.chi2, fitted.dof, where=fitted.dof > 0, out=np.full(len(rows), np.nan))
        out.selection |= {
            f"{name}_delta_{criterion}": worse,
            f"{name}_chi2_dof": reduced,
            f"{name}_status": np.array(fitted.status, dtype=str),
            f"{name}_flags": np.array(fitted.flags, dtype=np.int32),
        }
    for key in ("bootstrap", "misfit"):
        if all(getattr(fitted, key) is not None for fitted in every):
            matrices, last = np.full_like(out.covariance, np.nan), 0
            for fitted in every:
                first, last = last, last + len(fitted.parameters)
                matrices[:, first:last, first:last] = getattr(fitted, key)
            setattr(out, key, matrices)
    for key in ("replicates", "quantiles"):
        if all(getattr(fitted, key) is not None for fitted in every):
            setattr(out, key, np.concatenate([getattr(fitted, key) for fitted in every], axis=2))
    out.keeps = every[0].keeps
    chosen = lambda key: np.stack([np.asarray(getattr(fitted, key)) for fitted in every])[best, rows]
    if all(fitted.neighbours is not None for fitted in every):
        out.neighbours = chosen("neighbours")
    out.chi2, out.dof, out.snr, out.flags = chosen("chi2"), chosen("dof"), chosen("snr"), chosen("flags")
    out.status = chosen("status").tolist()
    out.columns = {
        name: np.stack([fitted.column(name) for fitted in every])[best, rows]
        for fitted in every
        for name in fitted.columns
    }
    out.n_iter = np.sum([fitted.n_iter for fitted in every], axis=0)
    return out
