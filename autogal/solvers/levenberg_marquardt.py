"""Levenberg-Marquardt for many small problems at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autogal.solvers.newton import newton_step
from autogal.solvers.outcome import Linearise, Outcome, Status

__all__ = ["LevenbergMarquardt"]

# Gains below this many rounding errors of chi-square may not show
_PLATEAU = 3.0


@dataclass(frozen=True)
class LevenbergMarquardt:
    """Minimise many sums of squares, each with its own damping, acceptance and end.

    Attributes
    ----------
    max_iterations : int
        Evaluations after which an item is `NOT_CONVERGED`.
    tolerance : float
        An item has converged when the undamped step would lower chi-square by less than this. That last step
        is taken, and not evaluated: the distance left shrinks once more by the factor that a Gauss-Newton
        step gains.
    damping : float
        First damping, in units of the diagonal of J^T J.

    Notes
    -----
    Marquardt scaling, damping updated by the gain ratio (Nielsen 1999, IMM-REP-1999-05). An item that ends,
    however it ends, leaves the batch, and one that is singular or not finite touches no other. A parameter
    pushed against its bound is frozen there while the push lasts; a step longer than the limit is shortened
    as a whole.
    """

    max_iterations: int = 60
    tolerance: float = 1e-3
    damping: float = 1e-3

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
        state = linearise(torch.minimum(torch.maximum(start, lower), upper), items)
        out = Outcome.begin(state)
        damping, growth = torch.full_like(state.chi2, self.damping), torch.full_like(state.chi2, 2.0)
        running = state.finite()
        out.status = torch.where(running, out.status, int(Status.FAILED))

        for _ in range(1, self.max_iterations):
            low, high = lower[items], upper[items]
            newton, frozen = newton_step(state, torch.zeros_like(damping), low, high)
            decrement = (newton * state.gradient).sum(-1)
            done = running & (decrement < tolerance)
            # the last step is not tried out: where it goes far, along what the data hardly tell, it is not
            # taken
            near = done & (newton.abs() <= step_limit).all(-1)
            end = torch.minimum(torch.maximum(state.theta + newton, low), high)
            state = state.where(near, state._replace(theta=end, chi2=state.chi2 - decrement.clamp(min=0)))
            out.keep(items, state)
            out.mark_converged(items, done, frozen)
            # what has ended leaves here; to count it is the one time in an iteration that a GPU must be
            # waited for
            rest = (running & ~done).nonzero()[:, 0]
            if not len(rest):
                return out
            if len(rest) < len(items):
                items, state = items[rest], state.rows(rest)
                damping, growth, low, high, decrement, frozen = (
                    v[rest] for v in (damping, growth, low, high, decrement, frozen)
                )
            step, _ = newton_step(state, damping, low, high)
            step = step * (step_limit / step.abs().clamp(min=1e-300)).amin(-1).clamp(max=1.0)[:, None]
            trial = linearise(torch.minimum(torch.maximum(state.theta + step, low), high), items)
            out.n_iter[items] += 1
            moved = trial.theta - state.theta
            predicted = 2 * (moved * state.gradient).sum(-1) - torch.einsum(
                "bi,bij,bj->b", moved, state.hessian, moved
            )
            gain = (state.chi2 - trial.chi2) / predicted.abs().clamp(min=1e-300)
            # a gain too small to be seen, tried for and not seen: chi-square is as low as it can be computed
            plateau = (decrement < _PLATEAU * noise * state.chi2) & ~(gain > 0.1)
            out.mark_converged(items, plateau, frozen)
            accept = (trial.chi2 <= state.chi2 * (1 + noise)) & trial.finite()
            state = state.where(accept & ~plateau, trial)
            shrink = (1 - (2 * gain.clamp(0, 1) - 1) ** 3).clamp(min=0.1)
            # a rejected step was hardly damped at all below 1e-3: start from there
            damping = torch.where(accept, damping * shrink, (damping * growth).clamp(min=1e-3)).clamp(
                1e-9, 1e12
            )
            growth = torch.where(accept, 2.0, growth * 2).clamp(max=1e6)
            running = ~plateau & (damping < 1e9)  # what is stuck ends here, not converged
        out.keep(items, state)
        frozen = newton_step(state, torch.zeros_like(state.chi2), lower[items], upper[items])[1]
        out.at_bound[items] = torch.where(running[:, None], frozen, out.at_bound[items])
        return out
