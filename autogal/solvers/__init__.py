"""Batched minimisers: a problem in, a status per item out. They know no astronomy."""

from autogal.solvers.levenberg_marquardt import LevenbergMarquardt
from autogal.solvers.outcome import Linearisation, Linearise, Outcome, Solver, Status

__all__ = ["LevenbergMarquardt", "Linearisation", "Linearise", "Outcome", "Solver", "Status"]
