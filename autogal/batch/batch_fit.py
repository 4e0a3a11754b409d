"""Fitting one bucket of equal stamps: coarse first, then in full."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from autogal.batch import sigma_points as bodies
from autogal.batch.correlated import inverse_power, padded_shape, score_covariance
from autogal.batch.curvature import least_known
from autogal.batch.grid_levels import LEVELS, model_level, renderers_at
from autogal.batch.batch_size import fitting
from autogal.batch.least_squares import StampProblem
from autogal.batch.render import psf_fwhm
from autogal.batch.irls import ReweightedProblem
from autogal.batch.stamps import Stamps
from autogal.rendering.grid import Grid
from autogal.likelihood import Gaussian, Likelihood
from autogal.model.model import Model
from autogal.solvers import Outcome, Solver, Status

__all__ = ["LOST", "Bucket", "BucketFit", "detection", "fit_bucket", "significance"]

_log = logging.getLogger(__name__)

#: Signal-to-noise ratio below which a fit has lost its galaxy
LOST = 3.0

# A quarter of the pixels finds the neighbourhood of the minimum at a quarter of the price; smaller stamps gain nothing
_COARSE_FROM = 64
_COARSE_TOLERANCE = 3.0
# Of several starts, how many an item tries that ends at a bound or not at all
_TRIES = 3
# Bytes of the spectra of one component of a chunk on a CPU: they should stay in its cache
_CACHE = 4 << 20
_AT_ONCE = 256  # models drawn at once where nothing but their chi-square is asked for


class BucketFit(NamedTuple):
    """What became of one bucket.

    Attributes
    ----------
    outcome : Outcome
        One row a stamp; chi-square is that of the data alone, without the prior's part, and the Gauss-Newton matrix is
        Fisher's. Fits that end at a bound or do not converge were started again from other Sersic indices, and the
        lowest chi-square was kept. For a likelihood that is not Gaussian read deviance for chi-square.
    endless : Tensor, [N] bool
        Galaxies whose size or index grew to its upper bound all the same: without sky of its own in the stamp, a
        galaxy can grow without end as the fitted sky sinks.
    mean, variance : Tensor, [N]
        Of chi-square where the model describes the data.
    around : list of (Tensor, Tensor), [N, P] and [N, P, P]
        Points a standard deviation to either side of the best, along what is known least, and Fisher's matrices there; NaN
        where there is none. None of models with one source of light, but of bodies that may be seen face-on the less and more tilted.
    bucket : Bucket
        What drew the model: it can draw the best fits again.
    """

    outcome: Outcome
    endless: Tensor
    mean: Tensor
    variance: Tensor
    around: list[tuple[Tensor, Tensor]]
    bucket: Bucket


def fit_bucket(
    model: Model, stamps: Stamps, starts: Sequence[Tensor], solver: Solver, threads: int = 1,
    others: Callable[[Tensor], Tensor] | None = None, likelihood: Likelihood = Gaussian(), box: tuple[Tensor, Tensor] | None = None,
) -> BucketFit:
    """Fit stamps from given free vectors.

    Parameters
    ----------
    model : Model
    stamps : Stamps
    starts : sequence of Tensor, [N, P] float64
        Free vectors in the units of `stamps`. Of several, each galaxy takes the one of lowest chi-square; what the model
        holds, it holds where the first has it.
    solver : Solver
    threads : int
        Chunks drawn at the same time, on a CPU.
    others : callable, optional
        Gives more starts [K, M, P] of the galaxies at M places. They are tried where a fit has failed: it did not
        converge, or its light is lost in the noise.
    likelihood : Likelihood
    box : (Tensor, Tensor), [N, P] each, optional
        Bounds of each galaxy's own, within those of the model.
    """
    bucket = Bucket(model, stamps, solver, threads, likelihood)
    if box is not None:
        bucket.lower, bucket.upper = torch.maximum(bucket.lower, box[0]), torch.minimum(bucket.upper, box[1])
    starts = bucket.hold(starts)
    everything = torch.arange(len(stamps), device=stamps.data.device)
    ranked = bucket.rank(starts, everything)
    best = bucket.fit(ranked[0], everything)
    for again in (*ranked[1:_TRIES], *model.restarts(ranked[0])):
        unsettled = ((best.status != Status.CONVERGED) | best.at_bound.any(-1)).nonzero()[:, 0]
        bucket.improve(best, again[unsettled], unsettled)
    failed = ((best.status != Status.CONVERGED) | (significance(model, best) < LOST)).nonzero()[:, 0]
    if others is not None and len(failed):
        for again in others(failed):
            bucket.improve(best, again, failed)
    bodies.bring_back(bucket, best)
    best.chi2 -= bucket.penalty(best.theta, everything)
    if stamps.whiten and stamps.correlation is not None:
        best.chi2 = bucket.pixel_chi2(best.theta, everything)
    mean, variance = bucket.judge(best, everything)
    endless = (best.at_bound & (best.theta >= bucket.upper))[:, list(model.growing)].any(-1)
    around = (bucket.around(best) if len(model.fluxes) > 1 else []) + bodies.less_and_more_tilted(bucket, best)
    return BucketFit(best, endless, mean - len(model.fitted), variance, around, bucket)


class Bucket:
    """Stamps with the problems made of them so far, one for each grid."""

    def __init__(self, model: Model, stamps: Stamps, solver: Solver, threads: int, likelihood: Likelihood = Gaussian()):
        self.model, self.stamps, self.solver, self.threads = model, stamps, solver, threads
        self.likelihood = likelihood
        self.lower, self.upper = model.box(stamps.shape, torch.zeros(1, dtype=torch.float64, device=stamps.data.device), stamps.units)
        self.fwhm = torch.cat([psf_fwhm(stack, stamps.oversample) for stack in stamps.psfs])
        self.problems: dict[tuple[int, int], StampProblem] = {}

    def problem(self, level: int, binning: int, items: Tensor) -> StampProblem:
        """The problem of one grid, with the PSFs of `items` ready."""
        stamps = self.stamps
        if (level, binning) not in self.problems:
            renderers = renderers_at(level, self.model, stamps.shape, 1 if binning > 1 else stamps.oversample, binning,
                                     stamps.data.device, stamps.data.dtype)
            grid = renderers[0].grid
            none = torch.empty((0, len(grid.kx), len(grid.ky)), dtype=grid.complex_dtype, device=grid.device)
            kind = StampProblem if self.likelihood.quadratic else partial(ReweightedProblem, likelihood=self.likelihood, times=stamps.times)
            self.problems[level, binning] = kind(self.model, renderers, *stamps.binned(binning), none, torch.full_like(stamps.psf_index, -1),
                                                 _chunk(grid, self.model), self.threads, stamps.units, stamps.moved)
            if stamps.whiten and binning == 1:  # the coarse stage finds the neighbourhood alone
                self.problems[level, binning].correlation = stamps.correlation
        problem = self.problems[level, binning]
        wanted = stamps.psf_index[items[problem.psf_index[items] < 0]].unique()
        if len(wanted):
            new = stamps.psf_transforms(problem.renderers[0].grid, wanted)
            place = torch.full((len(self.fwhm),), -1, device=wanted.device)
            place[wanted] = len(problem.psf) + torch.arange(len(wanted), device=wanted.device)
            problem.psf_index = torch.where(problem.psf_index < 0, place[stamps.psf_index], problem.psf_index)
            problem.psf = torch.cat([problem.psf, new])
        return problem

    def hold(self, starts: Sequence[Tensor]) -> list[Tensor]:
        """Keep what the model holds where the first of the starts [N, P] has it; gives all of them with that."""
        starts, places = list(starts), list(self.model.held)
        if places:
            self.lower, self.upper = (bound.expand_as(starts[0]).clone() for bound in (self.lower, self.upper))
            at = self._within(starts[0])
            self.lower[:, places] = self.upper[:, places] = at[:, places]
            starts = [self._within(start) for start in starts]
        return starts

    def _within(self, theta: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(theta, self.lower), self.upper)

    def fit(self, start: Tensor, items: Tensor) -> Outcome:
        """Coarse stage, then full resolution on the grid each galaxy needs."""
        theta, spent = start.clone(), torch.zeros(len(items), dtype=torch.long, device=start.device)
        if min(self.stamps.shape) >= _COARSE_FROM:
            coarse = self.solve(self.problem(0, 2, items), theta, items, _COARSE_TOLERANCE)
            usable = torch.isfinite(coarse.theta).all(-1) & (coarse.status != Status.FAILED)
            theta, spent = torch.where(usable[:, None], coarse.theta, theta), coarse.n_iter
        level = self.level(theta, items)
        out = None
        for current in range(LEVELS):
            places = (level == current).nonzero()[:, 0]
            if not len(places):
                continue
            part = self.solve(self.problem(current, 1, items[places]), theta[places], items[places], self.solver.tolerance)
            if out is None:
                out = part.blank(len(items))
            _put(out, places, part, slice(None))
            spent[places] += part.n_iter
            theta[places] = torch.where(torch.isfinite(part.theta), part.theta, theta[places])
            # a galaxy that has grown beyond its grid goes on on the next one
            grown = places[self.level(theta[places], items[places]) > current]
            level[grown] = current + 1
        out.n_iter = spent
        return out

    def refit(self, start: Tensor, level: Tensor, tolerance: float) -> Outcome:
        """Full resolution only, on the grid of `level` [N]: for all stamps, from starts [N, P] that are nearly best."""
        out, (start,) = None, self.hold([bodies.off_the_edge(self.model, start)])
        for current in level.unique().tolist():
            items = (level == current).nonzero()[:, 0]
            part = self.solve(self.problem(current, 1, items), start[items], items, tolerance)
            out = part.blank(len(start)) if out is None else out
            _put(out, items, part, slice(None))
        bodies.bring_back(self, out)
        return out

    def residuals(self, theta: Tensor, items: Tensor, level: Tensor) -> Tensor:
        """(data - model) / sigma, [M, H, W], 0 where a pixel is excluded, drawn on the grid of `level` [M]."""
        out = torch.empty_like(self.stamps.data[items])
        for current in level.unique().tolist():
            some = (level == current).nonzero()[:, 0]
            out[some] = self.problem(current, 1, items[some]).residuals(theta[some], items[some])
        return out

    def pixel_chi2(self, theta: Tensor, items: Tensor) -> Tensor:
        """Chi-square of `items` [M] at `theta` [M, P] as that of independent pixels, [M]: what tells a good fit from a poor one."""
        out = torch.full_like(theta[:, 0], torch.nan)
        sound = torch.isfinite(theta).all(-1).nonzero()[:, 0]
        residuals = self.residuals(theta[sound], items[sound], self.level(theta[sound], items[sound]))
        out[sound] = residuals.square().sum((1, 2), dtype=torch.float64)
        return out

    def light_and_model(self, theta: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """The target's light, and all that the model has, neighbours and sky too, of `items` [M] at `theta` [M, P], [M, H, W] each.

        In the units of the stamps, drawn on the grid that each galaxy needs.
        """
        light, model = (torch.empty_like(self.stamps.data[items]) for _ in range(2))
        level = self.level(theta, items)
        for current in level.unique().tolist():
            some = (level == current).nonzero()[:, 0]
            light[some], model[some] = self.problem(current, 1, items[some]).light_and_model(theta[some], items[some])
        return light, model

    def pull(self, theta: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """What draws the free parameters of `items` [M] at `theta` [M, P], priors too: gradient [M, P] and curvature [M, P, P]."""
        gradient, hessian = torch.empty_like(theta), theta.new_empty(*theta.shape, theta.shape[1])
        level = self.level(theta, items)
        for current in level.unique().tolist():
            some = (level == current).nonzero()[:, 0]
            state = self.problem(current, 1, items[some]).linearise(theta[some], items[some])
            gradient[some], hessian[some] = state.gradient, state.hessian
        return gradient, hessian

    def judge(self, best: Outcome, items: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of chi-square where the model describes the data, [N]; Fisher's matrix goes into `best`."""
        mean = self.stamps.usable.double()
        variance = 2 * mean
        if self.likelihood.quadratic:  # the Gauss-Newton matrix is Fisher's
            return mean, variance
        sound = torch.isfinite(best.theta).all(-1)
        level = self.level(best.theta, items)
        for current in range(LEVELS):
            some = (sound & (level == current)).nonzero()[:, 0]
            if len(some):
                best.hessian[some], mean[some], variance[some] = self.problem(current, 1, some).judge(best.theta[some], some)
        return mean, variance

    def around(self, best: Outcome) -> list[tuple[Tensor, Tensor]]:
        """Points beside the best ones of all stamps, and Fisher's matrices there, as `BucketFit` has them.

        Where two components can trade light for size, chi-square has a bent valley, and the curvature at its lowest point,
        which noise puts anywhere in it, tells too little of its width.
        """
        items = (torch.isfinite(best.theta).all(-1) & torch.isfinite(best.hessian).flatten(1).all(-1)).nonzero()[:, 0]
        theta, frozen = best.theta[items], best.at_bound[items]
        frozen[:, list(self.model.held)] = True
        step, level = least_known(best.hessian[items], frozen), self.level(theta, items)
        lower, upper = (bound if bound.ndim == 1 else bound[items] for bound in (self.lower, self.upper))
        out = []
        for sign in (-1, 1):
            there = theta + sign * step
            # a point that the bounds cut short tells of them, and not of the valley
            inside = (frozen | ((there > lower) & (there < upper))).all(-1)
            out.append(self.fisher(best, there[inside], items[inside], level[inside]))
        return out

    def fisher(self, best: Outcome, theta: Tensor, items: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Free vectors, the linear of them at their best, and Fisher's matrices at `theta` of `items`, drawn on the grids of `level` [M].

        NaN in all other rows of those of `best`.
        """
        point, matrix = torch.full_like(best.theta, torch.nan), torch.full_like(best.hessian, torch.nan)
        for current in level.unique().tolist():
            some = (level == current).nonzero()[:, 0]
            places = items[some]
            problem = self.problem(current, 1, places)
            state = problem.linearise(theta[some], places)
            point[places] = state.theta
            matrix[places] = state.hessian if self.likelihood.quadratic else problem.judge(state.theta, places)[0]
        return point, matrix

    def score_covariance(self, theta: Tensor) -> Tensor | None:
        """Covariance of the gradients of all stamps at `theta` [N, P], [N, P, P]; None where all noise is independent.

        NaN where `theta` is, and where the noise of a stamp is independent: Fisher's matrix is that of its gradient.
        """
        correlation = self.stamps.correlation
        if correlation is None or not self.likelihood.quadratic:
            return None
        out = theta.new_full((*theta.shape, theta.shape[-1]), torch.nan)
        middle = correlation.shape[-1] // 2
        alone = torch.zeros_like(correlation[0])
        alone[middle, middle] = 1.0
        items = (torch.isfinite(theta).all(-1) & (correlation != alone).flatten(1).any(-1)).nonzero()[:, 0]
        level = self.level(theta[items], items)
        for current in level.unique().tolist():
            some = items[level == current]
            out[some] = self.problem(current, 1, some).score_covariance(theta[some], some, correlation[some])
        return out

    def deviance(self, theta: Tensor, items: Tensor, level: Tensor) -> Tensor:
        """-2 ln L of `items` [M] at `theta` [M, P], drawn on the grids of `level` [M], [M]; that of correlated noise where it is correlated.

        Without priors, and nothing solved for: the free vectors are taken as they are.
        """
        out = torch.full_like(theta[:, 0], torch.inf)
        for current in level.unique().tolist():
            some = (level == current).nonzero()[:, 0]
            problem = self.problem(current, 1, items[some])
            for few in some.split(_AT_ONCE):
                out[few] = self._deviance(problem, theta[few], items[few])
        return out

    def _deviance(self, problem: StampProblem, theta: Tensor, items: Tensor) -> Tensor:
        stamps = self.stamps
        if not self.likelihood.quadratic:
            model = problem.light_and_model(theta, items)[1]
            times = 1.0 if stamps.times is None else stamps.times[items]
            return (self.likelihood.terms(stamps.data[items], model, stamps.weight[items]).deviance * times).sum((1, 2), dtype=torch.float64)
        residuals = problem.residuals(theta, items)
        if stamps.correlation is None:
            return residuals.square().sum((1, 2), dtype=torch.float64)
        shape = padded_shape(stamps.shape, stamps.correlation.shape[-1] // 2)
        different, which = items.unique(return_inverse=True)
        weight = inverse_power(stamps.correlation[different], shape)
        return score_covariance(residuals[:, None], weight[which])[:, 0, 0].double()

    def misfit_covariance(self, theta: Tensor) -> Tensor:
        """Covariance of the gradients of all stamps at their best fits `theta` [N, P] as the residuals have it, [N, P, P]; NaN where `theta` is.

        Residuals are taken for independent from half the radius of a disk with the light's noise-equivalent area on, 0.84 effective
        radii of an exponential disk, and not below two FWHM of the PSF: what is coherent over the whole galaxy would be fitted.
        """
        out = theta.new_full((*theta.shape, theta.shape[-1]), torch.nan)
        items = torch.isfinite(theta).all(-1).nonzero()[:, 0]
        light = self.light_and_model(theta[items], items)[0].flatten(1).double().clamp(min=0)
        area = light.sum(1).square() / light.square().sum(1).clamp(min=1e-300)
        width = torch.maximum((area / math.pi).sqrt() / 2, 2 * self.fwhm[self.stamps.psf_index[items]]).clamp(3, max(self.stamps.shape) / 4)
        level = self.level(theta[items], items)
        for current in level.unique().tolist():
            here = level == current
            some = items[here]
            out[some] = self.problem(current, 1, some).misfit_covariance(theta[some], some, width[here])
        return out

    def penalty(self, theta: Tensor, items: Tensor) -> Tensor:
        return next(iter(self.problems.values())).penalty(theta, items)

    def rank(self, starts: Sequence[Tensor], items: Tensor) -> list[Tensor]:
        """The starts of each item in order of chi-square, on binned pixels."""
        if len(starts) == 1:
            return list(starts)
        problem = self.problem(0, 2, items)
        states = [problem.linearise(start, items) for start in starts]
        order = torch.stack([s.chi2.nan_to_num(torch.inf) for s in states]).argsort(0)
        theta = torch.stack([s.theta for s in states])
        return [theta[row, items] for row in order]

    def improve(self, best: Outcome, start: Tensor, items: Tensor) -> None:
        """Fit `items` again from another start and keep what is better."""
        if not len(items):
            return
        other = self.fit(start, items)
        settled, was = other.status == Status.CONVERGED, best.status[items] == Status.CONVERGED
        better = (settled & ~was) | ((settled == was) & (other.chi2 < best.chi2[items]))
        other.n_iter += best.n_iter[items]
        best.n_iter[items] = other.n_iter
        _put(best, items[better], other, better)

    def level(self, theta: Tensor, items: Tensor) -> Tensor:
        return model_level(self.model, self.stamps.shape, self.model.native(theta), self.fwhm[self.stamps.psf_index[items]])

    def solve(self, problem: StampProblem, theta: Tensor, items: Tensor, tolerance: float) -> Outcome:
        noise = 1e-6 if self.stamps.data.dtype == torch.float32 else 1e-12
        lower, upper = (bound if bound.ndim == 1 else bound[items] for bound in (self.lower, self.upper))
        out = self.solver(lambda t, i: problem.linearise(t, items[i]), theta, lower, upper, self.model.step_limit(theta), tolerance, noise)
        out.at_bound[:, list(self.model.held)] = False  # it is where it is to be
        return out


def significance(model: Model, best: Outcome) -> Tensor:
    """Signal-to-noise ratio [N] of the light of all components together."""
    fluxes = list(model.fluxes)
    light = model.brightening(best.theta)
    return torch.einsum("bi,bij,bj->b", light, best.hessian[:, fluxes][:, :, fluxes], light).clamp(min=0).sqrt()


def detection(model: Model, best: Outcome) -> Tensor:
    """The root [N] of what the light of all components lowers chi-square by, the sky being free to take its place where it was fitted.

    It is the `significance` less what the sky could take over, which is most of it where the light is as wide as the stamp.
    """
    fluxes, light = list(model.fluxes), model.brightening(best.theta)
    background = [place for place in model.linear if place not in fluxes]
    shared = best.hessian[:, background][:, :, fluxes] @ light[:, :, None]
    taken = torch.linalg.solve_ex(best.hessian[:, background][:, :, background], shared)[0]
    return (significance(model, best).square() - (shared * taken).sum((1, 2)).nan_to_num(0.0)).clamp(min=0).sqrt()


def _chunk(grid: Grid, model: Model) -> int:
    sizes = [c.size for c in model.components]
    plane = len(grid.ky) * len(grid.kx) * (16 if grid.dtype == torch.float64 else 8)
    if grid.device.type == "cuda":
        return fitting(grid.device, 0.25, 3 * sum(sizes) * plane, (sum(sizes) + 2) * math.prod(grid.period) * grid.oversample**2)
    return max(1, round(_CACHE / (max(sizes) * plane)))  # components are drawn one after the other


def _put(target: Outcome, places: Tensor, source: Outcome, which) -> None:
    for name in vars(target):
        getattr(target, name)[places] = getattr(source, name)[which]
