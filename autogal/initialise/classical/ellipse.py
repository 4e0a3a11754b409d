"""Centre and shape of a source by adaptive Gaussian moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Ellipse", "adaptive_moments", "footprint_moments"]

_SMALLEST = 0.2  # px^2; a Gaussian narrower than the pixel grid cannot be told from a point
_ITERATIONS = 60


@dataclass(slots=True)
class Ellipse:
    """Centre and second moments: ``matrix`` is [[xx, xy], [xy, yy]] in px^2 of the best-fitting Gaussian."""

    x: float
    y: float
    matrix: np.ndarray

    def axes(self) -> tuple[float, float, float]:
        """Semi-major and semi-minor dispersion [px] and position angle [deg from +y, in [0, 180))."""
        values, vectors = np.linalg.eigh(self.matrix)
        major = vectors[:, 1]
        pa = np.degrees(np.arctan2(-major[0], major[1])) % 180.0
        return float(np.sqrt(max(values[1], 0))), float(np.sqrt(max(values[0], 0))), float(pa)


def adaptive_moments(image: np.ndarray, use: np.ndarray, first: Ellipse, reach: float) -> Ellipse | None:
    """Elliptical Gaussian whose own weighted moments are those of the image (Bernstein & Jarvis 2002, section
    3).

    It is the Gaussian that fits the image best, so that neither noise far out nor the size of an
    aperture matters. Pixels not to be used are replaced by the Gaussian itself, so that they pull nowhere.

    Parameters
    ----------
    image : ndarray of float64, shape (H, W)
        Sky subtracted.
    use : ndarray of bool, shape (H, W)
    first : Ellipse
        Where the iteration begins.
    reach : float
        Farthest that the centre may move [px]; also the largest dispersion.

    Returns
    -------
    Ellipse or None
        None where the iteration does not converge to a positive source within reach.
    """
    height, width = image.shape
    x, y, matrix = first.x, first.y, np.array(first.matrix, float)
    for _ in range(_ITERATIONS):
        half = 4.5 * np.sqrt(np.diag(matrix)) + 1
        if not np.isfinite(half).all():
            return None
        left, right = max(0, int(x - half[0])), min(width, int(x + half[0]) + 2)
        bottom, top = max(0, int(y - half[1])), min(height, int(y + half[1]) + 2)
        if right - left < 3 or top - bottom < 3:
            return None
        dx, dy = np.arange(left, right) - x, (np.arange(bottom, top) - y)[:, None]
        inverse = np.linalg.inv(matrix)
        weight = np.exp(
            -0.5 * (inverse[0, 0] * dx * dx + 2 * inverse[0, 1] * dx * dy + inverse[1, 1] * dy * dy)
        )
        good = use[bottom:top, left:right]
        values = image[bottom:top, left:right]
        norm = np.sum(weight[good] ** 2)
        if norm <= 0:
            return None
        amplitude = np.sum(values[good] * weight[good]) / norm
        if amplitude <= 0:
            return None
        light = weight * np.where(good, values, amplitude * weight)
        total = light.sum()
        if not total > 0:
            return None
        sx, sy = (light * dx).sum() / total, (light * dy).sum() / total
        xx, yy, xy = ((light * product).sum() / total for product in (dx * dx, dy * dy, dx * dy))
        # At the solution the weighted second moments are half the Gaussian's own.
        moved = np.array([[xx - sx * sx, xy - sx * sy], [xy - sx * sy, yy - sy * sy]])
        new = _bounded(matrix + np.clip(2 * moved - matrix, -0.5 * np.trace(matrix), np.trace(matrix)), reach)
        x, y = x + np.clip(2 * sx, -reach, reach), y + np.clip(2 * sy, -reach, reach)
        if np.hypot(x - first.x, y - first.y) > reach:
            return None
        change = np.abs(new - matrix).max() / np.trace(new)
        matrix = new
        if change < 1e-3 and max(abs(sx), abs(sy)) < 1e-3 * np.sqrt(np.trace(new)):
            return Ellipse(float(x), float(y), matrix)
    return None


def footprint_moments(image: np.ndarray, footprint: np.ndarray, x: float, y: float) -> Ellipse:
    """Flux-weighted moments inside a footprint; a circle of its area where its light has no positive sum.

    Parameters
    ----------
    image : ndarray of float64, shape (H, W)
        Sky subtracted.
    footprint : ndarray of bool, shape (H, W)
    x, y : float
        Centre [px] where the light gives none.

    Returns
    -------
    Ellipse
    """
    rows, columns = np.nonzero(footprint)
    weight = np.maximum(image[rows, columns], 0)
    total = weight.sum()
    if rows.size == 0 or not total > 0:
        return Ellipse(x, y, np.eye(2) * max(rows.size / (4 * np.pi), 1.0))
    x, y = float((weight * columns).sum() / total), float((weight * rows).sum() / total)
    dx, dy = columns - x, rows - y
    xx, yy, xy = ((weight * product).sum() / total for product in (dx * dx, dy * dy, dx * dy))
    return Ellipse(x, y, _bounded(np.array([[xx, xy], [xy, yy]]), np.inf))


def _bounded(matrix: np.ndarray, largest: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.clip(values, _SMALLEST, largest**2)) @ vectors.T
