"""Batched minimisers: a problem in, a status per item out. They know no astronomy."""

from autogal.solvers.first_order import LBFGS, Adam
from autogal.solvers.levenberg_marquardt import LevenbergMarquardt
from autogal.solvers.outcome import Linearisation, Linearise, Outcome, Solver, Status

__all__ = ["Adam", "LBFGS", "LevenbergMarquardt", "Linearisation", "Linearise", "Outcome", "SOLVERS", "Solver", "Status"]

#: By their names in the configuration
SOLVERS: dict[str, type[Solver]] = {"lm": LevenbergMarquardt, "adam": Adam, "lbfgs": LBFGS}
