"""The target and the frame of its image: which part is worth fitting, and what of the target lies outside."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from autogal.images import Cutout
from autogal.parameters import split_name

__all__ = ["around", "is_field", "leaves_frame", "window"]

# An image larger than this is a field; the rest of it tells nothing about a galaxy in its middle but costs
# memory and time
_LARGEST = 1024  # px
_SMALLEST = 512  # px
_REACH = 12.0  # half-light radii on each side
_EXTENT = (
    2.0  # half-light radii: 85 % of the light of an exponential disk, 71 % of a de Vaucouleurs profile's
)


def is_field(cutout: Cutout) -> bool:
    """Whether an image is so large that a part of it may be enough."""
    return max(cutout.shape) > _LARGEST


def window(cutout: Cutout, start: dict[str, float]) -> tuple[Cutout, int, int]:
    """The part of an image to fit: all of it, unless it is a field far larger than its target.

    Parameters
    ----------
    cutout : Cutout
        Gets a note where only a part of it is taken.
    start : dict
        Starting values, at least x, y and r_eff.

    Returns
    -------
    part : Cutout
    x, y : int
        The first pixel of the part, in the coordinates of `cutout`.
    """
    height, width = cutout.shape
    half = math.ceil(max(_SMALLEST / 2, _REACH * start["r_eff"]))
    if not is_field(cutout) or max(height, width) <= 3 * half:
        return cutout, 0, 0
    columns, rows = around(start["x"], half, width), around(start["y"], half, height)
    size = f"{columns.stop - columns.start} x {rows.stop - rows.start}"
    cutout.notes.append(
        f"A field of {width} x {height} pixels, not the image of one galaxy: "
        f"one source was chosen, and {size} pixels around it were fitted."
    )
    return cutout.window(rows, columns), columns.start, rows.start


def around(centre: float, half: int, length: int) -> slice:
    """The `2 * half` pixels around a position along a side of `length` pixels, or as many as there are,
    all within it."""
    first = min(max(0, round(centre) - half), max(0, length - 2 * half))
    return slice(first, min(length, first + 2 * half))


def leaves_frame(parameters: Sequence[str], values: np.ndarray, cutouts: Sequence[Cutout]) -> np.ndarray:
    """Whose light beyond the edge of the image is a good part of the whole: an extrapolation, not a
    measurement.

    Parameters
    ----------
    parameters : sequence of str, length P
    values : ndarray, [N, P]
    cutouts : sequence of Cutout, length N

    Returns
    -------
    ndarray of bool, [N]
        True where the ellipse of two half-light radii of any component is not all within the image.
    """
    shapes = np.array([cutout.shape for cutout in cutouts], float).reshape(-1, 2)
    column = dict(zip(parameters, values.T))
    outside = np.zeros(len(values), bool)
    for name in column:
        if split_name(name)[1] != "r_eff":
            continue
        of = name.removesuffix("r_eff")
        x, y, q, pa = (
            column.get(of + key, column.get(key, 1.0)) for key in ("x", "y", "q", "pa")
        )  # a body has no q: as if round
        angle = np.radians(pa)
        # Half of the box around an ellipse whose major axis lies along (-sin pa, cos pa)
        wide = _EXTENT * column[name] * np.hypot(np.sin(angle), q * np.cos(angle))
        high = _EXTENT * column[name] * np.hypot(np.cos(angle), q * np.sin(angle))
        outside |= (
            (x - wide < -0.5)
            | (x + wide > shapes[:, 1] - 0.5)
            | (y - high < -0.5)
            | (y + high > shapes[:, 0] - 0.5)
        )
    return outside
