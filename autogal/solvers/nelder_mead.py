"""The downhill simplex of Nelder and Mead, one of each item's own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autogal.solvers.levenberg_marquardt import LevenbergMarquardt
from autogal.solvers.outcome import Linearise, Outcome
from autogal.solvers.search import Search

__all__ = ["NelderMead"]

_FEWEST = 64  # points at least, however few parameters there are


@dataclass(frozen=True)
class NelderMead:
    """Downhill simplex (Nelder & Mead 1965) with coefficients for many parameters (Gao & Han 2012), each item
    with its own.

    A simplex that has closed in is opened again around its best point, turned the other way and half as wide,
    until that finds nothing lower. It is memetic: Levenberg-Marquardt goes from there to the minimum itself.
    Images are searched on binned pixels, once, without derivatives, and what was found is polished on all of
    them.

    Attributes
    ----------
    max_iterations : int
        Steps of the simplex after which an item is `NOT_CONVERGED`.
    tolerance : float
        Of the last steps, as for `LevenbergMarquardt`.
    sample : int
        Points for each parameter that is searched, of which the lowest quarter goes downhill; the first
        simplex is around the best.
    reach : float
        Half the width of the box in which they lie, in step limits around the start; within the bounds.
    size : float
        Edge of the first simplex, in step limits.
    agreement : float
        The simplex has closed in when chi-square at all corners lies within this.
    restarts : int
        Times it is opened again, at least; then until nothing lower is found.
    seed : int
        Of the points.
    """

    max_iterations: int = 3000
    tolerance: float = 1e-3
    sample: int = 16
    reach: float = 2.5
    size: float = 0.5
    agreement: float = 1.0
    restarts: int = 1
    seed: int = 0

    @property
    def polish(self) -> LevenbergMarquardt:
        """What goes from the lowest corner to the minimum."""
        return LevenbergMarquardt(tolerance=self.tolerance)

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
        search = Search(linearise, start, lower, upper, step_limit)
        size = len(search.moving)
        if not size:
            search.end(torch.ones_like(search.items, dtype=torch.bool))
            return search.finish(self.polish, tolerance, noise)
        edge = self.size * step_limit[search.moving]
        if len(search.items):
            search.sample(
                max(_FEWEST, self.sample * size),
                self.reach,
                torch.Generator().manual_seed(self.seed),
                tolerance,
                noise,
            )
        opened = torch.zeros_like(search.chi2)  # how often
        before = torch.full_like(search.chi2, torch.inf)  # chi-square when it was last opened
        corners = _opened(search, edge.expand(len(search.items), -1))
        chi2 = search.evaluate(corners)
        for _ in range(self.max_iterations):
            if not len(search.items):
                break
            order = chi2.argsort(1)
            chi2, corners = chi2.gather(1, order), corners.gather(1, order[..., None].expand_as(corners))
            corners, chi2 = _step(search, corners, chi2, size)
            closed = chi2.amax(1) - chi2.amin(1) < self.agreement
            over = closed & (opened >= self.restarts) & (before - search.chi2 < self.agreement)
            again = closed & ~over
            before = torch.where(again, search.chi2, before)
            opened = opened + again
            if again.any():
                fresh = _opened(search, edge * (-0.5) ** opened[:, None])
                corners = torch.where(again[:, None, None], fresh, corners)
                chi2 = torch.where(again[:, None], search.evaluate(fresh, again), chi2)
            stay = search.end(over)
            corners, chi2, opened, before = corners[stay], chi2[stay], opened[stay], before[stay]
        return search.finish(self.polish, tolerance, noise)


def _opened(search: Search, width: Tensor) -> Tensor:
    """Corners [B, D + 1, D] of simplices around the best points, with edges `width` [B, D] along the
    parameters."""
    best = search.theta[:, None, search.moving]
    corners = torch.cat([best, best + torch.diag_embed(width)], 1)
    # where a bound leaves no room, the other way
    cramped = (search.clipped(corners) - corners).abs().sum(-1, keepdim=True) > 0.5 * width.abs().sum(-1)[
        :, None, None
    ] / width.shape[1]
    return search.clipped(torch.where(cramped, 2 * best - corners, corners))


def _step(search: Search, corners: Tensor, chi2: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """One step of simplices whose corners [B, D + 1, D] are sorted by chi-square [B, D + 1]."""
    grow, shorten, shrink = 1 + 2 / size, 0.75 - 0.5 / size, 1 - 1 / max(size, 2)
    worst, centre = corners[:, -1:], corners[:, :-1].mean(1, keepdim=True)
    mirrored = search.clipped(2 * centre - worst)
    at_mirrored = search.evaluate(mirrored)[:, 0]
    far, middling, poor = at_mirrored < chi2[:, 0], at_mirrored < chi2[:, -2], at_mirrored < chi2[:, -1]
    reach = torch.where(far, grow, torch.where(poor, shorten, -shorten))[:, None, None]
    second = search.clipped(centre + reach * (centre - worst))
    asked = far | ~middling
    at_second = search.evaluate(second, asked)[:, 0]
    takes_second = asked & (at_second < torch.where(far | poor, at_mirrored, chi2[:, -1]))
    takes_mirrored = ~takes_second & middling
    new = torch.where(takes_second[:, None, None], second, mirrored)
    value = torch.where(takes_second, at_second, at_mirrored)
    taken = takes_second | takes_mirrored
    corners = torch.cat([corners[:, :-1], torch.where(taken[:, None, None], new, worst)], 1)
    chi2 = torch.cat([chi2[:, :-1], torch.where(taken, value, chi2[:, -1])[:, None]], 1)
    if (~taken).any():  # nothing lower along this way: all corners towards the best one
        drawn = corners[:, :1] + shrink * (corners - corners[:, :1])
        at_drawn = search.evaluate(drawn, ~taken)
        at_drawn[:, 0] = chi2[:, 0]
        corners = torch.where(taken[:, None, None], corners, drawn)
        chi2 = torch.where(taken[:, None], chi2, at_drawn)
    return corners, chi2
