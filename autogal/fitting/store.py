"""From the outcomes of a bucket to rows: values in the units of the images, errors, flags."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from autogal.batch.batch_fit import BucketFit, significance
from autogal.batch.scores import misfit_covariance_of, score_covariance_of
from autogal.batch.stamps import Stamps
from autogal.fitting.at_bounds import moved_by_bounds, moved_by_thinness
from autogal.fitting.context import FitContext
from autogal.fitting.residuals import Seen, is_poor, seen
from autogal.fitting.verdict import judge
from autogal.flags import Flag
from autogal.model.component import FAINTEST, Component
from autogal.model.fitted import Fitted
from autogal.model.model import Model
from autogal.model.plane import SKY, move_sky
from autogal.solvers import Status
from autogal.uncertainty import covariance, in_plane, shape_errors

__all__ = ["in_stamp_units", "store_fit", "to_centre", "to_image_units", "with_shapes"]

_SUMS = ("mag", "bt")  # of several components together
_DRAGGED = 0.5  # of its error, by which a value moves with what is held at a bound


def store_fit(
    rows: np.ndarray, cutouts, how: FitContext, stamps: Stamps, fit: BucketFit, fitted: Fitted
) -> None:
    """Outcomes of one bucket in catalogue units, with their flags."""
    model, outcome = how.model, fit.outcome
    snr = significance(model, outcome)
    shown = seen(fit, stamps, [cutouts[i] for i in rows], how, snr)
    level = None if how.level is None else how.level.seen(rows, shown.wing, stamps.scale)
    points = [(outcome.theta, outcome.hessian), *fit.sigma_points]
    measured = [
        (*point, how, stamps, outcome.at_bound, level, score_covariance_of(fit.bucket, point[0]))
        for point in points
    ]
    (values, matrix, singular), *around = (_covariance_at(*point) for point in measured)
    around = [point[:2] for point in around]

    def plane(component: Component, places: list[int]) -> Tensor:
        return _mean(
            [
                in_plane(component, v[:, places], m[:, places[-2:]][:, :, places[-2:]])
                for v, m in ((values, matrix), *around)
            ]
        )

    misfit = _misfit(fit, how, stamps, level, measured[0]) if how.uncertainty.get("misfit") else None
    several = _mean([matrix, *(other for _, other in around)])
    matrix = with_shapes(model, values, torch.where(torch.isnan(matrix), torch.nan, several), plane)
    thinnest, moved = (
        torch.zeros_like(values, dtype=torch.bool),
        moved_by_bounds(model, fit, model.values_jacobian(outcome.theta)),
    )
    for component, places in _ellipses(model):
        thinnest[:, places[-2]] = component.at_thinnest(
            values[:, places], matrix.diagonal(dim1=-2, dim2=-1)[:, places[-2]].sqrt()
        )
        if component in model.ellipses and thinnest[:, places[-2]].any():
            rows_thin = thinnest[:, places[-2]].nonzero()[:, 0]
            moved[rows_thin] += moved_by_thinness(
                model, fit, component, model.vector_of(component), rows_thin
            )
    if len(model.fluxes) > 1:
        moved[_unlit(model, outcome.theta).any(-1)] = 0.0  # what has no light drags nothing
    untold = thinnest | (
        moved.abs() * _sky_unit(model, stamps.scale) > _DRAGGED * matrix.diagonal(dim1=-2, dim2=-1).sqrt()
    )
    matrix = torch.where(untold[:, :, None] | untold[:, None, :], torch.nan, matrix)
    own = [*model.own, model.size - 1]  # bounds that neighbours run into are none of the target's
    at_bound = outcome.at_bound[:, own].any(-1) | thinnest.any(-1)

    columns = (
        values,
        matrix,
        at_bound,
        singular,
        snr,
        outcome.chi2,
        fit.mean,
        fit.variance,
        fit.runaway,
        outcome.status,
        outcome.n_iter,
    )
    values, matrix, at_bound, singular, snr, chi2, mean, variance, runaway, status, n_iter = (
        column.cpu().numpy() for column in columns
    )
    move_sky(model.parameters, values, matrix, to_centre(model, stamps))
    fitted.n_iter[rows] += n_iter
    if stamps.correlation is not None and not how.likelihood.quadratic:
        for i in rows.tolist():
            if cutouts[i].noise.covariance is not None:
                cutouts[i].notes.append(
                    "The errors are those of independent pixels: only likelihood=gaussian has correlated "
                    "ones."
                )
    if misfit is not None:
        fitted.misfit[rows] = np.where(np.isnan(matrix), np.nan, misfit.cpu().numpy())
    measured = (status != Status.FAILED) & np.isfinite(values).all(axis=1)
    for i in rows[~measured].tolist():
        fitted.status[i] = "failed"
        fitted.flags[i] |= Flag.NOT_CONVERGED
        cutouts[i].notes.append("The model could not be evaluated at the starting values.")
    rows, values, matrix, at_bound, singular, snr, chi2, mean, variance, runaway = (
        v[measured] for v in (rows, values, matrix, at_bound, singular, snr, chi2, mean, variance, runaway)
    )
    shown = Seen(*(v[measured] for v in shown))
    converged = status[measured] == Status.CONVERGED
    for i, done in zip(rows.tolist(), converged.tolist()):
        fitted.status[i] = "converged" if done else "not_converged"
    fitted.values[rows], fitted.chi2[rows], fitted.snr[rows] = values, chi2, snr
    reduced = chi2 / mean
    if how.uncertainty.name != "none":
        scaled = how.uncertainty.get("scale_by_chi2")
        fitted.covariance[rows] = matrix * np.fmax(1.0, reduced)[:, None, None] if scaled else matrix
    judge(
        rows,
        cutouts,
        model,
        values,
        fitted,
        shown,
        runaway=runaway,
        NOT_CONVERGED=~converged,
        AT_BOUND=at_bound,
        SINGULAR_COVARIANCE=singular,
        POOR_FIT=shown.poor | (is_poor(chi2, mean, variance, snr) & model.has_neighbours),
    )  # of neighbours too


def _covariance_at(
    theta: Tensor,
    hessian: Tensor,
    how: FitContext,
    stamps: Stamps,
    frozen: Tensor,
    level: Tensor | None,
    score: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Values and their covariance in image units, and where there is none.

    `level` [B] is what is known of the level of a held sky, 1 / its variance in units of the stamps; `score`
    [B, P, P] the covariance of the gradient where noise is correlated.
    """
    model, free = how.model, list(how.model.fitted)  # what is held is known
    if level is not None:  # but for a sky that was measured
        free.append(model.size - 1)
        hessian = hessian.clone()
        hessian[:, -1, -1] += level
        if score is not None:
            score = score.clone()
            score[:, -1, -1] += level
    values, jacobian = model.values(theta, stamps.zeropoint), model.values_jacobian(theta)
    frame = _frame(model, theta)
    if frame is not None:
        hessian, jacobian = frame.mT @ hessian @ frame, jacobian @ frame
        score = None if score is None else frame.mT @ score @ frame
    hessian, jacobian, frozen = hessian[:, free][:, :, free], jacobian[..., free], frozen[:, free]
    score = None if score is None else score[:, free][:, :, free]
    several = len(model.fluxes) > 1
    matrix, singular = (
        _without_unlit(model, theta, free, hessian, jacobian, frozen, score)
        if several
        else covariance(hessian, jacobian, frozen, score)
    )
    unit = to_image_units(model, values, stamps.scale, stamps.pedestal)
    return values, matrix * unit[:, :, None] * unit[:, None, :], singular


def _misfit(fit: BucketFit, how: FitContext, stamps: Stamps, level: Tensor | None, best: tuple) -> Tensor:
    """What a model that is not true adds to the covariance, [B, V, V]: the residuals' structure beyond the
    noise's."""
    theta, hessian, *_, noise = best
    noise = hessian if noise is None else torch.where(torch.isnan(noise), hessian, noise)
    everything = torch.arange(len(theta), device=theta.device)
    prior = fit.bucket.problem(0, 1, everything).prior(theta, everything)[2]
    beyond = misfit_covariance_of(fit.bucket, theta) + prior - noise
    if level is not None:  # which is added to what the gradient scatters by, and is nothing that was missed
        beyond[:, -1, -1] -= level
    return _covariance_at(theta, hessian, how, stamps, fit.outcome.at_bound, level, beyond)[1]


def _without_unlit(
    model: Model,
    theta: Tensor,
    free: list[int],
    hessian: Tensor,
    jacobian: Tensor,
    frozen: Tensor,
    score: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """As `covariance`, of several components; one that ended without light is held at that, and says nothing
    of the others.

    The matrices are those of the places `free`. Its own values have no errors. The share of the light has the
    error with which the least of it would be seen.
    """
    unlit = _unlit(model, theta)[:, free]
    sums = [model.parameters.index(name) for name in _SUMS if name in model.parameters]
    is_lit = jacobian.clone()
    is_lit[:, sums] = torch.where(unlit[:, None], 0.0, jacobian[:, sums])
    matrix, singular = covariance(hessian, is_lit, frozen | unlit, score)
    if _SUMS[-1] in model.parameters and unlit.any():
        is_flux = torch.tensor([place in model.fluxes for place in free], device=unlit.device)
        share = sums[-1]
        least = covariance(
            hessian, jacobian[:, share : share + 1], (frozen | unlit) & ~(unlit & is_flux), score
        )[0][:, 0, 0]
        some = unlit.any(-1).nonzero()[:, 0]
        matrix[some, share], matrix[some, :, share] = 0.0, 0.0
        matrix[some, share, share] = least[some]
    return matrix, singular


def _unlit(model: Model, theta: Tensor) -> Tensor:
    """What moves nothing but components that ended without light, [B, P] bool."""
    is_dark = [
        (amplitude < 2 * FAINTEST)[:, None].expand(-1, c.size)
        for c, amplitude in zip(model.components, model.amplitudes(theta))
    ]
    is_dark = torch.cat([*is_dark, torch.zeros_like(is_dark[0][:, :1])], 1)  # the sky is last
    moves = (model.image_jacobian(theta) != 0) & ~is_dark[:, :, None]
    return is_dark.any(-1)[:, None] & ~moves.any(1)


def _frame(model: Model, theta: Tensor) -> Tensor | None:
    """Derivatives of free vectors by those in which bodies are known as well at every inclination, [B, P,
    P]; None: by themselves."""
    if not model.bodies:
        return None
    out = torch.eye(model.size, dtype=theta.dtype, device=theta.device).repeat(len(theta), 1, 1)
    for body, places in model.bodies:
        rows = torch.tensor(places, device=theta.device)
        out[:, rows[:, None], rows] = body.by_sine(theta[:, places])[1]
    return out


def _mean(several: Sequence[Tensor]) -> Tensor:
    """Their mean, without those that are not known."""
    return torch.stack(list(several)).nanmean(0) if len(several) > 1 else several[0]


def _ellipses(model: Model) -> list[tuple[Component, list[int]]]:
    """The components that have an axis ratio and an angle, and the places of their values."""
    return [
        (c, [model.parameters.index(name) for name in c.parameters]) for c in model.measured if c.has_ellipse
    ]


def with_shapes(
    model: Model, values: Tensor, matrix: Tensor, plane: Callable[[Component, list[int]], Tensor]
) -> Tensor:
    """A covariance with the errors that angles and axis ratios have where a component may be round.

    `plane` gives the covariance in a component's plane of shapes.
    """
    unit = torch.ones_like(values)
    for component, places in _ellipses(model):
        first = matrix.diagonal(dim1=-2, dim2=-1).sqrt()[:, places]
        for (
            place,
            turn,
        ) in component.turns.items():  # no angle can be known worse than not at all, a uniform one
            unit[:, places[place]] = (turn / math.sqrt(12) / first[:, place]).clamp(max=1.0).nan_to_num(1.0)
        if component in model.ellipses:
            factor = shape_errors(component, values[:, places], plane(component, places)) / first[:, -2:]
            unit[:, places[-2:]] = torch.where(torch.isfinite(factor), factor, unit[:, places[-2:]])
    return matrix * unit[:, :, None] * unit[:, None, :]


def to_image_units(model: Model, values: Tensor, scale: Tensor, pedestal: Tensor) -> Tensor:
    """Put the sky of `values` [B, V] from the stamps' units into the images', in place; gives the factors,
    [B, V]."""
    unit = _sky_unit(model, scale)
    values *= unit
    values[:, model.parameters.index("sky")] += pedestal
    return unit


def _sky_unit(model: Model, scale: Tensor) -> Tensor:
    """The stamps' units of all values in the images', [B, V]."""
    unit = torch.ones(len(scale), len(model.parameters), dtype=scale.dtype, device=scale.device)
    for name in SKY:
        if name in model.parameters:
            unit[:, model.parameters.index(name)] = scale
    return unit


def in_stamp_units(model: Model, values: np.ndarray, stamps: Stamps) -> Tensor:
    """Catalogue values [B, V] as these stamps have them: what `write` gives, turned back."""
    values = values.copy()
    move_sky(model.parameters, values, None, -to_centre(model, stamps))
    out = torch.from_numpy(values).to(stamps.scale.device)
    out[:, model.parameters.index("sky")] -= stamps.pedestal
    for name in SKY:
        if name in model.parameters:
            out[:, model.parameters.index(name)] /= stamps.scale
    return out


def to_centre(model: Model, stamps: Stamps) -> np.ndarray:
    """From where the model states the level of a tilted sky to the centre of the whole image, x and y, [M,
    2]."""
    return stamps.to_centre.cpu().numpy() * (not model.states_level)
