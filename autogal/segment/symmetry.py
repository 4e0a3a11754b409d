"""Pieces of a galaxy that have their like on its other side: rings, arms, the ends of disks and bars, lobes of the PSF."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from autogal.segment.detection import Field
from autogal.segment.target import target_profile

__all__ = ["join_symmetric", "symmetry"]

_ALIKE = 0.6  # of the light of a piece and that on the other side, what is common to both
_BRIGHTER = 2.0  # times a piece: what else may stand on the other side does not count for more
_ABOVE = 1.5  # noise: what is fainter there is none
_GAP = 2  # px between pieces that hang together
_AROUND = 0.6  # of the directions from the centre: what surrounds it need not touch it
_DIRECTIONS = 24


def join_symmetric(field: Field, labels: np.ndarray) -> np.ndarray:
    """Join to the target what surrounds it, or hangs together with it, and has its like on the other side.

    A source by its own right stands alone: turned by 180 degrees about the target's centre, its light falls where there is
    nothing but the target's own, which is taken off before.

    Parameters
    ----------
    field : Field
    labels : ndarray of int, shape (H, W)
        0 sky, 1 the target, 2, 3, ... others.

    Returns
    -------
    ndarray of int, shape (H, W)
        The same, the joined ones with label 1.
    """
    target = labels == 1
    if not target.any():
        return labels
    centre = _centre(field.data, target)
    numbers = _near(labels, target, *centre)
    if not numbers.size:
        return labels
    pieces = numbers[symmetry(field, labels, numbers, *centre) >= _ALIKE]
    if not pieces.size:
        return labels
    own = np.isin(labels, pieces)
    kept = target if not _surrounds(own, *centre) else target | own
    while True:  # further pieces hang on those that hang on the target
        near = ndimage.binary_dilation(kept, structure=np.ones((3, 3)), iterations=_GAP)
        grown = target | np.isin(labels, np.intersect1d(pieces, labels[near & own])) | kept
        if np.array_equal(grown, kept):
            break
        kept = grown
    return np.where(kept & own, 1, labels)


def symmetry(field: Field, labels: np.ndarray, numbers: np.ndarray, x: float, y: float) -> np.ndarray:
    """Part of the light of each source, the target's taken off, that is found again on the other side of (x, y).

    Parameters
    ----------
    field : Field
    labels : ndarray of int, shape (H, W)
        1 is the target.
    numbers : ndarray of int, shape (K,)
        Of the sources.
    x, y : float

    Returns
    -------
    ndarray, shape (K,)
    """
    expected = target_profile(field, labels == 1, labels > 1, x, y)
    light = np.where(field.good, np.maximum(field.data - expected, 0.0), 0.0)
    lit = np.where(light > _ABOVE * field.noise, light, 0.0)
    rows, columns = np.indices(labels.shape)
    turned = ndimage.map_coordinates(lit, [2 * y - rows, 2 * x - columns], order=1)
    both = np.minimum(light, turned), np.clip(turned, light, _BRIGHTER * light)
    common, either = (ndimage.sum_labels(image, labels, numbers) for image in both)
    return common / np.maximum(either, 1e-30)


def _near(labels: np.ndarray, target: np.ndarray, x: float, y: float) -> np.ndarray:
    """Sources that may be pieces: if any hangs together with the target, or lies around its centre, all but the target."""
    near = ndimage.binary_dilation(target, structure=np.ones((3, 3)), iterations=_GAP)
    if not (labels[near] > 1).any():
        boxes = [box for box in ndimage.find_objects(labels)[1:] if box is not None]
        if not any(rows.start <= y < rows.stop and columns.start <= x < columns.stop for rows, columns in boxes):
            return np.zeros(0, int)
    return np.unique(labels[labels > 1])


def _centre(light: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Where the target's light is densest."""
    rows, columns = np.nonzero(target)
    weight = np.maximum(light[rows, columns], 0) ** 2
    weight = weight if weight.sum() > 0 else np.ones(rows.size)
    return float((weight * columns).sum() / weight.sum()), float((weight * rows).sum() / weight.sum())


def _surrounds(region: np.ndarray, x: float, y: float) -> bool:
    """Whether a region lies in most directions from (x, y)."""
    rows, columns = np.nonzero(region)
    angle = np.arctan2(rows - y, columns - x)
    sectors = np.unique(np.floor((angle + np.pi) / (2 * np.pi) * _DIRECTIONS).astype(int) % _DIRECTIONS)
    return sectors.size >= _AROUND * _DIRECTIONS
