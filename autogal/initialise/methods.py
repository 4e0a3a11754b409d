"""The methods that give starting values, by the names they have in a configuration, and those of the
user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf

from autogal.configuration.packaged import packaged
from autogal.errors import AutogalError
from autogal.images.cutout import Cutout
from autogal.images.trial import try_method
from autogal.initialise.classical.catalogue import start_from_catalogue
from autogal.initialise.classical.moments import start_from_moments
from autogal.initialise.start import NAMES, Start
from autogal.runtime.references import is_reference, load_reference
from autogal.segment.classical.sep import segment_with_sep
from autogal.segment.segmentation import Segmentation

__all__ = ["INITIALISERS", "Initialiser", "build_initialiser", "validate_initialiser"]

#: Takes cutouts, their segmentations, the configuration node ``initialise`` and a device; gives one Start a
#: cutout, in order
Initialiser = Callable[[Sequence[Cutout], Sequence[Segmentation], Any, torch.device], Sequence[Start]]

_FORM = (
    "Write initialise.name=MODULE:FUNCTION; FUNCTION(cutouts, segmentations, settings, device) gives for "
    "each cutout a Start, or a mapping "
    f"with any of {', '.join(NAMES)}: what it leaves out is measured."
)
_tried: set[tuple[Callable, str]] = set()


def _one_by_one(method: Callable[[Cutout, Segmentation, Any], Start]) -> Initialiser:
    return lambda cutouts, segmentations, settings, device: [
        method(*pair, settings) for pair in zip(cutouts, segmentations, strict=True)
    ]


def _resnet50(
    cutouts: Sequence[Cutout], segmentations: Sequence[Segmentation], settings, device: torch.device
) -> list[Start]:
    from autogal.initialise.network.resnet50 import (
        start_from_resnet50,  # torchvision takes a second to import
    )

    return start_from_resnet50(cutouts, segmentations, settings, device)


INITIALISERS: Mapping[str, Initialiser] = {
    "resnet50": _resnet50,
    "moments": _one_by_one(start_from_moments),
    "catalogue": _one_by_one(start_from_catalogue),
}


def build_initialiser(settings) -> Initialiser:
    """The method of starting values that a configuration names.

    Parameters
    ----------
    settings
        Node ``initialise``; its ``name`` is one of `INITIALISERS`, or MODULE:FUNCTION.

    Returns
    -------
    callable
        An `Initialiser`. One of the user's own raises ValueError where what it gives is no start of a fit.

    Raises
    ------
    AutogalError
        Where there is none of that name, or it cannot be imported.
    """
    name = str(settings.name)
    if is_reference(name):
        return _completing(load_reference(name, "an initialiser", callable, _FORM))
    if name not in INITIALISERS:
        raise AutogalError(
            f"There is no initialisation called {name!r}.",
            f"Choose one of: {', '.join(INITIALISERS)}; or your own, as initialise.name=MODULE:FUNCTION.",
        )
    return INITIALISERS[name]


def validate_initialiser(settings, device: torch.device | str = "cpu") -> None:
    """Try an initialiser of the user's own on small images, segmented by `sep`.

    Parameters
    ----------
    settings
        Node ``initialise``.
    device : torch.device or str

    Raises
    ------
    AutogalError
        Where it cannot be imported, fails, or gives what no fit can start from.
    """
    initialiser = build_initialiser(settings)
    if not is_reference(str(settings.name)):
        return
    key = load_reference(str(settings.name), "an initialiser", callable, _FORM), str(settings)
    if key in _tried:
        return
    sep = OmegaConf.create(dict(packaged("segment", "sep")))

    def work(cutouts: list[Cutout]) -> None:
        initialiser(
            cutouts, [segment_with_sep(cutout, sep) for cutout in cutouts], settings, torch.device(device)
        )

    try_method("initialiser", settings.name, work, _FORM)
    _tried.add(key)


def _completing(function: Callable) -> Initialiser:
    """A user's function as an initialiser: what it leaves out is measured."""

    def initialiser(
        cutouts: Sequence[Cutout], segmentations: Sequence[Segmentation], settings, device: torch.device
    ) -> list[Start]:
        found = list(function(cutouts, segmentations, settings, device))
        if len(found) != len(cutouts):
            raise ValueError(f"of {len(cutouts)} cutouts it gives {len(found)} starts")
        return [_completed(*one) for one in zip(found, cutouts, segmentations)]

    return initialiser


def _completed(
    found: Start | Mapping[str, float] | None, cutout: Cutout, segmentation: Segmentation
) -> Start:
    values = found.values if isinstance(found, Start) else found or {}
    if not isinstance(values, Mapping):
        raise ValueError(
            f"for a cutout it gives a {type(found).__name__}, neither a Start nor a mapping of values"
        )
    if unknown := [name for name in values if name not in (*NAMES, "mag")]:
        raise ValueError(f"there is no starting value {unknown[0]}")
    covariance = found.covariance if isinstance(found, Start) else None
    if covariance is not None and np.shape(covariance) != (7, 7):
        raise ValueError(f"its covariance has the shape {np.shape(covariance)}, not (7, 7)")
    start = start_from_catalogue(replace(cutout, start=dict(values), notes=[]), segmentation)
    if isinstance(found, Start):
        start.flags, start.notes, start.covariance = (
            start.flags | found.flags,
            [*found.notes, *start.notes],
            covariance,
        )
    return start
