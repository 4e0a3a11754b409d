"""What solvers without derivatives share: where they search, what they evaluate there, and how they end."""

from __future__ import annotations

import torch
from torch import Tensor

from autogal.solvers.levenberg_marquardt import LevenbergMarquardt
from autogal.solvers.outcome import Linearise, Outcome, Status

__all__ = ["Search"]

# Of the points of a sample, which part goes downhill, and evaluations that each takes at most
_REFINED, _DOWNHILL = 4, 25


class Search:
    """The items of a problem that are searched, their lowest points so far, and the parameters that the
    search moves.

    Chi-square comes without derivatives where the problem has a way to evaluate it so; see `Solver`.

    Parameters
    ----------
    linearise : callable
        The problem; see `Solver`.
    start : Tensor, [N, P]
    lower, upper : Tensor, [P] or [N, P]
    step_limit : Tensor, [P]
        Not finite for parameters that the problem solves for by itself: these are not searched.

    Attributes
    ----------
    moving : Tensor, [D] int
        Places of the parameters that are searched.
    items : Tensor, [B] int
        Those still searched.
    theta : Tensor, [B, P]
        The lowest point of each of `items`.
    chi2 : Tensor, [B]
        What it has there.
    n_iter : Tensor, [N] int
        Evaluations of the model.
    ended : Tensor, [N] bool
        Items whose search came to its own end.
    """

    def __init__(self, linearise: Linearise, start: Tensor, lower: Tensor, upper: Tensor, step_limit: Tensor):
        self.linearise, self.step_limit = linearise, step_limit
        self.lower, self.upper = lower.expand_as(start), upper.expand_as(start)
        self.items = torch.arange(len(start), device=start.device)
        self.theta, self.chi2 = self._asked(
            torch.minimum(torch.maximum(start, self.lower), self.upper), self.items
        )
        self.n_iter = torch.ones(len(start), dtype=torch.long, device=start.device)
        self.ended = torch.zeros(len(start), dtype=torch.bool, device=start.device)
        self.moving = torch.isfinite(step_limit).nonzero()[:, 0]
        self._lowest = self.theta.clone()
        self._keep(torch.isfinite(self.chi2))

    def clipped(self, points: Tensor) -> Tensor:
        """Points [B, K, D] brought within the bounds of `items`."""
        low, high = (bound[self.items][:, None, self.moving] for bound in (self.lower, self.upper))
        return torch.minimum(torch.maximum(points, low), high)

    def evaluate(self, points: Tensor, which: Tensor | None = None) -> Tensor:
        """Chi-square [B, K] at points [B, K, D] of `items`, infinite where there is none; the lowest is kept.

        Of `which` [B] bool alone, where given; the others' are infinite.
        """
        rows = torch.arange(len(points), device=points.device) if which is None else which.nonzero()[:, 0]
        chi2 = points.new_full(points.shape[:2], torch.inf)
        if not len(rows):
            return chi2
        count = points.shape[1]
        theta = self.theta[rows].repeat_interleave(count, 0)
        theta[:, self.moving] = points[rows].flatten(0, 1)
        theta, found = self._asked(theta, self.items[rows].repeat_interleave(count))
        found = found.unflatten(0, (len(rows), count))
        self.n_iter[self.items[rows]] += count
        chi2[rows], lowest = found, found.argmin(1)
        place = torch.arange(len(rows), device=points.device) * count + lowest
        better = found.amin(1) < self.chi2[rows]
        self.theta[rows[better]], self.chi2[rows[better]] = theta[place[better]], found.amin(1)[better]
        return chi2

    def sample(
        self, count: int, reach: float, draw: torch.Generator, tolerance: float, noise: float
    ) -> tuple[Tensor, Tensor]:
        """Points [B, K, D] of a Latin hypercube around the starts, these the first, of which the lowest went
        downhill; and chi-square [B, K].

        The hypercube is `reach` step limits to either side, within the bounds, and the same for every item.
        """
        centre = self.theta[:, None, self.moving]
        offset = (
            (2 * _latin(count, len(self.moving), draw).to(centre) - 1) * reach * self.step_limit[self.moving]
        )
        offset[0] = 0.0
        points = self.clipped(centre + offset)
        return self.refine(points, self.evaluate(points), tolerance, noise)

    def refine(
        self, points: Tensor, chi2: Tensor, tolerance: float, noise: float, which: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Take the lowest quarter of points [B, K, D], whose chi-square is [B, K], downhill; gives all of
        them with these moved.

        Of the items `which` [B] bool alone, where given. This is what makes a search memetic (Moscato 1989).
        """
        if which is not None:
            points, chi2 = points.clone(), chi2.clone()
            if which.any():
                rows = which.nonzero()[:, 0]
                points[rows], chi2[rows] = self._refined(rows, points[rows], chi2[rows], tolerance, noise)
            return points, chi2
        return self._refined(torch.arange(len(points), device=points.device), points, chi2, tolerance, noise)

    def _refined(
        self, at: Tensor, points: Tensor, chi2: Tensor, tolerance: float, noise: float
    ) -> tuple[Tensor, Tensor]:
        order = chi2.argsort(dim=1, stable=True)[:, : max(4, chi2.shape[1] // _REFINED)]
        items = self.items[at].repeat_interleave(order.shape[1])
        theta = self.theta[at].repeat_interleave(order.shape[1], 0)
        theta[:, self.moving] = points.gather(1, order[..., None].expand(-1, -1, points.shape[2])).flatten(
            0, 1
        )
        downhill = LevenbergMarquardt(_DOWNHILL)
        out = downhill(
            lambda t, i: self.linearise(t, items[i]),
            theta,
            self.lower[items],
            self.upper[items],
            self.step_limit,
            tolerance,
            noise,
        )
        self.n_iter.index_add_(0, items, out.n_iter)
        found = torch.where(torch.isfinite(out.chi2), out.chi2, torch.inf).unflatten(0, order.shape)
        moved = out.theta.unflatten(0, order.shape)
        better = found < chi2.gather(1, order)
        place, lowest = found.argmin(1), found.amin(1)
        new = lowest < self.chi2[at]
        self.theta[at[new]], self.chi2[at[new]] = moved[new, place[new]], lowest[new]
        points, chi2 = points.clone(), chi2.clone()
        rows = torch.arange(len(order), device=order.device)[:, None].expand_as(order)
        points[rows[better], order[better]] = moved[..., self.moving][better]
        chi2[rows[better], order[better]] = found[better]
        return points, chi2

    def _asked(self, theta: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Free vectors, and chi-square there, infinite where it is not a number."""
        ask = getattr(self.linearise, "evaluate", None)
        if ask is None:
            state = self.linearise(theta, items)
            return state.theta, torch.where(state.finite(), state.chi2, torch.inf)
        theta, chi2 = ask(theta, items)
        return theta, torch.where(torch.isfinite(chi2) & torch.isfinite(theta).all(-1), chi2, torch.inf)

    def end(self, done: Tensor) -> Tensor:
        """Take items whose search is over, [B] bool, out; gives the places of those that stay."""
        self.ended[self.items[done]] = True
        return self._keep(~done)

    def _keep(self, stay: Tensor) -> Tensor:
        self._lowest[self.items] = self.theta
        places = stay.nonzero()[:, 0]
        self.items, self.theta, self.chi2 = self.items[places], self.theta[places], self.chi2[places]
        return places

    def finish(self, polish: LevenbergMarquardt, tolerance: float, noise: float) -> Outcome:
        """Go from the lowest points to the minima beside them; an item whose search did not end has not
        converged."""
        self._keep(torch.zeros_like(self.items, dtype=torch.bool))
        out = polish(self.linearise, self._lowest, self.lower, self.upper, self.step_limit, tolerance, noise)
        out.n_iter += self.n_iter
        out.status[~self.ended & (out.status == Status.CONVERGED)] = Status.NOT_CONVERGED
        return out


def _latin(count: int, size: int, draw: torch.Generator) -> Tensor:
    """A Latin hypercube in the unit cube, [count, size] (McKay et al. 1979): each parameter's range is
    covered evenly."""
    places = torch.stack([torch.randperm(count, generator=draw) for _ in range(size)], 1)
    return (places + torch.rand((count, size), generator=draw, dtype=torch.float64)) / count
