"""Differential evolution: a population of each item's own, for chi-square with many minima."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autogal.solvers.levenberg_marquardt import LevenbergMarquardt
from autogal.solvers.outcome import Linearise, Outcome
from autogal.solvers.search import Search

__all__ = ["DifferentialEvolution"]


@dataclass(frozen=True)
class DifferentialEvolution:
    """Differential evolution (Storn & Price 1997), each item with its own population and end; memetic.

    Members move towards one of the best and along the difference of two others ("current to p-best", Zhang &
    Sanderson 2009), and are replaced by what is better. The lowest quarter of the first population goes
    downhill. Every item draws the same random numbers, so that what is found of one does not depend on the
    others. It is memetic: Levenberg-Marquardt goes from the best member to the minimum itself. Images are
    searched on binned pixels, once, without derivatives, and what was found is polished on all of them.

    Attributes
    ----------
    max_iterations : int
        Generations after which an item is `NOT_CONVERGED`.
    tolerance : float
        Of the last steps, as for `LevenbergMarquardt`.
    population : int
        Members for each parameter that is searched.
    reach : float
        Half the width of the box in which the first population lies, in step limits around the start; within
        the bounds.
    patience : int
        Generations without a lower chi-square after which the best members go downhill; where that finds
        nothing lower either, the search ends.
    agreement : float
        What is lower by more than this counts as lower; the search ends, too, when all members lie within it,
        in one valley.
    seed : int
    """

    max_iterations: int = 300
    tolerance: float = 1e-3
    population: int = 16
    reach: float = 2.5
    patience: int = 15
    agreement: float = 3.0
    seed: int = 0

    @property
    def polish(self) -> LevenbergMarquardt:
        """What goes from the best member to the minimum."""
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
        search, draw = (
            Search(linearise, start, lower, upper, step_limit),
            torch.Generator().manual_seed(self.seed),
        )
        size = len(search.moving)
        count = max(4, self.population * size)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=draw, dtype=torch.float64).to(start)

        if size and len(search.items):
            members, chi2 = search.sample(count, self.reach, draw, tolerance, noise)
            lowest, waited = search.chi2.clone(), torch.zeros_like(search.items)
        for _ in range(self.max_iterations if size else 0):
            if not len(search.items):
                break
            leading = chi2.argsort(1)[:, : max(2, count // 10)]
            guide = members.gather(
                1, leading[:, _indices(count, leading.shape[1], draw)][..., None].expand(-1, -1, size)
            )
            # two others, by shifts of a shuffled order: never oneself, never one another
            order = torch.randperm(count, generator=draw)
            first, second = torch.empty(count, dtype=torch.long), torch.empty(count, dtype=torch.long)
            first[order], second[order] = order.roll(1), order.roll(2)
            factor = 0.4 + 0.6 * uniform(count, 1)
            trial = members + factor * (guide - members) + factor * (members[:, first] - members[:, second])
            crossed = (uniform(count, size) < 0.9) | (
                torch.arange(size) == _indices(count, size, draw)[:, None]
            ).to(start.device)
            trial = torch.where(crossed, trial, members)
            # beyond a bound: half way back to it, so that members do not gather there
            inside = search.clipped(trial)
            trial = torch.where(trial == inside, trial, (members + inside) / 2)
            tried = search.evaluate(trial)
            better = tried <= chi2
            members, chi2 = torch.where(better[..., None], trial, members), torch.where(better, tried, chi2)
            # nothing lower for long: the best members go downhill, and the search ends where that does not
            # help either
            gained = lowest - search.chi2 > self.agreement
            lowest, waited = torch.where(gained, search.chi2, lowest), torch.where(gained, 0, waited + 1)
            stalled = waited >= self.patience
            members, chi2 = search.refine(members, chi2, tolerance, noise, stalled)
            helped = lowest - search.chi2 > self.agreement
            lowest, waited = torch.where(helped, search.chi2, lowest), torch.where(stalled, 0, waited)
            stay = search.end(stalled & ~helped | (chi2.amax(1) - chi2.amin(1) < self.agreement))
            members, chi2, lowest, waited = members[stay], chi2[stay], lowest[stay], waited[stay]
        if not size:
            search.end(torch.ones_like(search.items, dtype=torch.bool))
        return search.finish(self.polish, tolerance, noise)


def _indices(count: int, below: int, draw: torch.Generator) -> Tensor:
    return torch.randint(below, (count,), generator=draw)
