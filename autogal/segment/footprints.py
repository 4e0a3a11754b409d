"""From footprints, whoever drew them, to a segmentation: the neighbours' masks grown over their wings, the
target's centre and flags."""

from __future__ import annotations

import numpy as np

from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.segment.classical.detection import Field, prepare_field
from autogal.segment.neighbours import grow_neighbours, union_of
from autogal.segment.pieces import doubtful_pieces
from autogal.segment.segmentation import Segmentation
from autogal.segment.target import light_centre, target_flags, target_profile

__all__ = ["segment_footprints"]

# light at the edge of footprints, in units of the pixel noise: as the simulator draws and the network learns
# them
_EDGE_LIGHT = 1.0


def segment_footprints(
    cutout: Cutout, labels: np.ndarray, settings, field: Field | None = None
) -> Segmentation:
    """Complete footprints to a segmentation.

    Parameters
    ----------
    cutout : Cutout
        Never changed.
    labels : ndarray of int, shape (H, W)
        0 sky, 1 the target, which has at least one pixel, 2, 3, ... the neighbours; each ends where it is
        about as bright as the noise of a pixel.
    settings
        Node with ``grow``.
    field : Field, optional
        The cutout made ready, where that is done already.

    Returns
    -------
    Segmentation
        An empty one where the cutout has too few usable pixels.
    """
    field = prepare_field(cutout) if field is None else field
    if field is None:
        return Segmentation.empty(cutout, "too few usable pixels to look for a source")
    labels = _in_one_run(labels)
    x, y = light_centre(field.data, labels == 1)
    expected = target_profile(field, labels == 1, labels > 1, x, y)
    threshold = _EDGE_LIGHT * float(np.median(field.pixel_noise / field.noise))
    reaches = grow_neighbours(field, labels, expected, (x, y), threshold, float(settings.grow))
    neighbours = union_of(reaches, labels.shape)
    flags = target_flags(field, cutout, labels, neighbours)
    notes = []
    doubtful = doubtful_pieces(field, labels, expected)
    if count := len(doubtful):
        flags |= Flag.POOR_FIT
        notes.append(
            f"{count} source{'s' if count > 1 else ''} beside the target may be "
            f"part{'s' if count > 1 else ''} of it: "
            "no valley lies between that is as deep as it should be."
        )
    return Segmentation(
        labels,
        neighbours,
        x,
        y,
        int(labels.max()),
        bool(flags & Flag.BLENDED),
        flags,
        notes,
        reaches,
        doubtful=frozenset(doubtful),
    )


def _in_one_run(labels: np.ndarray) -> np.ndarray:
    """Labels without gaps: a source that others cover entirely has no pixel left."""
    present = np.unique(labels[labels > 0])
    new = np.zeros(labels.max() + 1, np.int32)
    new[present] = 1 + np.arange(present.size)
    return new[labels]
