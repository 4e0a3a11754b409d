"""Which pixels belong to the target, and which to its neighbours."""

from __future__ import annotations

import logging

from autogal.errors import AutogalError
from autogal.images.cutout import Cutout
from autogal.segment.segmentation import Segmentation, wanted_position
from autogal.segment.sep import segment_target_only, segment_with_sep

__all__ = ["Segmentation", "segment", "wanted_position"]

log = logging.getLogger(__name__)

# `none` masks no neighbour; with `given` the user's mask, already part of cutout.mask, holds them.
# Both still find the target, whose footprint the starting values need.
_METHODS = {"sep": segment_with_sep, "none": segment_target_only, "given": segment_target_only}


def segment(cutout: Cutout, settings) -> Segmentation:
    """Find the target of a cutout and the mask of its neighbours.

    Parameters
    ----------
    cutout : Cutout
        With an image; never changed.
    settings
        Configuration node ``segment`` with ``name`` (sep, none or given), ``threshold``, ``min_area``,
        ``deblend_levels``, ``deblend_contrast`` and ``grow``.

    Returns
    -------
    Segmentation
        One that has no target carries the flag NO_TARGET. Nothing a single cutout holds raises.

    Raises
    ------
    AutogalError
        Where ``settings.name`` is not known.
    """
    try:
        method = _METHODS[settings.name]
    except KeyError:
        raise AutogalError(f"There is no segmentation called {settings.name!r}.",
                           f"Choose one of: {', '.join(_METHODS)}.") from None
    if cutout.image.ndim != 2 or cutout.image.size == 0:
        return Segmentation.empty(cutout, "there is no image")
    return method(cutout, settings)
