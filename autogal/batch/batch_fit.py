"""Fitting one bucket of equal stamps: coarse first, then in full."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from autogal.batch.bucket import Bucket
from autogal.batch.scores import pixel_chi2
from autogal.batch.sigma_points import inclination_sigma_points, sigma_points
from autogal.batch.stamps import Stamps
from autogal.likelihood import Gaussian, Likelihood
from autogal.model.fit_model import FitModel
from autogal.solvers import Outcome, Solver, Status

__all__ = ["LOST", "BucketFit", "detection", "fit_bucket", "significance"]

#: Signal-to-noise ratio below which a fit has lost its galaxy
LOST = 3.0

# Of several starts, how many an item tries that ends at a bound or not at all
_TRIES = 3


class BucketFit(NamedTuple):
    """What became of one bucket.

    Attributes
    ----------
    outcome : Outcome
        One row a stamp; chi-square is that of the data alone, without the prior's part, and the Gauss-Newton
        matrix is Fisher's. Fits that end at a bound or do not converge were started again from other Sersic
        indices, and the lowest chi-square was kept. For a likelihood that is not Gaussian read deviance for
        chi-square.
    runaway : Tensor, [N] bool
        Galaxies whose size or index grew to its upper bound all the same: without sky of its own in the
        stamp, a galaxy can grow without end as the fitted sky sinks.
    mean, variance : Tensor, [N]
        Of chi-square where the model describes the data.
    sigma_points : list of (Tensor, Tensor), [N, P] and [N, P, P]
        Points a standard deviation to either side of the best, along what is known least, and Fisher's
        matrices there; NaN where there is none. None of models with one source of light, but of bodies that
        may be seen face-on the less and more tilted.
    bucket : Bucket
        What drew the model: it can draw the best fits again.
    """

    outcome: Outcome
    runaway: Tensor
    mean: Tensor
    variance: Tensor
    sigma_points: list[tuple[Tensor, Tensor]]
    bucket: Bucket


def fit_bucket(
    model: FitModel,
    stamps: Stamps,
    starts: Sequence[Tensor],
    solver: Solver,
    threads: int = 1,
    others: Callable[[Tensor], Tensor] | None = None,
    likelihood: Likelihood = Gaussian(),
    bounds: tuple[Tensor, Tensor] | None = None,
) -> BucketFit:
    """Fit stamps from given free vectors.

    Parameters
    ----------
    model : FitModel
    stamps : Stamps
    starts : sequence of Tensor, [N, P] float64
        Free vectors in the units of `stamps`. Of several, each galaxy takes the one of lowest chi-square;
        what is fixed in the model is so where the first has it.
    solver : Solver
    threads : int
        Chunks drawn at the same time, on a CPU.
    others : callable, optional
        Gives more starts [K, M, P] of the galaxies at M places. They are tried where a fit has failed: it did
        not converge, or its light is lost in the noise.
    likelihood : Likelihood
    bounds : (Tensor, Tensor), [N, P] each, optional
        Bounds of each galaxy's own, within those of the model.
    """
    bucket = Bucket(model, stamps, solver, threads, likelihood)
    if bounds is not None:
        bucket.lower, bucket.upper = (
            torch.maximum(bucket.lower, bounds[0]),
            torch.minimum(bucket.upper, bounds[1]),
        )
    starts = bucket.fix(starts)
    everything = torch.arange(len(stamps), device=stamps.data.device)
    ranked = bucket.rank(starts, everything)
    best = bucket.fit(ranked[0], everything)
    # what searches has been everywhere
    for again in () if bucket.search is not None else (*ranked[1:_TRIES], *model.restarts(ranked[0])):
        unsure = ((best.status != Status.CONVERGED) | best.at_bound.any(-1)).nonzero()[:, 0]
        bucket.improve(best, again[unsure], unsure)
    failed = ((best.status != Status.CONVERGED) | (significance(model, best) < LOST)).nonzero()[:, 0]
    if others is not None and bucket.search is None and len(failed):
        for again in others(failed):
            bucket.improve(best, again, failed)
    bucket.reevaluate(best)
    best.chi2 -= bucket.penalty(best.theta, everything)
    if stamps.whiten and stamps.correlation is not None:
        best.chi2 = pixel_chi2(bucket, best.theta, everything)
    mean, variance = bucket.judge(best, everything)
    runaway = (best.at_bound & (best.theta >= bucket.upper))[:, list(model.size_like)].any(-1)
    points = (sigma_points(bucket, best) if len(model.fluxes) > 1 else []) + inclination_sigma_points(
        bucket, best
    )
    return BucketFit(best, runaway, mean - len(model.fitted), variance, points, bucket)


def significance(model: FitModel, best: Outcome) -> Tensor:
    """Signal-to-noise ratio [N] of the light of all components together."""
    fluxes = list(model.fluxes)
    light = model.flux_direction(best.theta)
    return (
        torch.einsum("bi,bij,bj->b", light, best.hessian[:, fluxes][:, :, fluxes], light).clamp(min=0).sqrt()
    )


def detection(model: FitModel, best: Outcome) -> Tensor:
    """The root [N] of what the light of all components lowers chi-square by, the sky being free to take its
    place where it was fitted.

    It is the `significance` less what the sky could take over, which is most of it where the light is as wide
    as the stamp.
    """
    fluxes, light = list(model.fluxes), model.flux_direction(best.theta)
    background = [place for place in model.linear if place not in fluxes]
    shared = best.hessian[:, background][:, :, fluxes] @ light[:, :, None]
    taken = torch.linalg.solve_ex(best.hessian[:, background][:, :, background], shared)[0]
    return (
        (significance(model, best).square() - (shared * taken).sum((1, 2)).nan_to_num(0.0))
        .clamp(min=0)
        .sqrt()
    )
