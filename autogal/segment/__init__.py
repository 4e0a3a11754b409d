"""Which pixels belong to the target, and which to its neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from autogal.errors import AutogalError
from autogal.images.cutout import Cutout
from autogal.segment.segmentation import Segmentation, wanted_position
from autogal.segment.classical.sep import segment_target_only, segment_with_sep

__all__ = ["Segmentation", "segment", "segment_all", "wanted_position"]

# `none` masks no neighbour; with `given` the user's mask, already part of cutout.mask, holds them.
# Both still find the target, whose footprint the starting values need.
_METHODS = {"sep": segment_with_sep, "none": segment_target_only, "given": segment_target_only}


def segment(cutout: Cutout, settings, device: torch.device | str = "cpu") -> Segmentation:
    """Find the target of one cutout and the mask of its neighbours; see :func:`segment_all`."""
    return segment_all([cutout], settings, device)[0]


def segment_all(cutouts: Sequence[Cutout], settings, device: torch.device | str = "cpu") -> list[Segmentation]:
    """Find the targets of cutouts and the masks of their neighbours.

    Parameters
    ----------
    cutouts : sequence of Cutout
        Of any sizes; never changed.
    settings
        Configuration node ``segment`` with ``name`` (maskrcnn, sep, none or given), ``threshold``, ``min_area``,
        ``deblend_levels``, ``deblend_contrast`` and ``grow``; for maskrcnn also ``checkpoints``, ``survey``, ``band``,
        ``score`` and ``target_score``.
    device : torch.device or str
        Where a network runs.

    Returns
    -------
    list of Segmentation
        One a cutout, in order, whatever the others are. One that has no target carries the flag NO_TARGET.
        Nothing a single cutout holds raises.

    Raises
    ------
    AutogalError
        Where ``settings.name`` is not known, or the network's checkpoint is missing or another network's.
    """
    found = {i: Segmentation.empty(cutout, "there is no image") for i, cutout in enumerate(cutouts)
             if cutout.image.ndim != 2 or cutout.image.size == 0}
    rest = [i for i in range(len(cutouts)) if i not in found]
    if settings.name == "maskrcnn":
        from autogal.segment.network.maskrcnn import segment_with_maskrcnn  # torchvision takes a second to import

        found |= zip(rest, segment_with_maskrcnn([cutouts[i] for i in rest], settings, device))
    elif settings.name in _METHODS:
        found |= {i: _METHODS[settings.name](cutouts[i], settings) for i in rest}
    else:
        raise AutogalError(f"There is no segmentation called {settings.name!r}.",
                           f"Choose one of: maskrcnn, {', '.join(_METHODS)}.")
    return [found[i] for i in range(len(cutouts))]
