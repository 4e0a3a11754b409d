"""What problems give to solvers, and solvers give back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from torch import Tensor

__all__ = ["Linearisation", "Outcome", "Status"]


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
