"""Whether posteriors are honest: how many truths lie inside their quantiles, and ranks of the truths among
their samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.table import Table
from scipy.stats import chisquare

from autogal.evaluate.statistics import SNR, share, share_interval
from autogal.model.fitted import Fitted
from autogal.parameters import split_name
from autogal.report.facts import Grid

__all__ = ["RANK_NOTES", "rank_grid", "ranks", "uniformity", "with_ranks"]

_PER_BIN = 8  # truths, at least: what a chi-square of counts needs
_BINS = 20
_TURN = 180.0  # of a position angle, deg

#: What the reader of ranks has to know
RANK_NOTES = [
    "Ranks: the share of the posterior's samples below the truth, uniform where posteriors are right (Talts "
    "et al. 2018, arXiv:1804.06788); "
    "p is that of chi-square of their histogram.",
    "That holds for truths drawn from the prior. These are those of a population, so that ranks may lean "
    "where the image tells little.",
]


def ranks(truth: np.ndarray, samples: np.ndarray, turn: float = 0.0) -> np.ndarray:
    """The share of samples below the truth.

    Parameters
    ----------
    truth : ndarray, [N]
    samples : ndarray, [N, S]
        Equally weighted draws from the posterior.
    turn : float
        After so much an angle is the same again; below it is then counted from 0, which no image chooses. 0:
        no angle.

    Returns
    -------
    ndarray, [N]
        In [0, 1]; NaN where there are no samples.
    """
    truth, samples = np.asarray(truth, float), np.asarray(samples, float)
    if turn:
        truth, samples = np.remainder(truth, turn), np.remainder(samples, turn)
    return np.where(np.isnan(samples).any(1), np.nan, (samples < truth[:, None]).mean(1))


def uniformity(found: np.ndarray) -> tuple[np.ndarray, float]:
    """Histogram and p value of chi-square of ranks against the uniform distribution.

    Parameters
    ----------
    found : ndarray, [N]
        NaN is left out.

    Returns
    -------
    counts : ndarray of int
        In equal bins, 20 or as many as leave eight truths for each, but two.
    p : float
        NaN of fewer than sixteen ranks.
    """
    known = found[np.isfinite(found)]
    bins = int(np.clip(len(known) // _PER_BIN, 2, _BINS))
    counts = np.histogram(known, bins, (0.0, 1.0))[0]
    return counts, float(chisquare(counts).pvalue) if len(known) >= 2 * _PER_BIN else float("nan")


def with_ranks(
    rows: Table, names: Sequence[str], places: Sequence[int], truth: np.ndarray, fitted: Fitted
) -> Table:
    """Rows with ranks and quantiles of the posteriors of parameters, by their places; fits that did not
    converge have none."""
    converged = np.asarray(rows["status"] == "converged")
    for name, k in zip(names, places):
        turn = _TURN if split_name(name)[1] == "pa" else 0.0
        low, middle, high = fitted.quantiles[:, :, k].T
        true = truth[:, k]
        if turn:
            true = true + turn * np.round((middle - true) / turn)
        known = converged & np.isfinite(middle)
        rows[f"rank_{name}"] = np.where(known, ranks(truth[:, k], fitted.replicates[:, :, k], turn), np.nan)
        with np.errstate(invalid="ignore"):
            rows[f"between_{name}"] = np.where(known, (low <= true) & (true <= high), np.nan)
    return rows


def rank_grid(rows: Table, names: Sequence[str]) -> Grid:
    """What ranks and quantiles say, by signal-to-noise ratio."""
    found = []
    for group, members in [("all", np.ones(len(rows), bool)), *SNR.split(np.asarray(rows["snr"], float))]:
        for name in names:
            between = np.asarray(rows[f"between_{name}"][members], float)
            inside, count = np.nansum(between), int(np.isfinite(between).sum())
            low, high = share_interval(inside, count)
            some = np.asarray(rows[f"rank_{name}"][members], float)
            counts, p = uniformity(some)
            mean = float(np.nanmean(some)) if count else np.nan
            row: dict[str, Any] = {
                "group": group,
                "parameter": name,
                "galaxies": count,
                "between": share(inside, count),
                "between_error": float(high - low) / 2 if count else np.nan,
                "mean": mean,
                "p": p,
                "histogram": " ".join(map(str, counts)),
            }
            found.append(row)
    columns = {
        SNR.title: "{group}",
        "": "{parameter}",
        "galaxies": "{galaxies}",
        "p16 to p84": "{between:.1%} +-{between_error:.1%}",
        "mean rank": "{mean:.2f}",
        "p": "{p:.2g}",
        "ranks": "{histogram}",
    }
    return Grid(
        "ranks",
        "Truths between the 16 % and the 84 % quantile (68.27 % expected), and ranks among the samples",
        columns,
        found,
        {},
    )
