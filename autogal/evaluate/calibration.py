"""Whether the errors of fits are honest: as many truths inside them as they promise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from astropy.table import Table
from omegaconf import DictConfig, OmegaConf

from autogal.errors import AutogalError
from autogal.evaluate.evaluation import Evaluation
from autogal.evaluate.figures import calibration_figure
from autogal.evaluate.galaxies import galaxies, known_values
from autogal.evaluate.methods import as_fit
from autogal.evaluate.ranks import RANK_NOTES, rank_grid, with_ranks
from autogal.evaluate.samples import prepare
from autogal.evaluate.statistics import SNR, Bins, median, scatter, share, share_interval
from autogal.fitting.choices import build_bootstrap, build_likelihood, build_solver
from autogal.fitting.engine import fit_cutouts
from autogal.model.fitted import Fitted
from autogal.model.model import Model
from autogal.model.spec import build_model
from autogal.parameters import START, angle_difference, split_name
from autogal.report.facts import Grid, Report
from autogal.simulate import Simulation

__all__ = ["CalibrationEvaluation", "coverage"]

_GOOD = Bins("snr", "S/N", (50, np.inf))
_GROUPS = ("model", "likelihood", "uncertainty")
_SHORT = {"covariance": "cov.", "bootstrap": "boot.", "posterior": "post."}
_NORMAL = {"one": 1.0, "two": 2.0}  # sigma
_EXPECTED = 0.6827  # of a normal distribution, inside 1 sigma
_MEDIAN = np.sqrt(np.pi / 2)  # error of a median in units of that of a mean


class CalibrationEvaluation(Evaluation):
    """Fit lone galaxies, from their true parameters so that starting values play no part, and count the
    truths inside the errors.

    Targets with neighbours, or of which not all is known, do not count.

    Raises
    ------
    AutogalError
        For fits without errors, a truth that does not know the model's parameters, or where no galaxy is
        left.
    """

    def __init__(self, settings: DictConfig, device: torch.device, folder: Path):
        super().__init__(settings, device, folder)
        self.fit = fit = _as_fit(settings)
        self.model = build_model(fit.model)
        build_likelihood(fit), build_solver(fit.solver), build_bootstrap(fit)
        if fit.uncertainty.name == "none":
            raise AutogalError(
                "uncertainty=none gives no errors that could be judged.",
                "Choose covariance, bootstrap, both or posterior.",
            )
        self.kinds = ["covariance", "bootstrap"] if fit.uncertainty.name == "both" else [fit.uncertainty.name]
        self.judged = [name for name in self.model.parameters if name not in self.model.shared]
        self.why = ""

    @classmethod
    def blocks(cls, settings: DictConfig) -> Iterator[Simulation]:
        return galaxies(settings)

    def measure(self, block: Simulation) -> Iterator[Table]:
        truth = known_values(self.model, block.truth)
        some = np.flatnonzero(np.isfinite(truth).all(1) & (np.asarray(block.truth["n_neighbours"]) == 0))
        if not len(some):
            return
        cutouts = prepare([block.cutouts[i] for i in some])
        fitted = fit_cutouts(cutouts, _start(self.model, truth[some]), self.fit, begin=truth[some])
        failed = [one for one, status in zip(cutouts, fitted.status) if status != "converged"]
        reasons = [one.error or one.notes[-1] for one in failed if one.error or one.notes]
        self.why = self.why or "".join(reasons[:1])
        places = [self.model.parameters.index(name) for name in self.judged]
        rows = _rows(block.truth[some], self.judged, places, truth[some], fitted, self.kinds)
        if fitted.quantiles is not None:
            rows = with_ranks(rows, self.judged, places, truth[some], fitted)
        yield rows

    def nothing(self) -> AutogalError:
        return AutogalError(
            f"None of the {self.total} targets is a {self.fit.model.name} without neighbours.",
            "Evaluate on more stamps (n=), or on others.",
        )

    def report(self, rows: Table) -> Report:
        if not np.any(rows["status"] == "converged"):
            raise AutogalError(
                f"None of the {len(rows)} fits converged. {self.why}".rstrip(),
                "Choose another likelihood= or solver=, or other data.",
            )
        return _report(rows, self.judged, self.kinds, self.fit, self.total)


def coverage(pulls: np.ndarray) -> dict[str, float]:
    """What pulls say of errors; NaN among them is left out.

    Parameters
    ----------
    pulls : ndarray, [N]
        (estimate - truth) / error.

    Returns
    -------
    dict of str to float
        ``errors``: how many are finite. ``one`` and ``two``: shares inside 1 and 2 sigma, with ``one_error``
        and ``two_error``, half the 68 % interval of such a share (Wilson 1927). ``median`` with
        ``median_error``, and ``scatter``.
    """
    known = pulls[np.isfinite(pulls)]
    count = len(known)
    found = {"errors": count, "median": median(known), "scatter": scatter(known)}
    found["median_error"] = _MEDIAN * found["scatter"] / np.sqrt(count) if count else np.nan
    for name, sigma in _NORMAL.items():
        inside = np.count_nonzero(np.abs(known) <= sigma)
        low, high = share_interval(inside, count)
        found |= {name: share(inside, count), f"{name}_error": float(high - low) / 2 if count else np.nan}
    return found


def _as_fit(settings: DictConfig) -> DictConfig:
    fit = as_fit(settings)
    for group in _GROUPS:
        OmegaConf.update(fit, group, OmegaConf.to_container(settings[group]), merge=False)
    fit.seed = settings.seed
    return fit


def _start(model: Model, truth: np.ndarray) -> np.ndarray:
    """Values [N, 8] of one Sersic profile with the sky of `truth`, for whoever needs more than the model's
    own."""
    at = dict(zip(model.parameters, truth.T))
    outer = f"{model.components[-1].name}_" if model.components[-1].name else ""
    own = {name: at.get(name, at.get(outer + name)) for name in START}
    return np.stack([np.ones(len(truth)) if values is None else values for values in own.values()], 1)


def _rows(
    known: Table,
    names: Sequence[str],
    places: Sequence[int],
    truth: np.ndarray,
    fitted: Fitted,
    kinds: Sequence[str],
) -> Table:
    """The truth with what was found, the errors and the pulls of every kind; fits that did not converge
    have none."""
    rows = known.copy()
    rows["status"], rows["flags"] = np.array(fitted.status, dtype="U16"), fitted.flags
    converged = rows["status"] == "converged"
    for name, k in zip(names, places):
        off = fitted.values[:, k] - truth[:, k]
        if split_name(name)[1] == "pa":
            off = angle_difference(off)
        rows[f"true_{name}"], rows[f"found_{name}"] = truth[:, k], fitted.values[:, k]
        for kind in kinds:
            matrix = (
                fitted.bootstrap
                if kind == "bootstrap" and fitted.bootstrap is not None
                else fitted.covariance
            )
            with np.errstate(invalid="ignore"):
                error = np.sqrt(matrix[:, k, k])
                usable = converged & (error > 0)
            rows[f"{kind}_e_{name}"] = error
            rows[f"{kind}_pull_{name}"] = np.where(usable, off / np.where(usable, error, 1.0), np.nan)
    return rows


def _grid(
    name: str,
    title: str,
    rows: Table,
    names: Sequence[str],
    kinds: Sequence[str],
    bins: Bins,
    required: bool = False,
) -> Grid:
    found = []
    for group, members in bins.split(np.asarray(rows["snr"], float)):
        some = rows[members & (rows["status"] == "converged")]
        for parameter in names:
            row: dict[str, Any] = {"group": group, "parameter": parameter, "galaxies": len(some)}
            for kind in kinds:
                row |= {
                    f"{kind}_{key}": value
                    for key, value in coverage(np.asarray(some[f"{kind}_pull_{parameter}"], float)).items()
                }
            row["without"] = share(len(some) - min(row[f"{kind}_errors"] for kind in kinds), len(some))
            found.append(row)
    columns = {
        bins.title: "{group}",
        "": "{parameter}",
        "galaxies": "{galaxies}",
        "no error": "{without:.1%}",
    }
    limits = {}
    for kind in kinds:
        suffix = f", {_SHORT[kind]}" if len(kinds) > 1 else ""
        for key, heading, limit in (("one", "1 sigma", "68 +-3%"), ("two", "2 sigma", "95 +-2%")):
            columns[heading + suffix] = f"{{{kind}_{key}:.1%}} +-{{{kind}_{key}_error:.1%}}"
            limits |= {heading + suffix: limit} if required else {}
        columns[f"median pull{suffix}"] = f"{{{kind}_median:+.2f}} +-{{{kind}_median_error:.2f}}"
        columns[f"scatter{suffix}"] = f"{{{kind}_scatter:.2f}}"
    title = f"{title}: truths inside 1 and 2 sigma (68.27 and 95.45 % expected), and pulls"
    return Grid(name, title, columns, found, limits)


def _report(rows: Table, names: Sequence[str], kinds: Sequence[str], fit: DictConfig, total: int) -> Report:
    good = rows[(rows["snr"] >= _GOOD.edges[0]) & (rows["status"] == "converged")]
    what = f"{len(rows)} fits of model={fit.model.name} to lone galaxies of {rows.meta.get('survey')}"
    report = Report(f"Errors by {' and '.join(kinds)} of {what}")
    report.grids = [
        _grid("good", "S/N above 50", rows, names, kinds, _GOOD, True),
        _grid("snr", "By signal-to-noise ratio", rows, names, kinds, SNR),
    ]
    lost = int(np.count_nonzero(rows["status"] != "converged"))
    report.notes = [
        "Fits start at the true parameters. Pulls are (fit - truth) / error, their scatter 1.4826 MAD. "
        "No error: a parameter at a bound or without curvature.",
        f"{total - len(rows)} of {total} targets do not count: they have neighbours, or not all of their "
        f"parameters are known.",
        f"{lost} of {len(rows)} fits did not converge and are left out.",
    ]
    if len(good):
        chance = np.sqrt(_EXPECTED * (1 - _EXPECTED) / len(good))
        report.notes.append(
            f"Of {len(good)} galaxies, the share inside 1 sigma scatters by {chance:.1%} however honest "
            f"their errors are."
        )
    if "posterior" in kinds:
        report.grids.append(rank_grid(rows, names))
        report.notes += RANK_NOTES
    report.facts = {"not_converged": lost, "stamps": total}
    report.tables = {"evaluation": rows}
    shown, title = (
        (good, f"{len(good)} galaxies, S/N above {_GOOD.edges[0]}")
        if len(good)
        else (rows, f"{len(rows)} galaxies")
    )
    report.figures = {"calibration": calibration_figure(shown, names, kinds, title)}
    return report
