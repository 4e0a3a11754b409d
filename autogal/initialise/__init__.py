"""Starting values of the fit."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from autogal.errors import AutogalError
from autogal.images.cutout import Cutout
from autogal.initialise.classical.catalogue import start_from_catalogue
from autogal.initialise.classical.moments import start_from_moments
from autogal.initialise.start import Start
from autogal.segment.segmentation import Segmentation

__all__ = ["Start", "initialise", "initialise_all"]

_METHODS = {"moments": start_from_moments, "catalogue": start_from_catalogue}


def initialise(cutout: Cutout, segmentation: Segmentation, settings, device: torch.device | str = "cpu") -> Start:
    """Starting values of one cutout's target; see :func:`initialise_all`."""
    return initialise_all([cutout], [segmentation], settings, device)[0]


def initialise_all(cutouts: Sequence[Cutout], segmentations: Sequence[Segmentation], settings,
                   device: torch.device | str = "cpu") -> list[Start]:
    """Starting values of the targets of cutouts.

    Parameters
    ----------
    cutouts : sequence of Cutout
        Of any sizes; never changed.
    segmentations : sequence of Segmentation
        One a cutout.
    settings
        Configuration node ``initialise`` with ``name`` (resnet50, moments or catalogue); for resnet50 also
        ``checkpoints``, ``survey`` and ``band``.
    device : torch.device or str
        Where a network runs.

    Returns
    -------
    list of Start
        One a cutout, in order, whatever the others are. Always usable; carries START_FALLBACK where it holds a guess
        or another method had to be taken.

    Raises
    ------
    AutogalError
        Where ``settings.name`` is not known, or the network's checkpoint is missing or another network's.
    """
    if settings.name == "resnet50":
        from autogal.initialise.network.resnet50 import start_from_resnet50  # torchvision takes a second to import

        return start_from_resnet50(cutouts, segmentations, settings, device)
    if settings.name not in _METHODS:
        raise AutogalError(f"There is no initialisation called {settings.name!r}.",
                           f"Choose one of: resnet50, {', '.join(_METHODS)}.")
    method = _METHODS[settings.name]
    return [method(cutout, segmentation, settings) for cutout, segmentation in zip(cutouts, segmentations, strict=True)]
