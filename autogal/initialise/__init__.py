"""Starting values of the fit."""

from __future__ import annotations

from autogal.errors import AutogalError
from autogal.images.cutout import Cutout
from autogal.initialise.catalogue import start_from_catalogue
from autogal.initialise.moments import start_from_moments
from autogal.initialise.start import Start
from autogal.segment.segmentation import Segmentation

__all__ = ["Start", "initialise"]

_METHODS = {"moments": start_from_moments, "catalogue": start_from_catalogue}


def initialise(cutout: Cutout, segmentation: Segmentation, settings) -> Start:
    """Starting values of one cutout's target.

    Parameters
    ----------
    cutout : Cutout
    segmentation : Segmentation
    settings
        Configuration node ``initialise`` with ``name`` (moments or catalogue).

    Returns
    -------
    Start
        Always usable; carries START_FALLBACK where it holds a guess.

    Raises
    ------
    AutogalError
        Where ``settings.name`` is not known.
    """
    try:
        method = _METHODS[settings.name]
    except KeyError:
        raise AutogalError(f"There is no initialisation called {settings.name!r}.",
                           f"Choose one of: {', '.join(_METHODS)}.") from None
    return method(cutout, segmentation, settings)
