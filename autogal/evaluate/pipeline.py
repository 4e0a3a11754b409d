"""How good whole fits are: from the pipeline's masks and starting values, and from the true ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from astropy.table import Table
from omegaconf import DictConfig

from autogal.errors import AutogalError
from autogal.evaluate.evaluation import Evaluation, by_bins, rows_of
from autogal.evaluate.figures import parameter_figure, pipeline_figure
from autogal.evaluate.methods import NETWORKS, as_fit
from autogal.evaluate.parameters import CATALOGUE, MEASURES, accuracy, calibration, differences, summarise
from autogal.evaluate.samples import prepare
from autogal.evaluate.statistics import SNR, Bins, share
from autogal.evaluate.truth import comparable, true_segmentations, undecidable_note
from autogal.flags import Flag
from autogal.images import Cutout
from autogal.model.fitted import Fitted
from autogal.pipeline import fit_cutouts
from autogal.report.facts import Grid, Report
from autogal.simulate import Simulation

__all__ = ["TRUE_MASKS", "WHOLE", "PipelineEvaluation"]

#: Name of the fits that nothing but the noise limits
TRUE_MASKS = "true masks"

#: Name of the fits as users have them
WHOLE = "neighbours fitted"

_ALL = Bins("snr", "S/N", (0, np.inf))
_SAME = 1e-3  # relative difference of chi-square within which two fits are as good as each other
_ELSEWHERE = 2.0  # px, and the true r_eff: a fit whose centre is farther off than both is of another source


class PipelineEvaluation(Evaluation):
    """Fit raw stamps as ``autogal fit`` does, and again from the truth.

    Fits of every target that is one Sersic profile and not mostly outshone: from the pipeline's starting
    values, from the true ones inside the same masks, and from the true ones inside the true masks, grown as
    the pipeline's are. Neighbours are masked in all of these; last comes the whole pipeline, which fits some
    together with their targets.
    """

    def __init__(self, settings: DictConfig, device: torch.device, folder: Path):
        super().__init__(settings, device, folder)
        self.times: dict[str, dict[str, float]] = {}
        self.notes: list[str] = []
        self.hidden = 0

    def measure(self, block: Simulation) -> Iterator[Table]:
        pairs = self._pairs(block)
        some, undecidable = comparable(block.truth)
        self.hidden += undecidable
        if not len(some):
            return
        truth = block.truth[some]
        base = as_fit(self.settings)
        cutouts = prepare([block.cutouts[i] for i in some])
        for cutout, found in zip(
            cutouts,
            true_segmentations(cutouts, [block.instances[i] for i in some], base.segment),
            strict=True,
        ):
            cutout.mask = cutout.mask | found.neighbours
        best = fit_cutouts(_from_truth(cutouts, truth), base)
        yield _rows(TRUE_MASKS, truth, best, best)
        same_masks: dict[str, Fitted] = {}
        ways = [(f"{segment} + {initialise}", segment, initialise, "mask") for segment, initialise in pairs]
        for name, segment, initialise, neighbours in [
            *ways,
            (WHOLE, *(self.settings[group].name for group in NETWORKS), base.neighbours),
        ]:
            chosen = as_fit(self.settings, segment=segment, initialise=initialise, neighbours=neighbours)
            if name not in self.times:  # what only a first call does is not the pipeline's speed
                fit_cutouts(prepare(block.cutouts[:2]), chosen)
            cutouts = prepare(block.cutouts)
            fitted = fit_cutouts(cutouts, chosen)
            for stage, spent in fitted.seconds.items():
                times = self.times.setdefault(name, {})
                times[stage] = times.get(stage, 0.0) + spent
            if segment not in same_masks:
                same_masks[segment] = fit_cutouts(_from_truth([cutouts[i] for i in some], truth), chosen)
            mine = _part(fitted, some)
            yield _rows(name, truth, mine, mine if name == WHOLE else same_masks[segment])

    def _pairs(self, block: Simulation) -> list[tuple[str, str]]:
        """The classical methods together, the networks that there are, and what was chosen."""
        (segment, notes), (initialise, more) = (self.methods(group, block) for group in NETWORKS)
        self.notes = notes + more
        chosen = tuple(self.settings[group].name for group in NETWORKS)
        candidates = (
            [(segment[0], initialise[0]), (segment[-1], initialise[-1])] if self.settings.compare else []
        )
        return list(dict.fromkeys([*candidates, chosen]))

    def nothing(self) -> AutogalError:
        return AutogalError(
            "No target is one Sersic profile that can be seen: there is nothing to compare fits with.",
            "Evaluate on more stamps (n=), or on others.",
        )

    def report(self, rows: Table) -> Report:
        return _report(
            rows,
            list(self.times),
            [*self.notes, undecidable_note(self.hidden, self.total)],
            self.total,
            self.times,
        )


def _from_truth(cutouts: Sequence[Cutout], truth: Table) -> list[Cutout]:
    """Copies that start from the truth: they are neither segmented nor initialised."""
    names = (*CATALOGUE, "sky")
    return [
        replace(cutout, notes=[], start={name: float(row[name]) for name in names})
        for cutout, row in zip(cutouts, truth, strict=True)
    ]


def _part(fitted: Fitted, some: np.ndarray) -> Fitted:
    return Fitted(
        fitted.parameters,
        fitted.values[some],
        fitted.covariance[some],
        fitted.chi2[some],
        fitted.dof[some],
        fitted.n_iter[some],
        fitted.snr[some],
        [fitted.status[i] for i in some],
        fitted.flags[some],
    )


def _rows(name: str, truth: Table, fitted: Fitted, from_truth: Fitted) -> Table:
    rows = rows_of(name, truth)
    rows["status"] = np.array(fitted.status, dtype="U16")
    measured = np.isin(rows["status"], ("converged", "not_converged"))
    place = [fitted.parameters.index(key) for key in CATALOGUE]
    with np.errstate(invalid="ignore"):
        error = np.sqrt(np.diagonal(fitted.covariance, axis1=1, axis2=2)[:, place])
    value = np.where(measured[:, None], fitted.values[:, place], np.nan)
    found = dict(zip(CATALOGUE, value.T))
    unit = {"r_eff": 1 / np.asarray(truth["r_eff"], float), "n": 1 / (found["n"] * np.log(10))}
    for k, key in enumerate(CATALOGUE):
        rows[f"found_{key}"], rows[f"e_{key}"] = value[:, k], error[:, k] * unit.get(key, 1.0)
    for key, off in differences(found, truth).items():
        rows[key] = off
    away = np.hypot(rows["d_x"], rows["d_y"])
    rows["lost"] = ~(away <= np.maximum(_ELSEWHERE, truth["r_eff"]))  # where nothing was measured too
    rows["wrong"] |= rows["status"] != "converged"
    rows["flags"] = fitted.flags
    rows["chi2"], rows["dof"], rows["n_iter"] = fitted.chi2, fitted.dof, fitted.n_iter
    rows["chi2_from_truth"], rows["n_iter_from_truth"] = from_truth.chi2, from_truth.n_iter
    rows["excess"] = fitted.chi2 / from_truth.chi2 - 1
    rows["reached"] = (rows["excess"] <= _SAME) & ~rows["lost"]
    return rows


def _reached(
    rows: Table, names: Sequence[str], name: str, title: str, bins: Bins, required: bool = False
) -> Grid:
    columns = {
        bins.title: "{group}",
        "": "{method}",
        "galaxies": "{galaxies}",
        "chi-square reached": "{reached:.1%}",
        "target lost": "{lost:.1%}",
        "iterations": "{iterations:.1f}",
        "from the truth": "{from_truth:.1f}",
        "mask fallback": "{masked:.1%}",
        "start fallback": "{guessed:.1%}",
    }
    return Grid(
        name,
        title,
        columns,
        by_bins(rows, names, bins, _summarise_fits),
        {"chi-square reached": ">= 99.5%"} if required else {},
    )


def _summarise_fits(rows: Table) -> dict[str, Any]:
    some = rows[np.isfinite(rows["chi2_from_truth"])]
    mine = some[np.isfinite(some["chi2"])]
    return {
        "galaxies": len(some),
        "reached": share(np.count_nonzero(some["reached"]), len(some)),
        "lost": share(np.count_nonzero(some["lost"]), len(some)),
        "iterations": float(np.mean(mine["n_iter"])) if len(mine) else np.nan,
        "from_truth": float(np.mean(some["n_iter_from_truth"])) if len(some) else np.nan,
        "masked": share(np.count_nonzero(some["flags"] & Flag.MASK_FALLBACK), len(some)),
        "guessed": share(np.count_nonzero(some["flags"] & Flag.START_FALLBACK), len(some)),
    }


def _relative(rows: Table, names: Sequence[str]) -> Grid:
    """Scatter of each method in units of that with the true masks, and how far its bias is from theirs."""
    found = []
    for group, members in SNR.split(np.asarray(rows["snr"], float)):
        best = summarise(rows[members & (rows["method"] == TRUE_MASKS)])
        for method in names:
            mine = summarise(rows[members & (rows["method"] == method)])
            row: dict[str, Any] = {"group": group, "method": method, "galaxies": mine["stamps"]}
            for key in MEASURES:
                unit = best[f"{key}_scatter"] or np.nan  # a single galaxy has none
                row |= {
                    f"{key}_ratio": mine[f"{key}_scatter"] / unit,
                    f"{key}_shift": (mine[f"{key}_bias"] - best[f"{key}_bias"]) / unit,
                }
            found.append(row)
    columns = {SNR.title: "{group}", "": "{method}", "galaxies": "{galaxies}"}
    columns |= {
        one.heading.partition(" ")[0].strip(","): f"{{{key}_ratio:.2f}} {{{key}_shift:+.2f}}"
        for key, one in MEASURES.items()
    }
    required = dict.fromkeys(list(columns)[3:], "0.95-1.05 +-0.05")
    return Grid(
        "relative",
        "Against fits inside the true masks: ratio of the scatters, and difference of the biases in units "
        "of the scatter there",
        columns,
        found,
        required,
    )


def _times(seconds: dict[str, dict[str, float]], total: int) -> Grid:
    stages = list(dict.fromkeys(stage for spent in seconds.values() for stage in spent))
    rows = [
        {
            "method": name,
            "stamps": total,
            **dict.fromkeys(stages, 0.0),
            **spent,
            "rate": total / sum(spent.values()),
        }
        for name, spent in seconds.items()
    ]
    columns = {
        "": "{method}",
        "stamps": "{stamps}",
        **{f"{stage} [s]": f"{{{stage}:.2f}}" for stage in stages},
        "stamps/s": "{rate:.1f}",
    }
    return Grid("time", "Wall-clock time from raw stamps to parameters", columns, rows, {"stamps/s": ">= 8"})


def _report(
    rows: Table, names: list[str], notes: list[str], total: int, seconds: dict[str, dict[str, float]]
) -> Report:
    everyone, names = [TRUE_MASKS, *names], [name for name in names if name != WHOLE]
    count = np.count_nonzero(rows["method"] == TRUE_MASKS)
    report = Report(f"Fits of {count} galaxies on {total} stamps of {rows.meta.get('survey')}")
    report.grids = [
        _reached(
            rows,
            names,
            "reached",
            "Fits from the pipeline's starting values against fits from the truth, inside the same masks",
            _ALL,
            True,
        ),
        _reached(rows, names, "reached_snr", "The same by signal-to-noise ratio", SNR),
        accuracy("parameters", "Fitted parameters", rows, everyone, SNR),
        _relative(rows, names),
        calibration("inside", rows, everyone, SNR),
        _times(seconds, total),
    ]
    report.notes = [
        "Chi-square reached: no more than 1e-3 above that of the fit from the truth, of the right source. "
        "Lost: nothing measured, or a centre more than "
        "2 px and r_eff away. Iterations: evaluations of the model. Wrong: not converged, or off by more "
        "than 0.5 mag, half of r_eff, or a factor 2 in n.",
        *notes,
    ]
    report.facts = {"seconds": seconds}
    times = {name: {stage: spent / total for stage, spent in one.items()} for name, one in seconds.items()}
    report.tables = {"evaluation": rows}
    report.figures = {
        "pipeline": pipeline_figure(rows, names, times),
        "pipeline_parameters": parameter_figure(rows, everyone, False),
    }
    return report
