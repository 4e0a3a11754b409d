"""Which pixels belong to the target, and which to its neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from autogal.images.cutout import Cutout
from autogal.segment.footprints import segment_footprints
from autogal.segment.methods import SEGMENTERS, build_segmenter, validate_segmenter
from autogal.segment.segmentation import Segmentation, wanted_position

__all__ = [
    "SEGMENTERS",
    "Segmentation",
    "segment",
    "segment_all",
    "segment_footprints",
    "validate_segmenter",
    "wanted_position",
]


def segment(cutout: Cutout, settings, device: torch.device | str = "cpu") -> Segmentation:
    """Find the target of one cutout and the mask of its neighbours; see :func:`segment_all`.

    Parameters
    ----------
    cutout : Cutout
    settings, device
        As of :func:`segment_all`.

    Returns
    -------
    Segmentation
    """
    return segment_all([cutout], settings, device)[0]


def segment_all(
    cutouts: Sequence[Cutout], settings, device: torch.device | str = "cpu"
) -> list[Segmentation]:
    """Find the targets of cutouts and the masks of their neighbours.

    Parameters
    ----------
    cutouts : sequence of Cutout
        Of any sizes; never changed.
    settings
        Configuration node ``segment`` with ``name`` (maskrcnn, sep, none, given, or MODULE:FUNCTION of one's
        own), ``threshold``, ``min_area``, ``deblend_levels``, ``deblend_contrast`` and ``grow``; for maskrcnn
        also ``checkpoints``, ``survey``, ``band``, ``score`` and ``target_score``.
    device : torch.device or str
        Where a network runs.

    Returns
    -------
    list of Segmentation
        One a cutout, in order, whatever the others are. One that has no target carries the flag NO_TARGET.
        Nothing a single cutout holds raises, but in a method of the user's own.

    Raises
    ------
    AutogalError
        Where ``settings.name`` is not known, or the network's checkpoint is missing or another network's.
    """
    segmenter = build_segmenter(settings)
    found = {
        i: Segmentation.empty(cutout, "there is no image")
        for i, cutout in enumerate(cutouts)
        if cutout.image.ndim != 2 or cutout.image.size == 0
    }
    rest = [i for i in range(len(cutouts)) if i not in found]
    found |= zip(rest, segmenter([cutouts[i] for i in rest], settings, torch.device(device)), strict=True)
    return [found[i] for i in range(len(cutouts))]
