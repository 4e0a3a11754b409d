"""Gradient solvers: Adam and L-BFGS, each item with its own step, memory and end."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autogal.solvers.newton import newton_step
from autogal.solvers.outcome import Linearise, Outcome, Status

__all__ = ["LBFGS", "Adam"]


def _distance(state, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """How much chi-square a full Gauss-Newton step would still gain, and the parameters at a bound."""
    step, frozen = newton_step(state, torch.zeros_like(state.chi2), low, high)
    return (step * state.gradient).sum(-1), frozen


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba 2015) on chi-square, the learning rate of an item halved when it stops gaining.

    Attributes
    ----------
    max_iterations : int
        Evaluations after which an item is `NOT_CONVERGED`.
    tolerance : float
        An item has converged when a full Gauss-Newton step would lower chi-square by less than this.
    learning_rate : float
        First step, as a fraction of the step limits.
    patience : int
        Evaluations without a new lowest chi-square before the rate is halved.
    """

    max_iterations: int = 1000
    tolerance: float = 1e-4
    learning_rate: float = 0.02
    patience: int = 10

    def __call__(
        self,
        linearise: Linearise,
        start: Tensor,
        lower: Tensor,
        upper: Tensor,
        step_limit: Tensor,
        tolerance: float,
        noise: float,
    ) -> Outcome:
        """Minimise; see `Solver`."""
        lower, upper = lower.expand_as(start), upper.expand_as(start)
        items = torch.arange(len(start), device=start.device)
        # parameters without a limit are those the problem itself solves for
        unit = torch.where(torch.isfinite(step_limit), step_limit, 0.0)
        here = best = linearise(torch.minimum(torch.maximum(start, lower), upper), items)
        out = Outcome.begin(best)
        finite = best.finite()
        out.status[~finite] = Status.FAILED
        first = second = torch.zeros_like(start)
        rate = torch.full_like(best.chi2, self.learning_rate)
        count = waited = torch.zeros_like(best.chi2)
        keep = finite
        for _ in range(1, self.max_iterations):
            items, here, best = items[keep], here.rows(keep), best.rows(keep)
            first, second, rate, count, waited = (v[keep] for v in (first, second, rate, count, waited))
            if not len(items):
                break
            low, high = lower[items], upper[items]
            count = count + 1
            slope = -here.gradient * unit
            first, second = 0.9 * first + 0.1 * slope, 0.99 * second + 0.01 * slope**2
            move = (first / (1 - 0.9 ** count[:, None])) / (
                (second / (1 - 0.99 ** count[:, None])).sqrt() + 1e-300
            )
            theta = here.theta - rate[:, None] * unit * move
            here = linearise(torch.minimum(torch.maximum(theta, low), high), items)
            out.n_iter[items] += 1
            sound = here.finite()
            better = sound & (here.chi2 < best.chi2)
            best = best.where(better, here)
            waited = torch.where(better, 0.0, waited + 1)
            slow = (waited >= self.patience) | ~sound
            # from the best point again, slower, its momentum forgotten
            here = here.where(slow, best)
            rate = torch.where(slow, rate / 2, rate)
            first, second = (torch.where(slow[:, None], 0.0, v) for v in (first, second))
            count, waited = (torch.where(slow, 0.0, v) for v in (count, waited))
            left, frozen = _distance(best, low, high)
            done = left < tolerance
            out.keep(items, best)
            out.at_bound[items] = frozen
            out.status[items[done]] = Status.CONVERGED
            keep = ~done & (rate > 1e-9)
        return out


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS (Nocedal 1980) with a backtracking line search of each item's own.

    Attributes
    ----------
    max_iterations : int
        Evaluations after which an item is `NOT_CONVERGED`.
    tolerance : float
        An item has converged when a full Gauss-Newton step would lower chi-square by less than this.
    history : int
        Steps remembered.
    """

    max_iterations: int = 200
    tolerance: float = 1e-4
    history: int = 10

    def __call__(
        self,
        linearise: Linearise,
        start: Tensor,
        lower: Tensor,
        upper: Tensor,
        step_limit: Tensor,
        tolerance: float,
        noise: float,
    ) -> Outcome:
        """Minimise; see `Solver`."""
        n, p = start.shape
        lower, upper = lower.expand(n, p), upper.expand(n, p)
        items = torch.arange(n, device=start.device)
        here = linearise(torch.minimum(torch.maximum(start, lower), upper), items)
        out = Outcome.begin(here)
        finite = here.finite()
        out.status[~finite] = Status.FAILED
        steps, slopes = start.new_zeros(n, self.history, p), start.new_zeros(n, self.history, p)
        length = torch.ones_like(here.chi2)
        keep = finite
        for _ in range(1, self.max_iterations):
            items, here = items[keep], here.rows(keep)
            steps, slopes, length = steps[keep], slopes[keep], length[keep]
            if not len(items):
                break
            low, high = lower[items], upper[items]
            left, frozen = _distance(here, low, high)
            done = left < tolerance
            out.at_bound[items] = frozen
            out.status[items[done]] = Status.CONVERGED
            gradient = torch.where(frozen, 0.0, -2 * here.gradient)
            direction = -_two_loops(gradient, steps, slopes, here.hessian.diagonal(dim1=-2, dim2=-1))
            direction = torch.where(frozen, 0.0, direction)
            uphill = (direction * gradient).sum(-1) >= 0
            scale = (step_limit / direction.abs().clamp(min=1e-300)).amin(-1).clamp(max=1.0)
            theta = here.theta + (scale * length)[:, None] * direction
            trial = linearise(torch.minimum(torch.maximum(theta, low), high), items)
            out.n_iter[items] += 1
            # Armijo's rule, with the rounding of chi-square forgiven
            promised = 1e-4 * ((trial.theta - here.theta) * gradient).sum(-1)
            accept = (
                trial.finite() & (trial.chi2 <= here.chi2 * (1 + noise) + promised.clamp(max=0)) & ~uphill
            )
            step, slope = trial.theta - here.theta, -2 * (trial.gradient - here.gradient)
            learn = accept & ((step * slope).sum(-1) > 1e-10 * step.norm(dim=-1) * slope.norm(dim=-1))
            steps = torch.where(learn[:, None, None], torch.cat([steps[:, 1:], step[:, None]], 1), steps)
            slopes = torch.where(learn[:, None, None], torch.cat([slopes[:, 1:], slope[:, None]], 1), slopes)
            forget = (length < 1e-3) | uphill
            steps, slopes = (torch.where(forget[:, None, None], 0.0, v) for v in (steps, slopes))
            here = here.where(accept, trial)
            length = torch.where(accept, 1.0, length * 0.4)
            out.keep(items, here)
            keep = ~done & (length > 1e-8)
        return out


def _two_loops(gradient: Tensor, steps: Tensor, slopes: Tensor, diagonal: Tensor) -> Tensor:
    """Inverse Hessian times gradient; slots without memory (all zero) drop out, 2 J^T J's diagonal starts
    it off."""
    product = (steps * slopes).sum(-1)
    rho = torch.where(product > 0, 1 / product.clamp(min=1e-300), 0.0)
    q, alphas = gradient, []
    for i in range(steps.shape[1] - 1, -1, -1):
        alpha = rho[:, i] * (steps[:, i] * q).sum(-1)
        q = q - alpha[:, None] * slopes[:, i]
        alphas.append(alpha)
    q = q / (2 * torch.where(diagonal > 0, diagonal, 1.0))
    for i, alpha in enumerate(reversed(alphas)):
        beta = rho[:, i] * (slopes[:, i] * q).sum(-1)
        q = q + steps[:, i] * (alpha - beta)[:, None]
    return q
