"""How good segmentations are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from astropy.table import Table, vstack
from omegaconf import DictConfig

from autogal.evaluate.evaluation import Evaluation, by_bins, rows_of
from autogal.evaluate.figures import segmenter_figure
from autogal.evaluate.methods import as_fit
from autogal.evaluate.statistics import SIZE, SNR, Bins, bins_of_magnitude, median, share
from autogal.evaluate.truth import DECIDABLE, undecidable_note
from autogal.evaluate.whole import measure_whole, whole_grid
from autogal.flags import Flag
from autogal.report.facts import Grid, Report
from autogal.segment import Segmentation, segment_all
from autogal.segment.sources import Sources
from autogal.simulate import Simulation
from autogal.training.segmenter.plots import plot_samples
from autogal.training.segmenter.scoring import match_neighbours, score_stamp

__all__ = ["DIFFERENCE", "SegmenterEvaluation"]

#: Of a neighbour's magnitude and the target's, by the light on their own pixels
DIFFERENCE = Bins("difference", "neighbour less target [mag]", (-np.inf, -2, -1, 0, 1, 2, 3, 4, np.inf))

_GOOD = Bins("snr", "S/N", (20, np.inf))
_BRIGHTEST = Bins("brightest", "brightest neighbour less target [mag]", (-np.inf, -2, -1, 0, 1, 2, np.inf))
_OVERLAP = 0.5  # intersection over union, from which a target's mask is the target's
_SHOWN = 24  # stamps in a plot
_COLUMNS = {
    "": "{method}",
    "stamps": "{stamps}",
    "target found": "{found:.1%}",
    "IoU > 0.3": "{right:.1%}",
    "median IoU": "{iou:.3f}",
    "neighbours found": "{neighbours:.1%}",
    "their light masked": "{covered:.1%}",
    "false sources": "{false:.1%}",
    "fallback": "{fallback:.1%}",
}
_REQUIRED = {
    "target found": ">= 99.5%",
    "median IoU": ">= 0.850",
    "neighbours found": ">= 95.0%",
    "false sources": "< 3.0%",
}


class SegmenterEvaluation(Evaluation):
    """Segment as ``autogal fit`` does and compare with the true footprints; what is mostly structure is
    fitted too.

    Outlines on stamps, the first and those of the least overlap, are plotted into the folder.
    """

    def __init__(self, settings: DictConfig, device: torch.device, folder: Path):
        super().__init__(settings, device, folder)
        self.names: list[str] = []
        self.notes: list[str] = []
        self.neighbours: list[tuple] = []
        self.wholes: list[Table] = []
        self.plotted: dict[str, list] = {}

    def measure(self, block: Simulation) -> Iterator[Table]:
        self.names, self.notes = self.methods("segment", block)
        for name in self.names:
            with self.seconds.time(name):
                found = segment_all(block.cutouts, as_fit(self.settings, segment=name).segment, self.device)
            part, others = _measure(name, block, found)
            self.neighbours += others
            self.plotted[name] = _keep(self.plotted.get(name, []), block, found, part)
            yield part
        self.wholes += [some for some in [measure_whole(block, self.settings, self.device)] if len(some)]

    def report(self, rows: Table) -> Report:
        differences = Table(
            rows=self.neighbours,
            names=("id", "method", "snr", "difference", "found"),
            dtype=(str, str, float, float, bool),
        )
        plots = [
            _plot(self.folder / f"segmenter_{_file_name(name)}_{kind}.png", some, kind)
            for name, some in self.plotted.items()
            for kind in ("first", "worst")
        ]
        report = _report(
            rows, differences, self.names, self.notes, self.seconds, [path.name for path in plots]
        )
        if self.wholes:
            report.tables["whole"] = vstack(self.wholes, metadata_conflicts="silent")
            report.grids.append(whole_grid(report.tables["whole"]))
        return report


def _file_name(method: str) -> str:
    """A method's name in that of a file: of one's own, MODULE:FUNCTION, the last part."""
    return method.rpartition(":")[2]


def _measure(name: str, block: Simulation, found: list[Segmentation]) -> tuple[Table, list[tuple]]:
    """One row a stamp, and one a neighbour that can be seen."""
    scores, others = [], []
    for i, one in enumerate(found):
        truth, instances = block.truth[i], torch.from_numpy(block.instances[i])
        image = torch.from_numpy(
            np.where(block.cutouts[i].mask, 0.0, block.cutouts[i].image - truth["sky"]).astype(np.float32)
        )
        sources = _sources(one)
        score = score_stamp(sources, instances, image)
        near = match_neighbours(sources, instances, image)
        score |= {
            "right": score["found"],
            "found": float(score["iou"] > _OVERLAP),
            "fallback": float(Flag.MASK_FALLBACK in one.flags),
            "brightest": min((difference for difference, _ in near), default=np.inf),
        }
        scores.append(score)
        others += [(truth["id"], name, truth["snr"], *pair) for pair in near]
    rows = rows_of(name, block.truth)
    for key in scores[0]:
        rows[key] = [score[key] for score in scores]
    return rows, others


def _sources(found: Segmentation) -> Sources:
    """The footprints, before they were grown."""
    labels = torch.from_numpy(found.labels)
    others = [labels == k for k in range(2, int(labels.max()) + 1)]
    neighbours = torch.stack(others) if others else torch.zeros((0, *labels.shape), dtype=torch.bool)
    return Sources(labels == 1, neighbours, 1.0 if (labels == 1).any() else 0.0, torch.ones(len(others)))


def _summarise(rows: Table) -> dict[str, Any]:
    total = lambda name: float(np.sum(rows[name]))
    return {
        "stamps": len(rows),
        "found": share(total("found"), len(rows)),
        "right": share(total("right"), len(rows)),
        "iou": median(np.asarray(rows["iou"], float)),
        "neighbours": share(total("bright_found"), total("bright")),
        "covered": share(total("light_covered"), total("light")),
        "false": share(total("false"), total("sources")),
        "fallback": share(total("fallback"), len(rows)),
    }


def _grid(name: str, title: str, rows: Table, names: list[str], bins: Bins, required: bool = False) -> Grid:
    return Grid(
        name,
        title,
        {bins.title: "{group}", **_COLUMNS},
        by_bins(rows, names, bins, _summarise),
        _REQUIRED if required else {},
    )


def _report(
    rows: Table,
    neighbours: Table,
    names: list[str],
    notes: list[str],
    seconds: dict[str, float],
    plots: list[str],
) -> Report:
    total = len(rows) // len(names)
    decidable = np.asarray(rows["visible"]) >= DECIDABLE
    counted, hidden = rows[decidable], rows[~decidable]
    report = Report(f"Masks on {total} stamps of {rows.meta.get('survey')}")
    report.grids = [
        _grid("good", "Targets of S/N above 20", counted, names, _GOOD, required=True),
        _grid("snr", "By signal-to-noise ratio", counted, names, SNR),
        _grid("r_eff", "By size", counted, names, SIZE),
        _grid("brightest", "By the brightest neighbour (> 2 mag: or none)", counted, names, _BRIGHTEST),
    ]
    if rows.meta.get("survey") != "general":
        report.grids.append(_grid("mag", "By magnitude", counted, names, bins_of_magnitude(rows["mag"])))
    if len(hidden):
        report.grids.append(
            _grid(
                "undecidable",
                "Undecidable targets, which do not count above",
                hidden,
                names,
                Bins("snr", "S/N", (0, np.inf)),
            )
        )
    if len(neighbours):
        found = by_bins(
            neighbours,
            names,
            DIFFERENCE,
            lambda some: {
                "neighbours": len(some),
                "found": share(np.count_nonzero(some["found"]), len(some)),
            },
        )
        report.grids.append(
            Grid(
                "neighbours",
                "Neighbours found, by their brightness",
                {
                    DIFFERENCE.title: "{group}",
                    "": "{method}",
                    "neighbours": "{neighbours}",
                    "found": "{found:.1%}",
                },
                found,
            )
        )
    report.notes = [
        "Target found: the source chosen as the target overlaps the true one by IoU > 0.5. Neighbours: "
        "brighter than target + 2 mag, IoU >= 0.3. "
        "False: true sources fill less than half of it; true ones that nowhere reach 1 sigma a pixel are "
        "not among them.",
        undecidable_note(len(hidden) // len(names), total),
        *notes,
    ]
    report.facts = {
        "stamps_per_second": {name: total / spent for name, spent in seconds.items()},
        "pictures": plots,
    }
    report.tables = (
        {"evaluation": rows, "neighbours": neighbours} if len(neighbours) else {"evaluation": rows}
    )
    report.figures = {"segmenter": segmenter_figure(counted, neighbours, names)}
    return report


def _keep(before: list, block: Simulation, found: list[Segmentation], rows: Table) -> list:
    """What the plots may need: the first stamps and those of the least overlap; the others' images are let
    go."""
    both = before + [
        (
            float(row["iou"]) if row["snr"] > _GOOD.edges[0] and row["visible"] >= DECIDABLE else 2.0,
            cutout.image - row["sky"],
            cutout.sigma,
            masks,
            _sources(one),
        )
        for row, cutout, masks, one in zip(rows, block.cutouts, block.instances, found, strict=True)
    ]
    return both[:_SHOWN] + sorted(both[_SHOWN:], key=lambda one: one[0])[:_SHOWN]


def _plot(path: Path, kept: list, kind: str) -> Path:
    some = kept[:_SHOWN] if kind == "first" else sorted(kept, key=lambda one: one[0])[:_SHOWN]
    some = [one for one in some if one[1].shape == some[0][1].shape]
    _, images, sigmas, instances, sources = zip(*some, strict=True)
    stacked = [
        torch.from_numpy(np.stack([np.asarray(one, np.float32) for one in arrays]))
        for arrays in (images, sigmas)
    ]
    return plot_samples(path, *stacked, [torch.from_numpy(one) for one in instances], sources)
