"""How the segmentation network learns: losses, symmetries, schedule and what is measured on the way."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytorch_lightning as lightning
import torch
from torch import Tensor

from autogal.segment.network.architecture import build_network, detection_targets
from autogal.segment.network.channels import input_channels
from autogal.segment.network.detections import choose_sources
from autogal.segment.sources import Sources
from autogal.training.optimiser import adamw
from autogal.training.segmenter.scoring import MEASURES, score_stamp, summarise

if TYPE_CHECKING:
    from autogal.simulate.batch import SceneBatch

__all__ = ["SegmenterModule", "find_sources"]

_FLAT_NOISE = 0.2  # part of the training stamps whose sigma map leaves out the sources' own noise
_OFF = 0.1  # part of the training stamps whose target is expected somewhat off its place
_ASTRAY = 2.0  # px; by this much
# part of the training batches that are cut to a smaller stamp: users' come in all shapes, and full of galaxy
_CROPPED = 0.6
_SMALLEST_CROP = 36  # px
_ASIDE = 0.08  # of a side; by so much such a stamp's middle is off the place where the target is expected


class SegmenterModule(lightning.LightningModule):
    """Mask R-CNN on simulated or labelled stamps.

    Parameters
    ----------
    lr : float
        Largest learning rate of AdamW.
    weight_decay : float
    steps : int
        Length of the schedule: a short rise, then half a cosine down to a thirtieth, which later steps keep.
    warm_up : int
        Steps of the rise.

    Notes
    -----
    Batches are `autogal.simulate.batch.SceneBatch` or anything with its ``image``, ``sigma``, ``mask``,
    ``instances``, ``classes``, ``centre``, ``light`` and ``findable``, as
    `autogal.training.segmenter.labelled.LabelledBatch`.
    """

    def __init__(
        self, lr: float = 5e-4, weight_decay: float = 0.01, steps: int = 4000, warm_up: int = 100
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = build_network()
        self._stamps: list[dict[str, float]] = []

    def configure_optimizers(self) -> dict[str, Any]:
        return adamw(self.network, self.hparams.lr, self.hparams.weight_decay, self._rate)

    def _rate(self, step: int) -> float:
        if step < self.hparams.warm_up:
            return (step + 1) / self.hparams.warm_up
        passed = min(1.0, (step - self.hparams.warm_up) / max(1, self.hparams.steps - self.hparams.warm_up))
        return 1 / 30 + (1 - 1 / 30) * (1 + math.cos(math.pi * passed)) / 2

    def training_step(self, batch: SceneBatch, index: int) -> Tensor:
        stamps, truth = _augmented(batch)
        losses = self.network(stamps, truth)
        for name, value in losses.items():
            self.log(f"train/{name}", value.detach(), batch_size=len(stamps))
        total = sum(losses.values())
        self.log("train/loss", total.detach(), prog_bar=True, batch_size=len(stamps))
        return total

    def validation_step(self, batch: SceneBatch, index: int) -> None:
        columns = zip(
            find_sources(self.network, batch),
            batch.instances,
            batch.light,
            batch.findable.tolist(),
            strict=True,
        )
        self._stamps += [
            score_stamp(sources, instances, light)
            for sources, instances, light, findable in columns
            if findable
        ]

    def on_validation_epoch_end(self) -> None:
        measured = summarise(self._stamps)
        self._stamps.clear()
        for name in MEASURES:
            self.log(f"val/{name}", measured[name], prog_bar=name in ("found", "iou"), sync_dist=True)
        # one number to choose the best by: what a fit needs from a segmentation
        quality = [measured[name] for name in ("found", "iou", "covered")] + [1 - measured["false"]]
        self.log(
            "val/quality",
            sum(0.0 if math.isnan(value) else value for value in quality) / len(quality),
            sync_dist=True,
        )


@torch.no_grad()
def find_sources(network: torch.nn.Module, batch: SceneBatch, **choice: float) -> list[Sources]:
    """Sources of every stamp of a batch, by a network in evaluation mode; `choice` goes to `choose_sources`.

    Parameters
    ----------
    network : Module
    batch : SceneBatch
    **choice : float
        ``score`` and ``target_score``.

    Returns
    -------
    list of Sources
    """
    stamps = input_channels(batch.image, batch.sigma, batch.mask, batch.centre)
    shape = tuple(batch.image.shape[1:])
    return [
        choose_sources(found, tuple(centre), shape, **choice)
        for found, centre in zip(network(list(stamps)), batch.centre.tolist(), strict=True)
    ]


def _augmented(batch: SceneBatch) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Input and truth, each stamp turned and mirrored at random, some with another kind of sigma map or
    expected place."""
    count, device = len(batch.image), batch.image.device
    # Users' sigma maps hold the sources' own Poisson noise or do not: the network learns to do with both.
    flat = batch.sigma.flatten(1).quantile(0.2, dim=1)[:, None, None]
    sigma = torch.where(
        torch.rand(count, 1, 1, device=device) < _FLAT_NOISE, flat.clamp(max=batch.sigma), batch.sigma
    )
    centre = batch.centre + _ASTRAY * torch.randn(count, 2, device=device) * (
        torch.rand(count, 1, device=device) < _OFF
    )
    rows, columns = _window(batch.image.shape[1:])
    height, width = rows.stop - rows.start, columns.stop - columns.start
    inputs = input_channels(
        *(part[:, rows, columns] for part in (batch.image, sigma, batch.mask)),
        centre - centre.new_tensor([columns.start, rows.start]),
    )
    stamps, truth = [], []
    for stamp, instances, classes in zip(inputs, batch.instances, batch.classes, strict=True):
        instances = instances[:, rows, columns]
        # a batch has one shape: what is not square is turned upside down only
        turns = (
            int(torch.randint(4, ())) if stamp.shape[1] == stamp.shape[2] else 2 * int(torch.randint(2, ()))
        )
        mirrored = bool(torch.randint(2, ()))
        # what was added to the sides takes part in the turn, so the masks get it too
        grown = torch.nn.functional.pad(instances, (0, stamp.shape[2] - width, 0, stamp.shape[1] - height))
        stamp, grown = (part.rot90(turns, (1, 2)) for part in (stamp, grown))
        if mirrored:
            stamp, grown = stamp.flip(2), grown.flip(2)
        stamps.append(stamp.contiguous())
        truth.append(detection_targets(grown, classes))
    return stamps, truth


def _window(shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns that a batch keeps: often fewer than there are, around the middle."""
    if float(torch.rand(())) > _CROPPED:
        return tuple(slice(0, side) for side in shape)
    kept = []
    for side in shape:
        length = int(torch.randint(min(_SMALLEST_CROP, side), side + 1, ()))
        first = (side - length) / 2 + _ASIDE * length * float(torch.randn(()))
        first = round(min(max(first, 0.0), float(side - length)))
        kept.append(slice(first, first + length))
    return tuple(kept)
