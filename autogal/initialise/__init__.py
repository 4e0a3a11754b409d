"""Starting values of the fit."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from autogal.images.cutout import Cutout
from autogal.initialise.methods import INITIALISERS, build_initialiser, validate_initialiser
from autogal.initialise.start import Start
from autogal.segment.segmentation import Segmentation

__all__ = ["INITIALISERS", "Start", "initialise", "initialise_all", "validate_initialiser"]


def initialise(
    cutout: Cutout, segmentation: Segmentation, settings, device: torch.device | str = "cpu"
) -> Start:
    """Starting values of one cutout's target; see :func:`initialise_all`.

    Parameters
    ----------
    cutout : Cutout
    segmentation : Segmentation
    settings, device
        As of :func:`initialise_all`.

    Returns
    -------
    Start
    """
    return initialise_all([cutout], [segmentation], settings, device)[0]


def initialise_all(
    cutouts: Sequence[Cutout],
    segmentations: Sequence[Segmentation],
    settings,
    device: torch.device | str = "cpu",
) -> list[Start]:
    """Starting values of the targets of cutouts.

    Parameters
    ----------
    cutouts : sequence of Cutout
        Of any sizes; never changed.
    segmentations : sequence of Segmentation
        One a cutout.
    settings
        Configuration node ``initialise`` with ``name`` (resnet50, moments, catalogue, or MODULE:FUNCTION of
        one's own); for resnet50 also ``checkpoints``, ``survey`` and ``band``.
    device : torch.device or str
        Where a network runs.

    Returns
    -------
    list of Start
        One a cutout, in order, whatever the others are. Always usable; carries START_FALLBACK where it holds
        a guess or another method had to be taken.

    Raises
    ------
    AutogalError
        Where ``settings.name`` is not known, or the network's checkpoint is missing or another network's.
    """
    return list(build_initialiser(settings)(cutouts, segmentations, settings, torch.device(device)))
