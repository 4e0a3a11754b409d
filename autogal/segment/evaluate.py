"""How good a segmentation is on scenes whose truth is known: tables by brightness, size and S/N, and pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.segment import Segmentation, segment_all
from autogal.segment.detections import Sources
from autogal.segment.pictures import sample_picture
from autogal.segment.scoring import MEASURES, score_stamp, summarise
from autogal.simulate.batch import SceneBatch

__all__ = ["Evaluation", "evaluate_segmenter"]

_BINS = {
    "snr": ("S/N", (0, 20, 50, 200, 1000, np.inf)),
    "depth": ("mag fainter than a source of S/N 1000", (-np.inf, 0, 1, 2, 3, 4, np.inf)),
    "r_eff": ("r_eff [px]", (0, 1, 2, 4, 8, 16, np.inf)),
}
_BRIGHT = 20.0  # S/N of targets that must be found
_SHOWN = 24  # stamps in a picture


@dataclass(slots=True)
class Evaluation:
    """What an evaluation measured.

    Attributes
    ----------
    stamps : list of dict
        As `score_stamp` gives them, with the truth's ``snr``, ``depth`` and ``r_eff``, and ``fallback`` 0 or 1.
    overall : dict
        `MEASURES` of the targets above S/N 20.
    fallback : float
        Part of those stamps where the classical way was taken.
    """

    stamps: list[dict[str, float]]
    overall: dict[str, float]
    fallback: float

    def print(self, console: Console | None = None) -> None:
        """Tables: all targets above S/N 20, then by each quantity."""
        console = console or Console()
        console.print(self._table("targets", [(f"S/N > {_BRIGHT:g}", [one for one in self.stamps if one["snr"] > _BRIGHT])]))
        for key, (title, edges) in _BINS.items():
            rows = [(f"{low:g} - {high:g}", [one for one in self.stamps if low <= one[key] < high])
                    for low, high in zip(edges, edges[1:])]
            console.print(self._table(title, rows))

    @staticmethod
    def _table(title: str, rows: Sequence[tuple[str, list[dict[str, float]]]]) -> Table:
        table = Table(title, "stamps", *MEASURES)
        for name, stamps in rows:
            if stamps:
                values = summarise(stamps)
                table.add_row(name, str(len(stamps)), *(f"{values[measure]:.3f}" for measure in MEASURES))
        return table


def evaluate_segmenter(draw: Callable[[int, int], SceneBatch], settings, count: int, folder: str | Path | None = None,
                       batch: int = 32, device: torch.device | str = "cpu") -> Evaluation:
    """Segment fresh scenes as ``autogal fit`` does and compare with the truth.

    Parameters
    ----------
    draw : callable
        ``draw(batch, step)``, as of a `autogal.simulate.source.SceneSource` with a seed that no training used.
    settings
        Configuration node ``segment``, of any method: two evaluations on the same scenes compare two methods.
    count : int
        Stamps, at least; whole batches are drawn.
    folder : path, optional
        Where ``segmenter.png`` (the first stamps) and ``segmenter_worst.png`` (the least overlaps) are written.
    batch : int
    device : torch.device or str

    Returns
    -------
    Evaluation
    """
    stamps, kept = [], []
    for step in range(-(-count // batch)):
        scenes = draw(batch, step)
        cutouts = [_cutout(scenes, i) for i in range(batch)]
        for i, found in enumerate(segment_all(cutouts, settings, device)):
            sources = _sources(found)
            truth = {name: float(value[i]) for name, value in scenes.truth.items()}
            one = score_stamp(sources, scenes.instances[i].cpu(), (scenes.image[i] - truth["sky"]).cpu())
            one |= {"snr": truth["snr"], "depth": -2.5 * np.log10(max(truth["snr"], 1e-9) / 1000), "r_eff": truth["r_eff"],
                    "fallback": float(Flag.MASK_FALLBACK in found.flags)}
            stamps.append(one)
            kept.append((one["iou"] if truth["snr"] > _BRIGHT else 2.0, scenes.image[i], scenes.sigma[i], scenes.instances[i], sources))
        # only what the pictures may need stays in memory
        kept = kept[:_SHOWN] + sorted(kept[_SHOWN:], key=lambda one: one[0])[:_SHOWN]
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        worst = sorted(kept, key=lambda one: one[0])[:_SHOWN]
        for name, some in (("segmenter.png", kept[:_SHOWN]), ("segmenter_worst.png", worst)):
            _, images, sigmas, instances, sources = zip(*some, strict=True)
            sample_picture(Path(folder) / name, torch.stack(images), torch.stack(sigmas), instances, sources)
    bright = [one for one in stamps if one["snr"] > _BRIGHT]
    return Evaluation(stamps, summarise(bright), float(np.mean([one["fallback"] for one in bright])) if bright else float("nan"))


def _cutout(scenes: SceneBatch, i: int) -> Cutout:
    return Cutout(f"scene {i}", scenes.image[i].cpu().numpy(), scenes.sigma[i].cpu().numpy(), scenes.mask[i].cpu().numpy(),
                  scenes.psf[i].double().cpu().numpy())


def _sources(found: Segmentation) -> Sources:
    """The footprints, before they were grown."""
    labels = torch.from_numpy(found.labels)
    others: list[Tensor] = [labels == k for k in range(2, int(labels.max()) + 1)]
    neighbours = torch.stack(others) if others else torch.zeros((0, *labels.shape), dtype=torch.bool)
    return Sources(labels == 1, neighbours, 1.0 if (labels == 1).any() else 0.0, torch.ones(len(others)))
