"""What fits of bodies seen at an inclination need besides: they may run away towards edge-on, and tell little of the third dimension face-on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from autogal.batch.curvature import deviation
from autogal.model.component import Component
from autogal.model.model import Model
from autogal.solvers import Outcome, Status

if TYPE_CHECKING:
    from autogal.batch.batch_fit import Bucket

__all__ = ["bring_back", "less_and_more_tilted", "off_the_edge"]

# By how much chi-square may be higher than the solver believes, which does not evaluate its last step, besides rounding
_MISSED, _ROUNDING = 0.1, 1e-5
# Bodies may be face-on where the tilt is less than so many standard deviations. How many less and more are looked at, for what
# is divided by a tilt is far from normal; and what is left of it at least
_CLEAR, _REACH, _LEFT = 6.0, 2.0, 0.1


def bring_back(bucket: Bucket, best: Outcome) -> None:
    """Evaluate fits of bodies where they ended, or where the image still has a slope by their vectors if they went farther.

    What is not as good as the solver believed has not converged.
    """
    if not bucket.model.bodies:
        return
    items = torch.isfinite(best.theta).all(-1).nonzero()[:, 0]
    theta, believed = best.theta[items].clone(), best.chi2[items]
    for body, places in bucket.model.bodies:
        theta[:, places] = body.inside(theta[:, places])
    level = bucket.level(theta, items)
    for current in level.unique().tolist():
        some = (level == current).nonzero()[:, 0]
        best.keep(items[some], bucket.problem(current, 1, items[some]).linearise(theta[some], items[some]))
    best.status[items[best.chi2[items] > believed * (1 + _ROUNDING) + _MISSED]] = int(Status.NOT_CONVERGED)


def off_the_edge(model: Model, start: Tensor) -> Tensor:
    """Free vectors [B, P] from which a solver finds the way back from edge-on."""
    out = start.clone() if model.bodies else start
    for body, places in model.bodies:
        out[:, places] = body.inside(out[:, places], Component.closest)
    return out


def less_and_more_tilted(bucket: Bucket, best: Outcome) -> list[tuple[Tensor, Tensor]]:
    """Points and Fisher's matrices as `BucketFit.around` has them, to either side in the tilt of each body that may be face-on.

    What the image tells of a body's third dimension grows with its tilt: where that is not known well, the curvature at the
    one that was found says too little of the error.
    """
    if not bucket.model.bodies:
        return []
    items = (torch.isfinite(best.theta).all(-1) & torch.isfinite(best.hessian).flatten(1).all(-1)).nonzero()[:, 0]
    theta, frozen, out = best.theta[items], best.at_bound[items].clone(), []
    frozen[:, list(bucket.model.held)] = True
    level = bucket.level(theta, items)
    for body, places in bucket.model.bodies:
        w = theta[:, places]
        sin2, slope = body.by_sine(w)
        tilt, along = torch.zeros_like(theta), torch.zeros_like(theta)
        tilt[:, places] = w
        along[:, places] = torch.linalg.solve_ex(slope, w / (w.norm(dim=-1) * sin2)[:, None])[0]  # of ln sin^2 i
        relative = deviation(best.hessian[items], frozen, along)
        maybe = relative > 1 / _CLEAR
        for factor in ((1 - _REACH * relative).clamp(min=_LEFT), 1 + _REACH * relative):
            there = theta + (factor[:, None] - 1) * tilt
            out.append(bucket.fisher(best, there[maybe], items[maybe], level[maybe]))
    return out
