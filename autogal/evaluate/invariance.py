"""Whether the same galaxy has the same values however its image lies, is cut out, scaled or lifted."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from astropy.table import Table
from omegaconf import DictConfig

from autogal.errors import AutogalError
from autogal.evaluate.evaluation import Evaluation
from autogal.evaluate.methods import as_fit
from autogal.evaluate.samples import AT_ONCE, prepare, samples
from autogal.evaluate.statistics import share
from autogal.evaluate.transformations import Transformation, again, chosen, with_place
from autogal.flags import Flag
from autogal.images import Cutout, Options, find_entries, load
from autogal.model.fitted import Fitted
from autogal.pipeline import fit_cutouts
from autogal.report.facts import Grid, Report

__all__ = ["InvarianceEvaluation", "cutouts_of"]

_log = logging.getLogger(__name__)

# What says that a value may be another: all but what the input lacked
_SAY = (
    Flag.NO_TARGET
    | Flag.MASK_FALLBACK
    | Flag.START_FALLBACK
    | Flag.NOT_CONVERGED
    | Flag.AT_BOUND
    | Flag.POOR_FIT
    | Flag.LOW_SN
    | Flag.BLENDED
    | Flag.EDGE
    | Flag.FEW_PIXELS
    | Flag.SINGULAR_COVARIANCE
    | Flag.SKY_FIXED
    | Flag.NEIGHBOUR_FALLBACK
    | Flag.UNCONSTRAINED
    | Flag.CORE_MASKED
    | Flag.TARGET_MASKED
    | Flag.SKY_SLOPED
)
_MUCH = 0.1  # of r_eff
_ALIKE = 1e-3  # relative, of a sky in units of the noise: values without errors are the same within this
_FIT = 3.0  # half-light radii, that are to lie within a crop on all sides
_MANIFESTS = ("manifest.csv", "INDEX.csv")


class InvarianceEvaluation(Evaluation):
    """Fit cutouts as they are and transformed, as ``settings.transformations`` says, and compare."""

    def __init__(self, settings: DictConfig, device: torch.device, folder: Path):
        super().__init__(settings, device, folder)
        self.fit, self.several = as_fit(settings), chosen(settings.transformations)

    @classmethod
    def blocks(cls, settings: DictConfig) -> Iterator[list[Cutout]]:
        return cutouts_of(settings)

    def measure(self, block: Sequence[Cutout]) -> list[Table]:
        return _compare(block, self.several, self.fit)

    def nothing(self) -> AutogalError:
        return AutogalError(
            "Nothing could be compared: no cutout was fitted.", "Evaluate on other cutouts (data=)."
        )

    def report(self, rows: Table) -> Report:
        return _report(rows, self.several)


def cutouts_of(settings: DictConfig) -> Iterator[list[Cutout]]:
    """The cutouts, block by block: drawn, of a suite, or whatever ``autogal fit`` reads; a folder's
    manifest.csv or INDEX.csv counts.

    Raises
    ------
    AutogalError
        Where there are none.
    """
    path = Path(settings.data) if settings.data is not None else None
    is_suite = path is not None and path.with_name(path.name.removesuffix(".npz") + ".npz").is_file()
    if path is None or is_suite:
        return (block.cutouts for block in samples(settings))
    manifest = next((path / name for name in _MANIFESTS if (path / name).is_file()), path)
    entries, options = find_entries([str(manifest)])[: settings.n], Options.from_settings(as_fit(settings))
    return (
        [load(entry, options) for entry in entries[first : first + AT_ONCE]]
        for first in range(0, len(entries), AT_ONCE)
    )


def _compare(cutouts: Sequence[Cutout], several: Sequence[Transformation], how: DictConfig) -> list[Table]:
    good = [
        again(cutout) for cutout in cutouts if cutout.error is None
    ]  # noise that is estimated is so in the same way before and after
    if not good:
        return []
    before = {False: _fit(prepare(good), how)}
    if any(one.is_placed for one in several):
        before[True] = _fit([with_place(cutout) for cutout in good], how)
    tables = []
    for one in several:
        _log.info("%s", one.name)
        applied = [one.apply(cutout) for cutout in prepare(good)]
        there = [i for i, cutout in enumerate(applied) if cutout is not None]
        if there:
            after = _fit([applied[i] for i in there], how, one.at_once)
            tables.append(
                _rows(
                    one,
                    [good[i] for i in there],
                    [applied[i] for i in there],
                    there,
                    before[one.is_placed],
                    after,
                )
            )
    return tables


def _fit(cutouts: list[Cutout], how: DictConfig, at_once: int | None = None) -> tuple[Fitted, list[str]]:
    """Fits of cutouts, so many together, and all that was noted of each."""
    step = at_once or len(cutouts)
    parts = [fit_cutouts(cutouts[first : first + step], how) for first in range(0, len(cutouts), step)]
    join = lambda name: np.concatenate([getattr(part, name) for part in parts])
    fitted = Fitted(
        parts[0].parameters,
        *(join(name) for name in ("values", "covariance", "chi2", "dof", "n_iter", "snr")),
        [word for part in parts for word in part.status],
        join("flags"),
    )
    return fitted, [" ".join(cutout.notes) for cutout in cutouts]


def _rows(
    one: Transformation,
    cutouts: Sequence[Cutout],
    applied: Sequence[Cutout],
    places: Sequence[int],
    before: tuple[Fitted, list[str]],
    after: tuple[Fitted, list[str]],
) -> Table:
    """A row a cutout: differences of all parameters, in standard errors."""
    (was, said), (now, says) = before, after
    names, rows = was.parameters, []
    for k, (i, cutout) in enumerate(zip(places, cutouts)):
        found = one.back(dict(zip(names, now.values[k].tolist())), cutout)
        values = np.array(
            [found.get(name, np.nan) for name in names]
        )  # a place that was not measured is left out
        difference = values - was.values[i]
        if "pa" in names:
            turn = names.index("pa")
            difference[turn] = (difference[turn] + 90) % 180 - 90
        noise = float(np.median(cutout.sigma[~cutout.mask]))
        error = _error(was, i) if not one.is_placed else np.fmax(_error(was, i), _error(now, k))
        with np.errstate(invalid="ignore", divide="ignore"):
            off = np.abs(difference) / error
            # what has no error in either is the same or is not
            unknown = ~(error > 0)
            unit = np.array(
                [noise if name.startswith("sky") else abs(value) for name, value in zip(names, was.values[i])]
            )
            off[unknown] = np.where(np.abs(difference) <= _ALIKE * unit, 0.0, np.inf)[unknown]
        if (
            "crop" in one.name
        ):  # other pixels have another mean: their sky is another one by as much as its error
            off[[name.startswith("sky") for name in names]] = 0.0
        if not (np.isfinite(values).any() or np.isfinite(was.values[i]).any()):
            off[:] = 0.0  # measured neither way
        off = np.where(np.isnan(off), np.inf, off)
        flags = int(was.flags[i]) | int(now.flags[k])
        rows.append(
            {
                "id": cutout.id,
                "transformation": one.name,
                "status": was.status[i],
                "status_then": now.status[k],
                "flags": int(was.flags[i]),
                "flags_then": int(now.flags[k]),
                "worst": float(off.max()),
                "parameter": names[int(off.argmax())],
                "r_eff_ratio": found.get("r_eff", np.nan) / was.values[i][names.index("r_eff")],
                "fits": "crop" not in one.name or (_inside(was, i, cutout) and _inside(now, k, applied[k])),
                "says": bool(flags & _SAY),
                "notes": said[i],
                "notes_then": says[k],
                **{f"d_{name}": value for name, value in zip(names, difference.tolist())},
                **{f"e_{name}": value for name, value in zip(names, error.tolist())},
            }
        )
    table = Table(rows)
    table["same"] = (np.asarray(table["worst"]) <= one.tolerance) & (
        np.asarray(table["status"]) == np.asarray(table["status_then"])
    )
    return table


def _error(fitted: Fitted, row: int) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.sqrt(np.diagonal(fitted.covariance[row]))


def _inside(fitted: Fitted, row: int, cutout: Cutout) -> bool:
    """Whether a galaxy fits into an image."""
    x, y, r_eff = (fitted.values[row][fitted.parameters.index(name)] for name in ("x", "y", "r_eff"))
    height, width = cutout.shape
    return bool(min(x, y, width - 1 - x, height - 1 - y) >= _FIT * r_eff)


def _report(rows: Table, several: Sequence[Transformation]) -> Report:
    found: list[dict[str, Any]] = []
    for one in several:
        mine = rows[(rows["transformation"] == one.name) & rows["fits"]]
        other = mine[~mine["same"]]
        worst = np.asarray(mine["worst"], float)
        much = np.abs(np.asarray(mine["r_eff_ratio"], float) - 1) > _MUCH
        found.append(
            {
                "name": one.name,
                "tolerance": one.tolerance,
                "images": len(mine),
                "same": share(np.count_nonzero(mine["same"]), len(mine)),
                "flagged": share(np.count_nonzero(other["says"]), len(other)),
                "silent": np.count_nonzero(~other["says"]),
                "status": np.count_nonzero(mine["status"] != mine["status_then"]),
                "much": np.count_nonzero(much),
                "median": float(np.median(worst)) if len(worst) else np.nan,
                "high": float(np.quantile(worst, 0.95, method="lower")) if len(worst) else np.nan,
            }
        )
    columns = {
        "": "{name}",
        "images": "{images}",
        "within [errors]": "{tolerance:g}",
        "all the same": "{same:.1%}",
        "others with a flag": "{flagged:.0%}",
        "without": "{silent}",
        "other status": "{status}",
        "r_eff by 10 %": "{much}",
        "median [errors]": "{median:.1e}",
        "95 % below": "{high:.1e}",
    }
    report = Report(f"{len(set(rows['id']))} images, each transformed")
    report.grids = [
        Grid(
            "invariance",
            "All parameters the same, within a part of their standard errors",
            columns,
            found,
            {"all the same": ">= 99%", "without": "0"},
        )
    ]
    report.notes = [
        f"Crops are compared where the galaxy, to {_FIT:g} r_eff, lies in both, and those in a larger frame "
        f"and crops with fits that were "
        "told where the target is; the sky is not compared in crops, whose pixels are others. Medians are "
        "of the largest difference of any parameter."
    ]
    report.tables = {"evaluation": rows}
    return report
