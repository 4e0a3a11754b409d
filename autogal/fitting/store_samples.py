"""From resamples of a bucket, and samples of its posteriors, to the rows of a fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from autogal.batch.bucket import Bucket
from autogal.batch.scores import deviance, score_covariance_of
from autogal.batch.stamps import Stamps
from autogal.fitting.context import FitContext
from autogal.fitting.store import to_centre, to_image_units, with_shapes
from autogal.flags import Flag
from autogal.model.component import Component
from autogal.model.fitted import QUANTILES, Fitted
from autogal.model.model import Model
from autogal.model.plane import move_sky
from autogal.uncertainty import covariance, plane_of, replicate_covariance

__all__ = ["store_bootstrap", "store_posterior"]

_FEW_FAILED = 0.1  # of the replicates of a bootstrap


def store_bootstrap(
    rows: np.ndarray, cutouts, how: FitContext, stamps: Stamps, best: Tensor, fitted: Fitted
) -> None:
    """Fit resamples of the galaxies of one bucket, and write the scatter of their parameters."""
    reaches = np.array([cutouts[i].noise.reach * how.likelihood.quadratic for i in rows], int)
    for reach in np.unique(reaches):
        some = np.flatnonzero(reaches == reach)
        places = torch.from_numpy(some).to(how.device)
        _resample(
            rows[some],
            cutouts,
            replace(how, bootstrap=how.bootstrap.for_noise(int(reach))),
            stamps.select(places),
            best[places],
            fitted,
        )


def _resample(
    rows: np.ndarray, cutouts, how: FitContext, stamps: Stamps, best: Tensor, fitted: Fitted
) -> None:
    model, count = how.model, how.bootstrap.replicates
    theta = how.bootstrap.fits(
        model, stamps, best, [cutouts[i].id for i in rows], how.solver, how.threads, how.likelihood
    )
    each = torch.arange(len(rows), device=how.device).repeat_interleave(count)
    values = model.values(theta.flatten(0, 1), stamps.zeropoint[each])
    to_image_units(model, values, stamps.scale[each], stamps.pedestal[each])
    values = values.cpu().numpy()
    move_sky(model.parameters, values, None, to_centre(model, stamps).repeat(count, axis=0))
    values = values.reshape(len(rows), count, -1)
    found, drawn = torch.from_numpy(fitted.values[rows]), torch.from_numpy(values)

    def plane(component: Component, places: list[int]) -> Tensor:
        own, others = (plane_of(component).vector(v[..., places].flatten(0, -2)) for v in (found, drawn))
        return replicate_covariance(own, others.reshape(*drawn.shape[:2], 2), (), (0, 1))

    matrix = with_shapes(
        model, found, replicate_covariance(found, drawn, _angles(model), _lengths(model)), plane
    ).numpy()
    # the scatter of what is held at a bound says nothing of its error, as little as the curvature does
    held = (
        np.isnan(np.diagonal(fitted.covariance[rows], axis1=1, axis2=2))
        & ~(fitted.flags[rows] & Flag.SINGULAR_COVARIANCE > 0)[:, None]
    )
    matrix[held[:, :, None] | held[:, None, :]] = np.nan
    (fitted.covariance if fitted.bootstrap is None else fitted.bootstrap)[rows] = matrix
    if fitted.replicates is not None:
        fitted.replicates[rows] = values
    failed = np.isnan(values).any(-1).sum(-1)
    for i, lost in zip(rows.tolist(), failed.tolist()):
        if lost > _FEW_FAILED * count:
            fitted.flags[i] |= Flag.BOOTSTRAP_FAILED
            cutouts[i].notes.append(
                f"{lost} of {count} fits of the bootstrap failed and were left out."
                if lost < count
                else (
                    "The bootstrap gave no errors: no fit converged, or the image has no room for its blocks."
                )
            )


def store_posterior(
    rows: np.ndarray, cutouts, how: FitContext, stamps: Stamps, best: Tensor, hessian: Tensor, fitted: Fitted
) -> None:
    """Sample the posteriors of the galaxies of one bucket, and write their quantiles and covariances.

    Parameters
    ----------
    rows : ndarray of int, [M]
        Of `fitted`.
    cutouts : sequence of Cutout
    how : FitContext
    stamps : Stamps
        M of them.
    best : Tensor, [M, P] float64
        Free vectors of the best fits.
    hessian : Tensor, [M, P, P] float64
        Gauss-Newton matrices there.
    fitted : Fitted
        Gets covariance, quantiles and the samples as its replicates.
    """
    if not len(rows):
        return
    model, wanted = how.model, how.posterior
    bucket = Bucket(model, stamps, how.solver, how.threads, how.likelihood)
    everything = torch.arange(len(rows), device=best.device)
    level, lower, upper = (
        bucket.grid_level(best, everything),
        *(bound.expand_as(best) for bound in (bucket.lower, bucket.upper)),
    )
    held = torch.zeros_like(best, dtype=torch.bool)
    held[:, list(model.fixed)] = True
    eye = torch.eye(best.shape[1], dtype=best.dtype, device=best.device).expand_as(hessian)
    about = covariance(hessian, eye, held, score_covariance_of(bucket, best))[0]

    def cost(theta: Tensor, which: Tensor) -> Tensor:
        return deviance(bucket, theta, which, level[which]) + bucket.penalty(theta, which)

    drawn = wanted.draw(cost, best, about, lower, upper, [cutouts[i].id for i in rows])
    count = wanted.samples
    each = everything.repeat_interleave(count)
    values = model.values(drawn.theta.flatten(0, 1), stamps.zeropoint[each])
    to_image_units(model, values, stamps.scale[each], stamps.pedestal[each])
    values = values.cpu().numpy()
    move_sky(model.parameters, values, None, to_centre(model, stamps).repeat(count, axis=0))
    values = values.reshape(len(rows), count, -1)
    for column, turn, followers in _angles(model):
        turned = turn * np.round((values[:, :, column] - fitted.values[rows][:, None, column]) / turn)
        for other in (column, *followers):
            values[:, :, other] -= turned
    off = values - values[:, :1]  # of what is held, 0 without any rounding
    off -= off.mean(1, keepdims=True)
    effective = drawn.effective.cpu().numpy()
    sound = wanted.enough(effective)
    fitted.covariance[rows] = np.where(
        sound[:, None, None], np.einsum("nsi,nsj->nij", off, off) / (count - 1), np.nan
    )
    fitted.quantiles[rows] = np.where(
        sound[:, None, None], np.moveaxis(np.quantile(values, QUANTILES, axis=1), 0, 1), np.nan
    )
    fitted.replicates[rows] = values
    for i, number, cut in zip(rows.tolist(), effective.tolist(), drawn.cut.cpu().numpy()):
        if reached := [name for name, is_cut in zip(_free_names(model, best[0]), cut) if is_cut]:
            cutouts[i].notes.append(
                f"The posterior of {', '.join(dict.fromkeys(reached))} runs into its bound, and without it "
                f"may have no end: "
                "a prior (model.priors) would decide."
            )
        if number < count:
            cutouts[i].notes.append(
                f"The posterior's samples are worth {number:.0f} independent ones, of {count} asked for."
            )
        if not wanted.enough(number):
            fitted.flags[i] |= Flag.BOOTSTRAP_FAILED


def _free_names(model: Model, theta: Tensor) -> list[str]:
    """The first value that each free number moves at `theta` [P], [P]."""
    moves = model.values_jacobian(theta[None])[0].abs() > 0
    return [model.parameters[int(column.nonzero()[0])] if column.any() else "" for column in moves.mT]


def _angles(model: Model) -> list[tuple[int, float, list[int]]]:
    """The columns of angles as `replicate_covariance` takes them: every position angle, then the phases
    that are counted from it."""
    out = []
    for component in filter(lambda c: c.has_ellipse, model.measured):
        pa, *phases = (
            (model.parameters.index(component.parameters[place]), turn)
            for place, turn in component.turns.items()
        )
        out += [(*pa, [column for column, _ in phases]), *((*phase, []) for phase in phases)]
    return out


def _lengths(model: Model) -> list[int]:
    """The columns of lengths: sizes, and those among the shapes."""
    return [model.parameters.index(c.parameters[place]) for c in model.measured for place in c.lengths]
