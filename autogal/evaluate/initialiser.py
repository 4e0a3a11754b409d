"""How good starting values are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from astropy.table import Table
from omegaconf import DictConfig

from autogal.errors import AutogalError
from autogal.evaluate.evaluation import Evaluation, rows_of
from autogal.evaluate.figures import parameter_figure
from autogal.evaluate.methods import as_fit
from autogal.evaluate.parameters import CATALOGUE, accuracy, calibration, differences
from autogal.evaluate.statistics import SIZE, SNR, Bins, bins_of_magnitude
from autogal.evaluate.truth import comparable, true_segmentations, undecidable_note
from autogal.flags import Flag
from autogal.images import Cutout
from autogal.initialise import Start, initialise_all
from autogal.parameters import MAG, magnitude_of, spin
from autogal.report.facts import Report
from autogal.segment import segment_all
from autogal.simulate import Simulation

__all__ = ["InitialiserEvaluation", "start_errors"]

_GOOD = Bins("snr", "S/N", (50, np.inf))


class InitialiserEvaluation(Evaluation):
    """Estimate starting values as ``autogal fit`` does and compare with the truth.

    Only targets that are one Sersic profile count, and of those the ones whose true footprint is not mostly
    outshone. ``settings.true_masks`` says whether footprints are the true ones or those of ``segment``.
    """

    def __init__(self, settings: DictConfig, device: torch.device, folder: Path):
        super().__init__(settings, device, folder)
        self.names: list[str] = []
        self.notes: list[str] = []
        self.hidden = 0

    def measure(self, block: Simulation) -> Iterator[Table]:
        self.names, self.notes = self.methods("initialise", block)
        some, undecidable = comparable(block.truth)
        self.hidden += undecidable
        cutouts, truth = [block.cutouts[i] for i in some], block.truth[some]
        nodes = {name: as_fit(self.settings, initialise=name) for name in self.names}
        segmentation = nodes[self.names[0]].segment
        found = (
            true_segmentations(cutouts, [block.instances[i] for i in some], segmentation)
            if self.settings.true_masks
            else segment_all(cutouts, segmentation, self.device)
        )
        there = [i for i, one in enumerate(found) if Flag.NO_TARGET not in one.flags]
        for name in self.names:
            with self.seconds.time(name):
                starts = initialise_all(
                    [cutouts[i] for i in there],
                    [found[i] for i in there],
                    nodes[name].initialise,
                    self.device,
                )
            yield _rows(name, cutouts, truth, dict(zip(there, starts)))

    def nothing(self) -> AutogalError:
        return AutogalError(
            "No target is one Sersic profile that can be seen: there is nothing to compare starting values "
            "with.",
            "Evaluate on more stamps (n=), or on others.",
        )

    def report(self, rows: Table) -> Report:
        return _report(
            rows,
            self.names,
            [*self.notes, undecidable_note(self.hidden, self.total)],
            self.settings,
            self.total,
            self.seconds,
        )


def start_errors(start: Start) -> dict[str, float]:
    """1-sigma errors of x, y [px], mag, r_eff (relative), n [dex], q, pa [deg] from a start's covariance; NaN
    without one.

    Parameters
    ----------
    start : Start

    Returns
    -------
    dict of str to float
        By the names of `CATALOGUE`.
    """
    if start.covariance is None:
        return dict.fromkeys(CATALOGUE, np.nan)
    covariance = start.covariance
    # eta = |e| = -ln q at twice the angle of the major axis; r_eff = R exp(eta / 2)
    eta = -np.log(start.values["q"])
    along, across = np.zeros(7), np.zeros(7)
    along[5:] = spin(1.0, start.values["pa"])
    across[5:] = -along[6], along[5]
    size = 0.5 * along
    size[3] += 1
    sigma_along = lambda direction: float(np.sqrt(direction @ covariance @ direction))
    one = np.eye(7)
    turn = np.degrees(sigma_along(across)) / (2 * eta) if eta > 0 else np.inf
    return {
        "x": sigma_along(one[0]),
        "y": sigma_along(one[1]),
        "mag": -MAG * sigma_along(one[2]),
        "r_eff": sigma_along(size),
        "n": sigma_along(one[4]) / np.log(10),
        "q": start.values["q"] * sigma_along(along),
        "pa": min(turn, 180 / np.sqrt(12)),
    }


def _rows(name: str, cutouts: Sequence[Cutout], truth: Table, starts: dict[int, Start]) -> Table:
    rows = rows_of(name, truth)
    value, error = (np.full((len(rows), len(CATALOGUE)), np.nan) for _ in range(2))
    for i, start in starts.items():
        values = start.values | {"mag": magnitude_of(start.values["flux"], cutouts[i].zeropoint)}
        value[i], error[i] = [values[key] for key in CATALOGUE], list(start_errors(start).values())
    for k, key in enumerate(CATALOGUE):
        rows[f"found_{key}"], rows[f"e_{key}"] = value[:, k], error[:, k]
    for key, off in differences(dict(zip(CATALOGUE, value.T)), truth).items():
        rows[key] = off
    rows["fallback"] = [i not in starts or Flag.START_FALLBACK in starts[i].flags for i in range(len(rows))]
    return rows


def _report(
    rows: Table,
    names: list[str],
    notes: list[str],
    settings: DictConfig,
    total: int,
    seconds: dict[str, float],
) -> Report:
    count = len(rows) // len(names)
    masks = "the true masks" if settings.true_masks else f"the masks of segment={settings.segment.name}"
    report = Report(
        f"Starting values of {count} galaxies on {total} stamps of {rows.meta.get('survey')}, with {masks}"
    )
    report.grids = [
        accuracy("good", "S/N above 50", rows, names, _GOOD, required=True),
        calibration("good_inside", rows, names, _GOOD, required=True),
        accuracy("snr", "By signal-to-noise ratio", rows, names, SNR),
        calibration("snr_inside", rows, names, SNR),
        accuracy("r_eff", "By size", rows, names, SIZE),
    ]
    if rows.meta.get("survey") != "general":
        report.grids.append(accuracy("mag", "By magnitude", rows, names, bins_of_magnitude(rows["mag"])))
    fallen = {name: int(np.count_nonzero(rows["fallback"][rows["method"] == name])) for name in names}
    report.notes = [
        "Wrong: nothing estimated, or off by more than 0.5 mag, half of r_eff, or a factor 2 in n. "
        "Position angles: of galaxies with q < 0.7.",
        *(
            f"{name}: another way had to be taken (START_FALLBACK) for {number}."
            for name, number in fallen.items()
            if number
        ),
        *notes,
    ]
    report.facts = {
        "galaxies_per_second": {name: count / spent for name, spent in seconds.items()},
        "fallbacks": fallen,
    }
    report.tables = {"evaluation": rows}
    report.figures = {"initialiser": parameter_figure(rows, names)}
    return report
