"""Which methods are evaluated: the chosen one and, beside it, those it can be compared with."""

from __future__ import annotations

from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from autogal.configuration.composing import composed
from autogal.configuration.overrides import override
from autogal.networks import find

__all__ = ["NETWORKS", "as_fit", "methods", "ready"]

#: The network's choice in each group, and its task
NETWORKS = {"segment": ("maskrcnn", "segmenter"), "initialise": ("resnet50", "initialiser")}

_CLASSICAL = {"segment": "sep", "initialise": "moments"}
_SHARED = ("checkpoints", "survey", "device", "threads")


def methods(settings: DictConfig, group: str, size: int, device: torch.device) -> tuple[list[str], list[str]]:
    """The methods of a group to evaluate, the classical one first.

    Parameters
    ----------
    settings : DictConfig
        Of ``conf/evaluate.yaml``.
    group : str
        ``segment`` or ``initialise``.
    size : int
        Shorter side of the stamps [px].
    device : torch.device

    Returns
    -------
    names : list of str
    notes : list of str
        What is left out, and why.

    Raises
    ------
    AutogalError
        Where a network that was asked for has no checkpoint, or one that cannot be used.
    """
    chosen, (network, task) = settings[group].name, NETWORKS[group]
    names = [_CLASSICAL[group], network] if settings.compare else []
    notes = []
    if network in names and network != chosen and _checkpoint(settings, task, size) is None:
        names.remove(network)
        notes.append(
            f"{group}={network} is left out: there is no checkpoint of it (checkpoints=FOLDER names a "
            f"folder with one)."
        )
    names += [chosen] if chosen not in names else []
    if network in names:
        ready(as_fit(settings, **{group: network})[group], group, size, device)
    return names, notes


def as_fit(settings: DictConfig, **chosen: str) -> DictConfig:
    """The configuration of ``autogal fit`` with the settings of an evaluation, and with other methods where
    they are named.

    Parameters
    ----------
    settings : DictConfig
    **chosen : str
        ``segment``, ``initialise``, ``neighbours``.
    """
    names = {group: chosen.get(group, settings[group].name) for group in NETWORKS}
    own = [
        group for group, name in names.items() if settings[group].name == name
    ]  # with all that was set in it
    # the user's own files are not known to the packaged configuration; their nodes come with the settings, as
    # they are
    base = composed(*(override(group, name) for group, name in names.items() if group not in own))
    out = OmegaConf.merge(base, OmegaConf.masked_copy(settings, list(_SHARED)))
    OmegaConf.set_readonly(out, False)
    for group in ("solver", *own):
        OmegaConf.update(out, group, OmegaConf.to_container(settings[group]), merge=False)
    out.neighbours = chosen.get("neighbours", out.neighbours)
    return out


def ready(node: DictConfig, group: str, size: int, device: torch.device) -> None:
    """Load the network of a method, if it is one, so that no clock runs meanwhile.

    Parameters
    ----------
    node : DictConfig
        Of the group.
    group : str
        ``segment`` or ``initialise``.
    size : int
        Shorter side of the stamps [px].
    device : torch.device

    Raises
    ------
    AutogalError
        Where it has no checkpoint, or one that cannot be used.
    """
    if node.name == "maskrcnn" and group == "segment":
        from autogal.segment.network.maskrcnn import load_network
    elif node.name == "resnet50" and group == "initialise":
        from autogal.initialise.network.resnet50 import load_network
    else:
        return
    load_network(node, size, device)


def _checkpoint(settings: DictConfig, task: str, size: int) -> Path | None:
    survey = settings.survey.name
    return find(task, settings.checkpoints, None if survey == "none" else survey, size, settings.survey.band)
