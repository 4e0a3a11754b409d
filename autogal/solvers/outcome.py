"""What problems give to solvers, and solvers give back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

__all__ = ["Linearisation", "Linearise", "Outcome", "Solver", "Status", "without_search"]


class Status(IntEnum):
    """How an item's fit ended."""

    RUNNING = 0
    CONVERGED = 1
    NOT_CONVERGED = 2
    FAILED = 3


class Linearisation(NamedTuple):
    """Least-squares problem around a point, one row an item.

    Attributes
    ----------
    theta : Tensor, [B, P]
        The point; a problem may return a better one than it was asked for, never a worse.
    chi2 : Tensor, [B]
        Sum of squared residuals r.
    gradient : Tensor, [B, P]
        J^T r, J being the derivatives of the model (not of r): it points downhill.
    hessian : Tensor, [B, P, P]
        J^T J.
    """

    theta: Tensor
    chi2: Tensor
    gradient: Tensor
    hessian: Tensor

    def rows(self, keep: Tensor) -> Linearisation:
        """The items at `keep`, places or a mask."""
        return Linearisation(*(v[keep] for v in self))

    def among(self, places: Sequence[int]) -> Linearisation:
        """The problem in the parameters at `places` alone, the others held."""
        places = list(places)
        return Linearisation(
            self.theta[:, places], self.chi2, self.gradient[:, places], self.hessian[:, places][:, :, places]
        )

    def where(self, take: Tensor, other: Linearisation) -> Linearisation:
        """The items of `other` where `take`, [B] bool, holds; these elsewhere."""
        return Linearisation(
            *(torch.where(take.reshape(-1, *[1] * (b.ndim - 1)), b, a) for a, b in zip(self, other))
        )

    def finite(self) -> Tensor:
        """Items whose every number is finite, [B] bool."""
        return torch.stack(
            [torch.isfinite(v).reshape(len(v), math.prod(v.shape[1:])).all(-1) for v in self]
        ).all(0)


Linearise = Callable[[Tensor, Tensor], Linearisation]


@dataclass
class Outcome:
    """Where each item ended.

    Attributes
    ----------
    theta, chi2, gradient, hessian : Tensor
        As in `Linearisation`, at the best point found.
    status : Tensor, [B] int
        `Status` codes.
    n_iter : Tensor, [B] int
        Evaluations of the model.
    at_bound : Tensor, [B, P] bool
        Parameters held at a bound.
    """

    theta: Tensor
    chi2: Tensor
    gradient: Tensor
    hessian: Tensor
    status: Tensor
    n_iter: Tensor
    at_bound: Tensor

    @classmethod
    def begin(cls, state: Linearisation) -> Outcome:
        """Everything evaluated once, nothing converged."""
        n = len(state.chi2)
        device = state.chi2.device
        return cls(
            *(v.clone() for v in state),
            torch.full((n,), int(Status.NOT_CONVERGED), device=device),
            torch.ones(n, dtype=torch.long, device=device),
            torch.zeros_like(state.theta, dtype=torch.bool),
        )

    def keep(self, items: Tensor, state: Linearisation) -> None:
        """Note the best point so far of `items`."""
        for name, value in state._asdict().items():
            getattr(self, name)[items] = value

    def mark_converged(self, items: Tensor, which: Tensor, at_bound: Tensor) -> None:
        """Note that those of `items` have converged where `which`, [B] bool, holds."""
        self.at_bound[items] = torch.where(which[:, None], at_bound, self.at_bound[items])
        self.status[items] = torch.where(which, int(Status.CONVERGED), self.status[items])

    def blank(self, n: int) -> Outcome:
        """An outcome of `n` rows of the same kind, to be filled."""
        return Outcome(
            *(torch.zeros((n, *v.shape[1:]), dtype=v.dtype, device=v.device) for v in vars(self).values())
        )


class Solver(Protocol):
    """What every solver is to those who call it: a function with its settings bound.

    A user's own is a class whose objects can be called so, named in the configuration as
    ``solver=MODULE:CLASS``; its settings are the arguments of its class. It is tried out before the run.

    Attributes
    ----------
    tolerance : float
        Gain in chi-square below which an item has converged, in fits of which nothing else is asked.
    polish : Solver, optional
        A solver that searches has it: it goes from what was found to the minimum. Such a solver is asked once
        a galaxy, on binned pixels; all fits from nearly the best values are left to `polish`, and no fit is
        started again from elsewhere.
    """

    tolerance: float

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
        """Minimise.

        Parameters
        ----------
        linearise : callable
            ``linearise(theta [B, P], items [B]) -> Linearisation``: chi-square and its derivatives of any of
            the N items, at points of theirs. It may give better points than it was asked for. It may have an
            attribute ``evaluate``, for searches: called alike, it gives the points [B, P] and chi-square [B]
            alone, without derivatives and so at a part of the price.
        start : Tensor, [N, P] float64
        lower, upper : Tensor, [P] or [N, P]
            Bounds; where they are equal, a parameter is held.
        step_limit : Tensor, [P]
            Largest move of each parameter in one step.
        tolerance : float
            In chi-square, at which an item has converged.
        noise : float
            Relative rounding error of chi-square.

        Returns
        -------
        Outcome
            One row an item, in order. What becomes of one must not depend on the others.
        """
        ...


def without_search(solver: Solver) -> Solver:
    """What fits from nearly the best values: the `polish` of a solver that searches, any other itself."""
    return getattr(solver, "polish", solver)
