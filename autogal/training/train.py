"""The training of a network: from settings to a checkpoint and its card."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from omegaconf import DictConfig, OmegaConf

from autogal.networks.checkpoint import find, load, save, stem_name
from autogal.runtime.files import ensure_writable
from autogal.runtime.trainer import one_device_a_job
from autogal.training.settings import check
from autogal.training.task import Task
from autogal.training.tasks import build_task
from autogal.training.trainer import BEST, STATE, Supply, training_trainer

__all__ = ["train"]

_log = logging.getLogger(__name__)


def train(settings: DictConfig) -> Path:
    """Train a network and write its checkpoint into ``settings.out``.

    Parameters
    ----------
    settings : DictConfig
        From ``conf/train.yaml``, as ``compose("train", ["network=segmenter", "survey=sdss"])`` makes it;
        ``network.name`` says which network.

    Returns
    -------
    Path
        Stem of the checkpoint.

    Raises
    ------
    AutogalError
        For settings that mean nothing, a checkpoint to start from that does not fit, or weights that became
        infinite.
    KeyboardInterrupt
        On Ctrl-C, after the state to resume from has been written.
    """
    check(settings)
    one_device_a_job(settings)
    lightning.seed_everything(settings.seed, verbose=False)
    task = build_task(settings)
    stem = ensure_writable(settings.out) / stem_name(
        task.name, settings.survey.name, settings.size, settings.survey.band
    )
    folder = ensure_writable(Path(settings.out) / f"{stem.name}.training")
    state = folder / STATE
    resumed = settings.resume and state.exists()
    if settings.resume and not resumed:
        _log.warning("nothing to resume in %s: training begins anew", folder)
    origin = None if resumed else _begin(task, settings)
    trainer = training_trainer(task, settings, folder)
    supply = Supply(task, settings.workers)
    try:
        trainer.fit(
            task.module, datamodule=supply, ckpt_path=str(state) if resumed else None, weights_only=True
        )
    except SystemExit as ended:  # what Lightning makes of Ctrl-C
        raise (KeyboardInterrupt if trainer.interrupted else ended) from None
    if (folder / BEST).exists():
        best = torch.load(folder / BEST, map_location="cpu", weights_only=True)
        task.module.load_state_dict(best["state_dict"])
    task.finish()
    measured = trainer.validate(task.module, datamodule=supply, verbose=False)[0]
    if trainer.is_global_zero:
        weights = save(
            stem, task.module.network.state_dict(), _card(task, settings, trainer, measured, origin)
        )
        _log.info("wrote %s", weights)
        print(f"Wrote {weights}. Use it: autogal fit ... checkpoints={settings.out}", flush=True)
    trainer.strategy.barrier()
    return stem


def _begin(task: Task, settings: DictConfig) -> str | None:
    """Load the weights to start from; the name of their checkpoint, None for random ones."""
    if settings.from_scratch:
        task.prepare()
        return None
    stem = find(task.name, settings.checkpoints, settings.survey.name, settings.size, settings.survey.band)
    if stem is None:
        _log.warning("there are no weights of a %s to start from: it is trained from scratch", task.name)
        task.prepare()
        return None
    weights, _ = load(stem, task.name, **task.card)
    task.module.network.load_state_dict(weights)
    _log.info("starting from %s", stem)
    return stem.name


def _card(
    task: Task,
    settings: DictConfig,
    trainer: lightning.Trainer,
    measured: dict[str, float],
    origin: str | None,
) -> dict[str, Any]:
    versions = {
        name: metadata.version(name) for name in ("autogal", "torch", "torchvision", "pytorch-lightning")
    }
    stamps = trainer.global_step * settings.network.batch * trainer.world_size
    return {
        "task": task.name,
        **task.card,
        "survey": settings.survey.name,
        "band": settings.survey.band,
        "pixel_scale": settings.survey.pixel_scale,
        "size": settings.size,
        "trained_on": {**task.source, "steps": trainer.global_step, "stamps": stamps, "from": origin},
        "metrics": {name.removeprefix("val/"): float(f"{value:.4g}") for name, value in measured.items()},
        "config": OmegaConf.to_container(settings, resolve=True),
        "versions": versions,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
