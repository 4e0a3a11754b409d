"""The true segmentation, and which targets anyone could find in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from astropy.table import Table

from autogal.images import Cutout
from autogal.segment import Segmentation
from autogal.segment.footprints import segment_footprints
from autogal.segment.sources import Sources

__all__ = ["DECIDABLE", "comparable", "true_segmentations", "undecidable_note"]

#: Part of the target's own pixels, those above 1 sigma, that it must outshine all other sources in. Where it
#: does in fewer, most of what is seen at its place is another source, and no image says which of them was
#: meant.
DECIDABLE = 0.5


def comparable(truth: Table) -> tuple[np.ndarray, int]:
    """Rows of the targets whose parameters can be compared, and how many others are only undecidable.

    Those are one Sersic profile, and outshine all other sources in enough of their own pixels.

    Parameters
    ----------
    truth : Table
        With ``analytic`` and ``visible``.

    Returns
    -------
    rows : ndarray of int
    undecidable : int
    """
    analytic, seen = np.asarray(truth["analytic"], bool), np.asarray(truth["visible"]) >= DECIDABLE
    return np.flatnonzero(analytic & seen), int(np.count_nonzero(analytic & ~seen))


def true_segmentations(
    cutouts: Sequence[Cutout], instances: Sequence[np.ndarray], settings
) -> list[Segmentation]:
    """Segmentations from the true footprints, the neighbours' grown over their wings as those of any method
    are.

    Parameters
    ----------
    cutouts : sequence of Cutout
    instances : sequence of ndarray of bool, shape (K, H, W)
        The target first.
    settings
        Configuration node ``segment``, for ``grow``.
    """
    found = []
    for cutout, masks in zip(cutouts, instances, strict=True):
        sources = Sources(
            torch.from_numpy(masks[0]), torch.from_numpy(masks[1:]), 1.0, torch.ones(len(masks) - 1)
        )
        labels = sources.labels().numpy()
        if not (labels == 1).any():  # smaller sources lie on all of it
            labels[masks[0]] = 1
        found.append(segment_footprints(cutout, labels, settings))
    return found


def undecidable_note(count: int, total: int) -> str:
    """How many targets do not count, and what that means."""
    return (
        f"Undecidable: {count} of {total} targets do not count, because other sources outshine them in more "
        f"than "
        f"{1 - DECIDABLE:.0%} of the pixels where they are above 1 sigma."
    )
