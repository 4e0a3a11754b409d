"""Points beside the best fits, at which curvature is looked at again: where chi-square is bent, that at
its lowest point says too little."""

from __future__ import annotations

import torch
from torch import Tensor

from autogal.batch.bucket import Bucket
from autogal.batch.curvature import sigma_along, weakest_direction
from autogal.solvers import Outcome

__all__ = ["inclination_sigma_points", "sigma_points"]

# Bodies may be face-on where the tilt is less than so many standard deviations. How many less and more are
# looked at, for what is divided by a tilt is far from normal; and what is left of it at least
_CLEAR, _REACH, _LEFT = 6.0, 2.0, 0.1


def sigma_points(bucket: Bucket, best: Outcome) -> list[tuple[Tensor, Tensor]]:
    """Points a standard deviation to either side of the best ones, along what is known least, and Fisher's
    matrices there.

    Where two components can trade light for size, chi-square has a bent valley, and the curvature at its
    lowest point, which noise puts anywhere in it, tells too little of its width.

    Parameters
    ----------
    bucket : Bucket
    best : Outcome
        Of all N stamps.

    Returns
    -------
    list of (Tensor, Tensor), [N, P] and [N, P, P]
        NaN where there is none.
    """
    items, theta, frozen = _sound(bucket, best)
    step, grid_level = weakest_direction(best.hessian[items], frozen), bucket.grid_level(theta, items)
    lower, upper = (bound if bound.ndim == 1 else bound[items] for bound in (bucket.lower, bucket.upper))
    out = []
    for sign in (-1, 1):
        there = theta + sign * step
        # a point that the bounds cut short tells of them, and not of the valley
        inside = (frozen | ((there > lower) & (there < upper))).all(-1)
        out.append(_fisher(bucket, best, there[inside], items[inside], grid_level[inside]))
    return out


def inclination_sigma_points(bucket: Bucket, best: Outcome) -> list[tuple[Tensor, Tensor]]:
    """Points and Fisher's matrices as `sigma_points` gives them, to either side in the tilt of each body that
    may be face-on.

    What the image tells of a body's third dimension grows with its tilt: where that is not known well, the
    curvature at the one that was found says too little of the error.
    """
    if not bucket.model.bodies:
        return []
    items, theta, frozen = _sound(bucket, best)
    grid_level, out = bucket.grid_level(theta, items), []
    for body, places in bucket.model.bodies:
        w = theta[:, places]
        sin2, slope = body.by_sine(w)
        tilt, along = torch.zeros_like(theta), torch.zeros_like(theta)
        tilt[:, places] = w
        along[:, places] = torch.linalg.solve_ex(slope, w / (w.norm(dim=-1) * sin2)[:, None])[
            0
        ]  # of ln sin^2 i
        relative = sigma_along(best.hessian[items], frozen, along)
        maybe = relative > 1 / _CLEAR
        for factor in ((1 - _REACH * relative).clamp(min=_LEFT), 1 + _REACH * relative):
            there = theta + (factor[:, None] - 1) * tilt
            out.append(_fisher(bucket, best, there[maybe], items[maybe], grid_level[maybe]))
    return out


def _sound(bucket: Bucket, best: Outcome) -> tuple[Tensor, Tensor, Tensor]:
    """The stamps whose fits came to something, their free vectors, and what of those does not move."""
    items = (torch.isfinite(best.theta).all(-1) & torch.isfinite(best.hessian).flatten(1).all(-1)).nonzero()[
        :, 0
    ]
    frozen = best.at_bound[items]
    frozen[:, list(bucket.model.fixed)] = True
    return items, best.theta[items], frozen


def _fisher(
    bucket: Bucket, best: Outcome, theta: Tensor, items: Tensor, grid_level: Tensor
) -> tuple[Tensor, Tensor]:
    """Free vectors, the linear of them at their best, and Fisher's matrices at `theta` of `items`, drawn on
    the grids of `grid_level` [M].

    NaN in all other rows of those of `best`.
    """
    point, matrix = torch.full_like(best.theta, torch.nan), torch.full_like(best.hessian, torch.nan)
    for current in grid_level.unique().tolist():
        some = (grid_level == current).nonzero()[:, 0]
        places = items[some]
        problem = bucket.problem(current, 1, places)
        state = problem.linearise(theta[some], places)
        point[places] = state.theta
        matrix[places] = (
            state.hessian if bucket.likelihood.quadratic else problem.judge(state.theta, places)[0]
        )
    return point, matrix
