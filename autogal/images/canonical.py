"""How an image lies, by its own light: which of its eight orientations is the one to measure it in.

What scans an image row by row, or takes every so many-th pixel for a sample, does not quite see the same in
an image and in its mirror image. It does in the orientation that the light itself chooses. Nothing here hangs
on the order of a sum: it is made of whole numbers.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from autogal.images.orientation import Orientation

__all__ = ["around", "brightest", "lie", "usable_box"]

# px; no farther from where a source should be is it looked for: never a tie of pixels to either side
_NEAR = 8.25
_SMOOTHED = 5  # px, the side of the square that is bright together
_AROUND = 16  # px on each side, whose light says how the image lies
_DIGITS = 30  # bits


def usable_box(good: np.ndarray) -> tuple[slice, slice]:
    """The smallest box, rows and columns, that holds all usable pixels [H, W] bool; there must be one."""
    rows, columns = (np.flatnonzero(good.any(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def around(x: float, y: float, half: float, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns no farther than `half` from a position, at least one of each."""
    out = []
    for place, length in zip((y, x), shape):
        first, last = max(0, math.ceil(place - half)), min(length - 1, math.floor(place + half))
        first = min(first, length - 1)
        out.append(slice(first, max(last, first) + 1))
    return out[0], out[1]


def brightest(image: np.ndarray, good: np.ndarray, x: float, y: float) -> tuple[int, int]:
    """Column and row near a position where the light is brightest, counted in small squares.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    good : ndarray of bool, shape (H, W)
        Pixels that count.
    x, y : float
    """
    half = _SMOOTHED // 2
    near = around(x, y, _NEAR + half, image.shape)
    light = _whole(image[near], good[near])
    window = np.ones(_SMOOTHED, np.int64)
    bright = ndimage.correlate1d(
        ndimage.correlate1d(light, window, axis=0, mode="constant"), window, axis=1, mode="constant"
    )
    rows, columns = np.ogrid[near]
    allowed = (np.abs(rows - y) <= _NEAR) & (np.abs(columns - x) <= _NEAR)
    if not allowed.any():  # a place beyond the edge
        allowed[...] = True
    bright = np.where(allowed, bright, np.iinfo(np.int64).min)
    row, column = np.unravel_index(int(bright.argmax()), bright.shape)
    return int(column) + near[1].start, int(row) + near[0].start


def lie(image: np.ndarray, good: np.ndarray, anchor: tuple[int, int]) -> Orientation:
    """How to look at an image so that the light around `anchor`, column and row, is heavier to the right than
    below, and below than above.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    good : ndarray of bool, shape (H, W)
        Pixels that count.
    anchor : (int, int)
    """
    near = around(*anchor, _AROUND, image.shape)
    light = _whole(image[near], good[near])
    rows, columns = (
        np.arange(side.start, side.stop) - centre for side, centre in zip(near, reversed(anchor))
    )
    right, below = int(light.sum(0) @ columns), int(light.sum(1) @ rows)
    return Orientation(right < 0, below < 0, abs(below) > abs(right))


def _whole(image: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Usable pixels less their median, as whole numbers of up to `_DIGITS` bits; 0 elsewhere."""
    if not good.any():
        return np.zeros(image.shape, np.int64)
    values = np.asarray(image, np.float64)
    values = np.where(good, values - np.median(values[good]), 0.0)
    largest = np.abs(values).max()
    return (
        np.rint(values * (2.0**_DIGITS / largest)).astype(np.int64)
        if largest > 0
        else np.zeros(image.shape, np.int64)
    )
