"""Images of one size, looked at together: most stamps of a survey want nothing put right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Pixels", "check_pixels", "uniform"]

# Images looked at together: few enough for a CPU's cache
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Pixels:
    """Pixels of one object, some of them usable and not all of one value.

    Attributes
    ----------
    image, sigma : ndarray, shape (H, W)
        Of the type asked for.
    mask : ndarray of bool, shape (H, W)
        True = masked by the user, not finite, or without a positive sigma.
    top : float
        Largest usable value of the image.
    repeats : int
        Usable pixels that have it.
    """

    image: np.ndarray
    sigma: np.ndarray
    mask: np.ndarray
    top: float
    repeats: int


def uniform(given, values: Sequence) -> np.ndarray | Sequence[np.ndarray] | None:
    """Plain arrays of real numbers, all of one shape, in the form that is fastest to read.

    Parameters
    ----------
    given
        What the user gave.
    values : sequence
        The same, one item an object.

    Returns
    -------
    ndarray [N, ...] or sequence of N ndarrays or None
        `given` where it is one array with a plane an object, else `values`; None where they are anything
        else.
    """
    if _plain(given, 3) and len(given) == len(values):
        return given
    first = values[0]
    alike = _plain(first, 2) and all(
        value is first or (_plain(value, 2) and value.shape == first.shape) for value in values
    )
    return values if alike else None


def _plain(array, dimensions: int) -> bool:
    return type(array) is np.ndarray and array.ndim == dimensions and array.dtype.kind in "biuf"


def check_pixels(images, sigmas, masks, dtype: str) -> list[Pixels | None]:
    """Image, sigma map and mask of each object put together, a few objects at a time.

    Parameters
    ----------
    images, sigmas : ndarray of shape (N, H, W), or sequence of N ndarrays (H, W)
        From :func:`uniform`. Not changed; what is of the type asked for already is shared.
    masks : like `images`, or None
        Non-zero = excluded.
    dtype : str
        Of the images and sigma maps wanted.

    Returns
    -------
    list of Pixels or None, length N
        None: this object must be looked at by itself. All are where the shapes differ.
    """
    if len({planes[0].shape for planes in (images, sigmas, masks) if planes is not None}) > 1:
        return [None] * len(images)
    checked = []
    filled, found = (np.empty((_AT_ONCE, *images[0].shape), kind) for kind in (dtype, bool))
    for first in range(0, len(images), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        image_rows, sigma_rows = _typed(images[some], dtype), _typed(sigmas[some], dtype)
        image, sigma = np.asarray(image_rows), np.asarray(sigma_rows)
        values, flags = filled[: len(image)], found[: len(image)]
        good = np.isfinite(image)
        good &= np.greater(sigma, 0, out=flags)
        good &= np.less(sigma, np.inf, out=flags)
        if masks is not None:
            good &= np.equal(masks[some], 0, out=flags)
        values[:] = -np.inf
        np.copyto(values, image, where=good)
        top = values.reshape(len(values), -1).max(axis=1)
        usable = [np.count_nonzero(plane) for plane in good]
        repeats = [np.count_nonzero(plane) for plane in np.equal(values, top[:, None, None], out=flags)]
        mask = np.logical_not(good, out=good)
        rows = zip(image_rows, sigma_rows, mask, top.tolist(), repeats)
        checked += [Pixels(*row) if 0 < row[-1] < count else None for count, row in zip(usable, rows)]
    return checked


def _typed(planes, dtype: str):
    """Planes of the type asked for, in memory order."""
    if isinstance(planes, np.ndarray):
        return np.ascontiguousarray(planes, dtype)
    return [np.ascontiguousarray(plane, dtype) for plane in planes]
