"""Trained networks, ready to be used."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from autogal.errors import AutogalError
from autogal.networks.checkpoint import find, load
from autogal.runtime.references import is_reference

__all__ = ["check_checkpoints", "trained"]

_log = logging.getLogger(__name__)


# The network of each method that has one, by its group and name
_NETWORKS = {("segment", "maskrcnn"): "segmenter", ("initialise", "resnet50"): "initialiser"}


def check_checkpoints(settings) -> None:
    """Refuse, before any work, a folder of checkpoints in which there is none.

    Parameters
    ----------
    settings
        A composed configuration with the nodes ``segment`` and ``initialise``.

    Raises
    ------
    AutogalError
        As `autogal.networks.checkpoint.find`.
    """
    used = {group: task for (group, name), task in _NETWORKS.items() if settings[group].name == name}
    for group, task in used.items():
        if (folder := settings[group].get("checkpoints")) is not None:
            find(task, folder)
    own = any(
        is_reference(str(settings[group].name)) for group in ("segment", "initialise")
    )  # which may well ask for them
    if settings.get("checkpoints") is not None and not used and not own:
        _log.warning(
            "checkpoints=%s is not used: neither segment=%s nor initialise=%s is a network.",
            settings.checkpoints,
            settings.segment.name,
            settings.initialise.name,
        )


def trained(
    make: Callable[[], nn.Module],
    task: str,
    choice: str,
    otherwise: str,
    settings,
    size: int,
    device: torch.device,
    **expected,
) -> nn.Module:
    """The network that suits stamps of a size, with its weights, for inference.

    Parameters
    ----------
    make : callable
        Builds the network without weights; the same one every time.
    task : str
        ``"segmenter"`` or ``"initialiser"``.
    choice, otherwise : str
        The setting that asks for it and one that does without, for the error message.
    settings
        Node with ``checkpoints``, ``survey`` and ``band``.
    size : int
        Shorter side of the stamps [px].
    device : torch.device
    **expected
        What the checkpoint's card must say; see `autogal.networks.checkpoint.load`.

    Raises
    ------
    AutogalError
        Where there is no checkpoint, or one that cannot be used.
    """
    survey, band = (settings.get(key) for key in ("survey", "band"))
    stem = find(task, settings.get("checkpoints"), None if survey == "none" else survey, size, band)
    if stem is None:
        raise AutogalError(
            f"There is no checkpoint for {choice}.",
            f"Name a folder with checkpoints=FOLDER, train one with autogal train {task}, or use "
            f"{otherwise}.",
        )
    weights = stem.with_name(stem.name + ".safetensors")
    changed = weights.stat().st_mtime_ns if weights.is_file() else 0
    return _made(make, task, str(stem), changed, str(device), json.dumps(expected))


@lru_cache(maxsize=8)
def _made(
    make: Callable[[], nn.Module], task: str, stem: str, _changed: int, device: str, expected: str
) -> nn.Module:
    state, card = load(Path(stem), task, **json.loads(expected))
    network = make()
    try:
        network.load_state_dict(state)
    except RuntimeError as problem:
        raise AutogalError(
            f"{stem}.safetensors does not hold the weights that its card promises.",
            f"Train it again: autogal train {task}.",
        ) from problem
    _log.info("%s: %s (%s)", task, Path(stem).name, card.get("date", "without a date"))
    return network.eval().requires_grad_(False).to(device)
