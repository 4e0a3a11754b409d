"""The Trainer: devices, states to resume from, logs, and a line for a person after each validation."""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import (
    Callback,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
)
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch.utils.data import DataLoader, IterableDataset

from autogal.errors import AutogalError
from autogal.runtime.trainer import make_trainer
from autogal.training.task import Task

__all__ = ["BEST", "PLOT", "STATE", "Supply", "training_trainer"]

STATE, BEST, PLOT = "last.ckpt", "best.ckpt", "predictions.png"  # in the folder of the training's state

_log = logging.getLogger(__name__)

_DIVERGED = 20  # steps


class Supply(lightning.LightningDataModule):
    """Batches of a task for each process of a Trainer.

    Parameters
    ----------
    task : Task
    workers : int
        Processes that make the training batches; 0 for none of their own.
    """

    def __init__(self, task: Task, workers: int = 0):
        super().__init__()
        self.task, self.workers = task, workers

    def train_dataloader(self) -> DataLoader:
        # Asked for after a state has been restored, so that a resumed run sees scenes it has not seen.
        world = self.trainer.world_size
        batches = self.task.examples(self.trainer.global_step * world, self.trainer.global_rank, world)
        return DataLoader(
            batches, batch_size=None, num_workers=self.workers, persistent_workers=self.workers > 0
        )

    def val_dataloader(self) -> DataLoader:
        return DataLoader(
            _Kept(self.task.validation(self.trainer.global_rank, self.trainer.world_size)), batch_size=None
        )


def training_trainer(task: Task, settings: DictConfig, folder: Path) -> lightning.Trainer:
    """A Trainer of Lightning as ``settings.trainer`` has it, that keeps its state and log in `folder`.

    Parameters
    ----------
    task : Task
    settings : DictConfig
        From ``conf/train.yaml``.
    folder : Path
        That exists.

    Returns
    -------
    Trainer

    Raises
    ------
    AutogalError
        Where Lightning refuses an argument, as more GPUs than there are.
    """
    given: dict[str, Any] = OmegaConf.to_container(settings.trainer, resolve=True)
    if given.get("devices") == "auto":
        given["devices"] = 1  # more would change how many stamps make a step
    precision = given.pop("precision", "auto")
    if precision == "auto":
        on_gpu = given.get("accelerator") in ("auto", "gpu", "cuda") and torch.cuda.is_available()
        precision = "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"
    loggers = [CSVLogger(folder, name="log")]
    if find_spec("tensorboard"):
        loggers.append(TensorBoardLogger(folder, name="log"))
    terminal = sys.stderr.isatty()
    callbacks: list[Callback] = [
        ModelCheckpoint(
            folder,
            filename=Path(BEST).stem,
            monitor=task.monitor,
            mode=task.mode,
            save_weights_only=True,
            enable_version_counter=False,
        ),
        # the state after each validation too: a kill loses no more than `save_every` minutes
        ModelCheckpoint(
            folder,
            filename=Path(STATE).stem,
            train_time_interval=timedelta(minutes=settings.save_every),
            enable_version_counter=False,
            save_on_exception=True,
        ),
        EarlyStopping(
            task.monitor, mode=task.mode, patience=settings.patience, check_on_train_epoch_end=False
        ),
        LearningRateMonitor(),
        _Finite(),
        _Report(task, folder),
    ]
    if terminal:
        callbacks.append(RichProgressBar(leave=True))
    return make_trainer(
        given,
        precision=precision,
        max_steps=settings.network.steps,
        max_epochs=-1,
        val_check_interval=_interval(settings.network.steps, settings.network.validate_every),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        logger=loggers,
        callbacks=callbacks,
        plugins=[_WholeFiles()],
        enable_progress_bar=terminal,
        default_root_dir=folder,
    )


def _interval(steps: int, validate_every: int) -> int:
    """Steps between validations: about as many as asked for, so that the end of the schedule, mostly the
    best, is among them."""
    return max(1, steps // math.ceil(steps / validate_every))


class _WholeFiles(TorchCheckpointIO):
    """States that are complete or not there: a run may be killed while it writes one."""

    def save_checkpoint(self, checkpoint, path, storage_options=None) -> None:
        part = f"{path}.part"
        super().save_checkpoint(checkpoint, part, storage_options)
        os.replace(part, path)


class _Kept(IterableDataset):
    """Batches that are made once and kept: every validation sees the same."""

    def __init__(self, batches: IterableDataset):
        self.batches = batches
        self._made: list[Any] | None = None

    def __iter__(self):
        if self._made is None:
            self._made = list(self.batches)
        return iter(self._made)


class _Finite(Callback):
    """A step whose gradient is not finite is left out; many in a row end the training, with the last sound
    weights."""

    def __init__(self):
        self._in_a_row = 0

    def on_before_optimizer_step(self, trainer, module, optimizer) -> None:
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        if not gradients or torch.nn.utils.get_total_norm(gradients).isfinite():
            self._in_a_row = 0
            return
        for gradient in gradients:
            gradient.zero_()
        self._in_a_row += 1
        _log.warning("step %d is left out: its gradient is not finite", trainer.global_step)
        if self._in_a_row == _DIVERGED:
            raise AutogalError(
                f"The training diverged: for {_DIVERGED} steps, to step {trainer.global_step}, no gradient "
                f"was finite.",
                "Lower network.lr or trainer.gradient_clip_val, and start again without resume=true.",
            )


class _Report(Callback):
    """A line and a plot after each validation."""

    def __init__(self, task: Task, folder: Path):
        self.task, self.folder = task, folder
        self._since = time.monotonic()
        self._steps: int | None = None

    def on_train_start(self, trainer, module) -> None:
        self._since, self._steps = time.monotonic(), trainer.global_step

    def on_validation_end(self, trainer, module) -> None:
        if not trainer.is_global_zero or self._steps is None:
            return
        metrics = trainer.callback_metrics
        seconds, steps = time.monotonic() - self._since, trainer.global_step - self._steps
        found = "  ".join(
            f"{name.removeprefix('val/')} {float(metrics[name]):.4g}"
            for name in self.task.shown
            if name in metrics
        )
        rate = f", {seconds / steps:.2f} s a step" if steps else ""
        line = f"step {trainer.global_step} of {trainer.max_steps}{rate}: {found}"
        _log.info(line)
        print(line, flush=True)
        if self.task.plot is not None:
            self.task.plot(self.folder / PLOT)
        self.on_train_start(trainer, module)
