"""A user's solver put to the test, before a run relies on it."""

from __future__ import annotations

import torch
from torch import Tensor

from autogal.errors import AutogalError
from autogal.solvers import Linearisation, Outcome, Solver, Status

__all__ = ["validate_solver"]

_ITEMS, _SIZE = 4, 3
_LOST = 3  # the item of the trial whose numbers are not finite
_NEAR = 1.0  # in chi-square, of the minimum: where what is said to have converged must be at least
_NOISE = 1e-12
_CALL = (
    "It is called as autogal.solvers.Solver has it, and gives an Outcome; Outcome.begin(linearise(...)) "
    "makes one."
)


def validate_solver(solver: Solver) -> None:
    """Minimise a few sums of squares whose minima are known, one with a bound before it and one that is not
    finite.

    Raises
    ------
    AutogalError
        Where it does not give an `Outcome` of the right shapes, leaves the bounds, says that it converged
        where it did not, gives more than it was given, or lets an item depend on the others.
    """
    name = f"The solver {type(solver).__name__}"
    if not isinstance(getattr(solver, "tolerance", None), int | float):
        raise AutogalError(
            f"{name} has no tolerance.",
            "Let it have that attribute, a number: the gain in chi-square below which an item has converged.",
        )
    problem = _Problem()
    every = torch.arange(_ITEMS)
    out = _solved(name, solver, problem, every)
    _check(name, problem, out, every)
    alone = _solved(name, solver, problem, every[1:2])
    if not torch.allclose(alone.theta[0], out.theta[1], rtol=1e-6, atol=1e-6):
        raise AutogalError(
            f"{name} gives an item other numbers when it is alone.",
            "Keep damping, acceptance and end of each item apart: one row an item.",
        )


class _Problem:
    """Straight lines through points, exactly, and what is lost."""

    def __init__(self) -> None:
        draw = torch.Generator().manual_seed(3)
        self.design = torch.randn(_ITEMS, 12, _SIZE, generator=draw, dtype=torch.float64) * torch.tensor(
            [1.0, 3.0, 0.5], dtype=torch.float64
        )
        self.best = torch.tensor(
            [[1.0, -2.0, 0.5], [0.3, 0.2, 4.0], [-1.0, 0.0, 2.0], [0.0, 0.0, 0.0]], dtype=torch.float64
        )
        self.data = (self.design @ self.best[:, :, None])[..., 0] + 0.1 * torch.randn(
            _ITEMS, 12, generator=draw, dtype=torch.float64
        )
        self.data[_LOST] = torch.nan
        self.start = torch.zeros(_ITEMS, _SIZE, dtype=torch.float64) + 0.5
        self.lower = torch.full((_SIZE,), -10.0, dtype=torch.float64)
        self.upper = torch.tensor([10.0, 10.0, 1.0], dtype=torch.float64)  # two of the minima are beyond

    def linearise(self, theta: Tensor, items: Tensor) -> Linearisation:
        design = self.design[items]
        residual = self.data[items] - (design @ theta[:, :, None])[..., 0]
        return Linearisation(
            theta, residual.square().sum(-1), (design.mT @ residual[:, :, None])[..., 0], design.mT @ design
        )

    def lowest(self) -> Tensor:
        """The lowest chi-square within the bounds, [N]: at the bound in the last parameter where the
        minimum lies beyond."""
        out = []
        for design, data in zip(self.design, self.data.nan_to_num(0.0)):
            theta = torch.linalg.lstsq(design, data[:, None]).solution[:, 0]
            if theta[2] > self.upper[2]:
                rest = torch.linalg.lstsq(
                    design[:, :2], (data - design[:, 2] * self.upper[2])[:, None]
                ).solution[:, 0]
                theta = torch.cat([rest, self.upper[2:]])
            out.append((data - design @ theta).square().sum())
        return torch.stack(out)


def _solved(name: str, solver: Solver, problem: _Problem, items: Tensor) -> Outcome:
    start = problem.start[items].clone()
    before, limit = start.clone(), torch.full((_SIZE,), 4.0, dtype=torch.float64)
    try:
        out = solver(
            lambda theta, some: problem.linearise(theta, items[some]),
            start,
            problem.lower,
            problem.upper,
            limit,
            solver.tolerance,
            _NOISE,
        )
    except Exception as error:
        told = f"{type(error).__name__}: {' '.join(str(error).split()).rstrip('.')}"[:300]
        raise AutogalError(f"{name} fails: {told}.", _CALL) from error
    if not isinstance(out, Outcome):
        raise AutogalError(f"{name} gives a {type(out).__name__}.", _CALL)
    if not torch.equal(start, before):
        raise AutogalError(
            f"{name} changes the starts that it is given.", "Let it work on a copy: start.clone()."
        )
    return out


def _check(name: str, problem: _Problem, out: Outcome, items: Tensor) -> None:
    count = len(items)
    shapes = {
        "theta": (count, _SIZE),
        "chi2": (count,),
        "gradient": (count, _SIZE),
        "hessian": (count, _SIZE, _SIZE),
        "status": (count,),
        "n_iter": (count,),
        "at_bound": (count, _SIZE),
    }
    for what, shape in shapes.items():
        given = getattr(out, what)
        if not isinstance(given, Tensor) or tuple(given.shape) != shape:
            raise AutogalError(
                f"{what} of the outcome of {name[0].lower()}{name[1:]} has not the shape {shape}.", _CALL
            )
    if not set(out.status.tolist()) <= {int(Status.CONVERGED), int(Status.NOT_CONVERGED), int(Status.FAILED)}:
        raise AutogalError(
            f"{name} gives the status {out.status.tolist()}.",
            "Give CONVERGED, NOT_CONVERGED or FAILED of autogal.solvers.Status.",
        )
    if out.status[_LOST] == Status.CONVERGED:
        raise AutogalError(
            f"{name} says that an item converged whose chi-square is NaN.",
            "Give FAILED where state.finite() is not.",
        )
    good = [i for i in range(count) if i != _LOST]
    theta = out.theta[good]
    if not bool(torch.isfinite(theta).all()):
        raise AutogalError(
            f"{name} spoils items beside one that is not finite.",
            "Keep items apart: one singular matrix must touch no other.",
        )
    if bool(((theta < problem.lower - 1e-9) | (theta > problem.upper + 1e-9)).any()):
        raise AutogalError(f"{name} leaves the bounds.", "Keep theta between lower and upper.")
    converged = (out.status[good] == Status.CONVERGED).tolist()
    chi2, lowest = problem.linearise(theta, items[good]).chi2, problem.lowest()[good]
    for done, found, least in zip(converged, chi2.tolist(), lowest.tolist()):
        if done and found > least + _NEAR:
            raise AutogalError(
                f"{name} says that it converged at a chi-square of {found:.4g}, where the lowest is "
                f"{least:.4g}.",
                "An item has converged when the undamped step would gain less than `tolerance`; gradient "
                "points downhill.",
            )
    if not any(converged):
        raise AutogalError(
            f"{name} does not converge in any of {len(good)} straight lines through points.",
            "Give it more iterations, or note with Outcome.mark_converged what has ended.",
        )
