"""How good starting values are."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from astropy.table import Table, vstack
from omegaconf import DictConfig

from autogal.errors import AutogalError
from autogal.evaluate.figures import parameter_figure
from autogal.evaluate.methods import as_fit, methods
from autogal.evaluate.parameters import CATALOGUE, accuracy, calibration, differences
from autogal.report.facts import Report
from autogal.evaluate.statistics import SIZE, SNR, Bins, bins_of_magnitude
from autogal.evaluate.truth import comparable, true_segmentations, undecidable_note
from autogal.flags import Flag
from autogal.images import Cutout
from autogal.initialise import Start, initialise_all
from autogal.segment import segment_all
from autogal.simulate import Simulation

__all__ = ["evaluate_initialiser", "start_errors"]

_GOOD = Bins("snr", "S/N", (50, np.inf))


def evaluate_initialiser(blocks: Iterator[Simulation], settings: DictConfig, device: torch.device) -> Report:
    """Estimate starting values as ``autogal fit`` does and compare with the truth.

    Only targets that are one Sersic profile count, and of those the ones whose true footprint is not mostly outshone.

    Parameters
    ----------
    blocks : iterator of Simulation
    settings : DictConfig
        Of ``conf/evaluate.yaml``; ``true_masks`` says whether footprints are the true ones or those of ``segment``.
    device : torch.device

    Returns
    -------
    Report

    Raises
    ------
    AutogalError
        Where a checkpoint is missing, or no target counts.
    """
    parts, total, hidden = [], 0, 0
    names: list[str] = []
    seconds: dict[str, float] = {}
    for block in blocks:
        size = min(min(cutout.shape) for cutout in block.cutouts)
        if not names:
            names, notes = methods(settings, "initialise", size, device)
        total += len(block.cutouts)
        some, undecidable = comparable(block.truth)
        hidden += undecidable
        cutouts, truth = [block.cutouts[i] for i in some], block.truth[some]
        nodes = {name: as_fit(settings, initialise=name) for name in names}
        segmentation = nodes[names[0]].segment
        found = true_segmentations(cutouts, [block.instances[i] for i in some], segmentation) if settings.true_masks else \
            segment_all(cutouts, segmentation, device)
        there = [i for i, one in enumerate(found) if Flag.NO_TARGET not in one.flags]
        for name in names:
            begin = time.perf_counter()
            starts = dict(zip(there, initialise_all([cutouts[i] for i in there], [found[i] for i in there], nodes[name].initialise, device)))
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begin
            parts.append(_rows(name, cutouts, truth, starts))
    rows = vstack(parts, metadata_conflicts="silent")
    if not len(rows):
        raise AutogalError("No target is one Sersic profile that can be seen: there is nothing to compare starting values with.",
                           "Evaluate on more stamps (n=), or on others.")
    return _report(rows, names, notes + [undecidable_note(hidden, total)], settings, total, seconds)


def start_errors(start: Start) -> dict[str, float]:
    """1-sigma errors of x, y [px], mag, r_eff (relative), n [dex], q, pa [deg] from a start's covariance; NaN without one."""
    if start.covariance is None:
        return dict.fromkeys(CATALOGUE, np.nan)
    covariance = start.covariance
    # eta = |e| = -ln q at twice the angle of the major axis; r_eff = R exp(eta / 2)
    eta = -np.log(start.values["q"])
    angle = 2 * np.radians(start.values["pa"] + 90)
    along, across = np.zeros(7), np.zeros(7)
    along[5:] = np.cos(angle), np.sin(angle)
    across[5:] = -np.sin(angle), np.cos(angle)
    size = 0.5 * along
    size[3] += 1
    spread = lambda direction: float(np.sqrt(direction @ covariance @ direction))  # noqa: E731
    one = np.eye(7)
    turn = np.degrees(spread(across)) / (2 * eta) if eta > 0 else np.inf
    return {"x": spread(one[0]), "y": spread(one[1]), "mag": 2.5 / np.log(10) * spread(one[2]), "r_eff": spread(size),
            "n": spread(one[4]) / np.log(10), "q": start.values["q"] * spread(along), "pa": min(turn, 180 / np.sqrt(12))}


def _rows(name: str, cutouts: Sequence[Cutout], truth: Table, starts: dict[int, Start]) -> Table:
    rows = truth.copy()
    rows["method"] = np.full(len(rows), name, dtype="U32")
    value, error = (np.full((len(rows), len(CATALOGUE)), np.nan) for _ in range(2))
    for i, start in starts.items():
        values = start.values | {"mag": cutouts[i].zeropoint - 2.5 * np.log10(start.values["flux"])}
        value[i], error[i] = [values[key] for key in CATALOGUE], list(start_errors(start).values())
    for k, key in enumerate(CATALOGUE):
        rows[f"found_{key}"], rows[f"e_{key}"] = value[:, k], error[:, k]
    for key, off in differences(dict(zip(CATALOGUE, value.T)), truth).items():
        rows[key] = off
    rows["fallback"] = [i not in starts or Flag.START_FALLBACK in starts[i].flags for i in range(len(rows))]
    return rows


def _report(rows: Table, names: list[str], notes: list[str], settings: DictConfig, total: int, seconds: dict[str, float]) -> Report:
    count = len(rows) // len(names)
    masks = "the true masks" if settings.true_masks else f"the masks of segment={settings.segment.name}"
    report = Report(f"Starting values of {count} galaxies on {total} stamps of {rows.meta.get('survey')}, with {masks}")
    report.grids = [accuracy("good", "S/N above 50", rows, names, _GOOD, required=True),
                    calibration("good_inside", rows, names, _GOOD, required=True),
                    accuracy("snr", "By signal-to-noise ratio", rows, names, SNR), calibration("snr_inside", rows, names, SNR),
                    accuracy("r_eff", "By size", rows, names, SIZE)]
    if rows.meta.get("survey") != "general":
        report.grids.append(accuracy("mag", "By magnitude", rows, names, bins_of_magnitude(rows["mag"])))
    report.grids = [grid for grid in report.grids if grid.rows]
    fallen = {name: int(np.count_nonzero(rows["fallback"][rows["method"] == name])) for name in names}
    report.notes = ["Wrong: nothing estimated, or off by more than 0.5 mag, half of r_eff, or a factor 2 in n. Position angles: of galaxies with q < 0.7.",
                    *(f"{name}: another way had to be taken (START_FALLBACK) for {number}." for name, number in fallen.items() if number), *notes]
    report.facts = {"galaxies_per_second": {name: count / spent for name, spent in seconds.items()}, "fallbacks": fallen}
    report.tables = {"evaluation": rows}
    report.figures = {"initialiser": parameter_figure(rows, names)}
    return report
