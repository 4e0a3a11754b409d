"""Pieces of a galaxy that have their like on its other side: rings, arms, the ends of disks and bars,
lobes of the PSF, halves."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from autogal.segment.classical.detection import Field
from autogal.segment.target import light_centre, target_profile

__all__ = ["join_symmetric", "symmetry"]

_ALIKE = 0.6  # of the light of a piece and that on the other side, what is common to both
_BRIGHTER = 2.0  # times a piece: what else may stand on the other side does not count for more
_ABOVE = 1.5  # noise: what is fainter there is none
_GAP = 2  # px between pieces that hang together
# Halves of one galaxy, on both sides of a lane: of their light about its middle, what is common to both
# sides, and how far the brightest pixel of each lies off its own middle towards the other, in radii of a
# circle of its area
_HALVES = 0.7
_EQUAL = 0.4  # of the brighter half's light, at least, is the fainter's
_FACING = 0.12
# Or they are as broad as this across the line between them, in units of their depth along it, and more alike
_BROAD = 1.5
_TWINS = 0.8
_AROUND = 0.6  # of the directions from the centre: what surrounds it need not touch it
_DIRECTIONS = 24


def join_symmetric(field: Field, labels: np.ndarray) -> np.ndarray:
    """Join to the target what surrounds it, or hangs together with it, and has its like on the other side.

    A source by its own right stands alone: turned by 180 degrees about the target's centre, its light falls
    where there is nothing but the target's own, which is taken off before.

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
    numbers = _near(labels, target, *light_centre(field.data, target))
    if not numbers.size:
        return labels
    labels = _join_halves(field, labels)
    target, numbers = labels == 1, np.unique(labels[labels > 1])
    centre = light_centre(field.data, target)
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


def _join_halves(field: Field, labels: np.ndarray) -> np.ndarray:
    """Join a source to the target that is its other half.

    Each is brightest towards the other, as no galaxy of its own is, or both are broad across the line between
    them, as lie the halves of a disk beside a lane along it.
    """
    light = np.where(field.good, np.maximum(field.data, 0.0), 0.0)
    near = ndimage.binary_dilation(labels == 1, structure=np.ones((3, 3)), iterations=_GAP)
    for k in np.unique(labels[near & (labels > 1)]).tolist():
        fluxes = sorted(light[labels == one].sum() for one in (1, k))
        if not fluxes[0] > _EQUAL * fluxes[1]:
            continue
        both = (labels == 1) | (labels == k)
        y, x = ndimage.center_of_mass(light, both, 1) if light[both].sum() > 0 else (np.nan, np.nan)
        lean, breadth = np.array([_half(light, labels == one, x, y) for one in (1, k)]).min(0)
        least = _HALVES if lean > _FACING else _TWINS if breadth > _BROAD else np.inf
        if np.isfinite(least) and _common(light, both, x, y) >= least:
            return np.where(labels == k, 1, labels)
    return labels


def _half(light: np.ndarray, part: np.ndarray, x: float, y: float) -> tuple[float, float]:
    """How far the brightest pixel of a part lies off the middle of its light towards (x, y), in radii of a
    circle of its area.

    And how broad its light is across that direction, in units of its depth along it.
    """
    rows, columns = np.nonzero(part)
    weight = light[rows, columns]
    if not weight.sum() > 0:
        return 0.0, 0.0
    weight = weight / weight.sum()
    dy, dx = rows - weight @ rows, columns - weight @ columns
    towards = np.array([y - weight @ rows, x - weight @ columns])
    towards = towards / max(np.hypot(*towards), 1e-9)
    along, across = dy * towards[0] + dx * towards[1], dx * towards[0] - dy * towards[1]
    lean = along[np.argmax(weight)] / np.sqrt(rows.size / np.pi)
    return float(lean), float(np.sqrt((weight @ across**2) / max(weight @ along**2, 1e-9)))


def _common(light: np.ndarray, region: np.ndarray, x: float, y: float) -> float:
    """Of the light of a region and its image turned about (x, y), what is common to both."""
    own = np.where(region, light, 0.0)
    rows, columns = np.indices(light.shape)
    turned = ndimage.map_coordinates(own, [2 * y - rows, 2 * x - columns], order=1)
    return float(np.minimum(own, turned).sum() / max(np.maximum(own, turned).sum(), 1e-30))


def symmetry(field: Field, labels: np.ndarray, numbers: np.ndarray, x: float, y: float) -> np.ndarray:
    """Part of the light of each source, the target's taken off, that is found again on the other side of (x,
    y).

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
    """Sources that may be pieces: if any hangs together with the target, or lies around its centre, all
    but the target."""
    near = ndimage.binary_dilation(target, structure=np.ones((3, 3)), iterations=_GAP)
    if not (labels[near] > 1).any():
        boxes = [box for box in ndimage.find_objects(labels)[1:] if box is not None]
        if not any(
            rows.start <= y < rows.stop and columns.start <= x < columns.stop for rows, columns in boxes
        ):
            return np.zeros(0, int)
    return np.unique(labels[labels > 1])


def _surrounds(region: np.ndarray, x: float, y: float) -> bool:
    """Whether a region lies in most directions from (x, y)."""
    rows, columns = np.nonzero(region)
    angle = np.arctan2(rows - y, columns - x)
    sectors = np.unique(np.floor((angle + np.pi) / (2 * np.pi) * _DIRECTIONS).astype(int) % _DIRECTIONS)
    return sectors.size >= _AROUND * _DIRECTIONS
