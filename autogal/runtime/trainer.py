"""Lightning's Trainer, quiet, and with errors that a user can act on."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as lightning
from omegaconf import DictConfig

from autogal.errors import AutogalError
from autogal.runtime.devices import in_sweep

__all__ = ["make_trainer", "one_device_a_job"]

# What Lightning says to every user of it: advertisements, that a folder of ours is not empty, that two
# processes have begun, and of a fit that its rows are handed over by numbers of our own, and that each
# process counts its own blocks.
for _name in (
    "pytorch_lightning.utilities.rank_zero",
    "lightning_fabric.utilities.distributed",
    "lightning_fabric.utilities.rank_zero",
):
    logging.getLogger(_name).setLevel(logging.WARNING)
for _text in (
    "Checkpoint directory .* exists",
    r"`isinstance\(treespec",
    ".*does not have many workers",
    "Couldn.t infer the batch indices",
    "predict returned None",
    "Your `IterableDataset` has `__len__`",
):
    warnings.filterwarnings("ignore", message=_text)


def make_trainer(given: Mapping[str, Any], **ours) -> lightning.Trainer:
    """A Trainer of Lightning.

    Parameters
    ----------
    given : mapping
        Arguments that the user chose, under ``trainer``.
    **ours
        Arguments that no user may choose.

    Raises
    ------
    AutogalError
        Where Lightning refuses an argument, as more GPUs than there are.
    """
    try:
        return lightning.Trainer(**given, **ours, enable_model_summary=False, use_distributed_sampler=False)
    except (TypeError, ValueError, lightning.utilities.exceptions.MisconfigurationException) as error:
        raise AutogalError(
            f"The trainer cannot be set up: {' '.join(str(error).split())}", "See conf/trainer/."
        ) from error


def one_device_a_job(settings: DictConfig) -> None:
    """Refuse a sweep of jobs of several processes: every process would run the whole sweep again.

    Raises
    ------
    AutogalError
    """
    if in_sweep() and settings.trainer.get("devices", 1) not in (1, "1", "auto"):
        raise AutogalError(
            f"A sweep with trainer.devices={settings.trainer.devices} is not possible.",
            "Give each job of a sweep one device (trainer.devices=1), or leave out -m.",
        )
