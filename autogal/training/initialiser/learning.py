"""How the network of starting values learns: losses, symmetries, schedule and what is measured on the way."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import Tensor
from torch.nn.functional import huber_loss

from autogal.initialise.network.architecture import StartNetwork, coverage_loss, sized, student_nll
from autogal.initialise.network.targets import flip
from autogal.training.initialiser.plots import plot_predictions
from autogal.training.initialiser.scoring import score
from autogal.training.optimiser import adamw

__all__ = ["InitialiserModule"]

_FINAL = 0.01  # of the learning rate, at the end of the cosine
_RISE = 200  # steps until the learning rate is reached


class InitialiserModule(lightning.LightningModule):
    """The network on batches of `autogal.training.initialiser.examples`.

    First the means alone are drawn near the truth by a Huber loss, while the covariance follows them; then
    the likelihood of the truths is what counts, and that their 68 % are those of the errors. Without the
    first part the likelihood finds it easier to call everything uncertain than to learn. In the last part the
    convolutions stand still and no example is seen twice: errors of examples that were seen before look
    smaller than they are.

    Parameters
    ----------
    lr : float
        Largest learning rate of AdamW.
    weight_decay : float
    steps : int
        Length of the schedule: a short rise, then a cosine.
    warm_up : float
        Part of `steps` with the Huber loss.
    photometry : float
        Part of `steps` in which the layers behind the photometry learn alone: many times faster than with the
        convolutions, whose corrections then are small.
    freeze_backbone : float
        Part of `steps`, the last, in which the convolutions do not learn.
    """

    def __init__(
        self,
        lr: float = 1e-3,
        weight_decay: float = 0.02,
        steps: int = 3000,
        warm_up: float = 0.05,
        photometry: float = 0.5,
        freeze_backbone: float = 0.2,
    ):
        super().__init__()
        self.save_hyperparameters()
        self.network = StartNetwork()
        self._seen: list[tuple[Tensor, ...]] = []
        self._last: tuple[Tensor, ...] | None = None

    def configure_optimizers(self) -> dict[str, Any]:
        return adamw(self.network, self.hparams.lr, self.hparams.weight_decay, self._rate)

    def _rate(self, step: int) -> float:
        rise = min(_RISE, 0.1 * self.hparams.steps)
        if step < rise:
            return (step + 1) / (rise + 1)
        passed = min(1.0, (step - rise) / max(1.0, self.hparams.steps - rise))
        return _FINAL + (1 - _FINAL) * (1 + math.cos(math.pi * passed)) / 2

    def _uses_pixels(self) -> bool:
        """Whether the convolutions take part: late in a training from scratch, from the first step in all
        others."""
        return self.global_step >= self.hparams.photometry * self.hparams.steps or bool(
            self.network.last.weight.any()
        )

    def _backbone_is_frozen(self) -> bool:
        return self.global_step >= (1 - self.hparams.freeze_backbone) * self.hparams.steps

    def on_before_optimizer_step(self, optimizer) -> None:
        if self._backbone_is_frozen():
            for parameter in self.network.body.parameters():
                parameter.grad = None  # what has none is left alone, by momentum and decay too

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor | None:
        channels, features, targets = _mirrored(batch)
        if len(channels) < 2:  # too few for a batch's statistics
            return None
        self.network.body.train(not self._backbone_is_frozen())  # their statistics neither
        mean, factor = self.network(
            _laid_out(channels), features, self._uses_pixels(), learn=not self._backbone_is_frozen()
        )
        truth = self.network.standardise(targets)
        if self.global_step < self.hparams.warm_up * self.hparams.steps:
            near = huber_loss(mean, truth)
            loss = near + 0.1 * student_nll(mean.detach(), factor, truth).mean()
            self.log("train/huber", near.detach(), batch_size=len(channels))
        else:
            loss = _loss(mean, factor, truth).mean()
        self.log("train/loss", loss.detach(), prog_bar=True, batch_size=len(channels))
        if self.trainer.world_size > 1:
            # every process waits for the gradient of every weight
            loss = loss + 0 * sum(parameter.sum() for parameter in self.network.parameters())
        return loss

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        mean, factor = self.network(_laid_out(batch["channels"]), batch["features"], self._uses_pixels())
        truth = self.network.standardise(batch["targets"])
        loss = _loss(mean, factor, truth).clamp(max=20)
        self.log("val/loss", loss.mean(), prog_bar=True, sync_dist=True, batch_size=len(mean))
        self._seen.append(
            (
                *self.network.described(mean, factor, batch["features"]),
                batch["targets"],
                batch["radius"],
                batch["snr"],
            )
        )

    def on_validation_epoch_end(self) -> None:
        if not self._seen:
            return
        seen = [torch.cat(parts).float().cpu() for parts in zip(*self._seen, strict=True)]
        self._seen.clear()
        self._last = tuple(seen)
        for name, value in score(*seen).items():
            self.log(f"val/{name}", value, sync_dist=True)

    def plot(self, path: Path) -> None:
        """Draw the last validation."""
        if self._last is not None:
            predicted, covariance, truth, _, snr = self._last
            plot_predictions(path, predicted, covariance, truth, snr)


def _loss(mean: Tensor, factor: Tensor, truth: Tensor) -> Tensor:
    """The likelihood teaches means and correlations; its errors would hold more than 68 % wherever wings
    are narrower than its own."""
    return student_nll(mean, sized(factor), truth) + coverage_loss(mean, factor, truth)


def _laid_out(channels: Tensor) -> Tensor:
    """Channels last: convolutions on a CPU are nearly twice as fast."""
    return channels.contiguous(memory_format=torch.channels_last)


def _mirrored(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Channels, features and targets, each crop in one of its eight orientations."""
    channels = batch["channels"]
    left, up, swap = torch.rand(3, len(channels), device=channels.device) < 0.5
    return flip(channels, batch["features"], batch["targets"], left, up, swap)
