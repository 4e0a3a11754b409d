"""What ``autogal train`` does: `autogal.training.train.train`, with its log."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from omegaconf import DictConfig
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from autogal.runtime.logs import run_log
from autogal.runtime.trainer import one_device_a_job
from autogal.training.settings import check
from autogal.training.train import train

__all__ = ["run"]


def run(settings: DictConfig, paths: Sequence[str] = ()) -> Path:
    """Train a network, and keep a log and the configuration beside its checkpoint.

    Parameters
    ----------
    settings : DictConfig
        From ``conf/train.yaml``.
    paths : sequence of str
        None: this verb has no input.

    Returns
    -------
    Path
        Stem of the checkpoint.

    Raises
    ------
    AutogalError, KeyboardInterrupt
        As `autogal.training.train.train`.
    """
    check(settings), one_device_a_job(settings)  # before a folder is made
    # one process of many keeps the log
    with run_log(settings) if rank_zero_only.rank == 0 else nullcontext():
        return train(settings)
