"""Images far larger than their target: the network looks at a window around it, and what lies outside is
SExtractor's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.images.frame import around, is_field
from autogal.segment.segmentation import Segmentation, wanted_position

__all__ = ["Box", "put_back", "window_of"]

#: Rows and columns of an image
Box = tuple[slice, slice]

# px; of the side of the window, which is that of the part that is fitted but for the largest galaxies
_HALF = 256


def window_of(cutout: Cutout) -> Box:
    """Where the network looks: everywhere, unless the image is a field.

    Parameters
    ----------
    cutout : Cutout

    Returns
    -------
    (slice, slice)
        Rows and columns.
    """
    height, width = cutout.shape
    if not is_field(cutout):
        return slice(0, height), slice(0, width)
    x, y = wanted_position(cutout)
    return around(y, _HALF, height), around(x, _HALF, width)


def put_back(
    found: Segmentation, box: Box, cutout: Cutout, classical: Callable[[Cutout], Segmentation]
) -> Segmentation:
    """A window's segmentation as one of the whole image.

    Parameters
    ----------
    found : Segmentation
        Of the window, with a target.
    box : (slice, slice)
        The window.
    cutout : Cutout
        The whole image.
    classical : callable
        Segments the whole image; the sources outside the window are its.

    Returns
    -------
    Segmentation
    """
    elsewhere = classical(cutout)
    outside = np.ones(cutout.shape, bool)
    outside[box] = False
    last = int(found.labels.max())
    labels = np.where(outside & (elsewhere.labels > 1), elsewhere.labels + last - 1, 0)
    others = np.unique(labels[labels > 0])
    numbers = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    numbers[others] = last + 1 + np.arange(others.size)
    labels = numbers[labels]
    labels[box] = found.labels
    reaches = {
        k: ((_moved(rows, box[0]), _moved(columns, box[1])), own)
        for k, ((rows, columns), own) in found.reaches.items()
    }
    reaches |= {
        int(numbers[k + last - 1]): (where, own & outside[where])
        for k, (where, own) in elsewhere.reaches.items()
        if k + last - 1 < numbers.size and numbers[k + last - 1]
    }
    neighbours = elsewhere.neighbours & outside
    neighbours[box] = found.neighbours
    otherwise = None
    if found.otherwise is not None:
        otherwise = neighbours.copy()
        otherwise[box] = found.otherwise
    # where the window ends, the image goes on
    flags = found.flags & ~Flag.EDGE | elsewhere.flags & Flag.EDGE
    return replace(
        found,
        labels=labels,
        neighbours=neighbours,
        x=found.x + box[1].start,
        y=found.y + box[0].start,
        n_sources=last + others.size,
        flags=flags,
        reaches=reaches,
        otherwise=otherwise,
    )


def _moved(side: slice, origin: slice) -> slice:
    return slice(side.start + origin.start, side.stop + origin.start)
