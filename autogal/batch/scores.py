"""How the gradients of best fits scatter, by correlated noise or by what the model misses, and what any
model costs by its likelihood alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autogal.batch.bucket import Bucket
from autogal.batch.correlated import inverse_power, padded_shape, score_covariance
from autogal.batch.least_squares import StampProblem

__all__ = ["deviance", "misfit_covariance_of", "pixel_chi2", "score_covariance_of"]

_AT_ONCE = 256  # models drawn at once where nothing but their chi-square is asked for


def pixel_chi2(bucket: Bucket, theta: Tensor, items: Tensor) -> Tensor:
    """Chi-square of `items` [M] at `theta` [M, P] as that of independent pixels, [M]: what tells a good
    fit from a poor one."""
    out = torch.full_like(theta[:, 0], torch.nan)
    sound = torch.isfinite(theta).all(-1).nonzero()[:, 0]
    residuals = bucket.residuals(theta[sound], items[sound], bucket.grid_level(theta[sound], items[sound]))
    out[sound] = residuals.square().sum((1, 2), dtype=torch.float64)
    return out


def score_covariance_of(bucket: Bucket, theta: Tensor) -> Tensor | None:
    """Covariance of the gradients of all stamps at `theta` [N, P], [N, P, P]; None where all noise is
    independent.

    NaN where `theta` is, and where the noise of a stamp is independent: Fisher's matrix is that of its
    gradient.
    """
    correlation = bucket.stamps.correlation
    if correlation is None or not bucket.likelihood.quadratic:
        return None
    out = theta.new_full((*theta.shape, theta.shape[-1]), torch.nan)
    middle = correlation.shape[-1] // 2
    alone = torch.zeros_like(correlation[0])
    alone[middle, middle] = 1.0
    items = (torch.isfinite(theta).all(-1) & (correlation != alone).flatten(1).any(-1)).nonzero()[:, 0]
    level = bucket.grid_level(theta[items], items)
    for current in level.unique().tolist():
        some = items[level == current]
        out[some] = bucket.problem(current, 1, some).score_covariance(theta[some], some, correlation[some])
    return out


def misfit_covariance_of(bucket: Bucket, theta: Tensor) -> Tensor:
    """Covariance of the gradients of all stamps at their best fits `theta` [N, P] as the residuals have it,
    [N, P, P]; NaN where `theta` is.

    Residuals are taken for independent from half the radius of a disk with the light's noise-equivalent area
    on, 0.84 effective radii of an exponential disk, and not below two FWHM of the PSF: what is coherent over
    the whole galaxy would be fitted.
    """
    out = theta.new_full((*theta.shape, theta.shape[-1]), torch.nan)
    items = torch.isfinite(theta).all(-1).nonzero()[:, 0]
    light = bucket.light_and_model(theta[items], items)[0].flatten(1).double().clamp(min=0)
    area = light.sum(1).square() / light.square().sum(1).clamp(min=1e-300)
    width = torch.maximum((area / math.pi).sqrt() / 2, 2 * bucket.fwhm[bucket.stamps.psf_index[items]]).clamp(
        3, max(bucket.stamps.shape) / 4
    )
    level = bucket.grid_level(theta[items], items)
    for current in level.unique().tolist():
        here = level == current
        some = items[here]
        out[some] = bucket.problem(current, 1, some).misfit_covariance(theta[some], some, width[here])
    return out


def deviance(bucket: Bucket, theta: Tensor, items: Tensor, level: Tensor) -> Tensor:
    """-2 ln L of `items` [M] at `theta` [M, P], drawn on the grids of `level` [M], [M]; that of correlated
    noise where it is correlated.

    Without priors, and nothing solved for: the free vectors are taken as they are.
    """
    out = torch.full_like(theta[:, 0], torch.inf)
    for current in level.unique().tolist():
        some = (level == current).nonzero()[:, 0]
        problem = bucket.problem(current, 1, items[some])
        for few in some.split(_AT_ONCE):
            out[few] = _deviance(bucket, problem, theta[few], items[few])
    return out


def _deviance(bucket: Bucket, problem: StampProblem, theta: Tensor, items: Tensor) -> Tensor:
    stamps = bucket.stamps
    if not bucket.likelihood.quadratic:
        model = problem.light_and_model(theta, items)[1]
        times = 1.0 if stamps.times is None else stamps.times[items]
        return (
            bucket.likelihood.terms(stamps.data[items], model, stamps.weight[items]).deviance * times
        ).sum((1, 2), dtype=torch.float64)
    residuals = problem.residuals(theta, items)
    if stamps.correlation is None:
        return residuals.square().sum((1, 2), dtype=torch.float64)
    shape = padded_shape(stamps.shape, stamps.correlation.shape[-1] // 2)
    different, which = items.unique(return_inverse=True)
    weight = inverse_power(stamps.correlation[different], shape)
    return score_covariance(residuals[:, None], weight[which])[:, 0, 0].double()
