"""On what a configuration has the work done: the device, and how many processes."""

from __future__ import annotations

import os
from copy import copy

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from autogal.errors import AutogalError

__all__ = ["choose_device", "device_name", "in_sweep", "is_shared", "resolve_processes"]

# Lightning's words for the devices that a fit can use
_ACCELERATORS = {"auto": "auto", "cpu": "cpu", "gpu": "cuda", "cuda": "cuda"}
# What the trainer is where one process does all
_ALONE = {"devices": (1, "1", "auto"), "num_nodes": (1, "1"), "strategy": ("auto",)}
# Cutouts that are worth a process of their own, which takes some seconds to begin; and processes, at most,
# that are not asked for
_WORTH_A_PROCESS, _MOST_PROCESSES = 256, 8
# Of those that begin processes themselves, and would begin as many again
_LAUNCHED = {"SLURM_NTASKS", "TORCHELASTIC_RUN_ID"}


def choose_device(name: str) -> torch.device:
    """The device of a configuration's ``device``; ``auto`` is a GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise AutogalError(f"device={name}, but torch sees no GPU.", "Use device=cpu, or device=auto.")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise AutogalError(
            f"device={name}, but torch sees {torch.cuda.device_count()} GPU(s).",
            "They are numbered from cuda:0.",
        )
    return device


def is_shared(settings: DictConfig) -> bool:
    """Whether more is asked of the trainer than one process of its own."""
    return any(settings.trainer.get(key, usual[0]) not in usual for key, usual in _ALONE.items()) or bool(
        settings.trainer.keys() - _ALONE.keys() - {"accelerator"}
    )


def device_name(settings: DictConfig) -> str:
    """The device of a fit: what ``device`` says, or ``trainer.accelerator`` where it says ``auto``.

    Raises
    ------
    AutogalError
        Where the two contradict each other, or one device is to be shared by several processes.
    """
    accelerator = str(settings.trainer.get("accelerator", "auto"))
    if accelerator not in _ACCELERATORS:
        raise AutogalError(
            f"trainer.accelerator={accelerator} is not possible.",
            f"Choose one of: {', '.join(_ACCELERATORS)}.",
        )
    kind = _ACCELERATORS[accelerator]
    if settings.device == "auto":
        return kind
    if kind not in ("auto", settings.device.partition(":")[0]):
        raise AutogalError(
            f"device={settings.device} and trainer.accelerator={accelerator} contradict each other.",
            "Give one of them.",
        )
    if ":" in settings.device and is_shared(settings):
        raise AutogalError(
            f"device={settings.device} is one device, but the trainer is to use others or several.",
            "Leave out device=, and name them as trainer.devices=[0,1].",
        )
    return settings.device


def in_sweep() -> bool:
    """Whether this is one job of several, as -m has them."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def resolve_processes(settings: DictConfig, cutouts: int) -> DictConfig:
    """The settings with a number for ``trainer.devices=auto``.

    The threads of one process wait for Python's interpreter much of their time, so that on a CPU many cutouts
    are shared out to a process a core. On a GPU, for few cutouts, in a sweep, where a launcher like Slurm or
    torchrun has begun this process, and where the trainer is told anything else, there is one.

    Parameters
    ----------
    settings : DictConfig
        Of a fit.
    cutouts : int
        How many there are to fit.
    """
    if settings.trainer.get("devices", 1) != "auto":
        return settings
    cores = settings.threads or torch.get_num_threads()
    alone = (
        choose_device(device_name(settings)).type != "cpu"
        or is_shared(settings)
        or in_sweep()
        or not _LAUNCHED.isdisjoint(os.environ)
    )
    many = 1 if alone else max(1, min(cores, cutouts // _WORTH_A_PROCESS, _MOST_PROCESSES))
    chosen = copy(settings)
    chosen.trainer = {**settings.trainer, "devices": many}
    if many > 1:
        chosen.threads = cores // many
    return chosen
