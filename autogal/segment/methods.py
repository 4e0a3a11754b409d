"""The segmenters there are, by the names they have in a configuration, and those of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from autogal.errors import AutogalError
from autogal.images.cutout import Cutout
from autogal.images.trial import try_method
from autogal.runtime.references import is_reference, load_reference
from autogal.segment.classical.sep import segment_target_only, segment_with_sep
from autogal.segment.footprints import segment_footprints
from autogal.segment.segmentation import Segmentation

__all__ = ["SEGMENTERS", "Segmenter", "build_segmenter", "validate_segmenter"]

#: Takes cutouts, the configuration node ``segment`` and a device; gives one Segmentation a cutout, in order
Segmenter = Callable[[Sequence[Cutout], Any, torch.device], Sequence[Segmentation]]

_FORM = (
    "Write segment.name=MODULE:FUNCTION; FUNCTION(cutouts, settings, device) gives for each cutout a "
    "Segmentation, or an array of whole "
    "numbers like its image: 0 sky, 1 the target, 2, 3, ... its neighbours."
)
_tried: set[tuple[Callable, str]] = set()


def _one_by_one(method: Callable[[Cutout, Any], Segmentation]) -> Segmenter:
    return lambda cutouts, settings, device: [method(cutout, settings) for cutout in cutouts]


def _maskrcnn(cutouts: Sequence[Cutout], settings, device: torch.device) -> list[Segmentation]:
    from autogal.segment.network.maskrcnn import segment_with_maskrcnn  # torchvision takes a second to import

    return segment_with_maskrcnn(cutouts, settings, device)


#: `none` masks no neighbour; with `given` the user's mask, already part of cutout.mask, holds them. Both
#: still find the target, whose footprint the starting values need.
SEGMENTERS: Mapping[str, Segmenter] = {
    "maskrcnn": _maskrcnn,
    "sep": _one_by_one(segment_with_sep),
    "none": _one_by_one(segment_target_only),
    "given": _one_by_one(segment_target_only),
}


def build_segmenter(settings) -> Segmenter:
    """The segmenter that a configuration names.

    Parameters
    ----------
    settings
        Node ``segment``; its ``name`` is one of `SEGMENTERS`, or MODULE:FUNCTION.

    Returns
    -------
    callable
        A `Segmenter`. One of the user's own raises ValueError where what it gives is no segmentation of its
        cutout.

    Raises
    ------
    AutogalError
        Where there is none of that name, or it cannot be imported.
    """
    name = str(settings.name)
    if is_reference(name):
        return _completing(load_reference(name, "a segmenter", callable, _FORM))
    if name not in SEGMENTERS:
        raise AutogalError(
            f"There is no segmentation called {name!r}.",
            f"Choose one of: {', '.join(SEGMENTERS)}; or your own, as segment.name=MODULE:FUNCTION.",
        )
    return SEGMENTERS[name]


def validate_segmenter(settings, device: torch.device | str = "cpu") -> None:
    """Try a segmenter of the user's own on small images.

    Parameters
    ----------
    settings
        Node ``segment``.
    device : torch.device or str

    Raises
    ------
    AutogalError
        Where it cannot be imported, fails, or gives what is no segmentation.
    """
    segmenter = build_segmenter(settings)
    if not is_reference(str(settings.name)):
        return
    key = load_reference(str(settings.name), "a segmenter", callable, _FORM), str(settings)
    if key not in _tried:
        try_method(
            "segmenter",
            settings.name,
            lambda cutouts: segmenter(cutouts, settings, torch.device(device)),
            _FORM,
        )
        _tried.add(key)


def _completing(function: Callable) -> Segmenter:
    """A user's function as a segmenter: footprints become segmentations."""

    def segmenter(cutouts: Sequence[Cutout], settings, device: torch.device) -> list[Segmentation]:
        found = list(function(cutouts, settings, device))
        if len(found) != len(cutouts):
            raise ValueError(f"of {len(cutouts)} cutouts it gives {len(found)} segmentations")
        return [_completed(one, cutout, settings) for one, cutout in zip(found, cutouts)]

    return segmenter


def _completed(found: Segmentation | np.ndarray, cutout: Cutout, settings) -> Segmentation:
    labels = np.asarray(found.labels if isinstance(found, Segmentation) else found)
    if labels.dtype.kind not in "biu" or (labels.size and labels.min() < 0):
        what = (
            f"an array of {labels.dtype}"
            if isinstance(found, Segmentation | np.ndarray)
            else f"a {type(found).__name__}"
        )
        raise ValueError(f"for a cutout it gives {what}, not footprints in whole numbers from 0")
    if labels.shape != cutout.shape:
        raise ValueError(f"for a cutout of {cutout.shape} it gives footprints of {labels.shape}")
    if isinstance(found, Segmentation):
        if np.shape(found.neighbours) != cutout.shape or np.asarray(found.neighbours).dtype != bool:
            raise ValueError("its Segmentation.neighbours is not a bool array like the image")
        return found
    if not (labels == 1).any():
        return Segmentation.empty(cutout)
    return segment_footprints(cutout, labels.astype(np.int32), settings)
