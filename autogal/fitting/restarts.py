"""Other starting values, for fits that failed from the first: drawn from how uncertain those are."""

from __future__ import annotations

import numpy as np

from autogal.parameters import START_STEP, axis_ratio_and_angle, ellipticity

__all__ = ["other_starts"]

# Standard deviations where the method of the start knows none: of the centre in radii R = r_eff sqrt(q), of
# ln R and ln n, and of each ellipticity
_CENTRE, _LN_R, _LN_N, _SHAPE = 0.3, 0.5, 0.6, 0.4
_SMALLEST = 0.5  # px; a centre is never known worse than that of a galaxy of this size
_FARTHEST = 3.0  # radii, and in every logarithm: from farther away a fit finds another source, or nothing
_LIMITS = {"n": (0.3, 8.0), "q": (0.06, 1.0), "r_eff": (0.1, np.inf)}
_WITHOUT_FLUX = [0, 1, 3, 4, 5, 6]  # rows of the covariance: the fit solves for the flux


def other_starts(start: np.ndarray, covariance: np.ndarray, count: int) -> np.ndarray:
    """Starting values around given ones, always the same for the same galaxy, whatever it is fitted together
    with.

    Parameters
    ----------
    start : ndarray, [N, 8]
        x, y, mag, r_eff, n, q, pa, sky.
    covariance : ndarray, [N, 7, 7]
        Of x, y, ln flux, ln R, ln n, e1, e2, as `autogal.initialise.Start` has it. Where it holds NaN a
        typical spread of moments is taken.
    count : int

    Returns
    -------
    ndarray, [count, N, 8]
        With the magnitude and the sky of `start`.
    """
    x, y, mag, r_eff, n, q, pa, sky = np.asarray(start, float).T
    radius = r_eff * np.sqrt(q)
    middle = np.stack([x, y, np.log(radius), np.log(n), *ellipticity(q, pa)], 1)
    wide = np.maximum(radius, _SMALLEST)
    farthest = _FARTHEST * np.stack([wide, wide, *[np.ones_like(wide)] * 4], 1)[:, None]
    steps = np.clip(_directions(count) @ _root(covariance, wide).mT, -farthest, farthest)
    # as the start itself, without the last digits of what a network says of its covariance
    x, y, ln_r, ln_n, e1, e2 = np.moveaxis(np.rint((middle[:, None] + steps) / START_STEP) * START_STEP, 2, 0)
    q, pa = axis_ratio_and_angle(e1, e2)
    found = {"n": np.exp(ln_n), "q": q, "r_eff": np.exp(ln_r) / np.sqrt(q)}
    n, q, r_eff = (np.clip(found[name], *_LIMITS[name]) for name in ("n", "q", "r_eff"))
    same = [np.broadcast_to(value[:, None], n.shape) for value in (mag, sky)]
    return np.stack([x, y, same[0], r_eff, n, q, pa, same[1]], -1).swapaxes(0, 1)


def _directions(count: int) -> np.ndarray:
    """Fixed normal deviates [count, 6], each pair mirrored, so that no side is preferred."""
    half = np.random.default_rng(20).normal(size=(-(-count // 2), 6))
    return np.stack([half, -half], 1).reshape(-1, 6)[:count]


def _root(covariance: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """A matrix [N, 6, 6] whose product with its own transpose is the covariance without the flux."""
    typical = np.stack(
        [
            _CENTRE * radius,
            _CENTRE * radius,
            *(np.full_like(radius, value) for value in (_LN_R, _LN_N, _SHAPE, _SHAPE)),
        ],
        1,
    )
    matrix = covariance[:, _WITHOUT_FLUX][:, :, _WITHOUT_FLUX]
    known = np.isfinite(matrix).all((1, 2))
    values, vectors = np.linalg.eigh(np.where(known[:, None, None], matrix, np.eye(6)))
    root = vectors * np.sqrt(np.maximum(values, 0.0))[:, None]
    return np.where(known[:, None, None], root, typical[:, :, None] * np.eye(6))
