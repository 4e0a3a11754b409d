"""What ``autogal train`` does: from settings to a checkpoint and its card."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from autogal.errors import AutogalError
from autogal.networks.checkpoint import find, load, save, stem_name
from autogal.training.settings import check
from autogal.training.task import Task
from autogal.training.trainer import BEST, STATE, Supply, training_trainer
from autogal.runtime.files import ensure_writable
from autogal.runtime.logs import run_log
from autogal.runtime.trainer import one_device_a_job

__all__ = ["TASKS", "run"]

_log = logging.getLogger(__name__)

# Module and function that make the task of settings; imported when asked for.
TASKS = {"initialiser": "autogal.training.initialiser.task:initialiser_task", "segmenter": "autogal.training.segmenter.task:segmenter_task"}


def run(settings: DictConfig, paths: Sequence[str] = ()) -> Path:
    """Train a network and write its checkpoint into ``settings.out``.

    Parameters
    ----------
    settings : DictConfig
        From ``conf/train.yaml``; ``network.name`` says which network.
    paths : sequence of str
        None: this verb has no input.

    Returns
    -------
    Path
        Stem of the checkpoint.

    Raises
    ------
    AutogalError
        For settings that mean nothing, a checkpoint to start from that does not fit, or weights that became infinite.
    KeyboardInterrupt
        On Ctrl-C, after the state to resume from has been written.
    """
    check(settings)
    one_device_a_job(settings)
    # one process of many keeps the log
    with run_log(settings) if rank_zero_only.rank == 0 else nullcontext():
        return _train(settings)


def _train(settings: DictConfig) -> Path:
    lightning.seed_everything(settings.seed, verbose=False)
    stem = ensure_writable(settings.out) / stem_name(settings.network.name, settings.survey.name, settings.size, settings.survey.band)
    folder = ensure_writable(Path(settings.out) / f"{stem.name}.training")
    task = _maker(settings.network.name)(settings)
    state = folder / STATE
    resumed = settings.resume and state.exists()
    if settings.resume and not resumed:
        _log.warning("nothing to resume in %s: training begins anew", folder)
    origin = None if resumed else _begin(task, settings)
    trainer = training_trainer(task, settings, folder)
    supply = Supply(task, settings.workers)
    try:
        trainer.fit(task.module, datamodule=supply, ckpt_path=str(state) if resumed else None, weights_only=True)
    except SystemExit as ended:  # what Lightning makes of Ctrl-C
        raise (KeyboardInterrupt if trainer.interrupted else ended) from None
    if (folder / BEST).exists():
        best = torch.load(folder / BEST, map_location="cpu", weights_only=True)
        task.module.load_state_dict(best["state_dict"])
    task.finish()
    measured = trainer.validate(task.module, datamodule=supply, verbose=False)[0]
    if trainer.is_global_zero:
        weights = save(stem, task.module.network.state_dict(), _card(task, settings, trainer, measured, origin))
        _log.info("wrote %s", weights)
        print(f"Wrote {weights}. Use it: autogal fit ... checkpoints={settings.out}", flush=True)
    trainer.strategy.barrier()
    return stem


def _maker(name: str) -> Callable[[DictConfig], Task]:
    if name not in TASKS:
        raise AutogalError(f"There is no network called {name!r}.", f"Choose one of: {', '.join(TASKS)}.")
    module, function = TASKS[name].split(":")
    return getattr(import_module(module), function)


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


def _card(task: Task, settings: DictConfig, trainer: lightning.Trainer, measured: dict[str, float], origin: str | None) -> dict[str, Any]:
    versions = {name: metadata.version(name) for name in ("autogal", "torch", "torchvision", "pytorch-lightning")}
    stamps = trainer.global_step * settings.network.batch * trainer.world_size
    return {"task": task.name, **task.card,
            "survey": settings.survey.name, "band": settings.survey.band, "pixel_scale": settings.survey.pixel_scale,
            "size": settings.size, "trained_on": {**task.source, "steps": trainer.global_step, "stamps": stamps, "from": origin},
            "metrics": {name.removeprefix("val/"): float(f"{value:.4g}") for name, value in measured.items()},
            "config": OmegaConf.to_container(settings, resolve=True), "versions": versions,
            "date": datetime.now(UTC).isoformat(timespec="seconds")}
