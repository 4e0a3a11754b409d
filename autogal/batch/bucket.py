"""Equal stamps and the problems made of them: fits on coarse and full grids, and what is asked of those
that were made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from autogal.batch.batch_size import max_batch_size
from autogal.batch.grid_levels import LEVELS, model_level, renderers_at
from autogal.batch.irls import ReweightedProblem
from autogal.batch.least_squares import StampProblem
from autogal.batch.render import psf_fwhm
from autogal.batch.stamps import Stamps
from autogal.likelihood import Gaussian, Likelihood
from autogal.model.elliptical import EllipticalComponent
from autogal.model.fit_model import FitModel
from autogal.rendering.grid import Grid
from autogal.solvers import Linearisation, Outcome, Solver, Status, without_search

__all__ = ["Bucket", "move_off_edge_on"]

# A quarter of the pixels finds the neighbourhood of the minimum at a quarter of the price; smaller stamps
# gain nothing
_COARSE_FROM = 64
# A search gains on smaller ones, too
_SEARCHED_COARSE_FROM = 32
_COARSE_TOLERANCE = 3.0
# Bytes of the spectra of one component of a chunk on a CPU: they should stay in its cache
_CACHE = 4 << 20
# By how much chi-square may be higher than the solver believes, which does not evaluate its last step,
# besides rounding
_MISSED, _ROUNDING = 0.1, 1e-5


class Bucket:
    """Stamps with the problems made of them so far, one for each grid.

    Parameters
    ----------
    model : FitModel
    stamps : Stamps
        N of them.
    solver : Solver
    threads : int
        Chunks drawn at the same time, on a CPU.
    likelihood : Likelihood
    """

    def __init__(
        self,
        model: FitModel,
        stamps: Stamps,
        solver: Solver,
        threads: int,
        likelihood: Likelihood = Gaussian(),
    ):
        self.model, self.stamps, self.solver, self.threads = model, stamps, without_search(solver), threads
        #: Looks for the neighbourhood of the lowest minimum first, where the solver does
        self.search = None if self.solver is solver else solver
        self.likelihood = likelihood
        self.lower, self.upper = model.bounds(
            stamps.shape, torch.zeros(1, dtype=torch.float64, device=stamps.data.device), stamps.units
        )
        self.fwhm = torch.cat([psf_fwhm(stack, stamps.oversample) for stack in stamps.psfs])
        self.problems: dict[tuple[int, int], StampProblem] = {}

    def problem(self, grid_level: int, binning: int, items: Tensor) -> StampProblem:
        """The problem of one grid, with the PSFs of `items` ready."""
        stamps = self.stamps
        if (grid_level, binning) not in self.problems:
            renderers = renderers_at(
                grid_level,
                self.model,
                stamps.shape,
                1 if binning > 1 else stamps.oversample,
                binning,
                stamps.data.device,
                stamps.data.dtype,
            )
            grid = renderers[0].grid
            none = torch.empty((0, len(grid.kx), len(grid.ky)), dtype=grid.complex_dtype, device=grid.device)
            kind = (
                StampProblem
                if self.likelihood.quadratic
                else partial(ReweightedProblem, likelihood=self.likelihood, times=stamps.times)
            )
            self.problems[grid_level, binning] = kind(
                self.model,
                renderers,
                *stamps.binned(binning),
                none,
                torch.full_like(stamps.psf_index, -1),
                _chunk(grid, self.model),
                self.threads,
                stamps.units,
                stamps.moved,
            )
            if stamps.whiten and binning == 1:  # the coarse stage finds the neighbourhood alone
                self.problems[grid_level, binning].correlation = stamps.correlation
        problem = self.problems[grid_level, binning]
        wanted = stamps.psf_index[items[problem.psf_index[items] < 0]].unique()
        if len(wanted):
            new = stamps.psf_transforms(problem.renderers[0].grid, wanted)
            place = torch.full((len(self.fwhm),), -1, device=wanted.device)
            place[wanted] = len(problem.psf) + torch.arange(len(wanted), device=wanted.device)
            problem.psf_index = torch.where(problem.psf_index < 0, place[stamps.psf_index], problem.psf_index)
            problem.psf = torch.cat([problem.psf, new])
        return problem

    def fix(self, starts: Sequence[Tensor]) -> list[Tensor]:
        """Keep what is fixed in the model where the first of the starts [N, P] has it; gives all of them
        with that."""
        starts, places = list(starts), list(self.model.fixed)
        if places:
            self.lower, self.upper = (
                bound.expand_as(starts[0]).clone() for bound in (self.lower, self.upper)
            )
            at = self._within(starts[0])
            self.lower[:, places] = self.upper[:, places] = at[:, places]
            starts = [self._within(start) for start in starts]
        return starts

    def _within(self, theta: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(theta, self.lower), self.upper)

    def fit(self, start: Tensor, items: Tensor) -> Outcome:
        """Coarse stage, or the search, then full resolution on the grid each galaxy needs."""
        theta, spent = start.clone(), torch.zeros(len(items), dtype=torch.long, device=start.device)
        unfinished, size = torch.zeros_like(spent, dtype=torch.bool), min(self.stamps.shape)
        if self.search is not None or size >= _COARSE_FROM:
            binning = 1 if size < _SEARCHED_COARSE_FROM else 2
            coarse = self.solve(self.problem(0, binning, items), theta, items, _COARSE_TOLERANCE, self.search)
            usable = torch.isfinite(coarse.theta).all(-1) & (coarse.status != Status.FAILED)
            theta, spent = torch.where(usable[:, None], coarse.theta, theta), coarse.n_iter
            if self.search is not None:
                unfinished = coarse.status == Status.NOT_CONVERGED
        grid_level = self.grid_level(theta, items)
        out = None
        for current in range(LEVELS):
            places = (grid_level == current).nonzero()[:, 0]
            if not len(places):
                continue
            part = self.solve(
                self.problem(current, 1, items[places]), theta[places], items[places], self.solver.tolerance
            )
            if out is None:
                out = part.blank(len(items))
            _put(out, places, part, slice(None))
            spent[places] += part.n_iter
            theta[places] = torch.where(torch.isfinite(part.theta), part.theta, theta[places])
            # a galaxy that has grown beyond its grid goes on on the next one
            grown = places[self.grid_level(theta[places], items[places]) > current]
            grid_level[grown] = current + 1
        out.n_iter = spent
        out.status[unfinished & (out.status == Status.CONVERGED)] = int(Status.NOT_CONVERGED)
        return out

    def refit(self, start: Tensor, grid_level: Tensor, tolerance: float) -> Outcome:
        """Full resolution only, on the grid of `grid_level` [N]: for all stamps, from starts [N, P] that
        are nearly best."""
        out, (start,) = None, self.fix([move_off_edge_on(self.model, start)])
        for current in grid_level.unique().tolist():
            items = (grid_level == current).nonzero()[:, 0]
            part = self.solve(self.problem(current, 1, items), start[items], items, tolerance)
            out = part.blank(len(start)) if out is None else out
            _put(out, items, part, slice(None))
        self.reevaluate(out)
        return out

    def residuals(self, theta: Tensor, items: Tensor, grid_level: Tensor) -> Tensor:
        """(data - model) / sigma, [M, H, W], 0 where a pixel is excluded, drawn on the grid of
        `grid_level` [M]."""
        out = torch.empty_like(self.stamps.data[items])
        for current in grid_level.unique().tolist():
            some = (grid_level == current).nonzero()[:, 0]
            out[some] = self.problem(current, 1, items[some]).residuals(theta[some], items[some])
        return out

    def light_and_model(self, theta: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """The target's light, and all that the model has, neighbours and sky too, of `items` [M] at `theta`
        [M, P], [M, H, W] each.

        In the units of the stamps, drawn on the grid that each galaxy needs.
        """
        light, model = (torch.empty_like(self.stamps.data[items]) for _ in range(2))
        grid_level = self.grid_level(theta, items)
        for current in grid_level.unique().tolist():
            some = (grid_level == current).nonzero()[:, 0]
            light[some], model[some] = self.problem(current, 1, items[some]).light_and_model(
                theta[some], items[some]
            )
        return light, model

    def gradient_and_hessian(self, theta: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """As a `Linearisation` has them, of `items` [M] at `theta` [M, P], priors too: [M, P] and [M, P,
        P]."""
        gradient, hessian = torch.empty_like(theta), theta.new_empty(*theta.shape, theta.shape[1])
        grid_level = self.grid_level(theta, items)
        for current in grid_level.unique().tolist():
            some = (grid_level == current).nonzero()[:, 0]
            state = self.problem(current, 1, items[some]).linearise(theta[some], items[some])
            gradient[some], hessian[some] = state.gradient, state.hessian
        return gradient, hessian

    def judge(self, best: Outcome, items: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of chi-square where the model describes the data, [N]; Fisher's matrix goes
        into `best`."""
        mean = self.stamps.usable.double()
        variance = 2 * mean
        if self.likelihood.quadratic:  # the Gauss-Newton matrix is Fisher's
            return mean, variance
        sound = torch.isfinite(best.theta).all(-1)
        grid_level = self.grid_level(best.theta, items)
        for current in range(LEVELS):
            some = (sound & (grid_level == current)).nonzero()[:, 0]
            if len(some):
                best.hessian[some], mean[some], variance[some] = self.problem(current, 1, some).judge(
                    best.theta[some], some
                )
        return mean, variance

    def penalty(self, theta: Tensor, items: Tensor) -> Tensor:
        """What priors add to chi-square of `items` [M] at `theta` [M, P], [M]."""
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

    def reevaluate(self, best: Outcome) -> None:
        """Evaluate fits of bodies where they ended, or where the image still has a slope by their vectors if
        they went farther.

        What is not as good as the solver believed has not converged.
        """
        if not self.model.bodies:
            return
        items = torch.isfinite(best.theta).all(-1).nonzero()[:, 0]
        theta, believed = best.theta[items].clone(), best.chi2[items]
        for body, places in self.model.bodies:
            theta[:, places] = body.inside(theta[:, places])
        grid_level = self.grid_level(theta, items)
        for current in grid_level.unique().tolist():
            some = (grid_level == current).nonzero()[:, 0]
            best.keep(items[some], self.problem(current, 1, items[some]).linearise(theta[some], items[some]))
        best.status[items[best.chi2[items] > believed * (1 + _ROUNDING) + _MISSED]] = int(
            Status.NOT_CONVERGED
        )

    def improve(self, best: Outcome, start: Tensor, items: Tensor) -> None:
        """Fit `items` again from another start and keep what is better."""
        if not len(items):
            return
        other = self.fit(start, items)
        done, was = other.status == Status.CONVERGED, best.status[items] == Status.CONVERGED
        better = (done & ~was) | ((done == was) & (other.chi2 < best.chi2[items]))
        other.n_iter += best.n_iter[items]
        best.n_iter[items] = other.n_iter
        _put(best, items[better], other, better)

    def grid_level(self, theta: Tensor, items: Tensor) -> Tensor:
        """The level of grid that each of `items` [M] needs at `theta` [M, P], [M] int."""
        return model_level(
            self.model, self.stamps.shape, self.model.native(theta), self.fwhm[self.stamps.psf_index[items]]
        )

    def solve(
        self,
        problem: StampProblem,
        theta: Tensor,
        items: Tensor,
        tolerance: float,
        search: Solver | None = None,
    ) -> Outcome:
        """Minimise `problem` for the `items` [M] from `theta` [M, P], with `search` in the place of what
        goes downhill where it is given."""
        noise = 1e-6 if self.stamps.data.dtype == torch.float32 else 1e-12
        lower, upper = (bound if bound.ndim == 1 else bound[items] for bound in (self.lower, self.upper))
        asked = _Asked(problem, items)
        out = (search or self.solver)(
            asked, theta, lower, upper, self.model.step_limit(theta), tolerance, noise
        )
        out.at_bound[:, list(self.model.fixed)] = False  # it is where it is to be
        return out


@dataclass(frozen=True)
class _Asked:
    """What a solver asks of a problem, by the places of the items that it was given."""

    problem: StampProblem
    items: Tensor

    def __call__(self, theta: Tensor, places: Tensor) -> Linearisation:
        return self.problem.linearise(theta, self.items[places])

    def evaluate(self, theta: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        return self.problem.evaluate(theta, self.items[places])


def move_off_edge_on(model: FitModel, start: Tensor) -> Tensor:
    """Free vectors [B, P] from which a solver finds the way back from bodies seen edge-on."""
    out = start.clone() if model.bodies else start
    for body, places in model.bodies:
        out[:, places] = body.inside(out[:, places], EllipticalComponent.closest)
    return out


def _chunk(grid: Grid, model: FitModel) -> int:
    sizes = [c.size for c in model.components]
    plane = len(grid.ky) * len(grid.kx) * (16 if grid.dtype == torch.float64 else 8)
    if grid.device.type == "cuda":
        return max_batch_size(
            grid.device,
            0.25,
            3 * sum(sizes) * plane,
            (sum(sizes) + 2) * math.prod(grid.period) * grid.oversample**2,
        )
    return max(1, round(_CACHE / (max(sizes) * plane)))  # components are drawn one after the other


def _put(target: Outcome, places: Tensor, source: Outcome, which) -> None:
    for name in vars(target):
        getattr(target, name)[places] = getattr(source, name)[which]
