"""Whether galaxies that are mostly structure are measured as one: their total light, their centre, and
what is said where not."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Table, vstack
from omegaconf import DictConfig

from autogal.evaluate.evaluation import rows_of
from autogal.evaluate.methods import as_fit
from autogal.evaluate.samples import prepare
from autogal.evaluate.statistics import share
from autogal.evaluate.truth import DECIDABLE, true_segmentations
from autogal.flags import Flag
from autogal.images import Cutout
from autogal.initialise import initialise_all
from autogal.parameters import magnitude_of
from autogal.pipeline import fit_cutouts
from autogal.report.facts import Grid
from autogal.simulate import Simulation
from autogal.simulate.shapes import KINDS

__all__ = ["LIGHT", "measure_whole", "whole_grid"]

#: mag: a total that is as near to the truth is the galaxy's
LIGHT = 0.1
_CENTRE = 1.0  # px
_SNR = 50.0  # where noise alone hardly takes a tenth of the light away
_TRUE = "true masks"
_COLUMNS = {
    "": "{method}",
    "galaxies": "{galaxies}",
    "light within 0.1 mag": "{light:.1%}",
    "centre within 1 px": "{centre:.1%}",
    "both": "{both:.1%}",
    "the rest is POOR_FIT": "{said:.1%}",
    "whole or said": "{honest:.1%}",
}
_REQUIRED = {"both": ">= 95.0%", "the rest is POOR_FIT": "100.0%"}


def measure_whole(block: Simulation, settings: DictConfig, device) -> Table:
    """Fit the targets that are mostly structure as ``autogal fit`` does, and inside the true masks.

    Parameters
    ----------
    block : Simulation
    settings : DictConfig
        Of ``conf/evaluate.yaml``.
    device : torch.device

    Returns
    -------
    Table
        The truth of those of S/N above 50 that are not mostly outshone, twice: with ``method``, ``d_mag``
        (fit less truth; NaN where nothing was measured), ``away`` (px), ``flags`` and ``status``.
    """
    if "structure" not in block.truth.colnames:
        return Table()
    some = np.flatnonzero(
        (block.truth["structure"] != "") & (block.truth["snr"] > _SNR) & (block.truth["visible"] >= DECIDABLE)
    )
    if not some.size:
        return Table()
    truth, chosen = block.truth[some], as_fit(settings)
    cutouts = prepare([block.cutouts[i] for i in some])
    found = [_rows(settings.segment.name, truth, fit_cutouts(cutouts, chosen))]
    masked = prepare([block.cutouts[i] for i in some])
    inside = true_segmentations(masked, [block.instances[i] for i in some], chosen.segment)
    starts = initialise_all(masked, inside, chosen.initialise, device)
    for cutout, one, start in zip(masked, inside, starts, strict=True):
        cutout.mask = cutout.mask | one.neighbours
        cutout.start = _complete(start.values, cutout)
    found.append(_rows(_TRUE, truth, fit_cutouts(masked, chosen)))
    return vstack(found, metadata_conflicts="silent")


def _complete(values: dict[str, float], cutout: Cutout) -> dict[str, float]:
    return (
        values
        if "mag" in values
        else {**values, "mag": magnitude_of(max(values["flux"], 1e-30), cutout.zeropoint)}
    )


def _rows(name: str, truth: Table, fitted) -> Table:
    rows = rows_of(name, truth)
    values = dict(zip(fitted.parameters, fitted.values.T))
    rows["d_mag"] = values["mag"] - truth["mag"]
    rows["away"] = np.hypot(values["x"] - truth["x"], values["y"] - truth["y"])
    rows["flags"], rows["status"] = fitted.flags, np.array(fitted.status, dtype="U16")
    return rows


def whole_grid(rows: Table) -> Grid:
    """How many are measured as one galaxy, by what they are.

    Parameters
    ----------
    rows : Table
        From `measure_whole`.

    Returns
    -------
    Grid
    """
    found: list[dict[str, Any]] = []
    for kind in ("all", *KINDS):
        for method in dict.fromkeys(rows["method"]):
            some = rows[(rows["method"] == method) & ((rows["structure"] == kind) | (kind == "all"))]
            if len(some):
                found.append({"kind": kind, "method": method, **_summarise(some)})
    return Grid(
        "whole",
        f"One galaxy, one fit: targets of S/N above {_SNR:g} that are mostly structure",
        {"structure": "{kind}", **_COLUMNS},
        found,
        _REQUIRED,
    )


def _summarise(rows: Table) -> dict[str, Any]:
    with np.errstate(invalid="ignore"):
        light, centre = np.abs(rows["d_mag"]) <= LIGHT, rows["away"] <= _CENTRE
    both = np.asarray(light & centre)
    poor = (np.asarray(rows["flags"]) & int(Flag.POOR_FIT)) > 0
    rest, count = np.count_nonzero(~both), len(rows)
    return {
        "galaxies": count,
        "light": share(np.count_nonzero(light), count),
        "centre": share(np.count_nonzero(centre), count),
        "both": share(np.count_nonzero(both), count),
        "said": share(np.count_nonzero(poor & ~both), rest),
        "honest": share(np.count_nonzero(poor | both), count),
    }
