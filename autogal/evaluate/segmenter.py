"""How good segmentations are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from astropy.table import Table, vstack
from omegaconf import DictConfig

from autogal.evaluate.figures import segmenter_figure
from autogal.evaluate.methods import as_fit, methods
from autogal.report.facts import Grid, Report
from autogal.evaluate.statistics import SIZE, SNR, Bins, bins_of_magnitude, median, share
from autogal.evaluate.truth import DECIDABLE, undecidable_note
from autogal.evaluate.whole import measure_whole, whole_grid
from autogal.flags import Flag
from autogal.segment import Segmentation, segment_all
from autogal.segment.network.detections import Sources
from autogal.training.segmenter.pictures import sample_picture
from autogal.training.segmenter.scoring import match_neighbours, score_stamp
from autogal.simulate import Simulation

__all__ = ["DIFFERENCE", "evaluate_segmenter"]

#: Of a neighbour's magnitude and the target's, by the light on their own pixels
DIFFERENCE = Bins("difference", "neighbour less target [mag]", (-np.inf, -2, -1, 0, 1, 2, 3, 4, np.inf))

_GOOD = Bins("snr", "S/N", (20, np.inf))
_BRIGHTEST = Bins("brightest", "brightest neighbour less target [mag]", (-np.inf, -2, -1, 0, 1, 2, np.inf))
_OVERLAP = 0.5  # intersection over union, from which a target's mask is the target's
_SHOWN = 24  # stamps in a picture
_COLUMNS = {"": "{method}", "stamps": "{stamps}", "target found": "{found:.1%}", "IoU > 0.3": "{right:.1%}", "median IoU": "{iou:.3f}",
            "neighbours found": "{neighbours:.1%}", "their light masked": "{covered:.1%}", "false sources": "{false:.1%}",
            "fallback": "{fallback:.1%}"}
_REQUIRED = {"target found": ">= 99.5%", "median IoU": ">= 0.850", "neighbours found": ">= 95.0%", "false sources": "< 3.0%"}


def evaluate_segmenter(blocks: Iterator[Simulation], settings: DictConfig, device: torch.device, folder: Path) -> Report:
    """Segment as ``autogal fit`` does and compare with the true footprints; what is mostly structure is fitted too.

    Parameters
    ----------
    blocks : iterator of Simulation
    settings : DictConfig
        Of ``conf/evaluate.yaml``.
    device : torch.device
    folder : Path
        Where the pictures of stamps are written: the first, and those of the least overlap.

    Returns
    -------
    Report

    Raises
    ------
    AutogalError
        Where a checkpoint is missing.
    """
    stamps, neighbours, wholes, names, notes = [], [], [], [], []
    kept: dict[str, list] = {}
    seconds: dict[str, float] = {}
    for block in blocks:
        if not names:
            names, notes = methods(settings, "segment", min(min(cutout.shape) for cutout in block.cutouts), device)
        for name in names:
            begin = time.perf_counter()
            found = segment_all(block.cutouts, as_fit(settings, segment=name).segment, device)
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begin
            part, others = _measure(name, block, found)
            stamps.append(part)
            neighbours += others
            kept[name] = _keep(kept.get(name, []), block, found, part)
        wholes.append(measure_whole(block, settings, device))
    rows = vstack(stamps, metadata_conflicts="silent")
    differences = Table(rows=neighbours, names=("id", "method", "snr", "difference", "found"), dtype=("U64", "U32", float, float, bool))
    pictures = [_picture(folder / f"segmenter_{name}_{kind}.png", some, kind) for name, some in kept.items() for kind in ("first", "worst")]
    report = _report(rows, differences, names, notes, seconds, [path.name for path in pictures])
    if any(len(one) for one in wholes):
        report.tables["whole"] = vstack([one for one in wholes if len(one)], metadata_conflicts="silent")
        report.grids.append(whole_grid(report.tables["whole"]))
    return report


def _measure(name: str, block: Simulation, found: list[Segmentation]) -> tuple[Table, list[tuple]]:
    """One row a stamp, and one a neighbour that can be seen."""
    scores, others = [], []
    for i, one in enumerate(found):
        truth, instances = block.truth[i], torch.from_numpy(block.instances[i])
        image = torch.from_numpy(np.where(block.cutouts[i].mask, 0.0, block.cutouts[i].image - truth["sky"]).astype(np.float32))
        sources = _sources(one)
        score = score_stamp(sources, instances, image)
        near = match_neighbours(sources, instances, image)
        score |= {"right": score["found"], "found": float(score["iou"] > _OVERLAP), "fallback": float(Flag.MASK_FALLBACK in one.flags),
                  "brightest": min((difference for difference, _ in near), default=np.inf)}
        scores.append(score)
        others += [(truth["id"], name, truth["snr"], *pair) for pair in near]
    rows = block.truth.copy()
    rows["method"] = np.full(len(rows), name, dtype="U32")
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
    total = lambda name: float(np.sum(rows[name]))  # noqa: E731
    return {"stamps": len(rows), "found": share(total("found"), len(rows)), "right": share(total("right"), len(rows)),
            "iou": median(np.asarray(rows["iou"], float)), "neighbours": share(total("bright_found"), total("bright")),
            "covered": share(total("light_covered"), total("light")), "false": share(total("false"), total("sources")),
            "fallback": share(total("fallback"), len(rows))}


def _grid(name: str, title: str, rows: Table, names: list[str], bins: Bins, required: bool = False) -> Grid:
    found = []
    for group, members in bins.split(np.asarray(rows[bins.column], float)):
        some = rows[members]
        found += [{"group": group, "method": method, **_summarise(some[some["method"] == method])} for method in names]
    return Grid(name, title, {bins.title: "{group}", **_COLUMNS}, found, _REQUIRED if required else {})


def _report(rows: Table, neighbours: Table, names: list[str], notes: list[str], seconds: dict[str, float], pictures: list[str]) -> Report:
    total = len(rows) // len(names)
    decidable = np.asarray(rows["visible"]) >= DECIDABLE
    counted, hidden = rows[decidable], rows[~decidable]
    report = Report(f"Masks on {total} stamps of {rows.meta.get('survey')}")
    report.grids = [_grid("good", "Targets of S/N above 20", counted, names, _GOOD, required=True),
                    _grid("snr", "By signal-to-noise ratio", counted, names, SNR), _grid("r_eff", "By size", counted, names, SIZE),
                    _grid("brightest", "By the brightest neighbour (> 2 mag: or none)", counted, names, _BRIGHTEST)]
    if rows.meta.get("survey") != "general":
        report.grids.append(_grid("mag", "By magnitude", counted, names, bins_of_magnitude(rows["mag"])))
    if len(hidden):
        report.grids.append(_grid("undecidable", "Undecidable targets, which do not count above", hidden, names, Bins("snr", "S/N", (0, np.inf))))
    if len(neighbours):
        found = []
        for group, members in DIFFERENCE.split(np.asarray(neighbours["difference"])):
            some = neighbours[members]
            for method in names:
                own = some[some["method"] == method]
                found.append({"group": group, "method": method, "neighbours": len(own), "found": share(np.count_nonzero(own["found"]), len(own))})
        report.grids.append(Grid("neighbours", "Neighbours found, by their brightness",
                                 {DIFFERENCE.title: "{group}", "": "{method}", "neighbours": "{neighbours}", "found": "{found:.1%}"}, found))
    report.grids = [grid for grid in report.grids if grid.rows]
    report.notes = ["Target found: the source chosen as the target overlaps the true one by IoU > 0.5. Neighbours: brighter than target + 2 mag, IoU >= 0.3. "
                    "False: true sources fill less than half of it; true ones that nowhere reach 1 sigma a pixel are not among them.",
                    undecidable_note(len(hidden) // len(names), total), *notes]
    report.facts = {"stamps_per_second": {name: total / spent for name, spent in seconds.items()}, "pictures": pictures}
    report.tables = {"evaluation": rows, "neighbours": neighbours} if len(neighbours) else {"evaluation": rows}
    report.figures = {"segmenter": segmenter_figure(counted, neighbours, names)}
    return report


def _keep(before: list, block: Simulation, found: list[Segmentation], rows: Table) -> list:
    """What the pictures may need: the first stamps and those of the least overlap; the others' images are let go."""
    both = before + [(float(row["iou"]) if row["snr"] > _GOOD.edges[0] and row["visible"] >= DECIDABLE else 2.0, cutout.image - row["sky"],
                      cutout.sigma, masks, _sources(one))
                     for row, cutout, masks, one in zip(rows, block.cutouts, block.instances, found, strict=True)]
    return both[:_SHOWN] + sorted(both[_SHOWN:], key=lambda one: one[0])[:_SHOWN]


def _picture(path: Path, kept: list, kind: str) -> Path:
    some = kept[:_SHOWN] if kind == "first" else sorted(kept, key=lambda one: one[0])[:_SHOWN]
    some = [one for one in some if one[1].shape == some[0][1].shape]
    _, images, sigmas, instances, sources = zip(*some, strict=True)
    stacked = [torch.from_numpy(np.stack([np.asarray(one, np.float32) for one in arrays])) for arrays in (images, sigmas)]
    return sample_picture(path, *stacked, [torch.from_numpy(one) for one in instances], sources)
